//! What people do to files, in the ways in which people's programs do it.
//!
//! An editor writes a new file and puts it in the place of the old one; the exchange tells exactly what it displaced,
//! so the model knows what the person has overwritten even when Homing publishes at the same moment. Some programs
//! write in place; they do so only while no run is under way, for there the person's program itself shows half files.

use std::fs;
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};

/// A person's editor: it keeps its temporary files outside what is synced, on the same file system.
#[derive(Debug)]
pub(crate) struct Editor {
    scratch: PathBuf,
    count: u32,
}

/// What an edit displaced: the bytes, or nothing when there was no file.
pub(crate) type Displaced = Option<Vec<u8>>;

impl Editor {
    /// Returns an editor that keeps its temporary files in `scratch`.
    pub(crate) fn new(scratch: PathBuf) -> Self {
        Self { scratch, count: 0 }
    }

    /// Puts a file in the place of what is there. `None`: something that is no file stands in the way.
    pub(crate) fn save(
        &mut self,
        path: &Path,
        bytes: &[u8],
        executable: bool,
    ) -> io::Result<Option<Displaced>> {
        let temporary = self.temporary();
        let mode = if executable { 0o755 } else { 0o644 };
        let mut file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(mode)
            .open(&temporary)?;
        file.write_all(bytes)?;
        drop(file);
        // Homing may create or delete the path, and delete its directory, between any two of these calls.
        for _ in 0..1000 {
            if path.is_dir() || !make_parents(path)? {
                break;
            }
            match renameat_with(CWD, &temporary, CWD, path, RenameFlags::NOREPLACE) {
                Ok(()) => return Ok(Some(None)),
                Err(rustix::io::Errno::NOENT) => continue,
                Err(rustix::io::Errno::EXIST) => {}
                Err(error) => return Err(error.into()),
            }
            match renameat_with(CWD, &temporary, CWD, path, RenameFlags::EXCHANGE) {
                Ok(()) if temporary.is_dir() => {
                    // A directory has come into being just now: it goes back, and the person gives up.
                    renameat_with(CWD, &temporary, CWD, path, RenameFlags::EXCHANGE)?;
                    break;
                }
                Ok(()) => {
                    let displaced = fs::read(&temporary)?;
                    fs::remove_file(&temporary)?;
                    return Ok(Some(Some(displaced)));
                }
                Err(rustix::io::Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        fs::remove_file(&temporary)?;
        Ok(None)
    }

    /// Writes into the file that is there. `None`: there is none.
    pub(crate) fn overwrite(path: &Path, bytes: &[u8]) -> io::Result<Option<Displaced>> {
        if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(None);
        }
        let displaced = fs::read(path)?;
        fs::OpenOptions::new()
            .write(true)
            .truncate(true)
            .open(path)?
            .write_all(bytes)?;
        Ok(Some(Some(displaced)))
    }

    /// Deletes a file. `None`: there is none.
    pub(crate) fn delete(&mut self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let temporary = self.temporary();
        if !fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file()) {
            return Ok(None);
        }
        match fs::rename(path, &temporary) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        }
        let displaced = fs::read(&temporary)?;
        fs::remove_file(&temporary)?;
        Ok(Some(displaced))
    }

    /// Sets or clears the executable bits.
    pub(crate) fn set_executable(path: &Path, executable: bool) -> io::Result<bool> {
        match fs::set_permissions(
            path,
            fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }),
        ) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn temporary(&mut self) -> PathBuf {
        self.count += 1;
        self.scratch.join(format!("save-{}", self.count))
    }
}

/// Makes the directories above; false when a file stands in the way.
fn make_parents(path: &Path) -> io::Result<bool> {
    let parent = path.parent().expect("a file of a tree has a parent");
    match fs::create_dir_all(parent) {
        Ok(()) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotADirectory | io::ErrorKind::AlreadyExists
            ) =>
        {
            Ok(false)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_editor_tells_what_it_displaced() {
        let home = tempfile::tempdir().unwrap();
        let scratch = home.path().join("scratch");
        fs::create_dir(&scratch).unwrap();
        let mut editor = Editor::new(scratch.clone());
        let file = home.path().join("tree/deep/a.md");
        assert_eq!(editor.save(&file, b"one", true).unwrap(), Some(None));
        assert_eq!(
            editor.save(&file, b"two", false).unwrap(),
            Some(Some(b"one".to_vec()))
        );
        assert_eq!(
            Editor::overwrite(&file, b"three").unwrap(),
            Some(Some(b"two".to_vec()))
        );
        assert_eq!(
            editor.save(&file.join("below"), b"x", false).unwrap(),
            None,
            "a file is in the way"
        );
        assert_eq!(
            editor.save(file.parent().unwrap(), b"x", false).unwrap(),
            None,
            "a directory is in the way"
        );
        assert_eq!(editor.delete(&file).unwrap(), Some(b"three".to_vec()));
        assert_eq!(editor.delete(&file).unwrap(), None);
        assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    }
}
