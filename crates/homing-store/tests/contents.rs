//! What is kept comes back, once.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail like tests")]
#![allow(clippy::cast_possible_truncation, reason = "any byte will do")]
#![allow(
    clippy::redundant_closure_for_method_calls,
    reason = "`Reader::sources` is a function for one lifetime of the connection, the closures must be for all"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "the support module is small and made for this"
)]

mod support;

use std::io::{self, Cursor, Read};
use std::path::{Path, PathBuf};

use homing_core::{ContentHash, Contents, SideError};
use homing_store::{Store, StoreError};
use support::*;

const MIB: usize = 1 << 20;

fn bytes(seed: u8, length: usize) -> Vec<u8> {
    (0..length)
        .map(|at| (at as u8).wrapping_mul(31).wrapping_add(seed))
        .collect()
}

fn read(store: &Store, hash: &ContentHash) -> Vec<u8> {
    let mut read = Vec::new();
    store
        .contents()
        .open(hash)
        .unwrap()
        .read_to_end(&mut read)
        .unwrap();
    read
}

fn file_of(home: &Path, hash: &ContentHash) -> PathBuf {
    let name = hash.to_string();
    home.join("contents").join(&name[..2]).join(name)
}

#[test]
fn contents_of_every_size_come_back_before_and_after_the_flush() {
    let (home, store) = new_store();
    let sizes = [0, 1, 4095, MIB, MIB + 1, 3 * MIB];
    let contents = store.contents();
    let kept: Vec<_> = sizes
        .iter()
        .enumerate()
        .map(|(seed, size)| {
            let bytes = bytes(seed as u8, *size);
            let (hash, length) = contents
                .keep(&mut Cursor::new(&bytes), *size as u64)
                .unwrap();
            assert_eq!(length, *size as u64);
            (hash, bytes)
        })
        .collect();
    for (hash, bytes) in &kept {
        assert_eq!(&read(&store, hash), bytes);
    }
    contents.flush().unwrap();
    for (hash, bytes) in &kept {
        assert_eq!(&read(&store, hash), bytes);
        assert!(contents.verify_content(hash).unwrap());
        assert_eq!(file_of(home.path(), hash).exists(), bytes.len() > MIB);
    }
    drop((store, contents));
    let store = open(home.path());
    for (hash, bytes) in &kept {
        assert_eq!(&read(&store, hash), bytes);
        let (hash, size) = (*hash, bytes.len() as u64);
        assert_eq!(
            store
                .read_blocking(move |reader| reader.content_size(&hash))
                .unwrap(),
            Some(size)
        );
    }
    assert!(store.check_blocking(true).unwrap().is_sound());
}

#[test]
fn a_wrong_hint_changes_nothing() {
    let (_home, store) = new_store();
    let contents = store.contents();
    for (size, hint) in [(2 * MIB, 0), (10, 5 * MIB), (MIB + 1, MIB)] {
        let bytes = bytes(7, size);
        let (hash, length) = contents
            .keep(&mut Cursor::new(&bytes), hint as u64)
            .unwrap();
        assert_eq!((hash, length), (ContentHash::of(&bytes), size as u64));
        assert_eq!(read(&store, &hash), bytes);
    }
    contents.flush().unwrap();
    assert!(store.check_blocking(true).unwrap().is_sound());
}

#[tokio::test]
async fn what_is_there_is_not_written_again() {
    let (home, store) = new_store();
    let large = bytes(1, 2 * MIB);
    let version = keep(&store, &large);
    keep(&store, b"small");
    let file = file_of(home.path(), &version.hash);
    let written = std::fs::metadata(&file).unwrap().modified().unwrap();
    let size = store.size().await.unwrap();
    keep(&store, &large);
    keep(&store, b"small");
    assert_eq!(
        std::fs::metadata(&file).unwrap().modified().unwrap(),
        written
    );
    assert_eq!(store.size().await.unwrap(), size);
    assert_eq!(
        store
            .read_blocking(|reader| reader.all_contents())
            .unwrap()
            .len(),
        2
    );
    let left: Vec<_> = std::fs::read_dir(home.path().join("contents"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 1, "no temporary file is left: {left:?}");
}

#[test]
fn missing_contents_are_named_in_order() {
    let (_home, store) = new_store();
    let one = keep(&store, b"one").hash;
    let [two, three] = [ContentHash::of(b"two"), ContentHash::of(b"three")];
    let asked = [two, one, three];
    let missing = store
        .read_blocking(move |reader| reader.missing_contents(&asked))
        .unwrap();
    assert_eq!(missing, [two, three]);
    match store.contents().open(&two) {
        Err(SideError::NotFound { .. }) => {}
        other => panic!("{other:?}"),
    }
    assert!(matches!(
        store.contents().verify_content(&two),
        Err(StoreError::MissingContent(_))
    ));
}

#[test]
fn a_content_that_cannot_be_read_leaves_nothing() {
    struct Breaks(usize);
    impl Read for Breaks {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            if self.0 == 0 {
                return Err(io::Error::other("the cable"));
            }
            let count = buffer.len().min(self.0);
            self.0 -= count;
            buffer[..count].fill(b'x');
            Ok(count)
        }
    }
    let (home, store) = new_store();
    let contents = store.contents();
    for (length, hint) in [(10, 20), (2 * MIB, 3 * MIB), (2 * MIB, 5)] {
        match contents.keep(&mut Breaks(length), hint as u64) {
            Err(SideError::Transient {
                source: Some(source),
                ..
            }) => assert_eq!(source.to_string(), "the cable"),
            other => panic!("{other:?}"),
        }
    }
    contents.flush().unwrap();
    assert!(
        store
            .read_blocking(|reader| reader.all_contents())
            .unwrap()
            .is_empty()
    );
    let files = std::fs::read_dir(home.path().join("contents"))
        .unwrap()
        .count();
    assert_eq!(files, 0, "no temporary file is left");
}

#[test]
fn many_threads_keep_at_once() {
    let (_home, store) = new_store();
    std::thread::scope(|scope| {
        for thread in 0..4_u32 {
            let store = &store;
            scope.spawn(move || {
                let contents = store.contents();
                for number in 0..300_u32 {
                    // Half of them are the same in all threads; the sizes make several flushes.
                    let own = if number % 2 == 0 { thread } else { 99 };
                    let mut bytes = bytes(0, 20_000);
                    bytes[..8].copy_from_slice(&u64::from(own << 16 | number).to_le_bytes());
                    let (hash, _) = contents.keep(&mut Cursor::new(&bytes), 20_000).unwrap();
                    let mut read = Vec::new();
                    contents
                        .open(&hash)
                        .unwrap()
                        .read_to_end(&mut read)
                        .unwrap();
                    assert!(read == bytes);
                }
                contents.flush().unwrap();
            });
        }
    });
    let all = store.read_blocking(|reader| reader.all_contents()).unwrap();
    assert_eq!(all.len(), 4 * 150 + 150);
    assert!(store.check_blocking(true).unwrap().is_sound());
}
