//! Where a cached file came from, read out of its URL.

use url::Url;

/// What a file's URL begins with that serves repositories of GitHub file by file.
const RAW_HOST: &str = "raw.githubusercontent.com";

/// A server, or a repository at one of its states.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A repository on github.com.
    Github {
        /// Whose it is.
        owner: String,
        /// What it is called.
        name: String,
        /// A branch, a tag or a commit; `None`: the default branch.
        reference: Option<String>,
    },
    /// Files of a server: scheme, host and port.
    Http(String),
}

/// A file or a directory of an origin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) origin: Origin,
    /// Below the origin's root, decoded, without a slash at either end.
    pub(super) path: String,
}

impl Place {
    /// Reads a URL. The error says why it is of no use, without what may be secret in it.
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let Ok(url) = Url::parse(text) else {
            return Err("it is no URL");
        };
        if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
            return Err("it is no web address");
        }
        if !url.username().is_empty() || url.password().is_some() {
            return Err("it has a user or a password in it");
        }
        // Taken literally it would name another file, or none.
        if goes_up(text) {
            return Err("its path has `..` in it");
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err("it has a query, which no source can have");
        }
        let mut parts = Vec::new();
        for part in url.path_segments().into_iter().flatten() {
            if !part.is_empty() {
                parts.push(decoded(part).ok_or("its path is not UTF-8")?);
            }
        }
        let place = match url.host_str() {
            Some(RAW_HOST) => in_repository(&parts, 2),
            Some("github.com" | "www.github.com") => match parts.get(2).map(String::as_str) {
                None => in_repository(&parts, 2),
                Some("tree" | "blob" | "raw") => in_repository(&parts, 3),
                Some(_) => None,
            },
            _ => Some(Self {
                origin: Origin::Http(url.origin().ascii_serialization()),
                path: parts.join("/"),
            }),
        };
        place.ok_or("it names no repository")
    }

    /// Returns what lies below it under a relative path.
    pub(super) fn below(&self, path: &str) -> Self {
        Self {
            origin: self.origin.clone(),
            path: [self.path.as_str(), path]
                .into_iter()
                .filter(|part| !part.is_empty())
                .collect::<Vec<_>>()
                .join("/"),
        }
    }

    /// Returns the URL of a file of an HTTP server.
    pub(super) fn url(&self) -> Option<Url> {
        let Origin::Http(server) = &self.origin else {
            return None;
        };
        let server = Url::parse(server).ok()?;
        Some(homing_side_http::below(&server, &self.path))
    }
}

/// Reads owner, name, reference and path; the reference stands at `at`.
fn in_repository(parts: &[String], at: usize) -> Option<Place> {
    let (owner, name) = (parts.first()?, parts.get(1)?);
    let name = name.strip_suffix(".git").unwrap_or(name);
    let rest = parts.get(at..).unwrap_or_default();
    let (reference, rest) = match rest {
        [refs, kind, name, rest @ ..] if refs == "refs" && (kind == "heads" || kind == "tags") => {
            (Some(name.clone()), rest)
        }
        [name, rest @ ..] => (Some(name.clone()), rest),
        [] => (None, rest),
    };
    Some(Place {
        origin: Origin::Github {
            owner: owner.clone(),
            name: name.to_owned(),
            reference: reference.filter(|reference| reference != "HEAD"),
        },
        path: rest.join("/"),
    })
}

/// Tells whether a part of a URL's path is `..`, however it is written.
fn goes_up(url: &str) -> bool {
    let plain = url
        .to_ascii_lowercase()
        .replace("%2e", ".")
        .replace("%2f", "/");
    let path = plain.split(['?', '#']).next().unwrap_or_default();
    path.split(['/', '\\']).any(|part| part == "..")
}

/// Decodes `%41` and its like.
fn decoded(part: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(part.len());
    let mut rest = part.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let code = (*first == b'%').then(|| {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            u8::from_str_radix(digits, 16).ok()
        });
        if let Some(byte) = code.flatten() {
            bytes.push(byte);
            rest = &after[2..];
        } else {
            bytes.push(*first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn github(reference: Option<&str>) -> Origin {
        Origin::Github {
            owner: "own".to_owned(),
            name: "rep".to_owned(),
            reference: reference.map(str::to_owned),
        }
    }

    #[test]
    fn every_way_to_name_a_file_of_a_repository_is_read() {
        for (url, reference, path) in [
            (
                "https://raw.githubusercontent.com/own/rep/main/agents/a.md",
                Some("main"),
                "agents/a.md",
            ),
            (
                "https://raw.githubusercontent.com/own/rep/refs/heads/main/a%20b.md",
                Some("main"),
                "a b.md",
            ),
            (
                "https://raw.githubusercontent.com/own/rep/HEAD/a.md",
                None,
                "a.md",
            ),
            ("https://github.com/own/rep", None, ""),
            ("https://github.com/own/rep.git", None, ""),
            (
                "https://github.com/own/rep/tree/v2/agents/",
                Some("v2"),
                "agents",
            ),
        ] {
            let place = Place::parse(url).unwrap();
            assert_eq!(place.origin, github(reference), "{url}");
            assert_eq!(place.path, path, "{url}");
        }
    }

    #[test]
    fn another_server_is_one_for_each_port() {
        let place = Place::parse("http://127.0.0.1:8080/x/y%2Fz.md").unwrap();
        assert_eq!(
            place.origin,
            Origin::Http("http://127.0.0.1:8080".to_owned())
        );
        let file = Place::parse("https://example.org/x")
            .unwrap()
            .below("a b.md");
        assert_eq!(
            file.url().unwrap().as_str(),
            "https://example.org/x/a%20b.md"
        );
        let name = "https://example.org/x/c%23%3F100%25.md";
        let file = Place::parse(name).unwrap();
        assert_eq!(file.path, "x/c#?100%.md");
        assert_eq!(file.url().unwrap().as_str(), name);
    }

    #[test]
    fn what_no_source_can_be_is_refused_without_its_secrets() {
        for url in [
            "a.md",
            "/home/me/a.md",
            "file:///etc/passwd",
            "https://me:s3cret@example.org/a.md",
            "https://example.org/a.md?token=s3cret",
            "https://raw.githubusercontent.com/own",
            "https://github.com/own/rep/releases/a.md",
            "https://example.org/%ff.md",
        ] {
            let why = Place::parse(url).unwrap_err();
            assert!(!why.contains("s3cret"), "{url}");
        }
        for url in [
            "https://raw.githubusercontent.com/own/rep/main/agents/..",
            "https://raw.githubusercontent.com/own/rep/main/../../x/a.md",
            "https://example.org/x/%2E%2e%2Fa.md",
            "https://example.org/x\\..\\a.md",
        ] {
            assert_eq!(Place::parse(url), Err("its path has `..` in it"), "{url}");
        }
        assert!(Place::parse("https://example.org/a..b/c.md").is_ok());
    }
}
