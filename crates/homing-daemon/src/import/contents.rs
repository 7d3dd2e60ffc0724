//! Whether the bytes of a cached file are what was recorded of it, and what its origin calls them.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use axum::http::HeaderValue;
use gix_hash::Kind;
use homing_api::ImportOutcome;
use homing_core::{ContentHash, Identity};
use homing_remote::Validators;
use jiff::Timestamp;

use super::entries::Entry;
use super::etag_cache::CacheEntry;
use super::place::Origin;

/// Times of files are whole seconds on the way here, and every other second on some disks.
const ROUNDING: Duration = Duration::from_secs(2);

/// What was found of a cached file.
#[derive(Debug, Default)]
pub(super) struct Judged {
    /// The bytes that count, when there are any.
    pub(super) found: Option<Found>,
    /// What becomes of it, unless Homing has it already.
    pub(super) outcome: Option<ImportOutcome>,
    /// More about that.
    pub(super) detail: Option<String>,
}

/// Bytes of a cached file.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) file: PathBuf,
    pub(super) hash: ContentHash,
    pub(super) size: u64,
    pub(super) identity: Option<Identity>,
}

impl Judged {
    /// Returns what becomes of a file that is not taken over.
    pub(super) fn not(outcome: ImportOutcome, detail: impl Into<String>) -> Self {
        Self {
            found: None,
            outcome: Some(outcome),
            detail: Some(detail.into()),
        }
    }
}

/// Takes the first of the files that is what was recorded. Blocks.
pub(super) fn judge(entry: &Entry, files: &[PathBuf], max_file_size: u64) -> io::Result<Judged> {
    let mut refusal = Judged::not(ImportOutcome::Missing, "no cached file was found");
    for file in files {
        let mut bytes = Vec::new();
        let open = File::open(file)?;
        let modified = open.metadata()?.modified()?;
        let size = open
            .take(max_file_size.saturating_add(1))
            .read_to_end(&mut bytes)? as u64;
        if size > max_file_size {
            let detail = format!("it is larger than `max_file_size`, {max_file_size} bytes");
            refusal = Judged::not(ImportOutcome::Refused, detail);
            continue;
        }
        let hash = ContentHash::of(&bytes);
        if entry.hash.is_some_and(|recorded| recorded != hash) {
            let detail = "the cached file does not have the SHA-256 that was recorded";
            refusal = Judged::not(ImportOutcome::Different, detail);
            continue;
        }
        if entry.hash.is_none() && entry.size.is_some_and(|recorded| recorded != size) {
            let detail = "the cached file does not have the length that was recorded";
            refusal = Judged::not(ImportOutcome::Different, detail);
            continue;
        }
        let (identity, detail) = match identity(entry, &bytes, modified) {
            Ok(identity) => (Some(identity), None),
            Err(why) => (None, Some(why.to_owned())),
        };
        return Ok(Judged {
            outcome: Some(match identity {
                Some(_) => ImportOutcome::Taken,
                None => ImportOutcome::ContentOnly,
            }),
            detail,
            found: Some(Found {
                file: file.clone(),
                hash,
                size,
                identity,
            }),
        });
    }
    Ok(refusal)
}

/// Returns what the origin calls these bytes. The error says why nobody can tell.
fn identity(entry: &Entry, bytes: &[u8], modified: SystemTime) -> Result<Identity, &'static str> {
    match &entry.place.origin {
        // Made of the bytes, not of what was recorded: a cache that is older than its ETag is fetched anew.
        Origin::Github { .. } => {
            let mut hasher = gix_hash::hasher(Kind::Sha1);
            hasher.update(format!("blob {}\0", bytes.len()).as_bytes());
            hasher.update(bytes);
            let id = hasher.try_finalize();
            let id = id.map_err(|_collision| "its bytes were made to look like others")?;
            Ok(Identity::new(&format!("git:{id}")))
        }
        Origin::Http(_) => {
            if entry.hash.is_none() && entry.size.is_none() {
                return Err("nothing was recorded that its bytes could be compared with");
            }
            // An edit may have the same length; the server would be asked with an ETag of other bytes for ever.
            if entry.hash.is_none() && !is_as_written(entry, modified) {
                return Err("nobody can tell whether it was changed since it was downloaded");
            }
            let sendable = |text: &String| HeaderValue::from_str(text).is_ok();
            // The cache may be of another download than the database: length and time together tell.
            let beside = entry.beside.as_ref();
            let is_of_it = |cache: &&CacheEntry| {
                cache.size == Some(bytes.len() as u64) && is_of(cache.written, modified)
            };
            let beside = beside.filter(is_of_it);
            let etag = entry.etag.as_ref().or(beside.map(|cache| &cache.etag));
            let date = beside.and_then(|cache| cache.last_modified.as_ref());
            let validators = Validators {
                etag: etag.cloned().filter(sendable),
                last_modified: entry
                    .last_modified
                    .as_ref()
                    .or(date)
                    .cloned()
                    .filter(sendable),
            };
            if validators == Validators::default() {
                return Err("neither an ETag nor a date of the server was recorded");
            }
            let url = entry.place.url().ok_or("its URL cannot be asked for")?;
            Ok(homing_side_http::identity(&url, &validators))
        }
    }
}

/// Tells whether a file was written at this time, neither before nor since.
fn is_of(written: Option<Timestamp>, modified: SystemTime) -> bool {
    let written = written.map(SystemTime::from);
    written.is_some_and(|written| {
        let apart = modified.duration_since(written);
        apart.unwrap_or_else(|earlier| earlier.duration()) <= ROUNDING
    })
}

/// Tells whether a file has not been written since it was downloaded.
fn is_as_written(entry: &Entry, modified: SystemTime) -> bool {
    let written = entry.written.map(SystemTime::from);
    let latest = written.and_then(|written| written.checked_add(ROUNDING));
    latest.is_some_and(|latest| modified <= latest)
}

#[cfg(test)]
mod tests {
    use super::super::place::Place;
    use super::*;

    fn entry(url: &str) -> Entry {
        Entry {
            id: String::new(),
            name: url.to_owned(),
            place: Place::parse(url).unwrap(),
            hash: None,
            size: None,
            etag: Some("\"e\"".to_owned()),
            last_modified: None,
            written: None,
            beside: None,
            places: Vec::new(),
        }
    }

    fn file(directory: &tempfile::TempDir, name: &str, bytes: &[u8]) -> PathBuf {
        let path = directory.path().join(name);
        io::Write::write_all(&mut File::create(&path).unwrap(), bytes).unwrap();
        path
    }

    const RAW: &str = "https://raw.githubusercontent.com/own/rep/main/a.md";
    const WEB: &str = "https://example.org/a.md";

    #[test]
    fn bytes_of_a_repository_are_named_as_git_names_them() {
        let directory = tempfile::tempdir().unwrap();
        let files = [file(&directory, "a", b"# a\n")];
        let judged = judge(&entry(RAW), &files, 100).unwrap();
        let identity = judged.found.unwrap().identity.unwrap();
        // `printf '# a\n' | git hash-object --stdin`
        assert_eq!(
            identity.as_str(),
            "git:822de9647058a14507022bbc29d912989b33c7f2"
        );
    }

    #[test]
    fn a_file_that_is_not_what_was_recorded_is_not_taken_over() {
        let directory = tempfile::tempdir().unwrap();
        let (stale, right) = (
            file(&directory, "a", b"old\n"),
            file(&directory, "b", b"right\n"),
        );
        let recorded = Entry {
            hash: Some(ContentHash::of(b"right\n")),
            ..entry(WEB)
        };
        let judged = judge(&recorded, std::slice::from_ref(&stale), 100).unwrap();
        assert_eq!(judged.outcome, Some(ImportOutcome::Different));
        let judged = judge(&recorded, &[stale.clone(), right], 100).unwrap();
        assert_eq!(judged.outcome, Some(ImportOutcome::Taken));
        let sized = Entry {
            size: Some(6),
            ..entry(RAW)
        };
        let judged = judge(&sized, &[stale], 100).unwrap();
        assert_eq!(judged.outcome, Some(ImportOutcome::Different));
        assert_eq!(
            judge(&sized, &[], 100).unwrap().outcome,
            Some(ImportOutcome::Missing)
        );
    }

    #[test]
    fn an_etag_counts_only_for_bytes_that_could_be_verified() {
        let directory = tempfile::tempdir().unwrap();
        let files = [file(&directory, "a", b"12345")];
        let judged = judge(&entry(WEB), &files, 100).unwrap();
        assert_eq!(judged.outcome, Some(ImportOutcome::ContentOnly));
        assert!(judged.found.unwrap().identity.is_none());
        let modified = std::fs::metadata(&files[0]).unwrap().modified().unwrap();
        let sized = Entry {
            size: Some(5),
            written: Some(modified.try_into().unwrap()),
            ..entry(WEB)
        };
        assert_eq!(
            judge(&sized, &files, 100).unwrap().outcome,
            Some(ImportOutcome::Taken)
        );
        // A file that is newer may be an edit of that length.
        let before = modified.checked_sub(Duration::from_mins(1)).unwrap();
        for written in [Some(before.try_into().unwrap()), None] {
            let edited = Entry {
                written,
                ..sized.clone()
            };
            let judged = judge(&edited, &files, 100).unwrap();
            assert_eq!(judged.outcome, Some(ImportOutcome::ContentOnly));
            assert!(judged.found.unwrap().identity.is_none());
            let known = Entry {
                hash: Some(ContentHash::of(b"12345")),
                ..edited
            };
            let judged = judge(&known, &files, 100).unwrap();
            assert_eq!(judged.outcome, Some(ImportOutcome::Taken));
        }
        assert_eq!(
            judge(&sized, &files, 4).unwrap().outcome,
            Some(ImportOutcome::Refused)
        );
        for etag in [None, Some("a\nb".to_owned())] {
            let without = Entry {
                etag,
                ..sized.clone()
            };
            let judged = judge(&without, &files, 100).unwrap();
            assert_eq!(judged.outcome, Some(ImportOutcome::ContentOnly));
        }
    }

    #[test]
    fn a_cache_counts_only_for_a_file_that_was_written_when_it_says() {
        let directory = tempfile::tempdir().unwrap();
        let files = [file(&directory, "a", b"12345")];
        let modified = std::fs::metadata(&files[0]).unwrap().modified().unwrap();
        let minute = Duration::from_mins(1);
        for (written, outcome) in [
            (Some(modified), ImportOutcome::Taken),
            (modified.checked_sub(minute), ImportOutcome::ContentOnly),
            // The file is an older download than the ETag's, of the same length.
            (modified.checked_add(minute), ImportOutcome::ContentOnly),
            (None, ImportOutcome::ContentOnly),
        ] {
            let beside = CacheEntry {
                name: WEB.to_owned(),
                etag: "\"other\"".to_owned(),
                last_modified: None,
                written: written.map(|written| written.try_into().unwrap()),
                size: Some(5),
            };
            let recorded = Entry {
                hash: Some(ContentHash::of(b"12345")),
                etag: None,
                beside: Some(beside),
                ..entry(WEB)
            };
            let judged = judge(&recorded, &files, 100).unwrap();
            assert_eq!(judged.outcome, Some(outcome), "{written:?}");
        }
    }
}
