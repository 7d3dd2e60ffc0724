//! What of a file may be a secret, so that no complaint shows it: by its text alone, for it may be no TOML.
//!
//! Rather too much is hidden than too little.

use std::ops::Range;

/// What stands for what is hidden.
const MASK: char = '…';
/// How the secrets of well-known services begin.
const PREFIXES: [&str; 12] = [
    "ghp_",
    "gho_",
    "ghu_",
    "ghs_",
    "ghr_",
    "github_pat_",
    "glpat-",
    "sk-",
    "xoxb-",
    "xoxp-",
    "AKIA",
    "eyJ",
];
/// What the names of keys that hold secrets contain.
const NAMES: [&str; 12] = [
    "token",
    "auth",
    "cookie",
    "pwd",
    "secret",
    "passw",
    "credential",
    "apikey",
    "api_key",
    "access_key",
    "private_key",
    "bearer",
];
/// Words that may be seen inside of a value, before a `=`.
const INNER: [&str; 4] = ["env", "file", "command", "keyring"];
/// A word that begins like the secret of a service is one from this length on.
const SHORTEST_SECRET: usize = 16;
/// A near word of this length at most may be seen, too.
const LONGEST_SLIP: usize = 8;

/// Tells whether a text is a secret by the looks of it.
pub(crate) fn looks_like_a_secret(text: &str) -> bool {
    PREFIXES.iter().any(|prefix| text.starts_with(prefix))
}

/// Returns which bytes of a file may be a secret, in their order; no two ranges meet.
pub(crate) fn hidden(text: &str) -> Vec<Range<usize>> {
    let mut hidden = Vec::new();
    let mut in_secret_table = false;
    let mut at = 0;
    while at < text.len() {
        let line_end = end_of_line(text, at);
        let line = &text[at..line_end];
        if let Some(title) = header(line) {
            in_secret_table = is_secret_table(title);
        }
        let is_header = header(line).is_some();
        let mut next = line_end + 1;
        if in_secret_table && !is_header && !line.contains('=') {
            // Where only keys belong, this may be a value that slipped down.
            next = next.max(hide_value(text, at, &mut hidden) + 1);
        }
        for (equals, _) in line.match_indices('=') {
            let key = key_before(&line[..equals]);
            if in_secret_table || is_secret_key(key) {
                let end = hide_value(text, at + equals + 1, &mut hidden);
                next = next.max(end + 1);
                break;
            }
        }
        at = next;
    }
    hidden.extend(hidden_anywhere(text));
    merge(hidden)
}

fn merge(mut ranges: Vec<Range<usize>>) -> Vec<Range<usize>> {
    ranges.sort_by_key(|range| range.start);
    ranges.dedup_by(|later, earlier| {
        let meets = later.start <= earlier.end;
        if meets {
            earlier.end = earlier.end.max(later.end);
        }
        meets
    });
    ranges
}

/// Returns a text with what is hidden of it replaced; `place` is counted in it as it was.
///
/// Also returns how many characters stand before `place` then, and how many are in it.
pub(crate) fn masked(
    text: &str,
    line: Range<usize>,
    hidden: &[Range<usize>],
    place: &Range<usize>,
) -> (String, usize, usize) {
    let mut shown = String::new();
    let (mut before, mut within) = (0, 0);
    let mut was_hidden = false;
    for (at, character) in text[line.clone()].char_indices() {
        let at = line.start + at;
        let is_hidden = hidden
            .get(hidden.partition_point(|range| range.end <= at))
            .is_some_and(|range| range.contains(&at));
        let emit = match (is_hidden, was_hidden) {
            (true, true) => None,
            (true, false) => Some(MASK),
            (false, _) => Some(character),
        };
        was_hidden = is_hidden;
        let Some(character) = emit else { continue };
        shown.push(character);
        if at < place.start {
            before += 1;
        } else if at < place.end {
            within += 1;
        }
    }
    (shown, before, within)
}

/// Returns a line, or a message, without what of it may be a secret.
pub(crate) fn mask(text: &str) -> String {
    masked(text, 0..text.len(), &hidden(text), &(0..0)).0
}

/// Returns a message without the user and password of an address in it, and without what looks like a secret.
pub(crate) fn mask_message(text: &str) -> String {
    let hidden = merge(hidden_anywhere(text));
    masked(text, 0..text.len(), &hidden, &(0..0)).0
}

/// Returns what is a secret by its looks, wherever it stands.
fn hidden_anywhere(text: &str) -> Vec<Range<usize>> {
    let mut hidden = hidden_in_addresses(text);
    hidden.extend(hidden_words(text));
    hidden
}

/// Returns the words that begin like the secrets of well-known services.
fn hidden_words(text: &str) -> Vec<Range<usize>> {
    let is_of_word = |c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '+' | '/');
    let mut words = Vec::new();
    for (at, prefix) in PREFIXES
        .iter()
        .flat_map(|prefix| text.match_indices(prefix))
    {
        let begins = !text[..at].ends_with(char::is_alphanumeric);
        let rest = &text[at..];
        let length = rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        if begins && length >= SHORTEST_SECRET.max(prefix.len() + 1) {
            words.push(at..at + length);
        }
    }
    words
}

fn end_of_line(text: &str, at: usize) -> usize {
    text[at..].find('\n').map_or(text.len(), |end| at + end)
}

/// Returns what stands between the brackets of a table's header.
fn header(line: &str) -> Option<&str> {
    let inner = uncommented(line).strip_prefix('[')?.trim_start_matches('[');
    let title = inner.split(']').next().unwrap_or_default();
    (!title.is_empty() && !title.contains(['=', ','])).then_some(title)
}

fn uncommented(line: &str) -> &str {
    line.trim_start_matches(|c: char| c.is_whitespace() || c == '#')
}

/// Tells whether a table holds a secret: `[webhook.secret]`, `[sources.NAME.token]`, but not a source of such a name.
fn is_secret_table(title: &str) -> bool {
    let mut parts = title
        .split('.')
        .map(|part| part.trim().trim_matches(['"', '\'']));
    let named = matches!(parts.clone().next(), Some("sources" | "targets"));
    if named {
        parts.next();
        parts.next();
    }
    parts.any(is_secret_name)
}

/// Returns the key that ends a text, with its dots.
fn key_before(text: &str) -> &str {
    let text = text.trim_end();
    let start = text
        .rfind(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '"' | '\'')))
        .map_or(0, |at| {
            at + text[at..].chars().next().map_or(1, char::len_utf8)
        });
    &text[start..]
}

fn is_secret_key(key: &str) -> bool {
    key.split('.')
        .any(|part| is_secret_name(part.trim_matches(['"', '\''])))
}

/// Tells whether what is called so is a secret.
pub(crate) fn is_secret_name(name: &str) -> bool {
    let name = name.to_lowercase();
    NAMES.iter().any(|part| name.contains(part))
        || name.len() <= LONGEST_SLIP && strsim::damerau_levenshtein(&name, "token") <= 2
}

/// Hides the value that begins at `start` and returns where it ends: with its line, unless a bracket or a text of
/// several lines is open then.
fn hide_value(text: &str, start: usize, hidden: &mut Vec<Range<usize>>) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    let mut is_missing = true;
    while at < text.len() {
        let rest = &text[at..];
        let first = rest.chars().next().unwrap_or_default();
        if let Some(quotes) = ["\"\"\"", "'''"]
            .into_iter()
            .find(|quotes| rest.starts_with(quotes))
        {
            let body = at + quotes.len();
            let end = text[body..]
                .find(quotes)
                .map_or(text.len(), |end| body + end);
            hidden.push(body..end);
            is_missing = false;
            at = (end + quotes.len()).min(text.len());
        } else if first == '"' || first == '\'' {
            let end = end_of_string(text, at + 1, first);
            hidden.push(at + 1..end);
            is_missing = false;
            at = if text[end..].starts_with(first) {
                end + 1
            } else {
                end
            };
        } else if first == '\n' {
            let next = &text[at + 1..end_of_line(text, at + 1)];
            // A value that is missing may have slipped down.
            let goes_on = depth > 0 || is_missing && !next.contains('=');
            if !goes_on || header(next).is_some() {
                return at;
            }
            at += 1;
        } else if first == '#' {
            let end = end_of_line(text, at);
            hidden.push(at + 1..end);
            at = end;
        } else if matches!(first, '{' | '[') {
            depth += 1;
            is_missing = false;
            at += 1;
        } else if matches!(first, '}' | ']') {
            depth = depth.saturating_sub(1);
            at += 1;
        } else if first.is_whitespace() || matches!(first, ',' | '=') {
            at += first.len_utf8();
        } else {
            let ends = |c: char| c.is_whitespace() || "{}[],=\"'#".contains(c);
            let end = rest.find(ends).map_or(text.len(), |end| at + end);
            let is_key = text[end..].trim_start_matches([' ', '\t']).starts_with('=');
            if !(depth > 0 && is_key && is_inner(&text[at..end])) {
                hidden.push(at..end);
            }
            is_missing = false;
            at = end;
        }
    }
    text.len()
}

/// Tells whether a word inside of a value is a key that may be seen.
fn is_inner(word: &str) -> bool {
    word.len() <= LONGEST_SLIP
        && INNER
            .iter()
            .any(|inner| strsim::damerau_levenshtein(word, inner) <= 2)
}

/// Returns where a text on one line ends: at its quote, or with its line.
fn end_of_string(text: &str, start: usize, quote: char) -> usize {
    let mut escaped = false;
    for (at, character) in text[start..].char_indices() {
        if character == '\n' || (character == quote && !escaped) {
            return start + at;
        }
        escaped = character == '\\' && !escaped && quote == '"';
    }
    text.len()
}

/// Returns the user and password of every address: what stands between `://` and `@`.
fn hidden_in_addresses(text: &str) -> Vec<Range<usize>> {
    let ends = |c: char| c.is_whitespace() || matches!(c, '/' | '"' | '\'' | '`');
    text.match_indices("://")
        .filter_map(|(at, mark)| {
            let start = at + mark.len();
            let authority = &text[start..];
            let authority = &authority[..authority.find(ends).unwrap_or(authority.len())];
            Some(start..start + authority.rfind('@')?)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_values_of_secret_keys_are_hidden() {
        for (text, shown) in [
            ("every = \"15m\"", "every = \"15m\""),
            ("token = \"x\"", "token = \"…\""),
            ("# token = \"x\" y", "# token = \"…\" …"),
            (
                "team = { kind = \"dir\", token = \"x\" }",
                "team = { kind = \"dir\", token = \"…\" }",
            ),
            (
                "token = { env = \"X\" } # was x",
                "token = { env = \"…\" } #…",
            ),
            (
                "[sources.token]\nroot = \"x\"",
                "[sources.token]\nroot = \"x\"",
            ),
            (
                "[sources.a.token]\nroot = \"x\"\n[b]\nc = 1",
                "[sources.a.token]\nroot = \"…\"\n[b]\nc = 1",
            ),
            (
                "token = [\n\"x\",\n]\nevery = 1",
                "token = [\n\"…\",\n]\nevery = 1",
            ),
            ("root = \"ssh://me:x@h/y\"", "root = \"ssh://…@h/y\""),
            ("root = \"ssh://h/y@z\"", "root = \"ssh://h/y@z\""),
            ("tok\u{e4}n = \u{e9}", "tok\u{e4}n = …"),
            ("auth = \"Bearer x\"", "auth = \"…\""),
            ("every = \"ghp_0123456789abcdef\"", "every = \"…\""),
            ("[sources.ghp_0123456789abcdef]", "[sources.…]"),
            ("ghp_0123456789abcdef = 2", "… = 2"),
            ("kind = \"sk-learn\"", "kind = \"sk-learn\""),
        ] {
            assert_eq!(mask(text), shown, "{text}");
        }
    }

    #[test]
    fn a_message_shows_no_secret_either() {
        assert_eq!(
            mask_message("unknown key `ghp_0123456789abcdef`"),
            "unknown key `…`"
        );
        assert_eq!(mask_message("unknown key `sk-x`"), "unknown key `sk-x`");
    }
}
