//! Sources of the kind `http`, from a real nginx to the targets.

mod proxies;
mod redirects;

use std::fs;

use anyhow::{Context, Result, ensure};
use testkit::{Nginx, NginxOptions, RawServer};

use crate::harness::{Home, TestResult, Tree, run};

const SECRET: &str = "s3cret-and-shown-nowhere";

/// Configures one source at `url` with these lines, published in `agents`.
pub(crate) fn configure(home: &Home, url: &str, lines: &str) -> TestResult {
    home.configure(&format!(
        "[sources.team]\nkind = \"http\"\nurl = \"{url}\"\n{lines}\n[targets.agents]\npath = \"{{home}}/agents\"\nfrom = [\"team\"]\n"
    ))?;
    Ok(())
}

fn names(count: usize) -> Vec<String> {
    (0..count)
        .map(|number| format!("d{}/{number}.md", number % 3))
        .collect()
}

fn put_all(nginx: &Nginx, names: &[String]) -> TestResult {
    names
        .iter()
        .try_for_each(|name| nginx.put(name, name.as_bytes()))
}

/// Writes an index of all files with their digests.
fn put_index(nginx: &Nginx, names: &[String]) -> TestResult {
    let entries: Result<Vec<String>> = names
        .iter()
        .map(|name| {
            let bytes = fs::read(nginx.files().join(name))?;
            let digest = homing_digest(&bytes)?;
            Ok(format!(
                "{{\"path\": \"{name}\", \"sha256\": \"{digest}\"}}"
            ))
        })
        .collect();
    nginx.put("index.json", format!("[{}]", entries?.join(",")).as_bytes())
}

/// Returns the SHA-256 of bytes, as another program computes it.
fn homing_digest(bytes: &[u8]) -> Result<String> {
    let directory = tempfile::tempdir()?;
    let path = directory.path().join("bytes");
    crate::harness::write(&path, bytes)?;
    let mut command = std::process::Command::new("sha256sum");
    command.arg(&path);
    let said = run(command)?.stdout;
    Ok(said.split(' ').next().context("a digest")?.to_owned())
}

#[test]
fn connections_are_kept_from_one_run_to_the_next() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
        return Ok(());
    };
    let home = Home::new()?;
    nginx.put("a.md", b"a\n")?;
    configure(&home, &nginx.url(""), "files = [\"a.md\"]")?;
    let _daemon = home.start()?;
    let mut connections = Vec::new();
    for _ in 0..3 {
        home.ok(&["sync"])?;
        let requests = nginx.requests()?;
        connections.extend(requests.iter().map(|one| one.connection));
    }
    ensure!(connections.len() == 3, "{connections:?}");
    connections.dedup();
    ensure!(
        connections.len() == 1,
        "each run connects anew: {connections:?}"
    );
    Ok(())
}

#[test]
fn an_unchanged_source_is_one_request_and_an_edit_is_two() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
        return Ok(());
    };
    let home = Home::new()?;
    let names = names(20);
    put_all(&nginx, &names)?;
    put_index(&nginx, &names)?;
    configure(&home, &nginx.url(""), "index = \"index.json\"")?;
    let _daemon = home.start()?;
    let first = home.json_ok(&["sync"])?;
    ensure!(first["runs"][0]["status"] == "success", "{first:#}");
    let target = home.target("agents");
    ensure!(target.texts()?.len() == 20);
    ensure!(target.read("d1/1.md")? == "d1/1.md");
    ensure!(
        nginx.requests()?.len() == 21,
        "one for each file, one for the index"
    );

    home.ok(&["sync"])?;
    let requests = nginx.requests()?;
    ensure!(
        requests.len() == 1 && requests[0].status == 304,
        "{requests:?}"
    );

    nginx.put("d1/1.md", b"edited")?;
    put_index(&nginx, &names)?;
    home.ok(&["sync"])?;
    ensure!(target.read("d1/1.md")? == "edited");
    ensure!(nginx.requests()?.len() == 2);
    Ok(())
}

#[test]
fn files_without_an_index_are_asked_for_on_condition() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
        return Ok(());
    };
    let home = Home::new()?;
    nginx.put("a.md", b"one")?;
    nginx.put("b.md", b"two")?;
    configure(&home, &nginx.url(""), "files = [\"a.md\", \"b.md\"]")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    nginx.requests()?;
    home.ok(&["sync"])?;
    let requests = nginx.requests()?;
    ensure!(requests.len() == 2 && requests.iter().all(|request| request.status == 304));
    // Who forces it trusts no validator.
    home.ok(&["sync", "--force"])?;
    ensure!(
        nginx
            .requests()?
            .iter()
            .all(|request| request.status == 200)
    );
    home.target("agents")
        .expect(&[("a.md", "one"), ("b.md", "two")])
}

#[test]
fn deletions_upstream_are_guarded_and_an_empty_index_removes_nothing() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
        return Ok(());
    };
    let home = Home::new()?;
    let names = names(12);
    put_all(&nginx, &names)?;
    put_index(&nginx, &names)?;
    configure(&home, &nginx.url(""), "index = \"index.json\"")?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let target = home.target("agents");
    put_index(&nginx, &names[..11])?;
    home.ok(&["sync"])?;
    ensure!(target.texts()?.len() == 11);
    put_index(&nginx, &names[..4])?;
    home.homing(&["sync"])?.expect(7, &["--accept-deletions"])?;
    ensure!(target.texts()?.len() == 11, "the guard let it through");
    home.ok(&["sync", "--accept-deletions"])?;
    ensure!(target.texts()?.len() == 4);
    nginx.put("index.json", b"[]")?;
    home.homing(&["sync"])?
        .expect(7, &["is empty, and it was not"])?;
    nginx.remove("index.json")?;
    home.homing(&["sync"])?.expect(1, &["404"])?;
    ensure!(target.texts()?.len() == 4, "what was published is gone");
    Ok(())
}

#[test]
fn a_token_is_sent_and_stands_in_nothing_that_is_said_or_kept() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions {
        tls: true,
        login: Some(("ann", SECRET)),
        ..NginxOptions::default()
    })?
    else {
        return Ok(());
    };
    let home = Home::new()?;
    nginx.put("a.md", b"one")?;
    let ca_file = nginx.ca_file();
    let lines = format!(
        "files = [\"a.md\"]\nuser = \"ann\"\ntoken = {{ env = \"TEAM_TOKEN\" }}\nca_file = \"{}\"",
        ca_file.display()
    );
    configure(&home, &nginx.url(""), &lines)?;
    let mut check = home.homing_command(&["source", "check"]);
    check.env("TEAM_TOKEN", SECRET);
    let said = run(check)?;
    said.expect(0, &[])?;
    ensure!(
        said.stdout.contains("1 file")
            && said.stdout.contains("its content was not read")
            && said.stdout.contains("its token is there"),
        "{said}"
    );
    let daemon = home.start_with(
        &[],
        &[
            ("TEAM_TOKEN", SECRET),
            ("HOMING_LOG", "trace"),
            ("RUST_LOG", "trace"),
        ],
    )?;
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", "one")])?;
    let requests = nginx.requests()?;
    ensure!(requests.iter().any(|request| request.has_credentials));
    ensure!(
        requests
            .iter()
            .all(|request| request.protocol == "HTTP/2.0"),
        "{requests:?}"
    );
    let mut said = home.ok(&["status", "--detailed", "--json"])?;
    said += &home.ok(&["history", "--json"])?;
    said += &home.ok(&["config", "show", "--json"])?;
    said += &home.ok(&["source", "show", "team"])?;
    said += &daemon.log();
    ensure!(!said.contains(SECRET), "{said}");
    daemon.stop()?;
    for (path, bytes) in Tree(home.path("")).snapshot()? {
        let text = format!("{bytes:?}");
        ensure!(!text.contains(SECRET), "{path:?} holds the secret");
    }

    // Another password, and none: a person must mend it.
    for (variables, word) in [
        (vec![("TEAM_TOKEN", "wrong")], "does not accept the token"),
        (Vec::new(), "TEAM_TOKEN is not set"),
    ] {
        let daemon = home.start_with(&[], &variables)?;
        let outcome = home.homing(&["sync"])?;
        outcome.expect(6, &[word])?;
        daemon.stop()?;
    }
    Ok(())
}

#[test]
fn an_unknown_ca_and_a_server_that_is_not_there_are_told_with_the_way_out() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions {
        tls: true,
        ..NginxOptions::default()
    })?
    else {
        return Ok(());
    };
    let home = Home::new()?;
    configure(&home, &nginx.url(""), "files = [\"a.md\"]")?;
    let daemon = home.start()?;
    home.homing(&["sync"])?.expect(1, &["ca_file"])?;
    daemon.stop()?;
    let url = nginx.url("");
    drop(nginx);
    configure(&home, &url, "files = [\"a.md\"]")?;
    let _daemon = home.start()?;
    home.homing(&["sync"])?
        .expect(1, &["no connection", "check the network"])
}

#[test]
fn what_came_before_a_limit_is_published_and_the_rest_waits() -> TestResult {
    use std::io::Write;

    let server = RawServer::start(|lines, stream| {
        let answer = if lines[0].contains("/a.md") {
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\none"
        } else {
            "HTTP/1.1 429 Too Many Requests\r\nretry-after: 900\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        };
        stream.write_all(answer.as_bytes()).ok();
    })?;
    let home = Home::new()?;
    configure(&home, &server.url(""), "files = [\"a.md\", \"b.md\"]")?;
    let _daemon = home.start()?;
    let said = home.homing(&["sync"])?;
    said.expect(3, &[])?;
    ensure!(
        said.stdout.contains("b.md") && said.stdout.contains("429"),
        "{said}"
    );
    home.target("agents").expect(&[("a.md", "one")])
}

#[test]
fn a_source_at_a_url_is_added_and_a_secret_in_it_is_refused() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
        return Ok(());
    };
    let home = Home::new()?;
    nginx.put("a.md", b"one")?;
    let url = nginx.url("");
    let said = home.ok(&[
        "source", "add", "team", "--url", &url, "--file", "a.md", "--every", "1h",
    ])?;
    ensure!(
        said.contains("added source `team`") && said.contains("1 file"),
        "{said}"
    );
    let text = fs::read_to_string(home.config_path())?;
    ensure!(
        text == format!(
            "[sources.team]\nkind = \"http\"\nurl = \"{url}\"\nfiles = [\"a.md\"]\nevery = \"1h\"\n"
        ),
        "{text}"
    );
    let secret = format!("https://ann:{SECRET}@example.org/");
    let outcome = home.homing(&["source", "add", "docs", "--url", &secret, "--archive"])?;
    ensure!(
        outcome.code != 0 && !outcome.stderr.contains(SECRET),
        "{outcome}"
    );
    outcome.expect(outcome.code, &["no place in a URL", "--token env:"])?;
    let secret = format!("https://example.org/?token={SECRET}");
    let outcome = home.homing(&["source", "add", "docs", "--url", &secret, "--archive"])?;
    ensure!(
        outcome.code != 0 && !outcome.stderr.contains(SECRET),
        "{outcome}"
    );
    home.homing(&["source", "add", "docs", "--url", "https://example.org/"])?
        .expect(2, &["--index"])?;
    home.homing(&[
        "source",
        "add",
        "docs",
        "--url",
        &nginx.url("none/"),
        "--archive",
    ])?
    .expect(1, &["404", "--no-check"])?;
    ensure!(
        fs::read_to_string(home.config_path())? == text,
        "something was written"
    );
    Ok(())
}
