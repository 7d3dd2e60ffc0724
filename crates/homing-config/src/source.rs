//! `[sources.NAME]`.

mod address;
mod kind;
mod verify;

pub(crate) use address::is_this_machine;
pub use address::secret_in_address;

use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use homing_core::{Cron, ItemKey, Policy, SourceId};
use ignore::gitignore::GitignoreBuilder;

use crate::config::{AtStart, PushMode, SourceConfig, SourceKind};
use crate::section::{Section, boolean, duration, number, size, text, time_zone, word};
use crate::source::kind::Kind;
use crate::values::ValueError;
use crate::{Env, Locations, secret};

/// What may stand in it.
pub(crate) const KEYS: &[&str] = &[
    "kind",
    "root",
    "url",
    "files",
    "index",
    "agent_skills",
    "archive",
    "ref",
    "pin",
    "path",
    "include",
    "exclude",
    "every",
    "cron",
    "timezone",
    "at_start",
    "stale_after",
    "watch",
    "priority",
    "push",
    "on_conflict",
    "max_file_size",
    "max_total_size",
    "max_files",
    "token",
    "user",
    "ca_file",
    "api",
    "verify",
    "allowed_signers",
    "keyring",
    "submodules",
    "enabled",
];
const LATER: &[&str] = &["signature"];
const LATER_KINDS: &[&str] = &["agentfs", "cloud-files", "cloud-database", "database"];
const MAX_FILES: u64 = 10_000_000;
/// A schedule that is denser would keep the disk busy for nothing.
const SHORTEST_INTERVAL: Duration = Duration::from_secs(1);

/// A source and where its place, a root or a URL, is in the file.
pub(crate) struct SourceRead {
    pub(crate) id: SourceId,
    pub(crate) config: SourceConfig,
    pub(crate) root_span: Range<usize>,
}

/// Reads one; `None` when so much is wrong that nothing can be said about its places.
pub(crate) fn read(
    id: SourceId,
    section: &Section<'_>,
    locations: &Locations,
    env: &Env,
) -> Option<SourceRead> {
    let kind = section.require("kind", "\"dir\"", word(&Kind::WORDS, LATER_KINDS));
    // The keys of another kind are not to be judged; those that every kind has are.
    let place = kind.and_then(|kind| {
        check_keys(kind.value, section);
        kind::read(kind.value, section, locations, env)
    });
    let path = section
        .get("path", |value| subdirectory(&text(value)?))
        .map(|path| path.value);
    let every = section.get("every", duration(SHORTEST_INTERVAL));
    let stale_after = section.get("stale_after", duration(SHORTEST_INTERVAL));
    if let (Some(every), Some(stale_after)) = (&every, &stale_after)
        && stale_after.value < every.value
    {
        section.complain(
            stale_after.span.clone(),
            format!(
                "stale_after is shorter than every, so `{id}` would be stale before its next turn"
            ),
            Some("make stale_after at least as long as every".to_owned()),
        );
    }
    let cron = section.get("cron", |value| cron(&text(value)?));
    if let (Some(_), Some(cron)) = (&every, &cron) {
        section.complain(
            cron.span.clone(),
            format!("`{id}` has both every and cron"),
            Some("keep one of them".to_owned()),
        );
    }
    let timezone = section.get("timezone", time_zone);
    if let (None, Some(timezone)) = (&cron, &timezone) {
        section.complain(
            timezone.span.clone(),
            format!("timezone says nothing without cron, and `{id}` has none"),
            Some("remove it, or add for example cron = \"0 */6 * * *\"".to_owned()),
        );
    }
    let token = secret::read(section, "token", locations, env);
    if token.is_some()
        && let Some(place) = &place
        && place.kind.is_unencrypted()
    {
        section.complain(
            place.span.clone(),
            format!("the token of `{id}` would be sent unencrypted, where everyone on the way can read it"),
            Some(
                "write https://; over http:// a token goes to this machine alone (localhost, 127.0.0.1, [::1])"
                    .to_owned(),
            ),
        );
    }
    let policies = [Policy::Ask, Policy::Ours, Policy::Theirs, Policy::Union]
        .map(|policy| (policy.as_str(), policy));
    let config = SourceConfig {
        kind: place.as_ref().map_or_else(
            || SourceKind::Dir {
                root: PathBuf::new(),
            },
            |place| place.kind.clone(),
        ),
        path,
        include: patterns(section, "include"),
        exclude: patterns(section, "exclude"),
        every: every.map(|every| every.value),
        cron: cron.map(|cron| cron.value),
        timezone: timezone.map(|timezone| timezone.value),
        at_start: section.get_or_default("at_start", word(&AtStart::WORDS, &[])),
        stale_after: stale_after.map(|stale_after| stale_after.value),
        watch: section.get_or_default("watch", boolean),
        priority: u16::try_from(section.get_or_default("priority", number(0, 1000)))
            .expect("it is at most 1000"),
        push: section.get_or_default(
            "push",
            word(&PushMode::WORDS, &["branch", "fork", "pull-request"]),
        ),
        on_conflict: section.get_or_default("on_conflict", word(&policies, &[])),
        max_file_size: section.get_or_default("max_file_size", size),
        max_total_size: section.get_or_default("max_total_size", size),
        max_files: section.get_or_default("max_files", number(1, MAX_FILES)),
        token,
        enabled: section.get_or_default("enabled", boolean),
    };
    if config.max_file_size > config.max_total_size {
        section.complain(
            section.header.clone(),
            format!("max_file_size of `{id}` is over its max_total_size"),
            Some("lower the one or raise the other".to_owned()),
        );
    }
    Some(SourceRead {
        id,
        config,
        root_span: place?.span,
    })
}

/// Complains about keys that no kind has, and about those of other kinds.
fn check_keys(kind: Kind, section: &Section<'_>) {
    section.check_keys(KEYS, LATER);
    for key in section.table.into_iter().flat_map(|table| table.keys()) {
        let name = key.get_ref().as_ref();
        let of = |kind: Kind| kind.keys().contains(&name);
        let others: Vec<&str> = Kind::WORDS
            .iter()
            .filter(|(_, other)| of(*other))
            .map(|(word, _)| *word)
            .collect();
        if !others.is_empty() && !of(kind) {
            section.complain(
                key.span(),
                format!(
                    "`{name}` in {} is a key of the kind `{}`, and this source is of the kind `{}`",
                    section.title,
                    others.join("` and `"),
                    kind.word()
                ),
                Some(format!(
                    "remove it; its own keys are: {}",
                    kind.keys().join(", ")
                )),
            );
        }
    }
}

fn cron(text: &str) -> Result<Cron, ValueError> {
    Cron::parse(text).map_err(|error| {
        ValueError::new(
            format!("`{}`: {error}", text.escape_debug()),
            "write minute, hour, day of month, month and day of week, for example \"0 */6 * * *\"",
        )
    })
}

/// Reads a list of patterns in gitignore syntax; complains about malformed ones.
fn patterns(section: &Section<'_>, key: &str) -> Vec<String> {
    let patterns = section.texts(key).unwrap_or_default();
    for pattern in &patterns {
        let mut builder = GitignoreBuilder::new("");
        // Git takes `a[` for a name; in a configuration it is a slip.
        builder.allow_unclosed_class(false);
        if let Err(error) = builder.add_line(None, &pattern.value) {
            section.complain(
                pattern.span.clone(),
                format!(
                    "{key} in {}: the pattern is malformed: {error}",
                    section.title
                ),
                Some("write it as in a .gitignore, for example \"**/*.md\"".to_owned()),
            );
        }
    }
    patterns.into_iter().map(|pattern| pattern.value).collect()
}

/// Reads the path of a subdirectory below the root.
fn subdirectory(text: &str) -> Result<ItemKey, ValueError> {
    ItemKey::new(text.strip_suffix('/').unwrap_or(text)).map_err(|error| ValueError {
        message: format!(
            "`{}` is no path below the root: {error}",
            text.escape_debug()
        ),
        hint: Some("write it relative to root, for example \"plugins\"".to_owned()),
    })
}
