//! What the tests of a directory share.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each test binary uses its own part, and helpers of tests panic like tests"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use homing_core::{
    Change, ContentHash, Interrupted, ItemKey, ListRequest, Manifest, Operation, Outcome, Problem,
    ProblemKind, Progress, Recovered, RunId, Scope, Side, SideError, Version,
};
use homing_side_dir::{DirOptions, DirSide};
use tempfile::TempDir;
use testkit::MemoryContents;

/// A directory, the side on it, and contents.
pub(crate) struct Bench {
    pub(crate) directory: TempDir,
    pub(crate) side: DirSide,
    pub(crate) contents: Arc<MemoryContents>,
}

impl Bench {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut DirOptions)) -> Self {
        let directory = scratch();
        let root = directory.path().join("root");
        fs::create_dir(&root).unwrap();
        let mut options = DirOptions {
            root,
            ..DirOptions::default()
        };
        change(&mut options);
        Self {
            directory,
            side: DirSide::new(options).unwrap(),
            contents: Arc::default(),
        }
    }

    pub(crate) fn root(&self) -> PathBuf {
        self.side.root().to_owned()
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.root().join(path)
    }

    pub(crate) fn put(&self, path: &str, bytes: &[u8]) {
        put(&self.path(path), bytes);
    }

    pub(crate) async fn list(&self, scope: Scope) -> Result<Manifest, SideError> {
        let listing = self.side.list(ListRequest::new(scope)).await?;
        Ok(listing.whole()?.manifest)
    }

    pub(crate) async fn whole(&self) -> Manifest {
        self.list(Scope::Whole).await.unwrap()
    }

    pub(crate) async fn keys(&self, paths: &[&str]) -> Manifest {
        self.list(Scope::Keys(paths.iter().map(|path| key(path)).collect()))
            .await
            .unwrap()
    }

    pub(crate) fn write(
        &self,
        number: usize,
        path: &str,
        bytes: &[u8],
        expected: Option<&[u8]>,
    ) -> Operation {
        self.contents.add(bytes);
        Operation {
            key: key(path),
            change: Change::Write {
                version: version(bytes),
                size: bytes.len() as u64,
            },
            expected: expected.map(version),
            temporary: Operation::temporary_name(RunId(1), number),
        }
    }

    pub(crate) fn delete(&self, number: usize, path: &str, expected: &[u8]) -> Operation {
        self.contents.add(expected);
        Operation {
            key: key(path),
            change: Change::Delete,
            expected: Some(version(expected)),
            temporary: Operation::temporary_name(RunId(1), number),
        }
    }

    pub(crate) async fn apply(&self, operations: Vec<Operation>) -> Vec<Outcome> {
        self.side
            .apply(operations, self.contents.clone(), Progress::default())
            .await
    }

    pub(crate) async fn apply_one(&self, operation: Operation) -> Outcome {
        self.apply(vec![operation]).await.pop().unwrap()
    }

    pub(crate) async fn recover(
        &self,
        operations: &[Operation],
        power_lost: bool,
    ) -> Vec<Recovered> {
        let interrupted = operations
            .iter()
            .map(|operation| Interrupted {
                operation: operation.clone(),
                power_lost,
            })
            .collect();
        self.side
            .recover(interrupted, self.contents.clone())
            .await
            .unwrap()
    }

    /// Returns every file below the root by its path.
    pub(crate) fn files(&self) -> BTreeMap<String, Vec<u8>> {
        let mut files = BTreeMap::new();
        gather(&self.root(), &self.root(), &mut files);
        files
    }

    pub(crate) fn expect(&self, expected: &[(&str, &[u8])]) {
        let wanted: BTreeMap<String, Vec<u8>> = expected
            .iter()
            .map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec()))
            .collect();
        assert_eq!(self.files(), wanted);
    }
}

fn gather(root: &Path, directory: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.symlink_metadata().unwrap().is_dir() {
            gather(root, &path, files);
        } else if path.symlink_metadata().unwrap().is_file() {
            let name = path
                .strip_prefix(root)
                .unwrap()
                .to_string_lossy()
                .into_owned();
            files.insert(name, fs::read(&path).unwrap());
        }
    }
}

/// Makes a directory in memory where there is such a place: what is tested here needs no disk, and syncing one takes long.
pub(crate) fn scratch() -> TempDir {
    tempfile::tempdir_in("/dev/shm")
        .or_else(|_| tempfile::tempdir())
        .unwrap()
}

/// Writes in place, as simple editors do.
pub(crate) fn put(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::File::create(path).unwrap().write_all(bytes).unwrap();
}

/// Writes beside and renames, as careful editors do.
pub(crate) fn save(path: &Path, bytes: &[u8]) {
    let beside = path.with_extension("swp");
    put(&beside, bytes);
    fs::rename(beside, path).unwrap();
}

pub(crate) fn mode(path: &Path) -> u32 {
    fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

pub(crate) fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

pub(crate) fn key(path: &str) -> ItemKey {
    ItemKey::new(path).unwrap()
}

pub(crate) fn version(bytes: &[u8]) -> Version {
    Version {
        hash: ContentHash::of(bytes),
        executable: false,
    }
}

pub(crate) fn paths(manifest: &Manifest) -> Vec<&str> {
    manifest.items.keys().map(ItemKey::as_str).collect()
}

pub(crate) fn problems(manifest: &Manifest) -> Vec<(ProblemKind, &str)> {
    manifest
        .problems
        .iter()
        .map(|Problem { kind, path, .. }| (*kind, path.as_str()))
        .collect()
}

/// Runs `action` once, at the fail point.
pub(crate) fn once_at(point: &str, action: impl Fn() + Send + Sync + 'static) {
    let done = std::sync::atomic::AtomicBool::new(false);
    fail::cfg_callback(point, move || {
        if !done.swap(true, std::sync::atomic::Ordering::SeqCst) {
            action();
        }
    })
    .unwrap();
}

pub(crate) fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

pub(crate) use testkit::skipped;

/// A tmpfs of `size` at a directory of its own, unmounted when dropped; `None` where that is not allowed.
pub(crate) struct Mount(PathBuf);

impl Mount {
    pub(crate) fn tmpfs(path: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let done = std::process::Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path)
            .output();
        if done.is_ok_and(|output| output.status.success()) {
            return Some(Self(path.to_owned()));
        }
        skipped("mounting a tmpfs needs root");
        None
    }

    /// An ext4 at `path` whose directory `folded` takes names that differ in case for one.
    pub(crate) fn case_folding(path: &Path, image: &Path) -> Option<Self> {
        let run = |program: &str, arguments: &[&std::ffi::OsStr]| {
            let done = std::process::Command::new(program).args(arguments).output();
            done.is_ok_and(|output| output.status.success())
        };
        fs::create_dir_all(path).unwrap();
        fs::File::create(image).unwrap().set_len(8 << 20).unwrap();
        let made = run(
            "mkfs.ext4",
            &[
                "-q".as_ref(),
                "-O".as_ref(),
                "casefold".as_ref(),
                image.as_ref(),
            ],
        );
        if made
            && run(
                "mount",
                &[
                    "-o".as_ref(),
                    "loop".as_ref(),
                    image.as_ref(),
                    path.as_ref(),
                ],
            )
        {
            let mount = Self(path.to_owned());
            let folded = path.join("folded");
            fs::create_dir(&folded).unwrap();
            if run("chattr", &["+F".as_ref(), folded.as_ref()]) {
                return Some(mount);
            }
        }
        skipped("an ext4 that folds case needs root, e2fsprogs and a kernel with CONFIG_UNICODE");
        None
    }

    pub(crate) fn remount(&self, options: &str) {
        let remount = format!("remount,{options}");
        let status = std::process::Command::new("mount")
            .args(["-o", &remount])
            .arg(&self.0)
            .status()
            .unwrap();
        assert!(status.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        std::process::Command::new("umount")
            .arg("-l")
            .arg(&self.0)
            .status()
            .ok();
    }
}
