//! What not every machine has: tests that cannot run there, told where somebody sees it.

use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::thread;

/// Says on the test's output, and in the file that `HOMING_SKIPPED` names, that something could not be tested here.
///
/// A test runner hides what a test prints that passes; `cargo xtask test` names the file and prints it at the end.
pub fn skipped(why: &str) {
    #[allow(clippy::print_stderr, reason = "a skipped test must be seen")]
    {
        eprintln!("SKIPPED: {why}");
    }
    if let Some(list) = std::env::var_os("HOMING_SKIPPED") {
        let thread = thread::current();
        let line = format!("{}: {why}\n", thread.name().unwrap_or("a test"));
        // One write of one line: tests of other processes append to the same file.
        OpenOptions::new()
            .append(true)
            .create(true)
            .open(list)
            .and_then(|mut file| file.write_all(line.as_bytes()))
            .expect("the list of skipped tests can be written");
    }
}

/// Returns a Git bundle of a real repository; `None`, and says so, where these are not.
pub fn real_bundle(name: &str) -> Option<PathBuf> {
    let data = std::env::var_os("HOMING_REAL_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data"),
        PathBuf::from,
    );
    let bundle = data.join(name);
    if bundle.is_file() {
        return Some(bundle);
    }
    skipped(&format!(
        "{} is missing; HOMING_REAL_DATA may name its directory",
        bundle.display()
    ));
    None
}
