//! Which paths a side covers: include and exclude in the syntax of `.gitignore`.

use std::path::Path;

use ignore::Match;
use ignore::gitignore::{Gitignore, GitignoreBuilder};

use crate::SideError;

/// The include and exclude lists of a side.
#[derive(Debug)]
pub struct Selection {
    include: Option<Gitignore>,
    exclude: Option<Gitignore>,
}

/// What the selection says of a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Covered {
    /// All files below are included, unless a pattern says otherwise.
    included: bool,
}

impl Selection {
    /// Compiles the patterns; [`SideError::Config`] names the one that is malformed.
    pub fn new(include: &[String], exclude: &[String]) -> Result<Self, SideError> {
        Ok(Self {
            include: compile("include", include)?,
            exclude: compile("exclude", exclude)?,
        })
    }

    /// Returns what holds for the root.
    pub fn root(&self) -> Covered {
        Covered {
            included: self.include.is_none(),
        }
    }

    /// Returns what holds for a directory in one that `parent` tells of, `None` when nothing below it is covered.
    pub fn directory(&self, parent: Covered, path: &Path) -> Option<Covered> {
        if self.is_excluded(path, true) {
            return None;
        }
        Some(Covered {
            included: self.is_included(parent, path, true),
        })
    }

    /// Tells whether a file in a directory that `parent` tells of is covered.
    pub fn file(&self, parent: Covered, path: &Path) -> bool {
        self.is_included(parent, path, false) && !self.is_excluded(path, false)
    }

    /// Tells whether a file of this path is covered, and every directory on the way to it.
    pub fn covers(&self, path: &str) -> bool {
        let mut covered = self.root();
        for (at, _) in path.match_indices('/') {
            match self.directory(covered, Path::new(&path[..at])) {
                Some(directory) => covered = directory,
                None => return false,
            }
        }
        self.file(covered, Path::new(path))
    }

    /// Tells whether an exclude pattern names the path.
    pub fn is_excluded(&self, path: &Path, is_directory: bool) -> bool {
        self.exclude
            .as_ref()
            .is_some_and(|exclude| exclude.matched(path, is_directory).is_ignore())
    }

    fn is_included(&self, parent: Covered, path: &Path, is_directory: bool) -> bool {
        match self
            .include
            .as_ref()
            .map_or(Match::None, |include| include.matched(path, is_directory))
        {
            Match::None => parent.included,
            Match::Ignore(_) => true,
            Match::Whitelist(_) => false,
        }
    }
}

fn compile(list: &str, patterns: &[String]) -> Result<Option<Gitignore>, SideError> {
    if patterns.is_empty() {
        return Ok(None);
    }
    let malformed = |pattern: &str, error: &ignore::Error| SideError::Config {
        message: format!("the pattern `{pattern}` in `{list}` is malformed: {error}"),
    };
    // The builder takes paths relative to its root; ours are relative already.
    let mut builder = GitignoreBuilder::new("");
    // Git takes `a[` for a name; in a configuration it is a slip.
    builder.allow_unclosed_class(false);
    for pattern in patterns {
        builder
            .add_line(None, pattern)
            .map_err(|error| malformed(pattern, &error))?;
    }
    builder
        .build()
        .map(Some)
        .map_err(|error| malformed(&patterns.join(", "), &error))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(include: &[&str], exclude: &[&str], path: &str) -> bool {
        let list = |patterns: &[&str]| {
            patterns
                .iter()
                .map(|&pattern| pattern.to_owned())
                .collect::<Vec<_>>()
        };
        Selection::new(&list(include), &list(exclude))
            .unwrap()
            .covers(path)
    }

    #[test]
    fn without_patterns_everything_is_covered() {
        assert!(covers(&[], &[], "a/b.md"));
    }

    #[test]
    fn only_what_is_included_is_covered() {
        assert!(covers(&["**/*.md"], &[], "a/b.md"));
        assert!(covers(&["*.md"], &[], "a/b.md"));
        assert!(!covers(&["**/*.md"], &[], "a/b.txt"));
        assert!(covers(&["/docs"], &[], "docs/deep/b.txt"));
        assert!(!covers(&["/docs"], &[], "other/docs/b.txt"));
        assert!(!covers(&["docs/", "!*.bin"], &[], "docs/b.bin"));
    }

    #[test]
    fn exclude_wins() {
        assert!(!covers(&["**/*.md"], &["README.md"], "a/README.md"));
        assert!(!covers(&["**/*.md"], &["a/"], "a/b/c.md"));
        assert!(covers(&[], &["*.md", "!keep.md"], "a/keep.md"));
    }

    #[test]
    fn patterns_tell_case_apart() {
        assert!(!covers(&["*.md"], &[], "A.MD"));
    }

    #[test]
    fn a_malformed_pattern_is_named() {
        let error = Selection::new(&["a[".to_owned()], &[]).unwrap_err();
        assert!(
            matches!(&error, SideError::Config { message } if message.contains("`a[`") && message.contains("include"))
        );
    }
}
