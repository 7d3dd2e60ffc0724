//! From a document to the files that it names, each with where it came from.

use std::collections::HashMap;
use std::path::Path;

use homing_core::ContentHash;
use homing_engine::ImportedSync;
use homing_store::{AgentSync, AgentSyncSource, read_agent_sync};
use jiff::Timestamp;

use super::etag_cache::{self, CacheEntry, shown};
use super::known_sources::KnownSource;
use super::place::{Origin, Place};

/// More parts of a URL than these lead nowhere.
const MOST_PLACES: usize = 24;
/// Characters of an error that are kept.
const MOST_ERROR: usize = 500;

/// A file that a document names.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// What its bytes are called in the upload.
    pub(super) id: String,
    /// What it is called in messages.
    pub(super) name: String,
    pub(super) place: Place,
    /// What it had, as recorded.
    pub(super) hash: Option<ContentHash>,
    /// Bytes, as recorded.
    pub(super) size: Option<u64>,
    pub(super) etag: Option<String>,
    pub(super) last_modified: Option<String>,
    /// When its file was written, as recorded.
    pub(super) written: Option<Timestamp>,
    /// What an `ETag` cache beside the document says of its URL.
    pub(super) beside: Option<CacheEntry>,
    /// Where its bytes may be.
    pub(super) places: Vec<String>,
}

/// Files of one place, and what is known of that place.
#[derive(Debug, Default)]
pub(super) struct Batch {
    /// What the files' keys are relative to; `None`: the directory that they have in common.
    pub(super) base: Option<Place>,
    /// Whether only Markdown and JSON was synced, as for agents.
    pub(super) is_agents: bool,
    pub(super) priority: Option<u16>,
    pub(super) disabled: bool,
    pub(super) revision: Option<String>,
    pub(super) last_attempt: Option<Timestamp>,
    pub(super) syncs: Vec<ImportedSync>,
    pub(super) entries: Vec<Entry>,
}

/// What is known of sources beside the document.
#[derive(Debug, Default)]
pub(super) struct Lists {
    pub(super) agents: Vec<KnownSource>,
    pub(super) skills: Vec<KnownSource>,
}

/// Everything that a document names, and what in it is of no use.
#[derive(Debug, Default)]
pub(super) struct Named {
    pub(super) batches: Vec<Batch>,
    pub(super) problems: Vec<String>,
}

/// Reads an `ETag` cache. The error says why it is none.
pub(super) fn of_etag_cache(bytes: &[u8], lists: &Lists) -> Result<Named, String> {
    let (entries, problems) = etag_cache::read(bytes)?;
    let mut named = Named {
        batches: Vec::new(),
        problems,
    };
    for entry in entries {
        let read = if entry.name.starts_with('/') {
            of_path(entry, lists)
        } else {
            of_url(entry, lists)
        };
        match read {
            Ok((home, entry)) => named.add(home, entry),
            Err(problem) => named.problems.push(problem),
        }
    }
    Ok(named)
}

/// Reads a database; `caches` lie beside it. Blocks. The error says why it is none.
pub(super) fn of_agent_sync(
    copy: &Path,
    lists: &Lists,
    caches: &[String],
) -> Result<Named, String> {
    let AgentSync { sources, notes } = read_agent_sync(copy).map_err(|error| {
        let cause = std::error::Error::source(&error).map(|cause| format!(": {cause}"));
        format!("{error}{}", cause.unwrap_or_default())
    })?;
    let mut named = Named {
        batches: Vec::new(),
        problems: notes,
    };
    for source in sources {
        match Place::parse(&source.url) {
            Ok(place) => named.batches.push(of_source(source, place, lists)),
            Err(why) => named
                .problems
                .push(format!("source {}: {why}", shown(&source.url))),
        }
    }
    named.look_up(caches);
    Ok(named)
}

impl Named {
    /// Notes what caches say of files of servers that have no `ETag` yet.
    fn look_up(&mut self, caches: &[String]) {
        let mut known = HashMap::new();
        for cache in caches {
            match etag_cache::read(cache.as_bytes()) {
                Ok((entries, _)) => {
                    let of_url = |entry: CacheEntry| {
                        let url = Place::parse(&entry.name).ok()?.url()?;
                        Some((url, entry))
                    };
                    for (url, entry) in entries.into_iter().filter_map(of_url) {
                        let newest = known.entry(url).or_insert_with(|| entry.clone());
                        if entry.written > newest.written {
                            *newest = entry;
                        }
                    }
                }
                Err(why) => self
                    .problems
                    .push(format!("the ETag cache beside it: {why}; it was not used")),
            }
        }
        let entries = self.batches.iter_mut().flat_map(|batch| &mut batch.entries);
        for entry in entries.filter(|entry| entry.etag.is_none()) {
            entry.beside = entry.place.url().and_then(|url| known.get(&url).cloned());
        }
    }

    fn add(&mut self, home: Batch, entry: Entry) {
        let same = |batch: &&mut Batch| match (&batch.base, &home.base) {
            (Some(one), Some(other)) => one == other,
            (None, None) => batch.entries[0].place.origin == entry.place.origin,
            _ => false,
        };
        match self.batches.iter_mut().find(same) {
            Some(batch) => batch.entries.push(entry),
            None => self.batches.push(Batch {
                entries: vec![entry],
                ..home
            }),
        }
    }
}

/// Returns a batch without entries for a listed source.
fn home(known: &KnownSource, is_agents: bool) -> Batch {
    Batch {
        base: Some(known.place.clone()),
        is_agents,
        priority: known.priority,
        disabled: !known.enabled,
        ..Batch::default()
    }
}

fn of_url(entry: CacheEntry, lists: &Lists) -> Result<(Batch, Entry), String> {
    let place =
        Place::parse(&entry.name).map_err(|why| format!("{}: {why}", shown(&entry.name)))?;
    let has = |known: &&KnownSource| {
        known.place.origin == place.origin
            && super::configured::below(&known.place.path, &place.path).is_some()
    };
    let lists = lists.agents.iter().filter(has);
    let home = match lists.max_by_key(|known| known.place.path.len()) {
        Some(known) => home(known, true),
        None => Batch {
            is_agents: true,
            ..Batch::default()
        },
    };
    // In the cache it lies below the directory of its source, and nobody noted which part of the URL that is.
    let whole = match &place.origin {
        Origin::Github {
            owner,
            name,
            reference,
        } => [
            owner.as_str(),
            name,
            reference.as_deref().unwrap_or("HEAD"),
            &place.path,
        ]
        .join("/"),
        Origin::Http(_) => place.path.clone(),
    };
    let starts = std::iter::once(0).chain(whole.match_indices('/').map(|(at, _)| at + 1));
    let places = starts.take(MOST_PLACES).map(|at| whole[at..].to_owned());
    let entry = Entry {
        id: id(&entry.name),
        name: shown(&entry.name),
        places: places.collect(),
        place,
        hash: None,
        size: entry.size,
        etag: Some(entry.etag),
        last_modified: entry.last_modified,
        written: entry.written,
        beside: None,
    };
    Ok((home, entry))
}

/// Reads an entry that names a file in the cache of skills: the directory below it is called as the source.
fn of_path(entry: CacheEntry, lists: &Lists) -> Result<(Batch, Entry), String> {
    let found = lists.skills.iter().find_map(|known| {
        let directory = format!("/cache/skills/{}/", known.id.as_deref()?);
        let (_, below) = entry.name.split_once(&directory)?;
        Some((known, below.to_owned()))
    });
    let Some((known, below)) = found else {
        return Err(format!(
            "{}: it does not say where it came from, and no list of sources does",
            shown(&entry.name)
        ));
    };
    let entry = Entry {
        id: id(&entry.name),
        name: shown(&entry.name),
        place: known.place.below(&below),
        hash: None,
        size: entry.size,
        etag: Some(entry.etag),
        last_modified: entry.last_modified,
        written: entry.written,
        beside: None,
        places: vec![entry.name],
    };
    Ok((home(known, false), entry))
}

fn of_source(source: AgentSyncSource, place: Place, lists: &Lists) -> Batch {
    let known = lists.agents.iter().find(|known| known.place == place);
    let entries = source.files.into_iter().map(|file| Entry {
        id: id(&format!("{}\0{}", source.id, file.path)),
        name: shown(&file.path),
        place: place.below(&file.path),
        hash: Some(file.hash),
        size: file.size,
        etag: file.etag,
        last_modified: None,
        written: None,
        beside: None,
        places: file
            .local_path
            .filter(|path| path.starts_with('/'))
            .into_iter()
            .chain([file.path.clone()])
            .collect(),
    });
    let is_commit = |sha: &String| {
        matches!(sha.len(), 40 | 64) && sha.bytes().all(|byte| byte.is_ascii_hexdigit())
    };
    let now = Timestamp::now();
    let syncs = source.syncs.into_iter().filter(|sync| sync.time <= now);
    Batch {
        entries: entries.collect(),
        is_agents: true,
        priority: known.and_then(|known| known.priority),
        disabled: !source.enabled,
        revision: source.last_sha.filter(is_commit),
        // A clock that was wrong then must not say that it was synced tomorrow.
        last_attempt: source.last_sync_time.filter(|time| *time <= now),
        syncs: syncs
            .map(|sync| ImportedSync {
                started_at: sync.time,
                status: sync.status,
                synced: sync.synced,
                cached: sync.cached,
                failed: sync.failed,
                error: sync.error_message.as_deref().map(without_secrets),
                duration_ms: sync.duration_ms,
            })
            .collect(),
        base: Some(place),
    }
}

/// Returns an old error without what URLs in it may hide.
fn without_secrets(message: &str) -> String {
    let words = message.split_whitespace().map(|word| {
        let plain = word.split('?').next().unwrap_or_default();
        match plain.split_once("://") {
            Some((scheme, rest)) => {
                let host = rest.rsplit('@').next().unwrap_or_default();
                format!("{scheme}://{host}")
            }
            None => plain.to_owned(),
        }
    });
    let text = words.collect::<Vec<_>>().join(" ");
    text.chars().take(MOST_ERROR).collect()
}

/// Returns a name for a file's bytes that is safe everywhere.
fn id(name: &str) -> String {
    let mut text = ContentHash::of(name.as_bytes()).to_string();
    text.truncate(32);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lists() -> Lists {
        let listed = |id: Option<&str>, url: &str| KnownSource {
            id: id.map(str::to_owned),
            place: Place::parse(url).unwrap(),
            priority: Some(7),
            enabled: false,
        };
        Lists {
            agents: vec![listed(None, "https://github.com/own/rep/tree/main/agents")],
            skills: vec![listed(Some("tst"), "https://github.com/own/skl/tree/main")],
        }
    }

    #[test]
    fn urls_go_to_the_source_that_lists_them_and_others_together() {
        let text = r#"{
            "https://raw.githubusercontent.com/own/rep/main/agents/a.md": {"etag": "a"},
            "https://raw.githubusercontent.com/own/rep/main/agents/sub/b.md": {"etag": "b"},
            "https://raw.githubusercontent.com/own/rep/main/README.md": {"etag": "c"},
            "https://raw.githubusercontent.com/two/rep/main/x.md": {"etag": "d"},
            "https://me:s3cret@example.org/x.md": {"etag": "e"}
        }"#;
        let named = of_etag_cache(text.as_bytes(), &lists()).unwrap();
        let sizes: Vec<_> = named
            .batches
            .iter()
            .map(|batch| (batch.entries.len(), batch.base.is_some(), batch.priority))
            .collect();
        assert!(sizes.contains(&(2, true, Some(7))), "{sizes:?}");
        assert_eq!(sizes.len(), 3, "{sizes:?}");
        assert_eq!(named.problems.len(), 1);
        assert!(
            !named.problems[0].contains("s3cret"),
            "{:?}",
            named.problems
        );
        let first = &named
            .batches
            .iter()
            .find(|batch| batch.disabled)
            .unwrap()
            .entries[0];
        assert_eq!(first.places[0], "own/rep/main/agents/a.md");
        assert_eq!(first.places.last().unwrap(), "a.md");
    }

    #[test]
    fn of_several_caches_the_newest_entry_counts() {
        let url = "https://example.org/a.md";
        let cache = |etag: &str, day: u8| {
            format!(
                r#"{{"{url}": {{"etag": "{etag}", "last_modified": "2026-11-{day}T10:00:00+00:00"}}}}"#
            )
        };
        for days in [[20, 21], [21, 20]] {
            let caches = days.map(|day| cache(&format!("of {day}"), day));
            let (home, entry) = of_url(
                CacheEntry {
                    name: url.to_owned(),
                    etag: String::new(),
                    last_modified: None,
                    written: None,
                    size: None,
                },
                &lists(),
            )
            .unwrap();
            let mut named = Named::default();
            named.add(
                home,
                Entry {
                    etag: None,
                    ..entry
                },
            );
            named.look_up(&caches);
            let beside = named.batches[0].entries[0].beside.as_ref();
            assert_eq!(beside.unwrap().etag, "of 21");
        }
    }

    #[test]
    fn a_skill_is_its_lists_and_one_that_nobody_lists_is_told() {
        let text = r#"{"/h/.claude-mpm/cache/skills/tst/one/SKILL.md": "\"x\"", "/h/.claude-mpm/cache/skills/no/SKILL.md": "y"}"#;
        let named = of_etag_cache(text.as_bytes(), &lists()).unwrap();
        let [batch] = &named.batches[..] else {
            panic!("{named:#?}");
        };
        assert_eq!(batch.entries[0].place.path, "one/SKILL.md");
        assert!(!batch.is_agents);
        assert_eq!(named.problems.len(), 1, "{:?}", named.problems);
    }

    #[test]
    fn old_errors_lose_what_urls_hide() {
        let told = without_secrets("GET https://me:s3cret@h.org/a?token=s3cret failed");
        assert_eq!(told, "GET https://h.org/a failed");
    }
}
