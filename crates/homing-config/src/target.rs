//! `[targets.NAME]`.

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use homing_core::{SourceId, TargetId};

use crate::commands::command;
use crate::config::{Deletions, Kind, Layout, OnFinding, PushMode, TargetConfig};
use crate::presets::part_id;
use crate::section::{Located, Section, duration, suggest, text, word};
use crate::source::SourceRead;
use crate::tools::Places;
use crate::values::expand_path;
use crate::{Env, Locations, Part, Preset, Tool};

/// What may stand in it.
pub(crate) const KEYS: &[&str] = &[
    "path",
    "tool",
    "project",
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
const LATER: &[&str] = &[];

const SHORTEST_HOOK_TIMEOUT: Duration = Duration::from_secs(1);

/// A target and where its place is in the file.
#[derive(Debug, Clone)]
pub(crate) struct TargetRead {
    pub(crate) id: TargetId,
    pub(crate) config: TargetConfig,
    pub(crate) path_span: Range<usize>,
    /// The directories of the tool, of a preset.
    pub(crate) places: Option<Places>,
}

/// The sources of the file: every name, and what could be read of them.
pub(crate) struct KnownSources<'s> {
    pub(crate) names: &'s [SourceId],
    pub(crate) read: &'s [SourceRead],
    /// Whether these are all: what is no TOML may hide some.
    pub(crate) whole: bool,
}

/// Where a target publishes.
enum Where {
    Path(Located<PathBuf>),
    Tool(Located<Places>, Option<PathBuf>),
}

/// Reads one: a preset is several, one for each of its directories. None when it has no usable place.
pub(crate) fn read(
    name: &str,
    section: &Section<'_>,
    sources: &KnownSources<'_>,
    locations: &Locations,
    env: &Env,
) -> Vec<TargetRead> {
    section.check_keys(KEYS, LATER);
    let place = read_place(section, locations, env);
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
    let config = |path| TargetConfig {
        path,
        from: from.clone(),
        preset: None,
        layout,
        deletions,
        new_files_to: new_files_to.clone(),
        allow_active: allow_active.iter().map(|name| name.value.clone()).collect(),
        include_kinds: include_kinds.clone(),
        on_finding,
        after: after.clone(),
        hook_timeout,
    };
    match place {
        None => Vec::new(),
        Some(Where::Path(path)) => vec![TargetRead {
            id: name
                .parse()
                .expect("the name of a section is one of a target"),
            config: config(path.value),
            path_span: path.span,
            places: None,
        }],
        Some(Where::Tool(places, project)) => {
            refuse_beside_tool(section);
            let tool = places.value.tool();
            let wanted = parts(section, tool, &include_kinds);
            let read = |part: &Part| TargetRead {
                id: part_id(name, part.as_str()),
                config: TargetConfig {
                    from: if wanted.contains(part) {
                        from.clone()
                    } else {
                        Vec::new()
                    },
                    include_kinds: vec![part.kind()],
                    layout: match part {
                        Part::Agents => Layout::Agents,
                        Part::Skills => Layout::Skills,
                        Part::Commands => Layout::Commands,
                    },
                    preset: Some(Preset {
                        tool,
                        part: *part,
                        project: project.clone(),
                        wants: from.clone(),
                        is_left_out: !wanted.contains(part),
                        served: Vec::new(),
                        read_twice: Vec::new(),
                    }),
                    ..config(places.value.of(*part))
                },
                path_span: places.span.clone(),
                places: Some(places.value.clone()),
            };
            tool.parts().iter().map(read).collect()
        }
    }
}

fn read_place(section: &Section<'_>, locations: &Locations, env: &Env) -> Option<Where> {
    let base = locations
        .config_file
        .parent()
        .unwrap_or(&locations.config_file);
    let directory = |key: &str| {
        section.get(key, |value| {
            expand_path(&text(value)?, base, env.home.as_deref())
        })
    };
    let key_of = |key: &str| section.table.and_then(|table| table.get_key_value(key));
    let project = directory("project");
    let Some((tool_key, _)) = key_of("tool") else {
        if let Some((key, _)) = key_of("project") {
            section.complain(
                key.span(),
                "project: only the directories of a tool lie in a project",
                Some(
                    "add for example `tool = \"claude-code\"`, or write the directory as `path`"
                        .to_owned(),
                ),
            );
        }
        let path = section.require("path", "\"~/.claude/agents\"", |value| {
            expand_path(&text(value)?, base, env.home.as_deref())
        });
        return path.map(Where::Path);
    };
    let words = Tool::ALL.map(|tool| (tool.as_str(), tool));
    let tool = section.get("tool", word(&words, &[]));
    if key_of("path").is_some() {
        section.complain(
            tool_key.span(),
            format!("{} has both `path` and `tool`", section.title),
            Some("keep one: a tool knows its own directories".to_owned()),
        );
        return None;
    }
    let tool = tool?;
    if key_of("project").is_some() && project.is_none() {
        return None;
    }
    let project = project.map(|project| project.value);
    let Some(places) = tool.value.places(project.as_deref(), env) else {
        section.complain(
            tool.span,
            "tool: the home directory is not known",
            Some("set HOME, or name a `project`".to_owned()),
        );
        return None;
    };
    Some(Where::Tool(
        Located {
            value: places,
            span: tool.span,
        },
        project,
    ))
}

/// Complains about what a preset decides by itself.
fn refuse_beside_tool(section: &Section<'_>) {
    for (key, why) in [
        ("layout", "a tool knows how its directories are laid out"),
        (
            "new_files_to",
            "what lies in a tool's directory does not say where in a source it belongs",
        ),
    ] {
        let given = section.table.and_then(|table| table.get_key_value(key));
        if let Some((key, _)) = given {
            section.complain(
                key.span(),
                format!("{}: {why}", key.get_ref()),
                Some("remove it, or write a target with a `path`".to_owned()),
            );
        }
    }
}

/// Returns the parts that are wanted of a tool, without `include_kinds` all that it has.
fn parts(section: &Section<'_>, tool: Tool, kinds: &[Kind]) -> Vec<Part> {
    let has = tool.parts();
    let Some(given) = section.table.and_then(|table| table.get("include_kinds")) else {
        return has.to_vec();
    };
    for kind in kinds {
        if !has.iter().any(|part| part.kind() == *kind) {
            let words: Vec<&str> = has.iter().map(|part| part.kind().as_str()).collect();
            section.complain(
                given.span(),
                format!(
                    "include_kinds: {} has no directory for the kind `{}`",
                    tool.as_str(),
                    kind.as_str()
                ),
                Some(format!("it has some for: {}", words.join(", "))),
            );
        }
    }
    let is_wanted = |part: &&Part| kinds.contains(&part.kind());
    has.iter().filter(is_wanted).copied().collect()
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
