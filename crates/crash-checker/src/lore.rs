//! What a path may rightly hold: what people wrote there, and clean merges of that.

use std::collections::{BTreeMap, BTreeSet};

use crate::content::{Unit, is_clean_merge, ordered_units, units};

/// How many merges may lie between two looks, so that not every step of them is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Chain {
    /// One: the step is known.
    One,
    /// Several clean ones: from a target to the head, from there to the origin or to another target.
    Clean,
    /// Several, and some keep the lines of both sides where they overlap.
    Union,
}

/// All contents and modes that a path had by people's doing, or that a merge explains. Paths are classes of the model.
#[derive(Debug, Default)]
pub(crate) struct Lore {
    known: BTreeMap<String, Vec<Vec<u8>>>,
    modes: BTreeMap<String, BTreeSet<bool>>,
    /// Paths whose conflicts were decided by keeping the lines of both sides.
    united: BTreeSet<String>,
    /// How often a merge was seen.
    pub(crate) merges: u64,
}

impl Lore {
    /// Notes a content.
    pub(crate) fn learn(&mut self, path: &str, bytes: &[u8]) {
        let known = self.known.entry(path.to_owned()).or_default();
        if !known.iter().any(|content| content == bytes) {
            known.push(bytes.to_vec());
        }
    }

    /// Notes that a person set or cleared the executable bits.
    pub(crate) fn mode_set(&mut self, path: &str, executable: bool) {
        let modes = self.modes.entry(path.to_owned()).or_default();
        modes.insert(executable);
    }

    /// Notes that a person chose to keep the lines of both sides.
    pub(crate) fn unite(&mut self, path: &str) {
        self.united.insert(path.to_owned());
    }

    /// Tells whether a path may have this content: somebody wrote it there, or it is a clean merge of such contents.
    ///
    /// At the end of a chain of merges every line must be one that the path had, none may be there twice, the content
    /// must be whole, and its lines must be in the order that they have in every other content of the path.
    pub(crate) fn explains(&mut self, path: &str, bytes: &[u8], chain: Chain) -> bool {
        let Some(known) = self.known.get(path) else {
            return false;
        };
        if known.iter().any(|content| content == bytes) {
            return true;
        }
        let chain = if self.united.contains(path) {
            Chain::Union
        } else {
            chain
        };
        let explained = is_clean_merge(bytes, known)
            || (chain != Chain::One && is_whole_mixture(bytes, known, chain));
        if explained {
            self.merges += 1;
            self.learn(path, bytes);
        }
        explained
    }

    /// Tells whether a person ever gave the path this executable bit.
    pub(crate) fn explains_mode(&self, path: &str, executable: bool) -> bool {
        self.modes
            .get(path)
            .is_some_and(|modes| modes.contains(&executable))
    }
}

fn is_whole_mixture(bytes: &[u8], known: &[Vec<u8>], chain: Chain) -> bool {
    let all: BTreeSet<Unit> = known.iter().flat_map(|content| units(content)).collect();
    let lines = ordered_units(bytes);
    let set: BTreeSet<&Unit> = lines.iter().collect();
    let is_end = |end: fn(&[Unit]) -> Option<&Unit>| {
        known
            .iter()
            .any(|content| end(&ordered_units(content)) == end(&lines))
    };
    set.iter().all(|unit| all.contains(*unit))
        && is_end(<[Unit]>::first)
        && is_end(<[Unit]>::last)
        // Two whole contents that were united have the same first and last line.
        && (chain == Chain::Union || set.len() == lines.len())
        && (chain == Chain::Union || known.iter().all(|content| keeps_order(&lines, content)))
}

fn keeps_order(lines: &[Unit], other: &[u8]) -> bool {
    let other = ordered_units(other);
    let position = |unit: &Unit| other.iter().position(|candidate| candidate == unit);
    let positions: Vec<usize> = lines.iter().filter_map(position).collect();
    positions.is_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lore(contents: &[&str]) -> Lore {
        let mut lore = Lore::default();
        for content in contents {
            lore.learn("a.md", content.as_bytes());
        }
        lore.mode_set("a.md", false);
        lore
    }

    #[test]
    fn half_files_and_unknown_lines_are_not_explained() {
        let mut lore = lore(&["begin\none\ntwo\nend\n", "begin\none\ntwo\nmine\nend\n"]);
        for chain in [Chain::One, Chain::Clean, Chain::Union] {
            let mut explains = |path, text: &str| lore.explains(path, text.as_bytes(), chain);
            assert!(!explains("a.md", "begin\none\n"), "the end is missing");
            assert!(!explains("a.md", ""));
            assert!(!explains("a.md", "begin\nelse\nend\n"), "nobody wrote that");
            assert!(
                !explains("b.md", "begin\none\ntwo\nend\n"),
                "not at that path"
            );
            assert!(explains("a.md", "begin\none\ntwo\nend\n"));
        }
        assert!(
            !lore.explains("a.md", b"begin\none\nmine\nend\n", Chain::One),
            "no merge drops a line that both have"
        );
        assert!(lore.explains_mode("a.md", false));
        assert!(!lore.explains_mode("a.md", true));
    }

    #[test]
    fn merges_after_merges_double_no_line_and_keep_the_order() {
        let mut lore = lore(&["begin\none\ntwo\nend\n", "begin\ntwo\nmine\nend\n"]);
        let mut explains = |text: &str| lore.explains("a.md", text.as_bytes(), Chain::Clean);
        assert!(!explains("begin\none\none\nmine\nend\n"), "a line twice");
        assert!(
            !explains("begin\nmine\ntwo\nend\n"),
            "in no order of theirs"
        );
        assert!(explains("begin\none\nmine\nend\n"));
    }
}
