//! What a source's section says that is, or is to be, taken over.

use std::borrow::Cow;
use std::collections::BTreeSet;

use homing_api::ImportedSettings;
use homing_config::{HttpListing, SourceConfig, SourceKind};
use homing_core::{ItemKey, Selection};

use super::entries::{Batch, Entry};
use super::place::{Origin, Place};

/// What the other program never took from a repository of agents.
const LEFT_OUT: [&str; 4] = ["/README.md", "dist/", "build/", ".cache/"];
/// What it took.
const AGENTS: [&str; 2] = ["*.md", "*.json"];

/// Returns where a configured source's keys begin, what its section says, and the only files that it has, if it lists
/// them; `None` for a source that no cache can be of.
pub(super) fn of(
    source: &SourceConfig,
) -> Option<(Place, ImportedSettings, Option<BTreeSet<String>>)> {
    let (place, kind, reference, files) = match &source.kind {
        SourceKind::Dir { .. } | SourceKind::Git { .. } => return None,
        SourceKind::Http { url, listing, .. } => {
            let place = Place::parse(url.as_str()).ok();
            let files = match listing {
                HttpListing::Files(files) => Some(files.clone()),
                HttpListing::Index(_) => None,
                // What is in them has no URL of its own.
                HttpListing::AgentSkills | HttpListing::Archive => return None,
            };
            let place = place.filter(|place| matches!(place.origin, Origin::Http(_)));
            (place?, "http", None, files)
        }
        SourceKind::Github { url, .. } => {
            let reference = source.kind.followed().map(str::to_owned);
            let mut place = Place::parse(url.as_str()).ok()?;
            let Origin::Github {
                reference: followed,
                ..
            } = &mut place.origin
            else {
                return None;
            };
            followed.clone_from(&reference);
            (place, "github", reference, None)
        }
    };
    let path = source.path.as_ref().map(ToString::to_string);
    let settings = ImportedSettings {
        kind: kind.to_owned(),
        url: source.kind.place(),
        reference,
        files: files.clone().unwrap_or_default(),
        include: source.include.clone(),
        exclude: source.exclude.clone(),
        priority: Some(source.priority),
        enabled: source.enabled,
        path: path.clone(),
    };
    let path = path.unwrap_or_default();
    let files = files.map(|files| {
        let below = files
            .iter()
            .filter_map(|file| super::configured::below(&path, file));
        below.map(str::to_owned).collect()
    });
    Some((place.below(&path), settings, files))
}

/// Returns the section for files that no configured source has, and where their keys begin.
pub(super) fn propose(batch: &Batch, entries: &[Entry]) -> (Place, ImportedSettings) {
    let origin = &entries
        .first()
        .map(|entry| &entry.place)
        .or(batch.base.as_ref())
        .expect("a batch has a base or entries")
        .origin;
    let base = batch.base.clone().unwrap_or_else(|| Place {
        origin: origin.clone(),
        path: common_directory(entries),
    });
    let below =
        |entry: &Entry| super::configured::below(&base.path, &entry.place.path).map(str::to_owned);
    let names: Vec<String> = entries.iter().filter_map(below).collect();
    let mut settings = ImportedSettings {
        priority: batch.priority,
        enabled: !batch.disabled,
        ..ImportedSettings::default()
    };
    match origin {
        Origin::Github {
            owner,
            name,
            reference,
        } => {
            "github".clone_into(&mut settings.kind);
            settings.url = format!("https://github.com/{owner}/{name}");
            settings.reference.clone_from(reference);
            settings.path = (!base.path.is_empty()).then(|| base.path.clone());
            if batch.is_agents && covers_all(&AGENTS, &[], &names) {
                settings.include = AGENTS.map(str::to_owned).into();
                let leaves_none_out = |pattern: &&str| covers_all(&[], &[pattern], &names);
                let left_out = LEFT_OUT.into_iter().filter(leaves_none_out);
                settings.exclude = left_out.map(str::to_owned).collect();
            }
        }
        Origin::Http(server) => {
            "http".clone_into(&mut settings.kind);
            let directory = base.below("x").url();
            let directory = directory.and_then(|url| url.join(".").ok());
            settings.url = directory.map_or_else(|| server.clone(), String::from);
            settings.files = names;
            settings.files.sort();
            settings.files.dedup();
        }
    }
    (base, settings)
}

fn covers_all(include: &[&str], exclude: &[&str], names: &[String]) -> bool {
    let patterns = |patterns: &[&str]| -> Vec<String> {
        patterns.iter().map(|one| (*one).to_owned()).collect()
    };
    let selection = Selection::new(&patterns(include), &patterns(exclude));
    selection.is_ok_and(|selection| names.iter().all(|name| selection.covers(name)))
}

/// Returns the innermost directory that all files lie in.
fn common_directory(entries: &[Entry]) -> String {
    let mut common: Option<Vec<&str>> = None;
    for entry in entries {
        let mut parts: Vec<&str> = entry.place.path.split('/').collect();
        parts.pop();
        common = Some(match common {
            None => parts,
            Some(common) => common
                .into_iter()
                .zip(parts)
                .take_while(|(one, other)| one == other)
                .map(|(one, _)| one)
                .collect(),
        });
    }
    common.unwrap_or_default().join("/")
}

/// Returns a name for a new source that is not among `taken`.
pub(super) fn name(settings: &ImportedSettings, taken: &BTreeSet<String>) -> String {
    let rest = settings.url.split_once("://").map_or("", |(_, rest)| rest);
    let words = match settings.kind.as_str() {
        "github" => rest.split_once('/').map_or(rest, |(_, path)| path),
        _ => rest.split('/').next().unwrap_or_default(),
    };
    let mut name = String::new();
    for character in words.to_ascii_lowercase().chars().take(48) {
        if character.is_ascii_alphanumeric() || character == '_' {
            name.push(character);
        } else if !name.is_empty() && !name.ends_with('-') {
            name.push('-');
        }
    }
    let name = name.trim_end_matches('-');
    let name = if name.starts_with(|first: char| first.is_ascii_alphanumeric()) {
        name.to_owned()
    } else {
        format!("imported{name}")
    };
    if !taken.contains(&name) {
        return name;
    }
    let numbered = (2..).map(|number| format!("{name}-{number}"));
    numbered
        .into_iter()
        .find(|name| !taken.contains(name))
        .unwrap_or(name)
}

/// Returns the key of a file below its source's base; the error says why it cannot be an item.
pub(super) fn key(base: &Place, place: &Place) -> Result<ItemKey, String> {
    let below = super::configured::below(&base.path, &place.path)
        .ok_or("it does not lie below its source")?;
    if below.is_empty() {
        return Err("it names the source's directory and no file in it".to_owned());
    }
    homing_remote::key_of(below.as_bytes()).map_err(Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(kind: &str, url: &str) -> ImportedSettings {
        ImportedSettings {
            kind: kind.to_owned(),
            url: url.to_owned(),
            ..ImportedSettings::default()
        }
    }

    #[test]
    fn names_are_ids_and_nobody_elses() {
        let mut taken = BTreeSet::new();
        for (kind, url, expected) in [
            ("github", "https://github.com/Own/My.Rep_", "own-my-rep_"),
            ("github", "https://github.com/own/my-rep_", "own-my-rep_-2"),
            ("http", "http://127.0.0.1:8080/x/", "127-0-0-1-8080"),
            ("http", "https://[::1]/", "1"),
            ("http", "https://example.org/", "example-org"),
        ] {
            let name = name(&settings(kind, url), &taken);
            assert_eq!(name, expected);
            assert!(name.parse::<homing_core::SourceId>().is_ok(), "{name}");
            taken.insert(name);
        }
    }

    #[test]
    fn hostile_names_are_no_keys() {
        let base = Place::parse("https://github.com/own/rep/tree/main/agents").unwrap();
        for path in [
            "../evil.md",
            "a/../../evil.md",
            "a//b.md",
            "a\nb.md",
            ".git/config",
            "x/.GIT/hooks/y",
            "a\\b.md",
            "C:/evil.md",
            ".git /config",
            "",
        ] {
            assert!(key(&base, &base.below(path)).is_err(), "{path:?}");
        }
        assert!(key(&base, &base.below("sub/a.md")).is_ok());
        let server = Place::parse("https://example.org/x").unwrap();
        for name in ["100%.md", "why?.md", "c#.md"] {
            assert!(key(&server, &server.below(name)).is_ok(), "{name}");
        }
    }
}
