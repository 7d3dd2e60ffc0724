//! What Git's complaints mean for the engine.

use std::path::Path;
use std::{fs, io};

use homing_core::SideError;
use homing_process::Ended;

/// How much of a complaint is shown.
const QUOTED_CHARACTERS: usize = 300;

/// What kind of failure a complaint tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Meaning {
    Unreachable,
    HostKey,
    Certificate,
    Auth,
    NotFound,
    /// It has no such commit.
    NoCommit,
    Limited,
    Full,
    Transient,
}

/// Words that tell what went wrong, the more telling ones first: Git adds general ones after what happened.
const WORDS: &[(&str, Meaning)] = &[
    ("no space left on device", Meaning::Full),
    ("disk quota exceeded", Meaning::Full),
    ("read-only file system", Meaning::Full),
    ("not our ref", Meaning::NoCommit),
    ("unadvertised object", Meaning::NoCommit),
    ("repository not exported", Meaning::NotFound),
    ("remote host identification has changed", Meaning::HostKey),
    ("host key verification failed", Meaning::HostKey),
    ("no matching host key", Meaning::HostKey),
    ("could not resolve host", Meaning::Unreachable),
    ("name or service not known", Meaning::Unreachable),
    ("temporary failure in name resolution", Meaning::Unreachable),
    ("unable to look up", Meaning::Unreachable),
    ("connection refused", Meaning::Unreachable),
    ("connection timed out", Meaning::Unreachable),
    ("connection timeout", Meaning::Unreachable),
    ("operation timed out", Meaning::Transient),
    ("network is unreachable", Meaning::Unreachable),
    ("no route to host", Meaning::Unreachable),
    ("failed to connect to", Meaning::Unreachable),
    ("couldn't connect to server", Meaning::Unreachable),
    ("could not connect to server", Meaning::Unreachable),
    ("ssl certificate", Meaning::Certificate),
    ("certificate verification failed", Meaning::Certificate),
    ("certificate verify failed", Meaning::Certificate),
    ("permission denied (", Meaning::Auth),
    ("authentication failed", Meaning::Auth),
    ("could not read username", Meaning::Auth),
    ("could not read password", Meaning::Auth),
    ("terminal prompts disabled", Meaning::Auth),
    ("unable to get password from user", Meaning::Auth),
    ("unable to read askpass", Meaning::Auth),
    ("access denied", Meaning::Auth),
    ("returned error: 401", Meaning::Auth),
    ("returned error: 403", Meaning::Auth),
    ("dubious ownership", Meaning::Auth),
    ("permission denied", Meaning::Auth),
    ("returned error: 404", Meaning::NotFound),
    ("repository not found", Meaning::NotFound),
    ("does not appear to be a git repository", Meaning::NotFound),
    ("not a git repository", Meaning::NotFound),
    ("' not found", Meaning::NotFound),
    ("does not exist", Meaning::NotFound),
    ("couldn't find remote ref", Meaning::NotFound),
    ("returned error: 429", Meaning::Limited),
];

/// Returns what it means that Git ended without success; `doing` says what it was to do.
pub(crate) fn of_git(doing: &str, ended: &Ended) -> SideError {
    let complaints = ended.complaints.as_str();
    let said = told(complaints);
    let message = if said.is_empty() {
        format!(
            "{doing} failed: `git` ended with {} and said nothing",
            ended.status
        )
    } else {
        format!("{doing} failed: {said}")
    };
    match meaning(complaints) {
        Meaning::Unreachable => SideError::Unreachable {
            message,
            source: None,
        },
        Meaning::HostKey => SideError::Untrusted {
            message: format!(
                "{message}; if the server has a new key, compare it with what its owner publishes and put it into ~/.ssh/known_hosts (`ssh-keyscan HOST` shows it)"
            ),
        },
        Meaning::Certificate => SideError::Permanent {
            message: format!(
                "{message}; if the server has a CA of its own, name its certificate with `ca_file`"
            ),
            source: None,
        },
        Meaning::Auth => SideError::Auth {
            message,
            source: None,
        },
        Meaning::NotFound => SideError::NotFound {
            message,
            source: None,
        },
        Meaning::NoCommit => SideError::NotFound {
            message: format!(
                "{message}; the server does not have this commit (any more): if the source is pinned to it, `homing source unpin NAME` lets it go on"
            ),
            source: None,
        },
        Meaning::Limited => SideError::RateLimited {
            message,
            wait: std::time::Duration::from_mins(1),
        },
        Meaning::Full => SideError::Storage {
            message,
            source: None,
        },
        Meaning::Transient => SideError::Transient {
            message,
            retry_after: None,
            source: None,
        },
    }
}

/// Makes sure that a repository of this machine may be read, for Git says of one that may not that it is none.
pub(crate) fn expect_readable(doing: &str, path: &Path) -> Result<(), SideError> {
    let git = path.join(".git");
    let git = if git.exists() { &git } else { path };
    let read = fs::read_dir(git)
        .and_then(|_| fs::read_dir(git.join("objects")))
        .and_then(|_| fs::File::open(git.join("HEAD")));
    match read {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(SideError::Auth {
            message: format!(
                "{doing} failed: the user that runs homingd may not read {}",
                path.display()
            ),
            source: Some(Box::new(error)),
        }),
        _ => Ok(()),
    }
}

fn meaning(complaints: &str) -> Meaning {
    let text = complaints.to_lowercase();
    if text.lines().any(is_of_a_mirror) {
        return Meaning::Full;
    }
    let known = WORDS.iter().find(|(words, _)| text.contains(words));
    known.map_or(Meaning::Transient, |(_, meaning)| *meaning)
}

/// Tells whether a line says that a mirror of ours may not be written.
fn is_of_a_mirror(line: &str) -> bool {
    let is_refusal = [
        "permission denied",
        "insufficient permission",
        "operation not permitted",
    ];
    line.contains("/mirrors/") && is_refusal.iter().any(|words| line.contains(words))
}

/// Returns what a person should read of a complaint: the lines that say what failed, without control characters.
fn told(complaints: &str) -> String {
    let lines = complaints
        .split(['\n', '\r'])
        .map(str::trim)
        .filter(|line| !line.is_empty() && !is_progress(line));
    let telling: Vec<&str> = lines
        .clone()
        .filter(|line| {
            ["fatal: ", "error: ", "remote: ", "ssh: ", "git@"]
                .iter()
                .any(|start| line.starts_with(start))
                || line.contains("denied")
                // What Git says to do about a repository of somebody else's.
                || line.starts_with("git config --global --add safe.directory ")
                || line.contains("verification failed")
        })
        .collect();
    let text = if telling.is_empty() {
        lines.collect::<Vec<_>>().join("; ")
    } else {
        telling.join("; ")
    };
    text.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .filter(|letter| !is_hidden(*letter))
        .take(QUOTED_CHARACTERS)
        .collect()
}

/// Tells whether nobody sees a character, or it changes how others are seen: a server says what it likes.
fn is_hidden(letter: char) -> bool {
    matches!(letter,
        '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
        | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// Tells whether a line says how far something has got.
fn is_progress(line: &str) -> bool {
    line.contains("% (") || line.ends_with(", done.")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_told_apart() {
        // As Git 2.47 and OpenSSH 9 say it.
        for (said, expected) in [
            (
                "fatal: unable to access 'https://a.invalid/': Could not resolve host: a.invalid",
                Meaning::Unreachable,
            ),
            (
                "ssh: Could not resolve hostname a.invalid: Name or service not known\nfatal: Could not read from remote repository.",
                Meaning::Unreachable,
            ),
            (
                "git@host: Permission denied (publickey).\nfatal: Could not read from remote repository.\n\nPlease make sure you have the correct access rights\nand the repository exists.",
                Meaning::Auth,
            ),
            (
                "fatal: could not read Username for 'http://127.0.0.1': terminal prompts disabled",
                Meaning::Auth,
            ),
            ("fatal: unable to get password from user", Meaning::Auth),
            (
                "fatal: '/nowhere' does not appear to be a git repository",
                Meaning::NotFound,
            ),
            (
                "fatal: repository 'http://127.0.0.1/x/' not found",
                Meaning::NotFound,
            ),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                Meaning::HostKey,
            ),
            (
                "fatal: write error: No space left on device\nfatal: fetch-pack: invalid index-pack output",
                Meaning::Full,
            ),
            (
                "fatal: remote error: upload-pack: not our ref 0123456789012345678901234567890123456789",
                Meaning::NoCommit,
            ),
            (
                "error: Server does not allow request for unadvertised object 0123456789012345678901234567890123456789",
                Meaning::NoCommit,
            ),
            (
                "fatal: remote error: access denied or repository not exported: /no.git",
                Meaning::NotFound,
            ),
            (
                "fatal: detected dubious ownership in repository at '/srv/a.git'\nTo add an exception for this directory, call:",
                Meaning::Auth,
            ),
            (
                "error: insufficient permission for adding an object to repository database /home/ann/.local/share/homing/mirrors/0.git/objects",
                Meaning::Full,
            ),
            (
                "fatal: cannot open '/home/ann/.local/share/homing/mirrors/0.git/shallow.lock': Permission denied",
                Meaning::Full,
            ),
            (
                "fatal: unable to open '/srv/a.git/HEAD': Permission denied",
                Meaning::Auth,
            ),
            (
                "error: RPC failed; curl 18 transfer closed\nfatal: early EOF",
                Meaning::Transient,
            ),
        ] {
            assert_eq!(meaning(said), expected, "{said}");
        }
    }

    #[test]
    fn what_is_told_is_what_failed_and_no_progress() {
        let said = "remote: Counting objects: 50% (1/2)\rremote: Counting objects: 100% (2/2), done.\nfatal: early \u{1b}[31mEOF\n";
        assert_eq!(told(said), "fatal: early  [31mEOF");
        assert_eq!(told("only this"), "only this");
        let said = "fatal: detected dubious ownership in repository at '/srv/a'\nTo add an exception for this directory, call:\n\n\tgit config --global --add safe.directory /srv/a\n";
        assert_eq!(
            told(said),
            "fatal: detected dubious ownership in repository at '/srv/a'; git config --global --add safe.directory /srv/a"
        );
        assert_eq!(meaning(said), Meaning::Auth);
        let said = "remote: \u{202e}gnihton\u{2066} is\u{200b} wrong\u{e0041}\n";
        assert_eq!(told(said), "remote: gnihton is wrong");
    }
}
