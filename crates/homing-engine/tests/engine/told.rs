//! What the engine tells without doing anything: diff, why, status, whose turn it is.

use std::collections::BTreeSet;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use homing_core::ContentHash;
use homing_engine::{
    AtStart, Cadence, Deletions, DiffReport, EngineError, ItemAction, RunRequest, RunStatus,
    SourceStatus, Trigger, Verb as Do,
};
use jiff::{SignedDuration, Timestamp};
use testkit::Verb;

use crate::memory::{Memory, not_found, permanent};
use crate::world::{World, names, source};

/// Returns what a diff tells: where (target or origin), path and action.
fn told(diff: &DiffReport) -> BTreeSet<(&'static str, String, &'static str)> {
    let place = |here: bool| if here { "here" } else { "up" };
    diff.items
        .iter()
        .map(|item| {
            (
                place(item.target.is_some()),
                item.path.to_string(),
                item.action.as_str(),
            )
        })
        .collect()
}

fn expected(
    items: &[(&'static str, &str, ItemAction)],
) -> BTreeSet<(&'static str, String, &'static str)> {
    items
        .iter()
        .map(|(place, path, action)| (*place, (*path).to_owned(), action.as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_tells_exactly_what_the_sync_then_does_and_writes_nothing() {
    let mut memory = Memory::two_way();
    for name in [
        "edited.md",
        "updated.md",
        "removed.md",
        "both.md",
        "same.md",
    ] {
        memory.up.memory.put(name, b"1\n2\n3\n4\n5\n");
    }
    memory.world.sync_well("up").await;
    memory.here.memory.put("edited.md", b"mine\n");
    memory.here.memory.put("both.md", b"mine\n2\n3\n4\n5\n");
    memory.up.memory.put("both.md", b"1\n2\n3\n4\ntheirs\n");
    memory.up.memory.put("updated.md", b"new\n");
    memory.up.memory.put("added.md", b"new\n");
    memory.up.memory.remove("removed.md");
    let before = (memory.up.memory.files(), memory.here.memory.files());
    let applied = memory.here.memory.calls(Verb::Apply) + memory.up.memory.calls(Verb::Apply);
    let engine = memory.world.engine().await;
    let diff = engine.diff(&source("up"), Do::Sync).await.unwrap();
    assert_eq!(
        told(&diff),
        expected(&[
            ("here", "added.md", ItemAction::Created),
            ("here", "updated.md", ItemAction::Updated),
            ("here", "removed.md", ItemAction::Removed),
            ("here", "both.md", ItemAction::Updated),
            ("up", "edited.md", ItemAction::Pushed),
            ("up", "both.md", ItemAction::Pushed),
        ])
    );
    let after = (memory.up.memory.files(), memory.here.memory.files());
    assert_eq!(after, before);
    let merged = ContentHash::of(b"mine\n2\n3\n4\ntheirs\n");
    assert!(
        engine.content(&merged).await.is_err(),
        "the merge was kept nowhere"
    );
    let now = memory.here.memory.calls(Verb::Apply) + memory.up.memory.calls(Verb::Apply);
    assert_eq!(now, applied);
    memory.world.sync_well("up").await;
    assert_eq!(memory.up.memory.files(), memory.here.memory.files());
    assert_eq!(
        engine.content(&merged).await.unwrap(),
        b"mine\n2\n3\n4\ntheirs\n"
    );
    let nothing = engine.diff(&source("up"), Do::Sync).await.unwrap();
    assert!(
        nothing.items.is_empty() && nothing.modified.is_empty(),
        "{nothing:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_of_a_merge_upstream_never_saw_tells_the_edit_as_modified() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"1\n2\n3\n4\n5\n");
    memory.up.memory.put("b.md", b"b\n");
    memory.world.sync_well("up").await;
    memory.here.memory.put("a.md", b"mine\n2\n3\n4\n5\n");
    memory.here.memory.put("b.md", b"mine\n");
    memory.up.memory.put("a.md", b"1\n2\n3\n4\ntheirs\n");
    let engine = memory.world.engine().await;
    let diff = engine.diff(&source("up"), Do::Sync).await.unwrap();
    assert_eq!(
        told(&diff),
        expected(&[("here", "a.md", ItemAction::Merged)])
    );
    let modified: Vec<_> = diff
        .modified
        .iter()
        .map(|item| item.path.as_str())
        .collect();
    assert_eq!(modified, ["b.md"]);
    memory
        .here
        .memory
        .fail_next(Verb::Fetch, Some("a.md"), permanent());
    let diff = engine.diff(&source("up"), Do::Sync).await.unwrap();
    assert_eq!(
        told(&diff),
        expected(&[("here", "a.md", ItemAction::Failed)])
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_tells_conflicts_and_what_the_guard_would_stop() {
    let mut memory = Memory::two_way();
    for number in 0..10 {
        memory.up.memory.put(&format!("{number}.md"), b"x\n");
    }
    memory.world.sync_well("up").await;
    for number in 0..5 {
        memory.up.memory.remove(&format!("{number}.md"));
    }
    memory.here.memory.put("9.md", b"mine\n");
    memory.up.memory.put("9.md", b"theirs\n");
    let engine = memory.world.engine().await;
    let diff = engine.diff(&source("up"), Do::Sync).await.unwrap();
    assert!(diff.blocked.unwrap().contains("delete 5 of 10"));
    assert!(
        diff.items
            .iter()
            .any(|item| item.action == ItemAction::Conflict)
    );
    assert_eq!(memory.world.sync("up").await.status, RunStatus::Blocked);
    let push = engine.diff(&source("up"), Do::Push).await.unwrap();
    let refused: Vec<_> = push
        .items
        .iter()
        .filter(|item| item.target.is_none())
        .collect();
    assert_eq!(refused.len(), 1, "{refused:#?}");
    assert!(
        refused[0]
            .reason
            .as_deref()
            .unwrap()
            .contains("homing sync")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_of_a_source_that_no_target_takes_tells_what_its_head_would_take() {
    let mut memory = Memory::new();
    memory.world.specs.targets.clear();
    memory.up.memory.put("a.md", b"a");
    let engine = memory.world.engine().await;
    let diff = engine.diff(&source("up"), Do::Pull).await.unwrap();
    assert_eq!(
        told(&diff),
        expected(&[("up", "a.md", ItemAction::Created)])
    );
    let run = memory.world.sync_well("up").await;
    assert_eq!(run.items.len(), 1, "the run tells it too");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_diff_that_cannot_look_fails_and_leaves_no_run_behind() {
    let mut memory = Memory::new();
    memory.up.memory.put("a.md", b"a");
    memory.world.source("off", |spec| spec.enabled = false);
    let engine = memory.ready().await;
    memory.up.memory.fail_next(Verb::List, None, not_found());
    let failed = engine.diff(&source("up"), Do::Sync).await.unwrap_err();
    assert_eq!(failed.kind(), "not-found");
    assert!(
        engine
            .history(None, None, None, 10)
            .await
            .unwrap()
            .is_empty()
    );
    assert_eq!(
        engine
            .diff(&source("off"), Do::Sync)
            .await
            .unwrap_err()
            .kind(),
        "disabled"
    );
    assert_eq!(
        engine
            .release(&source("off"), vec![])
            .await
            .unwrap_err()
            .kind(),
        "disabled"
    );
    assert_eq!(
        engine
            .diff(&source("no"), Do::Sync)
            .await
            .unwrap_err()
            .kind(),
        "unknown-source"
    );
}

async fn why(world: &mut World, path: &Path) -> &'static str {
    world.engine().await.why(path).await.unwrap().state
}

#[tokio::test(flavor = "multi_thread")]
async fn why_tells_what_became_of_a_path() {
    let mut memory = Memory::new();
    memory
        .world
        .specs
        .targets
        .values_mut()
        .for_each(|spec| spec.deletions = Deletions::Keep);
    for name in [
        "published",
        "edited",
        "deleted",
        "adopted",
        "conflict",
        "stuck",
        "held",
    ] {
        memory.up.memory.put(name, b"theirs");
    }
    memory.here.memory.put("adopted", b"theirs");
    memory.here.memory.put("conflict", b"mine");
    memory
        .here
        .memory
        .fail_next(Verb::Apply, Some("stuck"), permanent());
    memory.world.sync("up").await;
    memory.here.memory.put("edited", b"mine");
    memory.here.memory.remove("deleted");
    let states = [
        ("published", "published"),
        ("edited", "edited"),
        ("deleted", "deleted"),
        ("adopted", "adopted"),
        ("conflict", "conflict"),
        ("stuck", "waiting"),
    ];
    for (path, state) in states {
        assert_eq!(why(&mut memory.world, path.as_ref()).await, state, "{path}");
    }
    memory.here.memory.put("stuck", b"mine");
    assert_eq!(why(&mut memory.world, "stuck".as_ref()).await, "own");
    memory.here.memory.set_available(false);
    // Of a place that cannot be seen, what was recorded is told.
    assert_eq!(
        why(&mut memory.world, "published".as_ref()).await,
        "published"
    );
    memory.here.memory.set_available(true);
    memory.here.memory.remove("stuck");
    memory.up.memory.put("held", b"newer");
    memory.world.sync("up").await;
    memory.world.engine().await.undo(None).await.unwrap();
    assert_eq!(why(&mut memory.world, "held".as_ref()).await, "held");
    let unknown = memory
        .world
        .engine()
        .await
        .why("nothing".as_ref())
        .await
        .unwrap_err();
    assert_eq!(unknown.kind(), "unknown-path");
}

#[tokio::test(flavor = "multi_thread")]
async fn why_finds_a_file_by_any_path_that_leads_to_it() {
    let mut world = World::new();
    world.write("up/sub/a.md", "a\n");
    world.sync_well("up").await;
    symlink(world.path("here"), world.path("link")).unwrap();
    let direct = world.path("here/sub/a.md");
    let linked = world.path("link/sub/a.md");
    let dotted = world.path("here/./sub/a.md");
    for path in [Path::new("sub/a.md"), &direct, &linked, &dotted] {
        assert_eq!(
            why(&mut world, path).await,
            "published",
            "{}",
            path.display()
        );
    }
    world.remove("here/sub/a.md");
    assert_eq!(why(&mut world, &linked).await, "deleted");
    let engine = world.engine().await;
    for path in [world.path("up/sub/a.md"), world.path("nowhere/at/all")] {
        assert!(matches!(
            engine.why(&path).await,
            Err(EngineError::UnknownPath(_))
        ));
    }
}

async fn status(memory: &mut Memory) -> SourceStatus {
    memory
        .world
        .engine()
        .await
        .status()
        .await
        .unwrap()
        .sources
        .remove(0)
}

fn conditions(status: &SourceStatus) -> Vec<(&str, &str)> {
    status
        .conditions
        .iter()
        .map(|one| (one.kind, one.reason.as_str()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn status_tells_why_a_source_is_not_ready() {
    let mut memory = Memory::with(|spec| spec.stale_after = Some(Duration::ZERO));
    assert_eq!(
        conditions(&status(&mut memory).await),
        [("Ready", "NeverSynced")]
    );
    memory.up.memory.fail_next(Verb::List, None, not_found());
    memory.world.sync("up").await;
    let failed = status(&mut memory).await;
    assert_eq!(
        conditions(&failed),
        [("Ready", "LastRunFailed"), ("Stale", "TooOld")]
    );
    assert_eq!(failed.conditions[0].message, "it is not there");
    for number in 0..10 {
        memory.up.memory.put(&number.to_string(), b"theirs");
    }
    memory.here.memory.put("9", b"mine");
    memory.world.sync("up").await;
    let conflicted = status(&mut memory).await;
    assert!(conditions(&conflicted).contains(&("Conflicted", "ConflictsOpen")));
    let success = conflicted.last_success.unwrap();
    while Timestamp::now() < success + SignedDuration::from_millis(2) {
        tokio::task::yield_now().await;
    }
    assert!(conditions(&status(&mut memory).await).contains(&("Stale", "TooOld")));
    for number in 0..5 {
        memory.up.memory.remove(&number.to_string());
    }
    memory.world.sync("up").await;
    let blocked = status(&mut memory).await;
    assert!(
        conditions(&blocked).contains(&("Blocked", "Guard")),
        "{blocked:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_at_the_start_is_as_the_source_says() {
    let minutes = |number: u64| Duration::from_mins(number);
    let after = |number: i64| Timestamp::now() + SignedDuration::from_mins(number);
    // Whether it is due at the start before its first sync, and at a start right after one.
    let cases = [
        (AtStart::Due, true, false),
        (AtStart::Always, true, true),
        (AtStart::Never, false, false),
    ];
    for (at_start, first, again) in cases {
        let mut memory = Memory::with(|spec| {
            spec.cadence = Some(Cadence::Every(minutes(15)));
            spec.at_start = at_start;
        });
        memory.up.memory.put("a.md", b"a");
        let engine = memory.ready().await;
        assert_eq!(
            engine.due(Timestamp::now()).len(),
            usize::from(first),
            "{at_start:?}"
        );
        assert_eq!(names(engine.due(after(16))), [source("up")], "{at_start:?}");
        drop(engine);
        let scheduled = RunRequest::new(Do::Sync, Trigger::Schedule);
        memory.world.run("up", scheduled).await.unwrap();
        memory.world.restart().await;
        let engine = memory.ready().await;
        assert_eq!(
            engine.due(Timestamp::now()).len(),
            usize::from(again),
            "{at_start:?}"
        );
        assert_eq!(names(engine.due(after(18))), [source("up")], "{at_start:?}");
    }
}
