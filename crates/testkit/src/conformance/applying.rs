//! Carrying out operations.

use anyhow::{Context, Result, ensure};
use homing_core::{Change, Outcome, Scope, SideError, Version};

use super::{Bench, key, version};

fn done(outcome: &Outcome) -> Result<()> {
    ensure!(
        matches!(outcome, Outcome::Done(_) | Outcome::Placed(_)),
        "{outcome:?}"
    );
    Ok(())
}

fn changed(outcome: &Outcome) -> Result<()> {
    ensure!(matches!(outcome, Outcome::Changed), "{outcome:?}");
    Ok(())
}

fn conflict(outcome: &Outcome) -> Result<()> {
    ensure!(
        matches!(outcome, Outcome::Failed(SideError::Conflict { .. })),
        "{outcome:?}"
    );
    Ok(())
}

pub(super) async fn creates_updates_and_deletes(bench: &Bench) -> Result<()> {
    bench.place.put("update", b"old", false);
    bench.place.put("delete", b"old", false);
    bench.place.put("stay", b"old", false);
    let outcomes = bench
        .apply(vec![
            bench.delete("delete", b"old")?,
            bench.write("new/dir/create", b"new", None)?,
            bench.write("update", b"newer", Some(b"old"))?,
        ])
        .await?;
    outcomes.iter().try_for_each(done)?;
    bench.expect_files(&[
        ("new/dir/create", b"new"),
        ("stay", b"old"),
        ("update", b"newer"),
    ])
}

pub(super) async fn what_was_not_expected_is_left_alone(bench: &Bench) -> Result<()> {
    bench.list(Scope::Whole).await?;
    let operations = vec![
        bench.delete("delete", b"old")?,
        bench.delete("deleted", b"old")?,
        bench.write("create", b"new", None)?,
        bench.write("update", b"new", Some(b"old"))?,
        bench.write("updated-away", b"new", Some(b"old"))?,
    ];
    for path in ["delete", "create", "update"] {
        bench.place.put(path, b"mine", false);
    }
    bench.place.put("other", b"mine", false);
    let outcomes = bench.apply_unseen(operations).await?;
    outcomes.iter().try_for_each(changed)?;
    bench.expect_files(&[
        ("create", b"mine"),
        ("delete", b"mine"),
        ("other", b"mine"),
        ("update", b"mine"),
    ])
}

pub(super) async fn a_file_where_a_directory_must_go_is_a_conflict(bench: &Bench) -> Result<()> {
    bench.place.put("way", b"mine", false);
    conflict(
        &bench
            .apply_one(bench.write("way/to/a", b"new", None)?)
            .await?,
    )?;
    bench.expect_files(&[("way", b"mine")])
}

pub(super) async fn a_directory_where_a_file_must_go_is_a_conflict(bench: &Bench) -> Result<()> {
    bench.place.put("way/mine", b"mine", false);
    conflict(&bench.apply_one(bench.write("way", b"new", None)?).await?)?;
    bench.expect_files(&[("way/mine", b"mine")])
}

pub(super) async fn directories_left_empty_go(bench: &Bench) -> Result<()> {
    bench.place.put("a/b/c/file", b"old", false);
    bench.place.put("a/stay", b"old", false);
    done(&bench.apply_one(bench.delete("a/b/c/file", b"old")?).await?)?;
    // A file may go where the directories were only if they are gone.
    done(&bench.apply_one(bench.write("a/b", b"new", None)?).await?)?;
    bench.expect_files(&[("a/b", b"new"), ("a/stay", b"old")])
}

pub(super) async fn a_deletion_makes_room_in_the_same_batch(bench: &Bench) -> Result<()> {
    bench.place.put("was-file", b"old", false);
    bench.place.put("was-directory/inner", b"old", false);
    let outcomes = bench
        .apply(vec![
            bench.delete("was-directory/inner", b"old")?,
            bench.delete("was-file", b"old")?,
            bench.write("was-directory", b"new", None)?,
            bench.write("was-file/inner", b"new", None)?,
        ])
        .await?;
    outcomes.iter().try_for_each(done)?;
    bench.expect_files(&[("was-directory", b"new"), ("was-file/inner", b"new")])
}

pub(super) async fn only_the_mode_changes(bench: &Bench) -> Result<()> {
    bench.place.put("tool", b"run", false);
    let manifest = bench.list(Scope::Whole).await?;
    if !manifest.capabilities.executable_bit {
        return Ok(());
    }
    bench.contents.add(b"run");
    for executable in [true, false] {
        let before = Version {
            executable: !executable,
            ..version(b"run")
        };
        let after = Version {
            executable,
            ..before
        };
        let outcome = bench
            .apply_one(bench.operation(
                "tool",
                Change::Write {
                    version: after,
                    size: 3,
                },
                Some(before),
            )?)
            .await?;
        done(&outcome)?;
        ensure!(
            bench.place.files()["tool"] == (b"run".to_vec(), executable),
            "the mode did not become {executable}"
        );
        // The mode that was expected before is not there any more.
        let late = bench.operation("tool", Change::Delete, Some(before))?;
        changed(&bench.apply_unseen(vec![late]).await?[0])?;
    }
    bench.expect_files(&[("tool", b"run")])
}

pub(super) async fn only_the_case_changes(bench: &Bench) -> Result<()> {
    bench.place.put("d/readme.md", b"text", false);
    let rename = |expected: &[u8]| {
        let from = key("d/readme.md")?;
        bench.operation(
            "d/README.md",
            Change::Rename { from },
            Some(version(expected)),
        )
    };
    let late = rename(b"other")?;
    bench.list(Scope::Whole).await?;
    changed(&bench.apply_unseen(vec![late]).await?[0])?;
    bench.expect_files(&[("d/readme.md", b"text")])?;
    done(&bench.apply_one(rename(b"text")?).await?)?;
    bench.expect_files(&[("d/README.md", b"text")])
}

pub(super) async fn contents_that_are_missing_or_damaged_are_not_placed(
    bench: &Bench,
) -> Result<()> {
    bench.place.put("update", b"old", false);
    let damaged = bench.write("damaged", b"right", None)?;
    bench.contents.damage(&version(b"right").hash, b"wrong");
    let missing = bench.write("update", b"missing", Some(b"old"))?;
    bench.contents.forget(&version(b"missing").hash);
    let outcomes = bench.apply(vec![damaged, missing]).await?;
    for outcome in &outcomes {
        ensure!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    }
    let reported = bench.contents.reported();
    ensure!(
        reported == [version(b"right").hash],
        "the damage is reported: {reported:?}"
    );
    bench.expect_files(&[("update", b"old")])
}

pub(super) async fn an_outcome_is_what_a_listing_shows(bench: &Bench) -> Result<()> {
    bench.place.put("update", b"old", false);
    let outcomes = bench
        .apply(vec![
            bench.write("create", b"new", None)?,
            bench.write("update", b"new", Some(b"old"))?,
        ])
        .await?;
    let manifest = bench.list_vouched().await?;
    for (path, outcome) in ["create", "update"].into_iter().zip(outcomes) {
        let (Outcome::Done(Some(item)) | Outcome::Placed(Some(item))) = outcome else {
            anyhow::bail!("{path}: {outcome:?}");
        };
        let listed = &manifest.items[&key(path)?];
        ensure!(
            (item.hash, item.size, item.executable)
                == (listed.hash, listed.size, listed.executable),
            "{path}"
        );
        ensure!(
            item.identity.is_none() || item.identity == listed.identity,
            "{path}: {item:?} {listed:?}"
        );
    }
    Ok(())
}

pub(super) async fn many_operations_keep_their_order(bench: &Bench) -> Result<()> {
    let path = |number: usize| format!("d{}/f{number}", number % 7);
    for number in (0..300).step_by(3) {
        bench.place.put(&path(number), b"mine", false);
    }
    let operations = (0..300)
        .map(|number| bench.write(&path(number), path(number).as_bytes(), None))
        .collect::<Result<_>>()?;
    bench
        .list(Scope::Keys(std::collections::BTreeSet::new()))
        .await?;
    bench.list(Scope::Whole).await?;
    let outcomes = bench.apply_unseen(operations).await?;
    for (number, outcome) in outcomes.iter().enumerate() {
        if number % 3 == 0 {
            changed(outcome)
        } else {
            done(outcome)
        }
        .with_context(|| path(number))?;
    }
    let files = bench.place.files();
    ensure!(files.len() == 300, "{} files", files.len());
    for (number, path) in (0..300).map(|number| (number, path(number))) {
        let wanted = if number % 3 == 0 {
            b"mine".to_vec()
        } else {
            path.clone().into_bytes()
        };
        ensure!(files[&path].0 == wanted, "{path}");
    }
    Ok(())
}
