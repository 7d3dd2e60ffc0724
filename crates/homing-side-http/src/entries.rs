//! Lists in JSON, read entry by entry: nothing is made of what an entry has beside the fields that are known.

use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::names::Names;

/// The value of a field, if it is a plain one.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) enum Field {
    /// It is not there, or null.
    #[default]
    Nothing,
    /// A text.
    Text(String),
    /// A number that counts something.
    Number(u64),
    /// Anything else.
    Other,
}

impl Field {
    /// Returns it as a text.
    pub(crate) fn text(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Returns it as a number.
    pub(crate) fn number(&self) -> Option<u64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }
}

/// An entry: what all kinds of lists have in theirs.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The entry itself, where it is a text.
    pub(crate) text: Option<String>,
    pub(crate) path: Field,
    pub(crate) url: Field,
    pub(crate) sha256: Field,
    pub(crate) size: Field,
    pub(crate) name: Field,
    pub(crate) kind: Field,
    pub(crate) digest: Field,
    pub(crate) files: Files,
}

/// A list of names in an entry.
#[derive(Debug, Default)]
pub(crate) struct Files {
    pub(crate) names: Vec<String>,
    /// How many there are that are no names.
    pub(crate) wrong: usize,
    /// There are more than are looked at.
    pub(crate) is_cut: bool,
}

/// Gives each entry of a list, with its number, to `take`, until that wants no more.
pub(crate) struct Each<'n, 'a, F> {
    pub(crate) names: &'n mut Names<'a>,
    pub(crate) take: F,
}

impl<'de, F: FnMut(&mut Names<'_>, usize, Entry)> DeserializeSeed<'de> for Each<'_, '_, F> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_seq(self)
    }
}

impl<'de, F: FnMut(&mut Names<'_>, usize, Entry)> Visitor<'de> for Each<'_, '_, F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
        let most_files = self.names.most_files();
        let mut number = 0;
        while let Some(entry) = list.next_element_seed(EntrySeed { most_files })? {
            number += 1;
            (self.take)(self.names, number, entry);
            if self.names.is_stopped() {
                return Err(A::Error::custom("it is given up"));
            }
        }
        Ok(())
    }
}

/// Drains what is of no use.
fn skip_list<'de, A: SeqAccess<'de>>(mut list: A) -> Result<(), A::Error> {
    while list.next_element::<IgnoredAny>()?.is_some() {}
    Ok(())
}

fn skip_map<'de, A: MapAccess<'de>>(mut map: A) -> Result<(), A::Error> {
    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
    Ok(())
}

#[derive(Clone, Copy)]
struct EntrySeed {
    most_files: usize,
}

impl<'de> DeserializeSeed<'de> for EntrySeed {
    type Value = Entry;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Entry, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for EntrySeed {
    type Value = Entry;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an entry")
    }

    fn visit_unit<E: Error>(self) -> Result<Entry, E> {
        Ok(Entry::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Entry, E> {
        Ok(Entry::default())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Entry, E> {
        Ok(Entry::default())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Entry, E> {
        Ok(Entry::default())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Entry, E> {
        Ok(Entry::default())
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Entry, E> {
        Ok(Entry {
            text: Some(text.to_owned()),
            ..Entry::default()
        })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Entry, A::Error> {
        skip_list(list)?;
        Ok(Entry::default())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entry, A::Error> {
        let mut entry = Entry::default();
        while let Some(FieldName(name)) = map.next_key()? {
            let field = match name {
                Known::Path => &mut entry.path,
                Known::Url => &mut entry.url,
                Known::Sha256 => &mut entry.sha256,
                Known::Size => &mut entry.size,
                Known::Name => &mut entry.name,
                Known::Type => &mut entry.kind,
                Known::Digest => &mut entry.digest,
                Known::Files => {
                    entry.files = map.next_value_seed(FilesSeed(self.most_files))?;
                    continue;
                }
                Known::None => {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
            };
            *field = map.next_value()?;
        }
        Ok(entry)
    }
}

/// Fields that are known.
enum Known {
    Path,
    Url,
    Sha256,
    Size,
    Name,
    Type,
    Digest,
    Files,
    None,
}

/// The name of a field, of which nothing is kept.
struct FieldName(Known);

impl<'de> Deserialize<'de> for FieldName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct NameVisitor;

        impl Visitor<'_> for NameVisitor {
            type Value = FieldName;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("the name of a field")
            }

            fn visit_str<E: Error>(self, name: &str) -> Result<FieldName, E> {
                Ok(FieldName(match name {
                    "path" => Known::Path,
                    "url" => Known::Url,
                    "sha256" => Known::Sha256,
                    "size" => Known::Size,
                    "name" => Known::Name,
                    "type" => Known::Type,
                    "digest" => Known::Digest,
                    "files" => Known::Files,
                    _ => Known::None,
                }))
            }
        }

        deserializer.deserialize_str(NameVisitor)
    }
}

impl<'de> Deserialize<'de> for Field {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(FieldVisitor)
    }
}

struct FieldVisitor;

impl<'de> Visitor<'de> for FieldVisitor {
    type Value = Field;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E: Error>(self) -> Result<Field, E> {
        Ok(Field::Nothing)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Field, E> {
        Ok(Field::Other)
    }

    fn visit_u64<E: Error>(self, number: u64) -> Result<Field, E> {
        Ok(Field::Number(number))
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<Field, E> {
        Ok(Field::Text(text.to_owned()))
    }

    fn visit_string<E: Error>(self, text: String) -> Result<Field, E> {
        Ok(Field::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Field, A::Error> {
        skip_list(list)?;
        Ok(Field::Other)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Field, A::Error> {
        skip_map(map)?;
        Ok(Field::Other)
    }
}

/// Reads at most so many names.
struct FilesSeed(usize);

impl<'de> DeserializeSeed<'de> for FilesSeed {
    type Value = Files;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Files, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl FilesSeed {
    const WRONG: Files = Files {
        names: Vec::new(),
        wrong: 1,
        is_cut: false,
    };
}

impl<'de> Visitor<'de> for FilesSeed {
    type Value = Files;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of names")
    }

    fn visit_unit<E: Error>(self) -> Result<Files, E> {
        Ok(Files::default())
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Files, E> {
        Ok(Self::WRONG)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Files, E> {
        Ok(Self::WRONG)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Files, E> {
        Ok(Self::WRONG)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Files, E> {
        Ok(Self::WRONG)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Files, E> {
        Ok(Self::WRONG)
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Files, A::Error> {
        skip_map(map)?;
        Ok(Self::WRONG)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Files, A::Error> {
        let mut files = Files::default();
        while let Some(field) = list.next_element()? {
            match field {
                Field::Text(name) if files.names.len() < self.0 => files.names.push(name),
                Field::Text(_) => files.is_cut = true,
                _ => files.wrong += 1,
            }
        }
        Ok(files)
    }
}
