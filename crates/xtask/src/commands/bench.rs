//! `cargo xtask bench`: measures against rsync and rclone and writes docs/benchmarks.md.

mod kept;
mod place;
mod rows;
mod service;
mod table;

use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::shell::{build_binaries, root, say};
use crate::tools::{DebianTool, need_debian_tools};

use place::Place;
use table::Table;

const TOOLS: &[DebianTool] = &[
    DebianTool {
        program: "rsync",
        package: "rsync",
        purpose: "the peer of most rows",
    },
    DebianTool {
        program: "rclone",
        package: "rclone",
        purpose: "the peer of some rows",
    },
];

/// Measures some rows.
type Group = fn(&rows::Bench<'_>, &mut Table) -> Result<()>;

/// Arguments of `cargo xtask bench`.
#[derive(Debug, clap::Args)]
pub(crate) struct BenchArgs {
    /// Measured runs of each row; the medians are told
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// Measure in this directory rather than on a loop-mounted ext4 (which needs root)
    #[arg(long)]
    dir: Option<PathBuf>,
    /// Only the rows whose group has this word in its name: first, many, answers, crash, store, large
    #[arg(long)]
    only: Option<String>,
    /// Where the table is written; without `--only` alone
    #[arg(long, default_value = "docs/benchmarks.md")]
    output: PathBuf,
}

/// Builds the release profile, measures, and writes the table.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    need_debian_tools(TOOLS)?;
    let binaries = build_binaries(true, false)?;
    let place = Place::prepare(args.dir.as_deref())?;
    say(format!("measuring on {}", place.describe()));
    let mut table = Table::new(args.runs, place.describe());
    let bench = rows::Bench {
        place: &place,
        binaries: &binaries,
        runs: args.runs,
    };
    let groups: [(&str, Group); 6] = [
        ("first", rows::first_and_unchanged),
        ("many", rows::many_sources),
        ("answers", rows::answers),
        ("crash", rows::after_a_kill),
        ("store", rows::database),
        ("large", rows::hundred_thousand_files),
    ];
    for (name, group) in groups {
        if args.only.as_deref().is_none_or(|only| name.contains(only)) {
            say(format!("rows: {name}"));
            group(&bench, &mut table)
                .with_context(|| format!("the rows `{name}` could not be measured"))?;
        }
    }
    let text = table.render()?;
    say(&text);
    if args.only.is_none() {
        let output = root().join(&args.output);
        std::fs::File::create(&output)
            .and_then(|mut file| std::io::Write::write_all(&mut file, text.as_bytes()))
            .with_context(|| format!("could not write {}", output.display()))?;
        say(format!("written to {}", args.output.display()));
    }
    Ok(())
}
