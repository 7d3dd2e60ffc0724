//! `conflicts`: what waits for a person.

use std::collections::HashSet;

use homing_core::{SourceId, TargetId, Version};
use rusqlite::params;

use crate::columns::{Checksum, Columns, FIRST_EXECUTABLE, collect, first, time_text};
use crate::rows::{ConflictRow, ConflictScope, Hop};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "conflicts";
const SELECT: &str =
    "SELECT k.id, k.hop, k.source_id, k.target_id, k.key, k.kind, b.hash, n.hash, f.hash, k.mode,
    k.detail, k.since, k.checksum
    FROM conflicts k LEFT JOIN contents b ON b.id = k.base LEFT JOIN contents n ON n.id = k.near
        LEFT JOIN contents f ON f.id = k.far";

impl Reader<'_> {
    /// Returns the open conflicts of a source, of a target, of both or all, the oldest first.
    pub fn conflicts(
        &self,
        source: Option<&SourceId>,
        target: Option<&TargetId>,
    ) -> Result<Vec<ConflictRow>, StoreError> {
        let sql = format!(
            "{SELECT} WHERE (?1 IS NULL OR k.source_id = ?1) AND (?2 IS NULL OR k.target_id = ?2) ORDER BY k.id"
        );
        let scope = params![source.map(SourceId::as_str), target.map(TargetId::as_str)];
        collect(self.connection, TABLE, &sql, scope, read)
    }

    /// Returns one conflict.
    pub fn conflict(&self, id: i64) -> Result<Option<ConflictRow>, StoreError> {
        first(
            self.connection,
            TABLE,
            &format!("{SELECT} WHERE k.id = ?1"),
            [id],
            read,
        )
    }
}

impl Writer<'_> {
    /// Makes `rows` the open conflicts of a scope: one that was open already keeps its number and its time, those that
    /// are not given are closed. Contents that rows name must be kept already.
    pub fn replace_conflicts(
        &self,
        scope: ConflictScope,
        rows: Vec<ConflictRow>,
    ) -> Result<(), StoreError> {
        let open = self.conflicts(scope.source.as_ref(), scope.target.as_ref())?;
        let mut kept = HashSet::new();
        for mut row in rows {
            let existing = open.iter().find(|open| {
                open.hop == row.hop
                    && open.source == row.source
                    && open.target == row.target
                    && open.key == row.key
            });
            if let Some(existing) = existing {
                row.id = existing.id;
                row.since = existing.since;
                kept.insert(existing.id);
            }
            if existing != Some(&row) {
                self.put_conflict(&row, existing.map(|existing| existing.id))?;
            }
        }
        for row in open
            .iter()
            .filter(|row| row.hop == scope.hop && !kept.contains(&row.id))
        {
            self.connection
                .prepare_cached("DELETE FROM conflicts WHERE id = ?1")?
                .execute([row.id])?;
        }
        Ok(())
    }

    fn put_conflict(&self, row: &ConflictRow, id: Option<i64>) -> Result<(), StoreError> {
        let bit = |version: Option<Version>, place: u32| {
            if version.is_some_and(|version| version.executable) {
                FIRST_EXECUTABLE << place
            } else {
                0
            }
        };
        self.connection
            .prepare_cached(
                "INSERT INTO conflicts(id, hop, source_id, target_id, key, kind, base, near, far, mode, detail, since,
                     checksum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)
                 ON CONFLICT(hop, source_id, target_id, key) DO UPDATE SET kind = excluded.kind,
                     base = excluded.base, near = excluded.near, far = excluded.far, mode = excluded.mode,
                     detail = excluded.detail, since = excluded.since, checksum = excluded.checksum",
            )?
            .execute(params![
                id,
                row.hop.number(),
                row.source.as_str(),
                row.target.as_ref().map_or("", TargetId::as_str),
                row.key.as_str(),
                row.kind.as_str(),
                self.version_id(row.base)?,
                self.version_id(row.near)?,
                self.version_id(row.far)?,
                bit(row.base, 0) | bit(row.near, 1) | bit(row.far, 2),
                row.detail,
                time_text(row.since),
                checksum(row).value(),
            ])?;
        Ok(())
    }
}

impl Hop {
    /// Returns the number that the tables keep.
    pub(crate) fn number(self) -> i64 {
        match self {
            Self::Pull => 0,
            Self::Push => 1,
            Self::Capture => 2,
            Self::Publish => 3,
        }
    }

    pub(crate) fn from_number(columns: &Columns<'_, '_>, at: usize) -> Result<Self, StoreError> {
        let number = columns.int(at, "hop")?;
        [Self::Pull, Self::Push, Self::Capture, Self::Publish]
            .into_iter()
            .find(|hop| hop.number() == number)
            .ok_or_else(|| columns.invalid("hop", &number.to_string()))
    }
}

fn read(columns: &Columns<'_, '_>) -> Result<ConflictRow, StoreError> {
    let mode = columns.int(9, "mode")?;
    let version = |at, column, place: u32| {
        let hash = columns.opt_hash(at, column)?;
        Ok::<_, StoreError>(hash.map(|hash| Version {
            hash,
            executable: mode & (FIRST_EXECUTABLE << place) != 0,
        }))
    };
    let target = columns.text(3, "target_id")?;
    let row = ConflictRow {
        id: columns.int(0, "id")?,
        hop: Hop::from_number(columns, 1)?,
        source: columns.parse(2, "source_id")?,
        target: if target.is_empty() {
            None
        } else {
            Some(columns.parse(3, "target_id")?)
        },
        key: columns.key(4, "key")?,
        kind: columns.parse(5, "kind")?,
        base: version(6, "base", 0)?,
        near: version(7, "near", 1)?,
        far: version(8, "far", 2)?,
        detail: columns.opt_string(10, "detail")?,
        since: columns.time(11, "since")?,
    };
    columns.verify(12, checksum(&row))?;
    Ok(row)
}

// Without the number, which the database gives after the sum is made.
fn checksum(row: &ConflictRow) -> Checksum {
    Checksum::new()
        .int(row.hop.number())
        .text(row.source.as_str())
        .opt_text(row.target.as_ref().map(TargetId::as_str))
        .text(row.key.as_str())
        .text(row.kind.as_str())
        .version(row.base)
        .version(row.near)
        .version(row.far)
        .opt_text(row.detail.as_deref())
        .text(&time_text(row.since))
}
