//! Where the programs are.

use std::path::PathBuf;
use std::process::Command;

use crash_checker::Binaries;

/// Returns the programs next to this test, which `cargo nextest run --workspace --features homing/failpoints` builds.
pub(crate) fn binaries() -> Binaries {
    let test = std::env::current_exe().expect("the test has a path");
    let directory = test
        .ancestors()
        .nth(2)
        .expect("tests lie in target/PROFILE/deps")
        .to_owned();
    let binaries = Binaries {
        homing: directory.join("homing"),
        homingd: directory.join("homingd"),
    };
    if !binaries.homing.is_file() || !binaries.homingd.is_file() {
        let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..");
        let status = Command::new(env!("CARGO"))
            .args([
                "build",
                "--package",
                "homing",
                "--features",
                "failpoints",
                "--target-dir",
            ])
            .arg(
                directory
                    .parent()
                    .expect("a profile lies in a target directory"),
            )
            .current_dir(root)
            .status()
            .expect("cargo starts");
        assert!(status.success(), "homing does not build");
    }
    binaries
}
