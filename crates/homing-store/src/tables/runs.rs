//! `sync_history`: the runs.

use homing_core::{RunId, SourceId, TargetId};
use jiff::Timestamp;
use rusqlite::params;

use crate::columns::{Checksum, Columns, collect, first, int, time_text};
use crate::rows::{RunFilter, RunRow};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "sync_history";
const SELECT: &str = "SELECT id, source_id, target_id, verb, \"trigger\", sync_time, status, files_synced, files_cached,
    files_failed, files_removed, bytes, requests, error_kind, error_message, duration_ms, phases, plan_digest, problems,
    boot_id, checksum, revision FROM sync_history";

impl Reader<'_> {
    /// Returns runs, the newest first.
    pub fn runs(&self, filter: RunFilter) -> Result<Vec<RunRow>, StoreError> {
        // One text for each shape of the question, so that SQLite takes the index that fits it.
        let mut sql = format!("{SELECT} WHERE id < ?1");
        for (given, condition) in [
            (filter.source.is_some(), " AND source_id = ?2"),
            (filter.target.is_some(), " AND target_id = ?3"),
            (filter.status.is_some(), " AND status = ?4"),
            (filter.own, " AND \"trigger\" <> 'import'"),
        ] {
            sql.push_str(if given { condition } else { "" });
        }
        sql.push_str(" ORDER BY id DESC LIMIT ?5");
        let mut statement = self.connection.prepare_cached(&sql)?;
        let before = filter.before.map_or(i64::MAX, |before| before.0);
        let limit = i64::try_from(filter.limit).unwrap_or(i64::MAX);
        statement.raw_bind_parameter(1, before)?;
        if let Some(source) = &filter.source {
            statement.raw_bind_parameter(2, source.as_str())?;
        }
        if let Some(target) = &filter.target {
            statement.raw_bind_parameter(3, target.as_str())?;
        }
        if let Some(status) = &filter.status {
            statement.raw_bind_parameter(4, status)?;
        }
        statement.raw_bind_parameter(5, limit)?;
        let mut rows = statement.raw_query();
        let mut runs = Vec::new();
        while let Some(row) = rows.next()? {
            runs.push(read(&Columns::new(row, TABLE))?);
        }
        Ok(runs)
    }

    /// Returns one run.
    pub fn run(&self, id: RunId) -> Result<Option<RunRow>, StoreError> {
        first(
            self.connection,
            TABLE,
            &format!("{SELECT} WHERE id = ?1"),
            [id.0],
            read,
        )
    }

    /// Returns the highest number that a run ever had, swept ones included; 0 when there was none.
    pub fn last_run_id(&self) -> Result<RunId, StoreError> {
        // Both, for a damaged counter must not give a number again.
        let sql =
            "SELECT max(ifnull((SELECT seq FROM sqlite_sequence WHERE name = 'sync_history'), 0),
                              ifnull((SELECT max(id) FROM sync_history), 0))";
        let last = first(self.connection, "sqlite_sequence", sql, [], |row| {
            row.int(0, "seq")
        })?;
        Ok(RunId(last.unwrap_or(0)))
    }

    /// Returns the newest finished run of a source that Homing itself did, when it was blocked by the guard.
    pub fn last_blocked(&self, source: &SourceId) -> Result<Option<RunRow>, StoreError> {
        let sql = format!(
            "{SELECT} WHERE source_id = ?1 AND status <> 'running' AND \"trigger\" <> 'import'
             ORDER BY id DESC LIMIT 1"
        );
        let last = first(self.connection, TABLE, &sql, [source.as_str()], read)?;
        Ok(last.filter(|run| run.status == "blocked"))
    }

    /// Returns the newest runs that published something, are no undo and were not undone, the newest first.
    pub fn undoable_runs(&self, limit: usize) -> Result<Vec<RunId>, StoreError> {
        let sql = "SELECT id FROM sync_history h WHERE verb <> 'undo' AND undone_by IS NULL
                   AND EXISTS (SELECT 1 FROM journal j WHERE j.run_id = h.id AND j.hop = 3 AND j.state IN (2, 3))
                   ORDER BY id DESC LIMIT ?1";
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        collect(self.connection, TABLE, sql, [limit], |row| {
            row.int(0, "id").map(RunId)
        })
    }

    /// Returns the run that `by` undid, if it is an undo that put something back.
    pub fn undone_by(&self, by: RunId) -> Result<Option<RunId>, StoreError> {
        let sql = "SELECT id FROM sync_history WHERE undone_by = ?1
                   AND EXISTS (SELECT 1 FROM sync_history u WHERE u.id = ?1 AND u.verb = 'undo')";
        first(self.connection, TABLE, sql, [by.0], |row| {
            row.int(0, "id").map(RunId)
        })
    }
}

impl Writer<'_> {
    /// Notes a run that begins.
    pub fn begin_run(&self, row: &RunRow) -> Result<(), StoreError> {
        self.put_run(row, Some(row.id.0)).map(|_| ())
    }

    /// Notes how a run ended. Notes the whole run when its beginning was not.
    pub fn finish_run(&self, row: &RunRow) -> Result<(), StoreError> {
        self.put_run(row, Some(row.id.0)).map(|_| ())
    }

    /// Notes that `by` undid `run`, so that the next undo goes further back.
    pub fn mark_undone(&self, run: RunId, by: RunId) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE sync_history SET undone_by = ?2 WHERE id = ?1")?
            .execute([run.0, by.0])?;
        Ok(())
    }

    /// Takes back what [`Writer::mark_undone`] noted of an undo.
    pub fn unmark_undone(&self, by: RunId) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("UPDATE sync_history SET undone_by = NULL WHERE undone_by = ?1")?
            .execute([by.0])?;
        Ok(())
    }

    /// Marks the runs that a killed daemon left running as interrupted at `now`, and returns them.
    pub fn interrupt_running(&self, now: Timestamp) -> Result<Vec<RunId>, StoreError> {
        let sql = format!("{SELECT} WHERE status = 'running' ORDER BY id");
        let mut interrupted = Vec::new();
        for mut row in collect(self.connection, TABLE, &sql, [], read)? {
            let lasted = now.duration_since(row.started_at).as_millis();
            "interrupted".clone_into(&mut row.status);
            row.duration_ms = u64::try_from(lasted).unwrap_or(0);
            self.finish_run(&row)?;
            interrupted.push(row.id);
        }
        Ok(interrupted)
    }

    /// Stores a run under `id`, or under the next number.
    pub(crate) fn put_run(&self, row: &RunRow, id: Option<i64>) -> Result<RunId, StoreError> {
        let json = |empty: bool, value: serde_json::Value| (!empty).then(|| value.to_string());
        let id: i64 = self
            .connection
            .prepare_cached(
                "INSERT INTO sync_history(id, source_id, target_id, verb, \"trigger\", sync_time, status, files_synced,
                     files_cached, files_failed, files_removed, bytes, requests, error_kind, error_message, duration_ms,
                     phases, plan_digest, problems, boot_id, checksum, revision)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21,
                     ?22)
                 ON CONFLICT(id) DO UPDATE SET source_id = excluded.source_id, target_id = excluded.target_id,
                     verb = excluded.verb, \"trigger\" = excluded.\"trigger\", sync_time = excluded.sync_time,
                     status = excluded.status, files_synced = excluded.files_synced,
                     files_cached = excluded.files_cached, files_failed = excluded.files_failed,
                     files_removed = excluded.files_removed, bytes = excluded.bytes, requests = excluded.requests,
                     error_kind = excluded.error_kind, error_message = excluded.error_message,
                     duration_ms = excluded.duration_ms, phases = excluded.phases, plan_digest = excluded.plan_digest,
                     problems = excluded.problems, boot_id = excluded.boot_id, checksum = excluded.checksum,
                     revision = excluded.revision
                 RETURNING id",
            )?
            .query_row(
                params![
                    id,
                    row.source.as_ref().map(SourceId::as_str),
                    row.target.as_ref().map(TargetId::as_str),
                    row.verb,
                    row.trigger,
                    time_text(row.started_at),
                    row.status,
                    int(row.synced),
                    int(row.cached),
                    int(row.failed),
                    int(row.removed),
                    int(row.bytes),
                    int(row.requests),
                    row.error_kind,
                    row.error_message,
                    int(row.duration_ms),
                    json(row.phases.is_empty(), serde_json::json!(row.phases)),
                    row.plan_digest,
                    json(row.problems.is_empty(), serde_json::json!(row.problems)),
                    row.boot_id,
                    checksum(row).value(),
                    row.revision,
                ],
                |row| row.get(0),
            )?;
        Ok(RunId(id))
    }
}

pub(super) fn read(columns: &Columns<'_, '_>) -> Result<RunRow, StoreError> {
    let row = RunRow {
        id: RunId(columns.int(0, "id")?),
        source: columns.opt_parse(1, "source_id")?,
        target: columns.opt_parse(2, "target_id")?,
        verb: columns.text(3, "verb")?.to_owned(),
        trigger: columns.text(4, "trigger")?.to_owned(),
        started_at: columns.time(5, "sync_time")?,
        status: columns.text(6, "status")?.to_owned(),
        synced: columns.count(7, "files_synced")?,
        cached: columns.count(8, "files_cached")?,
        failed: columns.count(9, "files_failed")?,
        removed: columns.count(10, "files_removed")?,
        bytes: columns.count(11, "bytes")?,
        requests: columns.count(12, "requests")?,
        error_kind: columns.opt_string(13, "error_kind")?,
        error_message: columns.opt_string(14, "error_message")?,
        duration_ms: columns.count(15, "duration_ms")?,
        phases: columns.json(16, "phases")?,
        plan_digest: columns.opt_string(17, "plan_digest")?,
        problems: columns.json(18, "problems")?,
        revision: columns.opt_string(21, "revision")?,
        boot_id: columns.text(19, "boot_id")?.to_owned(),
    };
    columns.verify(20, checksum(&row))?;
    Ok(row)
}

// Without the number, which the database may give after the sum is made.
fn checksum(row: &RunRow) -> Checksum {
    let sum = Checksum::new()
        .opt_text(row.source.as_ref().map(SourceId::as_str))
        .opt_text(row.target.as_ref().map(TargetId::as_str))
        .text(&row.verb)
        .text(&row.trigger)
        .text(&time_text(row.started_at))
        .text(&row.status)
        .int(int(row.synced))
        .int(int(row.cached))
        .int(int(row.failed))
        .int(int(row.removed))
        .int(int(row.bytes))
        .int(int(row.requests))
        .opt_text(row.error_kind.as_deref())
        .opt_text(row.error_message.as_deref())
        .int(int(row.duration_ms))
        .opt_text(row.plan_digest.as_deref())
        .text(&row.boot_id);
    let sum = row
        .phases
        .iter()
        .fold(sum, |sum, (phase, ms)| sum.text(phase).int(int(*ms)));
    let sum = row
        .problems
        .iter()
        .fold(sum, |sum, problem| sum.text(problem));
    // A row without it is as it was before there was any.
    match &row.revision {
        None => sum,
        Some(revision) => sum.bytes(&[0xfb]).text(revision),
    }
}
