//! A subdirectory of a large repository: only what is wanted is fetched.

use std::fs;
use std::path::Path;

use testkit::Node;

use crate::gateway::Gateway;
use crate::support::{TestResult, World, prose};

/// Returns the bytes of all packs below a directory.
fn packed(directory: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            bytes += packed(&entry.path())?;
        } else if entry.path().extension().is_some_and(|end| end == "pack") {
            bytes += entry.metadata()?.len();
        }
    }
    Ok(bytes)
}

/// Commits 64 KiB that do not compress beside a small directory.
fn commit_much(world: &World) -> TestResult {
    let mut state = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(64 << 10)
    .collect();
    world.commit(&[
        ("large.bin", Node::File(&noise)),
        ("p/a.md", Node::File(b"a")),
        ("p/b.md", Node::File(b"b")),
    ])?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_blobs_of_the_subdirectory_are_fetched() -> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    commit_much(&world)?;
    world
        .repository
        .git(&["config", "uploadpack.allowFilter", "true"])?;
    let side = world.side_with(|options| options.path = Some("p".to_owned()))?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest).len(), 2);
    // The refs, the commit with its directories, and the two blobs.
    assert_eq!(world.requests()?, ["200 /git-upload-pack"; 3]);
    assert!(packed(&world.home.path().join("mirrors"))? < 32 << 10);
    // A change elsewhere fetches no blob; one here fetches one, and neither is confused by what is not there.
    world.commit(&[
        ("other.md", Node::File(b"x")),
        ("p/a.md", Node::File(b"new")),
    ])?;
    let listed = world
        .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
        .await?
        .whole()?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "new");
    // Another source reads all of it through the same mirror.
    let whole = world.list(&world.side()?).await?;
    assert_eq!(whole.manifest.items.len(), 4);
    assert_eq!(fs::read_dir(world.home.path().join("mirrors"))?.count(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_leaves_nothing_out_gets_the_plain_way() -> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    commit_much(&world)?;
    let side = world.side_with(|options| options.path = Some("p".to_owned()))?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest).len(), 2);
    world.commit(&[("p/a.md", Node::File(b"new"))])?;
    let listed = world
        .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
        .await?
        .whole()?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "new");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_repository_is_fetched_with_one_request_for_the_refs_and_one_for_the_pack()
-> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    world.commit(&[("a.md", Node::File(b"a"))])?;
    let side = world.side()?;
    let first = world.list(&side).await?;
    assert_eq!(world.requests()?, ["200 /git-upload-pack"; 2]);
    world.commit(&[("a.md", Node::File(b"b"))])?;
    let second = world.list(&side).await?;
    assert_eq!(world.requests()?, ["200 /git-upload-pack"; 2]);
    assert_ne!(first.manifest.items, second.manifest.items);
    Ok(())
}

/// Serves a repository whose server leaves out what it is asked to, with something long beside what is wanted.
fn with_prose() -> anyhow::Result<Option<World>> {
    let Some(world) = World::over_http()? else {
        return Ok(None);
    };
    let repository = &world.repository;
    repository.git(&["config", "uploadpack.allowFilter", "true"])?;
    next(&world, 1)?;
    Ok(Some(world))
}

fn next(world: &World, version: u32) -> anyhow::Result<String> {
    let text = prose(version);
    world.commit(&[
        ("long.md", Node::File(text.as_bytes())),
        ("p/a.md", Node::File(version.to_string().as_bytes())),
    ])
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_fetch_into_a_partial_mirror_is_not_made_of_what_was_left_out() -> TestResult {
    let Some(world) = with_prose()? else {
        return Ok(());
    };
    let part = world.side_with(|options| options.path = Some("p".to_owned()))?;
    world.list(&part).await?;
    next(&world, 2)?;
    world.requests()?;
    let whole = world.side()?;
    let listed = world.list(&whole).await?;
    assert_eq!(world.files(&listed.manifest)["long.md"], prose(2));
    assert_eq!(world.requests()?, ["200 /git-upload-pack"; 2]);
    // Now there is something whole to build on, and both go on through one mirror.
    for version in 3..5 {
        next(&world, version)?;
        for side in [&part, &whole] {
            world.list(side).await?;
        }
        let listed = world.list(&whole).await?;
        assert_eq!(world.files(&listed.manifest)["long.md"], prose(version));
    }
    assert!(packed(&world.home.path().join("mirrors"))? < 64 << 10);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_source_has_a_partial_commit_fetched_whole() -> TestResult {
    let Some(world) = with_prose()? else {
        return Ok(());
    };
    let part = world.side_with(|options| options.path = Some("p".to_owned()))?;
    world.list(&part).await?;
    world.requests()?;
    let listed = world.list(&world.side()?).await?;
    assert_eq!(world.files(&listed.manifest)["long.md"], prose(1));
    assert_eq!(world.requests()?, ["200 /git-upload-pack"; 2]);
    // Nobody has to fetch it any more.
    world.list(&part).await?;
    assert_eq!(world.requests()?, ["200 /git-upload-pack"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_partial_mirror_of_a_repository_that_was_renamed_is_fetched_into_by_git() -> TestResult {
    let Some(mut world) = with_prose()? else {
        return Ok(());
    };
    let server = world.url.clone();
    let gateway = Gateway::start(&server)?;
    world.url = gateway.url(&server)?;
    let side = world.side_with(|options| options.path = Some("p".to_owned()))?;
    world.list(&side).await?;
    gateway.redirect(&server);
    for version in 2..4 {
        next(&world, version)?;
        let listed = world.list(&side).await?;
        assert_eq!(world.files(&listed.manifest)["a.md"], version.to_string());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn more_blobs_than_one_question_takes_are_asked_for_in_several() -> TestResult {
    let Some(world) = with_prose()? else {
        return Ok(());
    };
    let files: Vec<(String, String)> = (0..8193)
        .map(|number| (format!("p/{}/{number}.md", number % 64), number.to_string()))
        .collect();
    let nodes = files.iter();
    let nodes: Vec<_> = nodes
        .map(|(path, text)| (path.as_str(), Node::File(text.as_bytes())))
        .collect();
    world.commit(&nodes)?;
    let side = world.side_with(|options| options.path = Some("p".to_owned()))?;
    let listed = world.list(&side).await?;
    assert_eq!(listed.manifest.items.len(), 8194);
    // Refs, the commit, and its blobs.
    assert_eq!(world.requests()?, ["200 /git-upload-pack"; 4]);
    Ok(())
}
