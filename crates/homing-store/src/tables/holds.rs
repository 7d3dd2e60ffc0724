//! `holds`: undone changes that stay undone.

use std::collections::BTreeMap;

use homing_core::{ItemKey, RunId, SourceId};
use rusqlite::params;

use crate::columns::{Checksum, Columns, collect, int, time_text, unpack_pair};
use crate::rows::HoldRow;
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "holds";
const SELECT: &str = "SELECT o.key, h.hash, r.hash, o.mode, o.size, o.run_id, o.since, o.checksum
    FROM holds o LEFT JOIN contents h ON h.id = o.held LEFT JOIN contents r ON r.id = o.refused
    WHERE o.source_id = ?1 ORDER BY o.key";

impl Reader<'_> {
    /// Returns the holds on a source, by key.
    pub fn holds(&self, source: &SourceId) -> Result<BTreeMap<ItemKey, HoldRow>, StoreError> {
        let rows = collect(self.connection, TABLE, SELECT, [source.as_str()], |row| {
            let row = read(source, row)?;
            Ok((row.key.clone(), row))
        })?;
        Ok(rows.into_iter().collect())
    }
}

impl Writer<'_> {
    /// Stores a hold, replacing one on the same key. Its contents must be kept already.
    pub fn put_hold(&self, row: HoldRow) -> Result<(), StoreError> {
        self.require_source(&row.source)?;
        let pair = self.pack_pair(row.held, row.refused)?;
        self.connection
            .prepare_cached(
                "INSERT INTO holds(source_id, key, held, refused, mode, size, run_id, since, checksum)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)
                 ON CONFLICT(source_id, key) DO UPDATE SET held = excluded.held, refused = excluded.refused,
                     mode = excluded.mode, size = excluded.size, run_id = excluded.run_id, since = excluded.since,
                     checksum = excluded.checksum",
            )?
            .execute(params![
                row.source.as_str(),
                row.key.as_str(),
                pair.first,
                pair.second,
                pair.mode,
                int(row.size),
                row.run.0,
                time_text(row.since),
                checksum(&row).value(),
            ])?;
        Ok(())
    }

    /// Ends holds.
    pub fn delete_holds(&self, source: &SourceId, keys: &[ItemKey]) -> Result<(), StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM holds WHERE source_id = ?1 AND key = ?2")?;
        for key in keys {
            statement.execute([source.as_str(), key.as_str()])?;
        }
        Ok(())
    }
}

fn read(source: &SourceId, columns: &Columns<'_, '_>) -> Result<HoldRow, StoreError> {
    let (held, refused) = unpack_pair(
        columns.opt_hash(1, "held")?,
        columns.opt_hash(2, "refused")?,
        columns.int(3, "mode")?,
    );
    let row = HoldRow {
        source: source.clone(),
        key: columns.key(0, "key")?,
        held,
        size: columns.count(4, "size")?,
        refused,
        run: RunId(columns.int(5, "run_id")?),
        since: columns.time(6, "since")?,
    };
    columns.verify(7, checksum(&row))?;
    Ok(row)
}

fn checksum(row: &HoldRow) -> Checksum {
    Checksum::new()
        .text(row.source.as_str())
        .text(row.key.as_str())
        .version(row.held)
        .version(row.refused)
        .int(int(row.size))
        .int(row.run.0)
        .text(&time_text(row.since))
}
