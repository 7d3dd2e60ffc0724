//! Sources of kind `git`, against real servers: nginx with `git http-backend`, sshd, and repositories of this machine.

mod killed;
mod processes;
mod trust;
mod unreached;

use std::path::Path;

use anyhow::{Result, ensure};
use serde_json::Value;
use testkit::{GitHttp, GitRepository, NginxOptions, Node};

use crate::harness::{Home, TestResult};
use crate::replay::Replay;

/// Makes a home with one source of kind `git` and one target.
fn home(url: &str, source: &str, target: &str) -> Result<Home> {
    let home = Home::new()?;
    home.configure(&format!(
        "[sources.community]\nkind = \"git\"\nurl = \"{url}\"\n{source}\n[targets.agents]\npath = \"{{home}}/agents\"\n\
         from = [\"community\"]\n{target}\n"
    ))?;
    Ok(home)
}

/// Syncs, which must succeed, and returns the run.
fn sync(home: &Home) -> Result<Value> {
    let document = home.json_ok(&["sync", "community"])?;
    Ok(document["runs"][0].clone())
}

fn serve(repository: &Path) -> Result<Option<(GitHttp, String)>> {
    let Some(server) = GitHttp::start(&NginxOptions::default(), true)? else {
        return Ok(None);
    };
    let url = server.serve("agents.git", repository)?;
    Ok(Some((server, url)))
}

#[test]
fn a_repository_is_published_and_costs_one_request_while_it_is_unchanged() -> TestResult {
    let repository = GitRepository::new()?;
    repository.commit(
        "main",
        &[
            ("agents/a.md", Node::File(b"a\n")),
            ("tools/run.sh", Node::Executable(b"#!/bin/sh\n")),
        ],
    )?;
    let Some((server, url)) = serve(repository.path())? else {
        return Ok(());
    };
    let home = home(&url, "", "")?;
    let _daemon = home.start()?;
    let run = sync(&home)?;
    ensure!(run["synced"] == 2, "{run:#}");
    let target = home.target("agents");
    target.expect(&[("agents/a.md", "a\n"), ("tools/run.sh", "#!/bin/sh\n")])?;
    let executable = target.snapshot()?[Path::new("tools/run.sh")].0 & 0o111;
    ensure!(executable != 0, "the executable bit is lost");
    server.requests()?;
    let run = sync(&home)?;
    ensure!(server.requests()?.len() == 1, "{run:#}");
    ensure!(
        run["requests"] == 1 && run["status"] == "success",
        "{run:#}"
    );
    repository.commit("main", &[("agents/a.md", Node::File(b"new\n"))])?;
    let run = sync(&home)?;
    ensure!(run["synced"] == 1, "{run:#}");
    target.expect(&[("agents/a.md", "new\n"), ("tools/run.sh", "#!/bin/sh\n")])
}

#[test]
fn a_hundred_commits_of_wshobson_agents_arrive_as_they_are() -> TestResult {
    replay("wshobson-agents.bundle", "", 100)
}

#[test]
fn all_commits_of_claude_mpm_skills_arrive_as_they_are() -> TestResult {
    // There are no more that change something there.
    replay("claude-mpm-skills.bundle", "toolchains", 56)
}

fn replay(bundle: &str, path: &'static str, commits: usize) -> TestResult {
    let Some(replay) = Replay::of(bundle, path, commits)? else {
        return Ok(());
    };
    let Some((_server, url)) = serve(&replay.repository)? else {
        return Ok(());
    };
    let home = home(&url, &replay.settings(), "")?;
    let _daemon = home.start()?;
    replay.run(&home)
}

#[test]
fn a_submodule_that_cannot_be_had_fails_by_name_and_the_rest_is_published() -> TestResult {
    let (repository, tools) = (GitRepository::new()?, GitRepository::new()?);
    let commit = |text: &str| {
        let id = tools.commit("main", &[("t.md", Node::File(text.as_bytes()))])?;
        let modules = "[submodule \"tools\"]\npath = tools\nurl = ../tools.git\n";
        repository.commit(
            "main",
            &[
                (".gitmodules", Node::File(modules.as_bytes())),
                ("a.md", Node::File(text.as_bytes())),
                ("tools", Node::Submodule(&id)),
            ],
        )
    };
    commit("one\n")?;
    let Some((server, url)) = serve(repository.path())? else {
        return Ok(());
    };
    server.serve("tools.git", tools.path())?;
    let home = home(&url, "submodules = true\nexclude = [\".gitmodules\"]", "")?;
    let _daemon = home.start()?;
    let run = sync(&home)?;
    ensure!(run["synced"] == 2, "{run:#}");
    let target = home.target("agents");
    target.expect(&[("a.md", "one\n"), ("tools/t.md", "one\n")])?;
    commit("two\n")?;
    server.withdraw("tools.git")?;
    let outcome = home.homing(&["sync", "community"])?;
    ensure!(
        outcome.code == 3 && outcome.stdout.contains("`tools` could not be fetched"),
        "{outcome}"
    );
    target.expect(&[("a.md", "two\n"), ("tools/t.md", "one\n")])?;
    // It is looked for again although nothing changed.
    server.serve("tools.git", tools.path())?;
    sync(&home)?;
    target.expect(&[("a.md", "two\n"), ("tools/t.md", "two\n")])
}

#[test]
fn what_cannot_be_had_leaves_what_is_published_and_says_why() -> TestResult {
    let repository = GitRepository::new()?;
    repository.commit("main", &[("a.md", Node::File(b"a\n"))])?;
    let home = home(
        &repository.path().display().to_string(),
        "ref = \"main\"",
        "",
    )?;
    let _daemon = home.start()?;
    sync(&home)?;
    let target = home.target("agents");
    // The branch goes away, then the repository.
    repository.git(&["update-ref", "refs/heads/other", "refs/heads/main"])?;
    repository.git(&["symbolic-ref", "HEAD", "refs/heads/other"])?;
    repository.git(&["update-ref", "-d", "refs/heads/main"])?;
    let outcome = home.homing(&["sync", "community"])?;
    ensure!(outcome.code == 1, "{outcome}");
    ensure!(
        outcome.stderr.contains("no branch or tag `main`"),
        "{outcome}"
    );
    target.expect(&[("a.md", "a\n")])?;
    let aside = home.path("aside");
    std::fs::rename(repository.path(), &aside)?;
    let outcome = home.homing(&["sync", "community"])?;
    ensure!(
        outcome.code == 1 && outcome.stderr.contains("not appear to be a git repository"),
        "{outcome}"
    );
    target.expect(&[("a.md", "a\n")])?;
    std::fs::rename(&aside, repository.path())?;
    // It is back; a mirror that was damaged meanwhile is made anew.
    repository.commit("main", &[("b.md", Node::File(b"b\n"))])?;
    for mirror in std::fs::read_dir(home.data_dir().join("mirrors"))? {
        std::fs::remove_dir_all(mirror?.path().join("objects"))?;
    }
    sync(&home)?;
    ensure!(target.has("b.md"), "it is not published");
    Ok(())
}

#[test]
fn a_stop_leaves_no_process_behind() -> TestResult {
    let home = home("git@git.example.invalid:team/agents.git", "", "")?;
    // Whatever ssh is, it goes with the daemon, and so does what it started.
    let pids = home.path("pids");
    let script = home.path("hanging-ssh");
    crate::harness::write(
        &script,
        format!(
            "#!/bin/sh\nsleep 1000 &\necho $$ $! > {0}.new\nmv {0}.new {0}\nwait\n",
            pids.display()
        )
        .as_bytes(),
    )?;
    let mut mode = std::fs::metadata(&script)?.permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    std::fs::set_permissions(&script, mode)?;
    crate::harness::write(
        &home.path(".gitconfig"),
        format!("[core]\nsshCommand = {}\n", script.display()).as_bytes(),
    )?;
    let daemon = home.start_with(&["--log-format", "text"], &[])?;
    let document = home.json_ok(&["sync", "community", "--no-wait"])?;
    let since = std::time::Instant::now();
    while !pids.exists() {
        ensure!(
            since.elapsed().as_secs() < 30,
            "git does not call ssh: {}",
            daemon.log()
        );
        std::thread::yield_now();
    }
    home.ok(&["run", "cancel", &document["runs"][0]["id"].to_string()])?;
    daemon.stop()?;
    for pid in std::fs::read_to_string(&pids)?.split_whitespace() {
        let state = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        ensure!(
            state.is_empty() || state.contains(") Z "),
            "process {pid} is left: {state}"
        );
    }
    Ok(())
}

#[test]
fn mirrors_are_in_sight_and_go_with_the_last_source_that_reads_them() -> TestResult {
    let (repository, other) = (GitRepository::new()?, GitRepository::new()?);
    repository.commit("main", &[("a.md", Node::File(b"a\n"))])?;
    other.commit("main", &[("b.md", Node::File(b"b\n"))])?;
    let path = repository.path().display().to_string();
    let home = home(&path, "", "")?;
    let sections = format!(
        "[sources.same]\nkind = \"git\"\nurl = \"{path}\"\n[sources.other]\nkind = \"git\"\nurl = \"{}\"\n",
        other.path().display()
    );
    let configuration = std::fs::read_to_string(home.config_path())?;
    crate::harness::write(&home.config_path(), (configuration + &sections).as_bytes())?;
    let _daemon = home.start()?;
    home.ok(&["sync", "--all"])?;
    let mirrors = home.data_dir().join("mirrors");
    let there = || -> Result<usize> { Ok(std::fs::read_dir(&mirrors)?.count()) };
    ensure!(there()? == 2);
    let status = home.json_ok(&["status", "--detailed"])?;
    for source in status["sources"].as_array().into_iter().flatten() {
        ensure!(source["mirror_bytes"].as_u64() > Some(0), "{source:#}");
    }
    ensure!(home.ok(&["status", "--detailed"])?.contains("mirror"));
    let size = home.json_ok(&["db", "size"])?;
    ensure!(
        size["mirrors"] == 2 && size["mirror_bytes"].as_u64() > Some(0),
        "{size:#}"
    );
    ensure!(home.ok(&["db", "check"])?.contains("2 mirrors"));
    // One that is damaged is named, and made anew.
    for mirror in std::fs::read_dir(&mirrors)? {
        let objects = mirror?.path().join("objects");
        std::fs::remove_dir_all(&objects)?;
        std::fs::create_dir_all(objects.join("pack"))?;
    }
    let outcome = home.homing(&["db", "check"])?;
    ensure!(
        outcome.code != 0
            && outcome.stdout.contains(&format!("the mirror of `{path}`"))
            && outcome.stdout.contains("homing sync --all --force"),
        "{outcome}"
    );
    for source in ["community", "same", "other"] {
        home.ok(&["sync", source, "--force"])?;
    }
    home.ok(&["db", "check"])?;
    home.ok(&["source", "remove", "same", "--purge"])?;
    ensure!(there()? == 2, "another source reads it");
    home.ok(&["source", "remove", "other", "--purge"])?;
    ensure!(there()? == 1);
    home.target("agents").expect(&[("a.md", "a\n")])
}

#[test]
fn submodules_are_followed_by_a_flag() -> TestResult {
    let home = Home::new()?;
    let repository = GitRepository::new()?;
    repository.commit("main", &[("a.md", Node::File(b"a"))])?;
    let place = repository.path().display().to_string();
    home.ok(&["source", "add", "up", "--url", &place, "--submodules"])?;
    let config = home.json_ok(&["config", "show"])?;
    let source = &config["sources"][0];
    ensure!(
        source["kind"] == "git" && source["options"]["submodules"] == "true",
        "{config:#}"
    );
    Ok(())
}
