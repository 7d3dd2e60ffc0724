//! Keys, hashes, ids, words and manifests: what is one and what is not.

use std::str::FromStr;

use homing_core::{
    Capabilities, ConflictKind, ContentHash, Hasher, IdError, Item, ItemKey, ItemState, KeyError,
    Policy, RunId, SourceId, TargetId, UnknownReason, UnknownWord,
};
use proptest::prelude::*;

use crate::model::{
    CASELESS, NORMALISING, any_capabilities, cases, item, key, manifest_without, version,
};

#[test]
fn a_key_keeps_its_path() {
    for path in [
        "a",
        "a/b.md",
        ".hidden",
        "..a",
        "a..",
        "a b",
        "\u{e9}",
        "x.homing-1",
        &"n".repeat(255),
    ] {
        assert_eq!(ItemKey::new(path).unwrap().as_str(), path);
    }
}

#[test]
fn every_key_error_has_its_paths() {
    let long_component = "n".repeat(256);
    let long_path = vec!["n".repeat(240); 18].join("/");
    for (path, error) in [
        ("", KeyError::Empty),
        ("a//b", KeyError::Empty),
        ("a/", KeyError::Empty),
        ("/", KeyError::Escapes),
        ("/a", KeyError::Escapes),
        (".", KeyError::Escapes),
        ("..", KeyError::Escapes),
        ("a/../b", KeyError::Escapes),
        ("a/./b", KeyError::Escapes),
        ("a\nb", KeyError::ControlCharacter),
        ("a\0b", KeyError::ControlCharacter),
        ("a/\u{1b}[2J", KeyError::ControlCharacter),
        ("\u{85}", KeyError::ControlCharacter),
        (&long_component, KeyError::TooLong),
        (&long_path, KeyError::TooLong),
        (".homing-1-2", KeyError::Reserved),
        ("a/.homing-/b", KeyError::Reserved),
    ] {
        assert_eq!(ItemKey::new(path), Err(error), "{path:?}");
    }
}

#[test]
fn a_path_of_4096_bytes_is_a_key_and_one_of_4097_is_not() {
    let path = format!(
        "{}{}",
        format!("{}/", "n".repeat(255)).repeat(15),
        "n".repeat(256 - 2)
    );
    let longest = format!("{}/{}", path, "n".repeat(4096 - path.len() - 1));
    assert_eq!(longest.len(), 4096);
    assert_eq!(
        ItemKey::new(&longest).map(|key| key.as_str().len()),
        Ok(4096)
    );
    assert_eq!(ItemKey::new(&format!("{longest}n")), Err(KeyError::TooLong));
}

#[test]
fn every_key_error_says_something_of_its_own() {
    let errors = [
        KeyError::Empty,
        KeyError::Escapes,
        KeyError::ControlCharacter,
        KeyError::NotUtf8,
        KeyError::TooLong,
        KeyError::Reserved,
    ];
    let texts: std::collections::BTreeSet<String> =
        errors.iter().map(ToString::to_string).collect();
    assert_eq!(texts.len(), errors.len());
}

#[test]
fn a_key_knows_its_parts() {
    let deep = key("a/b/c.md");
    assert_eq!(deep.file_name(), "c.md");
    assert_eq!(deep.parent(), Some("a/b"));
    assert_eq!(deep.ancestors().collect::<Vec<_>>(), ["a", "a/b"]);
    assert_eq!(key("c.md").file_name(), "c.md");
    assert_eq!(key("c.md").parent(), None);
    assert_eq!(key("c.md").ancestors().count(), 0);
    assert_eq!(deep.to_string(), "a/b/c.md");
    assert_eq!(format!("{:?}", key("a b")), "\"a b\"");
}

#[test]
fn a_key_is_within_whole_components_only() {
    let deep = key("a/b/c");
    for (prefix, within) in [
        ("", true),
        ("a", true),
        ("a/b", true),
        ("a/b/c", true),
        ("a/b/c/d", false),
        ("a/", false),
        ("b", false),
    ] {
        assert_eq!(deep.is_within(prefix), within, "{prefix:?}");
    }
    assert!(!key("ab").is_within("a"));
}

#[test]
fn a_hash_reads_what_it_writes() {
    // FIPS 180-2, the message "abc".
    let text = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    let hash = ContentHash::of(b"abc");
    assert_eq!(hash.to_string(), text);
    assert_eq!(format!("{hash:?}"), text);
    assert_eq!(text.parse(), Ok(hash));
    assert_eq!(text.to_uppercase().parse(), Ok(hash));
    assert_eq!(ContentHash::from_bytes(*hash.as_bytes()), hash);
}

#[test]
fn a_hasher_takes_bytes_in_parts() {
    let mut hasher = Hasher::default();
    hasher.update(b"a");
    hasher.update(b"");
    hasher.update(b"bc");
    assert_eq!(hasher.finish(), ContentHash::of(b"abc"));
}

#[test]
fn what_is_no_hash_is_refused() {
    let short = "a".repeat(63);
    let long = "a".repeat(65);
    let no_digit = format!("{}g", "a".repeat(63));
    let two_bytes_a_letter = "\u{e9}".repeat(32);
    for text in [
        "",
        "abc",
        &short,
        &long,
        &no_digit,
        &two_bytes_a_letter,
        &" ".repeat(64),
        &format!("+{short}"),
    ] {
        assert!(ContentHash::from_str(text).is_err(), "{text:?}");
    }
}

#[test]
fn a_part_of_a_preset_has_the_name_of_its_section_and_one_of_its_own() {
    let part = TargetId::from_str("team_1.shared-skills").unwrap();
    assert_eq!(
        (part.as_str(), part.section()),
        ("team_1.shared-skills", "team_1")
    );
    assert!(part.is_named("team_1") && part.is_named("team_1.shared-skills"));
    assert!(!part.is_named("team") && !part.is_named("team_1.skills"));
    let whole = TargetId::from_str("team").unwrap();
    assert_eq!(whole.section(), "team");
    assert!(whole.is_named("team"));
    for text in [
        ".a",
        "a.",
        "a.b.c",
        "a.B",
        "a.b1",
        "-a.b",
        "a.abcdefghijklmnopqrstuvwxy",
    ] {
        assert!(TargetId::from_str(text).is_err(), "{text}");
    }
}

#[test]
fn ids_are_short_plain_words() {
    let longest = "a".repeat(64);
    for text in ["a", "0", "team-notes_2", &longest] {
        assert_eq!(SourceId::from_str(text).unwrap().as_str(), text);
        assert_eq!(TargetId::from_str(text).unwrap().to_string(), text);
    }
    let too_long = "a".repeat(65);
    for text in [
        "", "-a", "_a", "A", "a b", "a/b", "a.b", "\u{e9}", "a\n", &too_long,
    ] {
        assert_eq!(
            SourceId::from_str(text),
            Err(IdError {
                text: text.to_owned()
            })
        );
        assert_eq!(TargetId::from_str(text).is_ok(), text == "a.b", "{text}");
    }
    assert_eq!(RunId(7).to_string(), "7");
}

#[test]
fn words_are_read_as_they_are_written() {
    for policy in [Policy::Ask, Policy::Ours, Policy::Theirs, Policy::Union] {
        assert_eq!(policy.as_str().parse(), Ok(policy));
    }
    for kind in [
        ConflictKind::Content,
        ConflictKind::Delete,
        ConflictKind::Added,
        ConflictKind::Structure,
        ConflictKind::Provenance,
    ] {
        assert_eq!(kind.to_string().parse(), Ok(kind));
    }
    assert_eq!(
        Policy::from_str("Ours"),
        Err(UnknownWord("Ours".to_owned()))
    );
    assert!(ConflictKind::from_str("").is_err());
    assert_eq!(Policy::default(), Policy::Ask);
}

#[test]
fn a_manifest_knows_present_absent_and_unknown() {
    let one = version("one");
    let manifest = manifest_without(
        &[("a", one), ("dir/x", one), ("dir/y/z", one), ("dirt", one)],
        &[
            ("dir", UnknownReason::Changing),
            ("gone", UnknownReason::NotAFile("a link")),
        ],
    );
    let present = ItemState::Present(item(one));
    let changing = ItemState::Unknown(UnknownReason::Changing);
    for (path, state) in [
        ("a", present.clone()),
        ("a/below", ItemState::Absent),
        ("other", ItemState::Absent),
        ("dir", changing.clone()),
        ("dir/x", changing.clone()),
        ("dir/y/z", changing.clone()),
        ("dir/not-listed", changing),
        ("dirt", present),
        (
            "gone/x",
            ItemState::Unknown(UnknownReason::NotAFile("a link")),
        ),
    ] {
        assert_eq!(manifest.state(&key(path)), state, "{path}");
    }
}

#[test]
fn a_manifest_of_an_unseen_side_knows_nothing() {
    let reason = UnknownReason::Unreadable("no such directory".to_owned());
    let manifest = manifest_without(&[("a", version("one"))], &[("", reason.clone())]);
    assert_eq!(
        manifest.state(&key("a")),
        ItemState::Unknown(reason.clone())
    );
    assert_eq!(
        manifest.state(&key("b/c")),
        ItemState::Unknown(reason.clone())
    );
    assert_eq!(manifest.unknown_reason(&key("b")), Some(&reason));
}

#[test]
fn a_state_has_an_item_only_when_present() {
    let here: Item = item(version("one"));
    assert_eq!(ItemState::Present(here.clone()).item(), Some(&here));
    assert_eq!(ItemState::Absent.item(), None);
    assert_eq!(ItemState::Unknown(UnknownReason::Changing).item(), None);
}

#[test]
fn folding_joins_what_a_side_cannot_tell_apart() {
    let both = Capabilities {
        case_sensitive: false,
        ..NORMALISING
    };
    let exact = Capabilities::default();
    for (capabilities, one, other, same) in [
        (exact, "a", "A", false),
        (exact, "\u{e9}", "e\u{301}", false),
        (CASELESS, "a/b", "A/B", true),
        (CASELESS, "\u{e9}", "\u{c9}", true),
        (CASELESS, "\u{e9}", "e\u{301}", false),
        (CASELESS, "a", "b", false),
        (NORMALISING, "\u{e9}", "e\u{301}", true),
        (NORMALISING, "e\u{301}", "E\u{301}", false),
        (both, "\u{e9}", "E\u{301}", true),
        (both, "\u{c9}/X", "e\u{301}/x", true),
    ] {
        assert_eq!(
            capabilities.fold(one) == capabilities.fold(other),
            same,
            "{one:?} {other:?} {capabilities:?}"
        );
    }
}

proptest! {
    #![proptest_config(cases(256))]

    #[test]
    fn no_text_makes_a_key_panic(text in any::<String>(), prefix in any::<String>()) {
        if let Ok(key) = ItemKey::new(&text) {
            prop_assert_eq!(key.as_str(), &text);
            prop_assert!(key.is_within(""));
            prop_assert!(key.ancestors().all(|ancestor| key.is_within(ancestor)));
            prop_assert!(key.parent().is_none_or(|parent| key.is_within(parent)));
            prop_assert!(!key.file_name().contains('/'));
            key.is_within(&prefix);
        }
    }

    #[test]
    fn folding_is_settled_at_once_and_keeps_the_directories(text in any::<String>(), capabilities in any_capabilities()) {
        let folded = capabilities.fold(&text).into_owned();
        prop_assert_eq!(capabilities.fold(&folded), folded.as_str());
        prop_assert_eq!(folded.matches('/').count(), text.matches('/').count());
    }

    #[test]
    fn no_text_makes_an_id_or_a_hash_panic(text in "\\PC{0,70}") {
        let is_target = TargetId::from_str(&text).is_ok();
        prop_assert_eq!(SourceId::from_str(&text).is_ok(), is_target && !text.contains('.'));
        prop_assert!(ContentHash::from_str(&text).is_ok_and(|hash| hash.to_string() == text.to_lowercase()) || ContentHash::from_str(&text).is_err());
    }

    #[test]
    fn every_hash_reads_what_it_writes(bytes in any::<[u8; 32]>()) {
        let hash = ContentHash::from_bytes(bytes);
        prop_assert_eq!(hash.to_string().parse(), Ok(hash));
    }
}
