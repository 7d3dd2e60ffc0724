//! Sides and bases that never agreed, of which parts cannot be seen: plan, guard, order and apply all the same.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{
    Capabilities, ContentHash, Direction, GUARD, GuardVerdict, ItemKey, Manifest, PlanInput,
    UnknownReason, Version, order, plan,
};
use proptest::prelude::*;

use crate::model::{ModelSide, any_capabilities, any_key, any_reason, any_version, cases};
use crate::sync_properties::steps;

type Unknown = BTreeMap<String, UnknownReason>;

/// One side: what it holds, and what of it cannot be seen.
#[derive(Debug, Clone)]
struct Half {
    side: ModelSide,
    unknown: Unknown,
    /// What cannot be seen is not listed either; a side that lists it all the same must do no harm.
    hides: bool,
}

impl Half {
    fn manifest(&self) -> Manifest {
        let mut manifest = self.side.manifest();
        manifest.unknown.clone_from(&self.unknown);
        if self.hides {
            let whole = manifest.clone();
            manifest
                .items
                .retain(|key, _| whole.unknown_reason(key).is_none());
        }
        manifest
    }

    fn is_unseen(&self, key: &ItemKey) -> bool {
        self.manifest().unknown_reason(key).is_some()
    }
}

fn any_half() -> impl Strategy<Value = Half> {
    let items = prop::collection::vec((any_key(), any_version()), 0..10);
    let prefix =
        prop_oneof![8 => any_key().prop_map(|key| key.to_string()), 1 => Just(String::new())];
    let unknown = prop::collection::btree_map(prefix, any_reason(), 0..3);
    let capabilities = prop_oneof![1 => Just(Capabilities::default()), 2 => any_capabilities()];
    (capabilities, items, unknown, any::<bool>()).prop_map(
        |(capabilities, items, unknown, hides)| Half {
            side: ModelSide::with(capabilities, items),
            unknown,
            hides,
        },
    )
}

fn any_base() -> impl Strategy<Value = BTreeMap<ItemKey, Version>> {
    prop::collection::btree_map(any_key(), any_version(), 0..10)
}

fn hash(version: Option<Version>) -> Option<ContentHash> {
    version.map(|version| version.hash)
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn whatever_the_sides_hold_only_what_the_other_alone_changed_is_written(
        base in any_base(),
        near in any_half(),
        far in any_half(),
        pull in any::<bool>(),
    ) {
        let direction = if pull { Direction::Pull } else { Direction::Push };
        let (written, other) = if pull { (&near, &far) } else { (&far, &near) };
        let (near_list, far_list) = (near.manifest(), far.manifest());
        let planned = plan(PlanInput { base: &base, near: &near_list, far: &far_list, direction });
        let wanted = steps(&planned, direction);
        let listed = written.manifest();

        let deletions = wanted.iter().filter(|step| step.after.is_none()).count();
        let verdict = GUARD.check(&wanted, listed.items.len());
        if let GuardVerdict::Blocked { deletions: counted, of } = verdict {
            prop_assert!(counted > 3 && counted <= deletions && counted * 5 > of, "{verdict:?}");
        }
        prop_assert!(deletions <= listed.items.len());

        let ordered = order(wanted.clone(), &listed, listed.capabilities);
        prop_assert_eq!(
            ordered.steps.len() + ordered.blocked.len()
                + ordered.steps.iter().filter(|step| step.renamed_from.is_some()).count(),
            wanted.len() + ordered.steps.iter().filter(|step| {
                // A rename whose content changes too is followed by an update of the new key.
                ordered.steps.iter().any(|rename| rename.renamed_from.is_some() && rename.key == step.key)
                    && step.renamed_from.is_none()
            }).count(),
            "steps are lost or invented: {:?} became {:?}", wanted, ordered
        );
        let mut after = written.side.clone();
        for step in &ordered.steps {
            // It fails the test where a file system would refuse, or lose something.
            after.apply(step);
        }

        let touched: BTreeSet<&ItemKey> = ordered.steps.iter()
            .flat_map(|step| step.renamed_from.iter().chain([&step.key]))
            .collect();
        let (held, given) = (written.side.versions(), other.side.versions());
        for key in base.keys().chain(held.keys()).chain(given.keys()) {
            let (was, now) = (held.get(key).copied(), after.version(key));
            if near.is_unseen(key) || far.is_unseen(key) {
                prop_assert_eq!(was, now, "{} cannot be seen", key);
                prop_assert!(!touched.contains(key), "{} cannot be seen", key);
            }
            let (last, there) = (hash(base.get(key).copied()), hash(given.get(key).copied()));
            if hash(was) != last && hash(was) != there {
                prop_assert_eq!(was, now, "{} was edited here", key);
            }
            if last == there {
                prop_assert_eq!(hash(was), hash(now), "{} did not change on the other side", key);
            }
            prop_assert!(
                hash(now) == hash(was) || hash(now) == there,
                "{} holds what neither side had", key
            );
            prop_assert!(touched.contains(key) || was == now, "{} has no step", key);
        }
        prop_assert!(after.versions().keys().all(|key| held.contains_key(key) || given.contains_key(key)));
    }
}
