//! Which addresses are of this machine or its network, and which a stranger may send us to.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use url::{Host, Url};

use crate::proxies::Proxies;

/// Tells whether an address is of this machine, its link or a private network, or of nobody.
pub fn is_local(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => is_local_v4(address),
        IpAddr::V6(address) => is_local_v6(address),
    }
}

fn is_local_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_loopback()
        || address.is_private()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || first == 0
        // Shared by the customers of a provider (RFC 6598).
        || (first == 100 && second & 0xc0 == 64)
        // Benchmarks (RFC 2544), and what is reserved for ever.
        || (first == 198 && second & 0xfe == 18)
        || first >= 240
}

fn is_local_v6(address: Ipv6Addr) -> bool {
    // An IPv4 address in another dress: mapped, compatible, or behind NAT64.
    let segments = address.segments();
    let embedded = match segments {
        [0, 0, 0, 0, 0, 0 | 0xffff, high, low] | [0x64, 0xff9b, 0, 0, 0, 0, high, low] => {
            let [[a, b], [c, d]] = [high.to_be_bytes(), low.to_be_bytes()];
            Some(Ipv4Addr::new(a, b, c, d))
        }
        _ => None,
    };
    address.is_loopback()
        || address.is_unspecified()
        || address.is_multicast()
        || address.is_unique_local()
        || address.is_unicast_link_local()
        || embedded.is_some_and(is_local_v4)
}

/// Returns whether a URL names a local place by itself; `None` when its name must be resolved to know.
pub(crate) fn names_local(url: &Url) -> Option<bool> {
    match url.host()? {
        Host::Ipv4(address) => Some(is_local_v4(address)),
        Host::Ipv6(address) => Some(is_local_v6(address)),
        Host::Domain(name) => {
            let name = name.trim_end_matches('.');
            (name == "localhost" || name.ends_with(".localhost")).then_some(true)
        }
    }
}

/// A name leads to this machine or its network although the one who named it is elsewhere.
#[derive(Debug, thiserror::Error)]
#[error("`{0}` is an address of this machine or of a private network")]
pub(crate) struct LocalAddress(String);

/// What the names resolved to that were configured: `true` for local ones.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<BTreeMap<String, bool>>>);

impl Seen {
    /// Returns whether the host of `url` is local, as far as is known.
    pub(crate) fn is_local(&self, url: &Url) -> bool {
        names_local(url).unwrap_or_else(|| {
            let name = url.host_str().unwrap_or_default();
            let seen = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            seen.get(name).copied().unwrap_or(false)
        })
    }
}

/// Resolves names for connections: what is checked here is what is connected to.
#[derive(Debug, Clone)]
pub(crate) enum Resolver {
    /// Any address will do; it is noted which names are local.
    Any(Seen),
    /// Local addresses are refused, but for those of the proxies of these names: they are not where a server leads.
    Public(Proxies),
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let resolver = self.clone();
        Box::pin(async move {
            let name = name.as_str();
            let found: Vec<SocketAddr> = tokio::net::lookup_host((name, 0)).await?.collect();
            let addresses = resolver.judge(name, found)?;
            Ok(Box::new(addresses.into_iter()) as Addrs)
        })
    }
}

impl Resolver {
    fn judge(&self, name: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, LocalAddress> {
        match self {
            Self::Any(Seen(seen)) => {
                let is_local = !found.is_empty() && found.iter().all(|at| is_local(at.ip()));
                seen.lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .insert(name.to_owned(), is_local);
                Ok(found)
            }
            // One local address among others is as good a way in as any.
            Self::Public(proxies)
                if !proxies.has(name) && found.iter().any(|at| is_local(at.ip())) =>
            {
                Err(LocalAddress(name.to_owned()))
            }
            Self::Public(_) => Ok(found),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_addresses_are_known_in_every_dress() {
        for local in [
            "127.0.0.1",
            "127.8.9.1",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "0.0.0.0",
            "0.1.2.3",
            "100.64.0.1",
            "100.127.255.255",
            "198.18.0.1",
            "224.0.0.1",
            "255.255.255.255",
            "240.0.0.1",
            "::1",
            "::",
            "fe80::1",
            "fd00::1",
            "ff02::1",
            "::ffff:127.0.0.1",
            "::127.0.0.1",
            "64:ff9b::10.0.0.1",
        ] {
            assert!(is_local(local.parse().unwrap()), "{local}");
        }
        for public in [
            "1.1.1.1",
            "100.63.0.1",
            "100.128.0.1",
            "172.32.0.1",
            "198.20.0.1",
            "2606:4700::1111",
            "::ffff:1.1.1.1",
            "64:ff9b::1.1.1.1",
        ] {
            assert!(!is_local(public.parse().unwrap()), "{public}");
        }
    }

    #[test]
    fn names_that_mean_this_machine_are_local_without_being_resolved() {
        let of = |url: &str| names_local(&Url::parse(url).unwrap());
        assert_eq!(of("http://localhost:1/"), Some(true));
        assert_eq!(of("http://a.localhost./"), Some(true));
        // The URL's own parser reads these as 127.0.0.1.
        assert_eq!(of("http://2130706433/"), Some(true));
        assert_eq!(of("http://0x7f.1/"), Some(true));
        assert_eq!(of("http://[::1]/"), Some(true));
        assert_eq!(of("http://1.1.1.1/"), Some(false));
        assert_eq!(of("http://example.org/"), None);
    }

    #[test]
    fn what_was_resolved_decides_and_one_local_address_is_enough() {
        let at = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let seen = Seen::default();
        let any = Resolver::Any(seen.clone());
        let team = Url::parse("https://team.example/").unwrap();
        assert!(!seen.is_local(&team));
        any.judge("team.example", vec![at("10.0.0.1")]).unwrap();
        assert!(seen.is_local(&team));
        any.judge("team.example", vec![at("10.0.0.1"), at("1.1.1.1")])
            .unwrap();
        assert!(!seen.is_local(&team));
        let refused = Resolver::Public(Proxies::default())
            .judge("evil.example", vec![at("1.1.1.1"), at("127.0.0.1")]);
        assert!(refused.unwrap_err().to_string().contains("evil.example"));
        assert_eq!(
            Resolver::Public(Proxies::default())
                .judge("fine.example", vec![at("1.1.1.1")])
                .unwrap()
                .len(),
            1
        );
    }

    #[test]
    fn a_proxy_on_the_own_network_is_reached() {
        let proxies = Proxies::named(
            "http://ann:s3cret@Proxy.corp:3128",
            "other.corp:8080",
            "",
            "",
        );
        let inside = || vec!["10.0.0.1:0".parse().unwrap()];
        let public = Resolver::Public(proxies);
        assert!(public.judge("proxy.corp", inside()).is_ok());
        assert!(public.judge("other.corp", inside()).is_ok());
        assert!(public.judge("wiki.corp", inside()).is_err());
    }
}
