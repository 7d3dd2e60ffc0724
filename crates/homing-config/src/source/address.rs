//! Web addresses, in which no secret has a place.

use std::path::Path;

use url::{Host, Url};

use crate::mask::{is_secret_name, looks_like_a_secret};
use crate::values::ValueError;

/// Names of parameters that carry a secret and do not look like it.
const SIGNATURES: [&str; 5] = ["key", "sig", "signature", "code", "jwt"];
const HOW: &str = "leave it out, and say where the secret is: token = { env = \"TEAM_TOKEN\" }; whoever read this file may \
     know it, so get a new one";

/// Reads an address. No error repeats it, for it may hold a secret.
pub(super) fn address(text: &str) -> Result<Url, ValueError> {
    let url = Url::parse(text).map_err(|error| {
        ValueError::new(
            format!("this is no URL: {error}"),
            "write it whole, for example \"https://example.org/agents/\"",
        )
    })?;
    judge(url)
}

/// Reads where a repository is, in the forms that Git takes; `~/` is the home directory.
///
/// What would have Git run a program, or be an option of it, is refused again where Git is called.
pub(super) fn git_address(text: &str, home: Option<&Path>) -> Result<String, ValueError> {
    const FORMS: &str = "write for example \"https://git.example.org/team/agents.git\", \"git@git.example.org:team/agents.git\" \
         or \"/srv/git/agents.git\"";

    const AN_OPTION: &str = "this is no address: a part of it begins with `-`, which Git or ssh would take for an option";

    let text = match (text.strip_prefix("~/"), home) {
        (Some(below), Some(home)) => home.join(below).to_string_lossy().into_owned(),
        _ => text.to_owned(),
    };
    if text.starts_with('-') {
        return Err(ValueError::new(AN_OPTION, FORMS));
    }
    if text.chars().any(char::is_control) {
        return Err(ValueError::new(
            "this is no address: it has a control character in it",
            FORMS,
        ));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme {
            "http" | "https" => {
                let mut url = address_with_user(&text)?;
                // Whose credentials Git looks for is no secret.
                let user = url.username().to_owned();
                url.set_username("").ok();
                judge(url)?;
                if user.starts_with('-') || looks_like_a_secret(&user) {
                    return Err(ValueError::new("a secret has no place in a URL", HOW));
                }
                Ok(text)
            }
            "ssh" | "git+ssh" | "ssh+git" | "git" | "file" => {
                let host = rest.split('/').next().unwrap_or_default();
                let (user, host) = host.rsplit_once('@').unwrap_or(("", host));
                if user.contains(':') {
                    return Err(ValueError::new("a password has no place in a URL", HOW));
                }
                if user.starts_with('-') || host.starts_with('-') {
                    return Err(ValueError::new(AN_OPTION, FORMS));
                }
                Ok(text)
            }
            _ => Err(ValueError::new(
                "this is no address that Git reaches: https, http, ssh, git and file are spoken",
                FORMS,
            )),
        };
    }
    let is_path = text.starts_with('/');
    let of_ssh = text.split_once(':');
    let is_over_ssh = of_ssh.is_some_and(|(host, path)| {
        !host.contains('/') && !path.starts_with(':') && !path.is_empty()
    });
    if !is_path && of_ssh.is_some_and(|(host, path)| host.contains("@-") || path.starts_with('-')) {
        return Err(ValueError::new(AN_OPTION, FORMS));
    }
    if !is_path && !is_over_ssh {
        return Err(ValueError::new("this is no address of a repository", FORMS));
    }
    Ok(text)
}

fn address_with_user(text: &str) -> Result<Url, ValueError> {
    let url = Url::parse(text).map_err(|error| {
        ValueError::new(
            format!("this is no URL: {error}"),
            "write it whole, for example \"https://git.example.org/team/agents.git\"",
        )
    })?;
    if url.password().is_some() {
        return Err(ValueError::new("a password has no place in a URL", HOW));
    }
    Ok(url)
}

/// Reads a path, or an address, relative to another.
pub(super) fn relative_address(text: &str, base: Option<&Url>) -> Result<String, ValueError> {
    let nowhere = Url::parse("https://example.invalid/").expect("it is one");
    let url = base.unwrap_or(&nowhere).join(text).map_err(|error| {
        ValueError::new(
            format!("this is no path: {error}"),
            "write it relative to the URL, for example \"index.json\"",
        )
    })?;
    judge(url)?;
    Ok(text.to_owned())
}

/// Tells whether what is sent to an address stays on this machine.
pub(crate) fn is_this_machine(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// Says what of a text, if it is an address, is a secret; does not repeat it.
pub fn secret_in_address(text: &str) -> Option<&'static str> {
    let mut url = Url::parse(text).ok()?;
    if !matches!(url.scheme(), "http" | "https") {
        // Over ssh the user is a part of the address.
        url.set_username("").ok();
    }
    secret_in(&url)
}

fn judge(url: Url) -> Result<Url, ValueError> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(ValueError::new(
            "only http and https are spoken here",
            "write it whole, for example \"https://example.org/agents/\"",
        ));
    }
    match secret_in(&url) {
        Some(what) => Err(ValueError::new(what, HOW)),
        None => Ok(url),
    }
}

fn secret_in(url: &Url) -> Option<&'static str> {
    if !url.username().is_empty() || url.password().is_some() {
        return Some("a user or password has no place in a URL");
    }
    let is_secret = |name: &str| {
        is_secret_name(name)
            || SIGNATURES
                .iter()
                .any(|word| name == *word || name.ends_with(&format!("-{word}")))
    };
    let in_query = url
        .query_pairs()
        .any(|(name, value)| is_secret(&name.to_lowercase()) || looks_like_a_secret(&value));
    let in_path = url
        .path_segments()
        .into_iter()
        .flatten()
        .any(looks_like_a_secret);
    (in_query || in_path).then_some("a secret has no place in a URL")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repository_has_many_forms_of_address_and_none_with_a_secret() {
        for text in [
            "https://git.example.org/a.git",
            "https://ann@git.example.org/a.git",
            "ssh://git@git.example.org:22/a.git",
            "git@git.example.org:a.git",
            "git://git.example.org/a",
            "file:///srv/a",
            "/srv/a b",
        ] {
            assert_eq!(git_address(text, None).unwrap(), text);
        }
        assert_eq!(secret_in_address("ssh://git@git.example.org/a"), None);
        for secret in [
            "ssh://git:s3cret@git.example.org/a",
            "https://ann@git.example.org/a",
            "https://a.example/b?X-Amz-Signature=0123",
        ] {
            assert!(secret_in_address(secret).is_some(), "{secret}");
        }
        let home = Path::new("/home/ann");
        assert_eq!(git_address("~/a", Some(home)).unwrap(), "/home/ann/a");
        for text in [
            "",
            "a",
            "a/b:c",
            "-x",
            "ext::sh -c s3cret",
            "ftp://a.example/b",
            "https://ann:s3cret@a.example/b",
            "https://ghp_s3cret0123456789abcdef@a.example/b",
            "https://a.example/b?token=s3cret",
            "ssh://ann:s3cret@a.example/b",
            "ssh://-oProxyCommand=s3cret/b",
            "ssh://-l@a.example/b",
            "git@-oProxyCommand=s3cret:b",
            "a.example:-b",
        ] {
            let error = git_address(text, None).unwrap_err();
            let said = format!("{} {:?}", error.message, error.hint);
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn a_secret_in_an_address_is_refused_and_not_repeated() {
        for text in [
            "https://ann@example.org/",
            "https://ann:s3cret@example.org/",
            "https://:s3cret@example.org/",
            "https://example.org/?token=s3cret",
            "https://example.org/?v=1&Access_Token=s3cret",
            "https://example.org/?sig=s3cret",
            "https://example.org/?a=ghp_s3cret0123456789abcdef",
            "https://example.org/ghp_s3cret0123456789abcdef/a",
            "file:///s3cret",
            "s3cret",
            "",
        ] {
            let error = address(text).unwrap_err();
            let said = format!("{} {:?}", error.message, error.hint);
            assert!(!said.contains("s3cret"), "{said}");
            assert!(
                !text.contains("s3cret")
                    || relative_address(text, None).is_err()
                    || text == "s3cret"
            );
        }
        for text in [
            "https://example.org/a?v=1",
            "http://127.0.0.1:1/",
            "https://e.org/~a/",
        ] {
            assert!(address(text).is_ok(), "{text}");
        }
        assert_eq!(
            relative_address("d/index.json", None).unwrap(),
            "d/index.json"
        );
    }
}
