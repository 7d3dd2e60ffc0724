//! A remote: which refs it has, and how Git reaches it.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use homing_core::{Progress, SideError};
use homing_remote::{Client, Login, git_id};
use tokio::process::Command;
use tokio::sync::OnceCell;
use url::Url;

use crate::address::{Address, Transport};
use crate::credentials::{self, Pair};
use crate::errors;
use crate::git::{Git, Question, Stamp};
use crate::ls_refs::{self, Answer};
use crate::pack::{self, Fetched, Order};
use crate::refs::{Ref, Wanted};
use crate::ssh::SshConnections;

/// Bytes of what `git ls-remote` tells.
const MOST_BYTES: usize = 64 << 20;

/// What the user's own configuration of Git says of a remote.
#[derive(Debug, Clone)]
struct Settings {
    /// Where it leads (`insteadOf`).
    address: Address,
    /// What Git is to call for ssh.
    ssh: Option<String>,
}

/// A remote that is reached again and again.
#[derive(Debug)]
pub(crate) struct Remote {
    git: Git,
    client: Client,
    configured: Address,
    login: Option<Login>,
    ca_file: Option<PathBuf>,
    connections: SshConnections,
    /// What the user's own configuration of Git says, as long as it stays as it was.
    settings: Mutex<Option<(Stamp, Settings)>>,
    /// Whom the server took last.
    welcome: Mutex<Option<Pair>>,
    /// `sha256` once its ids were seen to be that.
    format: OnceCell<&'static str>,
}

impl Remote {
    pub(crate) fn new(
        git: Git,
        client: Client,
        address: Address,
        login: Option<Login>,
        ca_file: Option<PathBuf>,
        connections: SshConnections,
    ) -> Self {
        Self {
            git,
            client,
            configured: address,
            login,
            ca_file,
            connections,
            settings: Mutex::default(),
            welcome: Mutex::default(),
            format: OnceCell::new(),
        }
    }

    /// Returns another one, reached in the same way. Who asks is said to the same server alone.
    pub(crate) fn elsewhere(&self, address: Address) -> Self {
        let origin = |address: &Address| match address.transport() {
            Transport::Http(url) => Some(url.origin()),
            _ => None,
        };
        let here = origin(&self.configured);
        let login = self.login.clone();
        let login = login.filter(|_| here.is_some() && here == origin(&address));
        Self::new(
            self.git.clone(),
            self.client.clone(),
            address,
            login,
            self.ca_file.clone(),
            self.connections.clone(),
        )
    }

    /// Returns where it is said to be.
    pub(crate) fn configured(&self) -> &Address {
        &self.configured
    }

    /// Returns where it is.
    pub(crate) async fn address(&self, progress: &Progress) -> Result<Address, SideError> {
        Ok(self.settings(progress).await?.address)
    }

    /// Asks Git for the user's settings, once as long as the files stay as they were.
    async fn settings(&self, progress: &Progress) -> Result<Settings, SideError> {
        let stamp = self.git.stamp();
        let known = locked(&self.settings).clone();
        if let Some((_, settings)) = known.filter(|(then, _)| *then == stamp) {
            return Ok(settings);
        }
        let address = followed(&self.git, &self.configured, progress).await?;
        let ssh = match address.transport() {
            Transport::Ssh => Some(self.connections.command(&self.git, progress).await?),
            _ => None,
        };
        let settings = Settings { address, ssh };
        *locked(&self.settings) = Some((stamp, settings.clone()));
        Ok(settings)
    }

    /// Returns the refs that matter for what is wanted, and maybe others.
    pub(crate) async fn refs(
        &self,
        wanted: &Wanted,
        progress: &Progress,
    ) -> Result<Vec<Ref>, SideError> {
        let address = self.address(progress).await?;
        if let Transport::Http(url) = address.transport()
            && let Some(refs) = self.refs_over_http(url, wanted, progress).await?
        {
            return Ok(refs);
        }
        let refs = self.refs_told_by_git(wanted, progress).await?;
        if let Transport::Http(url) = address.transport()
            && refs.is_empty()
            && *wanted == Wanted::Default
        {
            self.require_repository(url, progress).await?;
        }
        Ok(refs)
    }

    /// Makes sure that it is a repository which is said to be empty: whatever answers with nothing is none for Git, too.
    async fn require_repository(&self, url: &Url, progress: &Progress) -> Result<(), SideError> {
        let login = self.pair().await?.as_ref().map(Pair::login);
        let session = self.client.session(url, login.as_ref(), progress).await?;
        if ls_refs::is_spoken(&session, url).await? {
            return Ok(());
        }
        Err(SideError::Transient {
            message: format!(
                "`{}` answers with nothing that a repository says, not even an empty one: check `url`",
                self.configured
            ),
            retry_after: None,
            source: None,
        })
    }

    /// Asks with one request, and with one more who may ask; `None` when Git should try.
    async fn refs_over_http(
        &self,
        url: &Url,
        wanted: &Wanted,
        progress: &Progress,
    ) -> Result<Option<Vec<Ref>>, SideError> {
        let prefixes = wanted.prefixes();
        let format = self.format.get().copied();
        let pair = self.pair().await?;
        let login = pair.as_ref().map(Pair::login);
        let session = self.client.session(url, login.as_ref(), progress).await?;
        let refused = match ls_refs::ask(&session, url, &prefixes, format).await? {
            Answer::Refs(refs) => return Ok(Some(refs)),
            Answer::Surprise => return Ok(None),
            Answer::Unauthorized(error) => error,
        };
        if self.login.is_some() {
            return Err(refused);
        }
        if let Some(pair) = pair {
            credentials::judge(&self.git, url, &pair, false, progress).await?;
            self.remember(None);
        }
        let Some(pair) = credentials::fill(&self.git, url, progress).await? else {
            return Err(SideError::Auth {
                message: format!(
                    "`{}` wants credentials, and Git's credential helpers have none for it; name a token (`token = {{ env = \"…\" }}`), or have Git know one (`git credential approve`)",
                    self.configured
                ),
                source: None,
            });
        };
        let session = self
            .client
            .session(url, Some(&pair.login()), progress)
            .await?;
        let answer = ls_refs::ask(&session, url, &prefixes, format).await?;
        if let Answer::Unauthorized(error) = answer {
            credentials::judge(&self.git, url, &pair, false, progress).await?;
            return Err(error);
        }
        credentials::judge(&self.git, url, &pair, true, progress).await?;
        self.remember(Some(pair));
        Ok(match answer {
            Answer::Refs(refs) => Some(refs),
            _ => None,
        })
    }

    async fn refs_told_by_git(
        &self,
        wanted: &Wanted,
        progress: &Progress,
    ) -> Result<Vec<Ref>, SideError> {
        let address = self.address(progress).await?;
        let mut patterns = wanted.prefixes();
        for pattern in &mut patterns {
            if pattern.ends_with('/') {
                pattern.push('*');
            }
        }
        // What annotated tags are of has a name of its own here.
        let peeled = patterns.iter().map(|pattern| format!("{pattern}^{{}}"));
        let patterns: Vec<String> = patterns.iter().cloned().chain(peeled).collect();
        let mut arguments = ["ls-remote", "--quiet", "--", address.as_str()]
            .map(OsStr::new)
            .to_vec();
        arguments.extend(patterns.iter().map(OsStr::new));
        let question = Question {
            arguments: &arguments,
            input: Vec::new(),
            most: MOST_BYTES,
        };
        progress.count_request();
        let command = self.command(None, progress).await?;
        let (answer, ended) = Git::ask(command, question, progress).await?;
        if !ended.status.success() {
            let doing = format!("asking `{}` for its refs", self.configured);
            return Err(errors::of_git(&doing, &ended));
        }
        let refs = listed(&String::from_utf8_lossy(&answer));
        if refs.iter().any(|one| one.id.len() == 64) {
            // Only this many words are said to the server, so it must know from us.
            self.format.set("sha256").ok();
        }
        Ok(refs)
    }

    /// Fetches with one request into the repository that `index_pack` is a command of; [`Fetched::Surprise`] where Git
    /// should try.
    pub(crate) async fn fetch_over_http(
        &self,
        order: &Order<'_>,
        index_pack: Command,
        progress: &Progress,
    ) -> Result<Fetched, SideError> {
        let address = self.address(progress).await?;
        let Transport::Http(url) = address.transport() else {
            return Ok(Fetched::Surprise);
        };
        let login = self.pair().await?.as_ref().map(Pair::login);
        let session = self.client.session(url, login.as_ref(), progress).await?;
        pack::fetch(&session, url, order, index_pack, progress).await
    }

    /// Returns a command that may reach the remote.
    pub(crate) async fn command(
        &self,
        repository: Option<&Path>,
        progress: &Progress,
    ) -> Result<Command, SideError> {
        let mut command = self.git.command(repository);
        if let Some(ssh) = self.settings(progress).await?.ssh {
            command.env("GIT_SSH_COMMAND", ssh);
        }
        if let Some(file) = &self.ca_file {
            command.env("GIT_SSL_CAINFO", file);
        }
        if let Some(login) = &self.login
            && let Transport::Http(url) = &self.configured.transport()
            && let Some(pair) = Pair::of(login).await?
        {
            pair.give_to(&mut command, url);
        }
        Ok(command)
    }

    /// Returns whom to ask as.
    async fn pair(&self) -> Result<Option<Pair>, SideError> {
        match &self.login {
            Some(login) => Pair::of(login).await,
            None => Ok(locked(&self.welcome).clone()),
        }
    }

    fn remember(&self, pair: Option<Pair>) {
        *locked(&self.welcome) = pair;
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns where an address leads by the user's own configuration of Git (`insteadOf`).
pub(crate) async fn followed(
    git: &Git,
    configured: &Address,
    progress: &Progress,
) -> Result<Address, SideError> {
    let text = Git::run(
        git.command(None),
        &["ls-remote", "--get-url", "--", configured.as_str()].map(OsStr::new),
        progress,
        "asking Git for the address",
    )
    .await?;
    let text = String::from_utf8_lossy(&text);
    let text = text.trim_end_matches('\n');
    if text == configured.as_str() {
        Ok(configured.clone())
    } else {
        Address::parse(text)
    }
}

/// Reads what `git ls-remote` prints: `ID\tNAME`, and `NAME^{}` for what an annotated tag is of.
fn listed(text: &str) -> Vec<Ref> {
    let mut refs: Vec<Ref> = Vec::new();
    for line in text.lines() {
        let Some((id, name)) = line.split_once('\t') else {
            continue;
        };
        if !git_id::is_full(id) {
            continue;
        }
        match name.strip_suffix("^{}") {
            // It comes right after the tag.
            Some(tag) => {
                if let Some(last) = refs.last_mut().filter(|last| last.name == tag) {
                    last.peeled = Some(id.to_owned());
                }
            }
            None => refs.push(Ref {
                name: name.to_owned(),
                id: id.to_owned(),
                peeled: None,
            }),
        }
    }
    refs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_lists_has_its_tags_peeled() {
        let (a, b) = ("a".repeat(40), "b".repeat(40));
        let text = format!("{a}\tHEAD\n{a}\trefs/tags/v1\n{b}\trefs/tags/v1^{{}}\nwarning\n");
        let refs = listed(&text);
        assert_eq!(refs.len(), 2);
        assert_eq!(refs[1].peeled.as_deref(), Some(b.as_str()));
    }
}
