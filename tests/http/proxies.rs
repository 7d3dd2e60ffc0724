//! Proxies that the environment names, in front of servers that nobody else finds.

use std::net::TcpListener;

use anyhow::{Result, ensure};
use testkit::{ForwardProxy, Nginx, NginxOptions};

use super::{SECRET, configure};
use crate::harness::{Home, Outcome, TestResult, Tree, run};

/// A name that only a test's proxy leads anywhere.
const NAME: &str = "team.test";

/// Makes a home with a source behind the proxy; `None` where there is no nginx.
fn behind_a_proxy(tls: bool) -> Result<Option<(Home, Nginx)>> {
    let Some(nginx) = Nginx::start(&NginxOptions {
        tls,
        ..NginxOptions::default()
    })?
    else {
        return Ok(None);
    };
    nginx.put("a.md", b"one")?;
    let home = Home::new()?;
    let (url, ca_file) = if tls {
        let ca_file = nginx.ca_file();
        (
            format!("https://{NAME}/"),
            format!("ca_file = \"{}\"", ca_file.display()),
        )
    } else {
        (format!("http://{NAME}/"), String::new())
    };
    configure(&home, &url, &format!("files = [\"a.md\"]\n{ca_file}"))?;
    Ok(Some((home, nginx)))
}

/// Syncs with a homingd of its own that has these variables, and returns how that ended with all that was said.
fn sync_with(home: &Home, variables: &[(&str, &str)]) -> Result<(Outcome, String)> {
    let mut variables = variables.to_vec();
    variables.extend([("HOMING_LOG", "trace"), ("RUST_LOG", "trace")]);
    let daemon = home.start_with(&[], &variables)?;
    let outcome = home.homing(&["sync"])?;
    let mut said = outcome.to_string();
    for arguments in [
        &["status", "--detailed", "--json"][..],
        &["history", "--json"],
        &["source", "show", "team"],
    ] {
        said += &home.homing(arguments)?.to_string();
    }
    said += &daemon.log();
    daemon.stop()?;
    Ok((outcome, said))
}

#[test]
fn each_variable_leads_through_its_proxy_to_a_name_that_only_the_proxy_knows() -> TestResult {
    for (tls, variables) in [
        (false, ["HTTP_PROXY", "ALL_PROXY", "http_proxy"]),
        (true, ["HTTPS_PROXY", "ALL_PROXY", "https_proxy"]),
    ] {
        let Some((home, nginx)) = behind_a_proxy(tls)? else {
            return Ok(());
        };
        let proxy = ForwardProxy::start(&[(NAME, nginx.address())])?;
        let url = format!("http://{}", proxy.address());
        for (number, variable) in variables.into_iter().enumerate() {
            let text = number.to_string();
            nginx.put("a.md", text.as_bytes())?;
            let (outcome, _) = sync_with(&home, &[(variable, &url)])?;
            ensure!(outcome.code == 0, "{variable}: {outcome}");
            home.target("agents").expect(&[("a.md", &text)])?;
            let asked = proxy.take_requests();
            let wanted = if tls {
                format!("CONNECT {NAME}:443 HTTP/1.1")
            } else {
                format!("GET http://{NAME}/a.md HTTP/1.1")
            };
            ensure!(asked == [wanted], "{variable}: {asked:?}");
        }
        // The other scheme's variable is not for it.
        let other = if tls { "HTTP_PROXY" } else { "HTTPS_PROXY" };
        let (outcome, _) = sync_with(&home, &[(other, &url)])?;
        outcome.expect(1, &["no connection", NAME])?;
        ensure!(proxy.take_requests().is_empty());
    }
    Ok(())
}

#[test]
fn what_no_proxy_names_is_asked_directly() -> TestResult {
    let Some(nginx) = Nginx::start(&NginxOptions::default())? else {
        return Ok(());
    };
    nginx.put("a.md", b"one")?;
    let home = Home::new()?;
    configure(&home, &nginx.url(""), "files = [\"a.md\"]")?;
    let address = nginx.address();
    let proxy = ForwardProxy::start(&[("127.0.0.1", address)])?;
    let url = format!("http://{}", proxy.address());
    for (no_proxy, is_direct) in [
        ("example.org", false),
        ("example.org,127.0.0.1", true),
        ("127.0.0.0/8", true),
        ("*", true),
    ] {
        let (outcome, _) = sync_with(&home, &[("HTTP_PROXY", &url), ("NO_PROXY", no_proxy)])?;
        ensure!(outcome.code == 0, "{no_proxy}: {outcome}");
        let asked = proxy.take_requests();
        ensure!(
            asked.is_empty() == is_direct,
            "NO_PROXY={no_proxy}: {asked:?}"
        );
        ensure!(nginx.requests()?.len() == 1);
    }
    Ok(())
}

#[test]
fn a_dead_proxy_is_named_without_its_password() -> TestResult {
    for tls in [false, true] {
        let Some((home, _nginx)) = behind_a_proxy(tls)? else {
            return Ok(());
        };
        let free = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let url = format!("http://ann:{SECRET}@{free}");
        let (outcome, said) = sync_with(&home, &[("ALL_PROXY", &url)])?;
        outcome.expect(1, &[&format!("the proxy `http://{free}`"), NAME])?;
        ensure!(!said.contains(SECRET) && !said.contains("ann:"), "{said}");
        let mut check = home.homing_command(&["source", "check", "team"]);
        check.env("ALL_PROXY", &url);
        let checked = run(check)?;
        ensure!(checked.code != 0, "{checked}");
        checked.expect(checked.code, &[&format!("the proxy `http://{free}`")])?;
        ensure!(!checked.to_string().contains(SECRET), "{checked}");
    }
    Ok(())
}

#[test]
fn a_proxy_s_password_is_sent_to_it_and_stands_in_nothing_that_is_said_or_kept() -> TestResult {
    for tls in [false, true] {
        let Some((home, nginx)) = behind_a_proxy(tls)? else {
            return Ok(());
        };
        let proxy = ForwardProxy::with_login(&[(NAME, nginx.address())], "ann", SECRET)?;
        let url = format!("http://ann:{SECRET}@{}", proxy.address());
        let (outcome, said) = sync_with(&home, &[("ALL_PROXY", &url)])?;
        ensure!(outcome.code == 0, "{outcome}");
        ensure!(!said.contains(SECRET), "{said}");
        home.target("agents").expect(&[("a.md", "one")])?;
        for (path, (_, bytes)) in Tree(home.path("")).snapshot()? {
            let found = bytes
                .windows(SECRET.len())
                .any(|part| part == SECRET.as_bytes());
            ensure!(!found, "{} holds the password", path.display());
        }
        for wrong in ["", "ann:wr0ng@"] {
            let url = format!("http://{wrong}{}", proxy.address());
            let (outcome, said) = sync_with(&home, &[("ALL_PROXY", &url)])?;
            let named = format!("the proxy `http://{}`", proxy.address());
            outcome.expect(6, &[&named, "credentials", "_PROXY"])?;
            ensure!(!said.contains("wr0ng"), "{said}");
        }
    }
    Ok(())
}

#[test]
fn a_name_that_the_proxy_does_not_know_is_told_as_the_proxy_s_answer() -> TestResult {
    for tls in [false, true] {
        let Some((home, _nginx)) = behind_a_proxy(tls)? else {
            return Ok(());
        };
        let proxy = ForwardProxy::start(&[])?;
        let url = format!("http://{}", proxy.address());
        let (outcome, _) = sync_with(&home, &[("ALL_PROXY", &url)])?;
        let word = if tls { "the proxy `http://" } else { "502" };
        outcome.expect(1, &[word, NAME])?;
    }
    Ok(())
}
