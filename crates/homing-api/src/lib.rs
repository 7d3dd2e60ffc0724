//! Wire types, routes and problem kinds of homingd's HTTP interface.
//!
//! Timestamps are text, UTC, `2026-01-02T03:04:05.678Z`. Durations are milliseconds in fields that end in `_ms`. Bodies
//! of requests refuse unknown fields; answers may gain fields and words, which an older client keeps or passes over.

mod commits;
mod config;
mod conflict;
mod diff;
mod edit;
mod event;
mod files;
pub mod import;
mod item;
mod items;
mod pause;
mod problem;
mod reload;
mod remedy;
mod request;
pub mod routes;
mod run;
mod status;
mod store;
mod version;
mod wait;
mod words;

pub use commits::{Commit, Commits, Course};
pub use config::{
    ConfigCheck, ConfigDiagnostic, ConfigPaths, ConfigShown, DaemonShown, SecretShown, Served,
    SourceShown, TargetShown, Versions,
};
pub use conflict::{
    Conflict, ConflictKind, Conflicts, ConflictsQuery, Hop, ResolveRequest, ResolveWith,
};
pub use diff::{
    Candidate, Diff, DiffQuery, Diffs, Drift, Drifted, Modified, Verification, Verifications,
    VerifyRequest, Why, WhyQuery,
};
pub use edit::{
    CheckRequest, ConfigEdit, FileEdit, SourceCheck, SourceChecks, SourceEntries, SourceEntry,
    TargetEntries, TargetEntry, TokenCheck, WithdrawQuery,
};
pub use event::{
    Announcement, AnnouncementKind, ConflictsChanged, DaemonChanged, Event, EventLine, EventsQuery,
    ReadData, Resync, ResyncReason, RunChanged, RunMoved, SourceChanged, TargetChanged,
};
pub use files::{File, Files, FilesQuery};
pub use import::{
    ImportDone, ImportOutcome, ImportQuery, ImportReport, ImportedDocument, ImportedFile,
    ImportedSettings, ImportedSource,
};
pub use item::{Item, ItemAction, Version};
pub use items::{Finding, ItemKind, ItemsQuery, KnownItem, KnownItems, Level, Placement};
pub use pause::{Pause, PauseRequest, Pauses};
pub use problem::{Exit, Problem, ProblemKind};
pub use reload::{Changes, Reloaded};
pub use request::{
    ManyRunsRequest, ReleaseRequest, RequestVerb, RunRequest, Selection, StartedRuns,
};
pub use run::{
    Failure, Notice, Phase, Run, RunProgress, RunQuery, RunStatus, Runs, RunsQuery, Trigger, Verb,
};
pub use status::{
    Condition, Daemon, Health, Source, Sources, State, Status, StatusQuery, Target, Targets,
    names_target, section,
};
pub use store::{
    BackedUp, PruneRequest, Pruned, Restored, StoreCheck, StoreCheckRequest, StoreSize, Vacuumed,
};
pub use version::{API_HEADER, API_MAX, API_MIN, ApiRange, VersionInfo};
pub use wait::{WaitQuery, format_wait, parse_wait};
