//! The interface as it describes itself, over the socket.

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use crate::conflicts::home_with_a_conflict;
use crate::harness::{Description, Home, TestResult};
use crate::socket::request;

/// An answer as it came.
struct Answer {
    status: u16,
    head: String,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.body).with_context(|| self.body.clone())
    }

    fn expect_problem(&self, status: u16, kind: &str) -> Result<Value> {
        let problem = self.json()?;
        ensure!(
            self.status == status && problem["kind"] == kind,
            "expected {status} {kind}, got {} {problem:#}",
            self.status
        );
        ensure!(
            self.header("content-type") == Some("application/problem+json"),
            "{}",
            self.head
        );
        Ok(problem)
    }
}

fn ask_with(home: &Home, method: &str, path: &str, headers: &str, body: &str) -> Result<Answer> {
    let text = format!(
        "{method} {path} HTTP/1.1\r\nHost: homing\r\n{headers}Content-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let answer = request(home, &text)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("a head and a body")?;
    let status = head.split(' ').nth(1).context("a status")?.parse()?;
    let body = if head
        .to_ascii_lowercase()
        .contains("transfer-encoding: chunked")
    {
        unchunked(body)?
    } else {
        body.to_owned()
    };
    Ok(Answer {
        status,
        head: head.to_owned(),
        body,
    })
}

fn unchunked(mut rest: &str) -> Result<String> {
    let mut body = String::new();
    loop {
        let (size, after) = rest.split_once("\r\n").context("the size of a chunk")?;
        let size = usize::from_str_radix(size, 16)?;
        if size == 0 {
            return Ok(body);
        }
        body.push_str(after.get(..size).context("a whole chunk")?);
        rest = after[size..].trim_start_matches("\r\n");
    }
}

fn ask(home: &Home, method: &str, path: &str, body: &Value) -> Result<Answer> {
    let text = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    ask_with(home, method, path, "", &text)
}

fn get(home: &Home, path: &str) -> Result<Answer> {
    ask(home, "GET", path, &Value::Null)
}

/// Returns what is counted, in Prometheus' text format.
pub(crate) fn figures(home: &Home) -> Result<String> {
    Ok(get(home, "/v1/metrics")?.body)
}

fn description(home: &Home) -> Result<Description> {
    Ok(Description(get(home, "/v1/openapi.json")?.json()?))
}

/// What answers with something else than JSON.
const OTHER_FORMATS: [&str; 3] = ["/v1/events", "/v1/metrics", "/v1/store/backup"];

#[test]
fn real_answers_are_as_described() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    let description = description(&home)?;
    let nothing = Value::Null;
    let conflict = get(&home, "/v1/conflicts")?.json()?["conflicts"][0]["id"].to_string();
    let run = get(&home, "/v1/runs")?.json()?["runs"][0]["id"].to_string();
    let path = home.path("agents/a.md").display().to_string();
    let mut asked = std::collections::BTreeSet::new();
    for (method, pattern, id, query, body) in [
        ("get", "/v1/version", "", "", &nothing),
        ("get", "/v1/status", "", "", &nothing),
        ("get", "/v1/health", "", "", &nothing),
        ("get", "/v1/openapi.json", "", "", &nothing),
        ("get", "/v1/sources", "", "", &nothing),
        ("get", "/v1/sources/{id}", "team", "", &nothing),
        ("get", "/v1/sources/{id}", "nobody", "", &nothing),
        ("get", "/v1/sources/{id}/files", "team", "", &nothing),
        (
            "get",
            "/v1/sources/{id}/files",
            "team",
            "?recent=1",
            &nothing,
        ),
        ("get", "/v1/items", "", "", &nothing),
        ("get", "/v1/items", "", "?kind=file&finding=note", &nothing),
        ("get", "/v1/sources/{id}/diff", "team", "", &nothing),
        ("get", "/v1/targets", "", "", &nothing),
        ("get", "/v1/targets/{id}", "agents", "", &nothing),
        (
            "post",
            "/v1/targets/{id}/verify",
            "agents",
            "",
            &json!({"repair": true}),
        ),
        ("get", "/v1/why", "", &format!("?path={path}"), &nothing),
        (
            "get",
            "/v1/conflicts",
            "",
            "?source=team&target=agents",
            &nothing,
        ),
        (
            "get",
            "/v1/runs",
            "",
            "?source=team&status=partial&limit=3&before=99999",
            &nothing,
        ),
        ("get", "/v1/runs/{id}", &run, "?limit=1", &nothing),
        (
            "post",
            "/v1/sources/{id}/runs",
            "team",
            "?wait=20s",
            &json!({"verb": "sync"}),
        ),
        (
            "post",
            "/v1/sources/{id}/runs",
            "team",
            "",
            &json!({"verb": "sync", "dry_run": true}),
        ),
        (
            "post",
            "/v1/runs",
            "",
            "?wait=20s",
            &json!({"sources": "all", "verb": "pull"}),
        ),
        (
            "post",
            "/v1/runs",
            "",
            "",
            &json!({"sources": ["team"], "verb": "sync", "if_older_than": "1d"}),
        ),
        ("delete", "/v1/runs/{id}", "77777", "", &nothing),
        ("post", "/v1/conflicts/{id}/content", "77777", "", &nothing),
        (
            "post",
            "/v1/conflicts/{id}/resolve",
            &conflict,
            "",
            &json!({"with": "theirs"}),
        ),
        ("post", "/v1/runs/{id}/undo", "last", "", &nothing),
        ("post", "/v1/pause", "", "", &json!({"for": "2h"})),
        ("post", "/v1/resume", "", "", &nothing),
        (
            "post",
            "/v1/sources/{id}/pause",
            "team",
            "",
            &json!({"for": "2h"}),
        ),
        ("post", "/v1/sources/{id}/resume", "team", "", &nothing),
        ("post", "/v1/reload", "", "", &nothing),
        ("post", "/v1/sources/{id}/release", "team", "", &nothing),
        ("get", "/v1/store", "", "", &nothing),
        ("post", "/v1/store/check", "", "", &json!({"deep": true})),
        ("post", "/v1/store/vacuum", "", "", &nothing),
        (
            "post",
            "/v1/store/prune",
            "",
            "",
            &json!({"older_than_ms": 86_400_000}),
        ),
        ("post", "/v1/store/accept-rebuild", "", "", &nothing),
        ("post", "/v1/import/etag-cache", "", "", &nothing),
        (
            "post",
            "/v1/import/agent-sync-db",
            "",
            "?dry_run=true",
            &nothing,
        ),
        ("post", "/v1/sources/{id}/withdraw", "team", "", &nothing),
        (
            "delete",
            "/v1/sources/{id}",
            "team",
            "?purge=true",
            &nothing,
        ),
        ("post", "/v1/shutdown", "", "", &nothing),
    ] {
        let place = format!("{method} {}{query}", pattern.replace("{id}", id));
        let path = format!("{}{query}", pattern.replace("{id}", id));
        let answer = ask(&home, &method.to_uppercase(), &path, body)?;
        ensure!(answer.status < 500, "{place}: {}", answer.body);
        let content_type = answer.header("content-type").context("a content type")?;
        let schema = description.answer(pattern, method, answer.status, content_type)?;
        description
            .check(&answer.json()?, schema)
            .with_context(|| place.clone())?;
        asked.insert(format!("{method} {pattern}"));
    }
    let described = description.0["paths"].as_object().context("paths")?;
    for (path, operations) in described {
        for method in operations.as_object().context("operations")?.keys() {
            let place = format!("{method} {path}");
            // Their answers are no JSON.
            ensure!(
                asked.contains(&place) || OTHER_FORMATS.contains(&path.as_str()),
                "{place} was not asked"
            );
        }
    }
    Ok(())
}

#[test]
fn what_an_import_answers_is_as_described() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    let entry = r#"{"https://raw.githubusercontent.com/own/rep/main/agents/a.md": {"etag": "a"}, "x": "y"}"#;
    // A header of ustar: name, mode, owner, size, time, checksum, kind.
    let start = format!(
        "{:\0<100}0000600\00000000\00000000\0{:011o}\000000000000\0        0{:\0<100}ustar\x0000",
        "document",
        entry.len(),
        "",
    );
    let mut header = format!("{start:\0<512}");
    let sum: u32 = header.bytes().map(u32::from).sum();
    header.replace_range(148..156, &format!("{sum:06o}\0 "));
    let body = format!("{header}{entry:\0<512}{:\0<1024}", "");
    let path = "/v1/import/etag-cache?dry_run=true";
    let answer = ask_with(
        &home,
        "POST",
        path,
        "Content-Type: application/x-tar\r\n",
        &body,
    )?;
    ensure!(answer.status == 200, "{}", answer.body);
    let report = answer.json()?;
    ensure!(
        report["sources"][0]["files"][0]["outcome"] == "missing"
            && report["problems"].as_array().map(Vec::len) == Some(1),
        "{report:#}"
    );
    let description = description(&home)?;
    let schema = description.answer("/v1/import/etag-cache", "post", 200, "application/json")?;
    description.check(&report, schema)
}

#[test]
fn real_events_are_as_described() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    let description = description(&home)?;
    let schema = description.answer("/v1/events", "get", 200, "text/event-stream")?;
    let answer = get(&home, "/v1/events?follow=false")?;
    let mut told = 0;
    for line in answer.body.lines() {
        if let Some(data) = line.strip_prefix("data: ") {
            let event: Value = serde_json::from_str(data)?;
            description.check(&event, schema)?;
            told += 1;
        }
    }
    ensure!(told > 3, "{}", answer.body);
    Ok(())
}

#[test]
fn every_example_is_as_described() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    let description = description(&home)?;
    let schemas = description.0["components"]["schemas"]
        .as_object()
        .context("schemas")?;
    let mut seen = 0;
    for (name, schema) in schemas {
        for example in schema["examples"].as_array().into_iter().flatten() {
            description
                .check(example, schema)
                .with_context(|| name.clone())?;
            seen += 1;
        }
    }
    let problem =
        &description.0["components"]["responses"]["Problem"]["content"]["application/problem+json"];
    let examples = problem["examples"].as_object().context("examples")?;
    for (kind, example) in examples {
        description
            .check(&example["value"], &problem["schema"])
            .with_context(|| kind.clone())?;
        seen += 1;
    }
    ensure!(seen > 40, "{seen}");
    Ok(())
}

#[test]
fn a_client_of_another_age_gets_version_status_and_shutdown() -> TestResult {
    let home = Home::with_one_source()?;
    let mut daemon = home.start()?;
    // The publish of the start is over: what is told of runs then was asked for.
    home.status_when_recovered()?;
    for theirs in ["2-3", "0"] {
        let header = format!("homing-api: {theirs}\r\n");
        for path in ["/v1/version", "/v1/status"] {
            let answer = ask_with(&home, "GET", path, &header, "")?;
            ensure!(answer.status == 200, "{path}: {}", answer.body);
            ensure!(answer.header("homing-api") == Some("1"), "{}", answer.head);
        }
        let body = r#"{"sources":"all","verb":"sync"}"#;
        let refused = ask_with(&home, "POST", "/v1/runs", &header, body)?;
        let problem = refused.expect_problem(412, "version-skew")?;
        ensure!(
            problem["detail"].to_string().contains(theirs),
            "{problem:#}"
        );
    }
    for (versions, status) in [("1-3", 200), ("0-1", 200), ("latest", 200)] {
        let header = format!("homing-api: {versions}\r\n");
        let answer = ask_with(&home, "GET", "/v1/runs", &header, "")?;
        ensure!(answer.status == status, "{versions}: {}", answer.body);
        ensure!(
            answer.json()? == json!({"runs": []}),
            "a refused run began: {}",
            answer.body
        );
    }
    let answer = ask_with(&home, "POST", "/v1/shutdown", "homing-api: 2-3\r\n", "")?;
    ensure!(answer.status == 202, "{}", answer.body);
    ensure!(daemon.wait()? == 0, "{}", daemon.log());
    Ok(())
}

#[test]
fn a_wrong_request_hears_what_is_wrong_with_it_and_what_was_meant() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    let runs = "/v1/sources/team/runs";
    for (method, path, headers, body, status, kind, hint) in [
        (
            "GET",
            "/v1/sources/taem",
            "",
            "",
            404,
            "unknown-source",
            "`team`",
        ),
        (
            "GET",
            "/v1/targets/agent",
            "",
            "",
            404,
            "unknown-target",
            "`agents`",
        ),
        (
            "GET",
            "/v1/conflicts?source=teams",
            "",
            "",
            404,
            "unknown-source",
            "`team`",
        ),
        (
            "GET",
            "/v1/runs?source=teams",
            "",
            "",
            404,
            "unknown-source",
            "`team`",
        ),
        (
            "GET",
            "/v1/runs?status=succes",
            "",
            "",
            400,
            "bad-request",
            "`success`",
        ),
        (
            "GET",
            "/v1/runs?limits=3",
            "",
            "",
            400,
            "bad-request",
            "`limit`",
        ),
        (
            "GET",
            "/v1/sources/team/diff?verb=pul",
            "",
            "",
            400,
            "bad-request",
            "`pull`",
        ),
        (
            "POST",
            runs,
            "",
            r#"{"verbs":"sync"}"#,
            400,
            "bad-request",
            "`verb`",
        ),
        (
            "POST",
            runs,
            "",
            r#"{"verb":"snyc"}"#,
            400,
            "bad-request",
            "`sync`",
        ),
        (
            "POST",
            "/v1/runs",
            "",
            r#"{"sources":["tam"],"verb":"sync"}"#,
            404,
            "unknown-source",
            "`team`",
        ),
        (
            "POST",
            "/v1/runs",
            "",
            r#"{"sources":"all","verb":"sync","if_older_than":"soon"}"#,
            400,
            "bad-request",
            "90d",
        ),
        (
            "POST",
            runs,
            "Content-Type: text/plain\r\n",
            "x",
            415,
            "unsupported-media-type",
            "application/json",
        ),
        (
            "POST",
            "/v1/conflicts/1/content",
            "Content-Type: application/json\r\n",
            "{}",
            415,
            "unsupported-media-type",
            "octet-stream",
        ),
        (
            "GET",
            "/v1/source",
            "",
            "",
            404,
            "unknown-route",
            "/v1/openapi.json",
        ),
        (
            "GET",
            "/v1/sources/team/files?path=nothing",
            "",
            "",
            404,
            "unknown-path",
            "homing files team",
        ),
        (
            "GET",
            "/v1/sources/team/files?recent=3&limit=2",
            "",
            "",
            400,
            "bad-request",
            "",
        ),
        (
            "GET",
            "/v1/sources/team/files?limit=0",
            "",
            "",
            400,
            "bad-request",
            "",
        ),
        ("GET", "/v1/items?kind=skil", "", "", 400, "bad-request", ""),
        (
            "GET",
            "/v1/items?finding=nothing",
            "",
            "",
            400,
            "bad-request",
            "",
        ),
        (
            "GET",
            "/v1/runs/1?limit=10001",
            "",
            "",
            400,
            "bad-request",
            "",
        ),
    ] {
        let place = format!("{method} {path} {body}");
        let answer = ask_with(&home, method, path, headers, body)?;
        let problem = answer
            .expect_problem(status, kind)
            .with_context(|| place.clone())?;
        let told = problem["hint"].as_str().unwrap_or_default();
        ensure!(told.contains(hint), "{place}: {problem:#}");
    }
    let json = "Content-Type: application/json; charset=utf-8\r\n";
    let answer = ask_with(
        &home,
        "POST",
        &format!("{runs}?wait=20s"),
        json,
        r#"{"verb":"sync"}"#,
    )?;
    ensure!(answer.status == 200, "{}", answer.body);
    for (path, allowed) in [
        ("/v1/status", "GET,HEAD"),
        (runs, "POST"),
        ("/v1/runs/1", "GET,HEAD,DELETE"),
    ] {
        let answer = ask_with(&home, "PATCH", path, "", "")?;
        answer.expect_problem(405, "method-not-allowed")?;
        ensure!(answer.header("allow") == Some(allowed), "{}", answer.head);
    }
    Ok(())
}

#[test]
fn figures_are_told_in_prometheus_format() -> TestResult {
    let (home, _daemon) = home_with_a_conflict()?;
    let answer = get(&home, "/v1/metrics")?;
    ensure!(answer.status == 200, "{}", answer.body);
    ensure!(
        answer.header("content-type") == Some("text/plain; version=0.0.4"),
        "{}",
        answer.head
    );
    let figure = |name: &str| -> Result<f64> {
        for line in answer.body.lines() {
            if let Some(value) = line
                .strip_prefix(name)
                .and_then(|rest| rest.strip_prefix(' '))
            {
                return Ok(value.parse()?);
            }
        }
        bail!("{name} is missing in:\n{}", answer.body)
    };
    let runs: f64 = ["success", "partial"]
        .iter()
        .filter_map(|status| {
            figure(&format!(
                "homing_runs_total{{verb=\"sync\",status=\"{status}\"}}"
            ))
            .ok()
        })
        .sum();
    ensure!(runs >= 2.0, "{}", answer.body);
    ensure!(figure("homing_run_duration_seconds_count{verb=\"sync\"}")? >= 2.0);
    ensure!(figure("homing_items_total{result=\"synced\"}")? >= 1.0);
    ensure!(figure("homing_store_transaction_duration_seconds_count{kind=\"read\"}")? >= 1.0);
    ensure!(figure("homing_store_transaction_duration_seconds_count{kind=\"write\"}")? >= 1.0);
    ensure!(figure("homing_store_database_bytes")? > 4096.0);
    ensure!((figure("homing_conflicts{source=\"team\"}")? - 1.0).abs() < 0.1);
    ensure!(figure("homing_sources_stale")?.abs() < 0.1);
    ensure!(figure("homing_sources_stalled")?.abs() < 0.1);
    ensure!(figure("process_resident_memory_bytes")? > 1e6);
    ensure!(figure("homing_source_last_success_timestamp_seconds{source=\"team\"}")? > 1.7e9);
    // Each figure is declared once, and by the conventions.
    for line in answer
        .body
        .lines()
        .filter(|line| line.starts_with("# TYPE "))
    {
        let mut words = line.split(' ').skip(2);
        let (name, kind) = (
            words.next().context("a name")?,
            words.next().context("a type")?,
        );
        ensure!((kind == "counter") == name.ends_with("_total"), "{line}");
        ensure!(
            answer.body.matches(&format!("# TYPE {name} ")).count() == 1,
            "{line}"
        );
        ensure!(answer.body.contains(&format!("# HELP {name} ")), "{line}");
    }
    Ok(())
}

#[test]
fn sources_and_targets_tell_how_they_are_configured() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    let source = get(&home, "/v1/sources/team")?.json()?;
    ensure!(
        source["config"]["priority"] == 100 && source["config"]["kind"] == "dir",
        "{source:#}"
    );
    let target = get(&home, "/v1/targets/agents")?.json()?;
    ensure!(target["config"]["from"] == json!(["team"]), "{target:#}");
    let status = get(&home, "/v1/status")?.json()?;
    ensure!(status["sources"][0].get("config").is_none(), "{status:#}");
    Ok(())
}

#[test]
fn the_name_of_a_preset_means_its_parts_together() -> TestResult {
    let home = Home::new()?;
    home.make_origin("team")?
        .write("agents/a.md", "---\nname: a\ndescription: d\n---\nA\n")?;
    home.configure(
        r#"
        [sources.team]
        kind = "dir"
        root = "{origins}/team"
        [targets.app]
        tool = "gemini"
        from = ["team"]
        "#,
    )?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let description = description(&home)?;
    let target = get(&home, "/v1/targets/app")?.json()?;
    let schema = description.answer("/v1/targets/{id}", "get", 200, "application/json")?;
    description.check(&target, schema)?;
    ensure!(target["id"] == "app" && target["files"] == 1, "{target:#}");
    let parts = target["parts"].as_array().context("parts")?;
    let ids: Vec<&Value> = parts.iter().map(|part| &part["id"]).collect();
    ensure!(ids == ["app.agents", "app.skills"], "{target:#}");
    ensure!(parts[0]["config"]["tool"] == "gemini", "{target:#}");
    std::fs::remove_file(home.path(".gemini/agents/a.md"))?;
    let found = ask(&home, "POST", "/v1/targets/app/verify", &json!({}))?.json()?;
    ensure!(
        found["target"] == "app"
            && found["checked"] == 1
            && found["drifted"][0]["path"] == "agents/a.md",
        "{found:#}"
    );
    let conflicts = get(&home, "/v1/conflicts?target=app")?.json()?;
    ensure!(conflicts["conflicts"] == json!([]), "{conflicts:#}");
    get(&home, "/v1/targets/ap")?.expect_problem(404, "unknown-target")?;
    Ok(())
}

#[test]
fn items_of_a_run_come_in_pages() -> TestResult {
    let home = Home::with_one_source()?;
    for number in 0..25 {
        home.origin("team")
            .write(&format!("{number:02}.md"), format!("{number}\n"))?;
    }
    let _daemon = home.start()?;
    let runs = home.json_ok(&["sync"])?;
    let id = &runs["runs"][0]["id"];
    let mut paths = Vec::new();
    let mut after = String::new();
    loop {
        let page = get(&home, &format!("/v1/runs/{id}?limit=10{after}"))?.json()?;
        let items = page["items"].as_array().context("items")?;
        ensure!(items.len() <= 10, "{page:#}");
        paths.extend(items.iter().map(|item| item["path"].clone()));
        match page.get("next") {
            Some(next) => after = format!("&after={next}"),
            None => break,
        }
    }
    let whole = home.json_ok(&["run", "show", &id.to_string()])?;
    let all: Vec<Value> = whole["items"]
        .as_array()
        .context("items")?
        .iter()
        .map(|item| item["path"].clone())
        .collect();
    ensure!(paths == all && all.len() >= 25, "{paths:?} are not {all:?}");
    let none = get(&home, &format!("/v1/runs/{id}?limit=0"))?.json()?;
    ensure!(none["items"] == json!([]), "{none:#}");
    Ok(())
}
