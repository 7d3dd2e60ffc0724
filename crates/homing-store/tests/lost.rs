//! Contents whose bytes are damaged or gone: noticed, told, and whole again when they are kept once more.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "`Reader::sources` is a function for one lifetime of the connection, the closures must be for all"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "the support module is small and made for this"
)]

mod support;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use homing_core::{ContentHash, ContentReader, Contents, SideError};
use homing_store::Store;
use jiff::Timestamp;
use support::*;
use tempfile::TempDir;

const LARGE: usize = 2 << 20;

fn large(seed: u8) -> Vec<u8> {
    vec![seed; LARGE]
}

fn file_of(home: &Path, hash: &ContentHash) -> PathBuf {
    let name = hash.to_string();
    home.join("contents").join(&name[..2]).join(name)
}

fn flip(path: &Path) {
    let mut bytes = fs::read(path).unwrap();
    bytes[LARGE / 2] ^= 1;
    overwrite(path, &bytes);
}

fn overwrite(path: &Path, bytes: &[u8]) {
    fs::File::create(path)
        .and_then(|mut file| std::io::Write::write_all(&mut file, bytes))
        .unwrap();
}

fn sql(home: &Path, statement: &str) {
    let connection = rusqlite::Connection::open(home.join("state.db")).unwrap();
    assert_eq!(connection.execute(statement, []).unwrap(), 1, "{statement}");
}

fn lost(store: &Store) -> Vec<ContentHash> {
    store
        .read_blocking(|reader| reader.lost_contents())
        .unwrap()
}

fn missing(store: &Store, hash: ContentHash) -> bool {
    let missing = store.read_blocking(move |reader| reader.missing_contents(&[hash]));
    missing.unwrap() == [hash]
}

fn bytes_of(store: &Store, hash: &ContentHash) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut reader = store.contents().open(hash).unwrap();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Opens a content, which must fail with the truth.
fn refused(store: &Store, hash: &ContentHash) {
    match store.contents().open(hash) {
        Err(SideError::NotFound { message, .. }) => {
            assert!(message.contains("is damaged"), "{message}");
        }
        other => panic!("{other:?}"),
    }
}

/// What happens to a content at rest.
type Damage = fn(&Path, &ContentHash);

const SMALL_DAMAGE: [Damage; 3] = [
    |home, _| sql(home, "UPDATE content_bytes SET bytes = x'736d616C6C'"),
    |home, _| sql(home, "UPDATE content_bytes SET bytes = x''"),
    |home, _| sql(home, "DELETE FROM content_bytes"),
];

const LARGE_DAMAGE: [Damage; 3] = [
    |home, hash| overwrite(&file_of(home, hash), b"cut"),
    |home, hash| fs::remove_file(file_of(home, hash)).unwrap(),
    |home, _| fs::remove_dir_all(home.join("contents")).unwrap(),
];

fn damaged(bytes: &[u8], damage: Damage) -> (TempDir, Store, ContentHash) {
    let (home, store) = new_store();
    register(&store);
    let version = keep(&store, bytes);
    let row = head_row("a.md", Some(version), Some(version));
    store
        .write_blocking(move |writer| writer.put_head(&source(), &[row]))
        .unwrap();
    drop(store);
    damage(home.path(), &version.hash);
    let store = open(home.path());
    assert!(store.quarantined().is_none());
    (home, store, version.hash)
}

#[test]
fn of_many_contents_the_damaged_ones_are_found_and_marked() {
    let (home, store) = new_store();
    // More than are verified at once; one of them is too large for the database, and the last one waits to be written.
    let mut hashes: Vec<ContentHash> = (0..1_200)
        .map(|number| keep(&store, format!("content {number}").as_bytes()).hash)
        .collect();
    hashes.push(keep(&store, &large(1)).hash);
    let (pending, _) = store.contents().keep(&mut &b"pending"[..], 7).unwrap();
    hashes.push(pending);
    assert_eq!(
        store.contents().verify_contents(&hashes).unwrap(),
        vec![true; 1_202]
    );
    overwrite(&file_of(home.path(), &hashes[1_200]), b"cut");
    sql(
        home.path(),
        "UPDATE content_bytes SET bytes = x'00' WHERE id = (SELECT id FROM contents ORDER BY id LIMIT 1 OFFSET 1100)",
    );
    hashes.push(ContentHash::of(b"never kept"));
    let sound = store.contents().verify_contents(&hashes).unwrap();
    let unsound: Vec<ContentHash> = hashes
        .iter()
        .zip(sound)
        .filter(|(_, is_sound)| !is_sound)
        .map(|(hash, _)| *hash)
        .collect();
    assert_eq!(unsound, [hashes[1_100], hashes[1_200], hashes[1_202]]);
    assert_eq!(lost(&store), [hashes[1_100], hashes[1_200]]);
}

#[test]
fn what_is_damaged_or_gone_is_noticed_when_it_is_opened_and_healed_when_it_is_kept() {
    let cases = SMALL_DAMAGE
        .into_iter()
        .map(|damage| (b"whole".to_vec(), damage))
        .chain(LARGE_DAMAGE.into_iter().map(|damage| (large(1), damage)));
    for (case, (bytes, damage)) in cases.enumerate() {
        let (home, store, hash) = damaged(&bytes, damage);
        assert!(!missing(&store, hash), "{case}: nobody has looked yet");
        refused(&store, &hash);
        refused(&store, &hash);
        assert_eq!(lost(&store), [hash], "{case}");
        assert!(missing(&store, hash), "{case}");
        // The mark is durable, and what names the content stands.
        drop(store);
        let store = open(home.path());
        assert_eq!(lost(&store), [hash], "{case}");
        let head = store
            .read_blocking(|reader| reader.head(&source()))
            .unwrap();
        assert_eq!(head[&key("a.md")].head.unwrap().hash, hash);
        assert!(!store.contents().verify_content(&hash).unwrap());

        keep(&store, &bytes);
        assert_eq!(bytes_of(&store, &hash), bytes, "{case}");
        assert!(lost(&store).is_empty(), "{case}");
        assert!(!missing(&store, hash), "{case}");
        assert!(store.check_blocking(true).unwrap().is_sound(), "{case}");
        drop(store);
        assert_eq!(bytes_of(&open(home.path()), &hash), bytes, "{case}");
    }
}

#[test]
fn a_large_one_of_the_right_length_is_told_by_whoever_read_it() {
    let (_home, store, hash) = damaged(&large(1), |home, hash| flip(&file_of(home, hash)));
    let contents = store.contents();
    assert!(
        matches!(contents.open(&hash), Ok(ContentReader::File(_))),
        "whoever reads it compares the hash"
    );
    contents.report_damaged(&hash);
    refused(&store, &hash);
    assert_eq!(lost(&store), [hash]);
    keep(&store, &large(1));
    assert_eq!(bytes_of(&store, &hash), large(1));
    // Nobody loses a content by calling it damaged.
    contents.report_damaged(&hash);
    assert!(lost(&store).is_empty());
}

#[test]
fn a_lost_one_that_comes_back_from_a_backup_is_found() {
    let (home, store, hash) = damaged(&large(1), |home, hash| {
        fs::remove_file(file_of(home, hash)).unwrap();
    });
    refused(&store, &hash);
    overwrite(&file_of(home.path(), &hash), &large(1));
    assert_eq!(bytes_of(&store, &hash), large(1));
    assert!(lost(&store).is_empty());
    assert!(!missing(&store, hash));

    let (home, store, hash) = damaged(b"whole", SMALL_DAMAGE[0]);
    refused(&store, &hash);
    sql(
        home.path(),
        "UPDATE content_bytes SET bytes = CAST('whole' AS BLOB)",
    );
    assert_eq!(bytes_of(&store, &hash), b"whole");
    assert!(lost(&store).is_empty());
}

#[test]
fn a_row_that_is_wrong_about_right_bytes_is_mended_from_them() {
    let (_home, store, hash) = damaged(b"whole", |home, _| {
        sql(home, "UPDATE contents SET encoding = 1");
    });
    refused(&store, &hash);
    assert_eq!(bytes_of(&store, &hash), b"whole");
    assert!(store.check_blocking(true).unwrap().is_sound());

    let (_home, store, hash) = damaged(&large(1), |home, _| {
        sql(home, "UPDATE contents SET size = 7");
    });
    refused(&store, &hash);
    assert_eq!(bytes_of(&store, &hash), large(1));
    assert!(store.check_blocking(true).unwrap().is_sound());
}

#[test]
fn a_check_finds_and_marks_them() {
    let (home, store) = new_store();
    let [cut, flipped, gone] = [1, 2, 3].map(|seed| keep(&store, &large(seed)).hash);
    let small = keep(&store, b"whole").hash;
    overwrite(&file_of(home.path(), &cut), b"cut");
    flip(&file_of(home.path(), &flipped));
    fs::remove_file(file_of(home.path(), &gone)).unwrap();
    sql(home.path(), "UPDATE content_bytes SET bytes = x'00'");

    let report = store.check_blocking(false).unwrap();
    assert_eq!(report.missing_files, [cut, gone]);
    assert!(!report.is_sound());
    assert_eq!(lost(&store), [cut, gone]);
    let report = store.check_blocking(true).unwrap();
    assert_eq!(report.damaged_contents, [cut, flipped, gone, small]);
    assert_eq!(lost(&store), [cut, flipped, gone, small]);
    // Those that are marked are told by a quick check, too.
    let report = store.check_blocking(false).unwrap();
    assert_eq!(report.damaged_contents, [cut, flipped, gone, small]);
    for seed in [1, 2, 3] {
        keep(&store, &large(seed));
    }
    assert_eq!(lost(&store), [small]);
    keep(&store, b"whole");
    assert!(store.check_blocking(true).unwrap().is_sound());
}

#[test]
fn a_lost_one_that_nothing_names_is_swept_with_what_is_left_of_it() {
    let (home, store) = new_store();
    let hash = keep(&store, &large(1)).hash;
    drop(store);
    flip(&file_of(home.path(), &hash));
    let store = open(home.path());
    assert!(!store.contents().verify_content(&hash).unwrap());
    let day = Duration::from_hours(24);
    let report = store.sweep_blocking(day, Timestamp::now()).unwrap();
    assert_eq!(report.contents, 1);
    assert!(!file_of(home.path(), &hash).exists());
    assert!(lost(&store).is_empty());
    let noted = store.read_blocking(|reader| reader.metadata("lost_contents"));
    assert_eq!(
        noted.unwrap(),
        None,
        "nobody looks through all contents in vain"
    );
}

#[test]
fn a_store_that_cannot_mark_it_refuses_it_all_the_same() {
    let (home, store, hash) = damaged(b"whole", SMALL_DAMAGE[0]);
    let holder = rusqlite::Connection::open(home.path().join("state.db")).unwrap();
    holder
        .execute_batch(
            "CREATE TRIGGER no BEFORE UPDATE ON contents BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    refused(&store, &hash);
    assert!(lost(&store).is_empty());
    holder.execute_batch("DROP TRIGGER no").unwrap();
    refused(&store, &hash);
    assert_eq!(lost(&store), [hash]);
}

#[tokio::test]
async fn whoever_asks_the_store_hears_of_every_one() {
    let (home, store) = new_store();
    let hash = keep(&store, b"whole").hash;
    for _ in 0..2 {
        assert!(store.lost_contents().await.unwrap().is_empty());
    }
    sql(home.path(), "DELETE FROM content_bytes");
    refused(&store, &hash);
    for _ in 0..2 {
        assert_eq!(store.lost_contents().await.unwrap(), [hash]);
    }
    drop(store);
    let store = open(home.path());
    assert_eq!(store.lost_contents().await.unwrap(), [hash]);
    keep(&store, b"whole");
    for _ in 0..2 {
        assert!(store.lost_contents().await.unwrap().is_empty());
    }
}
