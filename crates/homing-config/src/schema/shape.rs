//! The file as types. They are only described, never filled: the readers judge better than a parser of types would.
#![expect(dead_code, reason = "nothing but the schema is made of them")]

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

/// What a source or target may be called.
const NAME: &str = "^[a-z0-9][a-z0-9_-]{0,63}$";

/// The configuration of Homing: `config.toml` and the drop-ins in `config.d`.
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields, title = "Homing")]
pub(super) struct Configuration {
    /// The daemon as a whole.
    daemon: Option<Daemon>,
    /// The places to sync from, each under a name of a-z, 0-9, `-` and `_`.
    #[schemars(extend("propertyNames" = { "pattern": NAME }))]
    sources: Option<BTreeMap<String, Source>>,
    /// The places to publish to, each under a name of a-z, 0-9, `-` and `_`.
    #[schemars(extend("propertyNames" = { "pattern": NAME }))]
    targets: Option<BTreeMap<String, Target>>,
}

/// `[daemon]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Daemon {
    /// Where the state is kept.
    data_dir: Option<Path>,
    /// The daemon's socket.
    socket: Option<Path>,
    /// Where times of day hold, for example `Europe/Berlin`.
    timezone: Option<String>,
    /// Runs that move files at the same time.
    #[schemars(range(min = 1, max = 256))]
    max_runs: Option<i64>,
    /// Connections to one host at the same time; over HTTP/2, two at most, with up to a hundred requests under way on each.
    #[schemars(range(min = 1, max = 100))]
    per_host: Option<i64>,
    /// A run that does not move for this long is ended.
    stall_timeout: Option<Duration>,
    /// A run that takes this long is ended.
    run_timeout: Option<Duration>,
    /// How long a stop waits for runs under way.
    shutdown_grace: Option<Duration>,
    /// How long history is kept, and with it what `homing undo` can put back.
    keep_history: Option<Duration>,
    /// What is logged: `error`, `warn`, `info`, `debug`, `trace`, or a filter such as `homing_engine=debug`.
    log: Option<String>,
    /// How log lines are written.
    log_format: Option<LogFormat>,
}

/// `[sources.NAME]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Source {
    /// What kind of place it is.
    kind: Kind,
    /// Kind `dir`: the directory to sync from.
    root: Option<Path>,
    /// Kind `http`: where the files are, or the archive. Kind `github`: `https://github.com/OWNER/REPOSITORY`, or the
    /// same on another GitHub server. Kind `git`: whatever Git takes, `https://…`, `ssh://…`, `user@host:path` or a path. No
    /// password or token belongs in it.
    url: Option<String>,
    /// Kind `http`: the files, as paths below the URL. One of `files`, `index`, `agent_skills` and `archive` says what
    /// there is.
    #[schemars(length(min = 1))]
    files: Option<Vec<String>>,
    /// Kind `http`: a document below the URL that lists the files: a JSON list of paths, or of `{path, url, sha256,
    /// size}`. With digests, an unchanged source costs one request.
    index: Option<String>,
    /// Kind `http`: the skills that `.well-known/agent-skills/index.json` below the URL names.
    agent_skills: Option<bool>,
    /// Kind `http`: the URL is an archive: tar, tar.gz, tar.zst or zip.
    archive: Option<bool>,
    /// Kinds `github` and `git`: a branch, a tag, or a full commit, which is never asked about again. Kind `git`:
    /// `latest` is the tag with the highest version, such as `v1.2.0`.
    r#ref: Option<String>,
    /// Kinds `github` and `git`: the full id of a commit, which takes the place of `ref` while it is there.
    /// `homing source pin` and `homing rollback` write it, `homing source unpin` removes it.
    #[schemars(regex(pattern = "^([0-9a-fA-F]{40}|[0-9a-fA-F]{64})$"))]
    pin: Option<String>,
    /// Only this subdirectory.
    path: Option<String>,
    /// Only files that match one of these; empty: all.
    include: Option<Patterns>,
    /// No files that match one of these.
    exclude: Option<Patterns>,
    /// The interval of its schedule.
    every: Option<Duration>,
    /// The times of its schedule, instead of an interval: minute, hour, day of month, month, day of week.
    cron: Option<String>,
    /// Where those times hold, for example `Europe/Berlin`.
    timezone: Option<String>,
    /// Whether a change in the root starts a run, beside the schedule. Only kind `dir` can tell.
    watch: Option<bool>,
    /// Whether it is synced when the daemon starts: if its turn has come, always, or never.
    at_start: Option<AtStart>,
    /// When it counts as stale.
    stale_after: Option<Duration>,
    /// Where two sources have the same file, the lower number wins.
    #[schemars(range(min = 0, max = 1000))]
    priority: Option<i64>,
    /// Whether your edits in the targets go back: never, or directly into the root. Only kind `dir` can take them.
    push: Option<Push>,
    /// What becomes of lines that both sides changed: a conflict waits for you, your side wins, theirs wins, or both
    /// are kept.
    on_conflict: Option<OnConflict>,
    /// Larger files are left out and reported.
    max_file_size: Option<Size>,
    /// A source that holds more in all is not synced.
    max_total_size: Option<Size>,
    /// A source with more files is not synced.
    #[schemars(range(min = 1, max = 10_000_000))]
    max_files: Option<i64>,
    /// Where the secret comes from that the origin asks for; never the secret itself. Kind `dir` asks for none; kind
    /// `github` takes the variable `GITHUB_TOKEN`, or `GH_TOKEN`, where none is named; for a GitHub Enterprise server
    /// `GH_ENTERPRISE_TOKEN`, or `GITHUB_ENTERPRISE_TOKEN`. Of kind `git`, Git's own credential helpers are asked.
    token: Option<Secret>,
    /// Kinds `http` and `git`: whose password the token is; without it, it is a bearer token, or for Git's servers the
    /// password of `x-access-token`.
    user: Option<String>,
    /// Kinds `http`, `github` and `git`: certificates (PEM) that are trusted beside the system's, for a server with a CA
    /// of its own.
    ca_file: Option<Path>,
    /// Kind `github`: the base of the API, where the host of the URL does not tell it.
    api: Option<String>,
    /// Kind `git`: what has to be signed before it is published, by a key of `allowed_signers` or `keyring`: the commit, or
    /// the tag that `ref` names.
    verify: Option<Verify>,
    /// Kind `git`: the SSH keys whose signatures count, in the form of `gpg.ssh.allowedSignersFile`.
    allowed_signers: Option<Path>,
    /// Kind `git`: the OpenPGP keys whose signatures count, as `gpg --export` writes them.
    keyring: Option<Path>,
    /// Kind `git`: submodules are followed, each at the commit that is recorded; without it they are left out and told by
    /// name.
    submodules: Option<bool>,
    /// Whether it takes part at all; a source that does not publishes nothing.
    enabled: Option<bool>,
}

/// `[targets.NAME]`
#[derive(JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Target {
    /// The directory to publish into.
    path: Option<Path>,
    /// Instead of a directory: the tool whose own directories take agents, skills and commands, each target part of
    /// which is called `NAME.agents`, `NAME.skills` and `NAME.commands`.
    tool: Option<Tool>,
    /// The project whose directories of that tool are meant, and not the user's.
    project: Option<Path>,
    /// The sources to publish; their order is the last word between equal priorities.
    #[schemars(length(min = 1))]
    from: Vec<String>,
    /// Whether the paths of the sources are kept, or the file names only.
    layout: Option<Layout>,
    /// Whether a published file that you delete comes back or stays away.
    deletions: Option<Deletions>,
    /// The source that takes the files that you make in the target; it must be in `from` and push.
    new_files_to: Option<String>,
    /// Names of files that a tool would run or obey and that may be published all the same.
    allow_active: Option<Vec<String>>,
    /// The kinds of items that are published; of a tool's, those that it has directories for.
    #[schemars(length(min = 1))]
    include_kinds: Option<Vec<ItemKind>>,
    /// What becomes of an item with a blocking finding: it is not published and the last version without it stays, it is
    /// published and each run tells of it, or it is published.
    on_finding: Option<OnFinding>,
    /// A command that is run when files in the target changed: the program and its arguments, without a shell.
    #[schemars(length(min = 1))]
    after: Option<Vec<String>>,
    /// How long that command may take.
    hook_timeout: Option<Duration>,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum Tool {
    ClaudeCode,
    Codex,
    Cursor,
    Opencode,
    Gemini,
    Copilot,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum ItemKind {
    Agent,
    Skill,
    Command,
    File,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum OnFinding {
    Block,
    Warn,
    Allow,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum LogFormat {
    Text,
    Json,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum Kind {
    Dir,
    Http,
    Github,
    Git,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum AtStart {
    Due,
    Always,
    Never,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum Verify {
    Commit,
    Tag,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum Push {
    Never,
    Direct,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum OnConflict {
    Ask,
    Ours,
    Theirs,
    Union,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum Layout {
    Tree,
    Flat,
}

#[derive(JsonSchema)]
#[schemars(rename_all = "kebab-case", inline)]
enum Deletions {
    Restore,
    Keep,
}

/// Describes a text with a form of its own.
macro_rules! text {
    ($($name:ident = { $($schema:tt)+ })+) => {
        $(
            struct $name;

            impl JsonSchema for $name {
                fn schema_name() -> Cow<'static, str> {
                    stringify!($name).to_lowercase().into()
                }

                fn json_schema(_: &mut SchemaGenerator) -> Schema {
                    json_schema!({ $($schema)+ })
                }
            }
        )+
    };
}

text! {
    Path = {
        "type": "string",
        "minLength": 1,
        "description": "Absolute, or `~/…` in the home directory, or relative to the directory of `config.toml`."
    }
    Duration = {
        "type": "string",
        "examples": ["500ms", "60s", "15m", "6h", "90d", "2h 30m"],
        "description": "A number with its unit, for example `60s`, `15m`, `6h`, `90d` or `2h 30m`. A day has 24 hours."
    }
    Size = {
        "anyOf": [{ "type": "integer", "minimum": 1 }, { "type": "string", "pattern": "^[0-9]+ ?([KMGT]iB|[kKMGT]B|B)?$" }],
        "examples": ["512KiB", "10MiB", "1GiB"],
        "description": "Bytes, or a number with its unit, for example `512KiB`, `10MiB` or `1GiB`."
    }
    Secret = {
        "oneOf": [
            {
                "type": "object",
                "properties": { "env": { "type": "string", "pattern": "^[A-Za-z_][A-Za-z0-9_]*$" } },
                "required": ["env"],
                "additionalProperties": false
            },
            {
                "type": "object",
                "properties": { "file": { "type": "string", "minLength": 1 } },
                "required": ["file"],
                "additionalProperties": false
            },
            {
                "type": "object",
                "properties": { "command": { "type": "array", "items": { "type": "string" }, "minItems": 1 } },
                "required": ["command"],
                "additionalProperties": false
            },
            {
                "type": "object",
                "properties": { "keyring": { "type": "string", "minLength": 1 } },
                "required": ["keyring"],
                "additionalProperties": false
            }
        ],
        "description": "Where a secret is looked up at the moment of its use: `{ env = \"NAME\" }`, `{ file = \"PATH\" }` (a file that nobody else may read), `{ command = [\"gh\", \"auth\", \"token\"] }` (10 s and 64 KiB at most) or `{ keyring = \"NAME\" }` (the entry of the desktop's keyring with the attributes `service` = `homing` and `username` = NAME). Never the secret itself."
    }
    Patterns = {
        "type": "array",
        "items": { "type": "string" },
        "description": "A list of patterns in the syntax of `.gitignore`, for example `[\"**/*.md\"]`."
    }
}
