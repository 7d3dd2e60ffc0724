//! What every merge keeps.

use std::collections::BTreeMap;

use homing_core::{MergeInput, MergeOutcome, Policy, merge};
use proptest::prelude::*;

use crate::model::cases;

/// Counts lines, whatever ends them.
fn lines(text: &[u8]) -> BTreeMap<Vec<u8>, i64> {
    let mut counts = BTreeMap::new();
    let text = text.strip_suffix(b"\n").unwrap_or(text);
    for line in text.split(|byte| *byte == b'\n') {
        let mut line = line.to_vec();
        while line.last() == Some(&b'\r') {
            line.pop();
        }
        *counts.entry(line).or_insert(0) += 1;
    }
    counts
}

/// Few different lines, so that the same line stands in several places.
fn any_text() -> impl Strategy<Value = Vec<u8>> {
    let line = prop_oneof![
        4 => prop::sample::select(vec!["a\n", "b\n", "c\n", "d\n", "e\n"]),
        1 => prop::sample::select(vec!["\n", "a\r\n", "\r\n", "  a\n", "}\n"]),
    ];
    (prop::collection::vec(line, 0..10), any::<bool>()).prop_map(|(lines, ended)| {
        let mut text = lines.concat().into_bytes();
        if !ended && text.last() == Some(&b'\n') {
            text.pop();
        }
        text
    })
}

/// A text and edits of it: (place in per mille, lines that go, lines that come).
fn any_edit(text: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let edit = (0..1_000_usize, 0..3_usize, any_text());
    prop::collection::vec(edit, 0..3).prop_map(move |edits| {
        let mut lines: Vec<Vec<u8>> = text
            .split_inclusive(|byte| *byte == b'\n')
            .map(<[u8]>::to_vec)
            .collect();
        for (place, removed, added) in edits {
            let start = place * (lines.len() + 1) / 1_000;
            let end = (start + removed).min(lines.len());
            let added: Vec<Vec<u8>> = added
                .split_inclusive(|byte| *byte == b'\n')
                .take(3)
                .map(<[u8]>::to_vec)
                .collect();
            lines.splice(start..end, added);
        }
        lines.concat()
    })
}

fn any_three() -> impl Strategy<Value = (Vec<u8>, Vec<u8>, Vec<u8>)> {
    any_text().prop_flat_map(|base| {
        (any_edit(base.clone()), any_edit(base.clone()))
            .prop_map(move |(near, far)| (base.clone(), near, far))
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    prop::sample::select(vec![
        Policy::Ask,
        Policy::Ours,
        Policy::Theirs,
        Policy::Union,
    ])
}

/// What happened to a stretch of lines: how many there were, and how many each side made of them (`None`: untouched).
#[derive(Debug, Clone)]
struct Stretch {
    old: usize,
    near: Option<usize>,
    far: Option<usize>,
    /// Lines that follow and that nobody touches.
    kept: usize,
}

fn any_stretches() -> impl Strategy<Value = (Vec<Stretch>, &'static str, bool)> {
    let change = || prop::option::of(0..3_usize);
    let stretch =
        (0..3_usize, change(), change(), 1..4_usize).prop_map(|(old, near, far, kept)| Stretch {
            old,
            near,
            far,
            kept,
        });
    (
        prop::collection::vec(stretch, 0..6),
        prop::sample::select(vec!["\n", "\r\n"]),
        any::<bool>(),
    )
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_clean_merge_loses_no_line_that_neither_side_removed((base, near, far) in any_three(), union in any::<bool>()) {
        let policy = if union { Policy::Union } else { Policy::Ask };
        let input = MergeInput { base: Some(&base), near: Some(&near), far: Some(&far), policy };
        if let MergeOutcome::Merged(merged) = merge(input) {
            let [base, near, far, merged] = [&base, &near, &far, &merged.unwrap()].map(|text| lines(text));
            let count = |side: &BTreeMap<Vec<u8>, i64>, line: &[u8]| side.get(line).copied().unwrap_or(0);
            // An empty text counts as one empty line, and so do some others: that line is not compared.
            for line in base.keys().chain(near.keys()).chain(far.keys()).filter(|line| !line.is_empty()) {
                let (was, here, there) = (count(&base, line), count(&near, line), count(&far, line));
                let removed = (was - here).max(0) + (was - there).max(0);
                let added = (here - was).max(there - was).max(0);
                prop_assert!(count(&merged, line) >= was - removed + added, "{:?}", String::from_utf8_lossy(line));
                prop_assert!(count(&merged, line) <= here + there, "{:?}", String::from_utf8_lossy(line));
            }
            for line in merged.keys().filter(|line| !line.is_empty()) {
                prop_assert!(near.contains_key(line) || far.contains_key(line), "{:?} comes from nowhere", line);
            }
        }
    }

    /// Stretches apart from each other by lines that are there once, and so the merge is known.
    #[test]
    fn each_stretch_is_merged_by_itself((stretches, end, ended) in any_stretches(), policy in any_policy()) {
        let (mut base, mut near, mut far, mut expected) = (String::new(), String::new(), String::new(), String::new());
        let mut conflict = false;
        for (number, stretch) in stretches.iter().enumerate() {
            let lines = |word: &str, count: usize| -> String {
                (0..count).map(|line| format!("{word} {number}.{line}{end}")).collect::<Vec<_>>().concat()
            };
            let old = lines("old", stretch.old);
            let by_near = stretch.near.map_or_else(|| old.clone(), |count| lines("near", count));
            let by_far = stretch.far.map_or_else(|| old.clone(), |count| lines("far", count));
            let merged = if by_near == old || by_near == by_far {
                by_far.clone()
            } else if by_far == old {
                by_near.clone()
            } else {
                conflict |= policy == Policy::Ask;
                match policy {
                    Policy::Ask | Policy::Ours => by_near.clone(),
                    Policy::Theirs => by_far.clone(),
                    Policy::Union => format!("{by_near}{by_far}"),
                }
            };
            for (text, part) in [(&mut base, old), (&mut near, by_near), (&mut far, by_far), (&mut expected, merged)] {
                *text += &part;
                *text += &lines("kept", stretch.kept);
            }
        }
        if !ended {
            for text in [&mut base, &mut near, &mut far, &mut expected] {
                text.truncate(text.trim_end().len());
            }
        }
        let input = MergeInput { base: Some(base.as_bytes()), near: Some(near.as_bytes()), far: Some(far.as_bytes()), policy };
        let outcome = if conflict { MergeOutcome::Conflict } else { MergeOutcome::Merged(Some(expected.into_bytes())) };
        prop_assert_eq!(merge(input), outcome);
    }

    #[test]
    fn ours_and_theirs_decide_everything((base, near, far) in any_three(), has in any::<[bool; 3]>(), theirs in any::<bool>()) {
        let policy = if theirs { Policy::Theirs } else { Policy::Ours };
        let [base, near, far] = [(&base, has[0]), (&near, has[1]), (&far, has[2])].map(|(text, has)| has.then_some(text.as_slice()));
        prop_assert_ne!(merge(MergeInput { base, near, far, policy }), MergeOutcome::Conflict);
    }

    #[test]
    fn what_ask_can_merge_every_policy_merges_alike((base, near, far) in any_three(), policy in any_policy()) {
        let input = MergeInput { base: Some(&base), near: Some(&near), far: Some(&far), policy: Policy::Ask };
        let asked = merge(input);
        if asked != MergeOutcome::Conflict {
            prop_assert_eq!(merge(MergeInput { policy, ..input }), asked);
        }
    }

    #[test]
    fn no_bytes_make_a_merge_panic(
        texts in prop::array::uniform3(prop::option::weighted(0.9, prop::collection::vec(
            prop_oneof![prop::sample::select(b"ab \n\n\r".to_vec()), any::<u8>()], 0..60,
        ))),
        policy in any_policy(),
    ) {
        let [base, near, far] = [0, 1, 2].map(|side| texts[side].as_deref());
        merge(MergeInput { base, near, far, policy });
    }
}
