//! What is sent: the document as it was at one moment, the lists of sources, the cached files.

use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use homing_api::{Problem, ProblemKind, import};
use tar::{Builder, Header};

use super::Kind;
use super::found::Lists;
use crate::error::CliError;

/// homingd takes no larger document.
const MOST_BYTES: u64 = 256 << 20;
/// A document that keeps changing is tried again this often.
const TRIES: usize = 5;

/// A cache or database as it was at one moment.
pub(super) struct Document {
    bytes: File,
    log: Option<File>,
    etags: Vec<PathBuf>,
}

impl Document {
    /// Reads it; `etags` are the `ETag` caches that go with it. The error says why it is none.
    pub(super) fn read(kind: Kind, path: &Path, etags: Vec<PathBuf>) -> Result<Self, CliError> {
        let failed = |error: io::Error| unreadable(path, &error);
        let metadata = fs::metadata(path).map_err(failed)?;
        if !metadata.is_file() {
            let what = if metadata.is_dir() {
                "a directory"
            } else {
                "no file"
            };
            let detail = format!("{} is {what}", path.display());
            let hint = "name the cache or the database itself";
            return Err(Problem::new(ProblemKind::Rejected, detail)
                .with_hint(hint)
                .into());
        }
        if metadata.len() > MOST_BYTES {
            let detail = format!("{} is larger than {MOST_BYTES} bytes", path.display());
            return Err(Problem::new(ProblemKind::TooLarge, detail).into());
        }
        let beside = |suffix: &str| {
            let mut name = path.as_os_str().to_owned();
            name.push(suffix);
            (kind == Kind::AgentSyncDb).then(|| PathBuf::from(name))
        };
        let (log, journal) = (beside("-wal"), beside("-journal"));
        // Without its journal a database that is being written is neither old nor new.
        let is_half = || {
            let journal = journal.as_ref().and_then(|path| fs::metadata(path).ok());
            journal.is_some_and(|journal| journal.len() > 0)
        };
        for _ in 0..TRIES {
            if is_half() {
                continue;
            }
            let before = stamps(path, log.as_deref());
            let bytes = copy(path).map_err(failed)?;
            let log_bytes = match &log {
                Some(log) if log.exists() => Some(copy(log).map_err(failed)?),
                _ => None,
            };
            if stamps(path, log.as_deref()) == before && !is_half() {
                return Ok(Self {
                    bytes,
                    log: log_bytes,
                    etags,
                });
            }
        }
        let detail = format!(
            "{} is being written, or its writer was killed",
            path.display()
        );
        let hint =
            "end the program that writes it, or have it open the file once more, then try again";
        Err(Problem::new(ProblemKind::Busy, detail)
            .with_hint(hint)
            .into())
    }

    /// Returns a tar stream with these files, each by its id, and its length.
    pub(super) fn tar(
        &self,
        lists: &Lists,
        files: &[(String, PathBuf)],
    ) -> Result<(File, u64), CliError> {
        self.build(lists, files).map_err(|error| {
            let problem =
                Problem::new(ProblemKind::Storage, "what is cached could not be gathered");
            problem
                .with_causes(vec![error.to_string()])
                .with_hint("see whether the directory for temporary files has room")
                .into()
        })
    }

    fn build(&self, lists: &Lists, files: &[(String, PathBuf)]) -> io::Result<(File, u64)> {
        let mut tar = Builder::new(tempfile::tempfile()?);
        add(&mut tar, import::DOCUMENT, &self.bytes)?;
        if let Some(log) = &self.log {
            add(&mut tar, import::WAL, log)?;
        }
        let lists = [
            (import::AGENT_SOURCES, &lists.agents),
            (import::SKILL_SOURCES, &lists.skills),
        ];
        for (name, list) in lists {
            if let Some(file) = list.as_ref().and_then(|path| File::open(path).ok()) {
                add(&mut tar, name, &file)?;
            }
        }
        for path in &self.etags {
            if let Ok(file) = File::open(path) {
                add(&mut tar, import::ETAGS, &file)?;
            }
        }
        for (id, path) in files {
            // One that went away meanwhile, or may not be read, is fetched by the next sync.
            if let Ok(file) = File::open(path) {
                add(&mut tar, &format!("{}{id}", import::FILES), &file)?;
            }
        }
        let mut file = tar.into_inner()?;
        let bytes = file.stream_position()?;
        file.rewind()?;
        Ok((file, bytes))
    }
}

fn add(tar: &mut Builder<File>, name: &str, mut file: &File) -> io::Result<()> {
    file.rewind()?;
    let metadata = file.metadata()?;
    let size = metadata.len();
    let mut header = Header::new_gnu();
    header.set_size(size);
    // Whether a cached file was changed since it was downloaded, its time tells.
    let modified = metadata.modified().ok();
    let since = modified.and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    header.set_mtime(since.map_or(0, |since| since.as_secs()));
    header.set_mode(0o600);
    // A file that grows or shrinks meanwhile must not shift what comes after it.
    let exactly = file.take(size).chain(io::repeat(0)).take(size);
    tar.append_data(&mut header, name, exactly)
}

fn copy(path: &Path) -> io::Result<File> {
    let mut copy = tempfile::tempfile()?;
    io::copy(&mut File::open(path)?, &mut copy)?;
    copy.flush()?;
    Ok(copy)
}

type Stamp = Option<(u64, Option<SystemTime>)>;

fn stamps(path: &Path, log: Option<&Path>) -> [Stamp; 2] {
    let stamp = |metadata: Metadata| (metadata.len(), metadata.modified().ok());
    [Some(path), log].map(|path| Some(stamp(fs::metadata(path?).ok()?)))
}

fn unreadable(path: &Path, error: &io::Error) -> CliError {
    let path = path.display();
    let problem = match error.kind() {
        io::ErrorKind::NotFound => {
            let problem = Problem::new(ProblemKind::UnknownPath, format!("{path} is not there"));
            return problem
                .with_hint("leave FILE out to have claude-mpm's own places looked at")
                .into();
        }
        io::ErrorKind::PermissionDenied => {
            let problem = Problem::new(ProblemKind::Forbidden, format!("{path} may not be read"));
            problem.with_hint("run this as the user whose file it is")
        }
        _ => {
            let problem = Problem::new(ProblemKind::Storage, format!("{path} could not be read"));
            problem.with_hint("see whether its disk is in order")
        }
    };
    problem.with_causes(vec![error.to_string()]).into()
}
