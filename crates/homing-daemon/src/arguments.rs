//! What homingd is started with.

use std::ffi::OsString;
use std::path::PathBuf;

use homing_config::LogFormat;

use crate::start::StartError;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
homingd keeps the configured sources in step with their targets and answers `homing` on a Unix socket.

Usage: homingd [OPTIONS]

Options:
      --config FILE        Reads this configuration instead of the user's own
      --data-dir DIR       Keeps the database and contents there
      --log-format FORMAT  How log lines are written: text or json
      --check-store        Checks the database, prints what it finds, and ends
      --check-sources      Lists the sources that standard input names (JSON, see `homing source check`), prints
                           what it finds, and ends
      --restore-store FILE
                           Replaces the state by a backup (`-`: from standard input), and ends
      --json               Prints JSON, with --check-store or --restore-store
  -h, --help               Prints this help
  -V, --version            Prints the version
";

/// What the process is to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Action {
    /// Be the daemon.
    #[default]
    Serve,
    /// Check the database.
    CheckStore,
    /// Look at sources.
    CheckSources,
    /// Replace the state by a backup.
    RestoreStore,
    /// Print the version.
    Version,
    /// Print the help.
    Help,
}

/// The command line, taken apart.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Arguments {
    /// What to do.
    pub(crate) action: Action,
    /// Another configuration file.
    pub(crate) config: Option<PathBuf>,
    /// Another data directory.
    pub(crate) data_dir: Option<PathBuf>,
    /// How the log is written, whatever the configuration says.
    pub(crate) log_format: Option<LogFormat>,
    /// The backup to restore; `-` is standard input.
    pub(crate) backup: PathBuf,
    /// Whether what is printed is JSON.
    pub(crate) json: bool,
}

impl Arguments {
    /// Takes `arguments` apart; the program's own name is not among them.
    pub(crate) fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, StartError> {
        let mut parsed = Self::default();
        let mut rest = arguments.into_iter();
        while let Some(argument) = rest.next() {
            let text = argument.to_string_lossy().into_owned();
            let (flag, given) = match text.split_once('=') {
                Some((flag, _)) if flag.starts_with("--") => {
                    (flag.to_owned(), value_after_equals(&argument))
                }
                _ => (text.clone(), None),
            };
            let mut value = |given: Option<OsString>| {
                given
                    .or_else(|| rest.next())
                    .filter(|value| !value.is_empty())
                    .map(PathBuf::from)
                    .ok_or_else(|| StartError::Usage {
                        message: format!("`{flag}` needs a value"),
                    })
            };
            match flag.as_str() {
                "--config" => parsed.config = Some(value(given)?),
                "--data-dir" => parsed.data_dir = Some(value(given)?),
                "--log-format" => {
                    let word = value(given)?.to_string_lossy().into_owned();
                    parsed.log_format = Some(log_format(&flag, &word)?);
                }
                "--restore-store" => {
                    parsed.action = Action::RestoreStore;
                    parsed.backup = value(given)?;
                }
                "--json" if given.is_none() => parsed.json = true,
                "--check-store" if given.is_none() => parsed.action = Action::CheckStore,
                "--check-sources" if given.is_none() => parsed.action = Action::CheckSources,
                "-V" | "--version" if given.is_none() => parsed.action = Action::Version,
                "-h" | "--help" if given.is_none() => parsed.action = Action::Help,
                _ => {
                    return Err(StartError::Usage {
                        message: format!("unexpected argument `{}`", text.escape_debug()),
                    });
                }
            }
        }
        Ok(parsed)
    }
}

/// Reads how the log is written; `name` says where it was given.
pub(crate) fn log_format(name: &str, word: &str) -> Result<LogFormat, StartError> {
    let known = LogFormat::WORDS.iter().find(|(known, _)| *known == word);
    known
        .map(|(_, format)| *format)
        .ok_or_else(|| StartError::Usage {
            message: format!(
                "`{name}` is `text` or `json`, not `{}`",
                word.escape_debug()
            ),
        })
}

/// Returns what follows the first `=`, byte for byte: a path need not be UTF-8.
fn value_after_equals(argument: &OsString) -> Option<OsString> {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};

    let bytes = argument.as_bytes();
    let at = bytes.iter().position(|byte| *byte == b'=')?;
    Some(OsString::from_vec(bytes[at + 1..].to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(arguments: &[&str]) -> Result<Arguments, StartError> {
        Arguments::parse(arguments.iter().map(OsString::from))
    }

    #[test]
    fn values_come_after_a_space_or_an_equals_sign() {
        let both = Arguments {
            action: Action::Serve,
            config: Some("a=b.toml".into()),
            data_dir: Some("d".into()),
            log_format: Some(LogFormat::Json),
            ..Arguments::default()
        };
        assert_eq!(
            parse(&["--config", "a=b.toml", "--data-dir=d", "--log-format=json"]).unwrap(),
            both
        );
        assert_eq!(
            parse(&[
                "--config=a=b.toml",
                "--data-dir",
                "d",
                "--log-format",
                "json"
            ])
            .unwrap(),
            both
        );
    }

    #[test]
    fn actions_are_told_apart() {
        assert_eq!(parse(&[]).unwrap().action, Action::Serve);
        assert_eq!(
            parse(&["--check-store"]).unwrap().action,
            Action::CheckStore
        );
        assert_eq!(
            parse(&["--check-sources"]).unwrap().action,
            Action::CheckSources
        );
        let restore = parse(&["--restore-store", "-", "--json"]).unwrap();
        assert_eq!(restore.action, Action::RestoreStore);
        assert!(restore.json && restore.backup.as_os_str() == "-");
        assert_eq!(parse(&["-V"]).unwrap().action, Action::Version);
        assert_eq!(parse(&["--help"]).unwrap().action, Action::Help);
    }

    #[test]
    fn what_is_not_known_or_incomplete_is_refused() {
        for wrong in [
            &["--confg", "x"][..],
            &["--config"],
            &["--config="],
            &["--log-format=xml"],
            &["--restore-store"],
            &["serve"],
            &["--version=1"],
            &["\u{1b}[2J"],
        ] {
            let error = parse(wrong).unwrap_err();
            assert!(
                matches!(error, StartError::Usage { .. }),
                "{wrong:?}: {error:?}"
            );
            assert!(!error.to_string().contains('\u{1b}'), "{error}");
        }
    }
}
