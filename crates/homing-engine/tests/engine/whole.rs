//! Skills move as a whole: all of their files, or what is published stays.

use std::sync::Arc;

use homing_core::{Problem, ProblemKind, UnknownReason};
use homing_engine::{Layout, OnFinding, RunRequest, RunStatus, Trigger, Verb};

use crate::remote::{Far, world as far_world};
use crate::world::{World, source, target};

fn skill(version: u8) -> String {
    format!("---\nname: s\ndescription: d\n---\n{version}\n")
}

/// Returns a world whose far source `far` has a skill `s` of two files, and nothing else.
fn world() -> (World, Arc<Far>) {
    let (world, far) = far_world();
    far.change(|state| state.files.clear());
    far.put("s/SKILL.md", &skill(1));
    far.put("s/run.sh", "echo 1\n");
    (world, far)
}

fn refuse(far: &Far, paths: &[&str]) {
    far.change(|state| {
        state.refused.clear();
        for path in paths {
            state.refuse(path);
        }
    });
}

fn of_kind(problems: &[Problem], kind: ProblemKind) -> impl Iterator<Item = &Problem> {
    problems.iter().filter(move |one| one.kind == kind)
}

/// Returns what is told of skills that are not whole.
fn told(problems: &[Problem]) -> Vec<&str> {
    let found = of_kind(problems, ProblemKind::Incomplete);
    found.map(|one| one.message.as_str()).collect()
}

/// Returns what is said of a path, and its state.
async fn why(world: &mut World, path: &str) -> (String, &'static str) {
    let path = world.path(path);
    let report = world.engine().await.why(&path).await.unwrap();
    (report.candidates[0].reason.clone(), report.state)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_skill_of_which_a_file_is_missing_is_not_published_until_it_comes() {
    for (missing, other) in [("s/run.sh", "s/SKILL.md"), ("s/SKILL.md", "s/run.sh")] {
        let (mut world, far) = world();
        far.put("a.md", "a");
        world.source("up", |_| {});
        world.write("up/b.md", "b");
        world.target("here", &["far", "up"], |_| {});
        refuse(&far, &[missing]);
        let diff = world.engine().await.diff(&source("far"), Verb::Sync).await;
        let run = world.sync("far").await;
        for problems in [&diff.unwrap().problems, &run.problems] {
            assert_eq!(
                told(problems),
                [format!(
                    "`{missing}` of source `far` could not be had; the skill is not published in target `here`"
                )]
            );
        }
        assert_eq!(
            (run.status, run.failed),
            (RunStatus::Partial, 1),
            "{run:#?}"
        );
        assert_eq!(world.read("here/a.md").as_deref(), Some("a"));
        let (reason, state) = why(&mut world, &format!("here/{other}")).await;
        let way_out = "it is not given away; it comes as a whole when all of it is there, or name it in `exclude`";
        assert!(reason.contains(way_out), "{reason}");
        assert_eq!(state, "blocked");

        // Nor is it by another source's run, which asks nobody.
        world.restart().await;
        world.sync_well("up").await;
        assert_eq!(world.tree("here").len(), 2);

        refuse(&far, &[]);
        let run = world.sync_well("far").await;
        assert_eq!(told(&run.problems), [""; 0]);
        assert_eq!(world.tree("here").len(), 4);
        let (_, state) = why(&mut world, &format!("here/{other}")).await;
        assert_eq!(state, "published");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_updated_skill_stays_at_its_version_until_all_of_the_new_one_came() {
    for on_finding in [OnFinding::Block, OnFinding::Allow] {
        let (mut world, far) = world();
        world
            .specs
            .targets
            .get_mut(&target("here"))
            .unwrap()
            .on_finding = on_finding;
        far.put("s/old.txt", "old");
        world.sync_well("far").await;
        let before = world.tree("here");

        far.put("s/SKILL.md", &skill(2));
        far.put("s/run.sh", "echo 2\n");
        far.put("s/new.txt", "new");
        far.change(|state| state.files.remove("s/old.txt").map_or((), drop));
        refuse(&far, &["s/run.sh", "s/new.txt"]);
        for _ in 0..2 {
            let run = world.sync("far").await;
            assert_eq!(
                (run.status, run.failed),
                (RunStatus::Partial, 2),
                "{run:#?}"
            );
            assert_eq!(world.tree("here"), before);
            assert_eq!(
                told(&run.problems),
                [
                    "`s/new.txt` of source `far` could not be had (and 1 more); the last whole version stays in target \
                     `here`"
                ]
            );
            let (reason, state) = why(&mut world, "here/s/SKILL.md").await;
            assert!(reason.contains("the last whole version stays"), "{reason}");
            assert_eq!(state, "blocked");
            world.restart().await;
        }
        // It is kept like anything that is published.
        world.remove("here/s/SKILL.md");
        world.sync("far").await;
        assert_eq!(world.tree("here"), before);
        assert_eq!(far.asked().1.len(), 4, "what is at hand is kept");

        refuse(&far, &[]);
        world.sync_well("far").await;
        let after = world.tree("here");
        assert_eq!(after["s/run.sh"], "echo 2\n");
        assert!(after["s/SKILL.md"].ends_with("2\n") && after["s/new.txt"] == "new");
        assert_eq!(after.len(), 3);
    }
}

/// Returns what the status tells of the target.
async fn conditions(world: &mut World) -> Vec<String> {
    let status = world.engine().await.status().await.unwrap();
    let conditions = status.targets[0].conditions.iter();
    conditions.map(|one| one.message.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_keeps_a_file_away_keeps_its_skill_at_its_version() {
    let reasons = [
        (
            UnknownReason::OverLimit("it has 9 bytes".to_owned()),
            "it has 9 bytes; the last whole version stays in target `here`: raise `max_file_size` of the source, or \
             name it in `exclude` of the source to have the skill without it",
        ),
        (UnknownReason::Pointer, "git-lfs is installed"),
        (
            UnknownReason::Unreadable("denied".to_owned()),
            "it could not be read: denied; the last whole version stays",
        ),
        (UnknownReason::Changing, "once nobody writes the file"),
        (
            UnknownReason::NotAFile("a symbolic link"),
            "put a file there",
        ),
    ];
    for (reason, told) in reasons {
        let (mut world, far) = world();
        far.put("s/sub/deep.sh", "deep 1\n");
        world.sync_well("far").await;
        let before = world.tree("here");
        for path in ["s/run.sh", "s/sub"] {
            far.put("s/SKILL.md", &skill(2));
            far.put("s/run.sh", "echo 2\n");
            far.put("s/sub/deep.sh", "deep 2\n");
            far.change(|state| {
                state.refused = [(path.to_owned(), reason.clone())].into();
                // A directory is told of by its name.
                if path == "s/sub" {
                    state.files.remove("s/sub/deep.sh");
                    state.files.insert(path.to_owned(), "none\n".to_owned());
                }
            });
            let run = world.sync("far").await;
            assert_eq!(run.status, RunStatus::Partial, "{run:#?}");
            assert_eq!(world.tree("here"), before, "{reason:?}");
            assert_eq!(self::told(&run.problems).len(), 1, "{run:#?}");
            world.restart().await;
            world.sync("far").await;
            let conditions = conditions(&mut world).await;
            assert_eq!(conditions.len(), 1, "{conditions:?}");
            assert!(conditions[0].contains(told), "{conditions:?}");
            far.change(|state| drop(state.files.remove("s/sub")));
        }

        far.put("s/sub/deep.sh", "deep 2\n");
        refuse(&far, &[]);
        world.sync_well("far").await;
        assert!(
            world
                .tree("here")
                .values()
                .all(|content| content.contains('2'))
        );
        assert_eq!(conditions(&mut world).await, [""; 0]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_skill_waits_for_its_files_and_for_no_links() {
    let (mut world, far) = world();
    let refused = |reason: UnknownReason| {
        far.change(|state| state.refused = [("s/run.sh".to_owned(), reason)].into());
    };
    refused(UnknownReason::Pointer);
    let run = world.sync_well("far").await;
    assert!(world.tree("here").is_empty());
    assert_eq!(
        told(&run.problems),
        [
            "`s/run.sh` of source `far` could not be had: it is a Git LFS pointer, which is not followed; the skill is \
             not published in target `here` (follow it with a source of kind `git` where git-lfs is installed, then \
             sync with `--force`, or name it in `exclude` of the source to have the skill without it)"
        ]
    );
    // It is known as long as the origin is the same.
    world.restart().await;
    world.sync_well("far").await;
    assert!(world.tree("here").is_empty());
    assert_eq!(conditions(&mut world).await.len(), 1);

    far.put("s/SKILL.md", &skill(2));
    refused(UnknownReason::NotAFile("a symbolic link"));
    let run = world.sync_well("far").await;
    assert_eq!(told(&run.problems), [""; 0]);
    assert_eq!(
        world.tree("here").into_keys().collect::<Vec<_>>(),
        ["s/SKILL.md"]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_for_one_file_leaves_the_rest_of_what_is_missing_missing() {
    let (mut world, far) = world();
    refuse(&far, &["s/run.sh"]);
    world.sync("far").await;
    refuse(&far, &[]);
    far.put("a.md", "a");
    let request = RunRequest {
        filter: vec!["a.md".to_owned()],
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    world.run("far", request).await.unwrap();
    assert_eq!(world.tree("here").len(), 1);
    world.sync_well("far").await;
    assert_eq!(world.tree("here").len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_skill_with_a_file_that_a_tool_would_obey_is_kept_back_as_a_whole() {
    let (mut world, far) = world();
    far.put("s/hooks.json", "{}");
    far.put("hooks.json", "{}");
    far.put("a.md", "a");
    for on_finding in [OnFinding::Block, OnFinding::Allow] {
        world.restart().await;
        world
            .specs
            .targets
            .get_mut(&target("here"))
            .unwrap()
            .on_finding = on_finding;
        let run = world.sync_well("far").await;
        assert_eq!(world.tree("here").into_keys().collect::<Vec<_>>(), ["a.md"]);
        let told: Vec<&Problem> = of_kind(&run.problems, ProblemKind::Active).collect();
        assert_eq!(told.len(), 2, "{told:#?}");
        assert_eq!(told[1].path, "s/hooks.json");
        assert_eq!(
            told[1].message,
            "`s/hooks.json` of source `far` is hooks that a tool runs; the skill is not published in target `here` \
             (name it in `allow_active` to allow it)"
        );
    }
    let (reason, state) = why(&mut world, "here/s/SKILL.md").await;
    assert!(reason.contains("`exclude` of the source"), "{reason}");
    assert_eq!(state, "blocked");
    let status = world.engine().await.status().await.unwrap();
    let conditions = &status.targets[0].conditions;
    assert!(
        conditions[0].message.contains("`s/hooks.json`"),
        "{conditions:#?}"
    );

    // The permission is for this file alone.
    world.restart().await;
    let spec = world.specs.targets.get_mut(&target("here")).unwrap();
    spec.allow_active = vec!["s/hooks.json".to_owned()];
    world.sync_well("far").await;
    let whole = world.tree("here");
    assert_eq!(whole.len(), 4);

    // What comes new is another file, and what is there has none but what is allowed.
    far.put("s/run.sh", "echo 2\n");
    far.put("s/.envrc", "echo\n");
    let run = world.sync_well("far").await;
    assert_eq!(world.tree("here"), whole);
    let told: Vec<&Problem> = of_kind(&run.problems, ProblemKind::Active).collect();
    assert!(
        told[1]
            .message
            .contains("the last version without it stays"),
        "{told:#?}"
    );

    // Nothing of it stays when that is not allowed any more.
    world.restart().await;
    world
        .specs
        .targets
        .get_mut(&target("here"))
        .unwrap()
        .allow_active
        .clear();
    let request = RunRequest {
        accept_deletions: true,
        ..RunRequest::new(Verb::Sync, Trigger::Manual)
    };
    world.sync("far").await;
    world.run("far", request).await.unwrap();
    assert_eq!(world.tree("here").len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_where_a_file_lies_counts_whether_a_tool_would_obey_it() {
    let (mut world, far) = world();
    far.change(|state| state.files.clear());
    far.put(
        ".claude/hooks/SKILL.md",
        "---\nname: h\ndescription: d\n---\n",
    );
    world.specs.targets.get_mut(&target("here")).unwrap().layout = Layout::Skills;
    world.sync_well("far").await;
    assert_eq!(
        world.tree("here").into_keys().collect::<Vec<_>>(),
        ["hooks/SKILL.md"]
    );

    // A name is no way into a directory that a tool obeys.
    let (mut world, far) = self::world();
    far.change(|state| state.files.clear());
    far.put("SKILL.md", "---\nname: .git\ndescription: d\n---\n");
    far.put("config", "[core]\nfsmonitor = echo\n");
    world.specs.targets.get_mut(&target("here")).unwrap().layout = Layout::Skills;
    world.sync_well("far").await;
    assert_eq!(
        world.tree("here").into_keys().collect::<Vec<_>>(),
        ["far/SKILL.md", "far/config"]
    );
}
