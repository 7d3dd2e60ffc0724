//! What a file's bytes are made of, and what a clean three-way merge of three contents is.
//!
//! Every line that a person of a history writes is unlike every other line ever written. So what became of it can be
//! told without knowing how Homing merges: a content is an ordered set of lines, and a clean merge is a formula over
//! sets. A content with a NUL byte is one unit, for nobody may merge it.

use std::collections::BTreeSet;

/// A line, or a whole binary content.
pub(crate) type Unit = Vec<u8>;

/// Splits a content into its units.
pub(crate) fn units(bytes: &[u8]) -> BTreeSet<Unit> {
    ordered_units(bytes).into_iter().collect()
}

/// Splits a content into its units, in order.
pub(crate) fn ordered_units(bytes: &[u8]) -> Vec<Unit> {
    if is_binary(bytes) {
        return vec![bytes.to_vec()];
    }
    bytes
        .split_inclusive(|byte| *byte == b'\n')
        .map(<[u8]>::to_vec)
        .collect()
}

/// Tells whether nobody may merge it.
pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.contains(&0)
}

/// Tells whether `merged` is the clean merge of some base, some near and some far content among the known ones.
pub(crate) fn is_clean_merge(merged: &[u8], known: &[Vec<u8>]) -> bool {
    if is_binary(merged) {
        return false;
    }
    let result = units(merged);
    let order = ordered_units(merged);
    if order.len() != result.len() {
        // Nobody writes a line twice, so no clean merge has one twice.
        return false;
    }
    let candidates: Vec<(BTreeSet<Unit>, &[u8])> = known
        .iter()
        .filter(|bytes| !is_binary(bytes))
        .map(|bytes| (units(bytes), bytes.as_slice()))
        .collect();
    for (near, near_bytes) in &candidates {
        for (far, far_bytes) in &candidates {
            // Cheap refusals first: a base cannot bring lines in, nor take away what both sides kept.
            let from_both = result
                .iter()
                .all(|unit| near.contains(unit) || far.contains(unit));
            let kept_by_both = near.intersection(far).all(|unit| result.contains(unit));
            if !from_both
                || !kept_by_both
                || !keeps_order(&order, near_bytes)
                || !keeps_order(&order, far_bytes)
            {
                continue;
            }
            for (base, _) in &candidates {
                let expected = merge_units(base, near, far);
                if expected == result {
                    return true;
                }
            }
        }
    }
    false
}

fn merge_units(
    base: &BTreeSet<Unit>,
    near: &BTreeSet<Unit>,
    far: &BTreeSet<Unit>,
) -> BTreeSet<Unit> {
    let mut merged: BTreeSet<Unit> = near.intersection(far).cloned().collect();
    merged.extend(
        near.difference(far)
            .filter(|unit| !base.contains(*unit))
            .cloned(),
    );
    merged.extend(
        far.difference(near)
            .filter(|unit| !base.contains(*unit))
            .cloned(),
    );
    merged
}

fn keeps_order(order: &[Unit], side: &[u8]) -> bool {
    let side = ordered_units(side);
    let positions: Vec<usize> = order
        .iter()
        .filter_map(|unit| side.iter().position(|candidate| candidate == unit))
        .collect();
    positions.is_sorted()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(lines: &str) -> Vec<u8> {
        lines
            .split(' ')
            .flat_map(|line| [line.as_bytes(), b"\n"].concat())
            .collect()
    }

    #[test]
    fn explains_clean_merges_and_nothing_else() {
        let base = text("a b c d e");
        let near = text("a u b c d e");
        let far = text("a b c d o");
        let known = vec![base, near, far];
        assert!(is_clean_merge(&text("a u b c d o"), &known));
        assert!(
            !is_clean_merge(&text("a b c d o u"), &known),
            "the order of one side is broken"
        );
        assert!(
            !is_clean_merge(&text("a u b c d e o"), &known),
            "a line that far removed is back"
        );
        assert!(!is_clean_merge(&text("a u b"), &known), "half a file");
        assert!(
            !is_clean_merge(&text("a u b c d o o"), &known),
            "a line twice"
        );
        assert!(
            !is_clean_merge(&text("a u b c d x"), &known),
            "a line that nobody wrote"
        );
    }

    #[test]
    fn binary_contents_are_one_unit() {
        assert_eq!(units(b"a\0b\nc\n").len(), 1);
        assert!(!is_clean_merge(b"a\0", &[b"a\0".to_vec()]));
    }
}
