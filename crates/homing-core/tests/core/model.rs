//! A side in memory that behaves as a file system does and refuses what a file system would refuse.

use std::collections::BTreeMap;

use homing_core::{
    Capabilities, ContentHash, Item, ItemKey, Manifest, Step, UnknownReason, Version,
};
use proptest::prelude::*;
use proptest::test_runner::Config;

/// Makes a key of a path that is known to be one.
pub(crate) fn key(path: &str) -> ItemKey {
    ItemKey::new(path).expect("a test gives a path that is a key")
}

/// A version with the content `content` and no executable bit.
pub(crate) fn version(content: &str) -> Version {
    Version {
        hash: ContentHash::of(content.as_bytes()),
        executable: false,
    }
}

/// The same with the executable bit.
pub(crate) fn script(content: &str) -> Version {
    Version {
        executable: true,
        ..version(content)
    }
}

/// The item of a version, as a side lists it.
pub(crate) fn item(version: Version) -> Item {
    Item {
        hash: version.hash,
        size: 1,
        executable: version.executable,
        identity: None,
    }
}

/// A manifest of items.
pub(crate) fn manifest(items: &[(&str, Version)]) -> Manifest {
    Manifest {
        items: items
            .iter()
            .map(|(path, version)| (key(path), item(*version)))
            .collect(),
        ..Manifest::default()
    }
}

/// A manifest with what it could not see.
pub(crate) fn manifest_without(
    items: &[(&str, Version)],
    unknown: &[(&str, UnknownReason)],
) -> Manifest {
    let unknown = unknown
        .iter()
        .map(|(prefix, reason)| ((*prefix).to_owned(), reason.clone()))
        .collect();
    Manifest {
        unknown,
        ..manifest(items)
    }
}

/// A side that cannot tell `A` from `a`.
pub(crate) const CASELESS: Capabilities = Capabilities {
    case_sensitive: false,
    normalises_unicode: false,
    executable_bit: true,
};

/// A side that cannot tell the two spellings of `é`.
pub(crate) const NORMALISING: Capabilities = Capabilities {
    case_sensitive: true,
    normalises_unicode: true,
    executable_bit: true,
};

/// Few but enough cases, for the generators are made to collide; `PROPTEST_CASES` asks for more.
pub(crate) fn cases(cases: u32) -> Config {
    let asked = Config::default();
    Config {
        cases: cases.max(asked.cases),
        failure_persistence: None,
        ..asked
    }
}

/// Keys that nest, differ in case only, and differ in their Unicode form only.
pub(crate) fn any_key() -> impl Strategy<Value = ItemKey> {
    let component = prop::sample::select(vec!["a", "A", "b", "a-b", "\u{e9}", "e\u{301}"]);
    prop::collection::vec(component, 1..=3).prop_map(|components| key(&components.join("/")))
}

/// One of three contents, at times executable.
pub(crate) fn any_version() -> impl Strategy<Value = Version> {
    (
        prop::sample::select(vec!["one", "two", "three"]),
        prop::bool::weighted(0.3),
    )
        .prop_map(|(content, executable)| Version {
            executable,
            ..version(content)
        })
}

/// Anything that a side may be able to do.
pub(crate) fn any_capabilities() -> impl Strategy<Value = Capabilities> {
    any::<(bool, bool, bool)>().prop_map(|(case_sensitive, normalises_unicode, executable_bit)| {
        Capabilities {
            case_sensitive,
            normalises_unicode,
            executable_bit,
        }
    })
}

/// Anything that a side may fail to see.
pub(crate) fn any_reason() -> impl Strategy<Value = UnknownReason> {
    prop_oneof![
        Just(UnknownReason::NotAFile("a symbolic link")),
        Just(UnknownReason::Changing),
        Just(UnknownReason::Unreadable("permission denied".to_owned())),
        Just(UnknownReason::Collides("A".to_owned())),
    ]
}

/// A file system in memory. A path is found under every name that it takes for the same.
#[derive(Debug, Clone)]
pub(crate) struct ModelSide {
    pub(crate) capabilities: Capabilities,
    files: BTreeMap<String, (ItemKey, Version)>,
}

impl ModelSide {
    pub(crate) fn new(capabilities: Capabilities) -> Self {
        Self {
            capabilities,
            files: BTreeMap::new(),
        }
    }

    /// Takes of `items` those that fit beside each other.
    pub(crate) fn with(
        capabilities: Capabilities,
        items: impl IntoIterator<Item = (ItemKey, Version)>,
    ) -> Self {
        let mut side = Self::new(capabilities);
        for (key, version) in items {
            if side.obstacle(&key).is_none() {
                side.place(&key, version);
            }
        }
        side
    }

    /// Puts or removes an item as a user would, where that can be done.
    pub(crate) fn edit(&mut self, key: &ItemKey, version: Option<Version>) {
        let here = self.versions().contains_key(key);
        match version {
            None if here => drop(self.files.remove(&self.name(key.as_str()))),
            Some(version) if here || self.obstacle(key).is_none() => self.place(key, version),
            _ => {}
        }
    }

    pub(crate) fn versions(&self) -> BTreeMap<ItemKey, Version> {
        self.files.values().cloned().collect()
    }

    pub(crate) fn version(&self, key: &ItemKey) -> Option<Version> {
        self.files
            .values()
            .find(|(at, _)| at == key)
            .map(|(_, version)| *version)
    }

    pub(crate) fn manifest(&self) -> Manifest {
        Manifest {
            items: self
                .files
                .values()
                .map(|(key, version)| (key.clone(), item(*version)))
                .collect(),
            capabilities: self.capabilities,
            ..Manifest::default()
        }
    }

    /// Carries out one step, and fails the test where a file system would fail or lose something.
    pub(crate) fn apply(&mut self, step: &Step) {
        let from = step.renamed_from.as_ref().unwrap_or(&step.key);
        let before = step.before.map(|before| self.stored(before));
        let found = self.files.get(&self.name(from.as_str())).cloned();
        let expected = before.map(|before| (from.clone(), before));
        assert_eq!(
            found, expected,
            "{step:?} does not meet what it expects in {self:?}"
        );
        if found.is_some() {
            self.files.remove(&self.name(from.as_str()));
        }
        let Some(after) = step.after else { return };
        assert_eq!(
            self.obstacle(&step.key),
            None,
            "{step:?} is in the way of something in {self:?}"
        );
        if step.renamed_from.is_some() {
            assert_eq!(step.before, step.after, "a rename changes only the key");
            assert_eq!(
                self.name(from.as_str()),
                self.name(step.key.as_str()),
                "{step:?} is a move"
            );
        }
        self.place(&step.key, after);
    }

    fn place(&mut self, key: &ItemKey, version: Version) {
        self.files
            .insert(self.name(key.as_str()), (key.clone(), self.stored(version)));
    }

    fn stored(&self, version: Version) -> Version {
        Version {
            executable: version.executable && self.capabilities.executable_bit,
            ..version
        }
    }

    fn obstacle(&self, key: &ItemKey) -> Option<&ItemKey> {
        let place = self.name(key.as_str());
        self.files
            .iter()
            .find(|(other, _)| {
                let (mut outer, mut inner) = (other.as_str(), place.as_str());
                if outer.len() > inner.len() {
                    (outer, inner) = (inner, outer);
                }
                inner == outer
                    || inner
                        .strip_prefix(outer)
                        .is_some_and(|rest| rest.starts_with('/'))
            })
            .map(|(_, (key, _))| key)
    }

    /// Knows of case and Unicode forms what the generated keys need; `Capabilities::fold` is what is tested.
    pub(crate) fn name(&self, path: &str) -> String {
        let mut name = path.to_owned();
        if !self.capabilities.case_sensitive {
            name = name.to_lowercase();
        }
        if self.capabilities.normalises_unicode {
            name = name.replace("e\u{301}", "\u{e9}");
        }
        name
    }
}
