//! Entries that would do harm to whoever unpacks them. One is enough: who made the archive meant it.

/// Says why nobody should unpack an entry of this name.
pub(super) fn of_name(name: &[u8]) -> Option<&'static str> {
    leads_out(name, 0).then_some("whose name leads out of it")
}

/// Does the same for a symbolic link; its target is relative to where it is.
pub(super) fn of_link(name: &[u8], target: &[u8]) -> Option<&'static str> {
    let depth = components(name).count().saturating_sub(1);
    leads_out(target, depth).then_some("a link that leads out of it")
}

/// Does the same for a hard link, which names another entry.
pub(super) fn of_hard_link(target: &[u8]) -> Option<&'static str> {
    leads_out(target, 0).then_some("a link that leads out of it")
}

/// What is said of a device.
pub(super) const DEVICE: &str = "a device";

/// Tells whether a path from so many directories below the top is not below the top.
fn leads_out(path: &[u8], mut depth: usize) -> bool {
    // A letter and a colon alone are a file's name: only with what follows are they a drive.
    let is_absolute = matches!(
        path,
        [b'/' | b'\\', ..] | [b'a'..=b'z' | b'A'..=b'Z', b':', b'/' | b'\\', ..]
    );
    is_absolute
        || components(path).any(|component| match component {
            b".." if depth == 0 => true,
            b".." => {
                depth -= 1;
                false
            }
            _ => {
                depth += 1;
                false
            }
        })
}

fn components(path: &[u8]) -> impl Iterator<Item = &[u8]> {
    let parts = path.split(|byte| matches!(byte, b'/' | b'\\'));
    parts.filter(|part| !part.is_empty() && *part != b".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_leads_out_is_told_from_what_does_not() {
        for name in [
            "../a",
            "/a",
            "a/../../b",
            "C:/a",
            "c:\\a",
            "..\\a",
            "\\a",
            "..",
        ] {
            assert!(of_name(name.as_bytes()).is_some(), "{name}");
        }
        for name in [
            "a",
            "./a",
            "a/../b",
            "a..b/..c",
            "...",
            ".git/config",
            "",
            "ab:c",
            "a:b.md",
            "a:",
        ] {
            assert!(of_name(name.as_bytes()).is_none(), "{name}");
        }
        for (name, target, is_out) in [
            ("a/b", "../c", false),
            ("./a/b", "../c", false),
            ("a/b", "../../c", true),
            ("b", "c/../d", false),
            ("b", "../c", true),
            ("a/b", "/etc/passwd", true),
        ] {
            let found = of_link(name.as_bytes(), target.as_bytes());
            assert_eq!(found.is_some(), is_out, "{name} -> {target}");
        }
        assert!(of_hard_link(b"a/b").is_none() && of_hard_link(b"../b").is_some());
    }
}
