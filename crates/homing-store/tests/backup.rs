//! Backups and restores; giving room back.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(
    clippy::wildcard_imports,
    reason = "the support module is small and made for this"
)]

mod support;

use std::collections::BTreeMap;
use std::fs;
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

use homing_core::{ContentHash, Contents, Version};
use homing_store::{Store, StoreError, restore};
use jiff::{SignedDuration, Timestamp};
use support::*;
use tar::{Archive, Builder, EntryType, Header};

/// A store with a file in the head whose content is in the database, and one whose content has a file of its own.
fn filled() -> (tempfile::TempDir, Store, [Version; 2]) {
    let (home, store) = new_store();
    register(&store);
    let small = keep(&store, b"small");
    let large = keep(&store, &vec![7; 2 << 20]);
    store
        .write_blocking(move |writer| {
            let rows = [
                head_row("small.md", Some(small), None),
                head_row("large.bin", Some(large), None),
            ];
            writer.put_head(&source(), &rows)
        })
        .unwrap();
    (home, store, [small, large])
}

fn backup(store: &Store) -> Vec<u8> {
    let mut bytes = Vec::new();
    store.backup_blocking(&mut bytes).unwrap();
    bytes
}

fn read(store: &Store, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = store.contents().open(&version.hash).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// All files below `directory` with their bytes.
fn tree(directory: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(tree(&path));
        } else {
            files.insert(path.display().to_string(), fs::read(&path).unwrap());
        }
    }
    files
}

fn refused(data_dir: &Path, bytes: &[u8]) -> String {
    let before = tree(data_dir);
    match restore(data_dir, bytes) {
        Err(StoreError::NoBackup { what }) => {
            assert!(tree(data_dir) == before, "something was changed");
            what
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_restored_backup_holds_what_it_held_and_what_came_later_is_set_aside() {
    let (home, store, [small, large]) = filled();
    let bytes = backup(&store);
    let later = keep(&store, b"later");
    store
        .write_blocking(move |writer| {
            writer.put_head(&source(), &[head_row("later.md", Some(later), None)])
        })
        .unwrap();
    store.close_blocking();

    let restored = restore(home.path(), bytes.as_slice()).unwrap();
    assert_eq!(restored.contents, 2);
    assert!(restored.replaced.unwrap().exists());
    let store = open(home.path());
    assert_eq!(store.quarantined(), None, "nothing was damaged");
    assert_eq!(store.restored(), Some(restored.created_at));
    let head = store
        .read_blocking(|reader| reader.head(&source()))
        .unwrap();
    let paths: Vec<_> = head.keys().map(homing_core::ItemKey::as_str).collect();
    assert_eq!(paths, ["large.bin", "small.md"]);
    assert_eq!(read(&store, small), b"small");
    assert_eq!(read(&store, large), vec![7; 2 << 20]);
    assert!(store.check_blocking(true).unwrap().is_sound());
    store
        .write_blocking(|writer| writer.accept_rebuild())
        .unwrap();
    assert_eq!(store.restored(), None);
}

#[tokio::test]
async fn what_a_backup_replaced_is_counted_and_goes_with_the_history_once_the_restore_is_accepted()
{
    let (home, store, _) = filled();
    let bytes = backup(&store);
    store.close_blocking();
    let replaced = restore(home.path(), bytes.as_slice()).unwrap().replaced;
    let replaced = replaced.unwrap();
    let store = open(home.path());
    let size = store.size().await.unwrap();
    assert_eq!(size.set_aside, 1);
    assert!(size.set_aside_bytes >= fs::metadata(&replaced).unwrap().len());
    assert_eq!(
        size.total(),
        size.database + size.log + size.content_file_bytes + size.set_aside_bytes
    );

    let (day, hour) = (Duration::from_hours(24), SignedDuration::from_hours(1));
    let soon = Timestamp::now() + hour;
    let late = soon + day;
    let swept = |now| store.sweep_blocking(day, now).unwrap().replaced;
    assert_eq!(swept(late), 0, "it may be all that there is");
    store
        .write_blocking(|writer| writer.accept_rebuild())
        .unwrap();
    assert_eq!((swept(soon), replaced.exists()), (0, true));
    assert_eq!((swept(late), replaced.exists()), (1, false));
    assert_eq!(store.size().await.unwrap().set_aside, 0);
    assert!(home.path().join("state.db").exists());
}

#[test]
fn a_backup_goes_to_a_new_machine() {
    let (_home, store, [small, large]) = filled();
    let elsewhere = tempfile::tempdir().unwrap();
    let data_dir = elsewhere.path().join("data");
    let restored = restore(&data_dir, backup(&store).as_slice()).unwrap();
    assert_eq!(restored.replaced, None);
    let store = open(&data_dir);
    assert_eq!(read(&store, small), b"small");
    assert_eq!(read(&store, large).len(), 2 << 20);
}

#[test]
fn a_backup_that_ends_too_early_is_refused_wherever_it_ends() {
    let (_home, store, _) = filled();
    let bytes = backup(&store);
    let (home, other) = new_store();
    other.close_blocking();
    let lengths = (0..bytes.len()).step_by(bytes.len() / 40 + 1);
    for length in lengths.chain([1, 511, 512, 513]) {
        refused(home.path(), &bytes[..length]);
    }
}

#[test]
fn a_backup_with_a_changed_byte_is_refused() {
    let (_home, store, _) = filled();
    let bytes = backup(&store);
    let (home, other) = new_store();
    other.close_blocking();
    for (text, what) in [
        (&b"homing-backup.json"[..], "begin"),
        (b"SQLite format 3", "damaged"),
        (&[7; 600], "damaged"),
    ] {
        let at = bytes.windows(text.len()).position(|window| window == text);
        let mut changed = bytes.clone();
        changed[at.unwrap() + 1] ^= 1;
        // Tar has a checksum of its own over names.
        let told = refused(home.path(), &changed);
        assert!(told.contains(what) || told.contains("cksum"), "{told}");
    }
}

#[test]
fn what_is_no_backup_is_told_and_nothing_of_it_is_written() {
    let (home, store) = new_store();
    store.close_blocking();
    assert!(refused(home.path(), b"").contains("empty"));
    assert!(refused(home.path(), &[0; 4096]).contains("empty"));
    refused(home.path(), b"SQLite format 3\0 and so on");
    let manifest =
        br#"{"format": 1, "created_at": "2026-01-02T03:04:05.678Z", "content_files": 0}"#;
    let with = |name: &str, kind: EntryType, first: &[u8]| {
        let mut archive = Builder::new(Vec::new());
        let mut header = Header::new_gnu();
        header.set_size(first.len() as u64);
        archive
            .append_data(&mut header, "homing-backup.json", first)
            .unwrap();
        let mut header = Header::new_gnu();
        header.set_entry_type(kind);
        header.set_size(0);
        header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name.as_bytes());
        if kind == EntryType::Symlink {
            header.set_link_name("/etc/passwd").unwrap();
        }
        header.set_cksum();
        archive.append(&header, io::empty()).unwrap();
        archive.into_inner().unwrap()
    };
    for (name, kind, what) in [
        ("../evil", EntryType::Regular, "`../evil`"),
        ("/etc/evil", EntryType::Regular, "`/etc/evil`"),
        ("contents/../../evil", EntryType::Regular, "evil"),
        ("state.db", EntryType::Symlink, "other than files"),
        ("contents", EntryType::Directory, "other than files"),
        ("state.db", EntryType::Regular, "damaged"),
    ] {
        let told = refused(home.path(), &with(name, kind, manifest));
        assert!(told.contains(what), "{name}: {told}");
    }
    let newer = br#"{"format": 2, "created_at": "later", "content_files": 0}"#;
    let told = refused(home.path(), &with("state.db", EntryType::Regular, newer));
    assert!(told.contains("format 2"), "{told}");
}

#[test]
fn a_backup_of_a_newer_schema_is_refused() {
    let (_home, store, _) = filled();
    let mut archive = Archive::new(io::Cursor::new(backup(&store)));
    let mut rebuilt = Builder::new(Vec::new());
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let mut bytes = Vec::new();
        entry.read_to_end(&mut bytes).unwrap();
        if entry.path().unwrap() == Path::new("state.db") {
            bytes[63] = 99;
        }
        rebuilt
            .append(&entry.header().clone(), bytes.as_slice())
            .unwrap();
    }
    let bytes = rebuilt.into_inner().unwrap();
    let (home, other) = new_store();
    other.close_blocking();
    let before = tree(home.path());
    let error = restore(home.path(), bytes.as_slice()).unwrap_err();
    assert!(
        matches!(error, StoreError::NewerSchema { found: 99, .. }),
        "{error:?}"
    );
    assert!(tree(home.path()) == before);
}

#[test]
fn a_restore_that_was_cut_short_is_finished_by_the_next_start() {
    let (_source_home, store, [small, large]) = filled();
    let bytes = backup(&store);
    // As the restore leaves it when it has examined everything and is killed before, or after, it sets the old one aside.
    for old_is_aside in [false, true] {
        let (home, old) = new_store();
        old.close_blocking();
        let prepared = tempfile::tempdir().unwrap();
        restore(prepared.path(), bytes.as_slice()).unwrap();
        let ready = home.path().join("restore.ready");
        fs::create_dir(&ready).unwrap();
        for name in ["state.db", "contents"] {
            fs::rename(prepared.path().join(name), ready.join(name)).unwrap();
        }
        if old_is_aside {
            let aside = home.path().join("state.db.replaced-20260102T030405.678Z");
            fs::rename(home.path().join("state.db"), aside).unwrap();
        }
        let store = open(home.path());
        assert_eq!(read(&store, small), b"small", "{old_is_aside}");
        assert_eq!(read(&store, large).len(), 2 << 20);
        assert!(!ready.exists());
        let aside = tree(home.path())
            .into_keys()
            .filter(|path| path.contains("state.db.replaced-"))
            .count();
        assert_eq!(aside, 1);
    }
}

/// Takes so many bytes and then fails as a full disk does.
struct Full(usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 = self
            .0
            .checked_sub(bytes.len())
            .ok_or(io::ErrorKind::StorageFull)?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_backup_that_cannot_be_written_fails_and_leaves_nothing_behind() {
    let (home, store, _) = filled();
    for room in [0, 4096, 1 << 20] {
        let error = store.backup_blocking(Full(room)).unwrap_err();
        assert!(matches!(error, StoreError::Full { .. }), "{error:?}");
    }
    let copies = tree(home.path())
        .into_keys()
        .filter(|path| path.contains(".backup-"))
        .count();
    assert_eq!(copies, 0);
}

#[test]
fn copies_that_a_killed_process_left_go_at_the_next_start() {
    let (home, store) = new_store();
    store.close_blocking();
    for name in [".backup-1", ".restore-1"] {
        fs::create_dir(home.path().join(name)).unwrap();
        fs::File::create(home.path().join(name).join("state.db")).unwrap();
    }
    drop(open(home.path()));
    assert!(!home.path().join(".backup-1").exists());
    assert!(!home.path().join(".restore-1").exists());
}

#[test]
fn a_content_that_was_lost_before_is_lost_in_the_backup_and_that_is_no_damage() {
    let (home, store, [small, large]) = filled();
    let name = large.hash.to_string();
    fs::remove_file(home.path().join("contents").join(&name[..2]).join(&name)).unwrap();
    let restored = tempfile::tempdir().unwrap();
    restore(restored.path(), backup(&store).as_slice()).unwrap();
    let restored = open(restored.path());
    assert_eq!(read(&restored, small), b"small");
    let lost = restored
        .read_blocking(|reader| reader.lost_contents())
        .unwrap();
    assert_eq!(lost, [ContentHash::of(&vec![7; 2 << 20])]);
}

#[tokio::test]
async fn a_vacuum_gives_room_back_and_changes_nothing_else() {
    let (_home, store, [small, _]) = filled();
    {
        let _scope = store.contents().pin_scope();
        for number in 0..400_u32 {
            keep(&store, &number.to_le_bytes().repeat(1000));
        }
    }
    let size = store.size().await.unwrap();
    assert!(
        size.database > 1_000_000 && !size.wants_vacuum(),
        "{size:?}"
    );
    let now = time() + jiff::SignedDuration::from_hours(24);
    store
        .sweep_blocking(std::time::Duration::ZERO, now)
        .unwrap();
    let size = store.size().await.unwrap();
    assert!(size.wants_vacuum(), "{size:?}");
    let writes = async {
        for number in 0..50 {
            let value = number.to_string();
            store
                .write(move |writer| writer.set_metadata("number", &value))
                .await
                .unwrap();
        }
    };
    let (vacuumed, ()) = tokio::join!(store.vacuum(), writes);
    let vacuumed = vacuumed.unwrap();
    assert!(vacuumed.after < vacuumed.before / 2, "{vacuumed:?}");
    let after = store.size().await.unwrap();
    assert_eq!((after.free, after.content_files), (0, 1));
    assert_eq!(read(&store, small), b"small");
    let number = store
        .read(|reader| reader.metadata("number"))
        .await
        .unwrap();
    assert_eq!(number.as_deref(), Some("49"));
    assert!(store.check_blocking(true).unwrap().is_sound());
}

#[tokio::test]
async fn a_vacuum_of_a_closed_store_says_so() {
    let (_home, store) = new_store();
    let other = store.clone();
    store.close().await;
    assert!(matches!(other.vacuum().await, Err(StoreError::Closed)));
}

#[test]
fn backups_go_on_while_others_write_and_sweep() {
    let (_home, store, _) = filled();
    let busy = store.clone();
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            for number in 0..60_u32 {
                // Large ones that nothing names: the sweep takes them away under the backup's eyes.
                let scope = busy.contents().pin_scope();
                keep(&busy, &number.to_le_bytes().repeat(300_000));
                drop(scope);
                let now = time() + jiff::SignedDuration::from_hours(24);
                busy.sweep_blocking(std::time::Duration::ZERO, now).unwrap();
            }
        });
        while !writing.is_finished() {
            let elsewhere = tempfile::tempdir().unwrap();
            restore(elsewhere.path(), backup(&store).as_slice()).unwrap();
        }
        writing.join().unwrap();
    });
}
