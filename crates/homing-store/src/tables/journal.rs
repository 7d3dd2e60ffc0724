//! `journal`: what runs intend and what became of it.

use std::borrow::Borrow;

use homing_core::{ItemKey, RunId, TargetId};
use rusqlite::params;

use crate::columns::{Checksum, Columns, PAIR_BITS, collect, unpack_pair};
use crate::rows::{Hop, JournalRow, JournalState, RunRow};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "journal";
const SELECT: &str = "SELECT j.id, j.run_id, j.hop, j.source_id, j.target_id, j.key, j.path, b.hash, bb.hash, a.hash,
    ba.hash, j.mode, j.temporary, j.state, j.reason, j.checksum
    FROM journal j LEFT JOIN contents b ON b.id = j.before LEFT JOIN contents bb ON bb.id = j.base_before
        LEFT JOIN contents a ON a.id = j.after LEFT JOIN contents ba ON ba.id = j.base_after";

// What one step of the state adds to a row's checksum, so that the state can change without the row being read.
const STATE_WEIGHT: i64 = 0x0101_0101;
const CHECKSUM_MASK: i64 = 0xffff_ffff;

impl Reader<'_> {
    /// Returns the journal of a run, in the order of the run.
    pub fn journal(&self, run: RunId) -> Result<Vec<JournalRow>, StoreError> {
        collect(
            self.connection,
            TABLE,
            &format!("{SELECT} WHERE j.run_id = ?1 ORDER BY j.id"),
            [run.0],
            read,
        )
    }

    /// Returns at most `limit` rows of a run's journal after the row `after`, in the order of the run; with
    /// `failed_only`, those that failed.
    pub fn journal_page(
        &self,
        run: RunId,
        after: i64,
        limit: usize,
        failed_only: bool,
    ) -> Result<Vec<JournalRow>, StoreError> {
        let failed = JournalState::Failed.number();
        collect(
            self.connection,
            TABLE,
            &format!(
                "{SELECT} WHERE j.run_id = ?1 AND j.id > ?2 AND j.state >= ?3 ORDER BY j.id LIMIT ?4"
            ),
            (
                run.0,
                after,
                if failed_only { failed } else { 0 },
                i64::try_from(limit).unwrap_or(i64::MAX),
            ),
            read,
        )
    }

    /// Returns the rows that are planned or placed, with their runs, the oldest first.
    pub fn unfinished_journal(&self) -> Result<Vec<(RunRow, Vec<JournalRow>)>, StoreError> {
        let runs = collect(
            self.connection,
            TABLE,
            "SELECT DISTINCT run_id FROM journal WHERE state < 3 ORDER BY run_id",
            [],
            |row| row.int(0, "run_id").map(RunId),
        )?;
        let sql = format!("{SELECT} WHERE j.run_id = ?1 AND j.state < 3 ORDER BY j.id");
        let mut unfinished = Vec::with_capacity(runs.len());
        for id in runs {
            let run = self.run(id)?.ok_or_else(|| {
                StoreError::corrupt(format!("the journal names run {id}, which is missing"))
            })?;
            unfinished.push((run, collect(self.connection, TABLE, &sql, [id.0], read)?));
        }
        Ok(unfinished)
    }
}

impl Writer<'_> {
    /// Adds rows and returns their numbers, ascending. Their contents must be kept already.
    pub fn put_journal<R>(&self, rows: impl IntoIterator<Item = R>) -> Result<Vec<i64>, StoreError>
    where
        R: Borrow<JournalRow>,
    {
        let mut statement = self.connection.prepare_cached(
            "INSERT INTO journal(run_id, hop, source_id, target_id, key, path, before, base_before, after, base_after,
                 mode, temporary, state, reason, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)",
        )?;
        rows.into_iter()
            .map(|row| {
                let row: &JournalRow = row.borrow();
                let before = self.pack_pair(row.before, row.base_before)?;
                let after = self.pack_pair(row.after, row.base_after)?;
                Ok(statement.insert(params![
                    row.run.0,
                    row.hop.number(),
                    row.source.as_str(),
                    row.target.as_ref().map(TargetId::as_str),
                    row.key.as_str(),
                    (row.path != row.key).then(|| row.path.as_str()),
                    before.first,
                    before.second,
                    after.first,
                    after.second,
                    before.mode | after.mode << PAIR_BITS,
                    row.temporary,
                    row.state.number(),
                    row.reason,
                    checksum(row),
                ])?)
            })
            .collect()
    }

    /// Sets states and reasons by number.
    pub fn set_journal_state(
        &self,
        states: &[(i64, JournalState, Option<String>)],
    ) -> Result<(), StoreError> {
        // Neighbours that change alike change in one statement: a run of 5,000 items in a few.
        let mut statement = self.connection.prepare_cached(
            "UPDATE journal SET checksum = (checksum + (?3 - state) * ?5) & ?6, state = ?3, reason = ?4
             WHERE id BETWEEN ?1 AND ?2",
        )?;
        let mut rest = states;
        while let Some((first, state, reason)) = rest.first() {
            let alike = rest
                .iter()
                .zip(*first..)
                .take_while(|((id, other, why), expected)| {
                    id == expected && other == state && why == reason
                })
                .count();
            let last = rest[alike - 1].0;
            statement.execute(params![
                first,
                last,
                state.number(),
                reason,
                STATE_WEIGHT,
                CHECKSUM_MASK
            ])?;
            rest = &rest[alike..];
        }
        Ok(())
    }
}

impl JournalState {
    /// Returns the number that the table keeps.
    fn number(self) -> i64 {
        match self {
            Self::Planned => 1,
            Self::Placed => 2,
            Self::Durable => 3,
            Self::Failed => 4,
        }
    }
}

fn read(columns: &Columns<'_, '_>) -> Result<JournalRow, StoreError> {
    let mode = columns.int(11, "mode")?;
    let (before, base_before) = unpack_pair(
        columns.opt_hash(7, "before")?,
        columns.opt_hash(8, "base_before")?,
        mode,
    );
    let (after, base_after) = unpack_pair(
        columns.opt_hash(9, "after")?,
        columns.opt_hash(10, "base_after")?,
        mode >> PAIR_BITS,
    );
    let number = columns.int(13, "state")?;
    let state = [
        JournalState::Planned,
        JournalState::Placed,
        JournalState::Durable,
        JournalState::Failed,
    ]
    .into_iter()
    .find(|state| state.number() == number)
    .ok_or_else(|| columns.invalid("state", &number.to_string()))?;
    let key: ItemKey = columns.key(5, "key")?;
    let row = JournalRow {
        id: columns.int(0, "id")?,
        run: RunId(columns.int(1, "run_id")?),
        hop: Hop::from_number(columns, 2)?,
        source: columns.parse(3, "source_id")?,
        target: columns.opt_parse(4, "target_id")?,
        path: if columns.opt_text(6, "path")?.is_some() {
            columns.key(6, "path")?
        } else {
            key.clone()
        },
        key,
        before,
        after,
        base_before,
        base_after,
        temporary: columns.opt_string(12, "temporary")?,
        state,
        reason: columns.opt_string(14, "reason")?,
    };
    columns.verify_value(15, checksum(&row))?;
    Ok(row)
}

// Without number and reason: the one comes later, the other only explains.
fn checksum(row: &JournalRow) -> i64 {
    let sum = Checksum::new()
        .int(row.run.0)
        .int(row.hop.number())
        .text(row.source.as_str())
        .opt_text(row.target.as_ref().map(TargetId::as_str))
        .text(row.key.as_str())
        .text(row.path.as_str())
        .version(row.before)
        .version(row.base_before)
        .version(row.after)
        .version(row.base_after)
        .opt_text(row.temporary.as_deref());
    (sum.value() + row.state.number() * STATE_WEIGHT) & CHECKSUM_MASK
}
