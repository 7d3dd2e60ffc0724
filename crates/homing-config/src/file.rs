//! Reads the configuration file, if only the user could have written it.

use std::fs::{File, Metadata, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use crate::ConfigError;

/// No configuration is larger.
const MAX_BYTES: u64 = 1024 * 1024;

/// Reads `path`; `None` when it does not exist.
///
/// Whoever writes this file decides what is synced where, so it must be the user's (or root's) and not writable by
/// others. A link is followed, and what it leads to is judged.
pub(crate) fn read(path: &Path, uid: u32) -> Result<Option<String>, ConfigError> {
    let failed = |source| ConfigError::Read {
        path: path.to_owned(),
        source,
    };
    let refused = |reason: String, hint: String| ConfigError::Refused {
        path: path.to_owned(),
        reason,
        hint,
    };
    // A pipe in its place must not block.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("the flag fits an int");
    let file: File = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let metadata = file.metadata().map_err(failed)?;
    if !metadata.is_file() {
        return Err(refused(
            "it is not a regular file".to_owned(),
            "name a file with --config".to_owned(),
        ));
    }
    check_owner(path, &metadata, uid)?;
    let too_large = || {
        refused(
            "it is larger than 1 MiB".to_owned(),
            "a configuration is a short text: is it the right file?".to_owned(),
        )
    };
    if metadata.len() > MAX_BYTES {
        return Err(too_large());
    }
    let length = usize::try_from(metadata.len()).unwrap_or_default();
    let mut bytes = Vec::with_capacity(length + 1);
    file.take(MAX_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() as u64 > MAX_BYTES {
        return Err(too_large());
    }
    String::from_utf8(bytes).map(Some).map_err(|error| {
        let valid = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = valid.split(|byte| *byte == b'\n').count();
        refused(
            format!("line {line} is not UTF-8 text"),
            "save it as UTF-8".to_owned(),
        )
    })
}

/// Makes sure that a file or directory is the user's (or root's), and that others may not write it.
pub(crate) fn check_owner(path: &Path, metadata: &Metadata, uid: u32) -> Result<(), ConfigError> {
    let refused = |reason: String, hint: String| {
        Err(ConfigError::Refused {
            path: path.to_owned(),
            reason,
            hint,
        })
    };
    if metadata.uid() != uid && metadata.uid() != 0 {
        return refused(
            format!("it belongs to another user (uid {})", metadata.uid()),
            format!("make it yours: `chown {uid} {}`", path.display()),
        );
    }
    if metadata.mode() & 0o022 != 0 {
        return refused(
            format!("others may write it (mode {:03o})", metadata.mode() & 0o777),
            format!("take that away: `chmod go-w {}`", path.display()),
        );
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn uid() -> u32 {
        rustix::process::getuid().as_raw()
    }

    fn written(bytes: &[u8], mode: u32) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config.toml");
        io::Write::write_all(&mut File::create(&path).unwrap(), bytes).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        (dir, path)
    }

    fn refusal(path: &Path, uid: u32) -> (String, String) {
        match read(path, uid) {
            Err(ConfigError::Refused { reason, hint, .. }) => (reason, hint),
            other => panic!("not refused: {other:?}"),
        }
    }

    #[test]
    fn a_file_of_the_user_is_read_and_a_missing_one_is_none() {
        let (dir, path) = written(b"a = 1", 0o644);
        assert_eq!(read(&path, uid()).unwrap().as_deref(), Some("a = 1"));
        assert!(
            read(&dir.path().join("none.toml"), uid())
                .unwrap()
                .is_none()
        );
    }

    #[test]
    fn a_file_that_others_may_write_is_refused_also_behind_a_link() {
        for mode in [0o664, 0o646, 0o666] {
            let (dir, path) = written(b"", mode);
            let (reason, hint) = refusal(&path, uid());
            assert!(reason.contains(&format!("{mode:o}")), "{reason}");
            assert!(hint.contains("chmod go-w"), "{hint}");
            let link = dir.path().join("link.toml");
            symlink(&path, &link).unwrap();
            assert_eq!(refusal(&link, uid()).0, reason);
        }
    }

    #[test]
    fn a_file_of_another_user_is_refused() {
        let (_dir, path) = written(b"", 0o600);
        if uid() == 0 {
            std::os::unix::fs::chown(&path, Some(65_534), None).unwrap();
            assert!(refusal(&path, 0).0.contains("65534"));
        } else {
            assert!(refusal(&path, uid() + 1).0.contains("another user"));
        }
    }

    #[test]
    fn what_is_no_short_text_is_refused() {
        let (dir, path) = written(&vec![b'#'; 1024 * 1024 + 1], 0o600);
        assert!(refusal(&path, uid()).0.contains("1 MiB"));
        assert!(refusal(dir.path(), uid()).0.contains("regular file"));
        let (_dir, path) = written(b"a = 1\nb = \"\xff\"", 0o600);
        assert!(refusal(&path, uid()).0.contains("line 2"));
    }
}
