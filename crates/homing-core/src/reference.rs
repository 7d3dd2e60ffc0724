//! Names of Git's refs.

/// Tells whether Git takes a text for the name of a branch or tag (`git check-ref-format --allow-onelevel`), and no
/// command takes it for an option.
pub fn is_reference_name(text: &str) -> bool {
    let is_part = |part: &str| {
        !part.is_empty() && !part.starts_with('.') && !part.as_bytes().ends_with(b".lock")
    };
    !text.starts_with('-')
        && !text.ends_with('.')
        && text != "@"
        && text.split('/').all(is_part)
        && !["..", "@{"].iter().any(|bad| text.contains(bad))
        && !text
            .chars()
            .any(|letter| letter.is_control() || " ~^:?*[\\".contains(letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_git_takes_for_one() {
        for good in [
            "main",
            "release/1.x",
            "v1.0",
            "a-b",
            "ünïcode",
            "feature/@x",
        ] {
            assert!(is_reference_name(good), "{good}");
        }
        for bad in [
            "",
            "-x",
            "--upload-pack=x",
            "a b",
            "a..b",
            "a~1",
            "a^",
            "a:b",
            "a?",
            "a*",
            "a[",
            "a\\b",
            "/a",
            "a/",
            "a//b",
            "a/.b",
            ".a",
            "a.",
            "a.lock",
            "a.lock/b",
            "@",
            "a@{1}",
            "a\nb",
        ] {
            assert!(!is_reference_name(bad), "{bad}");
        }
    }
}
