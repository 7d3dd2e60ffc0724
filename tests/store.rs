//! A database that cannot be used: each case is told, and nothing is lost.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions, Permissions};
use std::io::{BufRead, BufReader, Seek, SeekFrom, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};

use crate::harness::{Daemon, Home, TestResult, Tree, is_root, run, skip, write};

/// Makes a home that was synced and stopped.
fn synced() -> Result<Home> {
    let home = Home::with_one_source()?;
    for number in 0..20 {
        home.origin("team")
            .write(&format!("{number}.md"), format!("{number}\n"))?;
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    daemon.stop()?;
    Ok(home)
}

fn database(home: &Home) -> std::path::PathBuf {
    home.data_dir().join("state.db")
}

fn sqlite(path: &Path, sql: &str) -> Result<Option<String>> {
    let mut command = Command::new("sqlite3");
    command.arg(path).arg(sql);
    match run(command) {
        Ok(outcome) => {
            ensure!(outcome.code == 0, "{outcome}");
            Ok(Some(outcome.stdout))
        }
        Err(_) => Ok(None),
    }
}

#[test]
fn a_truncated_database_is_moved_aside_and_nothing_is_deleted() -> TestResult {
    let home = synced()?;
    let file = OpenOptions::new().write(true).open(database(&home))?;
    file.set_len(file.metadata()?.len() / 2)?;
    drop(file);
    home.origin("team").remove("1.md")?;
    home.target("agents").write("2.md", "edited\n")?;

    let daemon = home.start()?;
    let status = home.json_ok(&["status"])?;
    let moved = status["daemon"]["quarantined"]
        .as_str()
        .context("it says what was moved aside")?
        .to_owned();
    ensure!(
        fs::metadata(&moved).is_ok_and(|moved| moved.len() > 0),
        "{moved} is not there"
    );
    ensure!(
        status["daemon"]["conditions"]
            .to_string()
            .contains("StorageFailed"),
        "{status:#}"
    );
    // The file that differs is a conflict now, for nobody knows any more what was agreed on.
    home.homing(&["sync"])?.expect(7, &[])?;
    let target = home.target("agents");
    ensure!(
        target.read("1.md")? == "1\n",
        "it was deleted while nobody had looked"
    );
    ensure!(
        target.read("2.md")? == "edited\n",
        "an edit was overwritten"
    );
    ensure!(target.read("3.md")? == "3\n");
    daemon.stop()?;

    // A later start says so still.
    let daemon = home.start()?;
    ensure!(home.json_ok(&["status"])?["daemon"]["quarantined"] == moved);

    // What comes new is published, and its deletion waits until somebody has looked.
    home.origin("team").write("new.md", "new\n")?;
    home.homing(&["sync"])?.expect(7, &[])?;
    ensure!(target.read("new.md")? == "new\n");
    home.origin("team").remove("new.md")?;
    let (document, code) = home.json(&["sync"])?;
    ensure!(
        code == 7 && document["runs"][0]["error"]["kind"] == "rebuild-pending",
        "{code}: {document:#}"
    );
    ensure!(target.read("new.md")? == "new\n", "it was deleted");
    home.ok(&["db", "accept-rebuild"])?;
    home.homing(&["sync"])?.expect(7, &[])?;
    ensure!(!target.has("new.md"), "it was not deleted");
    ensure!(target.read("1.md")? == "1\n" && target.read("2.md")? == "edited\n");
    daemon.stop()
}

/// What came of a database with noise in it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Told {
    /// homingd did not start: the noise reads as a newer schema.
    Refused,
    /// The database was moved aside at the start.
    MovedAside,
    /// The damage was told only when something was read, and the next start moved the database aside.
    Later,
    /// The noise hit nothing that counts: all is as it would be without it.
    Harmless,
}

/// Starts on a database with noise in it, syncs once, and tells how the damage was told.
fn how_noise_is_told(home: &Home) -> Result<Told> {
    let mut daemon = Daemon::spawn(home.homingd(&[]))?;
    if daemon.wait_for_line("ready").is_err() {
        let code = daemon.wait()?;
        let log = daemon.log();
        ensure!(code == 1, "homingd ended with {code}: {log}");
        if log.contains("newer") {
            return Ok(Told::Refused);
        }
        ensure!(log.contains("is damaged"), "{log}");
        return moved_aside(home, home.start()?, Told::Later);
    }
    let status = home.json_ok(&["status"])?;
    if status["daemon"]["quarantined"].is_string() {
        return moved_aside(home, daemon, Told::MovedAside);
    }
    let (document, code) = home.json(&["sync"])?;
    daemon.stop()?;
    if code == 0 {
        return Ok(Told::Harmless);
    }
    let error = &document["runs"][0]["error"]["kind"];
    ensure!(code == 1 && error == "storage", "{code}: {document:#}");
    moved_aside(home, home.start()?, Told::Later)
}

/// Fails unless a sync says that the database is another one now.
fn moved_aside(home: &Home, daemon: Daemon, told: Told) -> Result<Told> {
    let status = home.json_ok(&["status"])?;
    let conditions = status["daemon"]["conditions"].to_string();
    ensure!(
        status["daemon"]["quarantined"].is_string() && conditions.contains("StorageFailed"),
        "{told:?}: {status:#}"
    );
    // The edit is a conflict, for nobody knows any more what was agreed on.
    home.homing(&["sync"])?.expect(7, &[])?;
    daemon.stop()?;
    Ok(told)
}

/// The seed is new every time; whatever fails tells it.
#[test]
fn a_database_with_noise_anywhere_is_told_and_never_leads_to_a_loss() -> TestResult {
    let seed = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs() | 1;
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let mut random = move |below: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % below
    };
    let mut seen = BTreeSet::new();
    for round in 0..8 {
        let home = synced()?;
        let mut file = OpenOptions::new().write(true).open(database(&home))?;
        let length = file.metadata()?.len();
        // The first page is always in use, so that one round at least must notice.
        let place = if round == 0 { 16 } else { random(length) };
        let noise: Vec<u8> = (0..=random(8000).min(length - place - 1))
            .map(|_| u8::try_from(random(256)))
            .collect::<Result<_, _>>()?;
        file.seek(SeekFrom::Start(place))?;
        file.write_all(&noise)?;
        drop(file);
        home.origin("team").write("new.md", "new\n")?;
        home.target("agents").write("2.md", "edited\n")?;
        let told = how_noise_is_told(&home)
            .with_context(|| format!("seed {seed}: {} bytes at {place}", noise.len()))?;
        let mut expected: BTreeMap<String, String> = (0..20)
            .map(|number| (format!("{number}.md"), format!("{number}\n")))
            .collect();
        expected.insert("2.md".to_owned(), "edited\n".to_owned());
        if told != Told::Refused {
            expected.insert("new.md".to_owned(), "new\n".to_owned());
        }
        let found = home.target("agents").texts()?;
        ensure!(
            found == expected,
            "seed {seed}, {told:?}: {} bytes at {place} of {length} left {found:#?}",
            noise.len()
        );
        seen.insert(told);
    }
    ensure!(
        seen.iter().any(|told| *told != Told::Harmless),
        "seed {seed}: no damage was told: {seen:?}"
    );
    Ok(())
}

#[test]
fn a_newer_schema_is_refused_and_nothing_is_touched() -> TestResult {
    let home = synced()?;
    if sqlite(&database(&home), "PRAGMA user_version = 9999")?.is_none() {
        return skip("sqlite3 is not here");
    }
    let before = fs::read(database(&home))?;
    let refused = home.refused(&[])?;
    refused.expect(1, &["error:", "newer", "hint:"])?;
    ensure!(
        fs::read(database(&home))? == before,
        "the database was touched"
    );
    let others: Vec<_> = Tree(home.data_dir()).snapshot()?.into_keys().collect();
    ensure!(
        !others
            .iter()
            .any(|path| path.to_string_lossy().contains("corrupt")),
        "{others:?}"
    );
    home.refused(&["--check-store"])?.expect(1, &["newer"])
}

#[test]
fn a_locked_database_is_told() -> TestResult {
    let home = synced()?;
    let mut command = Command::new("sqlite3");
    command
        .arg(database(&home))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Ok(mut holder) = command.spawn() else {
        return skip("sqlite3 is not here");
    };
    let mut input = holder.stdin.take().context("a pipe")?;
    input.write_all(b"PRAGMA locking_mode = EXCLUSIVE;\nBEGIN EXCLUSIVE;\nSELECT 'held';\n")?;
    let mut lines = BufReader::new(holder.stdout.take().context("a pipe")?).lines();
    ensure!(
        lines.any(|line| line.is_ok_and(|line| line == "held")),
        "sqlite3 does not hold the database"
    );
    let refused = home.refused(&[]);
    drop(input);
    holder.kill()?;
    holder.wait()?;
    refused?.expect(1, &["error:", "hint:", "has the database open"])?;
    home.start()?.stop()
}

#[test]
fn a_data_directory_whose_mode_forbids_writing_is_told() -> TestResult {
    let mut home = synced()?;
    if !home.hand_over()? {
        return skip("root cannot become another user here");
    }
    for (directory, file) in [(0o500, 0o600), (0o700, 0o400)] {
        fs::set_permissions(database(&home), Permissions::from_mode(file))?;
        fs::set_permissions(home.data_dir(), Permissions::from_mode(directory))?;
        let before = fs::read(database(&home))?;
        home.refused(&[])?.expect(6, &["error:", "hint:"])?;
        ensure!(fs::read(database(&home))? == before, "it was written");
        fs::set_permissions(home.data_dir(), Permissions::from_mode(0o700))?;
    }
    // SQLite gives its files beside the database the same mode.
    for (path, _) in Tree(home.data_dir()).snapshot()? {
        fs::set_permissions(home.data_dir().join(path), Permissions::from_mode(0o600))?;
    }
    home.start()?.stop()
}

#[test]
fn a_data_directory_on_a_read_only_file_system_is_told() -> TestResult {
    if !is_root()? {
        return skip("only root can mount");
    }
    let home = synced()?;
    let mut unshare = Command::new("/usr/bin/unshare");
    unshare.args([
        "--mount",
        "/bin/sh",
        "-c",
        "mount --bind \"$0\" \"$0\" && mount -o remount,bind,ro \"$0\" && exec \"$@\"",
    ]);
    unshare
        .arg(home.data_dir())
        .arg(env!("CARGO_BIN_EXE_homingd"));
    unshare
        .env_clear()
        .env("HOME", home.path(""))
        .env("XDG_RUNTIME_DIR", home.root().join("run"))
        .env("PATH", "/usr/bin:/bin");
    let outcome = run(unshare)?;
    if outcome.stderr.contains("unshare") || outcome.stderr.contains("mount:") {
        return skip("nothing can be mounted here");
    }
    outcome.expect(6, &["error:", "hint:"])
}

#[test]
fn check_store_tells_a_sound_database_from_a_damaged_one_and_changes_nothing() -> TestResult {
    let home = synced()?;
    let sound = home.refused(&["--check-store"])?;
    sound.expect(0, &[])?;
    ensure!(!sound.stdout.is_empty(), "{sound}");

    let bytes = fs::read(database(&home))?;
    write(&database(&home), &bytes[..bytes.len() / 2])?;
    // What an earlier start set aside is no excuse.
    write(
        &home
            .data_dir()
            .join("state.db.corrupt-20260101T000000.000Z"),
        b"old",
    )?;
    let before = Tree(home.data_dir()).snapshot()?;
    let damaged = home.refused(&["--check-store"])?;
    damaged.expect(1, &["damaged"])?;
    ensure!(
        Tree(home.data_dir()).snapshot()? == before,
        "the check changed something"
    );
    Ok(())
}

#[test]
fn check_store_beside_a_running_daemon_and_without_a_database() -> TestResult {
    let home = synced()?;
    let daemon = home.start()?;
    home.refused(&["--check-store"])?
        .expect(1, &["another homingd", "hint:"])?;
    daemon.stop()?;
    let empty = Home::new()?;
    empty.refused(&["--check-store"])?.expect(0, &[])?;
    ensure!(!empty.data_dir().exists(), "a check made a data directory");
    Ok(())
}

#[test]
fn a_lost_database_is_rebuilt_and_edits_are_kept() -> TestResult {
    let home = synced()?;
    home.target("agents").write("2.md", "edited\n")?;
    fs::remove_dir_all(home.data_dir())?;
    let daemon = home.start()?;
    home.homing(&["sync"])?.expect(7, &[])?;
    ensure!(
        home.target("agents").read("2.md")? == "edited\n",
        "an edit was overwritten"
    );
    ensure!(home.target("agents").texts()?.len() == 20);
    daemon.stop()
}

#[test]
fn a_content_that_is_damaged_in_the_store_is_told_fetched_again_and_restored() -> TestResult {
    let home = Home::with_one_source()?;
    let large = "0123456789abcdef".repeat(1 << 17);
    home.origin("team").write("big.bin", &large)?;
    home.origin("team").write("a.md", "a\n")?;
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    let contents = home.data_dir().join("contents");
    let files = Tree(contents.clone()).snapshot()?;
    let file = files
        .keys()
        .map(|path| contents.join(path))
        .find(|path| path.is_file())
        .context("a large content is in a file")?;
    let mut file = OpenOptions::new().write(true).open(file)?;
    file.seek(SeekFrom::Start(1000))?;
    file.write_all(b"X")?;
    drop(file);
    let target = home.target("agents");
    target.remove("big.bin")?;
    target.remove("a.md")?;

    let (repair, _) = home.json(&["verify", "agents", "--repair"])?;
    ensure!(repair.to_string().contains("is damaged"), "{repair:#}");
    ensure!(target.read("a.md")? == "a\n", "the rest was not repaired");
    ensure!(!target.has("big.bin"), "damaged bytes were published");
    home.ok(&["sync"])?;
    ensure!(target.read("big.bin")? == large);

    target.remove("big.bin")?;
    home.ok(&["verify", "agents", "--repair"])?;
    ensure!(target.read("big.bin")? == large);
    daemon.stop()
}
