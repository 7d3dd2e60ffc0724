//! Repositories and servers that do what they must not, or cannot be taken whole.

use std::io::Read;
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use homing_core::{Limits, SideError};
use homing_remote::ClientOptions;
use homing_side_git::Address;
use testkit::{GitRepository, Node, RawServer};

use crate::support::{TestResult, World, put};

#[tokio::test(flavor = "multi_thread")]
async fn hostile_names_are_told_and_the_rest_is_read() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let blob = world.repository.blob(b"x")?;
    let inner = world
        .repository
        .literal_tree(&[("100644", b"config", &blob)])?;
    let names: [&[u8]; 10] = [
        "rtl\u{202e}dm.exe".as_bytes(),
        "a\u{200b}.md".as_bytes(),
        b"..",
        b"a\nb",
        b"a\\b",
        b"C:x",
        b"con\x01trol",
        b"\xff\xfe",
        b"CASE.md",
        b"case.md",
    ];
    let mut lines: Vec<(&str, &[u8], &str)> = names
        .iter()
        .map(|name| ("100644", *name, blob.as_str()))
        .collect();
    lines.push(("40000", b".git", &inner));
    lines.push(("40000", b".GIT", &inner));
    lines.push(("100644", b"good.md", &blob));
    let tree = world.repository.literal_tree(&lines)?;
    world.repository.commit_tree("main", &tree)?;
    let listed = world.list(&world.side()?).await?;
    let keys: Vec<&str> = listed
        .manifest
        .items
        .keys()
        .map(|key| key.as_str())
        .collect();
    assert!(keys.contains(&"good.md"), "{keys:?}");
    for key in keys {
        assert!(
            !key.contains("..") && !key.to_lowercase().contains(".git"),
            "{key}"
        );
        assert!(
            !key.contains(['\n', '\\', '\u{1}', '\u{202e}', '\u{200b}']),
            "{key}"
        );
    }
    assert!(
        listed.manifest.problems.len() >= 9,
        "{:?}",
        listed.manifest.problems
    );
    for problem in &listed.manifest.problems {
        assert!(
            !problem.path.contains('\n') && !problem.path.contains('\u{1}'),
            "{problem:?}"
        );
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_hold_before_anything_is_kept() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let large = vec![0; 32 << 20];
    world.commit(&[
        ("large.bin", Node::File(&large)),
        ("a.md", Node::File(b"a")),
        ("b.md", Node::File(b"b")),
    ])?;
    let listed = world.list(&world.side()?).await?;
    assert_eq!(listed.manifest.items.len(), 2);
    assert!(
        listed
            .manifest
            .problems
            .iter()
            .any(|it| it.path == "large.bin")
    );
    assert_eq!(world.contents.len(), 2);
    let few = world.side_with(|options| {
        options.limits = Limits {
            max_files: 2,
            ..Limits::default()
        };
    })?;
    let error = world.list(&few).await.unwrap_err();
    assert!(matches!(&error, SideError::Untrusted { .. }), "{error:?}");
    assert!(error.to_string().contains("max_files"), "{error}");
    let little = world.side_with(|options| {
        options.limits = Limits {
            max_total_size: 1,
            ..Limits::default()
        };
    })?;
    let error = world.list(&little).await.unwrap_err();
    assert!(error.to_string().contains("max_total_size"), "{error}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_repository_and_one_that_is_replaced() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    let listed = world.list(&world.side()?).await?;
    assert!(listed.manifest.items.is_empty() && listed.revision.is_none());
    assert!(listed.manifest.problems[0].message.contains("no commit"));
    world.commit(&[("a.md", Node::File(b"a"))])?;
    let before = world.list(&world.side()?).await?;
    // Another repository stands there now, with ids of another kind.
    let other = GitRepository::with_format("sha256")?;
    other.commit("main", &[("b.md", Node::File(b"b"))])?;
    let place = world.repository.path().to_owned();
    std::fs::remove_dir_all(&place)?;
    let copied = std::process::Command::new("cp")
        .arg("-r")
        .arg(other.path())
        .arg(&place)
        .status()?;
    assert!(copied.success());
    let after = world
        .ask(
            &world.side()?,
            Some(&before.manifest),
            before.revision.as_ref(),
        )
        .await?
        .whole()?;
    assert_eq!(world.files(&after.manifest)["b.md"], "b");
    Ok(())
}

/// Leads connections on to a server, and breaks the first one off after so many bytes of answers.
fn cutting(server: String, after: u64) -> std::io::Result<SocketAddr> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = listener.local_addr()?;
    drop(thread::spawn(move || {
        let mut most = after;
        for client in listener.incoming().flatten() {
            let upstream = TcpStream::connect(&server).expect("the server is there");
            let (mut asked, mut asks) = (client.try_clone()?, upstream.try_clone()?);
            drop(thread::spawn(move || std::io::copy(&mut asked, &mut asks)));
            let most = std::mem::replace(&mut most, u64::MAX);
            drop(thread::spawn(move || {
                let copied = std::io::copy(&mut (&upstream).take(most), &mut &client);
                client.shutdown(Shutdown::Both).ok();
                upstream.shutdown(Shutdown::Both).ok();
                copied
            }));
        }
        Ok::<_, std::io::Error>(())
    }));
    Ok(address)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_is_cut_off_is_asked_for_again_later_and_leaves_the_mirror_sound()
-> TestResult {
    let Some(world) = World::over_http()? else {
        return Ok(());
    };
    let noise: Vec<u8> = (0..60_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).to_le_bytes())
        .collect();
    world.commit(&[("a.bin", Node::File(&noise))])?;
    let server = world.url.split('/').nth(2).expect("a host").to_owned();
    // In the refs, where the pack begins, and in its middle.
    for after in [100, 700, 100_000] {
        let way = cutting(server.clone(), after)?;
        let address = Address::parse(&format!("http://{way}/git/agents.git"))?;
        let side = world.side_with(|options| options.address = address)?;
        match world.list(&side).await {
            Err(SideError::Transient { .. }) => {}
            // What ends before an answer begins is asked for once more at once, as a kept connection may end.
            Ok(listed) if after < 1_000 => assert_eq!(listed.manifest.items.len(), 1),
            other => panic!("{after}: {other:?}"),
        }
        // The way is whole again, and so is the mirror.
        let listed = world.list(&side).await?;
        assert_eq!(listed.manifest.items.len(), 1);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_never_answers_is_given_up() -> TestResult {
    let silent = RawServer::start(|_, _| thread::park())?;
    let world = World::at(GitRepository::new()?, silent.url("a.git"))?;
    let side = world.side_of_client(ClientOptions {
        answer_timeout: Duration::from_millis(200),
        proxies: false,
        ..ClientOptions::default()
    })?;
    let error = world.list(&side).await.unwrap_err();
    assert!(matches!(error, SideError::Transient { .. }), "{error:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_no_empty_repository() -> TestResult {
    let empty = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let server = RawServer::sending(empty)?;
    let world = World::at(GitRepository::new()?, server.url("a.git"))?;
    let error = world.list(&world.side()?).await.unwrap_err();
    assert!(matches!(error, SideError::Transient { .. }), "{error:?}");
    assert!(error.to_string().contains("with nothing"), "{error}");
    // A real one is empty, whichever version its server speaks.
    for speaks_v2 in [true, false] {
        let Some(world) = World::serving(GitRepository::new()?, speaks_v2)? else {
            return Ok(());
        };
        let listed = world.list(&world.side()?).await?;
        assert!(listed.manifest.items.is_empty() && listed.revision.is_none());
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn programs_that_a_configuration_or_the_environment_names_are_not_run() -> TestResult {
    let world = World::of(GitRepository::new()?)?;
    world.commit(&[
        ("a.md", Node::File(b"a")),
        (".gitattributes", Node::File(b"* filter=evil\n")),
    ])?;
    let home = world.home.path();
    let script = home.join("evil");
    let ran = home.join("ran");
    put(
        &script,
        &format!("#!/bin/sh\ntouch {}\ncat\n", ran.display()),
    )?;
    let hooks = home.join("hooks");
    std::fs::create_dir(&hooks)?;
    for hook in [
        "reference-transaction",
        "post-checkout",
        "pre-auto-gc",
        "post-index-change",
    ] {
        std::fs::copy(&script, hooks.join(hook))?;
    }
    for file in std::fs::read_dir(&hooks)?.map(|entry| entry.map(|entry| entry.path())) {
        let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(file?, executable)?;
    }
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    let (evil, hooks) = (script.display(), hooks.display());
    let configuration = format!(
        "[core]\nhooksPath = {hooks}\nfsmonitor = {evil}\npager = {evil}\n[filter \"evil\"]\nsmudge = {evil}\nclean = {evil}\n\
         process = {evil}\nrequired = true\n"
    );
    world.configure(&configuration)?;
    let side = world.side_with(|options| {
        for (name, value) in [
            ("GIT_DIR", "/nowhere"),
            ("GIT_WORK_TREE", "/nowhere"),
            ("GIT_CONFIG_COUNT", "1"),
            ("GIT_CONFIG_KEY_0", "core.hooksPath"),
            ("GIT_CONFIG_VALUE_0", hooks.to_string().as_str()),
            ("GIT_CONFIG_GLOBAL", "/nowhere"),
            ("GIT_CONFIG_PARAMETERS", "'core.fsmonitor=/nowhere'"),
            ("GIT_EXEC_PATH", "/nowhere"),
            ("GIT_SSH_COMMAND", "/nowhere"),
            ("GIT_OBJECT_DIRECTORY", "/nowhere"),
        ] {
            options.environment.push((name.into(), value.into()));
        }
    })?;
    // A repository around the mirrors is none of ours, whatever its configuration says.
    let init = ["init", "--quiet", home.to_str().expect("a name")];
    world.repository.git(&init)?;
    let elsewhere = "[url \"file:///nowhere/\"]\ninsteadOf = file://\n";
    put(&home.join(".git/config"), elsewhere)?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    assert!(!ran.exists(), "something was run");
    Ok(())
}
