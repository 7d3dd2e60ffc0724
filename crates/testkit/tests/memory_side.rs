//! The memory side conforms, and it is strict.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use homing_core::{
    Capabilities, Change, ContentHash, ItemKey, ListRequest, Operation, Outcome, Progress, RunId,
    Scope, Side, SideError, UnknownReason, Version,
};
use testkit::{MemoryContents, MemorySide, Place, Verb, conformance};

struct MemoryPlace(Arc<MemorySide>);

impl Place for MemoryPlace {
    fn side(&self) -> Arc<dyn Side> {
        self.0.clone()
    }

    fn put(&self, path: &str, bytes: &[u8], executable: bool) {
        self.0.edit(|tree| tree.put(path, bytes, executable));
    }

    fn remove(&self, path: &str) {
        self.0.remove(path);
    }

    fn files(&self) -> BTreeMap<String, (Vec<u8>, bool)> {
        let all = |tree: &mut testkit::MemoryTree| tree.files().clone();
        self.0
            .edit(all)
            .into_iter()
            .map(|(path, file)| (path, (file.bytes, file.executable)))
            .collect()
    }

    fn destroy(&self) {
        self.0.set_available(false);
    }
}

#[tokio::test]
async fn the_memory_side_conforms() {
    conformance(&|| {
        Box::new(MemoryPlace(Arc::new(MemorySide::new(
            Capabilities::default(),
        ))))
    })
    .await
    .unwrap();
}

#[tokio::test]
async fn a_memory_side_that_ignores_case_conforms() {
    let capabilities = Capabilities {
        case_sensitive: false,
        normalises_unicode: true,
        executable_bit: false,
    };
    conformance(&|| Box::new(MemoryPlace(Arc::new(MemorySide::new(capabilities)))))
        .await
        .unwrap();
}

fn operation(path: &str, number: usize, bytes: &[u8], expected: Option<&[u8]>) -> Operation {
    let version = |bytes: &[u8]| Version {
        hash: ContentHash::of(bytes),
        executable: false,
    };
    Operation {
        key: ItemKey::new(path).unwrap(),
        change: Change::Write {
            version: version(bytes),
            size: bytes.len() as u64,
        },
        expected: expected.map(version),
        temporary: Operation::temporary_name(RunId(1), number),
    }
}

async fn list(side: &MemorySide) -> Result<homing_core::Manifest, SideError> {
    let listing = side.list(ListRequest::new(Scope::Whole)).await?;
    Ok(listing.whole()?.manifest)
}

async fn apply(side: &MemorySide, operations: Vec<Operation>) -> Vec<Outcome> {
    let contents = Arc::new(MemoryContents::default());
    contents.add(b"new");
    side.apply(operations, contents, Progress::default()).await
}

async fn violation(prepare: impl AsyncFnOnce(&MemorySide), operations: Vec<Operation>) -> String {
    let side = MemorySide::new(Capabilities::default());
    prepare(&side).await;
    apply(&side, operations).await;
    side.violations().join("; ")
}

async fn listed(side: &MemorySide) {
    side.put("a", b"old");
    list(side).await.unwrap();
}

#[tokio::test]
async fn what_no_user_of_a_side_may_do_is_noted() {
    assert_eq!(
        violation(listed, vec![operation("a", 0, b"new", Some(b"old"))]).await,
        ""
    );
    let cases = [
        (
            vec![operation("a", 0, b"new", None)],
            "otherwise than it was listed",
        ),
        (
            vec![operation("b", 0, b"new", Some(b"old"))],
            "was not listed",
        ),
        (
            vec![operation("a", 0, b"old", Some(b"old"))],
            "changes nothing",
        ),
        (
            vec![
                operation("a", 0, b"new", Some(b"old")),
                operation("a", 1, b"new", Some(b"old")),
            ],
            "two operations",
        ),
        (
            vec![
                operation("b", 0, b"new", None),
                operation("c", 0, b"new", None),
            ],
            "was used before",
        ),
        (
            vec![operation("a/b", 0, b"new", None)],
            "lies below the file",
        ),
        (vec![operation("b", 0, b"lost", None)], "is not kept"),
    ];
    for (operations, expected) in cases {
        let found = violation(listed, operations).await;
        assert!(found.contains(expected), "{found}");
    }
    let unlisted = violation(
        async |side| side.put("a", b"old"),
        vec![operation("a", 0, b"new", Some(b"old"))],
    )
    .await;
    assert!(unlisted.contains("was not listed"), "{unlisted}");
    let unknown = async |side: &MemorySide| {
        side.set_unknown("d", Some(UnknownReason::Changing));
        listed(side).await;
    };
    let found = violation(unknown, vec![operation("d/a", 0, b"new", None)]).await;
    assert!(found.contains("unknown"), "{found}");
}

#[tokio::test]
async fn failures_and_changes_come_when_they_are_asked_for() {
    let side = MemorySide::new(Capabilities::default());
    side.fail_next(
        Verb::List,
        None,
        SideError::Transient {
            message: "busy".to_owned(),
            retry_after: None,
            source: None,
        },
    );
    assert!(matches!(
        list(&side).await,
        Err(SideError::Transient { .. })
    ));
    side.put("a", b"old");
    side.before_next(Verb::Apply, |tree| tree.put("a", b"edit", false));
    assert_eq!(list(&side).await.unwrap().items.len(), 1);
    let outcomes = apply(&side, vec![operation("a", 0, b"new", Some(b"old"))]).await;
    assert!(matches!(outcomes[..], [Outcome::Changed]), "{outcomes:?}");
    assert_eq!(side.get("a").as_deref(), Some(&b"edit"[..]));
    assert!(
        side.violations().is_empty(),
        "an honest race is no violation: {:?}",
        side.violations()
    );
    assert_eq!((side.calls(Verb::List), side.calls(Verb::Apply)), (2, 1));
}

#[tokio::test]
async fn a_hang_leaves_what_was_done_before() {
    let side = Arc::new(MemorySide::new(Capabilities::default()));
    list(&side).await.unwrap();
    side.hang_next(Verb::Apply, 1);
    let operations = vec![
        operation("a", 0, b"new", None),
        operation("b", 1, b"new", None),
    ];
    let work = apply(&side, operations);
    let mut work = std::pin::pin!(work);
    let waker = std::task::Waker::noop();
    assert!(
        work.as_mut()
            .poll(&mut std::task::Context::from_waker(waker))
            .is_pending()
    );
    assert_eq!(side.files().into_keys().collect::<Vec<_>>(), ["a"]);
}
