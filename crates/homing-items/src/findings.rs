//! Findings: what is to be said against an item, and where.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How much a finding weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Level {
    /// Something to know.
    Note,
    /// Something to look at.
    Warning,
    /// The item is not published, unless the target says otherwise.
    Blocking,
}

impl Level {
    /// Returns the word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Blocking => "blocking",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

macro_rules! rules {
    ($($variant:ident $id:literal $level:ident $summary:literal,)*) => {
        /// What was looked for.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        pub enum Rule {
            $(#[doc = $summary] #[serde(rename = $id)] $variant,)*
        }

        impl Rule {
            /// All rules.
            pub const ALL: &[Self] = &[$(Self::$variant),*];

            /// Returns the name that it is told by.
            pub fn id(self) -> &'static str {
                match self { $(Self::$variant => $id,)* }
            }

            /// Returns how much it weighs.
            pub fn level(self) -> Level {
                match self { $(Self::$variant => Level::$level,)* }
            }

            /// Returns what it is about, in a sentence without a full stop.
            pub fn summary(self) -> &'static str {
                match self { $(Self::$variant => $summary,)* }
            }
        }
    };
}

rules! {
    NoFrontmatter "no-frontmatter" Note "An agent or a skill says nothing of itself at its beginning",
    InvalidName "invalid-name" Note "A name is not 1 to 64 characters of a-z and 0-9 with single hyphens between them",
    NameDiffersFromDirectory "name-differs-from-directory" Note "A skill has another name than its directory",
    DescriptionMissing "description-missing" Note "An agent or a skill does not say what it is for",
    DescriptionTooLong "description-too-long" Note "A description has more than 1,024 characters",
    DuplicatedName "duplicated-name" Note "Two items of one source and kind have the same name",
    PromptInjection "prompt-injection" Warning "A text tries to make an agent disregard what it was told",
    PipedDownload "piped-download" Warning "What is downloaded, or was encoded, is run unseen",
    UnicodeTags "unicode-tags" Blocking "Invisible Unicode tags hide a text from people",
    InvisibleText "invisible-text" Blocking "Invisible characters hide something from people",
    BidirectionalControl "bidirectional-control" Blocking "Characters that change the direction of writing make a text look like another one",
    BinaryContent "binary-content" Blocking "A file whose name says that it is text is none",
    OversizeText "oversize-text" Blocking "A text that agents read is larger than 1 MiB",
    ActiveFile "active-file" Blocking "A tool would run or obey a file without being asked",
}

/// A word that names no rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UnknownRule;

impl FromStr for Rule {
    type Err = UnknownRule;

    fn from_str(word: &str) -> Result<Self, UnknownRule> {
        let mut rules = Self::ALL.iter().copied();
        rules.find(|rule| rule.id() == word).ok_or(UnknownRule)
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.id())
    }
}

/// One thing that is to be said against an item.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Finding {
    /// What was looked for.
    #[serde(rename = "r")]
    pub rule: Rule,
    /// The line, from 1.
    #[serde(rename = "l")]
    pub line: u32,
    /// The character in the line, from 1.
    #[serde(rename = "c")]
    pub column: u32,
    /// What was found, in a sentence without a full stop.
    #[serde(rename = "m")]
    pub message: String,
}

impl Finding {
    /// Returns a finding about a place in a text.
    pub fn at(rule: Rule, (line, column): (u32, u32), message: impl Into<String>) -> Self {
        Self {
            rule,
            line,
            column,
            message: message.into(),
        }
    }

    /// Returns how much it weighs.
    pub fn level(&self) -> Level {
        self.rule.level()
    }

    /// Writes findings as the store keeps them; `None` where there are none.
    pub fn to_text(findings: &[Self]) -> Option<String> {
        if findings.is_empty() {
            return None;
        }
        // Numbers, words and text: nothing in it can fail to be JSON.
        serde_json::to_string(findings).ok()
    }

    /// Reads what [`Finding::to_text`] wrote. Findings of rules that this build does not know are left out.
    pub fn from_text(text: &str) -> Vec<Self> {
        let values: Vec<serde_json::Value> = serde_json::from_str(text).unwrap_or_default();
        let known = values.into_iter().map(serde_json::from_value);
        known.filter_map(Result::ok).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_named_by_their_ids() {
        for rule in Rule::ALL {
            assert_eq!(rule.id().parse(), Ok(*rule));
            assert!(!rule.summary().ends_with('.'), "{rule}");
        }
        assert_eq!("nothing".parse::<Rule>(), Err(UnknownRule));
        assert!(Level::Blocking > Level::Warning && Level::Warning > Level::Note);
    }

    #[test]
    fn findings_come_back_as_they_were_kept() {
        let findings = vec![
            Finding::at(Rule::UnicodeTags, (3, 7), "a \"b\"\n"),
            Finding::at(Rule::NoFrontmatter, (1, 1), ""),
        ];
        let text = Finding::to_text(&findings).unwrap();
        assert_eq!(Finding::from_text(&text), findings);
        assert_eq!(Finding::to_text(&[]), None);
        let newer = r#"[{"r":"of-a-later-homing","l":1,"c":1,"m":"x"},{"r":"piped-download","l":2,"c":1,"m":"y"}]"#;
        assert_eq!(
            Finding::from_text(newer),
            [Finding::at(Rule::PipedDownload, (2, 1), "y")]
        );
        assert_eq!(Finding::from_text("damaged"), []);
    }
}
