//! What hooks hear, when, and what becomes of a run whose hook fails.

use std::fs;
use std::time::Duration;

use homing_core::ProblemKind;
use homing_engine::{Hook, RunRequest, RunStatus, Trigger, Verb};

use crate::world::{World, source};

fn hook(script: &str) -> Hook {
    Hook {
        command: ["/bin/sh", "-c", script].map(str::to_owned).to_vec(),
        timeout: Duration::from_mins(1),
        environment: vec![("PATH".into(), "/usr/bin:/bin".into())],
    }
}

/// Makes a world whose target tells `script`; `{}` is the world's directory.
fn world(sources: &[&str], script: &str) -> World {
    let mut world = World::empty();
    for name in sources {
        world.source(name, |_| {});
    }
    let script = script.replace("{}", &world.path("").display().to_string());
    world.target("here", sources, |spec| spec.hook = Some(hook(&script)));
    world
}

const COUNT: &str = "cat >> {}/heard; echo $HOMING_RUNS >> {}/runs";

fn lines(world: &World, file: &str) -> Vec<String> {
    let text = world.read(file).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_after_a_publish_that_changed_something_and_after_no_other() {
    let mut world = world(&["up"], COUNT);
    world.write("up/a.md", "one\n");
    world.write("up/b.md", "two\n");
    let first = world.sync_well("up").await;
    assert_eq!(lines(&world, "runs"), [first.id.to_string()]);
    assert_eq!(lines(&world, "heard").len(), 2);
    world.sync_well("up").await;
    assert_eq!(lines(&world, "runs").len(), 1);
    world.write("up/a.md", "changed\n");
    let engine = world.engine().await;
    engine.diff(&source("up"), Verb::Sync).await.unwrap();
    assert_eq!(lines(&world, "runs").len(), 1);
    let third = world.sync_well("up").await;
    assert!(third.phases.iter().any(|(phase, _)| phase == "notify"));
    let undone = engine.undo(Some(third.id)).await.unwrap();
    assert_eq!(undone.status, RunStatus::Success, "{undone:#?}");
    assert_eq!(
        lines(&world, "runs")[1..],
        [third.id.to_string(), undone.id.to_string()]
    );
    // A restart finds nothing left to tell.
    world.restart().await;
    world.sync_well("up").await;
    assert_eq!(lines(&world, "runs").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn runs_that_end_while_a_hook_is_under_way_are_told_together() {
    let script =
        "echo $HOMING_RUN > {}/begun; cat {}/gate; cat >> {}/heard; echo $HOMING_RUNS >> {}/runs";
    let mut world = world(&["a", "b", "c"], script);
    for fifo in ["begun", "gate"] {
        let made = std::process::Command::new("mkfifo")
            .arg(world.path(fifo))
            .status()
            .unwrap();
        assert!(made.success());
    }
    for name in ["a", "b", "c"] {
        world.write(&format!("{name}/{name}.md"), "text\n");
    }
    let engine = world.engine().await;
    let sync = || RunRequest::new(Verb::Sync, Trigger::Manual);
    let first = engine.submit(&source("a"), sync()).unwrap();
    let begun = world.path("begun");
    let told = tokio::task::spawn_blocking(move || fs::read_to_string(begun).unwrap());
    assert_eq!(told.await.unwrap().trim(), first.to_string());

    let second = engine.submit(&source("b"), sync()).unwrap();
    let third = engine.submit(&source("c"), sync()).unwrap();
    for run in [second, third] {
        let published = async {
            loop {
                let report = engine.run(run).await.unwrap();
                if report.phases.iter().any(|(phase, _)| phase == "publish") {
                    break;
                }
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), published).await;
        waited.expect("the target is not blocked by its hook");
    }
    let (gate, begun) = (world.path("gate"), world.path("begun"));
    let opened = tokio::task::spawn_blocking(move || {
        fs::OpenOptions::new().write(true).open(&gate).unwrap();
        fs::read_to_string(&begun).unwrap();
        fs::OpenOptions::new().write(true).open(&gate).unwrap();
    });
    opened.await.unwrap();
    for run in [first, second, third] {
        let report = engine.wait(run).await.unwrap();
        assert_eq!(report.status, RunStatus::Success, "{report:#?}");
    }
    // Which of the two published a file of both is nobody's business.
    let told = lines(&world, "runs");
    assert!(told.len() == 2 && told[0] == first.to_string(), "{told:?}");
    assert_eq!(lines(&world, "heard").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_fails_makes_the_run_partial_and_is_told_once() {
    let mut world = world(&["up"], "echo some words; echo 'last words' >&2; exit 3");
    world.write("up/a.md", "one\n");
    let run = world.sync("up").await;
    assert_eq!(run.status, RunStatus::Partial);
    let told: Vec<_> = run.problems.iter().map(|problem| problem.kind).collect();
    assert_eq!(told, [ProblemKind::Hook]);
    let message = &run.problems[0].message;
    assert!(
        message.contains("`here`") && message.contains("exit status: 3"),
        "{message}"
    );
    assert!(message.ends_with("it said last: last words"), "{message}");
    assert_eq!(world.read("here/a.md").as_deref(), Some("one\n"));
    // It ran: it is not to run again for the same.
    world.sync_well("up").await;
    // The history keeps what was said.
    world.restart().await;
    let kept = world.engine().await.run(run.id).await.unwrap();
    assert_eq!((kept.status, kept.problems), (run.status, run.problems));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_cannot_be_started_or_takes_too_long_is_told_as_that() {
    let mut world = World::empty();
    world.source("up", |_| {});
    world.target("here", &["up"], |spec| {
        let mut hook = hook("");
        hook.command = vec!["homing-no-such-program".into()];
        spec.hook = Some(hook);
    });
    world.target("there", &["up"], |spec| {
        let mut hook = hook("tail -f /dev/null");
        hook.timeout = Duration::from_millis(300);
        spec.hook = Some(hook);
    });
    world.write("up/a.md", "one\n");
    let run = world.sync("up").await;
    let messages: Vec<_> = run.problems.iter().map(|p| p.message.as_str()).collect();
    assert_eq!(run.status, RunStatus::Partial, "{messages:?}");
    assert!(
        messages[0].contains("`homing-no-such-program`"),
        "{messages:?}"
    );
    assert!(messages[1].contains("hook_timeout"), "{messages:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hook_that_a_stop_ended_runs_after_the_next_start() {
    let script = "echo begun > {}/begun; [ -e {}/go ] || exec tail -f /dev/null; cat > {}/heard";
    let mut world = world(&["up"], script);
    let begun = world.path("begun");
    let made = std::process::Command::new("mkfifo").arg(&begun).status();
    assert!(made.unwrap().success());
    world.write("up/a.md", "one\n");
    let engine = world.engine().await;
    let sync = RunRequest::new(Verb::Sync, Trigger::Manual);
    engine.submit(&source("up"), sync).unwrap();
    let fifo = begun.clone();
    let read = || tokio::task::spawn_blocking(move || fs::read_to_string(fifo).unwrap());
    read().await.unwrap();
    engine.shutdown(Duration::ZERO).await;
    drop(engine);
    world.restart().await;
    assert_eq!(world.read("heard"), None);

    world.write_now("go", "");
    let engine = world.engine().await;
    let told = tokio::task::spawn_blocking(move || fs::read_to_string(begun).unwrap());
    told.await.unwrap();
    engine.shutdown(Duration::from_mins(1)).await;
    let heard = lines(&world, "heard");
    assert!(
        heard.len() == 1 && heard[0].contains("\"a.md\""),
        "{heard:?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pending_of_a_hook_that_is_gone_is_forgotten() {
    let mut world = world(&["up"], "exit 0");
    world.write("up/a.md", "one\n");
    world.sync_well("up").await;
    let here = world.specs.targets.values_mut().next().unwrap();
    here.hook = None;
    world.restart().await;
    world.write("up/a.md", "two\n");
    let run = world.sync_well("up").await;
    assert!(run.problems.is_empty(), "{run:#?}");
}
