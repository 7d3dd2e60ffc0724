//! Errors of this program, brought into the form that the daemon's have.

use std::io;

use homing_api::{Exit, Problem, ProblemKind};
use homing_client::ClientError;
use homing_config::{ConfigError, EditError};

/// Why a command did not do its work.
#[derive(Debug)]
pub(crate) enum CliError {
    /// The daemon could not be asked, or said no.
    Client(ClientError),
    /// There is no valid configuration.
    Config(ConfigError),
    /// The configuration was not edited.
    Edit(Box<EditError>),
    /// Something else.
    Own(Box<Problem>),
}

impl CliError {
    /// Returns how the command line ends.
    pub(crate) fn exit(&self) -> Exit {
        match self {
            Self::Client(error) => error.exit(),
            Self::Config(_) => Exit::Config,
            Self::Edit(error) => of_edit(error).kind.exit(),
            Self::Own(problem) => problem.kind.exit(),
        }
    }

    /// Returns it as the daemon would tell it, with a hint in any case.
    pub(crate) fn problem(&self) -> Problem {
        let problem = match self {
            Self::Client(ClientError::Problem(problem)) | Self::Own(problem) => {
                problem.as_ref().clone()
            }
            Self::Client(error) => {
                let mut problem =
                    Problem::new(error.kind(), error.to_string()).with_causes(error.causes());
                problem.hint = error.hint();
                problem
            }
            Self::Config(error) => of_config(error),
            Self::Edit(error) => of_edit(error),
        };
        problem.with_some_hint()
    }

    /// Returns what is wrong with the configuration, with its lines and a caret below each place.
    pub(crate) fn report(&self) -> Option<String> {
        let error = match self {
            Self::Config(error) => error,
            Self::Edit(error) => match error.as_ref() {
                EditError::Invalid(error) | EditError::Unreadable(error) => error,
                _ => return None,
            },
            _ => return None,
        };
        matches!(error, ConfigError::Invalid { .. }).then(|| error.report())
    }
}

fn of_edit(error: &EditError) -> Problem {
    let kind = match error {
        EditError::Unreadable(inner) | EditError::Invalid(inner) => {
            let mut problem = of_config(inner);
            let detail = std::mem::replace(&mut problem.detail, error.to_string());
            if !matches!(inner, ConfigError::Invalid { .. }) {
                problem.causes.insert(0, detail);
            }
            return problem;
        }
        EditError::Exists { .. } => ProblemKind::Rejected,
        EditError::Unknown { section, .. } if section.starts_with("[targets.") => {
            ProblemKind::UnknownTarget
        }
        EditError::Unknown { .. } => ProblemKind::UnknownSource,
        EditError::Busy { .. } | EditError::Changed => ProblemKind::Busy,
        EditError::Write { source, .. } if is_refusal(source) => ProblemKind::Forbidden,
        EditError::Write { .. } => ProblemKind::Storage,
    };
    let mut problem = Problem::new(kind, error.to_string());
    if let EditError::Write {
        source, written, ..
    } = error
    {
        problem.causes.push(source.to_string());
        let written = written
            .iter()
            .map(|path| format!("`{}` is written already", path.display()));
        problem.causes.extend(written);
    }
    problem.hint = error.hint();
    problem
}

fn is_refusal(error: &io::Error) -> bool {
    use io::ErrorKind::{PermissionDenied, ReadOnlyFilesystem};

    matches!(error.kind(), PermissionDenied | ReadOnlyFilesystem)
}

fn of_config(error: &ConfigError) -> Problem {
    let mut problem = match error {
        ConfigError::Invalid { diagnostics } => {
            let causes = diagnostics.iter().map(ToString::to_string).collect();
            Problem::new(ProblemKind::ConfigInvalid, "the configuration is not valid")
                .with_causes(causes)
        }
        ConfigError::Read { source, .. } => {
            Problem::new(ProblemKind::ConfigInvalid, error.to_string())
                .with_causes(vec![source.to_string()])
        }
        _ => Problem::new(ProblemKind::ConfigInvalid, error.to_string()),
    };
    problem.hint = error.hint();
    problem
}

impl From<ClientError> for CliError {
    fn from(error: ClientError) -> Self {
        Self::Client(error)
    }
}

impl From<ConfigError> for CliError {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

impl From<EditError> for CliError {
    fn from(error: EditError) -> Self {
        Self::Edit(Box::new(error))
    }
}

impl From<Problem> for CliError {
    fn from(problem: Problem) -> Self {
        Self::Own(Box::new(problem))
    }
}

impl From<Box<Problem>> for CliError {
    fn from(problem: Box<Problem>) -> Self {
        Self::Own(problem)
    }
}

impl From<io::Error> for CliError {
    fn from(error: io::Error) -> Self {
        Problem::new(
            ProblemKind::Internal,
            "the program could not start its work",
        )
        .with_causes(vec![error.to_string()])
        .with_hint(
            "see whether this user may open more files and start more processes (`ulimit -a`)",
        )
        .into()
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    #[test]
    fn every_error_has_its_exit_code() {
        let not_running = ClientError::NotRunning {
            socket: PathBuf::from("/s"),
            elsewhere: None,
            source: io::Error::from(io::ErrorKind::NotFound),
        };
        let forbidden = ClientError::Forbidden {
            message: "no".to_owned(),
            hint: "so".to_owned(),
        };
        for (error, code) in [
            (CliError::from(not_running), 4),
            (CliError::from(forbidden), 6),
            (CliError::from(ConfigError::NoHome), 5),
            (
                CliError::from(ConfigError::Missing {
                    path: PathBuf::from("/c"),
                }),
                5,
            ),
            (
                CliError::from(Problem::new(ProblemKind::UnknownRun, "x")),
                8,
            ),
            (CliError::from(Problem::new(ProblemKind::Guard, "x")), 7),
            (CliError::from(io::Error::other("x")), 1),
        ] {
            assert_eq!(error.exit().code(), code, "{error:?}");
            assert!(error.problem().hint.is_some(), "{error:?}");
        }
    }
}
