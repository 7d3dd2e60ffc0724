//! Why the daemon could not be asked, or what it answered.

use std::error::Error;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use homing_api::{Exit, Problem, ProblemKind};

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens.
    #[error("homingd is not running")]
    NotRunning {
        /// The socket.
        socket: PathBuf,
        /// Another socket on which homingd answers: the configuration was another one when it started.
        elsewhere: Option<PathBuf>,
        /// How that was noticed.
        #[source]
        source: io::Error,
    },
    /// The socket is not one to speak to, or may not be used.
    #[error("{message}")]
    Forbidden {
        /// What is wrong with it.
        message: String,
        /// How to mend it.
        hint: String,
    },
    /// The daemon answered with an error.
    #[error("{}", .0.detail)]
    Problem(Box<Problem>),
    /// The daemon did not answer in time.
    #[error("homingd did not answer within {after:?}")]
    Timeout {
        /// How long it was waited for.
        after: Duration,
    },
    /// The daemon ended, or closed the connection, before its answer was whole.
    #[error("homingd ended before it had answered")]
    CutOff {
        /// How that was noticed.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// The answer is none that this version understands.
    #[error("the answer of homingd could not be understood")]
    Protocol {
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
    /// What the daemon sent could not be written to where it was to go.
    #[error("what homingd sent could not be written")]
    Output {
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl ClientError {
    /// Returns how the command line ends.
    pub fn exit(&self) -> Exit {
        match self {
            Self::NotRunning { .. } | Self::Timeout { .. } | Self::CutOff { .. } => {
                Exit::Unreachable
            }
            Self::Forbidden { .. } => Exit::Permission,
            Self::Problem(problem) => problem.kind.exit(),
            Self::Protocol { .. } | Self::Output { .. } => Exit::Failed,
        }
    }

    /// Returns what kind of error it is.
    pub fn kind(&self) -> ProblemKind {
        match self {
            Self::NotRunning { .. } => ProblemKind::NotRunning,
            Self::Timeout { .. } => ProblemKind::Timeout,
            Self::CutOff { .. } => ProblemKind::CutOff,
            Self::Forbidden { .. } => ProblemKind::Forbidden,
            Self::Problem(problem) => problem.kind.clone(),
            Self::Protocol { .. } => ProblemKind::Protocol,
            Self::Output { .. } => ProblemKind::Storage,
        }
    }

    /// Returns how to mend it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NotRunning {
                elsewhere: Some(old),
                ..
            } => Some(format!(
                "homingd answers on `{0}`, where the socket was when it started: restart it to move it, or use --socket {0}",
                old.display()
            )),
            Self::Forbidden { hint, .. } => Some(hint.clone()),
            Self::Problem(problem) => problem.hint.clone(),
            Self::Timeout { .. } => {
                Some("see what it does in its log, or wait longer with --timeout".to_owned())
            }
            Self::Output { .. } => Some("free some space there, or write elsewhere".to_owned()),
            Self::NotRunning { .. } | Self::CutOff { .. } | Self::Protocol { .. } => {
                Some(self.kind().remedy().to_owned())
            }
        }
    }

    /// Returns the causes, outermost first.
    pub fn causes(&self) -> Vec<String> {
        if let Self::Problem(problem) = self {
            return problem.causes.clone();
        }
        let mut causes = Vec::new();
        if let Self::NotRunning { socket, source, .. } = self {
            causes.push(format!("`{}`: {source}", socket.display()));
            return causes;
        }
        let mut cause = self.source();
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        causes
    }
}

impl From<Problem> for ClientError {
    fn from(problem: Problem) -> Self {
        Self::Problem(Box::new(problem))
    }
}
