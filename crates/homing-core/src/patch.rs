//! Patches: how one text becomes another, as Git writes it.

use std::fmt::Write as _;
use std::ops::Range;

use gix_imara_diff::{Algorithm, Diff, InternedInput};

use crate::merge::is_binary;

/// Contents of more bytes are named in a patch and not compared.
pub const PATCH_LIMIT_BYTES: usize = 1024 * 1024;

/// Lines that are shown around what changed.
const CONTEXT_LINES: u32 = 3;

/// A file on one side of a patch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatchSide<'a> {
    /// Its content; `None`: it is too large to be looked at.
    pub bytes: Option<&'a [u8]>,
    /// Whether its owner may execute it.
    pub executable: bool,
}

/// Returns what makes the file at `path` out of `before` become `after`: a unified diff with the headers of Git, which
/// `git apply` and `patch -p1` take.
///
/// What has a NUL byte near its beginning, is no UTF-8 or is larger than [`PATCH_LIMIT_BYTES`] is only said to differ.
/// Empty when nothing does.
pub fn patch(path: &str, before: Option<PatchSide<'_>>, after: Option<PatchSide<'_>>) -> String {
    let mut text = String::new();
    let is_same = match (before, after) {
        (Some(before), Some(after)) => before.bytes.is_some() && before.bytes == after.bytes,
        (None, None) => return text,
        _ => false,
    };
    if is_same && before == after {
        return text;
    }
    let (old, new) = (name("a", path), name("b", path));
    let mut line = |line: &str| writeln!(text, "{line}").expect("a String takes all");
    line(&format!("diff --git {old} {new}"));
    match (before, after) {
        (None, Some(new)) => line(&format!("new file mode {}", mode(new))),
        (Some(old), None) => line(&format!("deleted file mode {}", mode(old))),
        (Some(old), Some(new)) if old.executable != new.executable => {
            line(&format!("old mode {}", mode(old)));
            line(&format!("new mode {}", mode(new)));
        }
        _ => {}
    }
    let is_empty = |side: Option<PatchSide<'_>>| side.is_none_or(|side| side.bytes == Some(&[]));
    if is_same || (is_empty(before) && is_empty(after)) {
        return text;
    }
    let here = |side: Option<PatchSide<'_>>, name: String| match side {
        Some(_) => name,
        None => "/dev/null".to_owned(),
    };
    let (old, new) = (here(before, old), here(after, new));
    let (Some(before), Some(after)) = (readable(before), readable(after)) else {
        line(&format!("Binary files {old} and {new} differ"));
        return text;
    };
    line(&format!("--- {}", with_tab(&old)));
    line(&format!("+++ {}", with_tab(&new)));
    text + &hunks(before, after)
}

/// Returns a text that can be compared by lines; one that is not there is empty.
fn readable(side: Option<PatchSide<'_>>) -> Option<&str> {
    let bytes = side.map_or(Some(&[][..]), |side| side.bytes)?;
    if bytes.len() > PATCH_LIMIT_BYTES || is_binary(bytes) {
        return None;
    }
    std::str::from_utf8(bytes).ok()
}

fn hunks(before: &str, after: &str) -> String {
    let input = InternedInput::new(before, after);
    // Of the algorithms the one that takes no square of the lines for texts that have nothing in common.
    let mut diff = Diff::compute(Algorithm::Myers, &input);
    diff.postprocess_lines(&input);
    let old: Vec<&str> = before.split_inclusive('\n').collect();
    let new: Vec<&str> = after.split_inclusive('\n').collect();
    let changes: Vec<(Range<u32>, Range<u32>)> =
        diff.hunks().map(|hunk| (hunk.before, hunk.after)).collect();
    let near = |one: &(Range<u32>, Range<u32>), next: &(Range<u32>, Range<u32>)| {
        next.0.start - one.0.end <= 2 * CONTEXT_LINES
    };
    let mut text = String::new();
    for group in changes.chunk_by(near) {
        let [first, ..] = group else { continue };
        let last = group.last().unwrap_or(first);
        let lead = first.0.start.min(CONTEXT_LINES);
        let trail = (count(&old) - last.0.end).min(CONTEXT_LINES);
        let from = first.0.start - lead..last.0.end + trail;
        let to = first.1.start - lead..last.1.end + trail;
        writeln!(text, "@@ -{} +{} @@", span(&from), span(&to)).expect("a String takes all");
        let mut at = from.start;
        for (removed, added) in group {
            push(&mut text, ' ', &old, at..removed.start);
            push(&mut text, '-', &old, removed.clone());
            push(&mut text, '+', &new, added.clone());
            at = removed.end;
        }
        push(&mut text, ' ', &old, at..from.end);
    }
    text
}

fn push(text: &mut String, sign: char, lines: &[&str], range: Range<u32>) {
    for line in &lines[range.start as usize..range.end as usize] {
        text.push(sign);
        text.push_str(line);
        if !line.ends_with('\n') {
            text.push_str("\n\\ No newline at end of file\n");
        }
    }
}

fn count(lines: &[&str]) -> u32 {
    u32::try_from(lines.len()).unwrap_or(u32::MAX)
}

/// Returns where a hunk begins, counted from one, and how many lines it has.
fn span(range: &Range<u32>) -> String {
    let lines = range.end - range.start;
    // Before the first line when there is none.
    let start = if lines == 0 {
        range.start
    } else {
        range.start + 1
    };
    if lines == 1 {
        start.to_string()
    } else {
        format!("{start},{lines}")
    }
}

fn mode(side: PatchSide<'_>) -> &'static str {
    if side.executable { "100755" } else { "100644" }
}

/// Returns a path as Git's headers have it: quoted where it must be.
fn name(side: &str, path: &str) -> String {
    if path.contains(['"', '\\']) {
        let path = path.replace('\\', "\\\\").replace('"', "\\\"");
        return format!("\"{side}/{path}\"");
    }
    format!("{side}/{path}")
}

/// Ends a name that has a space with a tab, so that it is clear where it ends.
fn with_tab(name: &str) -> String {
    if name.contains(' ') && !name.starts_with('"') {
        format!("{name}\t")
    } else {
        name.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[expect(clippy::unnecessary_wraps, reason = "as `patch` takes it")]
    fn side(bytes: &[u8], executable: bool) -> Option<PatchSide<'_>> {
        Some(PatchSide {
            bytes: Some(bytes),
            executable,
        })
    }

    fn text(before: &str, after: &str) -> String {
        patch(
            "a.md",
            side(before.as_bytes(), false),
            side(after.as_bytes(), false),
        )
    }

    #[test]
    fn what_changed_is_shown_with_the_lines_around_it() {
        let before = "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n";
        let after = before.replace("5\n6", "five\n6").replace("14\n", "");
        assert_eq!(
            text(before, &after),
            "diff --git a/a.md b/a.md\n--- a/a.md\n+++ b/a.md\n\
             @@ -2,7 +2,7 @@\n 2\n 3\n 4\n-5\n+five\n 6\n 7\n 8\n\
             @@ -11,6 +11,5 @@\n 11\n 12\n 13\n-14\n 15\n 16\n"
        );
    }

    #[test]
    fn what_comes_and_goes_has_no_other_side() {
        let new = patch("x y", None, side(b"one\ntwo", true));
        assert_eq!(
            new,
            "diff --git a/x y b/x y\nnew file mode 100755\n--- /dev/null\n+++ b/x y\t\n\
             @@ -0,0 +1,2 @@\n+one\n+two\n\\ No newline at end of file\n"
        );
        let gone = patch("a\"b", side(b"one\n", false), None);
        assert_eq!(
            gone,
            "diff --git \"a/a\\\"b\" \"b/a\\\"b\"\ndeleted file mode 100644\n--- \"a/a\\\"b\"\n+++ /dev/null\n\
             @@ -1 +0,0 @@\n-one\n"
        );
    }

    #[test]
    fn a_last_line_without_its_end_is_told() {
        assert_eq!(
            text("one\ntwo", "one\ntwo\n"),
            "diff --git a/a.md b/a.md\n--- a/a.md\n+++ b/a.md\n\
             @@ -1,2 +1,2 @@\n one\n-two\n\\ No newline at end of file\n+two\n"
        );
    }

    #[test]
    fn binary_and_large_contents_are_only_named() {
        let large = "x\n".repeat(PATCH_LIMIT_BYTES);
        for bytes in [&b"a\0b"[..], b"\xff\xfe", large.as_bytes()] {
            let said = patch("p", side(b"text\n", false), side(bytes, false));
            assert!(
                said.ends_with("\nBinary files a/p and b/p differ\n"),
                "{said}"
            );
        }
        let unread = PatchSide {
            bytes: None,
            executable: false,
        };
        let said = patch("p", Some(unread), Some(unread));
        assert!(
            said.ends_with("\nBinary files a/p and b/p differ\n"),
            "{said}"
        );
        let new = patch("p", None, side(b"a\0b", false));
        assert!(
            new.ends_with("\nBinary files /dev/null and b/p differ\n"),
            "{new}"
        );
    }

    #[test]
    fn modes_and_empty_files_need_no_lines() {
        let mode = patch("p", side(b"x", false), side(b"x", true));
        assert_eq!(
            mode,
            "diff --git a/p b/p\nold mode 100644\nnew mode 100755\n"
        );
        let empty = patch("p", None, side(b"", false));
        assert_eq!(empty, "diff --git a/p b/p\nnew file mode 100644\n");
        assert_eq!(text("same", "same"), "");
    }

    #[test]
    fn texts_that_have_nothing_in_common_are_compared_in_time() {
        let lines = |word: &str| {
            let lines: Vec<String> = (0..40_000).map(|n| format!("{word}{n}")).collect();
            lines.join("\n")
        };
        let (before, after) = (lines("a"), lines("b"));
        assert!(text(&before, &after).lines().count() > 80_000);
    }
}
