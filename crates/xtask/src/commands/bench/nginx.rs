//! A real nginx that serves files, without and with TLS, and counts what it is asked.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};

use crate::tools::is_root;

/// A server of one directory; it ends with this value.
#[derive(Debug)]
pub(crate) struct Nginx {
    child: Child,
    directory: PathBuf,
    plain: SocketAddr,
    tls: SocketAddr,
    counted: u64,
}

impl Nginx {
    /// Serves what is below `root`; its own files go into `directory`.
    pub(crate) fn start(directory: &Path, root: &Path) -> Result<Self> {
        certificates(directory)?;
        let (plain, tls) = (free_address()?, free_address()?);
        let here = directory.display();
        let user = if is_root() { "user root;" } else { "" };
        let mut temporary = String::new();
        for name in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
            writeln!(temporary, "  {name}_temp_path {here}/{name};")?;
        }
        let configuration = format!(
            "daemon off;\n{user}\npid {here}/nginx.pid;\nerror_log {here}/error.log;\nworker_processes 1;\n\
             events {{ worker_connections 4096; }}\n\
             http {{\n  access_log {here}/access.log;\n  sendfile on;\n  tcp_nopush on;\n{temporary}\
             \x20 types {{ text/markdown md; application/json json; }}\n\
             \x20 server {{\n    listen {plain};\n    listen {tls} ssl http2;\n\
             \x20   ssl_certificate {here}/server.pem;\n    ssl_certificate_key {here}/server.key;\n\
             \x20   root {};\n  }}\n}}\n",
            root.display()
        );
        let path = directory.join("nginx.conf");
        File::create(&path)?.write_all(configuration.as_bytes())?;
        let child = Command::new("nginx")
            .arg("-c")
            .arg(&path)
            .arg("-e")
            .arg(directory.join("error.log"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .context("could not start nginx")?;
        let mut nginx = Self {
            child,
            directory: directory.to_owned(),
            plain,
            tls,
            counted: 0,
        };
        nginx.wait_until_ready()?;
        Ok(nginx)
    }

    /// Returns the address that speaks HTTP/1.1.
    pub(crate) fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// Returns the address that speaks TLS and HTTP/2.
    pub(crate) fn tls(&self) -> SocketAddr {
        self.tls
    }

    /// Returns the certificate that the server's own is signed with.
    pub(crate) fn ca_file(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// Returns how many requests were answered since the last time that this was asked.
    pub(crate) fn take_requests(&mut self) -> Result<usize> {
        let mut log = File::open(self.directory.join("access.log"))?;
        log.seek(SeekFrom::Start(self.counted))?;
        let mut lines = 0;
        for line in BufReader::new(log).lines() {
            self.counted += line?.len() as u64 + 1;
            lines += 1;
        }
        Ok(lines)
    }

    fn wait_until_ready(&mut self) -> Result<()> {
        let begun = Instant::now();
        while TcpStream::connect(self.plain).is_err() || TcpStream::connect(self.tls).is_err() {
            let ended = self.child.try_wait()?.is_some();
            ensure!(
                !ended && begun.elapsed() < Duration::from_secs(10),
                "nginx does not serve: {}",
                fs::read_to_string(self.directory.join("error.log")).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(2));
        }
        Ok(())
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it only when it is asked to.
        let asked = Command::new("kill")
            .arg(self.child.id().to_string())
            .status();
        drop(asked);
        drop(self.child.wait());
    }
}

/// Makes a certificate authority and a certificate of this machine's own address.
fn certificates(directory: &Path) -> Result<()> {
    let names = directory.join("names");
    File::create(&names)?.write_all(b"subjectAltName=IP:127.0.0.1,DNS:localhost\n")?;
    openssl(
        directory,
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=bench-ca",
    )?;
    openssl(
        directory,
        "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=bench",
    )?;
    openssl(
        directory,
        "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem",
    )
}

fn openssl(directory: &Path, arguments: &str) -> Result<()> {
    let output = Command::new("openssl")
        .args(arguments.split(' '))
        .current_dir(directory)
        .stdin(Stdio::null())
        .output()
        .context("could not start openssl")?;
    ensure!(
        output.status.success(),
        "openssl {arguments}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}
