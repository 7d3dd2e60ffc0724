//! `homing source pin`, `homing source unpin`

use homing_api::{Problem, ProblemKind};
use homing_config::{Config, Edit, EditError, Section, Setting, SourceKind};

use crate::arguments::{PinSourceArgs, UnpinSourceArgs};
use crate::commands::editing::{self, Next, Told};
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::revisions::{self, is_full};
use crate::text::{quote, short_commit};

/// Holds a source at a commit.
pub(super) async fn pin(args: &PinSourceArgs, context: &Context) -> Result<Report, CliError> {
    let name = args.name.as_str();
    require_commits(name, context)?;
    let now = || async {
        let source = context.client.source(name).await?;
        match source.revision.filter(|revision| is_full(revision)) {
            // What came only in part has none, and what was there before still is.
            None => revisions::in_use_at(name, context.now, context).await,
            now => Ok::<_, CliError>(now),
        }
    };
    let (commit, is_now) = match args.revision.as_deref() {
        None => (now().await?.ok_or_else(|| nothing_published(name))?, true),
        Some(full) if is_full(full) => {
            let commit = full.to_ascii_lowercase();
            // homingd need not run for what was named whole.
            let is_now = now().await.is_ok_and(|now| now.as_ref() == Some(&commit));
            (commit, is_now)
        }
        Some(word) => {
            let commit = revisions::beginning_with(name, word, context).await?;
            let commit = commit.ok_or_else(|| unknown(name, word))?;
            let is_now = now().await?.as_ref() == Some(&commit);
            (commit, is_now)
        }
    };
    let mut told = Told {
        headline: format!("pinned source `{name}` to {}", short_commit(&commit)),
        ..Told::default()
    };
    told.notes.push(stays(name));
    if is_now {
        told.notes.push("that is what is published now".to_owned());
    } else {
        told.next = Some(Next::Say(format!("`homing sync {}`", quote(name))));
    }
    editing::finish(context, args.dry_run, &to(name, &commit), told).await
}

/// Lets a source follow its `ref` again.
pub(super) async fn unpin(args: &UnpinSourceArgs, context: &Context) -> Result<Report, CliError> {
    let name = args.name.as_str();
    let config = require_commits(name, context)?;
    let source = config.sources.iter().find(|(id, _)| id.as_str() == name);
    let follows = match source.map(|(_, source)| &source.kind) {
        Some(
            SourceKind::Git {
                reference: Some(reference),
                ..
            }
            | SourceKind::Github {
                reference: Some(reference),
                ..
            },
        ) => format!("`{reference}`"),
        _ => "the default branch".to_owned(),
    };
    let told = Told {
        headline: format!("unpinned source `{name}`; it follows {follows} again"),
        next: Some(Next::Say(format!("`homing sync {}`", quote(name)))),
        ..Told::default()
    };
    let change = |edit: &mut Edit| {
        edit.require(Section::Source, name)?;
        edit.unset(Section::Source, name, "pin");
        Ok(())
    };
    editing::finish(context, args.dry_run, &change, told).await
}

/// Returns the change that pins a source.
pub(in crate::commands) fn to<'a>(
    name: &'a str,
    commit: &'a str,
) -> impl Fn(&mut Edit) -> Result<(), EditError> + 'a {
    move |edit| {
        let setting = Setting::Text(commit.to_owned());
        edit.set(Section::Source, name, "pin", &setting)
    }
}

/// Returns the change that takes a pin back.
pub(in crate::commands) fn back_to<'a>(
    name: &'a str,
    before: Option<&'a str>,
) -> impl Fn(&mut Edit) -> Result<(), EditError> + 'a {
    move |edit| {
        if let Some(before) = before {
            return to(name, before)(edit);
        }
        edit.unset(Section::Source, name, "pin");
        Ok(())
    }
}

/// Returns what a source is pinned to.
pub(in crate::commands) fn of(config: &Config, name: &str) -> Option<String> {
    let source = config.sources.iter().find(|(id, _)| id.as_str() == name);
    match source.map(|(_, source)| &source.kind) {
        Some(SourceKind::Git { pin, .. } | SourceKind::Github { pin, .. }) => pin.clone(),
        _ => None,
    }
}

/// Says until when a pin holds.
pub(in crate::commands) fn stays(name: &str) -> String {
    format!(
        "it is pinned there until `homing source unpin {}`",
        quote(name)
    )
}

/// Makes sure that there is such a source, and that its revisions are commits; returns the configuration.
pub(in crate::commands) fn require_commits(
    name: &str,
    context: &Context,
) -> Result<Config, CliError> {
    let exists = |edit: &mut Edit| edit.require(Section::Source, name);
    let (_, config) = editing::prepare(context, &exists)?;
    let kind = config
        .sources
        .iter()
        .find(|(id, _)| id.as_str() == name)
        .map(|(_, source)| &source.kind);
    match kind {
        Some(SourceKind::Dir { .. } | SourceKind::Http { .. }) => {
            let word = kind.map_or("", SourceKind::word);
            let detail = format!(
                "source `{name}` is of the kind `{word}`, which has no commits to go back to"
            );
            Err(Problem::new(ProblemKind::Rejected, detail)
                .with_hint("`homing undo` takes back what a run changed, for sources of every kind")
                .into())
        }
        _ => Ok(config),
    }
}

/// Returns the error for a word that no commit of the history begins with.
pub(in crate::commands) fn unknown(name: &str, word: &str) -> CliError {
    let detail = format!("the history of `{name}` knows no commit `{word}`");
    Problem::new(ProblemKind::UnknownRevision, detail)
        .with_hint(
            "give the full id of a commit (40 or 64 digits; `homing run show ID --json` has those of all commits), or at least the first 4 digits of one that the source was at after a run",
        )
        .into()
}

fn nothing_published(name: &str) -> CliError {
    let detail = format!("nothing of `{name}` is published yet, so there is no commit to stay at");
    Problem::new(ProblemKind::UnknownRevision, detail)
        .with_hint(format!(
            "sync it first (`homing sync {}`), or name the commit",
            quote(name)
        ))
        .into()
}
