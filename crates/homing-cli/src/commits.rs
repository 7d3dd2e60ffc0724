//! The commits between two revisions, as they are shown.

use std::fmt::Write as _;

use homing_api::{Commits, Course};

use crate::text::{count, escape, short_commit};

/// Returns how the one revision follows on the other, and the commits by name.
pub(crate) fn render(commits: &Commits) -> String {
    let since = escape(short_commit(&commits.since));
    let until = escape(short_commit(&commits.until));
    let all = count(commits.newest.len() as u64 + commits.more, "commit");
    let said = match commits.course {
        Course::Onward => format!("{all} since {since}"),
        Course::Back => format!("from {since} back to {until}, without {all}"),
        Course::Rewritten => {
            format!("the history was rewritten: {since} is no part of it; {all} instead")
        }
        Course::Unknown if commits.newest.is_empty() => {
            format!("which commits there are between {since} and {until} is not known here")
        }
        Course::Unknown | Course::Other(_) => format!(
            "at least {all}: what was fetched of the history does not reach {since}, or it was rewritten"
        ),
    };
    let mut text = said;
    text.push_str(if commits.newest.is_empty() {
        "\n"
    } else {
        ":\n"
    });
    for commit in &commits.newest {
        let (id, day) = (short_commit(&commit.id), commit.time.get(..10));
        let line = format!(
            "  {id}  {}  {}",
            day.unwrap_or(&commit.time),
            commit.subject
        );
        writeln!(text, "{}", escape(line.trim_end())).expect("a String takes all");
    }
    if commits.more > 0 {
        writeln!(text, "  and {} more", commits.more).expect("a String takes all");
    }
    text
}

#[cfg(test)]
pub(crate) mod tests {
    use homing_api::Commit;

    use super::*;

    /// Returns two commits of three.
    pub(crate) fn commits(course: Course) -> Commits {
        let commit = |id: &str, subject: &str| Commit {
            id: id.repeat(40),
            time: "2026-01-02T03:04:05.000Z".to_owned(),
            subject: subject.to_owned(),
        };
        Commits {
            since: "a".repeat(40),
            until: "c".repeat(40),
            course,
            newest: vec![commit("c", "say more\u{1b}[2J"), commit("b", "")],
            more: 1,
        }
    }

    #[test]
    fn what_is_known_of_the_history_is_said_and_no_more() {
        let mut text = String::new();
        for course in Course::ALL {
            text += &render(&commits(course.clone()));
        }
        text += &render(&Commits {
            newest: Vec::new(),
            more: 0,
            ..commits(Course::Unknown)
        });
        insta::assert_snapshot!(text, @r"
        3 commits since aaaaaaaaaaaa:
          cccccccccccc  2026-01-02  say more\u{1b}[2J
          bbbbbbbbbbbb  2026-01-02
          and 1 more
        from aaaaaaaaaaaa back to cccccccccccc, without 3 commits:
          cccccccccccc  2026-01-02  say more\u{1b}[2J
          bbbbbbbbbbbb  2026-01-02
          and 1 more
        the history was rewritten: aaaaaaaaaaaa is no part of it; 3 commits instead:
          cccccccccccc  2026-01-02  say more\u{1b}[2J
          bbbbbbbbbbbb  2026-01-02
          and 1 more
        at least 3 commits: what was fetched of the history does not reach aaaaaaaaaaaa, or it was rewritten:
          cccccccccccc  2026-01-02  say more\u{1b}[2J
          bbbbbbbbbbbb  2026-01-02
          and 1 more
        which commits there are between aaaaaaaaaaaa and cccccccccccc is not known here
        ");
    }
}
