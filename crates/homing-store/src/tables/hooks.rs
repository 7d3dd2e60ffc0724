//! `pending_hooks`: what hooks have not been told yet.

use homing_core::{RunId, TargetId};
use jiff::Timestamp;
use rusqlite::params;

use crate::columns::{Checksum, Columns, collect, time_text};
use crate::rows::PendingHook;
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "pending_hooks";
const SELECT: &str = "SELECT target_id, run_id, since, checksum FROM pending_hooks
    WHERE ?1 IS NULL OR target_id = ?1 ORDER BY target_id, run_id";

impl Reader<'_> {
    /// Returns what the hook of a target, or those of all, have not been told yet, in the order of the runs.
    pub fn pending_hooks(&self, target: Option<&TargetId>) -> Result<Vec<PendingHook>, StoreError> {
        let target = target.map(TargetId::as_str);
        collect(self.connection, TABLE, SELECT, [target], read)
    }
}

impl Writer<'_> {
    /// Notes that a target's hook is to be told of a run; once is enough.
    pub fn put_pending_hook(
        &self,
        target: &TargetId,
        run: RunId,
        since: Timestamp,
    ) -> Result<(), StoreError> {
        let row = PendingHook {
            target: target.clone(),
            run,
            since,
        };
        self.connection
            .prepare_cached(
                "INSERT INTO pending_hooks(target_id, run_id, since, checksum) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT(target_id, run_id) DO NOTHING",
            )?
            .execute(params![
                target.as_str(),
                run.0,
                time_text(since),
                checksum(&row).value()
            ])?;
        Ok(())
    }

    /// Forgets what a target's hook was told.
    pub fn delete_pending_hooks(
        &self,
        target: &TargetId,
        runs: &[RunId],
    ) -> Result<(), StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM pending_hooks WHERE target_id = ?1 AND run_id = ?2")?;
        for run in runs {
            statement.execute(params![target.as_str(), run.0])?;
        }
        Ok(())
    }
}

fn read(columns: &Columns<'_, '_>) -> Result<PendingHook, StoreError> {
    let row = PendingHook {
        target: columns.parse(0, "target_id")?,
        run: RunId(columns.int(1, "run_id")?),
        since: columns.time(2, "since")?,
    };
    columns.verify(3, checksum(&row))?;
    Ok(row)
}

fn checksum(row: &PendingHook) -> Checksum {
    Checksum::new()
        .text(row.target.as_str())
        .int(row.run.0)
        .text(&time_text(row.since))
}
