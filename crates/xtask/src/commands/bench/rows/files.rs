//! The files that are synced.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::Result;

/// Writes files in directories of a hundred; another `version` makes other contents of the same size.
pub(super) fn make_files(root: &Path, count: usize, bytes: usize, version: usize) -> Result<()> {
    for number in 0..count {
        let directory = root.join(format!("d{}", number / 100));
        if number.is_multiple_of(100) {
            fs::create_dir_all(&directory)?;
        }
        let mut content = format!("version {version} of file {number}\n").into_bytes();
        while content.len() < bytes {
            let line = format!(
                "line {} of file {number} in version {version}\n",
                content.len()
            );
            content.extend(line.bytes());
        }
        content.truncate(bytes);
        write(&directory.join(format!("file-{number}.md")), &content)?;
    }
    Ok(())
}

pub(super) fn write(path: &PathBuf, bytes: &[u8]) -> Result<()> {
    Ok(File::create(path)?.write_all(bytes)?)
}

pub(super) fn count_files(root: &Path) -> Result<usize> {
    let mut count = 0;
    for entry in fs::read_dir(root)? {
        let entry = entry?;
        count += if entry.file_type()?.is_dir() {
            count_files(&entry.path())?
        } else {
            1
        };
    }
    Ok(count)
}
