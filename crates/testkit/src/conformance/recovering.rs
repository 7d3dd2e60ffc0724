//! Repairing what a killed process left behind, from states built by hand. Every repair is run twice.

use anyhow::{Context, Result, ensure};
use homing_core::{Change, ContentHash, Interrupted, ItemState, Operation, Recovered};

use super::{Bench, key, version};

/// Repairs one operation; a second repair must find nothing to do.
async fn recover(bench: &Bench, operation: &Operation, power_lost: bool) -> Result<Recovered> {
    let interrupted = vec![Interrupted {
        operation: operation.clone(),
        power_lost,
    }];
    let mut first = bench
        .side
        .recover(interrupted.clone(), bench.contents.clone())
        .await?;
    ensure!(
        bench.contents.unflushed() == 0,
        "what was rescued is not durable"
    );
    let files = bench.place.files();
    let second = bench
        .side
        .recover(interrupted, bench.contents.clone())
        .await?;
    ensure!(
        bench.place.files() == files,
        "a second repair changed something"
    );
    ensure!(
        first.len() == 1 && second.len() == 1,
        "one answer for each operation"
    );
    let first = first.pop().context("no answer")?;
    ensure!(first.key == operation.key, "{first:?}");
    ensure!(
        first.state.item().map(|item| item.hash) == second[0].state.item().map(|item| item.hash),
        "{second:?}"
    );
    Ok(first)
}

fn rescued(bench: &Bench, recovered: &Recovered, bytes: &[&[u8]]) -> Result<()> {
    let mut wanted: Vec<ContentHash> = bytes.iter().map(|bytes| ContentHash::of(bytes)).collect();
    wanted.sort_unstable();
    let mut found = recovered.rescued.clone();
    found.sort_unstable();
    ensure!(found == wanted, "rescued {found:?}, wanted {wanted:?}");
    ensure!(
        wanted.iter().all(|hash| bench.contents.has(hash)),
        "what was rescued is not kept"
    );
    Ok(())
}

fn holds(recovered: &Recovered, bytes: Option<&[u8]>) -> Result<()> {
    let found = match &recovered.state {
        ItemState::Present(item) => Some(item.hash),
        ItemState::Absent => None,
        ItemState::Unknown(reason) => anyhow::bail!("unknown: {reason}"),
    };
    ensure!(found == bytes.map(ContentHash::of), "{recovered:?}");
    Ok(())
}

/// Returns an update of `d/f` from `old` to `new`, with the path of its temporary file.
fn update(bench: &Bench) -> Result<(Operation, String)> {
    bench.contents.add(b"old");
    let operation = bench.write("d/f", b"new", Some(b"old"))?;
    let temporary = format!("d/{}", operation.temporary);
    Ok((operation, temporary))
}

pub(super) async fn a_half_written_file_goes(bench: &Bench) -> Result<()> {
    for bytes in [&b""[..], b"ne", b"new"] {
        let (operation, temporary) = update(bench)?;
        bench.place.put("d/f", b"old", false);
        bench.place.put(&temporary, bytes, false);
        let recovered = recover(bench, &operation, false).await?;
        holds(&recovered, Some(b"old"))?;
        rescued(bench, &recovered, &[])?;
        bench.expect_files(&[("d/f", b"old")])?;
        bench.place.remove("d/f");

        let create = bench.write("d/f", b"new", None)?;
        bench
            .place
            .put(&format!("d/{}", create.temporary), bytes, false);
        let recovered = recover(bench, &create, false).await?;
        holds(&recovered, None)?;
        rescued(bench, &recovered, &[])?;
        bench.expect_files(&[])?;
    }
    Ok(())
}

pub(super) async fn an_old_file_that_was_displaced_goes(bench: &Bench) -> Result<()> {
    let (operation, temporary) = update(bench)?;
    bench.place.put("d/f", b"new", false);
    bench.place.put(&temporary, b"old", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"new"))?;
    rescued(bench, &recovered, &[])?;
    bench.expect_files(&[("d/f", b"new")])
}

pub(super) async fn an_edit_that_was_displaced_comes_back(bench: &Bench) -> Result<()> {
    let (operation, temporary) = update(bench)?;
    bench.place.put("d/f", b"new", false);
    bench.place.put(&temporary, b"mine", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"mine"))?;
    rescued(bench, &recovered, &[b"mine"])?;
    bench.expect_files(&[("d/f", b"mine")])
}

pub(super) async fn two_edits_are_both_kept(bench: &Bench) -> Result<()> {
    let (operation, temporary) = update(bench)?;
    bench.place.put("d/f", b"later", false);
    bench.place.put(&temporary, b"mine", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"later"))?;
    rescued(bench, &recovered, &[b"mine"])?;
    bench.expect_files(&[("d/f", b"later")])
}

pub(super) async fn a_deletion_is_finished_or_undone(bench: &Bench) -> Result<()> {
    bench.contents.add(b"old");
    // The old file was set aside: the deletion was as good as done.
    let operation = bench.delete("d/f", b"old")?;
    bench
        .place
        .put(&format!("d/{}", operation.temporary), b"old", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, None)?;
    rescued(bench, &recovered, &[])?;
    bench.expect_files(&[])?;
    // An edit was set aside: it comes back.
    let operation = bench.delete("d/f", b"old")?;
    bench
        .place
        .put(&format!("d/{}", operation.temporary), b"mine", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"mine"))?;
    bench.expect_files(&[("d/f", b"mine")])?;
    ensure!(
        bench.contents.has(&version(b"mine").hash),
        "the edit is not kept"
    );
    // An edit was set aside, and the user has written the file anew.
    let operation = bench.delete("d/f", b"old")?;
    bench
        .place
        .put(&format!("d/{}", operation.temporary), b"earlier", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"mine"))?;
    rescued(bench, &recovered, &[b"earlier"])?;
    bench.expect_files(&[("d/f", b"mine")])
}

pub(super) async fn a_rename_is_finished(bench: &Bench) -> Result<()> {
    bench.contents.add(b"text");
    let rename = Change::Rename {
        from: key("d/readme")?,
    };
    let operation = bench.operation("d/README", rename, Some(version(b"text")))?;
    bench
        .place
        .put(&format!("d/{}", operation.temporary), b"text", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"text"))?;
    bench.expect_files(&[("d/README", b"text")])
}

pub(super) async fn damage_is_kept_and_told(bench: &Bench) -> Result<()> {
    let (operation, _) = update(bench)?;
    bench.place.put("d/f", b"\0\0\0", false);
    let recovered = recover(bench, &operation, true).await?;
    holds(&recovered, Some(b"\0\0\0"))?;
    rescued(bench, &recovered, &[b"\0\0\0"])?;
    // Without a power cut it is an edit like any other, and the next run sees it.
    bench.place.put("d/f", b"mine", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"mine"))?;
    rescued(bench, &recovered, &[])
}

pub(super) async fn a_file_that_came_after_the_operation_is_told_from_one_before_it(
    bench: &Bench,
) -> Result<()> {
    let (operation, temporary) = update(bench)?;
    let came_after = |recovered: &Recovered, expected: bool| {
        ensure!(recovered.was_placed == expected, "{recovered:?}");
        Ok(())
    };
    // The old file had given way, and the user then wrote in the new one.
    bench.place.put("d/f", b"new and mine", false);
    bench.place.put(&temporary, b"old", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"new and mine"))?;
    came_after(&recovered, true)?;
    // The user wrote in the old file before the new one was complete.
    bench.place.put("d/f", b"old and mine", false);
    bench.place.put(&temporary, b"new", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"old and mine"))?;
    came_after(&recovered, false)?;
    // The old file was set aside in order to be deleted, and the user wrote another.
    bench.contents.add(b"old");
    let operation = bench.delete("d/f", b"old")?;
    bench
        .place
        .put(&format!("d/{}", operation.temporary), b"old", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, Some(b"old and mine"))?;
    came_after(&recovered, true)
}

pub(super) async fn nothing_to_repair(bench: &Bench) -> Result<()> {
    let (operation, _) = update(bench)?;
    // Not even the directory is there.
    bench.place.put("stay", b"stay", false);
    let recovered = recover(bench, &operation, false).await?;
    holds(&recovered, None)?;
    bench.place.put("d/f", b"old", false);
    holds(&recover(bench, &operation, false).await?, Some(b"old"))?;
    bench.place.put("d/f", b"new", false);
    holds(&recover(bench, &operation, true).await?, Some(b"new"))?;
    bench.expect_files(&[("d/f", b"new"), ("stay", b"stay")])
}
