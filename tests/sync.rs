//! `homing sync`, `pull` and `push`: what is published, and what an edit becomes.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use anyhow::ensure;

use crate::harness::{Home, TestResult, line_with};

#[test]
fn a_source_is_published_whole_and_again_when_it_changes() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("a.md", "one\n")?;
    origin.write("skills/deep/b.md", "two\n")?;
    origin.write("run.sh", "#!/bin/sh\n")?;
    fs::set_permissions(origin.path("run.sh"), Permissions::from_mode(0o755))?;
    let _daemon = home.start()?;

    home.ok(&["sync", "team"])?;
    target.expect(&[
        ("a.md", "one\n"),
        ("run.sh", "#!/bin/sh\n"),
        ("skills/deep/b.md", "two\n"),
    ])?;
    let mode = |path: &str| {
        fs::metadata(target.path(path)).map(|metadata| metadata.permissions().mode() & 0o777)
    };
    ensure!(
        mode("run.sh")? == 0o755 && mode("a.md")? == 0o644,
        "modes: {:o} {:o}",
        mode("run.sh")?,
        mode("a.md")?
    );

    origin.write("a.md", "one, changed\n")?;
    origin.remove("run.sh")?;
    origin.write("c.md", "three\n")?;
    home.ok(&["sync", "--all"])?;
    target.expect(&[
        ("a.md", "one, changed\n"),
        ("c.md", "three\n"),
        ("skills/deep/b.md", "two\n"),
    ])
}

#[test]
fn an_unchanged_source_is_cached_and_says_so() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let before = home.target("agents").snapshot()?;
    home.ok(&["sync"])?;
    let runs = home.json_ok(&["history", "team"])?;
    let newest = &runs["runs"][0];
    ensure!(
        newest["status"] == "success" && newest["synced"] == 0 && newest["failed"] == 0,
        "{newest:#}"
    );
    ensure!(home.target("agents").snapshot()? == before);
    Ok(())
}

#[test]
fn the_total_names_what_was_done() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    home.origin("team").write("b.md", "two\n")?;
    let _daemon = home.start()?;
    let text = home.ok(&["sync", "--all"])?;
    line_with(&text, &["1 source"])?;
    ensure!(text.contains("team"), "{text}");
    Ok(())
}

#[test]
fn an_edit_in_a_target_is_kept_and_the_next_change_upstream_is_merged_into_it() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("a.md", "1\n2\n3\n4\n5\n6\n7\n8\n9\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;

    target.write("a.md", "1, edited here\n2\n3\n4\n5\n6\n7\n8\n9\n")?;
    home.ok(&["sync"])?;
    ensure!(
        target.read("a.md")?.starts_with("1, edited here\n"),
        "the edit is gone"
    );
    let status = home.json_ok(&["status"])?;
    ensure!(
        status["targets"][0]["states"]
            .to_string()
            .contains("modified"),
        "{status:#}"
    );

    origin.write("a.md", "1\n2\n3\n4\n5\n6\n7\n8\n9, changed there\n")?;
    home.ok(&["sync"])?;
    target.expect(&[(
        "a.md",
        "1, edited here\n2\n3\n4\n5\n6\n7\n8\n9, changed there\n",
    )])?;
    origin.expect(&[("a.md", "1\n2\n3\n4\n5\n6\n7\n8\n9, changed there\n")])
}

#[test]
fn a_file_of_the_users_own_is_never_touched() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    target.write("mine.md", "my own\n")?;
    target.write("notes/also-mine.md", "my own too\n")?;
    origin.write("a.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    target.expect(&[
        ("a.md", "one\n"),
        ("mine.md", "my own\n"),
        ("notes/also-mine.md", "my own too\n"),
    ])?;

    // A file that comes upstream under the same name is a conflict, and the user's own stays.
    origin.write("mine.md", "theirs\n")?;
    home.homing(&["sync"])?.expect(7, &[])?;
    ensure!(target.read("mine.md")? == "my own\n");
    origin.remove("mine.md")?;
    home.ok(&["sync"])?;
    ensure!(target.read("mine.md")? == "my own\n");
    Ok(())
}

#[test]
fn a_file_that_equals_the_upstream_one_is_adopted_and_never_deleted() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    target.write("same.md", "the same\n")?;
    origin.write("same.md", "the same\n")?;
    origin.write("b.md", "b\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.remove("same.md")?;
    home.ok(&["sync"])?;
    target.expect(&[("b.md", "b\n"), ("same.md", "the same\n")])
}

#[test]
fn a_deleted_file_comes_back_unless_deletions_are_kept() -> TestResult {
    let home = Home::new()?;
    let origin = home.make_origin("team")?;
    home.configure(
        r#"
        [sources.team]
        kind = "dir"
        root = "{origins}/team"
        [targets.restoring]
        path = "{home}/restoring"
        from = ["team"]
        [targets.keeping]
        path = "{home}/keeping"
        from = ["team"]
        deletions = "keep"
        "#,
    )?;
    let (restoring, keeping) = (home.target("restoring"), home.target("keeping"));
    for name in ["a.md", "b.md", "c.md", "d.md", "e.md"] {
        origin.write(name, name)?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    restoring.remove("a.md")?;
    keeping.remove("a.md")?;
    home.ok(&["sync"])?;
    ensure!(restoring.read("a.md")? == "a.md");
    ensure!(!keeping.has("a.md"), "it came back");

    // The newest content comes back; what is left away stays away without a conflict, until it is released.
    restoring.remove("a.md")?;
    origin.write("a.md", "newer\n")?;
    home.ok(&["sync"])?;
    ensure!(restoring.read("a.md")? == "newer\n");
    ensure!(!keeping.has("a.md"), "it came back");
    home.ok(&["release", "team", "a.md"])?;
    ensure!(keeping.read("a.md")? == "newer\n");
    Ok(())
}

#[test]
fn nothing_that_matches_is_a_warning_and_not_a_success_without_a_word() -> TestResult {
    let home = Home::with_settings(r#"include = ["*.txt"]"#, "")?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    let _daemon = home.start()?;
    let outcome = home.homing(&["sync"])?;
    let said = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(
        said.contains("match") || said.contains("empty"),
        "{outcome}"
    );
    home.target("agents").expect(&[])
}

#[test]
fn include_exclude_and_path_choose_what_is_published() -> TestResult {
    let home = Home::with_settings(
        r#"
            path = "agents"
            include = ["**/*.md"]
            exclude = ["README.md", "!keep/README.md"]
        "#,
        "",
    )?;
    let origin = home.origin("team");
    origin.write("outside.md", "x")?;
    origin.write("agents/a.md", "a")?;
    origin.write("agents/b.txt", "b")?;
    origin.write("agents/README.md", "r")?;
    origin.write("agents/keep/README.md", "k")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("agents")
        .expect(&[("a.md", "a"), ("keep/README.md", "k")])
}

#[test]
fn a_filter_syncs_only_what_it_names() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    origin.write("a.md", "a")?;
    origin.write("b.md", "b")?;
    let _daemon = home.start()?;
    home.ok(&["sync", "team", "--filter", "a.md"])?;
    home.target("agents").expect(&[("a.md", "a")])?;
    home.ok(&["sync", "team"])?;
    home.target("agents")
        .expect(&[("a.md", "a"), ("b.md", "b")])
}

#[test]
fn an_unknown_source_is_told_before_anything_starts() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "a")?;
    let _daemon = home.start()?;
    home.homing(&["sync", "team", "taem"])?
        .expect(8, &["taem", "hint:"])?;
    home.target("agents").expect(&[])
}

#[test]
fn without_a_daemon_the_command_line_says_how_to_start_it() -> TestResult {
    let home = Home::with_one_source()?;
    home.homing(&["sync"])?
        .expect(4, &["error:", "hint:", "homingd"])?;
    home.homing(&["status"])?.expect(4, &["homingd"])
}

#[test]
fn a_source_with_a_schedule_is_synced_without_being_asked() -> TestResult {
    let home = Home::with_settings(r#"every = "1s""#, "")?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    let _daemon = home.start()?;
    let runs = crate::history::wait_for(&home, |runs| {
        runs.iter()
            .filter(|run| run["trigger"] == "schedule" && run["status"] == "success")
            .count()
            >= 2
    })?;
    ensure!(runs.iter().all(|run| run["status"] != "error"), "{runs:#?}");
    home.target("agents").expect(&[("a.md", "one\n")])
}

#[test]
fn many_at_once_all_end_well() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    for number in 0..50 {
        origin.write(&format!("{number}.md"), format!("{number}\n"))?;
    }
    let _daemon = home.start()?;
    let outcomes = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| home.homing(&["sync"])))
            .collect();
        clients
            .into_iter()
            .map(|client| client.join().expect("no client panics"))
            .collect::<Vec<_>>()
    });
    for outcome in outcomes {
        outcome?.expect(0, &[])?;
    }
    ensure!(home.target("agents").texts()? == origin.texts()?);
    Ok(())
}

#[test]
fn what_is_excluded_later_leaves_the_target_and_not_the_origin() -> TestResult {
    let home = Home::new()?;
    let origin = home.make_origin("team")?;
    let text = |exclude: &str| {
        format!(
            "[sources.team]\nkind = \"dir\"\nroot = \"{{origins}}/team\"\npush = \"direct\"\nexclude = [{exclude}]\n\
             [targets.agents]\npath = \"{{home}}/agents\"\nfrom = [\"team\"]\n"
        )
    };
    home.configure(&text(""))?;
    for name in ["a.md", "b.md", "edited.md", "c.md"] {
        origin.write(name, format!("{name}\n"))?;
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let before = origin.snapshot()?;
    daemon.stop()?;

    home.configure(&text("\"a.md\""))?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("agents").expect(&[
        ("b.md", "b.md\n"),
        ("c.md", "c.md\n"),
        ("edited.md", "edited.md\n"),
    ])?;
    ensure!(origin.snapshot()? == before, "the origin was changed");
    daemon.stop()?;

    home.configure(&text(""))?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    ensure!(home.target("agents").texts()? == origin.texts()?);
    daemon.stop()
}

#[test]
fn a_disabled_source_is_refused_by_name_and_passed_over_otherwise() -> TestResult {
    let home = Home::new()?;
    home.make_origin("on")?.write("on.md", "on\n")?;
    home.make_origin("off")?.write("off.md", "off\n")?;
    home.configure(
        r#"
        [sources.on]
        kind = "dir"
        root = "{origins}/on"
        [sources.off]
        kind = "dir"
        root = "{origins}/off"
        enabled = false
        [targets.agents]
        path = "{home}/agents"
        from = ["on", "off"]
        "#,
    )?;
    let _daemon = home.start()?;
    home.homing(&["sync", "off"])?
        .expect(1, &["disabled", "hint:"])?;
    home.ok(&["sync", "--all"])?;
    home.target("agents").expect(&[("on.md", "on\n")])
}

#[test]
fn a_change_of_case_only_is_carried_over() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("Skill.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    fs::rename(origin.path("Skill.md"), origin.path("SKILL.md"))?;
    home.ok(&["sync"])?;
    target.expect(&[("SKILL.md", "one\n")])
}

#[test]
fn the_executable_bit_alone_is_a_change() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("run.sh", "#!/bin/sh\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    fs::set_permissions(origin.path("run.sh"), Permissions::from_mode(0o755))?;
    home.ok(&["sync"])?;
    let mode = fs::metadata(target.path("run.sh"))?.permissions().mode();
    ensure!(mode & 0o100 != 0, "{mode:o}");
    Ok(())
}

#[test]
fn sources_that_are_fresh_enough_are_left_alone() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    let _daemon = home.start()?;
    // Never synced is never fresh.
    let first = home.json_ok(&["sync", "--if-older-than", "1d"])?;
    ensure!(first["runs"][0]["synced"] != 0, "{first:#}");
    origin.write("a.md", "two\n")?;
    let text = home.ok(&["sync", "--all", "--if-older-than", "1d"])?;
    ensure!(text == "1 source fresh enough: team\n", "{text}");
    let second = home.json_ok(&["sync", "team", "--if-older-than", "1d"])?;
    ensure!(
        second["fresh"] == serde_json::json!(["team"]) && second["runs"] == serde_json::json!([]),
        "{second:#}"
    );
    home.target("agents").expect(&[("a.md", "one\n")])?;
    home.ok(&["sync", "--if-older-than", "1ms"])?;
    home.target("agents").expect(&[("a.md", "two\n")])
}
