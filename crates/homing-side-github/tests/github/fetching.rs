//! Contents that were lost come back by their ids.

use anyhow::Result;
use homing_core::{ContentHash, FetchRequest, Identity, Manifest, Progress, Side, SideError};
use homing_side_github::GithubSide;
use testkit::Node;
use testkit::github::{Effect, Fault};

use crate::support::{TestResult, World};

fn requests(manifest: &Manifest) -> Vec<FetchRequest> {
    let items = manifest.items.iter();
    items
        .map(|(key, item)| FetchRequest::new(key, item))
        .collect()
}

async fn fetch(
    world: &World,
    side: &GithubSide,
    requests: Vec<FetchRequest>,
) -> Vec<Result<(), SideError>> {
    side.fetch(requests, world.contents.clone(), Progress::default())
        .await
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_contents_come_back_singly_or_as_an_archive() -> TestResult {
    for (count, path) in [(3, None), (40, None), (40, Some("sub".to_owned()))] {
        let files: Vec<(String, String)> = (0..count)
            .map(|n| (format!("sub/file{n}.md"), format!("content {n}")))
            .collect();
        let nodes: Vec<(&str, Node<'_>)> = files
            .iter()
            .map(|(path, text)| (path.as_str(), Node::File(text.as_bytes())))
            .collect();
        let world = World::new(&nodes)?;
        let side = world.side_with(|options| options.path = path)?;
        let manifest = world.list(&side).await?.manifest;
        for item in manifest.items.values() {
            world.contents.forget(&item.hash);
        }
        world.requests();
        let results = fetch(&world, &side, requests(&manifest)).await;
        assert!(results.iter().all(Result::is_ok), "{results:?}");
        for item in manifest.items.values() {
            assert!(world.contents.has(&item.hash));
        }
        let counted = world.counted();
        assert_eq!(counted.contains_key("tarball"), count > 32, "{counted:?}");
        assert_eq!(counted.contains_key("blobs"), count <= 32, "{counted:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_any_more_has_changed() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"a")), ("b.md", Node::File(b"b"))])?;
    let side = world.side()?;
    let manifest = world.list(&side).await?.manifest;
    let mut requests = requests(&manifest);
    // GitHub serves a blob by its id, whether a branch still has it or not.
    world.commit(&[("a.md", Node::File(b"another"))])?;
    requests[1].item.identity = Some(Identity::new(&format!("git:{}", "1".repeat(40))));
    let mut odd = requests[0].clone();
    odd.item.hash = ContentHash::of(b"something else");
    let mut nameless = requests[0].clone();
    nameless.item.identity = None;
    requests.extend([odd, nameless]);
    let results = fetch(&world, &side, requests).await;
    assert!(results[0].is_ok(), "{results:?}");
    for result in &results[1..] {
        assert!(
            matches!(result, Err(SideError::Changed { .. })),
            "{results:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_is_each_requests_answer() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"a")), ("b.md", Node::File(b"b"))])?;
    let side = world.side()?;
    let manifest = world.list(&side).await?.manifest;
    world
        .github
        .fail(Fault::on("/blobs/", Effect::PrimaryLimit));
    let results = fetch(&world, &side, requests(&manifest)).await;
    assert_eq!(results.len(), 2);
    for result in &results {
        assert!(
            matches!(result, Err(SideError::RateLimited { .. })),
            "{results:?}"
        );
    }
    Ok(())
}
