//! Files of a web server: without an index, over a long way, and with an index.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::super::super::delay;
use super::super::super::service::{AS_INSTALLED, Service};
use super::super::super::table::{Table, Target};
use super::super::Bench;
use super::super::files::count_files;
use super::curl::Curl;
use super::repository::Repository;
use super::web::Web;
use super::{BYTES, FILES, Measured, Synced};

/// What is added to each answer where the server is far away.
const LATER: Duration = Duration::from_millis(50);

pub(super) fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let repository = bench.place.fresh("http/repository")?;
    let repository = Repository::make(&repository, FILES, BYTES)?;
    let paths = repository.paths();
    let web = Web::serve(&repository, false)?;
    web.add("index.json", &index(&repository)?)?;
    let near = Server {
        name: "near",
        base: web.base(),
        web: &web,
        paths: &paths,
        has_index: false,
        ca_file: None,
    };
    let (first, unchanged) = near.measure(bench)?;
    let most = [Target::Ratio("curl", 1.2)];
    first.row(table, "HTTP, 500 files without an index: first sync", &most);
    unchanged.row(table, "… unchanged", &most);

    let secure = Web::serve(&repository, true)?;
    let far: SocketAddr = delay::begin(secure.address()?, LATER)?;
    let far = Server {
        name: "far",
        base: format!("https://{far}"),
        web: &secure,
        paths: &paths,
        has_index: false,
        ca_file: Some(secure.ca_file()),
    };
    let (first, unchanged) = far.measure(bench)?;
    let what = "HTTP/2 and TLS, 50 ms added to each answer: first sync";
    first.row(table, what, &[Target::None]);
    unchanged.row(table, "… unchanged", &[Target::Ratio("curl", 0.25)]);

    let with_index = Server {
        name: "index",
        has_index: true,
        ..near
    };
    let (first, unchanged) = with_index.measure(bench)?;
    first.row(table, "HTTP, 500 files with an index: first sync", &[]);
    unchanged.row(table, "… unchanged", &[]);
    unchanged.homing.run_row(table, &[Target::Millis(10.0)]);
    let requests = unchanged.homing.command.requests;
    ensure!(requests == 1, "an unchanged index took {requests} requests");
    Ok(())
}

/// A server, what is there, and how it is reached.
struct Server<'a> {
    name: &'static str,
    base: String,
    web: &'a Web,
    paths: &'a [String],
    has_index: bool,
    ca_file: Option<PathBuf>,
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

impl Server<'_> {
    /// Measures first syncs, and unchanged ones after the last of them.
    fn measure(&self, bench: &Bench<'_>) -> Result<(Times, Times)> {
        let (mut first, mut unchanged) = (Times::default(), Times::default());
        let mut last = None;
        for number in 0..bench.runs {
            drop(last.take());
            let base = format!("http/{}-{number}", self.name);
            let target = bench.place.fresh(&format!("{base}/target"))?;
            let listing = if self.has_index {
                "index = \"index.json\"\n".to_owned()
            } else {
                format!("files = {}\n", json!(self.paths))
            };
            let ca_file = self.ca_file.as_deref();
            let sections = sections(&self.base, &listing, ca_file, &target);
            let home = bench.place.fresh(&format!("{base}/home"))?;
            let service = Service::start_with(bench.binaries, &home, &sections, AS_INSTALLED)?;
            let curl = bench.place.fresh(&format!("{base}/curl"))?;
            let curl = Curl::new(&curl, &self.base, self.paths, ca_file)?;
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
        &self,
        bench: &Bench<'_>,
        service: &Service,
        curl: &Curl,
        times: &mut Times,
    ) -> Result<()> {
        bench.place.settle()?;
        self.web.take_requests()?;
        times.homing.sync(service, || self.web.take_requests())?;
        bench.place.settle()?;
        let took = curl.get()?;
        times.curl.push((took, self.web.take_requests()?));
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

/// Returns what names all files, with their digests.
pub(super) fn index(repository: &Repository) -> Result<String> {
    let mut entries = Vec::new();
    for path in repository.paths() {
        let bytes = std::fs::read(repository.files().join(&path))?;
        let mut digest = String::new();
        for byte in Sha256::digest(&bytes) {
            write!(digest, "{byte:02x}")?;
        }
        entries.push(json!({ "path": path, "sha256": digest, "size": bytes.len() }));
    }
    Ok(Value::Array(entries).to_string())
}
