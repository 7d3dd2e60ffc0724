//! What a source takes of its origin: filters whose meaning can be told without knowing how Homing reads them.

/// Filters of a source. Only patterns of three plain forms are used: `*.md`, `/path/of/a/file` and `/directory/`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Selection {
    /// Empty: everything.
    pub(crate) include: &'static [&'static str],
    /// What is left out of that.
    pub(crate) exclude: &'static [&'static str],
}

/// Everything, and what people may change it to. All of them take the anchors, for a source that takes nothing of a
/// place cannot tell it from one that is away.
pub(crate) const SELECTIONS: &[Selection] = &[
    Selection {
        include: &[],
        exclude: &[],
    },
    Selection {
        include: &[],
        exclude: &["/a.md"],
    },
    Selection {
        include: &[],
        exclude: &["/dir/", "*.sh"],
    },
    Selection {
        include: &["*.md"],
        exclude: &[],
    },
    Selection {
        include: &["*.md", "*.bin"],
        exclude: &["/b.md", "/dir/deep/"],
    },
];

impl Selection {
    /// Tells whether the source takes the file at `path`.
    pub(crate) fn covers(&self, path: &str) -> bool {
        let matches = |patterns: &[&str]| patterns.iter().any(|pattern| is_match(pattern, path));
        (self.include.is_empty() || matches(self.include)) && !matches(self.exclude)
    }
}

fn is_match(pattern: &str, path: &str) -> bool {
    if let Some(ending) = pattern.strip_prefix('*') {
        return path.ends_with(ending);
    }
    let pattern = pattern.strip_prefix('/').unwrap_or(pattern);
    if pattern.ends_with('/') {
        path.starts_with(pattern)
    } else {
        path == pattern
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn selections_take_what_they_say_and_always_the_anchors() {
        let selection = SELECTIONS[4];
        assert!(selection.covers("a.md") && selection.covers("dir/c.md"));
        assert!(selection.covers("data.bin") && !selection.covers("tool.sh"));
        assert!(!selection.covers("b.md") && !selection.covers("dir/deep/d.md"));
        for selection in SELECTIONS {
            assert!(selection.covers("anchor.md") && selection.covers("second-anchor.md"));
        }
    }
}
