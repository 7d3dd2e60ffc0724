//! What is told of a repository without taking anything.

use homing_core::{Side, SideError};
use testkit::Node;
use testkit::github::Token;

use crate::support::{TestResult, World};

#[tokio::test]
async fn a_look_counts_files_and_takes_none() -> TestResult {
    let world = World::new(&[
        ("a.md", Node::File(b"aaaa")),
        ("b.md", Node::File(b"bb")),
        ("link", Node::Link("a.md")),
    ])?;
    let examined = world.side()?.examine().await?;
    assert_eq!((examined.files, examined.bytes), (2, Some(6)));
    assert!(
        examined
            .problems
            .iter()
            .any(|problem| problem.path == "link")
    );
    assert_eq!(examined.problems.len(), 1, "{:?}", examined.problems);
    assert!(
        examined.notes[0].contains("no token"),
        "{:?}",
        examined.notes
    );
    assert!(
        examined.notes[1].contains("of 60 requests are left; renewed at "),
        "{:?}",
        examined.notes
    );
    assert!(world.contents.is_empty());
    assert!(!world.counted().contains_key("blobs"));
    Ok(())
}

#[tokio::test]
async fn a_token_is_told_with_its_owner_and_what_it_lacks() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"a"))])?;
    world
        .github
        .add_token(Token::classic("whole", "octo", &["repo", "user"]));
    world
        .github
        .add_token(Token::classic("narrow", "ann", &["user"]));
    world
        .github
        .add_token(Token::fine_grained("fine", "octo", &[]));
    for (token, whose, lacks) in [
        (
            "whole",
            "the token is `octo`'s; its scopes: `repo`, `user`",
            false,
        ),
        ("narrow", "the token is `ann`'s; its scopes: `user`", true),
        (
            "fine",
            "the token is `octo`'s; GitHub tells no scopes of it, as of fine-grained ones",
            false,
        ),
    ] {
        let notes = world.side_with_token(token)?.examine().await?.notes;
        assert_eq!(notes[0], whose);
        assert_eq!(
            notes
                .iter()
                .any(|note| note.contains("lacks the scope `repo`")),
            lacks,
            "{notes:?}"
        );
        assert!(
            notes
                .iter()
                .any(|note| note.contains("of 5000 requests are left")),
            "{notes:?}"
        );
    }
    let error = world.side_with_token("wrong")?.examine().await.err();
    assert!(matches!(error, Some(SideError::Auth { .. })), "{error:?}");
    Ok(())
}

#[tokio::test]
async fn an_empty_repository_is_told_to_be() -> TestResult {
    let examined = World::empty()?.side()?.examine().await?;
    assert_eq!(examined.files, 0);
    assert!(examined.problems[0].message.contains("no commit"));
    Ok(())
}
