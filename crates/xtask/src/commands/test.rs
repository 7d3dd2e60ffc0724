//! `cargo xtask test`: installs what the tests need and runs them all.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, IsTerminal, Write, stderr};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use crate::shell::{self, cargo, say};
use crate::tools::{DebianTool, debian_tools, is_root, need_cargo_tool};

/// What tests use beyond the Rust toolchain.
const TOOLS: &[DebianTool] = &[
    DebianTool {
        program: "git",
        package: "git",
        purpose: "repositories that tests make, serve and replay",
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
        program: "curl",
        package: "curl",
        purpose: "a client of another user",
    },
    DebianTool {
        program: "sqlite3",
        package: "sqlite3",
        purpose: "a database that is locked or of a newer schema",
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
        program: "nginx",
        package: "nginx-light",
        purpose: "sources of the kind http",
    },
    DebianTool {
        program: "openssl",
        package: "openssl",
        purpose: "sources of the kind http over TLS",
    },
    DebianTool {
        program: "fcgiwrap",
        package: "fcgiwrap",
        purpose: "sources of the kind git over HTTP",
    },
    DebianTool {
        program: "sshd",
        package: "openssh-server",
        purpose: "sources of the kind git over ssh",
    },
    DebianTool {
        program: "git-lfs",
        package: "git-lfs",
        purpose: "large files of sources of the kind git",
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
    /// Also sync a public repository, where a network leads there
    #[arg(long)]
    network: bool,
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
    run_suite(args)
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

fn run_suite(args: &TestArgs) -> Result<()> {
    // nextest hides what tests print that pass, so they write here what they skip.
    let skipped = tempfile::NamedTempFile::new()?;
    let color = if stderr().is_terminal() {
        "always"
    } else {
        "never"
    };
    let mut suite = cargo([
        "nextest",
        "run",
        "--workspace",
        "--features",
        "homing/failpoints",
        "--no-fail-fast",
        "--color",
        color,
    ]);
    suite
        .args(&args.nextest)
        .env("HOMING_SKIPPED", skipped.path())
        .stderr(Stdio::piped());
    if args.network {
        suite.env("HOMING_NETWORK", "1");
    }
    run_last(&mut suite, || {
        let list = fs::read_to_string(skipped.path()).unwrap_or_default();
        let lines: BTreeSet<&str> = list.lines().collect();
        let mut told = String::new();
        for line in lines {
            told += "     SKIPPED ";
            told += line;
            told += "\n";
        }
        told
    })
}

/// Runs nextest without a closing line, so that it has the last word; what was skipped comes before its summary.
fn run_last(command: &mut Command, skipped: impl FnOnce() -> String) -> Result<()> {
    let mut child = command.spawn()?;
    let said = child.stderr.take().context("standard error is a pipe")?;
    pass_on(BufReader::new(said), &mut stderr(), skipped)?;
    ensure!(child.wait()?.success(), "tests failed");
    Ok(())
}

/// Copies what nextest says, with the skipped tests before its summary, or at the end if there is none.
fn pass_on(
    mut said: impl BufRead,
    out: &mut impl Write,
    skipped: impl FnOnce() -> String,
) -> Result<()> {
    // The rule above the summary is held back until it is known what it is above.
    let mut rule = Vec::new();
    let mut line = Vec::new();
    while said.read_until(b'\n', &mut line)? > 0 {
        let text = String::from_utf8_lossy(&line);
        if text.contains("Summary") && !rule.is_empty() {
            break;
        }
        out.write_all(&std::mem::take(&mut rule))?;
        if text.contains("────") {
            rule.append(&mut line);
        }
        out.write_all(&line)?;
        line.clear();
    }
    out.write_all(skipped().as_bytes())?;
    out.write_all(&rule)?;
    out.write_all(&line)?;
    let mut rest = Vec::new();
    said.read_to_end(&mut rest)?;
    out.write_all(&rest)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed_on(said: &str) -> String {
        let mut out = Vec::new();
        pass_on(said.as_bytes(), &mut out, || {
            "SKIPPED one: why\n".to_owned()
        })
        .unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn skipped_tests_come_before_the_summary_and_nothing_is_lost() {
        let said = "────────────\n Nextest run ID 1\n    PASS one\n────────────\n Summary [1 s] 1 test run: 1 passed\n";
        let told = passed_on(said);
        assert_eq!(
            told,
            "────────────\n Nextest run ID 1\n    PASS one\nSKIPPED one: why\n────────────\n Summary [1 s] 1 test run: 1 passed\n"
        );
        let failed = format!("{said}    FAIL two\nerror: test run failed\n");
        assert_eq!(passed_on(&failed).replace("SKIPPED one: why\n", ""), failed);
    }

    #[test]
    fn skipped_tests_are_told_where_there_is_no_summary() {
        assert_eq!(passed_on("error: no\n"), "error: no\nSKIPPED one: why\n");
    }
}
