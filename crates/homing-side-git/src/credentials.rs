//! Whom Git's own credential helpers know, and how Git is told of a secret: never on a command line.

use std::ffi::OsStr;
use std::sync::Arc;
use std::time::Duration;

use homing_core::{Progress, SideError};
use homing_remote::Login;
use secrecy::{ExposeSecret, SecretString};
use tokio::process::Command;
use url::Url;

use crate::address::Address;
use crate::git::{Git, Question};

/// Who asks where only a token is known: every host takes it, and those of GitHub's apps need it.
const TOKEN_USER: &str = "x-access-token";
/// No helper may take longer; one that asks somebody would never answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// An answer is a few lines.
const MOST_BYTES: usize = 64 << 10;
/// Where a helper of ours finds what Git asks it for.
const USER: &str = "HOMING_GIT_USER";
const PASSWORD: &str = "HOMING_GIT_PASSWORD";
/// Whom it may tell that.
const PROTOCOL: &str = "HOMING_GIT_PROTOCOL";
const HOST: &str = "HOMING_GIT_HOST";
/// That helper; Git runs it with a shell. A server may lead elsewhere, and Git asks then, too.
const HELPER: &str = concat!(
    "!f() { test \"$1\" = get || exit 0; p=; h=; while read -r line; do case $line in ",
    "\"protocol=$HOMING_GIT_PROTOCOL\") p=1 ;; \"host=$HOMING_GIT_HOST\") h=1 ;; esac; done; ",
    "test \"$p$h\" = 11 && printf 'username=%s\\npassword=%s\\n' \"$HOMING_GIT_USER\" \"$HOMING_GIT_PASSWORD\"; }; f"
);

/// A user and a password.
#[derive(Clone)]
pub(crate) struct Pair {
    pub(crate) user: String,
    password: SecretString,
}

impl Pair {
    /// Returns what a login is for Git; `None` where it has no secret.
    pub(crate) async fn of(login: &Login) -> Result<Option<Self>, SideError> {
        let secret = login.credentials.secret().await?;
        Ok(secret.map(|password| Self {
            user: login.user.clone().unwrap_or_else(|| TOKEN_USER.to_owned()),
            password,
        }))
    }

    /// Returns it as what a request is sent with.
    pub(crate) fn login(&self) -> Login {
        Login {
            credentials: Arc::new(self.password.clone()),
            user: Some(self.user.clone()),
        }
    }

    /// Has a command of Git's use it, and nobody else's, where `address` is: its scheme, host and port.
    pub(crate) fn give_to(&self, command: &mut Command, address: &Address) {
        let (protocol, host) = (address.scheme(), address.host_as_written());
        command
            .env(USER, &self.user)
            .env(PASSWORD, self.password.expose_secret())
            .env(PROTOCOL, protocol)
            .env(HOST, host)
            // An empty one makes Git forget those that were configured.
            .args(["-c", "credential.helper=", "-c"])
            .arg(format!("credential.{protocol}://{host}.helper={HELPER}"));
    }
}

/// Asks the user's helpers for who may read a repository; `None` when they know nobody.
pub(crate) async fn fill(
    git: &Git,
    repository: &Url,
    progress: &Progress,
) -> Result<Option<Pair>, SideError> {
    let Some(answer) = tell(git, "fill", description(repository), progress).await? else {
        return Ok(None);
    };
    let text = String::from_utf8_lossy(&answer);
    let value = |name: &str| {
        text.lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
            .map(str::to_owned)
    };
    Ok(value("username")
        .zip(value("password"))
        .map(|(user, password)| Pair {
            user,
            password: SecretString::from(password),
        }))
}

/// Tells the helpers whether what they said was right, so that they keep or forget it.
pub(crate) async fn judge(
    git: &Git,
    repository: &Url,
    pair: &Pair,
    is_right: bool,
    progress: &Progress,
) -> Result<(), SideError> {
    let verb = if is_right { "approve" } else { "reject" };
    let text = format!(
        "username={}\npassword={}\n{}",
        pair.user,
        pair.password.expose_secret(),
        description(repository)
    );
    tell(git, verb, text, progress).await.map(drop)
}

/// Returns the answer; `None` when nobody has one.
async fn tell(
    git: &Git,
    verb: &str,
    text: String,
    progress: &Progress,
) -> Result<Option<Vec<u8>>, SideError> {
    let question = Question {
        arguments: &[OsStr::new("credential"), OsStr::new(verb)],
        input: text.into_bytes(),
        most: MOST_BYTES,
    };
    let asked = Git::ask(git.command(None), question, progress);
    match tokio::time::timeout(PATIENCE, asked).await {
        Ok(Ok((answer, ended))) => Ok(ended.status.success().then_some(answer)),
        Ok(Err(error)) => Err(error),
        Err(_elapsed) => Ok(None),
    }
}

/// Describes a repository as Git does to its helpers.
fn description(repository: &Url) -> String {
    let host = repository.host_str().unwrap_or_default();
    let port = repository.port().map(|port| format!(":{port}"));
    let path = repository.path().trim_start_matches('/');
    let user = match repository.username() {
        "" => String::new(),
        user => format!("username={user}\n"),
    };
    format!(
        "protocol={}\nhost={host}{}\npath={path}\n{user}\n",
        repository.scheme(),
        port.unwrap_or_default()
    )
}

impl std::fmt::Debug for Pair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pair")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}
