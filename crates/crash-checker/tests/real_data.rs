//! Replays a real repository: 60 upstream commits, with edits in the target between them.
//!
//! What must come out is computed by Git alone: `git read-tree` makes each checkout, `git merge-file` each merge.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crash_checker::{Answer, Session};

mod common;

const COMMITS: usize = 60;

/// Names of files in that repository that a tool would run or obey.
const ACTIVE: &[&str] = &["settings.json", ".mcp.json", "hooks.json"];

/// A file's bytes and whether its owner may execute it.
type File = (Vec<u8>, bool);

struct Replay {
    scratch: PathBuf,
    repository: PathBuf,
    origin: PathBuf,
    target: PathBuf,
    /// Edited files: the upstream content that the edit was last in agreement with.
    edited: BTreeMap<String, Vec<u8>>,
    /// What the target must hold.
    expected: BTreeMap<String, File>,
    /// Paths that both sides changed in the same place.
    open: BTreeSet<String>,
    merged: u32,
    lines: u32,
}

#[test]
fn sixty_upstream_commits_and_local_edits_both_arrive() {
    let data = std::env::var_os("HOMING_REAL_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let bundle = data.join("wshobson-agents.bundle");
    if !bundle.is_file() {
        common::skipped(&format!(
            "{} is missing; HOMING_REAL_DATA may name its directory",
            bundle.display()
        ));
        return;
    }
    let base = tempfile::tempdir().expect("a temporary directory");
    let home = base.path().join("home");
    let mut replay = Replay::clone(&bundle, base.path());
    let config = format!(
        "[daemon]\ndata_dir = \"{0}/data\"\n\n[sources.agents]\nkind = \"dir\"\nroot = \"{0}/origin\"\n\n\
         [targets.here]\npath = \"{0}/target\"\nfrom = [\"agents\"]\n",
        base.path().display()
    );
    let mut session = Session::prepare(common::binaries(), &home, &config).expect("a home");
    session.start(None).expect("homingd starts");
    let commits = replay.commits();
    for (number, commit) in commits.iter().enumerate() {
        replay.check_out(commit);
        let answer = sync(&mut session);
        let run = &answer.json["runs"][0];
        let problems = |kind: &str| -> Vec<String> {
            let list = run["problems"].as_array().into_iter().flatten();
            let of_kind = list.filter(|problem| problem["kind"] == kind);
            of_kind
                .filter_map(|problem| problem["path"].as_str())
                .map(str::to_owned)
                .collect()
        };
        assert!(
            problems("link").contains(&"CLAUDE.md".to_owned()),
            "the symlink is not reported: {run}"
        );
        replay.advance(&problems("active"));
        replay.compare(number, commit);
        let code = if replay.open.is_empty() { 0 } else { 7 };
        assert_eq!(
            answer.code,
            Some(code),
            "commit {number}: open {:?}, {}",
            replay.open,
            answer.stderr
        );
        if let Some(next) = commits.get(number + 1) {
            replay.edit_what_changes_next(commit, next);
        }
    }
    assert!(
        replay.merged >= 10,
        "only {} files were merged",
        replay.merged
    );
    session.stop().expect("homingd stops");
}

/// Syncs, and lets a plan continue that the guard has blocked: upstream does delete much at times.
fn sync(session: &mut Session) -> Answer {
    let answer = session.run(&["sync", "agents"]).expect("homing runs");
    if answer.json["runs"][0]["status"] == "blocked" {
        return session
            .run(&["sync", "agents", "--accept-deletions"])
            .expect("homing runs");
    }
    answer
}

impl Replay {
    fn clone(bundle: &Path, base: &Path) -> Self {
        let repository = base.join("repository");
        let (origin, target, scratch) = (
            base.join("origin"),
            base.join("target"),
            base.join("scratch"),
        );
        for directory in [&origin, &target, &scratch] {
            fs::create_dir(directory).expect("a new directory");
        }
        let clone = Command::new("git")
            .args(["clone", "--quiet", "--bare"])
            .args([bundle, repository.as_path()])
            .output()
            .expect("git starts");
        assert!(
            clone.status.success(),
            "{}",
            String::from_utf8_lossy(&clone.stderr)
        );
        Self {
            scratch,
            repository,
            origin,
            target,
            edited: BTreeMap::new(),
            expected: BTreeMap::new(),
            open: BTreeSet::new(),
            merged: 0,
            lines: 0,
        }
    }

    /// Returns the last commits of the main line that change files, oldest first, and the one before them.
    fn commits(&self) -> Vec<String> {
        let log = self.git(&["log", "--first-parent", "--format=%H", "HEAD"]);
        let mut commits: Vec<String> = Vec::new();
        for commit in text(&log).lines() {
            let changes = commits
                .last()
                .is_none_or(|later| !self.changed(commit, later).is_empty());
            if changes {
                commits.push(commit.to_owned());
            }
            if commits.len() == COMMITS + 1 {
                break;
            }
        }
        assert_eq!(commits.len(), COMMITS + 1);
        commits.reverse();
        commits
    }

    fn changed(&self, from: &str, to: &str) -> Vec<String> {
        let names = self.git(&[
            "diff-tree",
            "-r",
            "--name-only",
            "--no-renames",
            "-z",
            from,
            to,
        ]);
        text(&names)
            .split('\0')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn check_out(&self, commit: &str) {
        let work_tree = format!("--work-tree={}", self.origin.display());
        self.git(&[&work_tree, "read-tree", "--reset", "-u", commit]);
    }

    /// Works out what the target must hold now.
    fn advance(&mut self, active: &[String]) {
        let mut upstream = read(&self.origin);
        let blocked: BTreeSet<String> = upstream
            .keys()
            .filter(|path| ACTIVE.contains(&path.rsplit('/').next().unwrap_or(path)))
            .cloned()
            .collect();
        let told: BTreeSet<String> = active.iter().cloned().collect();
        assert_eq!(
            told, blocked,
            "what a tool would run, and nothing else, is left out"
        );
        upstream.retain(|path, _| !blocked.contains(path));
        let mut expected = upstream.clone();
        self.open.clear();
        for (path, base) in &mut self.edited {
            let ours = self.expected[path].clone();
            let Some((theirs, executable)) = upstream.get(path) else {
                self.open.insert(path.clone());
                expected.insert(path.clone(), ours);
                continue;
            };
            if theirs == base {
                expected.insert(path.clone(), (ours.0, *executable));
            } else if let Some(merged) = merge(&self.scratch, &ours.0, base, theirs) {
                base.clone_from(theirs);
                self.merged += 1;
                expected.insert(path.clone(), (merged, *executable));
            } else {
                self.open.insert(path.clone());
                expected.insert(path.clone(), ours);
            }
        }
        self.expected = expected;
    }

    fn compare(&self, number: usize, commit: &str) {
        let published = read(&self.target);
        for (path, (bytes, executable)) in &self.expected {
            let Some((there, mode)) = published.get(path) else {
                panic!("commit {number} ({commit}): {path} is missing")
            };
            assert!(
                there == bytes,
                "commit {number} ({commit}): {path} (open: {}) holds\n{}\ninstead of\n{}",
                self.open.contains(path),
                String::from_utf8_lossy(there),
                String::from_utf8_lossy(bytes)
            );
            assert_eq!(
                mode, executable,
                "commit {number} ({commit}): the mode of {path}"
            );
        }
        let more: Vec<&String> = published
            .keys()
            .filter(|path| !self.expected.contains_key(*path))
            .collect();
        assert!(
            more.is_empty(),
            "commit {number} ({commit}): too much: {more:?}"
        );
    }

    /// Edits two of the files that the next commit changes, at an end or in the middle, so that most merges are clean.
    fn edit_what_changes_next(&mut self, commit: &str, next: &str) {
        let changed = self.changed(commit, next);
        let texts = changed.iter().filter(|path| {
            let is_text = self
                .expected
                .get(*path)
                .is_some_and(|(bytes, _)| bytes.len() > 400 && !bytes.contains(&0));
            is_text && !self.open.contains(*path)
        });
        for path in texts.take(2).cloned().collect::<Vec<_>>() {
            self.lines += 1;
            let (old, executable) = self.expected[&path].clone();
            let line = format!("A local remark, number {}\n", self.lines).into_bytes();
            let middle = old[..old.len() / 2]
                .iter()
                .rposition(|byte| *byte == b'\n')
                .map_or(0, |at| at + 1);
            let at = match self.lines % 3 {
                0 => 0,
                1 => old.len(),
                _ => middle,
            };
            let new = [&old[..at], &line, &old[at..]].concat();
            self.edited.entry(path.clone()).or_insert_with(|| old);
            let temporary = self.scratch.join("edit");
            let mode = if executable { 0o755 } else { 0o644 };
            let file = fs::OpenOptions::new()
                .create_new(true)
                .write(true)
                .mode(mode)
                .open(&temporary);
            file.expect("a new file")
                .write_all(&new)
                .expect("it is written");
            fs::rename(&temporary, self.target.join(&path))
                .expect("it takes the place of the old one");
            self.expected.insert(path, (new, executable));
        }
    }

    fn git(&self, arguments: &[&str]) -> Output {
        let output = Command::new("git")
            .arg("--git-dir")
            .arg(&self.repository)
            .args(arguments)
            .output();
        let output = output.expect("git starts");
        assert!(
            output.status.success(),
            "git {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }
}

/// Returns Git's clean merge, or nothing when there is a conflict.
fn merge(scratch: &Path, ours: &[u8], base: &[u8], theirs: &[u8]) -> Option<Vec<u8>> {
    let mut command = Command::new("git");
    command.args(["merge-file", "-p", "--quiet"]);
    for (name, bytes) in [("ours", ours), ("base", base), ("theirs", theirs)] {
        let file = scratch.join(name);
        fs::File::create(&file)
            .expect("a file")
            .write_all(bytes)
            .expect("it is written");
        command.arg(file);
    }
    let output = command.output().expect("git starts");
    output.status.success().then_some(output.stdout)
}

fn read(root: &Path) -> BTreeMap<String, File> {
    let mut files = BTreeMap::new();
    let mut directories = vec![root.to_owned()];
    while let Some(directory) = directories.pop() {
        for entry in fs::read_dir(directory).expect("a directory") {
            let path = entry.expect("an entry").path();
            let metadata = fs::symlink_metadata(&path).expect("it is there");
            if metadata.is_dir() {
                directories.push(path);
            } else if metadata.is_file() {
                let name = path
                    .strip_prefix(root)
                    .expect("it is below")
                    .to_str()
                    .expect("text")
                    .to_owned();
                let executable = metadata.permissions().mode() & 0o100 != 0;
                files.insert(name, (fs::read(&path).expect("it can be read"), executable));
            }
        }
    }
    files
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("names are text")
}
