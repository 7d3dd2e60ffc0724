//! What comes first, what becomes a rename, and what stands in the way.

use homing_core::{Capabilities, Manifest, Ordered, Step, UnknownReason, Version, order};

use crate::model::{CASELESS, NORMALISING, key, manifest, manifest_without, version};

const EXACT: Capabilities = Capabilities {
    case_sensitive: true,
    normalises_unicode: false,
    executable_bit: true,
};

fn old() -> Version {
    version("old")
}

fn new() -> Version {
    version("new")
}

fn create(path: &str) -> Step {
    Step {
        key: key(path),
        renamed_from: None,
        before: None,
        after: Some(new()),
    }
}

fn update(path: &str) -> Step {
    Step {
        before: Some(old()),
        ..create(path)
    }
}

fn delete(path: &str) -> Step {
    Step {
        after: None,
        ..update(path)
    }
}

fn rename(from: &str, to: &str) -> Step {
    Step {
        renamed_from: Some(key(from)),
        after: Some(old()),
        ..update(to)
    }
}

fn present(paths: &[&str]) -> Manifest {
    manifest(&paths.iter().map(|path| (*path, old())).collect::<Vec<_>>())
}

fn blocked(ordered: &Ordered) -> Vec<(&str, &str)> {
    ordered
        .blocked
        .iter()
        .map(|(step, by)| (step.key.as_str(), by.as_str()))
        .collect()
}

#[test]
fn deletions_come_first_deepest_first_and_creations_outermost_first() {
    let steps = vec![
        create("b/c/d"),
        delete("x"),
        update("u"),
        create("n"),
        delete("a/y"),
        delete("a/b/z"),
    ];
    let ordered = order(steps, &present(&["u", "x", "a/y", "a/b/z"]), EXACT);
    assert_eq!(
        ordered.steps,
        [
            delete("a/b/z"),
            delete("a/y"),
            delete("x"),
            create("n"),
            update("u"),
            create("b/c/d")
        ]
    );
    assert_eq!(ordered.blocked, []);
}

#[test]
fn nothing_to_do_is_no_step() {
    let nothing = Step {
        before: None,
        after: None,
        ..create("a")
    };
    assert_eq!(
        order(vec![nothing], &present(&[]), EXACT),
        Ordered::default()
    );
    assert_eq!(
        order(vec![], &present(&["a"]), CASELESS),
        Ordered::default()
    );
}

#[test]
fn a_file_that_stays_blocks_what_would_go_below_it() {
    let ordered = order(
        vec![create("a/b"), create("a/b/c"), create("z")],
        &present(&["a"]),
        EXACT,
    );
    assert_eq!(blocked(&ordered), [("a/b", "a"), ("a/b/c", "a")]);
    assert_eq!(ordered.steps, [create("z")]);
}

#[test]
fn a_file_that_goes_makes_room_for_a_directory() {
    let ordered = order(vec![create("a/b"), delete("a")], &present(&["a"]), EXACT);
    assert_eq!(ordered.steps, [delete("a"), create("a/b")]);
    assert_eq!(ordered.blocked, []);
}

#[test]
fn a_directory_that_goes_makes_room_for_a_file() {
    let ordered = order(
        vec![create("a"), delete("a/b"), delete("a/c/d")],
        &present(&["a/b", "a/c/d"]),
        EXACT,
    );
    assert_eq!(ordered.steps, [delete("a/c/d"), delete("a/b"), create("a")]);
}

#[test]
fn one_item_that_stays_keeps_its_directory() {
    let ordered = order(
        vec![create("a"), delete("a/b")],
        &present(&["a-b", "a/b", "a/own", "ab"]),
        EXACT,
    );
    assert_eq!(blocked(&ordered), [("a", "a/own")]);
    assert_eq!(ordered.steps, [delete("a/b")]);
}

#[test]
fn of_two_creations_that_exclude_each_other_the_outer_one_wins() {
    let ordered = order(vec![create("a/b"), create("a")], &present(&[]), EXACT);
    assert_eq!(ordered.steps, [create("a")]);
    assert_eq!(blocked(&ordered), [("a/b", "a")]);
}

#[test]
fn what_cannot_be_seen_blocks_every_step_there() {
    for reason in [
        UnknownReason::NotAFile("a symbolic link"),
        UnknownReason::Changing,
    ] {
        let seen = manifest_without(&[("b", old())], &[("dir/link", reason)]);
        let steps = vec![
            create("dir/link"),
            create("dir/link/x"),
            create("dir/x"),
            create("dir"),
            delete("dir/link/y"),
            delete("b"),
        ];
        let ordered = order(steps, &seen, EXACT);
        assert_eq!(
            blocked(&ordered),
            [
                ("dir/link/y", "dir/link"),
                ("dir", "dir/link"),
                ("dir/link", "dir/link"),
                ("dir/link/x", "dir/link")
            ]
        );
        assert_eq!(ordered.steps, [delete("b"), create("dir/x")]);
    }
}

#[test]
fn a_side_that_cannot_be_seen_at_all_blocks_everything() {
    let seen = manifest_without(&[("b", old())], &[("", UnknownReason::Changing)]);
    let ordered = order(vec![create("a/x"), update("b"), delete("c")], &seen, EXACT);
    assert_eq!(blocked(&ordered), [("c", ""), ("b", ""), ("a/x", "")]);
    assert_eq!(ordered.steps, []);
}

#[test]
fn a_change_of_case_only_is_two_steps_where_case_counts() {
    let ordered = order(vec![create("a"), delete("A")], &present(&["A"]), EXACT);
    assert_eq!(ordered.steps, [delete("A"), create("a")]);
}

#[test]
fn a_change_of_case_only_is_one_rename_where_it_does_not() {
    let create = Step {
        after: Some(old()),
        ..create("Dir/a")
    };
    let ordered = order(
        vec![create, delete("dir/A")],
        &present(&["dir/A"]),
        CASELESS,
    );
    assert_eq!(ordered.steps, [rename("dir/A", "Dir/a")]);
    assert_eq!(ordered.blocked, []);
}

#[test]
fn a_change_of_case_and_content_is_a_rename_and_an_update() {
    let ordered = order(
        vec![create("a"), delete("A"), delete("x/y")],
        &present(&["A", "x/y"]),
        CASELESS,
    );
    assert_eq!(
        ordered.steps,
        [delete("x/y"), rename("A", "a"), update("a")]
    );
}

#[test]
fn a_change_of_the_unicode_form_is_one_rename() {
    let create = Step {
        after: Some(old()),
        ..create("e\u{301}")
    };
    let ordered = order(
        vec![create, delete("\u{e9}")],
        &present(&["\u{e9}"]),
        NORMALISING,
    );
    assert_eq!(ordered.steps, [rename("\u{e9}", "e\u{301}")]);
}

#[test]
fn a_name_that_stays_blocks_its_other_spelling() {
    let ordered = order(
        vec![create("A"), create("B/x")],
        &present(&["a", "b"]),
        CASELESS,
    );
    assert_eq!(blocked(&ordered), [("A", "a"), ("B/x", "b")]);
    let ordered = order(
        vec![create("A"), create("B/x")],
        &present(&["a", "b"]),
        EXACT,
    );
    assert_eq!(ordered.blocked, []);
}

#[test]
fn of_two_new_spellings_the_second_is_blocked_by_the_first() {
    let ordered = order(vec![create("a"), create("A")], &present(&[]), CASELESS);
    assert_eq!(ordered.steps, [create("A")]);
    assert_eq!(blocked(&ordered), [("a", "A")]);
}

#[test]
fn of_two_new_spellings_of_what_goes_the_second_is_blocked() {
    let ordered = order(
        vec![create("ab"), create("aB"), delete("AB")],
        &present(&["AB"]),
        CASELESS,
    );
    assert_eq!(ordered.steps, [rename("AB", "aB"), update("aB")]);
    assert_eq!(blocked(&ordered), [("ab", "aB")]);
}

#[test]
fn one_directory_may_be_spelled_in_two_ways() {
    let ordered = order(
        vec![create("dir/y"), update("Dir/x")],
        &present(&["Dir/x"]),
        CASELESS,
    );
    assert_eq!(ordered.steps, [update("Dir/x"), create("dir/y")]);
    assert_eq!(ordered.blocked, []);
}

#[test]
fn a_directory_whose_spelling_goes_makes_room_for_a_file() {
    let ordered = order(
        vec![create("a"), delete("A/b")],
        &present(&["A/b"]),
        CASELESS,
    );
    assert_eq!(ordered.steps, [delete("A/b"), create("a")]);
    let ordered = order(vec![create("a/b"), delete("A")], &present(&["A"]), CASELESS);
    assert_eq!(ordered.steps, [delete("A"), create("a/b")]);
}

#[test]
fn a_blocked_rename_takes_its_update_with_it() {
    let seen = manifest_without(&[("dir/A", old())], &[("DIR", UnknownReason::Changing)]);
    let ordered = order(vec![create("dir/a"), delete("dir/A")], &seen, CASELESS);
    assert_eq!(ordered.steps, []);
    assert_eq!(blocked(&ordered), [("dir/a", "DIR"), ("dir/a", "DIR")]);
}

#[test]
fn what_a_blocked_rename_leaves_stands_in_the_way() {
    // `x` stays, so `X/a` cannot become `X/A`; a side that lists both is broken, and still nothing gets lost.
    let ordered = order(
        vec![create("X/A"), delete("X/a")],
        &present(&["x", "X/a"]),
        CASELESS,
    );
    assert_eq!(ordered.steps, []);
    assert_eq!(blocked(&ordered), [("X/A", "x"), ("X/A", "X/a")]);
}

#[test]
fn steps_that_are_renames_already_stay_renames() {
    let ordered = order(
        vec![create("b/x"), rename("A", "a"), delete("c")],
        &present(&["A", "c"]),
        CASELESS,
    );
    assert_eq!(
        ordered.steps,
        [delete("c"), rename("A", "a"), create("b/x")]
    );
}
