//! Where a public server may send us: a proxy leads to servers whose names nobody takes for this machine's.

use std::io::Write;
use std::net::{SocketAddr, ToSocketAddrs};

use anyhow::{Context, Result, ensure};
use testkit::{ForwardProxy, RawServer};

use super::configure;
use crate::harness::{Home, TestResult, run, skip};

/// A server that redirects `/away.md` there, and has everything else.
fn leading_to(location: &str) -> Result<RawServer> {
    let location = location.to_owned();
    Ok(RawServer::start(move |lines, stream| {
        let answer = if lines[0].contains("/away.md") {
            format!(
                "HTTP/1.1 302 Found\r\nlocation: {location}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
        } else {
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\none".to_owned()
        };
        stream.write_all(answer.as_bytes()).ok();
    })?)
}

/// Syncs from `http://public.test`, which leads to `location`, and returns what was said.
fn sync(location: &str, others: &[(&str, SocketAddr)], no_proxy: &str) -> Result<(Home, String)> {
    let public = leading_to(location)?;
    let mut names = others.to_vec();
    names.push(("public.test", public.address()));
    let proxy = ForwardProxy::start(&names)?;
    let home = Home::new()?;
    configure(
        &home,
        "http://public.test/",
        "files = [\"a.md\", \"away.md\"]",
    )?;
    let proxy = format!("http://{}", proxy.address());
    let _daemon = home.start_with(&[], &[("HTTP_PROXY", &proxy), ("NO_PROXY", no_proxy)])?;
    let said = home.homing(&["sync"])?.to_string();
    ensure!(
        public.requests().len() == 2,
        "the public server was asked for both: {said}"
    );
    Ok((home, said))
}

#[test]
fn a_public_server_leads_to_another_public_one() -> TestResult {
    let other =
        RawServer::sending("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntwo")?;
    let (home, said) = sync(
        "http://other.test/b.md",
        &[("other.test", other.address())],
        "",
    )?;
    home.target("agents")
        .expect(&[("a.md", "one"), ("away.md", "two")])?;
    ensure!(!said.contains("private network"), "{said}");
    Ok(())
}

#[test]
fn a_public_server_leads_neither_to_this_machine_nor_to_its_network() -> TestResult {
    let inside =
        RawServer::sending("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nconnection: close\r\n\r\ntop")?;
    let port = inside.address().port();
    for host in [
        "127.0.0.1",
        "localhost",
        "[::ffff:127.0.0.1]",
        "2130706433",
        "a.localhost",
    ] {
        // Neither directly nor by way of the proxy.
        for no_proxy in ["", "127.0.0.1,localhost"] {
            let location = format!("http://{host}:{port}/secret.md");
            let names = [
                ("127.0.0.1", inside.address()),
                ("localhost", inside.address()),
            ];
            let (home, said) = sync(&location, &names, no_proxy)?;
            home.target("agents").expect(&[("a.md", "one")])?;
            ensure!(
                said.contains("away.md") && said.contains("private network"),
                "{location}: {said}"
            );
        }
    }
    ensure!(inside.requests().is_empty(), "{:?}", inside.requests());
    Ok(())
}

#[test]
fn a_name_that_resolves_to_this_machine_is_refused_when_it_is_connected_to() -> TestResult {
    let mut command = std::process::Command::new("/bin/uname");
    command.arg("-n");
    let name = run(command)?.stdout.trim().to_owned();
    let inside = RawServer::sending("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\ntop")?;
    let port = inside.address().port();
    let found: Vec<SocketAddr> = (name.as_str(), port)
        .to_socket_addrs()
        .map(Iterator::collect)
        .unwrap_or_default();
    let is_local = |at: &SocketAddr| match at.ip() {
        std::net::IpAddr::V4(at) => at.is_loopback() || at.is_private(),
        std::net::IpAddr::V6(at) => at.is_loopback() || at.is_unique_local(),
    };
    if !found.iter().any(is_local) {
        return skip("this machine's name leads to no address of its own network");
    }
    let location = format!("http://{name}:{port}/secret.md");
    let (home, said) = sync(&location, &[], &name)?;
    home.target("agents").expect(&[("a.md", "one")])?;
    let line = said
        .lines()
        .find(|line| line.contains("away.md"))
        .context("it is told")?;
    ensure!(
        line.contains(&format!("`{name}`")) && line.contains("private network"),
        "{said}"
    );
    Ok(())
}
