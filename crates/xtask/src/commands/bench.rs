//! `cargo xtask bench`: measures against its peers and writes docs/benchmarks.md.

mod delay;
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

/// What the rows over a network need beside that.
const NETWORK_TOOLS: &[DebianTool] = &[
    DebianTool {
        program: "nginx",
        package: "nginx-light",
        purpose: "the web server",
    },
    DebianTool {
        program: "openssl",
        package: "openssl",
        purpose: "the web server's certificate",
    },
    DebianTool {
        program: "fcgiwrap",
        package: "fcgiwrap",
        purpose: "Git behind the web server",
    },
    DebianTool {
        program: "curl",
        package: "curl",
        purpose: "the peer of the rows over a network",
    },
    DebianTool {
        program: "git",
        package: "git",
        purpose: "the repository that is served",
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
    /// Only the rows whose group has this word in its name: first, many, answers, crash, store, large, network
    #[arg(long)]
    only: Option<String>,
    /// The Python that claude-mpm is installed for
    #[arg(long, default_value = "python3")]
    python: String,
    /// Where the tables are written: all of them, or with `--only network` that part alone; otherwise nothing is
    #[arg(long, default_value = "docs/benchmarks.md")]
    output: PathBuf,
}

/// The section of the rows over a network.
const NETWORK: &str = "Over a network";

/// The last section of the page, which people write and a new measurement leaves as it is.
const BY_HAND: &str = "\n## What is missed, and why\n";

/// Returns a page with other measurements: of files here, of a network, or of both.
fn with_measured(old: &str, files: Option<String>, network: Option<String>) -> String {
    let (measured, by_hand) = old.split_at(old.find(BY_HAND).unwrap_or(old.len()));
    let network_begins = measured.find(&format!("\n## {NETWORK}\n"));
    let (old_files, old_network) = measured.split_at(network_begins.unwrap_or(measured.len()));
    let files = files.unwrap_or_else(|| old_files.to_owned());
    files + &network.unwrap_or_else(|| old_network.to_owned()) + by_hand
}

/// Builds the release profile, measures, and writes the tables.
pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    let is_wanted = |name: &str| args.only.as_deref().is_none_or(|only| name.contains(only));
    need_debian_tools(TOOLS)?;
    if is_wanted("network") {
        need_debian_tools(NETWORK_TOOLS)?;
    }
    let binaries = build_binaries(true, false)?;
    let place = Place::prepare(args.dir.as_deref())?;
    say(format!("measuring on {}", place.describe()));
    let bench = rows::Bench {
        place: &place,
        binaries: &binaries,
        runs: args.runs,
    };
    let files = measure_files(&bench, is_wanted)?;
    let mut network = None;
    if is_wanted("network") {
        say("rows: network");
        let table = Table::new(args.runs, place.describe());
        let measured = rows::Network::measure(&bench, table, &args.python)
            .context("the rows `network` could not be measured")?;
        let section = measured.render(NETWORK)?;
        say(&section);
        network = Some(section);
    }
    let is_whole = args.only.is_none();
    if is_whole || args.only.as_deref() == Some("network") {
        let output = root().join(&args.output);
        let old = fs::read_to_string(&output).unwrap_or_default();
        let page = with_measured(&old, files.filter(|_| is_whole), network);
        fs::File::create(&output)
            .and_then(|mut file| file.write_all(page.as_bytes()))
            .with_context(|| format!("could not write {}", output.display()))?;
        say(format!("written to {}", args.output.display()));
    }
    Ok(())
}

/// Measures the wanted rows of files on this machine and returns their part of the page, if there are any.
fn measure_files(
    bench: &rows::Bench<'_>,
    is_wanted: impl Fn(&str) -> bool,
) -> Result<Option<String>> {
    let groups: [(&str, Group); 6] = [
        ("first", rows::first_and_unchanged),
        ("many", rows::many_sources),
        ("answers", rows::answers),
        ("crash", rows::after_a_kill),
        ("store", rows::database),
        ("large", rows::hundred_thousand_files),
    ];
    let mut table = Table::new(bench.runs, bench.place.describe());
    let mut is_empty = true;
    for (name, group) in groups {
        if is_wanted(name) {
            is_empty = false;
            say(format!("rows: {name}"));
            group(bench, &mut table)
                .with_context(|| format!("the rows `{name}` could not be measured"))?;
        }
    }
    if is_empty {
        return Ok(None);
    }
    let text = table.render()?;
    say(&text);
    Ok(Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_wrote_stays_on_the_page() {
        let page = format!("# Benchmarks\n\n| a row |\n{BY_HAND}\nBecause.\n");
        let other = with_measured(&page, Some("# Other\n".to_owned()), None);
        assert_eq!(other, format!("# Other\n{BY_HAND}\nBecause.\n"));
        assert_eq!(
            with_measured("", Some("# Other\n".to_owned()), None),
            "# Other\n"
        );
    }

    #[test]
    fn the_part_of_the_network_is_replaced_alone() {
        let section = |text: &str| format!("\n## {NETWORK}\n\n{text}\n");
        let files = "# Benchmarks\n\n| a row |\n";
        let by_hand = format!("{BY_HAND}\nBecause.\n");
        let page = format!("{files}{by_hand}");
        let once = with_measured(&page, None, Some(section("once")));
        assert_eq!(once, format!("{files}{}{by_hand}", section("once")));
        let twice = with_measured(&once, None, Some(section("twice")));
        assert_eq!(twice, format!("{files}{}{by_hand}", section("twice")));
        assert_eq!(with_measured(&twice, None, None), twice);
    }
}
