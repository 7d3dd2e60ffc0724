//! A skill moves as a whole, also where GitHub ends in the middle of it.

use anyhow::ensure;
use testkit::Node;
use testkit::github::{Effect, Fault};

use super::Upstream;
use crate::harness::TestResult;
use crate::history::of_sources;

#[test]
fn a_limit_in_the_middle_of_a_skill_leaves_it_at_its_version_and_then_all_of_it_comes() -> TestResult
{
    let skill = |version: u8| format!("---\nname: s\ndescription: d\n---\n{version}\n");
    let script = |version: u8| format!("echo {version}\n");
    let (first, second) = (skill(1), skill(2));
    let upstream = Upstream::new(&[
        ("a.md", Node::File(b"a\n")),
        ("s/SKILL.md", Node::File(first.as_bytes())),
        ("s/run.sh", Node::File(script(1).as_bytes())),
    ])?;
    let blob = |number: u8| upstream.repository.blob(script(number).as_bytes());
    let limit = |id: &str| {
        let effect = Effect::SecondaryLimit {
            status: 429,
            retry_after: Some(600),
        };
        let fault = Fault::on(&format!("/git/blobs/{id}"), effect);
        upstream.github.fail(fault);
    };
    let _daemon = upstream.home.start()?;
    let target = upstream.target();
    let is_partial = |becomes: &str| -> TestResult {
        let limited = upstream.home.homing(&["sync", "community"])?;
        limited.expect(3, &[])?;
        let told =
            format!("incomplete: `s/run.sh` of source `community` could not be had; the {becomes}");
        for told in ["secondary rate limit", &told] {
            ensure!(
                limited.stdout.matches(told).count() == 1,
                "{told}: {limited}"
            );
        }
        Ok(())
    };

    limit(&blob(1)?);
    is_partial("skill is not published")?;
    target.expect(&[("a.md", "a\n")])?;
    upstream.github.mend();
    upstream.sync()?;
    let before = [
        ("a.md", "a\n"),
        ("s/SKILL.md", &first),
        ("s/run.sh", "echo 1\n"),
    ];
    target.expect(&before)?;

    upstream.commit(&[
        ("s/SKILL.md", Node::File(second.as_bytes())),
        ("s/run.sh", Node::File(script(2).as_bytes())),
    ])?;
    limit(&blob(2)?);
    is_partial("last whole version stays")?;
    target.expect(&before)?;
    let id = of_sources(&upstream.home)?[0]["id"].to_string();
    let last = upstream.home.ok(&["run", "show", &id])?;
    ensure!(
        last.matches("last whole version stays").count() == 1,
        "{last}"
    );
    let why = upstream.home.path("agents/s/SKILL.md");
    let why = upstream
        .home
        .ok(&["why", why.to_str().unwrap_or_default()])?;
    ensure!(why.contains("last whole version stays"), "{why}");

    upstream.github.mend();
    upstream.sync()?;
    target.expect(&[
        ("a.md", "a\n"),
        ("s/SKILL.md", &second),
        ("s/run.sh", "echo 2\n"),
    ])
}
