//! How errors are told: each has its word, keeps its causes, and says how to mend what a person can mend.

use std::time::Duration;

use homing_core::{RunId, SideError, SourceId, TargetId};
use homing_engine::{EngineError, FAILURE_KINDS};

fn io() -> Box<dyn std::error::Error + Send + Sync> {
    std::io::Error::other("the cause").into()
}

fn said(word: &str) -> String {
    format!("it said {word}")
}

/// Returns every error of a side with its word and a word of its hint.
fn of_sides() -> Vec<(SideError, &'static str, &'static str)> {
    let message = || said("so");
    vec![
        (
            SideError::Transient {
                message: message(),
                retry_after: None,
                source: Some(io()),
            },
            "transient",
            "try it again",
        ),
        (
            SideError::Auth {
                message: message(),
                source: Some(io()),
            },
            "auth",
            "access",
        ),
        (
            SideError::NotFound {
                message: message(),
                source: Some(io()),
            },
            "not-found",
            "mounted",
        ),
        (
            SideError::RateLimited {
                message: message(),
                wait: Duration::from_secs(3),
            },
            "rate-limited",
            "try it again",
        ),
        (
            SideError::Conflict { message: message() },
            "conflict",
            "stands in the way",
        ),
        (
            SideError::Changed {
                key: "a/b".to_owned(),
            },
            "changed",
            "when nothing writes",
        ),
        (
            SideError::Untrusted { message: message() },
            "untrusted",
            "limits",
        ),
        (
            SideError::Storage {
                message: message(),
                source: Some(io()),
            },
            "storage",
            "free space",
        ),
        (
            SideError::Config { message: message() },
            "config",
            "config.toml",
        ),
        (SideError::Cancelled, "cancelled", ""),
        (
            SideError::Permanent {
                message: message(),
                source: Some(io()),
            },
            "permanent",
            "",
        ),
    ]
}

#[tokio::test]
async fn every_error_has_its_word_and_its_remedy() {
    let source = || "team".parse::<SourceId>().unwrap();
    let died = tokio::task::spawn_blocking(|| panic!("on purpose"))
        .await
        .unwrap_err();
    let second = Duration::from_secs(1);
    let mut errors = vec![
        (
            EngineError::UnknownSource(source()),
            "unknown-source",
            "`homing status`",
        ),
        (
            EngineError::UnknownTarget("claude".parse::<TargetId>().unwrap()),
            "unknown-target",
            "`homing status`",
        ),
        (
            EngineError::UnknownRun(RunId(7)),
            "unknown-run",
            "`homing history`",
        ),
        (
            EngineError::NothingToUndo,
            "nothing-to-undo",
            "`homing history`",
        ),
        (
            EngineError::Disabled(source()),
            "disabled",
            "`homing source enable ",
        ),
        (EngineError::ShuttingDown, "shutting-down", "is back"),
        (EngineError::Stalled(second), "stalled", "stall_timeout"),
        (EngineError::TimedOut(second), "timeout", "run_timeout"),
        (EngineError::Cancelled, "cancelled", ""),
        (
            EngineError::RebuildPending(3),
            "rebuild-pending",
            "accept-rebuild",
        ),
        (EngineError::Task(died), "internal", "log"),
        (EngineError::Panicked(said("no")), "internal", "log"),
    ];
    for (error, kind, hint) in of_sides() {
        errors.push((EngineError::Side(error), kind, hint));
    }
    for (error, kind, hint) in errors {
        let failure = error.failure();
        assert_eq!(failure.kind, kind, "{error:?}");
        assert!(FAILURE_KINDS.contains(&kind), "{kind} is no known word");
        assert!(!failure.message.is_empty(), "{error:?}");
        match &failure.hint {
            Some(told) => assert!(!hint.is_empty() && told.contains(hint), "{kind}: {told}"),
            None => assert!(hint.is_empty(), "{kind} has no remedy"),
        }
        let has_cause = matches!(
            error,
            EngineError::Side(
                SideError::Transient { .. }
                    | SideError::Auth { .. }
                    | SideError::NotFound { .. }
                    | SideError::Storage { .. }
                    | SideError::Permanent { .. }
            )
        );
        if has_cause {
            assert_eq!(failure.causes, ["the cause"], "{kind}");
            assert!(!failure.message.contains("the cause"), "{failure:?}");
        }
    }
}
