//! Prints how long listing and publishing of many files take; asserts only that they work.

mod support;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use homing_core::{
    Change, ItemKey, ListRequest, Operation, Outcome, Progress, RunId, Scope, Side, Version,
};
use homing_side_dir::{DirOptions, DirSide};
use testkit::MemoryContents;

fn request(scope: Scope) -> ListRequest {
    ListRequest {
        scope,
        known: Arc::default(),
        progress: Progress::default(),
    }
}

fn report(what: &str, took: Duration) {
    #[allow(clippy::print_stderr, reason = "the figure is what the test is for")]
    {
        eprintln!("{what}: {:.1} ms", took.as_secs_f64() * 1000.0);
    }
}

#[tokio::test]
async fn five_thousand_files() {
    let directory = support::scratch();
    let side = DirSide::new(DirOptions {
        root: directory.path().join("root"),
        create_root: true,
        ..DirOptions::default()
    })
    .unwrap();
    let contents = Arc::new(MemoryContents::default());
    let operations: Vec<Operation> = (0..5_000_usize)
        .map(|number| {
            let bytes = format!("{number:08}").repeat(256);
            let version = Version {
                hash: contents.add(bytes.as_bytes()),
                executable: false,
            };
            Operation {
                key: ItemKey::new(&format!("directory-{}/file-{number}.md", number % 100)).unwrap(),
                change: Change::Write {
                    version,
                    size: 2048,
                },
                expected: None,
                temporary: Operation::temporary_name(RunId(1), number),
            }
        })
        .collect();
    let keys: BTreeSet<ItemKey> = operations
        .iter()
        .map(|operation| operation.key.clone())
        .collect();
    let begin = Instant::now();
    let outcomes = side
        .apply(operations, contents.clone(), Progress::default())
        .await;
    report("apply of 5,000 creations", begin.elapsed());
    assert!(
        outcomes
            .iter()
            .all(|outcome| matches!(outcome, Outcome::Done(Some(_)))),
        "{outcomes:?}"
    );

    let begin = Instant::now();
    let first = side.list(request(Scope::Whole)).await.unwrap();
    report("first listing of 5,000 files", begin.elapsed());
    assert_eq!(first.items.len(), 5_000);
    assert!(
        first.problems.is_empty() && first.unknown.is_empty(),
        "{:?}",
        first.problems
    );

    let mut known = BTreeMap::new();
    while known.len() < 5_000 {
        let manifest = side.list(request(Scope::Whole)).await.unwrap();
        known = manifest
            .items
            .into_iter()
            .filter_map(|(key, item)| Some((key, (item.identity?, item.hash))))
            .collect();
    }
    let known = Arc::new(known);
    for scope in [Scope::Whole, Scope::Keys(keys)] {
        let mut best = Duration::MAX;
        for _ in 0..5 {
            let request = ListRequest {
                known: known.clone(),
                ..request(scope.clone())
            };
            let begin = Instant::now();
            let manifest = side.list(request).await.unwrap();
            best = best.min(begin.elapsed());
            assert_eq!(manifest.items.len(), 5_000);
        }
        report(
            if scope == Scope::Whole {
                "unchanged, whole"
            } else {
                "unchanged, by key"
            },
            best,
        );
    }
}
