//! The allocator's settings: memory matters more than the last percent of speed in a daemon that is idle all day.

use std::os::unix::process::CommandExt;
use std::process::Command;

use homing_config::Env;

/// Settings of glibc's allocator (mallopt(3)). It has eight heaps for each processor else and fills them all by turns,
/// and it raises by itself the sizes from which memory is given back.
const SETTINGS: [(&str, &str); 3] = [
    (homing_config::ALLOCATOR_IS_SET, "2"),
    ("MALLOC_TRIM_THRESHOLD_", "131072"),
    ("MALLOC_MMAP_THRESHOLD_", "131072"),
];

/// Begins this process anew with [`SETTINGS`], which are read before `main` and can only be given so without unsafe code.
///
/// Returns when they are given already, by whomever, or cannot be: then memory is larger, and nothing else.
pub(crate) fn begin_with_settings(env: &Env) {
    if env.allocator_is_set || !cfg!(target_env = "gnu") {
        return;
    }
    let Ok(program) = std::env::current_exe() else {
        return;
    };
    let mut arguments = std::env::args_os();
    let mut command = Command::new(program);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    let failure = command.args(arguments).envs(SETTINGS).exec();
    // The log has not begun, and nobody need act on it.
    drop(failure);
}
