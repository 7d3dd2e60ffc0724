//! `cargo xtask generate`: files that are written from the code and kept with it.

use std::fs;
use std::io::Write;

use anyhow::{Context, Result, bail};
use clap::Args;
use homing_config::schema;

use crate::shell::{root, say};

#[derive(Debug, Args)]
pub(crate) struct GenerateArgs {
    /// Write nothing, and fail when a file is not current
    #[arg(long)]
    pub(crate) check: bool,
}

/// A file and what belongs in it.
struct Generated {
    path: &'static str,
    text: String,
}

/// Writes the files, or tells which are not current.
pub(crate) fn run(args: &GenerateArgs) -> Result<()> {
    let mut stale = Vec::new();
    for file in files() {
        let path = root().join(file.path);
        if fs::read_to_string(&path).is_ok_and(|text| text == file.text) {
            continue;
        }
        if args.check {
            stale.push(file.path);
            continue;
        }
        fs::File::create(&path)
            .and_then(|mut written| written.write_all(file.text.as_bytes()))
            .with_context(|| format!("could not write {}", file.path))?;
        say(format!("wrote {}", file.path));
    }
    if stale.is_empty() {
        return Ok(());
    }
    bail!(
        "{} not current: run `cargo xtask generate`",
        stale.join(", ")
    )
}

fn files() -> Vec<Generated> {
    vec![
        Generated {
            path: "config/schema.json",
            text: schema::schema(),
        },
        Generated {
            path: "docs/configuration.md",
            text: schema::reference(),
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generated_files_are_current() {
        run(&GenerateArgs { check: true }).unwrap();
    }
}
