//! Reads the values of one table, with its defaults, and complains about what it does not know.

use std::cell::RefCell;
use std::ops::Range;
use std::time::Duration;

use jiff::tz::TimeZone;
use toml::de::{DeTable, DeValue};

use crate::diagnostic::Complaints;
use crate::values::{ValueError, parse_duration, parse_size};

/// A value and where it is.
#[derive(Debug, Clone)]
pub(crate) struct Located<T> {
    /// The value.
    pub(crate) value: T,
    /// Its bytes in the file; of the table's name for a default.
    pub(crate) span: Range<usize>,
}

/// One table of the file.
pub(crate) struct Section<'t> {
    /// How it is called in complaints, as in `[sources.team]`.
    pub(crate) title: String,
    /// Where its name is.
    pub(crate) header: Range<usize>,
    /// What the file says; `None` when it does not mention the table.
    pub(crate) table: Option<&'t DeTable<'t>>,
    /// What holds else.
    pub(crate) defaults: &'t DeTable<'t>,
    /// Where complaints go.
    pub(crate) complaints: &'t RefCell<Complaints>,
}

impl<'t> Section<'t> {
    /// Complains about keys that are not among `known`; those of `later` are for a later version.
    pub(crate) fn check_keys(&self, known: &[&str], later: &[&str]) {
        for key in self.table.into_iter().flat_map(|table| table.keys()) {
            let name = key.get_ref().as_ref();
            if known.contains(&name) {
                continue;
            }
            let shown = name.escape_debug();
            if later.contains(&name) {
                self.complain(
                    key.span(),
                    format!(
                        "`{shown}` in {} is not supported by this version",
                        self.title
                    ),
                    Some("remove it".to_owned()),
                );
            } else {
                self.complain(
                    key.span(),
                    format!("unknown key `{shown}` in {}", self.title),
                    Some(suggest(name, known, "known keys are")),
                );
            }
        }
    }

    /// Adds a complaint.
    pub(crate) fn complain(
        &self,
        span: Range<usize>,
        message: impl Into<String>,
        hint: Option<String>,
    ) {
        self.complaints.borrow_mut().add(span, message, hint);
    }

    /// Reads a value. One that cannot be read is complained about and replaced by the default, so that the rest of the
    /// file is judged too.
    pub(crate) fn get<T>(
        &self,
        key: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, ValueError>,
    ) -> Option<Located<T>> {
        if let Some(value) = self.table.and_then(|table| table.get(key)) {
            match read(value.get_ref()) {
                Ok(read) => {
                    return Some(Located {
                        value: read,
                        span: value.span(),
                    });
                }
                Err(error) => self.complain(
                    value.span(),
                    format!("{key}: {}", error.message),
                    error.hint,
                ),
            }
        }
        let value = read(self.defaults.get(key)?.get_ref()).ok()?;
        Some(Located {
            value,
            span: self.header.clone(),
        })
    }

    /// Reads a value that has a default in `config/default.toml`.
    pub(crate) fn get_or_default<T>(
        &self,
        key: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, ValueError>,
    ) -> T {
        self.get(key, read)
            .map(|located| located.value)
            .expect("a test reads every default")
    }

    /// Reads a value that has no default; complains when it is not there.
    pub(crate) fn require<T>(
        &self,
        key: &str,
        example: &str,
        read: impl Fn(&DeValue<'_>) -> Result<T, ValueError>,
    ) -> Option<Located<T>> {
        if self.table.is_none_or(|table| !table.contains_key(key)) {
            if self.complaints.borrow().are_gaps_expected() {
                return None;
            }
            self.complain(
                self.header.clone(),
                format!("{} needs `{key}`", self.title),
                Some(format!("add for example `{key} = {example}`")),
            );
            return None;
        }
        self.get(key, read)
    }

    /// Reads a list of texts, each with its place; `None` when the key is not there or not such a list.
    pub(crate) fn texts(&self, key: &str) -> Option<Vec<Located<String>>> {
        let value = self.table.and_then(|table| table.get(key))?;
        let Some(array) = value.get_ref().as_array() else {
            let hint = "write for example [\"one\", \"two\"]".to_owned();
            self.complain(
                value.span(),
                format!("{key}: {}", wrong_type(value.get_ref(), "a list of texts")),
                Some(hint),
            );
            return None;
        };
        let mut texts = Vec::new();
        for entry in array {
            match text(entry.get_ref()) {
                Ok(text) => texts.push(Located {
                    value: text,
                    span: entry.span(),
                }),
                Err(error) => self.complain(
                    entry.span(),
                    format!("{key}: {}", error.message),
                    error.hint,
                ),
            }
        }
        Some(texts)
    }

    /// Reads a table below; complains when it is something else.
    pub(crate) fn table(&self, key: &str) -> Option<(&'t DeTable<'t>, Range<usize>)> {
        let (name, value) = self.table?.get_key_value(key)?;
        let Some(table) = value.get_ref().as_table() else {
            let hint = format!("write it as [{key}] or [{key}.NAME]");
            self.complain(
                value.span(),
                format!("{key}: {}", wrong_type(value.get_ref(), "a table")),
                Some(hint),
            );
            return None;
        };
        Some((table, name.span()))
    }
}

/// Returns "did you mean …?" for the nearest of `known`, else all of them after `list`.
pub(crate) fn suggest(word: &str, known: &[&str], list: &str) -> String {
    let nearest = known
        .iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| *distance <= (candidate.len().max(word.len()) / 3).max(1));
    match nearest {
        Some((_, candidate)) => format!("did you mean `{candidate}`?"),
        None if known.is_empty() => format!("{list}: none"),
        None => format!("{list}: {}", known.join(", ")),
    }
}

/// Says what was found where something else belongs.
pub(crate) fn wrong_type(value: &DeValue<'_>, expected: &str) -> String {
    let found = match value {
        DeValue::String(_) => "a text",
        DeValue::Integer(_) => "a whole number",
        DeValue::Float(_) => "a number",
        DeValue::Boolean(_) => "true or false",
        DeValue::Datetime(_) => "a date",
        DeValue::Array(_) => "a list",
        DeValue::Table(_) => "a table",
    };
    format!("{expected} belongs here, not {found}")
}

/// Reads a text.
pub(crate) fn text(value: &DeValue<'_>) -> Result<String, ValueError> {
    value
        .as_str()
        .map(ToOwned::to_owned)
        .ok_or_else(|| ValueError::new(wrong_type(value, "a text"), "put it in quotes: \"…\""))
}

/// Reads true or false.
pub(crate) fn boolean(value: &DeValue<'_>) -> Result<bool, ValueError> {
    value
        .as_bool()
        .ok_or_else(|| ValueError::new(wrong_type(value, "true or false"), "write true or false"))
}

/// Reads a whole number between `min` and `max`.
pub(crate) fn number(min: u64, max: u64) -> impl Fn(&DeValue<'_>) -> Result<u64, ValueError> {
    move |value| {
        let hint = format!("write a whole number from {min} to {max}");
        let Some(number) = value.as_integer() else {
            return Err(ValueError::new(wrong_type(value, "a whole number"), hint));
        };
        match u64::from_str_radix(number.as_str(), number.radix()) {
            Ok(number) if (min..=max).contains(&number) => Ok(number),
            _ => Err(ValueError::new(
                format!("{number} is not between {min} and {max}"),
                hint,
            )),
        }
    }
}

/// Reads a duration of at least `min`.
pub(crate) fn duration(min: Duration) -> impl Fn(&DeValue<'_>) -> Result<Duration, ValueError> {
    move |value| {
        let Some(text) = value.as_str() else {
            return Err(ValueError::new(
                wrong_type(value, "a duration"),
                "write it with its unit, for example \"60s\" or \"15m\"",
            ));
        };
        let duration = parse_duration(text)?;
        if duration < min {
            return Err(ValueError::new(
                format!("`{text}` is too short"),
                format!("the least is {min:?}"),
            ));
        }
        Ok(duration)
    }
}

/// Reads a size above zero.
pub(crate) fn size(value: &DeValue<'_>) -> Result<u64, ValueError> {
    let bytes = match value {
        DeValue::Integer(_) => number(0, i64::MAX.unsigned_abs())(value)?,
        _ => match value.as_str() {
            Some(text) => parse_size(text)?,
            None => {
                return Err(ValueError::new(
                    wrong_type(value, "a size"),
                    "write for example \"10MiB\"",
                ));
            }
        },
    };
    if bytes == 0 {
        return Err(ValueError::new(
            "a limit of zero lets nothing through",
            "write for example \"10MiB\"",
        ));
    }
    Ok(bytes)
}

/// Reads the name of a time zone.
pub(crate) fn time_zone(value: &DeValue<'_>) -> Result<TimeZone, ValueError> {
    let name = text(value)?;
    TimeZone::get(&name).ok().ok_or_else(|| {
        ValueError::new(
            format!("`{}` is no time zone", name.escape_debug()),
            "write a name such as \"Europe/Berlin\" or \"UTC\"",
        )
    })
}

/// Reads one of some words; those of `later` are for a later version.
pub(crate) fn word<T: Copy>(
    words: &[(&'static str, T)],
    later: &[&str],
) -> impl Fn(&DeValue<'_>) -> Result<T, ValueError> {
    move |value| {
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let Some(text) = value.as_str() else {
            return Err(ValueError::new(
                wrong_type(value, "a text"),
                format!("one of: {}", known.join(", ")),
            ));
        };
        if let Some((_, found)) = words.iter().find(|(word, _)| *word == text) {
            return Ok(*found);
        }
        if later.contains(&text) {
            return Err(ValueError::new(
                format!("`{text}` is not supported by this version"),
                format!("one of: {}", known.join(", ")),
            ));
        }
        Err(ValueError::new(
            format!("unknown word `{}`", text.escape_debug()),
            suggest(text, &known, "one of"),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_suggested_and_far_ones_are_not() {
        assert_eq!(
            suggest("evry", &["every", "exclude"], "known"),
            "did you mean `every`?"
        );
        assert_eq!(
            suggest("inculde", &["include", "exclude"], "known"),
            "did you mean `include`?"
        );
        assert_eq!(
            suggest("banana", &["every", "path"], "known"),
            "known: every, path"
        );
        assert_eq!(suggest("a", &[], "sources are"), "sources are: none");
    }
}
