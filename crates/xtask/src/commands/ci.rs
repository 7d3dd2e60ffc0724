//! `cargo xtask ci`: everything that a commit must pass.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::commands::demo::{self, DemoArgs};
use crate::commands::generate::{self, GenerateArgs};
use crate::commands::test::{self, TestArgs};
use crate::shell::{cargo, run as run_visibly, say};
use crate::tools::need_cargo_tool;

/// The longest that the demo may take once built.
const DEMO: Duration = Duration::from_secs(20);

/// Runs the checks, cheapest first.
pub(crate) fn run() -> Result<()> {
    let begun = Instant::now();
    run_visibly(&mut cargo(["fmt", "--all", "--check"]))?;
    generate::run(&GenerateArgs { check: true })?;
    check_dependencies()?;
    run_visibly(&mut cargo([
        "clippy",
        "--locked",
        "--workspace",
        "--all-targets",
        "--features",
        "homing/failpoints",
        "--",
        "-D",
        "warnings",
    ]))?;
    run_visibly(cargo(["doc", "--no-deps", "--workspace"]).env("RUSTDOCFLAGS", "-D warnings"))?;
    let took = demo::run(&DemoArgs::default())?;
    ensure!(
        took <= DEMO,
        "the demo took {:.1} s and may take {:.0} s",
        took.as_secs_f64(),
        DEMO.as_secs_f64()
    );
    say(format!(
        "checks passed after {:.0} s; now the tests",
        begun.elapsed().as_secs_f64()
    ));
    test::run(&TestArgs::default())
}

fn check_dependencies() -> Result<()> {
    need_cargo_tool("deny")?;
    run_visibly(&mut cargo([
        "deny", "--locked", "check", "bans", "licenses", "sources",
    ]))?;
    // The advisory database lies on a server; a machine without a network checks all the rest.
    let fetched = cargo(["deny", "fetch", "db"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?
        .success();
    if fetched {
        run_visibly(&mut cargo(["deny", "--locked", "check", "advisories"]))
    } else {
        say("SKIPPED without a network: advisories (the advisory database could not be fetched)");
        Ok(())
    }
}
