//! Git repositories over ssh, as they are really served: an sshd of an ordinary user with a forced `git-shell`.

use std::fmt::Write as _;
use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::nginx::{is_up, write};
use crate::skipped;

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct GitSsh {
    process: Child,
    directory: TempDir,
    address: SocketAddr,
}

impl GitSsh {
    /// Starts one; `None`, visibly, where there is no sshd.
    pub fn start() -> Result<Option<Self>> {
        let Some(sshd) = ["/usr/sbin/sshd", "/usr/bin/sshd"]
            .into_iter()
            .map(Path::new)
            .find(|program| program.is_file())
        else {
            skipped("there is no `sshd` on this machine");
            return Ok(None);
        };
        let directory = tempfile::Builder::new().prefix("homing-ssh-").tempdir()?;
        let path = directory.path();
        for name in ["host", "other_host", "user"] {
            let status = Command::new("ssh-keygen")
                .args(["-q", "-t", "ed25519", "-N", "", "-f"])
                .arg(path.join(name))
                .status()?;
            ensure!(status.success(), "ssh-keygen");
        }
        fs::copy(path.join("user.pub"), path.join("authorized_keys"))?;
        // Debian's sshd of root wants this directory, which its service would make.
        let separation = Path::new("/run/sshd");
        if !separation.exists() {
            fs::create_dir(separation).ok();
        }
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let shown = path.display();
            write(
                &path.join("sshd_config"),
                &format!(
                    "ListenAddress {address}\nHostKey {shown}/host\nAuthorizedKeysFile {shown}/authorized_keys\nPidFile none\n\
                     StrictModes no\nPasswordAuthentication no\nKbdInteractiveAuthentication no\nPermitRootLogin yes\n\
                     AcceptEnv GIT_PROTOCOL\nMaxStartups 100\n\
                     ForceCommand git-shell -c \"$SSH_ORIGINAL_COMMAND\"\nLogLevel VERBOSE\n"
                ),
            )?;
            let log = fs::File::create(path.join("log"))?;
            let mut process = Command::new(sshd)
                .arg("-D")
                .arg("-e")
                .arg("-f")
                .arg(path.join("sshd_config"))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(log)
                .spawn()?;
            if is_up(&mut process, address)? {
                let server = Self {
                    process,
                    directory,
                    address,
                };
                server.know_host("host")?;
                return Ok(Some(server));
            }
        }
        let log = fs::read_to_string(path.join("log")).unwrap_or_default();
        bail!("sshd does not start: {log}")
    }

    /// Returns a repository's address.
    pub fn url(&self, repository: &Path) -> Result<String> {
        Ok(format!(
            "ssh://{}@{}{}",
            user()?,
            self.address,
            repository.display()
        ))
    }

    /// Returns the ssh command of somebody who may come in and knows the host.
    pub fn command(&self) -> Result<String> {
        let path = self.directory.path();
        Ok(format!(
            "ssh -F none -i {0}/user -oIdentitiesOnly=yes -oUserKnownHostsFile={0}/known_hosts -oGlobalKnownHostsFile=none",
            path.to_str().context("the directory has a name")?
        ))
    }

    /// Returns the ssh command of somebody who has several names for the host, each with a key of its own: `user`, which
    /// may come in, or another one.
    pub fn command_of_aliases(&self, aliases: &[(&str, &str)]) -> Result<String> {
        let path = self.directory.path().display();
        let (ip, port) = (self.address.ip(), self.address.port());
        let user = user()?;
        let mut text = format!(
            "IdentitiesOnly yes\nUserKnownHostsFile {path}/known_hosts\nGlobalKnownHostsFile none\n"
        );
        for (name, key) in aliases {
            writeln!(
                text,
                "Host {name}\nHostName {ip}\nPort {port}\nUser {user}\nIdentityFile {path}/{key}"
            )?;
        }
        write(&self.directory.path().join("aliases"), &text)?;
        Ok(format!("ssh -F {path}/aliases"))
    }

    /// Has the host known by another key from now on.
    pub fn change_host_key(&self) -> Result<()> {
        self.know_host("other_host")
    }

    /// Lets nobody in from now on.
    pub fn lock(&self) -> Result<()> {
        write(&self.directory.path().join("authorized_keys"), "")
    }

    /// Returns how many connections were let in so far.
    pub fn connections(&self) -> Result<usize> {
        let log = fs::read_to_string(self.directory.path().join("log"))?;
        Ok(log.matches("Accepted publickey").count())
    }

    fn know_host(&self, name: &str) -> Result<()> {
        let path = self.directory.path();
        let key = fs::read_to_string(path.join(name).with_extension("pub"))?;
        let known = path.join("known_hosts");
        let (ip, port) = (self.address.ip(), self.address.port());
        write(&known, &format!("[{ip}]:{port} {key}"))?;
        fs::set_permissions(known, fs::Permissions::from_mode(0o600))?;
        Ok(())
    }
}

impl Drop for GitSsh {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Returns who runs this.
fn user() -> Result<String> {
    let user = Command::new("id").arg("-un").output()?;
    Ok(String::from_utf8(user.stdout)?.trim().to_owned())
}

/// Git's own server, which knows neither users nor secrets.
#[derive(Debug)]
pub struct GitDaemon {
    process: Child,
    address: SocketAddr,
    base: PathBuf,
}

impl GitDaemon {
    /// Starts one that serves a repository.
    pub fn start(repository: &Path) -> Result<Self> {
        let base = repository.parent().context("it is somewhere")?.to_owned();
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            let mut process = Command::new("git")
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .arg("daemon")
                .args(["--export-all", "--reuseaddr", "--listen=127.0.0.1"])
                .arg(format!("--port={}", address.port()))
                .arg(format!("--base-path={}", base.display()))
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            if is_up(&mut process, address)? {
                return Ok(Self {
                    process,
                    address,
                    base,
                });
            }
        }
        bail!("git daemon does not start")
    }

    /// Returns a repository's address.
    pub fn url(&self, repository: &Path) -> Result<String> {
        let path = repository.strip_prefix(&self.base)?;
        Ok(format!("git://{}/{}", self.address, path.display()))
    }
}

impl Drop for GitDaemon {
    fn drop(&mut self) {
        // Its first process is a shell's worth of Git that waits for the server itself.
        Command::new("pkill")
            .args(["-P", &self.process.id().to_string()])
            .status()
            .ok();
        self.process.kill().ok();
        self.process.wait().ok();
    }
}
