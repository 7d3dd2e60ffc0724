//! Writes share a commit and nothing else.
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

use std::path::Path;
use std::sync::mpsc::channel;

use homing_core::RunId;
use homing_store::{RunFilter, Store, StoreError};
use support::*;

/// Occupies the writer until the returned sender is used, so that what is written meanwhile shares a batch.
fn occupy(store: &Store) -> (std::sync::mpsc::Sender<()>, std::thread::JoinHandle<()>) {
    let (started, has_started) = channel();
    let (release, released) = channel();
    let store = store.clone();
    let thread = std::thread::spawn(move || {
        store
            .write_blocking(move |_| {
                started.send(()).unwrap();
                released.recv().unwrap();
                Ok(())
            })
            .unwrap();
    });
    has_started.recv().unwrap();
    (release, thread)
}

/// Counts the commits in the write-ahead log: frames that say how large the database is.
fn commits(data_dir: &Path) -> usize {
    let log = std::fs::read(data_dir.join("state.db-wal")).unwrap();
    let frame = 24 + 16384;
    let salt = &log[16..24];
    log[32..]
        .chunks_exact(frame)
        .filter(|frame| &frame[8..16] == salt && frame[4..8] != [0; 4])
        .count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_small_writes_share_few_commits() {
    let (home, store) = new_store();
    let before = commits_or_none(home.path());
    let (release, thread) = occupy(&store);
    let writes: Vec<_> = (1..=100)
        .map(|id| {
            let store = store.clone();
            Box::pin(async move {
                store
                    .write(move |writer| writer.begin_run(&run_row(id)))
                    .await
            })
        })
        .collect();
    let mut running = Vec::new();
    for mut write in writes {
        // The first poll queues the write.
        let waits = std::future::poll_fn(|context| {
            std::task::Poll::Ready(write.as_mut().poll(context).is_pending())
        })
        .await;
        assert!(waits);
        running.push(write);
    }
    release.send(()).unwrap();
    for write in running {
        write.await.unwrap();
    }
    thread.join().unwrap();
    let all = RunFilter {
        limit: 1000,
        ..RunFilter::default()
    };
    assert_eq!(
        store
            .read(move |reader| reader.runs(all))
            .await
            .unwrap()
            .len(),
        100
    );
    let made = commits_or_none(home.path()) - before;
    assert!((1..=2).contains(&made), "{made} commits");
}

fn commits_or_none(data_dir: &Path) -> usize {
    match std::fs::metadata(data_dir.join("state.db-wal")) {
        Ok(log) if log.len() > 32 => commits(data_dir),
        _ => 0,
    }
}

#[tokio::test]
async fn one_that_fails_and_one_that_panics_undo_themselves_alone() {
    let (home, store) = new_store();
    let (release, thread) = occupy(&store);
    let (first, failed, panicked, last, ()) = tokio::join!(
        store.write(|writer| writer.begin_run(&run_row(1))),
        store.write(|writer| {
            writer.begin_run(&run_row(2))?;
            writer.set_metadata("half", "done")?;
            Err::<(), _>(StoreError::Closed)
        }),
        store.write(|writer| -> Result<(), StoreError> {
            writer.begin_run(&run_row(3))?;
            panic!("on purpose")
        }),
        store.write(|writer| {
            // It sees what those before it wrote, and not what they undid.
            assert!(writer.run(RunId(1))?.is_some());
            assert!(writer.run(RunId(2))?.is_none());
            assert!(writer.run(RunId(3))?.is_none());
            writer.begin_run(&run_row(4))
        }),
        async { release.send(()).unwrap() },
    );
    thread.join().unwrap();
    first.unwrap();
    assert!(matches!(failed, Err(StoreError::Closed)), "{failed:?}");
    assert!(
        matches!(&panicked, Err(StoreError::Panicked(text)) if text == "on purpose"),
        "{panicked:?}"
    );
    last.unwrap();
    drop(store);
    let store = open(home.path());
    let runs = store
        .read_blocking(|reader| {
            reader.runs(RunFilter {
                limit: 9,
                ..RunFilter::default()
            })
        })
        .unwrap();
    assert_eq!(runs.iter().map(|run| run.id.0).collect::<Vec<_>>(), [4, 1]);
    assert_eq!(
        store
            .read_blocking(|reader| reader.metadata("half"))
            .unwrap(),
        None
    );
}

#[test]
fn a_single_write_that_fails_is_undone_and_the_next_one_works() {
    let (_home, store) = new_store();
    let failed = store.write_blocking(|writer| {
        writer.begin_run(&run_row(1))?;
        Err::<(), _>(StoreError::Closed)
    });
    assert!(failed.is_err());
    store
        .write_blocking(|writer| writer.begin_run(&run_row(2)))
        .unwrap();
    assert!(
        store
            .read_blocking(|reader| reader.run(RunId(1)))
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn a_read_that_panics_is_an_error() {
    let (_home, store) = new_store();
    let result = store
        .read(|_| -> Result<(), StoreError> { panic!("number {}", 7) })
        .await;
    assert!(
        matches!(&result, Err(StoreError::Panicked(text)) if text == "number 7"),
        "{result:?}"
    );
    assert!(store.read(|reader| reader.last_run_id()).await.is_ok());
}

#[test]
fn a_read_sees_one_snapshot() {
    let (_home, store) = new_store();
    store
        .read_blocking(|reader| {
            assert_eq!(reader.last_run_id()?, RunId(0));
            store
                .write_blocking(|writer| writer.begin_run(&run_row(1)))
                .unwrap();
            assert_eq!(reader.last_run_id()?, RunId(0));
            Ok(())
        })
        .unwrap();
    assert_eq!(
        store.read_blocking(|reader| reader.last_run_id()).unwrap(),
        RunId(1)
    );
}

#[tokio::test]
async fn a_closed_store_says_so_and_has_lost_nothing() {
    let (home, store) = new_store();
    let other = store.clone();
    let contents = store.contents();
    let version = {
        use homing_core::Contents;
        let (hash, _) = contents
            .keep(&mut std::io::Cursor::new(b"kept, not flushed"), 17)
            .unwrap();
        homing_core::Version {
            hash,
            executable: false,
        }
    };
    store
        .write(|writer| writer.begin_run(&run_row(1)))
        .await
        .unwrap();
    store.close().await;
    assert!(matches!(
        other.read(|reader| reader.last_run_id()).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        other.write(|writer| writer.begin_run(&run_row(2))).await,
        Err(StoreError::Closed)
    ));
    assert!(matches!(
        other.write_blocking(|writer| writer.begin_run(&run_row(2))),
        Err(StoreError::Closed)
    ));
    other.clone().close().await;
    drop((other, contents));
    assert!(
        !home.path().join("state.db-wal").exists(),
        "the log was copied back"
    );
    let store = open(home.path());
    assert_eq!(
        store.read_blocking(|reader| reader.last_run_id()).unwrap(),
        RunId(1)
    );
    assert_eq!(
        store
            .read_blocking(move |reader| reader.content_size(&version.hash))
            .unwrap(),
        Some(17)
    );
}
