//! `homing completions`: what the real shells offer when Tab is pressed.

use std::fs::{DirBuilder, Permissions, set_permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};

use crate::harness::{Home, Outcome, TestResult, run, skip};

const TWO_SOURCES: &str = r#"
[sources.community]
kind = "dir"
root = "{origins}/community"

[sources.team]
kind = "dir"
root = "{origins}/team"

[targets.agents]
path = "{home}/agents"
from = ["team", "community"]
"#;

/// Calls the function that bash would call, with what bash would tell it.
const BASH: &str = r#"
set -u
source <("$HOMING" completions bash)
registered=$(complete -p homing)
function=${registered##*-F }
function=${function%% *}
COMP_WORDS=($LINE)
[[ $LINE == *' ' ]] && COMP_WORDS+=('')
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
COMP_LINE=$LINE COMP_POINT=${#LINE} COMP_TYPE=9
COMPREPLY=()
"$function" homing "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD - 1]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"#;

/// Types into an interactive bash on a terminal, presses Tab, and has its editor tell what is in the line.
const BASH_TYPED: &str = r#"
printf '%s\t\x14' "$LINE" |
    SHELL=/bin/sh script -qec 'bash --noprofile --rcfile "$HOME/.bashrc" -i' /dev/null > /dev/null
cat "$HOME/line"
"#;

const BASHRC: &str = r#"
source <("$HOMING" completions bash)
told() { printf '%s\n' "$READLINE_LINE" > "$HOME/line"; exit; }
bind -x '"\C-t": told'
"#;

/// Types into an interactive zsh, presses Tab, and has its editor tell what is in the line.
const ZSH: &str = r#"
zmodload zsh/zpty
zpty editor 'zsh -i'
zpty -r editor seen '*READY*'
zpty -w -n editor "$LINE"$'\t\x18'
zpty -r editor seen '*DONE*'
print -r -- "$(<$HOME/line)"
"#;

const ZSHRC: &str = r#"
autoload -Uz compinit
compinit -u -D
source <("$HOMING" completions zsh)
told() { print -r -- "$BUFFER" > "$HOME/line"; print DONE }
zle -N told
bindkey '^X' told
PROMPT=READY
"#;

const FISH: &str = r#"
"$HOMING" completions fish | source
complete -C "$LINE"
"#;

fn home() -> Result<Home> {
    let home = Home::new()?;
    for source in ["team", "community"] {
        home.make_origin(source)?
            .write(&format!("{source}.md"), "x\n")?;
    }
    home.configure(TWO_SOURCES)?;
    Ok(home)
}

/// Runs a script in a shell in which `line` is being typed; `None` where there is no such shell.
fn shell(home: &Home, shell: &str, script: &str, line: &str) -> Result<Option<Outcome>> {
    let program = Path::new("/usr/bin").join(shell);
    if !program.exists() {
        skip(&format!("there is no {shell}"))?;
        return Ok(None);
    }
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("HOME", home.path(""))
        .env("ZDOTDIR", home.path(""))
        .env("XDG_RUNTIME_DIR", home.root().join("run"))
        .env("PATH", "/usr/bin:/bin")
        .env("TERM", "dumb")
        .env("LC_ALL", "C.UTF-8")
        .env("HOMING", env!("CARGO_BIN_EXE_homing"))
        .env("LINE", line)
        .current_dir(home.path(""))
        .args(["-c", script])
        .stdin(std::process::Stdio::null());
    let outcome = run(command)?;
    outcome.expect(0, &[])?;
    ensure!(
        outcome.stderr.is_empty(),
        "{shell} says something while `{line}` is typed: {outcome}"
    );
    Ok(Some(outcome))
}

/// Returns what bash offers; `None` where there is no bash.
fn bash(home: &Home, line: &str) -> Result<Option<Vec<String>>> {
    let offered = shell(home, "bash", BASH, line)?;
    Ok(offered.map(|offered| {
        offered
            .stdout
            .lines()
            .map(|line| line.trim().to_owned())
            .collect()
    }))
}

/// Returns what fish offers, without the descriptions.
fn fish(home: &Home, line: &str) -> Result<Option<Vec<String>>> {
    let offered = shell(home, "fish", FISH, line)?;
    let name = |line: &str| line.split('\t').next().unwrap_or_default().to_owned();
    Ok(offered.map(|offered| offered.stdout.lines().map(name).collect()))
}

/// Returns what zsh makes of the line.
fn zsh(home: &Home, line: &str) -> Result<Option<String>> {
    crate::harness::write(&home.path(".zshrc"), ZSHRC.as_bytes())?;
    let completed = shell(home, "zsh", ZSH, line)?;
    Ok(completed.map(|completed| completed.stdout.trim_end().to_owned()))
}

/// What is typed, and what bash and fish offer for it.
const OFFERED: &[(&str, &[&str])] = &[
    ("homing sync ", &["community", "team"]),
    ("homing sync te", &["team"]),
    ("homing pull community te", &["team"]),
    ("homing verify ", &["agents"]),
    ("homing status ", &["community", "team", "agents"]),
    ("homing resolve a", &["agents"]),
    ("homing syn", &["sync"]),
    ("homing db ch", &["check"]),
    ("homing sync nobody", &[]),
];

fn expect_names(
    home: &Home,
    offer: impl Fn(&Home, &str) -> Result<Option<Vec<String>>>,
) -> TestResult {
    for (line, expected) in OFFERED {
        let Some(mut offered) = offer(home, line)? else {
            return Ok(());
        };
        // Flags are offered too, where nothing is typed yet.
        offered.retain(|word| !word.starts_with('-') && !word.is_empty());
        ensure!(offered == *expected, "`{line}`: {offered:?}");
    }
    Ok(())
}

#[test]
fn bash_completes_names_with_and_without_a_daemon() -> TestResult {
    let home = home()?;
    expect_names(&home, bash)?;
    ensure!(
        !home.socket().exists() && !home.data_dir().exists(),
        "pressing Tab started something"
    );
    let _daemon = home.start()?;
    expect_names(&home, bash)
}

#[test]
fn bash_completes_what_is_being_typed() -> TestResult {
    if !Path::new("/usr/bin/script").exists() {
        return skip("there is no script");
    }
    let home = home()?;
    let _daemon = home.start()?;
    crate::harness::write(&home.path(".bashrc"), BASHRC.as_bytes())?;
    for (line, expected) in [
        ("homing sync te", "homing sync team "),
        ("homing verify a", "homing verify agents "),
        ("homing sync nobody", "homing sync nobody"),
    ] {
        let Some(completed) = shell(&home, "bash", BASH_TYPED, line)? else {
            return Ok(());
        };
        ensure!(
            completed.stdout.trim_end_matches('\n') == expected,
            "{completed}"
        );
    }
    Ok(())
}

#[test]
fn fish_completes_names_with_and_without_a_daemon() -> TestResult {
    let home = home()?;
    expect_names(&home, fish)?;
    let _daemon = home.start()?;
    expect_names(&home, fish)
}

#[test]
fn zsh_completes_names_with_and_without_a_daemon() -> TestResult {
    let home = home()?;
    let lines = [
        ("homing sync te", "homing sync team"),
        ("homing verify a", "homing verify agents"),
        ("homing resolve a", "homing resolve agents"),
        ("homing syn", "homing sync"),
        ("homing sync nobody", "homing sync nobody"),
    ];
    let expect = || -> TestResult {
        for (line, expected) in lines {
            let Some(completed) = zsh(&home, line)? else {
                return Ok(());
            };
            ensure!(completed.trim_end() == expected, "`{line}`: {completed:?}");
        }
        Ok(())
    };
    expect()?;
    let _daemon = home.start()?;
    expect()
}

#[test]
fn runs_are_completed_newest_first() -> TestResult {
    let home = home()?;
    let _daemon = home.start()?;
    home.ok(&["sync", "team"])?;
    home.ok(&["sync", "community"])?;
    let document = home.json_ok(&["history"])?;
    let runs = document["runs"].as_array().context("a list of runs")?;
    let runs: Vec<String> = runs.iter().map(|run| run["id"].to_string()).collect();
    ensure!(runs.len() >= 2, "{runs:?}");
    for line in ["homing run show ", "homing undo "] {
        for offer in [bash, fish] {
            let Some(mut offered) = offer(&home, line)? else {
                continue;
            };
            offered.retain(|word| !word.starts_with('-'));
            ensure!(offered == runs, "`{line}`: {offered:?}, and not {runs:?}");
        }
    }
    let only = runs.last().context("a run")?;
    if let Some(completed) = zsh(&home, &format!("homing run show {only}"))? {
        ensure!(
            completed.trim_end() == format!("homing run show {only}"),
            "{completed:?}"
        );
    }
    Ok(())
}

#[test]
fn a_daemon_that_answers_knows_better_than_the_configuration() -> TestResult {
    let home = home()?;
    let elsewhere = home.path("elsewhere.toml");
    std::fs::rename(home.config_path(), &elsewhere)?;
    home.configure(&TWO_SOURCES.replace("team", "teapot"))?;
    let named = elsewhere.display().to_string();
    let daemon = home.start_with(&["--config", &named], &[])?;
    expect_one(&home, "team")?;
    if let Some(completed) = zsh(&home, "homing sync te")? {
        ensure!(completed.trim_end() == "homing sync team", "{completed:?}");
    }
    let offered = fish(&home, "homing sync te")?;
    ensure!(offered.is_none_or(|offered| offered == ["team"]));
    daemon.stop()?;
    expect_one(&home, "teapot")
}

#[test]
fn a_daemon_that_does_not_answer_is_not_waited_for() -> TestResult {
    let home = home()?;
    let socket = home.socket();
    let directory = socket.parent().context("a socket is in a directory")?;
    DirBuilder::new().mode(0o700).create(directory)?;
    let listener = UnixListener::bind(&socket)?;
    set_permissions(&socket, Permissions::from_mode(0o600))?;
    // Nobody has the patience of a test with a finger on Tab; the test only sees that it ends.
    expect_one(&home, "team")?;
    drop(listener);
    // Nobody listens any more, and the socket is still there.
    expect_one(&home, "team")
}

fn expect_one(home: &Home, name: &str) -> TestResult {
    let offered = bash(home, "homing sync te")?;
    ensure!(offered.is_none_or(|offered| offered == [name]));
    Ok(())
}

#[test]
fn a_broken_configuration_offers_nothing_and_says_nothing() -> TestResult {
    let home = home()?;
    home.configure("[sources.team\n")?;
    for offer in [bash, fish] {
        let offered = offer(&home, "homing sync te")?;
        ensure!(offered.is_none_or(|offered| offered.iter().all(String::is_empty)));
    }
    Ok(())
}

#[test]
fn a_shell_is_told_where_other_places_are() -> TestResult {
    let home = home()?;
    let elsewhere = home.path("elsewhere.toml");
    std::fs::rename(home.config_path(), &elsewhere)?;
    let line = format!("homing --config {} sync te", elsewhere.display());
    for offer in [bash, fish] {
        let offered = offer(&home, &line)?;
        ensure!(
            offered.as_ref().is_none_or(|offered| offered == &["team"]),
            "{offered:?}"
        );
    }
    Ok(())
}

#[test]
fn a_shell_that_is_not_known_is_usage() -> TestResult {
    let home = home()?;
    home.homing(&["completions", "tcsh"])?
        .expect(2, &["bash", "zsh", "fish"])?;
    home.homing(&["completions", "bsh"])?.expect(2, &["bash"])
}
