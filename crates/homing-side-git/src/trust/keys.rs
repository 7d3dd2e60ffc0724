//! Keys that count, as the programs that verify want them.

use std::ffi::OsStr;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use homing_core::{ContentHash, Progress, SideError};
use homing_process::Conversation;
use tempfile::TempDir;
use tokio::process::Command;

use super::Keys;
use crate::git::Git;

/// A file of keys that is longer is something else.
const MOST_BYTES: u64 = 16 << 20;
/// What `gpg` must not do: nobody else says which keys count, and nothing is asked of a network.
const GPG_CONF: &str = "no-auto-key-retrieve\ntrust-model always\n";

/// Reads the file of keys, with its hash.
pub(super) async fn read(keys: &Keys) -> Result<(Vec<u8>, ContentHash), SideError> {
    let (key, path) = keys.setting();
    let path = path.clone();
    let read = tokio::task::spawn_blocking(move || {
        let mut bytes = Vec::new();
        let file = fs::File::open(&path)?;
        let found = file.metadata()?;
        if !found.is_file() {
            return Err(io::Error::other("it is no file"));
        }
        if found.mode() & 0o022 != 0 {
            return Err(io::Error::other(
                "others may write it, and with it say whose signatures count (`chmod go-w` mends that)",
            ));
        }
        file.take(MOST_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MOST_BYTES {
            return Err(io::Error::other("it is longer than 16 MiB"));
        }
        Ok(bytes)
    });
    let read = read.await.map_err(|_ended| SideError::Cancelled)?;
    let bytes = read.map_err(|error| SideError::Unverified {
        message: format!(
            "nothing can be verified, so nothing new is published: {}: {error}; {key} has to name a file that homingd can read",
            keys.shown()
        ),
    })?;
    let hash = ContentHash::of(&bytes);
    Ok((bytes, hash))
}

/// The keys in a private directory, which goes with this value.
pub(super) struct Ring {
    directory: TempDir,
    is_ssh: bool,
}

impl Ring {
    /// Lays the keys out. [`SideError::Config`] when `gpg` is not there or takes none of them.
    pub(super) async fn of(
        keys: &Keys,
        bytes: Vec<u8>,
        git: &Git,
        progress: &Progress,
    ) -> Result<Self, SideError> {
        let laid_out = tokio::task::spawn_blocking(move || {
            // Nobody else can enter it.
            let directory = tempfile::Builder::new().prefix("homing-keys-").tempdir()?;
            put(&directory.path().join("keys"), &bytes)?;
            put(&directory.path().join("gpg.conf"), GPG_CONF.as_bytes())?;
            Ok(directory)
        });
        let directory = laid_out.await.map_err(|_ended| SideError::Cancelled)?;
        let directory = directory.map_err(|error: io::Error| SideError::Storage {
            message: format!("the keys to verify with cannot be laid out: {error}"),
            source: None,
        })?;
        let ring = Self {
            directory,
            is_ssh: matches!(keys, Keys::AllowedSigners(_)),
        };
        if !ring.is_ssh {
            ring.import(keys, git, progress).await?;
        }
        Ok(ring)
    }

    /// Has a command of Git's know these keys and no others, whatever the user's own configuration says.
    pub(super) fn configure(&self, command: &mut Command) {
        let file = self.directory.path().join("keys");
        command.env("GNUPGHOME", self.directory.path());
        let (gpg, ssh_keygen, signers, level) = if self.is_ssh {
            ("false", "ssh-keygen", file.as_os_str(), "fully")
        } else {
            // Which keys are in the ring says whom to trust.
            ("gpg", "false", OsStr::new("/dev/null"), "undefined")
        };
        for (key, value) in [
            ("gpg.program", OsStr::new(gpg)),
            ("gpg.openpgp.program", OsStr::new(gpg)),
            ("gpg.x509.program", OsStr::new("false")),
            ("gpg.ssh.program", OsStr::new(ssh_keygen)),
            ("gpg.ssh.allowedSignersFile", signers),
            ("gpg.minTrustLevel", OsStr::new(level)),
        ] {
            let mut setting = OsStr::new(key).to_owned();
            setting.push("=");
            setting.push(value);
            command.arg("-c").arg(setting);
        }
    }

    async fn import(&self, keys: &Keys, git: &Git, progress: &Progress) -> Result<(), SideError> {
        let mut command = git.companion("gpg");
        command.env("GNUPGHOME", self.directory.path()).args([
            "--batch",
            "--no-tty",
            "--no-autostart",
            "--quiet",
            "--import",
            "--",
        ]);
        command.arg(self.directory.path().join("keys"));
        let heard = progress.clone();
        let talk = Conversation::begin(command, move || heard.advance(0));
        let mut talk = talk.map_err(|error| no_gpg(&error))?;
        talk.answer(1 << 20).await.map_err(|error| no_gpg(&error))?;
        let ended = talk.end().await.map_err(|error| no_gpg(&error))?;
        if ended.status.success() {
            return Ok(());
        }
        let said = ended.complaints.lines().last().unwrap_or_default();
        let said: String = said.chars().filter(|letter| !letter.is_control()).collect();
        Err(SideError::Unverified {
            message: format!(
                "nothing can be verified, so nothing new is published: {}: `gpg` takes no key of it ({said}); write it with `gpg --export KEY > FILE`",
                keys.shown()
            ),
        })
    }
}

/// Says that the program for SSH signatures is not there.
pub(super) fn no_ssh_keygen() -> SideError {
    SideError::Config {
        message: "there is no `ssh-keygen` on homingd's PATH, which verifies for `allowed_signers`; install OpenSSH 8.2 or newer, or add its directory to PATH"
            .to_owned(),
    }
}

fn no_gpg(error: &io::Error) -> SideError {
    if error.kind() == io::ErrorKind::NotFound {
        return SideError::Config {
            message: "there is no `gpg` on homingd's PATH, which verifies for `keyring`; install GnuPG 2.2 or newer, or add its directory to PATH"
                .to_owned(),
        };
    }
    SideError::Storage {
        message: format!("`gpg` cannot be run: {error}"),
        source: None,
    }
}

fn put(path: &Path, bytes: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut fs::File::create(path)?, bytes)
}
