//! Where the programs are, and where tests say that they cannot run.

use std::fs::OpenOptions;
use std::io::Write;
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

/// Says that a test cannot run here, as `testkit::skipped` does, of which the checker's tests know nothing.
#[allow(dead_code, reason = "not every test has something to skip")]
pub(crate) fn skipped(why: &str) {
    #[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
    {
        eprintln!("SKIPPED: {why}");
    }
    if let Some(list) = std::env::var_os("HOMING_SKIPPED") {
        let thread = std::thread::current();
        let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
        let file = OpenOptions::new().append(true).create(true).open(list);
        file.expect("the list of skipped tests")
            .write_all(line.as_bytes())
            .expect("it is written");
    }
}
