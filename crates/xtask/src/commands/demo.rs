//! `cargo xtask demo`: what Homing does, in a throwaway home.

mod picture;

use std::cell::RefCell;
use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::shell::{Binaries, build_binaries, root, say};

/// Arguments of `cargo xtask demo`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct DemoArgs {
    /// Build and use the release profile
    #[arg(long)]
    release: bool,
    /// Draw what is shown into this file: docs/demo.svg of the README is made so
    #[arg(long, value_name = "FILE")]
    picture: Option<PathBuf>,
}

struct Demo {
    binaries: Binaries,
    home: PathBuf,
    daemon: Child,
    /// What was shown since homingd runs.
    transcript: RefCell<String>,
}

/// Builds, plays and ends with where everything is; returns how long it took once built.
pub(crate) fn run(args: &DemoArgs) -> Result<Duration> {
    let binaries = build_binaries(args.release, false)?;
    let begun = Instant::now();
    let home = tempfile::Builder::new()
        .prefix("homing-demo-")
        .tempdir()?
        .keep();
    let mut demo = Demo::start(binaries, home)?;
    let played = demo.play();
    let stopped = demo.stop();
    let shown = played.with_context(|| {
        format!(
            "the demo in {} did not show what it should",
            demo.home.display()
        )
    })?;
    stopped?;
    if let Some(file) = &args.picture {
        write(file, &picture::draw(&shown))?;
    }
    demo.tell_how_to_go_on();
    let took = begun.elapsed();
    say(format!("(the demo took {:.1} s)", took.as_secs_f64()));
    Ok(took)
}

impl Demo {
    fn start(binaries: Binaries, home: PathBuf) -> Result<Self> {
        say(format!("# a throwaway home: {}", home.display()));
        copy(
            &root().join("crates/xtask/demo/team-agents"),
            &home.join("team-agents"),
        )?;
        fs::create_dir_all(home.join(".config/homing"))?;
        fs::create_dir_all(home.join(".claude/agents"))?;
        fs::create_dir(home.join("run"))?;
        fs::set_permissions(home.join("run"), fs::Permissions::from_mode(0o700))?;
        let config = "[sources.team]\nkind = \"dir\"\nroot = \"~/team-agents\"\nevery = \"15m\"\nat_start = \"never\"\n\n\
                      [targets.claude]\npath = \"~/.claude/agents\"\nfrom = [\"team\"]\n";
        write(&home.join(".config/homing/config.toml"), config)?;
        say("\n$ cat ~/.config/homing/config.toml");
        say(config);
        say("$ homingd &");
        let mut command = Command::new(&binaries.homingd);
        environment(&mut command, &home);
        let log = File::create(home.join("homingd.log"))?;
        let mut daemon = command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()?;
        let begun = Instant::now();
        while UnixStream::connect(home.join("run/homing/homingd.sock")).is_err() {
            if let Some(status) = daemon.try_wait()? {
                bail!(
                    "homingd ended: {status}\n{}",
                    fs::read_to_string(home.join("homingd.log"))?
                );
            }
            ensure!(
                begun.elapsed() < Duration::from_secs(10),
                "homingd does not answer"
            );
            thread::sleep(Duration::from_millis(2));
        }
        Ok(Self {
            binaries,
            home,
            daemon,
            transcript: RefCell::default(),
        })
    }

    /// Plays everything and returns what the picture shows of it.
    fn play(&self) -> Result<String> {
        self.begin()?;
        self.transcript.borrow_mut().clear();
        self.edit_on_both_sides()?;
        let shown = self
            .transcript
            .borrow()
            .replace(&*self.home.to_string_lossy(), "~");
        self.look_back()?;
        Ok(shown)
    }

    fn begin(&self) -> Result<()> {
        self.tell("A first sync publishes what the team shares.");
        self.homing(&["sync"], 0, &["team"])?;
        self.holds("agents/reviewer.md", &["model: sonnet"])?;
        self.homing(&["status"], 0, &["team", "claude"])
    }

    fn edit_on_both_sides(&self) -> Result<()> {
        self.tell("Upstream, the reviewer gets another model. Here, somebody adds a rule to it.");
        self.change(
            "team-agents/agents/reviewer.md",
            "model: sonnet",
            "model: opus",
        )?;
        self.change(
            ".claude/agents/agents/reviewer.md",
            "the line and the remedy.",
            "the line and the remedy.\n\nNever praise.",
        )?;
        self.homing(&["diff"], 0, &["reviewer.md"])?;
        self.holds("agents/reviewer.md", &["model: sonnet", "Never praise."])?;

        self.tell("The sync merges the two: neither is lost.");
        self.homing(&["sync"], 0, &["team"])?;
        self.show("agents/reviewer.md")?;
        self.holds("agents/reviewer.md", &["model: opus", "Never praise."])?;

        self.tell(
            "Now both change the same line. That is a conflict: the local file stays as it is.",
        );
        self.change(
            "team-agents/agents/planner.md",
            "at most three questions",
            "no questions",
        )?;
        self.change(
            ".claude/agents/agents/planner.md",
            "at most three questions",
            "at most five questions",
        )?;
        self.homing(&["sync"], 7, &["planner.md"])?;
        self.homing(&["conflicts"], 0, &["planner.md"])?;
        self.holds("agents/planner.md", &["at most five questions"])?;

        self.tell("Somebody decides for the upstream side,");
        self.homing(
            &["resolve", "claude", "agents/planner.md", "--theirs"],
            0,
            &[],
        )?;
        self.holds("agents/planner.md", &["no questions"])?;
        self.tell("regrets it,");
        self.homing(&["undo"], 0, &[])?;
        self.holds("agents/planner.md", &["at most five questions"])
    }

    fn look_back(&self) -> Result<()> {
        self.tell("and asks where the file comes from.");
        let file = self.home.join(".claude/agents/agents/planner.md");
        self.homing(&["why", &file.to_string_lossy()], 0, &["team"])?;
        self.homing(&["history"], 0, &["undo", "sync"])?;
        self.homing(&["status"], 0, &["team"])
    }

    /// Runs a command, prints it with its output, and checks how it ended and what it says.
    fn homing(&self, arguments: &[&str], code: i32, says: &[&str]) -> Result<()> {
        let mut command = Command::new(&self.binaries.homing);
        environment(&mut command, &self.home);
        let output = command.args(arguments).stdin(Stdio::null()).output()?;
        let home = self.home.to_string_lossy();
        self.say(format!(
            "$ homing {}",
            arguments.join(" ").replace(&*home, "~")
        ));
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        self.say(text.trim_end());
        if code != 0 {
            self.say(format!(
                "(exit code {code}: something waits for a decision)"
            ));
        }
        self.say("");
        ensure!(
            output.status.code() == Some(code),
            "`homing {}` ended with {}",
            arguments.join(" "),
            output.status
        );
        for expected in says {
            ensure!(
                text.contains(expected),
                "`homing {}` does not say `{expected}`",
                arguments.join(" ")
            );
        }
        Ok(())
    }

    fn holds(&self, path: &str, expected: &[&str]) -> Result<()> {
        let text = fs::read_to_string(self.home.join(".claude/agents").join(path))?;
        for expected in expected {
            ensure!(
                text.contains(expected),
                "{path} does not hold `{expected}`:\n{text}"
            );
        }
        Ok(())
    }

    fn show(&self, path: &str) -> Result<()> {
        self.say(format!("$ cat ~/.claude/agents/{path}"));
        self.say(fs::read_to_string(
            self.home.join(".claude/agents").join(path),
        )?);
        Ok(())
    }

    fn change(&self, path: &str, from: &str, to: &str) -> Result<()> {
        let file = self.home.join(path);
        let text = fs::read_to_string(&file)?;
        ensure!(text.contains(from), "{path} does not hold `{from}`");
        self.say(format!(
            "# ~/{path}: `{from}` becomes `{}`",
            to.replace('\n', "\\n")
        ));
        write(&file, &text.replace(from, to))
    }

    fn tell(&self, text: &str) {
        self.say(format!("\n## {text}\n"));
    }

    fn say(&self, text: impl AsRef<str>) {
        let mut transcript = self.transcript.borrow_mut();
        transcript.push_str(text.as_ref());
        transcript.push('\n');
        say(text);
    }

    fn stop(&mut self) -> Result<()> {
        say("$ kill %homingd");
        let status = Command::new("kill")
            .arg(self.daemon.id().to_string())
            .status()?;
        ensure!(status.success(), "homingd could not be told to stop");
        let status = self.daemon.wait()?;
        ensure!(status.success(), "homingd ended with {status}");
        Ok(())
    }

    fn tell_how_to_go_on(&self) {
        let home = self.home.display();
        let programs = self
            .binaries
            .homing
            .parent()
            .unwrap_or(Path::new("."))
            .display();
        say(format!(
            "\nEverything is in {home}:\n  \
             team-agents              the source, which stands for a share or a checkout\n  \
             .claude/agents           the target\n  \
             .config/homing           the configuration\n  \
             .local/share/homing      state.db: heads, history, kept contents\n  \
             homingd.log              what the daemon said\n\n\
             To go on:\n  \
             export HOME={home} XDG_RUNTIME_DIR={home}/run PATH=\"{programs}:$PATH\"\n  \
             homingd &\n  \
             homing status\n\n\
             To be rid of it: rm -r {home}"
        ));
    }
}

fn environment(command: &mut Command, home: &Path) {
    command
        .env_clear()
        .env("HOME", home)
        .env("XDG_RUNTIME_DIR", home.join("run"))
        .env("PATH", "/usr/bin:/bin");
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let destination = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &destination)?;
        } else {
            fs::copy(entry.path(), &destination)?;
        }
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<()> {
    File::create(path)?
        .write_all(text.as_bytes())
        .with_context(|| format!("could not write {}", path.display()))
}
