//! Names that would lead out of a target, or that a file system takes for one: listed by an index and by a Git tree.

use std::io::Write;
use std::path::PathBuf;

use anyhow::{Result, ensure};
use serde_json::{Value, json};
use testkit::{Node, RawServer};

use crate::github::{NAME, Upstream};
use crate::harness::{Home, TestResult, Tree};
use crate::http::configure;

/// Names that are no item's, and what is told of each.
const HOSTILE: [(&str, &str); 16] = [
    ("../evil.md", "../evil.md"),
    ("agents/../../evil.md", "agents/../../evil.md"),
    ("agents/..", "agents/.."),
    ("/etc/homing-evil.md", "/etc/homing-evil.md"),
    ("//host/share/evil.md", "//host/share/evil.md"),
    ("C:evil.md", "C:evil.md"),
    ("C:/evil.md", "C:/evil.md"),
    ("c:\\evil.md", "evil.md"),
    ("..\\evil.md", "evil.md"),
    ("nul\0evil.md", "nul"),
    ("new\nevil.md", "new"),
    (".git/x", ".git/x"),
    (".GIT/x", ".GIT/x"),
    ("deep/.Git/hooks/evil.md", "deep/.Git/hooks/evil.md"),
    ("a//evil.md", "a//evil.md"),
    ("./evil.md", "./evil.md"),
];

/// Names that are fine, two of which are one on some file systems.
const FINE: [&str; 4] = ["Twin.md", "agents/good.md", "good.md", "twin.md"];

/// Syncs and checks that the fine names alone arrived, that each other one is told, and that nothing came to be elsewhere.
fn check(home: &Home, source: &str) -> TestResult {
    let before = Tree(home.root().to_owned()).snapshot()?;
    let (document, code) = home.json(&["sync", source])?;
    // Names that cannot be items are told and not held against the run.
    ensure!(code == 0 || code == 3, "{code}: {document:#}");
    let published: Vec<String> = home.target("agents").texts()?.into_keys().collect();
    ensure!(published == FINE, "{published:?}");
    let after = Tree(home.root().to_owned()).snapshot()?;
    let places = ["home/agents", "home/.local/share/homing"].map(PathBuf::from);
    for path in after.keys().filter(|path| !before.contains_key(*path)) {
        let expected = places.iter().any(|place| path.starts_with(place));
        ensure!(expected, "{} came into being", path.display());
        let path = path.to_string_lossy();
        ensure!(!path.contains("evil") && !path.contains("git/"), "{path}");
    }
    let told = told(&document)?;
    for (name, shown) in HOSTILE {
        ensure!(
            told.iter().any(|problem| problem.contains(shown)),
            "{name:?} is not told: {told:#?}"
        );
    }
    ensure!(told.len() >= HOSTILE.len(), "{told:#?}");
    ensure!(
        told.iter()
            .any(|problem| problem.contains("Twin.md") && problem.contains("twin.md")),
        "that two names are one somewhere is not told: {told:#?}"
    );
    // What is said on a terminal is one line for each, without what a terminal obeys.
    let said = home.ok(&["run", "show", &document["runs"][0]["id"].to_string()])?;
    ensure!(
        !said.contains('\0') && !said.contains("new\nevil"),
        "{said:?}"
    );
    Ok(())
}

fn told(document: &Value) -> Result<Vec<String>> {
    let problems = document["runs"][0]["problems"].as_array();
    let problems = problems.ok_or_else(|| anyhow::anyhow!("no problems: {document:#}"))?;
    Ok(problems
        .iter()
        .map(|problem| format!("{} {}", problem["path"], problem["message"]))
        .collect())
}

#[test]
fn hostile_names_in_an_index_are_told_and_the_rest_is_published() -> TestResult {
    let names: Vec<&str> = HOSTILE.iter().map(|(name, _)| *name).chain(FINE).collect();
    let index = json!(names).to_string();
    let server = RawServer::start(move |lines, stream| {
        let body = if lines[0].contains("/index.json") {
            &index
        } else {
            "x"
        };
        write!(
            stream,
            "HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
            body.len()
        )
        .ok();
    })?;
    let home = Home::new()?;
    configure(&home, &server.url(""), "index = \"index.json\"")?;
    let _daemon = home.start()?;
    check(&home, "team")?;
    ensure!(
        server.requests().len() == 1 + FINE.len(),
        "{:?}",
        server.requests()
    );
    Ok(())
}

#[test]
fn hostile_names_in_a_tree_are_told_and_the_rest_is_published() -> TestResult {
    let nodes = FINE.map(|name| (name, Node::File(b"x")));
    let upstream = Upstream::new(&nodes)?;
    let blob = upstream.repository.blob(b"evil\n")?;
    let entry = |(name, _): (&str, _)| json!({"path": name, "mode": "100644", "type": "blob", "sha": blob, "size": 5});
    upstream
        .github
        .add_to_trees(NAME, HOSTILE.map(entry).into());
    let _daemon = upstream.home.start()?;
    check(&upstream.home, "community")?;
    let requests = upstream.requests();
    ensure!(
        !requests.iter().any(|request| request.contains(&blob)),
        "{requests:?}"
    );
    Ok(())
}
