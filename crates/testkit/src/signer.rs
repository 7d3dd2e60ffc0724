//! Somebody who signs commits and tags, with a real key.

use std::fs::{self, File};
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::{GitRepository, Node};

/// A key of its own; its helpers end with this value.
pub struct Signer {
    directory: TempDir,
    /// What Git needs to sign with it.
    settings: Vec<String>,
    keys: PathBuf,
    fingerprint: String,
}

impl Signer {
    /// Makes an SSH key.
    pub fn ssh() -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let key = directory.path().join("key");
        let mut keygen = Command::new("ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-C", "ann", "-f"]);
        said(keygen.arg(&key))?;
        let public = key.with_extension("pub");
        let told = said(Command::new("ssh-keygen").arg("-lf").arg(&public))?;
        let fingerprint = told.split(' ').nth(1).context("it tells the fingerprint")?;
        let keys = directory.path().join("allowed_signers");
        let public = fs::read_to_string(&public)?;
        write!(File::create(&keys)?, "ann@example.invalid {public}")?;
        Ok(Self {
            settings: vec![
                "gpg.format=ssh".to_owned(),
                format!("user.signingkey={}", key.display()),
            ],
            fingerprint: fingerprint.to_owned(),
            keys,
            directory,
        })
    }

    /// Makes an OpenPGP key; `None`, visibly, where there is no `gpg`.
    pub fn openpgp() -> Result<Option<Self>> {
        Self::of_gpg("", "never")
    }

    /// Makes an OpenPGP key that expired long ago; `None`, visibly, where there is no `gpg`.
    pub fn expired_openpgp() -> Result<Option<Self>> {
        Self::of_gpg("--faked-system-time 20200101T000000", "1d")
    }

    fn of_gpg(options: &str, lasts: &str) -> Result<Option<Self>> {
        if Command::new("gpg").arg("--version").output().is_err() {
            crate::skipped("there is no `gpg`");
            return Ok(None);
        }
        // The path of a socket in it must be short.
        let directory = tempfile::Builder::new().prefix("g").tempdir_in("/tmp")?;
        let gpg = directory.path().join("gpg");
        let mut script = File::create(&gpg)?;
        write!(
            script,
            "#!/bin/sh\nexec gpg --homedir '{}' --batch --no-tty {options} \"$@\"\n",
            directory.path().display()
        )?;
        script.set_permissions(fs::Permissions::from_mode(0o700))?;
        drop(script);
        let mut generate = Command::new(&gpg);
        generate.args(["--quiet", "--passphrase", "", "--quick-gen-key"]);
        generate.args(["Ann <ann@example.invalid>", "ed25519", "sign", lasts]);
        said(&mut generate)?;
        let told = said(Command::new(&gpg).args(["--list-keys", "--with-colons"]))?;
        let fingerprint = told
            .lines()
            .find_map(|line| line.strip_prefix("fpr:::::::::"))
            .context("it tells the fingerprint")?;
        let fingerprint = fingerprint.trim_end_matches(':').to_owned();
        let keys = directory.path().join("keyring.asc");
        let exported = said(Command::new(&gpg).args(["--armor", "--export"]))?;
        File::create(&keys)?.write_all(exported.as_bytes())?;
        Ok(Some(Self {
            settings: vec![
                "gpg.format=openpgp".to_owned(),
                format!("gpg.program={}", gpg.display()),
                format!("user.signingkey={fingerprint}"),
            ],
            fingerprint,
            keys,
            directory,
        }))
    }

    /// Returns the file that names the key: allowed signers, or a keyring.
    pub fn keys(&self) -> &Path {
        &self.keys
    }

    /// Returns the key's fingerprint.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Commits changes on top of a branch, signed, and returns the commit's id.
    pub fn commit(
        &self,
        repository: &GitRepository,
        branch: &str,
        changes: &[(&str, Node<'_>)],
    ) -> Result<String> {
        let unsigned = repository.commit(branch, changes)?;
        let tree = format!("{unsigned}^{{tree}}");
        let parent = repository.git(&["rev-parse", "--verify", "--quiet", &format!("{unsigned}^")]);
        let mut arguments = vec!["commit-tree", "-S", "-m", "signed", &tree];
        if let Ok(parent) = &parent {
            arguments.extend(["-p", parent]);
        }
        let commit = self.git(repository, &arguments)?;
        repository.git(&["update-ref", &format!("refs/heads/{branch}"), &commit])?;
        Ok(commit)
    }

    /// Makes a tag of a commit, signed, and returns its id.
    pub fn tag(&self, repository: &GitRepository, name: &str, commit: &str) -> Result<String> {
        self.git(
            repository,
            &["tag", "--force", "--sign", "-m", "signed", name, commit],
        )?;
        repository.git(&["rev-parse", &format!("refs/tags/{name}")])
    }

    fn git(&self, repository: &GitRepository, arguments: &[&str]) -> Result<String> {
        let mut all: Vec<&str> = Vec::new();
        for setting in &self.settings {
            all.extend(["-c", setting]);
        }
        all.extend(arguments);
        repository.git(&all)
    }
}

impl Drop for Signer {
    fn drop(&mut self) {
        if self.directory.path().join("gpg").exists() {
            // Its agent would stay for ever; one that has ended already is as good.
            let mut end = Command::new("gpgconf");
            end.arg("--homedir").arg(self.directory.path());
            drop(end.args(["--kill", "gpg-agent"]).output());
        }
    }
}

fn said(command: &mut Command) -> Result<String> {
    let output = command.output()?;
    ensure!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr).trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
