//! What is read of a repository, and what is reported.

use homing_core::{Listing, SideError};
use testkit::{GitRepository, Node, RawServer};

use crate::support::{TestResult, World, put};

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_commit_reads_only_what_changed() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    world.commit(&[
        ("a.md", Node::File(b"a")),
        ("b.md", Node::File(b"b")),
        ("run.sh", Node::Executable(b"#!/bin/sh\n")),
    ])?;
    let side = world.side()?;
    let first = world.list(&side).await?;
    assert!(first.manifest.items.values().any(|item| item.executable));
    let before = world.contents.len();
    // A moved file has its content already; one that may be executed now, too.
    world.commit(&[
        ("b.md", Node::Gone),
        ("moved/b.md", Node::Executable(b"b")),
        ("c.md", Node::File(b"c")),
    ])?;
    let Listing::Whole(second) = world
        .ask(&side, Some(&first.manifest), first.revision.as_ref())
        .await?
    else {
        panic!("it changed");
    };
    let files = world.files(&second.manifest);
    assert_eq!(
        files.keys().map(String::as_str).collect::<Vec<_>>(),
        ["a.md", "c.md", "moved/b.md", "run.sh"]
    );
    assert_eq!(world.contents.len(), before + 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_subdirectory_is_read_and_what_is_no_file_is_told() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let other = "1".repeat(40);
    let pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n";
    world.commit(&[
        ("README.md", Node::File(b"no")),
        ("p/a.md", Node::File(b"a")),
        ("p/link", Node::Link("/etc/passwd")),
        ("p/sub", Node::Submodule(&other)),
        ("p/large.bin", Node::File(pointer)),
    ])?;
    let side = world.side_with(|options| options.path = Some("p".to_owned()))?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest).len(), 1);
    let told: Vec<&str> = listed
        .manifest
        .problems
        .iter()
        .map(|problem| problem.path.as_str())
        .collect();
    for path in ["link", "sub", "large.bin"] {
        assert!(told.contains(&path), "{path}: {told:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_force_push_and_a_branch_that_goes_away() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let old = world.commit(&[("a.md", Node::File(b"a"))])?;
    world.commit(&[("a.md", Node::File(b"b"))])?;
    let side = world.side_with(|options| options.reference = Some("main".to_owned()))?;
    let first = world.list(&side).await?;
    world
        .repository
        .git(&["update-ref", "refs/heads/main", &old])?;
    let back = world.list(&side).await?;
    assert_eq!(world.files(&back.manifest)["a.md"], "a");
    assert_ne!(first.revision, back.revision);
    world
        .repository
        .git(&["update-ref", "-d", "refs/heads/main"])?;
    let error = world.list(&side).await.unwrap_err();
    assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
    assert!(error.to_string().contains("`main`"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_mirror_is_made_anew() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    world.commit(&[("a.md", Node::File(b"a")), ("b.md", Node::File(b"b"))])?;
    let listed = world.list(&world.side()?).await?;
    let mirrors = world.home.path().join("mirrors");
    let mirror = std::fs::read_dir(&mirrors)?.next().unwrap()?.path();
    let damages: [&dyn Fn() -> anyhow::Result<()>; 6] = [
        &|| {
            std::fs::remove_dir_all(mirror.join("refs"))?;
            put(&mirror.join("refs"), "")
        },
        &|| {
            std::fs::remove_dir_all(&mirror)?;
            put(&mirror, "")
        },
        &|| Ok(std::fs::remove_dir_all(mirror.join("objects"))?),
        &|| Ok(std::fs::remove_file(mirror.join("HEAD"))?),
        &|| put(&mirror.join("config"), "[broken"),
        &|| {
            for pack in std::fs::read_dir(mirror.join("objects/pack"))? {
                let path = pack?.path();
                if path.extension().is_some_and(|end| end == "pack") {
                    use std::os::unix::fs::PermissionsExt;
                    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
                    put(&path, "PACK, and then nothing")?;
                }
            }
            Ok(())
        },
    ];
    for (number, damage) in damages.iter().enumerate() {
        damage()?;
        // Another process finds it like that.
        let again = world.list(&world.side()?).await?;
        assert_eq!(
            again.manifest.items, listed.manifest.items,
            "damage {number}"
        );
    }
    // Locks that a killed process left behind.
    put(&mirror.join("shallow.lock"), "")?;
    put(&mirror.join("packed-refs.lock"), "")?;
    world.commit(&[("a.md", Node::File(b"new"))])?;
    let again = world.list(&world.side()?).await?;
    assert_eq!(world.files(&again.manifest)["a.md"], "new");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_default_branch_that_is_gone_is_no_empty_repository() -> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    // Nothing was ever committed.
    let listed = world.list(&world.side()?).await?;
    assert!(listed.manifest.problems[0].message.contains("is empty"));
    world
        .repository
        .commit("other", &[("a.md", Node::File(b"a"))])?;
    let nearby = format!("file://{}", world.repository.path().display());
    for url in [world.url.clone(), nearby] {
        let elsewhere = World::at(GitRepository::new()?, url)?;
        let error = elsewhere.list(&elsewhere.side()?).await.unwrap_err();
        assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
        let text = error.to_string();
        assert!(
            text.contains("default branch") && text.contains("`ref`"),
            "{text}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_without_a_byte_is_no_empty_repository() -> TestResult {
    let server =
        RawServer::sending("HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    let world = World::at(GitRepository::new()?, server.url("agents.git"))?;
    let error = world.list(&world.side()?).await.unwrap_err();
    assert!(matches!(error, SideError::Transient { .. }), "{error:?}");
    assert!(error.to_string().contains("with nothing"), "{error}");
    // Whoever knows nothing of protocol v2 says enough.
    let Some(world) = World::serving(GitRepository::new()?, false)? else {
        return Ok(());
    };
    let listed = world.list(&world.side()?).await?;
    assert!(listed.manifest.problems[0].message.contains("is empty"));
    Ok(())
}
