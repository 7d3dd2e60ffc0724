//! Every way to a repository, and what is said of one that leads nowhere.

use std::net::TcpListener;

use homing_core::{Listing, Side, SideError};
use homing_side_git::SshConnections;
use testkit::{GitDaemon, GitHttp, GitRepository, GitSsh, NginxOptions, Node};

use crate::support::{TestResult, World, login, put, repository};

/// Has a repository at an sshd, for somebody who may come in and knows the host.
fn over_ssh(server: &GitSsh, repository: GitRepository) -> anyhow::Result<World> {
    let url = server.url(repository.path())?;
    let world = World::at(repository, url)?;
    world.configure(&format!("[core]\nsshCommand = {}\n", server.command()?))?;
    Ok(world)
}

#[tokio::test(flavor = "multi_thread")]
async fn over_ssh_one_connection_serves_all_commands() -> TestResult {
    let Some(server) = GitSsh::start()? else {
        return Ok(());
    };
    let world = over_ssh(&server, repository()?)?;
    let connections = SshConnections::new(&world.home.path().join("ssh"));
    let side = world.side_with(|options| options.connections = connections.clone())?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    let again = world
        .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
        .await?;
    assert!(matches!(again, Listing::Unchanged(_)));
    assert_eq!(server.connections()?, 1);
    // At the end nobody is left who would keep it.
    connections.end().await;
    assert_eq!(std::fs::read_dir(world.home.path().join("ssh"))?.count(), 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn two_names_of_a_host_have_connections_of_their_own() -> TestResult {
    let Some(server) = GitSsh::start()? else {
        return Ok(());
    };
    let repository = repository()?;
    // The server takes the key that belongs to the one name, and not that of the other.
    let command = server.command_of_aliases(&[("one", "user"), ("two", "other_host")])?;
    let path = repository.path().display().to_string();
    let mut world = World::at(repository, format!("one:{path}"))?;
    world.configure(&format!("[core]\nsshCommand = {command}\n"))?;
    let connections = SshConnections::new(&world.home.path().join("ssh"));
    let with = |world: &World| world.side_with(|options| options.connections = connections.clone());
    world.list(&with(&world)?).await?;
    world.url = format!("two:{path}");
    let error = world.list(&with(&world)?).await.unwrap_err();
    assert!(matches!(error, SideError::Auth { .. }), "{error:?}");
    connections.end().await;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_host_key_and_a_wrong_key_are_told_apart() -> TestResult {
    let Some(server) = GitSsh::start()? else {
        return Ok(());
    };
    let world = over_ssh(&server, repository()?)?;
    let plain = || world.side_with(|options| options.connections = SshConnections::default());
    server.change_host_key()?;
    let error = world.list(&plain()?).await.unwrap_err();
    assert!(matches!(error, SideError::Untrusted { .. }), "{error:?}");
    assert!(error.to_string().contains("known_hosts"), "{error}");
    let server = GitSsh::start()?.expect("there is one");
    let world = over_ssh(&server, world.repository)?;
    server.lock()?;
    let side = world.side_with(|options| options.connections = SshConnections::default())?;
    let error = world.list(&side).await.unwrap_err();
    assert!(matches!(error, SideError::Auth { .. }), "{error:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn git_has_a_server_of_its_own() -> TestResult {
    let repository = repository()?;
    let server = GitDaemon::start(repository.path())?;
    let url = server.url(repository.path())?;
    let world = World::at(repository, url)?;
    let listed = world.list(&world.side()?).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn over_tls_with_a_ca_of_its_own() -> TestResult {
    let options = NginxOptions {
        tls: true,
        ..NginxOptions::default()
    };
    let Some(server) = GitHttp::start(&options, true)? else {
        return Ok(());
    };
    let repository = repository()?;
    let url = server.serve("agents.git", repository.path())?;
    let world = World::at(repository, url)?;
    let error = world.list(&world.side()?).await.unwrap_err();
    assert!(error.to_string().contains("ca_file"), "{error}");
    let side = world.trusting(&server.ca_file())?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn credentials_come_from_the_configuration_or_from_gits_helpers() -> TestResult {
    let options = NginxOptions {
        login: Some(("ann", "s3cret")),
        ..NginxOptions::default()
    };
    for speaks_v2 in [true, false] {
        let Some(server) = GitHttp::start(&options, speaks_v2)? else {
            return Ok(());
        };
        let repository = repository()?;
        let url = server.serve("agents.git", repository.path())?;
        let world = World::at(repository, url)?;
        // Nobody knows any.
        let error = world.list(&world.side()?).await.unwrap_err();
        assert!(matches!(error, SideError::Auth { .. }), "{error:?}");
        // The configuration does.
        let side = world.side_with(|options| options.login = Some(login("s3cret")))?;
        assert_eq!(world.list(&side).await?.manifest.items.len(), 1);
        let side = world.side_with(|options| options.login = Some(login("wr0ng")))?;
        let error = world.list(&side).await.unwrap_err();
        assert!(matches!(error, SideError::Auth { .. }), "{error:?}");
        assert!(!format!("{error:?}").contains("wr0ng"), "{error:?}");
        // A helper of the user's does, and hears whether it was right.
        let home = world.home.path().display();
        let helper = |password: &str| {
            format!(
                "[credential]\nhelper = \"!f() {{ cat > /dev/null; echo $1 >> {home}/asked; test $1 = get && printf 'username=ann\\npassword={password}\\n'; }}; f\"\n"
            )
        };
        world.configure(&helper("s3cret"))?;
        let side = world.side()?;
        let listed = world.list(&side).await?;
        assert_eq!(listed.manifest.items.len(), 1);
        let asked = std::fs::read_to_string(world.home.path().join("asked"))?;
        assert!(asked.contains("get\nstore"), "{asked}");
        server.requests()?;
        let again = world
            .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
            .await?;
        assert!(matches!(again, Listing::Unchanged(_)));
        if speaks_v2 {
            assert_eq!(server.requests()?.len(), 1);
        }
        world.configure(&helper("wr0ng"))?;
        std::fs::remove_file(world.home.path().join("asked"))?;
        let error = world.list(&world.side()?).await.unwrap_err();
        assert!(matches!(error, SideError::Auth { .. }), "{error:?}");
        let asked = std::fs::read_to_string(world.home.path().join("asked"))?;
        assert!(asked.contains("erase"), "{asked}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_leads_nowhere_has_its_own_kind() -> TestResult {
    let nobody = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let missing = tempfile::tempdir()?.path().join("gone");
    for (url, is_expected) in [
        (
            format!("http://{nobody}/a.git"),
            (|error| matches!(error, SideError::Unreachable { .. })) as fn(&SideError) -> bool,
        ),
        (format!("git://{nobody}/a.git"), |error| {
            matches!(error, SideError::Unreachable { .. })
        }),
        (format!("ssh://x@{nobody}/a.git"), |error| {
            matches!(error, SideError::Unreachable { .. })
        }),
        ("https://homing-test.invalid/a.git".to_owned(), |error| {
            matches!(error, SideError::Unreachable { .. })
        }),
        ("ssh://x@homing-test.invalid/a.git".to_owned(), |error| {
            matches!(error, SideError::Unreachable { .. })
        }),
        (missing.display().to_string(), |error| {
            matches!(error, SideError::NotFound { .. })
        }),
    ] {
        let world = World::at(GitRepository::new()?, url.clone())?;
        let error = world.list(&world.side()?).await.unwrap_err();
        assert!(is_expected(&error), "{url}: {error:?}");
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_that_the_user_rewrites_is_followed() -> TestResult {
    let repository = repository()?;
    let place = repository
        .path()
        .parent()
        .expect("a parent")
        .display()
        .to_string();
    let name = repository
        .path()
        .file_name()
        .expect("a name")
        .to_string_lossy()
        .into_owned();
    let world = World::at(repository, format!("https://git.example.invalid/{name}"))?;
    world.configure(&format!(
        "[url \"file://{place}/\"]\ninsteadOf = https://git.example.invalid/\n"
    ))?;
    let listed = world.list(&world.side()?).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    // The side notices when that is no longer so.
    let side = world.side()?;
    world.list(&side).await?;
    world.configure(
        "[url \"file:///nowhere-at-all/\"]\ninsteadOf = https://git.example.invalid/\n",
    )?;
    let error = world.list(&side).await.unwrap_err();
    assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_asked_about_a_host_that_is_not_known() -> TestResult {
    let Some(server) = GitSsh::start()? else {
        return Ok(());
    };
    let world = over_ssh(&server, repository()?)?;
    let command = server.command()?.replace("known_hosts", "unknown_hosts");
    world.configure(
        &format!("[core]\nsshCommand = X=1 \"ssh\" {}\n", &command[4..]).replace('"', "'"),
    )?;
    let error = world.list(&world.side()?).await.unwrap_err();
    assert!(matches!(error, SideError::Untrusted { .. }), "{error:?}");
    assert_eq!(server.connections()?, 0);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_that_gets_no_options_is_told_of() -> TestResult {
    let Some(server) = GitSsh::start()? else {
        return Ok(());
    };
    let world = over_ssh(&server, repository()?)?;
    assert_eq!(world.side()?.examine().await?.notes.len(), 1);
    let script = world.home.path().join("wrapper");
    put(
        &script,
        &format!("#!/bin/sh\nexec {} \"$@\"\n", server.command()?),
    )?;
    std::fs::set_permissions(&script, std::os::unix::fs::PermissionsExt::from_mode(0o755))?;
    world.configure(&format!("[core]\nsshCommand = {}\n", script.display()))?;
    let notes = world.side()?.examine().await?.notes;
    assert!(
        notes[1].contains("wrapper") && notes[1].contains("BatchMode"),
        "{notes:?}"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn gits_own_server_says_what_it_does_not_serve() -> TestResult {
    let repository = repository()?;
    let server = GitDaemon::start(repository.path())?;
    let url = server.url(&repository.path().with_extension("other"))?;
    let world = World::at(repository, url)?;
    let error = world.list(&world.side()?).await.unwrap_err();
    assert!(matches!(error, SideError::NotFound { .. }), "{error:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_git_of_this_machine_does() -> TestResult {
    for git in testkit::gits()? {
        let Some(world) = World::over_http()? else {
            return Ok(());
        };
        world.commit(&[("a.md", Node::File(b"a")), ("b/c.md", Node::File(b"c"))])?;
        let path = std::env::join_paths([git.as_path(), "/usr/bin".as_ref(), "/bin".as_ref()])?;
        let nearby = format!("file://{}", world.repository.path().display());
        let nearby = World::at(GitRepository::new()?, nearby)?;
        for world in [&world, &nearby] {
            let side = world.side_with(|options| {
                options.environment[0].1.clone_from(&path);
                options.path = Some("b".to_owned());
            })?;
            let listed = world.list(&side).await?;
            assert_eq!(world.files(&listed.manifest)["c.md"], "c", "{git:?}");
            let again = world
                .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
                .await?;
            assert!(matches!(again, Listing::Unchanged(_)), "{git:?}");
            assert_eq!(side.examine().await?.files, 1, "{git:?}");
        }
    }
    Ok(())
}
