//! What a person gives up who decides a conflict, as far as it is known before the decision is carried out.

use std::collections::BTreeSet;

use crate::checks::Snapshot;
use crate::content::{Unit, units};
use crate::model::{Model, Place};

/// A decision that may have been made: nobody knows before its command has ended.
#[derive(Debug)]
pub(crate) struct Decision {
    path: String,
    /// Lines of an origin that are not wanted.
    refused: BTreeSet<Unit>,
    /// Lines that other places may lose when the decision reaches them, a copy being kept.
    given_up: BTreeSet<Unit>,
    /// The lines of both sides stay.
    unites: bool,
}

impl Decision {
    /// Returns what `homing resolve NAME PATH WITH` gives up of what there is now.
    pub(crate) fn of(
        model: &Model,
        snapshot: &Snapshot,
        name: &str,
        path: &str,
        with: &str,
    ) -> Self {
        // In a source the local side is the head, which holds what its targets hold.
        let is_local = |place: Place| match place {
            Place::Origin(_) => false,
            Place::Target(_) => name.starts_with('s') || place.to_string() == name,
        };
        let of = |wanted: &dyn Fn(Place) -> bool| -> BTreeSet<Unit> {
            let class = model.class(path);
            let places = snapshot.iter().filter(|(place, _)| wanted(**place));
            places
                .flat_map(|(_, tree)| &tree.files)
                .filter(|(candidate, _)| model.class(candidate) == class)
                .flat_map(|(_, seen)| units(&seen.bytes))
                .collect()
        };
        let local = of(&is_local);
        let is_origin = |place: Place| matches!(place, Place::Origin(_));
        let (refused, given_up) = match with {
            "--ours" => (
                of(&is_origin).difference(&local).cloned().collect(),
                // What another target gave the source comes to this one through the head, and is refused with it.
                of(&|place| !is_local(place) && !is_origin(place))
                    .difference(&local)
                    .cloned()
                    .collect(),
            ),
            "--theirs" => {
                let far = of(&|place| !is_local(place));
                (BTreeSet::new(), local.difference(&far).cloned().collect())
            }
            _ => (BTreeSet::new(), BTreeSet::new()),
        };
        Self {
            path: path.to_owned(),
            refused,
            given_up,
            unites: with == "--union",
        }
    }

    /// Lets the model know of a decision that was carried out, or may have been.
    pub(crate) fn tell(self, model: &mut Model) {
        if self.unites {
            model.unite(&self.path);
        }
        model.refuse(&self.path, self.refused.iter());
        model.give_up(&self.path, self.given_up);
    }
}
