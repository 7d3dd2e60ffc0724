//! Listing and fetching.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use homing_core::{
    ContentHash, FetchRequest, ItemState, Progress, Scope, SideError, UnknownReason,
};

use super::{Bench, key, keys, known};

pub(super) async fn an_empty_place_lists_nothing(bench: &Bench) -> Result<()> {
    let manifest = bench.list(Scope::Whole).await?;
    ensure!(
        manifest.items.is_empty() && manifest.unknown.is_empty(),
        "{manifest:?}"
    );
    ensure!(
        bench.list(keys(&["a", "b/c"])?).await?.items.is_empty(),
        "keys are absent"
    );
    Ok(())
}

pub(super) async fn items_have_hash_size_and_mode(bench: &Bench) -> Result<()> {
    bench.place.put("a.md", b"one", false);
    bench.place.put("deep/er/b.sh", b"two!", true);
    bench.place.put("empty", b"", false);
    let manifest = bench.list(Scope::Whole).await?;
    let paths: Vec<&str> = manifest
        .items
        .keys()
        .map(homing_core::ItemKey::as_str)
        .collect();
    ensure!(paths == ["a.md", "deep/er/b.sh", "empty"], "{paths:?}");
    for (path, bytes, executable) in [
        ("a.md", &b"one"[..], false),
        ("deep/er/b.sh", b"two!", true),
        ("empty", b"", false),
    ] {
        let item = &manifest.items[&key(path)?];
        ensure!(item.hash == ContentHash::of(bytes), "hash of {path}");
        ensure!(item.size == bytes.len() as u64, "size of {path}");
        ensure!(
            item.executable == (executable && manifest.capabilities.executable_bit),
            "mode of {path}"
        );
    }
    Ok(())
}

pub(super) async fn keys_ask_for_nothing_else(bench: &Bench) -> Result<()> {
    for path in ["a", "b", "d/a", "d/b", "d/e/a"] {
        bench.place.put(path, path.as_bytes(), false);
    }
    let manifest = bench
        .list(keys(&["b", "d/a", "d/e/a", "d/none", "none/none"])?)
        .await?;
    let paths: Vec<&str> = manifest
        .items
        .keys()
        .map(homing_core::ItemKey::as_str)
        .collect();
    ensure!(paths == ["b", "d/a", "d/e/a"], "{paths:?}");
    ensure!(manifest.unknown.is_empty(), "{:?}", manifest.unknown);
    Ok(())
}

pub(super) async fn a_file_on_the_way_is_listed(bench: &Bench) -> Result<()> {
    bench.place.put("way", b"file", false);
    let manifest = bench.list(keys(&["way/to/a", "way/b"])?).await?;
    ensure!(
        manifest.state(&key("way")?).item().is_some(),
        "the file on the way is not listed"
    );
    ensure!(
        manifest.state(&key("way/b")?) == ItemState::Absent,
        "what lies below a file is absent"
    );
    Ok(())
}

pub(super) async fn a_directory_at_a_key_is_unknown_unless_its_items_are_asked_for(
    bench: &Bench,
) -> Result<()> {
    bench.place.put("place/inner", b"x", false);
    let manifest = bench.list(keys(&["place"])?).await?;
    let state = manifest.state(&key("place")?);
    ensure!(
        state == ItemState::Unknown(UnknownReason::NotAFile("a directory")),
        "{state:?}"
    );
    let manifest = bench
        .list(keys(&["place", "place-b", "place/inner"])?)
        .await?;
    ensure!(
        manifest.state(&key("place")?) == ItemState::Absent,
        "the directory may make room"
    );
    ensure!(
        manifest.state(&key("place/inner")?).item().is_some(),
        "its item is hidden"
    );
    Ok(())
}

pub(super) async fn identities_spare_reading_and_change_with_the_content(
    bench: &Bench,
) -> Result<()> {
    bench.place.put("a", b"one", false);
    bench.place.put("b", b"two", false);
    let first = bench.list_vouched().await?;
    // A hash that is wrong shows whether the side trusts the identity, or read the item again.
    let mut trusted = (*known(&first)).clone();
    let wrong = ContentHash::of(b"made up");
    trusted.get_mut(&key("a")?).context("a")?.hash = wrong;
    trusted.get_mut(&key("b")?).context("b")?.hash = wrong;
    let trusted = Arc::new(trusted);
    bench.place.put("b", b"TWO", false);
    for scope in [Scope::Whole, keys(&["a", "b"])?] {
        let second = bench.list_knowing(scope, trusted.clone()).await?;
        ensure!(
            second.items[&key("a")?].hash == wrong,
            "an unchanged item was read again"
        );
        ensure!(
            second.items[&key("b")?].hash == ContentHash::of(b"TWO"),
            "a changed item was not read again"
        );
        ensure!(
            second.items[&key("a")?].identity == first.items[&key("a")?].identity,
            "the identity changed by itself"
        );
    }
    Ok(())
}

pub(super) async fn listing_writes_nothing(bench: &Bench) -> Result<()> {
    bench.place.put("d/a", b"one", false);
    let before = bench.place.files();
    bench.list(Scope::Whole).await?;
    bench.list(keys(&["d/a", "d/b", "e/f"])?).await?;
    ensure!(bench.place.files() == before, "listing changed the place");
    Ok(())
}

pub(super) async fn a_missing_place_is_an_error(bench: &Bench) -> Result<()> {
    bench.place.put("a", b"one", false);
    bench.place.destroy();
    for scope in [Scope::Whole, keys(&["a"])?] {
        let answer = bench.list(scope).await;
        let error = answer.err().context("a missing place was listed")?;
        let is_not_found = error
            .downcast_ref::<SideError>()
            .is_some_and(|error| matches!(error, SideError::NotFound { .. }));
        ensure!(is_not_found, "{error:?}");
    }
    Ok(())
}

pub(super) async fn temporary_files_are_not_items(bench: &Bench) -> Result<()> {
    bench.place.put(".homing-3-4", b"half", false);
    bench.place.put("d/.homing-12-0", b"half", false);
    let manifest = bench.list(Scope::Whole).await?;
    ensure!(manifest.items.is_empty(), "{:?}", manifest.items);
    // Nobody's temporary files are on a far side, so what looks like one there is told.
    ensure!(
        bench.side.is_remote()
            || manifest
                .problems
                .iter()
                .all(|problem| !problem.path.contains("homing")),
        "{:?}",
        manifest.problems
    );
    Ok(())
}

pub(super) async fn fetch_keeps_exactly_what_was_listed(bench: &Bench) -> Result<()> {
    for path in ["a", "b", "d/c", "d/e", "gone"] {
        bench.place.put(path, path.as_bytes(), false);
    }
    let manifest = bench.list(Scope::Whole).await?;
    let requests: Vec<FetchRequest> = manifest
        .items
        .iter()
        .map(|(key, item)| FetchRequest::new(key, item))
        .collect();
    for item in manifest.items.values() {
        bench.contents.forget(&item.hash);
    }
    bench.place.put("b", b"B", false);
    bench.place.put("d/e", b"another", false);
    bench.place.remove("gone");
    let results = bench
        .side
        .fetch(
            requests.clone(),
            bench.contents.clone(),
            Progress::default(),
        )
        .await;
    ensure!(
        results.len() == requests.len(),
        "one result for each request"
    );
    for (request, result) in requests.iter().zip(&results) {
        let path = request.key.as_str();
        match path {
            "a" | "d/c" => {
                ensure!(result.is_ok(), "{path}: {result:?}");
                ensure!(
                    bench.contents.get(&request.item.hash).as_deref() == Some(path.as_bytes()),
                    "{path} is not kept"
                );
            }
            // A far side may name contents for good, and have what is at no key any more.
            _ if result.is_ok() && bench.side.is_remote() => {
                ensure!(
                    bench.contents.get(&request.item.hash).as_deref() == Some(path.as_bytes()),
                    "{path} is not kept"
                );
            }
            _ => {
                ensure!(
                    matches!(result, Err(SideError::Changed { key }) if key == path),
                    "{path}: {result:?}"
                );
                ensure!(
                    !bench.contents.has(&request.item.hash),
                    "{path} is kept although it is gone"
                );
            }
        }
    }
    Ok(())
}
