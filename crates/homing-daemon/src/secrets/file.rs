//! A secret in a file that nobody else may read.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::OFlags;

use super::{MAX_BYTES, SecretError};

/// Reads a file, which must be the user's (or root's) and closed to all others. A link is followed.
pub(super) fn read(path: &Path, uid: u32) -> Result<Vec<u8>, SecretError> {
    let unreadable = |source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    };
    // A pipe in its place must not block.
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).expect("the flag fits an int");
    let mut options = OpenOptions::new();
    let file = options.read(true).custom_flags(flags).open(path);
    let file = file.map_err(unreadable)?;
    let metadata = file.metadata().map_err(unreadable)?;
    if !metadata.is_file() {
        return Err(SecretError::NotAFile {
            path: path.to_owned(),
        });
    }
    if metadata.uid() != uid && metadata.uid() != 0 {
        return Err(SecretError::Foreign {
            path: path.to_owned(),
            uid: metadata.uid(),
        });
    }
    let mode = metadata.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Err(SecretError::Open {
            path: path.to_owned(),
            mode,
        });
    }
    let mut bytes = Vec::new();
    let most = MAX_BYTES as u64 + 1;
    file.take(most)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_file_must_be_closed_to_others() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let uid = rustix::process::getuid().as_raw();
        assert!(matches!(
            read(&path, uid),
            Err(SecretError::Unreadable { .. })
        ));
        fs::copy("Cargo.toml", &path).unwrap();
        for mode in [0o644, 0o640, 0o604, 0o610] {
            fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            let error = read(&path, uid).unwrap_err();
            assert!(matches!(error, SecretError::Open { mode: found, .. } if found == mode));
        }
        fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
        assert_eq!(read(&path, uid).unwrap(), fs::read("Cargo.toml").unwrap());
        assert!(matches!(
            read(directory.path(), uid),
            Err(SecretError::NotAFile { .. })
        ));
        let other = read(&path, uid + 1);
        assert!(uid == 0 || matches!(other, Err(SecretError::Foreign { .. })));
    }
}
