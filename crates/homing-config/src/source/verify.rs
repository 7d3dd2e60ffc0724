//! What has to be signed, and by whom.

use std::ops::Range;
use std::path::PathBuf;

use toml::de::DeValue;

use crate::config::{SignedObject, SignerKeys, Verify};
use crate::section::{Section, word};
use crate::values::ValueError;

/// Digits of a full id, of either kind.
const FULL_IDS: [usize; 2] = [40, 64];

/// Reads what has to be signed; complains where only a part of it is said, for nothing must seem to be verified that is
/// not.
pub(super) fn verify(
    section: &Section<'_>,
    reference: Option<&str>,
    pinned: Option<Range<usize>>,
    path: impl Fn(&DeValue<'_>) -> Result<PathBuf, ValueError>,
) -> Option<Verify> {
    let signed = section.get("verify", word(&SignedObject::WORDS, &[]));
    let allowed_signers = section.get("allowed_signers", &path);
    let keyring = section.get("keyring", &path);
    let (file, keys) = match (allowed_signers, keyring) {
        (Some(_), Some(keyring)) => {
            section.complain(
                keyring.span,
                format!("{} has both allowed_signers and keyring", section.title),
                Some("keep the one whose kind of keys signs there".to_owned()),
            );
            return None;
        }
        (Some(file), None) => (file.span, SignerKeys::AllowedSigners(file.value)),
        (None, Some(file)) => (file.span, SignerKeys::Keyring(file.value)),
        (None, None) => {
            let is_given = |key: &str| section.table.is_some_and(|table| table.contains_key(key));
            let is_mistyped = is_given("allowed_signers") || is_given("keyring");
            if let Some(signed) = signed
                && !is_mistyped
                && !section.complaints.borrow().are_gaps_expected()
            {
                section.complain(
                    signed.span,
                    "verify does not say whose signatures count",
                    Some(
                        "add allowed_signers = \"~/.config/homing/allowed_signers\" for SSH keys, or keyring = \"FILE\" for OpenPGP"
                            .to_owned(),
                    ),
                );
            }
            return None;
        }
    };
    let Some(signed) = signed else {
        let is_mistyped = section
            .table
            .is_some_and(|table| table.contains_key("verify"));
        if !is_mistyped && !section.complaints.borrow().are_gaps_expected() {
            section.complain(
                file,
                format!("{} says nothing without verify", keys.setting().0),
                Some("add verify = \"commit\" or verify = \"tag\"".to_owned()),
            );
        }
        return None;
    };
    let is_commit =
        |id: &str| FULL_IDS.contains(&id.len()) && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if signed.value == SignedObject::Tag && reference.is_none_or(is_commit) {
        section.complain(
            signed.span,
            "verify = \"tag\" needs a tag, and ref names none",
            Some("set ref to a tag or to \"latest\", or verify = \"commit\"".to_owned()),
        );
        return None;
    }
    if signed.value == SignedObject::Tag
        && let Some(pinned) = pinned
    {
        section.complain(
            pinned,
            "pin names a commit, and verify = \"tag\" wants a signed tag",
            Some(
                "remove pin and set ref to the tag, or set verify = \"commit\" if the commits are signed"
                    .to_owned(),
            ),
        );
        return None;
    }
    Some(Verify {
        signed: signed.value,
        keys,
    })
}
