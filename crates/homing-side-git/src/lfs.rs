//! Contents that lie beside the repository (Git LFS), fetched by `git-lfs` where it is there.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use homing_core::{
    ContentHash, Contents, Item, ItemKey, ListRequest, Manifest, ProblemKind, Progress, Revision,
    SideError, UnknownReason,
};
use homing_process::Most;
use homing_remote::{Gathering, git_id};

use crate::GitSide;
use crate::errors;
use crate::git::{Git, Question};
use crate::inventory;
use crate::mirror::{Mirror, blocking, patiently};
use crate::modules::Module;
use crate::remote::Remote;

/// Where `git-lfs` puts what it fetches, in the mirror.
const FETCHED: &str = "lfs";
/// The program that fetches it.
const PROGRAM: &str = "git-lfs";
/// What is noted of a revision of which pointers were left where they are, for there was no program that fetches them.
const WITHOUT: &str = "without git-lfs";
/// A file that `git-lfs` writes for itself may be so long, and all of those together.
const SLACK: u64 = 1 << 20;
/// How often it is looked at how much there is.
const GLANCE: Duration = Duration::from_millis(100);
/// What a repository, or a user's own habits, may not change of a fetch.
const SETTINGS: &[&str] = &[
    "lfs.fetchinclude=",
    "lfs.fetchexclude=",
    "lfs.fetchrecentalways=false",
    "lfs.skipdownloaderrors=false",
    // Whoever runs this comes again by itself.
    "lfs.transfer.maxretries=1",
    "lfs.transfer.maxretrydelay=0",
];
/// The commit that names what is fetched is seen by nobody.
const NOBODY: [(&str, &str); 4] = [
    ("GIT_AUTHOR_NAME", "homing"),
    ("GIT_AUTHOR_EMAIL", "homing"),
    ("GIT_COMMITTER_NAME", "homing"),
    ("GIT_COMMITTER_EMAIL", "homing"),
];

/// What a pointer says: the content's hash and how long it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pointer {
    pub(crate) hash: ContentHash,
    pub(crate) size: u64,
}

/// A blob that is a pointer, and where it is: the keys, and whether each may be executed there.
pub(crate) type Pointed = (String, Vec<(ItemKey, bool)>, Option<Pointer>);

/// What was fetched, by the pointers' blobs; and why the rest was not.
type Fetched = (HashMap<String, Pointer>, Option<SideError>);

impl Pointer {
    /// Reads a pointer's text; `None` of one that cannot be followed.
    pub(crate) fn read(text: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(text).ok()?;
        let value = |key: &str| text.lines().find_map(|line| line.strip_prefix(key));
        Some(Self {
            hash: value("oid sha256:")?.parse().ok()?,
            size: value("size ")?.parse().ok()?,
        })
    }
}

impl GitSide {
    /// Takes in what pointers name; returns why some of it could not be had.
    pub(crate) async fn take_in_pointed(
        &self,
        module: &Module,
        pointed: Vec<Pointed>,
        gathering: &mut Gathering<'_>,
        request: &ListRequest,
    ) -> Result<Option<SideError>, SideError> {
        let progress = &request.progress;
        if pointed.is_empty() {
            return Ok(None);
        }
        let has_lfs = self.has_lfs(progress).await?;
        let (mut wanted, mut wanted_places) = (Vec::new(), Vec::new());
        for (id, places, pointer) in pointed {
            let Some(pointer) = pointer.filter(|_| has_lfs) else {
                for (key, _) in places {
                    gathering.cannot_tell(&key, ProblemKind::Link, UnknownReason::Pointer);
                }
                continue;
            };
            let mut fitting = Vec::new();
            for (key, executable) in places {
                if gathering.fits(&key, pointer.size) {
                    gathering.count(pointer.size)?;
                    fitting.push((key, executable));
                }
            }
            if !fitting.is_empty() {
                wanted.push((id, pointer));
                wanted_places.push(fitting);
            }
        }
        let contents = request.intake.contents();
        let place = (&*module.mirror, &*module.remote);
        let (fetched, failure) = self
            .fetch_pointed(place, &wanted, contents, progress)
            .await?;
        for ((id, _), places) in wanted.iter().zip(wanted_places) {
            for (key, executable) in places {
                if let Some(Pointer { hash, size }) = fetched.get(id).copied() {
                    let identity = Some(git_id::identity(id));
                    let item = Item {
                        hash,
                        size,
                        executable,
                        identity,
                    };
                    gathering.present(key, item);
                } else {
                    let why = failure.as_ref().map(ToString::to_string);
                    let why = format!("Git LFS: {}", why.unwrap_or_default());
                    gathering.not_fetched(&key, why);
                }
            }
        }
        Ok(failure)
    }

    /// Fetches what pointers name, each verified by its hash. An error is one of this machine.
    pub(crate) async fn fetch_pointed(
        &self,
        (mirror, remote): (&Mirror, &Remote),
        wanted: &[(String, Pointer)],
        contents: &Arc<dyn Contents>,
        progress: &Progress,
    ) -> Result<Fetched, SideError> {
        if wanted.is_empty() {
            return Ok(Fetched::default());
        }
        // What is fetched lies in one place of the mirror, and goes when it was taken.
        let _turn = patiently(progress, mirror.turn()).await;
        let place = mirror.path().join(FETCHED);
        let clear = || {
            let place = place.clone();
            blocking(move || match fs::remove_dir_all(place) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            })
        };
        clear().await?;
        let ended = self.fetch_into(mirror, remote, wanted, progress).await;
        let (wanted, contents) = (wanted.to_vec(), Arc::clone(contents));
        let taken = blocking({
            let place = place.clone();
            move || Ok(take(&place, &wanted, &*contents))
        });
        let taken = taken.await?;
        clear().await?;
        let (fetched, lost) = taken?;
        match ended {
            Err(error @ (SideError::Cancelled | SideError::Storage { .. })) => Err(error),
            Err(error) => Ok((fetched, Some(error))),
            Ok(()) => Ok((fetched, lost)),
        }
    }

    /// Has `git-lfs` fetch what pointers name: all in one turn, for a commit that has them and nothing else.
    async fn fetch_into(
        &self,
        mirror: &Mirror,
        remote: &Remote,
        wanted: &[(String, Pointer)],
        progress: &Progress,
    ) -> Result<(), SideError> {
        let line = |(number, (id, _)): (usize, &(String, Pointer))| {
            format!("100644 blob {id}\t{number:08}\n")
        };
        let lines: String = wanted.iter().enumerate().map(line).collect();
        let tree = self
            .made(mirror, &["mktree"], lines.into_bytes(), progress)
            .await?;
        let arguments = ["commit-tree", &tree, "-m", "wanted"];
        let commit = self.made(mirror, &arguments, Vec::new(), progress).await?;
        let address = remote.address(progress).await?;
        let mut command = remote.command(Some(mirror.path()), progress).await?;
        for setting in SETTINGS {
            command.args(["-c", setting]);
        }
        // How far it is is told even where nobody looks: so it shows that it moves.
        command.env("GIT_LFS_FORCE_PROGRESS", "1");
        let url = format!("remote.origin.url={}", address.as_str());
        command.args(["-c", &url, "lfs", "fetch", "origin", &commit]);
        progress.count_request();
        let mut talk = Git::begin(command, progress)?;
        // Its end is told by its status, and then there is nothing to hold.
        talk.limit(most(wanted)).unwrap_or_default();
        let said = talk.output();
        let moves = progress.clone();
        let hearing = tokio::task::spawn_blocking(move || {
            let (Some(mut said), mut bytes) = (said, [0; 4096]) else {
                return;
            };
            while said.read(&mut bytes).is_ok_and(|read| read > 0) {
                moves.advance(0);
            }
        });
        tokio::select! {
            heard = hearing => heard.map_err(|_ended| SideError::Cancelled)?,
            // It is ended with the talk.
            error = overflow(mirror, wanted) => return Err(error?),
        }
        let ended = talk.end().await.map_err(|error| SideError::Storage {
            message: format!("`git lfs` cannot be heard: {error}"),
            source: Some(Box::new(error)),
        })?;
        if ended.status.success() {
            return Ok(());
        }
        if ended.complaints.contains("file too large") {
            return Err(too_much());
        }
        let doing = format!("fetching large files (Git LFS) from `{address}`");
        Err(errors::of_git(&doing, &ended))
    }

    /// Returns the id of an object that Git makes in a mirror.
    async fn made(
        &self,
        mirror: &Mirror,
        arguments: &[&str],
        input: Vec<u8>,
        progress: &Progress,
    ) -> Result<String, SideError> {
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let question = Question {
            arguments: &arguments,
            input,
            most: 1024,
        };
        let mut command = mirror.reading(&self.git);
        command.envs(NOBODY);
        let (answer, ended) = Git::ask(command, question, progress).await?;
        if ended.status.success() {
            return Ok(String::from_utf8_lossy(&answer).trim().to_owned());
        }
        Err(errors::of_git("naming large files (Git LFS)", &ended))
    }

    /// Returns what is noted of a revision whose pointers were left where they are, for want of `git-lfs`.
    pub(crate) fn without_lfs(&self, manifest: &Manifest) -> Option<String> {
        let mut unknown = manifest.unknown.values();
        let has_pointers = unknown.any(|reason| *reason == UnknownReason::Pointer);
        (has_pointers && !self.git.finds(PROGRAM)).then(|| WITHOUT.to_owned())
    }

    /// Tells whether what was left where it is could be fetched by now.
    pub(crate) fn has_lfs_come(&self, since: &Revision) -> bool {
        since.validator.as_deref() == Some(WITHOUT) && self.git.finds(PROGRAM)
    }

    async fn has_lfs(&self, progress: &Progress) -> Result<bool, SideError> {
        let question = Question {
            arguments: &["lfs", "version"].map(OsStr::new),
            input: Vec::new(),
            most: 1024,
        };
        let (_, ended) = Git::ask(self.git.command(None), question, progress).await?;
        Ok(ended.status.success())
    }
}

/// Returns what `git-lfs` may take: no file is longer than what its pointer says.
fn most(wanted: &[(String, Pointer)]) -> Most {
    let longest = wanted.iter().map(|(_, pointer)| pointer.size).max();
    Most {
        file: longest.unwrap_or_default().saturating_add(SLACK),
        memory: u64::MAX,
    }
}

/// Waits until more was fetched than all pointers together say.
async fn overflow(mirror: &Mirror, wanted: &[(String, Pointer)]) -> Result<SideError, SideError> {
    let sizes = wanted.iter().map(|(_, pointer)| pointer.size);
    let all = sizes.fold(SLACK, u64::saturating_add);
    loop {
        tokio::time::sleep(GLANCE).await;
        let place = mirror.path().join(FETCHED);
        if blocking(move || inventory::bytes(&place)).await? > all {
            return Ok(too_much());
        }
    }
}

fn too_much() -> SideError {
    SideError::Untrusted {
        message: "the server sends more than the pointers say".to_owned(),
    }
}

/// Keeps what was fetched and is what its pointer says; returns why something is not.
fn take(
    place: &Path,
    wanted: &[(String, Pointer)],
    contents: &dyn Contents,
) -> Result<Fetched, SideError> {
    let (mut fetched, mut lost) = (HashMap::new(), None);
    for (id, pointer) in wanted {
        let name = pointer.hash.to_string();
        let path = place
            .join("objects")
            .join(&name[..2])
            .join(&name[2..4])
            .join(&name);
        let file = File::open(&path).ok();
        let file = file.filter(|file| file.metadata().is_ok_and(|data| data.len() == pointer.size));
        let kept = match file {
            Some(mut file) => Some(contents.keep(&mut file, pointer.size)?),
            None => None,
        };
        if kept == Some((pointer.hash, pointer.size)) {
            fetched.insert(id.clone(), *pointer);
        } else {
            lost = Some(SideError::Transient {
                message: format!("the server does not have what the pointer to {name} names"),
                retry_after: None,
                source: None,
            });
        }
    }
    contents.flush()?;
    Ok((fetched, lost))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pointer_is_followed_only_where_it_says_what_it_names() {
        let begin = "version https://git-lfs.github.com/spec/v1\n";
        let oid = "a".repeat(64);
        let read = |rest: &str| Pointer::read(format!("{begin}{rest}").as_bytes());
        let pointer = read(&format!("ext-0-x sha256:1\noid sha256:{oid}\nsize 12\n")).unwrap();
        assert_eq!((pointer.hash.to_string(), pointer.size), (oid.clone(), 12));
        for rest in [
            String::new(),
            format!("oid sha256:{oid}\n"),
            format!("oid sha512:{oid}\nsize 12\n"),
            format!("oid sha256:{oid}\nsize -1\n"),
            "oid sha256:../../../etc/passwd\nsize 1\n".to_owned(),
        ] {
            assert_eq!(read(&rest), None, "{rest}");
        }
    }
}
