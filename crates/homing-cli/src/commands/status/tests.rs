use homing_api::{Daemon, Pause, ProblemKind, Run};

use super::*;
use crate::runs::tests::{failure, run};

fn condition(kind: &str, status: bool) -> Condition {
    Condition {
        kind: kind.to_owned(),
        status,
        reason: "Because".to_owned(),
        message: "config.toml:3:1: unknown key `evry`".to_owned(),
        since: None,
    }
}

fn source(id: &str, states: Vec<State>) -> Source {
    Source {
        id: id.to_owned(),
        kind: "dir".to_owned(),
        url: "/mnt/x".to_owned(),
        enabled: true,
        priority: 100,
        states,
        conditions: vec![condition("Ready", true), condition("Stale", false)],
        revision: None,
        revision_time: None,
        revision_subject: None,
        files: 120,
        conflicts: 0,
        last_attempt: Some("2026-01-02T03:00:00.000Z".to_owned()),
        last_success: Some("2026-01-02T03:00:00.000Z".to_owned()),
        next_due: Some("2026-01-02T03:15:00.000Z".to_owned()),
        paused: None,
        last_run: None,
        current_run: None,
        content_bytes: None,
        mirror_bytes: None,
        stale_at: None,
        config: None,
    }
}

fn status() -> Status {
    let target = Target {
        id: "claude".to_owned(),
        path: "/home/u/.claude/agents".to_owned(),
        from: vec!["team".to_owned(), "community".to_owned()],
        states: vec![State::Synced],
        files: 140,
        conflicts: 0,
        conditions: Vec::new(),
        error: None,
        hooks_waiting: None,
        config: None,
        parts: Vec::new(),
        served: Vec::new(),
    };
    Status {
        daemon: Daemon {
            version: "0.1.0".to_owned(),
            pid: 7,
            started_at: "2026-01-02T00:05:00.000Z".to_owned(),
            config_path: "/c".to_owned(),
            data_dir: "/d".to_owned(),
            recovered: true,
            quarantined: None,
            paused: None,
            conditions: Vec::new(),
            store: None,
        },
        sources: vec![
            source("community", vec![State::Synced]),
            source("team", vec![State::Modified, State::Held]),
        ],
        targets: vec![target],
    }
}

fn shown(status: &Status) -> String {
    render(
        status,
        "2026-01-02T03:05:00Z".parse().unwrap(),
        Screen::default(),
    )
}

#[test]
fn all_is_well() {
    insta::assert_snapshot!(shown(&status()), @r"
    SOURCE     STATE           FILES  LAST SUCCESS  NEXT
    community  synced            120  5m ago        in 10m
    team       modified, held    120  5m ago        in 10m

    TARGET  STATE   FILES  FROM             PATH
    claude  synced    140  team, community  /home/u/.claude/agents

    2 sources, 1 target, 0 conflicts; homingd 0.1.0, started 3h ago
    ");
}

#[test]
fn the_next_turn_is_told_unless_somebody_has_to_do_something() {
    let told = |change: &dyn Fn(&mut Source)| {
        let mut source = source("community", vec![State::Synced]);
        change(&mut source);
        next(&source, "2026-01-02T03:05:00Z".parse().unwrap())
    };
    let pause = |until: Option<&str>| {
        Some(Pause {
            since: "2026-01-02T03:00:00.000Z".to_owned(),
            until: until.map(str::to_owned),
        })
    };
    assert_eq!(told(&|_| {}), "in 10m");
    assert_eq!(told(&|source| source.next_due = None), "by hand");
    let due = |source: &mut Source| source.next_due = Some("2026-01-02T03:05:00.000Z".to_owned());
    assert_eq!(told(&due), "now");
    assert_eq!(told(&|source| source.enabled = false), "-");
    let stalled = |source: &mut Source| source.conditions.push(condition("Stalled", true));
    assert_eq!(told(&stalled), "stalled");
    let paused = |source: &mut Source| {
        source.conditions.push(condition("Paused", true));
        source.paused = pause(None);
    };
    assert_eq!(told(&paused), "paused");
    let for_a_while = |source: &mut Source| {
        source.conditions.push(condition("Paused", true));
        source.paused = pause(Some("2026-01-02T05:05:00.000Z"));
    };
    assert_eq!(told(&for_a_while), "paused, in 2h");
    assert_eq!(
        told(&|source| {
            for_a_while(source);
            stalled(source);
        }),
        "stalled"
    );
}

#[test]
fn a_commit_is_shown_short_where_a_source_has_one() {
    let mut status = status();
    status.sources[0].revision = Some("0123456789abcdef".repeat(4)[..40].to_owned());
    status.sources[1].revision = Some("sha256:00".to_owned());
    status.sources[0].revision_subject = Some("to\u{1b}c".to_owned());
    let text = shown(&status);
    insta::assert_snapshot!(text.lines().take(3).collect::<Vec<_>>().join("\n"), @r"
    SOURCE     STATE           FILES  LAST SUCCESS  NEXT    COMMIT
    community  synced            120  5m ago        in 10m  0123456789ab
    team       modified, held    120  5m ago        in 10m  -
    ");
    status.sources[0].revision_time = Some("2026-01-02T03:00:00.000Z".to_owned());
    let now = "2026-01-02T03:05:00Z".parse().unwrap();
    let text = detailed::source(&status.sources[0], now, Screen::default());
    assert!(
        text.contains("committed     2026-01-02T03:00:00.000Z (5m ago)")
            && text.contains(r"subject       to\u{1b}c"),
        "{text}"
    );
}

#[test]
fn trouble_is_told_with_its_reason() {
    let mut status = status();
    status.daemon.conditions = vec![condition("ConfigInvalid", true), condition("Ready", false)];
    status.daemon.quarantined = Some("/d/state.db.damaged-1".to_owned());
    status.daemon.recovered = false;
    let sources = &mut status.sources;
    sources[0].conditions = vec![condition("Stale", true), condition("Stalled", true)];
    sources[0].last_run = Some(Run {
        error: Some(failure(ProblemKind::NotFound)),
        ..run(3, "community", RunStatus::Error)
    });
    sources[0].last_success = None;
    sources[0].next_due = None;
    sources[1].states = vec![State::Conflict];
    sources[1].conflicts = 2;
    sources.push(Source {
        enabled: false,
        ..source("zoo", Vec::new())
    });
    status.targets[0].error = Some(failure(ProblemKind::Storage));
    insta::assert_snapshot!(shown(&status), @r"
    ConfigInvalid: config.toml:3:1: unknown key `evry`
    warning: the database was damaged and moved aside; nothing is deleted or pushed until `homing db accept-rebuild`: /d/state.db.damaged-1
    warning: repairs after the last stop are under way
    SOURCE     STATE                           FILES  LAST SUCCESS  NEXT
    community  synced, stale, stalled, failed    120  never         stalled
    team       conflict                          120  5m ago        in 10m
    zoo        disabled                          120  5m ago        -

    TARGET  STATE           FILES  FROM             PATH
    claude  synced, failed    140  team, community  /home/u/.claude/agents

    error: could not sync source `community`
      caused by: the root is missing
      caused by: No such file or directory
      hint: mount it
    error: could not publish into target `claude`
      caused by: the root is missing
      caused by: No such file or directory
      hint: mount it
    3 sources (1 failed), 1 target, 2 conflicts (see `homing conflicts`); homingd 0.1.0, started 3h ago
    ");
}

#[test]
fn that_the_network_is_away_is_told_once() {
    let mut status = status();
    let source = &mut status.sources[0];
    source.last_run = Some(Run {
        error: Some(failure(ProblemKind::Unreachable)),
        ..run(7, "team", RunStatus::Error)
    });
    source.conditions[0] = Condition {
        reason: "Offline".to_owned(),
        ..condition("Ready", false)
    };
    status.daemon.conditions.push(Condition {
        message: "nothing far away can be reached\n`team`: stale since 2026-01-01T00:00:00Z (x)"
            .to_owned(),
        ..condition("Offline", true)
    });
    let text = shown(&status);
    assert!(
        text.contains(
            "Offline: nothing far away can be reached\n  `community`: last synced 5m ago ("
        ) && !text.contains("stale since"),
        "{text}"
    );
    assert!(text.contains(", offline"), "{text}");
    assert!(text.contains("(1 offline)"), "{text}");
    assert!(!text.contains("failed"), "{text}");
}

#[test]
fn a_pause_is_told_with_its_end() {
    let mut status = status();
    status.daemon.paused = Some(Pause {
        since: "2026-01-02T03:00:00.000Z".to_owned(),
        until: None,
    });
    for source in &mut status.sources {
        source.conditions.push(condition("Paused", true));
    }
    status.sources[1].paused = Some(Pause {
        since: "2026-01-02T03:00:00.000Z".to_owned(),
        until: Some("2026-01-02T05:05:00.000Z".to_owned()),
    });
    insta::assert_snapshot!(shown(&status), @r"
    warning: everything is paused until `homing resume`
    SOURCE     STATE                   FILES  LAST SUCCESS  NEXT
    community  synced, paused            120  5m ago        paused
    team       modified, held, paused    120  5m ago        paused, in 2h

    TARGET  STATE   FILES  FROM             PATH
    claude  synced    140  team, community  /home/u/.claude/agents

    2 sources, 1 target, 0 conflicts; homingd 0.1.0, started 3h ago
    ");
}

#[test]
fn a_daemon_that_is_not_ready_says_why() {
    let mut status = status();
    status.daemon.conditions = vec![condition("Ready", false)];
    assert!(shown(&status).starts_with("NotReady: config.toml:3:1: unknown key `evry`\n"));
}

#[test]
fn names_select_and_unknown_ones_are_refused() {
    let mut some = status();
    select(&mut some, &["team".to_owned()]).unwrap();
    assert_eq!((some.sources.len(), some.targets.len()), (1, 0));
    let error = select(&mut status(), &["nobody".to_owned()]).unwrap_err();
    assert_eq!(error.exit().code(), 8);
}
