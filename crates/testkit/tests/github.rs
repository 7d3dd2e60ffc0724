//! The emulator answers as GitHub documents it.

use std::time::{Duration, SystemTime};

use anyhow::{Context, Result};
use base64::Engine as _;
use http::Method;
use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper_util::rt::TokioIo;
use serde_json::Value;
use testkit::github::{Effect, Fault, GitHub, Token};
use testkit::{GitRepository, Node};
use tokio::net::TcpStream;

/// An answer as a client sees it.
struct Answer {
    status: u16,
    headers: http::HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name)?.to_str().ok()
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the answer is a document")
    }
}

async fn get(url: &str, headers: &[(&str, &str)]) -> Result<Answer> {
    let rest = url.strip_prefix("http://").context("http")?;
    let (host, path) = rest.split_once('/').context("a path")?;
    let stream = TcpStream::connect(host).await?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
    let mut request = http::Request::builder()
        .method(Method::GET)
        .uri(format!("/{path}"))
        .header("host", host);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let exchange = async move {
        let response = sender
            .send_request(request.body(Empty::<Bytes>::new())?)
            .await?;
        let (parts, body) = response.into_parts();
        let body = body.collect().await?.to_bytes();
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body,
        })
    };
    let (answer, _) = tokio::join!(exchange, connection);
    answer
}

fn upstream() -> Result<(GitHub, GitRepository, String)> {
    let repository = GitRepository::new()?;
    let commit = repository.commit(
        "main",
        &[
            ("README.md", Node::File(b"readme")),
            ("agents/a.md", Node::File(b"agent a")),
            ("agents/run.sh", Node::Executable(b"#!/bin/sh\n")),
            ("agents/link", Node::Link("a.md")),
            ("vendor", Node::Submodule(&"1".repeat(40))),
        ],
    )?;
    let github = GitHub::start()?;
    github.serve("octo/agents", repository.path())?;
    Ok((github, repository, commit))
}

#[tokio::test]
async fn a_commit_is_told_alone_and_answered_304_when_it_is_known() -> Result<()> {
    let (github, repository, commit) = upstream()?;
    let url = format!("{}/repos/octo/agents/commits/main", github.api());
    let accept = ("accept", "application/vnd.github.sha");
    let first = get(&url, &[accept]).await?;
    assert_eq!((first.status, &first.body[..]), (200, commit.as_bytes()));
    let etag = first.header("etag").context("an etag")?.to_owned();
    let known = ("if-none-match", etag.as_str());
    let second = get(&url, &[accept, known]).await?;
    assert_eq!((second.status, second.body.len()), (304, 0));
    let next = repository.commit("main", &[("b.md", Node::File(b"b"))])?;
    let third = get(&url, &[accept, known]).await?;
    assert_eq!((third.status, &third.body[..]), (200, next.as_bytes()));
    let default = get(&url.replace("main", "HEAD"), &[accept]).await?;
    assert_eq!(&default.body[..], next.as_bytes());
    let whole = get(&url, &[]).await?.json();
    assert_eq!(whole["parents"][0]["sha"], commit.as_str());
    let missing = get(&url.replace("main", "none"), &[]).await?;
    assert_eq!(missing.status, 422);
    assert_eq!(missing.json()["message"], "No commit found for SHA: none");
    Ok(())
}

#[tokio::test]
async fn refs_and_annotated_tags_name_their_objects() -> Result<()> {
    let (github, repository, commit) = upstream()?;
    repository.git(&["tag", "-a", "-m", "first", "v1", &commit])?;
    let base = format!("{}/repos/octo/agents", github.api());
    let branch = get(&format!("{base}/git/ref/heads/main"), &[])
        .await?
        .json();
    assert_eq!(branch["object"]["sha"], commit.as_str());
    let old = get(&format!("{base}/git/refs/heads/main"), &[])
        .await?
        .json();
    assert_eq!(old, branch);
    let tag = get(&format!("{base}/git/ref/tags/v1"), &[]).await?.json();
    assert_eq!(tag["object"]["type"], "tag");
    let id = tag["object"]["sha"].as_str().context("an id")?;
    let tag = get(&format!("{base}/git/tags/{id}"), &[]).await?.json();
    assert_eq!(tag["object"]["sha"], commit.as_str());
    let none = get(&format!("{base}/git/ref/heads/none"), &[]).await?;
    assert_eq!(none.status, 404);
    Ok(())
}

#[tokio::test]
async fn trees_tell_modes_sizes_and_whether_they_are_cut_off() -> Result<()> {
    let (github, _repository, commit) = upstream()?;
    let base = format!("{}/repos/octo/agents/git/trees", github.api());
    let tree = get(&format!("{base}/{commit}?recursive=1"), &[])
        .await?
        .json();
    let lines: Vec<String> = tree["tree"]
        .as_array()
        .context("a list")?
        .iter()
        .map(|line| {
            format!(
                "{} {} {} {}",
                line["mode"].as_str().unwrap(),
                line["type"].as_str().unwrap(),
                line["path"].as_str().unwrap(),
                line["size"]
            )
        })
        .collect();
    assert_eq!(
        lines,
        [
            "100644 blob README.md 6",
            "040000 tree agents null",
            "100644 blob agents/a.md 7",
            "120000 blob agents/link 4",
            "100755 blob agents/run.sh 10",
            "160000 commit vendor null",
        ]
    );
    assert_eq!(tree["truncated"], false);
    github.truncate_trees("octo/agents", Some(2));
    let cut = get(&format!("{base}/{commit}?recursive=1"), &[])
        .await?
        .json();
    assert_eq!(
        (cut["tree"].as_array().map(Vec::len), &cut["truncated"]),
        (Some(2), &Value::Bool(true))
    );
    let flat = get(&format!("{base}/{commit}"), &[]).await?.json();
    assert_eq!(
        (flat["tree"].as_array().map(Vec::len), &flat["truncated"]),
        (Some(3), &Value::Bool(false))
    );
    Ok(())
}

#[tokio::test]
async fn blobs_contents_and_raw_files_are_the_same_bytes() -> Result<()> {
    let (github, _repository, commit) = upstream()?;
    let base = format!("{}/repos/octo/agents", github.api());
    let file = get(&format!("{base}/contents/agents/a.md?ref={commit}"), &[])
        .await?
        .json();
    let text = file["content"]
        .as_str()
        .context("content")?
        .replace('\n', "");
    let decoded = base64::engine::general_purpose::STANDARD.decode(text)?;
    assert_eq!(decoded, b"agent a");
    let id = file["sha"].as_str().context("an id")?;
    let raw = ("accept", "application/vnd.github.raw");
    let blob = get(&format!("{base}/git/blobs/{id}"), &[raw]).await?;
    assert_eq!(&blob.body[..], b"agent a");
    let document = get(&format!("{base}/git/blobs/{id}"), &[]).await?.json();
    assert_eq!(
        (&document["encoding"], &document["size"]),
        (&"base64".into(), &7.into())
    );
    let raw = get(
        &format!("{}/octo/agents/main/agents/a.md", github.files()),
        &[],
    )
    .await?;
    assert_eq!(&raw.body[..], b"agent a");
    let etag = raw.header("etag").context("an etag")?;
    let again = get(
        &format!("{}/octo/agents/main/agents/a.md", github.files()),
        &[("if-none-match", etag)],
    )
    .await?;
    assert_eq!(again.status, 304);
    let list = get(&format!("{base}/contents/agents"), &[]).await?.json();
    assert_eq!(list.as_array().map(Vec::len), Some(3));
    Ok(())
}

#[tokio::test]
async fn an_archive_is_on_another_host() -> Result<()> {
    let (github, _repository, commit) = upstream()?;
    github.add_token(Token::classic("secret", "octo", &["repo"]));
    github.set_private("octo/agents", true);
    let authorised = ("authorization", "Bearer secret");
    let url = format!("{}/repos/octo/agents/tarball/{commit}", github.api());
    let moved = get(&url, &[authorised]).await?;
    assert_eq!(moved.status, 302);
    let location = moved.header("location").context("a location")?;
    assert!(location.starts_with(&github.files()), "{location}");
    let packed = get(location, &[]).await?;
    assert_eq!((packed.status, &packed.body[..2]), (200, &[0x1f, 0x8b][..]));
    let without_ticket = location.split('?').next().context("a path")?;
    assert_eq!(get(without_ticket, &[]).await?.status, 404);
    Ok(())
}

#[tokio::test]
async fn who_asks_decides_what_is_there() -> Result<()> {
    let (github, _repository, _) = upstream()?;
    github.set_private("octo/agents", true);
    github.add_token(Token::classic("whole", "octo", &["repo", "user"]));
    github.add_token(Token::classic("narrow", "octo", &["user"]));
    github.add_token(Token::fine_grained("fine", "octo", &["octo/agents"]));
    github.add_token(Token::fine_grained("elsewhere", "octo", &["octo/other"]));
    let url = format!("{}/repos/octo/agents", github.api());
    assert_eq!(get(&url, &[]).await?.status, 404);
    for (authorization, status, scopes) in [
        ("Bearer whole", 200, Some("repo, user")),
        ("token whole", 200, Some("repo, user")),
        ("Bearer narrow", 404, Some("user")),
        ("Bearer fine", 200, None),
        ("Bearer elsewhere", 404, None),
        ("Bearer made-up", 401, None),
    ] {
        let answer = get(&url, &[("authorization", authorization)]).await?;
        assert_eq!(answer.status, status, "{authorization}");
        assert_eq!(answer.header("x-oauth-scopes"), scopes, "{authorization}");
    }
    let user = get(
        &format!("{}/user", github.api()),
        &[("authorization", "Bearer fine")],
    )
    .await?;
    assert_eq!(user.json()["login"], "octo");
    assert_eq!(
        get(&format!("{}/user", github.api()), &[]).await?.status,
        401
    );
    github.revoke("whole");
    assert_eq!(
        get(&url, &[("authorization", "Bearer whole")])
            .await?
            .status,
        401
    );
    Ok(())
}

#[tokio::test]
async fn requests_are_counted_as_github_counts_them() -> Result<()> {
    let (github, _repository, _) = upstream()?;
    github.add_token(Token::classic("secret", "octo", &[]));
    let url = format!("{}/repos/octo/agents/commits/main", github.api());
    let accept = ("accept", "application/vnd.github.sha");
    let first = get(&url, &[accept]).await?;
    assert_eq!(first.header("x-ratelimit-limit"), Some("60"));
    assert_eq!(first.header("x-ratelimit-remaining"), Some("59"));
    let etag = first.header("etag").context("an etag")?.to_owned();
    let known = ("if-none-match", etag.as_str());
    let anonymous = get(&url, &[accept, known]).await?;
    assert_eq!(anonymous.header("x-ratelimit-remaining"), Some("58"));
    let authorised = ("authorization", "Bearer secret");
    let counted = get(&url, &[accept, authorised]).await?;
    assert_eq!(counted.header("x-ratelimit-remaining"), Some("4999"));
    let free = get(&url, &[accept, authorised, known]).await?;
    assert_eq!(
        (free.status, free.header("x-ratelimit-remaining")),
        (304, Some("4999"))
    );

    let reset = SystemTime::now() + Duration::from_mins(10);
    github.leave(None, 1, reset);
    assert_eq!(get(&url, &[accept]).await?.status, 200);
    let refused = get(&url, &[accept]).await?;
    assert_eq!(
        (refused.status, refused.header("x-ratelimit-remaining")),
        (403, Some("0"))
    );
    assert!(refused.header("x-ratelimit-reset").is_some());
    let told = get(&format!("{}/rate_limit", github.api()), &[])
        .await?
        .json();
    assert_eq!(told["resources"]["core"]["remaining"], 0);
    github.leave(None, 0, SystemTime::now());
    assert_eq!(get(&url, &[accept]).await?.status, 200, "the hour is over");
    Ok(())
}

#[tokio::test]
async fn names_move_and_repositories_are_empty() -> Result<()> {
    let (github, repository, commit) = upstream()?;
    github.rename("octo/agents", "octo/skills");
    let url = format!("{}/repos/octo/agents/commits/main?x=1", github.api());
    let moved = get(&url, &[]).await?;
    assert_eq!(moved.status, 301);
    let location = moved.header("location").context("a location")?;
    assert!(
        location.ends_with("/repositories/1000/commits/main?x=1"),
        "{location}"
    );
    assert_eq!(get(location, &[]).await?.json()["sha"], commit.as_str());
    let about = get(&format!("{}/repos/octo/skills", github.api()), &[])
        .await?
        .json();
    assert_eq!(
        (&about["full_name"], &about["default_branch"]),
        (&"octo/skills".into(), &"main".into())
    );
    repository.commit("next", &[("c.md", Node::File(b"c"))])?;
    github.set_default_branch("octo/skills", "next");
    let about = get(&format!("{}/repos/octo/skills", github.api()), &[])
        .await?
        .json();
    assert_eq!(about["default_branch"], "next");

    let empty = GitRepository::new()?;
    github.serve("octo/empty", empty.path())?;
    let url = format!("{}/repos/octo/empty", github.api());
    assert_eq!(get(&url, &[]).await?.status, 200);
    let commit = get(&format!("{url}/commits/HEAD"), &[]).await?;
    assert_eq!(commit.status, 409);
    assert_eq!(commit.json()["message"], "Git Repository is empty.");
    Ok(())
}

#[tokio::test]
async fn answers_go_wrong_as_often_as_is_asked() -> Result<()> {
    let (github, _repository, _) = upstream()?;
    let url = format!("{}/repos/octo/agents/commits/main", github.api());
    let accept = ("accept", "application/vnd.github.sha");
    github.fail(
        Fault::on("/commits/", Effect::Status(502))
            .after(1)
            .times(2),
    );
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(get(&url, &[accept]).await?.status);
    }
    assert_eq!(statuses, [200, 502, 502, 200]);
    github.mend();
    for effect in [Effect::Drop, Effect::Cut, Effect::Short(3)] {
        github.fail(Fault::on("/commits/", effect.clone()).times(1));
        assert!(get(&url, &[accept]).await.is_err(), "{effect:?}");
    }
    let whole = get(&url, &[accept]).await?.body;
    github.fail(Fault::on("/commits/", Effect::OtherBytes).times(1));
    let other = get(&url, &[accept]).await?.body;
    assert!(other != whole && other.len() == whole.len());
    github.fail(Fault::on("/commits/", Effect::Shorter(4)).times(1));
    assert_eq!(
        get(&url, &[accept]).await?.body,
        whole.slice(..whole.len() - 4)
    );
    github.fail(Fault::on("/commits/", Effect::Trickle(Duration::from_micros(1))).times(1));
    assert_eq!(get(&url, &[accept]).await?.body, whole);
    github.fail(Fault::on("/commits/", Effect::Html).times(1));
    let page = get(&url, &[accept]).await?;
    assert_eq!(
        (page.status, page.header("content-type")),
        (200, Some("text/html; charset=utf-8"))
    );
    github.fail(Fault::on("/commits/", Effect::Hold).times(1));
    let headers = [accept];
    let mut held = Box::pin(get(&url, &headers));
    let early = tokio::time::timeout(Duration::from_millis(30), &mut held).await;
    assert!(early.is_err(), "the body is held back");
    github.mend();
    assert_eq!(held.await?.body, whole);
    github.fail(
        Fault::on(
            "/commits/",
            Effect::SecondaryLimit {
                status: 429,
                retry_after: Some(7),
            },
        )
        .times(1),
    );
    let limited = get(&url, &[accept]).await?;
    assert_eq!(
        (limited.status, limited.header("retry-after")),
        (429, Some("7"))
    );
    github.fail(Fault::on("/commits/", Effect::PrimaryLimit).times(1));
    assert_eq!(
        get(&url, &[accept]).await?.header("x-ratelimit-remaining"),
        Some("0")
    );
    assert_eq!(get(&url, &[accept]).await?.status, 403, "the limit stays");
    github.renew();
    github.fail(Fault::on("/commits/", Effect::PrimaryLimitAs(429)).times(1));
    let limited = get(&url, &[accept]).await?;
    assert_eq!(
        (limited.status, limited.header("x-ratelimit-remaining")),
        (429, Some("0"))
    );
    github.renew();
    assert_eq!(get(&url, &[accept]).await?.status, 200);
    Ok(())
}

#[tokio::test]
async fn every_request_is_in_the_log() -> Result<()> {
    let (github, _repository, commit) = upstream()?;
    github.add_token(Token::classic("secret", "octo", &[]));
    let url = format!("{}/repos/octo/agents/commits/main", github.api());
    let etag = format!("\"{commit}\"");
    get(
        &url,
        &[
            ("accept", "application/vnd.github.sha"),
            ("authorization", "Bearer secret"),
            ("if-none-match", &etag),
        ],
    )
    .await?;
    get(
        &format!("{}/octo/agents/main/README.md", github.files()),
        &[],
    )
    .await?;
    let requests = github.take_requests();
    assert_eq!(requests.len(), 2);
    let api = &requests[0];
    assert_eq!(
        (
            api.method.as_str(),
            api.path.as_str(),
            api.status,
            api.bytes
        ),
        ("GET", "/repos/octo/agents/commits/main", 304, 0)
    );
    assert!(api.authorised && api.conditional && !api.files);
    let file = &requests[1];
    assert_eq!(
        (file.status, file.bytes, file.authorised, file.files),
        (200, 6, false, true)
    );
    assert!(github.requests().is_empty());
    Ok(())
}

#[tokio::test]
async fn names_that_git_refuses_are_served_as_they_are() -> Result<()> {
    let repository = GitRepository::new()?;
    let blob = repository.blob(b"evil")?;
    let inner = repository.literal_tree(&[("100644", b"evil.md", &blob)])?;
    let tree = repository.literal_tree(&[
        ("40000", b"..", &inner),
        ("40000", b".git", &inner),
        ("100644", b"new\nline", &blob),
    ])?;
    repository.commit_tree("main", &tree)?;
    let github = GitHub::start()?;
    github.serve("octo/evil", repository.path())?;
    let url = format!(
        "{}/repos/octo/evil/git/trees/main?recursive=1",
        github.api()
    );
    let answer = get(&url, &[]).await?.json();
    let paths: Vec<&str> = answer["tree"]
        .as_array()
        .context("a list")?
        .iter()
        .filter_map(|line| line["path"].as_str())
        .collect();
    assert_eq!(
        paths,
        ["..", "../evil.md", ".git", ".git/evil.md", "new\nline"]
    );
    Ok(())
}

#[tokio::test]
async fn what_is_added_to_trees_is_in_the_root_alone() -> Result<()> {
    let (github, repository, commit) = upstream()?;
    let odd = serde_json::json!({"path": "odd", "mode": "100644", "type": "blob", "sha": "x"});
    github.add_to_trees("octo/agents", vec![odd]);
    let root = repository.git(&["rev-parse", "main^{tree}"])?;
    let inner = repository.git(&["rev-parse", "main:agents"])?;
    for (name, expected) in [
        ("main", true),
        (commit.as_str(), true),
        (root.trim(), true),
        (inner.trim(), false),
    ] {
        let url = format!("{}/repos/octo/agents/git/trees/{name}", github.api());
        let answer = get(&url, &[]).await?.json();
        let lines = answer["tree"].as_array().context("a list")?;
        let is_there = lines.iter().any(|line| line["path"] == "odd");
        assert_eq!(is_there, expected, "{name}: {answer:#}");
    }
    Ok(())
}
