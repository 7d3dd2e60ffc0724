//! When two names are one: what a side cannot tell apart.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;

use crate::Capabilities;

impl Capabilities {
    /// Returns the form of `path` that is the same for all paths that the side takes for one.
    ///
    /// File systems fold case in slightly different ways; rare letters (`ß`, `ſ`) may be told apart here and not there.
    pub fn fold(self, path: &str) -> Cow<'_, str> {
        if (self.case_sensitive || !path.bytes().any(|byte| byte.is_ascii_uppercase()))
            && path.is_ascii()
        {
            return Cow::Borrowed(path);
        }
        match (self.case_sensitive, self.normalises_unicode) {
            (true, false) => Cow::Borrowed(path),
            (true, true) => Cow::Owned(path.nfc().collect()),
            (false, false) => Cow::Owned(path.chars().flat_map(char::to_lowercase).collect()),
            (false, true) => Cow::Owned(path.nfd().flat_map(char::to_lowercase).nfc().collect()),
        }
    }
}
