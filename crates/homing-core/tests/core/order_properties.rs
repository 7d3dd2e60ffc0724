//! Whatever the steps, a file system that ignores case or Unicode forms loses nothing by their order.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{Capabilities, ItemKey, Manifest, Step, UnknownReason, Version, order};
use proptest::prelude::*;

use crate::model::{ModelSide, any_capabilities, any_key, any_reason, any_version, cases};

/// A side, what is wanted of some of its keys, and the steps for it in any order.
fn side_and_steps() -> impl Strategy<Value = (ModelSide, Vec<Step>)> {
    let items = prop::collection::btree_map(any_key(), any_version(), 0..8);
    let wanted = prop::collection::btree_map(any_key(), prop::option::of(any_version()), 0..8);
    let from_present = prop::collection::vec(prop::option::of(any_version()), 0..5);
    (any_capabilities(), items, wanted, from_present).prop_flat_map(
        |(capabilities, items, mut wanted, changes)| {
            let side = ModelSide::with(capabilities, items);
            wanted.extend(side.versions().into_keys().zip(changes));
            let steps: Vec<Step> = wanted
                .into_iter()
                .map(|(key, after)| {
                    let before = side.versions().get(&key).copied();
                    Step {
                        key,
                        renamed_from: None,
                        before,
                        after,
                    }
                })
                .collect();
            (Just(side), Just(steps).prop_shuffle())
        },
    )
}

fn stored(capabilities: Capabilities, version: Version) -> Version {
    Version {
        executable: version.executable && capabilities.executable_bit,
        ..version
    }
}

proptest! {
    #![proptest_config(cases(500))]

    /// The model fails the test where a step meets anything but what it expects, so nothing is deleted that was just
    /// created and nothing is created where something still is.
    #[test]
    fn ordering_never_deletes_what_it_is_about_to_create((side, steps) in side_and_steps()) {
        let ordered = order(steps.clone(), &side.manifest(), side.capabilities);
        let mut after = side.clone();
        for step in &ordered.steps {
            after.apply(step);
        }

        let blocked: BTreeSet<&ItemKey> = ordered.blocked.iter().map(|(step, _)| &step.key).collect();
        let mut expected: BTreeMap<ItemKey, Version> = side.versions();
        for step in steps.iter().filter(|step| !blocked.contains(&step.key)) {
            match step.after {
                Some(version) => drop(expected.insert(step.key.clone(), stored(side.capabilities, version))),
                None => drop(expected.remove(&step.key)),
            }
        }
        // A deletion whose rename was blocked was not carried out.
        for (step, _) in &ordered.blocked {
            if let (Some(from), Some(version)) = (&step.renamed_from, step.before) {
                expected.insert(from.clone(), version);
            }
        }
        prop_assert_eq!(after.versions(), expected);
    }

    #[test]
    fn nothing_is_deleted_whose_name_the_side_takes_for_a_new_one((side, steps) in side_and_steps()) {
        let ordered = order(steps, &side.manifest(), side.capabilities);
        let names = |deleted: bool| -> BTreeSet<String> {
            let steps = ordered.steps.iter().filter(|step| step.after.is_none() == deleted);
            steps.map(|step| side.name(step.key.as_str())).collect()
        };
        prop_assert!(names(true).is_disjoint(&names(false)), "{:?}", ordered);
    }

    #[test]
    fn the_order_of_the_steps_given_does_not_matter(
        (side, steps, shuffled) in side_and_steps().prop_flat_map(|(side, steps)| {
            let shuffled = Just(steps.clone()).prop_shuffle();
            (Just(side), Just(steps), shuffled)
        })
    ) {
        let manifest = side.manifest();
        prop_assert_eq!(
            order(steps, &manifest, side.capabilities),
            order(shuffled, &manifest, side.capabilities)
        );
    }

    #[test]
    fn every_step_is_done_blocked_or_part_of_a_rename((side, steps) in side_and_steps()) {
        let ordered = order(steps.clone(), &side.manifest(), side.capabilities);
        let all = || ordered.steps.iter().chain(ordered.blocked.iter().map(|(step, _)| step));
        for step in steps.iter().filter(|step| step.before.is_some() || step.after.is_some()) {
            let found = all().any(|other| {
                other.key == step.key && other.after == step.after
                    || step.after.is_none() && other.renamed_from.as_ref() == Some(&step.key)
            });
            prop_assert!(found, "{:?} is nowhere in {:?}", step, ordered);
        }
    }

    #[test]
    fn no_steps_and_no_side_make_ordering_panic(
        items in prop::collection::btree_map(any_key(), any_version(), 0..6),
        unknown in prop::collection::btree_map(prop_oneof![any_key().prop_map(|key| key.to_string()), any::<String>()], any_reason(), 0..3),
        steps in prop::collection::vec(
            (any_key(), prop::option::weighted(0.1, any_key()), prop::option::of(any_version()), prop::option::of(any_version())),
            0..8,
        ),
        capabilities in any_capabilities(),
    ) {
        let mut present: Manifest = ModelSide::new(capabilities).manifest();
        present.items = items.into_iter().map(|(key, version)| (key, crate::model::item(version))).collect();
        present.unknown = unknown;
        let steps: Vec<Step> = steps
            .into_iter()
            .map(|(key, renamed_from, before, after)| Step { key, renamed_from, before, after })
            .collect();
        let ordered = order(steps, &present, capabilities);
        for step in &ordered.steps {
            prop_assert_eq!(present.unknown_reason(&step.key), None::<&UnknownReason>, "{:?}", step);
        }
    }
}
