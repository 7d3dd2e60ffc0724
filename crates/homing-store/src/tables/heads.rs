//! `agent_files`: the heads of the sources.

use std::collections::BTreeMap;

use homing_core::{Identity, ItemKey, SourceId};
use jiff::Timestamp;

use crate::api::FileState;
use crate::columns::{
    Checksum, Columns, FIRST_EXECUTABLE, SECOND_EXECUTABLE, SECOND_IS_FIRST, collect, first, int,
    now_text, unpack_pair,
};
use crate::rows::{Facts, HeadRow};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "agent_files";
const SELECT: &str = "SELECT f.file_path, c.hash, b.hash, f.mode, f.file_size, f.identity, f.checksum, f.local_path,
    f.synced_at, f.item_kind, f.name, f.version, f.findings
    FROM agent_files f LEFT JOIN contents c ON c.id = f.content LEFT JOIN contents b ON b.id = f.base";

impl Reader<'_> {
    /// Returns what Homing holds for a source, by key.
    pub fn head(&self, source: &SourceId) -> Result<BTreeMap<ItemKey, HeadRow>, StoreError> {
        let sql = select(" WHERE f.source_id = ?1 ORDER BY f.file_path");
        let rows = collect(self.connection, TABLE, &sql, [source.as_str()], |row| {
            let row = read(source, row)?;
            Ok((row.key.clone(), row))
        })?;
        Ok(rows.into_iter().collect())
    }

    /// Returns how many items a head has, and how many of its rows differ from what the origin has.
    pub fn head_counts(&self, source: &SourceId) -> Result<(usize, usize), StoreError> {
        // Counted where the rows are: a status asks for it of every source, and a plan never does.
        let sql = "SELECT count(content), count(*) - count(iif(
                mode & ?2 AND (mode & ?3 = 0) = (mode & ?4 = 0) OR content IS NULL AND base IS NULL, 1, NULL))
            FROM agent_files WHERE source_id = ?1";
        let params = (
            source.as_str(),
            SECOND_IS_FIRST,
            FIRST_EXECUTABLE,
            SECOND_EXECUTABLE,
        );
        let counts = first(self.connection, TABLE, sql, params, |row| {
            Ok((row.count(0, "content")?, row.count(1, "base")?))
        })?;
        let number = |count| usize::try_from(count).unwrap_or(usize::MAX);
        Ok(counts.map_or((0, 0), |(present, unpushed)| {
            (number(present), number(unpushed))
        }))
    }

    /// Returns the bytes of a head's items.
    pub fn head_bytes(&self, source: &SourceId) -> Result<u64, StoreError> {
        let sql = "SELECT coalesce(sum(file_size), 0) FROM agent_files
            WHERE source_id = ?1 AND content IS NOT NULL";
        let bytes = first(self.connection, TABLE, sql, [source.as_str()], |row| {
            row.count(0, "file_size")
        })?;
        Ok(bytes.unwrap_or(0))
    }

    /// Returns one item of a head.
    pub fn head_row(
        &self,
        source: &SourceId,
        key: &ItemKey,
    ) -> Result<Option<HeadRow>, StoreError> {
        let sql = select(" WHERE f.source_id = ?1 AND f.file_path = ?2");
        first(
            self.connection,
            TABLE,
            &sql,
            [source.as_str(), key.as_str()],
            |row| read(source, row),
        )
    }

    /// Returns one item of a head with its place in a target and its time.
    pub fn file_state(
        &self,
        source: &SourceId,
        key: &ItemKey,
    ) -> Result<Option<FileState>, StoreError> {
        let sql = select(" WHERE f.source_id = ?1 AND f.file_path = ?2");
        first(
            self.connection,
            TABLE,
            &sql,
            [source.as_str(), key.as_str()],
            |columns| file_state(source, columns),
        )
    }

    /// Returns at most `limit` items of a head whose keys come after `after`, by key.
    pub fn files_after(
        &self,
        source: &SourceId,
        after: Option<&ItemKey>,
        limit: usize,
    ) -> Result<Vec<FileState>, StoreError> {
        let sql = select(
            " WHERE f.source_id = ?1 AND f.file_path > ?2 AND f.content IS NOT NULL
              ORDER BY f.file_path LIMIT ?3",
        );
        let params = (
            source.as_str(),
            after.map_or("", ItemKey::as_str),
            i64::try_from(limit).unwrap_or(i64::MAX),
        );
        collect(self.connection, TABLE, &sql, params, |columns| {
            file_state(source, columns)
        })
    }

    /// Returns the items of a head, at most `limit`, those first that were written last.
    pub fn files_by_age(
        &self,
        source: &SourceId,
        limit: usize,
    ) -> Result<Vec<FileState>, StoreError> {
        let sql = select(
            " WHERE f.source_id = ?1 AND f.content IS NOT NULL
              ORDER BY f.synced_at DESC, f.file_path LIMIT ?2",
        );
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        collect(
            self.connection,
            TABLE,
            &sql,
            (source.as_str(), limit),
            |columns| file_state(source, columns),
        )
    }
}

impl Writer<'_> {
    /// Stores items of a head, replacing those of the same key. Their contents must be kept already.
    pub fn put_head(&self, source: &SourceId, rows: &[HeadRow]) -> Result<(), StoreError> {
        self.require_source(source)?;
        let now = now_text();
        // Neither an UPDATE nor ON CONFLICT DO UPDATE: where a foreign key may change, SQLite copies every page that a
        // row touches, to be able to undo that one row. 5,000 changed rows took four times as long.
        let mut remove = self.connection.prepare_cached(
            "DELETE FROM agent_files WHERE source_id = ?1 AND file_path = ?2
             RETURNING local_path, content, mode, synced_at, item_kind, name, version, findings",
        )?;
        let mut insert = self.connection.prepare_cached(
            "INSERT INTO agent_files(source_id, file_path, content, base, mode, file_size, identity, synced_at, checksum,
                 local_path, item_kind, name, version, findings)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14)
             ON CONFLICT(source_id, file_path) DO NOTHING",
        )?;
        for row in rows {
            let pair = self.pack_pair(row.head, row.base)?;
            let values = |facts: Option<&Facts>, local_path: Option<String>, synced_at: &str| {
                (
                    source.as_str(),
                    row.key.as_str(),
                    pair.first,
                    pair.second,
                    pair.mode,
                    int(row.size),
                    row.identity.as_ref().map(Identity::as_str),
                    synced_at.to_owned(),
                    checksum(source, row, facts).value(),
                    local_path,
                    facts.map(|facts| facts.kind),
                    facts.and_then(|facts| facts.name.clone()),
                    facts.and_then(|facts| facts.version.clone()),
                    facts.and_then(|facts| facts.findings.clone()),
                )
            };
            let facts = row.facts.as_ref();
            if insert.execute(values(facts, None, &now))? == 0 {
                let found = remove.query_row([source.as_str(), row.key.as_str()], Removed::read)?;
                let is_same_content = found.content == pair.first;
                // Only what was found out about it changed.
                let is_same = is_same_content
                    && found.mode & FIRST_EXECUTABLE == pair.mode & FIRST_EXECUTABLE;
                let synced_at = if is_same { &found.synced_at } else { &now };
                let kept = found.facts.filter(|_| is_same_content);
                let facts = facts.or(kept.as_ref());
                insert.execute(values(facts, found.local_path, synced_at))?;
            }
        }
        Ok(())
    }

    /// Forgets items of a head.
    pub fn delete_head(&self, source: &SourceId, keys: &[ItemKey]) -> Result<(), StoreError> {
        let mut statement = self
            .connection
            .prepare_cached("DELETE FROM agent_files WHERE source_id = ?1 AND file_path = ?2")?;
        for key in keys {
            statement.execute([source.as_str(), key.as_str()])?;
        }
        Ok(())
    }

    /// Notes where a tracked file lies on this machine.
    pub(crate) fn set_local_path(
        &self,
        source: &SourceId,
        key: &ItemKey,
        path: &str,
    ) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "UPDATE agent_files SET local_path = ?3 WHERE source_id = ?1 AND file_path = ?2",
            )?
            .execute([source.as_str(), key.as_str(), path])?;
        Ok(())
    }
}

/// What a row was that gives way to another.
struct Removed {
    local_path: Option<String>,
    content: Option<i64>,
    mode: i64,
    synced_at: String,
    facts: Option<Facts>,
}

impl Removed {
    fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Self> {
        let kind: Option<u8> = row.get(4)?;
        let facts = match kind {
            Some(kind) => Some(Facts {
                kind,
                name: row.get(5)?,
                version: row.get(6)?,
                findings: row.get(7)?,
            }),
            None => None,
        };
        Ok(Self {
            local_path: row.get(0)?,
            content: row.get(1)?,
            mode: row.get(2)?,
            synced_at: row.get(3)?,
            facts,
        })
    }
}

fn select(condition: &str) -> String {
    format!("{SELECT}{condition}")
}

fn read(source: &SourceId, columns: &Columns<'_, '_>) -> Result<HeadRow, StoreError> {
    let (head, base) = unpack_pair(
        columns.opt_hash(1, "content")?,
        columns.opt_hash(2, "base")?,
        columns.int(3, "mode")?,
    );
    let row = HeadRow {
        key: columns.key(0, "file_path")?,
        head,
        base,
        size: columns.count(4, "file_size")?,
        identity: columns.identity(5)?,
        facts: facts(columns)?,
    };
    columns.verify(6, checksum(source, &row, row.facts.as_ref()))?;
    Ok(row)
}

fn file_state(source: &SourceId, columns: &Columns<'_, '_>) -> Result<FileState, StoreError> {
    let synced_at: Timestamp = columns.time(8, "synced_at")?;
    Ok(FileState {
        row: read(source, columns)?,
        local_path: columns.opt_string(7, "local_path")?,
        synced_at,
    })
}

fn facts(columns: &Columns<'_, '_>) -> Result<Option<Facts>, StoreError> {
    let Some(kind) = columns.opt_int(9, "item_kind")? else {
        return Ok(None);
    };
    Ok(Some(Facts {
        kind: u8::try_from(kind)
            .map_err(|_out_of_range| columns.invalid("item_kind", &kind.to_string()))?,
        name: columns.opt_string(10, "name")?,
        version: columns.opt_string(11, "version")?,
        findings: columns.opt_string(12, "findings")?,
    }))
}

fn checksum(source: &SourceId, row: &HeadRow, facts: Option<&Facts>) -> Checksum {
    let checksum = Checksum::new()
        .text(source.as_str())
        .text(row.key.as_str())
        .version(row.head)
        .version(row.base)
        .int(int(row.size))
        .opt_text(row.identity.as_ref().map(Identity::as_str));
    // A row without facts is as it was before there were any.
    match facts {
        None => checksum,
        Some(facts) => checksum
            .int(i64::from(facts.kind))
            .opt_text(facts.name.as_deref())
            .opt_text(facts.version.as_deref())
            .opt_text(facts.findings.as_deref()),
    }
}
