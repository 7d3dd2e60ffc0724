//! Contents that lie beside the repository.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context, Result};
use homing_core::{
    ContentHash, Contents, FetchRequest, ItemKey, Limits, Listing, ProblemKind, Progress, Side,
    UnknownReason,
};
use testkit::{GitHttp, GitRepository, MemoryContents, NginxOptions, Node, skipped};

use crate::support::{TestResult, World, login, put};

/// Tells, visibly, whether there is a `git-lfs`.
fn is_there() -> bool {
    let mut version = Command::new("git");
    version
        .args(["lfs", "version"])
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    let is_there = version.status().is_ok_and(|status| status.success());
    if !is_there {
        skipped("there is no `git-lfs` on this machine");
    }
    is_there
}

fn pointer(content: &str) -> String {
    let (hash, size) = (ContentHash::of(content.as_bytes()), content.len());
    format!("version https://git-lfs.github.com/spec/v1\noid sha256:{hash}\nsize {size}\n")
}

/// Puts a content beside a repository, as a pointer to `named` finds it.
fn put_beside(repository: &Path, named: &str, content: &str) -> TestResult {
    let name = ContentHash::of(named.as_bytes()).to_string();
    let directory = repository
        .join("lfs/objects")
        .join(&name[..2])
        .join(&name[2..4]);
    fs::create_dir_all(&directory)?;
    put(&directory.join(name), content)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_pointer_names_is_taken_over_in_its_place() -> TestResult {
    if !is_there() {
        return Ok(());
    }
    let world = World::of(GitRepository::new()?)?;
    put_beside(world.repository.path(), "large", "large")?;
    world.commit(&[
        ("a.md", Node::File(b"a")),
        ("x/large.bin", Node::Executable(pointer("large").as_bytes())),
    ])?;
    let side = world.side()?;
    let first = world.list(&side).await?;
    assert!(first.manifest.problems.is_empty() && first.shortfall.is_none());
    assert_eq!(world.files(&first.manifest)["x/large.bin"], "large");
    let key = ItemKey::new("x/large.bin")?;
    let item = first.manifest.items[&key].clone();
    assert!(item.executable && item.size == 5, "{item:?}");
    // It is known by its pointer: where that only moves, nothing is fetched, nor was it kept here.
    fs::remove_dir_all(world.repository.path().join("lfs"))?;
    world.commit(&[
        ("x/large.bin", Node::Gone),
        ("moved.bin", Node::File(pointer("large").as_bytes())),
    ])?;
    let since = first.revision.as_ref();
    let second = world
        .ask(&side, Some(&first.manifest), since)
        .await?
        .whole()?;
    assert_eq!(world.files(&second.manifest)["moved.bin"], "large");
    // A content that was lost comes again.
    put_beside(world.repository.path(), "large", "large")?;
    let requests = vec![FetchRequest::new(&ItemKey::new("moved.bin")?, &item)];
    let contents: Arc<dyn Contents> = Arc::new(MemoryContents::default());
    let fetched = side
        .fetch(requests, contents.clone(), Progress::default())
        .await;
    assert!(
        fetched[0].is_ok() && contents.open(&item.hash).is_ok(),
        "{fetched:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_had_fails_and_what_is_too_large_is_told() -> TestResult {
    if !is_there() {
        return Ok(());
    }
    let world = World::of(GitRepository::new()?)?;
    for (named, content) in [("good", "good"), ("short", "shor"), ("wrong", "WRONG")] {
        put_beside(world.repository.path(), named, content)?;
    }
    let pointers =
        ["good", "short", "wrong", "absent", "much too large"].map(|it| (it, pointer(it)));
    let files: Vec<(&str, Node<'_>)> = pointers
        .iter()
        .map(|(path, text)| (*path, Node::File(text.as_bytes())))
        .collect();
    world.commit(&files)?;
    let side = world.side_with(|options| {
        options.limits = Limits {
            // A pointer is longer than what it names here.
            max_file_size: 140,
            ..Limits::default()
        };
    })?;
    let large = "x".repeat(200);
    world.commit(&[("large", Node::File(pointer(&large).as_bytes()))])?;
    let listed = world.list(&side).await?;
    assert_eq!(
        world.files(&listed.manifest).keys().collect::<Vec<_>>(),
        ["good"]
    );
    assert!(listed.shortfall.is_some());
    for path in ["short", "wrong", "absent", "much too large"] {
        let reason = &listed.manifest.unknown[path];
        assert!(
            matches!(reason, UnknownReason::NotFetched(_)),
            "{path}: {reason:?}"
        );
    }
    let reason = &listed.manifest.unknown["large"];
    assert!(matches!(reason, UnknownReason::OverLimit(_)), "{reason:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn without_git_lfs_a_pointer_is_told_and_no_content() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    put_beside(world.repository.path(), "large", "large")?;
    world.commit(&[
        ("a.md", Node::File(b"a")),
        ("large.bin", Node::File(pointer("large").as_bytes())),
    ])?;
    let programs = world.home.path().join("programs");
    fs::create_dir(&programs)?;
    let path = std::env::var_os("PATH").context("there is a PATH")?;
    let git = std::env::split_paths(&path)
        .map(|way| way.join("git"))
        .find(|git| git.is_file());
    symlink(git.context("there is a git")?, programs.join("git"))?;
    let side = world.side_with(|options| {
        for (name, value) in &mut options.environment {
            if name == "PATH" {
                *value = programs.clone().into();
            }
        }
    })?;
    let listed = world.list(&side).await?;
    assert_eq!(
        world.files(&listed.manifest).keys().collect::<Vec<_>>(),
        ["a.md"]
    );
    let problem = listed.manifest.problems.first().context("it is told")?;
    assert_eq!(
        (problem.kind, problem.path.as_str()),
        (ProblemKind::Link, "large.bin")
    );
    assert!(listed.shortfall.is_none());
    // As soon as there is one, it is fetched, though nothing was committed.
    let since = listed.revision.as_ref();
    let again = world.ask(&side, Some(&listed.manifest), since).await?;
    assert!(matches!(again, Listing::Unchanged(_)));
    if !is_there() {
        return Ok(());
    }
    let side = world.side()?;
    let listed = world
        .ask(&side, Some(&listed.manifest), since)
        .await?
        .whole()?;
    assert_eq!(world.files(&listed.manifest)["large.bin"], "large");
    let since = listed.revision.as_ref();
    let again = world.ask(&side, Some(&listed.manifest), since).await?;
    assert!(matches!(again, Listing::Unchanged(_)));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_fetched_than_a_pointer_says() -> TestResult {
    if !is_there() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let content = "little";
    let much = directory
        .path()
        .join(ContentHash::of(content.as_bytes()).to_string());
    fs::File::create(&much)?.set_len(64 << 20)?;
    let options = NginxOptions {
        directives: batch("$http_host", &[content])
            + &format!(
                "location /large/ {{ alias {}/; }}\n",
                directory.path().display()
            ),
        ..NginxOptions::default()
    };
    let Some(server) = GitHttp::start(&options, true)? else {
        return Ok(());
    };
    let repository = GitRepository::new()?;
    let url = server.serve("agents.git", repository.path())?;
    let world = World::at(repository, url)?;
    world.commit(&[("little.bin", Node::File(pointer(content).as_bytes()))])?;
    let listed = world.list(&world.side()?).await?;
    let reason = listed.manifest.unknown["little.bin"].to_string();
    assert!(reason.contains("more than the pointers say"), "{reason}");
    assert!(!world.mirror()?.join("lfs").exists());
    Ok(())
}

/// Returns what has a server answer that these are there, at `/large/` of a host.
fn batch(host: &str, contents: &[&str]) -> String {
    let object = |content: &&str| {
        let (oid, size) = (ContentHash::of(content.as_bytes()), content.len());
        format!(
            "{{\"oid\":\"{oid}\",\"size\":{size},\"actions\":{{\"download\":{{\"href\":\"http://{host}/large/{oid}\"}}}}}}"
        )
    };
    let objects: Vec<String> = contents.iter().map(object).collect();
    format!(
        "location = /git/agents.git/info/lfs/objects/batch {{ default_type application/vnd.git-lfs+json;\n\
         return 200 '{{\"transfer\":\"basic\",\"objects\":[{}]}}'; }}\n",
        objects.join(",")
    )
}

/// Returns what has a server serve contents at `/large/`, and puts them where it looks.
fn large(directory: &Path, contents: &[&str]) -> Result<String> {
    for content in contents {
        put(
            &directory.join(ContentHash::of(content.as_bytes()).to_string()),
            content,
        )?;
    }
    Ok(format!(
        "location /large/ {{ alias {}/; }}\n",
        directory.display()
    ))
}

#[tokio::test(flavor = "multi_thread")]
async fn over_http_the_repository_has_no_say_and_the_token_stays_there() -> TestResult {
    if !is_there() {
        return Ok(());
    }
    let directory = tempfile::tempdir()?;
    let contents = ["one", "two", "elsewhere"];
    let elsewhere = NginxOptions {
        login: Some(("bob", "other")),
        directives: large(directory.path(), &contents)?,
        ..NginxOptions::default()
    };
    let Some(strange) = GitHttp::start(&elsewhere, true)? else {
        return Ok(());
    };
    let repository = GitRepository::new()?;
    let strange_url = strange.serve("strange.git", repository.path())?;
    let strange_host = url::Url::parse(&strange_url)?;
    let strange_host = strange_host.authority().to_owned();
    // One of them is said to be at the other server, which wants to know who asks.
    let answer = batch("$http_host", &["one", "two"]);
    let options = NginxOptions {
        login: Some(("ann", "s3cret")),
        directives: answer.clone() + &elsewhere.directives,
        ..NginxOptions::default()
    };
    let Some(own) = GitHttp::start(&options, true)? else {
        return Ok(());
    };
    let url = own.serve("agents.git", repository.path())?;
    let world = World::at(repository, url)?;
    let config = format!("[lfs]\n\turl = http://{strange_host}/git/agents.git/info/lfs\n");
    world.commit(&[
        (".lfsconfig", Node::File(config.as_bytes())),
        ("one.bin", Node::File(pointer("one").as_bytes())),
        ("two.bin", Node::File(pointer("two").as_bytes())),
    ])?;
    let side = world.side_with(|options| options.login = Some(login("s3cret")))?;
    let listed = world.list(&side).await?;
    let files = world.files(&listed.manifest);
    assert_eq!(
        (files["one.bin"].as_str(), files["two.bin"].as_str()),
        ("one", "two")
    );
    assert!(
        own.requests()?
            .iter()
            .any(|one| one.path.starts_with("/large/"))
    );
    assert_eq!(strange.requests()?, []);
    let since = listed.revision.as_ref();
    let again = world.ask(&side, Some(&listed.manifest), since).await?;
    assert!(matches!(again, Listing::Unchanged(_)));
    assert_eq!(own.requests()?.len(), 1);
    // A server that leads elsewhere does not lead the token there.
    let leading = NginxOptions {
        directives: batch(&strange_host, &["elsewhere"]),
        ..options
    };
    let Some(leading) = GitHttp::start(&leading, true)? else {
        return Ok(());
    };
    let url = leading.serve("agents.git", world.repository.path())?;
    world.commit(&[("three.bin", Node::File(pointer("elsewhere").as_bytes()))])?;
    let side = world.side_with(|options| {
        options.login = Some(login("s3cret"));
        options.address = homing_side_git::Address::parse(&url).expect("it is an address");
    })?;
    let listed = world
        .ask(&side, Some(&listed.manifest), None)
        .await?
        .whole()?;
    assert!(listed.shortfall.is_some(), "{listed:?}");
    let asked = strange.requests()?;
    assert!(
        !asked.is_empty() && !asked.iter().any(|one| one.has_credentials),
        "{asked:?}"
    );
    Ok(())
}
