//! What commits say of themselves.

use std::ffi::OsStr;

use homing_core::{About, Progress, SideError};
use jiff::Timestamp;

use crate::git::{Git, Question};
use crate::mirror::Mirror;

/// When it was committed and what it says, cut by Git already: the first paragraph of a message may be of any length.
pub(crate) const FORMAT: &str = "%ct %<(400,trunc)%s";
/// The user's own settings may ask `git log` for more, and for other programs.
pub(crate) const PLAIN: [&str; 3] = ["--no-show-signature", "--no-color", "--no-patch"];

/// Returns when a commit of the mirror was made, and the first line of its message; `None` where it does not say.
pub(crate) async fn about(
    git: &Git,
    mirror: &Mirror,
    commit: &str,
    progress: &Progress,
) -> Result<Option<About>, SideError> {
    let mut command = mirror.reading(git);
    command.args(["-c", "i18n.logOutputEncoding=UTF-8"]);
    let format = format!("--format={FORMAT}");
    let arguments = [
        &["log", "-1"],
        &PLAIN[..],
        &[&format, "--end-of-options", commit, "--"],
    ]
    .concat();
    let arguments: Vec<&OsStr> = arguments.into_iter().map(OsStr::new).collect();
    let question = Question {
        arguments: &arguments,
        input: Vec::new(),
        most: 64 << 10,
    };
    let (answer, ended) = match Git::ask(command, question, progress).await {
        // What is said of a commit is not worth a run.
        Err(SideError::Untrusted { .. }) => return Ok(None),
        other => other?,
    };
    Ok(read(&answer).filter(|_| ended.status.success()))
}

/// Reads `SECONDS SUBJECT`.
pub(crate) fn read(line: &[u8]) -> Option<About> {
    let line = line.trim_ascii_end();
    let end = line.iter().position(|byte| *byte == b' ');
    let (seconds, subject) = line.split_at(end.unwrap_or(line.len()));
    let seconds = std::str::from_utf8(seconds).ok()?.parse().ok()?;
    let time = Timestamp::from_second(seconds).ok()?;
    Some(About::new(time, subject.trim_ascii_start()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_commit_says_is_read_whatever_it_is() {
        let said = |line: &[u8]| read(line).map(|about| (about.time.as_second(), about.subject));
        assert_eq!(
            said(b"17 two words   \n"),
            Some((17, "two words".to_owned()))
        );
        assert_eq!(said(b"17\n"), Some((17, String::new())));
        assert_eq!(said(b"-5 before"), Some((-5, "before".to_owned())));
        assert_eq!(said(b"99999999999999999 far"), None);
        assert_eq!(said(b""), None);
    }
}
