//! What the engine is told to do: sources and targets with their sides already built.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use homing_core::{Policy, Side, SourceId, TargetId};
use homing_items::Kind;
use homing_store::{Store, StoreError};

use crate::cadence::Cadence;

/// Everything that is configured, as the engine needs it.
#[derive(Clone, Debug)]
pub struct Specs {
    /// The sources by name.
    pub sources: BTreeMap<SourceId, SourceSpec>,
    /// The targets by name.
    pub targets: BTreeMap<TargetId, TargetSpec>,
    /// Directories in which nothing is to lie any more: each is a target as long as Homing knows of files there.
    pub left_out: BTreeMap<TargetId, TargetSpec>,
    /// Limits of the daemon.
    pub settings: Settings,
}

/// Limits of the daemon as a whole.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Runs in transfer or publish at the same time.
    pub max_runs: usize,
    /// A run that does not move for this long is ended.
    pub stall_timeout: Duration,
    /// A run that takes this long is ended.
    pub run_timeout: Duration,
    /// How long history, and with it undo, reaches back.
    pub keep_history: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            max_runs: 4,
            stall_timeout: Duration::from_mins(1),
            run_timeout: Duration::from_hours(2),
            keep_history: Duration::from_hours(24 * 90),
        }
    }
}

/// Whether and how edits go back to the origin.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum PushMode {
    /// They stay here.
    #[default]
    Never,
    /// They are written to the origin.
    Direct,
}

/// Whether an overdue source runs when the daemon starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum AtStart {
    /// If it is due, or was never synced.
    #[default]
    Due,
    /// Always.
    Always,
    /// Not before its next turn.
    Never,
}

/// A configured source.
#[derive(Clone)]
pub struct SourceSpec {
    /// `dir`, …
    pub kind: String,
    /// Where it comes from, as it may be shown.
    pub url: String,
    /// The far side.
    pub origin: Arc<dyn Side>,
    /// 0 to 1000; lower wins.
    pub priority: u16,
    /// Whether edits go back.
    pub push: PushMode,
    /// What becomes of overlapping changes.
    pub on_conflict: Policy,
    /// Bytes of the largest file that the source takes.
    pub max_file_size: u64,
    /// Fingerprints of the place (url, ref, path), the filters and the limits, with slashes between them.
    pub selection: String,
    /// When its turns come; `None`: by hand only, or when something changes.
    pub cadence: Option<Cadence>,
    /// See [`AtStart`].
    pub at_start: AtStart,
    /// Stale when the last success is older; `None`: three intervals.
    pub stale_after: Option<Duration>,
    /// Whether a change in the origin starts a run.
    pub watch: bool,
    /// Disabled sources publish nothing.
    pub enabled: bool,
}

impl SourceSpec {
    /// Tells whether it is tried again after a failure without anybody asking.
    pub fn comes_again(&self) -> bool {
        self.cadence.is_some() || self.watch
    }
}

impl fmt::Debug for SourceSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SourceSpec")
            .field("kind", &self.kind)
            .field("url", &self.url)
            .finish_non_exhaustive()
    }
}

/// How keys become paths in a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Layout {
    /// The path is the key.
    #[default]
    Tree,
    /// The path is the key's file name.
    Flat,
    /// Agents alone, by their file name, which ends like this.
    Agents {
        /// With its dot.
        suffix: &'static str,
    },
    /// Skills alone, each in a directory of its name.
    Skills,
    /// Commands alone, as they lie below `commands`.
    Commands,
}

/// In which form a target's items are written, where that is not their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Renderer {
    /// Agents as the TOML that Codex reads.
    CodexAgent,
}

/// A source whose items a tool reads in the directory of another target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Served {
    /// The source.
    pub source: SourceId,
    /// The target.
    pub by: TargetId,
    /// Its directory.
    pub path: PathBuf,
}

/// The tool whose directory a target is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToolSpec {
    /// Its name.
    pub name: String,
    /// The user leaves this directory out: what is here goes, and nobody is asked.
    pub is_left_out: bool,
    /// Sources whose items it reads elsewhere: what is here of them goes, and nobody is asked.
    pub served: Vec<Served>,
    /// Sources whose items it reads elsewhere too, so that it lists them twice.
    pub read_twice: Vec<Served>,
}

/// What becomes of a published file that the user deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Deletions {
    /// It comes back.
    #[default]
    Restore,
    /// It stays away until it is released.
    Keep,
}

/// What becomes of an item with a blocking finding.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum OnFinding {
    /// It is not published; what was published of it before stays as it was.
    #[default]
    Block,
    /// It is published, and each run tells of it.
    Warn,
    /// It is published.
    Allow,
}

/// A configured target.
#[derive(Clone)]
pub struct TargetSpec {
    /// Where it is, for `why`.
    pub path: PathBuf,
    /// The near side.
    pub place: Arc<dyn Side>,
    /// Its sources; the order is the last word between equals.
    pub from: Vec<SourceId>,
    /// How keys become paths.
    pub layout: Layout,
    /// In which form items are written; `None`: in their own.
    pub render: Option<Renderer>,
    /// The tool whose directory it is, if it is one's.
    pub tool: Option<ToolSpec>,
    /// See [`Deletions`].
    pub deletions: Deletions,
    /// The source that new files go to.
    pub new_files_to: Option<SourceId>,
    /// Names of active files that may be published.
    pub allow_active: Vec<String>,
    /// The kinds of items that are published.
    pub include_kinds: BTreeSet<Kind>,
    /// See [`OnFinding`].
    pub on_finding: OnFinding,
    /// What runs after a publish changed something.
    pub hook: Option<Hook>,
}

/// A command that runs after a publish changed something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hook {
    /// The program and its arguments; no shell reads them.
    pub command: Vec<String>,
    /// It is ended after this long, with all that it started.
    pub timeout: Duration,
    /// Its environment, beside the variables that say what was published.
    pub environment: Vec<(OsString, OsString)>,
}

impl Specs {
    /// Makes targets of those left-out directories in which files lie that Homing knows of, and returns their names.
    pub(crate) async fn recall(&mut self, store: &Store) -> Result<BTreeSet<TargetId>, StoreError> {
        if self.left_out.is_empty() {
            return Ok(BTreeSet::new());
        }
        let known: Vec<TargetId> = self.left_out.keys().cloned().collect();
        let held = store
            .read(move |reader| {
                let mut held = BTreeSet::new();
                for id in known {
                    if !reader.ledger(&id)?.is_empty() {
                        held.insert(id);
                    }
                }
                Ok(held)
            })
            .await?;
        let left_out = std::mem::take(&mut self.left_out).into_iter();
        self.targets
            .extend(left_out.filter(|(id, _)| held.contains(id)));
        Ok(held)
    }
}

impl TargetSpec {
    /// Tells whether the configuration says that a source's items go from here: another target has them, or none.
    pub(crate) fn lets_go_of(&self, source: &SourceId) -> bool {
        let is_served = |tool: &ToolSpec| tool.served.iter().any(|served| served.source == *source);
        let let_go = |tool: &ToolSpec| tool.is_left_out || is_served(tool);
        !self.from.contains(source) && self.tool.as_ref().is_some_and(let_go)
    }
}

impl fmt::Debug for TargetSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TargetSpec")
            .field("path", &self.path)
            .field("from", &self.from)
            .finish_non_exhaustive()
    }
}
