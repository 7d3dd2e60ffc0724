//! The HTTP client: connections that are kept between runs, and limits on everything a server may do.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use homing_core::{Progress, SideError};
use http::HeaderValue;
use reqwest::Certificate;
use url::Url;

use crate::addresses::{Resolver, Seen, names_local};
use crate::proxies::Proxies;
use crate::turns::{LANES, Turns};
use crate::{Login, ShownUrl};

/// Header lines of one answer; a server that sends more is refused.
const MOST_HEADERS: usize = 100;
/// Bytes of an answer's headers over HTTP/2.
const MOST_HEADER_BYTES: u32 = 64 << 10;
/// How much of one HTTP/2 stream, and of all together, may be under way unread: no stream can starve another.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 32 << 20;

/// How a client connects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientOptions {
    /// Certificates (PEM) that are trusted beside the system's.
    pub ca_file: Option<PathBuf>,
    /// Connections to one host at the same time; over HTTP/2 two at most, with up to a hundred streams each.
    pub per_host: usize,
    /// How long a connection may take to come about.
    pub connect_timeout: Duration,
    /// How long a server may take until the headers of its answer are there.
    pub answer_timeout: Duration,
    /// How long a server may take to send the next kibibyte of a body, or its end.
    pub stall_timeout: Duration,
    /// Whether the proxies are used that the environment names (`HTTPS_PROXY`, `NO_PROXY` and their kin).
    pub proxies: bool,
    /// Where an archive is put that can only be read once all of it is there; `None`: where temporary files are.
    pub directory: Option<Arc<Path>>,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self {
            ca_file: None,
            per_host: 8,
            connect_timeout: Duration::from_secs(10),
            answer_timeout: Duration::from_secs(30),
            stall_timeout: Duration::from_secs(30),
            proxies: true,
            directory: None,
        }
    }
}

/// An HTTP client. Clones share their connections.
#[derive(Debug, Clone)]
pub struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    options: ClientOptions,
    turns: Turns,
    seen: Seen,
    proxies: Proxies,
    own: Vec<Certificate>,
    /// For what the user named.
    any: Lanes,
    /// For where a public server sends us: it never connects to this machine or its network.
    public: Lanes,
}

/// Connections of one kind. A client has one HTTP/2 connection to a host, so another one needs another client, which is
/// made when it is needed.
#[derive(Debug)]
pub(crate) struct Lanes {
    resolver: Resolver,
    clients: [OnceLock<reqwest::Client>; LANES],
}

impl Client {
    /// Builds a client; connects to nothing. [`SideError::Config`] for a `ca_file` that holds no certificates.
    pub fn new(options: ClientOptions) -> Result<Self, SideError> {
        // Whoever came first has installed the same one.
        rustls::crypto::ring::default_provider()
            .install_default()
            .ok();
        let own = match &options.ca_file {
            Some(path) => certificates(path)?,
            None => Vec::new(),
        };
        let seen = Seen::default();
        let proxies = if options.proxies {
            Proxies::of_environment()
        } else {
            Proxies::default()
        };
        let client = Self {
            inner: Arc::new(Inner {
                turns: Turns::new(options.per_host),
                options,
                any: Lanes::new(Resolver::Any(seen.clone())),
                public: Lanes::new(Resolver::Public(proxies.clone())),
                proxies,
                own,
                seen,
            }),
        };
        // What is wrong with the options is told now.
        client.lane(&client.inner.any, 0)?;
        Ok(client)
    }

    /// Begins to speak for a source whose configured URL is `home`: looks its secret up, once.
    pub async fn session(
        &self,
        home: &Url,
        login: Option<&Login>,
        progress: &Progress,
    ) -> Result<crate::Session, SideError> {
        let authorization: Option<HeaderValue> = match login {
            Some(login) => login.authorization().await?,
            None => None,
        };
        Ok(crate::Session {
            client: self.clone(),
            home: home.clone(),
            authorization,
            progress: progress.clone(),
        })
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    pub(crate) fn proxies(&self) -> &Proxies {
        &self.inner.proxies
    }

    pub(crate) fn turns(&self) -> &Turns {
        &self.inner.turns
    }

    /// Returns whom to ask for `url` on behalf of a source at `home`; [`SideError::Untrusted`] for where it may not go.
    pub(crate) fn route(&self, home: &Url, url: &Url) -> Result<&Lanes, SideError> {
        let is_named_by_user = url.origin() == home.origin();
        judge(is_named_by_user, self.inner.seen.is_local(home), url)?;
        if is_named_by_user || self.inner.seen.is_local(home) {
            Ok(&self.inner.any)
        } else {
            Ok(&self.inner.public)
        }
    }

    /// Returns one of the connections.
    pub(crate) fn lane<'a>(
        &self,
        lanes: &'a Lanes,
        number: usize,
    ) -> Result<&'a reqwest::Client, SideError> {
        let lane = &lanes.clients[number];
        if let Some(client) = lane.get() {
            return Ok(client);
        }
        let client = build(&self.inner, &lanes.resolver)?;
        Ok(lane.get_or_init(|| client))
    }
}

impl Lanes {
    fn new(resolver: Resolver) -> Self {
        Self {
            resolver,
            clients: std::array::from_fn(|_| OnceLock::new()),
        }
    }
}

/// Decides whether a source may lead to `url`; names are judged again when they are resolved.
fn judge(is_named_by_user: bool, home_is_local: bool, url: &Url) -> Result<(), SideError> {
    let refused = |why: &str| {
        Err(SideError::Untrusted {
            message: format!("the server leads to `{}`, {why}", ShownUrl::of(url)),
        })
    };
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return refused("which is not fetched: only http and https are");
    }
    if is_named_by_user {
        return Ok(());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("with a user or password in it, which is not followed");
    }
    if !home_is_local && names_local(url) == Some(true) {
        return refused(
            "an address of this machine or of a private network, where a public server may not send us",
        );
    }
    Ok(())
}

fn build(inner: &Inner, resolver: &Resolver) -> Result<reqwest::Client, SideError> {
    let Inner { options, own, .. } = inner;
    let configured = || {
        let builder = reqwest::Client::builder()
            .user_agent(concat!("homing/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .dns_resolver(resolver.clone())
            .connect_timeout(options.connect_timeout)
            // A connection comes back a moment after its answer was read; meanwhile another may have come about.
            .pool_max_idle_per_host(options.per_host.saturating_mul(2))
            .http1_max_headers(MOST_HEADERS)
            .http2_max_header_list_size(MOST_HEADER_BYTES)
            .http2_initial_stream_window_size(STREAM_WINDOW)
            .http2_initial_connection_window_size(CONNECTION_WINDOW)
            // After a suspend the connection is gone, and nobody says so.
            .http2_keep_alive_interval(Duration::from_secs(15))
            .http2_keep_alive_timeout(Duration::from_secs(10))
            .gzip(true)
            .zstd(true);
        if inner.proxies.are_none() {
            builder.no_proxy()
        } else {
            builder
        }
    };
    configured()
        .tls_certs_merge(own.iter().cloned())
        .build()
        // A machine without any certificates can still speak http, and https to its own CA.
        .or_else(|_none| configured().tls_certs_only(own.iter().cloned()).build())
        .map_err(|error| SideError::Config {
            message: format!(
                "no HTTP client can be made: {}",
                crate::errors::chain(&error)
            ),
        })
}

fn certificates(path: &Path) -> Result<Vec<Certificate>, SideError> {
    let complain = |why: String| SideError::Config {
        message: format!("`ca_file = \"{}\"`: {why}", path.display()),
    };
    let bytes = std::fs::read(path).map_err(|error| complain(error.to_string()))?;
    let found = Certificate::from_pem_bundle(&bytes)
        .map_err(|error| complain(format!("it is no PEM: {}", crate::errors::chain(&error))))?;
    if found.is_empty() {
        return Err(complain("there is no certificate in it".to_owned()));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(is_named_by_user: bool, home_is_local: bool, url: &str) -> Option<String> {
        judge(is_named_by_user, home_is_local, &Url::parse(url).unwrap())
            .err()
            .map(|error| {
                assert!(matches!(error, SideError::Untrusted { .. }), "{error:?}");
                error.to_string()
            })
    }

    #[test]
    fn a_public_server_leads_to_public_places_alone() {
        for local in [
            "http://127.0.0.1/",
            "http://localhost:8080/",
            "http://169.254.169.254/latest/meta-data/",
            "https://[::1]/",
            "http://10.0.0.1/",
        ] {
            assert!(refusal(false, false, local).unwrap().contains("private"));
            assert_eq!(refusal(false, true, local), None, "{local}");
            assert_eq!(refusal(true, false, local), None, "{local}");
        }
        assert_eq!(refusal(false, false, "https://cdn.example.org/a"), None);
    }

    #[test]
    fn nothing_leads_to_files_or_carries_a_password() {
        for url in [
            "file:///etc/passwd",
            "ftp://example.org/a",
            "data:text/plain,a",
            "unix:/a",
        ] {
            for home_is_local in [true, false] {
                let refusal = refusal(false, home_is_local, url).unwrap();
                assert!(refusal.contains("only http and https"), "{refusal}");
            }
        }
        let refusal = refusal(false, false, "https://ann:s3cret@example.org/").unwrap();
        assert!(!refusal.contains("s3cret"), "{refusal}");
    }

    #[test]
    fn a_ca_file_that_is_none_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ca.pem");
        let of = |path: &Path| {
            Client::new(ClientOptions {
                ca_file: Some(path.to_owned()),
                ..ClientOptions::default()
            })
            .unwrap_err()
            .to_string()
        };
        assert!(of(&path).contains("ca.pem"), "{}", of(&path));
        std::fs::File::create(&path).unwrap();
        assert!(of(&path).contains("no certificate"), "{}", of(&path));
    }
}
