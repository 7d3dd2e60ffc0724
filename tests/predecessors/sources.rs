//! Several sources, and what becomes of each: bugs 10, 11, 13 and 15 of the predecessors.

use anyhow::{Result, ensure};
use testkit::github::GitHub;
use testkit::{GitRepository, Node};

use super::{nodes, skills};
use crate::github::{NAME, Upstream};
use crate::harness::{Home, TestResult};

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
