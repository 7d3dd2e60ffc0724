//! `cargo xtask test`: installs what the tests need and runs them all.

use anyhow::Result;

use crate::shell::{self, cargo, say};
use crate::tools::{DebianTool, debian_tools, is_root, need_cargo_tool};

/// What tests use beyond the Rust toolchain.
const TOOLS: &[DebianTool] = &[
    DebianTool {
        program: "git",
        package: "git",
        purpose: "the replay of a real repository",
    },
    DebianTool {
        program: "mkfs.ext4",
        package: "e2fsprogs",
        purpose: "power cuts",
    },
    DebianTool {
        program: "setpriv",
        package: "util-linux",
        purpose: "a client of another user",
    },
    DebianTool {
        program: "zsh",
        package: "zsh",
        purpose: "completion in zsh",
    },
    DebianTool {
        program: "fish",
        package: "fish",
        purpose: "completion in fish",
    },
    DebianTool {
        program: "man",
        package: "man-db",
        purpose: "a look at the manual pages",
    },
    DebianTool {
        program: "script",
        package: "bsdutils",
        purpose: "tables on a terminal",
    },
];

/// Arguments of `cargo xtask test`.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct TestArgs {
    /// Arguments for `cargo nextest run`, for example a part of a test's name
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    nextest: Vec<String>,
}

/// Runs the doc tests, then the suite; nextest's summary is the last thing printed.
pub(crate) fn run(args: &TestArgs) -> Result<()> {
    need_cargo_tool("nextest")?;
    debian_tools(TOOLS);
    if !is_root() {
        say(
            "SKIPPED without root: tests that mount file systems or act as another user (power cuts, full and read-only targets)",
        );
    }
    if args.nextest.is_empty() {
        run_doc_tests()?;
    }
    run_suite(&args.nextest)
}

fn run_doc_tests() -> Result<()> {
    shell::run(&mut cargo([
        "test",
        "--quiet",
        "--doc",
        "--workspace",
        "--features",
        "homing/failpoints",
    ]))
}

fn run_suite(more: &[String]) -> Result<()> {
    let mut suite = cargo([
        "nextest",
        "run",
        "--workspace",
        "--features",
        "homing/failpoints",
        "--no-fail-fast",
    ]);
    run_last(suite.args(more))
}

/// Runs without a closing line, so that nextest has the last word.
fn run_last(command: &mut std::process::Command) -> Result<()> {
    let status = command.status()?;
    anyhow::ensure!(status.success(), "tests failed");
    Ok(())
}
