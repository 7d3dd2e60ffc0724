//! A remote: which refs it has, and how Git reaches it.

mod moved;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

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
use crate::ssh::{self, SshCommand, SshConnections};

use moved::Moved;

/// Bytes of what `git ls-remote` tells.
const MOST_BYTES: usize = 32 << 20;
/// How long only Git is asked where only Git could ask.
const LEFT_TO_GIT: Duration = Duration::from_hours(1);

/// What the user's own configuration of Git says of a remote.
#[derive(Debug, Clone)]
struct Settings {
    /// Where it leads (`insteadOf`).
    address: Address,
    /// What Git is to call for ssh.
    ssh: Option<SshCommand>,
    /// The way there leads over a proxy (`http.proxy`) that only Git knows.
    has_proxy: bool,
}

/// What came of asking with a request.
enum Asked {
    Told(Vec<Ref>),
    /// Nothing that is understood: Git may know how to ask.
    Surprise,
    /// This; the user's configuration of Git may know more than is known here (`.netrc`, `http.extraHeader`, …).
    Refused(SideError),
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
    /// Another repository named it, and not the user.
    is_led_to: bool,
    /// What the user's own configuration of Git says, as long as it stays as it was.
    settings: Mutex<Option<(Stamp, Settings)>>,
    /// Whom the server took last.
    welcome: Mutex<Option<Pair>>,
    /// Since when only Git can ask, and under which configuration.
    left_to_git: Mutex<Option<(Stamp, Instant)>>,
    /// Where Git is to ask, as that was found then.
    moved: Mutex<Option<(Stamp, Instant, Moved)>>,
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
            is_led_to: false,
            settings: Mutex::default(),
            welcome: Mutex::default(),
            left_to_git: Mutex::default(),
            moved: Mutex::default(),
            format: OnceCell::new(),
        }
    }

    /// Returns another one that a repository leads to, reached in the same way. Who asks is said to the same server alone.
    pub(crate) fn elsewhere(&self, address: Address) -> Self {
        let origin = |address: &Address| match address.transport() {
            Transport::Http(url) => Some(url.origin()),
            _ => None,
        };
        let here = origin(&self.configured);
        let login = self.login.clone();
        let login = login.filter(|_| here.is_some() && here == origin(&address));
        let other = Self::new(
            self.git.clone(),
            self.client.clone(),
            address,
            login,
            self.ca_file.clone(),
            self.connections.clone(),
        );
        Self {
            is_led_to: true,
            ..other
        }
    }

    /// Returns where it is said to be.
    pub(crate) fn configured(&self) -> &Address {
        &self.configured
    }

    /// Returns where it is.
    pub(crate) async fn address(&self, progress: &Progress) -> Result<Address, SideError> {
        Ok(self.settings(progress).await?.address)
    }

    /// Returns what a person should know of how it is reached.
    pub(crate) async fn note(&self, progress: &Progress) -> Result<Option<String>, SideError> {
        let program = self.settings(progress).await?.ssh;
        let program = program.and_then(|ssh| ssh.other_program);
        Ok(program.map(|program| {
            format!(
                "`core.sshCommand` calls `{program}`, which is told nothing by Homing: if it calls ssh, have it give `{}`, so that nobody is asked and nobody is waited for",
                ssh::OPTIONS
            )
        }))
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
            Transport::Ssh => {
                let host = address.authority();
                Some(self.connections.command(&self.git, host, progress).await?)
            }
            _ => None,
        };
        let has_proxy = match address.transport() {
            Transport::Http(_) => {
                let question = ["config", "--get-urlmatch", "http.proxy", address.as_str()];
                let question = question.map(OsStr::new);
                self.git.setting(&question, progress).await?.is_some()
            }
            _ => false,
        };
        let settings = Settings {
            address,
            ssh,
            has_proxy,
        };
        *locked(&self.settings) = Some((stamp, settings.clone()));
        Ok(settings)
    }

    /// Returns the refs that matter for what is wanted.
    pub(crate) async fn refs(
        &self,
        wanted: &Wanted,
        progress: &Progress,
    ) -> Result<Vec<Ref>, SideError> {
        let address = self.address(progress).await?;
        let Transport::Http(url) = address.transport() else {
            return self.refs_told_by_git(wanted, progress).await;
        };
        if self.is_left_to_git(progress).await? {
            let told = self.refs_told_by_git(wanted, progress).await;
            if told.is_err() {
                *locked(&self.left_to_git) = None;
                *locked(&self.moved) = None;
            }
            return told;
        }
        match self.refs_over_http(url, wanted, progress).await? {
            Asked::Told(refs) => Ok(refs),
            Asked::Surprise => {
                *locked(&self.moved) = None;
                let refs = self.refs_told_by_git(wanted, progress).await?;
                if refs.is_empty() {
                    self.expect_a_repository(url, progress).await?;
                }
                if self.format.get().is_none() {
                    self.leave_to_git();
                }
                Ok(refs)
            }
            Asked::Refused(refusal) => match self.refs_told_by_git(wanted, progress).await {
                Ok(refs) => {
                    self.leave_to_git();
                    Ok(refs)
                }
                Err(SideError::Cancelled) => Err(SideError::Cancelled),
                Err(_as_much) => Err(refusal),
            },
        }
    }

    fn leave_to_git(&self) {
        *locked(&self.left_to_git) = Some((self.git.stamp(), Instant::now()));
    }

    /// Tells whether only Git can ask: as far as is known, and for as long as its configuration stays as it was.
    async fn is_left_to_git(&self, progress: &Progress) -> Result<bool, SideError> {
        let is_left = locked(&self.left_to_git)
            .as_ref()
            .is_some_and(|(then, since)| {
                *then == self.git.stamp() && since.elapsed() < LEFT_TO_GIT
            });
        Ok(is_left || self.settings(progress).await?.has_proxy)
    }

    /// Asks with one request, and with one more who may ask.
    async fn refs_over_http(
        &self,
        url: &Url,
        wanted: &Wanted,
        progress: &Progress,
    ) -> Result<Asked, SideError> {
        let format = self.format.get().copied();
        let pair = self.pair().await?;
        let login = pair.as_ref().map(Pair::login);
        let session = self.client.session(url, login.as_ref(), progress).await?;
        let refused = match ls_refs::ask(&session, url, wanted, format).await {
            Ok(Answer::Refs(refs)) => return Ok(Asked::Told(refs)),
            Ok(Answer::Surprise) => return Ok(Asked::Surprise),
            Ok(Answer::Unauthorized(error)) => error,
            // A certificate that is not trusted here, a proxy that wants to know who asks.
            Err(error @ (SideError::Permanent { .. } | SideError::Auth { .. })) => {
                return Ok(Asked::Refused(error));
            }
            Err(error) => return Err(error),
        };
        if self.login.is_some() {
            return Err(refused);
        }
        if let Some(pair) = pair {
            credentials::judge(&self.git, url, &pair, false, progress).await?;
            self.remember(None);
        }
        let Some(pair) = credentials::fill(&self.git, url, progress).await? else {
            return Ok(Asked::Refused(SideError::Auth {
                message: format!(
                    "`{}` wants credentials, and Git knows none for it: neither its credential helpers nor a .netrc; name a token (`token = {{ env = \"…\" }}`), or have Git know one (`git credential approve`)",
                    self.configured
                ),
                source: None,
            }));
        };
        let session = self
            .client
            .session(url, Some(&pair.login()), progress)
            .await?;
        let answer = ls_refs::ask(&session, url, wanted, format).await?;
        if let Answer::Unauthorized(error) = answer {
            credentials::judge(&self.git, url, &pair, false, progress).await?;
            return Ok(Asked::Refused(error));
        }
        credentials::judge(&self.git, url, &pair, true, progress).await?;
        self.remember(Some(pair));
        Ok(match answer {
            Answer::Refs(refs) => Asked::Told(refs),
            _ => Asked::Surprise,
        })
    }

    /// Makes sure that there is a repository where Git found no ref: it takes an answer without a byte for an empty one.
    async fn expect_a_repository(&self, url: &Url, progress: &Progress) -> Result<(), SideError> {
        let login = self.pair().await?.as_ref().map(Pair::login);
        let session = self.client.session(url, login.as_ref(), progress).await?;
        if !ls_refs::is_empty_answer(&session, url).await? {
            return Ok(());
        }
        Err(SideError::Transient {
            message: format!(
                "`{}` answers, and with nothing: it says neither that there is a repository nor what is in it",
                self.configured
            ),
            retry_after: None,
            source: None,
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
            if let Transport::File(path) = address.transport() {
                errors::expect_readable(&doing, path)?;
            }
            return Err(errors::of_git(&doing, &ended));
        }
        let refs = listed(&answer, wanted);
        if refs.len() > ls_refs::MOST_REFS {
            return Err(SideError::Untrusted {
                message: format!(
                    "`{}` tells of more refs than are taken of one repository",
                    self.configured
                ),
            });
        }
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
        if self.is_left_to_git(progress).await? {
            return Ok(Fetched::Surprise);
        }
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
        let Settings {
            address,
            ssh,
            has_proxy,
        } = self.settings(progress).await?;
        let moved = Box::pin(self.moved(&address, has_proxy, progress)).await?;
        if moved.may_lead_on {
            command.args(["-c", "http.followRedirects=initial"]);
        }
        if let Some(ssh) = ssh {
            command.env("GIT_SSH_COMMAND", ssh.text);
        }
        if address != self.configured || address != moved.address {
            // It was followed once. Of all that begin alike the longest counts, and that is the address itself.
            let key = format!("url.{}.insteadOf", moved.address.as_str());
            command
                .env("GIT_CONFIG_COUNT", "1")
                .env("GIT_CONFIG_KEY_0", key)
                .env("GIT_CONFIG_VALUE_0", address.as_str());
        }
        if let Some(file) = &self.ca_file {
            command.env("GIT_SSL_CAINFO", file);
        }
        if let (Some(login), Transport::Http(_)) = (&self.login, address.transport())
            && let Some(pair) = Pair::of(login).await?
        {
            pair.give_to(&mut command, &address);
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
        return Ok(configured.clone());
    }
    // It may have a secret in it, so it is not shown.
    Address::parse(text).map_err(|error| SideError::Config {
        message: format!(
            "the configuration of Git (`url.….insteadOf`, see `git config --list --show-origin`) leads `{configured}` to another address: {error}"
        ),
    })
}

/// Reads what `git ls-remote` prints: `ID\tNAME`, and `NAME^{}` for what an annotated tag is of. Keeps what matters.
fn listed(answer: &[u8], wanted: &Wanted) -> Vec<Ref> {
    let mut refs: Vec<Ref> = Vec::new();
    for line in answer.split(|byte| *byte == b'\n') {
        // A name that is no UTF-8 is nobody's `ref`; it must only not be taken for another one.
        let line = String::from_utf8_lossy(line);
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
            None if wanted.concerns(name) => refs.push(Ref {
                name: name.to_owned(),
                id: id.to_owned(),
                peeled: None,
            }),
            None => {}
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
        let wanted = Wanted::parse(Some("v1")).unwrap();
        let refs = listed(text.as_bytes(), &wanted);
        assert_eq!(refs.len(), 1);
        assert_eq!(refs[0].peeled.as_deref(), Some(b.as_str()));
    }
}
