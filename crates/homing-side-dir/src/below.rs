//! Opening what lies below a root, without ever following a link there.

use std::ffi::{CStr, CString};
use std::fmt;
use std::path::{Path, PathBuf};

use homing_core::{RootIdentity, SideError};
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat, fstat, mkdirat, openat, statat};
use rustix::io::Errno;

use crate::errors::side_error;

const DIRECTORY: OFlags = OFlags::RDONLY
    .union(OFlags::DIRECTORY)
    .union(OFlags::CLOEXEC);

/// How often a lookup is tried again when a rename elsewhere disturbed it.
const LOOKUPS: usize = 16;

/// The root of a side, opened: whatever its path leads to later, this stays the same directory.
pub(crate) struct Root {
    fd: OwnedFd,
    path: PathBuf,
    /// Which directory it is.
    pub(crate) identity: RootIdentity,
}

impl Root {
    /// Opens the directory at `root`, which may be a link, and `below` in it, where no link is followed.
    pub(crate) fn open(root: &Path, below: Option<&str>) -> Result<Self, SideError> {
        let path = below.map_or_else(|| root.to_owned(), |below| root.join(below));
        let opened = openat(CWD, root, DIRECTORY, Mode::empty()).and_then(|fd| match below {
            None => Ok(fd),
            Some(below) => open_below(fd.as_fd(), below, DIRECTORY, Mode::empty()),
        });
        let fd = opened.map_err(|errno| root_error(errno, &path))?;
        let stat = fstat(&fd).map_err(|errno| root_error(errno, &path))?;
        Ok(Self {
            identity: identity_of(&stat),
            fd,
            path,
        })
    }

    /// Opens the root as [`Root::open`] does, after making every directory on the way that is missing.
    pub(crate) fn open_or_create(root: &Path, below: Option<&str>) -> Result<Self, SideError> {
        let path = below.map_or_else(|| root.to_owned(), |below| root.join(below));
        std::fs::create_dir_all(root).map_err(|error| {
            let errno = Errno::from_io_error(&error).unwrap_or(Errno::IO);
            side_error(
                errno,
                &format!("could not create the directory {}", Quoted(root)),
            )
        })?;
        if let Some(below) = below {
            let outer = openat(CWD, root, DIRECTORY, Mode::empty())
                .map_err(|errno| root_error(errno, &path))?;
            create_directories(outer.as_fd(), below, &mut |_| {})
                .map_err(|errno| root_error(errno, &path))?;
        }
        Self::open(root, below)
    }

    /// Returns the path, for messages.
    pub(crate) fn path(&self) -> Quoted<'_> {
        Quoted(&self.path)
    }

    /// Returns the descriptor.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// Opens the directory at `prefix`; `""` is the root itself.
    pub(crate) fn directory(&self, prefix: &str) -> Result<OwnedFd, Errno> {
        let path = if prefix.is_empty() { "." } else { prefix };
        open_below(self.fd(), path, DIRECTORY, Mode::empty())
    }

    /// Opens the directory at `prefix`, made with all its parents where missing; `created` hears of each one made.
    pub(crate) fn directory_made(
        &self,
        prefix: &str,
        created: &mut dyn FnMut(&str),
    ) -> Result<OwnedFd, Errno> {
        // Another batch may remove a directory that it left empty between our two steps.
        for _ in 0..LOOKUPS {
            match self.directory(prefix) {
                Err(Errno::NOENT) => create_directories(self.fd(), prefix, created)?,
                other => return other,
            }
        }
        self.directory(prefix)
    }

    /// Tells whether the path of the root still leads to the directory that was opened.
    pub(crate) fn is_still_there(&self) -> bool {
        statat(CWD, &self.path, AtFlags::empty())
            .is_ok_and(|stat| identity_of(&stat) == self.identity)
    }

    /// Returns what stands at the first place on the way to `prefix` that is no directory: its path, and what it is.
    pub(crate) fn obstacle(&self, prefix: &str) -> Result<Option<(String, Stat)>, Errno> {
        let ends = prefix
            .match_indices('/')
            .map(|(at, _)| at)
            .chain([prefix.len()]);
        for end in ends {
            let path = &prefix[..end];
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let directory = match self.directory(parent) {
                Err(Errno::NOENT) => return Ok(None),
                other => other?,
            };
            match stat_name(directory.as_fd(), name)? {
                None => return Ok(None),
                Some(stat) if file_type(&stat) == FileType::Directory => {}
                Some(stat) => return Ok(Some((path.to_owned(), stat))),
            }
        }
        Ok(None)
    }
}

/// A path in a message.
pub(crate) struct Quoted<'a>(pub(crate) &'a Path);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "`{}`",
            homing_core::shown(self.0.as_os_str().as_encoded_bytes())
        )
    }
}

/// Returns the type of what was looked at.
pub(crate) fn file_type(stat: &Stat) -> FileType {
    FileType::from_raw_mode(stat.st_mode)
}

/// Looks at a name without following it; `None` when it is not there.
pub(crate) fn stat_name<P: rustix::path::Arg>(
    directory: BorrowedFd<'_>,
    name: P,
) -> Result<Option<Stat>, Errno> {
    match statat(directory, name, AtFlags::SYMLINK_NOFOLLOW) {
        Ok(stat) => Ok(Some(stat)),
        Err(Errno::NOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

/// Returns the words for what is no regular file.
pub(crate) fn not_a_file(file_type: FileType) -> &'static str {
    match file_type {
        FileType::Symlink => "a symbolic link",
        FileType::Directory => "a directory",
        FileType::Socket => "a socket",
        FileType::Fifo => "a named pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        FileType::RegularFile | FileType::Unknown => "a special file",
    }
}

/// Returns the names in a directory, `.` and `..` left out, with their types as far as the file system tells.
pub(crate) fn entries(directory: BorrowedFd<'_>) -> Result<Vec<(CString, FileType)>, Errno> {
    let mut entries = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name: &CStr = entry.file_name();
        if name != c"." && name != c".." {
            entries.push((name.to_owned(), entry.file_type()));
        }
    }
    Ok(entries)
}

/// Opens `path`, relative to `directory`, and follows no link on the way or at the end.
pub(crate) fn open_below(
    directory: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    #[cfg(target_os = "linux")]
    {
        use rustix::fs::{ResolveFlags, openat2};
        let resolve =
            ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        for _ in 0..LOOKUPS {
            match openat2(directory, path, flags, mode, resolve) {
                // The kernel could not rule out that a rename moved the lookup out of the root.
                Err(Errno::AGAIN) => {}
                // Before 5.6, and in some sandboxes, there is no openat2.
                Err(Errno::NOSYS | Errno::PERM) => break,
                other => return other,
            }
        }
    }
    open_by_component(directory, path, flags, mode)
}

/// Opens `path` one component after the other, for systems without `openat2`.
fn open_by_component(
    directory: BorrowedFd<'_>,
    path: &str,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    let mut holder: Option<OwnedFd> = None;
    let (parents, last) = path.rsplit_once('/').unwrap_or(("", path));
    for component in parents.split('/').filter(|component| !component.is_empty()) {
        let here = holder.as_ref().map_or(directory, AsFd::as_fd);
        holder = Some(open_component(here, component, DIRECTORY, Mode::empty())?);
    }
    open_component(
        holder.as_ref().map_or(directory, AsFd::as_fd),
        last,
        flags,
        mode,
    )
}

fn open_component(
    directory: BorrowedFd<'_>,
    name: &str,
    flags: OFlags,
    mode: Mode,
) -> Result<OwnedFd, Errno> {
    if name == ".." {
        return Err(Errno::XDEV);
    }
    match openat(directory, name, flags | OFlags::NOFOLLOW, mode) {
        // With O_DIRECTORY a link answers ENOTDIR; it is told apart so that the message names it.
        Err(Errno::NOTDIR) if is_link(directory, name) => Err(Errno::LOOP),
        other => other,
    }
}

fn is_link(directory: BorrowedFd<'_>, name: &str) -> bool {
    stat_name(directory, name)
        .is_ok_and(|stat| stat.is_some_and(|stat| file_type(&stat) == FileType::Symlink))
}

fn create_directories(
    root: BorrowedFd<'_>,
    prefix: &str,
    created: &mut dyn FnMut(&str),
) -> Result<(), Errno> {
    let ends = prefix
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([prefix.len()]);
    for end in ends {
        let path = &prefix[..end];
        let (parent, name) = path.rsplit_once('/').unwrap_or((".", path));
        let directory = match open_below(root, parent, DIRECTORY, Mode::empty()) {
            // Removed meanwhile: the caller tries again from the root.
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        };
        match mkdirat(&directory, name, Mode::from_raw_mode(0o777)) {
            Ok(()) => created(path),
            Err(Errno::EXIST | Errno::NOENT) => {}
            Err(errno) => return Err(errno),
        }
    }
    Ok(())
}

fn identity_of(stat: &Stat) -> RootIdentity {
    RootIdentity {
        device: stat.st_dev,
        inode: stat.st_ino,
    }
}

fn root_error(errno: Errno, path: &Path) -> SideError {
    let source = || Some(std::io::Error::from(errno).into());
    match errno {
        Errno::NOENT => SideError::NotFound {
            message: format!(
                "the directory {} does not exist; is it mounted, is its path right?",
                Quoted(path)
            ),
            source: source(),
        },
        Errno::NOTDIR => SideError::NotFound {
            message: format!("{} is not a directory", Quoted(path)),
            source: source(),
        },
        other => side_error(
            other,
            &format!("could not open the directory {}", Quoted(path)),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    type Open = fn(BorrowedFd<'_>, &str, OFlags, Mode) -> Result<OwnedFd, Errno>;

    #[test]
    fn both_ways_of_opening_refuse_links_and_what_leaves_the_root() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("real/inner")).unwrap();
        std::fs::File::create(directory.path().join("file")).unwrap();
        std::os::unix::fs::symlink("real", directory.path().join("link")).unwrap();
        let root = Root::open(directory.path(), None).unwrap();
        let cases = [
            (".", None),
            ("real/inner", None),
            ("missing", Some(Errno::NOENT)),
            ("link", Some(Errno::LOOP)),
            ("link/inner", Some(Errno::LOOP)),
            ("file", Some(Errno::NOTDIR)),
            ("file/inner", Some(Errno::NOTDIR)),
            ("real/../..", Some(Errno::XDEV)),
        ];
        for open in [open_below as Open, open_by_component as Open] {
            for (path, expected) in cases {
                assert_eq!(
                    open(root.fd(), path, DIRECTORY, Mode::empty()).err(),
                    expected,
                    "{path}"
                );
            }
        }
    }

    #[test]
    fn the_first_obstacle_on_the_way_is_found() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(directory.path().join("a/b")).unwrap();
        std::fs::File::create(directory.path().join("a/b/file")).unwrap();
        let root = Root::open(directory.path(), None).unwrap();
        let obstacle = |path| root.obstacle(path).unwrap().map(|(path, _)| path);
        assert_eq!(obstacle("a/b/file/c").as_deref(), Some("a/b/file"));
        assert_eq!(obstacle("a/b"), None);
        assert_eq!(obstacle("a/missing/c"), None);
    }
}
