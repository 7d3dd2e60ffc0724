//! The planner: what must change for two sides and their base to agree.

use std::collections::BTreeMap;

use crate::{ConflictKind, Item, ItemKey, ItemState, Manifest, UnknownReason, Version};

/// Which side may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// The near side takes what the far side changed.
    Pull,
    /// The far side takes what the near side changed.
    Push,
}

/// What a plan makes of one key. "Written side" is near for a pull and far for a push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Both sides hold what they last agreed on.
    Unchanged,
    /// Both sides hold the same; only the base moves, to this.
    Converged(Option<Version>),
    /// The written side takes the other's item; it has none.
    Create(Version),
    /// The written side takes the other's item in place of its own.
    Update(Version),
    /// The written side deletes its item.
    Delete,
    /// Only the written side changed: nothing to do in this direction.
    Modified,
    /// Both changed: merge, or leave it to a person.
    Diverged(ConflictKind),
    /// Something that is no regular file stands where the item would go.
    Blocked(UnknownReason),
    /// One side cannot be seen: nothing is done.
    Unknown(UnknownReason),
}

/// One key of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlannedItem {
    /// The version that both sides last agreed on.
    pub base: Option<Version>,
    /// The near side's version, `None` when absent or unknown.
    pub near: Option<Version>,
    /// The far side's version, `None` when absent or unknown.
    pub far: Option<Version>,
    /// What to do.
    pub decision: Decision,
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct PlanInput<'a> {
    /// What both sides last agreed on, by key.
    pub base: &'a BTreeMap<ItemKey, Version>,
    /// The near side.
    pub near: &'a Manifest,
    /// The far side.
    pub far: &'a Manifest,
    /// Which side may be written.
    pub direction: Direction,
}

/// Decides one key.
pub fn decide(
    base: Option<Version>,
    near: &ItemState,
    far: &ItemState,
    direction: Direction,
) -> Decision {
    decide_seen(base, Seen::of(near), Seen::of(far), direction)
}

/// Decides every key of the base and of both sides, and returns those that are not [`Decision::Unchanged`].
///
/// The executable bit of a side that cannot store it is taken to be what the other side has for the same content,
/// else what the base says; the versions in the plan carry that bit.
pub fn plan(input: PlanInput<'_>) -> BTreeMap<ItemKey, PlannedItem> {
    let mut planned = BTreeMap::new();
    let mut base_items = input.base.iter().peekable();
    let mut near_items = input.near.items.iter().peekable();
    let mut far_items = input.far.items.iter().peekable();
    loop {
        let keys = [
            base_items.peek().map(|(key, _)| *key),
            near_items.peek().map(|(key, _)| *key),
            far_items.peek().map(|(key, _)| *key),
        ];
        let Some(key) = keys.into_iter().flatten().min() else {
            break;
        };
        let base = base_items
            .next_if(|(at, _)| *at == key)
            .map(|(_, version)| *version);
        let near = Seen::listed(
            input.near,
            key,
            near_items
                .next_if(|(at, _)| *at == key)
                .map(|(_, item)| item),
        );
        let far = Seen::listed(
            input.far,
            key,
            far_items
                .next_if(|(at, _)| *at == key)
                .map(|(_, item)| item),
        );
        let (near, far) = with_stored_bits(&input, base, near, far);
        let decision = decide_seen(base, near, far, input.direction);
        if decision != Decision::Unchanged {
            planned.insert(
                key.clone(),
                PlannedItem {
                    base,
                    near: near.version(),
                    far: far.version(),
                    decision,
                },
            );
        }
    }
    planned
}

/// An [`ItemState`] reduced to what deciding needs, so that a large plan copies no item.
#[derive(Clone, Copy)]
enum Seen<'a> {
    Present(Version),
    Absent,
    Unknown(&'a UnknownReason),
}

impl<'a> Seen<'a> {
    fn of(state: &'a ItemState) -> Self {
        match state {
            ItemState::Present(item) => Self::Present(item.version()),
            ItemState::Absent => Self::Absent,
            ItemState::Unknown(reason) => Self::Unknown(reason),
        }
    }

    fn listed(manifest: &'a Manifest, key: &ItemKey, item: Option<&Item>) -> Self {
        match (manifest.unknown_reason(key), item) {
            (Some(reason), _) => Self::Unknown(reason),
            (None, Some(item)) => Self::Present(item.version()),
            (None, None) => Self::Absent,
        }
    }

    fn version(self) -> Option<Version> {
        match self {
            Self::Present(version) => Some(version),
            Self::Absent | Self::Unknown(_) => None,
        }
    }
}

fn decide_seen(
    base: Option<Version>,
    near: Seen<'_>,
    far: Seen<'_>,
    direction: Direction,
) -> Decision {
    let (written, other) = match direction {
        Direction::Pull => (near, far),
        Direction::Push => (far, near),
    };
    match (written, other) {
        (
            Seen::Unknown(reason @ (UnknownReason::NotAFile(_) | UnknownReason::Pointer)),
            Seen::Present(_),
        ) => return Decision::Blocked(reason.clone()),
        (Seen::Unknown(reason), _) | (_, Seen::Unknown(reason)) => {
            return Decision::Unknown(reason.clone());
        }
        (Seen::Present(_) | Seen::Absent, Seen::Present(_) | Seen::Absent) => {}
    }
    let (written, other) = (written.version(), other.version());
    if written == other {
        return if base == written {
            Decision::Unchanged
        } else {
            Decision::Converged(written)
        };
    }
    if written == base {
        return match (written, other) {
            (None, Some(version)) => Decision::Create(version),
            (Some(_), Some(version)) => Decision::Update(version),
            (_, None) => Decision::Delete,
        };
    }
    if other == base {
        return Decision::Modified;
    }
    Decision::Diverged(match (base, written, other) {
        (None, _, _) => ConflictKind::Added,
        (Some(_), Some(_), Some(_)) => ConflictKind::Content,
        (Some(_), _, _) => ConflictKind::Delete,
    })
}

/// Fills in the executable bit where a side cannot store it.
///
/// The other side's bit comes before the base's where the content is the same: a change of the bit alone must not
/// become an update that a side cannot carry out, again in every run.
fn with_stored_bits<'a>(
    input: &PlanInput<'_>,
    base: Option<Version>,
    near: Seen<'a>,
    far: Seen<'a>,
) -> (Seen<'a>, Seen<'a>) {
    let stores = |manifest: &Manifest| manifest.capabilities.executable_bit;
    let (near_stores, far_stores) = (stores(input.near), stores(input.far));
    let fill = |seen: Seen<'a>, other: Option<Version>| match seen {
        Seen::Present(Version { hash, .. }) => {
            let same = other.filter(|other| other.hash == hash);
            let executable = same
                .or(base)
                .or(other)
                .is_some_and(|version| version.executable);
            Seen::Present(Version { hash, executable })
        }
        Seen::Absent | Seen::Unknown(_) => seen,
    };
    match (near_stores, far_stores) {
        (true, true) => (near, far),
        (false, true) => (fill(near, far.version()), far),
        (true, false) => (near, fill(far, near.version())),
        (false, false) => (fill(near, None), fill(far, None)),
    }
}
