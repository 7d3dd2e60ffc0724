//! `homing db`

use std::ffi::OsStr;
use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use homing_api::{
    BackedUp, Condition, Exit, Problem, ProblemKind, StoreCheck, StoreCheckRequest, StoreSize,
    Vacuumed,
};
use homing_client::ClientError;
use serde_json::json;

use crate::arguments::{BackupArgs, DbCommand};
use crate::context::Context;
use crate::error::CliError;
use crate::output::{RED, Report, Screen};
use crate::text::{bytes, count, escape};

/// Looks after the state database.
pub(super) async fn run(command: &DbCommand, context: &Context) -> Result<Report, CliError> {
    match command {
        DbCommand::Check { deep } => {
            let found = context
                .client
                .check_store(&StoreCheckRequest { deep: *deep })
                .await?;
            let exit = if found.sound {
                Exit::Done
            } else {
                Exit::Failed
            };
            let text = check_text(&found, context.screen);
            Ok(Report::new(&found, text).ending(exit))
        }
        DbCommand::Size => {
            let size = context.client.store_size().await?;
            let text = size_text(&size);
            Ok(Report::new(&size, text))
        }
        DbCommand::Vacuum => {
            let vacuumed = context.client.vacuum().await?;
            let text = vacuum_text(&vacuumed);
            Ok(Report::new(&vacuumed, text))
        }
        DbCommand::Backup(args) => backup(args, context).await,
        DbCommand::Restore { .. } => unreachable!("it needs no daemon and was carried out"),
        DbCommand::AcceptRebuild => {
            let daemon = context.client.status().await?.daemon;
            let is_restored = |one: &Condition| one.kind == "Blocked" && one.status;
            let waited = daemon.quarantined.is_some() || daemon.conditions.iter().any(is_restored);
            context.client.accept_rebuild().await?;
            let text = if waited {
                "deletions and pushes are allowed again\n"
            } else {
                "nothing waited for this: the database was neither rebuilt nor restored\n"
            };
            Ok(Report::new(&json!({}), text))
        }
    }
}

/// Writes beside the file first, so that the file is a whole backup or was not touched.
async fn backup(args: &BackupArgs, context: &Context) -> Result<Report, CliError> {
    if args.file == Path::new("-") {
        let mut out = io::stdout();
        context.client.backup(&mut out).await.map_err(unheard)?;
        return Ok(Report::printed(Exit::Done));
    }
    let path = context.absolute(&args.file);
    if !args.force && path.symlink_metadata().is_ok() {
        let detail = format!("{} is there already", path.display());
        return Err(Problem::new(ProblemKind::Rejected, detail)
            .with_hint("write to another file, or over this one with --force")
            .into());
    }
    let failed = |error: io::Error| unwritable(&path, &error);
    let directory = path.parent().unwrap_or(Path::new("/"));
    let mut file = tempfile::Builder::new()
        .prefix(".homing-backup-")
        .tempfile_in(directory)
        .map_err(failed)?;
    let bytes_written = context.client.backup(&mut file).await?;
    file.as_file_mut().flush().map_err(failed)?;
    file.as_file().sync_all().map_err(failed)?;
    let persisted = if args.force {
        file.persist(&path)
    } else {
        file.persist_noclobber(&path)
    };
    persisted.map_err(|error| failed(error.error))?;
    File::open(directory)
        .and_then(|directory| directory.sync_all())
        .map_err(failed)?;
    let done = BackedUp {
        path: path.display().to_string(),
        bytes: bytes_written,
    };
    let text = format!("{} ({})\n", escape(&done.path), bytes(done.bytes));
    Ok(Report::new(&done, text))
}

/// A backup of which a part was read is none, so it is no success that its reader went away.
fn unheard(error: ClientError) -> CliError {
    match error {
        ClientError::Output { source } if source.kind() == io::ErrorKind::BrokenPipe => {
            let detail = "whoever read the backup went away before it was whole";
            Problem::new(ProblemKind::Permanent, detail)
                .with_causes(vec![source.to_string()])
                .with_hint("read it to its end, or name a file instead of `-`")
                .into()
        }
        error => error.into(),
    }
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    let kind = if error.kind() == io::ErrorKind::PermissionDenied {
        ProblemKind::Forbidden
    } else {
        ProblemKind::Storage
    };
    Problem::new(kind, format!("could not write {}", path.display()))
        .with_causes(vec![error.to_string()])
        .with_hint("name a file in a directory that you may write to and that has room")
        .into()
}

/// Has homingd replace the state, since only it knows how; no daemon may run meanwhile.
pub(super) fn restore(file: &Path, context: &Context) -> Result<Report, CliError> {
    let program = homingd();
    let mut command = std::process::Command::new(&program);
    command
        .arg("--json")
        .arg("--config")
        .arg(&context.locations.config_file)
        .arg("--data-dir")
        .arg(&context.locations.data_dir)
        .arg("--restore-store")
        .arg(file)
        .current_dir(&context.env.current_dir)
        .stdin(std::process::Stdio::inherit());
    let output = command.output().map_err(|error| {
        let detail = format!("could not start {}", program.display());
        Problem::new(ProblemKind::Internal, detail)
            .with_causes(vec![error.to_string()])
            .with_hint("install homingd beside homing, or into a directory of $PATH")
    })?;
    if !output.status.success() {
        let problem = problem_of(&String::from_utf8_lossy(&output.stderr));
        let exit = Exit::of_code(output.status.code());
        return Ok(Report::new(&problem, "")
            .with_problems(vec![problem.clone()])
            .ending(exit));
    }
    let restored: homing_api::Restored =
        serde_json::from_slice(&output.stdout).map_err(|error| {
            Problem::new(ProblemKind::Internal, error.to_string())
                .with_hint("compare the versions with `homing version` and `homingd --version`")
        })?;
    let text = restored_text(&restored);
    Ok(Report::new(&restored, text))
}

/// Returns what homingd printed as an error.
fn problem_of(printed: &str) -> Problem {
    let part = |name: &'static str| {
        let lines = printed.lines().map(str::trim);
        lines.filter_map(move |line| line.strip_prefix(name).map(str::to_owned))
    };
    let detail = part("error: ").next();
    let mut problem = Problem::new(
        ProblemKind::Rejected,
        detail.unwrap_or_else(|| "homingd did not restore the backup".to_owned()),
    )
    .with_causes(part("caused by: ").collect());
    problem.hint = part("hint: ").next();
    problem.with_some_hint()
}

/// The homingd that was installed with this program, else the one that the shell would find.
fn homingd() -> PathBuf {
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name("homingd"));
    beside
        .filter(|path| path.exists())
        .unwrap_or_else(|| PathBuf::from(OsStr::new("homingd")))
}

fn restored_text(restored: &homing_api::Restored) -> String {
    let mut text = format!(
        "restored the backup of {} with {}\n",
        escape(&restored.created_at),
        count(restored.contents, "content")
    );
    if let Some(replaced) = &restored.replaced {
        writeln!(text, "the state before is kept as {}", escape(replaced))
            .expect("a String takes all");
    }
    text + "next: start homingd and look at `homing diff`; nothing is deleted or pushed until `homing db accept-rebuild`\n"
}

fn check_text(found: &StoreCheck, screen: Screen) -> String {
    if found.sound {
        let contents = count(found.contents, "content");
        let mirrors = match found.mirrors {
            0 => String::new(),
            mirrors => format!(", {}", count(mirrors, "mirror")),
        };
        return format!(
            "sound: the database and {contents}{mirrors}\n{}",
            unexamined(found)
        );
    }
    let mut text = unexamined(found);
    let mut line = |word: &str, rest: &str| {
        writeln!(text, "{} {}", screen.paint(RED, word), escape(rest)).expect("a String takes all");
    };
    for what in &found.damage {
        line("damaged:", what);
    }
    for hash in &found.lost_contents {
        line("lost:", &format!("the bytes of content {hash}"));
    }
    for repository in &found.damaged_mirrors {
        line("damaged:", &format!("the mirror of `{repository}`"));
    }
    let ways_out = [
        (
            !found.damage.is_empty(),
            "next: restart homingd; it moves a damaged database aside and rebuilds it, or restore a backup\n",
        ),
        (
            !found.lost_contents.is_empty() && found.damage.is_empty(),
            "next: `homing sync --all` fetches what a source or target still has\n",
        ),
        (
            !found.damaged_mirrors.is_empty(),
            "next: `homing sync --all --force` makes damaged mirrors anew; what is published stays\n",
        ),
    ];
    let next = ways_out.into_iter().filter(|(is_so, _)| *is_so);
    text.extend(next.map(|(_, next)| next));
    text
}

/// Returns why nothing is said of mirrors, where that is so.
fn unexamined(found: &StoreCheck) -> String {
    let why = found.mirrors_unexamined.as_ref();
    why.map(|why| format!("mirrors could not be examined: {}\n", escape(why)))
        .unwrap_or_default()
}

fn size_text(size: &StoreSize) -> String {
    let aside = if size.set_aside > 0 {
        format!(
            "  aside     {} in {}\n",
            bytes(size.set_aside_bytes),
            count(size.set_aside, "earlier database"),
        )
    } else {
        String::new()
    };
    let mirrors = match size.mirrors {
        0 => String::new(),
        mirrors => format!("  mirrors   {} in {mirrors}\n", bytes(size.mirror_bytes)),
    };
    format!(
        "{}\n  database  {} ({} free; {} for {})\n  log       {}\n  files     {} in {}\n  history   {}\n{mirrors}{aside}",
        bytes(size.total),
        bytes(size.database),
        bytes(size.free),
        bytes(size.content_bytes),
        count(size.contents, "content"),
        bytes(size.log),
        bytes(size.content_file_bytes),
        count(size.content_files, "file"),
        count(size.runs, "run"),
    )
}

fn vacuum_text(vacuumed: &Vacuumed) -> String {
    format!(
        "{}, {} before\n",
        bytes(vacuumed.after),
        bytes(vacuumed.before)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_check_finds_is_told_with_the_way_out() {
        let found = StoreCheck {
            sound: false,
            contents: 3,
            damage: vec!["row 7 of journal\u{1b}".to_owned()],
            lost_contents: vec!["ab12".to_owned()],
            mirrors: 2,
            damaged_mirrors: vec!["/srv/a".to_owned()],
            mirrors_unexamined: None,
        };
        insta::assert_snapshot!(check_text(&found, Screen::default()), @r"
        damaged: row 7 of journal\u{1b}
        lost: the bytes of content ab12
        damaged: the mirror of `/srv/a`
        next: restart homingd; it moves a damaged database aside and rebuilds it, or restore a backup
        next: `homing sync --all --force` makes damaged mirrors anew; what is published stays
        ");
    }

    #[test]
    fn a_database_is_told_of_though_mirrors_could_not_be_examined() {
        let found = StoreCheck {
            sound: true,
            contents: 2,
            damage: Vec::new(),
            lost_contents: Vec::new(),
            mirrors: 0,
            damaged_mirrors: Vec::new(),
            mirrors_unexamined: Some("there is no `git`".to_owned()),
        };
        insta::assert_snapshot!(check_text(&found, Screen::default()), @r"
        sound: the database and 2 contents
        mirrors could not be examined: there is no `git`
        ");
    }

    #[test]
    fn sizes_are_told_by_what_they_are_for() {
        let size = StoreSize {
            total: 9 << 20,
            database: 4 << 20,
            free: 1 << 20,
            log: 0,
            contents: 1,
            content_bytes: 2048,
            content_files: 2,
            content_file_bytes: 5 << 20,
            runs: 12,
            set_aside: 0,
            set_aside_bytes: 0,
            mirrors: 2,
            mirror_bytes: 1 << 20,
        };
        let more = StoreSize {
            set_aside: 1,
            set_aside_bytes: 3 << 20,
            ..size.clone()
        };
        assert!(
            size_text(&more).ends_with("  aside     3.0 MiB in 1 earlier database\n"),
            "{}",
            size_text(&more)
        );
        insta::assert_snapshot!(size_text(&size), @r"
        9.0 MiB
          database  4.0 MiB (1.0 MiB free; 2.0 KiB for 1 content)
          log       0 B
          files     5.0 MiB in 2 files
          history   12 runs
          mirrors   1.0 MiB in 2
        ");
    }
}
