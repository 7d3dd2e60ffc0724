//! Several targets, several sources, and how names meet in them.

use anyhow::{Result, ensure};

use crate::harness::{Home, TestResult};

#[test]
fn two_targets_get_what_they_ask_for() -> TestResult {
    let home = Home::new()?;
    home.make_origin("one")?.write("1.md", "one\n")?;
    home.make_origin("two")?.write("dir/2.md", "two\n")?;
    home.configure(
        r#"
        [sources.one]
        kind = "dir"
        root = "{origins}/one"
        [sources.two]
        kind = "dir"
        root = "{origins}/two"
        [targets.both]
        path = "{home}/both"
        from = ["one", "two"]
        [targets.second]
        path = "{home}/second"
        from = ["two"]
        "#,
    )?;
    let _daemon = home.start()?;
    home.ok(&["sync", "--all"])?;
    home.target("both")
        .expect(&[("1.md", "one\n"), ("dir/2.md", "two\n")])?;
    home.target("second").expect(&[("dir/2.md", "two\n")])
}

#[test]
fn the_lower_number_wins_and_the_loser_steps_in_when_it_goes() -> TestResult {
    let home = Home::new()?;
    let first = home.make_origin("first")?;
    let second = home.make_origin("second")?;
    home.configure(
        r#"
        [sources.first]
        kind = "dir"
        root = "{origins}/first"
        priority = 1
        [sources.second]
        kind = "dir"
        root = "{origins}/second"
        priority = 2
        [targets.agents]
        path = "{home}/agents"
        from = ["second", "first"]
        "#,
    )?;
    first.write("a.md", "of the first\n")?;
    second.write("a.md", "of the second\n")?;
    second.write("b.md", "b\n")?;
    let _daemon = home.start()?;
    let outcome = home.homing(&["sync", "--all"])?;
    ensure!(outcome.code == 0, "{outcome}");
    home.target("agents")
        .expect(&[("a.md", "of the first\n"), ("b.md", "b\n")])?;
    first.remove("a.md")?;
    first.write("keep.md", "keep\n")?;
    home.ok(&["sync", "--all"])?;
    home.target("agents").expect(&[
        ("a.md", "of the second\n"),
        ("b.md", "b\n"),
        ("keep.md", "keep\n"),
    ])
}

#[test]
fn equal_priorities_are_decided_by_the_order_in_the_target() -> TestResult {
    let home = Home::new()?;
    home.make_origin("x")?.write("a.md", "x\n")?;
    home.make_origin("y")?.write("a.md", "y\n")?;
    home.configure(
        r#"
        [sources.x]
        kind = "dir"
        root = "{origins}/x"
        [sources.y]
        kind = "dir"
        root = "{origins}/y"
        [targets.xy]
        path = "{home}/xy"
        from = ["x", "y"]
        [targets.yx]
        path = "{home}/yx"
        from = ["y", "x"]
        "#,
    )?;
    let _daemon = home.start()?;
    home.ok(&["sync", "--all"])?;
    home.target("xy").expect(&[("a.md", "x\n")])?;
    home.target("yx").expect(&[("a.md", "y\n")])
}

#[test]
fn who_lost_its_path_is_told_with_the_target_and_once_to_each_source() -> TestResult {
    let home = Home::new()?;
    let (x, y) = (home.make_origin("x")?, home.make_origin("y")?);
    home.configure(
        r#"
        [sources.x]
        kind = "dir"
        root = "{origins}/x"
        priority = 10
        [sources.y]
        kind = "dir"
        root = "{origins}/y"
        [targets.one]
        path = "{home}/one"
        from = ["x", "y"]
        [targets.two]
        path = "{home}/two"
        from = ["x", "y"]
        "#,
    )?;
    x.write("a.md", "x\n")?;
    y.write("a.md", "y\n")?;
    let _daemon = home.start()?;
    let told = |name: &str| -> Result<Vec<String>> {
        let run = &home.json_ok(&["sync", name])?["runs"][0];
        let problems = run["problems"].as_array().into_iter().flatten();
        Ok(problems
            .filter(|problem| problem["kind"] == "shadowed")
            .map(|problem| format!("{}: {}", problem["path"], problem["message"]))
            .collect())
    };
    ensure!(told("x")?.is_empty(), "nothing was shadowed yet");
    for (name, why) in [
        ("y", "what it offers is news"),
        ("x", "it was not told yet"),
    ] {
        let lost = told(name)?;
        ensure!(lost.len() == 2, "{why}: {lost:#?}");
        for target in ["one", "two"] {
            ensure!(
                lost.iter()
                    .any(|line| line.contains(&format!("in target `{target}`"))),
                "{lost:#?}"
            );
        }
        ensure!(told(name)?.is_empty(), "it was told a second time");
    }
    // Another one is news, and the first one still is not.
    x.write("b.md", "x\n")?;
    y.write("b.md", "y\n")?;
    home.ok(&["sync", "x"])?;
    let lost = told("y")?;
    ensure!(
        lost.len() == 2 && lost.iter().all(|line| line.contains("b.md")),
        "{lost:#?}"
    );
    Ok(())
}

#[test]
fn a_conflict_counts_where_it_is() -> TestResult {
    let home = Home::new()?;
    let (x, y) = (home.make_origin("x")?, home.make_origin("y")?);
    home.configure(
        r#"
        [sources.x]
        kind = "dir"
        root = "{origins}/x"
        priority = 10
        [sources.y]
        kind = "dir"
        root = "{origins}/y"
        [targets.shared]
        path = "{home}/shared"
        from = ["x", "y"]
        "#,
    )?;
    for origin in [&x, &y] {
        origin.write("a.md", "theirs\n")?;
    }
    home.target("shared").write("a.md", "mine\n")?;
    let _daemon = home.start()?;
    // The first source's file is the one that the user's own stands against.
    let (all, code) = home.json(&["sync", "--all"])?;
    ensure!(code == 7, "{all:#}");
    for (name, conflicts) in [("x", 1), ("y", 0), ("x", 1), ("y", 0)] {
        let (synced, code) = home.json(&["sync", name])?;
        let run = &synced["runs"][0];
        ensure!(
            run["failed"] == conflicts && (code == 7) == (conflicts > 0),
            "{name} ended with {code}: {synced:#}"
        );
        let status = home.json_ok(&["status", name, "shared"])?;
        let source = &status["sources"][0];
        ensure!(
            source["conflicts"] == conflicts && source["last_run"]["failed"] == conflicts,
            "{name}: {status:#}"
        );
        ensure!(status["targets"][0]["conflicts"] == 1, "{status:#}");
    }
    crate::harness::line_with(&home.ok(&["status"])?, &["1 conflict "])?;
    Ok(())
}

#[test]
fn a_flat_target_has_file_names_only_and_reports_a_collision_once() -> TestResult {
    let home = Home::new()?;
    let origin = home.make_origin("team")?;
    home.configure(
        r#"
        [sources.team]
        kind = "dir"
        root = "{origins}/team"
        [targets.flat]
        path = "{home}/flat"
        from = ["team"]
        layout = "flat"
        "#,
    )?;
    origin.write("one/a.md", "one\n")?;
    origin.write("two/a.md", "two\n")?;
    origin.write("two/b.md", "b\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    home.target("flat")
        .expect(&[("a.md", "one\n"), ("b.md", "b\n")])?;
    let runs = home.json_ok(&["history", "-n", "50"])?;
    let reports = runs.to_string().matches("\"shadowed\"").count();
    ensure!(reports == 1, "{reports} reports in {runs:#}");
    Ok(())
}

#[test]
fn active_files_are_blocked_unless_the_target_lists_them() -> TestResult {
    let home = Home::new()?;
    let origin = home.make_origin("team")?;
    home.configure(
        r#"
        [sources.team]
        kind = "dir"
        root = "{origins}/team"
        [targets.careful]
        path = "{home}/careful"
        from = ["team"]
        [targets.trusting]
        path = "{home}/trusting"
        from = ["team"]
        allow_active = [".mcp.json"]
        "#,
    )?;
    origin.write("a.md", "a\n")?;
    origin.write(".mcp.json", "{}\n")?;
    origin.write("settings.json", "{}\n")?;
    origin.write(".vscode/tasks.json", "{}\n")?;
    origin.write(".git/hooks/pre-commit", "#!/bin/sh\n")?;
    let _daemon = home.start()?;
    home.homing(&["sync"])?;
    home.target("careful").expect(&[("a.md", "a\n")])?;
    home.target("trusting")
        .expect(&[(".mcp.json", "{}\n"), ("a.md", "a\n")])?;
    let history = home.json_ok(&["history"])?;
    ensure!(
        history.to_string().contains("\"active\""),
        "nobody said why: {history:#}"
    );
    Ok(())
}

#[test]
fn a_source_that_goes_takes_its_unedited_files_and_leaves_edited_ones() -> TestResult {
    let home = Home::new()?;
    home.make_origin("stays")?.write("s.md", "s\n")?;
    let goes = home.make_origin("goes")?;
    let text = |goes_too: bool| {
        let mut text = r#"
            [sources.stays]
            kind = "dir"
            root = "{origins}/stays"
            "#
        .to_owned();
        if goes_too {
            text.push_str("[sources.goes]\nkind = \"dir\"\nroot = \"{origins}/goes\"\n");
        }
        text.push_str("[targets.agents]\npath = \"{home}/agents\"\n");
        text.push_str(if goes_too {
            "from = [\"stays\", \"goes\"]\n"
        } else {
            "from = [\"stays\"]\n"
        });
        text
    };
    goes.write("gone.md", "gone\n")?;
    goes.write("edited.md", "original\n")?;
    home.configure(&text(true))?;
    let daemon = home.start()?;
    home.ok(&["sync", "--all"])?;
    home.target("agents").write("edited.md", "edited\n")?;
    daemon.stop()?;
    home.configure(&text(false))?;
    let _daemon = home.start()?;
    home.ok(&["sync", "--all"])?;
    home.target("agents")
        .expect(&[("edited.md", "edited\n"), ("s.md", "s\n")])
}

#[test]
fn one_failing_source_does_not_stop_another() -> TestResult {
    let home = Home::new()?;
    home.make_origin("good")?.write("a.md", "a\n")?;
    home.configure(
        r#"
        [sources.good]
        kind = "dir"
        root = "{origins}/good"
        [sources.missing]
        kind = "dir"
        root = "{origins}/missing"
        [targets.agents]
        path = "{home}/agents"
        from = ["missing", "good"]
        "#,
    )?;
    let _daemon = home.start()?;
    let outcome = home.homing(&["sync", "--all"])?;
    ensure!(outcome.code != 0, "{outcome}");
    ensure!(
        format!("{}{}", outcome.stdout, outcome.stderr).contains("missing"),
        "{outcome}"
    );
    home.target("agents").expect(&[("a.md", "a\n")])
}
