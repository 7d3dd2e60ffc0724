//! Trees as they come: cut off, hostile, with things that are no files.

use homing_core::{ItemState, Limits, SideError, UnknownReason};
use serde_json::json;
use testkit::github::Token;
use testkit::{GitRepository, Node};

use crate::support::{TestResult, World, item, key, problems};

#[tokio::test(flavor = "multi_thread")]
async fn links_and_submodules_are_told_by_name() -> TestResult {
    let world = World::new(&[
        ("a.md", Node::File(b"a")),
        ("link.md", Node::Link("a.md")),
        ("vendor/lib", Node::Submodule(&"1".repeat(40))),
    ])?;
    let listed = world.list(&world.side()?).await?;
    world.expect(&listed.manifest, &[("a.md", b"a")]);
    for (path, what) in [
        ("link.md", "a symbolic link"),
        ("vendor/lib", "a submodule"),
    ] {
        let state = listed.manifest.state(&key(path));
        assert_eq!(state, ItemState::Unknown(UnknownReason::NotAFile(what)));
        let told = problems(&listed.manifest);
        assert!(told.iter().any(|line| line.starts_with(path)), "{told:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_subdirectory_is_taken() -> TestResult {
    let world = World::new(&[
        ("plugins/a.md", Node::File(b"a")),
        ("plugins/deep/run.sh", Node::Executable(b"run")),
        ("plugins2/b.md", Node::File(b"b")),
        ("README.md", Node::File(b"readme")),
        ("link", Node::Link("plugins")),
    ])?;
    let side = world.side_with(|options| options.path = Some("plugins".to_owned()))?;
    let listed = world.list(&side).await?;
    world.expect(&listed.manifest, &[("a.md", b"a"), ("deep/run.sh", b"run")]);
    assert!(problems(&listed.manifest).is_empty());
    assert!(item(&listed.manifest, "deep/run.sh")?.executable);
    let side = world.side_with(|options| options.path = Some("none".to_owned()))?;
    let listed = world.list(&side).await?;
    assert!(listed.manifest.items.is_empty());
    let told = problems(&listed.manifest);
    assert!(
        told[0].contains("octo/agents") && told[0].contains("path"),
        "{told:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn include_and_exclude_select() -> TestResult {
    let world = World::new(&[
        ("a.md", Node::File(b"a")),
        ("README.md", Node::File(b"readme")),
        ("tool.py", Node::File(b"tool")),
    ])?;
    let side = world.side_with(|options| {
        options.include = vec!["*.md".to_owned()];
        options.exclude = vec!["README.md".to_owned()];
    })?;
    let listed = world.list(&side).await?;
    world.expect(&listed.manifest, &[("a.md", b"a")]);
    assert_eq!(world.counted()["blobs"], 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tree_that_is_cut_off_is_walked() -> TestResult {
    let world = World::new(&[
        ("a.md", Node::File(b"a")),
        ("agents/b.md", Node::File(b"b")),
        ("agents/deep/er/c.md", Node::File(b"c")),
        ("dist/x", Node::File(b"x")),
        ("plugins/one/d.md", Node::File(b"d")),
        ("plugins/two/e.md", Node::File(b"e")),
    ])?;
    world.github.truncate_trees("octo/agents", Some(3));
    let whole = world.side_with(|options| options.exclude = vec!["dist".to_owned()])?;
    let listed = world.list(&whole).await?;
    world.expect(
        &listed.manifest,
        &[
            ("a.md", b"a"),
            ("agents/b.md", b"b"),
            ("agents/deep/er/c.md", b"c"),
            ("plugins/one/d.md", b"d"),
            ("plugins/two/e.md", b"e"),
        ],
    );
    assert_eq!(problems(&listed.manifest), [""; 0]);
    let trees = |world: &World| world.counted()["trees"];
    // The whole, the root, and each of two directories: cut off, listed, and what is in them.
    assert_eq!(trees(&world), 1 + 1 + (1 + 1 + 1) + (1 + 1 + 2));

    let part = world.side_with(|options| options.path = Some("agents/deep".to_owned()))?;
    let listed = world.list(&part).await?;
    world.expect(&listed.manifest, &[("er/c.md", b"c")]);
    assert_eq!(
        trees(&world),
        1 + 2 + 1,
        "only the way down and what is there"
    );

    let none = world.side_with(|options| options.path = Some("agents/none".to_owned()))?;
    assert!(world.list(&none).await?.manifest.items.is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn where_no_recursive_listing_is_whole_each_directory_is_asked_for() -> TestResult {
    let world = World::new(&[("a/b/c.md", Node::File(b"c"))])?;
    // A server that says of everything that there is more.
    world.github.truncate_trees("octo/agents", Some(0));
    let listed = world.list(&world.side()?).await?;
    world.expect(&listed.manifest, &[("a/b/c.md", b"c")]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_never_listed_whole_is_an_error() -> TestResult {
    let world = World::new(&[
        ("a/1.md", Node::File(b"1")),
        ("a/2.md", Node::File(b"2")),
        ("a/3.md", Node::File(b"3")),
        ("b/z/4.md", Node::File(b"4")),
    ])?;
    let of = |path: Option<&str>| world.side_with(|options| options.path = path.map(str::to_owned));
    world.github.truncate_directories("octo/agents", Some(2));
    // The root is listed whole, with two directories; of one of them something is missing.
    for (path, names) in [(None, "`a/`"), (Some("a"), "`a/`")] {
        let error = world.list(&of(path)?).await.err();
        assert!(
            matches!(&error, Some(SideError::Untrusted { message }) if message.contains(names)),
            "{path:?}: {error:?}"
        );
    }
    let listed = world.list(&of(Some("b/z"))?).await?;
    world.expect(&listed.manifest, &[("4.md", b"4")]);
    // What is not among the first is not known to be absent.
    world.github.truncate_directories("octo/agents", Some(1));
    let listed = world.list(&of(Some("a/none"))?).await;
    assert!(
        matches!(listed, Err(SideError::Untrusted { .. })),
        "{listed:?}"
    );
    let listed = world.list(&of(Some("b/z"))?).await;
    assert!(
        matches!(listed, Err(SideError::Untrusted { .. })),
        "{listed:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_directories_are_asked_for_than_two_thousand() -> TestResult {
    let files: Vec<String> = (0..1_001).map(|number| format!("{number}/a.md")).collect();
    let nodes = files.iter().map(|path| (path.as_str(), Node::File(b"a")));
    let world = World::new(&nodes.collect::<Vec<_>>())?;
    // Each directory is asked for twice: with all below it, and alone.
    world.github.truncate_trees("octo/agents", Some(0));
    world
        .github
        .add_token(Token::classic("secret", "octo", &[]));
    let side = world.side_with_token("secret")?;
    let error = world.list(&side).await.err();
    assert!(
        matches!(&error, Some(SideError::Untrusted { message }) if message.contains("(2000)")),
        "{error:?}"
    );
    assert_eq!(world.counted()["trees"], 1 + 2_000);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_without_an_id_is_told_by_name() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"a")), ("b/c.md", Node::File(b"c"))])?;
    world.github.truncate_trees("octo/agents", Some(2));
    world.github.add_to_trees(
        "octo/agents",
        vec![json!({"path": "odd", "mode": "040000", "type": "tree", "sha": "../../user"})],
    );
    let error = world.list(&world.side()?).await.err();
    assert!(
        matches!(&error, Some(SideError::Untrusted { message }) if message.contains("`odd/`") && message.contains("no id")),
        "{error:?}"
    );
    assert!(
        !world
            .requests()
            .iter()
            .any(|request| request.contains("user"))
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_told_and_nothing_escapes() -> TestResult {
    let repository = GitRepository::new()?;
    let blob = repository.blob(b"evil")?;
    let file = |name: &'static [u8]| ("100644", name, blob.as_str());
    let inner = repository.literal_tree(&[file(b"evil.md")])?;
    let up = repository.literal_tree(&[("40000", b"..", &inner)])?;
    let root = repository.literal_tree(&[
        file(b"C:\\evil.md"),
        file(b"Same.md"),
        ("40000", b"..", &inner),
        ("40000", b".", &inner),
        ("40000", b".git", &inner),
        ("40000", b".GIT", &inner),
        ("40000", b"agents", &up),
        file(b"back\\slash.md"),
        file(b"esc\x1b[31m.md"),
        file(b"good.md"),
        file(b"new\nline.md"),
        file(b"same.md"),
    ])?;
    repository.commit_tree("main", &root)?;
    let world = World::serving(repository)?;
    world.github.add_to_trees(
        "octo/agents",
        [
            "/etc/evil.md",
            "agents/../evil.md",
            "nul\0.md",
            "",
            "//",
            "a//b",
            ".homing-1-1",
        ]
        .into_iter()
        .map(|path| json!({"path": path, "mode": "100644", "type": "blob", "sha": blob, "size": 4}))
        .collect(),
    );
    let listed = world.list(&world.side()?).await?;
    let manifest = &listed.manifest;
    for key in manifest.items.keys() {
        let name = key.as_str();
        assert!(
            name == "good.md" || name.eq_ignore_ascii_case("same.md"),
            "{name:?} is an item"
        );
    }
    assert!(manifest.items.contains_key("good.md"));
    let told = problems(manifest);
    for part in [
        "../evil.md",
        ".git",
        ".GIT",
        "agents/../evil.md",
        "back\\slash",
        "esc\\u{1b}",
        "new\\nline",
        "/etc/evil.md",
        "nul\\u{0}",
        "C:\\evil",
        "ame.md",
    ] {
        assert!(
            told.iter().any(|line| line.contains(part)),
            "{part}: {told:#?}"
        );
    }
    assert!(
        !told
            .iter()
            .any(|line| line.contains(['\u{1b}', '\0', '\n'])),
        "{told:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_lies_about_ids_and_sizes_gets_nothing_in() -> TestResult {
    let world = World::new(&[
        ("good.md", Node::File(b"good")),
        ("big.md", Node::File(&[b'x'; 5000])),
    ])?;
    let good = world.repository.git(&["rev-parse", "main:good.md"])?;
    let big = world.repository.git(&["rev-parse", "main:big.md"])?;
    let entry = |path: &str, id: &str, size: serde_json::Value| json!({"path": path, "mode": "100644", "type": "blob", "sha": id, "size": size});
    world.github.add_to_trees(
        "octo/agents",
        vec![
            entry("no-id.md", "../../../user", json!(4)),
            entry("no-size.md", &good, json!(null)),
            entry("missing.md", &"1".repeat(40), json!(4)),
            json!({"path": "odd", "mode": "100644", "type": "tag", "sha": good, "size": 4}),
        ],
    );
    let side = world.side_with(|options| {
        options.limits = Limits {
            max_file_size: 4000,
            ..Limits::default()
        };
    })?;
    let listed = world.list(&side).await?;
    world.expect(&listed.manifest, &[("good.md", b"good")]);
    for path in ["no-id.md", "no-size.md", "missing.md", "odd", "big.md"] {
        let state = listed.manifest.state(&key(path));
        assert!(matches!(state, ItemState::Unknown(_)), "{path}: {state:?}");
    }
    // A size that is too small: what comes is cut off where the limit is, and is not the blob.
    world
        .github
        .add_to_trees("octo/agents", vec![entry("small.md", &big, json!(10))]);
    let listed = world.list(&side).await?;
    let state = listed.manifest.state(&key("small.md"));
    assert!(
        matches!(state, ItemState::Unknown(UnknownReason::NotFetched(_))),
        "{state:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_on_the_whole_end_the_listing() -> TestResult {
    let world = World::new(&[("a.md", Node::File(b"aaaa")), ("b.md", Node::File(b"bbbb"))])?;
    for (limits, word) in [
        (
            Limits {
                max_files: 1,
                ..Limits::default()
            },
            "max_files",
        ),
        (
            Limits {
                max_total_size: 7,
                ..Limits::default()
            },
            "max_total_size",
        ),
    ] {
        let side = world.side_with(|options| options.limits = limits)?;
        let error = world.list(&side).await.err();
        assert!(
            matches!(&error, Some(SideError::Untrusted { message }) if message.contains(word)),
            "{error:?}"
        );
        assert!(world.contents.is_empty());
    }
    Ok(())
}
