//! Examining the store: for `homing db check`, and for a database that looked damaged.

use homing_core::ContentHash;

use crate::columns::{collect, first};
use crate::rows::RunFilter;
use crate::store::Store;
use crate::{Reader, StoreError};

/// What an examination found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CheckReport {
    /// What `SQLite` or a row's checksum says is damaged.
    pub damage: Vec<String>,
    /// Rows that name what is not there.
    pub broken_references: Vec<String>,
    /// Contents whose file is missing or has another size.
    pub missing_files: Vec<ContentHash>,
    /// Contents whose bytes do not have their hash. Only a deep check looks for new ones.
    pub damaged_contents: Vec<ContentHash>,
    /// Contents that were examined.
    pub contents: u64,
}

impl CheckReport {
    /// Tells whether nothing was found.
    pub fn is_sound(&self) -> bool {
        self.damage.is_empty()
            && self.broken_references.is_empty()
            && self.missing_files.is_empty()
            && self.damaged_contents.is_empty()
    }
}

impl Store {
    /// Examines database and contents; `deep` reads every content and hashes it.
    ///
    /// Changes nothing but the mark of a content that is damaged or missing: the next run fetches it again.
    pub async fn check(&self, deep: bool) -> Result<CheckReport, StoreError> {
        let store = self.clone();
        tokio::task::spawn_blocking(move || store.check_blocking(deep))
            .await
            .unwrap_or(Err(StoreError::Closed))
    }

    /// Does what [`Store::check`] does, for callers outside the async runtime.
    pub fn check_blocking(&self, deep: bool) -> Result<CheckReport, StoreError> {
        let mut report = self.read_blocking(|reader| {
            let mut report = CheckReport {
                damage: reader.structural_damage("PRAGMA integrity_check(20)")?,
                broken_references: reader.broken_references()?,
                ..CheckReport::default()
            };
            if let Err(error) = reader.read_everything() {
                report.damage.push(error.to_string());
            }
            Ok(report)
        })?;
        let contents = self.contents();
        report.damaged_contents = self.read_blocking(|reader| reader.lost_contents())?;
        for content in self.read_blocking(|reader| reader.contents_in_files())? {
            let file = self.inner().contents.file(&content.hash);
            if !std::fs::metadata(file).is_ok_and(|metadata| metadata.len() == content.size) {
                contents.lose(&content.hash, "its file is gone or has another length");
                report.missing_files.push(content.hash);
            }
        }
        let all = self.read_blocking(|reader| reader.all_contents())?;
        report.contents = all.len() as u64;
        if deep {
            // A lost one may be whole again.
            report.damaged_contents.clear();
            for content in all
                .iter()
                .filter(|content| !report.missing_files.contains(&content.hash))
            {
                match contents.verify_content(&content.hash) {
                    // A sweep removed it meanwhile.
                    Ok(true) | Err(StoreError::MissingContent(_)) => {}
                    Ok(false) => report.damaged_contents.push(content.hash),
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(report)
    }
}

impl Reader<'_> {
    /// Runs a checking pragma and returns what it says, nothing when all is well.
    pub(crate) fn structural_damage(&self, pragma: &str) -> Result<Vec<String>, StoreError> {
        let mut said = collect(self.connection, "database", pragma, [], |row| {
            Ok(row.opt_string(0, "check")?.unwrap_or_default())
        })?;
        said.retain(|line| line != "ok");
        Ok(said)
    }

    fn broken_references(&self) -> Result<Vec<String>, StoreError> {
        collect(
            self.connection,
            "database",
            "PRAGMA foreign_key_check",
            [],
            |row| {
                Ok(format!(
                    "{} names a missing {}",
                    row.text(0, "table")?,
                    row.text(2, "parent")?
                ))
            },
        )
    }

    /// Reads every row of every table, so that every checksum is compared.
    pub(crate) fn read_everything(&self) -> Result<(), StoreError> {
        for source in self.sources(false)? {
            self.head(&source.id)?;
            self.holds(&source.id)?;
        }
        let targets = collect(
            self.connection,
            "targets",
            "SELECT id FROM targets",
            [],
            |row| row.parse(0, "id"),
        )?;
        for target in targets {
            self.target_root(&target)?;
            self.ledger(&target)?;
        }
        self.conflicts(None, None)?;
        self.last_run_id()?;
        let mut before = None;
        loop {
            let runs = self.runs(RunFilter {
                before,
                limit: 500,
                ..RunFilter::default()
            })?;
            for run in &runs {
                self.journal(run.id)?;
            }
            before = runs.last().map(|run| run.id);
            if before.is_none() {
                break;
            }
        }
        self.unfinished_journal()?;
        self.pending_hooks(None)?;
        // Rows that no parent leads to: a damaged parent is found above, a missing one here.
        let orphans = first(
            self.connection,
            "journal",
            "SELECT count(*) FROM journal WHERE run_id NOT IN (SELECT id FROM sync_history)",
            [],
            |row| row.int(0, "count"),
        )?;
        if orphans.unwrap_or(0) > 0 {
            return Err(StoreError::corrupt(
                "the journal names a run that is missing",
            ));
        }
        Ok(())
    }
}
