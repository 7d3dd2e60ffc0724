//! Finds or installs the tools that the commands need.

use std::process::{Command, Stdio};

use anyhow::{Result, bail};

use crate::shell::{cargo, has_program, run, say};

/// A program from a Debian package.
#[derive(Debug, Clone, Copy)]
pub(crate) struct DebianTool {
    /// The program.
    pub(crate) program: &'static str,
    /// The package that has it.
    pub(crate) package: &'static str,
    /// What cannot be done without it.
    pub(crate) purpose: &'static str,
}

/// Installs a cargo subcommand from the registry unless it is there.
pub(crate) fn need_cargo_tool(name: &str) -> Result<()> {
    need_cargo_tool_with(name, &[])
}

/// Does the same; `options` are for `cargo install`.
pub(crate) fn need_cargo_tool_with(name: &str, options: &[&str]) -> Result<()> {
    let there = cargo([name, "--version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()?
        .success();
    if there {
        return Ok(());
    }
    say(format!(
        "cargo {name} is missing: it is installed once, which takes some minutes"
    ));
    let mut install = cargo(["install", "--locked"]);
    install.args(options).arg(format!("cargo-{name}"));
    // A target directory of its own would be thrown away; the workspace's keeps what a second attempt can use.
    install.current_dir(std::env::temp_dir());
    run(&mut install)
}

/// Installs the Debian packages of missing programs where that is possible, and returns those that stay missing.
pub(crate) fn debian_tools(wanted: &[DebianTool]) -> Vec<DebianTool> {
    let missing: Vec<DebianTool> = wanted
        .iter()
        .copied()
        .filter(|tool| !has_program(tool.program))
        .collect();
    if missing.is_empty() {
        return missing;
    }
    if is_root() && has_program("apt-get") {
        let packages: Vec<&str> = missing.iter().map(|tool| tool.package).collect();
        say(format!(
            "installing Debian packages: {}",
            packages.join(" ")
        ));
        let updated = run(Command::new("apt-get").args(["update", "-qq"]));
        let installed = updated.and_then(|()| {
            run(Command::new("apt-get")
                .args(["install", "-y", "-qq", "--no-install-recommends"])
                .args(&packages)
                .env("DEBIAN_FRONTEND", "noninteractive"))
        });
        if let Err(error) = installed {
            say(format!("the packages could not be installed: {error}"));
        }
    }
    let left: Vec<DebianTool> = missing
        .into_iter()
        .filter(|tool| !has_program(tool.program))
        .collect();
    for tool in &left {
        say(format!(
            "SKIPPED for want of `{}` (Debian package {}): {}",
            tool.program, tool.package, tool.purpose
        ));
    }
    left
}

/// Fails with the names of the packages when one of the programs is missing and cannot be installed.
pub(crate) fn need_debian_tools(wanted: &[DebianTool]) -> Result<()> {
    let left = debian_tools(wanted);
    if left.is_empty() {
        return Ok(());
    }
    let packages: Vec<&str> = left.iter().map(|tool| tool.package).collect();
    bail!(
        "install the Debian packages {} and run this again",
        packages.join(", ")
    )
}

/// Returns whether this process runs as root.
pub(crate) fn is_root() -> bool {
    Command::new("id")
        .arg("-u")
        .output()
        .is_ok_and(|output| output.stdout == b"0\n")
}
