//! What only the user's own Git knows, and where a secret goes.

use std::io::Write;
use std::net::SocketAddr;

use homing_core::{Listing, SideError};
use testkit::{ForwardProxy, GitHttp, GitRepository, NginxOptions, RawServer};

use crate::support::{TestResult, World, login, put, repository};

const LOGIN: NginxOptions = NginxOptions {
    login: Some(("ann", "s3cret")),
    tls: false,
    directives: String::new(),
};
const REFUSAL: &str = "HTTP/1.1 401 Unauthorized\r\nwww-authenticate: Basic realm=\"x\"\r\ncontent-length: 0\r\n\
                       connection: close\r\n\r\n";

fn has_secret(request: &[String]) -> bool {
    request
        .iter()
        .any(|line| line.to_ascii_lowercase().starts_with("authorization:"))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_goes_to_no_server_that_another_one_leads_to() -> TestResult {
    for asks_first in [false, true] {
        let other = RawServer::sending(REFUSAL)?;
        let address = other.address();
        let first = RawServer::start(move |request, stream| {
            let path = request[0].split(' ').nth(1).unwrap_or_default();
            let answer = if asks_first && !has_secret(request) {
                REFUSAL.to_owned()
            } else {
                format!(
                    "HTTP/1.1 302 Found\r\nlocation: http://{address}{path}\r\ncontent-length: 0\r\n\
                     connection: close\r\n\r\n"
                )
            };
            stream.write_all(answer.as_bytes()).ok();
        })?;
        let world = World::at(GitRepository::new()?, first.url("agents.git"))?;
        let side = world.side_with(|options| options.login = Some(login("s3cret")))?;
        let error = world.list(&side).await.unwrap_err();
        assert!(matches!(error, SideError::Untrusted { .. }), "{error:?}");
        let requests = other.requests();
        assert!(!requests.iter().any(|one| has_secret(one)), "{requests:?}");
        assert!(first.requests().iter().any(|one| has_secret(one)));
    }
    Ok(())
}

/// Lists twice; the second time Git is asked alone, for nobody else would be told anything.
async fn expect_git_to_ask(world: &World, server: &GitHttp) -> TestResult {
    let side = world.side()?;
    let listed = world.list(&side).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    server.requests()?;
    let again = world
        .ask(&side, Some(&listed.manifest), listed.revision.as_ref())
        .await?;
    assert!(matches!(again, Listing::Unchanged(_)));
    let requests = server.requests()?;
    assert!(!requests.is_empty());
    let first = &requests[0].path;
    assert!(first.contains("info/refs"), "{requests:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_git_finds_in_a_netrc_or_sends_in_a_header_lets_it_in() -> TestResult {
    let Some(server) = GitHttp::start(&LOGIN, true)? else {
        return Ok(());
    };
    let served = repository()?;
    let url = server.serve("agents.git", served.path())?;
    let world = World::at(GitRepository::new()?, url.clone())?;
    put(
        &world.home.path().join(".netrc"),
        "machine 127.0.0.1\nlogin ann\npassword s3cret\n",
    )?;
    expect_git_to_ask(&world, &server).await?;
    // The side asks by itself again when the configuration is another one.
    let side = world.side()?;
    world.list(&side).await?;
    world.configure("[core]\nsshCommand = ssh\n")?;
    server.requests()?;
    world.list(&side).await?;
    assert_eq!(server.requests()?[0].status, 401);

    let world = World::at(GitRepository::new()?, url)?;
    world.configure("[http]\nextraHeader = Authorization: Basic YW5uOnMzY3JldA==\n")?;
    expect_git_to_ask(&world, &server).await?;
    // What the configuration names counts alone.
    let side = world.side_with(|options| options.login = Some(login("wr0ng")))?;
    let error = world.list(&side).await.unwrap_err();
    assert!(matches!(error, SideError::Auth { .. }), "{error:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_only_git_trusts_is_trusted() -> TestResult {
    let options = NginxOptions {
        tls: true,
        ..NginxOptions::default()
    };
    let Some(server) = GitHttp::start(&options, true)? else {
        return Ok(());
    };
    let served = repository()?;
    let url = server.serve("agents.git", served.path())?;
    let world = World::at(GitRepository::new()?, url)?;
    world.configure(&format!(
        "[http]\nsslCAInfo = {}\n",
        server.ca_file().display()
    ))?;
    expect_git_to_ask(&world, &server).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_that_only_git_knows_is_used() -> TestResult {
    let Some(server) = GitHttp::start(&NginxOptions::default(), true)? else {
        return Ok(());
    };
    let served = repository()?;
    let url = server.serve("agents.git", served.path())?;
    let (_, path) = url.split_once("/git/").expect("it has a path");
    let authority = url.trim_start_matches("http://").split('/').next();
    let address: SocketAddr = authority.expect("a host").parse()?;
    // Only the proxy knows the way.
    let name = "git.homing-test.invalid";
    let proxy = ForwardProxy::start(&[(name, address)])?;
    let world = World::at(GitRepository::new()?, format!("http://{name}/git/{path}"))?;
    let error = world.list(&world.side()?).await.unwrap_err();
    assert!(matches!(error, SideError::Unreachable { .. }), "{error:?}");
    world.configure(&format!("[http]\nproxy = http://{}\n", proxy.address()))?;
    expect_git_to_ask(&world, &server).await?;
    assert!(!proxy.take_requests().is_empty());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_is_led_elsewhere_once_and_never_to_one_that_is_refused() -> TestResult {
    let Some(server) = GitHttp::start(&NginxOptions::default(), false)? else {
        return Ok(());
    };
    let served = repository()?;
    let url = server.serve("agents.git", served.path())?;
    let (base, _) = url.rsplit_once('/').expect("it has a path");
    let world = World::at(
        GitRepository::new()?,
        "https://git.example.invalid/agents.git".to_owned(),
    )?;
    // What it leads to would itself be led on.
    world.configure(&format!(
        "[url \"{base}/\"]\ninsteadOf = https://git.example.invalid/\n[url \"file:///nowhere/\"]\ninsteadOf = {base}/\n"
    ))?;
    let listed = world.list(&world.side()?).await?;
    assert_eq!(world.files(&listed.manifest)["a.md"], "a");
    world.configure(
        "[url \"https://ann:s3cret@git.example.invalid/\"]\ninsteadOf = https://git.example.invalid/\n",
    )?;
    let error = world.list(&world.side()?).await.unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, SideError::Config { .. }), "{error:?}");
    assert!(
        text.contains("insteadOf") && !text.contains("s3cret"),
        "{text}"
    );
    Ok(())
}
