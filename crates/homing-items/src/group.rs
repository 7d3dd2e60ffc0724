//! Groups: which files are one skill.

use std::collections::HashSet;

use homing_core::ItemKey;

use crate::kind::SKILL_FILE;

/// The directories that are skills.
#[derive(Debug, Clone, Default)]
pub struct Skills<'k>(HashSet<&'k str>);

impl<'k> Skills<'k> {
    /// Finds the directories that hold a `SKILL.md`.
    pub fn among(keys: impl IntoIterator<Item = &'k ItemKey>) -> Self {
        let marks = keys.into_iter().filter(|key| key.file_name() == SKILL_FILE);
        Self(marks.map(|key| key.parent().unwrap_or("")).collect())
    }

    /// Returns the skill that a file belongs to, by its directory: the deepest one; `""` is the root.
    pub fn of(&self, key: &ItemKey) -> Option<&'k str> {
        if self.0.is_empty() {
            return None;
        }
        let mut path = key.as_str();
        while let Some((directory, _)) = path.rsplit_once('/') {
            if let Some(found) = self.0.get(directory) {
                return Some(found);
            }
            path = directory;
        }
        self.0.get("").copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_deepest_skill_has_a_file() {
        let key = |path: &str| ItemKey::new(path).unwrap();
        let keys = [
            key("a/SKILL.md"),
            key("a/b/c/SKILL.md"),
            key("d/skill.md"),
            key("a.md"),
        ];
        let skills = Skills::among(&keys);
        for (path, skill) in [
            ("a/SKILL.md", Some("a")),
            ("a/b/x", Some("a")),
            ("a/b/c/d/x", Some("a/b/c")),
            ("a/b/cc", Some("a")),
            ("ab/x", None),
            ("d/x", None),
            ("x", None),
        ] {
            assert_eq!(skills.of(&key(path)), skill, "{path}");
        }
        let root = [key("SKILL.md")];
        assert_eq!(Skills::among(&root).of(&key("a/x")), Some(""));
        assert_eq!(Skills::among(&root).of(&key("x")), Some(""));
    }
}
