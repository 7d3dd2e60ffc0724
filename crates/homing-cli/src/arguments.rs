//! What can be typed.

mod sections;

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use homing_config::parse_duration;

pub(crate) use sections::{
    AddSourceArgs, AddTargetArgs, CheckSourcesArgs, PinSourceArgs, RemoveSourceArgs,
    RemoveTargetArgs, SourceCommand, SourceNamesArgs, TargetCommand, UnpinSourceArgs,
};

/// Keeps what AI agents live on in step with where it comes from.
///
/// Speaks to homingd, which must be running for all but `config` (save `config reload`), `source`, `target`,
/// `completions`, `man` and `version`; `db restore` wants it stopped.
#[derive(Debug, Parser)]
#[command(name = "homing", version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Arguments {
    #[command(flatten)]
    pub(crate) globals: Globals,
    #[command(subcommand)]
    pub(crate) command: Command,
}

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 failed, 2 usage, 3 partial (some items failed), 4 daemon not reachable, 5 configuration, \
6 permission or credentials, 7 conflicts or a blocked plan wait for you, 8 no such source, target, run or path, \
130 ended by Ctrl-C";

#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Globals {
    /// Print one JSON document of the daemon's interface instead of text
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// Print errors only
    #[arg(short, long, global = true)]
    pub(crate) quiet: bool,
    #[arg(
        help = "The configuration file [env: HOMING_CONFIG]",
        long,
        global = true,
        value_name = "FILE"
    )]
    pub(crate) config: Option<PathBuf>,
    #[arg(
        help = "Where homingd keeps its state [env: HOMING_DATA_DIR]",
        long,
        global = true,
        value_name = "DIR"
    )]
    pub(crate) data_dir: Option<PathBuf>,
    /// The daemon's socket, when it is not where the configuration says
    #[arg(long, global = true, value_name = "PATH")]
    pub(crate) socket: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Show every source and target: state, files, last success, next turn
    Status(StatusArgs),
    /// Take over what the origins changed, publish it, and push where a source may
    ///
    /// Without a NAME: every enabled source.
    Sync(SyncArgs),
    /// Take over what the origins changed, and publish it
    ///
    /// Without a NAME: every enabled source.
    Pull(SyncArgs),
    /// Take back what was edited here, where a source may push
    ///
    /// Without a NAME: every enabled source.
    Push(SyncArgs),
    /// Show what a sync would do, and what was edited here; writes nothing
    Diff(DiffArgs),
    /// List what Homing holds of a source
    Files(FilesArgs),
    /// List agents, skills and commands: version, source, where they are published, findings
    ///
    /// Without a NAME: of every source.
    List(ListArgs),
    /// Tell what is to be said against what the sources hold: file, line, rule
    ///
    /// Without a NAME: of every source. Ends with exit code 3 when a finding is blocking; a target publishes no item that
    /// has one, unless its `on_finding` says so.
    Audit(AuditArgs),
    /// List open conflicts, each with the command that decides it
    Conflicts(ConflictsArgs),
    /// Decide conflicts
    Resolve(ResolveArgs),
    /// List runs, newest first
    History(HistoryArgs),
    /// Show or cancel one run
    #[command(subcommand)]
    Run(RunCommand),
    /// Put back what the last run (or RUN) changed here, and hold it there
    Undo(UndoArgs),
    /// Go back to a commit that a source was at, and stay there
    ///
    /// Pins the source as `homing source pin` does, and syncs it. It follows its `ref` again after
    /// `homing source unpin NAME`.
    Rollback(RollbackArgs),
    /// Let held or deleted items follow upstream again
    Release(ReleaseArgs),
    /// Tell what happens: runs, states, conflicts
    ///
    /// With --json one document a line.
    Events(EventsArgs),
    /// Compare what is published with what was written
    Verify(VerifyArgs),
    /// Tell which source put a file where it is, and what lost
    Why(WhyArgs),
    /// Let nothing run by itself for a while
    ///
    /// Runs under way go on, and what you ask for is done all the same. Without a NAME: everything.
    Pause(PauseArgs),
    /// End a pause; what came due meanwhile runs once
    ///
    /// Without a NAME: every pause.
    Resume(ResumeArgs),
    /// List, show, add, remove, switch or check sources in the configuration
    #[command(subcommand)]
    Source(SourceCommand),
    /// List, show, add or remove targets in the configuration
    #[command(subcommand)]
    Target(TargetCommand),
    /// Take over what claude-mpm's agent sync has fetched, so that it is not fetched again
    ///
    /// Its sources come into the configuration where they are not yet; nothing is published.
    #[command(subcommand)]
    Import(ImportCommand),
    /// Look after the state database
    #[command(subcommand)]
    Db(DbCommand),
    /// Look at the configuration, and have it taken over; only `reload` needs a daemon
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Show the versions of this program and of homingd
    Version,
    /// Print what makes a shell complete commands and names
    Completions(CompletionsArgs),
    /// Write the manual pages into a directory
    Man(ManArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ImportCommand {
    /// Take over a cache, `.etag-cache.json` or `.etag_cache.json`, with the files beside it
    ///
    /// Afterwards it is called FILE.backup.
    EtagCache(ImportArgs),
    /// Take over a database: `agent_sync.db`, with the files that it names; it stays as it is
    AgentSyncDb(ImportArgs),
}

#[derive(Debug, Args)]
pub(crate) struct ImportArgs {
    /// The cache or database; without it, all that are where claude-mpm keeps them
    pub(crate) file: Option<PathBuf>,
    /// Only tell what would be taken over
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Subcommand)]
pub(crate) enum DbCommand {
    /// Examine the database and what it keeps
    Check {
        /// Read every content and compare it with its hash
        #[arg(long)]
        deep: bool,
    },
    /// Show what the state takes on disk
    Size,
    /// Give back the room that the database no longer needs
    Vacuum,
    /// Write a backup of the state while everything goes on
    Backup(BackupArgs),
    /// Replace the state by a backup; homingd must not run
    Restore {
        /// The backup; `-` is standard input
        file: PathBuf,
    },
    /// Allow deletions and pushes again after the database was rebuilt or restored
    AcceptRebuild,
}

#[derive(Debug, Args)]
pub(crate) struct BackupArgs {
    /// Where to; `-` is standard output
    pub(crate) file: PathBuf,
    /// Write over a file that is there
    #[arg(long)]
    pub(crate) force: bool,
}

#[derive(Debug, Args)]
pub(crate) struct StatusArgs {
    /// Only these sources and targets
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Also tell conditions, times, sizes, hooks that wait and what the state takes on disk
    #[arg(long)]
    pub(crate) detailed: bool,
    /// Only sources whose last success is too long ago: longer than `stale_after`, or than AGE, for example 7d
    #[arg(long, value_name = "AGE", num_args = 0..=1, require_equals = true, value_parser = parse_duration)]
    #[expect(
        clippy::option_option,
        reason = "the switch, and the age that it may have"
    )]
    pub(crate) stale: Option<Option<Duration>>,
    /// Draw it anew whenever it changes, until Ctrl-C; needs a terminal
    #[arg(long)]
    pub(crate) watch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    /// Go on until Ctrl-C instead of ending with what has happened so far
    #[arg(short, long)]
    pub(crate) follow: bool,
}

#[derive(Debug, Default, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "one for each switch that can be typed"
)]
pub(crate) struct SyncArgs {
    /// The sources; without one, every enabled source
    #[arg(value_name = "NAME", conflicts_with = "all")]
    pub(crate) names: Vec<String>,
    /// Every enabled source, as without a NAME
    #[arg(long)]
    pub(crate) all: bool,
    /// Only tell what would be done; writes nothing
    #[arg(long, conflicts_with_all = ["no_wait", "timeout"])]
    pub(crate) dry_run: bool,
    /// Ignore backoff and what is known of the origin; never guards, edits or conflicts
    #[arg(long)]
    pub(crate) force: bool,
    /// Do not wait for the runs to end
    #[arg(long, conflicts_with = "timeout")]
    pub(crate) no_wait: bool,
    /// Wait at most this long, for example 60s or 5m; the runs go on
    #[arg(long, value_name = "TIME", value_parser = parse_duration)]
    pub(crate) timeout: Option<Duration>,
    /// Only items that match; gitignore syntax, may be given several times
    #[arg(long, value_name = "GLOB")]
    pub(crate) filter: Vec<String>,
    /// Leave sources alone whose last success is not older than this, for example 24h or 7d
    #[arg(long, value_name = "TIME", value_parser = parse_duration, conflicts_with = "dry_run")]
    pub(crate) if_older_than: Option<Duration>,
    /// Continue exactly the plan that was blocked for deleting a lot
    #[arg(long)]
    pub(crate) accept_deletions: bool,
    /// A directory was replaced by another one, and that is meant
    #[arg(long)]
    pub(crate) accept_root: bool,
}

#[derive(Debug, Args)]
pub(crate) struct DiffArgs {
    /// The source; without one, every enabled source
    pub(crate) name: Option<String>,
    /// Also show how contents change, as unified diffs that `git apply` and `patch -p1` take
    #[arg(short, long)]
    pub(crate) patch: bool,
}

#[derive(Debug, Args)]
pub(crate) struct FilesArgs {
    /// The source
    pub(crate) name: String,
    /// Only this file, what lies below this directory, or what matches this pattern (gitignore syntax)
    pub(crate) path: Option<String>,
    /// Only the newest COUNT, newest first
    #[arg(long, value_name = "COUNT", num_args = 0..=1, default_missing_value = "10",
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) recent: Option<u32>,
}

#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only of these sources
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Only items of this kind
    #[arg(long)]
    pub(crate) kind: Option<Kind>,
}

/// A kind of items, as it is typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Kind {
    /// Markdown that describes an agent
    Agent,
    /// A directory with a SKILL.md
    Skill,
    /// Markdown that you call by its name
    Command,
    /// Anything else
    File,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Agent => "agent",
            Self::Skill => "skill",
            Self::Command => "command",
            Self::File => "file",
        }
    }
}

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// Only of these sources
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
    /// Print SARIF 2.1.0, for code hosts and editors
    #[arg(long)]
    pub(crate) sarif: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ConflictsArgs {
    /// Only of this source, or in this target
    pub(crate) name: Option<String>,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("with").required(true).args(["ours", "theirs", "union", "file"]))]
pub(crate) struct ResolveArgs {
    /// The source or target, as `homing conflicts` shows it
    pub(crate) name: String,
    /// The paths as `homing conflicts` shows them, or beginnings of which each fits one; without one, all of NAME
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
    /// Keep the local side
    #[arg(long)]
    pub(crate) ours: bool,
    /// Take the other side
    #[arg(long)]
    pub(crate) theirs: bool,
    /// Keep the lines of both
    #[arg(long)]
    pub(crate) union: bool,
    /// Take the bytes of this file; for one conflict
    #[arg(long, value_name = "F")]
    pub(crate) file: Option<PathBuf>,
}

#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct HistoryArgs {
    #[command(subcommand)]
    pub(crate) command: Option<HistoryCommand>,
    /// Only of this source
    pub(crate) name: Option<String>,
    /// At most this many
    #[arg(short = 'n', value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(crate) limit: u32,
}

#[derive(Debug, Subcommand)]
pub(crate) enum HistoryCommand {
    /// Forget runs that are older; `undo` reaches back no further then
    Prune {
        /// For example 30d
        #[arg(long, value_name = "TIME", value_parser = parse_duration)]
        older_than: Duration,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum RunCommand {
    /// Show a run with its items and what failed
    Show(RunArgs),
    /// Cancel a run that waits or is under way
    Cancel(RunArgs),
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    /// The number, as `homing history` shows it
    pub(crate) id: i64,
}

#[derive(Debug, Args)]
pub(crate) struct UndoArgs {
    /// The number of the run; without one, the last that changed something
    pub(crate) run: Option<i64>,
}

#[derive(Debug, Args)]
pub(crate) struct RollbackArgs {
    /// The source, of kind git or github
    pub(crate) name: String,
    /// A commit (its full id, or the beginning of one in the history), or a time: RFC 3339, a date (its beginning here),
    /// or an age such as 2d; then the commit that was in use at that time
    #[arg(long, value_name = "REV|TIME")]
    pub(crate) to: String,
    /// Continue exactly the plan that was blocked for deleting a lot
    #[arg(long)]
    pub(crate) accept_deletions: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ReleaseArgs {
    /// The source
    pub(crate) name: String,
    /// The paths in the source; without one, all that are held or left away
    #[arg(value_name = "PATH")]
    pub(crate) paths: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct PauseArgs {
    /// The sources; without one, everything
    #[arg(value_name = "NAME", conflicts_with = "all")]
    pub(crate) names: Vec<String>,
    /// Everything, as without a NAME
    #[arg(long)]
    pub(crate) all: bool,
    /// How long, for example 30m or 2h; without it, until `homing resume`
    #[arg(long = "for", value_name = "TIME", value_parser = parse_duration)]
    pub(crate) length: Option<Duration>,
}

#[derive(Debug, Args)]
pub(crate) struct ResumeArgs {
    /// The sources; without one, every pause ends
    #[arg(value_name = "NAME", conflicts_with = "all")]
    pub(crate) names: Vec<String>,
    /// Every pause, as without a NAME
    #[arg(long)]
    pub(crate) all: bool,
}

#[derive(Debug, Args)]
pub(crate) struct VerifyArgs {
    /// The target; without one, all
    pub(crate) name: Option<String>,
    /// Restore what is missing or damaged, never an edit
    #[arg(long)]
    pub(crate) repair: bool,
}

#[derive(Debug, Args)]
pub(crate) struct WhyArgs {
    /// A file in a target
    pub(crate) path: PathBuf,
}

#[derive(Debug, Args)]
pub(crate) struct CompletionsArgs {
    /// The shell
    pub(crate) shell: Shell,
}

/// A shell that can complete names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Shell {
    Bash,
    Zsh,
    Fish,
}

#[derive(Debug, Args)]
pub(crate) struct ManArgs {
    /// The directory, for example ~/.local/share/man/man1
    #[arg(value_name = "DIR")]
    pub(crate) directory: PathBuf,
}

#[derive(Debug, Clone, Copy, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Tell whether the configuration is valid, and what is wrong with it
    Check,
    /// Tell where the configuration, the state and the socket are
    Path,
    /// Print the JSON schema of the configuration, for editors
    Schema,
    /// Have homingd take the configuration over, new and changed commands included
    Reload,
    /// Show the configuration with its defaults filled in
    Show,
}

#[cfg(test)]
mod tests;
