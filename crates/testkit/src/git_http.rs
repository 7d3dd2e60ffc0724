//! Git repositories over HTTP, as they are really served: nginx with `git http-backend` behind it.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use tempfile::TempDir;

use crate::{Logged, Nginx, NginxOptions, skipped};

/// Requests that are worked on side by side.
const WORKERS: usize = 8;

/// A running server; it ends when it is dropped.
#[derive(Debug)]
pub struct GitHttp {
    nginx: Nginx,
    workers: Vec<Child>,
    directory: TempDir,
}

impl GitHttp {
    /// Starts one that serves nothing yet; `None`, visibly, where nginx, fcgiwrap or `git http-backend` is missing.
    ///
    /// The directives of `options` come before the server's own. Without `speaks_v2` it is a server of old that knows
    /// nothing of protocol v2.
    pub fn start(options: &NginxOptions, speaks_v2: bool) -> Result<Option<Self>> {
        let Some(backend) = backend()? else {
            return Ok(None);
        };
        let directory = tempfile::Builder::new().prefix("homing-git-").tempdir()?;
        let path = directory.path().display();
        let protocol = if speaks_v2 {
            "$http_git_protocol"
        } else {
            "\"\""
        };
        // What is not there nginx says itself: Git's answer comes before it has read the question, which breaks the pipe.
        let options = NginxOptions {
            directives: format!(
                "{}\nclient_max_body_size 0;\nlocation /git/ {{\n\
                 if ($uri ~ ^/git/([^/]+)) {{ set $name $1; }}\nif (!-e {path}/repositories/$name) {{ return 404; }}\n\
                 fastcgi_pass unix:{path}/fcgi.sock;\n\
                 fastcgi_param SCRIPT_FILENAME {backend};\nfastcgi_param GIT_PROJECT_ROOT {path}/repositories;\n\
                 fastcgi_param GIT_HTTP_EXPORT_ALL 1;\nfastcgi_param PATH_TRANSLATED $uri;\nfastcgi_param GIT_PROTOCOL {protocol};\n\
                 fastcgi_param REMOTE_USER $remote_user;\nfastcgi_param REMOTE_ADDR $remote_addr;\n\
                 fastcgi_param QUERY_STRING $query_string;\nfastcgi_param REQUEST_METHOD $request_method;\n\
                 fastcgi_param CONTENT_TYPE $content_type;\nfastcgi_param CONTENT_LENGTH $content_length;\n\
                 if ($uri ~ ^/git(/.*)$) {{ set $repository $1; }}\nfastcgi_param PATH_INFO $repository;\n}}\n",
                options.directives,
                backend = backend.display(),
            ),
            ..options.clone()
        };
        std::fs::create_dir(directory.path().join("repositories"))?;
        let listener = UnixListener::bind(directory.path().join("fcgi.sock"))?;
        let mut workers = Vec::new();
        for _ in 0..WORKERS {
            // It takes its socket where its standard input would be.
            let socket = std::os::fd::OwnedFd::from(listener.try_clone()?);
            let worker = Command::new("fcgiwrap")
                .env("GIT_CONFIG_GLOBAL", "/dev/null")
                .stdin(Stdio::from(socket))
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn();
            workers.push(worker.context("fcgiwrap does not start")?);
        }
        let Some(nginx) = Nginx::start(&options)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            nginx,
            workers,
            directory,
        }))
    }

    /// Serves a repository under a name and returns its URL.
    pub fn serve(&self, name: &str, repository: &Path) -> Result<String> {
        let place = self.directory.path().join("repositories").join(name);
        if place.is_symlink() {
            std::fs::remove_file(&place)?;
        }
        symlink(repository, place)?;
        Ok(self.nginx.url(&format!("git/{name}")))
    }

    /// Serves nothing under a name any more.
    pub fn withdraw(&self, name: &str) -> Result<()> {
        Ok(std::fs::remove_file(
            self.directory.path().join("repositories").join(name),
        )?)
    }

    /// Returns all requests that were answered since the last call.
    pub fn requests(&self) -> Result<Vec<Logged>> {
        self.nginx.requests()
    }

    /// Returns the certificate of the CA that vouches for it.
    pub fn ca_file(&self) -> PathBuf {
        self.nginx.ca_file()
    }
}

impl Drop for GitHttp {
    fn drop(&mut self) {
        for worker in &mut self.workers {
            worker.kill().ok();
            worker.wait().ok();
        }
    }
}

/// Returns where the program is that answers requests.
fn backend() -> Result<Option<PathBuf>> {
    let is_there = |program: &str| {
        let mut command = Command::new(program);
        command
            .arg("-h")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command.stdin(Stdio::null()).status().is_ok()
    };
    if !is_there("fcgiwrap") {
        skipped("there is no `fcgiwrap` on this machine");
        return Ok(None);
    }
    let output = Command::new("git").arg("--exec-path").output()?;
    let programs = String::from_utf8(output.stdout)?;
    let backend = PathBuf::from(programs.trim_end()).join("git-http-backend");
    if !backend.is_file() {
        skipped("there is no `git http-backend` on this machine");
        return Ok(None);
    }
    Ok(Some(backend))
}
