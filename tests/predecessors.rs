//! Bugs that other agent-sync systems had: each test fails on what they did.

mod database;
mod refusals;
mod sources;
mod validators;
mod writes;

use anyhow::ensure;
use serde_json::json;
use testkit::github::{Effect, Fault, GitHub};
use testkit::{GitRepository, Node};

use crate::github::{NAME, Upstream, count};
use crate::harness::{Home, TestResult, Tree};

/// Makes files of a skill each: the same base name in every directory.
fn skills(count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|n| {
            (
                format!("skill-{n:03}/SKILL.md"),
                format!("skill number {n}\n"),
            )
        })
        .collect()
}

fn nodes(files: &[(String, String)]) -> Vec<(&str, Node<'_>)> {
    files
        .iter()
        .map(|(path, text)| (path.as_str(), Node::File(text.as_bytes())))
        .collect()
}

/// 1: every second sync downloaded everything, for what was known of the last one was lost at each start.
#[test]
fn an_unchanged_source_is_never_downloaded_again_however_often_and_over_restarts() -> TestResult {
    let upstream = Upstream::new(&nodes(&skills(10)))?;
    let daemon = upstream.home.start()?;
    upstream.sync()?;
    daemon.stop()?;
    for _ in 0..2 {
        let daemon = upstream.home.start()?;
        for _ in 0..3 {
            upstream.requests();
            upstream.sync()?;
            let requests = upstream.requests();
            ensure!(
                requests == ["304 /repos/octo/agents/commits/HEAD"],
                "{requests:?}"
            );
        }
        daemon.stop()?;
    }
    Ok(())
}

/// 2 and 14: one validator for a whole source, or for all files of one base name, so that others were downloaded again.
#[test]
fn of_many_files_with_one_name_only_the_changed_one_is_downloaded() -> TestResult {
    let upstream = Upstream::new(&nodes(&skills(20)))?;
    let _daemon = upstream.home.start()?;
    upstream.sync()?;
    for (path, text) in [
        ("skill-007/SKILL.md", "new\n"),
        ("skill-013/SKILL.md", "newer\n"),
    ] {
        upstream.commit(&[(path, Node::File(text.as_bytes()))])?;
        upstream.requests();
        upstream.sync()?;
        let requests = upstream.requests();
        ensure!(
            count(&requests, "/git/blobs/") == 1 && requests.len() == 3,
            "{requests:?}"
        );
        ensure!(upstream.target().read(path)? == text);
    }
    Ok(())
}

/// 2 and 14 over plain HTTP, where a validator is one URL's own.
#[test]
fn each_url_has_its_own_validator_however_its_file_is_called() -> TestResult {
    let files = skills(20);
    let repository = GitRepository::new()?;
    repository.commit("main", &nodes(&files))?;
    let github = GitHub::start()?;
    github.serve(NAME, repository.path())?;
    let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    let home = Home::new()?;
    home.configure(&format!(
        "[sources.community]\nkind = \"http\"\nurl = \"{}/{NAME}/main/\"\nfiles = {names:?}\n\n\
         [targets.agents]\npath = \"{{home}}/agents\"\nfrom = [\"community\"]\n",
        github.files()
    ))?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    ensure!(home.target("agents").texts()?.len() == 20);
    let mut changed = 0;
    for round in 0..3 {
        let path = format!("skill-{:03}/SKILL.md", 3 + round);
        if round > 0 {
            repository.commit("main", &[(&path, Node::File(b"new\n"))])?;
            changed = 1;
        }
        github.take_requests();
        home.ok(&["sync"])?;
        let requests = github.take_requests();
        let downloads = requests
            .iter()
            .filter(|request| request.status == 200)
            .count();
        ensure!(
            requests.len() == 20 && downloads == changed,
            "round {round}: {downloads} downloads, {requests:#?}"
        );
        ensure!(requests.iter().all(|request| request.conditional));
    }
    Ok(())
}

/// 3: the validator was recorded before the file, so a crash between them left stale content that was taken for current.
#[test]
fn what_was_killed_in_the_middle_of_a_download_is_downloaded_by_the_next_run() -> TestResult {
    let upstream = Upstream::new(&[
        ("a.md", Node::File(b"old a\n")),
        ("b.md", Node::File(b"old b\n")),
    ])?;
    let daemon = upstream.home.start()?;
    upstream.sync()?;
    upstream.commit(&[
        ("a.md", Node::File(b"new a\n")),
        ("b.md", Node::File(b"new b\n")),
    ])?;
    let held = upstream.repository.git(&["rev-parse", "main:b.md"])?;
    upstream.github.fail(Fault::on(&held, Effect::Hold));
    upstream.requests();
    upstream.home.ok(&["sync", "community", "--no-wait"])?;
    wait_for_request(&upstream.github, &held)?;
    daemon.kill()?;
    upstream
        .target()
        .expect(&[("a.md", "old a\n"), ("b.md", "old b\n")])?;
    upstream.github.mend();
    let _daemon = upstream.home.start()?;
    upstream.sync()?;
    upstream
        .target()
        .expect(&[("a.md", "new a\n"), ("b.md", "new b\n")])
}

/// Waits until something with this in its path was asked for.
fn wait_for_request(github: &GitHub, part: &str) -> TestResult {
    let deadline = std::time::Instant::now() + crate::harness::PATIENCE;
    while std::time::Instant::now() < deadline {
        if github
            .requests()
            .iter()
            .any(|request| request.path.contains(part))
        {
            return Ok(());
        }
        std::thread::yield_now();
    }
    anyhow::bail!("nobody asked for {part}")
}

/// 3, the other half: a content that was lost is not taken for current because the far side says "unchanged".
#[test]
fn a_published_file_that_was_lost_comes_back_though_nothing_changed_upstream() -> TestResult {
    let upstream = Upstream::new(&nodes(&skills(3)))?;
    let _daemon = upstream.home.start()?;
    upstream.sync()?;
    upstream.target().remove("skill-001/SKILL.md")?;
    upstream.requests();
    upstream.sync()?;
    ensure!(upstream.target().read("skill-001/SKILL.md")? == "skill number 1\n");
    ensure!(upstream.requests().len() == 1);
    Ok(())
}

/// 5: what was deleted upstream stayed for ever.
#[test]
fn what_is_deleted_upstream_goes() -> TestResult {
    let upstream = Upstream::new(&nodes(&skills(10)))?;
    let _daemon = upstream.home.start()?;
    upstream.sync()?;
    upstream.commit(&[("skill-003/SKILL.md", Node::Gone)])?;
    upstream.sync()?;
    ensure!(!upstream.target().has("skill-003") && upstream.target().texts()?.len() == 9);
    // An empty listing is no deletion of everything.
    let all: Vec<(String, String)> = skills(10);
    let gone: Vec<(&str, Node<'_>)> = all
        .iter()
        .filter(|(path, _)| !path.contains("003"))
        .map(|(path, _)| (path.as_str(), Node::Gone))
        .collect();
    upstream.commit(&gone)?;
    let emptied = upstream.home.homing(&["sync", "community"])?;
    ensure!(emptied.code != 0, "{emptied}");
    ensure!(
        upstream.target().texts()?.len() == 9,
        "an empty listing removed files"
    );
    Ok(())
}

/// 8: the tree entry `agents/../evil.md` was written outside of the cache.
#[test]
fn a_tree_entry_that_leads_out_is_written_nowhere() -> TestResult {
    let upstream = Upstream::new(&[("agents/good.md", Node::File(b"good\n"))])?;
    let blob = upstream.repository.blob(b"evil\n")?;
    let entry = |path: &str| json!({"path": path, "mode": "100644", "type": "blob", "sha": blob, "size": 5});
    upstream.github.add_to_trees(
        NAME,
        vec![
            entry("agents/../evil.md"),
            entry("../evil.md"),
            entry("../../evil.md"),
        ],
    );
    let _daemon = upstream.home.start()?;
    let (document, _) = upstream.home.json(&["sync", "community"])?;
    let everything = Tree(upstream.home.root().to_owned()).snapshot()?;
    let found: Vec<_> = everything
        .keys()
        .filter(|path| path.ends_with("evil.md"))
        .collect();
    ensure!(found.is_empty(), "{found:?}");
    ensure!(
        document.to_string().contains("agents/../evil.md"),
        "it is told: {document:#}"
    );
    upstream.target().expect(&[("agents/good.md", "good\n")])
}

/// 9: two files that flattening gave one name overwrote each other in every run, each time as "updated".
#[test]
fn of_two_files_that_flatten_to_one_name_one_is_published_and_the_other_told() -> TestResult {
    let upstream = Upstream::with_settings(
        "",
        "layout = \"flat\"",
        &[
            ("a/dup.md", Node::File(b"a\n")),
            ("b/dup.md", Node::File(b"b\n")),
        ],
    )?;
    let _daemon = upstream.home.start()?;
    let (first, _) = upstream.home.json(&["sync", "community"])?;
    ensure!(first.to_string().contains("dup.md"), "{first:#}");
    let published = upstream.target().texts()?;
    ensure!(published.len() == 1, "{published:?}");
    for _ in 0..3 {
        let (document, _) = upstream.home.json(&["sync", "community"])?;
        let run = &document["runs"][0];
        ensure!(run["synced"] == 0, "it is updated again: {run:#}");
        ensure!(upstream.target().texts()? == published);
    }
    Ok(())
}

/// 12: a repository with its files at the root had 0 agents, and nobody was told.
#[test]
fn files_at_the_root_are_found_and_nothing_found_is_told() -> TestResult {
    let upstream = Upstream::new(&[("agent.md", Node::File(b"at the root\n"))])?;
    let _daemon = upstream.home.start()?;
    upstream.sync()?;
    upstream.target().expect(&[("agent.md", "at the root\n")])?;

    let nothing = Upstream::with_settings(
        "path = \"agents\"",
        "",
        &[("agent.md", Node::File(b"at the root\n"))],
    )?;
    let _daemon = nothing.home.start()?;
    let said = nothing.home.homing(&["sync", "community"])?.to_string();
    ensure!(said.contains("nothing in `octo/agents` matches"), "{said}");
    Ok(())
}
