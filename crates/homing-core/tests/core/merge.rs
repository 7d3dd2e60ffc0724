//! Merges by example: what is merged, what is left to a person, and what each policy does.

use homing_core::{
    MERGE_LIMIT_BYTES, MERGE_LIMIT_LINES, MergeInput, MergeOutcome, Policy, merge, merge_executable,
};

const POLICIES: [Policy; 4] = [Policy::Ask, Policy::Ours, Policy::Theirs, Policy::Union];

fn merged<'a>(
    base: impl Into<Option<&'a str>>,
    near: impl Into<Option<&'a str>>,
    far: impl Into<Option<&'a str>>,
    policy: Policy,
) -> MergeOutcome {
    let [base, near, far] =
        [base.into(), near.into(), far.into()].map(|text| text.map(str::as_bytes));
    merge(MergeInput {
        base,
        near,
        far,
        policy,
    })
}

fn text(text: &str) -> MergeOutcome {
    MergeOutcome::Merged(Some(text.as_bytes().to_vec()))
}

const DELETED: MergeOutcome = MergeOutcome::Merged(None);

#[test]
fn one_changed_side_is_taken_whatever_the_policy() {
    for policy in POLICIES {
        assert_eq!(merged("x", "y", "y", policy), text("y"));
        assert_eq!(merged("x", "x", "y", policy), text("y"));
        assert_eq!(merged("x", "y", "x", policy), text("y"));
        assert_eq!(merged("x", "x", None, policy), DELETED);
        assert_eq!(merged("x", None, "x", policy), DELETED);
        assert_eq!(merged("x", None, None, policy), DELETED);
        assert_eq!(merged(None, "x", None, policy), text("x"));
        assert_eq!(merged(None, None, "x", policy), text("x"));
        assert_eq!(merged(None, "x", "x", policy), text("x"));
        assert_eq!(merged(None, None, None, policy), DELETED);
    }
}

#[test]
fn changes_apart_are_merged_whatever_the_policy() {
    for policy in POLICIES {
        assert_eq!(
            merged(
                "1\n2\n3\n4\n5\n",
                "one\n2\n3\n4\n5\n",
                "1\n2\n3\n4\nfive\n",
                policy
            ),
            text("one\n2\n3\n4\nfive\n")
        );
        assert_eq!(
            merged("1\n2\n3\n4\n", "0\n1\n2\n3\n4\n", "1\n2\n3\n", policy),
            text("0\n1\n2\n3\n")
        );
    }
}

#[test]
fn overlapping_changes_are_left_to_the_policy() {
    let merged = |policy| merged("1\n2\n3\n", "1\nnear\n3\n", "1\nfar\n3\n", policy);
    assert_eq!(merged(Policy::Ask), MergeOutcome::Conflict);
    assert_eq!(merged(Policy::Ours), text("1\nnear\n3\n"));
    assert_eq!(merged(Policy::Theirs), text("1\nfar\n3\n"));
    assert_eq!(merged(Policy::Union), text("1\nnear\nfar\n3\n"));
}

#[test]
fn ours_and_theirs_keep_the_changes_of_the_other_side_elsewhere() {
    let merged = |policy| {
        merged(
            "1\n2\n3\n4\n5\n",
            "near\n2\n3\n4\n5\n",
            "far\n2\n3\n4\nfive\n",
            policy,
        )
    };
    assert_eq!(merged(Policy::Ours), text("near\n2\n3\n4\nfive\n"));
    assert_eq!(merged(Policy::Theirs), text("far\n2\n3\n4\nfive\n"));
}

#[test]
fn a_deletion_against_a_change_is_left_to_the_policy() {
    for (policy, near_deleted, far_deleted) in [
        (Policy::Ask, MergeOutcome::Conflict, MergeOutcome::Conflict),
        (Policy::Ours, DELETED, text("y")),
        (Policy::Theirs, text("y"), DELETED),
        (
            Policy::Union,
            MergeOutcome::Conflict,
            MergeOutcome::Conflict,
        ),
    ] {
        assert_eq!(merged("x", None, "y", policy), near_deleted);
        assert_eq!(merged("x", "y", None, policy), far_deleted);
    }
}

#[test]
fn two_new_contents_are_left_to_the_policy() {
    let merged = |policy| merged(None, "same\nnear\n", "same\nfar\n", policy);
    assert_eq!(merged(Policy::Ask), MergeOutcome::Conflict);
    assert_eq!(merged(Policy::Ours), text("same\nnear\n"));
    assert_eq!(merged(Policy::Theirs), text("same\nfar\n"));
    assert_eq!(merged(Policy::Union), text("same\nnear\nfar\n"));
}

#[test]
fn an_empty_base_is_not_a_missing_one() {
    assert_eq!(
        merged("", "near\n", "far\n", Policy::Ask),
        MergeOutcome::Conflict
    );
    assert_eq!(
        merged("", "near\n", "far\n", Policy::Union),
        text("near\nfar\n")
    );
    assert_eq!(merged("x\n", "", "x\ny\n", Policy::Ours), text(""));
    assert_eq!(merged("x\n", "", "", Policy::Ask), text(""));
}

#[test]
fn binary_contents_are_taken_or_left_as_a_whole() {
    for (base, near, far) in [
        ("1\n2\n3\n\0", "0\n2\n3\n\0", "1\n2\n4\n\0"),
        ("1\n2\n3\n", "\0\n2\n3\n", "1\n2\n4\n"),
        ("1\n2\n3\n", "0\n2\n3\n", "1\n2\n\0\n"),
    ] {
        assert_eq!(merged(base, near, far, Policy::Ask), MergeOutcome::Conflict);
        assert_eq!(merged(base, near, far, Policy::Ours), text(near));
        assert_eq!(merged(base, near, far, Policy::Theirs), text(far));
        assert_eq!(
            merged(base, near, far, Policy::Union),
            MergeOutcome::Conflict
        );
        assert_eq!(merged(base, base, far, Policy::Ask), text(far));
    }
}

#[test]
fn a_nul_byte_far_down_does_not_make_a_text_binary() {
    let tail = format!("{}\0\n", "line\n".repeat(2_000));
    let (base, near, far) = (
        format!("1\n2\n3\n{tail}"),
        format!("one\n2\n3\n{tail}"),
        format!("1\n2\n3\n{tail}end\n"),
    );
    assert_eq!(
        merged(&*base, &*near, &*far, Policy::Ask),
        text(&format!("one\n2\n3\n{tail}end\n"))
    );
}

#[test]
fn what_is_too_large_is_not_merged_by_lines() {
    let base = "x".repeat(MERGE_LIMIT_BYTES);
    let (near, far) = (format!("near\n{base}"), format!("{base}\nfar\n"));
    assert!(merged(&*base, &*near, &*far, Policy::Ask) == MergeOutcome::Conflict);
    assert!(merged(&*base, &*near, &*far, Policy::Union) == MergeOutcome::Conflict);
    assert!(merged(&*base, &*near, &*far, Policy::Ours) == text(&near));
    assert!(merged(&*base, &*near, &*far, Policy::Theirs) == text(&far));
}

#[test]
fn what_has_too_many_lines_is_not_merged_by_lines() {
    for (lines, fits) in [(MERGE_LIMIT_LINES - 1, true), (MERGE_LIMIT_LINES, false)] {
        let base = "x\n".repeat(lines);
        let (near, far) = (format!("near\n{base}"), format!("{base}far\n"));
        let outcome = if fits {
            text(&format!("near\n{base}far\n"))
        } else {
            MergeOutcome::Conflict
        };
        assert!(
            merged(&*base, &*near, &*far, Policy::Ask) == outcome,
            "{lines}"
        );
    }
}

#[test]
fn a_missing_final_newline_joins_no_lines() {
    assert_eq!(
        merged("1\n2\n3", "one\n2\n3", "1\n2\n3\n4", Policy::Ask),
        text("one\n2\n3\n4")
    );
    assert_eq!(
        merged("1\n2\n3", "one\n2\n3", "1\n2\n3\n", Policy::Ask),
        text("one\n2\n3\n")
    );
    assert_eq!(
        merged("1\n2\n3", "1\n2\n3\nnear", "1\n2\n3\nfar", Policy::Ask),
        MergeOutcome::Conflict
    );
    assert_eq!(
        merged("1\n2\n3", "1\n2\n3\nnear", "1\n2\n3\nfar", Policy::Union),
        text("1\n2\n3\nnear\nfar")
    );
    assert_eq!(
        merged(None, "near", "far", Policy::Union),
        text("near\nfar")
    );
}

#[test]
fn windows_line_ends_stay() {
    assert_eq!(
        merged(
            "1\r\n2\r\n3\r\n",
            "one\r\n2\r\n3\r\n",
            "1\r\n2\r\nthree\r\n",
            Policy::Ask
        ),
        text("one\r\n2\r\nthree\r\n")
    );
    assert_eq!(
        merged("1\r\n2\r\n", "1\r\nnear\r\n", "1\r\nfar\r\n", Policy::Union),
        text("1\r\nnear\r\nfar\r\n")
    );
    // All line ends changed on one side, one line on the other: every line overlaps.
    assert_eq!(
        merged("1\n2\n3\n", "1\r\n2\r\n3\r\n", "1\n2\nthree\n", Policy::Ask),
        MergeOutcome::Conflict
    );
}

#[test]
fn a_merge_yields_no_conflict_markers() {
    for policy in [Policy::Ours, Policy::Theirs, Policy::Union] {
        let MergeOutcome::Merged(Some(bytes)) = merged("1\n", "2\n", "3\n", policy) else {
            panic!("{policy:?}")
        };
        let merged = String::from_utf8(bytes).unwrap();
        assert!(
            !merged.contains("<<<") && !merged.contains(">>>") && !merged.contains("==="),
            "{merged}"
        );
    }
}

#[test]
fn equal_lines_moved_to_one_place_are_left_to_a_person() {
    // Both hold two lines `x`. Each moved another one of them to the middle: by place, each removed one.
    let base = "x\n1\n2\n3\n4\n5\n6\nx\n";
    let near = "1\n2\n3\nx\n4\n5\n6\nx\n";
    let far = "x\n1\n2\n3\nx\n4\n5\n6\n";
    assert_eq!(merged(base, near, far, Policy::Ask), MergeOutcome::Conflict);
    assert_eq!(merged(base, near, far, Policy::Ours), text(near));
    assert_eq!(merged(base, near, far, Policy::Theirs), text(far));
}

#[test]
fn the_side_that_changed_the_executable_bit_wins() {
    for (base, near, far, merged) in [
        (Some(false), false, false, false),
        (Some(false), true, false, true),
        (Some(false), false, true, true),
        (Some(false), true, true, true),
        (Some(true), false, true, false),
        (Some(true), true, false, false),
        (Some(true), false, false, false),
        (Some(true), true, true, true),
        (None, true, true, true),
        (None, true, false, true),
        (None, false, true, false),
        (None, false, false, false),
    ] {
        assert_eq!(
            merge_executable(base, near, far),
            merged,
            "{base:?} {near} {far}"
        );
    }
}
