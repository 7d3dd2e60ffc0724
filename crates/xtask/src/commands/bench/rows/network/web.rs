//! A real nginx that serves the repository's files.

use std::net::SocketAddr;
use std::path::PathBuf;

use anyhow::{Context, Result};
use testkit::{Nginx, NginxOptions};

use super::repository::Repository;

/// A web server; it ends with this value.
pub(super) struct Web {
    nginx: Nginx,
}

impl Web {
    /// Serves all files; with TLS it speaks HTTP/2, too.
    pub(super) fn serve(repository: &Repository, tls: bool) -> Result<Self> {
        let options = NginxOptions {
            tls,
            ..NginxOptions::default()
        };
        let nginx = Nginx::start(&options)?.context("nginx does not start")?;
        let web = Self { nginx };
        for path in repository.paths() {
            web.put(repository, &path)?;
        }
        Ok(web)
    }

    /// Takes over a file as it is in the repository now.
    pub(super) fn put(&self, repository: &Repository, path: &str) -> Result<()> {
        let bytes = std::fs::read(repository.files().join(path))?;
        self.nginx.put(path, &bytes)
    }

    /// Adds a file of its own.
    pub(super) fn add(&self, path: &str, text: &str) -> Result<()> {
        self.nginx.put(path, text.as_bytes())
    }

    /// Returns the URL that the paths are below, without a slash at the end.
    pub(super) fn base(&self) -> String {
        let url = self.nginx.url("");
        url.trim_end_matches('/').to_owned()
    }

    /// Returns where it listens.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        let base = self.base();
        let address = base.rsplit('/').next().unwrap_or_default();
        Ok(address.parse()?)
    }

    /// Returns the certificate of the CA that vouches for it.
    pub(super) fn ca_file(&self) -> PathBuf {
        self.nginx.ca_file()
    }

    /// Returns how many requests were answered since the last time that this was asked.
    pub(super) fn take_requests(&self) -> Result<usize> {
        Ok(self.nginx.requests()?.len())
    }
}
