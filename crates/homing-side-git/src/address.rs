//! Where a repository is, in the forms that Git takes.

use std::fmt;
use std::path::PathBuf;

use homing_core::SideError;
use homing_remote::ShownUrl;
use url::Url;

/// How a repository is reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Transport {
    /// `https` or `http`.
    Http(Url),
    /// `ssh://…` or `[user@]host:path`.
    Ssh,
    /// `git://…`.
    Git,
    /// A path of this machine, or `file://…`.
    File(PathBuf),
}

/// A repository's address. It prints without password and query.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// As Git gets it.
    text: String,
    shown: String,
    transport: Transport,
}

impl Address {
    /// Reads an address. [`SideError::Config`] says why it is none, and never repeats a secret.
    pub fn parse(text: &str) -> Result<Self, SideError> {
        if text.is_empty() {
            return Err(complain("`url` is empty"));
        }
        if text.starts_with('-') {
            return Err(complain(
                "`url` begins with `-`, so Git would take it for an option",
            ));
        }
        if text.chars().any(char::is_control) {
            return Err(complain("`url` has a control character in it"));
        }
        if let Some((helper, _)) = text.split_once("::")
            && helper
                .chars()
                .all(|letter| letter.is_ascii_alphanumeric() || "+-.".contains(letter))
        {
            return Err(complain(&format!(
                "`url` begins with `{helper}::`, which has Git run a program of that name; https, http, ssh, git, file and paths are taken"
            )));
        }
        if text.contains("://") {
            return Self::of_url(text);
        }
        if text.starts_with('/') {
            return Ok(Self::of_path(text, PathBuf::from(text)));
        }
        match text.split_once(':') {
            Some((host, path)) if !host.contains('/') => Self::of_scp(text, host, path),
            _ => Err(complain(
                "`url` is a relative path; write it whole, beginning with `/`",
            )),
        }
    }

    fn of_url(text: &str) -> Result<Self, SideError> {
        let url =
            Url::parse(text).map_err(|error| complain(&format!("`url` is no URL: {error}")))?;
        let transport = match url.scheme() {
            "https" | "http" => Transport::Http(url.clone()),
            "ssh" | "git+ssh" | "ssh+git" => Transport::Ssh,
            "git" => Transport::Git,
            "file" => {
                let path = url
                    .to_file_path()
                    .map_err(|()| complain("`url` names a file of another machine"))?;
                return Ok(Self::of_path(text, path));
            }
            other => {
                return Err(complain(&format!(
                    "`url` has the scheme `{other}`; https, http, ssh, git, file and paths are taken"
                )));
            }
        };
        let host = url.host_str().unwrap_or_default();
        if host.is_empty() {
            return Err(complain("`url` names no host"));
        }
        if host.starts_with('-') || url.username().starts_with('-') {
            return Err(complain(
                "`url` names a host or user that begins with `-`, which ssh would take for an option",
            ));
        }
        if url.password().is_some() {
            return Err(complain(
                "`url` has a password in it, which Git would keep and show; name a secret with `token = { env = \"…\" }`, or leave it to Git's credential helpers",
            ));
        }
        if matches!(transport, Transport::Http(_)) && url.query().is_some() {
            return Err(complain(
                "`url` has a query; a repository's address has none",
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            shown: match &transport {
                Transport::Http(url) => ShownUrl::of(url).to_string(),
                _ => text.to_owned(),
            },
            transport,
        })
    }

    fn of_path(text: &str, path: PathBuf) -> Self {
        Self {
            text: text.to_owned(),
            shown: text.to_owned(),
            transport: Transport::File(path),
        }
    }

    fn of_scp(text: &str, host: &str, path: &str) -> Result<Self, SideError> {
        let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
        if host.is_empty() || path.is_empty() {
            return Err(complain(
                "`url` is no address: over ssh it is written `user@host:path`",
            ));
        }
        if host.starts_with('-') || user.starts_with('-') || path.starts_with('-') {
            return Err(complain(
                "`url` names a host, user or path that begins with `-`, which would be taken for an option",
            ));
        }
        // `user:password@host:path` is a path for Git, and a secret for whoever wrote it.
        if path
            .split_once('@')
            .is_some_and(|(_, rest)| rest.contains(':'))
        {
            return Err(complain(
                "`url` has a password in it; ssh takes none from there",
            ));
        }
        Ok(Self {
            text: text.to_owned(),
            shown: text.to_owned(),
            transport: Transport::Ssh,
        })
    }

    /// Returns it as Git gets it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns the host that it names; `None` of a path.
    pub(crate) fn host(&self) -> Option<String> {
        if let Transport::File(_) = self.transport {
            return None;
        }
        let host = if self.text.contains("://") {
            Url::parse(&self.text).ok()?.host_str()?.to_owned()
        } else {
            let (host, _) = match self.text.split_once("]:") {
                Some(parts) => parts,
                None => self.text.split_once(':')?,
            };
            host.rsplit_once('@')
                .map_or(host, |(_, host)| host)
                .to_owned()
        };
        Some(host.trim_matches(['[', ']']).to_owned())
    }

    /// Returns its scheme as it is written; `ssh` for the form without one.
    pub(crate) fn scheme(&self) -> &str {
        self.text
            .split_once("://")
            .map_or("ssh", |(scheme, _)| scheme)
    }

    /// Returns its host as it is written, with its port where there is one; of a path it is empty.
    pub(crate) fn host_as_written(&self) -> &str {
        let authority = self.authority();
        authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host)
    }

    /// Returns user, host and port as they are written; of a path it is empty.
    pub(crate) fn authority(&self) -> &str {
        match self.text.split_once("://") {
            Some((_, rest)) => rest.split('/').next().unwrap_or_default(),
            None if self.transport == Transport::Ssh => {
                // A port is written `[host:port]:path`.
                let end = self.text.find("]:").map(|at| at + 1);
                let end = end.or_else(|| self.text.find(':'));
                &self.text[..end.unwrap_or(self.text.len())]
            }
            None => "",
        }
    }

    /// Returns how it is reached.
    pub fn transport(&self) -> &Transport {
        &self.transport
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

fn complain(message: &str) -> SideError {
    SideError::Config {
        message: message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_an_address_is_told_apart() {
        let transport = |text: &str| Address::parse(text).unwrap().transport;
        assert!(matches!(
            transport("https://git.example.org/a/b.git"),
            Transport::Http(_)
        ));
        assert!(matches!(
            transport("http://user@git.example.org:8080/a"),
            Transport::Http(_)
        ));
        for ssh in [
            "ssh://git@git.example.org:2222/a/b.git",
            "git@git.example.org:a/b.git",
            "host:a",
        ] {
            assert_eq!(transport(ssh), Transport::Ssh, "{ssh}");
        }
        assert_eq!(transport("git://git.example.org/a"), Transport::Git);
        for file in ["/srv/git/a b.git", "file:///srv/git/a%20b.git"] {
            assert_eq!(
                transport(file),
                Transport::File(PathBuf::from("/srv/git/a b.git"))
            );
        }
    }

    #[test]
    fn a_host_is_told_as_it_is_written() {
        for (text, scheme, authority, host) in [
            (
                "https://me@A.example:443/b",
                "https",
                "me@A.example:443",
                "A.example:443",
            ),
            ("https://[::1]:8080/b", "https", "[::1]:8080", "[::1]:8080"),
            ("git@a.example:b/c:d", "ssh", "git@a.example", "a.example"),
            (
                "git@[a.example:22]:b",
                "ssh",
                "git@[a.example:22]",
                "[a.example:22]",
            ),
            ("/srv/a:b", "ssh", "", ""),
        ] {
            let address = Address::parse(text).unwrap();
            let told = (
                address.scheme(),
                address.authority(),
                address.host_as_written(),
            );
            assert_eq!(told, (scheme, authority, host), "{text}");
        }
    }

    #[test]
    fn what_would_run_a_program_or_be_an_option_is_refused() {
        for (text, why) in [
            ("", "empty"),
            ("-uxterm", "option"),
            ("--upload-pack=touch x", "option"),
            ("ext::sh -c 'touch x'", "run a program"),
            ("fd::3", "run a program"),
            ("ssh://-oProxyCommand=x/a", "option"),
            ("ssh://-l@host/a", "option"),
            ("-oProxyCommand=x:a", "option"),
            ("host:-a", "option"),
            ("https://a.example/\nb", "control"),
            ("ftp://a.example/b", "scheme `ftp`"),
            ("https://a.example/b?c=d", "query"),
            ("a/b", "relative"),
            ("./a:b", "relative"),
            ("git@:a", "no address"),
            ("file://other/a", "another machine"),
        ] {
            let error = Address::parse(text).unwrap_err();
            assert!(matches!(error, SideError::Config { .. }), "{text}");
            assert!(error.to_string().contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_password_is_refused_and_never_repeated() {
        for text in [
            "https://me:s3cret@a.example/b",
            "ssh://me:s3cret@a.example/b",
            "me:s3cret@a.example:b",
        ] {
            let Err(error) = Address::parse(text) else {
                panic!("{text} is taken");
            };
            assert!(!error.to_string().contains("s3cret"), "{error}");
        }
    }
}
