//! Directories that are not what they should be: gone, empty, full, read-only, in the way.

use std::fs::{self, DirBuilder, Permissions};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use crate::conflicts::open;
use crate::harness::{Daemon, Home, Outcome, TestResult, is_root, run, skip};

fn told(outcome: &Outcome) -> String {
    format!("{}{}", outcome.stdout, outcome.stderr)
}

/// Syncs twice, for people and for programs: both must end with this code, the run with an error of this kind.
fn fails(home: &Home, code: i32, kind: &str) -> Result<String> {
    let outcome = home.homing(&["sync"])?;
    outcome.expect(code, &[])?;
    let (document, found) = home.json(&["sync"])?;
    ensure!(
        found == code && document["runs"][0]["error"]["kind"] == kind,
        "expected {code} and `{kind}`, got {found}: {document:#}"
    );
    Ok(told(&outcome))
}

/// A mounted file system, unmounted when it is dropped.
struct Mount(PathBuf);

impl Mount {
    /// Mounts a tmpfs; `None` where that is not allowed.
    fn tmpfs(at: &Path, options: &str) -> Result<Option<Self>> {
        fs::create_dir_all(at)?;
        let mut command = Command::new("/bin/mount");
        command
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(at);
        Ok((is_root()? && run(command)?.code == 0).then(|| Self(at.to_owned())))
    }

    fn remount(&self, options: &str) -> TestResult {
        let mut command = Command::new("/bin/mount");
        command
            .args(["-o", &format!("remount,{options}")])
            .arg(&self.0);
        run(command)?.expect(0, &[])
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let mut command = Command::new("/bin/umount");
        command.arg("-l").arg(&self.0);
        run(command).map(drop).unwrap_or_default();
    }
}

fn synced() -> Result<(Home, crate::harness::Daemon)> {
    let home = Home::with_one_source()?;
    for name in ["a.md", "b.md", "dir/c.md"] {
        home.origin("team").write(name, format!("{name}\n"))?;
    }
    let daemon = home.start()?;
    home.ok(&["sync"])?;
    Ok((home, daemon))
}

#[test]
fn a_source_that_was_never_there_is_told() -> TestResult {
    let home = Home::with_one_source()?;
    fs::remove_dir(&home.origin("team").0)?;
    let _daemon = home.start()?;
    let told = fails(&home, 1, "not-found")?;
    ensure!(told.contains("hint:"), "{told}");
    let origin = home.origin("team").0.display().to_string();
    ensure!(told.contains(&origin), "{told}");
    Ok(())
}

#[test]
fn a_source_that_vanishes_deletes_nothing_and_status_says_so() -> TestResult {
    let (home, _daemon) = synced()?;
    let before = home.target("agents").snapshot()?;
    let away = home.root().join("away");
    fs::rename(&home.origin("team").0, &away)?;
    fails(&home, 1, "not-found")?;
    ensure!(home.target("agents").snapshot()? == before);
    let status = home.json_ok(&["status"])?;
    ensure!(
        status["sources"][0]["last_run"]["status"] == "error",
        "{status:#}"
    );
    fs::rename(&away, &home.origin("team").0)?;
    home.ok(&["sync"])?;
    ensure!(home.target("agents").snapshot()? == before);
    Ok(())
}

#[test]
fn an_empty_mount_point_in_its_place_deletes_nothing() -> TestResult {
    let (home, _daemon) = synced()?;
    let before = home.target("agents").snapshot()?;
    let origin = home.origin("team").0;
    fs::rename(&origin, home.root().join("away"))?;
    fs::create_dir(&origin)?;
    let told = fails(&home, 7, "root-changed")?;
    ensure!(told.contains("--accept-root"), "{told}");
    ensure!(home.target("agents").snapshot()? == before);

    // What is meant can be said.
    home.origin("team").write("a.md", "another directory\n")?;
    fails(&home, 7, "root-changed")?;
    ensure!(home.target("agents").snapshot()? == before);
    home.ok(&["sync", "--accept-root"])?;
    home.target("agents")
        .expect(&[("a.md", "another directory\n")])
}

#[test]
fn a_source_that_is_a_file_is_told() -> TestResult {
    let home = Home::with_one_source()?;
    fs::remove_dir(&home.origin("team").0)?;
    fs::File::create(&home.origin("team").0)?;
    let _daemon = home.start()?;
    let told = fails(&home, 1, "not-found")?;
    ensure!(told.contains("hint:"), "{told}");
    Ok(())
}

#[test]
fn a_part_that_cannot_be_read_deletes_nothing() -> TestResult {
    let mut home = Home::with_one_source()?;
    let origin = home.origin("team");
    for name in ["a.md", "dir/b.md", "dir/c.md"] {
        origin.write(name, format!("{name}\n"))?;
    }
    if !home.hand_over()? {
        return skip("root cannot become another user here");
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let before = home.target("agents").snapshot()?;
    fs::set_permissions(origin.path("dir"), Permissions::from_mode(0o000))?;
    let outcome = home.homing(&["sync"])?;
    let (document, code) = home.json(&["sync"])?;
    fs::set_permissions(origin.path("dir"), Permissions::from_mode(0o755))?;
    ensure!(
        told(&outcome).contains("dir"),
        "nobody said what could not be read: {outcome}"
    );
    ensure!(
        outcome.code == 3 && code == 3,
        "it looks like a success: {outcome}"
    );
    let problem = &document["runs"][0]["problems"][0];
    ensure!(
        problem["kind"] == "unreadable" && problem["path"] == "dir",
        "{document:#}"
    );
    ensure!(home.target("agents").snapshot()? == before);
    home.ok(&["sync"])?;
    ensure!(home.target("agents").snapshot()? == before);
    Ok(())
}

#[test]
fn a_target_whose_mode_forbids_writing_is_told_and_mended() -> TestResult {
    let mut home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let target = home.target("agents");
    fs::create_dir(&target.0)?;
    if !home.hand_over()? {
        return skip("root cannot become another user here");
    }
    fs::set_permissions(&target.0, Permissions::from_mode(0o555))?;
    let _daemon = home.start()?;
    let told = fails(&home, 6, "auth")?;
    ensure!(told.to_lowercase().contains("permission"), "{told}");
    ensure!(told.contains("hint:"), "{told}");
    fs::set_permissions(&target.0, Permissions::from_mode(0o755))?;
    home.ok(&["sync"])?;
    target.expect(&[("a.md", "one\n")])
}

#[test]
fn a_part_of_a_target_that_forbids_writing_makes_the_run_partial() -> TestResult {
    let mut home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    home.origin("team").write("shut/b.md", "two\n")?;
    let target = home.target("agents");
    fs::create_dir_all(target.path("shut"))?;
    if !home.hand_over()? {
        return skip("root cannot become another user here");
    }
    fs::set_permissions(target.path("shut"), Permissions::from_mode(0o555))?;
    let _daemon = home.start()?;
    let outcome = home.homing(&["sync"])?;
    outcome.expect(3, &[])?;
    ensure!(told(&outcome).contains("shut/b.md"), "{outcome}");
    target.expect(&[("a.md", "one\n")])?;
    // Now it is the only thing to do, and not permitted.
    fails(&home, 6, "auth")?;
    fs::set_permissions(target.path("shut"), Permissions::from_mode(0o755))?;
    home.ok(&["sync"])?;
    target.expect(&[("a.md", "one\n"), ("shut/b.md", "two\n")])
}

#[test]
fn a_target_that_is_read_only_is_told_and_mended() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let place = home.path("agents");
    let Some(mount) = Mount::tmpfs(&place, "size=1m")? else {
        return skip("nothing can be mounted here");
    };
    mount.remount("ro")?;
    let _daemon = home.start()?;
    let told = fails(&home, 6, "auth")?;
    ensure!(told.to_lowercase().contains("read-only"), "{told}");
    ensure!(told.contains("hint:"), "{told}");
    mount.remount("rw")?;
    home.ok(&["sync"])?;
    home.target("agents").expect(&[("a.md", "one\n")])
}

#[test]
fn a_target_that_is_full_keeps_what_it_has_and_goes_on_when_there_is_room() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let place = home.path("agents");
    let Some(mount) = Mount::tmpfs(&place, "size=64k")? else {
        return skip("nothing can be mounted here");
    };
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    home.origin("team").write("a.md", "two\n")?;
    home.origin("team").write("big.md", "x".repeat(200_000))?;
    let told = fails(&home, 1, "storage")?;
    ensure!(told.contains("space"), "{told}");
    let found = home.target("agents").texts()?;
    ensure!(
        found.keys().all(|path| path == "a.md"),
        "half a file, or a temporary one: {:?}",
        found.keys()
    );
    ensure!(found["a.md"] == "one\n" || found["a.md"] == "two\n");
    mount.remount("size=1m")?;
    home.ok(&["sync"])?;
    ensure!(home.target("agents").read("big.md")?.len() == 200_000);
    ensure!(home.target("agents").read("a.md")? == "two\n");
    Ok(())
}

#[test]
fn a_directory_in_the_way_is_a_conflict_of_structure() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    home.origin("team").write("b.md", "b\n")?;
    home.target("agents").write("a.md/mine.md", "mine\n")?;
    let _daemon = home.start()?;
    home.homing(&["sync"])?.expect(7, &[])?;
    home.target("agents")
        .expect(&[("a.md/mine.md", "mine\n"), ("b.md", "b\n")])?;
    let conflicts = open(&home)?;
    ensure!(
        conflicts.len() == 1 && conflicts[0]["kind"] == "structure",
        "{conflicts:#?}"
    );
    fs::rename(
        home.target("agents").path("a.md"),
        home.target("agents").path("moved"),
    )?;
    home.ok(&["sync"])?;
    home.target("agents").expect(&[
        ("a.md", "one\n"),
        ("b.md", "b\n"),
        ("moved/mine.md", "mine\n"),
    ])
}

#[test]
fn a_file_where_a_directory_must_go_is_a_conflict_of_structure() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("dir/a.md", "one\n")?;
    home.target("agents").write("dir", "mine\n")?;
    let _daemon = home.start()?;
    home.homing(&["sync"])?.expect(7, &[])?;
    home.target("agents").expect(&[("dir", "mine\n")])?;
    ensure!(
        open(&home)?
            .iter()
            .all(|conflict| conflict["kind"] == "structure")
    );
    Ok(())
}

#[test]
fn a_link_on_the_way_is_not_followed() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("dir/a.md", "one\n")?;
    home.origin("team").write("link.md", "two\n")?;
    let outside = home.root().join("outside");
    DirBuilder::new().mode(0o755).create(&outside)?;
    crate::harness::write(&outside.join("file.md"), b"not ours\n")?;
    fs::create_dir_all(home.path("agents"))?;
    symlink(&outside, home.path("agents/dir"))?;
    symlink(outside.join("file.md"), home.path("agents/link.md"))?;
    let _daemon = home.start()?;
    home.homing(&["sync"])?.expect(7, &[])?;
    ensure!(
        !outside.join("a.md").exists(),
        "a link was followed out of the target"
    );
    ensure!(fs::read_to_string(outside.join("file.md"))? == "not ours\n");
    let conflicts = open(&home)?;
    ensure!(
        conflicts.len() == 2
            && conflicts
                .iter()
                .all(|conflict| conflict["kind"] == "structure"),
        "{conflicts:#?}"
    );
    Ok(())
}

#[test]
fn the_root_of_a_target_may_be_a_link() -> TestResult {
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let real = home.path("real");
    fs::create_dir(&real)?;
    symlink(&real, home.path("agents"))?;
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    ensure!(fs::read_to_string(real.join("a.md"))? == "one\n");
    Ok(())
}

#[test]
fn a_target_that_was_removed_whole_is_not_taken_for_deletions() -> TestResult {
    let home = Home::with_settings(r#"push = "direct""#, r#"deletions = "keep""#)?;
    let origin = home.origin("team");
    for number in 0..8 {
        origin.write(&format!("{number}.md"), format!("{number}\n"))?;
    }
    let _daemon = home.start()?;
    home.ok(&["sync"])?;
    let before = origin.snapshot()?;
    fs::remove_dir_all(home.path("agents"))?;
    fails(&home, 1, "not-found")?;
    ensure!(
        origin.snapshot()? == before,
        "the origin lost what the target lost"
    );
    Ok(())
}

#[test]
fn without_a_runtime_directory_the_socket_is_beside_the_state() -> TestResult {
    let uid = user_id()?;
    if Path::new("/run/user").join(uid.trim()).exists() {
        return skip("a login manager has made a runtime directory for this user");
    }
    let home = Home::with_one_source()?;
    home.origin("team").write("a.md", "one\n")?;
    let mut homingd = home.homingd(&[]);
    homingd.env_remove("XDG_RUNTIME_DIR");
    let mut daemon = Daemon::spawn(homingd)?;
    daemon.wait_for_line("ready")?;
    let mut homing = home.homing_command(&["sync"]);
    homing.env_remove("XDG_RUNTIME_DIR");
    run(homing)?.expect(0, &[])?;
    home.target("agents").expect(&[("a.md", "one\n")])?;

    let directory = home.data_dir().join("run");
    for (path, mode) in [
        (directory.clone(), 0o700),
        (directory.join("homingd.sock"), 0o600),
    ] {
        let found = fs::symlink_metadata(&path)?.permissions().mode() & 0o7777;
        ensure!(found == mode, "{} has mode {found:o}", path.display());
    }
    ensure!(!home.socket().exists(), "the runtime directory was guessed");
    daemon.stop()
}

fn user_id() -> Result<String> {
    let mut command = Command::new("id");
    command.arg("-u");
    Ok(run(command)?.stdout)
}
