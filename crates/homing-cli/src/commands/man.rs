//! `homing man`

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use clap::{Command, CommandFactory};
use clap_mangen::Man;
use homing_api::{Problem, ProblemKind};
use serde_json::json;

use crate::arguments::{Arguments, ManArgs};
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::text::{count, escape};

/// The daemon has few flags and reads them without clap.
const HOMINGD: &str = include_str!("homingd.1");

/// Writes a page for every command, and one for the daemon.
pub(super) fn run(args: &ManArgs, context: &Context) -> Result<Report, CliError> {
    let directory = context.absolute(&args.directory);
    let pages = pages()?;
    write(&directory, &pages).map_err(|error| {
        let kind = match error.kind() {
            io::ErrorKind::PermissionDenied => ProblemKind::Forbidden,
            _ => ProblemKind::Storage,
        };
        Problem::new(
            kind,
            format!("could not write pages to {}", directory.display()),
        )
        .with_causes(vec![error.to_string()])
        .with_hint("name a directory that you may write to, for example ~/.local/share/man/man1")
    })?;
    let names: Vec<&str> = pages.iter().map(|(name, _)| name.as_str()).collect();
    let shown = directory.display().to_string();
    let text = format!(
        "{} in {}\n",
        count(pages.len() as u64, "page"),
        escape(&shown)
    );
    Ok(Report::new(
        &json!({"directory": shown, "pages": names}),
        text,
    ))
}

/// Returns the names of the files and what is in them.
fn pages() -> io::Result<Vec<(String, Vec<u8>)>> {
    let mut command = Arguments::command().disable_help_subcommand(true);
    command.build();
    let mut pages = Vec::new();
    add(&command, &mut pages)?;
    let daemon = HOMINGD.replace("VERSION", env!("CARGO_PKG_VERSION"));
    pages.push(("homingd.1".to_owned(), daemon.into_bytes()));
    pages.sort();
    Ok(pages)
}

fn add(command: &Command, pages: &mut Vec<(String, Vec<u8>)>) -> io::Result<()> {
    for subcommand in command.get_subcommands().filter(|sub| !sub.is_hide_set()) {
        add(subcommand, pages)?;
    }
    let man = Man::new(command.clone())
        .manual("Homing")
        .source(concat!("homing ", env!("CARGO_PKG_VERSION")));
    let mut page = Vec::new();
    man.render(&mut page)?;
    pages.push((man.get_filename(), page));
    Ok(())
}

fn write(directory: &Path, pages: &[(String, Vec<u8>)]) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    for (name, page) in pages {
        File::create(directory.join(name))?.write_all(page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_of_its_own() {
        let pages = pages().unwrap();
        let page = |wanted: &str| {
            let found = pages.iter().find(|(name, _)| name == wanted);
            String::from_utf8(found.unwrap().1.clone()).unwrap()
        };
        assert!(page("homing.1").contains(".SH NAME\nhoming \\- Keeps what AI agents"));
        assert!(page("homing-sync.1").contains("accept\\-deletions"));
        assert!(page("homing-db-check.1").contains("deep"));
        assert!(page("homingd.1").contains(env!("CARGO_PKG_VERSION")));
        assert!(!pages.iter().any(|(name, _)| name.contains("help")));
        for (name, page) in &pages {
            assert!(page.starts_with(b".") && page.ends_with(b"\n"), "{name}");
        }
    }
}
