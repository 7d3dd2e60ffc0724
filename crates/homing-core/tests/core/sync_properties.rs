//! Two model sides and their base, synced by plan and order as a run does it.

use std::collections::{BTreeMap, BTreeSet};

use homing_core::{
    Capabilities, Decision, Direction, ItemKey, Manifest, PlanInput, PlannedItem, Step,
    UnknownReason, Version, order, plan,
};
use proptest::prelude::*;

use crate::model::{
    ModelSide, any_capabilities, any_key, any_reason, any_version, cases, key as key_of,
};

#[derive(Debug, Clone)]
struct World {
    base: BTreeMap<ItemKey, Version>,
    near: ModelSide,
    far: ModelSide,
}

impl World {
    fn plan(&self, direction: Direction) -> BTreeMap<ItemKey, PlannedItem> {
        let (near, far) = (self.near.manifest(), self.far.manifest());
        plan(PlanInput {
            base: &self.base,
            near: &near,
            far: &far,
            direction,
        })
    }

    fn written(&mut self, direction: Direction) -> &mut ModelSide {
        match direction {
            Direction::Pull => &mut self.near,
            Direction::Push => &mut self.far,
        }
    }

    /// Carries out one direction and returns the keys that wait for a person.
    fn run(&mut self, direction: Direction) -> BTreeSet<ItemKey> {
        let mut waiting = BTreeSet::new();
        let planned = self.plan(direction);
        for (key, item) in &planned {
            match &item.decision {
                Decision::Converged(version) => self.record(key, *version),
                Decision::Diverged(_) | Decision::Blocked(_) => drop(waiting.insert(key.clone())),
                _ => {}
            }
        }
        let side = self.written(direction);
        let ordered = order(
            steps(&planned, direction),
            &side.manifest(),
            side.capabilities,
        );
        for (step, _) in ordered.blocked {
            waiting.extend(step.renamed_from);
            waiting.insert(step.key);
        }
        for step in ordered.steps {
            self.written(direction).apply(&step);
            if let Some(from) = &step.renamed_from {
                self.record(from, None);
            }
            self.record(&step.key, step.after);
        }
        waiting
    }

    fn record(&mut self, key: &ItemKey, version: Option<Version>) {
        match version {
            Some(version) => drop(self.base.insert(key.clone(), version)),
            None => drop(self.base.remove(key)),
        }
    }
}

pub(crate) fn steps(planned: &BTreeMap<ItemKey, PlannedItem>, direction: Direction) -> Vec<Step> {
    planned
        .iter()
        .filter_map(|(key, item)| {
            let after = match item.decision {
                Decision::Create(version) | Decision::Update(version) => Some(version),
                Decision::Delete => None,
                _ => return None,
            };
            let before = match direction {
                Direction::Pull => item.near,
                Direction::Push => item.far,
            };
            Some(Step {
                key: key.clone(),
                renamed_from: None,
                before,
                after,
            })
        })
        .collect()
}

/// Two sides that once agreed, and what was changed on each since.
fn any_world() -> impl Strategy<Value = World> {
    let edits = || {
        prop::collection::vec(
            (any_key(), prop::option::weighted(0.6, any_version())),
            0..6,
        )
    };
    let agreed = prop::collection::btree_map(any_key(), any_version(), 0..8);
    let capabilities = prop_oneof![
        2 => Just((Capabilities::default(), Capabilities::default())),
        3 => (any_capabilities(), any_capabilities()),
    ];
    (capabilities, agreed, edits(), edits(), any::<bool>()).prop_map(
        |((near_can, far_can), agreed, near_edits, far_edits, move_something)| {
            let both = ModelSide::with(near_can, agreed).versions();
            let mut far = ModelSide::with(far_can, both);
            let mut near = ModelSide::with(near_can, far.versions());
            let base = far.versions();
            for (key, version) in near_edits {
                near.edit(&key, version);
            }
            for (key, version) in far_edits {
                far.edit(&key, version);
            }
            // Changes of case only, which edits of random keys seldom are.
            if move_something && let Some((key, version)) = far.versions().into_iter().next() {
                let other = if key.as_str().starts_with('a') {
                    "A"
                } else {
                    "a"
                };
                if let Some(rest) = key.as_str().get(1..).filter(|_| key.as_str().is_ascii()) {
                    far.edit(&key, None);
                    far.edit(&key_of(&format!("{other}{rest}")), Some(version));
                }
            }
            World { base, near, far }
        },
    )
}

/// What both sides can say of an item: without the executable bit where one of them cannot store it.
fn comparable(world: &World, versions: &BTreeMap<ItemKey, Version>) -> BTreeMap<ItemKey, Version> {
    let bit = world.near.capabilities.executable_bit && world.far.capabilities.executable_bit;
    versions
        .iter()
        .map(|(key, version)| {
            (
                key.clone(),
                Version {
                    executable: version.executable && bit,
                    ..*version
                },
            )
        })
        .collect()
}

fn without(
    mut versions: BTreeMap<ItemKey, Version>,
    keys: &BTreeSet<ItemKey>,
) -> BTreeMap<ItemKey, Version> {
    versions.retain(|key, _| !keys.contains(key));
    versions
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn a_sync_leaves_near_far_and_base_equal_but_for_conflicts(mut world in any_world()) {
        let mut waiting = world.run(Direction::Pull);
        waiting.extend(world.run(Direction::Push));
        let base = without(comparable(&world, &world.base), &waiting);
        prop_assert_eq!(&without(comparable(&world, &world.near.versions()), &waiting), &base, "near");
        prop_assert_eq!(&without(comparable(&world, &world.far.versions()), &waiting), &base, "far");
    }

    #[test]
    fn planning_again_after_a_sync_yields_nothing_new(mut world in any_world()) {
        let mut waiting = world.run(Direction::Pull);
        waiting.extend(world.run(Direction::Push));
        for direction in [Direction::Pull, Direction::Push] {
            let again = world.plan(direction);
            for (key, item) in &again {
                prop_assert!(waiting.contains(key), "{:?} {}: {:?}", direction, key, item);
            }
            let before = (world.near.versions(), world.far.versions(), world.base.clone());
            world.run(direction);
            prop_assert_eq!(before, (world.near.versions(), world.far.versions(), world.base.clone()));
        }
    }

    #[test]
    fn what_waits_for_a_person_stays_as_it_is(world in any_world(), pull in any::<bool>()) {
        let direction = if pull { Direction::Pull } else { Direction::Push };
        let mut after = world.clone();
        let waiting = after.run(direction);
        for key in &waiting {
            prop_assert_eq!(world.near.version(key), after.near.version(key));
            prop_assert_eq!(world.far.version(key), after.far.version(key));
            prop_assert_eq!(world.base.get(key), after.base.get(key));
        }
    }

    #[test]
    fn nothing_outside_the_plan_changes(world in any_world(), pull in any::<bool>()) {
        let direction = if pull { Direction::Pull } else { Direction::Push };
        let planned: BTreeSet<ItemKey> = world.plan(direction).into_keys().collect();
        let mut after = world.clone();
        after.run(direction);
        prop_assert_eq!(without(world.near.versions(), &planned), without(after.near.versions(), &planned));
        prop_assert_eq!(without(world.far.versions(), &planned), without(after.far.versions(), &planned));
        prop_assert_eq!(without(world.base.clone(), &planned), without(after.base.clone(), &planned));
        match direction {
            Direction::Pull => prop_assert_eq!(world.far.versions(), after.far.versions()),
            Direction::Push => prop_assert_eq!(world.near.versions(), after.near.versions()),
        }
    }

    #[test]
    fn the_planned_versions_are_those_of_the_sides(world in any_world()) {
        for (key, item) in world.plan(Direction::Pull) {
            prop_assert_eq!(item.base, world.base.get(&key).copied());
            prop_assert_eq!(item.near.map(|version| version.hash), world.near.version(&key).map(|version| version.hash));
            prop_assert_eq!(item.far.map(|version| version.hash), world.far.version(&key).map(|version| version.hash));
        }
    }

    #[test]
    fn unknown_yields_no_operation(
        world in any_world(),
        unknown in prop::collection::btree_map(
            prop_oneof![4 => any_key().prop_map(|key| key.to_string()), 1 => Just(String::new())],
            any_reason(),
            1..3,
        ),
        on_near in any::<bool>(),
        pull in any::<bool>(),
    ) {
        let direction = if pull { Direction::Pull } else { Direction::Push };
        let (mut near, mut far) = (world.near.manifest(), world.far.manifest());
        if on_near { near.unknown = unknown } else { far.unknown = unknown }
        let planned = plan(PlanInput { base: &world.base, near: &near, far: &far, direction });
        let unseen = |key: &ItemKey| near.unknown_reason(key).or(far.unknown_reason(key)).is_some();
        for (key, item) in planned.iter().filter(|(key, _)| unseen(key)) {
            prop_assert!(matches!(item.decision, Decision::Unknown(_) | Decision::Blocked(_)), "{}: {:?}", key, item);
        }
        let written: &Manifest = if pull { &near } else { &far };
        for step in order(steps(&planned, direction), written, written.capabilities).steps {
            prop_assert!(!unseen(&step.key), "{:?}", step);
        }
    }
}

#[test]
fn a_side_that_went_away_loses_nothing() {
    let mut world = World {
        base: BTreeMap::new(),
        near: ModelSide::new(Capabilities::default()),
        far: ModelSide::new(Capabilities::default()),
    };
    for path in ["a", "b/c"] {
        let key = key_of(path);
        world.near.edit(&key, Some(crate::model::version("one")));
        world.base.insert(key, crate::model::version("one"));
    }
    let mut far = world.far.manifest();
    far.unknown.insert(
        String::new(),
        UnknownReason::Unreadable("no such directory".to_owned()),
    );
    let planned = plan(PlanInput {
        base: &world.base,
        near: &world.near.manifest(),
        far: &far,
        direction: Direction::Pull,
    });
    assert_eq!(planned.len(), 2);
    assert_eq!(steps(&planned, Direction::Pull), []);
}
