//! A real nginx on a free port of this machine, with a directory of files, and a log that tests count requests in.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::skipped;

/// How long anything about the server may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// How an nginx is to be.
#[derive(Debug, Clone, Default)]
pub struct NginxOptions {
    /// Speak TLS with a certificate of a CA of its own, and HTTP/2.
    pub tls: bool,
    /// Ask for a user and a password.
    pub login: Option<(&'static str, &'static str)>,
    /// Directives within `server { … }`.
    pub directives: String,
}

/// A running nginx; it ends when it is dropped.
#[derive(Debug)]
pub struct Nginx {
    process: Child,
    directory: TempDir,
    address: SocketAddr,
    tls: bool,
    marks: AtomicUsize,
    edits: AtomicUsize,
}

/// A request in nginx's log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Logged {
    /// The path and query.
    pub path: String,
    /// The status of the answer.
    pub status: u16,
    /// `HTTP/1.1` or `HTTP/2.0`.
    pub protocol: String,
    /// Whether there were credentials.
    pub has_credentials: bool,
    /// Which connection it came on.
    pub connection: u64,
}

impl Nginx {
    /// Starts one; `None`, visibly, where there is no nginx (or no openssl for TLS).
    pub fn start(options: &NginxOptions) -> Result<Option<Self>> {
        for program in if options.tls {
            &["nginx", "openssl"][..]
        } else {
            &["nginx"]
        } {
            let is_there = Command::new(program)
                .arg(if *program == "nginx" { "-v" } else { "version" })
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status()
                .is_ok();
            if !is_there {
                skipped(&format!("there is no `{program}` on this machine"));
                return Ok(None);
            }
        }
        let directory = tempfile::tempdir()?;
        fs::create_dir(directory.path().join("files"))?;
        if options.tls {
            certificates(directory.path())?;
        }
        if let Some((user, password)) = options.login {
            let users = format!("{user}:{{PLAIN}}{password}\n");
            write(&directory.path().join("users"), &users)?;
        }
        // Another process may take the port between the look and the start.
        for _ in 0..5 {
            let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
            write(
                &directory.path().join("nginx.conf"),
                &configuration(options, directory.path(), address),
            )?;
            let mut process = Command::new("nginx")
                .arg("-c")
                .arg(directory.path().join("nginx.conf"))
                .arg("-p")
                .arg(directory.path())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()?;
            if is_up(&mut process, address)? {
                return Ok(Some(Self {
                    process,
                    directory,
                    address,
                    tls: options.tls,
                    marks: AtomicUsize::new(0),
                    edits: AtomicUsize::new(0),
                }));
            }
        }
        let log = fs::read_to_string(directory.path().join("error.log")).unwrap_or_default();
        bail!("nginx does not start: {log}")
    }

    /// Returns the URL of a path.
    pub fn url(&self, path: &str) -> String {
        let scheme = if self.tls { "https" } else { "http" };
        format!("{scheme}://{}/{path}", self.address)
    }

    /// Returns where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the directory whose files it serves.
    pub fn files(&self) -> PathBuf {
        self.directory.path().join("files")
    }

    /// Returns the certificate of the CA that vouches for it.
    pub fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    /// Puts a file. No two files have one time: nginx makes its `ETag` of seconds and size.
    pub fn put(&self, path: &str, bytes: &[u8]) -> Result<()> {
        let path = self.files().join(path);
        fs::create_dir_all(path.parent().context("it is below a directory")?)?;
        let mut file = File::create(&path)?;
        file.write_all(bytes)?;
        let edit = self.edits.fetch_add(1, Ordering::Relaxed) as u64;
        file.set_modified(SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000 + edit))?;
        Ok(())
    }

    /// Removes a file.
    pub fn remove(&self, path: &str) -> Result<()> {
        Ok(fs::remove_file(self.files().join(path))?)
    }

    /// Returns all requests that were answered since the last call.
    pub fn requests(&self) -> Result<Vec<Logged>> {
        // Requests are logged in the order of their ends, so all that came before a mark are there when it is.
        let mark = format!("/mark-{}", self.marks.fetch_add(1, Ordering::Relaxed));
        let marks = self.directory.path().join("mark.sock");
        let mut stream = std::os::unix::net::UnixStream::connect(marks)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        write!(stream, "GET {mark} HTTP/1.0\r\n\r\n")?;
        stream.read_to_end(&mut Vec::new())?;
        let began = Instant::now();
        loop {
            let log = fs::read_to_string(self.directory.path().join("access.log"))?;
            let mut lines = Vec::new();
            for line in log.lines() {
                let words: Vec<&str> = line.split(' ').collect();
                let [path, status, protocol, user, connection] = words[..] else {
                    bail!("nginx logged `{line}`");
                };
                if path == mark {
                    return Ok(lines);
                }
                if path.starts_with("/mark-") {
                    lines.clear();
                    continue;
                }
                lines.push(Logged {
                    path: path.to_owned(),
                    status: status.parse()?,
                    protocol: protocol.to_owned(),
                    has_credentials: user == "yes",
                    connection: connection.parse()?,
                });
            }
            ensure!(began.elapsed() < PATIENCE, "nginx does not log");
            std::thread::yield_now();
        }
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Waits until it accepts connections; `false` when it ended instead.
pub(crate) fn is_up(process: &mut Child, address: SocketAddr) -> Result<bool> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        if process.try_wait()?.is_some() {
            return Ok(false);
        }
        if TcpStream::connect(address).is_ok() {
            return Ok(true);
        }
        std::thread::yield_now();
    }
    bail!("the server does not answer")
}

fn configuration(options: &NginxOptions, directory: &Path, address: SocketAddr) -> String {
    let directory = directory.display();
    let tls = if options.tls {
        format!(
            "ssl_certificate {directory}/server.pem;\nssl_certificate_key {directory}/server.key;\n"
        )
    } else {
        String::new()
    };
    let login = if options.login.is_some() {
        format!("auth_basic \"test\";\nauth_basic_user_file {directory}/users;\n")
    } else {
        String::new()
    };
    let listen = if options.tls { " ssl http2" } else { "" };
    let directives = &options.directives;
    format!(
        "daemon off;\nmaster_process off;\npid {directory}/pid;\nerror_log {directory}/error.log;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         map $http_authorization $has_credentials {{ '' no; default yes; }}\n\
         log_format counted '$request_uri $status $server_protocol $has_credentials $connection';\n\
         access_log {directory}/access.log counted;\n\
         client_body_temp_path {directory}/t1;\nproxy_temp_path {directory}/t2;\nfastcgi_temp_path {directory}/t3;\n\
         uwsgi_temp_path {directory}/t4;\nscgi_temp_path {directory}/t5;\n\
         types {{ text/html html; application/json json; text/markdown md; }}\ndefault_type application/octet-stream;\n\
         keepalive_requests 100000;\n\
         server {{\nlisten unix:{directory}/mark.sock;\nlocation / {{ return 204; }}\n}}\n\
         server {{\nlisten {address}{listen};\nroot {directory}/files;\n{tls}{login}{directives}\n}}\n}}\n"
    )
}

/// Makes a CA and a certificate of it for this machine.
fn certificates(directory: &Path) -> Result<()> {
    let openssl = |arguments: &[&str]| -> Result<()> {
        let output = Command::new("openssl")
            .args(arguments)
            .current_dir(directory)
            .stdin(Stdio::null())
            .output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "openssl {arguments:?}: {said}");
        Ok(())
    };
    let curve = [
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:prime256v1",
        "-nodes",
    ];
    let mut ca = vec![
        "req",
        "-x509",
        "-days",
        "30",
        "-subj",
        "/CN=test CA",
        "-keyout",
        "ca.key",
    ];
    ca.extend(["-out", "ca.pem", "-addext", "keyUsage=critical,keyCertSign"]);
    ca.extend(curve);
    openssl(&ca)?;
    let mut request = vec![
        "req",
        "-subj",
        "/CN=localhost",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ];
    request.extend(curve);
    openssl(&request)?;
    write(
        &directory.join("names"),
        "subjectAltName=DNS:localhost,DNS:team.test,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n",
    )?;
    openssl(&[
        "x509",
        "-req",
        "-days",
        "30",
        "-in",
        "server.csr",
        "-CA",
        "ca.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-extfile",
        "names",
        "-out",
        "server.pem",
    ])
}

/// Writes a file that only a server of a test reads.
pub(crate) fn write(path: &Path, text: &str) -> Result<()> {
    Ok(File::create(path)?.write_all(text.as_bytes())?)
}
