//! One file under edit.

mod comments;
mod line_ends;
mod lists;

use std::path::{Path, PathBuf};

use crate::SecretSource;
use toml::de::DeTable;
use toml_edit::{Array, DocumentMut, Item, TableLike, Value};

/// The kinds of sections that are edited by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Section {
    /// `[sources.NAME]`
    Source,
    /// `[targets.NAME]`
    Target,
}

impl Section {
    /// Returns the header of a section, as in `[sources.team]`.
    pub fn title(self, name: &str) -> String {
        format!("[{}.{}]", self.key(), name.escape_debug())
    }

    fn key(self) -> &'static str {
        match self {
            Self::Source => "sources",
            Self::Target => "targets",
        }
    }
}

/// A value to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Setting {
    /// A text.
    Text(String),
    /// A list of texts.
    Texts(Vec<String>),
    /// A whole number.
    Number(i64),
    /// True or false.
    Flag(bool),
    /// Where a secret comes from.
    Secret(SecretSource),
}

impl Setting {
    fn value(&self) -> Value {
        match self {
            Self::Text(text) => text.into(),
            Self::Texts(texts) => Value::Array(texts.iter().collect::<Array>()),
            Self::Number(number) => (*number).into(),
            Self::Flag(flag) => (*flag).into(),
            Self::Secret(source) => {
                let place: Value = match source {
                    SecretSource::Env(name) | SecretSource::Keyring(name) => name.into(),
                    SecretSource::File(path) => path.display().to_string().into(),
                    SecretSource::Command(words) => Value::Array(words.iter().collect::<Array>()),
                };
                let table = [(source.form(), place)];
                Value::InlineTable(table.into_iter().collect())
            }
        }
    }
}

/// One file under edit.
#[derive(Debug, Clone)]
pub(super) struct Document {
    pub(super) path: PathBuf,
    /// As it was read, with plain line ends.
    plain: String,
    edited: DocumentMut,
}

impl Document {
    /// Parses a file; `None` when it is no TOML.
    pub(super) fn parse(path: &Path, text: &str) -> Option<Self> {
        let plain = line_ends::plain(text);
        Some(Self {
            path: path.to_owned(),
            edited: plain.parse().ok()?,
            plain,
        })
    }

    /// Returns the file as it would be; `original` is what it was parsed from.
    pub(super) fn render(&self, original: &str) -> String {
        line_ends::restore(original, &self.plain, &self.edited.to_string())
    }

    /// Returns the names of all sections of a kind.
    pub(super) fn names(&self, section: Section) -> Vec<String> {
        let table = self.edited.get(section.key()).and_then(Item::as_table_like);
        table
            .into_iter()
            .flat_map(|table| table.iter().map(|(name, _)| name.to_owned()))
            .collect()
    }

    /// Tells whether a part of the section is here.
    pub(super) fn has(&self, section: Section, name: &str) -> bool {
        self.section(section, name).is_some()
    }

    /// Tells whether a key of the section is here.
    pub(super) fn has_key(&self, section: Section, name: &str, key: &str) -> bool {
        self.section(section, name)
            .is_some_and(|table| table.contains_key(key))
    }

    /// Returns the line on which the section begins.
    pub(super) fn line(&self, section: Section, name: &str) -> Option<usize> {
        let text = self.edited.to_string();
        let document = DeTable::parse(&text).ok()?;
        let sections = document.get_ref().get(section.key())?;
        let (key, _) = sections.get_ref().as_table()?.get_key_value(name)?;
        Some(text[..key.span().start].matches('\n').count() + 1)
    }

    /// Adds a section at the end.
    pub(super) fn append(&mut self, section: Section, name: &str, settings: &[(&str, Setting)]) {
        let mut text = self.edited.to_string();
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        if !text.is_empty() && !text.ends_with("\n\n") {
            text.push('\n');
        }
        let header = toml_edit::Key::new(name);
        text.push_str(&["[", section.key(), ".", &header.to_string(), "]\n"].concat());
        for (key, setting) in settings {
            text.push_str(&[key, " = ", &setting.value().to_string(), "\n"].concat());
        }
        if let Ok(edited) = text.parse() {
            self.edited = edited;
            return;
        }
        // The sections are written as `sources = { … }`, to which a header cannot add.
        let mut table = toml_edit::InlineTable::new();
        for (key, setting) in settings {
            table.insert(*key, setting.value());
        }
        if let Some(sections) = self
            .edited
            .get_mut(section.key())
            .and_then(Item::as_table_like_mut)
        {
            sections.insert(name, Item::Value(table.into()));
        }
    }

    /// Sets a key of a section that is here. What stands around the old value stays.
    pub(super) fn set(&mut self, section: Section, name: &str, key: &str, setting: &Setting) {
        let sections = self.edited.get(section.key()).and_then(Item::as_table_like);
        let is_inline = sections
            .and_then(|all| all.get(name))
            .is_some_and(Item::is_value);
        let Some(table) = self.section_mut(section, name) else {
            return;
        };
        let mut value = setting.value();
        if let Some(Item::Value(old)) = table.get_mut(key) {
            *value.decor_mut() = old.decor().clone();
            *old = value;
            return;
        }
        let indent = table
            .iter()
            .next()
            .map(|(first, _)| first.to_owned())
            .and_then(|first| {
                let key = table.key(&first)?;
                let before = key.leaf_decor().prefix()?.as_str()?;
                Some(before.rsplit('\n').next().unwrap_or_default().to_owned())
            });
        if is_inline {
            // What stands before the closing brace stays there.
            let last = table.iter().last().map(|(last, _)| last.to_owned());
            if let Some(Item::Value(last)) = last.and_then(|last| table.get_mut(&last)) {
                let suffix = last.decor().suffix().cloned().unwrap_or_default();
                last.decor_mut().set_suffix("");
                value.decor_mut().set_prefix(" ");
                value.decor_mut().set_suffix(suffix);
            }
        }
        table.insert(key, Item::Value(value));
        if let (Some(indent), Some(mut key)) =
            (indent.filter(|i| i.trim().is_empty()), table.key_mut(key))
            && !indent.is_empty()
        {
            key.leaf_decor_mut().set_prefix(indent);
        }
    }

    /// Removes a key of a section; tells whether it was there.
    pub(super) fn unset(&mut self, section: Section, name: &str, key: &str) -> bool {
        self.section_mut(section, name)
            .is_some_and(|table| table.remove(key).is_some())
    }

    /// Removes what is here of a section, with the comments that belong to it.
    pub(super) fn remove(&mut self, section: Section, name: &str) {
        let sections = self
            .edited
            .get_mut(section.key())
            .and_then(Item::as_table_like_mut);
        if let Some(Item::Table(removed)) = sections.and_then(|sections| sections.remove(name)) {
            comments::take_away(&mut self.edited, &removed);
        }
    }

    /// Adds an entry to a list of a section.
    pub(super) fn push(&mut self, section: Section, name: &str, key: &str, entry: &str) {
        if let Some(list) = self.list(section, name, key) {
            lists::push(list, entry);
        }
    }

    /// Takes an entry out of a list of a section.
    pub(super) fn pull(&mut self, section: Section, name: &str, key: &str, entry: &str) {
        if let Some(list) = self.list(section, name, key) {
            lists::pull(list, entry);
        }
    }

    fn list(&mut self, section: Section, name: &str, key: &str) -> Option<&mut Array> {
        self.section_mut(section, name)?
            .get_mut(key)?
            .as_array_mut()
    }

    fn section(&self, section: Section, name: &str) -> Option<&dyn TableLike> {
        self.edited
            .get(section.key())?
            .as_table_like()?
            .get(name)?
            .as_table_like()
    }

    fn section_mut(&mut self, section: Section, name: &str) -> Option<&mut dyn TableLike> {
        let sections = self.edited.get_mut(section.key())?.as_table_like_mut()?;
        sections.get_mut(name)?.as_table_like_mut()
    }
}
