//! Bugs that other agent-sync systems had: each test fails on what they did.

mod validators;
mod writes;

use std::collections::BTreeSet;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use testkit::github::{Effect, Fault, GitHub};
use testkit::{GitRepository, Node, agent_sync_db};

use crate::github::{NAME, Upstream, count};
use crate::harness::{Home, TestResult, Tree, skip};

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

/// Has homingd try again soon what failed, where the tests can (feature `failpoints`).
const SOON: (&str, &str) = ("FAILPOINTS", "engine::first_backoff=return(100)");

/// How long after its last attempt a source is tried again.
fn pause(upstream: &Upstream) -> Result<i64> {
    let status = upstream.status()?;
    let time = |name: &str| -> Result<jiff::Timestamp> {
        Ok(status[name].as_str().context("a time")?.parse()?)
    };
    Ok(time("next_due")?
        .duration_since(time("last_attempt")?)
        .as_secs())
}

/// 6: a used-up limit fell back to a list of names that was built in, was reported as synced, and held for a day.
#[test]
fn a_used_up_limit_is_told_as_a_failure_and_does_not_outlast_its_reset() -> TestResult {
    let upstream = Upstream::with_settings(
        "every = \"6h\"\nat_start = \"never\"",
        "",
        &nodes(&skills(3)),
    )?;
    let daemon = upstream.home.start()?;
    let reset = SystemTime::now() + Duration::from_mins(30);
    upstream.github.leave(None, 0, reset);
    let limited = upstream.home.homing(&["sync", "community"])?;
    ensure!(
        limited.code == 1 && limited.stderr.contains("rate limit"),
        "{limited}"
    );
    ensure!(!upstream.target().has(""), "something was made up");
    let waits = pause(&upstream)?;
    ensure!((29 * 60..=30 * 60 + 1).contains(&waits), "{waits} s");
    daemon.stop()?;
    if !cfg!(feature = "failpoints") {
        return skip("what comes by itself after a backoff needs the feature failpoints");
    }
    // The reset that is near brings everything by itself.
    let _daemon = upstream.home.start_with(&[], &[SOON])?;
    upstream
        .github
        .leave(None, 0, SystemTime::now() + Duration::from_secs(2));
    upstream
        .home
        .homing(&["sync", "community"])?
        .expect(1, &["rate limit"])?;
    upstream.target().wait_until(|found| found.len() == 3)
}

/// 7: `truncated` was ignored, and no request to the API was conditional.
#[test]
fn a_tree_that_is_cut_off_is_read_whole_and_requests_are_conditional() -> TestResult {
    let upstream = Upstream::new(&nodes(&skills(30)))?;
    upstream.github.truncate_trees(NAME, Some(5));
    let _daemon = upstream.home.start()?;
    upstream.sync()?;
    ensure!(upstream.target().texts()?.len() == 30);
    upstream.github.take_requests();
    upstream.sync()?;
    let requests = upstream.github.take_requests();
    ensure!(
        requests.iter().all(|request| request.conditional),
        "{requests:?}"
    );
    Ok(())
}

/// 7: an error of the server was final. Here the run that meets one ends, and half a minute later comes the next.
#[test]
fn a_server_error_fails_the_run_and_the_next_one_comes_soon_by_itself() -> TestResult {
    for (part, status, code) in [
        ("/commits/", 500, 1),
        ("/git/trees/", 502, 1),
        ("/git/trees/", 504, 1),
        // One of two files.
        ("/git/blobs/", 503, 3),
    ] {
        let upstream = Upstream::with_settings(
            "every = \"6h\"\nat_start = \"never\"",
            "",
            &[("a.md", Node::File(b"a\n")), ("b.md", Node::File(b"b\n"))],
        )?;
        upstream
            .github
            .fail(Fault::on(part, Effect::Status(status)).times(1));
        let daemon = upstream.home.start()?;
        let failed = upstream.home.homing(&["sync", "community"])?;
        failed.expect(code, &[])?;
        ensure!(
            failed.to_string().contains(&status.to_string()),
            "{part} {status}: {failed}"
        );
        let requests = upstream.requests();
        ensure!(
            count(&requests, part) == if code == 3 { 2 } else { 1 },
            "the broken server was asked again at once: {requests:?}"
        );
        let waits = pause(&upstream)?;
        ensure!(waits == 30, "{part} {status}: {waits} s");
        daemon.stop()?;
    }
    if !cfg!(feature = "failpoints") {
        return skip("what comes by itself after a backoff needs the feature failpoints");
    }
    // A turn that is later than the test's patience, and a clock that ticks every second.
    let upstream = Upstream::with_settings(
        "every = \"29s\"\nat_start = \"always\"",
        "",
        &nodes(&skills(3)),
    )?;
    for part in ["/commits/", "/git/trees/", "/git/blobs/"] {
        upstream
            .github
            .fail(Fault::on(part, Effect::Status(502)).times(1));
    }
    let _daemon = upstream.home.start_with(&[], &[SOON])?;
    upstream.target().wait_until(|found| found.len() == 3)
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

/// Two sources of one repository's branches, of which both have `same.md`.
fn two_sources() -> Result<(Home, GitHub, GitRepository)> {
    let repository = GitRepository::new()?;
    repository.commit(
        "main",
        &[
            ("same.md", Node::File(b"low\n")),
            ("low.md", Node::File(b"low\n")),
        ],
    )?;
    repository.commit(
        "high",
        &[
            ("same.md", Node::File(b"high\n")),
            ("high.md", Node::File(b"high\n")),
        ],
    )?;
    let github = GitHub::start()?;
    github.serve(NAME, repository.path())?;
    let home = Home::new()?;
    let api = github.api();
    home.configure(&format!(
        "[sources.low]\nkind = \"github\"\nurl = \"https://github.com/{NAME}\"\napi = \"{api}\"\npriority = 200\n\n\
         [sources.high]\nkind = \"github\"\nurl = \"https://github.com/{NAME}\"\napi = \"{api}\"\nref = \"high\"\npriority = 10\n\n\
         [targets.agents]\npath = \"{{home}}/agents\"\nfrom = [\"low\", \"high\"]\n"
    ))?;
    Ok((home, github, repository))
}

/// 10: priority counted in one way of three, and what was disabled or removed was deployed all the same.
#[test]
fn priority_counts_always_and_what_is_disabled_or_removed_goes() -> TestResult {
    let (home, _github, _repository) = two_sources()?;
    let _daemon = home.start()?;
    let target = home.target("agents");
    let both = [
        ("high.md", "high\n"),
        ("low.md", "low\n"),
        ("same.md", "high\n"),
    ];
    for arguments in [
        &["sync", "low"][..],
        &["sync", "high"],
        &["sync", "low", "--force"],
        &["sync"],
        &["verify", "--repair"],
    ] {
        home.ok(arguments)?;
    }
    target.expect(&both)?;
    home.ok(&["source", "disable", "high"])?;
    target.expect(&[("low.md", "low\n"), ("same.md", "low\n")])?;
    home.ok(&["sync"])?;
    target.expect(&[("low.md", "low\n"), ("same.md", "low\n")])?;
    home.ok(&["source", "enable", "high"])?;
    home.ok(&["sync"])?;
    target.expect(&both)?;
    home.ok(&["source", "remove", "high"])?;
    home.ok(&["sync"])?;
    target.expect(&[("low.md", "low\n"), ("same.md", "low\n")])
}

/// 11: `2.1` was read as 0.2.0, `2.1.0-beta` was equal to `2.1.0`, and what had no version but 0.0.0 was dropped.
#[test]
fn versions_are_compared_as_they_are_meant() -> TestResult {
    let (home, _github, repository) = two_sources()?;
    let config = std::fs::read_to_string(home.config_path())?;
    home.configure(
        &config
            .replace("priority = 200", "")
            .replace("priority = 10", ""),
    )?;
    let _daemon = home.start()?;
    for (low, high, winner) in [
        ("2.1", "0.3.0", "low"),
        ("2.1.0-beta", "2.1.0", "high"),
        ("2.9.0", "2.10.0", "high"),
        ("0.0.0", "0.0.0", "low"),
    ] {
        for (branch, version) in [("main", low), ("high", high)] {
            let agent = format!(
                "---\nname: same\ndescription: d\nversion: {version}\n---\n{low} {high} {branch}\n"
            );
            repository.commit(branch, &[("agents/same.md", Node::File(agent.as_bytes()))])?;
        }
        home.ok(&["sync"])?;
        let published = home.target("agents").read("agents/same.md")?;
        let branch = if winner == "low" { "main" } else { winner };
        ensure!(
            published.ends_with(&format!("{low} {high} {branch}\n")),
            "of {low} and {high}: {published}"
        );
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

/// 13: trying a source wrote the real cache, and what was disabled was not in the list.
#[test]
fn a_source_is_tried_without_a_trace_and_a_disabled_one_is_listed() -> TestResult {
    let upstream = Upstream::with_settings("enabled = false", "", &nodes(&skills(3)))?;
    let home = &upstream.home;
    let said = home.ok(&["source", "check", "community"])?;
    ensure!(said.contains("3 files"), "{said}");
    ensure!(
        !home.data_dir().exists() && !upstream.target().has(""),
        "a check wrote something"
    );
    let _daemon = home.start()?;
    let listed = home.json_ok(&["source", "list"])?.to_string();
    ensure!(listed.contains("community"), "{listed}");
    ensure!(upstream.status()?["enabled"] == false);
    Ok(())
}

/// 15: each start registered every source anew, and enabled.
#[test]
fn a_disabled_source_stays_disabled_over_restarts() -> TestResult {
    let upstream = Upstream::with_settings(
        "every = \"1h\"\nat_start = \"always\"",
        "",
        &nodes(&skills(3)),
    )?;
    let daemon = upstream.home.start()?;
    upstream.home.ok(&["source", "disable", "community"])?;
    daemon.stop()?;
    upstream.requests();
    for _ in 0..2 {
        let daemon = upstream.home.start()?;
        upstream.home.ok(&["sync"])?;
        ensure!(upstream.status()?["enabled"] == false);
        daemon.stop()?;
    }
    ensure!(
        upstream.requests().is_empty(),
        "a disabled source was asked for"
    );
    Ok(())
}

/// 16: times had several formats, so that their order as text was wrong, and history went with its source.
#[test]
fn times_have_one_format_and_history_outlives_its_source() -> TestResult {
    let upstream = Upstream::new(&nodes(&skills(3)))?;
    let _daemon = upstream.home.start()?;
    for _ in 0..3 {
        upstream.sync()?;
    }
    upstream.home.ok(&["source", "remove", "community"])?;
    let history = upstream.home.json_ok(&["history"])?;
    let runs = history["runs"].as_array().context("runs")?;
    let of_source: Vec<&Value> = runs
        .iter()
        .filter(|run| run["source"] == "community")
        .collect();
    ensure!(of_source.len() >= 3, "{history:#}");
    let times: Vec<&str> = runs
        .iter()
        .filter_map(|run| run["started_at"].as_str())
        .collect();
    let shapes: BTreeSet<String> = times
        .iter()
        .map(|time| time.replace(|letter: char| letter.is_ascii_digit(), "0"))
        .collect();
    ensure!(
        shapes == BTreeSet::from(["0000-00-00T00:00:00.000Z".to_owned()]),
        "{shapes:?}"
    );
    ensure!(
        times.is_sorted_by(|later, earlier| later >= earlier),
        "{times:?}"
    );
    Ok(())
}

/// 16: a script that broke off left a half-made schema, which was taken for a whole one.
#[test]
fn a_half_made_schema_is_put_aside_and_a_whole_one_made() -> TestResult {
    const HALF: &str = "CREATE TABLE schema_metadata (key TEXT PRIMARY KEY, value TEXT NOT NULL);
        CREATE TABLE sources (id TEXT PRIMARY KEY, url TEXT NOT NULL);";

    for (file, version, is_kept) in [
        // Another start was making it: nothing was ever in it.
        ("state.db.new", "", false),
        ("state.db", "", true),
        ("state.db", "PRAGMA user_version = 1;", true),
        ("state.db", "PRAGMA user_version = 2;", true),
        ("state.db", "PRAGMA user_version = 3;", true),
    ] {
        let upstream = Upstream::new(&nodes(&skills(3)))?;
        let data_dir = upstream.home.data_dir();
        std::fs::create_dir_all(&data_dir)?;
        agent_sync_db::create(&data_dir.join(file), HALF, version)?;
        let daemon = upstream
            .home
            .start()
            .with_context(|| format!("{file} {version}"))?;
        let (document, _) = upstream.home.json(&["sync", "community"])?;
        ensure!(
            document["runs"][0]["synced"] == 3,
            "{file} {version}: {document:#}"
        );
        upstream.sync()?;
        ensure!(upstream.target().texts()?.len() == 3);
        let kept = Tree(data_dir).snapshot()?;
        let mut names = kept.keys().map(|path| path.to_string_lossy());
        ensure!(
            names.any(|name| name.starts_with("state.db.corrupt-")) == is_kept,
            "{file} {version}: {:?}",
            kept.keys()
        );
        daemon.stop()?;
        upstream.home.refused(&["--check-store"])?.expect(0, &[])?;
    }
    Ok(())
}
