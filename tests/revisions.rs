//! Which commit is in use, and going back to another.

use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::{GitHttp, GitRepository, NginxOptions, Node};

use crate::harness::{Home, TestResult};

/// A repository with three commits of `a.md`, each of which was synced.
struct Three {
    repository: GitRepository,
    commits: Vec<String>,
    home: Home,
}

impl Three {
    fn new() -> Result<Self> {
        let repository = GitRepository::new()?;
        let home = Home::new()?;
        home.configure(&format!(
            "[sources.community]\nkind = \"git\"\nurl = \"{}\"\nref = \"main\"\n[targets.agents]\npath = \"{{home}}/agents\"\n\
             from = [\"community\"]\n",
            repository.path().display()
        ))?;
        Ok(Self {
            repository,
            commits: Vec::new(),
            home,
        })
    }

    /// Commits each of three versions and syncs it.
    fn sync_all(&mut self) -> TestResult {
        for text in ["one\n", "two\n", "three\n"] {
            let file = Node::File(text.as_bytes());
            let commit = self.repository.commit("main", &[("a.md", file)])?;
            self.commits.push(commit);
            self.home.json_ok(&["sync", "community"])?;
        }
        Ok(())
    }

    fn source(&self) -> Result<Value> {
        let status = self.home.json_ok(&["status", "community"])?;
        Ok(status["sources"][0].clone())
    }

    fn expect(&self, text: &str) -> TestResult {
        self.home.target("agents").expect(&[("a.md", text)])
    }

    fn configuration(&self) -> Result<String> {
        Ok(std::fs::read_to_string(self.home.config_path())?)
    }
}

#[test]
fn a_status_and_a_run_tell_the_commit_and_what_it_says() -> TestResult {
    let mut three = Three::new()?;
    let _daemon = three.home.start()?;
    three.sync_all()?;
    let source = three.source()?;
    let last = &three.commits[2];
    ensure!(source["revision"] == last.as_str(), "{source:#}");
    ensure!(
        source["revision_subject"] == "change"
            && source["revision_time"] == "2023-11-14T22:13:20.000Z",
        "{source:#}"
    );
    let text = three.home.ok(&["status"])?;
    ensure!(text.contains(&last[..12]), "{text}");
    let text = three.home.ok(&["status", "--detailed"])?;
    ensure!(
        text.contains("subject") && text.contains("2023-11-14"),
        "{text}"
    );
    let runs = three.home.json_ok(&["history", "community"])?;
    let revisions: Vec<&Value> = (0..3).map(|nth| &runs["runs"][nth]["revision"]).collect();
    let expected: Vec<&str> = three.commits.iter().rev().map(String::as_str).collect();
    ensure!(revisions == expected, "{runs:#}");
    let id = runs["runs"][2]["id"].to_string();
    let text = three.home.ok(&["run", "show", &id])?;
    ensure!(text.contains(&three.commits[0]), "{text}");
    Ok(())
}

#[test]
fn a_pinned_source_stays_and_remembers_what_it_followed() -> TestResult {
    let mut three = Three::new()?;
    let _daemon = three.home.start()?;
    three.sync_all()?;
    let text = three.home.ok(&["source", "pin", "community"])?;
    ensure!(
        text.contains(&three.commits[2][..12]) && text.contains("homing source unpin community"),
        "{text}"
    );
    let configuration = three.configuration()?;
    ensure!(
        configuration.contains("ref = \"main\"")
            && configuration.contains(&format!("pin = \"{}\"", three.commits[2])),
        "{configuration}"
    );
    three
        .repository
        .commit("main", &[("a.md", Node::File(b"four\n"))])?;
    three.home.ok(&["sync", "community"])?;
    three.expect("three\n")?;
    // Another one, by the beginning of its id.
    let text = three
        .home
        .ok(&["source", "pin", "community", &three.commits[0][..8]])?;
    ensure!(text.contains("homing sync community"), "{text}");
    three.home.ok(&["sync", "community"])?;
    three.expect("one\n")?;
    let text = three.home.ok(&["source", "unpin", "community"])?;
    ensure!(text.contains("follows `main` again"), "{text}");
    ensure!(!three.configuration()?.contains("pin"), "it is still there");
    three.home.ok(&["sync", "community"])?;
    three.expect("four\n")
}

#[test]
fn what_is_not_pinned_is_not_unpinned() -> TestResult {
    let three = Three::new()?;
    let before = three.configuration()?;
    let text = three.home.ok(&["source", "unpin", "community"])?;
    ensure!(text.contains("nothing to change"), "{text}");
    ensure!(three.configuration()? == before, "it was edited");
    Ok(())
}

#[test]
fn a_commit_is_not_verified_by_a_tag() -> TestResult {
    let three = Three::new()?;
    let text = three.configuration()?.replace(
        "ref = \"main\"",
        "ref = \"v1\"\nverify = \"tag\"\nallowed_signers = \"/nowhere\"",
    );
    crate::harness::write(&three.home.config_path(), text.as_bytes())?;
    let commit = "0".repeat(40);
    let pin = three
        .home
        .homing(&["source", "pin", "community", &commit])?;
    pin.expect(5, &["pin names a commit", "verify = \"commit\""])?;
    ensure!(three.configuration()? == text, "it was edited");
    Ok(())
}

#[test]
fn a_rollback_goes_to_a_commit_or_to_a_time_and_stays() -> TestResult {
    let mut three = Three::new()?;
    let _daemon = three.home.start()?;
    three.sync_all()?;
    let runs = three.home.json_ok(&["history", "community"])?;
    let began: Vec<String> = (0..3)
        .filter_map(|nth| Some(runs["runs"][nth]["started_at"].as_str()?.to_owned()))
        .collect();
    let first = three.commits[0].clone();
    let text = three
        .home
        .ok(&["rollback", "community", "--to", &first[..7]])?;
    ensure!(
        text.contains(&first[..12]) && text.contains("homing source unpin community"),
        "{text}"
    );
    three.expect("one\n")?;
    ensure!(three.source()?["revision"] == first.as_str(), "not there");
    three.home.ok(&["sync", "community"])?;
    three.expect("one\n")?;
    // When the third run began, the second commit was in use.
    three
        .home
        .ok(&["rollback", "community", "--to", &began[0]])?;
    three.expect("two\n")?;
    three
        .home
        .ok(&["rollback", "community", "--to", &three.commits[2]])?;
    three.expect("three\n")
}

#[test]
fn what_cannot_be_gone_back_to_is_refused_and_nothing_is_written() -> TestResult {
    let mut three = Three::new()?;
    let _daemon = three.home.start()?;
    three.sync_all()?;
    let before = three.configuration()?;
    for (arguments, code, said) in [
        (
            &["rollback", "community", "--to", "0000000"][..],
            8,
            "knows no commit `0000000`",
        ),
        (
            &["rollback", "community", "--to", "2001-01-01"],
            8,
            "does not tell which commit was in use",
        ),
        (&["rollback", "nobody", "--to", "2d"], 8, "nobody"),
        (
            &["source", "pin", "community", "0000000"],
            8,
            "knows no commit",
        ),
        (&["source", "unpin", "nobody"], 8, "nobody"),
    ] {
        three.home.homing(arguments)?.expect(code, &[said])?;
    }
    ensure!(three.configuration()? == before, "it was edited");
    Ok(())
}

#[test]
fn a_rollback_to_a_commit_that_is_not_there_leaves_the_source_as_it_was() -> TestResult {
    let mut three = Three::new()?;
    let _daemon = three.home.start()?;
    three.sync_all()?;
    let nothing = "0123456789012345678901234567890123456789";
    let back = ["rollback", "community", "--to", nothing];
    let before = three.configuration()?;
    let outcome = three.home.homing(&back)?;
    outcome.expect(1, &["does not have this commit", "homing source unpin"])?;
    ensure!(outcome.stdout.contains("taken back"), "{outcome}");
    ensure!(three.configuration()? == before, "it was edited");
    three.expect("three\n")?;
    three.home.ok(&["sync", "community"])?;
    // A pin that was there comes back.
    three.home.ok(&["source", "pin", "community"])?;
    let pinned = three.configuration()?;
    three.home.homing(&back)?.expect(1, &["does not have"])?;
    ensure!(three.configuration()? == pinned, "it was edited");
    Ok(())
}

#[test]
fn a_directory_has_no_commits() -> TestResult {
    let home = Home::new()?;
    home.configure("[sources.team]\nkind = \"dir\"\nroot = \"{home}/team\"\n")?;
    home.homing(&["source", "pin", "team"])?
        .expect(1, &["no commits to go back to"])
}

#[test]
fn a_rollback_that_deletes_a_lot_waits_for_a_person() -> TestResult {
    let mut three = Three::new()?;
    let _daemon = three.home.start()?;
    three.sync_all()?;
    let names: Vec<String> = (0..9).map(|number| format!("more{number}.md")).collect();
    let more: Vec<(&str, Node<'_>)> = names
        .iter()
        .map(|name| (name.as_str(), Node::File(b"more\n")))
        .collect();
    three.repository.commit("main", &more)?;
    three.home.ok(&["sync", "community"])?;
    let back = ["rollback", "community", "--to", &three.commits[2]];
    three
        .home
        .homing(&back)?
        .expect(7, &["--accept-deletions"])?;
    ensure!(three.home.target("agents").texts()?.len() == 10);
    three
        .home
        .ok(&[&back[..], &["--accept-deletions"]].concat())?;
    three.expect("three\n")
}

#[test]
fn the_commits_between_are_named_before_and_after() -> TestResult {
    let repository = GitRepository::new()?;
    let Some(server) = GitHttp::start(&NginxOptions::default(), true)? else {
        return Ok(());
    };
    let url = server.serve("agents.git", repository.path())?;
    let home = Home::new()?;
    home.configure(&format!(
        "[sources.community]\nkind = \"git\"\nurl = \"{url}\"\n[targets.agents]\npath = \"{{home}}/agents\"\n\
         from = [\"community\"]\n"
    ))?;
    let _daemon = home.start()?;
    let commit = |day: u64, subject: &str| {
        let file = Node::File(subject.as_bytes());
        let seconds = 1_700_000_000 + day * 86_400;
        repository.commit_at("main", seconds, subject, &[("a.md", file)])
    };
    let first = commit(0, "one")?;
    home.ok(&["sync", "community"])?;
    let diff = home.json_ok(&["diff", "community"])?;
    ensure!(diff["diffs"][0].get("commits").is_none(), "{diff:#}");
    for day in 1..=22 {
        commit(day, &format!("day {day}"))?;
    }
    let expect = |text: &str| {
        ensure!(
            text.contains(&format!("22 commits since {}:\n", &first[..12]))
                && text.contains("  2023-12-06  day 22\n")
                && text.contains("  2023-11-17  day 3\n")
                && !text.contains("  day 2\n")
                && text.contains("  and 2 more\n"),
            "{text}"
        );
        Ok(())
    };
    expect(&home.ok(&["diff", "community"])?)?;
    let diff = home.json_ok(&["diff", "community"])?;
    let commits = &diff["diffs"][0]["commits"];
    ensure!(
        commits["since"] == first.as_str()
            && commits["course"] == "onward"
            && commits["newest"][19]["subject"] == "day 3"
            && commits["newest"][0]["time"] == "2023-12-06T22:13:20.000Z"
            && commits["more"] == 2,
        "{commits:#}"
    );
    let synced = home.json_ok(&["sync", "community"])?;
    let id = synced["runs"][0]["id"].to_string();
    expect(&home.ok(&["run", "show", &id])?)?;
    let run = home.json_ok(&["run", "show", &id])?;
    ensure!(run["commits"] == *commits, "{run:#}");
    // A run that finds nothing new has none.
    let synced = home.json_ok(&["sync", "community"])?;
    let id = synced["runs"][0]["id"].to_string();
    let run = home.json_ok(&["run", "show", &id])?;
    ensure!(run.get("commits").is_none(), "{run:#}");
    // What is published is on no branch any more.
    repository.git(&["update-ref", "refs/heads/main", &first])?;
    commit(30, "another way")?;
    let text = home.ok(&["diff", "community"])?;
    ensure!(
        text.contains("the history was rewritten") && text.contains("another way"),
        "{text}"
    );
    repository.git(&["update-ref", "refs/heads/main", &first])?;
    let text = home.ok(&["diff", "community"])?;
    ensure!(
        text.contains(&format!("back to {}", &first[..12])),
        "{text}"
    );
    Ok(())
}
