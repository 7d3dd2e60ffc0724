//! `cargo xtask bench`: measures against rsync and rclone and writes docs/benchmarks.md.

mod kept;
mod place;
mod rows;
mod service;
mod table;

use std::fs;
use std::io::Write as _;
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

/// The last section of the page, which people write and a new measurement leaves as it is.
const BY_HAND: &str = "\n## What is missed, and why\n";

fn written_by_hand(page: &str) -> &str {
    page.find(BY_HAND).map_or("", |at| &page[at..])
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
        let old = fs::read_to_string(&output).unwrap_or_default();
        let page = text + written_by_hand(&old);
        fs::File::create(&output)
            .and_then(|mut file| file.write_all(page.as_bytes()))
            .with_context(|| format!("could not write {}", output.display()))?;
        say(format!("written to {}", args.output.display()));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_stays_on_the_page() {
        let page = format!("# Benchmarks\n\n| a row |\n{BY_HAND}\nBecause.\n");
        assert_eq!(written_by_hand(&page), format!("{BY_HAND}\nBecause.\n"));
        assert_eq!(written_by_hand("# Benchmarks\n"), "");
    }
}
