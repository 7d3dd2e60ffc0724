//! `sources`: what is remembered of a source beside its items.

use homing_core::{About, SourceId};
use jiff::Timestamp;
use rusqlite::params;

use crate::columns::{Checksum, Columns, collect, first, time_text};
use crate::rows::{SourceRow, SourceUpdate};
use crate::{Reader, StoreError, Writer};

const TABLE: &str = "sources";
const SELECT: &str = "SELECT id, kind, url, last_sha, selection, last_sync_time, last_success_time, next_due, etag,
    enabled, failures, backoff_until, stalled, root_device, root_inode, root_boot, created_at, updated_at, checksum,
    revision_time, revision_subject FROM sources";

impl Reader<'_> {
    /// Returns a source.
    pub fn source(&self, id: &SourceId) -> Result<Option<SourceRow>, StoreError> {
        first(
            self.connection,
            TABLE,
            &format!("{SELECT} WHERE id = ?1"),
            [id.as_str()],
            read,
        )
    }

    /// Returns the sources by name, all of them or those that are enabled.
    pub fn sources(&self, enabled_only: bool) -> Result<Vec<SourceRow>, StoreError> {
        // Filtered here, not in SQL: a row is believed only after its checksum.
        let mut sources = collect(
            self.connection,
            TABLE,
            &format!("{SELECT} ORDER BY id"),
            [],
            read,
        )?;
        sources.retain(|source| source.enabled || !enabled_only);
        Ok(sources)
    }
}

impl Writer<'_> {
    /// Registers a source, or takes over its new kind and url. Never touches `enabled`.
    pub fn register_source(&self, id: &SourceId, kind: &str, url: &str) -> Result<(), StoreError> {
        let now = Timestamp::now();
        let row = match self.source(id)? {
            Some(row) if row.kind == kind && row.url == url => return Ok(()),
            Some(row) => SourceRow {
                kind: kind.to_owned(),
                url: url.to_owned(),
                updated_at: now,
                ..row
            },
            None => SourceRow {
                id: id.clone(),
                kind: kind.to_owned(),
                url: url.to_owned(),
                revision: None,
                about: None,
                selection: None,
                last_sync_time: None,
                last_success_time: None,
                next_due: None,
                etag: None,
                enabled: true,
                failures: 0,
                backoff_until: None,
                stalled: None,
                root: None,
                created_at: now,
                updated_at: now,
            },
        };
        self.put_source(&row)
    }

    /// Switches a source on or off.
    pub fn set_enabled(&self, id: &SourceId, enabled: bool) -> Result<(), StoreError> {
        let row = self.required(id)?;
        if row.enabled == enabled {
            return Ok(());
        }
        self.put_source(&SourceRow {
            enabled,
            updated_at: Timestamp::now(),
            ..row
        })
    }

    /// Changes what `update` gives and nothing else.
    pub fn update_source(&self, id: &SourceId, update: SourceUpdate) -> Result<(), StoreError> {
        let row = self.required(id)?;
        self.put_source(&SourceRow {
            about: if update.revision.is_some() {
                update.about
            } else {
                update.about.or(row.about)
            },
            revision: update.revision.unwrap_or(row.revision),
            selection: update.selection.or(row.selection),
            last_sync_time: update.last_sync_time.or(row.last_sync_time),
            last_success_time: update.last_success_time.or(row.last_success_time),
            next_due: update.next_due.unwrap_or(row.next_due),
            etag: update.etag.unwrap_or(row.etag),
            failures: update.failures.unwrap_or(row.failures),
            backoff_until: update.backoff_until.unwrap_or(row.backoff_until),
            stalled: update.stalled.unwrap_or(row.stalled),
            root: update.root.or(row.root),
            updated_at: Timestamp::now(),
            ..row
        })
    }

    /// Forgets a source with its head, holds and conflicts. History and journal stay unless `purge`; its rows in the
    /// ledgers of targets stay until their files are gone.
    pub fn remove_source(&self, id: &SourceId, purge: bool) -> Result<(), StoreError> {
        self.connection
            .prepare_cached("DELETE FROM conflicts WHERE source_id = ?1")?
            .execute([id.as_str()])?;
        // Whoever gets the name next has another origin.
        for about in ["unfetched", "examined_by"] {
            self.remove_metadata(&format!("{about}:{id}"))?;
        }
        if purge {
            // Journal rows of targets' runs name the source too, and are theirs.
            self.connection
                .prepare_cached("DELETE FROM sync_history WHERE source_id = ?1")?
                .execute([id.as_str()])?;
        }
        self.connection
            .prepare_cached("DELETE FROM sources WHERE id = ?1")?
            .execute([id.as_str()])?;
        Ok(())
    }

    fn required(&self, id: &SourceId) -> Result<SourceRow, StoreError> {
        self.source(id)?
            .ok_or_else(|| StoreError::UnknownSource(id.clone()))
    }

    fn put_source(&self, row: &SourceRow) -> Result<(), StoreError> {
        let root = row.root.as_ref();
        self.connection
            .prepare_cached(
                "INSERT INTO sources(id, kind, url, last_sha, selection, last_sync_time, last_success_time, next_due,
                     etag, enabled, failures, backoff_until, stalled, root_device, root_inode, root_boot, created_at,
                     updated_at, checksum, revision_time, revision_subject)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21)
                 ON CONFLICT(id) DO UPDATE SET kind = excluded.kind, url = excluded.url, last_sha = excluded.last_sha,
                     selection = excluded.selection, last_sync_time = excluded.last_sync_time,
                     last_success_time = excluded.last_success_time, next_due = excluded.next_due,
                     etag = excluded.etag, enabled = excluded.enabled, failures = excluded.failures,
                     backoff_until = excluded.backoff_until, stalled = excluded.stalled,
                     root_device = excluded.root_device, root_inode = excluded.root_inode,
                     root_boot = excluded.root_boot, updated_at = excluded.updated_at, checksum = excluded.checksum,
                     revision_time = excluded.revision_time, revision_subject = excluded.revision_subject",
            )?
            .execute(params![
                row.id.as_str(),
                row.kind,
                row.url,
                row.revision,
                row.selection,
                row.last_sync_time.map(time_text),
                row.last_success_time.map(time_text),
                row.next_due.map(time_text),
                row.etag,
                row.enabled,
                row.failures,
                row.backoff_until.map(time_text),
                row.stalled,
                root.map(|root| root.identity.device.cast_signed()),
                root.map(|root| root.identity.inode.cast_signed()),
                root.map(|root| root.boot_id.as_str()),
                time_text(row.created_at),
                time_text(row.updated_at),
                checksum(row).value(),
                row.about.as_ref().map(|about| time_text(about.time)),
                row.about.as_ref().map(|about| about.subject.as_str()),
            ])?;
        Ok(())
    }
}

fn read(columns: &Columns<'_, '_>) -> Result<SourceRow, StoreError> {
    let failures = columns.count(10, "failures")?;
    let Ok(failures) = u32::try_from(failures) else {
        return Err(columns.invalid("failures", &failures.to_string()));
    };
    let row = SourceRow {
        id: columns.parse(0, "id")?,
        kind: columns.text(1, "kind")?.to_owned(),
        url: columns.text(2, "url")?.to_owned(),
        revision: columns.opt_string(3, "last_sha")?,
        about: match columns.opt_time(19, "revision_time")? {
            Some(time) => Some(About {
                time,
                subject: columns.text(20, "revision_subject")?.to_owned(),
            }),
            None => None,
        },
        selection: columns.opt_string(4, "selection")?,
        last_sync_time: columns.opt_time(5, "last_sync_time")?,
        last_success_time: columns.opt_time(6, "last_success_time")?,
        next_due: columns.opt_time(7, "next_due")?,
        etag: columns.opt_string(8, "etag")?,
        enabled: columns.int(9, "enabled")? != 0,
        failures,
        backoff_until: columns.opt_time(11, "backoff_until")?,
        stalled: columns.opt_string(12, "stalled")?,
        root: columns.root(13)?,
        created_at: columns.time(16, "created_at")?,
        updated_at: columns.time(17, "updated_at")?,
    };
    columns.verify(18, checksum(&row))?;
    Ok(row)
}

fn checksum(row: &SourceRow) -> Checksum {
    let time = |time: Option<Timestamp>| time.map(time_text);
    let root = row.root.as_ref();
    let checksum = Checksum::new()
        .text(row.id.as_str())
        .text(&row.kind)
        .text(&row.url)
        .opt_text(row.revision.as_deref())
        .opt_text(row.selection.as_deref())
        .opt_text(time(row.last_sync_time).as_deref())
        .opt_text(time(row.last_success_time).as_deref())
        .opt_text(time(row.next_due).as_deref())
        .opt_text(row.etag.as_deref())
        .int(i64::from(row.enabled))
        .int(i64::from(row.failures))
        .opt_text(time(row.backoff_until).as_deref())
        .opt_text(row.stalled.as_deref())
        .opt_int(root.map(|root| root.identity.device.cast_signed()))
        .opt_int(root.map(|root| root.identity.inode.cast_signed()))
        .opt_text(root.map(|root| root.boot_id.as_str()))
        .text(&time_text(row.created_at))
        .text(&time_text(row.updated_at));
    // A row without it is as it was before there was any.
    match &row.about {
        None => checksum,
        Some(about) => checksum.text(&time_text(about.time)).text(&about.subject),
    }
}
