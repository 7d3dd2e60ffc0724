//! Web addresses, in which no secret has a place.

use url::Url;

use crate::mask::{is_secret_name, looks_like_a_secret};
use crate::values::ValueError;

/// Names of parameters that carry a secret and do not look like it.
const SIGNATURES: [&str; 5] = ["key", "sig", "signature", "code", "jwt"];
const HOW: &str = "leave it out, and say where the secret is: token = { env = \"TEAM_TOKEN\" }; whoever read this file may \
     know it, so get a new one";

/// Reads an address. No error repeats it, for it may hold a secret.
pub(super) fn address(text: &str) -> Result<Url, ValueError> {
    let url = Url::parse(text).map_err(|error| {
        ValueError::new(
            format!("this is no URL: {error}"),
            "write it whole, for example \"https://example.org/agents/\"",
        )
    })?;
    judge(url)
}

/// Reads a path, or an address, relative to another.
pub(super) fn relative_address(text: &str, base: Option<&Url>) -> Result<String, ValueError> {
    let nowhere = Url::parse("https://example.invalid/").expect("it is one");
    let url = base.unwrap_or(&nowhere).join(text).map_err(|error| {
        ValueError::new(
            format!("this is no path: {error}"),
            "write it relative to the URL, for example \"index.json\"",
        )
    })?;
    judge(url)?;
    Ok(text.to_owned())
}

fn judge(url: Url) -> Result<Url, ValueError> {
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err(ValueError::new(
            "only http and https are spoken here",
            "write it whole, for example \"https://example.org/agents/\"",
        ));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(ValueError::new(
            "a user or password has no place in a URL",
            HOW,
        ));
    }
    let is_secret = |name: &str| is_secret_name(name) || SIGNATURES.contains(&name);
    let in_query = url
        .query_pairs()
        .any(|(name, value)| is_secret(&name.to_lowercase()) || looks_like_a_secret(&value));
    let in_path = url
        .path_segments()
        .into_iter()
        .flatten()
        .any(looks_like_a_secret);
    if in_query || in_path {
        return Err(ValueError::new("a secret has no place in a URL", HOW));
    }
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_in_an_address_is_refused_and_not_repeated() {
        for text in [
            "https://ann@example.org/",
            "https://ann:s3cret@example.org/",
            "https://:s3cret@example.org/",
            "https://example.org/?token=s3cret",
            "https://example.org/?v=1&Access_Token=s3cret",
            "https://example.org/?sig=s3cret",
            "https://example.org/?a=ghp_s3cret0123456789abcdef",
            "https://example.org/ghp_s3cret0123456789abcdef/a",
            "file:///s3cret",
            "s3cret",
            "",
        ] {
            let error = address(text).unwrap_err();
            let said = format!("{} {:?}", error.message, error.hint);
            assert!(!said.contains("s3cret"), "{said}");
            assert!(
                !text.contains("s3cret")
                    || relative_address(text, None).is_err()
                    || text == "s3cret"
            );
        }
        for text in [
            "https://example.org/a?v=1",
            "http://127.0.0.1:1/",
            "https://e.org/~a/",
        ] {
            assert!(address(text).is_ok(), "{text}");
        }
        assert_eq!(
            relative_address("d/index.json", None).unwrap(),
            "d/index.json"
        );
    }
}
