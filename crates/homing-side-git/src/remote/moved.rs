//! Where a repository was moved to. Git follows no redirect by itself: we ask first, and judge where it leads.

use std::time::Instant;

use homing_core::{Progress, SideError};
use url::Url;

use super::{LEFT_TO_GIT, Remote, locked};
use crate::address::{Address, Transport};
use crate::ls_refs;
use crate::modules::Nearness;

/// Where a repository is, and whether Git may go further from there.
#[derive(Debug, Clone)]
pub(super) struct Moved {
    pub(super) address: Address,
    pub(super) may_lead_on: bool,
}

impl Remote {
    /// Finds out where `address` leads, once as long as only Git is asked.
    pub(super) async fn moved(
        &self,
        address: &Address,
        has_proxy: bool,
        progress: &Progress,
    ) -> Result<Moved, SideError> {
        let stays = |may_lead_on| Moved {
            address: address.clone(),
            may_lead_on,
        };
        let Transport::Http(url) = address.transport() else {
            return Ok(stays(false));
        };
        if has_proxy {
            // Only Git knows the way, and whatever it is led to it asks of the proxy.
            return Ok(stays(!self.stays_there()));
        }
        let stamp = self.git.stamp();
        let known = locked(&self.moved).clone();
        if let Some((_, _, moved)) =
            known.filter(|(then, since, _)| *then == stamp && since.elapsed() < LEFT_TO_GIT)
        {
            return Ok(moved);
        }
        let end = match self.end(url, progress).await {
            Ok(end) => end,
            Err(error @ (SideError::Untrusted { .. } | SideError::Cancelled)) => return Err(error),
            // Git may know how to ask, and tells what is wrong.
            Err(_unknown) => None,
        };
        let moved = match end {
            Some(end) => {
                let end = Address::parse(end.as_str())?;
                self.judge(address, &end, progress).await?;
                Moved {
                    address: end,
                    may_lead_on: false,
                }
            }
            None => stays(false),
        };
        *locked(&self.moved) = Some((stamp, Instant::now(), moved.clone()));
        Ok(moved)
    }

    /// Asks where a repository is; `None` where nothing leads elsewhere.
    async fn end(&self, url: &Url, progress: &Progress) -> Result<Option<Url>, SideError> {
        let login = self
            .pair()
            .await?
            .as_ref()
            .map(crate::credentials::Pair::login);
        let session = self.client.session(url, login.as_ref(), progress).await?;
        ls_refs::end(&session, url).await
    }

    /// Tells whether it is not to be sought anywhere but at its own server.
    fn stays_there(&self) -> bool {
        self.is_led_to || self.login.is_some()
    }

    /// Decides whether a redirect is followed: what somebody else named, and who asks with a token, stays at its server;
    /// and nobody is led to what is nearer.
    async fn judge(
        &self,
        from: &Address,
        to: &Address,
        progress: &Progress,
    ) -> Result<(), SideError> {
        if origin(from) == origin(to) {
            return Ok(());
        }
        let refused = |why: &str| {
            Err(SideError::Untrusted {
                message: format!(
                    "`{from}` leads to `{to}`, {why}: if that is right, have it named there instead"
                ),
            })
        };
        if self.is_led_to {
            return refused("another server, where a submodule is not sought");
        }
        if self.login.is_some() {
            return refused("another server, where the token does not go");
        }
        let near = |address| Nearness::of(address, &self.git, progress);
        if near(to).await? > near(from).await? {
            return refused("an address of this machine or its network");
        }
        Ok(())
    }
}

fn origin(address: &Address) -> Option<url::Origin> {
    match address.transport() {
        Transport::Http(url) => Some(url.origin()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use homing_remote::{Client, ClientOptions};

    use super::*;
    use crate::git::Git;
    use crate::ssh::SshConnections;

    #[tokio::test(flavor = "multi_thread")]
    async fn nobody_is_led_to_what_is_nearer() {
        let home = tempfile::tempdir().unwrap();
        let path = std::env::var_os("PATH").unwrap_or_default();
        let git = Git::new(&[("PATH".into(), path), ("HOME".into(), home.path().into())]);
        let parse = |text: &str| Address::parse(text).unwrap();
        let remote = Remote::new(
            git,
            Client::new(ClientOptions::default()).unwrap(),
            parse("https://203.0.114.7/a"),
            None,
            None,
            SshConnections::new(home.path()),
        );
        let led_to = remote.elsewhere(parse("https://203.0.114.7/a"));
        for (from, to, may, may_as_a_submodule) in [
            ("https://203.0.114.7/a", "https://203.0.114.7/b", true, true),
            (
                "https://203.0.114.7/a",
                "https://203.0.114.8/a",
                true,
                false,
            ),
            ("https://203.0.114.7/a", "http://10.0.0.1/a", false, false),
            ("https://203.0.114.7/a", "http://127.0.0.1/a", false, false),
            ("http://10.0.0.1/a", "http://127.0.0.1/a", false, false),
            ("http://127.0.0.1/a", "http://127.0.0.1:81/a", true, false),
        ] {
            let (from, to) = (parse(from), parse(to));
            let progress = &Progress::default();
            let judged = remote.judge(&from, &to, progress).await;
            assert_eq!(judged.is_ok(), may, "{from} {to}: {judged:?}");
            let judged = led_to.judge(&from, &to, progress).await;
            assert_eq!(
                judged.is_ok(),
                may_as_a_submodule,
                "{from} {to}: {judged:?}"
            );
        }
    }
}
