//! What a revision says of itself.

use testkit::{GitRepository, Node};

use crate::support::{TestResult, World};

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_a_strangers_words() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    // What a user has set for `git log` is for people.
    world.configure(
        "[log]\n\tshowSignature = true\n\tdecorate = full\n[color]\n\tui = always\n[i18n]\n\tlogOutputEncoding = latin1\n",
    )?;
    world.commit(&[("a.md", Node::File(b"a"))])?;
    let tree = world.repository.git(&["rev-parse", "main^{tree}"])?;
    let long = "long ".repeat(50_000);
    for (message, expected) in [
        ("h\u{e9}llo\n\nbody", "h\u{e9}llo".to_owned()),
        ("\u{1b}[31mred\u{7}\u{202e}", "[31mred".to_owned()),
        ("", String::new()),
        (&long, "long ".repeat(40)),
    ] {
        let file = world.home.path().join("message");
        crate::support::put(&file, message)?;
        let file = file.to_string_lossy().into_owned();
        let commit = world.repository.git(&["commit-tree", &tree, "-F", &file])?;
        world
            .repository
            .git(&["update-ref", "refs/heads/main", &commit])?;
        let listed = world.list(&world.side()?).await?;
        let revision = listed.revision.unwrap();
        assert_eq!(revision.name, commit);
        let about = revision.about.unwrap();
        assert_eq!(about.subject, expected);
        assert!(about.time.as_second() > 0, "{about:?}");
    }
    Ok(())
}
