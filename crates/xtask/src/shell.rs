//! Runs programs visibly and says what goes on.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context, Result, bail};

/// Returns the workspace's directory.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies in crates/xtask")
}

/// Prints one line.
#[allow(clippy::print_stdout, reason = "this is a program for a terminal")]
pub(crate) fn say(line: impl AsRef<str>) {
    println!("{}", line.as_ref());
}

/// Prints an error with its causes.
#[allow(clippy::print_stderr, reason = "the one place that renders errors")]
pub(crate) fn complain(error: &anyhow::Error) {
    eprintln!("error: {error}");
    for cause in error.chain().skip(1) {
        eprintln!("  caused by: {cause}");
    }
}

/// Returns cargo with these arguments, to be run in the workspace.
pub(crate) fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root()).args(arguments);
    // `cargo run` sets these for this program; a build script that watches them would run again each time.
    for name in [
        "CARGO_MANIFEST_DIR",
        "CARGO_PKG_NAME",
        "CARGO_PKG_VERSION",
        "CARGO_MANIFEST_PATH",
    ] {
        command.env_remove(name);
    }
    command
}

/// Runs a program with the terminal's output and fails when it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let shown = display(command);
    say(format!("+ {shown}"));
    let begun = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("could not start `{shown}`"))?;
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    let seconds = begun.elapsed().as_secs_f64();
    if seconds > 5.0 {
        say(format!("  ({seconds:.0} s)"));
    }
    Ok(())
}

/// Returns whether a program of that name is on the path.
pub(crate) fn has_program(name: &str) -> bool {
    std::env::var_os("PATH").is_some_and(|path| {
        std::env::split_paths(&path).any(|directory| directory.join(name).is_file())
    })
}

/// Where the built binaries are.
#[derive(Debug)]
pub(crate) struct Binaries {
    /// The command line.
    pub(crate) homing: PathBuf,
    /// The daemon.
    pub(crate) homingd: PathBuf,
}

/// Builds `homing` and `homingd` and returns where they are.
pub(crate) fn build_binaries(release: bool, failpoints: bool) -> Result<Binaries> {
    let mut arguments = vec![
        "build",
        "--package",
        "homing",
        "--bins",
        "--message-format=json-render-diagnostics",
    ];
    if release {
        arguments.push("--release");
    }
    if failpoints {
        arguments.extend(["--features", "failpoints"]);
    }
    say(format!("+ cargo {}", arguments.join(" ")));
    let output = cargo(&arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("could not start cargo")?;
    if !output.status.success() {
        bail!("the build of `homing` failed: {}", output.status);
    }
    let mut found = Vec::new();
    for line in output
        .stdout
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.is_empty())
    {
        let message: serde_json::Value =
            serde_json::from_slice(line).context("cargo printed something else than JSON")?;
        if let Some(executable) = message["executable"].as_str() {
            found.push(PathBuf::from(executable));
        }
    }
    let named = |name: &str| {
        found
            .iter()
            .find(|path| path.file_stem() == Some(OsStr::new(name)))
            .cloned()
            .with_context(|| format!("cargo built no `{name}`"))
    };
    Ok(Binaries {
        homing: named("homing")?,
        homingd: named("homingd")?,
    })
}

fn display(command: &Command) -> String {
    let program = Path::new(command.get_program())
        .file_name()
        .unwrap_or(command.get_program());
    let mut shown = program.to_string_lossy().into_owned();
    for argument in command.get_args() {
        shown.push(' ');
        shown.push_str(&argument.to_string_lossy());
    }
    shown
}
