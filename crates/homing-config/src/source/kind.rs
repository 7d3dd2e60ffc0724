//! What only sources of one kind have: which keys, and what they say.

use std::ops::Range;

use homing_core::{ItemKey, is_reference_name};
use toml::de::DeValue;
use url::Url;

use super::address::{address, git_address, relative_address};
use super::verify::verify;
use crate::config::{HttpListing, SourceKind};
use crate::section::{Section, boolean, text};
use crate::values::{ValueError, expand_path};
use crate::{Env, Locations};

/// A kind, by its word.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Dir,
    Http,
    Github,
    Git,
}

impl Kind {
    pub(super) const WORDS: [(&'static str, Self); 4] = [
        ("dir", Self::Dir),
        ("http", Self::Http),
        ("github", Self::Github),
        ("git", Self::Git),
    ];

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Dir => "dir",
            Self::Http => "http",
            Self::Github => "github",
            Self::Git => "git",
        }
    }

    /// The keys that this kind has beside those of all.
    pub(super) fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Dir => &["root"],
            Self::Http => &[
                "url",
                "files",
                "index",
                "agent_skills",
                "archive",
                "user",
                "ca_file",
            ],
            Self::Github => &["url", "ref", "pin", "api", "ca_file"],
            Self::Git => &[
                "url",
                "ref",
                "pin",
                "user",
                "ca_file",
                "verify",
                "allowed_signers",
                "keyring",
                "submodules",
            ],
        }
    }
}

/// What a kind's own keys say, and where its place is in the file.
pub(super) struct KindRead {
    pub(super) kind: SourceKind,
    pub(super) span: Range<usize>,
}

/// Reads the keys of a kind; `None` when its place is not known.
pub(super) fn read(
    kind: Kind,
    section: &Section<'_>,
    locations: &Locations,
    env: &Env,
) -> Option<KindRead> {
    if kind != Kind::Dir {
        is_only_read(kind, section);
    }
    let base = locations
        .config_file
        .parent()
        .unwrap_or(&locations.config_file);
    let path = |value: &DeValue<'_>| expand_path(&text(value)?, base, env.home.as_deref());
    match kind {
        Kind::Dir => {
            let root = section.require("root", "\"/mnt/team/agents\"", path)?;
            Some(KindRead {
                kind: SourceKind::Dir { root: root.value },
                span: root.span,
            })
        }
        Kind::Http => {
            let url = section.require("url", "\"https://example.org/agents/\"", |value| {
                address(&text(value)?)
            });
            let listing = listing(section, url.as_ref().map(|url| &url.value));
            let user = user(section);
            let ca_file = section.get("ca_file", path).map(|ca_file| ca_file.value);
            let url = url?;
            Some(KindRead {
                kind: SourceKind::Http {
                    url: url.value,
                    listing: listing?,
                    user,
                    ca_file,
                },
                span: url.span,
            })
        }
        Kind::Github => {
            let url = section.require("url", "\"https://github.com/OWNER/REPOSITORY\"", |value| {
                repository(&text(value)?)
            });
            let reference = section.get("ref", |value| reference(&text(value)?));
            let pin = section.get("pin", |value| pin(&text(value)?));
            let api = section.get("api", |value| address(&text(value)?));
            let ca_file = section.get("ca_file", path).map(|ca_file| ca_file.value);
            let url = url?;
            Some(KindRead {
                kind: SourceKind::Github {
                    url: url.value,
                    api: api.map(|api| api.value),
                    reference: reference.map(|reference| reference.value),
                    pin: pin.map(|pin| pin.value),
                    ca_file,
                },
                span: url.span,
            })
        }
        Kind::Git => {
            let url = section.require(
                "url",
                "\"https://git.example.org/team/agents.git\"",
                |value| git_address(&text(value)?, env.home.as_deref()),
            );
            let reference = section.get("ref", |value| reference(&text(value)?));
            let pin = section.get("pin", |value| pin(&text(value)?));
            let user = user(section);
            let ca_file = section.get("ca_file", path).map(|ca_file| ca_file.value);
            let reference = reference.map(|reference| reference.value);
            let pinned = pin.as_ref().map(|pin| pin.span.clone());
            let verify = verify(section, reference.as_deref(), pinned, path);
            let submodules = section.get("submodules", boolean);
            let url = url?;
            Some(KindRead {
                kind: SourceKind::Git {
                    url: url.value,
                    reference,
                    pin: pin.map(|pin| pin.value),
                    user,
                    ca_file,
                    verify,
                    submodules: submodules.is_some_and(|submodules| submodules.value),
                },
                span: url.span,
            })
        }
    }
}

/// Complains about what only a place that can be written, or watched, can do.
fn is_only_read(kind: Kind, section: &Section<'_>) {
    let value = |key: &str| section.table.and_then(|table| table.get(key));
    let word = kind.word();
    if let Some(push) = value("push")
        && matches!(push.get_ref().as_str(), Some("direct"))
    {
        section.complain(
            push.span(),
            format!("push: a source of the kind `{word}` is only read, so nothing can go back"),
            Some("remove it: your edits stay in the targets".to_owned()),
        );
    }
    if let Some(watch) = value("watch")
        && watch.get_ref().as_bool() == Some(true)
    {
        section.complain(
            watch.span(),
            format!("watch: a source of the kind `{word}` cannot tell by itself that it changed"),
            Some("remove it, and let it be asked with for example every = \"15m\"".to_owned()),
        );
    }
}

/// Reads which of the ways to know what there is was chosen.
fn listing(section: &Section<'_>, url: Option<&Url>) -> Option<HttpListing> {
    const WAYS: &str = "give one of files = [\"a.md\", …], index = \"index.json\", agent_skills = true and archive = true";

    let files = section.texts("files");
    let index = section.get("index", |value| relative_address(&text(value)?, url));
    let is_set = |key: &str| section.get(key, boolean).is_some_and(|flag| flag.value);
    let mut ways = Vec::new();
    if let Some(files) = files {
        for file in &files {
            if let Err(error) = ItemKey::new(&file.value) {
                section.complain(
                    file.span.clone(),
                    format!("files: `{}`: {error}", file.value.escape_debug()),
                    Some("write paths below the URL, for example \"agents/a.md\"".to_owned()),
                );
            }
        }
        let files: Vec<String> = files.into_iter().map(|file| file.value).collect();
        if files.is_empty() {
            section.complain(
                section.header.clone(),
                format!("{}: files is empty", section.title),
                Some(WAYS.to_owned()),
            );
            return None;
        }
        ways.push(HttpListing::Files(files));
    }
    ways.extend(index.map(|index| HttpListing::Index(index.value)));
    ways.extend(is_set("agent_skills").then_some(HttpListing::AgentSkills));
    ways.extend(is_set("archive").then_some(HttpListing::Archive));
    if ways.len() > 1 {
        section.complain(
            section.header.clone(),
            format!(
                "{} says in {} ways what there is",
                section.title,
                ways.len()
            ),
            Some(WAYS.to_owned()),
        );
        return None;
    }
    let way = ways.pop();
    let is_mistyped = ["files", "index", "agent_skills", "archive"]
        .iter()
        .any(|key| {
            let value = section.table.and_then(|table| table.get(*key));
            value.is_some_and(|value| value.get_ref().as_bool() != Some(false))
        });
    if way.is_none() && !is_mistyped && !section.complaints.borrow().are_gaps_expected() {
        section.complain(
            section.header.clone(),
            format!("{} does not say what there is at its URL", section.title),
            Some(WAYS.to_owned()),
        );
    }
    way
}

fn user(section: &Section<'_>) -> Option<String> {
    let user = section.get("user", |value| {
        let user = text(value)?;
        if user.is_empty() || user.contains([':', '\0']) || user.contains(char::is_control) {
            return Err(ValueError::new(
                "this is no user: it is empty, or has a colon or a control character",
                "write the user alone; `token` says where the password is",
            ));
        }
        Ok(user)
    })?;
    let has_token = section
        .table
        .is_some_and(|table| table.contains_key("token"));
    if !has_token && !section.complaints.borrow().are_gaps_expected() {
        section.complain(
            user.span.clone(),
            "user says nothing without token, which is the password",
            Some("add for example token = { env = \"TEAM_PASSWORD\" }".to_owned()),
        );
    }
    Some(user.value)
}

fn repository(text: &str) -> Result<Url, ValueError> {
    let url = address(text)?;
    let segments: Vec<&str> = url
        .path_segments()
        .into_iter()
        .flatten()
        .filter(|segment| !segment.is_empty())
        .collect();
    if segments.len() != 2 {
        return Err(ValueError::new(
            "this is not the URL of a repository",
            "write https://github.com/OWNER/REPOSITORY; `ref` and `path` say which part of it is wanted",
        ));
    }
    Ok(url)
}

fn reference(text: &str) -> Result<String, ValueError> {
    if !is_reference_name(text) {
        return Err(ValueError::new(
            "this is no branch, tag or commit",
            "write for example ref = \"main\"; without it, the default branch is taken",
        ));
    }
    Ok(text.to_owned())
}

fn pin(text: &str) -> Result<String, ValueError> {
    let is_full =
        matches!(text.len(), 40 | 64) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !is_full {
        return Err(ValueError::new(
            "this is not the full id of a commit",
            "write all 40 digits of it (64 in a repository of SHA-256 ids); `homing source pin NAME` writes it for you",
        ));
    }
    Ok(text.to_ascii_lowercase())
}
