//! What a commit or tag says of its signature, and what the programs that verify say of it.

use std::fmt;

/// What a signature is made with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    Ssh,
    OpenPgp,
    Other,
}

impl fmt::Display for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ssh => "an SSH signature",
            Self::OpenPgp => "an OpenPGP signature",
            Self::Other => "a signature that is neither of SSH nor of OpenPGP",
        })
    }
}

/// What was said of a signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Signed {
    /// It is good, and whose it is.
    Good(String),
    /// It is of a key that does not count: which, and why.
    Key(String, &'static str),
    /// It is not a signature of this, by which key.
    Bad(Option<String>),
    /// Nothing that is understood.
    Unknown(String),
}

/// Finds the signature of a commit or tag, whose id has so many digits.
pub(super) fn form(kind: &str, text: &[u8], digits: usize) -> Option<Form> {
    let of = |line: &[u8]| {
        let what = line.strip_prefix(b"-----BEGIN ")?;
        Some(match what {
            b"SSH SIGNATURE-----" => Form::Ssh,
            b"PGP SIGNATURE-----" | b"PGP MESSAGE-----" => Form::OpenPgp,
            b"SIGNED MESSAGE-----" => Form::Other,
            _ => return None,
        })
    };
    let mut lines = text.split(|byte| *byte == b'\n');
    if kind == "tag" {
        // It ends the message, which may quote another.
        return lines.rev().find_map(of);
    }
    // The header ends with an empty line.
    let header = if digits == 64 {
        "gpgsig-sha256 "
    } else {
        "gpgsig "
    };
    let signature = lines
        .by_ref()
        .take_while(|line| !line.is_empty())
        .find_map(|line| line.strip_prefix(header.as_bytes()))?;
    Some(of(signature).unwrap_or(Form::Other))
}

/// Checks that a tag is of this commit and has the name of the ref; what is wrong otherwise.
pub(super) fn check_tag(text: &[u8], reference: Option<&str>, commit: &str) -> Result<(), String> {
    let headers: Vec<&[u8]> = text
        .split(|byte| *byte == b'\n')
        .take_while(|line| !line.is_empty())
        .collect();
    let value = |key: &str| {
        let values = headers.iter();
        let mut values = values.filter_map(|line| line.strip_prefix(key.as_bytes()));
        // Two of them would be two meanings.
        values.next().filter(|_| values.next().is_none())
    };
    if value("type ") != Some(b"commit") || value("object ") != Some(commit.as_bytes()) {
        return Err("the tag that was signed is of something else than this commit".to_owned());
    }
    let signed = String::from_utf8_lossy(value("tag ").unwrap_or_default());
    let named = reference.map(|name| name.strip_prefix("refs/tags/").unwrap_or(name));
    if named == Some(&*signed) {
        return Ok(());
    }
    let signed: String = signed
        .chars()
        .filter(|letter| !letter.is_control())
        .take(100)
        .collect();
    Err(format!(
        "the tag that was signed is called `{signed}`, and the remote shows it under another name"
    ))
}

impl Signed {
    /// Reads what `git verify-commit --raw` and `verify-tag --raw` say.
    pub(super) fn read(form: Form, said: &str) -> Self {
        match form {
            Form::OpenPgp => Self::of_gpg(said),
            Form::Ssh | Form::Other => Self::of_ssh(said),
        }
    }

    /// Says why that is not enough; `keys` is the setting that says which keys count.
    pub(super) fn why_not(self, keys: &str) -> String {
        match self {
            Self::Key(key, why) => format!("it is signed by the key {key}, {why} ({keys})"),
            Self::Bad(Some(key)) => {
                format!("its signature by the key {key} is not of what it holds")
            }
            Self::Bad(None) => "its signature is not of what it holds".to_owned(),
            Self::Good(said) | Self::Unknown(said) => {
                format!("its signature cannot be verified: {said} ({keys})")
            }
        }
    }

    fn of_ssh(said: &str) -> Self {
        let key = |line: &str| Some(line.split_once(" key ")?.1.trim().to_owned());
        for line in said.lines() {
            if let Some(rest) = line.strip_prefix("Good \"git\" signature for ")
                && let Some(key) = key(line)
            {
                let principal = rest.split_once(" with ").map_or("", |(name, _)| name);
                return Self::Good(format!("{principal} with the SSH key {key}"));
            }
            if line.starts_with("Good \"git\" signature with ")
                && let Some(key) = key(line)
            {
                let why = "which is not among those that count, or was not at that time";
                return Self::Key(key, why);
            }
        }
        if said.contains("incorrect signature") || said.contains("Could not verify signature") {
            return Self::Bad(None);
        }
        Self::Unknown(shown(said))
    }

    fn of_gpg(said: &str) -> Self {
        let statuses: Vec<Vec<&str>> = said
            .lines()
            .filter_map(|line| line.strip_prefix("[GNUPG:] "))
            .map(|line| line.split(' ').collect())
            .collect();
        let find = |word: &str| statuses.iter().find(|status| status[0] == word);
        // The fingerprint where it is told, else the key's id.
        let key = |status: &[&str]| {
            let whole = find("VALIDSIG").and_then(|status| status.get(1).copied());
            let key = whole.or(status.get(1).copied()).unwrap_or("unknown");
            key.to_owned()
        };
        if let Some(status) = find("BADSIG") {
            return Self::Bad(Some(key(status)));
        }
        for (word, why) in [
            ("REVKEYSIG", "which is revoked"),
            ("EXPKEYSIG", "which has expired"),
            ("EXPSIG", "with a signature that has expired"),
        ] {
            if let Some(status) = find(word) {
                return Self::Key(key(status), why);
            }
        }
        if let Some(status) = find("ERRSIG") {
            // The last word is its fingerprint, where `gpg` is new enough to tell.
            let last = status.last().filter(|last| last.len() >= 40);
            let key = last.map_or_else(|| key(status), |last| (*last).to_owned());
            return if find("NO_PUBKEY").is_some() {
                Self::Key(key, "which is not among those that count")
            } else {
                Self::Key(key, "with a signature that cannot be checked")
            };
        }
        if let (Some(good), Some(_)) = (find("GOODSIG"), find("VALIDSIG")) {
            let name = good.get(2..).unwrap_or_default().join(" ");
            return Self::Good(format!("{name} with the OpenPGP key {}", key(good)));
        }
        Self::Unknown(shown(said))
    }
}

fn shown(said: &str) -> String {
    let said = said.trim();
    let said = if said.is_empty() {
        "nothing is said of it"
    } else {
        said
    };
    said.chars()
        .map(|letter| if letter.is_control() { ' ' } else { letter })
        .take(300)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_found_where_git_looks_for_it() {
        let commit = b"tree x\ngpgsig -----BEGIN SSH SIGNATURE-----\n abc\n\nmessage\n";
        assert_eq!(form("commit", commit, 40), Some(Form::Ssh));
        assert_eq!(form("commit", commit, 64), None);
        let quoted = b"tree x\n\ngpgsig -----BEGIN SSH SIGNATURE-----\n";
        assert_eq!(form("commit", quoted, 40), None);
        let tag = b"object x\n\nv1\n-----BEGIN PGP SIGNATURE-----\nabc\n";
        assert_eq!(form("tag", tag, 40), Some(Form::OpenPgp));
        assert_eq!(form("tag", b"object x\n\nv1\n", 40), None);
    }

    #[test]
    fn a_tag_is_of_the_commit_and_has_the_name_that_was_signed() {
        let text = b"object c\ntype commit\ntag v1\ntagger t\n\nobject d\ntag v2\n";
        let name = Some("refs/tags/v1");
        assert_eq!(check_tag(text, name, "c"), Ok(()));
        assert!(
            check_tag(text, name, "d")
                .unwrap_err()
                .contains("something else")
        );
        let renamed = check_tag(text, Some("refs/tags/v2"), "c").unwrap_err();
        assert!(renamed.contains("`v1`"), "{renamed}");
        let twice = b"object c\nobject c\ntype commit\ntag v1\n\n";
        assert!(check_tag(twice, name, "c").is_err());
        assert!(check_tag(b"object c\ntype tag\ntag v1\n\n", name, "c").is_err());
    }

    #[test]
    fn what_the_programs_say_is_told_apart() {
        let fingerprint = "0123456789ABCDEF0123456789ABCDEF01234567";
        let good = format!(
            "[GNUPG:] GOODSIG 89ABCDEF01234567 Ann <a@b>\n[GNUPG:] VALIDSIG {fingerprint} 2026-01-01\n"
        );
        let ann = format!("Ann <a@b> with the OpenPGP key {fingerprint}");
        assert_eq!(Signed::read(Form::OpenPgp, &good), Signed::Good(ann));
        let expired = good.replace("GOODSIG", "EXPKEYSIG");
        assert_eq!(
            Signed::read(Form::OpenPgp, &expired),
            Signed::Key(fingerprint.to_owned(), "which has expired")
        );
        let missing = format!(
            "[GNUPG:] ERRSIG 89ABCDEF01234567 22 10 00 1700000000 9 {fingerprint}\n[GNUPG:] NO_PUBKEY 89ABCDEF01234567\n"
        );
        let why = Signed::read(Form::OpenPgp, &missing).why_not("`keyring`");
        assert!(
            why.contains(fingerprint) && why.contains("not among"),
            "{why}"
        );
        let bad = Signed::read(Form::OpenPgp, "[GNUPG:] BADSIG 89ABCDEF01234567 Ann\n");
        assert_eq!(bad, Signed::Bad(Some("89ABCDEF01234567".to_owned())));

        let good = "Good \"git\" signature for a@b with ED25519 key SHA256:x\n";
        let ann = "a@b with the SSH key SHA256:x".to_owned();
        assert_eq!(Signed::read(Form::Ssh, good), Signed::Good(ann));
        let other = "Good \"git\" signature with ED25519 key SHA256:x\nNo principal matched.\n";
        let why = Signed::read(Form::Ssh, other).why_not("`allowed_signers`");
        assert!(why.contains("SHA256:x"), "{why}");
        assert!(matches!(Signed::read(Form::Ssh, ""), Signed::Unknown(_)));
    }
}
