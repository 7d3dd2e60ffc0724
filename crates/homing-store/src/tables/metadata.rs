//! `schema_metadata`: single values.

use homing_core::TargetId;

use crate::columns::first;
use crate::{Reader, StoreError, Writer};

impl Reader<'_> {
    /// Returns the value of `key`.
    pub fn metadata(&self, key: &str) -> Result<Option<String>, StoreError> {
        let sql = "SELECT value FROM schema_metadata WHERE key = ?1";
        first(self.connection, "schema_metadata", sql, [key], |row| {
            row.text(0, "value").map(str::to_owned)
        })
    }

    /// Tells whether a target's ledger is a backup's, and nobody has compared it with the place since.
    pub fn distrusts_ledger(&self, target: &TargetId) -> Result<bool, StoreError> {
        Ok(self.metadata(&untrusted(target))?.is_some())
    }
}

impl Writer<'_> {
    /// Sets the value of `key`.
    pub fn set_metadata(&self, key: &str, value: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached(
                "INSERT INTO schema_metadata(key, value) VALUES (?1, ?2)
                 ON CONFLICT(key) DO UPDATE SET value = excluded.value",
            )?
            .execute([key, value])?;
        Ok(())
    }

    /// Forgets `key`.
    pub fn remove_metadata(&self, key: &str) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM schema_metadata WHERE key = ?1")?
            .execute([key])?;
        Ok(())
    }

    /// Tells that what is in a target's place was compared with the ledger of a restored backup.
    pub fn trust_ledger(&self, target: &TargetId) -> Result<(), StoreError> {
        self.remove_metadata(&untrusted(target))
    }

    /// Begins the time after a restore in which nothing is deleted or pushed, as after a rebuild.
    pub(crate) fn begin_rebuild_after_restore(&self, created_at: &str) -> Result<(), StoreError> {
        self.connection
            .execute("DELETE FROM schema_metadata WHERE key = 'rebuilt_from'", [])?;
        self.set_metadata("restored_from", created_at)?;
        // What a place holds was written later than the backup, by whomever.
        self.connection.execute(
            "INSERT INTO schema_metadata(key, value) SELECT 'untrusted:' || id, '1' FROM targets WHERE true
             ON CONFLICT(key) DO NOTHING",
            [],
        )?;
        self.set_metadata("rebuild_pending", "1")
    }

    /// Ends the time after a rebuild or a restore in which nothing is deleted or pushed.
    pub fn accept_rebuild(&self) -> Result<(), StoreError> {
        self.set_metadata("rebuild_pending", "0")
    }
}

fn untrusted(target: &TargetId) -> String {
    format!("untrusted:{target}")
}
