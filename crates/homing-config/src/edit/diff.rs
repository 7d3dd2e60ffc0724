//! What an edit changes, line by line.

use crate::mask::mask;

/// Above this many lines the middle is not compared, but shown as removed and added.
const MAX_COMPARED: usize = 1000;

/// A line of a difference, without its line end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DiffLine {
    /// It stays.
    Kept(String),
    /// It goes.
    Removed(String),
    /// It comes.
    Added(String),
    /// Lines that stay were left out.
    Gap,
}

/// Compares two texts; a line of what stays is shown on both sides of what changes.
pub(super) fn lines(before: &str, after: &str) -> Vec<DiffLine> {
    let (before, after): (Vec<&str>, Vec<&str>) =
        (before.lines().collect(), after.lines().collect());
    let all = compare(&before, &after);
    let all = all.into_iter().map(without_secrets).collect::<Vec<_>>();
    let kept = |line: Option<&DiffLine>| matches!(line, None | Some(DiffLine::Kept(_)));
    let mut shown = Vec::new();
    for (at, line) in all.iter().enumerate() {
        let above = at.checked_sub(1).and_then(|above| all.get(above));
        if kept(Some(line)) && kept(above) && kept(all.get(at + 1)) {
            if matches!(shown.last(), Some(DiffLine::Kept(_))) {
                shown.push(DiffLine::Gap);
            }
        } else {
            shown.push(line.clone());
        }
    }
    if matches!(shown.last(), Some(DiffLine::Gap)) {
        shown.pop();
    }
    shown
}

/// A line that was there before may hold what nobody is to see, in a comment too.
fn without_secrets(line: DiffLine) -> DiffLine {
    match line {
        DiffLine::Kept(line) => DiffLine::Kept(mask(&line)),
        DiffLine::Removed(line) => DiffLine::Removed(mask(&line)),
        shown => shown,
    }
}

fn compare(before: &[&str], after: &[&str]) -> Vec<DiffLine> {
    let same = before
        .iter()
        .zip(after)
        .take_while(|(one, other)| one == other)
        .count();
    let (head, before, after) = (&before[..same], &before[same..], &after[same..]);
    let ends = before.iter().rev().zip(after.iter().rev());
    let same = ends.take_while(|(one, other)| one == other).count();
    let (before, tail) = before.split_at(before.len() - same);
    let after = &after[..after.len() - same];
    let kept = |line: &&str| DiffLine::Kept((*line).to_owned());
    let mut lines: Vec<DiffLine> = head.iter().map(kept).collect();
    lines.extend(middle(before, after));
    lines.extend(tail.iter().map(kept));
    lines
}

/// Compares by the longest common subsequence.
fn middle(before: &[&str], after: &[&str]) -> Vec<DiffLine> {
    let removed = |line: &&str| DiffLine::Removed((*line).to_owned());
    let added = |line: &&str| DiffLine::Added((*line).to_owned());
    if before.len().max(after.len()) > MAX_COMPARED {
        return before
            .iter()
            .map(removed)
            .chain(after.iter().map(added))
            .collect();
    }
    let mut longest = vec![vec![0_usize; after.len() + 1]; before.len() + 1];
    for (i, one) in before.iter().enumerate().rev() {
        for (j, other) in after.iter().enumerate().rev() {
            longest[i][j] = if one == other {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < before.len() || j < after.len() {
        if i < before.len() && j < after.len() && before[i] == after[j] {
            lines.push(DiffLine::Kept(before[i].to_owned()));
            (i, j) = (i + 1, j + 1);
        } else if j == after.len() || (i < before.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            lines.push(removed(&before[i]));
            i += 1;
        } else {
            lines.push(added(&after[j]));
            j += 1;
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(before: &str, after: &str) -> String {
        let line = |line| match line {
            DiffLine::Kept(line) => format!("  {line}\n"),
            DiffLine::Removed(line) => format!("- {line}\n"),
            DiffLine::Added(line) => format!("+ {line}\n"),
            DiffLine::Gap => "...\n".to_owned(),
        };
        lines(before, after).into_iter().map(line).collect()
    }

    #[test]
    fn only_what_changes_is_shown_with_its_neighbours() {
        assert_eq!(
            shown("a\nb\nc\nd\n", "a\nb\nx\nd\n"),
            "  b\n- c\n+ x\n  d\n"
        );
        assert_eq!(shown("", "a\nb\n"), "+ a\n+ b\n");
        assert_eq!(shown("a\n", "a\n"), "");
        assert_eq!(
            shown("a\nb\nc\nd\ne\nf\ng\n", "b\nc\nd\ne\nf\nX\n"),
            "- a\n  b\n...\n  f\n- g\n+ X\n"
        );
    }
}
