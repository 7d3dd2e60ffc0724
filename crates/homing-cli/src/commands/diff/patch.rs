//! `homing diff --patch`

use std::fmt::Write as _;
use std::io::{self, IsTerminal};

use anstyle::{AnsiColor, Effects, Style};
use homing_api::{Diff, Item, ItemAction};

use super::word;
use crate::output::{CYAN, RED, Screen};
use crate::text::escape;

const GREEN: Style = AnsiColor::Green.on_default();

/// Returns the patches, each under a line that says where it goes.
pub(super) fn render(diffs: &[Diff], screen: Screen) -> String {
    // A pipe gets them byte for byte, so that they can be applied; a terminal must not be written on by a content.
    lines(diffs, screen, io::stdout().is_terminal())
}

fn lines(diffs: &[Diff], screen: Screen, is_shown: bool) -> String {
    let mut text = String::new();
    for item in diffs.iter().flat_map(|diff| &diff.items) {
        let Some(patch) = &item.patch else { continue };
        let said = screen.paint(Style::new() | Effects::BOLD, &escape(&direction(item)));
        writeln!(text, "\n{said}").expect("a String takes all");
        for line in patch.split_inclusive('\n') {
            let line = line.strip_suffix('\n').unwrap_or(line);
            let shown = if is_shown {
                screen.paint(style(line), &visible(line))
            } else {
                line.to_owned()
            };
            writeln!(text, "{shown}").expect("a String takes all");
        }
    }
    text
}

/// Returns what would be done to which place, and where from.
fn direction(item: &Item) -> String {
    let (verb, source, path) = (word(&item.action), &item.source, &item.path);
    let way = match (&item.target, &item.action) {
        (Some(target), _) => format!("source {source} -> target {target}"),
        (None, ItemAction::Pushed) => format!("source {source} -> its origin"),
        (None, _) => format!("origin -> source {source}"),
    };
    format!("{verb} {path} ({way})")
}

/// Returns a line in which nothing but a tab moves the cursor.
fn visible(line: &str) -> String {
    let parts: Vec<_> = line.split('\t').map(escape).collect();
    parts.join("\t")
}

fn style(line: &str) -> Style {
    match line.as_bytes() {
        [b'+', b'+', b'+', b' ', ..] | [b'-', b'-', b'-', b' ', ..] => Style::new() | Effects::BOLD,
        [b'+', ..] => GREEN,
        [b'-', ..] => RED,
        [b'@', b'@', ..] => CYAN,
        _ => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::runs::tests::item;

    fn diff() -> Diff {
        let patch = "diff --git a/a.md b/a.md\n--- a/a.md\n+++ b/a.md\n@@ -1 +1 @@\n-one\n+t\u{1b}[2Jwo\tx\n";
        let changed = Item {
            patch: Some(patch.to_owned()),
            ..item("a.md", ItemAction::Updated, None)
        };
        let pushed = Item {
            target: None,
            patch: Some("diff --git a/p b/p\nnew file mode 100644\n".to_owned()),
            ..item("p", ItemAction::Pushed, None)
        };
        Diff {
            source: "team".to_owned(),
            items: vec![changed, item("b.md", ItemAction::Created, None), pushed],
            modified: Vec::new(),
            blocked: None,
            held: 0,
            problems: Vec::new(),
            commits: None,
        }
    }

    #[test]
    fn patches_say_where_they_go() {
        insta::assert_snapshot!(lines(&[diff()], Screen::default(), true), @r"
        update a.md (source team -> target claude)
        diff --git a/a.md b/a.md
        --- a/a.md
        +++ b/a.md
        @@ -1 +1 @@
        -one
        +t\u{1b}[2Jwo	x

        push p (source team -> its origin)
        diff --git a/p b/p
        new file mode 100644
        ");
    }

    #[test]
    fn colours_are_for_terminals_and_bytes_for_pipes() {
        let color = Screen {
            width: Some(80),
            color: true,
        };
        let shown = lines(&[diff()], color, true);
        assert!(
            shown.contains("\u{1b}[31m-one") && !shown.contains("\u{1b}[2J"),
            "{shown:?}"
        );
        let piped = lines(&[diff()], Screen::default(), false);
        assert!(piped.contains("\n+t\u{1b}[2Jwo\tx\n"), "{piped:?}");
    }
}
