//! The proxies that the environment names.

use std::collections::BTreeSet;
use std::sync::Arc;

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

/// The proxies that the environment names, as the HTTP library finds them too.
#[derive(Debug, Clone, Default)]
pub(crate) struct Proxies(Option<Arc<Named>>);

#[derive(Debug)]
struct Named {
    hosts: BTreeSet<String>,
    matcher: Matcher,
}

impl Proxies {
    /// Returns those of this process.
    #[allow(
        clippy::disallowed_methods,
        reason = "the HTTP library reads them itself, and both must see the same"
    )]
    pub(crate) fn of_environment() -> Self {
        let either = |name: &str| {
            let loud = std::env::var(name.to_ascii_uppercase());
            loud.or_else(|_| std::env::var(name)).unwrap_or_default()
        };
        let [http, https, all, no] =
            ["http_proxy", "https_proxy", "all_proxy", "no_proxy"].map(either);
        // A server that a request came to must not name a proxy with its `Proxy` header.
        if std::env::var_os("REQUEST_METHOD").is_some() {
            return Self::default();
        }
        Self::named(&http, &https, &all, &no)
    }

    /// Returns these proxies; none where `no` has `*`, which the HTTP library takes for all names and no addresses.
    pub(crate) fn named(http: &str, https: &str, all: &str, no: &str) -> Self {
        if no.split(',').any(|entry| entry.trim() == "*") {
            return Self::default();
        }
        let hosts: BTreeSet<String> = [http, https, all].into_iter().filter_map(host).collect();
        if hosts.is_empty() {
            return Self::default();
        }
        let matcher = Matcher::builder().http(http).https(https).all(all).no(no);
        Self(Some(Arc::new(Named {
            hosts,
            matcher: matcher.build(),
        })))
    }

    /// Tells whether there are none at all.
    pub(crate) fn are_none(&self) -> bool {
        self.0.is_none()
    }

    /// Tells whether one of them is on this host.
    pub(crate) fn has(&self, name: &str) -> bool {
        let hosts = self.0.as_ref().map(|named| &named.hosts);
        hosts.is_some_and(|hosts| hosts.contains(&name.to_ascii_lowercase()))
    }

    /// Returns the one that leads to `url`, as it may be shown: without user and password.
    pub(crate) fn on_the_way_to(&self, url: &Url) -> Option<String> {
        let intercept = self
            .0
            .as_ref()?
            .matcher
            .intercept(&url.as_str().parse().ok()?)?;
        let (uri, host) = (intercept.uri(), intercept.uri().host()?);
        let port = uri
            .port()
            .map_or_else(String::new, |port| format!(":{port}"));
        Some(format!("{}://{host}{port}", uri.scheme_str()?))
    }
}

fn host(value: &str) -> Option<String> {
    // Without a scheme it is a host and a port.
    let whole = if value.contains("://") {
        value.to_owned()
    } else {
        format!("http://{value}")
    };
    Some(Url::parse(&whole).ok()?.host_str()?.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.on_the_way_to(&Url::parse(url).unwrap())
    }

    #[test]
    fn a_proxy_is_found_by_scheme_and_shown_without_its_password() {
        let proxies = Proxies::named(
            "http://ann:s3cret@Proxy.corp:3128",
            "other.corp:8080",
            "",
            "near.example, 10.0.0.0/8",
        );
        let of = |url: &str| shown(&proxies, url);
        assert_eq!(
            of("http://far.example/a").unwrap(),
            "http://Proxy.corp:3128"
        );
        assert_eq!(
            of("https://far.example/").unwrap(),
            "http://other.corp:8080"
        );
        assert_eq!(of("https://near.example/"), None);
        assert_eq!(of("http://10.1.2.3/"), None);
        assert!(proxies.has("proxy.corp") && proxies.has("OTHER.corp"));
        assert!(!proxies.has("far.example"));
    }

    #[test]
    fn what_names_no_proxy_is_none() {
        for (all, no) in [("", ""), ("::", ""), ("http://proxy.corp", "a.example, *")] {
            let proxies = Proxies::named("", "", all, no);
            assert!(proxies.are_none(), "{all} {no}");
            assert_eq!(shown(&proxies, "http://10.1.2.3/"), None);
            assert!(!proxies.has("proxy.corp"));
        }
    }
}
