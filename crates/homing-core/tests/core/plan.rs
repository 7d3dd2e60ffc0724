//! Every row of the table of decisions.

use std::collections::BTreeMap;

use homing_core::{
    Capabilities, ConflictKind, Decision, Direction, ItemKey, ItemState, Manifest, PlanInput,
    PlannedItem, UnknownReason, Version, decide, plan,
};

use crate::model::{item, key, manifest, manifest_without, script, version};

fn state(version: Option<Version>) -> ItemState {
    version.map_or(ItemState::Absent, |version| {
        ItemState::Present(item(version))
    })
}

/// Decides a row in both directions; contents by letter, `-` for none.
fn row(base: &str, near: &str, far: &str) -> (Decision, Decision) {
    let read = |letter: &str| (letter != "-").then(|| version(letter));
    let (near, far) = (state(read(near)), state(read(far)));
    (
        decide(read(base), &near, &far, Direction::Pull),
        decide(read(base), &near, &far, Direction::Push),
    )
}

fn both(decision: &Decision) -> (Decision, Decision) {
    (decision.clone(), decision.clone())
}

#[test]
fn nothing_changed_is_unchanged() {
    assert_eq!(row("-", "-", "-"), both(&Decision::Unchanged));
    assert_eq!(row("x", "x", "x"), both(&Decision::Unchanged));
}

#[test]
fn both_sides_alike_move_only_the_base() {
    assert_eq!(
        row("-", "x", "x"),
        both(&Decision::Converged(Some(version("x"))))
    );
    assert_eq!(
        row("x", "y", "y"),
        both(&Decision::Converged(Some(version("y"))))
    );
    assert_eq!(row("x", "-", "-"), both(&Decision::Converged(None)));
}

#[test]
fn a_change_of_the_far_side_is_pulled() {
    assert_eq!(
        row("-", "-", "x"),
        (Decision::Create(version("x")), Decision::Modified)
    );
    assert_eq!(
        row("x", "x", "y"),
        (Decision::Update(version("y")), Decision::Modified)
    );
    assert_eq!(row("x", "x", "-"), (Decision::Delete, Decision::Modified));
}

#[test]
fn a_change_of_the_near_side_is_pushed() {
    assert_eq!(
        row("-", "x", "-"),
        (Decision::Modified, Decision::Create(version("x")))
    );
    assert_eq!(
        row("x", "y", "x"),
        (Decision::Modified, Decision::Update(version("y")))
    );
    assert_eq!(row("x", "-", "x"), (Decision::Modified, Decision::Delete));
}

#[test]
fn changes_on_both_sides_diverge() {
    assert_eq!(
        row("-", "x", "y"),
        both(&Decision::Diverged(ConflictKind::Added))
    );
    assert_eq!(
        row("x", "y", "z"),
        both(&Decision::Diverged(ConflictKind::Content))
    );
    assert_eq!(
        row("x", "-", "y"),
        both(&Decision::Diverged(ConflictKind::Delete))
    );
    assert_eq!(
        row("x", "y", "-"),
        both(&Decision::Diverged(ConflictKind::Delete))
    );
}

#[test]
fn the_executable_bit_alone_is_a_change() {
    let (plain, bit) = (version("x"), script("x"));
    let decided = |base, near, far| {
        decide(
            Some(base),
            &state(Some(near)),
            &state(Some(far)),
            Direction::Pull,
        )
    };
    assert_eq!(decided(plain, plain, bit), Decision::Update(bit));
    assert_eq!(decided(plain, bit, plain), Decision::Modified);
    assert_eq!(decided(plain, bit, bit), Decision::Converged(Some(bit)));
    assert_eq!(
        decided(plain, bit, version("y")),
        Decision::Diverged(ConflictKind::Content)
    );
}

#[test]
fn what_one_side_cannot_see_is_unknown() {
    let reason = UnknownReason::Unreadable("permission denied".to_owned());
    let unknown = ItemState::Unknown(reason.clone());
    for direction in [Direction::Pull, Direction::Push] {
        for base in [None, Some(version("x"))] {
            for other in [
                ItemState::Absent,
                state(Some(version("x"))),
                state(Some(version("y"))),
                unknown.clone(),
            ] {
                assert_eq!(
                    decide(base, &unknown, &other, direction),
                    Decision::Unknown(reason.clone())
                );
                assert_eq!(
                    decide(base, &other, &unknown, direction),
                    Decision::Unknown(reason.clone())
                );
            }
        }
    }
}

#[test]
fn what_is_no_file_blocks_what_would_go_there() {
    let reason = UnknownReason::NotAFile("a symbolic link");
    let link = ItemState::Unknown(reason.clone());
    let present = state(Some(version("x")));
    for base in [None, Some(version("x")), Some(version("y"))] {
        assert_eq!(
            decide(base, &link, &present, Direction::Pull),
            Decision::Blocked(reason.clone())
        );
        assert_eq!(
            decide(base, &present, &link, Direction::Push),
            Decision::Blocked(reason.clone())
        );
        // Nothing would go there: the other direction, or nothing to bring.
        assert_eq!(
            decide(base, &present, &link, Direction::Pull),
            Decision::Unknown(reason.clone())
        );
        assert_eq!(
            decide(base, &link, &present, Direction::Push),
            Decision::Unknown(reason.clone())
        );
        assert_eq!(
            decide(base, &link, &ItemState::Absent, Direction::Pull),
            Decision::Unknown(reason.clone())
        );
        assert_eq!(
            decide(base, &link, &link, Direction::Pull),
            Decision::Unknown(reason.clone())
        );
    }
}

fn planned(
    base: &[(&str, Version)],
    near: &Manifest,
    far: &Manifest,
    direction: Direction,
) -> BTreeMap<ItemKey, PlannedItem> {
    let base = base
        .iter()
        .map(|(path, version)| (key(path), *version))
        .collect();
    plan(PlanInput {
        base: &base,
        near,
        far,
        direction,
    })
}

fn decisions(planned: &BTreeMap<ItemKey, PlannedItem>) -> Vec<(&str, Decision)> {
    planned
        .iter()
        .map(|(key, item)| (key.as_str(), item.decision.clone()))
        .collect()
}

#[test]
fn a_plan_covers_the_keys_of_base_near_and_far() {
    let (x, y, z) = (version("x"), version("y"), version("z"));
    let near = manifest(&[("b", x), ("d", x), ("same", x)]);
    let far = manifest(&[("c", y), ("d", z), ("same", x)]);
    let plan = planned(
        &[("a", x), ("b", x), ("d", y), ("same", x)],
        &near,
        &far,
        Direction::Pull,
    );
    assert_eq!(
        decisions(&plan),
        [
            ("a", Decision::Converged(None)),
            ("b", Decision::Delete),
            ("c", Decision::Create(y)),
            ("d", Decision::Diverged(ConflictKind::Content)),
        ]
    );
    let item = &plan[&key("d")];
    assert_eq!(
        (item.base, item.near, item.far),
        (Some(y), Some(x), Some(z))
    );
}

#[test]
fn a_plan_takes_unknown_prefixes_for_all_that_lies_below() {
    let x = version("x");
    let reason = UnknownReason::Unreadable("permission denied".to_owned());
    let near = manifest(&[("dir/a", x), ("dir/b", x), ("dirt", x)]);
    let far = manifest_without(&[("dir/b", x)], &[("dir", reason.clone())]);
    let plan = planned(
        &[("dir/a", x), ("dir/b", x), ("dir/c", x), ("dirt", x)],
        &near,
        &far,
        Direction::Pull,
    );
    let unknown = Decision::Unknown(reason);
    assert_eq!(
        decisions(&plan),
        [
            ("dir/a", unknown.clone()),
            ("dir/b", unknown.clone()),
            ("dir/c", unknown),
            ("dirt", Decision::Delete),
        ]
    );
    assert_eq!(plan[&key("dir/b")].far, None);
}

#[test]
fn a_plan_is_blocked_below_a_link() {
    let reason = UnknownReason::NotAFile("a symbolic link");
    let near = manifest_without(&[], &[("dir", reason.clone())]);
    let far = manifest(&[("dir/a", version("x"))]);
    assert_eq!(
        decisions(&planned(&[], &near, &far, Direction::Pull)),
        [("dir/a", Decision::Blocked(reason))]
    );
}

fn without_bit(items: &[(&str, Version)]) -> Manifest {
    let capabilities = Capabilities {
        executable_bit: false,
        ..Capabilities::default()
    };
    Manifest {
        capabilities,
        ..manifest(items)
    }
}

#[test]
fn a_near_side_without_the_bit_neither_clears_nor_asks_for_it() {
    let (x, x_bit, y, y_bit) = (version("x"), script("x"), version("y"), script("y"));
    for (base, near, far, pull, push) in [
        // Published once, nothing changed: the missing bit is no change.
        (
            Some(x_bit),
            Some(x),
            Some(x_bit),
            Decision::Unchanged,
            Decision::Unchanged,
        ),
        // Only the bit changed upstream: near cannot store it, so nothing is to be done but to remember it.
        (
            Some(x),
            Some(x),
            Some(x_bit),
            Decision::Converged(Some(x_bit)),
            Decision::Converged(Some(x_bit)),
        ),
        (
            Some(x_bit),
            Some(x),
            Some(x),
            Decision::Converged(Some(x)),
            Decision::Converged(Some(x)),
        ),
        // An edit keeps the bit that far has.
        (
            Some(x_bit),
            Some(y),
            Some(x_bit),
            Decision::Modified,
            Decision::Update(y_bit),
        ),
        (
            Some(x_bit),
            Some(x),
            Some(y_bit),
            Decision::Update(y_bit),
            Decision::Modified,
        ),
        // Both added the same content.
        (
            None,
            Some(x),
            Some(x_bit),
            Decision::Converged(Some(x_bit)),
            Decision::Converged(Some(x_bit)),
        ),
        (None, Some(x), None, Decision::Modified, Decision::Create(x)),
        (
            Some(x_bit),
            Some(x),
            None,
            Decision::Delete,
            Decision::Modified,
        ),
    ] {
        let list = |version: Option<Version>| {
            version
                .map(|version| ("k", version))
                .into_iter()
                .collect::<Vec<_>>()
        };
        for (direction, decision) in [(Direction::Pull, &pull), (Direction::Push, &push)] {
            let plan = planned(
                &list(base),
                &without_bit(&list(near)),
                &manifest(&list(far)),
                direction,
            );
            let decided = plan
                .get(&key("k"))
                .map_or(&Decision::Unchanged, |item| &item.decision);
            assert_eq!(decided, decision, "{base:?} {near:?} {far:?} {direction:?}");
        }
    }
}

#[test]
fn a_far_side_without_the_bit_neither_clears_nor_asks_for_it() {
    let (x, x_bit, y, y_bit) = (version("x"), script("x"), version("y"), script("y"));
    for (base, near, far, pull, push) in [
        (
            Some(x_bit),
            Some(x_bit),
            Some(x),
            Decision::Unchanged,
            Decision::Unchanged,
        ),
        // `chmod +x` by the user stays, and is remembered.
        (
            Some(x),
            Some(x_bit),
            Some(x),
            Decision::Converged(Some(x_bit)),
            Decision::Converged(Some(x_bit)),
        ),
        // A new content from far keeps the bit.
        (
            Some(x_bit),
            Some(x_bit),
            Some(y),
            Decision::Update(y_bit),
            Decision::Modified,
        ),
        (
            Some(x_bit),
            Some(y_bit),
            Some(x),
            Decision::Modified,
            Decision::Update(y_bit),
        ),
        (None, None, Some(x), Decision::Create(x), Decision::Modified),
        (
            None,
            Some(x_bit),
            Some(x),
            Decision::Converged(Some(x_bit)),
            Decision::Converged(Some(x_bit)),
        ),
    ] {
        let list = |version: Option<Version>| {
            version
                .map(|version| ("k", version))
                .into_iter()
                .collect::<Vec<_>>()
        };
        for (direction, decision) in [(Direction::Pull, &pull), (Direction::Push, &push)] {
            let plan = planned(
                &list(base),
                &manifest(&list(near)),
                &without_bit(&list(far)),
                direction,
            );
            let decided = plan
                .get(&key("k"))
                .map_or(&Decision::Unchanged, |item| &item.decision);
            assert_eq!(decided, decision, "{base:?} {near:?} {far:?} {direction:?}");
        }
    }
}

#[test]
fn two_sides_without_the_bit_leave_it_as_it_was() {
    let plan = planned(
        &[("k", script("x"))],
        &without_bit(&[("k", version("x"))]),
        &without_bit(&[("k", version("y"))]),
        Direction::Pull,
    );
    assert_eq!(decisions(&plan), [("k", Decision::Update(script("y")))]);
}
