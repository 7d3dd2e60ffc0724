//! `[targets.NAME]`.

use std::ops::Range;
use std::time::Duration;

use homing_core::{SourceId, TargetId};

use crate::commands::command;
use crate::config::{Deletions, Kind, Layout, OnFinding, PushMode, TargetConfig};
use crate::section::{Located, Section, duration, suggest, text, word};
use crate::source::SourceRead;
use crate::values::expand_path;
use crate::{Env, Locations};

/// What may stand in it.
pub(crate) const KEYS: &[&str] = &[
    "path",
    "from",
    "layout",
    "deletions",
    "new_files_to",
    "allow_active",
    "include_kinds",
    "on_finding",
    "after",
    "hook_timeout",
];
const LATER: &[&str] = &["tool"];

const SHORTEST_HOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// A target and where its path is in the file.
pub(crate) struct TargetRead {
    pub(crate) id: TargetId,
    pub(crate) config: TargetConfig,
    pub(crate) path_span: Range<usize>,
}

/// The sources of the file: every name, and what could be read of them.
pub(crate) struct KnownSources<'s> {
    pub(crate) names: &'s [SourceId],
    pub(crate) read: &'s [SourceRead],
    /// Whether these are all: what is no TOML may hide some.
    pub(crate) whole: bool,
}

/// Reads one; `None` when it has no usable path.
pub(crate) fn read(
    id: TargetId,
    section: &Section<'_>,
    sources: &KnownSources<'_>,
    locations: &Locations,
    env: &Env,
) -> Option<TargetRead> {
    section.check_keys(KEYS, LATER);
    let base = locations
        .config_file
        .parent()
        .unwrap_or(&locations.config_file);
    let path = section.require("path", "\"~/.claude/agents\"", |value| {
        expand_path(&text(value)?, base, env.home.as_deref())
    });
    let from = read_from(section, sources);
    let new_files_to = read_new_files_to(section, sources, &from);
    let allow_active = section.texts("allow_active").unwrap_or_default();
    for name in &allow_active {
        if name.value.is_empty() {
            section.complain(
                name.span.clone(),
                "allow_active: a name is empty",
                Some("remove it".to_owned()),
            );
        }
    }
    let include_kinds = read_kinds(section);
    let on_finding = section.get_or_default("on_finding", word(&OnFinding::WORDS, &[]));
    let after = command(section, "after", env);
    let hook_timeout = section.get_or_default("hook_timeout", duration(SHORTEST_HOOK_TIMEOUT));
    let layout = section.get_or_default(
        "layout",
        word(&[("tree", Layout::Tree), ("flat", Layout::Flat)], &[]),
    );
    let deletions = section.get_or_default(
        "deletions",
        word(
            &[("restore", Deletions::Restore), ("keep", Deletions::Keep)],
            &[],
        ),
    );
    // All of it is judged before one that has no place is left out.
    let path = path?;
    let config = TargetConfig {
        path: path.value,
        from,
        layout,
        deletions,
        new_files_to,
        allow_active: allow_active.into_iter().map(|name| name.value).collect(),
        include_kinds,
        on_finding,
        after,
        hook_timeout,
    };
    Some(TargetRead {
        id,
        config,
        path_span: path.span,
    })
}

fn read_from(section: &Section<'_>, sources: &KnownSources<'_>) -> Vec<SourceId> {
    let value = section.table.and_then(|table| table.get("from"));
    if value.is_none() {
        section.complain(
            section.header.clone(),
            format!("{} needs `from`", section.title),
            Some("add for example `from = [\"team\"]`".to_owned()),
        );
        return Vec::new();
    }
    let Some(names) = section.texts("from") else {
        return Vec::new();
    };
    let mut from = Vec::new();
    if names.is_empty() {
        let span = value.map_or(section.header.clone(), toml::Spanned::span);
        section.complain(
            span,
            "from: a target without a source would stay empty",
            Some(known(sources)),
        );
    }
    for name in names {
        let Some(id) = find(section, "from", &name, sources) else {
            continue;
        };
        if from.contains(&id) {
            section.complain(
                name.span,
                format!("from: `{id}` is named twice"),
                Some("remove one".to_owned()),
            );
        } else {
            from.push(id);
        }
    }
    from
}

/// Reads the kinds of items; all of them where none are named.
fn read_kinds(section: &Section<'_>) -> Vec<Kind> {
    let all = || Kind::WORDS.iter().map(|(_, kind)| *kind).collect();
    let Some(names) = section.texts("include_kinds") else {
        return all();
    };
    let words: Vec<&str> = Kind::WORDS.iter().map(|(word, _)| *word).collect();
    let mut kinds = Vec::new();
    if names.is_empty() {
        let value = section.table.and_then(|table| table.get("include_kinds"));
        section.complain(
            value.map_or(section.header.clone(), toml::Spanned::span),
            "include_kinds: a target without a kind would stay empty",
            Some(format!("name one or more of: {}", words.join(", "))),
        );
    }
    for name in names {
        let found = Kind::WORDS.iter().find(|(word, _)| *word == name.value);
        match found {
            None => section.complain(
                name.span,
                format!(
                    "include_kinds: there is no kind `{}`",
                    name.value.escape_debug()
                ),
                Some(suggest(&name.value, &words, "kinds are")),
            ),
            Some((word, kind)) if kinds.contains(kind) => section.complain(
                name.span,
                format!("include_kinds: `{word}` is named twice"),
                Some("remove one".to_owned()),
            ),
            Some((_, kind)) => kinds.push(*kind),
        }
    }
    kinds
}

fn read_new_files_to(
    section: &Section<'_>,
    sources: &KnownSources<'_>,
    from: &[SourceId],
) -> Option<SourceId> {
    let name = section.get("new_files_to", text)?;
    let id = find(section, "new_files_to", &name, sources)?;
    if !from.contains(&id) {
        section.complain(
            name.span,
            format!("new_files_to: `{id}` is not in `from` of this target"),
            Some("add it there, or name another source".to_owned()),
        );
        return None;
    }
    let may_push = sources
        .read
        .iter()
        .find(|source| source.id == id)
        .is_none_or(|s| s.config.push != PushMode::Never);
    if !may_push {
        section.complain(
            name.span,
            format!("new_files_to: `{id}` may not push, so new files could not reach it"),
            Some(format!(
                "set `push = \"direct\"` in [sources.{id}], or remove new_files_to"
            )),
        );
        return None;
    }
    Some(id)
}

fn find(
    section: &Section<'_>,
    key: &str,
    name: &Located<String>,
    sources: &KnownSources<'_>,
) -> Option<SourceId> {
    let found = sources.names.iter().find(|id| id.as_str() == name.value);
    if found.is_none() && sources.whole {
        let names: Vec<&str> = sources.names.iter().map(SourceId::as_str).collect();
        section.complain(
            name.span.clone(),
            format!("{key}: there is no source `{}`", name.value.escape_debug()),
            Some(suggest(&name.value, &names, "sources are")),
        );
    }
    found.cloned()
}

fn known(sources: &KnownSources<'_>) -> String {
    let names: Vec<&str> = sources.names.iter().map(SourceId::as_str).collect();
    if names.is_empty() {
        "add a source first".to_owned()
    } else {
        format!("sources are: {}", names.join(", "))
    }
}
