//! A program with Homing's command line and none of its care, for the test that the checker catches it.
//!
//! Without arguments it is the daemon and only answers the telephone; with arguments it is the command line, and `sync`
//! copies every source over every target, as many a script does.

#![allow(clippy::print_stdout, reason = "it answers as a command line does")]

use std::ffi::OsString;
use std::fs;
use std::io;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

fn main() -> io::Result<()> {
    let arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    let Some(verb) = arguments.first() else {
        return listen();
    };
    if verb == "sync" && !arguments.iter().any(|argument| argument == "--dry-run") {
        copy_everything()?;
    }
    println!(r#"{{"daemon": {{"recovered": true}}, "runs": [], "conflicts": []}}"#);
    Ok(())
}

fn listen() -> io::Result<()> {
    let directory = home("XDG_RUNTIME_DIR").join("homing");
    fs::create_dir_all(&directory)?;
    let socket = directory.join("homingd.sock");
    if socket.exists() {
        fs::remove_file(&socket)?;
    }
    for caller in UnixListener::bind(socket)?.incoming() {
        drop(caller?);
    }
    Ok(())
}

fn copy_everything() -> io::Result<()> {
    let config = fs::read_to_string(home("HOME").join(".config/homing/config.toml"))?;
    let values = |key: &str| -> Vec<PathBuf> {
        let lines = config.lines().filter_map(|line| {
            line.strip_prefix(key)?
                .strip_prefix(" = \"")?
                .strip_suffix('"')
        });
        lines.map(PathBuf::from).collect()
    };
    for target in values("path") {
        for source in values("root") {
            copy(&source, &target)?;
        }
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> io::Result<()> {
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let destination = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&destination)?;
            copy(&entry.path(), &destination)?;
        } else {
            fs::copy(entry.path(), &destination)?;
        }
    }
    Ok(())
}

fn home(name: &str) -> PathBuf {
    std::env::var_os(name)
        .map(PathBuf::from)
        .unwrap_or_default()
}
