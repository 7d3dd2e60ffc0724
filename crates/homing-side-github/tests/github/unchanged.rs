//! What an unchanged repository costs, and what counts as changed.

use anyhow::Context;
use homing_core::{Listing, ProblemKind, Revision, Side, Unchanged};
use testkit::Node;
use testkit::github::{Effect, Fault, Token};

use crate::support::{TestResult, World};

#[tokio::test]
async fn an_unchanged_repository_costs_one_conditional_request() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"a"))])?;
    world
        .github
        .add_token(Token::classic("secret", "octo", &[]));
    let side = world.side_with_token("secret")?;
    let first = world.list(&side).await?;
    let revision = first.revision.context("a revision")?;
    assert!(revision.validator.is_some(), "{revision:?}");
    world.requests();
    let again = world
        .ask(&side, Some(&first.manifest), Some(&revision))
        .await?;
    assert!(matches!(again, Listing::Unchanged(_)), "{again:?}");
    let requests = world.github.take_requests();
    assert_eq!(requests.len(), 1, "{requests:?}");
    let request = &requests[0];
    assert_eq!(request.path, "/repos/octo/agents/commits/HEAD");
    assert!(request.conditional && request.authorised && request.status == 304);
    Ok(())
}

#[tokio::test]
async fn the_same_commit_under_another_validator_is_unchanged_too() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"a"))])?;
    let side = world.side()?;
    let revision = world.list(&side).await?.revision.context("a revision")?;
    world.requests();
    let known = Revision {
        validator: Some("\"another\"".to_owned()),
        ..revision.clone()
    };
    let Listing::Unchanged(again) = world.ask(&side, None, Some(&known)).await? else {
        anyhow::bail!("it is the same commit");
    };
    assert_eq!(world.requests(), ["api 200 /commits/HEAD"]);
    // It is asked about with the new one from now on.
    assert_eq!(again.revision.as_ref(), Some(&revision));
    let Listing::Unchanged(again) = world.ask(&side, None, again.revision.as_ref()).await? else {
        anyhow::bail!("it is the same commit");
    };
    assert_eq!(world.requests(), ["api 304 /commits/HEAD"]);
    assert_eq!(again.revision, None);
    Ok(())
}

#[tokio::test]
async fn a_commit_as_ref_never_changes() -> TestResult {
    let world = World::empty()?;
    let commit = world.commit(&[("a.md", Node::File(b"a"))])?;
    world.commit(&[("a.md", Node::File(b"b"))])?;
    let side = world.side_with(|options| options.reference = Some(commit.clone()))?;
    let first = world.list(&side).await?;
    world.expect(&first.manifest, &[("a.md", b"a")]);
    let revision = first.revision.context("a revision")?;
    assert_eq!(revision.name, commit);
    world.requests();
    let again = world.ask(&side, None, Some(&revision)).await?;
    assert!(matches!(again, Listing::Unchanged(_)), "{again:?}");
    assert!(world.requests().is_empty(), "no request is needed");
    // Another pin than before is another question.
    let other = Revision {
        name: "0".repeat(40),
        validator: None,
        about: None,
    };
    let listing = world.ask(&side, None, Some(&other)).await?;
    assert!(matches!(listing, Listing::Whole(_)), "{listing:?}");
    Ok(())
}

#[tokio::test]
async fn branches_and_tags_are_refs_with_slashes_and_all() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"main"))])?;
    let repository = &world.repository;
    repository.commit("team/next", &[("a.md", Node::File(b"next"))])?;
    repository.git(&["tag", "-a", "-m", "first", "v1.0", "main"])?;
    world.commit(&[("a.md", Node::File(b"later"))])?;
    for (reference, bytes) in [
        ("main", &b"later"[..]),
        ("team/next", b"next"),
        ("v1.0", b"main"),
    ] {
        let side = world.side_with(|options| options.reference = Some(reference.to_owned()))?;
        let listed = world.list(&side).await?;
        world.expect(&listed.manifest, &[("a.md", bytes)]);
    }
    Ok(())
}

#[tokio::test]
async fn a_force_push_and_another_default_branch_just_work() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"one")), ("b.md", Node::File(b"b"))])?;
    let side = world.side()?;
    let first = world.list(&side).await?;
    let revision = first.revision.as_ref();
    world
        .repository
        .git(&["update-ref", "-d", "refs/heads/main"])?;
    world.commit(&[("a.md", Node::File(b"another history"))])?;
    let forced = world
        .ask(&side, Some(&first.manifest), revision)
        .await?
        .whole()?;
    world.expect(&forced.manifest, &[("a.md", b"another history")]);
    world
        .repository
        .commit("next", &[("c.md", Node::File(b"c"))])?;
    world.github.set_default_branch("octo/agents", "next");
    let moved = world
        .ask(&side, Some(&forced.manifest), forced.revision.as_ref())
        .await?
        .whole()?;
    world.expect(&moved.manifest, &[("c.md", b"c")]);
    Ok(())
}

#[tokio::test]
async fn a_renamed_repository_works_and_its_new_name_is_told() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"a"))])?;
    let side = world.side()?;
    world.github.rename("octo/agents", "octo/skills");
    let listed = world.list(&side).await?;
    world.expect(&listed.manifest, &[("a.md", b"a")]);
    let told = crate::support::problems(&listed.manifest);
    assert!(
        told.len() == 1 && told[0].contains("`octo/skills`"),
        "{told:?}"
    );
    let requests = world.requests();
    let redirected = requests
        .iter()
        .filter(|request| request.contains(" 301 "))
        .count();
    assert_eq!(
        redirected, 1,
        "only the first request goes to the old name: {requests:?}"
    );
    Ok(())
}

#[tokio::test]
async fn a_renamed_repository_is_told_of_also_when_nothing_changed() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"a"))])?;
    world
        .github
        .add_token(Token::classic("secret", "octo", &[]));
    let side = world.side_with_token("secret")?;
    let first = world.list(&side).await?;
    let revision = first.revision.context("a revision")?;
    world.github.rename("octo/agents", "octo/skills");
    for _ in 0..2 {
        let again = world
            .ask(&side, Some(&first.manifest), Some(&revision))
            .await?;
        let Listing::Unchanged(Unchanged { problems, .. }) = again else {
            panic!("{again:?}");
        };
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert_eq!(problems[0].kind, ProblemKind::Renamed);
        let told = &problems[0].message;
        assert!(
            told.contains("`url = \"https://github.com/octo/skills\"`"),
            "{told}"
        );
    }
    let examined = side.examine().await?;
    assert!(
        examined.problems[0].message.contains("`octo/skills`"),
        "{examined:?}"
    );
    // What cannot say its new name is renamed all the same.
    let repository = world.requests().pop().context("requests")?;
    assert!(repository.contains("/repositories/"), "{repository}");
    let number = repository.rsplit(' ').next().context("a path")?;
    world
        .github
        .fail(Fault::on(number, Effect::Status(503)).after(1));
    let again = world
        .ask(&side, Some(&first.manifest), Some(&revision))
        .await?;
    assert!(
        matches!(&again, Listing::Unchanged(told) if told.problems[0].message.contains("another name")),
        "{again:?}"
    );
    Ok(())
}

#[tokio::test]
async fn an_emptied_repository_is_an_empty_manifest_that_says_why() -> TestResult {
    let world = World::empty()?;
    let side = world.side()?;
    let listed = world.list(&side).await?;
    assert!(listed.manifest.items.is_empty() && listed.revision.is_none());
    let told = crate::support::problems(&listed.manifest);
    assert!(told[0].contains("it has no commit"), "{told:?}");
    world.commit(&[("a.md", Node::File(b"a"))])?;
    world.expect(&world.list(&side).await?.manifest, &[("a.md", b"a")]);
    world.commit(&[("a.md", Node::Gone)])?;
    let listed = world.list(&side).await?;
    assert!(listed.manifest.items.is_empty() && listed.manifest.unknown.is_empty());
    Ok(())
}
