//! Examples for the description, made of the interface's own types.

use homing_api::{
    ApiRange, Condition, Conflict, ConflictKind, File, Files, Hop, Item, ItemAction,
    ManyRunsRequest, Phase, ReleaseRequest, RequestVerb, ResolveRequest, ResolveWith, Run,
    RunRequest, RunStatus, Selection, Trigger, Verb, VerifyRequest, Version, VersionInfo,
};
use serde::Serialize;
use serde_json::Value;
use utoipa::openapi::{RefOr, Schema};

const TIME: &str = "2026-01-02T03:04:05.678Z";
const HASH: &str = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";

/// Returns an example for each of these schemas.
pub(super) fn all() -> Vec<(&'static str, Value)> {
    let mut all = requests();
    all.extend(answers());
    all
}

/// Adds an example to a schema.
pub(super) fn add(schema: &mut RefOr<Schema>, example: Value) {
    if let RefOr::T(Schema::Object(object)) = schema {
        object.examples.push(example);
    }
}

fn requests() -> Vec<(&'static str, Value)> {
    vec![
        (
            "RunRequest",
            value(&RunRequest {
                verb: RequestVerb::Pull,
                filter: vec!["agents/**".to_owned()],
                ..RunRequest::default()
            }),
        ),
        (
            "ManyRunsRequest",
            value(&ManyRunsRequest {
                sources: Selection::All,
                verb: RequestVerb::Sync,
                if_older_than: Some("24h".to_owned()),
                force: false,
                filter: Vec::new(),
                accept_deletions: false,
                accept_root: false,
            }),
        ),
        (
            "ReleaseRequest",
            value(&ReleaseRequest {
                paths: vec!["agents/review.md".to_owned()],
            }),
        ),
        (
            "ResolveRequest",
            value(&ResolveRequest {
                with: ResolveWith::Theirs,
            }),
        ),
        ("VerifyRequest", value(&VerifyRequest { repair: true })),
    ]
}

fn answers() -> Vec<(&'static str, Value)> {
    let file = File {
        path: "agents/review.md".to_owned(),
        size: 1234,
        hash: HASH.to_owned(),
        executable: false,
        modified: false,
        held: false,
        synced_at: TIME.to_owned(),
    };
    vec![
        (
            "VersionInfo",
            value(&VersionInfo {
                version: "0.1.0".to_owned(),
                api: ApiRange::OURS,
                capabilities: vec!["kind-dir".to_owned()],
                boot_id: "18d0f3a1c2b4e5f6-1f40".to_owned(),
                pid: 8000,
                started_at: TIME.to_owned(),
            }),
        ),
        (
            "Files",
            value(&Files {
                source: "team".to_owned(),
                files: vec![file],
                next: None,
            }),
        ),
        ("Run", value(&run())),
        (
            "Condition",
            value(&Condition {
                kind: "Stale".to_owned(),
                status: true,
                reason: "TooOld".to_owned(),
                message: "the last success was three days ago".to_owned(),
                since: Some(TIME.to_owned()),
            }),
        ),
        (
            "Conflict",
            value(&Conflict {
                id: 7,
                hop: Hop::Publish,
                source: "team".to_owned(),
                target: Some("claude".to_owned()),
                path: "agents/review.md".to_owned(),
                kind: ConflictKind::Content,
                detail: None,
                since: TIME.to_owned(),
            }),
        ),
    ]
}

fn run() -> Run {
    Run {
        id: 42,
        source: Some("team".to_owned()),
        target: None,
        verb: Verb::Sync,
        trigger: Trigger::Schedule,
        status: RunStatus::Success,
        started_at: TIME.to_owned(),
        duration_ms: 120,
        synced: 1,
        cached: 311,
        failed: 0,
        removed: 0,
        bytes: 1234,
        requests: 0,
        error: None,
        problems: Vec::new(),
        phases: vec![Phase {
            name: "survey".to_owned(),
            duration_ms: 14,
        }],
        revision: None,
        commits: None,
        items: vec![Item {
            source: "team".to_owned(),
            target: Some("claude".to_owned()),
            path: "agents/review.md".to_owned(),
            action: ItemAction::Created,
            before: None,
            after: Some(Version {
                hash: HASH.to_owned(),
                executable: false,
            }),
            reason: None,
            patch: None,
        }],
        next: None,
        undone: None,
        progress: None,
    }
}

fn value(example: &impl Serialize) -> Value {
    // The interface's types have text keys only, so they can always be written.
    serde_json::to_value(example).unwrap_or_default()
}
