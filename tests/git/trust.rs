//! What is not signed as it has to be is not published.

use anyhow::ensure;
use testkit::{GitRepository, Node, Signer};

use crate::harness::{Home, TestResult};

const OLD: &[(&str, Node<'_>)] = &[("agents/a.md", Node::File(b"old\n"))];
const NEW: &[(&str, Node<'_>)] = &[("agents/a.md", Node::File(b"new\n"))];
const LAST: &[(&str, Node<'_>)] = &[("agents/a.md", Node::File(b"last\n"))];

fn text(repository: &GitRepository, source: &str) -> String {
    format!(
        "[sources.community]\nkind = \"git\"\nurl = \"{}\"\nevery = \"1h\"\n{source}\n[targets.agents]\n\
         path = \"{{home}}/agents\"\nfrom = [\"community\"]\n",
        repository.path().display()
    )
}

fn verify(signer: &Signer) -> String {
    let keys = signer.keys().display();
    format!("verify = \"commit\"\nallowed_signers = \"{keys}\"\n")
}

/// Syncs, which must be refused with these words in what is said; the old content stays and status tells the same.
fn expect_refusal(home: &Home, published: &str, words: &[&str]) -> TestResult {
    let (document, code) = home.json(&["sync", "community"])?;
    ensure!(code == 1, "{document:#}");
    let error = &document["runs"][0]["error"];
    ensure!(error["kind"] == "untrusted", "{document:#}");
    let status = home.json_ok(&["status"])?.to_string();
    // It is asked again by itself: the next commit may be signed.
    ensure!(!status.contains("Stalled"), "{status}");
    let source = home.json_ok(&["status", "community"])?["sources"][0].clone();
    ensure!(
        source["next_due"].as_str() > source["last_attempt"].as_str(),
        "{source:#}"
    );
    for word in words {
        ensure!(error.to_string().contains(word), "{error:#}");
        ensure!(status.contains(word), "{status}");
    }
    home.target("agents").expect(&[("agents/a.md", published)])
}

#[test]
fn a_revision_that_nobody_signed_who_counts_is_not_published() -> TestResult {
    let (ann, eve) = (Signer::ssh()?, Signer::ssh()?);
    let repository = GitRepository::new()?;
    ann.commit(&repository, "main", OLD)?;
    let home = Home::new()?;
    home.configure(&text(&repository, &verify(&ann)))?;
    let daemon = home.start()?;
    home.json_ok(&["sync", "community"])?;
    home.target("agents").expect(&[("agents/a.md", "old\n")])?;
    let unsigned = repository.commit("main", NEW)?;
    expect_refusal(&home, "old\n", &["no signature", &unsigned[..12]])?;
    eve.commit(&repository, "main", NEW)?;
    expect_refusal(&home, "old\n", &[eve.fingerprint(), "allowed_signers"])?;
    // Also after a restart, and with what is published already.
    daemon.stop()?;
    let _daemon = home.start()?;
    expect_refusal(&home, "old\n", &[eve.fingerprint()])?;
    ann.commit(&repository, "main", LAST)?;
    home.json_ok(&["sync", "community"])?;
    home.target("agents").expect(&[("agents/a.md", "last\n")])
}

#[test]
fn turning_it_on_verifies_what_is_published_already() -> TestResult {
    let ann = Signer::ssh()?;
    let repository = GitRepository::new()?;
    repository.commit("main", OLD)?;
    let home = Home::new()?;
    home.configure(&text(&repository, ""))?;
    let _daemon = home.start()?;
    home.json_ok(&["sync", "community"])?;
    home.configure(&text(&repository, &verify(&ann)))?;
    home.json_ok(&["config", "reload"])?;
    expect_refusal(&home, "old\n", &["no signature"])
}

#[test]
fn a_signed_tag_is_published_and_its_signer_is_shown_when_a_source_is_added() -> TestResult {
    let ann = Signer::ssh()?;
    let repository = GitRepository::new()?;
    let commit = repository.commit("main", OLD)?;
    ann.tag(&repository, "v1.0.0", &commit)?;
    repository.commit("main", NEW)?;
    let home = Home::new()?;
    home.configure("")?;
    let _daemon = home.start()?;
    let url = format!("file://{}", repository.path().display());
    let keys = ann.keys().display().to_string();
    let add = [
        "source",
        "add",
        "community",
        "--url",
        &url,
        "--ref",
        "latest",
    ];
    let said = home.ok(&[&add[..], &["--verify", "tag", "--allowed-signers", &keys]].concat())?;
    ensure!(said.contains(ann.fingerprint()), "{said}");
    let path = home.path("agents").display().to_string();
    home.ok(&[
        "target",
        "add",
        "agents",
        "--path",
        &path,
        "--from",
        "community",
    ])?;
    home.json_ok(&["sync", "community"])?;
    home.target("agents").expect(&[("agents/a.md", "old\n")])?;
    let shown = home.ok(&["source", "show", "community"])?;
    ensure!(shown.contains("verify") && shown.contains(&keys), "{shown}");
    Ok(())
}
