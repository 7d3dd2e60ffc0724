//! What homingd holds at most while it takes over many files at once.

use anyhow::{Result, ensure};
use testkit::github::GitHub;

use super::super::super::service::{AS_INSTALLED, Service};
use super::super::super::table::{Table, verdict};
use super::super::Bench;
use super::super::files::count_files;
use super::repository::Repository;
use super::web::Web;
use super::{BYTES, github, http};

const MANY: usize = 10_000;

pub(super) fn rows(bench: &Bench<'_>, table: &mut Table) -> Result<()> {
    let repository = bench.place.fresh("memory/repository")?;
    let repository = Repository::make(&repository, MANY, BYTES)?;
    let target = bench.place.fresh("memory/github/target")?;
    let server = GitHub::start()?;
    server.serve(github::NAME, repository.directory())?;
    let sections = github::sections(&server, &target);
    first(bench, table, "github", "one archive", &sections)?;

    let web = Web::serve(&repository, false)?;
    web.add("index.json", &http::index(&repository)?)?;
    let target = bench.place.fresh("memory/http/target")?;
    let base = web.base();
    let sections = http::sections(&base, "index = \"index.json\"\n", None, &target);
    first(bench, table, "http", "an index", &sections)
}

fn first(
    bench: &Bench<'_>,
    table: &mut Table,
    kind: &str,
    how: &str,
    sections: &str,
) -> Result<()> {
    let base = bench.place.fresh(&format!("memory/{kind}"))?;
    let service = Service::start_with(bench.binaries, &base.join("home"), sections, AS_INSTALLED)?;
    let (before, _) = service.memory()?;
    let took = service.time(&["sync", "s0", "--timeout", "300s"])?;
    let count = count_files(&base.join("target"))?;
    ensure!(count == MANY, "{count} files were published");
    let (after, most) = service.memory()?;
    table.tell(
        &format!("first sync of 10,000 files by {kind}, {how}: memory of homingd"),
        &format!(
            "at most {most:.1} MiB ({before:.1} before, {after:.1} after), {:.0} ms",
            took.as_secs_f64() * 1000.0
        ),
        &verdict(most, 40.0, "MiB"),
    );
    Ok(())
}
