//! `homing source check`: what sources offer, found out by `homingd --check-sources`, which needs no running daemon.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use homing_api::{
    CheckRequest, Exit, Problem, ProblemKind, SecretShown, SourceCheck, SourceChecks,
};
use homing_config::{Config, Section};
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::arguments::CheckSourcesArgs;
use crate::context::{Context, unknown_section};
use crate::error::CliError;
use crate::output::Report;
use crate::text::{bytes, count, escape, quote};

/// A directory that takes longer to read is too much to wait for at a prompt.
const PATIENCE: Duration = Duration::from_mins(2);

/// Looks at sources as they are configured.
pub(super) async fn run(args: &CheckSourcesArgs, context: &Context) -> Result<Report, CliError> {
    let config = Config::load(&context.locations, &context.env)?;
    let names: Vec<&str> = config.sources.keys().map(|id| id.as_str()).collect();
    if let Some(name) = args
        .names
        .iter()
        .find(|name| !names.contains(&name.as_str()))
    {
        return Err(unknown_section(Section::Source, name, &names));
    }
    if names.is_empty() {
        let nothing = SourceChecks {
            sources: Vec::new(),
        };
        let text = "no source is configured; add one with `homing source add`\n";
        return Ok(Report::new(&nothing, text.to_owned()));
    }
    let request = CheckRequest {
        text: None,
        sources: args.names.clone(),
    };
    let checks = ask(&request, context).await?;
    let mut text = String::new();
    for check in checks.sources.iter().filter(|check| check.error.is_none()) {
        let line = escape(&format!("{}: {}", check.id, told(check))).into_owned();
        text.extend([line.as_str(), "\n"]);
        for line in notices(check, usize::MAX).into_iter().chain(token(check)) {
            text.extend([escape(&line).as_ref(), "\n"]);
        }
    }
    let problems: Vec<Problem> = checks.sources.iter().filter_map(problem).collect();
    let exit = match problems.len() {
        0 => Exit::Done,
        failed if failed == checks.sources.len() => {
            let is_secret = |problem: &Problem| problem.kind == ProblemKind::Credentials;
            if problems.iter().all(is_secret) {
                Exit::Permission
            } else {
                Exit::Failed
            }
        }
        _ => Exit::Partial,
    };
    Ok(Report::new(&checks, text)
        .with_problems(problems)
        .ending(exit))
}

/// Looks at sources with a homingd of its own.
pub(super) async fn ask(
    request: &CheckRequest,
    context: &Context,
) -> Result<SourceChecks, CliError> {
    let program = homingd();
    let failed = |what: String, causes: Vec<String>| {
        Problem::new(ProblemKind::Internal, what)
            .with_causes(causes)
            .with_hint("see that `homingd` lies beside `homing` or on the path; or leave the check out with --no-check")
    };
    let mut child = Command::new(&program)
        .arg("--check-sources")
        .arg("--config")
        .arg(&context.locations.config_file)
        .arg("--data-dir")
        .arg(&context.locations.data_dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(|error| {
            failed(
                format!("`{}` could not be started", program.display()),
                vec![error.to_string()],
            )
        })?;
    let body = serde_json::to_vec(request).expect("wire types have text keys only");
    let talk = async {
        if let Some(mut stdin) = child.stdin.take() {
            // It may have ended already; what it said tells why.
            drop(stdin.write_all(&body).await);
        }
        child.wait_with_output().await
    };
    let output = match tokio::time::timeout(PATIENCE, talk).await {
        Ok(output) => output?,
        Err(_elapsed) => {
            let what = format!(
                "the sources could not be read within {} s",
                PATIENCE.as_secs()
            );
            return Err(failed(what, Vec::new()).into());
        }
    };
    serde_json::from_slice(&output.stdout).map_err(|_nothing| {
        let said = String::from_utf8_lossy(&output.stderr);
        let causes = said.lines().map(|line| line.trim().to_owned()).collect();
        failed("homingd could not look at the sources".to_owned(), causes).into()
    })
}

/// Returns what would come, in words.
pub(super) fn told(check: &SourceCheck) -> String {
    match check.files {
        0 => format!("nothing would come from {}", check.place),
        files => {
            let size = check.bytes.map(|size| format!(" of {}", bytes(size)));
            format!(
                "{}{} would come from {}",
                count(files, "file"),
                size.unwrap_or_default(),
                check.place
            )
        }
    }
}

/// Returns what else is worth knowing, and what would not come: so many lines of it at most.
pub(super) fn notices(check: &SourceCheck, most: usize) -> Vec<String> {
    let mut lines: Vec<String> = check.notes.iter().map(|note| format!("  {note}")).collect();
    let problems = check
        .problems
        .iter()
        .take(most)
        .map(|notice| match notice.path.as_str() {
            "" => format!("  {}", notice.message),
            path => format!("  {path}: {}", notice.message),
        });
    lines.extend(problems);
    let untold = check.problems.len().saturating_sub(most);
    if untold > 0 {
        lines.push(format!(
            "  and {untold} more; `homing source check {}` names all",
            quote(&check.id)
        ));
    }
    lines
}

/// Returns what is to be said of a secret that was found.
pub(super) fn token(check: &SourceCheck) -> Option<String> {
    let token = check.token.as_ref().filter(|token| token.found)?;
    let from = &token.from;
    let mut line = format!("  its token is there: {from}");
    if matches!(from, SecretShown::Env(_)) {
        line.push_str(" of this shell; homingd has an environment of its own");
    }
    if !token.used {
        line.push_str("; a source of this kind sends it nowhere");
    }
    Some(line)
}

/// Returns why nothing can be said of a source.
pub(super) fn problem(check: &SourceCheck) -> Option<Problem> {
    let error = check.error.as_ref()?;
    let mut causes = vec![error.message.clone()];
    causes.extend(error.causes.iter().cloned());
    let what = if error.kind == ProblemKind::Credentials {
        format!("the token of source `{}` is not to be had", check.id)
    } else {
        format!("source `{}` cannot be read", check.id)
    };
    let mut problem = Problem::new(error.kind.clone(), what).with_causes(causes);
    problem.hint.clone_from(&error.hint);
    problem.source = Some(check.id.clone());
    Some(problem)
}

/// Returns the homingd that belongs to this program: the one beside it, else the one on the path.
fn homingd() -> PathBuf {
    let beside = std::env::current_exe()
        .ok()
        .map(|own| own.with_file_name("homingd"));
    beside
        .filter(|path| path.is_file())
        .unwrap_or_else(|| PathBuf::from("homingd"))
}
