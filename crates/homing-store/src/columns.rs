//! Reading columns without trusting them, and the checksum that every row carries.

use std::fmt::Display;
use std::str::FromStr;

use homing_core::{ContentHash, Identity, ItemKey, RootIdentity, Version};
use jiff::Timestamp;
use rusqlite::types::ValueRef;
use rusqlite::{CachedStatement, Connection, Params, Row};
use serde::de::DeserializeOwned;

use crate::StoreError;
use crate::rows::StoredRoot;

/// Returns a time as every table keeps it.
pub(crate) fn time_text(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%S%.3fZ").to_string()
}

pub(crate) fn now_text() -> String {
    time_text(Timestamp::now())
}

/// `SQLite`'s integers are signed; sizes and counts never come near the limit.
pub(crate) fn int(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

/// One row that was read, with the name of its table for the errors.
pub(crate) struct Columns<'a, 's> {
    row: &'a Row<'s>,
    table: &'static str,
}

impl<'a, 's> Columns<'a, 's> {
    pub(crate) fn new(row: &'a Row<'s>, table: &'static str) -> Self {
        Self { row, table }
    }

    pub(crate) fn text(&self, at: usize, column: &'static str) -> Result<&'a str, StoreError> {
        self.opt_text(at, column)?
            .ok_or_else(|| self.invalid(column, "NULL"))
    }

    pub(crate) fn opt_text(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<Option<&'a str>, StoreError> {
        match self.row.get_ref(at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Text(bytes) => match std::str::from_utf8(bytes) {
                Ok(text) => Ok(Some(text)),
                Err(error) => {
                    Err(self.invalid(column, &format!("a text that is not UTF-8 ({error})")))
                }
            },
            other => Err(self.invalid(column, &format!("a {}", other.data_type()))),
        }
    }

    pub(crate) fn int(&self, at: usize, column: &'static str) -> Result<i64, StoreError> {
        self.opt_int(at, column)?
            .ok_or_else(|| self.invalid(column, "NULL"))
    }

    pub(crate) fn opt_int(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<Option<i64>, StoreError> {
        match self.row.get_ref(at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Integer(number) => Ok(Some(number)),
            other => Err(self.invalid(column, &format!("a {}", other.data_type()))),
        }
    }

    pub(crate) fn count(&self, at: usize, column: &'static str) -> Result<u64, StoreError> {
        let number = self.int(at, column)?;
        let Ok(count) = u64::try_from(number) else {
            return Err(self.invalid(column, &number.to_string()));
        };
        Ok(count)
    }

    pub(crate) fn opt_hash(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<Option<ContentHash>, StoreError> {
        match self.row.get_ref(at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => match <[u8; 32]>::try_from(bytes) {
                Ok(hash) => Ok(Some(ContentHash::from_bytes(hash))),
                Err(_) => Err(self.invalid(column, &format!("a blob of {} bytes", bytes.len()))),
            },
            other => Err(self.invalid(column, &format!("a {}", other.data_type()))),
        }
    }

    pub(crate) fn opt_bytes(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        match self.row.get_ref(at)? {
            ValueRef::Null => Ok(None),
            ValueRef::Blob(bytes) => Ok(Some(bytes.to_vec())),
            other => Err(self.invalid(column, &format!("a {}", other.data_type()))),
        }
    }

    pub(crate) fn hash(&self, at: usize, column: &'static str) -> Result<ContentHash, StoreError> {
        self.opt_hash(at, column)?
            .ok_or_else(|| self.invalid(column, "NULL"))
    }

    pub(crate) fn key(&self, at: usize, column: &'static str) -> Result<ItemKey, StoreError> {
        let text = self.text(at, column)?;
        ItemKey::new(text).map_err(|error| self.invalid(column, &format!("{text:?}: {error}")))
    }

    pub(crate) fn parse<T: FromStr<Err: Display>>(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<T, StoreError> {
        let text = self.text(at, column)?;
        text.parse()
            .map_err(|error: T::Err| self.invalid(column, &format!("{text:?}: {error}")))
    }

    pub(crate) fn opt_parse<T: FromStr<Err: Display>>(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<Option<T>, StoreError> {
        if self.opt_text(at, column)?.is_none() {
            Ok(None)
        } else {
            self.parse(at, column).map(Some)
        }
    }

    pub(crate) fn time(&self, at: usize, column: &'static str) -> Result<Timestamp, StoreError> {
        self.parse(at, column)
    }

    pub(crate) fn opt_time(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<Option<Timestamp>, StoreError> {
        self.opt_parse(at, column)
    }

    pub(crate) fn identity(&self, at: usize) -> Result<Option<Identity>, StoreError> {
        Ok(self.opt_text(at, "identity")?.map(Identity::new))
    }

    pub(crate) fn opt_string(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<Option<String>, StoreError> {
        Ok(self.opt_text(at, column)?.map(str::to_owned))
    }

    /// Reads `root_device`, `root_inode` and `root_boot`, which stand side by side.
    pub(crate) fn root(&self, at: usize) -> Result<Option<StoredRoot>, StoreError> {
        let device = self.opt_int(at, "root_device")?;
        let inode = self.opt_int(at + 1, "root_inode")?;
        let boot_id = self.opt_string(at + 2, "root_boot")?;
        match (device, inode, boot_id) {
            (Some(device), Some(inode), Some(boot_id)) => Ok(Some(StoredRoot {
                identity: RootIdentity {
                    device: device.cast_unsigned(),
                    inode: inode.cast_unsigned(),
                },
                boot_id,
            })),
            (None, None, None) => Ok(None),
            _ => Err(self.invalid("root_device", "a part of a root only")),
        }
    }

    /// Reads a list that is kept as JSON; NULL is the empty one.
    pub(crate) fn json<T: DeserializeOwned>(
        &self,
        at: usize,
        column: &'static str,
    ) -> Result<Vec<T>, StoreError> {
        let Some(text) = self.opt_text(at, column)? else {
            return Ok(Vec::new());
        };
        serde_json::from_str(text)
            .map_err(|error| self.invalid(column, &format!("{text:?}: {error}")))
    }

    /// Compares the row's checksum with what its columns come to.
    pub(crate) fn verify(&self, at: usize, checksum: Checksum) -> Result<(), StoreError> {
        self.verify_value(at, checksum.value())
    }

    pub(crate) fn verify_value(&self, at: usize, checksum: i64) -> Result<(), StoreError> {
        let stored = self.int(at, "checksum")?;
        if stored == checksum {
            return Ok(());
        }
        Err(StoreError::corrupt(format!(
            "a row of {} does not have its checksum",
            self.table
        )))
    }

    pub(crate) fn invalid(&self, column: &'static str, value: &str) -> StoreError {
        let value = value.chars().take(200).collect();
        StoreError::Invalid {
            table: self.table,
            column,
            value,
        }
    }
}

/// Two versions of one row as they are stored: the second is NULL when it has the first's content.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct StoredPair {
    pub(crate) first: Option<i64>,
    pub(crate) second: Option<i64>,
    pub(crate) mode: i64,
}

pub(crate) const FIRST_EXECUTABLE: i64 = 1;
pub(crate) const SECOND_EXECUTABLE: i64 = 2;
pub(crate) const SECOND_IS_FIRST: i64 = 4;
/// How many bits of `mode` a pair takes.
pub(crate) const PAIR_BITS: u32 = 3;

/// Puts the two versions of a row together again.
pub(crate) fn unpack_pair(
    first: Option<ContentHash>,
    second: Option<ContentHash>,
    mode: i64,
) -> (Option<Version>, Option<Version>) {
    let second = if mode & SECOND_IS_FIRST == 0 {
        second
    } else {
        first
    };
    (
        first.map(|hash| Version {
            hash,
            executable: mode & FIRST_EXECUTABLE != 0,
        }),
        second.map(|hash| Version {
            hash,
            executable: mode & SECOND_EXECUTABLE != 0,
        }),
    )
}

/// Runs a query and reads every row of it.
pub(crate) fn collect<T>(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Columns<'_, '_>) -> Result<T, StoreError>,
) -> Result<Vec<T>, StoreError> {
    let mut statement: CachedStatement<'_> = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(&Columns { row, table })?);
    }
    Ok(found)
}

/// Runs a query and reads its first row.
pub(crate) fn first<T>(
    connection: &Connection,
    table: &'static str,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Columns<'_, '_>) -> Result<T, StoreError>,
) -> Result<Option<T>, StoreError> {
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    match rows.next()? {
        Some(row) => read(&Columns { row, table }).map(Some),
        None => Ok(None),
    }
}

/// FNV-1a over the columns of a row.
///
/// `SQLite` notices damage to its structure, not to a value. One changed byte always changes this sum, so what reaches a
/// plan is what was written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Checksum(u32);

impl Checksum {
    pub(crate) fn new() -> Self {
        Self(0x811c_9dc5)
    }

    pub(crate) fn bytes(mut self, bytes: &[u8]) -> Self {
        for byte in bytes {
            self.0 = (self.0 ^ u32::from(*byte)).wrapping_mul(0x0100_0193);
        }
        self
    }

    pub(crate) fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes()).bytes(&[0xff])
    }

    pub(crate) fn opt_text(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.text(text),
            None => self.bytes(&[0xfe]),
        }
    }

    pub(crate) fn int(self, number: i64) -> Self {
        self.bytes(&number.to_le_bytes())
    }

    pub(crate) fn opt_int(self, number: Option<i64>) -> Self {
        match number {
            Some(number) => self.int(number),
            None => self.bytes(&[0xfd]),
        }
    }

    pub(crate) fn version(self, version: Option<Version>) -> Self {
        match version {
            Some(version) => self
                .bytes(version.hash.as_bytes())
                .bytes(&[u8::from(version.executable)]),
            None => self.bytes(&[0xfc]),
        }
    }

    pub(crate) fn value(self) -> i64 {
        i64::from(self.0)
    }
}
