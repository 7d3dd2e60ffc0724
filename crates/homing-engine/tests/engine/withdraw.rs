//! Withdrawal: what leaves the targets, what stays, and what is forgotten.

use std::collections::BTreeMap;

use homing_engine::{
    EngineError, Forget, PushMode, RunReport, RunRequest, RunStatus, Trigger, Verb, Withdrawal,
};

use crate::world::{World, source};

const KEPT: Withdrawal = Withdrawal {
    keep_files: true,
    forget: Forget::State,
};

fn forgetting(forget: Forget) -> Withdrawal {
    Withdrawal {
        keep_files: false,
        forget,
    }
}

async fn withdraw(world: &mut World, name: &str, withdrawal: Withdrawal) -> RunReport {
    let engine = world.engine().await;
    engine.withdraw(&source(name), withdrawal).await.unwrap()
}

/// Makes a world in which `up` has published ten files and `other` one.
async fn full_world() -> World {
    let mut world = World::empty();
    world.source("up", |_| {});
    world.source("other", |_| {});
    world.target("here", &["up", "other"], |_| {});
    for number in 0..10 {
        world.write(&format!("up/{number}.md"), "up\n");
    }
    world.write("other/own.md", "other\n");
    world.write("other/0.md", "loses\n");
    world.sync_well("up").await;
    world.sync("other").await;
    world
}

fn tree(files: &[(&str, &str)]) -> BTreeMap<String, String> {
    files
        .iter()
        .map(|(path, text)| ((*path).to_owned(), (*text).to_owned()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn unedited_files_leave_without_a_question_and_edited_ones_stay() {
    let mut world = full_world().await;
    world.write("here/1.md", "mine\n");
    world.write("here/free.md", "free\n");
    let run = withdraw(&mut world, "up", Withdrawal::default()).await;
    assert_eq!((run.status, run.error), (RunStatus::Success, None));
    // No run saw the edit before.
    let told: Vec<_> = run.problems.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(told, ["1.md"], "{:?}", run.problems);
    assert!(run.problems[0].message.contains("yours now"));
    // The eight that nobody touched go; where another source has the path, its file comes.
    assert_eq!(
        world.tree("here"),
        tree(&[
            ("0.md", "loses\n"),
            ("1.md", "mine\n"),
            ("free.md", "free\n"),
            ("own.md", "other\n")
        ])
    );
    assert!(world.conflicts().await.is_empty());
    world.sync_well("other").await;
    assert_eq!(
        world.read("here/1.md").unwrap(),
        "mine\n",
        "it is the user's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_withdrawn_takes_no_part_until_the_next_start() {
    let mut world = full_world().await;
    withdraw(&mut world, "up", Withdrawal::default()).await;
    let engine = world.engine().await;
    let again = engine.submit(&source("up"), RunRequest::new(Verb::Sync, Trigger::Manual));
    assert!(matches!(again, Err(EngineError::Disabled(_))), "{again:?}");
    world.sync_well("other").await;
    assert!(world.read("here/2.md").is_none());
    // It is in the configuration still.
    world.restart().await;
    world.sync_well("up").await;
    assert_eq!(world.read("here/2.md").unwrap(), "up\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_files_are_the_users() {
    let mut world = full_world().await;
    let run = withdraw(&mut world, "up", KEPT).await;
    assert_eq!((run.status, run.removed), (RunStatus::Success, 0));
    world.specs.sources.remove(&source("up"));
    world.target("here", &["other"], |_| {});
    world.restart().await;
    world.sync("other").await;
    assert_eq!(world.read("here/2.md").unwrap(), "up\n");
    assert_eq!(
        world.read("here/0.md").unwrap(),
        "up\n",
        "never replaced by another source's"
    );
    assert_eq!(
        world.conflicts().await.len(),
        1,
        "the other source's file waits for a decision"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edit_that_was_never_pushed_is_kept_and_told() {
    let mut world = World::empty();
    world.source("up", |spec| spec.push = PushMode::Direct);
    world.target("here", &["up"], |_| {});
    world.write("up/a.md", "1\n");
    world.write("up/b.md", "1\n");
    world.sync_well("up").await;
    world.write("here/a.md", "mine\n");
    // Taken into the head, and not pushed.
    world
        .run("up", RunRequest::new(Verb::Pull, Trigger::Manual))
        .await
        .unwrap();
    let run = withdraw(&mut world, "up", forgetting(Forget::StateAndHistory)).await;
    assert_eq!(world.tree("here"), tree(&[("a.md", "mine\n")]));
    let told = |problem: &homing_core::Problem| problem.message.contains("yours now");
    assert!(run.problems.iter().any(told), "{:?}", run.problems);
}

#[tokio::test(flavor = "multi_thread")]
async fn state_and_history_are_forgotten_as_asked() {
    for (forget, runs) in [
        (Forget::Nothing, 2),
        (Forget::State, 2),
        (Forget::StateAndHistory, 0),
    ] {
        let mut world = full_world().await;
        let run = withdraw(&mut world, "up", forgetting(forget)).await;
        assert_eq!(run.removed, 9, "{forget:?}");
        let engine = world.engine().await;
        let history = engine
            .history(Some(source("up")), None, None, 10)
            .await
            .unwrap();
        assert_eq!(history.len(), runs, "{forget:?}");
        let status = engine.status().await.unwrap();
        let up = status
            .sources
            .iter()
            .find(|status| status.id == source("up"))
            .unwrap();
        let files = if forget == Forget::Nothing { 10 } else { 0 };
        assert_eq!(up.files, files, "{forget:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_taken_out_is_told_and_nothing_is_forgotten() {
    let mut world = full_world().await;
    std::fs::rename(world.path("here"), world.path("away")).unwrap();
    let run = withdraw(&mut world, "up", forgetting(Forget::StateAndHistory)).await;
    assert!(run.error.is_some(), "{run:?}");
    let engine = world.engine().await;
    let history = engine
        .history(Some(source("up")), None, None, 10)
        .await
        .unwrap();
    assert!(!history.is_empty());
    assert_eq!(world.tree("away").len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_withdrawal_can_be_undone_and_the_files_are_the_users() {
    let mut world = full_world().await;
    let run = withdraw(&mut world, "up", Withdrawal::default()).await;
    let engine = world.engine().await;
    engine.undo(Some(run.id)).await.unwrap();
    assert_eq!(world.read("here/2.md").unwrap(), "up\n");
}
