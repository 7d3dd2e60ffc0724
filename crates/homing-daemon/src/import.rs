//! Taking over what another program's cache or database knows: which sources, which files, which states.

mod configured;
mod contents;
mod entries;
mod etag_cache;
mod known_sources;
mod place;
mod settings;
mod upload;

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io;

use homing_api::{
    ImportOutcome, ImportReport, ImportedFile, ImportedSettings, ImportedSource, Problem,
    ProblemKind,
};
use homing_core::{Contents, ItemKey};
use homing_engine::{Engine, EngineError, Import, Imported, ImportedItem};
use tokio::sync::Mutex;

use crate::problem::Refusal;
use configured::Belongs;
use contents::{Found, Judged};
use entries::{Batch, Entry, Lists, Named};
use known_sources::KnownSource;

pub(crate) use configured::Configured;
pub(crate) use upload::Upload;

/// Held while an import is under way: each makes room for what it is sent.
pub(crate) static TURN: Mutex<()> = Mutex::const_new(());

/// Bytes of the largest file of a source that is not configured yet.
const MAX_FILE_SIZE: u64 = 10 << 20;

/// What a document is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// `.etag-cache.json` or `.etag_cache.json`.
    EtagCache,
    /// `agent_sync.db`.
    AgentSync,
}

/// A file with its key, or why it cannot have one.
type Keyed = (Entry, Result<ItemKey, String>);

/// A source and what is to be taken over for it.
struct Group {
    /// Its place among the configured sources.
    configured: Option<usize>,
    id: String,
    settings: ImportedSettings,
    max_file_size: u64,
    files: Vec<(String, Entry, Result<ItemKey, String>)>,
    import: Import,
}

/// Takes an upload over, or tells what would be.
pub(crate) async fn run(
    engine: &Engine,
    configured: &[Configured],
    upload: Upload,
    kind: Kind,
    dry_run: bool,
) -> Result<ImportReport, Refusal> {
    let contents = engine.store().contents();
    // Until rows name what is kept.
    let _pins = contents.pin_scope();
    let (upload, named) = blocking(move || {
        let named = read(&upload, kind);
        (upload, named)
    })
    .await?;
    let Named { batches, problems } = named?;
    let mut sources = Vec::new();
    let mut upload = upload;
    for group in group(batches, configured) {
        let keeps = !dry_run && group.configured.is_some();
        let kept = keeps.then(|| std::sync::Arc::clone(&contents));
        let judged = blocking(move || {
            let judged = judge(&group, &upload, kept.as_deref());
            (upload, group, judged)
        });
        let (back, mut group, judged) = judged.await?;
        upload = back;
        let judged = judged.map_err(|error| Refusal::from(EngineError::Side(error)))?;
        for (key, found) in judged.iter().filter_map(|(key, judged)| {
            let key = key.clone()?;
            Some((key, judged.found.as_ref()?))
        }) {
            group.import.items.insert(key, item(found));
        }
        let import = std::mem::take(&mut group.import);
        let id = group.configured.map(|at| &configured[at].id);
        let imported = match id {
            Some(id) if !dry_run => engine.import(id, import).await?,
            id => engine.judge_import(id, import).await?,
        };
        sources.push(report(group, judged, &imported));
    }
    Ok(ImportReport {
        dry_run,
        sources,
        problems,
    })
}

fn item(found: &Found) -> ImportedItem {
    ImportedItem {
        hash: found.hash,
        size: found.size,
        identity: found.identity.clone(),
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, Refusal> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|error| Refusal::new(ProblemKind::Internal, error.to_string()))
}

/// Reads a list of sources.
type Read = fn(&str) -> Result<Vec<KnownSource>, String>;

fn read(upload: &Upload, kind: Kind) -> Result<Named, Refusal> {
    let mut problems = Vec::new();
    let mut list = |text: &Option<String>, name: &str, read: Read| match text {
        None => Vec::new(),
        Some(text) => read(text).unwrap_or_else(|why| {
            problems.push(format!("{name}: {why}; what it says was not taken over"));
            Vec::new()
        }),
    };
    let lists = Lists {
        agents: list(
            &upload.agent_sources,
            homing_api::import::AGENT_SOURCES,
            known_sources::agents,
        ),
        skills: list(
            &upload.skill_sources,
            homing_api::import::SKILL_SOURCES,
            known_sources::skills,
        ),
    };
    let document = upload.document();
    let named = match kind {
        Kind::AgentSync => entries::of_agent_sync(&document, &lists, &upload.etags),
        Kind::EtagCache => match fs::read(&document) {
            Ok(bytes) => entries::of_etag_cache(&bytes, &lists),
            Err(error) => Err(error.to_string()),
        },
    };
    let mut named = named.map_err(|why| {
        let (what, hint) = match kind {
            Kind::EtagCache => (
                "an ETag cache",
                "name a file that the agent sync wrote, `.etag-cache.json` or `.etag_cache.json`",
            ),
            Kind::AgentSync => (
                "the database of an agent sync",
                "name a file that the agent sync wrote, `agent_sync.db`",
            ),
        };
        let detail = format!("this is not {what}: {why}; nothing was changed");
        Problem::new(ProblemKind::Rejected, detail).with_hint(hint)
    })?;
    named.problems.extend(problems);
    Ok(named)
}

/// Gives each file to the configured source that has it, and those that none has to new ones.
fn group(batches: Vec<Batch>, configured: &[Configured]) -> Vec<Group> {
    let mut groups: Vec<Group> = Vec::new();
    let mut taken: BTreeSet<String> = configured.iter().map(|one| one.id.to_string()).collect();
    for mut batch in batches {
        let mut rest = Vec::new();
        let mut of_configured: BTreeMap<usize, Vec<Keyed>> = BTreeMap::new();
        for entry in std::mem::take(&mut batch.entries) {
            match nearest(configured, &entry) {
                Some((at, key)) => of_configured.entry(at).or_default().push((entry, key)),
                None => rest.push(entry),
            }
        }
        if of_configured.is_empty() && rest.is_empty() {
            let holds = |one: &Configured| {
                let base = batch.base.as_ref();
                base.is_some_and(|base| one.below(&base.below("x")) == Some("x"))
            };
            if let Some(at) = configured.iter().position(holds) {
                of_configured.insert(at, Vec::new());
            }
        }
        // What is known of the place as a whole goes with most of its files.
        let most = of_configured
            .iter()
            .max_by_key(|(_, files)| files.len())
            .filter(|(_, files)| files.len() >= rest.len())
            .map(|(at, _)| *at);
        for (at, files) in of_configured {
            let whole = if most == Some(at) {
                whole(&mut batch)
            } else {
                Import::default()
            };
            add(&mut groups, configured, at, files, whole);
        }
        if rest.is_empty() && most.is_some() {
            continue;
        }
        let (base, settings) = settings::propose(&batch, &rest);
        let id = settings::name(&settings, &taken);
        taken.insert(id.clone());
        let files = rest.into_iter().map(|entry| {
            let key = settings::key(&base, &entry.place);
            (entry, key)
        });
        groups.push(Group {
            configured: None,
            id,
            settings,
            max_file_size: MAX_FILE_SIZE,
            files: files.map(named).collect(),
            import: whole(&mut batch),
        });
    }
    groups
}

fn named(
    (entry, key): (Entry, Result<ItemKey, String>),
) -> (String, Entry, Result<ItemKey, String>) {
    let name = match &key {
        Ok(key) => key.to_string(),
        Err(_) => entry.name.clone(),
    };
    (name, entry, key)
}

/// Takes what is known of a place beside its files.
fn whole(batch: &mut Batch) -> Import {
    Import {
        items: BTreeMap::new(),
        revision: batch.revision.take(),
        last_attempt: batch.last_attempt.take(),
        syncs: std::mem::take(&mut batch.syncs),
    }
}

fn add(
    groups: &mut Vec<Group>,
    configured: &[Configured],
    at: usize,
    files: Vec<Keyed>,
    import: Import,
) {
    let files = files.into_iter().map(named);
    match groups.iter_mut().find(|group| group.configured == Some(at)) {
        Some(group) => {
            group.files.extend(files);
            let known = &mut group.import;
            known.syncs.extend(import.syncs);
            // Of two places that are one source now, what the later one saw is the newer.
            if known.revision.is_none() || import.last_attempt > known.last_attempt {
                known.revision = import.revision.or(known.revision.take());
            }
            known.last_attempt = known.last_attempt.max(import.last_attempt);
        }
        None => groups.push(Group {
            configured: Some(at),
            id: configured[at].id.to_string(),
            settings: configured[at].settings.clone(),
            max_file_size: configured[at].max_file_size,
            files: files.collect(),
            import,
        }),
    }
}

/// Returns the configured source that has a file; the innermost, where several do.
fn nearest(configured: &[Configured], entry: &Entry) -> Option<(usize, Result<ItemKey, String>)> {
    let has = |(at, one): (usize, &Configured)| match one.has(&entry.place) {
        Belongs::Not => None,
        Belongs::As(key) => Some((at, one.depth(), Ok(key))),
        Belongs::LeftOut => {
            let why = format!("`include` and `exclude` of `{}` leave it out", one.id);
            Some((at, one.depth(), Err(why)))
        }
    };
    let all = configured.iter().enumerate().filter_map(has);
    all.max_by_key(|(_, depth, key)| (key.is_ok(), *depth))
        .map(|(at, _, key)| (at, key))
}

/// A key, if the file can have one, and what was found of the file.
type JudgedFile = (Option<ItemKey>, Judged);

/// Looks at every file of a source, and keeps the bytes of those that are taken over. Blocks.
fn judge(
    group: &Group,
    upload: &Upload,
    keep: Option<&homing_store::StoredContents>,
) -> Result<Vec<JudgedFile>, homing_core::SideError> {
    let mut seen = BTreeSet::new();
    let mut all = Vec::with_capacity(group.files.len());
    for (_, entry, key) in &group.files {
        let key = match key {
            Ok(key) if seen.insert(key) => key,
            Ok(_) => {
                let why = "another entry is for the same file";
                all.push((None, Judged::not(ImportOutcome::Refused, why)));
                continue;
            }
            Err(why) => {
                all.push((None, Judged::not(ImportOutcome::Refused, why.as_str())));
                continue;
            }
        };
        let files = upload.files.get(&entry.id).map(Vec::as_slice);
        let judged = contents::judge(entry, files.unwrap_or_default(), group.max_file_size)
            .map_err(unreadable)?;
        if let (Some(keep), Some(found)) = (keep, &judged.found) {
            let mut file = File::open(&found.file).map_err(unreadable)?;
            keep.keep(&mut file, found.size)?;
        }
        all.push((Some(key.clone()), judged));
    }
    if let Some(keep) = keep {
        keep.flush()?;
    }
    Ok(all)
}

fn unreadable(error: io::Error) -> homing_core::SideError {
    homing_core::SideError::Storage {
        message: "the upload could not be read".to_owned(),
        source: Some(Box::new(error)),
    }
}

fn report(group: Group, judged: Vec<JudgedFile>, imported: &Imported) -> ImportedSource {
    let files = group.files.into_iter().zip(judged);
    let files = files.map(|((path, entry, _), (key, judged))| {
        let is_had =
            judged.found.is_some() && key.is_some_and(|key| !imported.taken.contains(&key));
        let outcome = judged.outcome.filter(|_| !is_had);
        ImportedFile {
            id: entry.id,
            path,
            detail: judged.detail.filter(|_| !is_had),
            outcome: outcome.unwrap_or(ImportOutcome::Present),
            places: entry.places,
        }
    });
    ImportedSource {
        id: group.id,
        configured: group.configured.is_some(),
        settings: group.settings,
        synced_before: imported.synced_before,
        files: files.collect(),
        syncs: imported.syncs,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_places_that_are_one_source_are_as_far_as_the_later_one() {
        let seen = |revision: Option<&str>, time: Option<&str>| Import {
            revision: revision.map(str::to_owned),
            last_attempt: time.map(|time| time.parse().unwrap()),
            ..Import::default()
        };
        let (old, new) = (Some("2025-01-01T00:00:00Z"), Some("2025-02-01T00:00:00Z"));
        for (first, second, revision, time) in [
            (seen(None, None), seen(Some("a"), old), "a", old),
            (seen(Some("a"), old), seen(Some("b"), new), "b", new),
            (seen(Some("a"), new), seen(Some("b"), old), "a", new),
            (seen(Some("a"), old), seen(None, new), "a", new),
            (seen(None, new), seen(Some("b"), old), "b", new),
        ] {
            let mut groups = vec![Group {
                configured: Some(0),
                id: "own".to_owned(),
                settings: ImportedSettings::default(),
                max_file_size: 0,
                files: Vec::new(),
                import: first,
            }];
            add(&mut groups, &[], 0, Vec::new(), second);
            let import = &groups[0].import;
            assert_eq!(import.revision.as_deref(), Some(revision));
            assert_eq!(import.last_attempt, time.and_then(|time| time.parse().ok()));
        }
    }
}
