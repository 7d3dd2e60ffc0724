//! Errors on the wire: RFC 9457 with a closed list of kinds.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::openapi::{ObjectBuilder, RefOr, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// How the command line ends. The numbers stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Exit {
    /// All was done.
    Done = 0,
    /// It failed.
    Failed = 1,
    /// The command line is wrong.
    Usage = 2,
    /// Some items failed.
    Partial = 3,
    /// The daemon cannot be reached.
    Unreachable = 4,
    /// The configuration is wrong.
    Config = 5,
    /// Permission or credentials are missing.
    Permission = 6,
    /// Conflicts or a blocked plan wait for the user.
    Waiting = 7,
    /// No such source, target, run or path.
    Unknown = 8,
    /// Ctrl-C ended it, as every shell says that.
    Interrupted = 130,
}

impl Exit {
    /// Returns the number.
    pub fn code(self) -> u8 {
        self as u8
    }

    /// Returns how a process ended that ends as ours do; [`Exit::Failed`] when it was killed or the number is unknown.
    pub fn of_code(code: Option<i32>) -> Self {
        let all = [
            Self::Done,
            Self::Usage,
            Self::Partial,
            Self::Unreachable,
            Self::Config,
            Self::Permission,
            Self::Waiting,
            Self::Unknown,
        ];
        let is_it = |exit: &Self| code == Some(i32::from(exit.code()));
        all.into_iter().find(is_it).unwrap_or(Self::Failed)
    }
}

macro_rules! kinds {
    ($($(#[$doc:meta])* $variant:ident = $word:literal, $status:literal, $exit:ident, $title:literal;)+) => {
        /// What kind of error it is; decides the exit code.
        #[derive(Debug, Clone, PartialEq, Eq, Hash)]
        pub enum ProblemKind {
            $($(#[$doc])* $variant,)+
            /// A word of a newer daemon.
            Other(String),
        }

        impl ProblemKind {
            /// Every kind that this version knows.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// Returns the word on the wire.
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $word,)+
                    Self::Other(word) => word,
                }
            }

            /// Returns the HTTP status that an answer of this kind carries.
            pub fn status(&self) -> u16 {
                match self {
                    $(Self::$variant => $status,)+
                    Self::Other(_) => 500,
                }
            }

            /// Returns how the command line ends.
            pub fn exit(&self) -> Exit {
                match self {
                    $(Self::$variant => Exit::$exit,)+
                    Self::Other(_) => Exit::Failed,
                }
            }

            /// Returns a short title, the same for every problem of this kind.
            pub fn title(&self) -> &str {
                match self {
                    $(Self::$variant => $title,)+
                    Self::Other(word) => word,
                }
            }
        }

        impl From<&str> for ProblemKind {
            fn from(word: &str) -> Self {
                match word {
                    $($word => Self::$variant,)+
                    other => Self::Other(other.to_owned()),
                }
            }
        }
    };
}

kinds! {
    /// It may work later by itself.
    Transient = "transient", 503, Failed, "It may work later";
    /// Nothing answers at all.
    Unreachable = "unreachable", 503, Failed, "The far side could not be reached";
    /// Permission or credentials are missing.
    Auth = "auth", 502, Permission, "Permission or credentials are missing";
    /// The secret that the configuration names is not where it says.
    Credentials = "credentials", 502, Permission, "A secret is missing";
    /// The far side does not have what was asked for, or its root is missing.
    NotFound = "not-found", 502, Failed, "The source does not have it";
    /// The far side will not answer for a while.
    RateLimited = "rate-limited", 503, Failed, "The source asks to wait";
    /// A person must decide.
    Conflict = "conflict", 409, Waiting, "A conflict is open";
    /// An item changed meanwhile; nothing was done to it.
    Changed = "changed", 409, Failed, "It changed meanwhile";
    /// The source sent what it must not send.
    Untrusted = "untrusted", 502, Failed, "The source sent what it must not";
    /// The disk or the database of this machine fails.
    Storage = "storage", 500, Failed, "Storage failed";
    /// The configuration asks for what cannot be.
    Config = "config", 422, Config, "The configuration cannot be followed";
    /// Nothing answers on the socket; only clients say so.
    NotRunning = "not-running", 503, Unreachable, "homingd is not running";
    /// homingd ended before its answer was whole; only clients say so.
    CutOff = "cut-off", 503, Unreachable, "homingd ended before it had answered";
    /// The answer is none that the client understands; only clients say so.
    Protocol = "protocol", 502, Failed, "The answer could not be understood";
    /// Somebody, or a shutdown, ended it.
    Cancelled = "cancelled", 409, Failed, "Cancelled";
    /// It would fail again in the same way.
    Permanent = "permanent", 500, Failed, "It failed";
    /// A plan would delete a lot and waits for a person.
    Guard = "guard", 409, Waiting, "The plan deletes a lot and waits";
    /// The source's directory is another one than before, and a person must say whether that is meant.
    RootChanged = "root-changed", 409, Waiting, "It is another directory than before";
    /// The source's directory is empty, and it was not before.
    RootEmpty = "root-empty", 409, Waiting, "The directory is empty";
    /// The database was rebuilt; deletions and pushes wait for a person.
    RebuildPending = "rebuild-pending", 409, Waiting, "The rebuilt database waits for a look";
    /// A run did not move for too long.
    Stalled = "stalled", 504, Failed, "It did not move";
    /// A run did not move for too long, or took too long.
    Timeout = "timeout", 504, Failed, "It took too long";
    /// The process died under a run.
    Interrupted = "interrupted", 500, Failed, "It was interrupted";
    /// The queue is full.
    Busy = "busy", 429, Failed, "The queue is full";
    /// The source is disabled.
    Disabled = "disabled", 409, Failed, "The source is disabled";
    /// The daemon is on its way out.
    ShuttingDown = "shutting-down", 503, Unreachable, "homingd is shutting down";
    /// Repairs after the last stop are under way, or the engine is not up.
    NotReady = "not-ready", 503, Failed, "homingd is not ready";
    /// No source has that name.
    UnknownSource = "unknown-source", 404, Unknown, "No such source";
    /// No target has that name.
    UnknownTarget = "unknown-target", 404, Unknown, "No such target";
    /// No run has that number.
    UnknownRun = "unknown-run", 404, Unknown, "No such run";
    /// No open conflict has that number.
    UnknownConflict = "unknown-conflict", 404, Unknown, "No such conflict";
    /// No target holds that path, or no source that item.
    UnknownPath = "unknown-path", 404, Unknown, "No such path";
    /// The history knows no such revision of the source.
    UnknownRevision = "unknown-revision", 404, Unknown, "No such revision";
    /// No run changed anything that could be put back.
    NothingToUndo = "nothing-to-undo", 404, Unknown, "Nothing to undo";
    /// The request cannot be carried out as it is.
    Rejected = "rejected", 409, Failed, "The request cannot be carried out";
    /// The request is not what the interface takes.
    BadRequest = "bad-request", 400, Usage, "The request is not valid";
    /// The body is over the limit.
    TooLarge = "too-large", 413, Usage, "The request is too large";
    /// The body is of a type that the request does not take.
    UnsupportedMediaType = "unsupported-media-type", 415, Usage, "The body is of another type";
    /// The path has no such method.
    MethodNotAllowed = "method-not-allowed", 405, Failed, "No such method";
    /// The interface has no such path.
    UnknownRoute = "unknown-route", 404, Failed, "No such route";
    /// Client and daemon speak no common version of the interface.
    VersionSkew = "version-skew", 412, Failed, "The versions do not fit together";
    /// The peer may not ask.
    Forbidden = "forbidden", 403, Permission, "Not allowed";
    /// A defect of Homing.
    Internal = "internal", 500, Failed, "Internal error";
    /// The daemon runs without a valid configuration.
    ConfigInvalid = "config-invalid", 503, Config, "The configuration is not valid";
}

impl PartialSchema for ProblemKind {
    fn schema() -> RefOr<Schema> {
        let lines = Self::ALL
            .iter()
            .map(|kind| format!("* `{kind}`, HTTP {}: {}", kind.status(), kind.title()));
        let description =
            std::iter::once("What kind of error it is. The list is closed.\n".to_owned())
                .chain(lines)
                .collect::<Vec<_>>()
                .join("\n");
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some(description))
            .enum_values(Some(Self::ALL.iter().map(Self::as_str)))
            .into()
    }
}

impl ToSchema for ProblemKind {}

impl fmt::Display for ProblemKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Serialize for ProblemKind {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ProblemKind {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let word = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Ok(Self::from(word.as_ref()))
    }
}

/// An error answer, `application/problem+json`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Problem {
    /// `urn:homing:problem:KIND`.
    #[serde(rename = "type")]
    pub type_uri: String,
    /// What kind.
    pub kind: ProblemKind,
    /// Short, the same for every problem of this kind.
    pub title: String,
    /// The HTTP status.
    pub status: u16,
    /// What failed, in a sentence without a full stop.
    pub detail: String,
    /// Why, outermost first.
    #[serde(default)]
    pub causes: Vec<String>,
    /// How to mend it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// The source that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// The run that it is about.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run: Option<i64>,
}

impl Problem {
    /// The content type of an error answer.
    pub const CONTENT_TYPE: &str = "application/problem+json";

    /// Returns a problem of `kind` without causes.
    pub fn new(kind: ProblemKind, detail: impl Into<String>) -> Self {
        Self {
            type_uri: format!("urn:homing:problem:{kind}"),
            title: kind.title().to_owned(),
            status: kind.status(),
            kind,
            detail: detail.into(),
            causes: Vec::new(),
            hint: None,
            source: None,
            run: None,
        }
    }

    /// Returns it with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Returns it with its causes, outermost first.
    #[must_use]
    pub fn with_causes(mut self, causes: Vec<String>) -> Self {
        self.causes = causes;
        self
    }

    /// Returns it with the source that it is about.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<String>) -> Self {
        self.source = Some(source.into());
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_round_trips_and_has_a_fitting_status() {
        for kind in ProblemKind::ALL {
            assert_eq!(&ProblemKind::from(kind.as_str()), kind);
            assert!((400..600).contains(&kind.status()), "{kind}");
            assert_ne!(kind.exit(), Exit::Done, "{kind}");
        }
    }

    #[test]
    fn exit_codes_are_those_of_the_contract() {
        for (kind, code) in [
            ("transient", 1),
            ("unreachable", 1),
            ("auth", 6),
            ("forbidden", 6),
            ("conflict", 7),
            ("guard", 7),
            ("config", 5),
            ("config-invalid", 5),
            ("unknown-source", 8),
            ("unknown-target", 8),
            ("unknown-run", 8),
            ("unknown-path", 8),
            ("unknown-conflict", 8),
            ("bad-request", 2),
            ("shutting-down", 4),
            ("not-running", 4),
            ("cut-off", 4),
            ("protocol", 1),
            ("root-changed", 7),
            ("root-empty", 7),
            ("a-word-of-a-newer-daemon", 1),
        ] {
            assert_eq!(ProblemKind::from(kind).exit().code(), code, "{kind}");
        }
    }

    #[test]
    fn a_problem_has_the_fields_of_the_contract() {
        let mut problem = Problem::new(ProblemKind::Auth, "could not sync source `team`")
            .with_causes(vec!["git.example.org refused the credentials".to_owned()])
            .with_hint("set the token")
            .with_source("team");
        problem.run = Some(7);
        assert_eq!(
            serde_json::to_value(&problem).unwrap(),
            serde_json::json!({
                "type": "urn:homing:problem:auth",
                "kind": "auth",
                "title": "Permission or credentials are missing",
                "status": 502,
                "detail": "could not sync source `team`",
                "causes": ["git.example.org refused the credentials"],
                "hint": "set the token",
                "source": "team",
                "run": 7,
            })
        );
    }
}
