//! Files of a web server: without an index, over a long way, and with an index.

use std::fmt::Write as _;
use std::fs::File;
use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::super::delay;
use super::super::super::nginx::Nginx;
use super::super::super::service::{AS_INSTALLED, Service};
use super::super::super::table::{Table, Target};
use super::super::Bench;
use super::super::files::count_files;
use super::curl::Curl;
use super::repository::Repository;
use super::{BYTES, FILES, Measured, Synced};

/// What is added to each answer where the server is far away.
const LATER: Duration = Duration::from_millis(50);

pub(super) fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let repository = bench.place.fresh("http/repository")?;
    let repository = Repository::make(&repository, FILES, BYTES)?;
    let nginx = bench.place.fresh("http/nginx")?;
    let mut server = Server {
        nginx: Nginx::start(&nginx, &repository.files())?,
        paths: repository.paths(),
    };
    write_index(&repository)?;
    let near = Way {
        name: "near",
        base: format!("http://{}", server.nginx.plain()),
        is_tls: false,
    };
    let (first, unchanged) = server.measure(bench, &near, false)?;
    let most = [Target::Ratio("curl", 1.2)];
    first.row(table, "HTTP, 500 files without an index: first sync", &most);
    unchanged.row(table, "… unchanged", &most);

    let far: SocketAddr = delay::begin(server.nginx.tls(), LATER)?;
    let far = Way {
        name: "far",
        base: format!("https://{far}"),
        is_tls: true,
    };
    let (first, unchanged) = server.measure(bench, &far, false)?;
    let what = "HTTP/2 and TLS, 50 ms added to each answer: first sync";
    first.row(table, what, &[Target::None]);
    unchanged.row(table, "… unchanged", &[Target::Ratio("curl", 0.25)]);

    let near = Way {
        name: "index",
        ..near
    };
    let (first, unchanged) = server.measure(bench, &near, true)?;
    first.row(table, "HTTP, 500 files with an index: first sync", &[]);
    unchanged.row(table, "… unchanged", &[]);
    unchanged.homing.run_row(table, &[Target::Millis(10.0)]);
    let requests = unchanged.homing.command.requests;
    ensure!(requests == 1, "an unchanged index took {requests} requests");
    Ok(())
}

/// A server and what is there.
struct Server {
    nginx: Nginx,
    paths: Vec<String>,
}

/// How it is reached.
struct Way {
    name: &'static str,
    base: String,
    is_tls: bool,
}

#[derive(Default)]
struct Times {
    homing: Synced,
    curl: Measured,
}

impl Times {
    fn row(&self, table: &mut Table, what: &str, targets: &[Target]) {
        let curl = Measured {
            times: self.curl.times.clone(),
            ..self.curl
        };
        self.homing.row(table, what, &[curl.peer("curl")], targets);
    }
}

impl Server {
    /// Measures first syncs, and unchanged ones after the last of them.
    fn measure(&mut self, bench: &Bench<'_>, way: &Way, has_index: bool) -> Result<(Times, Times)> {
        let (mut first, mut unchanged) = (Times::default(), Times::default());
        let mut last = None;
        for number in 0..bench.runs {
            drop(last.take());
            let base = format!("http/{}-{number}", way.name);
            let target = bench.place.fresh(&format!("{base}/target"))?;
            let listing = if has_index {
                "index = \"index.json\"\n".to_owned()
            } else {
                format!("files = {}\n", json!(self.paths))
            };
            let ca_file = way.is_tls.then(|| self.nginx.ca_file());
            let sections = sections(&way.base, &listing, ca_file.as_deref(), &target);
            let home = bench.place.fresh(&format!("{base}/home"))?;
            let service = Service::start_with(bench.binaries, &home, &sections, AS_INSTALLED)?;
            let curl = bench.place.fresh(&format!("{base}/curl"))?;
            let curl = Curl::new(&curl, &way.base, &self.paths, ca_file.as_deref())?;
            self.both(bench, &service, &curl, &mut first)?;
            for directory in [target.as_path(), curl.directory()] {
                let count = count_files(directory)?;
                ensure!(count == FILES, "{count} files in {}", directory.display());
            }
            last = Some((service, curl));
        }
        let (service, curl) = last.expect("there is at least one run");
        for _ in 0..bench.runs {
            self.both(bench, &service, &curl, &mut unchanged)?;
        }
        Ok((first, unchanged))
    }

    fn both(
        &mut self,
        bench: &Bench<'_>,
        service: &Service,
        curl: &Curl,
        times: &mut Times,
    ) -> Result<()> {
        bench.place.settle()?;
        self.nginx.take_requests()?;
        times.homing.sync(service, || self.nginx.take_requests())?;
        bench.place.settle()?;
        let took = curl.get()?;
        times.curl.push((took, self.nginx.take_requests()?));
        Ok(())
    }
}

/// Returns the sections of a source at a web server and of its target.
pub(super) fn sections(base: &str, listing: &str, ca_file: Option<&Path>, target: &Path) -> String {
    let ca_file = ca_file.map_or(String::new(), |path| {
        format!("ca_file = \"{}\"\n", path.display())
    });
    format!(
        "[sources.s0]\nkind = \"http\"\nurl = \"{base}/\"\n{listing}{ca_file}\n\
         [targets.t0]\npath = \"{}\"\nfrom = [\"s0\"]\n",
        target.display()
    )
}

/// Writes what names all files, with their digests, beside them.
pub(super) fn write_index(repository: &Repository) -> Result<()> {
    let mut entries = Vec::new();
    for path in repository.paths() {
        let bytes = std::fs::read(repository.files().join(&path))?;
        let mut digest = String::new();
        for byte in Sha256::digest(&bytes) {
            write!(digest, "{byte:02x}")?;
        }
        entries.push(json!({ "path": path, "sha256": digest, "size": bytes.len() }));
    }
    let index = Value::Array(entries).to_string();
    let mut file = File::create(repository.files().join("index.json"))?;
    Ok(file.write_all(index.as_bytes())?)
}
