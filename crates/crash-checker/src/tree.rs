//! Reads a directory as it is, without following links.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;

/// A regular file as it was seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Its bytes.
    pub(crate) bytes: Vec<u8>,
    /// Its permission bits.
    pub(crate) mode: u32,
    /// When it was last written, in nanoseconds: a write of equal bytes shows too.
    pub(crate) modified: i128,
}

impl Seen {
    /// Tells whether its owner may execute it.
    pub(crate) fn executable(&self) -> bool {
        self.mode & 0o100 != 0
    }
}

/// The regular files below a directory.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Tree {
    /// By path relative to the directory.
    pub(crate) files: BTreeMap<String, Seen>,
    /// Files whose names say that Homing left them behind.
    pub(crate) leftovers: Vec<String>,
}

impl Tree {
    /// Returns the bytes of a file.
    pub(crate) fn bytes(&self, path: &str) -> Option<&[u8]> {
        self.files.get(path).map(|seen| seen.bytes.as_slice())
    }
}

/// Reads a tree; files that vanish meanwhile are not in it.
pub(crate) fn read(root: &Path) -> io::Result<Tree> {
    let mut tree = Tree::default();
    read_below(root, "", &mut tree)?;
    Ok(tree)
}

fn read_below(directory: &Path, prefix: &str, tree: &mut Tree) -> io::Result<()> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let path = format!("{prefix}{name}");
        let Some(metadata) = present(fs::symlink_metadata(entry.path()))? else {
            continue;
        };
        if metadata.is_dir() {
            read_below(&entry.path(), &format!("{path}/"), tree)?;
        } else if name.starts_with(".homing-") {
            tree.leftovers.push(path);
        } else if metadata.is_file() {
            let Some(bytes) = present(fs::read(entry.path()))? else {
                continue;
            };
            let modified =
                i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
            tree.files.insert(
                path,
                Seen {
                    bytes,
                    mode: metadata.permissions().mode() & 0o7777,
                    modified,
                },
            );
        }
    }
    Ok(())
}

fn present<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Ok(value) => Ok(Some(value)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}
