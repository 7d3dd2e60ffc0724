//! What is found at the wrong moment: things that vanished, changed, were left over or are damaged.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

mod support;

use std::fs;
use std::io::{Read, Seek, SeekFrom, Write};
use std::sync::Arc;

use fail::FailScenario;
use homing_core::{
    Change, ContentHash, ContentReader, Contents, FetchRequest, Item, Operation, Outcome, Progress,
    Side, SideError,
};
use support::{Bench, key, put, version};
use testkit::MemoryContents;

/// Contents that are all in files, as large ones are in the store.
struct InFiles {
    kept: Arc<MemoryContents>,
    damaged: bool,
}

impl Contents for InFiles {
    fn open(&self, hash: &ContentHash) -> Result<ContentReader, SideError> {
        let mut bytes = Vec::new();
        self.kept.open(hash)?.read_to_end(&mut bytes).unwrap();
        if self.damaged {
            bytes[0] ^= 1;
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file.seek(SeekFrom::Start(0)).unwrap();
        Ok(ContentReader::File(file))
    }

    fn keep(&self, bytes: &mut dyn Read, size_hint: u64) -> Result<(ContentHash, u64), SideError> {
        self.kept.keep(bytes, size_hint)
    }

    fn flush(&self) -> Result<(), SideError> {
        self.kept.flush()
    }
}

/// Contents whose files cannot be read: a directory opens, and yields nothing.
struct Unreadable(Arc<MemoryContents>);

impl Contents for Unreadable {
    fn open(&self, _hash: &ContentHash) -> Result<ContentReader, SideError> {
        Ok(ContentReader::File(fs::File::open("/").unwrap()))
    }

    fn keep(&self, bytes: &mut dyn Read, size_hint: u64) -> Result<(ContentHash, u64), SideError> {
        self.0.keep(bytes, size_hint)
    }

    fn flush(&self) -> Result<(), SideError> {
        self.0.flush()
    }
}

async fn apply_with(bench: &Bench, operation: Operation, contents: Arc<dyn Contents>) -> Outcome {
    let applied = bench
        .side
        .apply(vec![operation], contents, Progress::default());
    applied.await.pop().unwrap()
}

fn rename(bench: &Bench, number: usize, from: &str, to: &str, bytes: &[u8]) -> Operation {
    Operation {
        change: Change::Rename { from: key(from) },
        ..bench.write(number, to, bytes, Some(bytes))
    }
}

#[tokio::test]
async fn a_large_content_is_published_whole_and_a_damaged_one_never() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    let large = vec![7_u8; 3 << 20];
    bench.put("a", b"old");
    for (number, damaged) in [(0, true), (1, false)] {
        let operation = bench.write(number, "a", &large, Some(b"old"));
        let contents = Arc::new(InFiles {
            kept: bench.contents.clone(),
            damaged,
        });
        let outcome = apply_with(&bench, operation, contents).await;
        if damaged {
            assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
            bench.expect(&[("a", b"old")]);
        } else {
            assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
            bench.expect(&[("a", &large)]);
        }
    }
    scenario.teardown();
}

#[tokio::test]
async fn a_content_that_cannot_be_read_is_this_machines_trouble_and_leaves_the_old_file() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    let operation = bench.write(0, "a", b"new", Some(b"old"));
    let outcome = apply_with(
        &bench,
        operation,
        Arc::new(Unreadable(bench.contents.clone())),
    )
    .await;
    assert!(
        matches!(&outcome, Outcome::Failed(SideError::Storage { message, .. }) if message.contains("cannot be read")),
        "{outcome:?}"
    );
    bench.expect(&[("a", b"old")]);
    scenario.teardown();
}

#[tokio::test]
async fn a_content_that_is_not_kept_is_named_and_leaves_the_old_file() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    let operation = bench.write(0, "a", b"new", Some(b"old"));
    let outcome = apply_with(&bench, operation, Arc::new(MemoryContents::default())).await;
    assert!(
        matches!(outcome, Outcome::Failed(SideError::NotFound { .. })),
        "{outcome:?}"
    );
    bench.expect(&[("a", b"old")]);
    scenario.teardown();
}

#[tokio::test]
async fn a_file_that_is_gone_already_is_not_called_deleted_or_renamed() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("there", b"x");
    let outcomes = bench
        .apply(vec![
            bench.delete(0, "no/such/file", b"x"),
            bench.delete(1, "there/below", b"x"),
            bench.delete(2, "gone", b"x"),
        ])
        .await;
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Changed)),
        "{outcomes:?}"
    );
    for (number, from) in [(3, "no/such"), (4, "there/below"), (5, "gone")] {
        let outcome = bench
            .apply_one(rename(&bench, number, from, "GONE", b"x"))
            .await;
        assert!(matches!(outcome, Outcome::Changed), "{from}: {outcome:?}");
    }
    bench.expect(&[("there", b"x")]);
    scenario.teardown();
}

#[tokio::test]
async fn a_rename_of_what_is_no_longer_the_file_is_not_done() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("edited", b"mine");
    fs::create_dir(bench.path("dir")).unwrap();
    let outcome = bench
        .apply_one(rename(&bench, 0, "edited", "EDITED", b"old"))
        .await;
    assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
    let outcome = bench
        .apply_one(rename(&bench, 1, "dir", "DIR", b"old"))
        .await;
    assert!(
        matches!(&outcome, Outcome::Failed(SideError::Conflict { message }) if message.contains("a directory")),
        "{outcome:?}"
    );
    bench.expect(&[("edited", b"mine")]);
    assert!(bench.path("dir").is_dir());
    scenario.teardown();
}

#[tokio::test]
async fn an_edit_during_a_rename_goes_back_to_its_name() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("name", b"old");
    let renamed = bench.path("NAME");
    fail::cfg_callback("dir::renamed_one", move || put(&renamed, b"mine")).unwrap();
    let outcome = bench
        .apply_one(rename(&bench, 0, "name", "NAME", b"old"))
        .await;
    assert!(matches!(outcome, Outcome::Changed), "{outcome:?}");
    bench.expect(&[("name", b"mine")]);
    scenario.teardown();
}

#[tokio::test]
async fn what_an_earlier_run_left_aside_is_not_overwritten_where_there_is_no_exchange() {
    for missing in [
        &["dir::no_exchange"][..],
        &["dir::no_exchange", "dir::no_link"],
    ] {
        let scenario = FailScenario::setup();
        for point in missing {
            fail::cfg(*point, "return").unwrap();
        }
        let bench = Bench::new();
        bench.put("a", b"old");
        let operation = bench.write(0, "a", b"new", Some(b"old"));
        let aside = format!("{}.old", operation.temporary);
        bench.put(&aside, b"the last copy");
        let outcome = bench.apply_one(operation).await;
        assert!(
            matches!(&outcome, Outcome::Failed(SideError::Transient { message, .. }) if message.contains("recovered")),
            "{outcome:?}"
        );
        bench.expect(&[(&aside, b"the last copy"), ("a", b"old")]);
        scenario.teardown();
    }
}

#[tokio::test]
async fn what_is_fetched_is_what_was_listed_or_nothing() {
    let bench = Bench::new();
    for name in ["same", "sub/gone", "gone", "grown", "dir", "link/a"] {
        bench.put(name, b"listed");
    }
    let whole = bench.whole().await;
    fs::remove_dir_all(bench.path("sub")).unwrap();
    fs::remove_file(bench.path("gone")).unwrap();
    bench.put("grown", b"listed and more");
    fs::remove_file(bench.path("dir")).unwrap();
    fs::create_dir(bench.path("dir")).unwrap();
    fs::rename(bench.path("link"), bench.path("moved")).unwrap();
    std::os::unix::fs::symlink("moved", bench.path("link")).unwrap();
    let names = ["same", "sub/gone", "gone", "grown", "dir", "link/a"];
    let requests = names
        .iter()
        .map(|name| FetchRequest::new(&key(name), &whole.items[&key(name)]))
        .collect();
    let results = bench
        .side
        .fetch(requests, bench.contents.clone(), Progress::default())
        .await;
    for (name, result) in names.iter().zip(&results) {
        match *name {
            "same" => assert!(result.is_ok(), "{result:?}"),
            name => assert!(
                matches!(result, Err(SideError::Changed { key }) if key == name),
                "{name}: {result:?}"
            ),
        }
    }
}

#[tokio::test]
async fn a_content_that_lies_about_its_bytes_is_not_taken() {
    let bench = Bench::new();
    bench.put("a", b"bytes");
    let listed = bench.whole().await.items[&key("a")].clone();
    let item = Item {
        hash: version(b"other").hash,
        ..listed
    };
    let request = FetchRequest::new(&key("a"), &item);
    let results = bench
        .side
        .fetch(vec![request], bench.contents.clone(), Progress::default())
        .await;
    assert!(
        matches!(results[0], Err(SideError::Changed { .. })),
        "{results:?}"
    );
}

#[tokio::test]
async fn a_root_that_cannot_be_made_says_where_and_why() {
    let scenario = FailScenario::setup();
    let bench = Bench::with(|options| {
        options.create_root = true;
        options.root = options.root.join("file/root");
    });
    put(bench.root().parent().unwrap(), b"in the way");
    let outcome = bench.apply_one(bench.write(0, "a", b"new", None)).await;
    let Outcome::Failed(SideError::Conflict { message }) = &outcome else {
        panic!("{outcome:?}");
    };
    assert!(message.contains("file/root"), "{message}");
    scenario.teardown();
}

#[tokio::test]
async fn a_directory_whose_case_changes_takes_its_file_along_and_leaves_the_others() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("Sub/a", b"text");
    bench.put("Full/a", b"text");
    bench.put("Full/mine", b"mine");
    for (number, from, to) in [(0, "Sub/a", "sub/a"), (1, "Full/a", "full/a")] {
        let outcome = bench
            .apply_one(rename(&bench, number, from, to, b"text"))
            .await;
        assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    }
    bench.expect(&[
        ("full/a", b"text"),
        ("Full/mine", b"mine"),
        ("sub/a", b"text"),
    ]);
    assert!(!bench.path("Sub").exists(), "it was left empty");
    scenario.teardown();
}

#[tokio::test]
async fn an_old_file_that_somebody_clears_away_meanwhile_is_no_trouble() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("a", b"old");
    let operation = bench.write(0, "a", b"new", Some(b"old"));
    let displaced = bench.path(&operation.temporary);
    fail::cfg_callback("dir::renamed_all", move || {
        fs::remove_file(&displaced).unwrap();
    })
    .unwrap();
    let outcome = bench.apply_one(operation).await;
    assert!(matches!(outcome, Outcome::Done(_)), "{outcome:?}");
    bench.expect(&[("a", b"new")]);
    scenario.teardown();
}

#[tokio::test]
async fn a_directory_that_goes_away_before_it_is_read_is_absent_and_nothing_else_is() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("stays", b"text");
    bench.put("goes/a", b"text");
    let goes = bench.path("goes");
    fail::cfg_callback("dir::names_read", move || {
        fs::remove_dir_all(&goes).ok();
    })
    .unwrap();
    let manifest = bench.whole().await;
    assert_eq!(support::paths(&manifest), ["stays"]);
    assert!(manifest.unknown.is_empty(), "{manifest:?}");
    scenario.teardown();
}

#[tokio::test]
async fn a_file_that_is_another_thing_by_the_time_it_is_read_is_unknown_and_not_absent() {
    let scenario = FailScenario::setup();
    let bench = Bench::with(|options| options.limits.max_file_size = 100);
    let turn_into_a_directory = |path: &std::path::Path| {
        fs::remove_file(path).ok();
        fs::create_dir_all(path).unwrap();
    };
    let outgrow_the_limit = |path: &std::path::Path| put(path, &[7; 200]);
    let changes: [&(dyn Fn(&std::path::Path) + Send + Sync); 2] =
        [&turn_into_a_directory, &outgrow_the_limit];
    for (number, change) in changes.into_iter().enumerate() {
        let name = format!("a{number}");
        bench.put(&name, b"text");
        let (ready, read) = std::sync::mpsc::channel();
        let (go_on, wait) = std::sync::mpsc::channel::<()>();
        let wait = std::sync::Mutex::new(wait);
        fail::cfg_callback("dir::file_read", move || {
            ready.send(()).ok();
            wait.lock().unwrap().recv().ok();
        })
        .unwrap();
        let path = bench.path(&name);
        let manifest = std::thread::scope(|scope| {
            let listing = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread()
                    .build()
                    .unwrap();
                runtime.block_on(bench.keys(&[&name]))
            });
            read.recv().unwrap();
            change(&path);
            drop(go_on);
            listing.join().unwrap()
        });
        fail::remove("dir::file_read");
        assert!(manifest.items.is_empty(), "{manifest:?}");
        assert!(
            manifest.unknown_reason(&key(&name)).is_some(),
            "{manifest:?}"
        );
    }
    scenario.teardown();
}

#[tokio::test]
async fn directories_that_go_away_while_others_are_read_are_absent() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("stays", b"text");
    let goes: Vec<_> = (0..8)
        .map(|number| bench.path(&format!("goes{number}")))
        .collect();
    for directory in &goes {
        put(&directory.join("a"), b"text");
    }
    let reads = std::sync::atomic::AtomicUsize::new(0);
    fail::cfg_callback("dir::names_read", move || {
        // The first to be read is the root; then its directories are known and still unread.
        if reads.fetch_add(1, std::sync::atomic::Ordering::SeqCst) == 1 {
            for directory in &goes {
                fs::remove_dir_all(directory).unwrap();
            }
        }
    })
    .unwrap();
    let manifest = bench.whole().await;
    assert_eq!(support::paths(&manifest), ["stays"]);
    assert!(
        manifest.unknown.is_empty() && manifest.problems.is_empty(),
        "{manifest:?}"
    );
    scenario.teardown();
}

#[tokio::test]
async fn a_file_that_goes_away_while_it_is_read_is_absent() {
    let scenario = FailScenario::setup();
    let bench = Bench::new();
    bench.put("d/goes", b"text");
    let goes = bench.path("d/goes");
    fail::cfg_callback("dir::file_read", move || {
        fs::remove_file(&goes).ok();
    })
    .unwrap();
    let asked = bench.keys(&["d/goes"]).await;
    assert_eq!(asked.state(&key("d/goes")), homing_core::ItemState::Absent);
    bench.put("d/goes", b"text");
    let whole = bench.whole().await;
    assert_eq!(whole.state(&key("d/goes")), homing_core::ItemState::Absent);
    assert!(
        whole
            .problems
            .iter()
            .all(|problem| problem.kind == homing_core::ProblemKind::Empty),
        "{whole:?}"
    );
    scenario.teardown();
}
