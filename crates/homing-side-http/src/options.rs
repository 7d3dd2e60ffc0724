//! Which server, and what of it.

use homing_core::{ItemKey, Limits, SideError};
use homing_remote::Login;
use url::Url;

/// How it is known what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// These paths below the URL.
    Files(Vec<String>),
    /// What a document at this path (or URL) lists: a JSON list of paths, or of `{path, url, sha256, size}`.
    Index(String),
    /// What Agent Skills discovery tells: `.well-known/agent-skills/index.json` below the URL.
    AgentSkills,
    /// The URL is an archive: tar, tar.gz, tar.zst or zip.
    Archive,
}

/// Which server a side is, and what of it.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// Where everything is; where it ends without a slash, one is meant, unless it is an archive.
    pub url: Url,
    /// How it is known what there is.
    pub what: What,
    /// Only this subdirectory of it.
    pub path: Option<String>,
    /// Only files that match one of these, in the syntax of `.gitignore`; empty: all.
    pub include: Vec<String>,
    /// No files that match one of these.
    pub exclude: Vec<String>,
    /// How much is taken.
    pub limits: Limits,
    /// Who asks.
    pub login: Option<Login>,
}

impl HttpOptions {
    /// Returns options that take all of a place.
    pub fn new(url: Url, what: What) -> Self {
        Self {
            url,
            what,
            path: None,
            include: Vec::new(),
            exclude: Vec::new(),
            limits: Limits::default(),
            login: None,
        }
    }

    /// Checks what can be checked without the server, and returns the URL that paths are below.
    pub(crate) fn check(&self) -> Result<Url, SideError> {
        let complain = |message: String| Err(SideError::Config { message });
        let shown = homing_remote::ShownUrl::of(&self.url);
        if !matches!(self.url.scheme(), "http" | "https") {
            return complain(format!("`url = \"{shown}\"` is neither http nor https"));
        }
        if !self.url.username().is_empty() || self.url.password().is_some() {
            return complain(format!(
                "the URL of `{shown}` has a user or password in it; name the secret with `token` instead"
            ));
        }
        if let Some(path) = &self.path
            && let Err(error) = ItemKey::new(path)
        {
            return complain(format!(
                "`path = \"{}\"` is no subdirectory: {error}",
                homing_core::shown(path.as_bytes())
            ));
        }
        let mut base = self.url.clone();
        base.set_fragment(None);
        if self.what != What::Archive && !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        if let What::Index(index) = &self.what
            && let Err(error) = base.join(index)
        {
            return complain(format!("`index = \"{index}\"` is no path: {error}"));
        }
        Ok(base)
    }
}

/// Returns the URL of a path below `base`, whatever characters it has.
pub fn below(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    if let Ok(mut segments) = url.path_segments_mut() {
        segments.pop_if_empty().extend(path.split('/'));
    }
    url
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_is_below_the_url_whatever_it_is_called() {
        let base = HttpOptions::new(
            Url::parse("https://example.org/a b?v=1#x").unwrap(),
            What::Files(Vec::new()),
        )
        .check()
        .unwrap();
        assert_eq!(
            below(&base, "d/e f?#%.md").as_str(),
            "https://example.org/a%20b/d/e%20f%3F%23%25.md?v=1"
        );
    }

    #[test]
    fn what_cannot_be_is_told_without_secrets() {
        let complaint = |url: &str, what: What, path: Option<&str>| {
            let mut options = HttpOptions::new(Url::parse(url).unwrap(), what);
            options.path = path.map(str::to_owned);
            let error = options.check().unwrap_err();
            assert!(matches!(error, SideError::Config { .. }));
            error.to_string()
        };
        let user = complaint("https://ann:s3cret@example.org/", What::Archive, None);
        assert!(
            user.contains("`token`") && !user.contains("s3cret"),
            "{user}"
        );
        assert!(complaint("ftp://example.org/", What::Archive, None).contains("neither http"));
        assert!(complaint("https://example.org/", What::Archive, Some("../a")).contains("../a"));
        let index = What::Index("http://[".to_owned());
        assert!(complaint("https://example.org/", index, None).contains("index"));
    }
}
