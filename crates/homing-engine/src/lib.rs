//! Runs: survey, plan, transfer, check, publish, record.
//!
//! [`Engine`] is the handle that the daemon holds. A run of a source goes through the phases in `pipeline`; sources
//! and targets have an actor each, which takes one piece of work at a time.

/// Ends the process at a named point, when the crash checker asks for it (feature `failpoints`).
///
/// The point `before NAME` comes first: a test that holds a process at a point lets that one say so. `return(PIPE)`
/// holds it until the named pipe is opened.
macro_rules! kill_point {
    ($name:literal) => {
        fail::fail_point!(concat!("before ", $name));
        #[cfg(feature = "failpoints")]
        fail::eval($name, |gate| match gate {
            None => std::process::abort(),
            // A named pipe, which is opened when whoever made it lets the process go on.
            Some(gate) => drop(tokio::task::block_in_place(|| std::fs::read(gate))),
        });
    };
}
use kill_point;

mod cadence;
mod capture;
mod catalog;
mod changes;
mod commits;
mod details;
mod diff;
mod edits;
mod elsewhere;
mod engine;
mod error;
mod events;
mod examine;
mod figures;
mod files;
mod filter;
mod history;
mod hooks;
mod import;
mod items;
mod merging;
mod missing;
mod noted;
mod past;
mod pause;
mod pipeline;
mod progress;
mod push;
mod recover;
mod release;
mod reload;
mod render;
mod report;
mod resolve;
mod restored;
mod runs;
mod schedule;
mod scratch;
mod shared;
mod source;
mod source_run;
mod spec;
mod status;
mod target;
mod target_run;
mod target_turn;
#[cfg(test)]
mod testing;
mod turns;
mod undo;
mod verify;
mod watch;
mod watching;
mod why;
mod withdraw;
mod words;

pub use cadence::Cadence;
pub use details::{SourceDetails, StatusDetails};
pub use engine::Engine;
pub use error::{EngineError, FAILURE_KINDS};
pub use events::{
    ConflictsChanged, CutOff, Event, Events, Listener, Notice, NoticeKind, RunMoved, Told,
};
pub use history::problem_word;
pub use import::{Import, Imported, ImportedItem, ImportedSync};
pub use items::{FindingFilter, KnownItem, KnownItemsRequest, Placement};
pub use pause::{Pause, PauseReport};
pub use reload::Touched;
pub use report::{
    Condition, ConflictReport, DiffReport, Drift, EngineStatus, Failure, FileReport, FilesReport,
    FilesRequest, ItemAction, ItemReport, ItemsReport, ItemsRequest, ModifiedItem, Offline,
    OfflineSource, Resolution, RunProgress, RunReport, RunRequest, RunStatus, SourceStatus, State,
    TargetStatus, Trigger, Turn, Verb, VerifyReport, WhyCandidate, WhyReport,
};
pub use spec::{
    AtStart, Deletions, Hook, Layout, OnFinding, PushMode, Renderer, Served, Settings, SourceSpec,
    Specs, TargetSpec, ToolSpec,
};
pub use status::Freshness;
pub use withdraw::{Forget, Withdrawal};
