//! Which repository of which server.

use std::fmt;

use homing_core::SideError;
use url::Url;

/// A repository, and the base of the API that serves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    owner: String,
    name: String,
    /// The server that people see, with nothing behind it.
    host: Url,
    api: Url,
}

impl Place {
    /// Reads `https://github.com/OWNER/REPOSITORY`, or the same on a GitHub Enterprise server; `api` names another base of
    /// the API.
    ///
    /// [`SideError::Config`] for what is no repository's URL.
    pub fn parse(url: &Url, api: Option<&Url>) -> Result<Self, SideError> {
        let complain = |why: &str| SideError::Config {
            message: format!(
                "`url = \"{}\"` {why}; it is written `https://github.com/OWNER/REPOSITORY`",
                homing_remote::ShownUrl::of(url)
            ),
        };
        if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
            return Err(complain("is no web address"));
        }
        let mut segments = url.path_segments().into_iter().flatten();
        let (Some(owner), Some(name)) = (segments.next(), segments.next()) else {
            return Err(complain("names no repository"));
        };
        let name = name.strip_suffix(".git").unwrap_or(name);
        let rest: Vec<&str> = segments.filter(|part| !part.is_empty()).collect();
        if !rest.is_empty() {
            return Err(complain(
                "names something in a repository: `ref` and `path` say which part of it is wanted",
            ));
        }
        if !is_name(owner) || !is_name(name) {
            return Err(complain("names no repository"));
        }
        Ok(Self {
            owner: owner.to_owned(),
            name: name.to_owned(),
            host: root(url),
            api: match api {
                Some(api) => base(api)?,
                None => api_of(url),
            },
        })
    }

    /// Returns the base of the API.
    pub fn api(&self) -> &Url {
        &self.api
    }

    /// Returns `OWNER/REPOSITORY`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.owner, self.name)
    }

    /// Returns the server whose repositories have their pages below it; ends with a slash.
    pub(crate) fn host(&self) -> &Url {
        &self.host
    }

    /// Returns where the API tells of the repository.
    pub(crate) fn repository(&self) -> Url {
        below(&self.api, ["repos", &self.owner, &self.name])
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Returns a URL below another.
pub(crate) fn below<'a>(base: &Url, segments: impl IntoIterator<Item = &'a str>) -> Url {
    let mut url = base.clone();
    url.set_query(None);
    if let Ok(mut path) = url.path_segments_mut() {
        path.pop_if_empty().extend(segments);
    }
    url
}

/// Returns the URL of a server.
fn root(url: &Url) -> Url {
    let mut root = url.clone();
    root.set_query(None);
    root.set_fragment(None);
    root.set_path("/");
    root
}

/// github.com has its API on a host of its own, and subdomains of ghe.com likewise; a server of one's own below a path.
fn api_of(url: &Url) -> Url {
    let host = url.host_str().unwrap_or_default();
    let mut api = root(url);
    let host = host.strip_prefix("www.").unwrap_or(host);
    if host == "github.com" || host.ends_with(".ghe.com") {
        // The new host is the old one with a word before it, so it is one.
        api.set_host(Some(&format!("api.{host}"))).ok();
        api.set_path("");
    } else {
        api.set_path("/api/v3");
    }
    api
}

fn base(api: &Url) -> Result<Url, SideError> {
    if !matches!(api.scheme(), "https" | "http") || !api.has_host() {
        return Err(SideError::Config {
            message: "`api` is no web address".to_owned(),
        });
    }
    Ok(below(api, []))
}

/// Tells whether this may be an owner's or a repository's name.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text != "."
        && text != ".."
        && text
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str, api: Option<&str>) -> Result<(String, String), SideError> {
        let api = api.map(|api| Url::parse(api).unwrap());
        let place = Place::parse(&Url::parse(url).unwrap(), api.as_ref())?;
        Ok((place.to_string(), place.repository().to_string()))
    }

    #[test]
    fn a_url_tells_the_repository_and_the_api() {
        let github = "https://api.github.com/repos/octo/agents";
        for (url, api, expected) in [
            ("https://github.com/octo/agents", None, github),
            ("https://www.github.com/octo/agents/", None, github),
            ("https://github.com/octo/agents.git", None, github),
            (
                "https://git.example.org/octo/agents",
                None,
                "https://git.example.org/api/v3/repos/octo/agents",
            ),
            (
                "https://team.ghe.com/octo/agents",
                None,
                "https://api.team.ghe.com/repos/octo/agents",
            ),
            (
                "https://github.com/octo/agents",
                Some("http://127.0.0.1:8080/base/"),
                "http://127.0.0.1:8080/base/repos/octo/agents",
            ),
            (
                "https://github.com/octo/agents",
                Some("http://127.0.0.1:8080"),
                "http://127.0.0.1:8080/repos/octo/agents",
            ),
        ] {
            let (name, repository) = parse(url, api).unwrap();
            assert_eq!(
                (name.as_str(), repository.as_str()),
                ("octo/agents", expected)
            );
        }
    }

    #[test]
    fn what_is_no_repository_is_refused_with_the_way_to_write_it() {
        for url in [
            "https://github.com/",
            "https://github.com/octo",
            "https://github.com/octo/agents/tree/main/plugins",
            "https://github.com/oc%20to/agents",
            "ssh://git@github.com/octo/agents",
            "file:///srv/octo/agents",
        ] {
            let error = parse(url, None).unwrap_err();
            assert!(matches!(&error, SideError::Config { .. }), "{url}");
            assert!(error.to_string().contains("OWNER/REPOSITORY"), "{error}");
        }
    }
}
