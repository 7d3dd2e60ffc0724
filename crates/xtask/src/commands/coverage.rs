//! `cargo xtask coverage`: line coverage of the crates that hold the promises.

use anyhow::{Context, Result, ensure};
use serde_json::Value;

use crate::shell::{cargo, root, run as run_visibly, say};
use crate::tools::need_cargo_tool_with;

/// The crates whose coverage is promised.
const CRATES: &[&str] = &[
    "homing-core",
    "homing-store",
    "homing-engine",
    "homing-side-dir",
];

/// Arguments of `cargo xtask coverage`.
#[derive(Debug, clap::Args)]
pub(crate) struct CoverageArgs {
    /// The least share of lines, in percent, that every crate must reach
    #[arg(long, default_value_t = 93.0)]
    fail_under: f64,
    /// List the lines that no test reaches, each with its file
    #[arg(long)]
    missing: bool,
}

/// Lines seen and lines there are.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Lines {
    covered: u64,
    coverable: u64,
}

impl Lines {
    #[allow(clippy::cast_precision_loss, reason = "line counts are small")]
    fn percent(self) -> f64 {
        if self.coverable == 0 {
            100.0
        } else {
            100.0 * self.covered as f64 / self.coverable as f64
        }
    }
}

/// Runs the crates' own tests under tarpaulin and prints a line for each crate.
pub(crate) fn run(args: &CoverageArgs) -> Result<()> {
    // What it has by default sends reports to a service, for which it would need OpenSSL's headers.
    need_cargo_tool_with("tarpaulin", &["--no-default-features"])?;
    let output = tempfile::tempdir()?;
    // The pinned toolchain has no llvm-tools, which rules cargo-llvm-cov out; ptrace would need a debug format that
    // line tables alone do not give.
    let mut tarpaulin = cargo([
        "tarpaulin",
        "--engine",
        "llvm",
        "--skip-clean",
        "--out",
        "Json",
        "--locked",
    ]);
    tarpaulin.arg("--output-dir").arg(output.path());
    tarpaulin
        .arg("--target-dir")
        .arg(root().join("target/coverage"));
    tarpaulin.args(["--features", "homing-engine/failpoints", "--timeout", "300"]);
    for name in CRATES {
        tarpaulin.args(["--packages", name]);
        tarpaulin.args(["--include-files", &format!("crates/{name}/src/*")]);
        tarpaulin.args(["--include-files", &format!("crates/{name}/src/**/*")]);
    }
    run_visibly(&mut tarpaulin)?;
    let report = std::fs::read(output.path().join("tarpaulin-report.json"))
        .context("tarpaulin wrote no report")?;
    let report: Value =
        serde_json::from_slice(&report).context("tarpaulin's report is not JSON")?;
    let mut total = Lines::default();
    let mut below = Vec::new();
    for name in CRATES {
        let lines = lines_of(&report, name);
        ensure!(lines.coverable > 0, "the report has no line of {name}");
        total.covered += lines.covered;
        total.coverable += lines.coverable;
        if lines.percent() < args.fail_under {
            below.push(format!("{name} {:.2} %", lines.percent()));
        }
        tell(name, lines);
        if args.missing {
            for place in missing_of(&report, name) {
                say(format!("  {place}"));
            }
        }
    }
    tell("all", total);
    ensure!(
        below.is_empty(),
        "line coverage is below {} %: {}; see which lines with `cargo xtask coverage --missing`",
        args.fail_under,
        below.join(", ")
    );
    Ok(())
}

fn tell(name: &str, lines: Lines) {
    say(format!(
        "{name:<18} {:>6.2} %  ({} of {} lines)",
        lines.percent(),
        lines.covered,
        lines.coverable
    ));
}

/// Adds up the files of one crate's `src`.
fn lines_of(report: &Value, name: &str) -> Lines {
    let mut lines = Lines::default();
    for (_, file) in files_of(report, name) {
        lines.covered += file["covered"].as_u64().unwrap_or(0);
        lines.coverable += file["coverable"].as_u64().unwrap_or(0);
    }
    lines
}

/// Returns where in one crate's `src` no test comes by.
fn missing_of(report: &Value, name: &str) -> Vec<String> {
    let mut places = Vec::new();
    for (path, file) in files_of(report, name) {
        for trace in file["traces"].as_array().into_iter().flatten() {
            if trace["stats"]["Line"] == 0 {
                places.push(format!("{path}:{}", trace["line"]));
            }
        }
    }
    places
}

/// Returns the files of one crate's `src` with their paths in the workspace; those of test modules do not count.
fn files_of<'r>(report: &'r Value, name: &str) -> Vec<(String, &'r Value)> {
    let mut files = Vec::new();
    for file in report["files"].as_array().into_iter().flatten() {
        let parts: Vec<&str> = file["path"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let Some(at) = parts.windows(2).position(|pair| pair == [name, "src"]) else {
            continue;
        };
        let test_file =
            parts.last().is_some_and(|last| last.contains("test")) || parts.contains(&"tests");
        if !test_file {
            files.push((format!("crates/{}", parts[at..].join("/")), file));
        }
    }
    files
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_files_of_one_crate_without_its_tests() {
        let report = serde_json::json!({"files": [
            {"path": ["/", "w", "crates", "homing-core", "src", "plan.rs"], "covered": 9, "coverable": 10,
                "traces": [{"line": 3, "stats": {"Line": 2}}, {"line": 7, "stats": {"Line": 0}}]},
            {"path": ["/", "w", "crates", "homing-core", "src", "plan", "tests.rs"], "covered": 0, "coverable": 50},
            {"path": ["/", "w", "crates", "homing-store", "src", "plan.rs"], "covered": 1, "coverable": 10},
        ]});
        assert_eq!(
            lines_of(&report, "homing-core"),
            Lines {
                covered: 9,
                coverable: 10
            }
        );
        assert_eq!(
            missing_of(&report, "homing-core"),
            ["crates/homing-core/src/plan.rs:7"]
        );
    }
}
