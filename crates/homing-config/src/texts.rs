//! The texts that make up a configuration: the file itself, then its drop-ins in the order of their names.

use std::fs;
use std::io;
use std::ops::Range;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use toml::Spanned;
use toml::de::{DeArray, DeString, DeTable, DeValue};

use crate::broken::Broken;
use crate::diagnostic::Complaints;
use crate::{ConfigError, file};

/// More drop-ins are a mistake.
const MAX_DROP_INS: usize = 1000;

/// Every text of a configuration. Their bytes are counted through, so that one number names file and place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Texts(Vec<TextFile>);

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TextFile {
    /// The file.
    pub(crate) path: PathBuf,
    /// What is in it.
    pub(crate) text: String,
}

/// What the texts say together. Places are counted through all of them.
pub(crate) struct Document<'t> {
    /// What could be understood.
    pub(crate) table: DeTable<'t>,
    /// Whether that is everything.
    pub(crate) is_whole: bool,
    mistakes: Vec<(Range<usize>, String)>,
    /// Keys that may be given only once, each with the place where it was given first.
    twice: Vec<(Range<usize>, Range<usize>)>,
    /// Where each text begins, how long it is, and which parts of it are no TOML.
    broken: Vec<(usize, usize, Broken)>,
}

impl Default for Document<'_> {
    fn default() -> Self {
        Self {
            table: DeTable::new(),
            is_whole: true,
            mistakes: Vec::new(),
            twice: Vec::new(),
            broken: Vec::new(),
        }
    }
}

impl Document<'_> {
    fn is_broken(&self, at: usize) -> bool {
        self.broken.iter().any(|(start, length, broken)| {
            (*start..=start + length).contains(&at) && broken.has(at - start)
        })
    }
}

/// Returns the directory of the drop-ins of a configuration file.
pub(crate) fn drop_in_dir(config_file: &Path) -> PathBuf {
    config_file.with_file_name("config.d")
}

impl Texts {
    /// Takes the only text.
    pub(crate) fn only(path: &Path, text: &str) -> Self {
        Self(vec![TextFile {
            path: path.to_owned(),
            text: text.to_owned(),
        }])
    }

    /// Takes the file and its drop-ins, in their order.
    pub(crate) fn new(files: Vec<TextFile>) -> Self {
        Self(files)
    }

    /// Returns them with another text in one of the files.
    pub(crate) fn with(mut self, path: &Path, text: &str) -> Self {
        for file in self.0.iter_mut().filter(|file| file.path == path) {
            text.clone_into(&mut file.text);
        }
        self
    }

    /// Returns them, the file itself first.
    pub(crate) fn files(&self) -> &[TextFile] {
        &self.0
    }

    /// Returns them, the file itself first.
    pub(crate) fn into_files(self) -> Vec<TextFile> {
        self.0
    }

    /// Reads the file and its drop-ins; each must be the user's and not writable by others.
    ///
    /// A file that does not exist is empty; `must_exist`: it is [`ConfigError::Missing`].
    pub(crate) fn read(
        config_file: &Path,
        must_exist: bool,
        uid: u32,
    ) -> Result<Self, ConfigError> {
        let mut files = Vec::new();
        match file::read(config_file, uid)? {
            Some(text) => files.push(TextFile {
                path: config_file.to_owned(),
                text,
            }),
            None if must_exist => {
                return Err(ConfigError::Missing {
                    path: config_file.to_owned(),
                });
            }
            None => files.push(TextFile {
                path: config_file.to_owned(),
                text: String::new(),
            }),
        }
        for path in drop_ins(&drop_in_dir(config_file), uid)? {
            match file::read(&path, uid)? {
                Some(text) => files.push(TextFile { path, text }),
                // A link that leads nowhere, and not a file that was removed this moment.
                None if fs::symlink_metadata(&path).is_ok() => {
                    return Err(ConfigError::Read {
                        path,
                        source: io::ErrorKind::NotFound.into(),
                    });
                }
                None => {}
            }
        }
        Ok(Self(files))
    }

    /// Reads what can be read of them.
    pub(crate) fn read_leniently(config_file: &Path, uid: u32) -> Self {
        let drop_ins = drop_ins(&drop_in_dir(config_file), uid).unwrap_or_default();
        let files = std::iter::once(config_file.to_owned()).chain(drop_ins);
        let read = files.filter_map(|path| {
            let text = file::read(&path, uid).ok().flatten()?;
            Some(TextFile { path, text })
        });
        Self(read.collect())
    }

    /// Returns them without the tables of sources and targets, which are most of a long text: for whoever asks where the
    /// daemon is, and wants no more.
    pub(crate) fn without_sides(mut self) -> Self {
        for file in &mut self.0 {
            // In a string of several lines a line may look like a table's title.
            if file.text.contains("\"\"\"") || file.text.contains("'''") {
                continue;
            }
            let mut skips = false;
            let lines = file.text.split_inclusive('\n');
            let kept = lines.filter(|line| {
                let line = line.split('#').next().unwrap_or_default().trim();
                if line.starts_with('[') && line.ends_with(']') {
                    skips = line.starts_with("[sources.") || line.starts_with("[targets.");
                }
                !skips
            });
            file.text = kept.collect();
        }
        self
    }

    /// Parses them and makes one document of them, as far as they could be understood.
    pub(crate) fn document(&self) -> Document<'_> {
        let mut document = Document::default();
        let mut start = 0;
        for file in &self.0 {
            let (table, errors) = DeTable::parse_recoverable(&file.text);
            let place = |error: &toml::de::Error| error.span().unwrap_or(0..0);
            let broken = Broken::find(&file.text, errors.iter().map(place));
            let mistakes = errors
                .iter()
                .filter(|error| !broken.is_consequence(place(error).start));
            document.mistakes.extend(
                mistakes.map(|error| (moved(&place(error), start), error.message().to_owned())),
            );
            let table = shifted(table.into_inner(), start);
            document.twice.extend(lay_over(&mut document.table, table));
            document.broken.push((start, file.text.len(), broken));
            document.is_whole &= errors.is_empty();
            start += file.text.len() + 1;
        }
        document
    }

    /// Adds what is wrong with the texts as such to the complaints, which are about what they say; those about parts
    /// that could not be understood are in vain.
    pub(crate) fn complain(&self, document: &Document<'_>, complaints: &mut Complaints) {
        for (again, first) in &document.twice {
            let (file, place) = self.find(first);
            let line = file.text[..place.start].matches('\n').count() + 1;
            let key = &file.text[place];
            let first = format!("{}:{line}", file.path.display());
            complaints.add(
                again.clone(),
                format!("`{key}` is given already in {first}"),
                Some("remove one of the two, or give one of them another name".to_owned()),
            );
        }
        complaints.forget(|span| document.is_broken(span.start));
        for (span, message) in &document.mistakes {
            complaints.add(span.clone(), message, None);
        }
    }

    /// Returns which of them the bytes of `span` are in, with the span in it.
    pub(crate) fn find(&self, span: &Range<usize>) -> (&TextFile, Range<usize>) {
        let mut start = 0;
        for file in &self.0 {
            let end = start + file.text.len();
            if span.start <= end {
                return (file, span.start - start..span.end.max(span.start) - start);
            }
            start = end + 1;
        }
        let last = self.0.last().expect("there is at least the file itself");
        (last, last.text.len()..last.text.len())
    }
}

/// Returns the drop-ins of a directory, in the order of their names.
///
/// Who may write the directory may add to the configuration, so it must be the user's, too.
pub(crate) fn drop_ins(dir: &Path, uid: u32) -> Result<Vec<PathBuf>, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: dir.to_owned(),
        source,
    };
    let refused = |reason: String, hint: String| ConfigError::Refused {
        path: dir.to_owned(),
        reason,
        hint,
    };
    let metadata = match fs::metadata(dir) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        // Beside a file that is no directory's there are no drop-ins.
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    if !metadata.is_dir() {
        return Err(refused(
            "it is not a directory".to_owned(),
            "move it away: drop-ins (*.toml) lie in a directory of this name".to_owned(),
        ));
    }
    file::check_owner(dir, &metadata, uid)?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        let name = entry.map_err(failed)?.file_name();
        let name = name.as_bytes();
        // An editor's own files begin with a dot or do not end so.
        if name.ends_with(b".toml") && !name.starts_with(b".") {
            paths.push(dir.join(std::ffi::OsStr::from_bytes(name)));
        }
    }
    if paths.len() > MAX_DROP_INS {
        return Err(refused(
            format!("it holds more than {MAX_DROP_INS} files"),
            "is it the right directory?".to_owned(),
        ));
    }
    paths.sort();
    Ok(paths)
}

/// Lays a later file over what the earlier ones say, key by key: a later value wins.
///
/// Returns the places of keys that may be given only once, each with the place where it was given first.
fn lay_over<'t>(below: &mut DeTable<'t>, above: DeTable<'t>) -> Vec<(Range<usize>, Range<usize>)> {
    let mut twice = Vec::new();
    for (key, value) in above {
        let (levels, once) = match key.get_ref().as_ref() {
            "sources" => (1, &["kind"][..]),
            "targets" => (1, &["path", "tool"][..]),
            _ => (0, &[][..]),
        };
        lay(below, key, value, levels + 1, once, &mut twice);
    }
    twice
}

fn lay<'t>(
    below: &mut DeTable<'t>,
    key: Spanned<DeString<'t>>,
    value: Spanned<DeValue<'t>>,
    levels: u8,
    once: &[&str],
    twice: &mut Vec<(Range<usize>, Range<usize>)>,
) {
    let name: &str = key.get_ref();
    if levels == 0
        && once.contains(&name)
        && let Some((first, _)) = below.get_key_value(name)
    {
        twice.push((key.span(), first.span()));
    }
    let mut value = value;
    if levels > 0
        && let Some(known) = below.get_mut(name)
        && let DeValue::Table(known) = known.get_mut()
        && let DeValue::Table(table) = value.get_mut()
    {
        for (key, value) in std::mem::take(table) {
            lay(known, key, value, levels - 1, once, twice);
        }
        return;
    }
    // The place of the key is the later one, too.
    below.remove(name);
    below.insert(key, value);
}

/// Returns a table whose places are counted from the begin of all texts.
fn shifted(table: DeTable<'_>, start: usize) -> DeTable<'_> {
    if start == 0 {
        return table;
    }
    let entry = |(key, value): (Spanned<_>, _)| {
        let span = moved(&key.span(), start);
        (
            Spanned::new(span, key.into_inner()),
            shifted_value(value, start),
        )
    };
    table.into_iter().map(entry).collect()
}

fn shifted_value(value: Spanned<DeValue<'_>>, start: usize) -> Spanned<DeValue<'_>> {
    let span = moved(&value.span(), start);
    let value = match value.into_inner() {
        DeValue::Table(table) => DeValue::Table(shifted(table, start)),
        DeValue::Array(array) => {
            let mut values = DeArray::new();
            for value in array {
                values.push(shifted_value(value, start));
            }
            DeValue::Array(values)
        }
        plain => plain,
    };
    Spanned::new(span, value)
}

fn moved(span: &Range<usize>, by: usize) -> Range<usize> {
    span.start + by..span.end + by
}
