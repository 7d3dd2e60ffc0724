//! A repository, a server of it, and a side that reads it.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use homing_core::{
    Intake, ItemKey, Limits, ListRequest, Listed, Listing, Manifest, Revision, Scope, Side,
    SideError,
};
use homing_remote::{Client, ClientOptions, Login};
use homing_side_git::{Address, GitOptions, GitSide, Mirrors, SshConnections};
use secrecy::SecretString;
use tempfile::TempDir;
use testkit::{GitHttp, GitRepository, MemoryContents, NginxOptions, Node};

/// How long anything may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// Writes a file.
pub(crate) fn put(path: &Path, text: &str) -> Result<()> {
    Ok(File::create(path)?.write_all(text.as_bytes())?)
}

/// What every test returns.
pub(crate) type TestResult = Result<()>;

/// A repository with one file.
pub(crate) fn repository() -> Result<GitRepository> {
    let repository = GitRepository::new()?;
    repository.commit("main", &[("a.md", Node::File(b"a"))])?;
    Ok(repository)
}

/// Who asks with this password.
pub(crate) fn login(password: &'static str) -> Login {
    Login {
        credentials: Arc::new(SecretString::from(password)),
        user: Some("ann".to_owned()),
    }
}

/// Returns text that no two lines of are alike, of which one version is much like the next.
pub(crate) fn prose(version: u32) -> String {
    let line = |number: u32| format!("{:08x}\n", number.wrapping_mul(2_654_435_761));
    let lines: String = (0..2000).map(line).collect();
    format!("version {version}\n{lines}")
}

/// Waits until something is so.
pub(crate) async fn until(mut is_so: impl FnMut() -> bool) -> TestResult {
    let began = Instant::now();
    while !is_so() {
        anyhow::ensure!(began.elapsed() < PATIENCE, "it does not come to that");
        tokio::task::yield_now().await;
    }
    Ok(())
}

/// A repository that is served, and what of it is known.
pub(crate) struct World {
    pub(crate) repository: GitRepository,
    pub(crate) contents: Arc<MemoryContents>,
    pub(crate) home: TempDir,
    pub(crate) url: String,
    pub(crate) server: Option<GitHttp>,
}

impl World {
    /// Serves an empty repository over HTTP; `None`, visibly, where that cannot be.
    pub(crate) fn over_http() -> Result<Option<Self>> {
        Self::serving(GitRepository::new()?, true)
    }

    /// Serves a repository over HTTP, with or without protocol v2.
    pub(crate) fn serving(repository: GitRepository, speaks_v2: bool) -> Result<Option<Self>> {
        let Some(server) = GitHttp::start(&NginxOptions::default(), speaks_v2)? else {
            return Ok(None);
        };
        let url = server.serve("agents.git", repository.path())?;
        Ok(Some(Self {
            url,
            server: Some(server),
            ..Self::of(repository)?
        }))
    }

    /// Has a repository of this machine.
    pub(crate) fn of(repository: GitRepository) -> Result<Self> {
        Ok(Self {
            url: format!("file://{}", repository.path().display()),
            repository,
            contents: Arc::default(),
            home: tempfile::tempdir()?,
            server: None,
        })
    }

    /// Has a repository that is elsewhere: at this address.
    pub(crate) fn at(repository: GitRepository, url: String) -> Result<Self> {
        Ok(Self {
            url,
            ..Self::of(repository)?
        })
    }

    /// Sets something in the user's own configuration of Git.
    pub(crate) fn configure(&self, text: &str) -> Result<()> {
        put(&self.home.path().join(".gitconfig"), text)
    }

    /// Commits to the default branch.
    pub(crate) fn commit(&self, changes: &[(&str, Node<'_>)]) -> Result<String> {
        self.repository.commit("main", changes)
    }

    /// Returns a side of the default branch.
    pub(crate) fn side(&self) -> Result<GitSide> {
        self.side_with(|_| {})
    }

    /// Returns a side that trusts a CA.
    pub(crate) fn trusting(&self, ca_file: &std::path::Path) -> Result<GitSide> {
        let ca_file = Some(ca_file.to_owned());
        self.build(
            ClientOptions {
                ca_file,
                proxies: false,
                ..ClientOptions::default()
            },
            |_| {},
        )
    }

    /// Returns a side that has its mirror together with others, and other options.
    pub(crate) fn sharing(
        &self,
        mirrors: &Mirrors,
        change: impl FnOnce(&mut GitOptions),
    ) -> Result<GitSide> {
        let client = ClientOptions {
            proxies: false,
            ..ClientOptions::default()
        };
        self.build_on(mirrors.clone(), client, change)
    }

    /// Returns the mirrors.
    pub(crate) fn mirrors(&self) -> Mirrors {
        Mirrors::new(self.home.path().join("mirrors"))
    }

    /// Returns where the only mirror is.
    pub(crate) fn mirror(&self) -> Result<PathBuf> {
        let mut found = std::fs::read_dir(self.home.path().join("mirrors"))?;
        let only = found.next().context("there is a mirror")??.path();
        anyhow::ensure!(found.next().is_none(), "there are others");
        Ok(only)
    }

    /// Returns which mirror that is: another one in its place has another number.
    pub(crate) fn mirror_number(&self) -> Result<u64> {
        Ok(std::fs::metadata(self.mirror()?.join("homing-mirror"))?.ino())
    }

    /// Returns the names of the packs, and of what is no pack yet.
    pub(crate) fn packs(&self) -> Result<Vec<String>> {
        let entries = std::fs::read_dir(self.mirror()?.join("objects/pack"))?;
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            Ok(entry?.file_name().to_string_lossy().into_owned())
        };
        entries.map(name).collect()
    }

    /// Returns a side that asks with a client of these options.
    pub(crate) fn side_of_client(&self, client: ClientOptions) -> Result<GitSide> {
        self.build(client, |_| {})
    }

    /// Returns a side with other options.
    pub(crate) fn side_with(&self, change: impl FnOnce(&mut GitOptions)) -> Result<GitSide> {
        let client = ClientOptions {
            proxies: false,
            ..ClientOptions::default()
        };
        self.build(client, change)
    }

    fn build(
        &self,
        client: ClientOptions,
        change: impl FnOnce(&mut GitOptions),
    ) -> Result<GitSide> {
        self.build_on(self.mirrors(), client, change)
    }

    fn build_on(
        &self,
        mirrors: Mirrors,
        client: ClientOptions,
        change: impl FnOnce(&mut GitOptions),
    ) -> Result<GitSide> {
        let path = std::env::var_os("PATH").context("there is a PATH")?;
        let home = self.home.path();
        let mut options = GitOptions {
            address: Address::parse(&self.url)?,
            reference: None,
            path: None,
            include: Vec::new(),
            exclude: Vec::new(),
            submodules: false,
            limits: Limits::default(),
            login: None,
            ca_file: client.ca_file.clone(),
            trust: None,
            environment: vec![("PATH".into(), path), ("HOME".into(), home.into())],
            connections: SshConnections::new(&home.join("ssh")),
        };
        change(&mut options);
        let client = Client::new(client)?;
        Ok(GitSide::new(client, mirrors, options)?)
    }

    /// Lists, knowing nothing.
    pub(crate) async fn list(&self, side: &GitSide) -> Result<Listed, SideError> {
        self.ask(side, None, None).await?.whole()
    }

    /// Lists, knowing what was listed before; the revision only with `since`.
    pub(crate) async fn ask(
        &self,
        side: &GitSide,
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

    /// Returns the requests that the server answered since the last call: `STATUS PATH`.
    pub(crate) fn requests(&self) -> Result<Vec<String>> {
        let server = self.server.as_ref().context("it is served over HTTP")?;
        let one = |request: testkit::Logged| {
            let path = request.path.replace("/git/agents.git", "");
            format!("{} {path}", request.status)
        };
        Ok(server.requests()?.into_iter().map(one).collect())
    }

    /// Returns the paths of a listing with their bytes.
    pub(crate) fn files(&self, manifest: &Manifest) -> BTreeMap<String, String> {
        let text = |key: &ItemKey, item: &homing_core::Item| {
            let bytes = self.contents.get(&item.hash).expect("it was brought");
            (
                key.to_string(),
                String::from_utf8_lossy(&bytes).into_owned(),
            )
        };
        let items = manifest.items.iter();
        items.map(|(key, item)| text(key, item)).collect()
    }
}
