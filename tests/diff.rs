//! `homing diff` and `--dry-run`: what a sync would do, without doing any of it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::harness::{Home, ONE_SOURCE, TestResult, Tree, run, skip, write};

type Everything = Vec<BTreeMap<PathBuf, (u32, Vec<u8>)>>;

/// Every byte that a question must not change: origin, target, database and contents.
fn everything(home: &Home) -> Result<Everything> {
    let mut trees = vec![
        home.origin("team").snapshot()?,
        home.target("agents").snapshot()?,
    ];
    let mut data = Tree(home.data_dir()).snapshot()?;
    // The readers of SQLite mark themselves in the shared-memory index; it holds no data and is made anew at a start.
    data.retain(|path, _| !path.to_string_lossy().ends_with("-shm"));
    trees.push(data);
    Ok(trees)
}

#[test]
fn diff_tells_what_would_be_done_and_writes_nothing() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    for name in ["a.md", "b.md", "c.md", "d.md", "e.md"] {
        origin.write(name, "one\n")?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("a.md", "changed\n")?;
    origin.remove("b.md")?;
    origin.write("new.md", "new\n")?;
    target.write("c.md", "edited\n")?;

    let before = everything(&home)?;
    let (document, _) = home.json(&["diff", "team"])?;
    let text = home.homing(&["diff", "team"])?.stdout;
    home.homing(&["diff"])?;
    home.homing(&["sync", "team", "--dry-run"])?;
    home.homing(&["pull", "team", "--dry-run", "--json"])?;
    home.ok(&["status"])?;
    home.ok(&["conflicts"])?;
    ensure!(everything(&home)? == before, "a question wrote something");

    let told = document.to_string();
    for path in ["a.md", "b.md", "new.md", "c.md"] {
        ensure!(told.contains(path), "`{path}` is not in {document:#}");
        ensure!(text.contains(path), "`{path}` is not in {text}");
    }
    ensure!(!told.contains("d.md"), "{document:#}");
    for action in ["updated", "removed", "created"] {
        ensure!(told.contains(action), "`{action}` is not in {document:#}");
    }
    Ok(())
}

#[test]
fn diff_before_the_first_sync_writes_nothing_either() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let _daemon = home.start()?;
    let before = everything(&home)?;
    let (document, _) = home.json(&["diff", "team"])?;
    ensure!(document.to_string().contains("a.md"), "{document:#}");
    ensure!(everything(&home)? == before, "a question wrote something");
    ensure!(
        !home.target("agents").0.exists(),
        "the target's directory was made"
    );
    Ok(())
}

#[test]
fn a_patch_is_what_a_sync_then_does() -> TestResult {
    let home = Home::with_one_source()?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    let lines: Vec<String> = (1..=30).map(|line| format!("line {line}")).collect();
    let long = lines.join("\n") + "\n";
    origin.write("long.md", &long)?;
    origin.write("gone.md", "last words\n")?;
    origin.write("with space.md", "one\ntwo")?;
    origin.write("binary.bin", "a\0b")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("long.md", long.replace("line 7\n", "line seven\n"))?;
    origin.remove("gone.md")?;
    origin.write("with space.md", "one\ntwo\nthree\n")?;
    origin.write("new/file.md", "new\n")?;
    origin.write("binary.bin", "a\0c")?;
    origin.write("large.csv", "x\n".repeat(1024 * 1024))?;

    let before = everything(&home)?;
    let text = home.ok(&["diff", "team", "--patch"])?;
    ensure!(everything(&home)? == before, "a question wrote something");
    for line in [
        "update long.md (source team -> target agents)",
        "--- a/long.md",
        "+++ b/long.md",
        "@@ -4,7 +4,7 @@",
        "-line 7",
        "+line seven",
        "deleted file mode 100644",
        "-last words",
        "--- /dev/null",
        "+++ b/new/file.md",
        "Binary files a/binary.bin and b/binary.bin differ",
        "Binary files /dev/null and b/large.csv differ",
    ] {
        ensure!(
            text.lines().any(|known| known == line),
            "no `{line}` in {text}"
        );
    }
    ensure!(
        !text.contains("line 12") && !text.contains('\u{1b}'),
        "{text}"
    );

    // What it says is what is done, as another program understands it.
    let copy = home.root().join("copy");
    let mut cp = Command::new("cp");
    cp.arg("-r").arg(&target.0).arg(&copy);
    run(cp)?.expect(0, &[])?;
    let patch = Path::new("/usr/bin/patch");
    if !patch.exists() {
        return skip("there is no `patch`");
    }
    let texts = text
        .split("\ndiff --git ")
        .filter(|one| !one.contains("Binary files"));
    write(
        &home.root().join("p.diff"),
        texts.collect::<Vec<_>>().join("\ndiff --git ").as_bytes(),
    )?;
    let mut apply = Command::new(patch);
    apply.args(["-p1", "-i", "../p.diff"]).current_dir(&copy);
    run(apply)?.expect(0, &[])?;
    home.ok(&["sync"])?;
    for name in ["long.md", "with space.md", "new/file.md"] {
        let is = std::fs::read_to_string(copy.join(name))?;
        ensure!(
            is == std::fs::read_to_string(target.path(name))?,
            "{name}: {is}"
        );
    }
    ensure!(!copy.join("gone.md").exists());

    let (document, _) = home.json(&["diff", "team", "--patch"])?;
    ensure!(document["diffs"][0]["items"] == json!([]), "{document:#}");
    Ok(())
}

#[test]
fn a_patch_shows_a_merge_and_a_push_and_a_conflict_is_one_row() -> TestResult {
    let home = Home::with_one_source()?;
    home.configure(&ONE_SOURCE.replace("kind = \"dir\"", "kind = \"dir\"\npush = \"direct\""))?;
    let (origin, target) = (home.origin("team"), home.target("agents"));
    origin.write("merged.md", "1\n2\n3\n4\n5\n")?;
    origin.write("both.md", "one\n")?;
    origin.write("mine.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("merged.md", "1\n2\n3\n4\nfive\n")?;
    target.write("merged.md", "one\n2\n3\n4\n5\n")?;
    origin.write("both.md", "theirs\n")?;
    target.write("both.md", "ours\n")?;
    target.write("mine.md", "edited\n")?;
    let (document, _) = home.json(&["diff", "team", "--patch"])?;
    let items = document["diffs"][0]["items"].as_array().context("items")?;
    let of =
        |path: &str| -> Vec<&Value> { items.iter().filter(|item| item["path"] == path).collect() };
    ensure!(of("both.md").len() == 1, "{document:#}");
    ensure!(of("both.md")[0]["action"] == "conflict", "{document:#}");
    ensure!(of("both.md")[0].get("patch").is_none(), "{document:#}");
    let patch = |path: &str, action: &str| -> Result<String> {
        let item = of(path).into_iter().find(|item| item["action"] == action);
        let item = item.with_context(|| format!("no {action} {path} in {document:#}"))?;
        Ok(item["patch"].as_str().unwrap_or_default().to_owned())
    };
    ensure!(
        patch("mine.md", "pushed")?.ends_with("@@ -1 +1 @@\n-one\n+edited\n"),
        "{document:#}"
    );
    // The edit is in the file already, and goes to the origin; the other way comes what changed there.
    let merged = patch("merged.md", "updated").or_else(|_| patch("merged.md", "merged"))?;
    ensure!(
        merged.contains("\n-5\n+five\n") && !merged.contains("one"),
        "{merged}"
    );
    let pushed = patch("merged.md", "pushed")?;
    ensure!(
        pushed.contains("\n-1\n+one\n") && !pushed.contains("five"),
        "{pushed}"
    );
    Ok(())
}

#[test]
fn diff_of_an_unknown_source_is_an_error() -> TestResult {
    let home = Home::with_one_source()?;
    let _daemon = home.start()?;
    home.homing(&["diff", "nobody"])?.expect(8, &["nobody"])
}

/// Two sources in one target; `a.md` of `comm` was changed on both sides, and `d.md` of it edited.
fn home_with_a_neighbour() -> Result<(Home, crate::harness::Daemon)> {
    let home = Home::new()?;
    let (team, comm) = (home.make_origin("team")?, home.make_origin("comm")?);
    home.configure(
        r#"
[sources.team]
kind = "dir"
root = "{origins}/team"

[sources.comm]
kind = "dir"
root = "{origins}/comm"

[targets.agents]
path = "{home}/agents"
from = ["team", "comm"]
"#,
    )?;
    team.write("t.md", "one\n")?;
    comm.write("a.md", "one\n")?;
    comm.write("d.md", "one\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let target = home.target("agents");
    target.write("a.md", "mine\n")?;
    target.write("d.md", "mine\n")?;
    comm.write("a.md", "theirs\n")?;
    home.homing(&["sync", "comm"])?.expect(7, &[])?;
    Ok((home, daemon))
}

#[test]
fn a_diff_tells_of_its_own_source_only() -> TestResult {
    let (home, _daemon) = home_with_a_neighbour()?;
    for (name, code) in [("team", 0), ("comm", 7)] {
        let (told, _) = home.json(&["diff", name])?;
        let diff = &told["diffs"][0];
        let of_others = |list: &Value| {
            list.as_array()
                .is_none_or(|items| items.iter().any(|item| item["source"] != name))
        };
        ensure!(
            !of_others(&diff["items"]) && !of_others(&diff["modified"]),
            "{told:#}"
        );
        home.homing(&["sync", name, "--dry-run"])?
            .expect(code, &[])?;
        home.homing(&["sync", name])?.expect(code, &[])?;
    }
    let all = home.ok(&["diff"])?;
    for path in ["a.md", "d.md"] {
        ensure!(all.matches(path).count() == 1, "`{path}`: {all}");
    }
    ensure!(all.contains("team: nothing to do"), "{all}");
    home.homing(&["sync", "--dry-run"])?.expect(7, &[])
}

#[test]
fn a_dry_run_is_of_exactly_what_is_asked() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    for number in 0..10 {
        origin.write(&format!("{number}.md"), "one\n")?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    origin.write("a.md", "new\n")?;
    origin.write("b.txt", "new\n")?;
    let (told, _) = home.json(&["sync", "--dry-run", "--filter", "*.md"])?;
    let items = told["diffs"][0]["items"].as_array().context("items")?;
    ensure!(items.len() == 1 && items[0]["path"] == "a.md", "{told:#}");
    home.ok(&["sync"])?;

    for number in 0..5 {
        origin.remove(&format!("{number}.md"))?;
    }
    let accept = ["sync", "--accept-deletions", "--dry-run"];
    home.homing(&["sync", "--dry-run"])?.expect(7, &[])?;
    home.homing(&accept)?.expect(7, &[])?;
    home.homing(&["sync"])?.expect(7, &[])?;
    home.homing(&accept)?.expect(0, &[])?;
    // Consent to one plan is none to another.
    origin.remove("5.md")?;
    home.homing(&accept)?.expect(7, &[])
}

#[test]
fn a_dry_run_takes_the_word_for_another_root() -> TestResult {
    let home = Home::with_one_source()?;
    let origin = home.origin("team");
    origin.write("a.md", "one\n")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    std::fs::rename(&origin.0, home.root().join("origins/away"))?;
    home.make_origin("team")?.write("a.md", "two\n")?;
    home.homing(&["sync", "--dry-run"])?
        .expect(home.homing(&["sync"])?.code, &["--accept-root"])?;
    let (told, code) = home.json(&["sync", "--dry-run", "--accept-root"])?;
    ensure!(code == 0, "{told:#}");
    ensure!(
        told["diffs"][0]["items"][0]["action"] == "updated",
        "{told:#}"
    );
    Ok(())
}
