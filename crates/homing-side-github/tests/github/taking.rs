//! Which contents are fetched, how, and what becomes of those that are not what they should be.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Context;
use homing_core::{SideError, UnknownReason};
use testkit::github::{Effect, Fault, Token};
use testkit::{GitRepository, Node};

use crate::support::{TestResult, World, item, key};

fn many(count: usize) -> Vec<(String, String)> {
    (0..count)
        .map(|n| (format!("dir{}/file{n}.md", n % 7), format!("content {n}")))
        .collect()
}

fn nodes(files: &[(String, String)]) -> Vec<(&str, Node<'_>)> {
    files
        .iter()
        .map(|(path, text)| (path.as_str(), Node::File(text.as_bytes())))
        .collect()
}

fn bytes(files: &[(String, String)]) -> Vec<(&str, &[u8])> {
    files
        .iter()
        .map(|(path, text)| (path.as_str(), text.as_bytes()))
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_few_files_come_singly() -> TestResult {
    let files = many(32);
    let world = World::new(&nodes(&files))?;
    let listed = world.list(&world.side()?).await?;
    world.expect(&listed.manifest, &bytes(&files));
    assert_eq!(
        world.counted(),
        BTreeMap::from([("commits", 1), ("trees", 1), ("blobs", 32)])
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn blobs_are_fetched_side_by_side() -> TestResult {
    let files = many(5);
    let world = World::new(&nodes(&files))?;
    let side = world.side()?;
    world.github.fail(Fault::on("/git/blobs/", Effect::Hold));
    let all_are_asked_for = async {
        let is_blob = |request: &testkit::github::Request| request.path.contains("/git/blobs/");
        while world
            .github
            .requests()
            .iter()
            .filter(|one| is_blob(one))
            .count()
            < files.len()
        {
            tokio::task::yield_now().await;
        }
        world.github.mend();
    };
    let all_are_asked_for = async {
        let in_time = tokio::time::timeout(Duration::from_secs(10), all_are_asked_for);
        in_time.await.context("they wait for one another")
    };
    let listing = async { anyhow::Ok(world.list(&side).await?) };
    let (listed, ()) = tokio::try_join!(listing, all_are_asked_for)?;
    world.expect(&listed.manifest, &bytes(&files));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_more_than_comes_singly_comes_as_an_archive() -> TestResult {
    let files = many(33);
    let world = World::new(&nodes(&files))?;
    let listed = world.list(&world.side()?).await?;
    world.expect(&listed.manifest, &bytes(&files));
    let counted = world.counted();
    assert_eq!(
        (counted.get("tarball"), counted.get("blobs")),
        (Some(&1), None)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn many_files_come_as_one_archive() -> TestResult {
    let files = many(500);
    let world = World::new(&nodes(&files))?;
    let listed = world.list(&world.side()?).await?;
    assert!(listed.shortfall.is_none(), "{:?}", listed.shortfall);
    world.expect(&listed.manifest, &bytes(&files));
    assert_eq!(
        world.counted(),
        BTreeMap::from([
            ("commits", 1),
            ("trees", 1),
            ("tarball", 1),
            ("legacy.tar.gz", 1)
        ])
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_is_not_known_is_fetched_and_a_move_costs_nothing() -> TestResult {
    let world = World::new(&[
        ("a.md", Node::File(b"a")),
        ("b.md", Node::File(b"b")),
        ("tool", Node::File(b"run")),
    ])?;
    let side = world.side()?;
    let first = world.list(&side).await?;
    world.commit(&[
        ("a.md", Node::Gone),
        ("moved/a.md", Node::File(b"a")),
        ("copy/a.md", Node::File(b"a")),
        ("b.md", Node::File(b"another")),
        ("c.md", Node::File(b"another")),
        ("tool", Node::Executable(b"run")),
    ])?;
    world.requests();
    let second = world
        .ask(&side, Some(&first.manifest), first.revision.as_ref())
        .await?
        .whole()?;
    world.expect(
        &second.manifest,
        &[
            ("b.md", b"another"),
            ("c.md", b"another"),
            ("copy/a.md", b"a"),
            ("moved/a.md", b"a"),
            ("tool", b"run"),
        ],
    );
    assert!(item(&second.manifest, "tool")?.executable);
    assert!(!item(&first.manifest, "tool")?.executable);
    assert_eq!(
        world.counted(),
        BTreeMap::from([("commits", 1), ("trees", 1), ("blobs", 1)]),
        "one blob is new, under two names"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_archive_leaves_out_or_changes_comes_singly() -> TestResult {
    let mut files = many(40);
    files.push((
        ".gitattributes".to_owned(),
        "hidden.md export-ignore\nstamp.md export-subst\n*.bat text eol=crlf\n".to_owned(),
    ));
    files.push(("hidden.md".to_owned(), "not in archives".to_owned()));
    files.push(("stamp.md".to_owned(), "$Format:%H$".to_owned()));
    files.push(("run.bat".to_owned(), "one\ntwo\n".to_owned()));
    let world = World::new(&nodes(&files))?;
    let listed = world.list(&world.side()?).await?;
    assert!(listed.shortfall.is_none(), "{:?}", listed.shortfall);
    world.expect(&listed.manifest, &bytes(&files));
    assert_eq!(world.counted()["blobs"], 3);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_an_archive_leaves_out_comes_as_far_as_the_limit_goes() -> TestResult {
    let mut files = many(50);
    files.push((
        ".gitattributes".to_owned(),
        "dir1/** export-ignore\ndir2/** export-ignore\n".to_owned(),
    ));
    let world = World::new(&nodes(&files))?;
    let side = world.side()?;
    let reset = std::time::SystemTime::now() + Duration::from_mins(10);
    // The commit, the tree and the archive take three.
    world.github.leave(None, 3 + 5, reset);
    let first = world.list(&side).await?;
    assert_eq!(world.counted()["blobs"], 5, "no request is made in vain");
    assert!(
        matches!(&first.shortfall, Some(SideError::RateLimited { wait, .. })
            if *wait > Duration::from_mins(9) && *wait <= Duration::from_mins(10)),
        "{:?}",
        first.shortfall
    );
    assert_eq!(first.manifest.unknown.len(), 14 - 5);
    world.github.renew();
    let second = world
        .ask(&side, Some(&first.manifest), None)
        .await?
        .whole()?;
    assert!(second.shortfall.is_none(), "{:?}", second.shortfall);
    world.expect(&second.manifest, &bytes(&files));
    assert_eq!(world.counted()["blobs"], 14 - 5);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn large_files_come_both_ways_and_are_checked() -> TestResult {
    let large: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    let world = World::new(&[("large.bin", Node::File(&large))])?;
    let listed = world.list(&world.side()?).await?;
    world.expect(&listed.manifest, &[("large.bin", &large)]);
    let files = many(40);
    world.commit(&nodes(&files))?;
    let listed = world.list(&world.side()?).await?;
    let mut all = bytes(&files);
    all.push(("large.bin", &large));
    world.expect(&listed.manifest, &all);
    assert_eq!(world.counted()["tarball"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn repositories_with_sha_256_ids_are_checked_too() -> TestResult {
    for count in [3, 40] {
        let files = many(count);
        let world = World::serving(GitRepository::with_format("sha256")?)?;
        let commit = world.commit(&nodes(&files))?;
        assert_eq!(commit.len(), 64);
        let listed = world.list(&world.side()?).await?;
        world.expect(&listed.manifest, &bytes(&files));
        let blob = item(&listed.manifest, "dir0/file0.md")?.identity.clone();
        assert_eq!(blob.context("an identity")?.as_str().len(), 4 + 64);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_its_id_says_is_not_taken() -> TestResult {
    let world = World::new(&[
        ("a.md", Node::File(b"right")),
        ("b.md", Node::File(b"fine")),
    ])?;
    let side = world.side()?;
    for effect in [
        Effect::OtherBytes,
        Effect::Shorter(2),
        Effect::Short(2),
        Effect::Cut,
        Effect::Html,
        Effect::Status(502),
        Effect::Drop,
    ] {
        let blob = world.repository.git(&["rev-parse", "main:a.md"])?;
        world.github.fail(Fault::on(&blob, effect.clone()));
        let listed = world.list(&side).await?;
        world.expect(&listed.manifest, &[("b.md", b"fine")]);
        let unknown = listed.manifest.unknown.get("a.md");
        assert!(
            matches!(unknown, Some(UnknownReason::NotFetched(_))),
            "{effect:?}: {unknown:?}"
        );
        let shortfall = listed.shortfall;
        assert!(
            matches!(shortfall, Some(SideError::Transient { .. })),
            "{effect:?}: {shortfall:?}"
        );
        world.github.mend();
    }
    let listed = world.list(&side).await?;
    world.expect(&listed.manifest, &[("a.md", b"right"), ("b.md", b"fine")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_archive_keeps_what_came_and_is_tried_again() -> TestResult {
    // Long enough that half of the archive has many whole files in it.
    let files: Vec<(String, String)> = (0..200_u64)
        .map(|n| {
            let noise = (0..400_u64).fold(String::new(), |text, m| {
                let number = (m + 1)
                    .wrapping_mul(n + 7)
                    .wrapping_mul(0x9e37_79b9_7f4a_7c15);
                text + &number.to_string()
            });
            (format!("file{n:03}.md"), noise)
        })
        .collect();
    let world = World::new(&nodes(&files))?;
    let side = world.side()?;
    world
        .github
        .fail(Fault::on("legacy.tar.gz", Effect::Cut).times(1));
    let first = world.list(&side).await?;
    let taken = first.manifest.items.len();
    assert!(taken > 20 && taken < 200, "{taken}");
    assert_eq!(first.manifest.unknown.len(), 200 - taken);
    assert!(
        matches!(first.shortfall, Some(SideError::Transient { .. })),
        "{:?}",
        first.shortfall
    );
    assert!(
        !world.counted().contains_key("blobs"),
        "the limit is not used up singly"
    );
    let second = world
        .ask(&side, Some(&first.manifest), None)
        .await?
        .whole()?;
    world.expect(&second.manifest, &bytes(&files));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_of_no_use_is_done_without_while_the_limit_lasts() -> TestResult {
    let files = many(40);
    let world = World::new(&nodes(&files))?;
    let side = world.side()?;
    for effect in [Effect::OtherBytes, Effect::Html] {
        world.github.renew();
        world.requests();
        world
            .github
            .fail(Fault::on("legacy.tar.gz", effect.clone()).times(1));
        let listed = world.list(&side).await?;
        assert!(
            listed.shortfall.is_none(),
            "{effect:?}: {:?}",
            listed.shortfall
        );
        world.expect(&listed.manifest, &bytes(&files));
        assert_eq!(world.counted()["blobs"], 40);
    }
    let reset = std::time::SystemTime::now() + Duration::from_mins(10);
    world.github.leave(None, 30, reset);
    world
        .github
        .fail(Fault::on("legacy.tar.gz", Effect::Html).times(1));
    let listed = world.list(&side).await?;
    assert!(
        matches!(listed.shortfall, Some(SideError::Untrusted { .. })),
        "{:?}",
        listed.shortfall
    );
    assert_eq!(listed.manifest.unknown.len(), 40);
    assert!(!world.counted().contains_key("blobs"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_does_not_come_is_tried_again() -> TestResult {
    let files = many(40);
    let world = World::new(&nodes(&files))?;
    let side = world.side()?;
    for effect in [Effect::Status(503), Effect::Drop] {
        world
            .github
            .fail(Fault::on("legacy.tar.gz", effect.clone()).times(2));
        let listed = world.list(&side).await?;
        assert!(listed.manifest.items.is_empty(), "{effect:?}");
        assert_eq!(listed.manifest.unknown.len(), 40, "{effect:?}");
        assert!(
            matches!(listed.shortfall, Some(SideError::Transient { .. })),
            "{effect:?}: {:?}",
            listed.shortfall
        );
        world.github.mend();
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_on_the_way_keeps_what_is_at_hand() -> TestResult {
    let files = many(20);
    let world = World::new(&nodes(&files))?;
    let side = world.side()?;
    // Exactly so much is left that the commit, the tree and all but five files can be had.
    let reset = std::time::SystemTime::now() + Duration::from_mins(10);
    world.github.leave(None, 25, reset);
    world
        .github
        .fail(Fault::on("/blobs/", Effect::PrimaryLimit).after(15));
    let first = world.list(&side).await?;
    assert_eq!(first.manifest.items.len(), 15);
    assert_eq!(first.manifest.unknown.len(), 5);
    match first.shortfall {
        Some(SideError::RateLimited { wait, ref message }) => {
            assert!(
                wait > Duration::from_mins(9) && wait <= Duration::from_mins(10),
                "{wait:?}"
            );
            assert!(message.contains("60 requests an hour"), "{message}");
        }
        ref other => panic!("{other:?}"),
    }
    world.github.mend();
    world.github.renew();
    world.requests();
    let second = world
        .ask(&side, Some(&first.manifest), None)
        .await?
        .whole()?;
    world.expect(&second.manifest, &bytes(&files));
    assert_eq!(
        world.counted()["blobs"],
        5,
        "what came before is not fetched again"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn little_that_is_left_is_spent_on_an_archive() -> TestResult {
    let files = many(20);
    let world = World::new(&nodes(&files))?;
    let reset = std::time::SystemTime::now() + Duration::from_mins(10);
    world.github.leave(None, 10, reset);
    let listed = world.list(&world.side()?).await?;
    assert!(listed.shortfall.is_none(), "{:?}", listed.shortfall);
    world.expect(&listed.manifest, &bytes(&files));
    assert!(!world.counted().contains_key("blobs"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_elsewhere_gets_no_token() -> TestResult {
    let files = many(40);
    let world = World::new(&nodes(&files))?;
    world.github.set_private("octo/agents", true);
    world
        .github
        .add_token(Token::classic("secret", "octo", &["repo"]));
    let listed = world.list(&world.side_with_token("secret")?).await?;
    world.expect(&listed.manifest, &bytes(&files));
    for request in world.github.take_requests() {
        assert_eq!(request.authorised, !request.files, "{request:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_is_this_machines_and_ends_the_listing() -> TestResult {
    for count in [3, 40] {
        let files = many(count);
        let world = World::new(&nodes(&files))?;
        world.contents.set_full(true);
        let failed = world.list(&world.side()?).await;
        assert!(
            matches!(failed, Err(SideError::Storage { .. })),
            "{failed:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn git_lfs_pointers_are_told_by_name_and_asked_for_once() -> TestResult {
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n";
    for count in [2, 40] {
        let mut files = many(count);
        files.push((
            "model.bin".to_owned(),
            String::from_utf8_lossy(pointer).into_owned(),
        ));
        let world = World::new(&nodes(&files))?;
        let side = world.side()?;
        let first = world.list(&side).await?;
        world.expect(&first.manifest, &bytes(&files[..count]));
        assert_eq!(
            first.manifest.state(&key("model.bin")),
            homing_core::ItemState::Unknown(UnknownReason::Pointer)
        );
        let told = crate::support::problems(&first.manifest);
        assert!(
            told.len() == 1 && told[0].starts_with("model.bin: "),
            "{told:?}"
        );
        world.commit(&[("new.md", Node::File(b"new"))])?;
        world.requests();
        let second = world
            .ask(&side, Some(&first.manifest), None)
            .await?
            .whole()?;
        assert!(second.manifest.unknown.contains_key("model.bin"));
        assert_eq!(
            world.counted()["blobs"],
            1,
            "the pointer is not fetched again"
        );
    }
    Ok(())
}
