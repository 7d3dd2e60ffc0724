//! `cargo xtask coverage`: line coverage of the crates that hold the promises.

use anyhow::{Context, Result, ensure};

use crate::shell::{cargo, root, run as run_visibly, say};
use crate::tools::need_cargo_tool;

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
    /// The least share of lines, in percent, that all crates together must reach
    #[arg(long, default_value_t = 93.0)]
    fail_under: f64,
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
    need_cargo_tool("tarpaulin")?;
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
    let report: serde_json::Value =
        serde_json::from_slice(&report).context("tarpaulin's report is not JSON")?;
    let mut total = Lines::default();
    for name in CRATES {
        let lines = lines_of(&report, name);
        ensure!(lines.coverable > 0, "the report has no line of {name}");
        total.covered += lines.covered;
        total.coverable += lines.coverable;
        say(format!(
            "{name:<18} {:>6.2} %  ({} of {} lines)",
            lines.percent(),
            lines.covered,
            lines.coverable
        ));
    }
    say(format!(
        "{:<18} {:>6.2} %  ({} of {} lines)",
        "all",
        total.percent(),
        total.covered,
        total.coverable
    ));
    ensure!(
        total.percent() >= args.fail_under,
        "line coverage {:.2} % is below {} %",
        total.percent(),
        args.fail_under
    );
    Ok(())
}

/// Adds up the files of one crate's `src`; files of test modules do not count.
fn lines_of(report: &serde_json::Value, name: &str) -> Lines {
    let mut lines = Lines::default();
    for file in report["files"].as_array().into_iter().flatten() {
        let parts: Vec<&str> = file["path"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(serde_json::Value::as_str)
            .collect();
        let inside = parts.windows(2).any(|pair| pair == [name, "src"]);
        let test_file =
            parts.last().is_some_and(|last| last.contains("test")) || parts.contains(&"tests");
        if inside && !test_file {
            lines.covered += file["covered"].as_u64().unwrap_or(0);
            lines.coverable += file["coverable"].as_u64().unwrap_or(0);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_the_files_of_one_crate_without_its_tests() {
        let report = serde_json::json!({"files": [
            {"path": ["/", "w", "crates", "homing-core", "src", "plan.rs"], "covered": 9, "coverable": 10},
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
    }
}
