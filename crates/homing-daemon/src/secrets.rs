//! Secrets, looked up at the moment of their use: in the environment, a file, what a command prints, the keyring.
//!
//! What is found is a [`SecretString`], which prints as nothing. No error repeats any of it, nor what a command said.

mod command;
mod file;
mod keyring;

use std::io;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::Duration;

use homing_api::{Failure, ProblemKind};
use homing_config::{Env, SecretSource, read_variable};
use secrecy::SecretString;

/// No secret is longer.
const MAX_BYTES: usize = 64 * 1024;
/// How long a file or the keyring may take; a person may have to unlock it.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why there is no secret.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SecretError {
    /// The variable is not set.
    #[error("the variable {name} is not set")]
    Unset { name: String },
    /// There is nothing in it.
    #[error("{place} is empty")]
    Empty { place: SecretSource },
    /// It is not one line of text.
    #[error("{place} holds no secret: it is not one line of text")]
    NotALine { place: SecretSource },
    /// It is too much.
    #[error("{place} holds no secret: it is longer than 64 KiB")]
    TooLong { place: SecretSource },
    /// The file cannot be read.
    #[error("{} could not be read", path.display())]
    Unreadable {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    /// It is a directory, a pipe or the like.
    #[error("{} is not a regular file", path.display())]
    NotAFile { path: PathBuf },
    /// Others may read it.
    #[error("others may read {} (mode {mode:03o}), so what is in it is no secret", path.display())]
    Open { path: PathBuf, mode: u32 },
    /// It is another user's.
    #[error("{} belongs to another user (uid {uid})", path.display())]
    Foreign { path: PathBuf, uid: u32 },
    /// The command could not be started.
    #[error("the command `{program}` could not be started")]
    NotStarted {
        program: String,
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error(
        "the command `{program}` failed: {status}; what it said is not shown, for it may hold the secret"
    )]
    Failed { program: String, status: ExitStatus },
    /// It took too long.
    #[error("the command `{program}` was not done after {} s and was ended", limit.as_secs())]
    TimedOut { program: String, limit: Duration },
    /// Nobody keeps a keyring here.
    #[error("no keyring answers")]
    NoKeyring {
        #[source]
        source: Option<Box<dyn std::error::Error + Send + Sync>>,
    },
    /// The keyring stays locked.
    #[error("the keyring is locked")]
    Locked,
    /// It has no such entry.
    #[error("the keyring has no entry `{name}`")]
    NoEntry { name: String },
    /// It has several.
    #[error("the keyring has more than one entry `{name}`")]
    Ambiguous { name: String },
    /// The file system or the keyring does not answer.
    #[error("{place} did not answer within {} s", PATIENCE.as_secs())]
    Silent { place: SecretSource },
}

/// Looks a secret up.
///
/// Takes as long as the command (10 s), the file system or the keyring (30 s) does, at most.
pub(crate) async fn resolve(place: &SecretSource, env: &Env) -> Result<SecretString, SecretError> {
    let bytes = match place {
        SecretSource::Env(name) => {
            use std::os::unix::ffi::OsStringExt;

            let value = read_variable(name);
            let value = value.ok_or_else(|| SecretError::Unset { name: name.clone() })?;
            value.into_vec()
        }
        SecretSource::File(path) => {
            let (path, uid) = (path.clone(), env.uid);
            patiently(place, move || file::read(&path, uid)).await?
        }
        SecretSource::Command(words) => command::answer(words, env).await?,
        SecretSource::Keyring(name) => {
            let name = name.clone();
            patiently(place, move || keyring::read(&name)).await?
        }
    };
    of_bytes(bytes, place)
}

/// Returns what the user is told of a secret that is not there; `section` is as in `[sources.team]`.
pub(crate) fn failure(error: &SecretError, section: &str) -> Failure {
    let mut causes = Vec::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        causes.push(error.to_string());
        cause = error.source();
    }
    Failure {
        kind: ProblemKind::Credentials,
        message: error.to_string(),
        causes,
        hint: Some(format!("{}; `token` in {section} names it", hint(error))),
    }
}

fn hint(error: &SecretError) -> String {
    match error {
        SecretError::Unset { name } => format!(
            "set {name} where it is read: in this shell for `homing source check`, and for homingd where it is started \
             (a drop-in of its unit with EnvironmentFile=, say)"
        ),
        SecretError::Empty { .. } | SecretError::NotALine { .. } | SecretError::TooLong { .. } => {
            "put the secret there, as one line".to_owned()
        }
        SecretError::Unreadable { path, .. } => format!(
            "see that {} is there and that you may read it",
            path.display()
        ),
        SecretError::NotAFile { .. } => "name a file".to_owned(),
        SecretError::Open { path, .. } => {
            format!("`chmod 600 {}`, and get a new secret", path.display())
        }
        SecretError::Foreign { path, .. } => {
            format!("put the secret into a file of your own, not {}", path.display())
        }
        SecretError::NotStarted { .. } => {
            "see that the program is installed and in PATH, or write its absolute path".to_owned()
        }
        SecretError::Failed { program, .. } | SecretError::TimedOut { program, .. } => format!(
            "run `{program}` with its arguments in a shell and see what it says; it must print the secret and ask nothing"
        ),
        SecretError::NoKeyring { .. } => {
            "start a keyring with a Secret Service (GNOME Keyring, KWallet, KeePassXC) in your session, or keep the secret \
             in a file of mode 600"
                .to_owned()
        }
        SecretError::Locked | SecretError::Silent { .. } => {
            "unlock the keyring, or see that the file system answers".to_owned()
        }
        SecretError::NoEntry { name } => format!(
            "store it: `secret-tool store --label=Homing service homing username {name}`"
        ),
        SecretError::Ambiguous { name } => format!(
            "keep one entry with the attributes service=homing and username={name}"
        ),
    }
}

/// Makes a secret of what was found; the ends of its line are not of it.
fn of_bytes(bytes: Vec<u8>, place: &SecretSource) -> Result<SecretString, SecretError> {
    let place = || place.clone();
    if bytes.len() > MAX_BYTES {
        return Err(SecretError::TooLong { place: place() });
    }
    // The error would carry the bytes.
    let Ok(text) = String::from_utf8(bytes) else {
        return Err(SecretError::NotALine { place: place() });
    };
    let text = text.trim_end_matches(['\r', '\n']);
    if text.trim().is_empty() {
        return Err(SecretError::Empty { place: place() });
    }
    if text.chars().any(char::is_control) {
        return Err(SecretError::NotALine { place: place() });
    }
    Ok(SecretString::from(text))
}

/// Does what may block for ever in a thread of its own, and waits no longer than [`PATIENCE`].
///
/// Not on the runtime, whose end would wait for it.
async fn patiently<T: Send + 'static>(
    place: &SecretSource,
    work: impl FnOnce() -> Result<T, SecretError> + Send + 'static,
) -> Result<T, SecretError> {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let started = std::thread::Builder::new()
        .name("secret".to_owned())
        .spawn(move || {
            // Nobody waits any more when it took too long.
            sender.send(work()).ok();
        });
    let silent = || SecretError::Silent {
        place: place.clone(),
    };
    if started.is_err() {
        return Err(silent());
    }
    match tokio::time::timeout(PATIENCE, receiver).await {
        Ok(Ok(done)) => done,
        Ok(Err(_)) | Err(_) => Err(silent()),
    }
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_secret_is_one_line_and_never_printed() {
        let place = SecretSource::Env("T".to_owned());
        for (bytes, secret) in [("q9 w8", "q9 w8"), ("q9\n", "q9"), ("q9\r\n", "q9")] {
            let found = of_bytes(bytes.into(), &place).unwrap();
            assert_eq!(found.expose_secret(), secret);
            assert!(!format!("{found:?}").contains(secret), "{found:?}");
        }
        for bytes in [
            &b""[..],
            b"\n",
            b"  \n",
            b"secret\nsecret",
            b"se\0cret",
            b"\xffsecret",
        ] {
            let error = of_bytes(bytes.to_vec(), &place).unwrap_err();
            assert!(
                !format!("{error:?} {error}").contains("cret\""),
                "{error:?}"
            );
            let failure = failure(&error, "[sources.a]");
            assert_eq!(failure.kind, ProblemKind::Credentials);
            assert!(failure.hint.unwrap().contains("[sources.a]"));
        }
        let long = of_bytes(vec![b'x'; MAX_BYTES + 1], &place).unwrap_err();
        assert!(matches!(long, SecretError::TooLong { .. }));
    }
}
