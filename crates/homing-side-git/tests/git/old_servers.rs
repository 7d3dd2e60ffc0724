//! Servers that know less than others: files alone, no depth, nothing by its id.

use std::path::Path;
use std::process::Command;

use homing_core::SideError;
use testkit::{GitRepository, Nginx, NginxOptions, Node};

use crate::support::{TestResult, World};

/// Serves a repository as files, like any other; POST is answered with `status`.
fn dumb(repository: GitRepository, status: u16) -> anyhow::Result<Option<(Nginx, World)>> {
    let options = NginxOptions {
        directives: format!("if ($request_method = POST) {{ return {status}; }}"),
        ..NginxOptions::default()
    };
    let Some(nginx) = Nginx::start(&options)? else {
        return Ok(None);
    };
    let world = World::at(repository, nginx.url("agents.git"))?;
    update(&nginx, &world)?;
    Ok(Some((nginx, world)))
}

/// Puts the repository as it is now where it is served.
fn update(nginx: &Nginx, world: &World) -> TestResult {
    world.repository.git(&["update-server-info"])?;
    let place = nginx.files().join("agents.git");
    if Path::exists(&place) {
        std::fs::remove_dir_all(&place)?;
    }
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(world.repository.path()).arg(&place);
    anyhow::ensure!(copy.status()?.success(), "it is not copied");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_files_is_read() -> TestResult {
    for status in [405, 501] {
        let repository = GitRepository::new()?;
        let first = repository.commit("main", &[("a.md", Node::File(b"1"))])?;
        repository.commit("main", &[("a.md", Node::File(b"2"))])?;
        let Some((nginx, world)) = dumb(repository, status)? else {
            return Ok(());
        };
        let side = world.side()?;
        let listed = world.list(&side).await?;
        assert_eq!(world.files(&listed.manifest)["a.md"], "2");
        world.commit(&[("a.md", Node::File(b"3"))])?;
        update(&nginx, &world)?;
        let listed = world.list(&side).await?;
        assert_eq!(world.files(&listed.manifest)["a.md"], "3");
        let pinned = world.side_with(|options| options.reference = Some(first))?;
        let listed = world.list(&pinned).await?;
        assert_eq!(world.files(&listed.manifest)["a.md"], "1");
        let nowhere = world.side_with(|options| options.reference = Some("1".repeat(40)))?;
        let error = world.list(&nowhere).await.unwrap_err();
        assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_of_old_does_not_give_by_its_id_comes_with_its_refs() -> TestResult {
    // Without protocol v2 it gives what a ref names, and what a tag is of is not named.
    let repository = GitRepository::new()?;
    let first = repository.commit("main", &[("a.md", Node::File(b"1"))])?;
    repository.commit("main", &[("a.md", Node::File(b"2"))])?;
    repository.git(&["tag", "-a", "-m", "two", "v2.0", "main"])?;
    repository.commit("main", &[("a.md", Node::File(b"3"))])?;
    let elsewhere = repository.commit("other", &[("a.md", Node::File(b"4"))])?;
    repository.git(&["update-ref", "-d", "refs/heads/other"])?;
    let Some(world) = World::serving(repository, false)? else {
        return Ok(());
    };
    let of = |name: &str| {
        let name = name.to_owned();
        world.side_with(|options| options.reference = Some(name))
    };
    for (name, text) in [("v2.0", "2"), ("main", "3"), ("latest", "2"), (&first, "1")] {
        let listed = world.list(&of(name)?).await?;
        assert_eq!(world.files(&listed.manifest)["a.md"], text, "{name}");
    }
    for id in [elsewhere, "1".repeat(40)] {
        let error = world.list(&of(&id)?).await.unwrap_err();
        assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
        assert!(error.to_string().contains(&id), "{error}");
    }
    // Nothing of the remote's refs is left here.
    assert!(!world.mirror()?.join("refs/incoming").exists());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_that_no_server_has_is_not_found() -> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    world.commit(&[("a.md", Node::File(b"1"))])?;
    let nowhere = world.side_with(|options| options.reference = Some("1".repeat(40)))?;
    let error = world.list(&nowhere).await.unwrap_err();
    assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
    Ok(())
}
