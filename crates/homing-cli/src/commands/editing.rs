//! What the commands that edit the configuration have in common: write, have it loaded, tell.

use std::fmt::Write as _;

use homing_api::{
    ConfigEdit, Exit, FileEdit, Problem, ProblemKind, Run, RunStatus, Source, SourceCheck,
};
use homing_client::ClientError;
use homing_config::{Config, DiffLine, Edit, EditError, FileChange};

use crate::context::Context;
use crate::error::CliError;
use crate::output::{CYAN, RED, Report};
use crate::text::{escape, quote};

/// Others may write at the same time; each of them lets this one through sooner or later.
const TRIES: usize = 20;

/// What an edit came to, for the user.
#[derive(Default)]
pub(super) struct Told {
    /// The first line, as in "added source `docs`".
    pub(super) headline: String,
    /// Lines between what was written and what homingd said.
    pub(super) notes: Vec<String>,
    /// What to do next.
    pub(super) next: Option<Next>,
    pub(super) checks: Vec<SourceCheck>,
    pub(super) runs: Vec<Run>,
    /// What did not go as it should.
    pub(super) problems: Vec<Problem>,
    /// How the command ends.
    pub(super) exit: Option<Exit>,
}

/// What is left to do after an edit.
pub(super) enum Next {
    /// What the text says.
    Say(String),
    /// Sync these sources, unless homingd has, or does when their turn comes.
    Sync(Vec<String>),
}

/// Returns the configuration with the change made in memory, and as it would be.
pub(super) fn prepare(
    context: &Context,
    change: &dyn Fn(&mut Edit) -> Result<(), EditError>,
) -> Result<(Edit, Config), CliError> {
    let mut edit = Edit::begin(&context.locations, &context.env)?;
    change(&mut edit)?;
    let config = edit.judge()?;
    Ok((edit, config))
}

/// Writes the change, or only shows it, and has a running homingd load it.
pub(super) async fn finish(
    context: &Context,
    dry_run: bool,
    change: &dyn Fn(&mut Edit) -> Result<(), EditError>,
    mut told: Told,
) -> Result<Report, CliError> {
    let changes = if dry_run {
        prepare(context, change)?.0.changes()
    } else {
        write(context, change)?
    };
    let daemon = match (dry_run, changes.is_empty()) {
        (true, _) => Daemon::Untouched,
        (false, true) => Daemon::Unchanged,
        (false, false) => load(context).await,
    };
    if let Daemon::Refused(problem) = &daemon {
        told.problems.push(problem.as_ref().clone());
        told.exit.get_or_insert(Exit::Failed);
    }
    let next = match told.next.take().filter(|_| !dry_run) {
        None => None,
        Some(Next::Say(text)) => Some(text),
        Some(Next::Sync(names)) => left_to_sync(names, &daemon, context).await,
    };
    let document = ConfigEdit {
        dry_run,
        files: changes.iter().map(shown).collect(),
        checks: told.checks.clone(),
        runs: told.runs.clone(),
        daemon: daemon.word().to_owned(),
    };
    let text = render(context, &told, &document, (&daemon, next));
    let report = Report::new(&document, text).with_problems(told.problems);
    Ok(report.ending(told.exit.unwrap_or(Exit::Done)))
}

/// Writes the change and has homingd load it before anything else is asked of it.
pub(super) async fn put_in_force(
    context: &Context,
    change: &dyn Fn(&mut Edit) -> Result<(), EditError>,
) -> Result<(), CliError> {
    if write(context, change)?.is_empty() {
        return Ok(());
    }
    match load(context).await {
        Daemon::Refused(problem) => Err((*problem).into()),
        _ => Ok(()),
    }
}

fn write(
    context: &Context,
    change: &dyn Fn(&mut Edit) -> Result<(), EditError>,
) -> Result<Vec<FileChange>, CliError> {
    let mut tries = 0;
    loop {
        let (edit, _) = prepare(context, change)?;
        tries += 1;
        match edit.write() {
            Err(EditError::Changed) if tries < TRIES => {}
            written => return Ok(written?),
        }
    }
}

/// What homingd made of the new configuration.
enum Daemon {
    Loaded,
    NotRunning,
    RestartNeeded,
    Refused(Box<Problem>),
    /// Nothing was written, for only that was asked.
    Untouched,
    /// There was nothing to write.
    Unchanged,
}

impl Daemon {
    fn word(&self) -> &'static str {
        match self {
            Self::Loaded => "loaded",
            Self::NotRunning => "not-running",
            Self::RestartNeeded => "restart-needed",
            Self::Refused(_) => "refused",
            Self::Untouched | Self::Unchanged => "unchanged",
        }
    }
}

/// Returns the command that syncs those of the sources which homingd does not sync by itself.
async fn left_to_sync(
    mut names: Vec<String>,
    daemon: &Daemon,
    context: &Context,
) -> Option<String> {
    if matches!(daemon, Daemon::Loaded | Daemon::Unchanged)
        && let Ok(status) = context.client.status().await
    {
        let is_done = |source: &Source| {
            let is_under_way = source.next_due.is_some() || source.current_run.is_some();
            source.paused.is_none() && (is_under_way || source.last_success.is_some())
        };
        names.retain(|name| {
            let mut known = status.sources.iter();
            !known.any(|source| source.id == *name && is_done(source))
        });
    }
    let names: Vec<_> = names.iter().map(|name| quote(name)).collect();
    let start = match daemon {
        Daemon::NotRunning | Daemon::RestartNeeded => "when it runs: ",
        _ => "",
    };
    (!names.is_empty()).then(|| format!("{start}`homing sync {}`", names.join(" ")))
}

fn did_nothing(run: &Run) -> bool {
    run.status == RunStatus::Success && run.removed + run.synced == 0
}

/// Asks a running homingd to load the configuration.
async fn load(context: &Context) -> Daemon {
    match context.client.load_configuration().await {
        Ok(()) => Daemon::Loaded,
        Err(ClientError::NotRunning { .. }) => Daemon::NotRunning,
        Err(ClientError::Problem(problem)) if problem.kind == ProblemKind::UnknownRoute => {
            Daemon::RestartNeeded
        }
        Err(error) => {
            let mut problem = CliError::from(error).problem();
            let cause = std::mem::replace(
                &mut problem.detail,
                "the configuration was written, but homingd did not load it".to_owned(),
            );
            problem.causes.insert(0, cause);
            Daemon::Refused(Box::new(problem))
        }
    }
}

fn shown(change: &FileChange) -> FileEdit {
    let line = |line| match line {
        DiffLine::Kept(line) => format!(" {line}"),
        DiffLine::Removed(line) => format!("-{line}"),
        DiffLine::Added(line) => format!("+{line}"),
        DiffLine::Gap => "...".to_owned(),
    };
    FileEdit {
        path: change.path.display().to_string(),
        diff: change.diff().into_iter().map(line).collect(),
    }
}

fn render(
    context: &Context,
    told: &Told,
    document: &ConfigEdit,
    (daemon, next): (&Daemon, Option<String>),
) -> String {
    let screen = context.screen;
    let mut text = String::new();
    let mut line = |line: &str| writeln!(text, "{line}").expect("a String takes all");
    match daemon {
        Daemon::Untouched => line(&format!("would have {}:", escape(&told.headline))),
        Daemon::Unchanged if document.runs.iter().all(did_nothing) => {
            line("nothing to change: the configuration says so already");
        }
        // What was left to do was homingd's.
        _ => line(&escape(&told.headline)),
    }
    for file in &document.files {
        line(&format!("{}:", escape(&file.path)));
        for changed in &file.diff {
            let shown = format!("  {}", escape(changed));
            let style = match changed.chars().next() {
                Some('+') => Some(CYAN),
                Some('-') => Some(RED),
                _ => None,
            };
            line(&style.map_or_else(|| shown.clone(), |style| screen.paint(style, &shown)));
        }
    }
    for note in &told.notes {
        line(&escape(note));
    }
    match daemon {
        Daemon::Loaded => line("homingd has loaded it"),
        Daemon::NotRunning => {
            line(
                "homingd is not running; it takes effect when it starts (`systemctl --user start homingd`, or `homingd`)",
            );
        }
        Daemon::RestartNeeded => line("restart homingd for it to take effect"),
        Daemon::Refused(_) | Daemon::Untouched | Daemon::Unchanged => {}
    }
    if let Some(next) = next {
        line(&format!("next: {}", escape(&next)));
    }
    text
}
