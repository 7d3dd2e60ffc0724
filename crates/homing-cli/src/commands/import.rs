//! `homing import`

mod found;
mod sections;
mod told;
mod upload;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use homing_api::{
    Exit, ImportDone, ImportOutcome, ImportReport, ImportedDocument, ImportedFile, ImportedSource,
    Problem, ProblemKind, routes,
};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::arguments::{ImportArgs, ImportCommand};
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use found::Lists;
use upload::Document;

/// So many backups of one cache are told apart.
const MOST_BACKUPS: u32 = 1000;

/// What is taken over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    EtagCache,
    AgentSyncDb,
}

impl Kind {
    fn route(self) -> &'static str {
        match self {
            Self::EtagCache => routes::IMPORT_ETAG_CACHE,
            Self::AgentSyncDb => routes::IMPORT_AGENT_SYNC_DB,
        }
    }
}

/// Takes over what another program has fetched.
pub(super) async fn run(command: &ImportCommand, context: &Context) -> Result<Report, CliError> {
    let (kind, args) = match command {
        ImportCommand::EtagCache(args) => (Kind::EtagCache, args),
        ImportCommand::AgentSyncDb(args) => (Kind::AgentSyncDb, args),
    };
    let lists = Lists::find(context);
    let mut done = ImportDone {
        dry_run: args.dry_run,
        imports: Vec::new(),
    };
    let (mut warnings, mut problems) = (Vec::new(), Vec::new());
    for file in documents(kind, args, context)? {
        match take_over(kind, &file, &lists, args.dry_run, context).await {
            Ok((document, warning)) => {
                done.imports.push(document);
                warnings.extend(warning);
            }
            // What was taken over from those before it stays, and those after it may be sound.
            Err(error) if args.file.is_none() && is_its_own(&error) => {
                let mut problem = error.problem();
                problem.detail = format!("{}: {}", file.display(), problem.detail);
                problems.push(problem);
            }
            Err(error) => return Err(error),
        }
    }
    let failed = !problems.is_empty() || done.imports.iter().any(is_partial);
    let exit = match (failed, done.imports.is_empty()) {
        (true, true) => Exit::Failed,
        (true, false) => Exit::Partial,
        (false, _) => Exit::Done,
    };
    let text = told::text(&done, context.screen);
    let report = Report::new(&done, text)
        .with_problems(problems)
        .ending(exit);
    Ok(warnings
        .into_iter()
        .fold(report, |report, warning| report.with_warning(Some(warning))))
}

/// Tells whether an error is about one file, and not about everything that is asked for.
fn is_its_own(error: &CliError) -> bool {
    matches!(
        error.problem().kind,
        ProblemKind::Rejected | ProblemKind::Forbidden | ProblemKind::TooLarge
    )
}

fn is_partial(document: &ImportedDocument) -> bool {
    let files = document.report.sources.iter().flat_map(|one| &one.files);
    let mut refused = files.filter(|file| file.outcome == ImportOutcome::Refused);
    !document.report.problems.is_empty() || refused.next().is_some()
}

fn documents(kind: Kind, args: &ImportArgs, context: &Context) -> Result<Vec<PathBuf>, CliError> {
    if let Some(file) = &args.file {
        return Ok(vec![context.absolute(file)]);
    }
    let (found, places) = found::documents(kind, context)?;
    if found.is_empty() {
        let what = match kind {
            Kind::EtagCache => "ETag cache",
            Kind::AgentSyncDb => "database of an agent sync",
        };
        let problem = Problem::new(ProblemKind::UnknownPath, format!("no {what} was found"));
        return Err(problem
            .with_causes(places)
            .with_hint("name the file if it is elsewhere")
            .into());
    }
    Ok(found)
}

/// Takes one document over: asks what it names, brings its sources into the configuration, sends what is cached.
async fn take_over(
    kind: Kind,
    file: &Path,
    lists: &Lists,
    dry_run: bool,
    context: &Context,
) -> Result<(ImportedDocument, Option<String>), CliError> {
    let document = Document::read(kind, file, found::etags(kind, file, context))?;
    let client = &context.client;
    let nothing = document.tar(lists, &[])?;
    let named = client.import(kind.route(), true, nothing).await?;
    let added = sections::new(&named);
    if !dry_run {
        sections::add(&added, context).await?;
    }
    let cached = found::cached(kind, file, &named, context);
    let all = document.tar(lists, &cached)?;
    let report = client.import(kind.route(), dry_run, all).await?;
    // What names no source was no cache of ours to put aside.
    let is_cache = !report.sources.is_empty();
    let (backup, warning) = match (kind, dry_run) {
        (Kind::EtagCache, false) if is_cache => put_aside(file),
        _ => (None, None),
    };
    let done = ImportedDocument {
        file: file.display().to_string(),
        report,
        added: added.into_iter().map(|one| one.id.clone()).collect(),
        backup: backup.map(|path| path.display().to_string()),
    };
    Ok((done, warning))
}

/// Renames a cache that was taken over, never over another file. Where it cannot be renamed it stays, with a warning.
fn put_aside(file: &Path) -> (Option<PathBuf>, Option<String>) {
    let name = file.as_os_str().to_string_lossy();
    if name.contains(".backup") {
        return (None, None);
    }
    for number in 0..MOST_BACKUPS {
        let mut backup = file.as_os_str().to_owned();
        backup.push(".backup");
        if number > 0 {
            backup.push(format!(".{number}"));
        }
        let backup = PathBuf::from(backup);
        match rename(file, &backup) {
            Ok(()) => return (Some(backup), None),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let warning = format!(
                    "{} was taken over and stays where it is: {error}",
                    file.display()
                );
                return (None, Some(warning));
            }
        }
    }
    let warning = format!(
        "{} was taken over and stays where it is: it has {MOST_BACKUPS} backups",
        file.display()
    );
    (None, Some(warning))
}

fn rename(from: &Path, to: &Path) -> io::Result<()> {
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // A file system that cannot: a second name fails as well where there is one.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) => {
            fs::hard_link(from, to)?;
            fs::remove_file(from)
        }
        renamed => Ok(renamed?),
    }
}
