//! The guard: when a plan waits for a person.

use homing_core::{GUARD, Guard, GuardVerdict, Step, Version};

use crate::model::{key, version};

fn step(path: &str, before: Option<Version>, after: Option<Version>) -> Step {
    Step {
        key: key(path),
        renamed_from: None,
        before,
        after,
    }
}

fn deletions(count: usize) -> Vec<Step> {
    (0..count)
        .map(|number| {
            step(
                &format!("old{number}"),
                Some(version(&format!("content {number}"))),
                None,
            )
        })
        .collect()
}

#[test]
fn guard_lets_the_allowed_number_of_deletions_pass() {
    assert_eq!(GUARD.check(&deletions(3), 3), GuardVerdict::Pass);
}

#[test]
fn guard_blocks_one_deletion_more_than_allowed() {
    assert_eq!(
        GUARD.check(&deletions(4), 4),
        GuardVerdict::Blocked {
            deletions: 4,
            of: 4
        }
    );
}

#[test]
fn guard_lets_exactly_the_allowed_share_pass() {
    assert_eq!(GUARD.check(&deletions(20), 100), GuardVerdict::Pass);
}

#[test]
fn guard_blocks_one_deletion_over_the_share() {
    assert_eq!(
        GUARD.check(&deletions(21), 100),
        GuardVerdict::Blocked {
            deletions: 21,
            of: 100
        }
    );
}

#[test]
fn guard_rounds_no_share_down() {
    // 4 of 19 are 21.05 per cent, 4 of 20 are 20.
    assert_eq!(
        GUARD.check(&deletions(4), 19),
        GuardVerdict::Blocked {
            deletions: 4,
            of: 19
        }
    );
    assert_eq!(GUARD.check(&deletions(4), 20), GuardVerdict::Pass);
}

#[test]
fn guard_with_no_allowance_blocks_the_first_deletion() {
    let guard = Guard {
        items: 0,
        percent: 0,
    };
    assert_eq!(
        guard.check(&deletions(1), 1_000),
        GuardVerdict::Blocked {
            deletions: 1,
            of: 1_000
        }
    );
    assert_eq!(guard.check(&[], 0), GuardVerdict::Pass);
}

#[test]
fn guard_does_not_overflow() {
    let guard = Guard {
        items: 0,
        percent: usize::MAX,
    };
    assert_eq!(guard.check(&deletions(1), usize::MAX), GuardVerdict::Pass);
}

#[test]
fn guard_counts_no_move_as_a_deletion() {
    let mut steps = deletions(5);
    for number in 0..5 {
        let content = version(&format!("content {number}"));
        steps.insert(0, step(&format!("new/{number}"), None, Some(content)));
    }
    assert_eq!(GUARD.check(&steps, 5), GuardVerdict::Pass);
}

#[test]
fn guard_takes_one_new_item_for_one_deletion_only() {
    let mut steps: Vec<Step> = (0..5)
        .map(|number| step(&format!("old{number}"), Some(version("same")), None))
        .collect();
    steps.push(step("new", None, Some(version("same"))));
    assert_eq!(
        GUARD.check(&steps, 5),
        GuardVerdict::Blocked {
            deletions: 4,
            of: 5
        }
    );
}

#[test]
fn guard_takes_a_move_with_another_mode_for_a_move() {
    let mut steps: Vec<Step> = deletions(4);
    let moved = Version {
        executable: true,
        ..version("content 0")
    };
    steps.push(step("bin/new", None, Some(moved)));
    assert_eq!(GUARD.check(&steps, 4), GuardVerdict::Pass);
}

#[test]
fn guard_lets_no_update_make_up_for_a_deletion() {
    let mut steps = deletions(4);
    steps.push(step(
        "other",
        Some(version("before")),
        Some(version("content 0")),
    ));
    assert_eq!(
        GUARD.check(&steps, 5),
        GuardVerdict::Blocked {
            deletions: 4,
            of: 5
        }
    );
}

#[test]
fn guard_counts_no_rename() {
    let rename = |number: usize| Step {
        key: key(&format!("old{number}")),
        renamed_from: Some(key(&format!("Old{number}"))),
        before: Some(version("content")),
        after: Some(version("content")),
    };
    assert_eq!(
        GUARD.check(&(0..9).map(rename).collect::<Vec<_>>(), 9),
        GuardVerdict::Pass
    );
}
