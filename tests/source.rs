//! `homing source`: sections of the configuration, edited in place, with and without a daemon.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::harness::{Daemon, Home, ONE_SOURCE, TestResult, Tree, line_with, run, skip, write};

/// Makes what was written count, whether or not the daemon can load it while it runs.
fn take_over(home: &Home, daemon: Daemon, edit: &Value) -> Result<Daemon> {
    if edit["daemon"] == "loaded" {
        return Ok(daemon);
    }
    ensure!(edit["daemon"] == "restart-needed", "{edit:#}");
    daemon.stop()?;
    home.start()
}

fn config(home: &Home) -> Result<String> {
    fs::read_to_string(home.config_path()).context("the configuration is there")
}

#[test]
fn a_source_is_added_checked_and_synced() -> TestResult {
    let home = Home::with_one_source()?;
    let before = config(&home)?;
    let docs = home.make_origin("docs")?;
    docs.write("a.md", "12345")?;
    docs.write("b.txt", "other")?;
    let root = docs.0.display().to_string();
    let daemon = home.start()?;
    let edit = home.json_ok(&[
        "source",
        "add",
        "docs",
        "--root",
        &root,
        "--every",
        "1h",
        "--include",
        "*.md",
        "--priority",
        "7",
        "--on-conflict",
        "theirs",
        "--target",
        "agents",
    ])?;
    ensure!(
        edit["checks"][0]["files"] == 1 && edit["checks"][0]["bytes"] == 5,
        "{edit:#}"
    );
    let added = format!(
        "\n[sources.docs]\nkind = \"dir\"\nroot = \"{root}\"\ninclude = [\"*.md\"]\nevery = \"1h\"\npriority = 7\n\
         on_conflict = \"theirs\"\n"
    );
    let expected = before.replace("from = [\"team\"]", "from = [\"team\", \"docs\"]") + &added;
    ensure!(config(&home)? == expected, "{}", config(&home)?);
    let daemon = take_over(&home, daemon, &edit)?;
    home.ok(&["sync", "docs"])?;
    home.target("agents").expect(&[("a.md", "12345")])?;
    daemon.stop()
}

#[test]
fn what_is_added_is_shown_with_what_to_do_next() -> TestResult {
    let home = Home::new()?;
    home.make_origin("docs")?.write("a.md", "12345")?;
    let root = home.origin("docs").0.display().to_string();
    let said = home.ok(&["source", "add", "docs", "--root", &root])?;
    for text in [
        "added source `docs`",
        "+[sources.docs]",
        "1 file of 5 B",
        "not running",
        "next: ",
        "homing target add",
    ] {
        ensure!(said.contains(text), "expected `{text}` in {said}");
    }
    let text = config(&home)?;
    ensure!(text.starts_with("[sources.docs]\n"), "{text}");
    // In the home directory it is written so.
    write(&home.path("notes/a.md"), b"x")?;
    home.ok(&["source", "add", "notes", "--root", "notes"])?;
    ensure!(
        config(&home)?.contains("root = \"~/notes\"\n"),
        "{}",
        config(&home)?
    );
    home.ok(&["config", "check"])?;
    Ok(())
}

#[test]
fn a_secret_that_was_typed_is_refused_with_where_it_is_now() -> TestResult {
    let home = Home::with_one_source()?;
    for arguments in [
        &["--url", "https://ann:s3cret@example.org/", "--archive"][..],
        &["--url", "https://example.org/?token=s3cret", "--archive"],
        &[
            "--url",
            "https://example.org/",
            "--index",
            "https://ann:s3cret@e.org/i.json",
        ],
        &[
            "--url",
            "https://github.com/o/r",
            "--api",
            "https://s3cret@e.org/",
        ],
    ] {
        let said = home.homing(&[&["source", "add", "docs"], arguments].concat())?;
        said.expect(2, &["has no place in a URL", "shell's history", "--token"])?;
        ensure!(!said.to_string().contains("s3cret"), "{said}");
    }
    Ok(())
}

#[test]
fn a_check_does_not_promise_that_it_comes_again() -> TestResult {
    let home = Home::new()?;
    let nobody = std::net::TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    home.configure(&format!(
        "[sources.team]\nkind = \"http\"\nurl = \"http://{nobody}/\"\narchive = true\n"
    ))?;
    let said = home.homing(&["source", "check"])?;
    said.expect(1, &["there is no connection to", "then try it again"])?;
    ensure!(
        !said.stderr.contains("by itself") && said.stderr.matches("caused by").count() == 1,
        "{said}"
    );
    Ok(())
}

#[test]
fn a_dry_run_and_a_failed_check_write_nothing() -> TestResult {
    let home = Home::with_one_source()?;
    let before = Tree(home.path("")).snapshot()?;
    let missing = home.origin("missing").0.display().to_string();
    home.homing(&["source", "add", "docs", "--root", &missing])?
        .expect(
            1,
            &["source `docs` cannot be read", "missing", "--no-check"],
        )?;
    let docs = home.make_origin("docs")?.0.display().to_string();
    let edit = home.json_ok(&["source", "add", "docs", "--root", &docs, "--dry-run"])?;
    ensure!(
        edit["dry_run"] == true
            && edit["files"][0]["diff"]
                .as_array()
                .is_some_and(|d| d.len() > 3),
        "{edit:#}"
    );
    for arguments in [
        &["source", "remove", "team", "--dry-run"][..],
        &["source", "disable", "team", "--dry-run"],
    ] {
        let edit = home.json_ok(arguments)?;
        ensure!(
            edit["files"]
                .as_array()
                .is_some_and(|files| !files.is_empty()),
            "{edit:#}"
        );
    }
    home.ok(&["source", "check"])?;
    ensure!(
        Tree(home.path("")).snapshot()? == before,
        "something was written"
    );
    home.ok(&["source", "add", "docs", "--root", &missing, "--no-check"])?;
    ensure!(config(&home)?.contains("[sources.docs]"));
    Ok(())
}

#[test]
fn what_would_not_be_valid_is_shown_and_not_written() -> TestResult {
    let home = Home::with_one_source()?;
    let before = config(&home)?;
    let deeper = home.make_origin("team/deeper")?.0.display().to_string();
    let outcome = home.homing(&["source", "add", "docs", "--root", &deeper])?;
    outcome.expect(
        5,
        &[
            "nothing was written",
            &format!(
                "{}:12:8: source `docs` lies in source `team`",
                home.config_path().display()
            ),
            "12 | root = ",
            "^^^",
        ],
    )?;
    home.homing(&["source", "add", "team", "--root", &deeper])?
        .expect(1, &["[sources.team] is in", "another name"])?;
    home.homing(&[
        "source",
        "add",
        "docs",
        "--root",
        "/x",
        "--include",
        "a{b",
        "--no-check",
    ])?
    .expect(5, &["the pattern is malformed"])?;
    home.homing(&[
        "source",
        "add",
        "docs",
        "--root",
        "/x",
        "--no-check",
        "--target",
        "agent",
    ])?
    .expect(
        8,
        &["there is no [targets.agent]", "did you mean `agents`?"],
    )?;
    ensure!(config(&home)? == before);
    Ok(())
}

#[test]
fn without_a_terminal_nothing_is_asked() -> TestResult {
    let home = Home::new()?;
    home.homing(&["source", "add"])?
        .expect(2, &["NAME and --root are missing", "hint:"])?;
    home.homing(&["source", "add", "docs"])?
        .expect(2, &["--root is missing"])?;
    home.homing(&["source", "add", "--", "-x", "--root"])?
        .expect(2, &[])?;
    home.homing(&["source", "add", "--root", "d", "--", "-x"])?
        .expect(2, &["`-x` begins with `-`, as options do"])?;
    home.homing(&["source", "add", "--root", "d", "--", "--help"])?
        .expect(2, &["as options do"])?;
    home.homing(&["source", "remove", "--", "-x"])?
        .expect(8, &["there is no [sources.-x]"])?;
    ensure!(!home.config_path().exists());
    Ok(())
}

#[test]
fn sources_are_listed_and_shown_with_their_place() -> TestResult {
    let home = Home::with_one_source()?;
    let drop_in = home.path(".config/homing/config.d/local.toml");
    write(&drop_in, b"[sources.team]\npriority = 3\n")?;
    let listed = home.ok(&["source", "list"])?;
    line_with(&listed, &["team", "dir", "3", "by hand", "agents"])?;
    let document = home.json_ok(&["source", "list"])?;
    ensure!(document["sources"][0]["priority"] == 3, "{document:#}");
    let shown = home.json_ok(&["source", "show", "team"])?;
    ensure!(
        shown["file"] == json!(home.config_path().display().to_string()) && shown["line"] == 2,
        "{shown:#}"
    );
    ensure!(
        shown["status"].is_null() && shown["targets"] == json!(["agents"]),
        "{shown:#}"
    );
    let _daemon = home.start()?;
    let text = home.ok(&["source", "show", "team"])?;
    line_with(&text, &["state"])?;
    line_with(&text, &["on_conflict", "ask"])?;
    home.homing(&["source", "show", "taem"])?
        .expect(8, &["did you mean `team`?"])?;
    Ok(())
}

#[test]
fn a_removed_sources_files_leave_and_what_is_edited_stays() -> TestResult {
    let home = Home::with_one_source()?;
    let team = home.origin("team");
    for number in 0..8 {
        team.write(&format!("{number}.md"), "one\n")?;
    }
    let more = "[sources.more]\nkind = \"dir\"\nroot = \"{origins}/more\"\n# The target\n";
    home.make_origin("more")?.write("more.md", "more\n")?;
    let text = ONE_SOURCE.replace("from = [\"team\"]", "from = [\"team\", \"more\"]");
    home.configure(&format!("# mine\n{text}\n{more}"))?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("agents").write("1.md", "edited\n")?;
    let edit = home.json_ok(&["source", "remove", "team"])?;
    ensure!(edit["runs"][0]["removed"] == 7, "{edit:#}");
    home.target("agents")
        .expect(&[("1.md", "edited\n"), ("more.md", "more\n")])?;
    let text = config(&home)?;
    ensure!(
        !text.contains("team") && text.starts_with("# mine\n") && text.contains("[\"more\"]"),
        "{text}"
    );
    let daemon = take_over(&home, daemon, &edit)?;
    home.ok(&["sync"])?;
    home.target("agents")
        .expect(&[("1.md", "edited\n"), ("more.md", "more\n")])?;
    let history = home.json_ok(&["history", "team"])?;
    ensure!(
        history["runs"]
            .as_array()
            .is_some_and(|runs| runs.len() == 2),
        "{history:#}"
    );
    home.homing(&["sync", "team"])?.expect(8, &[])?;
    daemon.stop()
}

#[test]
fn the_only_source_goes_with_its_target_and_keep_leaves_the_files() -> TestResult {
    for keep in [false, true] {
        let home = Home::with_one_source()?;
        for number in 0..5 {
            home.origin("team")
                .write(&format!("{number}.md"), "one\n")?;
        }
        let daemon = home.start()?;
        home.ok(&["sync"])?;
        let mut arguments = vec!["source", "remove", "team", "--purge"];
        arguments.extend(keep.then_some("--keep"));
        let edit = home.json_ok(&arguments)?;
        let files = home.target("agents").texts()?.len();
        ensure!(
            files == if keep { 5 } else { 0 },
            "{files} are there, keep: {keep}"
        );
        ensure!(config(&home)?.trim().is_empty(), "{}", config(&home)?);
        let daemon = take_over(&home, daemon, &edit)?;
        ensure!(
            home.json_ok(&["history"])?["runs"]
                .as_array()
                .is_some_and(Vec::is_empty)
        );
        ensure!(home.target("agents").texts()?.len() == files);
        daemon.stop()?;
    }
    Ok(())
}

#[test]
fn without_a_daemon_only_what_can_be_done_later_is_done() -> TestResult {
    let home = Home::with_one_source()?;
    let before = config(&home)?;
    for arguments in [
        &["source", "remove", "team"][..],
        &["source", "remove", "team", "--keep"],
        &["source", "remove", "team", "--purge"],
    ] {
        home.homing(arguments)?.expect(
            4,
            &[
                "was not removed",
                "homingd is needed",
                "hint: start homingd",
            ],
        )?;
    }
    ensure!(config(&home)? == before);
    home.make_origin("more")?.write("more.md", "more\n")?;
    let root = home.origin("more").0.display().to_string();
    home.ok(&[
        "source", "add", "more", "--root", &root, "--target", "agents",
    ])?;
    let said = home.ok(&["source", "remove", "more"])?;
    ensure!(said.contains("when homingd starts"), "{said}");
    ensure!(config(&home)? == before, "{}", config(&home)?);
    Ok(())
}

#[test]
fn many_who_edit_at_once_do_not_lose_each_others_change() -> TestResult {
    let home = Home::with_one_source()?;
    let names: Vec<String> = (0..12).map(|number| format!("n{number}")).collect();
    for name in &names {
        home.make_origin(name)?;
    }
    let add = |name: &String| -> TestResult {
        let root = home.origin(name).0.display().to_string();
        let target = ["--target", "agents", "--no-check"];
        let mut arguments = vec!["source", "add", name, "--root", &root];
        arguments.extend(target);
        home.ok(&arguments).map(drop)
    };
    std::thread::scope(|scope| -> TestResult {
        let editors: Vec<_> = names.iter().map(|name| scope.spawn(|| add(name))).collect();
        editors
            .into_iter()
            .try_for_each(|editor| editor.join().expect("it does not panic"))
    })?;
    let shown = home.json_ok(&["target", "show", "agents"])?;
    ensure!(
        shown["from"]
            .as_array()
            .is_some_and(|from| from.len() == 13),
        "{shown:#}"
    );
    let text = config(&home)?;
    ensure!(text.matches("[sources.").count() == 13, "{text}");
    Ok(())
}

#[test]
fn a_configuration_that_cannot_be_written_is_told_with_what_was_done_before() -> TestResult {
    let mut home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    if !home.hand_over()? {
        return skip("no other user can be taken");
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let directory = home.path(".config/homing");
    fs::set_permissions(&directory, Permissions::from_mode(0o500))?;
    home.homing(&["source", "disable", "team"])?.expect(
        6,
        &[
            "could not be written",
            "the files of `team`",
            "come back",
            "hint: make",
        ],
    )?;
    home.homing(&["target", "remove", "agents"])?
        .expect(6, &["could not be written"])?;
    fs::set_permissions(&directory, Permissions::from_mode(0o700))?;
    home.ok(&["config", "check"])?;
    daemon.stop()?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", "one\n")])?;
    daemon.stop()
}

#[test]
fn on_a_terminal_what_is_missing_is_asked() -> TestResult {
    let home = Home::with_one_source()?;
    let docs = home.make_origin("docs")?;
    docs.write("a.md", "one\n")?;
    let program = Path::new("/usr/bin/script");
    if !program.exists() {
        return skip("there is no `script` to make a terminal with");
    }
    let answers = home.path("answers");
    write(
        &answers,
        format!("Docs\ndocs\n{}\n15m\nagents\n", docs.0.display()).as_bytes(),
    )?;
    let mut command = Command::new(program);
    command
        .args([
            "-qec",
            concat!(env!("CARGO_BIN_EXE_homing"), " source add"),
            "/dev/null",
        ])
        .env_clear()
        .env("HOME", home.path(""))
        .env("SHELL", "/bin/sh")
        .env("PATH", "/usr/bin:/bin")
        .stdin(fs::File::open(&answers)?);
    let outcome = run(command)?;
    ensure!(outcome.code == 0, "{outcome}");
    for text in [
        "is not a valid name",
        "publish it in (agents",
        "added source `docs`",
        "1 file of 4 B",
    ] {
        ensure!(
            outcome.stdout.contains(text),
            "expected `{text}` in {outcome}"
        );
    }
    let text = config(&home)?;
    ensure!(
        text.contains("every = \"15m\"") && text.contains("[\"team\", \"docs\"]"),
        "{text}"
    );
    Ok(())
}

#[test]
fn a_source_is_switched_off_and_on_again() -> TestResult {
    let home = Home::with_one_source()?;
    for number in 0..8 {
        home.origin("team")
            .write(&format!("{number}.md"), "one\n")?;
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let edit = home.json_ok(&["source", "disable", "team"])?;
    home.target("agents").expect(&[])?;
    ensure!(config(&home)?.contains("enabled = false\n"));
    let daemon = take_over(&home, daemon, &edit)?;
    home.homing(&["sync", "team"])?.expect(1, &["disabled"])?;
    let said = home.ok(&["source", "disable", "team"])?;
    ensure!(said.contains("nothing to change"), "{said}");
    let edit = home.json_ok(&["source", "enable", "team"])?;
    ensure!(config(&home)?.contains("enabled = true\n"));
    let daemon = take_over(&home, daemon, &edit)?;
    home.ok(&["sync", "team"])?;
    ensure!(home.target("agents").texts()?.len() == 8);
    home.homing(&["source", "enable", "nobody"])?
        .expect(8, &["there is no [sources.nobody]"])?;
    daemon.stop()
}

#[test]
fn what_was_switched_off_or_removed_by_hand_is_told_and_can_be_finished() -> TestResult {
    let both = ONE_SOURCE.replace("from = [\"team\"]", "from = [\"team\", \"more\"]");
    let more = "[sources.more]\nkind = \"dir\"\nroot = \"{origins}/more\"\n";
    let off = both.replace("kind = \"dir\"", "kind = \"dir\"\nenabled = false");
    let gone = ONE_SOURCE
        .replace(
            "[sources.team]\nkind = \"dir\"\nroot = \"{origins}/team\"\n",
            "",
        )
        .replace("from = [\"team\"]", "from = [\"more\"]");
    let accept = &["sync", "more", "--accept-deletions"][..];
    for (by_hand, why, finish) in [
        (&off, "is disabled", &["source", "disable", "team"][..]),
        (&off, "is disabled", accept),
        (
            &gone,
            "is not configured any more",
            &["source", "remove", "team"],
        ),
        (&gone, "is not configured any more", accept),
    ] {
        let home = Home::with_one_source()?;
        for number in 0..8 {
            home.origin("team")
                .write(&format!("{number}.md"), "one\n")?;
        }
        home.make_origin("more")?.write("more.md", "more\n")?;
        home.configure(&(both.clone() + more))?;
        let daemon = home.start()?;
        home.ok(&["sync"])?;
        home.configure(&(by_hand.clone() + more))?;
        home.ok(&["config", "reload"])?;
        // The other source does its work, and says what waits.
        home.origin("more").write("new.md", "new\n")?;
        let synced = home.homing(&["sync", "more"])?;
        synced.expect(7, &[])?;
        line_with(&synced.stdout, &["withheld:", "source `team`", why])?;
        ensure!(home.target("agents").texts()?.len() == 10, "{synced}");
        daemon.stop()?;
        let daemon = home.start()?;
        home.status_when_recovered()?;
        let status = home.ok(&["status"])?;
        line_with(&status, &["agents", "outdated, blocked"])?;
        line_with(
            &status,
            &["blocked:", "source `team`", why, "`homing source "],
        )?;
        let document = home.json_ok(&["status", "agents"])?;
        let condition = &document["targets"][0]["conditions"][0];
        ensure!(condition["type"] == "Blocked", "{document:#}");
        home.ok(finish)?;
        home.target("agents")
            .expect(&[("more.md", "more\n"), ("new.md", "new\n")])?;
        let status = home.ok(&["status"])?;
        ensure!(!status.contains("blocked"), "{finish:?}: {status}");
        daemon.stop()?;
    }
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    home.homing(&["source", "remove", "nobody"])?
        .expect(8, &["there is no [sources.nobody]"])
}

#[test]
fn sources_are_checked_without_a_daemon() -> TestResult {
    let empty = Home::new()?;
    let told = empty.ok(&["source", "check"])?;
    ensure!(told.contains("`homing source add`"), "{told}");
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "12345")?;
    std::os::unix::fs::symlink("/etc/passwd", home.origin("team").path("link"))?;
    let said = home.ok(&["source", "check"])?;
    ensure!(
        said.contains("team: 1 file of 5 B would come") && said.contains("link"),
        "{said}"
    );
    home.ok(&[
        "source",
        "add",
        "gone",
        "--root",
        "/nowhere/at/all",
        "--no-check",
    ])?;
    let (checks, code) = home.json(&["source", "check"])?;
    ensure!(
        code == 3 && checks["sources"][0]["error"]["kind"] == "not-found",
        "{code} {checks:#}"
    );
    home.homing(&["source", "check", "gone"])?
        .expect(1, &["source `gone` cannot be read", "/nowhere/at/all"])?;
    home.homing(&["source", "check", "teem"])?
        .expect(8, &["did you mean `team`?"])?;
    ensure!(!home.data_dir().exists());
    Ok(())
}

#[test]
fn a_watch_and_a_hook_are_added_with_flags() -> TestResult {
    let home = Home::new()?;
    home.make_origin("team")?.write("a.md", "one\n")?;
    let root = home.origin("team").path("").display().to_string();
    home.ok(&["source", "add", "team", "--root", &root, "--watch"])?;
    home.ok(&[
        "target",
        "add",
        "agents",
        "--path",
        "~/agents",
        "--from",
        "team",
        "--after",
        "/bin/echo",
        "-n",
        "done",
    ])?;
    let text = config(&home)?;
    ensure!(text.contains("watch = true\n"), "{text}");
    ensure!(
        text.contains("after = [\"/bin/echo\", \"-n\", \"done\"]\n"),
        "{text}"
    );
    Ok(())
}
