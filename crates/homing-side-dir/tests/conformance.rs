//! A directory does what every side must do.
#![allow(clippy::unwrap_used, reason = "helpers of tests panic like tests")]

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use homing_core::Side;
use homing_side_dir::{DirOptions, DirSide};
use tempfile::TempDir;
use testkit::{Place, conformance};

struct Directory {
    directory: TempDir,
    below: Option<&'static str>,
}

impl Directory {
    fn place(below: Option<&'static str>) -> Box<dyn Place> {
        let place = Self {
            directory: tempfile::tempdir().unwrap(),
            below,
        };
        fs::create_dir_all(place.root()).unwrap();
        Box::new(place)
    }

    fn root(&self) -> std::path::PathBuf {
        self.directory
            .path()
            .join("root")
            .join(self.below.unwrap_or(""))
    }
}

impl Place for Directory {
    fn side(&self) -> Arc<dyn Side> {
        let root = self.directory.path().join("root");
        let path = self.below.map(str::to_owned);
        Arc::new(
            DirSide::new(DirOptions {
                root,
                path,
                ..DirOptions::default()
            })
            .unwrap(),
        )
    }

    fn put(&self, path: &str, bytes: &[u8], executable: bool) {
        let path = self.root().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        // As an editor that writes in place; `fs::write` is not to be used in this workspace.
        std::io::Write::write_all(&mut fs::File::create(&path).unwrap(), bytes).unwrap();
        fs::set_permissions(
            &path,
            fs::Permissions::from_mode(if executable { 0o755 } else { 0o644 }),
        )
        .unwrap();
    }

    fn remove(&self, path: &str) {
        fs::remove_file(self.root().join(path)).unwrap();
    }

    fn files(&self) -> BTreeMap<String, (Vec<u8>, bool)> {
        fn gather(root: &Path, directory: &Path, files: &mut BTreeMap<String, (Vec<u8>, bool)>) {
            for entry in fs::read_dir(directory).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    gather(root, &path, files);
                } else {
                    let executable = fs::metadata(&path).unwrap().permissions().mode() & 0o100 != 0;
                    let name = path
                        .strip_prefix(root)
                        .unwrap()
                        .to_str()
                        .unwrap()
                        .to_owned();
                    files.insert(name, (fs::read(&path).unwrap(), executable));
                }
            }
        }
        let mut files = BTreeMap::new();
        gather(&self.root(), &self.root(), &mut files);
        files
    }

    fn destroy(&self) {
        fs::remove_dir_all(self.root()).unwrap();
    }
}

#[tokio::test]
async fn a_directory_conforms() {
    conformance(&|| Directory::place(None)).await.unwrap();
}

#[tokio::test]
async fn a_subdirectory_conforms() {
    conformance(&|| Directory::place(Some("sub/directory")))
        .await
        .unwrap();
}
