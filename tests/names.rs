//! Names that are no names: reported, never published, never printed raw.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::symlink;

use anyhow::ensure;

use crate::harness::{Home, TestResult};

#[test]
fn odd_names_are_reported_and_the_rest_is_published() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    origin.write("good.md", "good\n")?;
    for name in [
        &b"new\nline.md"[..],
        b"invalid-\xff.md",
        b"escape-\x1b[2J.md",
        b".homing-7-3",
    ] {
        File::create(origin.path("").join(OsStr::from_bytes(name)))?;
    }
    let long = "x".repeat(255);
    origin.write(&format!("{}/a.md", "deep/".repeat(3)), "deep\n")?;
    fs::rename(origin.path("deep/deep/deep/a.md"), origin.path(&long))?;
    symlink("/etc/passwd", origin.path("link.md"))?;
    symlink("/etc", origin.path("linkdir"))?;
    let mut command = std::process::Command::new("mkfifo");
    command.arg(origin.path("pipe.md"));
    crate::harness::run(command)?.expect(0, &[])?;

    let _daemon = home.start()?;
    let outcome = home.homing(&["sync"])?;
    outcome.expect(3, &[])?;
    let printed = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(
        !printed.contains('\u{1b}') && !printed.contains("new\nline"),
        "{printed:?}"
    );
    home.target("agents")
        .expect(&[("good.md", "good\n"), (&long, "deep\n")])?;
    let runs = home.json_ok(&["history", "-n", "1"])?;
    let problems = runs["runs"][0]["problems"]
        .as_array()
        .cloned()
        .unwrap_or_default();
    let count = |kind: &str| {
        problems
            .iter()
            .filter(|problem| problem["kind"] == kind)
            .count()
    };
    ensure!(
        count("name") == 3 && count("link") == 2 && count("special-file") == 1,
        "{problems:#?}"
    );
    Ok(())
}

#[test]
fn names_with_spaces_quotes_and_other_scripts_are_names() -> TestResult {
    let home = Home::with_one_source()?;
    let names = [
        "a b.md",
        "it's \"quoted\".md",
        "-rf.md",
        "日本語/ファイル.md",
        "$(reboot).md",
        "#hash.md",
        "ä/é.md",
    ];
    for name in names {
        home.origin("team").write(name, format!("{name}\n"))?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    ensure!(home.target("agents").texts()? == home.origin("team").texts()?);
    home.target("agents").remove("it's \"quoted\".md")?;
    home.ok(&["sync"])?;
    ensure!(home.target("agents").texts()? == home.origin("team").texts()?);
    let path = home.target("agents").path("日本語/ファイル.md");
    home.json_ok(&["why", &path.to_string_lossy()])?;
    Ok(())
}

#[test]
fn a_file_over_the_limit_is_reported_and_the_rest_is_published() -> TestResult {
    let home = Home::with_settings(r#"max_file_size = "1KiB""#, "")?;
    let origin = home.origin("team");
    origin.write("small.md", "small\n")?;
    origin.write("large.md", "x".repeat(2000))?;
    let _daemon = home.start()?;
    expect_limit(&home, "large.md")?;
    home.target("agents").expect(&[("small.md", "small\n")])?;

    // What was published and then grew over the limit is neither deleted nor damaged.
    origin.write("small.md", "y".repeat(2000))?;
    expect_limit(&home, "small.md")?;
    home.target("agents").expect(&[("small.md", "small\n")])
}

/// Syncs, which must be partial for a file over a limit.
fn expect_limit(home: &Home, path: &str) -> TestResult {
    let outcome = home.homing(&["sync"])?;
    outcome.expect(3, &[])?;
    let printed = format!("{}{}", outcome.stdout, outcome.stderr);
    ensure!(printed.contains(path), "{printed}");
    let (document, code) = home.json(&["sync"])?;
    let problems = document["runs"][0]["problems"].as_array();
    let told = problems
        .into_iter()
        .flatten()
        .any(|problem| problem["kind"] == "limit" && problem["path"] == path);
    ensure!(code == 3 && told, "{code}: {document:#}");
    Ok(())
}

#[test]
fn a_source_of_too_many_files_or_bytes_publishes_nothing_and_says_which_limit() -> TestResult {
    for (setting, word) in [
        ("max_files = 3", "max_files"),
        (
            "max_file_size = \"1KiB\"\nmax_total_size = \"3KiB\"",
            "max_total_size",
        ),
    ] {
        let home = Home::with_settings(setting, "")?;
        let origin = home.origin("team");
        for name in ["a.md", "b.md", "c.md"] {
            origin.write(name, "x".repeat(900))?;
        }
        let _daemon = home.start()?;
        home.ok(&["sync"])?;
        let before = home.target("agents").snapshot()?;
        origin.write("d.md", "x".repeat(900))?;
        let (document, code) = home.json(&["sync"])?;
        let error = &document["runs"][0]["error"];
        ensure!(
            code == 1 && error["kind"] == "untrusted" && error.to_string().contains(word),
            "{setting}: {code}: {document:#}"
        );
        ensure!(home.target("agents").snapshot()? == before);
        origin.remove("a.md")?;
        home.ok(&["sync"])?;
        ensure!(home.target("agents").texts()? == origin.texts()?);
    }
    Ok(())
}
