//! Why homingd does not start, and what to do about it.

use std::error::Error;
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use homing_config::ConfigError;
use homing_store::StoreError;

/// What keeps homingd from starting or from going on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The command line makes no sense.
    #[error("{message}")]
    Usage {
        /// What is wrong with it.
        message: String,
    },
    /// There is no valid configuration.
    #[error("{0}")]
    Config(Box<ConfigError>),
    /// Another daemon holds the data directory.
    #[error("another homingd{} holds {}", pid_note(*pid), path.display())]
    Held {
        /// The lock file.
        path: PathBuf,
        /// What the other one wrote into it.
        pid: Option<u32>,
        /// Whether a daemon was to be started; else the directory was wanted for a moment's work.
        starting: bool,
    },
    /// Something answers on the socket already.
    #[error("something answers on {} already", path.display())]
    SocketInUse {
        /// The socket.
        path: PathBuf,
    },
    /// What stands at the socket's path is no socket.
    #[error("{} is not a socket, so it is left alone", path.display())]
    NotASocket {
        /// The path.
        path: PathBuf,
    },
    /// The socket's path does not fit into a socket address.
    #[error("the socket's path is {length} bytes long and may have 107 at most: {}", path.display())]
    SocketPathTooLong {
        /// The path.
        path: PathBuf,
        /// Its bytes.
        length: usize,
    },
    /// A directory of ours is not ours alone.
    #[error("{} {problem}", path.display())]
    Unsafe {
        /// The directory.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
        /// How to mend it.
        remedy: String,
    },
    /// The database cannot be used.
    #[error("could not open the database in {}", data_dir.display())]
    Store {
        /// Where it is.
        data_dir: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A backup was not restored.
    #[error("could not restore {}", file.display())]
    Restore {
        /// The backup.
        file: PathBuf,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// The database has damage.
    #[error("the database in {} is damaged", data_dir.display())]
    Damaged {
        /// Where it is.
        data_dir: PathBuf,
    },
    /// Something of the system failed.
    #[error("{what}")]
    System {
        /// What failed.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn Error + Send + Sync>,
    },
}

impl StartError {
    /// Returns an error for something that the system refused.
    pub(crate) fn system(
        what: impl Into<String>,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self::System {
            what: what.into(),
            source: source.into(),
        }
    }

    /// Returns an error for a path that the system refused.
    pub(crate) fn path(what: &str, path: &Path, source: io::Error) -> Self {
        Self::system(format!("could not {what} {}", path.display()), source)
    }

    /// Returns the exit code, as DESIGN.md section 9 lists them.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::Usage { .. } => 2,
            Self::Config(_) | Self::SocketPathTooLong { .. } => 5,
            Self::Unsafe { .. }
            | Self::Store {
                source: StoreError::ReadOnly { .. },
                ..
            }
            | Self::Restore {
                source: StoreError::ReadOnly { .. },
                ..
            } => 6,
            Self::System { source, .. } if is_refusal(source.as_ref()) => 6,
            Self::Held { .. }
            | Self::SocketInUse { .. }
            | Self::NotASocket { .. }
            | Self::Store { .. }
            | Self::Restore { .. }
            | Self::Damaged { .. }
            | Self::System { .. } => 1,
        }
    }

    /// Returns how to mend it.
    pub(crate) fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Usage { .. } => "`homingd --help` lists what there is".to_owned(),
            Self::Config(error) => error.hint()?,
            // Not another directory: this is about the state in this one.
            Self::Held { pid, starting: false, .. } => {
                let kill = pid.map(|pid| format!("`kill {pid}`, or ")).unwrap_or_default();
                format!("stop it first ({kill}`systemctl --user stop homingd` where systemd started it), then do this again")
            }
            Self::Held { .. } => {
                "use the one that runs (`homing status`), or give this one a data directory of its own with --data-dir".to_owned()
            }
            Self::SocketInUse { .. } => {
                "use the one that runs (`homing status`), or give this one a `socket` of its own in [daemon]".to_owned()
            }
            Self::NotASocket { .. } => "move it away, or set another `socket` in [daemon]".to_owned(),
            Self::SocketPathTooLong { .. } => "set a shorter `socket` in [daemon]".to_owned(),
            Self::Unsafe { remedy, .. } => remedy.clone(),
            Self::Store { source, .. } => store_hint(source)?.to_owned(),
            Self::Restore { source, .. } => match source {
                StoreError::NoBackup { .. } => {
                    "restore a file that `homing db backup` wrote to its end".to_owned()
                }
                other => store_hint(other)?.to_owned(),
            },
            Self::Damaged { .. } => {
                "start homingd: it moves the damaged database aside and rebuilds from origins and targets".to_owned()
            }
            Self::System { source, .. } if is_refusal(source.as_ref()) => {
                "homingd must be able to write its own directories; make them writable, or set another `data_dir` or \
                 `socket` in [daemon]"
                    .to_owned()
            }
            Self::System { .. } => return None,
        };
        Some(hint)
    }

    /// Writes what failed, why, and how to mend it to standard error.
    pub(crate) fn print(&self) {
        let mut text = format!("error: {self}\n");
        let mut cause = self.source();
        while let Some(error) = cause {
            writeln!(text, "  caused by: {error}").expect("a String takes all");
            cause = error.source();
        }
        let hint = self.hint();
        let hint = hint
            .unwrap_or_else(|| "mend what the cause names, then start homingd again".to_owned());
        writeln!(text, "  hint: {hint}").expect("a String takes all");
        // Standard error may be closed; there is nowhere else to complain.
        io::stderr().write_all(text.as_bytes()).unwrap_or_default();
    }
}

/// Returns how a person mends what the store complains of.
pub(crate) fn store_hint(error: &StoreError) -> Option<&'static str> {
    Some(match error {
        StoreError::NewerSchema { .. } => {
            "start the homingd that wrote it, or a newer one; nothing was touched"
        }
        StoreError::ReadOnly { .. } => {
            "make the data directory and the files in it writable for you"
        }
        StoreError::Full { .. } => "free some space on that disk, then start homingd again",
        StoreError::Locked { .. } => {
            "end the other process that has the database open, then start homingd again"
        }
        _ => return None,
    })
}

fn pid_note(pid: Option<u32>) -> String {
    pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default()
}

/// Tells whether the system refuses to write there, by mode or by mount.
fn is_refusal(error: &(dyn Error + 'static)) -> bool {
    let refusals = [
        io::ErrorKind::PermissionDenied,
        io::ErrorKind::ReadOnlyFilesystem,
    ];
    error
        .downcast_ref::<io::Error>()
        .is_some_and(|error| refusals.contains(&error.kind()))
}
