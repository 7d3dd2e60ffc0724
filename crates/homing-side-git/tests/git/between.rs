//! The commits between two revisions.

use anyhow::{Context, Result, ensure};
use homing_core::{Commits, Course, Listed, Side};
use homing_side_git::GitSide;
use testkit::{GitRepository, Node};

use crate::support::{TestResult, World};

/// When the first commit is made.
const BEGINNING: u64 = 1_600_000_000;
/// How much later the next one is.
const DAY: u64 = 86_400;

/// A repository whose commits are a day apart, and what of it was listed last.
struct Days {
    world: World,
    side: GitSide,
    day: u64,
    listed: Option<Listed>,
}

impl Days {
    fn of(world: World) -> Result<Self> {
        Ok(Self {
            side: world.side()?,
            world,
            day: 0,
            listed: None,
        })
    }

    fn over_http() -> Result<Option<Self>> {
        World::over_http()?.map(Self::of).transpose()
    }

    /// Commits the next day.
    fn commit(&mut self, subject: &str) -> Result<String> {
        self.day += 1;
        let repository = &self.world.repository;
        let file = Node::File(subject.as_bytes());
        repository.commit_at(
            "main",
            BEGINNING + self.day * DAY,
            subject,
            &[("a.md", file)],
        )
    }

    /// Has the branch be at another commit.
    fn reset(&self, commit: &str) -> TestResult {
        let repository = &self.world.repository;
        repository.git(&["update-ref", "refs/heads/main", commit])?;
        Ok(())
    }

    /// Lists, knowing what was listed before, and returns the commits since then.
    async fn come(&mut self, most: usize) -> Result<Option<Commits>> {
        let before = self.listed.take();
        let known = before.as_ref().map(|before| &before.manifest);
        let since = before.as_ref().and_then(|before| before.revision.as_ref());
        let listed = self.world.ask(&self.side, known, since).await?.whole()?;
        let until = listed.revision.as_ref().context("it has a revision")?;
        let commits = match since {
            Some(since) => self.side.commits(&since.name, &until.name, most).await?,
            None => None,
        };
        self.listed = Some(listed);
        Ok(commits)
    }
}

fn subjects(commits: &Commits) -> Vec<&str> {
    let newest = commits.newest.iter();
    newest.map(|commit| commit.about.subject.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_committed_in_between_is_told_newest_first() -> TestResult {
    let worlds = [World::over_http()?, Some(World::of(GitRepository::new()?)?)];
    for world in worlds.into_iter().flatten() {
        let mut days = Days::of(world)?;
        days.commit("long ago")?;
        let first = days.commit("one")?;
        assert_eq!(days.come(9).await?, None);
        days.commit("two")?;
        days.commit("th\u{200b}ree \u{1b}[2J")?;
        let last = days.commit("four")?;
        let commits = days.come(2).await?.context("they are told")?;
        assert_eq!(commits.course, Course::Onward);
        assert_eq!((&commits.since, &commits.until), (&first, &last));
        assert_eq!(subjects(&commits), ["four", "three [2J"]);
        assert_eq!(commits.more, 1);
        assert_eq!(commits.newest[0].id, last);
        let time = commits.newest[0].about.time.as_second();
        assert_eq!(time.unsigned_abs(), BEGINNING + 5 * DAY);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_branch_that_goes_back_names_what_it_leaves() -> TestResult {
    let Some(mut days) = Days::over_http()? else {
        return Ok(());
    };
    let first = days.commit("one")?;
    days.come(9).await?;
    days.commit("two")?;
    days.come(9).await?;
    days.reset(&first)?;
    let commits = days.come(9).await?.context("they are told")?;
    assert_eq!(commits.course, Course::Back);
    assert_eq!(subjects(&commits), ["two"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_history_that_was_rewritten_is_said_to_be() -> TestResult {
    let Some(mut days) = Days::over_http()? else {
        return Ok(());
    };
    let first = days.commit("one")?;
    days.commit("two")?;
    days.come(9).await?;
    days.reset(&first)?;
    days.commit("another two")?;
    let commits = days.come(9).await?.context("they are told")?;
    assert_eq!(commits.course, Course::Rewritten);
    assert_eq!(subjects(&commits), ["another two"]);
    // And one that has nothing in common with it.
    days.world
        .repository
        .git(&["update-ref", "-d", "refs/heads/main"])?;
    days.commit("elsewhere")?;
    let commits = days.come(9).await?.context("they are told")?;
    assert_eq!(commits.course, Course::Rewritten);
    assert_eq!(subjects(&commits), ["elsewhere"]);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_mirror_does_not_tell_is_not_guessed() -> TestResult {
    let Some(mut days) = Days::over_http()? else {
        return Ok(());
    };
    days.commit("one")?;
    let second = days.commit("two")?;
    days.come(9).await?;
    days.commit("three")?;
    days.commit("four")?;
    // A list that knows nothing brings the newest commit alone.
    days.listed = None;
    days.come(9).await?;
    let tip = days
        .listed
        .as_ref()
        .and_then(|listed| listed.revision.clone());
    let tip = tip.context("it has a revision")?.name;
    let commits = days.side.commits(&second, &tip, 9).await?;
    let commits = commits.context("they are told")?;
    assert_eq!(commits.course, Course::Unknown);
    assert_eq!(subjects(&commits), ["four"]);
    let nowhere = "0".repeat(40);
    let commits = days.side.commits(&nowhere, &tip, 9).await?;
    let commits = commits.context("they are told")?;
    assert_eq!(commits.course, Course::Unknown);
    assert_eq!((commits.newest.len(), commits.more), (0, 0));
    ensure!(days.side.commits("sha256:00", &tip, 9).await?.is_none());
    Ok(())
}
