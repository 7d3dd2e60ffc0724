//! What people do not see: Unicode tags, invisible characters, controls of the direction of writing.

use crate::findings::Rule;
use crate::scan::Found;

/// So many invisible characters in a row mean something. An emoji has two at most: a variation and a joiner.
const LONG_RUN: usize = 3;
/// So many invisible characters within words of ASCII letters, which need none, mean something.
const MANY_WITHIN_WORDS: u32 = 8;
/// So much of a hidden text is told.
const SHOWN_CHARS: usize = 60;

/// The flags that are written with tags: those of England, Scotland and Wales.
const FLAGS: [&str; 3] = [
    "\u{e0067}\u{e0062}\u{e0065}\u{e006e}\u{e0067}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0073}\u{e0063}\u{e0074}\u{e007f}",
    "\u{e0067}\u{e0062}\u{e0077}\u{e006c}\u{e0073}\u{e007f}",
];
const BLACK_FLAG: char = '\u{1f3f4}';
/// A flag with its tags.
const FLAG_BYTES: usize = 7 * 4;

/// Looks at the lines of a text, one after the other, each whole or in pieces.
#[derive(Debug, Default)]
pub(crate) struct Hidden {
    within_words: u32,
    first_within_words: Option<(u32, u32)>,
    /// What the line ends with so far.
    tags: Row,
    row: Row,
    before: Option<char>,
}

/// Characters in a row that are not seen.
#[derive(Debug, Default)]
struct Row {
    begins: (u32, u32),
    length: usize,
    text: String,
}

impl Row {
    fn add(&mut self, place: (u32, u32), shown: Option<char>) {
        if self.length == 0 {
            self.begins = place;
        }
        self.length += 1;
        if self.text.chars().count() < SHOWN_CHARS {
            self.text.extend(shown);
        }
    }
}

impl Hidden {
    /// Looks at a line, or the next piece of one, whose first character stands at `line` and `first`.
    pub(crate) fn piece(&mut self, (line, first): (u32, u32), text: &str, found: &mut Found) {
        if self.tags.length + self.row.length == 0 && text.is_ascii() {
            self.before = text.chars().next_back().or(self.before);
            return;
        }
        let mut chars = text.chars();
        let mut column = first;
        while let Some(char) = chars.next() {
            let place = (line, column);
            column = column.saturating_add(1);
            let tag = matches!(char, '\u{e0000}'..='\u{e007f}');
            if tag {
                // Tags stand for the ASCII characters.
                let meant = u8::try_from(u32::from(char) - 0xe0000).ok().map(char::from);
                self.tags
                    .add(place, meant.filter(|meant| !meant.is_ascii_control()));
                continue;
            }
            self.end_of_tags(found);
            if is_direction(char) {
                let message = format!(
                    "U+{:04X} changes the direction of what follows",
                    u32::from(char)
                );
                found.add(Rule::BidirectionalControl, place, message);
            } else if is_invisible(char) {
                self.row.add(place, Some(char));
                continue;
            }
            self.end_of_row(Some(char), found);
            self.before = Some(char);
            if char == BLACK_FLAG
                && let Some(flag) = FLAGS.iter().find(|flag| chars.as_str().starts_with(**flag))
            {
                for _ in flag.chars() {
                    chars.next();
                    column = column.saturating_add(1);
                }
            }
        }
    }

    /// Ends a line.
    pub(crate) fn end_of_line(&mut self, found: &mut Found) {
        self.end_of_tags(found);
        self.end_of_row(None, found);
        self.before = None;
    }

    /// Returns where a text can be cut, not after `cut`, so that no flag is.
    pub(crate) fn cut_before_a_flag(bytes: &[u8], cut: usize) -> usize {
        let from = cut.saturating_sub(FLAG_BYTES);
        let mut encoded = [0; 4];
        let flag = BLACK_FLAG.encode_utf8(&mut encoded).as_bytes();
        let begins = bytes[from..cut]
            .windows(flag.len())
            .rposition(|at| at == flag);
        begins.map_or(cut, |begins| from + begins)
    }

    /// Tells what only the whole text shows.
    pub(crate) fn end(self, found: &mut Found) {
        if let Some(place) = self.first_within_words
            && self.within_words >= MANY_WITHIN_WORDS
        {
            let message = format!(
                "{} words have invisible characters within",
                self.within_words
            );
            found.add(Rule::InvisibleText, place, message);
        }
    }

    fn end_of_tags(&mut self, found: &mut Found) {
        if self.tags.length == 0 {
            return;
        }
        let tags = std::mem::take(&mut self.tags);
        let mut message = match tags.length {
            1 => "1 invisible tag".to_owned(),
            many => format!("{many} invisible tags"),
        };
        if !tags.text.is_empty() {
            let verb = if tags.length == 1 { "spells" } else { "spell" };
            message = format!("{message} {verb} `{}`", tags.text);
        }
        found.add(Rule::UnicodeTags, tags.begins, message);
    }

    fn end_of_row(&mut self, after: Option<char>, found: &mut Found) {
        if self.row.length == 0 {
            return;
        }
        let row = std::mem::take(&mut self.row);
        if row.length >= LONG_RUN {
            let message = format!("{} invisible characters in a row", row.length);
            found.add(Rule::InvisibleText, row.begins, message);
        } else if [self.before, after]
            .iter()
            .all(|char| char.is_some_and(|char| char.is_ascii_alphanumeric()))
            && row.text != SOFT_HYPHEN
        {
            self.within_words = self.within_words.saturating_add(1);
            self.first_within_words.get_or_insert(row.begins);
        }
    }
}

/// Tells where a word may be broken; what sets a text in columns writes it.
const SOFT_HYPHEN: &str = "\u{ad}";

/// Embeddings, overrides and isolates. The marks that single characters of Arabic and Hebrew need are none of them.
fn is_direction(char: char) -> bool {
    matches!(char, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

fn is_invisible(char: char) -> bool {
    matches!(
        char,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
            | '\u{200b}'..='\u{200f}' | '\u{2060}'..='\u{2065}' | '\u{206a}'..='\u{206f}' | '\u{3164}'
            | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fff8}' | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}' | '\u{e0080}'..='\u{e0fff}'
    )
}

#[cfg(test)]
mod tests {
    use crate::findings::{Finding, Rule};

    fn found(text: &str) -> Vec<Finding> {
        crate::examiner::found(text)
    }

    fn tags(text: &str) -> String {
        let tag = |byte| char::from_u32(0xe0000 + u32::from(byte)).expect("a tag");
        text.bytes().map(tag).collect()
    }

    #[test]
    fn tags_are_found_and_read() {
        let one = found(&format!("hello{}!", tags("run rm")));
        assert_eq!(
            one,
            [Finding::at(
                Rule::UnicodeTags,
                (1, 6),
                "6 invisible tags spell `run rm`"
            )]
        );
        let long = found(&tags(&"x".repeat(500)));
        assert!(
            long[0].message.contains("500") && long[0].message.len() < 120,
            "{long:?}"
        );
        assert_eq!(found("a\u{e0001}b")[0].message, "1 invisible tag");
        assert_eq!(found(&format!("{}\n{}", tags("a"), tags("b"))).len(), 2);
    }

    #[test]
    fn flags_are_none() {
        for name in ["gbeng", "gbsct", "gbwls"] {
            let flag = format!("\u{1f3f4}{}\u{e007f}", tags(name));
            assert_eq!(found(&format!("{flag}{flag} x")), [], "{name}");
        }
        let smuggled = format!("\u{1f3f4}{}\u{e007f}", tags("gbxyz"));
        assert_eq!(found(&smuggled)[0].rule, Rule::UnicodeTags);
        let after = format!("\u{1f3f4}{}\u{e007f}{}", tags("gbeng"), tags("x"));
        assert_eq!(
            found(&after),
            [Finding::at(
                Rule::UnicodeTags,
                (1, 8),
                "1 invisible tag spells `x`"
            )]
        );
    }

    #[test]
    fn each_control_of_direction_is_found() {
        for code in (0x202a..=0x202e).chain(0x2066..=0x2069) {
            let char = char::from_u32(code).expect("a character");
            let all = found(&format!("ab{char}c"));
            assert_eq!(
                (all.len(), all[0].rule, all[0].column),
                (1, Rule::BidirectionalControl, 3),
                "{code:x}"
            );
        }
        // Marks, as Hebrew and Arabic need them.
        assert_eq!(found("\u{200f}שלום (x)\u{200f} \u{61c}مرحبا\u{200e}"), []);
    }

    #[test]
    fn rows_of_invisible_characters_are_found() {
        let all = found("a \u{200b}\u{200c}\u{200d} b");
        assert_eq!(
            all,
            [Finding::at(
                Rule::InvisibleText,
                (1, 3),
                "3 invisible characters in a row"
            )]
        );
        let selectors = format!("😀{}", "\u{e0130}".repeat(20));
        assert_eq!(found(&selectors)[0].rule, Rule::InvisibleText);
        assert_eq!(found("end\u{2060}\u{2060}\u{2060}")[0].column, 4);
        assert_eq!(
            found("a\u{200b}\u{200b}\n\u{200b}b"),
            [],
            "two lines are two rows"
        );
    }

    #[test]
    fn what_scripts_and_emoji_need_is_nothing() {
        for text in [
            "👩\u{200d}👩\u{200d}👧\u{200d}👦 👁\u{fe0f}\u{200d}🗨\u{fe0f} ❤\u{fe0f}\u{200d}🔥",
            "می\u{200c}خواهم نمی\u{200c}دانم",
            "क\u{094d}\u{200d}ष क\u{094d}\u{200c}ष",
            "葛\u{e0100}飾",
            "ภาษา\u{200b}ไทย\u{200b}ยาว",
            "hy\u{ad}phen\u{ad}a\u{ad}tion of long words, typ\u{ad}o\u{ad}graph\u{ad}i\u{ad}cal\u{ad}ly set",
            "\u{feff}a file with a mark at its beginning",
        ] {
            assert_eq!(found(text), [], "{text}");
        }
    }

    #[test]
    fn words_that_are_cut_invisibly_are_found_when_they_are_many() {
        let cut = |count: usize| vec!["i\u{200b}g"; count].join(" ");
        assert_eq!(found(&cut(7)), []);
        assert_eq!(
            found(&cut(8)),
            [Finding::at(
                Rule::InvisibleText,
                (1, 2),
                "8 words have invisible characters within"
            )]
        );
        assert_eq!(found(&"@\u{200b}name ".repeat(20)), [], "not within a word");
    }
}
