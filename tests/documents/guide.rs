//! The stage for the sessions of docs/guide.md: what happens between them, and how each command ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail, ensure};

use super::shown::{Session, Shown};
use crate::harness::{Daemon, Home, Outcome, TestResult, run, write};

const BASE: &str = "# Review of changes\n\nLook at the diff first.\nBe polite.\nName the line.\n\nEnd with a verdict.\n";

/// Ada's home.
pub(super) struct Stage {
    home: Home,
    daemon: Option<Daemon>,
    /// The sessions that were played, by their first command.
    played: Vec<String>,
    /// What is typed instead of a number that differs here.
    instead: Option<(String, String)>,
}

impl Stage {
    pub(super) fn new() -> Result<Self> {
        let home = Home::new()?;
        let stage = Self {
            home,
            daemon: None,
            played: Vec::new(),
            instead: None,
        };
        stage.upstream("review.md", BASE)?;
        stage.upstream("notes.md", "# Notes\n")?;
        stage.upstream("plan.md", "# Plan\n")?;
        Ok(stage)
    }

    /// Prepares what a command finds, and returns how it ends; `None` where it cannot be run here.
    pub(super) fn set(&mut self, session: &Session, command: &Shown) -> Result<Option<i32>> {
        let first = &session
            .commands
            .first()
            .context("a block without a command")?
            .typed;
        let is_first = std::ptr::eq(command, &raw const session.commands[0]);
        let nth =
            self.played.iter().filter(|played| *played == first).count() + usize::from(is_first);
        if is_first {
            self.played.push(first.clone());
            self.prepare(first, nth)?;
        }
        let typed = command.typed.as_str();
        if typed == "homing config reload" {
            self.wait_for("ReloadNeeded")?;
        }
        Ok(Some(match (first.as_str(), nth, typed) {
            ("homing sync team", _, "homing sync team") => 7,
            ("homing config check", ..) => 5,
            // Something is not as it was written.
            (_, _, "homing verify") => 3,
            (_, _, "homing sync taem --json") => 8,
            (_, _, typed) if typed.contains("jq ") && !Path::new("/usr/bin/jq").exists() => {
                return Ok(None);
            }
            (_, _, typed) if typed.contains("curl ") && !Path::new("/usr/bin/curl").exists() => {
                return Ok(None);
            }
            // It is set for each of the others, which run in a shell of their own.
            (_, _, typed) if typed.starts_with("S=") => return Ok(None),
            _ => 0,
        }))
    }

    fn prepare(&mut self, first: &str, nth: usize) -> TestResult {
        match (first, nth) {
            (first, 1) if first.starts_with("homing source add") => {}
            ("homing status", 1) => {
                self.daemon = Some(self.home.start()?);
                self.home.ok(&["sync"])?;
            }
            ("homing diff team", 1) => {
                self.upstream("review.md", &BASE.replace("the diff", "the tests"))?;
                self.mine(
                    "review.md",
                    &BASE.replace("verdict.", "verdict and a date."),
                )?;
            }
            ("homing sync team", 1) => {
                let theirs = BASE.replace("the diff", "the tests");
                self.upstream("review.md", &theirs.replace("Be polite.", "Be exact."))?;
                let mine = theirs.replace("verdict.", "verdict and a date.");
                self.mine(
                    "review.md",
                    &mine.replace("Be polite.", "Be polite and brief."),
                )?;
            }
            ("homing undo", 1) => {
                self.upstream("review.md", BASE)?;
                self.mine("review.md", BASE)?;
                self.home.ok(&["sync"])?;
                self.upstream("review.md", &BASE.replace("the diff", "the tests"))?;
                self.home.ok(&["sync"])?;
            }
            ("homing verify", 1) => {
                fs::remove_file(self.home.path(".claude/agents/notes.md"))?;
                self.mine("plan.md", "# Plan\n\nMine.\n")?;
            }
            ("homing run show 8", 1) => {
                let runs = self.home.json_ok(&["history"])?;
                let runs = runs["runs"].as_array().context("there are runs")?;
                let resolved = runs
                    .iter()
                    .rev()
                    .find(|run| run["verb"] == "resolve")
                    .context("there was a resolution")?;
                self.instead = Some((" 8".to_owned(), format!(" {}", resolved["id"])));
            }
            ("homing resolve team review.md --ours", 1) => {
                self.configure("push = \"direct\"\n", "", "")?;
                self.home.ok(&["config", "reload"])?;
                self.home.ok(&["sync"])?;
                self.upstream("review.md", "# Theirs\n")?;
                self.mine("review.md", "# Mine\n")?;
                let conflict = self.home.homing(&["sync", "team"])?;
                ensure!(conflict.code == 7, "{conflict}");
            }
            (first, 1) if first.starts_with("homing why") => {
                self.upstream("review.md", "# Review\n")?;
                write(&self.home.path("community/review.md"), b"# Other\n")?;
                self.configure(
                    "priority = 50\n",
                    "[sources.community]\nkind = \"dir\"\nroot = \"~/community\"\n",
                    ", \"community\"",
                )?;
                self.home.ok(&["config", "reload"])?;
                self.home.homing(&["resolve", "claude", "--theirs"])?;
                self.home.ok(&["sync"])?;
            }
            ("homing sync team", 2) => {
                self.configure("", "", "")?;
                self.home.ok(&["config", "reload"])?;
                for number in 1..=6 {
                    self.upstream(&format!("more-{number}.md"), "# More\n")?;
                }
                self.home.homing(&["sync"])?;
                for number in 1..=6 {
                    fs::remove_file(self.home.path(&format!("team/agents/more-{number}.md")))?;
                }
            }
            ("homing status", 2) => {
                let path = self.home.config_path();
                let text = fs::read_to_string(&path)?;
                write(&path, format!("{text}after = [\"/bin/true\"]\n").as_bytes())?;
                self.wait_for("ReloadNeeded")?;
            }
            ("homing config check", 1) => {
                self.drop_in("[daemon]\n\nmax_runz = 3\n")?;
            }
            ("homing db size", 1) => {
                fs::remove_file(self.home.path(".config/homing/config.d/z.toml"))?;
                self.home.ok(&["config", "reload"])?;
            }
            ("homing db restore backup.tar", 1) => {
                self.daemon.take().context("it ran")?.stop()?;
            }
            ("homing sync taem --json", 1) => {
                self.daemon = Some(self.home.start()?);
                self.home.ok(&["db", "accept-rebuild"])?;
            }
            (first, 1) if first.starts_with("S=") => {
                self.home.homing(&["resolve", "claude", "--theirs"])?;
                self.home.ok(&["sync", "--accept-deletions"])?;
            }
            _ => {
                bail!("no stage is set for the block that begins with `{first}`, its number {nth}")
            }
        }
        Ok(())
    }

    /// Runs a command in a shell.
    pub(super) fn run(&mut self, typed: &str) -> Result<Outcome> {
        let mut typed = typed.to_owned();
        if let Some((number, other)) = self.instead.take() {
            typed = typed.replace(&number, &other);
        }
        let programs = Path::new(env!("CARGO_BIN_EXE_homing"))
            .parent()
            .context("it lies in a directory")?
            .display();
        let mut command: Command = self.home.homing_command::<&str>(&[]);
        let environment: Vec<_> = command
            .get_envs()
            .filter_map(|(name, value)| Some((name.to_owned(), value?.to_owned())))
            .collect();
        command = Command::new("/bin/sh");
        command
            .args(["-c", &typed])
            .env_clear()
            .envs(environment)
            .env("PATH", format!("{programs}:/usr/bin:/bin"))
            .env("S", self.home.socket())
            .current_dir(self.home.path(""))
            .stdin(std::process::Stdio::null());
        run(command)
    }

    /// Returns a text as if it had been said in Ada's home.
    pub(super) fn as_ada(&self, text: &str) -> String {
        let home = self.home.path("").display().to_string();
        text.replace(home.trim_end_matches('/'), "/home/ada")
    }

    /// Makes sure that every stage was needed, and ends the daemon.
    pub(super) fn end(self, sessions: &[Session]) -> TestResult {
        ensure!(self.played.len() == sessions.len());
        ensure!(
            sessions.len() >= 16,
            "{} sessions were found",
            sessions.len()
        );
        self.daemon.map_or(Ok(()), Daemon::stop)
    }

    fn upstream(&self, file: &str, text: &str) -> TestResult {
        write(
            &self.home.path(&format!("team/agents/{file}")),
            text.as_bytes(),
        )
    }

    fn mine(&self, file: &str, text: &str) -> TestResult {
        write(
            &self.home.path(&format!(".claude/agents/{file}")),
            text.as_bytes(),
        )
    }

    fn configure(&self, source: &str, more: &str, from: &str) -> TestResult {
        self.home.configure(&format!(
            "[sources.team]\nkind = \"dir\"\nroot = \"~/team/agents\"\n{source}{more}\n\
             [targets.claude]\npath = \"~/.claude/agents\"\nfrom = [\"team\"{from}]\n"
        ))?;
        Ok(())
    }

    fn drop_in(&self, text: &str) -> TestResult {
        write(
            &self.home.path(".config/homing/config.d/z.toml"),
            text.as_bytes(),
        )
    }

    fn wait_for(&self, kind: &str) -> TestResult {
        for _ in 0..1000 {
            if crate::reload::condition(&self.home, kind)?.is_some() {
                return Ok(());
            }
        }
        bail!("{kind} does not come")
    }
}
