//! A repository, an emulator that serves it, and a side that reads it.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result};
use homing_core::{
    Intake, Item, ItemKey, Limits, ListRequest, Listed, Listing, Manifest, Revision, Scope, Side,
    SideError,
};
use homing_remote::{Client, ClientOptions, Login};
use homing_side_github::{GithubOptions, GithubSide, Place};
use secrecy::SecretString;
use testkit::github::GitHub;
use testkit::{GitRepository, MemoryContents, Node};
use url::Url;

/// What every test returns.
pub(crate) type TestResult = Result<()>;

/// The repository's name.
pub(crate) const NAME: &str = "octo/agents";

/// A repository that is served, and what of it is known.
pub(crate) struct World {
    pub(crate) github: GitHub,
    pub(crate) repository: GitRepository,
    pub(crate) contents: Arc<MemoryContents>,
    pub(crate) client: Client,
}

impl World {
    /// Serves an empty repository.
    pub(crate) fn empty() -> Result<Self> {
        Self::serving(GitRepository::new()?)
    }

    /// Serves a repository with one commit.
    pub(crate) fn new(files: &[(&str, Node<'_>)]) -> Result<Self> {
        let world = Self::empty()?;
        world.commit(files)?;
        Ok(world)
    }

    pub(crate) fn serving(repository: GitRepository) -> Result<Self> {
        let github = GitHub::start()?;
        github.serve(NAME, repository.path())?;
        Ok(Self {
            github,
            repository,
            contents: Arc::default(),
            client: client()?,
        })
    }

    /// Commits to the default branch.
    pub(crate) fn commit(&self, changes: &[(&str, Node<'_>)]) -> Result<String> {
        self.repository.commit("main", changes)
    }

    /// Returns what a side is made of.
    pub(crate) fn options(&self) -> Result<GithubOptions> {
        let url = Url::parse(&format!("https://github.com/{NAME}"))?;
        let api = Url::parse(&self.github.api())?;
        Ok(GithubOptions {
            place: Place::parse(&url, Some(&api))?,
            reference: None,
            path: None,
            include: Vec::new(),
            exclude: Vec::new(),
            limits: Limits::default(),
            login: None,
        })
    }

    /// Returns a side of the default branch.
    pub(crate) fn side(&self) -> Result<GithubSide> {
        self.side_with(|_| {})
    }

    /// Returns a side with other options.
    pub(crate) fn side_with(&self, change: impl FnOnce(&mut GithubOptions)) -> Result<GithubSide> {
        let mut options = self.options()?;
        change(&mut options);
        Ok(GithubSide::new(self.client.clone(), options)?)
    }

    /// Returns a side that sends a token.
    pub(crate) fn side_with_token(&self, token: &'static str) -> Result<GithubSide> {
        self.side_with(|options| options.login = Some(login(token)))
    }

    /// Lists, knowing nothing.
    pub(crate) async fn list(&self, side: &GithubSide) -> Result<Listed, SideError> {
        self.ask(side, None, None).await?.whole()
    }

    /// Lists, knowing what was listed before; the revision only with `since`.
    pub(crate) async fn ask(
        &self,
        side: &GithubSide,
        known: Option<&Manifest>,
        since: Option<&Revision>,
    ) -> Result<Listing, SideError> {
        side.list(ListRequest {
            known: Arc::new(known.map(|known| known.items.clone()).unwrap_or_default()),
            since: since.cloned(),
            intake: Intake::ungated(self.contents.clone()),
            ..ListRequest::new(Scope::Whole)
        })
        .await
    }

    /// Returns the requests since the last call: `API STATUS PATH`, without the repository's name.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.github.take_requests();
        let one = |request: testkit::github::Request| {
            let path = request.path.replace(&format!("/repos/{NAME}"), "");
            let host = if request.files { "files" } else { "api" };
            format!("{host} {} {path}", request.status)
        };
        requests.into_iter().map(one).collect()
    }

    /// Returns how many requests of each kind there were since the last call, `blobs` and so on.
    pub(crate) fn counted(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for request in self.github.take_requests() {
            let kinds = ["commits", "trees", "blobs", "tarball", "legacy.tar.gz"];
            let kind = kinds
                .into_iter()
                .find(|kind| request.path.contains(&format!("/{kind}/")))
                .unwrap_or("other");
            *counts.entry(kind).or_default() += 1;
        }
        counts
    }

    /// Checks that the items are these files, contents and all.
    #[track_caller]
    pub(crate) fn expect(&self, manifest: &Manifest, files: &[(&str, &[u8])]) {
        let found: BTreeMap<String, Option<Vec<u8>>> = manifest
            .items
            .iter()
            .map(|(key, item)| (key.to_string(), self.contents.get(&item.hash)))
            .collect();
        let expected: BTreeMap<String, Option<Vec<u8>>> = files
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), Some(bytes.to_vec())))
            .collect();
        assert_eq!(found, expected);
    }
}

/// Returns a client that uses no proxy.
pub(crate) fn client() -> Result<Client> {
    Ok(Client::new(ClientOptions {
        proxies: false,
        ..ClientOptions::default()
    })?)
}

/// Returns an item of a manifest.
pub(crate) fn item<'a>(manifest: &'a Manifest, path: &str) -> Result<&'a Item> {
    manifest
        .items
        .get(path)
        .with_context(|| format!("{path} is not listed"))
}

/// Returns a key.
pub(crate) fn key(path: &str) -> ItemKey {
    ItemKey::new(path).expect("the test's path is a key")
}

/// Returns the problems as `PATH: MESSAGE`.
pub(crate) fn problems(manifest: &Manifest) -> Vec<String> {
    manifest
        .problems
        .iter()
        .map(|problem| format!("{}: {}", problem.path, problem.message))
        .collect()
}

/// Returns a login with this token.
pub(crate) fn login(token: &'static str) -> Login {
    Login::bearer(Arc::new(SecretString::from(token)))
}
