//! The commits between two revisions, as far as the mirror knows the history.

use std::collections::BTreeSet;
use std::ffi::OsStr;

use homing_core::{Commit, Commits, Course, Progress, SideError};
use homing_remote::git_id;

use crate::GitSide;
use crate::git::{Git, Question};
use crate::history;
use crate::mirror::{Mirror, blocking};
use crate::pack;

/// Bytes of a list of commits: 40,000 of them.
const MOST_LISTED: usize = 2 << 20;
/// Bytes of a list of commits with what is said of each.
const MOST_READ: usize = 1 << 20;
/// Bytes of the commits at which the history that was fetched ends.
const MOST_ENDS: usize = 32 << 20;

/// What one revision has and the other has not.
#[derive(Debug, Default)]
struct Branch {
    commits: BTreeSet<String>,
    /// The parents of those whose parents were not fetched.
    beneath: BTreeSet<String>,
}

impl GitSide {
    /// Tells of the mirror as it is, and fetches nothing.
    pub(crate) async fn commits_between(
        &self,
        since: &str,
        until: &str,
        most: usize,
    ) -> Result<Option<Commits>, SideError> {
        if !git_id::is_full(since) || !git_id::is_full(until) {
            return Ok(None);
        }
        let progress = &Progress::default();
        let mirror = &*self.mirror(progress).await?;
        let mut commits = Commits {
            since: since.to_owned(),
            until: until.to_owned(),
            course: Course::Unknown,
            newest: Vec::new(),
            more: 0,
        };
        let Some((old, new)) = self.parted(mirror, since, until, progress).await? else {
            return Ok(Some(commits));
        };
        commits.course = course(since, until, &old, &new);
        let (tip, other, [this, that]) = match commits.course {
            Course::Back => (since, until, [&old, &new]),
            _ => (until, since, [&new, &old]),
        };
        // What lies beneath the other one is in its history too, though it does not show.
        let shared = that.beneath.intersection(&this.commits);
        let range: Vec<&str> = [tip, "--not", other]
            .into_iter()
            .chain(shared.map(String::as_str))
            .collect();
        commits.newest = self.newest(mirror, &range, most, progress).await?;
        let all = self.number(mirror, &range, progress).await?;
        commits.more = all.saturating_sub(commits.newest.len() as u64);
        Ok(Some(commits))
    }

    /// Returns what only the one has and what only the other has; `None` when one of them is not in the mirror.
    async fn parted(
        &self,
        mirror: &Mirror,
        since: &str,
        until: &str,
        progress: &Progress,
    ) -> Result<Option<(Branch, Branch)>, SideError> {
        let range = format!("{since}...{until}");
        let arguments = ["rev-list", "--left-right", "--end-of-options", &range, "--"];
        let Some(told) = self.told(mirror, &arguments, MOST_LISTED, progress).await? else {
            return Ok(None);
        };
        let (mut old, mut new) = (Branch::default(), Branch::default());
        for line in told.lines() {
            match line.split_at_checked(1) {
                Some(("<", id)) => old.commits.insert(id.to_owned()),
                Some((">", id)) => new.commits.insert(id.to_owned()),
                _ => return Ok(None),
            };
        }
        let path = mirror.path().to_owned();
        let ends = blocking(move || pack::shallow_commits(&path)).await?;
        for branch in [&mut old, &mut new] {
            let ends = ends.iter().filter(|end| branch.commits.contains(*end));
            let ends: Vec<&str> = ends.map(String::as_str).collect();
            branch.beneath = self.parents(mirror, &ends, progress).await?;
        }
        Ok(Some((old, new)))
    }

    /// Returns the parents that commits name, also those that were not fetched.
    async fn parents(
        &self,
        mirror: &Mirror,
        ids: &[&str],
        progress: &Progress,
    ) -> Result<BTreeSet<String>, SideError> {
        if ids.is_empty() {
            return Ok(BTreeSet::new());
        }
        let question = Question {
            arguments: &["cat-file", "--batch"].map(OsStr::new),
            input: (ids.join("\n") + "\n").into_bytes(),
            most: MOST_ENDS,
        };
        match Git::ask(mirror.reading(&self.git), question, progress).await {
            Ok((told, _)) => Ok(parents_told(&told)),
            Err(SideError::Untrusted { .. }) => Ok(BTreeSet::new()),
            Err(error) => Err(error),
        }
    }

    async fn newest(
        &self,
        mirror: &Mirror,
        range: &[&str],
        most: usize,
        progress: &Progress,
    ) -> Result<Vec<Commit>, SideError> {
        let most = format!("--max-count={most}");
        let format = format!("--format=%H {}", history::FORMAT);
        let mut arguments = vec!["-c", "i18n.logOutputEncoding=UTF-8", "log"];
        arguments.extend(history::PLAIN);
        arguments.extend([most.as_str(), &format]);
        arguments.extend(range);
        arguments.push("--");
        let told = self.told(mirror, &arguments, MOST_READ, progress).await?;
        let lines = told.as_deref().unwrap_or_default().split('\n');
        let commit = |line: &str| {
            let (id, said) = line.split_once(' ')?;
            Some(Commit {
                id: id.to_owned(),
                about: history::read(said.as_bytes())?,
            })
        };
        Ok(lines.filter_map(commit).collect())
    }

    async fn number(
        &self,
        mirror: &Mirror,
        range: &[&str],
        progress: &Progress,
    ) -> Result<u64, SideError> {
        let arguments = [&["rev-list", "--count"], range, &["--"]].concat();
        let told = self.told(mirror, &arguments, 64, progress).await?;
        Ok(told.and_then(|told| told.trim().parse().ok()).unwrap_or(0))
    }

    /// Returns what Git answers; `None` where it cannot, or says far too much.
    async fn told(
        &self,
        mirror: &Mirror,
        arguments: &[&str],
        most: usize,
        progress: &Progress,
    ) -> Result<Option<String>, SideError> {
        let arguments: Vec<&OsStr> = arguments.iter().map(OsStr::new).collect();
        let question = Question {
            arguments: &arguments,
            input: Vec::new(),
            most,
        };
        match Git::ask(mirror.reading(&self.git), question, progress).await {
            Ok((answer, ended)) if ended.status.success() => {
                Ok(Some(String::from_utf8_lossy(&answer).into_owned()))
            }
            Ok(_) | Err(SideError::Untrusted { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Reads what `git cat-file --batch` says of commits: `ID commit SIZE`, the commit and a line feed each.
fn parents_told(mut told: &[u8]) -> BTreeSet<String> {
    let mut parents = BTreeSet::new();
    while let Some(end) = told.iter().position(|byte| *byte == b'\n') {
        let head = String::from_utf8_lossy(&told[..end]);
        told = &told[end + 1..];
        // Of what is missing nothing follows.
        let Some(Ok(size)) = head.split(' ').nth(2).map(str::parse::<usize>) else {
            continue;
        };
        let commit = &told[..size.min(told.len())];
        told = told.get(size + 1..).unwrap_or_default();
        let commit = String::from_utf8_lossy(commit);
        let header = commit.split("\n\n").next().unwrap_or_default();
        let named = header
            .lines()
            .filter_map(|line| line.strip_prefix("parent "));
        parents.extend(named.map(str::to_owned));
    }
    parents
}

/// Tells how `until` follows on `since`: what only each of them has leads to the other one, or it does not.
fn course(since: &str, until: &str, old: &Branch, new: &Branch) -> Course {
    if old.commits.is_empty() || new.beneath.contains(since) {
        return Course::Onward;
    }
    if new.commits.is_empty() || old.beneath.contains(until) {
        return Course::Back;
    }
    // Where all that is beneath the new one was there before the old one, nothing leads to that.
    let before = |id: &String| old.commits.contains(id) || old.beneath.contains(id);
    let is_seen = |id: &String| before(id) || new.commits.contains(id);
    if new.beneath.iter().all(is_seen) {
        return Course::Rewritten;
    }
    Course::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;

    fn branch(commits: &[&str], beneath: &[&str]) -> Branch {
        let set = |ids: &[&str]| ids.iter().map(|id| (*id).to_owned()).collect();
        Branch {
            commits: set(commits),
            beneath: set(beneath),
        }
    }

    #[test]
    fn parents_of_many_are_told_at_once() {
        let commit = |parents: &str| format!("tree t\n{parents}author x\n\nparent no\n");
        let (one, two) = (commit("parent p\nparent q\n"), commit(""));
        let three = commit("parent r\n");
        let said = |text: &str| format!("id commit {}\n{text}\n", text.len());
        let told = said(&one) + "gone missing\n" + &said(&two) + &said(&three);
        let parents = parents_told(told.as_bytes());
        assert_eq!(parents.into_iter().collect::<Vec<_>>(), ["p", "q", "r"]);
    }

    #[test]
    fn how_a_revision_follows_is_told_only_where_it_is_known() {
        for (old, new, expected) in [
            (branch(&[], &[]), branch(&["b", "c"], &[]), Course::Onward),
            // Only the newest was fetched each time.
            (
                branch(&["a"], &["z"]),
                branch(&["b"], &["a"]),
                Course::Onward,
            ),
            (branch(&["a"], &["b"]), branch(&["b"], &["y"]), Course::Back),
            (branch(&["a"], &[]), branch(&[], &[]), Course::Back),
            // Both were made on top of `z`, which was not fetched.
            (
                branch(&["a"], &["z"]),
                branch(&["b"], &["z"]),
                Course::Rewritten,
            ),
            // The one was fetched whole, and does not have the other.
            (
                branch(&["a", "z"], &[]),
                branch(&["b"], &["z"]),
                Course::Rewritten,
            ),
            (
                branch(&["a"], &["y"]),
                branch(&["b"], &[]),
                Course::Rewritten,
            ),
            // `x` may be on top of `a`.
            (
                branch(&["a"], &["z"]),
                branch(&["b"], &["x"]),
                Course::Unknown,
            ),
        ] {
            assert_eq!(course("a", "b", &old, &new), expected, "{old:?} {new:?}");
        }
    }
}
