//! `target_files` and `targets`: what was placed where.

use std::collections::BTreeMap;

use homing_core::{Identity, ItemKey, SourceId, TargetId};
use rusqlite::params;

use crate::columns::{Checksum, Columns, collect, first, int, unpack_pair};
use crate::rows::{LedgerRow, StoredRoot};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "target_files";
const SELECT: &str = "SELECT t.path, t.source_id, t.key, w.hash, b.hash, t.mode, t.size, t.identity, t.adopted,
    t.tombstone, t.checksum
    FROM target_files t LEFT JOIN contents w ON w.id = t.written LEFT JOIN contents b ON b.id = t.base
    WHERE t.target_id = ?1 ORDER BY t.path";

impl Reader<'_> {
    /// Returns what Homing answers for in a target, by path.
    pub fn ledger(&self, target: &TargetId) -> Result<BTreeMap<ItemKey, LedgerRow>, StoreError> {
        // Neighbours mostly come from one source and share its name.
        let mut last = None;
        let rows = collect(self.connection, TABLE, SELECT, [target.as_str()], |row| {
            let row = read(target, row, last.as_ref())?;
            last = Some(row.source.clone());
            Ok((row.path.clone(), row))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Returns how many files of a target are Homing's; those that a user keeps away are not counted.
    pub fn ledger_count(&self, target: &TargetId) -> Result<usize, StoreError> {
        let sql = "SELECT count(*) FROM target_files WHERE target_id = ?1 AND tombstone = 0";
        let count = first(self.connection, TABLE, sql, [target.as_str()], |row| {
            row.count(0, "count")
        })?;
        Ok(count.map_or(0, |count| usize::try_from(count).unwrap_or(usize::MAX)))
    }

    /// Returns the targets that have a ledger, configured or not.
    pub fn ledger_targets(&self) -> Result<Vec<TargetId>, StoreError> {
        let sql = "SELECT id FROM targets t WHERE EXISTS (SELECT 1 FROM target_files f WHERE f.target_id = t.id)
                   ORDER BY id";
        collect(self.connection, "targets", sql, [], |row| {
            row.parse(0, "id")
        })
    }

    /// Returns which directory a target's root was.
    pub fn target_root(&self, target: &TargetId) -> Result<Option<StoredRoot>, StoreError> {
        let sql = "SELECT root_device, root_inode, root_boot, checksum FROM targets WHERE id = ?1";
        let root = first(self.connection, "targets", sql, [target.as_str()], |row| {
            let root = row.root(0)?;
            row.verify(3, root_checksum(target, root.as_ref()))?;
            Ok(root)
        })?;
        Ok(root.flatten())
    }
}

impl Writer<'_> {
    /// Stores rows of a ledger, replacing those of the same path. Their contents must be kept already.
    pub fn put_ledger(&self, target: &TargetId, rows: &[LedgerRow]) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO targets(id, checksum) VALUES (?1, ?2) ON CONFLICT(id) DO NOTHING",
            )?
            .execute(params![
                target.as_str(),
                root_checksum(target, None).value()
            ])?;
        // Removed and inserted rather than updated, as for the heads.
        let mut remove = self
            .connection
            .prepare_cached("DELETE FROM target_files WHERE target_id = ?1 AND path = ?2")?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO target_files(target_id, path, source_id, key, written, base, mode, size, identity, adopted,
                 tombstone, checksum)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
             ON CONFLICT(target_id, path) DO NOTHING",
        )?;
        for row in rows {
            let pair = self.pack_pair(row.written, row.base)?;
            let values = (
                target.as_str(),
                row.path.as_str(),
                row.source.as_str(),
                (row.key != row.path).then(|| row.key.as_str()),
                pair.first,
                pair.second,
                pair.mode,
                int(row.size),
                row.identity.as_ref().map(Identity::as_str),
                row.adopted,
                row.tombstone,
                checksum(target, row).value(),
            );
            if insert.execute(values)? == 0 {
                remove.execute([target.as_str(), row.path.as_str()])?;
                insert.execute(values)?;
            }
        }
        Ok(())
    }

    /// Forgets paths of a ledger.
    pub fn delete_ledger(&self, target: &TargetId, paths: &[ItemKey]) -> Result<(), StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM target_files WHERE target_id = ?1 AND path = ?2")?;
        for path in paths {
            statement.execute([target.as_str(), path.as_str()])?;
        }
        Ok(())
    }

    /// Notes which directory a target's root is.
    pub fn set_target_root(&self, target: &TargetId, root: StoredRoot) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO targets(id, root_device, root_inode, root_boot, checksum) VALUES (?1, ?2, ?3, ?4, ?5)
                 ON CONFLICT(id) DO UPDATE SET root_device = excluded.root_device, root_inode = excluded.root_inode,
                     root_boot = excluded.root_boot, checksum = excluded.checksum",
            )?
            .execute(params![
                target.as_str(),
                root.identity.device.cast_signed(),
                root.identity.inode.cast_signed(),
                root.boot_id,
                root_checksum(target, Some(&root)).value(),
            ])?;
        Ok(())
    }
}

fn read(
    target: &TargetId,
    columns: &Columns<'_, '_>,
    last: Option<&SourceId>,
) -> Result<LedgerRow, StoreError> {
    let source = match last {
        Some(last) if columns.text(1, "source_id")? == last.as_str() => last.clone(),
        _ => columns.parse(1, "source_id")?,
    };
    let (written, base) = unpack_pair(
        columns.opt_hash(3, "written")?,
        columns.opt_hash(4, "base")?,
        columns.int(5, "mode")?,
    );
    let path = columns.key(0, "path")?;
    let key = if columns.opt_text(2, "key")?.is_some() {
        columns.key(2, "key")?
    } else {
        path.clone()
    };
    let row = LedgerRow {
        source,
        key,
        path,
        base,
        written,
        size: columns.count(6, "size")?,
        identity: columns.identity(7)?,
        adopted: columns.int(8, "adopted")? != 0,
        tombstone: columns.int(9, "tombstone")? != 0,
    };
    columns.verify(10, checksum(target, &row))?;
    Ok(row)
}

fn checksum(target: &TargetId, row: &LedgerRow) -> Checksum {
    Checksum::new()
        .text(target.as_str())
        .text(row.path.as_str())
        .text(row.source.as_str())
        .text(row.key.as_str())
        .version(row.written)
        .version(row.base)
        .int(int(row.size))
        .opt_text(row.identity.as_ref().map(Identity::as_str))
        .int(i64::from(row.adopted))
        .int(i64::from(row.tombstone))
}

fn root_checksum(target: &TargetId, root: Option<&StoredRoot>) -> Checksum {
    Checksum::new()
        .text(target.as_str())
        .opt_int(root.map(|root| root.identity.device.cast_signed()))
        .opt_int(root.map(|root| root.identity.inode.cast_signed()))
        .opt_text(root.map(|root| root.boot_id.as_str()))
}
