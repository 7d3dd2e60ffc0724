//! What both sides changed: merges, what a person chooses, names that differ in case only.

use homing_core::{Capabilities, ConflictKind, Policy};
use homing_engine::{EngineError, Resolution, RunStatus};
use testkit::Verb;

use crate::memory::Memory;

const LIMIT: usize = 16 * 1024 * 1024;

/// Makes a world in which origin and head both changed `a.md`.
async fn diverged_in_the_head(near: &[u8], far: Option<&[u8]>) -> Memory {
    let mut memory = Memory::two_way();
    memory.up.memory.put("a.md", b"base\n");
    memory
        .up
        .memory
        .put("other.md", b"so that the origin is never empty\n");
    memory.world.sync_well("up").await;
    memory.here.memory.put("a.md", near);
    match far {
        Some(far) => memory.up.memory.put("a.md", far),
        None => memory.up.memory.remove("a.md"),
    }
    memory.world.sync("up").await;
    memory
}

#[tokio::test(flavor = "multi_thread")]
async fn a_conflict_with_the_origin_ends_as_the_person_chooses_on_both_ends() {
    let choices = [
        (Resolution::Ours, "mine\n"),
        (Resolution::Theirs, "theirs\n"),
        (Resolution::Union, "mine\ntheirs\n"),
        (Resolution::Content(b"third\n".to_vec()), "third\n"),
    ];
    for (choice, result) in choices {
        let mut memory = diverged_in_the_head(b"mine\n", Some(b"theirs\n")).await;
        let open = memory.world.conflicts().await;
        assert_eq!((open.len(), open[0].hop), (1, "pull"));
        let engine = memory.world.engine().await;
        let run = engine.resolve(open[0].id, choice.clone()).await.unwrap();
        assert!(run.error.is_none(), "{run:#?}");
        assert!(memory.world.conflicts().await.is_empty(), "{choice:?}");
        assert_eq!(memory.published("a.md").unwrap(), result, "{choice:?}");
        assert_eq!(
            memory.up.memory.get("a.md").unwrap(),
            result.as_bytes(),
            "{choice:?}"
        );
        let again = engine.resolve(open[0].id, choice).await.unwrap_err();
        assert!(matches!(again, EngineError::UnknownConflict(_)));
        memory.no_violations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_against_an_edit_ends_as_the_person_chooses() {
    for (choice, result) in [
        (Resolution::Ours, Some("mine\n")),
        (Resolution::Theirs, None),
    ] {
        let mut memory = diverged_in_the_head(b"mine\n", None).await;
        let open = memory.world.conflicts().await;
        assert_eq!(open[0].kind, ConflictKind::Delete, "{open:#?}");
        let engine = memory.world.engine().await;
        let refused = engine.resolve(open[0].id, Resolution::Union).await.unwrap();
        assert_eq!(
            refused.error.unwrap().kind,
            "rejected",
            "there are no lines of both"
        );
        engine.resolve(open[0].id, choice).await.unwrap();
        assert_eq!(memory.published("a.md").as_deref(), result);
        assert_eq!(
            memory.up.memory.get("a.md").as_deref(),
            result.map(str::as_bytes)
        );
        memory.world.sync_well("up").await;
        memory.no_violations();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_choice_about_what_has_changed_since_is_refused() {
    let mut memory = diverged_in_the_head(b"mine\n", Some(b"theirs\n")).await;
    let open = memory.world.conflicts().await;
    let id = homing_core::SourceId::clone(&open[0].source);
    let key = open[0].path.clone();
    memory.world.restart().await;
    let store = homing_store::Store::open(homing_store::StoreOptions {
        data_dir: memory.world.path("data"),
    })
    .unwrap();
    // As a run that took in a newer edit while the person was looking.
    store
        .write_blocking(move |writer| {
            let mut row = writer.head_row(&id, &key)?.unwrap();
            row.head = row.base;
            writer.put_head(&id, &[row])
        })
        .unwrap();
    store.close_blocking();
    let engine = memory.ready().await;
    let run = engine
        .resolve(open[0].id, Resolution::Theirs)
        .await
        .unwrap();
    assert_eq!(run.error.unwrap().kind, "rejected");
}

#[tokio::test(flavor = "multi_thread")]
async fn upstream_that_moved_on_while_a_person_looked_is_not_overruled() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"theirs\n");
    memory.here.memory.put("a.md", b"mine\n");
    memory.world.sync("up").await;
    let open = memory.world.conflicts().await;
    // The head moves on, and the target cannot be looked at before the person chooses.
    memory.up.memory.put("a.md", b"newer\n");
    memory
        .here
        .memory
        .fail_next(Verb::List, None, crate::memory::permanent());
    memory.world.sync("up").await;
    let engine = memory.world.engine().await;
    let run = engine
        .resolve(open[0].id, Resolution::Theirs)
        .await
        .unwrap();
    assert_eq!(run.error.unwrap().kind, "rejected");
    assert_eq!(memory.published("a.md").unwrap(), "mine\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn mode_and_content_that_changed_on_different_sides_are_both_kept() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.sh", b"one\n");
    memory.up.memory.put("b.sh", b"one\n");
    memory.world.sync_well("up").await;
    memory
        .here
        .memory
        .edit(|tree| tree.put("a.sh", b"one\n", true));
    memory.up.memory.put("a.sh", b"two\n");
    memory.here.memory.put("b.sh", b"mine\n");
    memory
        .up
        .memory
        .edit(|tree| tree.put("b.sh", b"one\n", true));
    memory.world.sync_well("up").await;
    let file = |path: &str| {
        memory
            .here
            .memory
            .edit(|tree| tree.get(path).cloned().unwrap())
    };
    assert_eq!(
        (file("a.sh").bytes.as_slice(), file("a.sh").executable),
        (&b"two\n"[..], true)
    );
    assert_eq!(
        (file("b.sh").bytes.as_slice(), file("b.sh").executable),
        (&b"mine\n"[..], true)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_large_to_merge_is_left_to_the_policy() {
    let large = |letter: u8| {
        let mut bytes = vec![letter; LIMIT];
        bytes.extend(b"\nend\n");
        bytes
    };
    let cases = [
        (Policy::Ask, b'm', 1),
        (Policy::Union, b'm', 1),
        (Policy::Ours, b'm', 0),
        (Policy::Theirs, b't', 0),
    ];
    for (policy, kept, conflicts) in cases {
        let mut memory = Memory::with(|spec| spec.on_conflict = policy);
        memory.up.memory.put("a.bin", b"small\n");
        memory.world.sync_well("up").await;
        memory.here.memory.put("a.bin", &large(b'm'));
        memory.up.memory.put("a.bin", &large(b't'));
        memory.world.sync("up").await;
        assert_eq!(
            memory.here.memory.get("a.bin").unwrap()[0],
            kept,
            "{policy:?}"
        );
        assert_eq!(
            memory.world.conflicts().await.len(),
            conflicts,
            "{policy:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deletion_upstream_takes_a_large_edit_only_where_the_policy_says_so() {
    for (policy, stays) in [
        (Policy::Theirs, false),
        (Policy::Ours, true),
        (Policy::Ask, true),
    ] {
        let mut memory = Memory::with(|spec| spec.on_conflict = policy);
        memory.up.memory.put("a.bin", b"small\n");
        memory.up.memory.put("b.md", b"b\n");
        memory.world.sync_well("up").await;
        memory.here.memory.put("a.bin", &vec![b'm'; LIMIT + 1]);
        memory.up.memory.remove("a.bin");
        memory.world.sync("up").await;
        assert_eq!(
            memory.here.memory.get("a.bin").is_some(),
            stays,
            "{policy:?}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_of_the_users_that_stands_where_a_directory_must_go_is_a_conflict() {
    let mut memory = Memory::new();
    memory.up.memory.put("sub/a.md", b"a\n");
    memory.here.memory.put("sub", b"mine\n");
    let run = memory.world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    assert_eq!(
        memory.world.conflicts().await[0].kind,
        ConflictKind::Structure
    );
    assert_eq!(memory.published("sub").unwrap(), "mine\n");
    memory.here.memory.remove("sub");
    memory.world.sync_well("up").await;
    assert_eq!(memory.published("sub/a.md").unwrap(), "a\n");
    memory.up.memory.remove("sub/a.md");
    memory.up.memory.put("b.md", b"b\n");
    memory.world.sync_well("up").await;
    memory.here.memory.put("sub", b"mine\n");
    let engine = memory.world.engine().await;
    let undo = engine.undo(None).await.unwrap();
    let items = engine.run(undo.id).await.unwrap().items;
    let left = items
        .iter()
        .find(|item| item.path.as_str() == "sub/a.md")
        .unwrap();
    assert!(
        left.reason
            .as_deref()
            .unwrap()
            .contains("stands in its way"),
        "{left:#?}"
    );
    assert_eq!(memory.published("sub").unwrap(), "mine\n");
    memory.no_violations();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_case_only_becomes_a_rename_where_case_is_ignored() {
    let ignores_case = Capabilities {
        case_sensitive: false,
        ..Capabilities::default()
    };
    for content in [&b"same\n"[..], b"changed\n"] {
        let mut memory = Memory::between(Capabilities::default(), ignores_case, |_| {});
        memory.up.memory.put("Readme.md", b"same\n");
        memory.world.sync_well("up").await;
        memory.up.memory.remove("Readme.md");
        memory.up.memory.put("README.md", content);
        memory.world.sync_well("up").await;
        assert_eq!(memory.here.memory.files(), memory.up.memory.files());
        memory.world.sync_well("up").await;
        if content == b"same\n" {
            memory.no_violations();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_pushed_is_not_undone_and_an_undo_is_no_run_to_undo() {
    let mut memory = Memory::two_way();
    memory.up.memory.put("a.md", b"one\n");
    let first = memory.world.sync_well("up").await;
    memory.here.memory.put("a.md", b"mine\n");
    let pushed = memory.world.sync_well("up").await;
    let engine = memory.world.engine().await;
    let refused = engine.undo(Some(pushed.id)).await.unwrap_err();
    assert!(refused.to_string().contains("only pushed"), "{refused}");
    let undo = engine.undo(Some(first.id)).await.unwrap();
    let refused = engine.undo(Some(undo.id)).await.unwrap_err();
    assert!(matches!(refused, EngineError::Rejected { .. }), "{refused}");
    let unchanged = memory.world.sync("up").await;
    let nothing = engine.undo(Some(unchanged.id)).await.unwrap_err();
    assert!(matches!(nothing, EngineError::NothingToUndo), "{nothing}");
    assert_eq!(memory.published("a.md").unwrap(), "mine\n");
}
