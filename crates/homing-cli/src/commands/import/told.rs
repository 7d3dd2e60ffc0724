//! What an import did, as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use homing_api::{ImportDone, ImportOutcome};

use crate::output::{RED, Screen};
use crate::table::{Table, plain};
use crate::text::{count, escape, quote};

/// So many files are named one by one.
const MOST_NAMED: usize = 20;

/// What became of one source, over all documents.
#[derive(Default)]
struct Row {
    outcomes: BTreeMap<ImportOutcome, u64>,
    syncs: u64,
    synced_before: bool,
    is_new: bool,
}

impl Row {
    /// Returns how many files were taken over, with or without their keys.
    fn took(&self) -> u64 {
        self.of(&[ImportOutcome::Taken, ImportOutcome::ContentOnly])
    }

    fn of(&self, outcomes: &[ImportOutcome]) -> u64 {
        let counts = outcomes.iter().filter_map(|one| self.outcomes.get(one));
        counts.sum()
    }
}

/// Returns what was done, or would be.
pub(super) fn text(done: &ImportDone, screen: Screen) -> String {
    let rows = rows(done);
    let mut text = String::new();
    let mut line = |line: &str| writeln!(text, "{line}").expect("a String takes all");
    let taken: u64 = rows.values().map(Row::took).sum();
    let present = |row: &Row| row.of(&[ImportOutcome::Present]);
    let syncs: u64 = rows.values().map(|row| row.syncs).sum();
    let is_new = rows.values().any(|row| row.is_new);
    if taken + syncs == 0 && !is_new {
        line(match rows.values().map(present).sum::<u64>() {
            0 => "nothing to do: there is nothing in it to take over",
            _ => "nothing to do: Homing has all of it already",
        });
    } else {
        let verb = if done.dry_run {
            "would take over"
        } else {
            "took over"
        };
        let is_cached = |row: &&Row| row.took() > 0;
        let has_history = |row: &&Row| row.syncs > 0;
        line(&match (taken, syncs) {
            (0, 0) => format!("{verb} no file: nothing is cached"),
            (0, _) => format!(
                "{verb} the history of {}; no file is cached",
                count(rows.values().filter(has_history).count() as u64, "source")
            ),
            _ => format!(
                "{verb} {} of {}",
                count(taken, "cached file"),
                count(rows.values().filter(is_cached).count() as u64, "source")
            ),
        });
    }
    if !rows.is_empty() {
        line(table(&rows, screen).trim_end());
    }
    for source in rows.iter().filter(|(_, row)| row.synced_before) {
        line(&format!(
            "{}: Homing has synced it itself, so what it holds stays",
            escape(source.0)
        ));
    }
    for name in added(done) {
        let verb = if done.dry_run { "would add" } else { "added" };
        line(&format!(
            "{verb} [sources.{}] to the configuration",
            escape(name)
        ));
    }
    for told in details(done) {
        line(&escape(&told));
    }
    for problem in done.imports.iter().flat_map(|one| &one.report.problems) {
        line(&format!(
            "{} {}",
            screen.paint(RED, "not taken over:"),
            escape(problem)
        ));
    }
    for document in &done.imports {
        if let Some(backup) = &document.backup {
            line(&format!(
                "{} is now {}",
                escape(&document.file),
                escape(backup)
            ));
        }
    }
    if let Some(next) = next(done) {
        line(&next);
    }
    text
}

fn rows(done: &ImportDone) -> BTreeMap<&str, Row> {
    let mut rows: BTreeMap<&str, Row> = BTreeMap::new();
    for document in &done.imports {
        for source in &document.report.sources {
            let row = rows.entry(&source.id).or_default();
            row.syncs += source.syncs;
            row.synced_before |= source.synced_before;
            row.is_new |= document.added.contains(&source.id);
            for file in &source.files {
                *row.outcomes.entry(file.outcome.clone()).or_default() += 1;
            }
        }
    }
    rows
}

fn table(rows: &BTreeMap<&str, Row>, screen: Screen) -> String {
    const TITLES: [&str; 7] = [
        "SOURCE",
        ">TAKEN",
        ">CONTENT",
        ">PRESENT",
        ">TO FETCH",
        ">REFUSED",
        ">HISTORY",
    ];
    let mut table = Table::new(screen, &TITLES);
    for (id, row) in rows {
        let of = |outcomes: &[ImportOutcome]| plain(row.of(outcomes).to_string());
        table.row([
            plain(*id),
            of(&[ImportOutcome::Taken]),
            of(&[ImportOutcome::ContentOnly]),
            of(&[ImportOutcome::Present]),
            of(&[ImportOutcome::Missing, ImportOutcome::Different]),
            of(&[ImportOutcome::Refused]),
            plain(row.syncs.to_string()),
        ]);
    }
    table.render()
}

/// Returns the names of new sections, each once.
fn added(done: &ImportDone) -> BTreeSet<&str> {
    let all = done.imports.iter().flat_map(|one| &one.added);
    all.map(String::as_str).collect()
}

/// Names files of which not everything was taken over, and says why.
fn details(done: &ImportDone) -> Vec<String> {
    let sources = done.imports.iter().flat_map(|one| &one.report.sources);
    let files = sources.flat_map(|source| source.files.iter().map(move |file| (source, file)));
    let mut told: Vec<String> = files
        .filter_map(|(source, file)| {
            // That a file was not in the cache is no news to anybody.
            let detail = file.detail.as_ref();
            let detail = detail.filter(|_| file.outcome != ImportOutcome::Missing)?;
            Some(format!(
                "{}: {}: {}: {detail}",
                source.id, file.path, file.outcome
            ))
        })
        .collect();
    if told.len() > MOST_NAMED {
        let more = told.len() - MOST_NAMED;
        told.truncate(MOST_NAMED);
        told.push(format!(
            "and {} more; --json names all",
            count(more as u64, "file")
        ));
    }
    told
}

fn next(done: &ImportDone) -> Option<String> {
    let names: Vec<_> = added(done).into_iter().map(quote).collect();
    if done.dry_run || names.is_empty() {
        return None;
    }
    let from: Vec<String> = names.iter().map(|name| format!("--from {name}")).collect();
    Some(format!(
        "next: publish somewhere (`homing target add TARGET --path DIR {}`), then `homing sync {}`",
        from.join(" "),
        names.join(" ")
    ))
}

#[cfg(test)]
mod tests {
    use homing_api::{
        ImportReport, ImportedDocument, ImportedFile, ImportedSettings, ImportedSource,
    };

    use super::*;

    fn file(path: &str, outcome: ImportOutcome, detail: Option<&str>) -> ImportedFile {
        ImportedFile {
            id: path.to_owned(),
            path: path.to_owned(),
            outcome,
            detail: detail.map(str::to_owned),
            places: Vec::new(),
        }
    }

    fn done(dry_run: bool, files: Vec<ImportedFile>, added: &[&str]) -> ImportDone {
        let source = ImportedSource {
            id: "own-rep".to_owned(),
            configured: true,
            settings: ImportedSettings::default(),
            synced_before: false,
            files,
            syncs: 0,
        };
        let document = ImportedDocument {
            file: "/h/.etag-cache.json".to_owned(),
            report: ImportReport {
                dry_run,
                sources: vec![source],
                problems: vec!["x\u{1b}: it is no URL".to_owned()],
            },
            added: added.iter().map(|name| (*name).to_owned()).collect(),
            backup: (!dry_run).then(|| "/h/.etag-cache.json.backup".to_owned()),
        };
        ImportDone {
            dry_run,
            imports: vec![document],
        }
    }

    #[test]
    fn only_sources_that_gave_something_are_counted() {
        let missing = || file("b.md", ImportOutcome::Missing, None);
        let first = |done: &ImportDone| {
            let text = text(done, Screen::default());
            text.lines().next().unwrap_or_default().to_owned()
        };
        let mut done = done(false, vec![missing()], &["own-rep"]);
        assert_eq!(first(&done), "took over no file: nothing is cached");
        done.imports[0].report.sources[0].syncs = 3;
        assert_eq!(
            first(&done),
            "took over the history of 1 source; no file is cached"
        );
        let mut other = done.imports[0].report.sources[0].clone();
        "other".clone_into(&mut other.id);
        other.files = vec![file("a.md", ImportOutcome::Taken, None), missing()];
        done.imports[0].report.sources.push(other);
        assert_eq!(first(&done), "took over 1 cached file of 1 source");
    }

    #[test]
    fn what_was_done_is_told_and_what_is_next() {
        let files = || {
            vec![
                file("a.md", ImportOutcome::Taken, None),
                file(
                    "b.md",
                    ImportOutcome::Missing,
                    Some("no cached file was found"),
                ),
                file(
                    "c.md",
                    ImportOutcome::Refused,
                    Some("the path could leave its directory"),
                ),
            ]
        };
        insta::assert_snapshot!(text(&done(false, files(), &["own-rep"]), Screen::default()), @r"
        took over 1 cached file of 1 source
        SOURCE   TAKEN  CONTENT  PRESENT  TO FETCH  REFUSED  HISTORY
        own-rep      1        0        0         1        1        0
        added [sources.own-rep] to the configuration
        own-rep: c.md: refused: the path could leave its directory
        not taken over: x\u{1b}: it is no URL
        /h/.etag-cache.json is now /h/.etag-cache.json.backup
        next: publish somewhere (`homing target add TARGET --path DIR --from own-rep`), then `homing sync own-rep`
        ");
        insta::assert_snapshot!(text(&done(true, files(), &["own-rep"]), Screen::default()), @r"
        would take over 1 cached file of 1 source
        SOURCE   TAKEN  CONTENT  PRESENT  TO FETCH  REFUSED  HISTORY
        own-rep      1        0        0         1        1        0
        would add [sources.own-rep] to the configuration
        own-rep: c.md: refused: the path could leave its directory
        not taken over: x\u{1b}: it is no URL
        ");
    }

    #[test]
    fn a_second_import_says_that_there_is_nothing_to_do() {
        let files = vec![file("a.md", ImportOutcome::Present, None)];
        let told = text(&done(false, files, &[]), Screen::default());
        assert!(
            told.starts_with("nothing to do: Homing has all of it already\n"),
            "{told}"
        );
        assert!(!told.contains("next:"), "{told}");
    }
}
