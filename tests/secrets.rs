//! Secrets: found where the configuration says, each failure with its own way out, and never shown anywhere.

mod keyring;

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::{Result, ensure};

use crate::harness::{Home, Outcome, TestResult, Tree, run, skip, write};

const SECRET: &str = "hunter2-4f1c9a-of-the-leak-test";
/// Shows that what was looked through was there.
const MARK: &str = "seen-by-the-leak-test";

/// Everything that was said, to be looked through at the end.
#[derive(Default)]
struct Witness {
    heard: Vec<(String, String)>,
    /// The bus of a session with a keyring.
    bus: Option<String>,
}

impl Witness {
    fn heard(&mut self, what: &str, text: impl Into<String>) {
        self.heard.push((what.to_owned(), text.into()));
    }

    /// Runs `homing` with the token in its environment, and keeps what it says.
    fn homing(&mut self, home: &Home, arguments: &[&str]) -> Result<Outcome> {
        let mut command = home.homing_command(arguments);
        command.env("TEAM_TOKEN", SECRET);
        command.envs(self.bus.iter().map(|bus| ("DBUS_SESSION_BUS_ADDRESS", bus)));
        let outcome = run(command)?;
        self.heard(&arguments.join(" "), outcome.to_string());
        Ok(outcome)
    }

    fn holds_no_secret(&self) -> TestResult {
        for (what, text) in &self.heard {
            ensure!(!text.contains(SECRET), "`{what}` told the secret:\n{text}");
        }
        Ok(())
    }
}

/// Fails when a file below `tree` has the secret in it, save for those that end with one of `allowed`.
fn no_file_holds_it(tree: &Tree, allowed: &[&str]) -> Result<usize> {
    let mut files = 0;
    for (path, (_, bytes)) in tree.snapshot()? {
        files += 1;
        let found = bytes
            .windows(SECRET.len())
            .any(|window| window == SECRET.as_bytes());
        let is_allowed = allowed.iter().any(|end| path.ends_with(end));
        ensure!(!found || is_allowed, "{} holds the secret", path.display());
    }
    Ok(files)
}

fn executable(home: &Home, name: &str, script: &str) -> TestResult {
    let path = home.path(name);
    write(&path, format!("#!/bin/sh\n{script}\n").as_bytes())?;
    fs::set_permissions(&path, Permissions::from_mode(0o700))?;
    Ok(())
}

fn secret_file(home: &Home, text: &str, mode: u32) -> TestResult {
    let path = home.path(".secrets/token");
    write(&path, text.as_bytes())?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(())
}

/// One source whose token is as given.
fn configured(home: &Home, token: &str) -> TestResult {
    home.configure(&format!(
        "[sources.team]\nkind = \"dir\"\nroot = \"{{origins}}/team\"\ntoken = {token}\n\
         [targets.agents]\npath = \"{{home}}/agents\"\nfrom = [\"team\"]\n"
    ))?;
    Ok(())
}

#[test]
fn a_check_says_whether_the_secret_is_there_and_what_to_do_when_it_is_not() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    executable(
        &home,
        "bin/prints",
        &format!("echo {SECRET}; echo {SECRET} >&2"),
    )?;
    executable(&home, "bin/fails", &format!("echo {SECRET} >&2; exit 3"))?;
    executable(&home, "bin/babbles", "yes")?;
    let mut witness = Witness::default();
    for (token, text, mode, told) in [
        (
            "{ env = \"TEAM_TOKEN\" }",
            "",
            0o600,
            "its token is there: env TEAM_TOKEN of this shell",
        ),
        (
            "{ file = \"~/.secrets/token\" }",
            SECRET,
            0o600,
            "its token is there: file ",
        ),
        (
            "{ command = [\"~/bin/prints\", \"x\"] }",
            "",
            0o600,
            "its token is there: command ",
        ),
    ] {
        secret_file(&home, text, mode)?;
        configured(&home, token)?;
        let outcome = witness.homing(&home, &["source", "check"])?;
        outcome.expect(0, &[])?;
        ensure!(outcome.stdout.contains(told), "{outcome}");
        ensure!(outcome.stdout.contains("sends it nowhere"), "{outcome}");
        let json = witness.homing(&home, &["source", "check", "--json"])?;
        ensure!(json.stdout.contains("\"found\": true"), "{json}");
    }
    let newline = format!("{SECRET}\n{SECRET}");
    for (token, text, mode, told) in [
        (
            "{ env = \"OTHER_TOKEN\" }",
            "",
            0o600,
            "the variable OTHER_TOKEN is not set",
        ),
        (
            "{ file = \"~/.secrets/none\" }",
            "",
            0o600,
            "could not be read",
        ),
        (
            "{ file = \"~/.secrets/token\" }",
            SECRET,
            0o644,
            "chmod 600",
        ),
        ("{ file = \"~/.secrets/token\" }", "\n", 0o600, "is empty"),
        (
            "{ file = \"~/.secrets/token\" }",
            &newline,
            0o600,
            "not one line",
        ),
        ("{ file = \"~/.secrets\" }", "", 0o600, "not a regular file"),
        (
            "{ command = [\"~/bin/fails\"] }",
            "",
            0o600,
            "exit status: 3",
        ),
        (
            "{ command = [\"~/bin/babbles\"] }",
            "",
            0o600,
            "longer than 64 KiB",
        ),
        (
            "{ command = [\"no-such-program\"] }",
            "",
            0o600,
            "could not be started",
        ),
        ("{ keyring = \"team\" }", "", 0o600, "no keyring answers"),
    ] {
        secret_file(&home, text, mode)?;
        configured(&home, token)?;
        let outcome = witness.homing(&home, &["source", "check"])?;
        outcome.expect(
            6,
            &[
                "the token of source `team`",
                told,
                "[sources.team]",
                "hint:",
            ],
        )?;
        let json = witness.homing(&home, &["source", "check", "--json"])?;
        ensure!(
            json.code == 6 && json.stdout.contains("\"kind\": \"credentials\""),
            "{json}"
        );
    }
    witness.holds_no_secret()
}

#[test]
fn a_secret_is_read_from_a_keyring() -> TestResult {
    let (Some(keyring), Some(empty)) = (
        keyring::Keyring::start(true)?,
        keyring::Keyring::start(false)?,
    ) else {
        return skip("there is no dbus-daemon");
    };
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    for (name, address, code, told) in [
        (
            "team",
            &keyring.address,
            0,
            "its token is there: keyring team",
        ),
        (
            "other",
            &keyring.address,
            6,
            "the keyring has no entry `other`",
        ),
        ("team", &empty.address, 6, "no keyring answers"),
    ] {
        configured(&home, &format!("{{ keyring = \"{name}\" }}"))?;
        let mut command = home.homing_command(&["source", "check"]);
        command.env("DBUS_SESSION_BUS_ADDRESS", address);
        let outcome = run(command)?;
        let all = outcome.to_string();
        ensure!(outcome.code == code && all.contains(told), "{outcome}");
        ensure!(!all.contains(SECRET), "{outcome}");
    }
    Ok(())
}

#[test]
fn a_source_is_added_with_the_place_of_its_secret_and_never_with_the_secret() -> TestResult {
    let home = Home::new()?;
    home.make_origin("team")?.write("a.md", "one\n")?;
    let root = home.origin("team").0.display().to_string();
    let further = home.make_origin("further")?.0.display().to_string();
    let add = ["source", "add", "team", "--root", &root, "--token"];
    let mut witness = Witness::default();
    let outcome = witness.homing(&home, &[&add[..], &["env:TEAM_TOKEN"]].concat())?;
    outcome.expect(0, &[])?;
    let written = fs::read_to_string(home.config_path())?;
    ensure!(
        written.contains("token = { env = \"TEAM_TOKEN\" }"),
        "{written}"
    );
    let shown = home.json_ok(&["source", "show", "team"])?;
    ensure!(shown["token"]["env"] == "TEAM_TOKEN", "{shown:#}");
    ensure!(home.ok(&["config", "show"])?.contains("env TEAM_TOKEN"));
    let daemon = home.start()?;
    let status = home.json_ok(&["source", "show", "team"])?;
    ensure!(
        status["status"]["config"]["token"]["env"] == "TEAM_TOKEN",
        "{status:#}"
    );
    daemon.stop()?;
    // Not there: not added.
    let other = [
        "source",
        "add",
        "other",
        "--root",
        &further,
        "--token",
        "env:OTHER_TOKEN",
    ];
    witness
        .homing(&home, &other)?
        .expect(6, &["OTHER_TOKEN is not set", "--no-check"])?;
    // What was typed is in the list of processes for a moment; nothing that Homing says repeats it.
    for literal in [SECRET, "env:hunter2-4f1c9a-of-the-leak-test"] {
        for more in [&[][..], &["--json"]] {
            let other = [
                "source", "add", "other", "--root", &further, "--token", literal,
            ];
            let mut command = home.homing_command(&[&other[..], more].concat());
            let outcome = run({
                command.env("TEAM_TOKEN", SECRET);
                command
            })?;
            ensure!(outcome.code == 2, "{outcome}");
            witness.heard("a literal", outcome.to_string());
        }
    }
    ensure!(fs::read_to_string(home.config_path())? == written);
    witness.holds_no_secret()
}

#[test]
fn no_secret_is_ever_told_or_kept() -> TestResult {
    let home = Home::with_one_source()?;
    let keyring = keyring::Keyring::start(true)?;
    let mut witness = Witness {
        bus: keyring.as_ref().map(|keyring| keyring.address.clone()),
        ..Witness::default()
    };
    let valid = with_secrets_everywhere(&home)?;
    home.configure(&valid)?;
    for (format, end_by_crash) in [("text", true), ("json", false)] {
        let arguments = ["--log-format", format];
        let daemon = home.start_with(&arguments, &[("TEAM_TOKEN", SECRET), ("LANG", MARK)])?;
        home.origin("by-env")
            .write("a.md", format!("one {format}\n"))?;
        for arguments in [
            &["sync", "--all"][..],
            &["sync", "--json"],
            &["sync", "missing"],
            &["status", "--detailed"],
            &["status", "--json"],
            &["source", "list", "--json"],
            &["source", "show", "by-command", "--json"],
            &["source", "check"],
            &["source", "check", "--json"],
            &["config", "show"],
            &["config", "show", "--json"],
            &["config", "check", "--json"],
            &["config", "reload"],
            &["history", "--json"],
            &["run", "show", "1", "--json"],
            &["diff", "--json"],
            &["events", "--json"],
            &["db", "backup", "backup.tar", "--force"],
        ] {
            witness.homing(&home, arguments)?;
        }
        let checks = witness.homing(&home, &["source", "check"])?;
        let found = checks.stdout.matches("its token is there").count();
        let expected = if keyring.is_some() { 4 } else { 3 };
        ensure!(found == expected, "{found} of {expected}: {checks}");
        let cmdline = fs::read(format!("/proc/{}/cmdline", daemon.pid()))?;
        witness.heard("the command line", String::from_utf8_lossy(&cmdline));
        literals_in_the_configuration(&home, &mut witness)?;
        home.configure(&valid)?;
        ensure!(witness.homing(&home, &["config", "reload"])?.code == 0);
        let log = daemon.log();
        ensure!(
            log.contains(MARK),
            "the hook's environment is in the log:\n{log}"
        );
        ensure!(log.contains("TRACE"), "everything is logged");
        witness.heard("the log", log);
        if end_by_crash {
            // The log of before stands in the way of nothing: it is no file.
            daemon.kill()?;
        } else {
            daemon.stop()?;
        }
        let allowed = [".secrets/token"];
        let files = no_file_holds_it(&Tree(home.root().to_owned()), &allowed)?;
        ensure!(files > 8, "{files} files were looked through");
    }
    ensure!(home.path("backup.tar").exists() && home.path("lines-of-command").exists());
    // This would find it: it finds it where it is.
    ensure!(no_file_holds_it(&Tree(home.path(".secrets")), &[]).is_err());
    witness.holds_no_secret()
}

/// Makes what the four forms name, and returns a configuration with all of them and a hook that tells all it knows.
fn with_secrets_everywhere(home: &Home) -> Result<String> {
    secret_file(home, &format!("{SECRET}\n"), 0o600)?;
    let secret = "cat \"$HOME/.secrets/token\"";
    executable(
        home,
        "bin/prints",
        &format!(
            "{secret}; {secret} >&2; cat /proc/[0-9]*/cmdline 2>&- >\"$HOME/lines-of-command\"; true"
        ),
    )?;
    executable(
        home,
        "bin/fails",
        &format!("{secret}; {secret} >&2; exit 3"),
    )?;
    let mut text = "[daemon]\nlog = \"trace\"\n".to_owned();
    for (name, token) in [
        ("by-env", "env = \"TEAM_TOKEN\""),
        ("by-file", "file = \"~/.secrets/token\""),
        ("by-command", "command = [\"~/bin/prints\"]"),
        ("by-keyring", "keyring = \"team\""),
        ("fails", "command = [\"~/bin/fails\"]"),
    ] {
        home.make_origin(name)?
            .write(&format!("{name}.md"), "one\n")?;
        let section = format!(
            "[sources.{name}]\nkind = \"dir\"\nroot = \"{{origins}}/{name}\"\ntoken = {{ {token} }}\n"
        );
        text.push_str(&section);
    }
    text.push_str("[sources.missing]\nkind = \"dir\"\nroot = \"{origins}/missing\"\n");
    text.push_str(
        "[targets.agents]\npath = \"{home}/agents\"\nfrom = [\"by-env\", \"by-file\", \"by-command\", \"by-keyring\", \"fails\"]\n\
         after = [\"/bin/sh\", \"-c\", \"env; cat /proc/$PPID/cmdline; exit 1\"]\n",
    );
    Ok(text)
}

/// Writes the secret where it must not be, and asks everybody about it.
fn literals_in_the_configuration(home: &Home, witness: &mut Witness) -> TestResult {
    let source = "[sources.literal]\nkind = \"dir\"\nroot = \"/somewhere\"\n";
    for line in [
        format!("token = \"{SECRET}\""),
        format!("token = \"{SECRET}"),
        format!("token = {SECRET}"),
        format!("token = {{ value = \"{SECRET}\" }}"),
        format!("token = {{ env = \"{SECRET}\" }}"),
        format!("token = {{ command = [\"echo\", \"{SECRET}\"] }}"),
        format!("tokn = '''\n{SECRET}'''"),
        format!("path = \"https://ada:{SECRET}@host/x\""),
        format!("every = 1 # token = \"{SECRET}\""),
    ] {
        home.configure(&format!("{source}{line}\n"))?;
        for arguments in [
            &["config", "check"][..],
            &["config", "check", "--json"],
            &["config", "show", "--json"],
            &["config", "reload"],
            &["config", "reload", "--json"],
            &["status"],
            &["status", "--json"],
            &["source", "check", "literal"],
            &["source", "list", "--json"],
            &["source", "disable", "literal"],
        ] {
            let outcome = witness.homing(home, arguments)?;
            let is_shown = arguments[0] == "status";
            ensure!(
                is_shown || outcome.code != 0,
                "{line}: {arguments:?}: {outcome}"
            );
        }
    }
    Ok(())
}
