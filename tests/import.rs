//! Taking over what claude-mpm's agent sync has fetched.

mod databases;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::agent_sync_db::{self, BY_URL, WITH_SOURCES};
use testkit::github::GitHub;
use testkit::{GitRepository, Nginx, NginxOptions, Node};

use crate::harness::{Daemon, Home, TestResult, line_with, skip, write};

const CONFIG: &str = "# mine\n[daemon]\nmax_runs = 2 # few\n";
const RAW: &str = "https://raw.githubusercontent.com/own/rep/main/agents";
const CACHE: &str = ".claude-mpm/cache/remote-agents/.etag-cache.json";

fn home() -> Result<(Home, Daemon)> {
    let home = Home::new()?;
    home.configure(CONFIG)?;
    let daemon = home.start()?;
    Ok((home, daemon))
}

fn put(home: &Home, path: &str, text: &str) -> Result<PathBuf> {
    let file = home.path(path);
    let directory = file.parent().context("it is in a directory")?;
    fs::create_dir_all(directory)?;
    write(&file, text.as_bytes())?;
    Ok(file)
}

/// Writes a cache of two agents of a repository, and their files.
fn github_cache(home: &Home) -> Result<PathBuf> {
    put(home, ".claude-mpm/cache/remote-agents/a.md", "# a\n")?;
    put(home, ".claude-mpm/cache/remote-agents/sub/b.md", "# b\n")?;
    let entry = |etag: &str| {
        // Its writer notes the time of its own writing, which is no `Last-Modified`.
        json!({"etag": etag, "last_modified": "2026-11-20T19:21:10.124656+00:00", "file_size": 4})
    };
    let cache =
        json!({format!("{RAW}/a.md"): entry("\"a\""), format!("{RAW}/sub/b.md"): entry("\"b\"")});
    put(home, CACHE, &cache.to_string())
}

fn hash(home: &Home, path: &str) -> Result<String> {
    let output = std::process::Command::new("/usr/bin/sha256sum")
        .arg(home.path(path))
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    Ok(text.split(' ').next().context("a hash")?.to_owned())
}

fn outcomes(done: &Value) -> Vec<(String, String)> {
    let list = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let mut all = Vec::new();
    for import in list(&done["imports"]) {
        for source in list(&import["sources"]) {
            for file in list(&source["files"]) {
                let text = |key: &str| file[key].as_str().unwrap_or_default().to_owned();
                all.push((text("path"), text("outcome")));
            }
        }
    }
    all.sort();
    all
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    let all = expected.iter();
    all.map(|(path, outcome)| ((*path).to_owned(), (*outcome).to_owned()))
        .collect()
}

#[test]
fn a_cache_becomes_a_source_and_what_it_holds() -> TestResult {
    let (home, daemon) = home()?;
    let cache = github_cache(&home)?;
    let told = home.ok(&["import", "etag-cache"])?;
    ensure!(
        told.starts_with("took over 2 cached files of 1 source\n"),
        "{told}"
    );
    ensure!(told.contains("next: publish somewhere"), "{told}");
    let config = fs::read_to_string(home.config_path())?;
    ensure!(config.starts_with(CONFIG), "{config}");
    for line in [
        "[sources.own-rep]",
        "kind = \"github\"",
        "url = \"https://github.com/own/rep\"",
        "ref = \"main\"",
        "path = \"agents\"",
        "include = [\"*.md\", \"*.json\"]",
    ] {
        ensure!(config.contains(line), "{line} is not in {config}");
    }
    let files = home.json_ok(&["files", "own-rep"])?;
    let paths: Vec<&str> = files["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|file| file["path"].as_str())
        .collect();
    ensure!(paths == ["a.md", "sub/b.md"], "{files:#}");
    let backup = home.path(&format!("{CACHE}.backup"));
    ensure!(!cache.exists() && backup.exists(), "it was not put aside");
    ensure!(home.ok(&["db", "check", "--deep"])?.contains("sound"));
    // Its backup once more: there is nothing left to do.
    let backup = backup.to_str().context("it is UTF-8")?;
    let again = home.ok(&["import", "etag-cache", backup])?;
    ensure!(
        again.starts_with("nothing to do: Homing has all of it already"),
        "{again}"
    );
    ensure!(
        fs::read_to_string(home.config_path())? == config,
        "the configuration changed"
    );
    daemon.stop()
}

#[test]
fn a_dry_run_tells_the_same_and_writes_nothing() -> TestResult {
    let (home, daemon) = home()?;
    let cache = github_cache(&home)?;
    let told = home.ok(&["import", "etag-cache", "--dry-run"])?;
    ensure!(
        told.starts_with("would take over 2 cached files of 1 source\n"),
        "{told}"
    );
    line_with(&told, &["would add", "[sources.own-rep]"])?;
    ensure!(cache.exists(), "the cache was put aside");
    ensure!(
        fs::read_to_string(home.config_path())? == CONFIG,
        "the configuration changed"
    );
    ensure!(
        home.json_ok(&["db", "size"])?["contents"] == 0,
        "contents were kept"
    );
    let done = home.json_ok(&["import", "etag-cache"])?;
    ensure!(
        outcomes(&done) == pairs([("a.md", "taken"), ("sub/b.md", "taken")]),
        "{done:#}"
    );
    daemon.stop()
}

#[test]
fn a_configured_source_of_the_place_is_used_and_left_as_it_is() -> TestResult {
    let home = Home::new()?;
    let config = "[sources.mine]\nkind = \"github\"\nurl = \"https://github.com/Own/rep\"\nref = \"main\"\napi = \
                  \"http://127.0.0.1:9\" # ours\nexclude = [\"b.md\"]\n";
    home.configure(config)?;
    let daemon = home.start()?;
    github_cache(&home)?;
    let (done, code) = home.json(&["import", "etag-cache"])?;
    ensure!(
        outcomes(&done)
            == pairs([
                ("agents/a.md", "taken"),
                (&format!("{RAW}/sub/b.md"), "refused")
            ]),
        "{done:#}"
    );
    ensure!(
        code == 3,
        "one of two is left out by the configuration, and the code is {code}"
    );
    ensure!(
        fs::read_to_string(home.config_path())? == config,
        "the configuration changed"
    );
    daemon.stop()
}

#[test]
fn each_document_that_is_none_is_told_as_what_it_is_and_nothing_changes() -> TestResult {
    let (home, daemon) = home()?;
    fs::create_dir(home.path("directory"))?;
    for (command, name, text, told) in [
        ("etag-cache", "empty.json", Some(""), "it is empty"),
        ("etag-cache", "cut.json", Some("{\"https://"), "no JSON"),
        ("etag-cache", "list.json", Some("[]"), "a list"),
        ("etag-cache", "number.json", Some("3"), "a number"),
        (
            "etag-cache",
            "no-etag.json",
            Some("{\"https://example.org/a.md\": {\"file_size\": 3}}"),
            "it has no etag",
        ),
        ("etag-cache", "directory", None, "is a directory"),
        ("agent-sync-db", "directory", None, "is a directory"),
        (
            "agent-sync-db",
            "text.db",
            Some("not a database at all\n"),
            "no SQLite database",
        ),
        ("agent-sync-db", "empty.db", Some(""), "it has no tables"),
    ] {
        let file = home.path(name);
        if let Some(text) = text {
            put(&home, name, text)?;
        }
        let path = file.to_str().context("it is UTF-8")?;
        home.homing(&["import", command, path])?
            .expect(1, &[told, "hint:"])
            .with_context(|| name.to_owned())?;
        ensure!(
            text.is_none_or(|text| fs::read_to_string(&file).is_ok_and(|read| read == text)),
            "{name} changed"
        );
        ensure!(
            !home.path(&format!("{name}.backup")).exists(),
            "{name} was put aside"
        );
    }
    let missing = home.path("missing.json");
    let missing = missing.to_str().context("it is UTF-8")?;
    home.homing(&["import", "etag-cache", missing])?
        .expect(8, &["is not there", "hint:"])?;
    ensure!(fs::read_to_string(home.config_path())? == CONFIG);
    daemon.stop()
}

#[test]
fn without_a_file_its_places_are_looked_at_and_named() -> TestResult {
    let (home, daemon) = home()?;
    home.homing(&["import", "etag-cache"])?.expect(
        8,
        &[
            "no ETag cache was found",
            "cache/remote-agents",
            "cache/agents",
            "cache/skills",
        ],
    )?;
    home.homing(&["import", "agent-sync-db"])?.expect(
        8,
        &[
            "no database",
            ".config/claude-mpm/agent_sync.db",
            ".claude-mpm/agent_sync.db",
        ],
    )?;
    daemon.stop()
}

#[test]
fn a_backup_is_never_replaced() -> TestResult {
    let (home, daemon) = home()?;
    github_cache(&home)?;
    put(&home, &format!("{CACHE}.backup"), "precious")?;
    home.ok(&["import", "etag-cache"])?;
    ensure!(fs::read_to_string(home.path(&format!("{CACHE}.backup")))? == "precious");
    ensure!(home.path(&format!("{CACHE}.backup.1")).exists());
    daemon.stop()
}

#[test]
fn a_file_that_names_no_url_is_left_where_it_is() -> TestResult {
    let (home, _daemon) = home()?;
    let file = put(
        &home,
        "package.json",
        r#"{"name": "mine", "version": "1.0"}"#,
    )?;
    let path = file.to_str().context("a path")?;
    home.homing(&["import", "etag-cache", path])?
        .expect(3, &[])?;
    ensure!(file.exists(), "it was renamed");
    Ok(())
}

#[test]
fn a_cache_that_cannot_be_renamed_is_taken_over_and_stays() -> TestResult {
    let mut home = Home::new()?;
    home.configure(CONFIG)?;
    let cache = github_cache(&home)?;
    if !home.hand_over()? {
        return skip("no other user can be become");
    }
    let directory = cache.parent().context("it is in a directory")?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o555))?;
    let daemon = home.start()?;
    let outcome = home.homing(&["import", "etag-cache"])?;
    fs::set_permissions(directory, fs::Permissions::from_mode(0o755))?;
    outcome.expect(0, &["stays where it is"])?;
    ensure!(
        outcome.stdout.starts_with("took over 2 cached files"),
        "{outcome}"
    );
    ensure!(cache.exists());
    fs::set_permissions(&cache, fs::Permissions::from_mode(0o000))?;
    let path = cache.to_str().context("it is UTF-8")?;
    home.homing(&["import", "etag-cache", path])?
        .expect(6, &["may not be read"])?;
    daemon.stop()
}

#[test]
fn a_database_brings_its_sources_its_files_and_its_history_once() -> TestResult {
    let (home, daemon) = home()?;
    let cache = ".claude-mpm/cache/agents/own/rep/agents";
    put(&home, &format!("{cache}/a.md"), "# a\n")?;
    put(&home, &format!("{cache}/edited.md"), "# edited since\n")?;
    put(
        &home,
        ".claude-mpm/config/agent_sources.yaml",
        "repositories:\n- url: https://github.com/own/rep\n  subdirectory: agents\n  priority: 50\n",
    )?;
    let file = |path: &str| home.path(&format!("{cache}/{path}")).display().to_string();
    let a = hash(&home, &format!("{cache}/a.md"))?;
    let rows = format!(
        "INSERT INTO sources(id, url, last_sha, last_sync_time, enabled) VALUES
             ('main', '{RAW}', '{sha}', '2025-11-29 10:00:00', 1),
             ('off', 'https://raw.githubusercontent.com/own/off/main', NULL, NULL, 0),
             ('web', 'https://example.org/agents', NULL, NULL, 1), ('bad', '/somewhere/local', NULL, NULL, 1);
         INSERT INTO agent_files VALUES ('main', 'a.md', '{a}', '{}', 'x', 4), ('main', 'edited.md', '{a}', '{}', 'x', 4),
             ('main', 'gone.md', '{a}', '/nowhere/gone.md', 'x', 4), ('off', 'off.md', '{a}', '{}', 'x', 4),
             ('main', 'passwd', '{a}', '/etc/passwd', 'x', 4), ('main', '../evil.md', '{a}', '/etc/passwd', 'x', 4);
         INSERT INTO sync_history(source_id, sync_time, status, files_synced, files_failed, error_message, duration_ms)
         VALUES ('main', '2025-11-28T09:00:00.5+00:00', 'error', 0, 1, 'no answer from https://h.org/a?token=s3cret', 9),
                ('main', '2025-11-29 10:00:00', 'success', 3, 0, NULL, 12);",
        file("a.md"),
        file("edited.md"),
        file("a.md"),
        sha = "c".repeat(40),
    );
    fs::create_dir_all(home.path(".config/claude-mpm"))?;
    let database = home.path(".config/claude-mpm/agent_sync.db");
    agent_sync_db::create(&database, WITH_SOURCES, &rows)?;
    let before = fs::read(&database)?;

    let (done, code) = home.json(&["import", "agent-sync-db"])?;
    let expected = [
        ("../evil.md", "refused"),
        ("a.md", "taken"),
        ("edited.md", "different"),
        ("gone.md", "missing"),
        ("off.md", "taken"),
        ("passwd", "missing"),
    ];
    ensure!(outcomes(&done) == pairs(expected), "{done:#}");
    ensure!(code == 3, "what could not be taken over is told: {code}");
    ensure!(fs::read(&database)? == before, "the database changed");
    let config = fs::read_to_string(home.config_path())?;
    ensure!(config.contains("priority = 50"), "{config}");
    let off = config
        .split("[sources.own-off]")
        .nth(1)
        .context("it was switched off")?;
    ensure!(off.contains("enabled = false"), "{config}");
    ensure!(
        !config.contains("example.org"),
        "a server without files is no source: {config}"
    );
    let history = home.json_ok(&["history", "own-rep"])?;
    let of = |at: usize, key: &str| history["runs"][at][key].clone();
    ensure!(
        of(0, "status") == "success" && of(0, "trigger") == "import",
        "{history:#}"
    );
    ensure!(
        of(0, "started_at") == "2025-11-29T10:00:00.000Z",
        "{history:#}"
    );
    ensure!(
        of(1, "status") == "error" && of(2, "status") == Value::Null,
        "{history:#}"
    );
    ensure!(!history.to_string().contains("s3cret"), "{history:#}");
    let again = home.homing(&["import", "agent-sync-db"])?;
    ensure!(
        again
            .stdout
            .starts_with("nothing to do: Homing has all of it already"),
        "{again}"
    );
    let more = home.json_ok(&["history", "own-rep"])?;
    ensure!(more["runs"].as_array().map(Vec::len) == Some(2), "{more:#}");
    daemon.stop()
}

#[test]
fn the_schema_of_the_guide_is_taken_over_from_the_cache_beside_it() -> TestResult {
    let (home, daemon) = home()?;
    put(&home, ".claude-mpm/cache/agents/engineer.md", "stale\n")?;
    put(
        &home,
        ".claude-mpm/cache/remote-agents/engineer.md",
        "# e\n",
    )?;
    let engineer = hash(&home, ".claude-mpm/cache/remote-agents/engineer.md")?;
    let rows = format!(
        "INSERT INTO sync_history(source_url, file_path, content_hash, etag, synced_at) VALUES
             ('https://github.com/own/rep', 'engineer.md', '{engineer}', '\"e\"', '2025-11-29T10:00:00Z');"
    );
    let database = home.path("agent_sync.db");
    agent_sync_db::create(&database, BY_URL, &rows)?;
    let path = database.to_str().context("it is UTF-8")?;
    let done = home.json_ok(&["import", "agent-sync-db", path])?;
    ensure!(
        outcomes(&done) == pairs([("engineer.md", "taken")]),
        "{done:#}"
    );
    daemon.stop()
}

#[test]
fn skills_of_one_name_are_as_many_as_there_are() -> TestResult {
    let (home, daemon) = home()?;
    put(
        &home,
        ".claude-mpm/config/skill_sources.yaml",
        "sources:\n- id: tst\n  type: git\n  url: https://github.com/own/skl\n  branch: main\n  priority: 7\n",
    )?;
    for name in ["one", "two"] {
        let directory = format!(".claude-mpm/cache/skills/tst/skills/{name}");
        let skill = put(
            &home,
            &format!("{directory}/SKILL.md"),
            &format!("# {name}\n"),
        )?;
        let cache = json!({skill.display().to_string(): "\"same for all\""});
        put(
            &home,
            &format!("{directory}/.etag_cache.json"),
            &cache.to_string(),
        )?;
    }
    let done = home.json_ok(&["import", "etag-cache"])?;
    let expected = [
        ("skills/one/SKILL.md", "taken"),
        ("skills/two/SKILL.md", "taken"),
    ];
    ensure!(outcomes(&done) == pairs(expected), "{done:#}");
    let sources = home.json_ok(&["source", "list"])?;
    ensure!(
        sources["sources"].as_array().map(Vec::len) == Some(1),
        "{sources:#}"
    );
    ensure!(sources["sources"][0]["priority"] == 7, "{sources:#}");
    daemon.stop()
}

/// Asks a server for a file and returns its `ETag`.
fn etag(url: &str) -> Result<String> {
    let rest = url.strip_prefix("http://").context("it is plain HTTP")?;
    let (host, path) = rest.split_once('/').context("a path")?;
    let mut stream = TcpStream::connect(host)?;
    write!(stream, "GET /{path} HTTP/1.0\r\nHost: {host}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let line = answer.lines().find_map(|line| line.strip_prefix("ETag: "));
    Ok(line.with_context(|| answer.clone())?.to_owned())
}

#[test]
fn the_sync_after_an_import_from_a_server_downloads_nothing() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
        return Ok(());
    };
    let (home, daemon) = home()?;
    let names = ["SKILL.md", "one/SKILL.md", "two/SKILL.md"];
    let mut cache = serde_json::Map::new();
    for name in names {
        let text = format!("# {name}\n");
        nginx.put(&format!("agents/{name}"), text.as_bytes())?;
        put(
            &home,
            &format!(".claude-mpm/cache/remote-agents/{name}"),
            &text,
        )?;
        let url = nginx.url(&format!("agents/{name}"));
        let now = jiff::Timestamp::now().to_string();
        let entry = json!({"etag": etag(&url)?, "file_size": text.len(), "last_modified": now});
        cache.insert(url, entry);
    }
    put(&home, CACHE, &Value::Object(cache).to_string())?;
    let done = home.json_ok(&["import", "etag-cache"])?;
    let expected = names.map(|name| (name, "taken"));
    ensure!(outcomes(&done) == pairs(expected), "{done:#}");
    let source = done["imports"][0]["added"][0]
        .as_str()
        .context("a source")?;
    nginx.requests()?;
    home.ok(&["sync", source])?;
    let answers: Vec<u16> = nginx.requests()?.iter().map(|one| one.status).collect();
    ensure!(answers == [304; 3], "{answers:?}");
    daemon.stop()
}

#[test]
fn an_edit_of_a_cached_file_is_not_taken_for_what_the_server_has() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
        return Ok(());
    };
    let (home, daemon) = home()?;
    nginx.put("agents/a.md", b"theirs\n")?;
    let url = nginx.url("agents/a.md");
    let entry = json!({"etag": etag(&url)?, "file_size": 7,
        "last_modified": "2026-01-01T00:00:00.5+00:00"});
    // Of the same length, and written later than it was downloaded.
    put(&home, ".claude-mpm/cache/remote-agents/a.md", "edited\n")?;
    put(&home, CACHE, &json!({ url: entry }).to_string())?;
    let done = home.json_ok(&["import", "etag-cache"])?;
    ensure!(
        outcomes(&done) == pairs([("a.md", "content-only")]),
        "{done:#}"
    );
    let source = done["imports"][0]["added"][0]
        .as_str()
        .context("a source")?;
    nginx.requests()?;
    home.ok(&["sync", source])?;
    let answers: Vec<u16> = nginx.requests()?.iter().map(|one| one.status).collect();
    ensure!(answers == [200], "{answers:?}");
    daemon.stop()
}

/// Imports a cache of two agents into a source of the emulator's that has three, and syncs it; returns what was asked.
fn sync_after_import(upstream_b: &[u8]) -> Result<(Home, Vec<String>)> {
    let files: [(&str, Node<'_>); 3] = [
        ("agents/a.md", Node::File(b"# a\n")),
        ("agents/sub/b.md", Node::File(upstream_b)),
        ("elsewhere/c.md", Node::File(b"# c\n")),
    ];
    let repository = GitRepository::new()?;
    repository.commit("main", &files)?;
    let github = GitHub::start()?;
    github.serve("own/rep", repository.path())?;
    let home = Home::new()?;
    home.configure(&format!(
        "[sources.agents]\nkind = \"github\"\nurl = \"https://github.com/own/rep\"\nref = \"main\"\npath = \"agents\"\n\
         api = \"{}\"\n[targets.here]\npath = \"{{home}}/here\"\nfrom = [\"agents\"]\n",
        github.api()
    ))?;
    let daemon = home.start()?;
    github_cache(&home)?;
    let done = home.json_ok(&["import", "etag-cache"])?;
    ensure!(
        outcomes(&done) == pairs([("a.md", "taken"), ("sub/b.md", "taken")]),
        "{done:#}"
    );
    ensure!(github.take_requests().is_empty(), "an import asked GitHub");
    home.ok(&["sync"])?;
    let here = home.target("here");
    ensure!(here.read("a.md")? == "# a\n");
    ensure!(here.read("sub/b.md")?.as_bytes() == upstream_b);
    let asked = github.take_requests().into_iter();
    let asked = asked
        .map(|one| format!("{} {}", one.status, one.path))
        .collect();
    daemon.stop()?;
    Ok((home, asked))
}

#[test]
fn the_sync_after_an_import_from_github_downloads_nothing() -> TestResult {
    let (_home, asked) = sync_after_import(b"# b\n")?;
    let is_listing = |one: &String| one.contains("/commits/") || one.contains("/git/trees/");
    ensure!(
        asked.iter().all(is_listing) && asked.len() <= 3,
        "{asked:?}"
    );
    Ok(())
}

/// The predecessors' third bug: an `ETag` that was saved before its file kept a stale one for ever.
#[test]
fn a_cached_file_that_is_older_than_its_etag_is_fetched() -> TestResult {
    let (_home, asked) = sync_after_import(b"# b, newer\n")?;
    let blobs = asked
        .iter()
        .filter(|one| one.contains("/git/blobs/"))
        .count();
    ensure!(blobs == 1, "{asked:?}");
    Ok(())
}
