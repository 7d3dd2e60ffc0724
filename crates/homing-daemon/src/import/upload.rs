//! What a client sends: a tar stream, spooled and looked at entry by entry, never unpacked by its own names.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::Body;
use futures_util::StreamExt;
use homing_api::{Problem, ProblemKind, import};
use tar::{Archive, Entry, EntryType};
use tempfile::TempDir;
use tokio::time::timeout;

/// How the name of the directory begins that an upload is kept in.
const PREFIX: &str = ".import-";
/// Bytes of an upload. Far more than any cache of agents has.
const MOST_BYTES: u64 = 2 << 30;
/// How long a client may keep quiet.
const QUIET: Duration = Duration::from_secs(30);
const MOST_FILES: usize = 200_000;
/// Files that may be sent for one entry.
const MOST_CANDIDATES: usize = 8;
const MOST_DOCUMENT_BYTES: u64 = 256 << 20;
const MOST_LIST_BYTES: u64 = 1 << 20;
const MOST_ETAG_BYTES: u64 = 16 << 20;
const MOST_FILE_BYTES: u64 = 64 << 20;

/// An upload that was looked at. Its files go with it.
#[derive(Debug)]
pub(crate) struct Upload {
    directory: TempDir,
    /// The list of agents' sources.
    pub(super) agent_sources: Option<String>,
    /// The list of skills' sources.
    pub(super) skill_sources: Option<String>,
    /// `ETag` caches that lie beside a database.
    pub(super) etags: Vec<String>,
    /// Cached files, by what the document's entry is called.
    pub(super) files: BTreeMap<String, Vec<PathBuf>>,
}

impl Upload {
    /// Returns where the document is, with its write-ahead log beside it.
    pub(super) fn document(&self) -> PathBuf {
        self.directory.path().join(import::DOCUMENT)
    }

    /// Writes a body into a directory of its own in `data_dir`, and looks at it.
    pub(crate) async fn receive(body: Body, data_dir: &Path) -> Result<Self, Box<Problem>> {
        let place = data_dir.to_owned();
        let directory = blocking(move || {
            remove_leftovers(&place);
            let directory = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&place)?;
            let file = File::create_new(directory.path().join("upload"))?;
            Ok((directory, file))
        });
        let (directory, file) = directory.await.map_err(|error| storage(&error))?;
        spool(body, file).await?;
        let examined = blocking(move || Ok(examine(directory)));
        examined.await.map_err(|error| storage(&error))?
    }
}

/// Removes what a killed homingd left behind. One import at a time is under way, and this is it.
fn remove_leftovers(data_dir: &Path) {
    let entries = fs::read_dir(data_dir).into_iter().flatten();
    for entry in entries.filter_map(Result::ok) {
        if entry.file_name().to_string_lossy().starts_with(PREFIX)
            && let Err(error) = fs::remove_dir_all(entry.path())
        {
            tracing::warn!(%error, "what an earlier import left could not be removed");
        }
    }
}

async fn spool(body: Body, file: File) -> Result<(), Box<Problem>> {
    let mut stream = body.into_data_stream();
    let mut file = Some(file);
    let mut bytes = 0;
    loop {
        let chunk = match timeout(QUIET, stream.next()).await {
            Err(_elapsed) => return Err(bad("the body did not come in time")),
            Ok(None) => return Ok(()),
            Ok(Some(Err(error))) => {
                return Err(bad(&format!("the body could not be read: {error}")));
            }
            Ok(Some(Ok(chunk))) => chunk,
        };
        bytes += chunk.len() as u64;
        if bytes > MOST_BYTES {
            let detail = format!("the body is larger than {MOST_BYTES} bytes");
            return Err(Box::new(Problem::new(ProblemKind::TooLarge, detail)));
        }
        let Some(mut open) = file.take() else {
            return Ok(());
        };
        let written = blocking(move || {
            open.write_all(&chunk)?;
            Ok(open)
        });
        file = Some(written.await.map_err(|error| storage(&error))?);
    }
}

fn examine(directory: TempDir) -> Result<Upload, Box<Problem>> {
    let tar = directory.path().join("upload");
    let file = File::open(&tar).map_err(|error| storage(&error))?;
    let mut upload = Upload {
        directory,
        agent_sources: None,
        skill_sources: None,
        etags: Vec::new(),
        files: BTreeMap::new(),
    };
    let mut archive = Archive::new(BufReader::new(file));
    let mut entries = archive.entries().map_err(|error| unreadable(&error))?;
    let first = entries.next().ok_or_else(|| bad("the body is empty"))?;
    let mut first = first.map_err(|error| unreadable(&error))?;
    if name_of(&first)? != import::DOCUMENT {
        return Err(bad(&format!(
            "it does not begin with `{}`",
            import::DOCUMENT
        )));
    }
    let document = upload.document();
    copy(&mut first, &document, MOST_DOCUMENT_BYTES, import::DOCUMENT)?;
    for (at, entry) in entries.enumerate() {
        let mut entry = entry.map_err(|error| unreadable(&error))?;
        let name = name_of(&entry)?;
        if at >= MOST_FILES {
            return Err(bad(&format!("it has more than {MOST_FILES} files")));
        }
        match name.as_str() {
            import::WAL => {
                // Where SQLite looks for it.
                let beside = upload.directory.path().join(import::WAL);
                copy(&mut entry, &beside, MOST_DOCUMENT_BYTES, &name)?;
            }
            import::AGENT_SOURCES => {
                upload.agent_sources = Some(text(&mut entry, &name, MOST_LIST_BYTES)?);
            }
            import::SKILL_SOURCES => {
                upload.skill_sources = Some(text(&mut entry, &name, MOST_LIST_BYTES)?);
            }
            import::ETAGS if upload.etags.len() < MOST_CANDIDATES => {
                upload.etags.push(text(&mut entry, &name, MOST_ETAG_BYTES)?);
            }
            _ => {
                let id = name.strip_prefix(import::FILES).filter(|id| is_id(id));
                let id = id.ok_or_else(|| unknown(&name))?;
                let files = upload.files.entry(id.to_owned()).or_default();
                if files.len() >= MOST_CANDIDATES {
                    return Err(bad(&format!("it has too many files for `{id}`")));
                }
                let place = upload.directory.path().join(at.to_string());
                let modified = entry.header().mtime().unwrap_or(0);
                copy(&mut entry, &place, MOST_FILE_BYTES, &name)?;
                keep_time(&place, modified).map_err(|error| storage(&error))?;
                files.push(place);
            }
        }
    }
    fs::remove_file(&tar).map_err(|error| storage(&error))?;
    Ok(upload)
}

fn is_id(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn name_of<R: Read>(entry: &Entry<'_, R>) -> Result<String, Box<Problem>> {
    let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
    if entry.header().entry_type() != EntryType::Regular {
        let name = homing_core::shown(name.as_bytes());
        return Err(bad(&format!("`{name}` is no file")));
    }
    Ok(name)
}

fn unknown(name: &str) -> Box<Problem> {
    let name = homing_core::shown(name.as_bytes());
    bad(&format!("`{name}` is nothing that an import has"))
}

fn text(entry: &mut impl Read, name: &str, most: u64) -> Result<String, Box<Problem>> {
    let mut text = String::new();
    let mut limited = entry.take(most + 1);
    match limited.read_to_string(&mut text) {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => {
            Err(bad(&format!("`{name}` is not UTF-8")))
        }
        Err(error) => Err(unreadable(&error)),
        Ok(_) if limited.limit() == 0 => Err(too_large(name, most)),
        Ok(_) => Ok(text),
    }
}

fn copy(entry: &mut impl Read, to: &Path, most: u64, name: &str) -> Result<(), Box<Problem>> {
    let mut file = match File::create_new(to) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            return Err(bad(&format!("it has `{name}` twice")));
        }
        created => created.map_err(|error| storage(&error))?,
    };
    let mut limited = entry.take(most + 1);
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let count = match limited.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) => return Err(unreadable(&error)),
        };
        file.write_all(&buffer[..count])
            .map_err(|error| storage(&error))?;
    }
    if limited.limit() == 0 {
        return Err(too_large(name, most));
    }
    Ok(())
}

/// Gives a copy the time of what was sent. Where none was told it stays as new as it is, and counts as changed.
fn keep_time(copy: &Path, seconds: u64) -> io::Result<()> {
    let told = UNIX_EPOCH.checked_add(Duration::from_secs(seconds));
    match told.filter(|_| seconds > 0) {
        Some(time) => File::options().write(true).open(copy)?.set_modified(time),
        None => Ok(()),
    }
}

fn too_large(name: &str, most: u64) -> Box<Problem> {
    let name = homing_core::shown(name.as_bytes());
    let detail = format!("`{name}` is larger than {most} bytes");
    Box::new(Problem::new(ProblemKind::TooLarge, detail))
}

fn bad(what: &str) -> Box<Problem> {
    let detail = format!("this is no upload for an import: {what}");
    Box::new(Problem::new(ProblemKind::BadRequest, detail))
}

fn unreadable(error: &io::Error) -> Box<Problem> {
    bad(&error.to_string())
}

fn storage(error: &io::Error) -> Box<Problem> {
    let problem = Problem::new(ProblemKind::Storage, "the upload could not be kept");
    Box::new(
        problem
            .with_causes(vec![error.to_string()])
            .with_hint("see whether the data directory may be written and has room"),
    )
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

#[cfg(test)]
mod tests {
    use tar::{Builder, Header};

    use super::*;

    fn tar(entries: &[(&str, EntryType, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (name, kind, bytes) in entries {
            let mut header = Header::new_gnu();
            header.set_size(bytes.len() as u64);
            header.set_mode(0o644);
            header.set_entry_type(*kind);
            // As whoever means harm would: the builder refuses such names.
            let place = &mut header.as_gnu_mut().unwrap().name;
            place[..name.len()].copy_from_slice(name.as_bytes());
            header.set_cksum();
            builder.append(&header, *bytes).unwrap();
        }
        builder.into_inner().unwrap()
    }

    async fn receive(bytes: Vec<u8>) -> (TempDir, Result<Upload, Box<Problem>>) {
        let data_dir = tempfile::tempdir().unwrap();
        let upload = Upload::receive(Body::from(bytes), data_dir.path()).await;
        (data_dir, upload)
    }

    const ID: &str = "files/0123456789abcdef0123456789abcdef";

    #[tokio::test]
    async fn an_upload_is_kept_by_names_of_our_own() {
        let regular = EntryType::Regular;
        let bytes = tar(&[
            ("document", regular, b"{}"),
            ("skill_sources.yaml", regular, b"sources: []"),
            (ID, regular, b"one"),
            (ID, regular, b"two"),
        ]);
        let (data_dir, upload) = receive(bytes).await;
        let upload = upload.unwrap();
        assert_eq!(fs::read(upload.document()).unwrap(), b"{}");
        assert_eq!(upload.skill_sources.as_deref(), Some("sources: []"));
        let files = &upload.files[&ID[6..]];
        assert_eq!(fs::read(&files[1]).unwrap(), b"two");
        drop(upload);
        assert_eq!(fs::read_dir(data_dir.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn hostile_uploads_are_refused_by_name_and_leave_nothing() {
        let (regular, link) = (EntryType::Regular, EntryType::Symlink);
        let document: (&str, EntryType, &[u8]) = ("document", regular, b"{}");
        for (bytes, told) in [
            (Vec::new(), "empty"),
            (b"not a tar".to_vec(), "no upload"),
            (tar(&[(ID, regular, b"x")]), "begin with `document`"),
            (tar(&[("document", link, b"")]), "`document` is no file"),
            (tar(&[document, document]), "`document` is nothing"),
            (
                tar(&[document, ("files/../../evil", regular, b"x")]),
                "`files/../../evil`",
            ),
            (
                tar(&[document, ("/etc/passwd", regular, b"x")]),
                "`/etc/passwd`",
            ),
            (tar(&[document, (ID, link, b"")]), "is no file"),
            (
                tar(&[
                    document,
                    ("document-wal", regular, b"x"),
                    ("document-wal", regular, b"x"),
                ]),
                "twice",
            ),
            (
                tar(&[document, ("skill_sources.yaml", regular, b"\xff")]),
                "not UTF-8",
            ),
            (
                tar(&[
                    document,
                    ("agent_sources.yaml", regular, &vec![b'x'; (1 << 20) + 1]),
                ]),
                "larger than",
            ),
            (
                tar(&[document, (ID, regular, b"whole")])[..1200].to_vec(),
                "no upload",
            ),
        ] {
            let (data_dir, upload) = receive(bytes).await;
            let problem = upload.unwrap_err();
            assert!(problem.detail.contains(told), "{told}: {}", problem.detail);
            assert_eq!(fs::read_dir(data_dir.path()).unwrap().count(), 0, "{told}");
        }
    }
}
