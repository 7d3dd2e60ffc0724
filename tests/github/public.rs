//! A repository that is really at GitHub, where there is a network and somebody asked for it.

use anyhow::ensure;

use crate::harness::{Home, TestResult, run, skip};

/// Small, and has not changed for years.
const REPOSITORY: &str = "https://github.com/octocat/Hello-World";

#[test]
fn a_public_repository_is_synced() -> TestResult {
    if std::env::var_os("HOMING_NETWORK").is_none() {
        return skip("a public repository is synced by `cargo xtask test --network` alone");
    }
    let home = Home::new()?;
    home.configure(&format!(
        "[sources.public]\nkind = \"github\"\nurl = \"{REPOSITORY}\"\n\
         [targets.agents]\npath = \"{{home}}/agents\"\nfrom = [\"public\"]\n"
    ))?;
    // Whatever leads to the network here leads homingd there too.
    let names = [
        "HTTPS_PROXY",
        "https_proxy",
        "HTTP_PROXY",
        "http_proxy",
        "ALL_PROXY",
        "all_proxy",
        "NO_PROXY",
        "no_proxy",
        "SSL_CERT_FILE",
        "SSL_CERT_DIR",
        "GITHUB_TOKEN",
    ];
    let variables: Vec<(&str, String)> = names
        .into_iter()
        .filter_map(|name| Some((name, std::env::var_os(name)?.into_string().ok()?)))
        .collect();
    let variables: Vec<(&str, &str)> = variables
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect();
    let _daemon = home.start_with(&[], &variables)?;
    let first = run(home.homing_command(&["sync", "public"]))?;
    if first.code != 0 {
        let is_offline = home.json_ok(&["status"])?["daemon"]["conditions"]
            .to_string()
            .contains("Offline");
        if is_offline {
            return skip("there is no network that leads to GitHub");
        }
    }
    ensure!(first.code == 0, "{first}");
    ensure!(
        home.target("agents")
            .read("README")?
            .contains("Hello World")
    );
    let document = home.json_ok(&["sync", "public"])?;
    ensure!(document["runs"][0]["requests"] == 1, "{document:#}");
    Ok(())
}
