//! Any Git remote as a side.
//!
//! Over HTTP one request tells whether anything changed; whatever else speaks is asked by `git ls-remote`. What changed is
//! fetched by the `git` command into a bare mirror, and read from there: Git parses what strangers sent, in processes of
//! its own. Every content is verified by its Git id before it counts.

mod address;
mod between;
mod blobs;
mod ceilings;
mod credentials;
mod errors;
mod examine;
mod git;
mod healing;
mod history;
mod inventory;
mod lfs;
mod listing;
mod ls_refs;
mod mirror;
mod modules;
mod pack;
mod pkt_line;
mod refs;
mod remote;
mod sorting;
mod ssh;
mod tree;
mod trust;
mod upkeep;

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use homing_core::{
    BoxFuture, Commits, Contents, Examined, FetchRequest, ItemKey, Limits, ListRequest, Listing,
    Progress, Selection, Side, SideError,
};
use homing_remote::{Client, Login};

pub use address::{Address, Transport};
pub use inventory::Examination;
pub use mirror::Mirrors;
pub use ssh::SshConnections;
pub use trust::{Keys, Signed, Trust};
pub use upkeep::{Keep, Tidied};

use git::Git;
use refs::Wanted;
use remote::Remote;
use trust::Verified;

/// What is read of which repository, and how.
#[derive(Debug, Clone)]
pub struct GitOptions {
    /// The repository.
    pub address: Address,
    /// A branch, a tag, a full commit id or `latest`; the default branch where there is none.
    pub reference: Option<String>,
    /// Only this subdirectory, without a slash at the end.
    pub path: Option<String>,
    /// Patterns of what is wanted, below `path`; everything where there are none.
    pub include: Vec<String>,
    /// Patterns of what is not.
    pub exclude: Vec<String>,
    /// How much.
    pub limits: Limits,
    /// Submodules are followed, too.
    pub submodules: bool,
    /// Who asks over HTTP; without it Git's own credential helpers say.
    pub login: Option<Login>,
    /// Certificates (PEM) that are trusted.
    pub ca_file: Option<PathBuf>,
    /// What has to be signed before it counts; nothing where there is none.
    pub trust: Option<Trust>,
    /// What `git` finds in its environment; variables of Git's own are left out.
    pub environment: Vec<(OsString, OsString)>,
    /// Where connections over ssh are kept.
    pub connections: SshConnections,
}

/// A repository that Git reaches.
#[derive(Debug)]
pub struct GitSide {
    git: Git,
    remote: Arc<Remote>,
    mirrors: Mirrors,
    reference: Wanted,
    path: Option<String>,
    submodules: bool,
    selection: Selection,
    limits: Limits,
    trust: Option<Trust>,
    /// What was verified last, by whichever keys.
    verified: Mutex<Option<Verified>>,
    /// The address in quotes, for messages.
    shown_place: String,
}

impl GitSide {
    /// Makes a side; reaches nothing. [`SideError::Config`] names the pattern or `ref` that cannot be.
    pub fn new(client: Client, mirrors: Mirrors, options: GitOptions) -> Result<Self, SideError> {
        let git = Git::new(&options.environment)
            .away_from_repositories(mirrors.root())
            .within(&options.limits);
        Ok(Self {
            selection: Selection::new(&options.include, &options.exclude)?,
            reference: Wanted::parse(options.reference.as_deref())?,
            shown_place: format!("`{}`", options.address),
            remote: Arc::new(Remote::new(
                git.clone(),
                client,
                options.address,
                options.login,
                options.ca_file,
                options.connections,
            )),
            git,
            mirrors,
            path: options.path,
            submodules: options.submodules,
            limits: options.limits,
            trust: options.trust,
            verified: Mutex::default(),
        })
    }
}

impl Side for GitSide {
    fn covers(&self, key: &ItemKey) -> bool {
        self.selection.covers(key.as_str())
    }

    fn list(&self, request: ListRequest) -> BoxFuture<'_, Result<Listing, SideError>> {
        Box::pin(async move { self.listing(&request).await })
    }

    fn fetch(
        &self,
        requests: Vec<FetchRequest>,
        contents: Arc<dyn Contents>,
        progress: Progress,
    ) -> BoxFuture<'_, Vec<Result<(), SideError>>> {
        Box::pin(async move { self.fetch_blobs(&requests, &contents, &progress).await })
    }

    fn examine(&self) -> BoxFuture<'_, Result<Examined, SideError>> {
        Box::pin(self.look())
    }

    fn commits<'a>(
        &'a self,
        since: &'a str,
        until: &'a str,
        most: usize,
    ) -> BoxFuture<'a, Result<Option<Commits>, SideError>> {
        Box::pin(self.commits_between(since, until, most))
    }

    fn is_remote(&self) -> bool {
        true
    }
}
