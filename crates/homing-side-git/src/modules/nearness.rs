//! How near a repository is: what is farther away must not lead to what is nearer.

use std::ffi::OsStr;
use std::net::IpAddr;

use homing_core::{Progress, SideError};
use homing_remote::is_local;

use crate::address::{Address, Transport};
use crate::git::{Git, Question};

/// How near a repository is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Nearness {
    /// Anywhere.
    Far,
    /// In a private network.
    Network,
    /// On this machine.
    Machine,
}

impl Nearness {
    /// Finds out how near a repository is; a name that does not resolve is far, and will not be reached either.
    pub(crate) async fn of(
        address: &Address,
        git: &Git,
        progress: &Progress,
    ) -> Result<Self, SideError> {
        if let Transport::File(_) = address.transport() {
            return Ok(Self::Machine);
        }
        let Some(mut host) = address.host() else {
            return Ok(Self::Machine);
        };
        if *address.transport() == Transport::Ssh {
            host = alias(host, git, progress).await?;
        }
        let name = host.trim_end_matches('.');
        if name == "localhost" || name.ends_with(".localhost") {
            return Ok(Self::Machine);
        }
        if let Ok(address) = name.parse() {
            return Ok(Self::of_ip(address));
        }
        let found = tokio::net::lookup_host((name, 0)).await;
        let addresses = found.into_iter().flatten();
        Ok(addresses
            .map(|address| Self::of_ip(address.ip()))
            .max()
            .unwrap_or(Self::Far))
    }

    fn of_ip(address: IpAddr) -> Self {
        let address = address.to_canonical();
        if address.is_loopback() || address.is_unspecified() {
            Self::Machine
        } else if is_local(address) {
            Self::Network
        } else {
            Self::Far
        }
    }
}

/// Returns the host that the user's own configuration of ssh has a name stand for.
async fn alias(host: String, git: &Git, progress: &Progress) -> Result<String, SideError> {
    let question = Question {
        arguments: &["-G", "--", &host].map(OsStr::new),
        input: Vec::new(),
        most: 64 << 10,
    };
    let Ok((said, ended)) = Git::ask(git.companion("ssh"), question, progress).await else {
        // Without ssh it will not be reached.
        return Ok(host);
    };
    let said = String::from_utf8_lossy(&said);
    let name = said.lines().find_map(|line| line.strip_prefix("hostname "));
    Ok(match name {
        Some(name) if ended.status.success() => name.to_owned(),
        _ => host,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(flavor = "multi_thread")]
    async fn what_is_near_is_known() {
        let home = tempfile::tempdir().unwrap();
        let git = Git::new(&[
            ("PATH".into(), std::env::var_os("PATH").unwrap_or_default()),
            ("HOME".into(), home.path().into()),
        ]);
        for (address, expected) in [
            ("https://203.0.114.7/a", Nearness::Far),
            ("https://10.1.2.3/a", Nearness::Network),
            ("ssh://git@192.168.0.1/a", Nearness::Network),
            ("git@172.16.0.1:a", Nearness::Network),
            ("git://[::1]/a", Nearness::Machine),
            ("ssh://[::ffff:127.0.0.1]/a", Nearness::Machine),
            ("git@[::1]:a", Nearness::Machine),
            ("http://127.9.9.9/a", Nearness::Machine),
            ("git@localhost:a", Nearness::Machine),
            ("https://x.localhost./a", Nearness::Machine),
            ("https://nowhere.invalid/a", Nearness::Far),
            ("file:///srv/a", Nearness::Machine),
            ("/srv/a", Nearness::Machine),
        ] {
            let address = Address::parse(address).unwrap();
            let near = Nearness::of(&address, &git, &Progress::default()).await;
            assert_eq!(near.unwrap(), expected, "{address}");
        }
        assert!(Nearness::Far < Nearness::Network && Nearness::Network < Nearness::Machine);
    }
}
