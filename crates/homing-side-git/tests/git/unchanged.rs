//! What it costs to find out that nothing changed.

use homing_core::Listing;
use testkit::{GitRepository, Node};

use crate::support::{TestResult, World};

#[tokio::test(flavor = "multi_thread")]
async fn an_unchanged_repository_costs_one_request() -> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    world.commit(&[("a.md", Node::File(b"a")), ("b/c.md", Node::File(b"c"))])?;
    let side = world.side()?;
    let listed = world.list(&side).await?;
    world.requests()?;
    let again = world
        .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
        .await?;
    assert!(matches!(again, Listing::Unchanged(_)));
    assert_eq!(world.requests()?, ["200 /git-upload-pack"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_old_is_asked_by_git() -> TestResult {
    let Some(world) = World::serving(GitRepository::new()?, false)? else {
        return Ok(());
    };
    world.commit(&[("a.md", Node::File(b"a"))])?;
    let side = world.side()?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    let again = world
        .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
        .await?;
    assert!(matches!(again, Listing::Unchanged(_)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn ids_of_either_kind_are_one_request_once_they_are_known() -> TestResult {
    let Some(world) = World::serving(GitRepository::with_format("sha256")?, true)? else {
        return Ok(());
    };
    let commit = world.commit(&[("a.md", Node::File(b"a"))])?;
    let side = world.side()?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    assert_eq!(
        listed.revision.as_ref().map(|it| it.name.as_str()),
        Some(commit.as_str())
    );
    world.requests()?;
    let again = world
        .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
        .await?;
    assert!(matches!(again, Listing::Unchanged(_)));
    assert_eq!(world.requests()?, ["200 /git-upload-pack"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_is_named_is_asked_for_once() -> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    let first = world.commit(&[("a.md", Node::File(b"a"))])?;
    world.commit(&[("a.md", Node::File(b"b"))])?;
    let side = world.side_with(|options| options.reference = Some(first.clone()))?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    world.requests()?;
    let again = world
        .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
        .await?;
    assert!(matches!(again, Listing::Unchanged(_)));
    assert_eq!(world.requests()?, Vec::<String>::new());
    Ok(())
}
