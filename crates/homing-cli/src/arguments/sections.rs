//! What can be typed about the sections of the configuration.

use clap::builder::NonEmptyStringValueParser;
use clap::{Args, Subcommand};
use homing_config::{Tool, parse_duration, parse_name};

const OF_DIR: &str = "Options of kind dir";
const OF_REMOTE: &str = "Options of kinds http, github and git";
const OF_HTTP: &str = "Options of kind http";
const OF_GITHUB: &str = "Options of kind github";
const OF_GIT: &str = "Options of kind git";

#[derive(Debug, Subcommand)]
pub(crate) enum SourceCommand {
    /// List the configured sources
    List,
    /// Show how a source is configured, where, and how it is
    Show(NameArgs),
    /// Add a source to the configuration
    ///
    /// On a terminal, asks for what is missing. Looks at the place first and tells what would come; nothing is written
    /// when it cannot be read.
    Add(Box<AddSourceArgs>),
    /// Remove a source from the configuration; its files leave the targets
    ///
    /// Files that you edited stay and are yours. History stays unless --purge is given.
    Remove(RemoveSourceArgs),
    /// Switch sources on
    Enable(SourceNamesArgs),
    /// Switch sources off; their files leave the targets
    Disable(SourceNamesArgs),
    /// Hold a source of kind git or github at one commit
    ///
    /// Writes `pin` into the configuration, which takes the place of `ref` until `homing source unpin NAME`.
    Pin(PinSourceArgs),
    /// Let a source follow its `ref` again
    Unpin(UnpinSourceArgs),
    /// Look whether sources can be read, and what would come; writes nothing
    Check(CheckSourcesArgs),
}

#[derive(Debug, Subcommand)]
pub(crate) enum TargetCommand {
    /// List the configured targets
    List,
    /// Show how a target is configured, where, and how it is
    Show(NameArgs),
    /// Add a target to the configuration
    Add(AddTargetArgs),
    /// Remove a target from the configuration; its files stay where they are
    Remove(RemoveTargetArgs),
}

#[derive(Debug, Args)]
pub(crate) struct NameArgs {
    /// The name, as the configuration has it
    pub(crate) name: String,
}

#[derive(Debug, Args)]
pub(crate) struct AddSourceArgs {
    /// The name of the new source: a-z, 0-9, `-` and `_`
    #[arg(value_parser = parse_name)]
    pub(crate) name: Option<String>,
    /// What kind of place it is; without it, what the other flags tell, else dir
    #[arg(long, value_parser = ["dir", "http", "github", "git"])]
    pub(crate) kind: Option<String>,
    /// The directory to sync from
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new(), conflicts_with = "url", help_heading = OF_DIR)]
    pub(crate) root: Option<String>,
    /// Where the files are, `https://github.com/OWNER/REPOSITORY`, or any address that Git takes
    #[arg(long, value_name = "URL", value_parser = NonEmptyStringValueParser::new(), help_heading = OF_REMOTE)]
    pub(crate) url: Option<String>,
    #[command(flatten)]
    pub(crate) remote: RemoteArgs,
    /// Sync this often, for example 15m or 6h; without it only when you ask
    #[arg(long, value_name = "TIME", conflicts_with = "cron", value_parser = interval)]
    pub(crate) every: Option<String>,
    /// Sync at these times: minute, hour, day of month, month, day of week
    #[arg(long, value_name = "TIMES")]
    pub(crate) cron: Option<String>,
    /// Sync when it changes
    #[arg(long, help_heading = OF_DIR)]
    pub(crate) watch: bool,
    /// Only this subdirectory
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new())]
    pub(crate) path: Option<String>,
    /// Only files that match; gitignore syntax, may be given several times
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// No files that match; gitignore syntax, may be given several times
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// 0 to 1000; where two sources have the same file, the lower number wins
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(0..=1000))]
    pub(crate) priority: Option<u16>,
    /// Whether your edits in the targets go back
    #[arg(long, value_name = "MODE", value_parser = ["never", "direct"], help_heading = OF_DIR)]
    pub(crate) push: Option<String>,
    /// What becomes of what both sides changed
    #[arg(long, value_name = "POLICY", value_parser = ["ask", "ours", "theirs", "union"])]
    pub(crate) on_conflict: Option<String>,
    /// Where the secret is that it asks for, and never the secret itself: `env:NAME`, `file:PATH`, `keyring:NAME` or
    /// `"command:PROGRAM ARGUMENT…"`
    #[arg(long, value_name = "WHERE", help_heading = OF_REMOTE)]
    pub(crate) token: Option<String>,
    /// Publish it in this target, too; may be given several times
    #[arg(long, value_name = "NAME")]
    pub(crate) target: Vec<String>,
    /// Do not look at the place first
    #[arg(long)]
    pub(crate) no_check: bool,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What only sources at a URL have.
#[derive(Debug, Default, Args)]
pub(crate) struct RemoteArgs {
    /// A file below the URL; may be given several times
    #[arg(
        long = "file",
        value_name = "PATH",
        requires = "url",
        group = "listing",
        help_heading = OF_HTTP
    )]
    pub(crate) files: Vec<String>,
    /// A document below the URL that lists the files
    #[arg(
        long,
        value_name = "PATH",
        conflicts_with = "root",
        group = "listing",
        help_heading = OF_HTTP
    )]
    pub(crate) index: Option<String>,
    /// The skills that .well-known/agent-skills/index.json below the URL names
    #[arg(long, conflicts_with = "root", group = "listing", help_heading = OF_HTTP)]
    pub(crate) agent_skills: bool,
    /// The URL is an archive: tar, tar.gz, tar.zst or zip
    #[arg(long, conflicts_with = "root", group = "listing", help_heading = OF_HTTP)]
    pub(crate) archive: bool,
    /// Whose password the token is
    #[arg(
        long,
        value_name = "NAME",
        requires = "token",
        conflicts_with = "root",
        help_heading = OF_REMOTE
    )]
    pub(crate) user: Option<String>,
    /// Certificates that are trusted beside the system's
    #[arg(long, value_name = "FILE", conflicts_with = "root", help_heading = OF_REMOTE)]
    pub(crate) ca_file: Option<String>,
    /// A branch, a tag or a full commit; without it, the default branch; of kind git, `latest` is the highest version
    #[arg(
        long = "ref",
        value_name = "REF",
        requires = "url",
        conflicts_with = "listing",
        help_heading = OF_GITHUB
    )]
    pub(crate) reference: Option<String>,
    /// The base of the API, where the URL's host does not tell it
    #[arg(long, value_name = "URL", conflicts_with_all = ["root", "listing"], help_heading = OF_GITHUB)]
    pub(crate) api: Option<String>,
    /// Follow the submodules, each at the commit that is recorded
    #[arg(long, conflicts_with_all = ["root", "listing"], help_heading = OF_GIT)]
    pub(crate) submodules: bool,
    /// Publish only what is signed: the commit, or the tag that --ref names
    #[arg(long, value_name = "WHAT", value_parser = ["commit", "tag"], requires = "signers", conflicts_with_all = ["root", "listing"], help_heading = OF_GIT)]
    pub(crate) verify: Option<String>,
    /// The SSH keys whose signatures count
    #[arg(long, value_name = "FILE", requires = "verify", group = "signers", help_heading = OF_GIT)]
    pub(crate) allowed_signers: Option<String>,
    /// The OpenPGP keys whose signatures count, as gpg --export writes them
    #[arg(long, value_name = "FILE", requires = "verify", group = "signers", help_heading = OF_GIT)]
    pub(crate) keyring: Option<String>,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveSourceArgs {
    /// The source
    pub(crate) name: String,
    /// Leave its files in the targets; they are yours then
    #[arg(long)]
    pub(crate) keep: bool,
    /// Forget its state and its history, too
    #[arg(long)]
    pub(crate) purge: bool,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct SourceNamesArgs {
    /// The sources
    #[arg(value_name = "NAME", required = true)]
    pub(crate) names: Vec<String>,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct PinSourceArgs {
    /// The source
    pub(crate) name: String,
    /// The commit: its full id, or the beginning of one that `homing history` knows; without it, what is published now
    #[arg(value_name = "REV")]
    pub(crate) revision: Option<String>,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct UnpinSourceArgs {
    /// The source
    pub(crate) name: String,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct CheckSourcesArgs {
    /// The sources; without one, all
    #[arg(value_name = "NAME")]
    pub(crate) names: Vec<String>,
}

#[derive(Debug, Args)]
pub(crate) struct AddTargetArgs {
    /// The name of the new target: a-z, 0-9, `-` and `_`
    #[arg(value_parser = parse_name)]
    pub(crate) name: String,
    /// The directory to publish into
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new(), required_unless_present = "tool")]
    pub(crate) path: Option<String>,
    /// Instead of a directory: a tool, whose own directories take agents, skills and commands
    #[arg(long, value_parser = Tool::ALL.map(Tool::as_str), conflicts_with_all = ["path", "layout", "new_files_to"])]
    pub(crate) tool: Option<String>,
    /// The project whose directories of the tool are meant, and not yours
    #[arg(long, value_name = "DIR", value_parser = NonEmptyStringValueParser::new(), requires = "tool", conflicts_with = "path")]
    pub(crate) project: Option<String>,
    /// A source to publish; may be given several times
    #[arg(long, value_name = "NAME", required = true)]
    pub(crate) from: Vec<String>,
    /// tree: paths are kept; flat: file names only
    #[arg(long, value_parser = ["tree", "flat"])]
    pub(crate) layout: Option<String>,
    /// What becomes of a published file that you delete
    #[arg(long, value_parser = ["restore", "keep"])]
    pub(crate) deletions: Option<String>,
    /// The source that takes the files that you make there
    #[arg(long, value_name = "NAME")]
    pub(crate) new_files_to: Option<String>,
    /// A command that runs when files changed there: the program and its arguments, without a shell; comes last
    #[arg(long, value_name = "WORD", num_args = 1.., allow_hyphen_values = true)]
    pub(crate) after: Vec<String>,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RemoveTargetArgs {
    /// The target
    pub(crate) name: String,
    /// Only show what would be written
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// Makes sure that a text is an interval, and keeps it as it was typed.
fn interval(text: &str) -> Result<String, homing_config::ValueError> {
    parse_duration(text).map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::arguments::Arguments;

    #[test]
    fn what_makes_no_sense_is_usage() {
        for line in [
            "homing source add -- -x --root d",
            "homing source add -- --help",
            "homing source add -x",
            "homing source add Team --root d",
            "homing source add team --root d --kind svn",
            "homing source add team --url u --verify tag",
            "homing source add team --url u --keyring k",
            "homing source add team --url u --verify tag --keyring k --allowed-signers s",
            "homing source add team --root d --url https://example.org/",
            "homing source add team --root d --index i.json",
            "homing source add team --url https://example.org/ --archive --index i.json",
            "homing source add team --url https://example.org/ --archive --ref main",
            "homing source add team --url https://example.org/ --archive --user ann",
            "homing source add team --root d --every soon",
            "homing source add team --root d --every 1h --cron x",
            "homing source add team --root d --priority 1001",
            "homing source add team --root d --push branch",
            "homing source enable",
            "homing source remove",
            "homing target add t --path d",
            "homing target add t --tool claude --from team",
            "homing target add t --tool codex --path d --from team",
            "homing target add t --path d --project p --from team",
            "homing target add t --tool codex --layout flat --from team",
            "homing target add t --from team",
            "homing target add t --path d --from team --after",
        ] {
            let error = Arguments::try_parse_from(line.split_whitespace()).unwrap_err();
            assert_eq!(error.exit_code(), 2, "{line}");
        }
    }

    #[test]
    fn what_only_one_kind_of_source_has_stands_together() {
        let error = Arguments::try_parse_from(["homing", "source", "add", "--help"]).unwrap_err();
        let help = error.to_string();
        let at = |word: &str| help.find(word).unwrap_or_else(|| panic!("{word}: {help}"));
        let (dir, remote, http, github, git) = (
            at("Options of kind dir:"),
            at("Options of kinds http, github and git:"),
            at("Options of kind http:"),
            at("Options of kind github:"),
            at("Options of kind git:"),
        );
        assert!(at("\n      --every") < dir, "{help}");
        assert!((http..github).contains(&at("--archive")), "{help}");
        assert!((remote..http).contains(&at("--user")), "{help}");
        assert!((github..git).contains(&at("--api")), "{help}");
        assert!(git < at("--verify"), "{help}");
        assert!(dir < at("--watch") && at("--watch") < http, "{help}");
    }
}
