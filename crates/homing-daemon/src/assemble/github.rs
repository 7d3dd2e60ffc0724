//! A source of the kind `github`.

use std::path::PathBuf;
use std::sync::Arc;

use homing_config::SourceConfig;
use homing_core::{Side, SideError, SourceId};
use homing_side_github::{GithubOptions, GithubSide, Place};
use url::{Host, Url};

use super::limits;
use super::remote::Remotes;

/// Where a token for GitHub itself is looked for that nobody has named.
const VARIABLES: &[&str] = &["GITHUB_TOKEN", "GH_TOKEN"];
/// Where one for a GitHub Enterprise server is, as `gh` does it: whoever runs such a server must not get the other one.
const ENTERPRISE_VARIABLES: &[&str] = &["GH_ENTERPRISE_TOKEN", "GITHUB_ENTERPRISE_TOKEN"];

/// Builds its side.
pub(crate) fn side(
    id: &SourceId,
    config: &SourceConfig,
    url: &Url,
    api: Option<&Url>,
    reference: Option<&str>,
    ca_file: Option<&PathBuf>,
    remotes: &Remotes,
) -> Result<Arc<dyn Side>, SideError> {
    let place = Place::parse(url, api)?;
    let login = match &config.token {
        Some(token) => Some(remotes.login(id, token, None)),
        // A token that nobody meant for this place does not go there for everyone on the way to read.
        None if config.kind.is_unencrypted() => None,
        None => Some(remotes.login_if_any(id, variables(place.api()))),
    };
    let options = GithubOptions {
        place,
        reference: reference.map(str::to_owned),
        path: config.path.as_ref().map(ToString::to_string),
        include: config.include.clone(),
        exclude: config.exclude.clone(),
        limits: limits(config),
        login,
    };
    remotes.side(ca_file, move |client| {
        Ok(Arc::new(GithubSide::new(client, options.clone())?))
    })
}

/// Returns where a token for this API is looked for.
fn variables(api: &Url) -> &'static [&'static str] {
    let is_own = match api.host() {
        Some(Host::Domain("localhost")) => true,
        Some(Host::Domain(host)) => {
            let is_github = host == "api.github.com" || host.ends_with(".ghe.com");
            is_github && api.scheme() == "https"
        }
        // A person's own machine: a recorder, or a test.
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if is_own {
        VARIABLES
    } else {
        ENTERPRISE_VARIABLES
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_of_github_goes_to_github_alone() {
        let of = |url: &str, api: Option<&str>| {
            let url = Url::parse(url).unwrap();
            let api = api.map(|api| Url::parse(api).unwrap());
            let place = Place::parse(&url, api.as_ref()).unwrap();
            variables(place.api())
        };
        for (url, api) in [
            ("https://github.com/o/r", None),
            ("https://www.github.com/o/r", None),
            ("https://octo.ghe.com/o/r", None),
            ("http://127.0.0.1:8080/o/r", None),
            ("https://github.com/o/r", Some("http://localhost:9/api")),
        ] {
            assert_eq!(of(url, api), VARIABLES, "{url} {api:?}");
        }
        for (url, api) in [
            ("https://git.example.org/o/r", None),
            ("https://github.com.example.org/o/r", None),
            ("https://notghe.com/o/r", None),
            ("http://github.com/o/r", None),
            ("https://10.0.0.1/o/r", None),
            ("https://github.com/o/r", Some("https://api.example.org/")),
        ] {
            assert_eq!(of(url, api), ENTERPRISE_VARIABLES, "{url} {api:?}");
        }
    }
}
