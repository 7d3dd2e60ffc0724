//! Sources of kind `github`, against an emulator that answers as GitHub documents it.

mod hostile;
#[cfg(feature = "failpoints")]
mod limits;
mod public;
mod whole;

use std::path::Path;
use std::time::{Duration, SystemTime};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use testkit::github::{Effect, Fault, GitHub, Token};
use testkit::{GitRepository, Node};

use crate::harness::{Daemon, Home, TestResult, Tree};
use crate::replay::Replay;

/// The repository that the tests serve.
pub(crate) const NAME: &str = "octo/agents";

/// A home with one source of kind `github` and one target, and the repository upstream.
pub(crate) struct Upstream {
    pub(crate) home: Home,
    pub(crate) github: GitHub,
    pub(crate) repository: GitRepository,
}

impl Upstream {
    /// Makes one whose first commit has these files.
    pub(crate) fn new(files: &[(&str, Node<'_>)]) -> Result<Self> {
        Self::with_settings("", "", files)
    }

    /// Makes one with further lines in the source's and the target's section.
    pub(crate) fn with_settings(
        source: &str,
        target: &str,
        files: &[(&str, Node<'_>)],
    ) -> Result<Self> {
        let repository = GitRepository::new()?;
        repository.commit("main", files)?;
        Self::serving(source, target, repository)
    }

    /// Makes one of a repository.
    pub(crate) fn serving(source: &str, target: &str, repository: GitRepository) -> Result<Self> {
        let (home, github) = serve(source, target, repository.path())?;
        Ok(Self {
            home,
            github,
            repository,
        })
    }

    /// Commits to the default branch.
    pub(crate) fn commit(&self, changes: &[(&str, Node<'_>)]) -> Result<String> {
        self.repository.commit("main", changes)
    }

    /// Returns the target's directory.
    pub(crate) fn target(&self) -> Tree {
        self.home.target("agents")
    }

    /// Syncs, which must succeed, and returns the run.
    pub(crate) fn sync(&self) -> Result<Value> {
        let document = self.home.json_ok(&["sync", "community"])?;
        Ok(document["runs"][0].clone())
    }

    /// Returns the requests since the last call: `STATUS PATH`.
    pub(crate) fn requests(&self) -> Vec<String> {
        let requests = self.github.take_requests().into_iter();
        requests
            .map(|request| format!("{} {}", request.status, request.path))
            .collect()
    }

    /// Returns the source's status.
    pub(crate) fn status(&self) -> Result<Value> {
        let status = self.home.json_ok(&["status"])?;
        Ok(status["sources"][0].clone())
    }
}

/// Serves a repository and makes a home that follows it.
pub(crate) fn serve(source: &str, target: &str, repository: &Path) -> Result<(Home, GitHub)> {
    let github = GitHub::start()?;
    github.serve(NAME, repository)?;
    let home = Home::new()?;
    home.configure(&format!(
        "[sources.community]\nkind = \"github\"\nurl = \"https://github.com/{NAME}\"\napi = \"{}\"\n{source}\n\
         [targets.agents]\npath = \"{{home}}/agents\"\nfrom = [\"community\"]\n{target}\n",
        github.api()
    ))?;
    Ok((home, github))
}

/// Returns how many requests of a list have this in their path.
pub(crate) fn count(requests: &[String], part: &str) -> usize {
    requests
        .iter()
        .filter(|request| request.contains(part))
        .count()
}

fn condition(source: &Value, kind: &str) -> Option<Value> {
    let conditions = source["conditions"].as_array()?;
    let found = conditions.iter().find(|each| each["type"] == kind)?;
    Some(found.clone())
}

/// Commits of a real repository that are replayed.
const COMMITS: usize = 50;

#[test]
fn fifty_commits_of_wshobson_agents_arrive_as_they_are() -> TestResult {
    replay("wshobson-agents.bundle", "")
}

#[test]
fn fifty_commits_of_claude_mpm_skills_arrive_as_they_are() -> TestResult {
    replay("claude-mpm-skills.bundle", "toolchains")
}

fn replay(bundle: &str, path: &'static str) -> TestResult {
    let Some(replay) = Replay::of(bundle, path, COMMITS)? else {
        return Ok(());
    };
    let (home, github) = serve(&replay.settings(), "", &replay.repository)?;
    github.add_token(Token::classic("secret", "octo", &[]));
    let _daemon = home.start_with(&[], &[("GITHUB_TOKEN", "secret")])?;
    replay.run(&home)?;
    let requests = github.requests();
    let trees = requests
        .iter()
        .filter(|request| request.path.contains("/git/trees/"))
        .count();
    ensure!(trees == COMMITS, "one tree for each commit, not {trees}");
    Ok(())
}

#[test]
fn a_repository_is_published_and_costs_one_request_while_it_is_unchanged() -> TestResult {
    let upstream = Upstream::new(&[
        ("agents/a.md", Node::File(b"a\n")),
        ("agents/b.md", Node::File(b"b\n")),
        ("tools/run.sh", Node::Executable(b"#!/bin/sh\n")),
    ])?;
    let _daemon = upstream.home.start()?;
    let run = upstream.sync()?;
    ensure!(run["synced"] == 3, "{run:#}");
    let target = upstream.target();
    target.expect(&[
        ("agents/a.md", "a\n"),
        ("agents/b.md", "b\n"),
        ("tools/run.sh", "#!/bin/sh\n"),
    ])?;
    let executable = target.snapshot()?[Path::new("tools/run.sh")].0 & 0o111;
    ensure!(executable != 0, "the executable bit is lost");

    upstream.requests();
    let run = upstream.sync()?;
    let requests = upstream.requests();
    ensure!(
        requests == ["304 /repos/octo/agents/commits/HEAD"]
            || requests == ["200 /repos/octo/agents/commits/HEAD"],
        "{requests:?}"
    );
    ensure!(run["requests"] == 1, "{run:#}");
    let conditional = requests == ["304 /repos/octo/agents/commits/HEAD"];
    ensure!(conditional, "the request was not conditional");

    upstream.commit(&[
        ("agents/a.md", Node::File(b"changed\n")),
        ("agents/b.md", Node::Gone),
        ("moved/run.sh", Node::Executable(b"#!/bin/sh\n")),
    ])?;
    upstream.sync()?;
    target.expect(&[
        ("agents/a.md", "changed\n"),
        ("moved/run.sh", "#!/bin/sh\n"),
        ("tools/run.sh", "#!/bin/sh\n"),
    ])?;
    let requests = upstream.requests();
    ensure!(count(&requests, "/git/blobs/") == 1, "{requests:?}");
    let status = upstream.status()?;
    let head = upstream.repository.git(&["rev-parse", "main"])?;
    ensure!(status["revision"] == head.as_str(), "{status:#}");
    Ok(())
}

#[test]
fn a_user_s_edit_and_an_upstream_change_are_merged() -> TestResult {
    let upstream = Upstream::new(&[("a.md", Node::File(b"1\n2\n3\n4\n5\n6\n7\n"))])?;
    let _daemon = upstream.home.start()?;
    upstream.sync()?;
    let target = upstream.target();
    target.write("a.md", "1, mine\n2\n3\n4\n5\n6\n7\n")?;
    upstream.commit(&[("a.md", Node::File(b"1\n2\n3\n4\n5\n6\n7, theirs\n"))])?;
    upstream.sync()?;
    target.expect(&[("a.md", "1, mine\n2\n3\n4\n5\n6\n7, theirs\n")])
}

#[test]
fn a_private_repository_is_read_with_a_token_that_nobody_sees() -> TestResult {
    const SECRET: &str = "ghp_s3cretS3cretS3cret";

    let upstream = Upstream::with_settings(
        "token = { env = \"TEAM_TOKEN\" }",
        "",
        &[("a.md", Node::File(b"a\n"))],
    )?;
    let home = &upstream.home;
    upstream.github.set_private(NAME, true);
    upstream
        .github
        .add_token(Token::classic(SECRET, "octo", &["repo"]));
    let variables = [("TEAM_TOKEN", SECRET)];
    let daemon = home.start_with(&[], &variables)?;
    upstream.sync()?;
    upstream.target().expect(&[("a.md", "a\n")])?;
    upstream.github.revoke(SECRET);
    upstream.commit(&[("a.md", Node::File(b"b\n"))])?;
    let refused = home.homing(&["sync", "community"])?;
    refused.expect(6, &["refuses the token"])?;
    let mut said = format!("{refused}");
    for arguments in [
        &["status", "--detailed", "--json"][..],
        &["source", "show", "community", "--json"],
        &["config", "show"],
        &["history", "--json"],
        &["doctor"],
    ] {
        said += &home.homing(arguments)?.to_string();
    }
    said += &daemon.log();
    daemon.stop()?;
    ensure!(!said.contains(SECRET), "the token shows in {said}");
    for (path, (_, bytes)) in Tree(home.data_dir()).snapshot()? {
        let found = bytes
            .windows(SECRET.len())
            .any(|part| part == SECRET.as_bytes());
        ensure!(!found, "the token is in {}", path.display());
    }
    upstream.target().expect(&[("a.md", "a\n")])
}

#[test]
fn the_usual_variables_hold_a_token_too() -> TestResult {
    let upstream = Upstream::new(&[("a.md", Node::File(b"a\n"))])?;
    upstream.github.set_private(NAME, true);
    upstream
        .github
        .add_token(Token::classic("first", "octo", &["repo"]));
    upstream
        .github
        .add_token(Token::classic("second", "octo", &["repo"]));
    for variables in [
        &[("GH_TOKEN", "second")][..],
        &[("GITHUB_TOKEN", "first"), ("GH_TOKEN", "wrong")],
    ] {
        let daemon = upstream.home.start_with(&[], variables)?;
        upstream.sync()?;
        daemon.stop()?;
    }
    let daemon = upstream.home.start()?;
    let refused = upstream.home.homing(&["sync", "community", "--force"])?;
    ensure!(
        refused.code != 0 && refused.stderr.contains("set a token"),
        "{refused}"
    );
    daemon.stop()
}

#[test]
fn a_used_up_limit_keeps_what_came_and_says_until_when() -> TestResult {
    let files: Vec<(String, String)> = (0..20)
        .map(|n| (format!("{n:02}.md"), format!("content {n}\n")))
        .collect();
    let nodes: Vec<(&str, Node<'_>)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), Node::File(text.as_bytes())))
        .collect();
    let upstream = Upstream::with_settings("every = \"1s\"\nat_start = \"never\"", "", &nodes)?;
    let reset = SystemTime::now() + Duration::from_mins(30);
    upstream.github.leave(None, 60, reset);
    upstream
        .github
        .fail(Fault::on("/git/blobs/", Effect::PrimaryLimit).after(15));
    let _daemon = upstream.home.start()?;
    let (document, code) = upstream.home.json(&["sync", "community"])?;
    let run = &document["runs"][0];
    ensure!(
        code == 3 && run["status"] == "partial",
        "{code} {document:#}"
    );
    // Who hears of the limit first may give up before the last answers are there.
    let failed = usize::try_from(run["failed"].as_u64().context("a count")?)?;
    ensure!((5..20).contains(&failed), "{run:#}");
    ensure!(
        upstream.target().texts()?.len() == 20 - failed,
        "what came is published"
    );
    let status = upstream.status()?;
    let next = status["next_due"].as_str().context("a next time")?;
    let next: jiff::Timestamp = next.parse()?;
    let wait = next.as_second() - jiff::Timestamp::now().as_second();
    ensure!(
        (29 * 60..=31 * 60).contains(&wait),
        "{wait} s until the next attempt: {status:#}"
    );
    let shown = upstream.home.ok(&["status", "--detailed"])?;
    ensure!(shown.contains("rate limit"), "{shown}");

    upstream.github.mend();
    upstream.github.renew();
    upstream.requests();
    upstream.sync()?;
    ensure!(upstream.target().texts()?.len() == 20);
    let requests = upstream.requests();
    ensure!(count(&requests, "/git/blobs/") == 5, "{requests:?}");
    Ok(())
}

#[test]
fn what_a_person_must_mend_is_told_with_the_way_to_mend_it() -> TestResult {
    let upstream = Upstream::with_settings(
        "ref = \"stable\"\nevery = \"1h\"\nat_start = \"never\"",
        "",
        &[("a.md", Node::File(b"a\n"))],
    )?;
    let _daemon = upstream.home.start()?;
    let gone = upstream.home.homing(&["sync", "community"])?;
    ensure!(gone.code == 1, "{gone}");
    ensure!(
        gone.stderr.contains("`stable`") && gone.stderr.contains("`main`"),
        "{gone}"
    );
    let stalled = condition(&upstream.status()?, "Stalled");
    ensure!(stalled.is_some_and(|stalled| stalled["status"] == true));
    upstream
        .repository
        .commit("stable", &[("b.md", Node::File(b"b\n"))])?;
    upstream.sync()?;
    upstream.target().expect(&[("b.md", "b\n")])
}

#[test]
fn a_check_tells_of_the_token_and_the_limit_and_writes_nothing() -> TestResult {
    let upstream = Upstream::with_settings(
        "token = { env = \"TEAM_TOKEN\" }",
        "",
        &[("a.md", Node::File(b"12345"))],
    )?;
    let home = &upstream.home;
    upstream
        .github
        .add_token(Token::classic("secret", "octo", &["gist"]));
    let mut command = home.homing_command(&["source", "check", "community"]);
    command.env("TEAM_TOKEN", "secret");
    let said = crate::harness::run(command)?;
    ensure!(said.code == 0, "{said}");
    for part in [
        "1 file of 5 B",
        "`octo`'s",
        "`gist`",
        "lacks the scope `repo`",
        "of 5000 requests are left",
    ] {
        ensure!(said.stdout.contains(part), "{part}: {said}");
    }
    ensure!(!said.to_string().contains("secret"), "{said}");
    ensure!(!home.data_dir().exists() && !upstream.target().has(""));
    let mut command = home.homing_command(&["source", "check", "community"]);
    command.env("TEAM_TOKEN", "wrong");
    let refused = crate::harness::run(command)?;
    ensure!(
        refused.code != 0 && refused.stderr.contains("refuses the token"),
        "{refused}"
    );
    Ok(())
}

#[test]
fn a_new_name_is_told_by_every_run_and_spoils_none() -> TestResult {
    let upstream = Upstream::new(&[("a.md", Node::File(b"a\n"))])?;
    let home = &upstream.home;
    let _daemon = home.start()?;
    home.ok(&["sync", "community"])?;
    upstream.github.rename(NAME, "octo/skills");
    for _ in 0..2 {
        let said = home.homing(&["sync", "community", "--force"])?;
        said.expect(0, &[])?;
        ensure!(said.to_string().contains("`octo/skills`"), "{said}");
        let said = home.homing(&["sync", "community"])?;
        said.expect(0, &[])?;
        ensure!(said.to_string().contains("`octo/skills`"), "{said}");
    }
    upstream.commit(&[("a.md", Node::File(b"b\n"))])?;
    home.ok(&["sync", "community"])?;
    upstream.target().expect(&[("a.md", "b\n")])
}

#[test]
fn a_ca_file_that_is_none_is_told() -> TestResult {
    let upstream = Upstream::with_settings(
        "ca_file = \"{home}/ca.pem\"\n",
        "",
        &[("a.md", Node::File(b"12345"))],
    )?;
    let home = &upstream.home;
    let check = &["source", "check", "community"];
    home.homing(check)?
        .expect(1, &["`ca_file = \"", "ca.pem"])?;
    let shown = home.ok(&["source", "show", "community"])?;
    ensure!(shown.contains("ca_file"), "{shown}");
    Ok(())
}

#[test]
fn a_dry_run_fetches_and_keeps_nothing_for_good() -> TestResult {
    let upstream = Upstream::new(&[("a.md", Node::File(b"a\n"))])?;
    let _daemon = upstream.home.start()?;
    let (document, _) = upstream.home.json(&["sync", "community", "--dry-run"])?;
    let planned = &document["diffs"][0]["items"][0];
    ensure!(
        planned["action"] == "created" && planned["path"] == "a.md",
        "{document:#}"
    );
    ensure!(!upstream.target().has(""), "a dry run published something");
    upstream.sync()?;
    upstream.target().expect(&[("a.md", "a\n")])
}

#[test]
fn what_is_published_stays_while_github_cannot_be_reached() -> TestResult {
    let upstream = Upstream::new(&[("a.md", Node::File(b"a\n"))])?;
    let daemon: Daemon = upstream.home.start()?;
    upstream.sync()?;
    let before = upstream.target().snapshot()?;
    let Upstream {
        home,
        github,
        repository,
    } = upstream;
    drop(github);
    let failed = home.homing(&["sync", "community"])?;
    ensure!(
        failed.code == 1 && failed.stderr.contains("no connection"),
        "{failed}"
    );
    ensure!(home.target("agents").snapshot()? == before);
    let status = home.json_ok(&["status"])?;
    let conditions = status["daemon"]["conditions"].to_string();
    ensure!(conditions.contains("Offline"), "{status:#}");
    drop(repository);
    daemon.stop()
}
