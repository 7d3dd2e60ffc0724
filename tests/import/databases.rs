//! What the sync after an import of a database asks for.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::agent_sync_db::{self, BY_URL, WITH_SOURCES};
use testkit::{Nginx, NginxOptions};

use super::{etag, hash, home, outcomes, put};
use crate::harness::TestResult;

const NAMES: [&str; 3] = ["a.md", "b.md", "sub/c.md"];

/// How an agent sync knows what it has.
struct Known<'k> {
    schema: &'k str,
    /// Whether there is an `ETag` cache beside the database.
    has_cache: bool,
    /// How many bytes more the cache says that each file had.
    longer: u64,
    /// How much later than the file the cache says that it was written.
    older: Duration,
}

/// Imports a database of three files of a server, and syncs; returns the answers to that, and what the import said.
fn sync_after(known: &Known<'_>) -> Result<Option<(Vec<u16>, Vec<String>)>> {
    let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
        return Ok(None);
    };
    let (home, daemon) = home()?;
    let source = nginx.url("agents");
    let mut cache = serde_json::Map::new();
    let mut rows = format!("INSERT INTO sources(id, url) VALUES ('web', '{source}');");
    if known.schema == BY_URL {
        rows.clear();
    }
    for name in NAMES {
        let text = format!("# {name}\n");
        nginx.put(&format!("agents/{name}"), text.as_bytes())?;
        let place = format!("synced/{name}");
        let file = put(&home, &place, &text)?;
        let (url, hash) = (nginx.url(&format!("agents/{name}")), hash(&home, &place)?);
        let etag = etag(&url)?;
        let row = if known.schema == BY_URL {
            format!(
                "INSERT INTO sync_history(source_url, file_path, content_hash, etag, synced_at)
                     VALUES ('{source}', '{name}', '{hash}', '{etag}', '2025-11-29T10:00:00Z');"
            )
        } else {
            let file = file.display();
            let size = text.len();
            format!(
                "INSERT INTO agent_files VALUES ('web', '{name}', '{hash}', '{file}', 'x', {size});"
            )
        };
        rows.push_str(&row);
        let size = text.len() as u64 + known.longer;
        let written = jiff::Timestamp::try_from(std::fs::metadata(&file)?.modified()?)?;
        let written = written + known.older;
        let entry = json!({"etag": etag, "file_size": size, "last_modified": written.to_string()});
        cache.insert(url, entry);
    }
    if known.has_cache {
        let text = Value::Object(cache).to_string();
        put(&home, "synced/.etag-cache.json", &text)?;
    }
    let database = home.path("synced/agent_sync.db");
    agent_sync_db::create(&database, known.schema, &rows)?;
    let path = database.to_str().context("it is UTF-8")?;
    let done = home.json_ok(&["import", "agent-sync-db", path])?;
    let outcomes = outcomes(&done).into_iter().map(|(_, outcome)| outcome);
    let outcomes = outcomes.collect();
    ensure!(home.path("synced/.etag-cache.json").exists() == known.has_cache);
    let added = &done["imports"][0]["added"][0];
    nginx.requests()?;
    home.ok(&["sync", added.as_str().context("a source")?])?;
    let answers = nginx.requests()?.iter().map(|one| one.status).collect();
    daemon.stop()?;
    Ok(Some((answers, outcomes)))
}

fn expect(known: &Known<'_>, status: u16, outcome: &str) -> TestResult {
    if let Some((answers, outcomes)) = sync_after(known)? {
        ensure!(answers == [status; 3], "{answers:?}");
        ensure!(outcomes == [outcome; 3], "{outcomes:?}");
    }
    Ok(())
}

#[test]
fn a_database_with_an_etag_of_each_file_leaves_nothing_to_download() -> TestResult {
    let known = Known {
        schema: BY_URL,
        has_cache: false,
        longer: 0,
        older: Duration::ZERO,
    };
    expect(&known, 304, "taken")
}

#[test]
fn the_etag_cache_beside_a_database_leaves_nothing_to_download() -> TestResult {
    let mut known = Known {
        schema: WITH_SOURCES,
        has_cache: true,
        longer: 0,
        older: Duration::ZERO,
    };
    expect(&known, 304, "taken")?;
    // Without it nobody knows what the server is to be asked; each file comes once.
    known.has_cache = false;
    expect(&known, 200, "content-only")
}

#[test]
fn a_cache_of_another_download_than_the_database_s_is_not_believed() -> TestResult {
    for (longer, older) in [(1, Duration::ZERO), (0, Duration::from_mins(1))] {
        let known = Known {
            schema: WITH_SOURCES,
            has_cache: true,
            longer,
            older,
        };
        expect(&known, 200, "content-only")?;
    }
    Ok(())
}
