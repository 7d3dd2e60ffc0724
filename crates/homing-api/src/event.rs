//! What happens, as `GET /v1/events` tells it.
//!
//! A stream is server-sent events: `event` is a word of [`Event::name`], `data` a JSON object, `id` is `BOOT_ID:N`.
//! The first is `snapshot`; the numbers of all that follow are contiguous. What a snapshot shows may be told once more
//! after it, for every change carries the whole document and not a difference.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};

use crate::words::words;
use crate::{Conflict, Daemon, Run, RunProgress, Source, Status, Target};

macro_rules! events {
    ($($(#[$doc:meta])* $variant:ident($data:ty) = $name:literal,)+) => {
        /// Something that happened; serialises as its data alone.
        #[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
        #[serde(untagged)]
        pub enum Event {
            $($(#[$doc])* $variant($data),)+
        }

        impl Event {
            /// Every name that this version knows.
            pub const NAMES: &[&str] = &[$($name),+];

            /// Returns its name on the wire.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$variant(_) => $name,)+
                }
            }

            /// Reads an event with `read`, which turns its data into the type that the name asks for; `None` for a
            /// name of a newer daemon.
            pub fn read<E>(name: &str, read: impl ReadData<Error = E>) -> Result<Option<Self>, E> {
                match name {
                    $($name => read.data().map(Self::$variant).map(Some),)+
                    _ => Ok(None),
                }
            }
        }
    };
}

/// Turns the data of an event into a type.
pub trait ReadData {
    /// Why it cannot.
    type Error;

    /// Reads it.
    fn data<T: DeserializeOwned>(self) -> Result<T, Self::Error>;
}

events! {
    /// How everything is: the document of `GET /v1/status`.
    Snapshot(Box<Status>) = "snapshot",
    /// The numbers do not go on from what the client has seen; a snapshot follows.
    Resync(Resync) = "resync",
    /// A run waits for its turn.
    RunQueued(Box<RunChanged>) = "run-queued",
    /// A run began.
    RunStarted(Box<RunChanged>) = "run-started",
    /// A run came into another phase.
    RunPhase(RunMoved) = "run-phase",
    /// A run moved on within its phase; a few times a second at most.
    RunProgress(RunMoved) = "run-progress",
    /// A run ended. Without items.
    RunFinished(Box<RunChanged>) = "run-finished",
    /// A source is in another state or condition than before.
    Source(Box<SourceChanged>) = "source",
    /// A target is in another state than before.
    Target(Box<TargetChanged>) = "target",
    /// Conflicts came or went.
    Conflicts(ConflictsChanged) = "conflicts",
    /// The daemon as a whole is in another condition than before.
    Daemon(DaemonChanged) = "daemon",
    /// Something that a person did or should know.
    Notice(Announcement) = "notice",
}

/// One event of a stream as a line of JSON tells it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EventLine<'a> {
    /// `BOOT_ID:N`; `resync` has none.
    pub id: Option<&'a str>,
    /// [`Event::name`].
    pub event: &'a str,
    /// Its data.
    pub data: &'a Event,
}

/// A run at one moment of its life.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct RunChanged {
    /// When that was.
    pub at: String,
    /// The run, without items.
    pub run: Run,
}

/// Where a run is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RunMoved {
    /// When that was.
    pub at: String,
    /// Its number.
    pub run: i64,
    /// Its source, unless it is a target's own.
    #[serde(default)]
    pub source: Option<String>,
    /// Its target, when it is a target's own.
    #[serde(default)]
    pub target: Option<String>,
    /// Phase, items and bytes.
    pub progress: RunProgress,
}

/// A source that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SourceChanged {
    /// When that was noticed.
    pub at: String,
    /// The source as it is.
    pub source: Source,
}

/// A target that changed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct TargetChanged {
    /// When that was noticed.
    pub at: String,
    /// The target as it is.
    pub target: Target,
}

/// The daemon, changed as a whole.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct DaemonChanged {
    /// When that was noticed.
    pub at: String,
    /// The daemon as it is.
    pub daemon: Daemon,
}

/// Conflicts that came or went.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ConflictsChanged {
    /// When that was noticed.
    pub at: String,
    /// The new ones.
    #[serde(default)]
    pub opened: Vec<Conflict>,
    /// Those that are gone.
    #[serde(default)]
    pub closed: Vec<Conflict>,
    /// So many more came or went that are not listed.
    #[serde(default)]
    pub more: u64,
}

/// Why the numbers do not go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Resync {
    /// Why.
    pub reason: ResyncReason,
}

words! {
    /// Why the numbers do not go on.
    ResyncReason {
        /// The daemon is another one than the client has listened to.
        Restarted = "restarted",
        /// What happened meanwhile is not kept any more.
        Gap = "gap",
    }
}

/// Something that a person did or should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Announcement {
    /// When that was.
    pub at: String,
    /// What happened.
    pub kind: AnnouncementKind,
    /// The source that it is about, if it is about one.
    #[serde(default)]
    pub source: Option<String>,
    /// A sentence.
    pub message: String,
}

words! {
    /// What an announcement is about.
    AnnouncementKind {
        /// Another configuration is in force.
        ConfigReloaded = "config-reloaded",
        /// A changed configuration is not valid, so the old one stays in force.
        ConfigRejected = "config-rejected",
        /// The schedule stands still.
        Paused = "paused",
        /// The schedule goes on.
        Resumed = "resumed",
        /// The daemon ends, and the stream with it.
        ShuttingDown = "shutting-down",
    }
}

/// Query of `GET /v1/events`.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub struct EventsQuery {
    /// Whether the stream goes on; else it ends after a snapshot and what is kept of the past. True unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Json(&'static str);

    impl ReadData for Json {
        type Error = serde_json::Error;

        fn data<T: DeserializeOwned>(self) -> Result<T, serde_json::Error> {
            serde_json::from_str(self.0)
        }
    }

    #[test]
    fn an_event_is_read_by_its_name_and_written_without_it() {
        let data = r#"{"at":"2026-01-02T03:04:05.678Z","kind":"paused","source":"team","message":"until noon"}"#;
        let event = Event::read("notice", Json(data)).unwrap().unwrap();
        assert_eq!(event.name(), "notice");
        assert_eq!(serde_json::to_string(&event).unwrap(), data);
        let line = EventLine {
            id: Some("b:7"),
            event: event.name(),
            data: &event,
        };
        let line = serde_json::to_string(&line).unwrap();
        assert!(
            line.starts_with(r#"{"id":"b:7","event":"notice","data":{"at":"#),
            "{line}"
        );
    }

    #[test]
    fn an_event_of_a_newer_daemon_is_passed_over_and_a_wrong_one_is_an_error() {
        assert_eq!(Event::read("eclipse", Json("[]")).unwrap(), None);
        assert!(Event::read("resync", Json("{}")).is_err());
        let newer = Event::read("resync", Json(r#"{"reason":"eclipse","more":1}"#));
        let Some(Event::Resync(resync)) = newer.unwrap() else {
            panic!("it is a resync")
        };
        assert_eq!(resync.reason.as_str(), "eclipse");
    }
}
