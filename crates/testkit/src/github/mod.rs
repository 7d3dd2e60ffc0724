//! An emulator of GitHub's REST API that serves Git repositories of this machine.
//!
//! It follows GitHub's documented answers: refs, commits, trees, blobs, contents and archives, validators, scopes and
//! both kinds of rate limit. Every request is logged, and answers can be made to fail.

mod access;
mod answer;
mod archives;
mod fault;
mod git;
mod log;
mod objects;
mod repository;
mod routes;
mod server;

use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};

pub use access::Token;
pub use fault::{Effect, Fault};
pub use log::Request;

use access::Access;
use fault::Faults;
use repository::Repository;

/// A running emulator; it ends with this value.
pub struct GitHub {
    state: Arc<State>,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

/// What all connections share.
pub(crate) struct State {
    /// Where the API is.
    pub(crate) api: SocketAddr,
    /// Where archives and raw files are: another host, as at GitHub.
    pub(crate) files: SocketAddr,
    repositories: Mutex<Vec<Arc<Repository>>>,
    access: Mutex<Access>,
    faults: Faults,
    log: Mutex<Vec<Request>>,
}

impl GitHub {
    /// Starts an emulator without any repository on two free ports of the loopback interface.
    pub fn start() -> Result<Self> {
        let (stop, stopped) = tokio::sync::oneshot::channel();
        let (told, addresses) = std::sync::mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("github-emulator".to_owned())
            .spawn(move || server::run(&told, stopped))?;
        let state = addresses
            .recv()
            .context("the emulator ended before it began")??;
        Ok(Self {
            state,
            stop: Some(stop),
            thread: Some(thread),
        })
    }

    /// Returns the base of the API, without a slash at the end.
    pub fn api(&self) -> String {
        format!("http://{}", self.state.api)
    }

    /// Returns the base of archives and raw files, which is another origin than the API's.
    pub fn files(&self) -> String {
        format!("http://{}", self.state.files)
    }

    /// Serves the repository in `directory` (a work tree or a bare one) as `name`, `OWNER/REPOSITORY`; public.
    pub fn serve(&self, name: &str, directory: &Path) -> Result<()> {
        let mut repositories = lock(&self.state.repositories);
        let id = 1000 + repositories.len() as u64;
        repositories.push(Arc::new(Repository::open(id, name, directory)?));
        Ok(())
    }

    /// Gives a repository another name; the old one is answered with a redirection from now on.
    pub fn rename(&self, name: &str, to: &str) {
        self.repository(name).rename(to);
    }

    /// Says whether a repository can be seen by tokens with access alone.
    pub fn set_private(&self, name: &str, private: bool) {
        self.repository(name).settings().private = private;
    }

    /// Says which branch is the default one; without it, the one that the repository's `HEAD` names.
    pub fn set_default_branch(&self, name: &str, branch: &str) {
        self.repository(name).settings().default_branch = Some(branch.to_owned());
    }

    /// Cuts recursive trees off after so many entries, with `truncated: true`.
    pub fn truncate_trees(&self, name: &str, after: Option<usize>) {
        self.repository(name).settings().truncate_after = after;
    }

    /// Cuts every tree off after so many entries, also where one directory alone is asked for.
    pub fn truncate_directories(&self, name: &str, after: Option<usize>) {
        self.repository(name).settings().directories_after = after;
    }

    /// Says whether trees name what Git does not, as a server that lies would: these entries are added to the root.
    pub fn add_to_trees(&self, name: &str, entries: Vec<serde_json::Value>) {
        self.repository(name).settings().extra_entries = entries;
    }

    /// Knows a token from now on.
    pub fn add_token(&self, token: Token) {
        lock(&self.state.access).add(token);
    }

    /// Takes a token back.
    pub fn revoke(&self, token: &str) {
        lock(&self.state.access).revoke(token);
    }

    /// Leaves so many requests to whoever has this token (`None`: to the anonymous) until `reset`.
    pub fn leave(&self, token: Option<&str>, remaining: u64, reset: SystemTime) {
        lock(&self.state.access).leave(token, remaining, reset);
    }

    /// Gives everybody the full number of requests again.
    pub fn renew(&self) {
        lock(&self.state.access).renew();
    }

    /// Makes answers fail.
    pub fn fail(&self, fault: Fault) {
        self.state.faults.add(fault);
    }

    /// Ends all faults; answers that are held back go on.
    pub fn mend(&self) {
        self.state.faults.clear();
    }

    /// Returns the requests so far, in the order of their arrival.
    pub fn requests(&self) -> Vec<Request> {
        lock(&self.state.log).clone()
    }

    /// Returns the requests so far and forgets them.
    pub fn take_requests(&self) -> Vec<Request> {
        std::mem::take(&mut *lock(&self.state.log))
    }

    fn repository(&self, name: &str) -> Arc<Repository> {
        self.state
            .repository(name)
            .expect("the test serves this repository")
            .0
    }
}

impl Drop for GitHub {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}

impl State {
    /// Finds a repository by a name that it has or had; the flag says that it is a former one.
    pub(crate) fn repository(&self, name: &str) -> Option<(Arc<Repository>, bool)> {
        let repositories = lock(&self.repositories);
        let current = repositories.iter().find(|each| each.is_called(name));
        let former = || repositories.iter().find(|each| each.was_called(name));
        current
            .map(|found| (found.clone(), false))
            .or_else(|| former().map(|found| (found.clone(), true)))
    }

    /// Finds a repository by its number.
    pub(crate) fn repository_by_id(&self, id: u64) -> Option<Arc<Repository>> {
        lock(&self.repositories)
            .iter()
            .find(|each| each.id == id)
            .cloned()
    }

    pub(crate) fn access(&self) -> MutexGuard<'_, Access> {
        lock(&self.access)
    }

    pub(crate) fn faults(&self) -> &Faults {
        &self.faults
    }

    pub(crate) fn note(&self, request: Request) {
        lock(&self.log).push(request);
    }
}

/// How long until limits are renewed unless a test says otherwise, as at GitHub.
pub(crate) const WINDOW: Duration = Duration::from_hours(1);

pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().expect("no holder panics")
}
