//! Mirrors of nobody go, old revisions lose their names, and what is published stays readable without the remote.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::time::Duration;

use anyhow::Context;
use homing_side_git::{Address, Keep, Mirrors, Tidied};
use testkit::{GitRepository, Node};

use crate::support::{TestResult, World};

const DAY: Duration = Duration::from_hours(24);

pub(crate) async fn tidy(
    world: &World,
    addresses: &[&str],
    published: &[&str],
    others: Duration,
) -> anyhow::Result<Tidied> {
    let path = std::env::var_os("PATH").context("there is a PATH")?;
    let home = world.home.path();
    let environment: [(OsString, OsString); 2] =
        [("PATH".into(), path), ("HOME".into(), home.into())];
    let addresses: Result<Vec<_>, _> = addresses.iter().map(|url| Address::parse(url)).collect();
    let revisions: BTreeSet<String> = published.iter().map(|id| (*id).to_owned()).collect();
    let keep = Keep {
        environment: &environment,
        addresses: &addresses?,
        revisions: &revisions,
        others,
    };
    Ok(Mirrors::new(home.join("mirrors")).tidy(&keep).await?)
}

/// Returns the names of the files of all mirrors that have this ending.
fn files(world: &World, ending: &str) -> anyhow::Result<Vec<String>> {
    let mut found = Vec::new();
    let mut waiting = vec![world.home.path().join("mirrors")];
    while let Some(directory) = waiting.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                waiting.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path.display().to_string());
            }
        }
    }
    Ok(found)
}

#[tokio::test(flavor = "multi_thread")]
async fn old_revisions_go_with_what_only_they_had() -> TestResult {
    // Of a subdirectory the mirror is partial, where the server can do that.
    for path in [None, Some("kept")] {
        let Some(world) = World::over_http()? else {
            return Ok(());
        };
        let side = world.side_with(|options| options.path = path.map(str::to_owned))?;
        let mut ids = Vec::new();
        for text in ["one\n", "two\n", "three\n"] {
            let node = Node::File(text.as_bytes());
            ids.push(world.commit(&[("kept/a.md", node), ("other/b.md", node)])?);
            world.list(&side).await?;
        }
        let url = world.url.as_str();
        let last = ids[2].as_str();
        // Everything is younger than that.
        let nothing = tidy(&world, &[url], &[last], DAY).await?;
        assert_eq!(nothing, Tidied::default());
        let tidied = tidy(&world, &[url], &[last], Duration::ZERO).await?;
        assert_eq!((tidied.removed, tidied.forgotten, tidied.packed), (0, 2, 1));
        assert_eq!(files(&world, ".pack")?.len(), 1, "{path:?}");
        assert!(files(&world, &ids[0])?.is_empty());
        // What is published is read from the mirror: the revision is not fetched again.
        world.requests()?;
        let another = world.side_with(|options| options.path = path.map(str::to_owned))?;
        let read = world.files(&world.list(&another).await?.manifest);
        assert!(
            read.values().all(|text| text == "three\n") && !read.is_empty(),
            "{read:?}"
        );
        assert_eq!(world.requests()?.len(), 1, "{path:?}");
        // And the next commit comes as ever.
        world.commit(&[("kept/a.md", Node::File(b"four\n"))])?;
        let read = world.files(&world.list(&side).await?.manifest);
        assert!(read.values().any(|text| text == "four\n"), "{read:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_nobody_reads_goes() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let id = world.commit(&[("a.md", Node::File(b"a\n"))])?;
    let side = world.side()?;
    world.list(&side).await?;
    let kept = tidy(&world, &[&world.url], &[&id], Duration::ZERO).await?;
    assert_eq!(kept, Tidied::default());
    let gone = tidy(&world, &[], &[], DAY).await?;
    assert_eq!(gone.removed, 1);
    assert!(files(&world, "HEAD")?.is_empty());
    // Whoever comes back makes it anew.
    assert_eq!(world.list(&side).await?.revision.unwrap().name, id);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn one_broken_mirror_keeps_nobody_from_looking_after_the_others() -> TestResult {
    let broken = World::of(GitRepository::new()?)?;
    let (mut names, mut urls) = (Vec::new(), Vec::new());
    let mut repositories = Vec::new();
    for text in ["a", "b", "c"] {
        let repository = GitRepository::new()?;
        repository.commit("main", &[("a.md", Node::File(text.as_bytes()))])?;
        let url = format!("file://{}", repository.path().display());
        let side = broken.side_with(|options| {
            options.address = Address::parse(&url).expect("an address");
        })?;
        let id = broken.list(&side).await?.revision.unwrap().name;
        repository.commit("main", &[("a.md", Node::File(b"new"))])?;
        broken.list(&side).await?;
        names.push(files(&broken, &id)?.remove(0));
        urls.push(url);
        repositories.push(repository);
    }
    let mut mirrors: Vec<_> = fs::read_dir(broken.home.path().join("mirrors"))?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()?;
    mirrors.sort();
    crate::support::put(&mirrors[0].join("config"), "[broken")?;
    // Somebody was killed while another one took its place.
    let aside = mirrors[1].with_extension("git.old");
    fs::create_dir(&aside)?;
    let gone = mirrors[0].with_file_name("0000.git.new");
    fs::create_dir(&gone)?;
    let urls: Vec<&str> = urls.iter().map(String::as_str).collect();
    let tidied = tidy(&broken, &urls, &[], Duration::ZERO).await?;
    assert_eq!(tidied.failures.len(), 1, "{tidied:?}");
    assert!(tidied.failures[0].contains("config"), "{tidied:?}");
    assert_eq!((tidied.forgotten, tidied.packed, tidied.removed), (4, 2, 0));
    assert!(!aside.exists() && !gone.exists());
    let kept = names
        .iter()
        .filter(|name| fs::exists(name).is_ok_and(|it| it));
    assert_eq!(kept.count(), 1);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_fetches_is_in_packs() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let side = world.side()?;
    for number in 0..3 {
        world.commit(&[("a.md", Node::File(number.to_string().as_bytes()))])?;
        world.list(&side).await?;
    }
    assert_eq!(files(&world, ".pack")?.len(), 3);
    Ok(())
}
