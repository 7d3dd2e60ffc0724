//! A process that is killed while it fetches: the next one takes away what is left, and goes on.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use testkit::{GitRepository, Node};

use super::{home, sync};
use crate::harness::{Home, TestResult, write};

/// Who sends the beginning of a pack and then holds on; it ends with this value.
struct Holding(PathBuf);

impl Holding {
    /// Has whoever packs in this home do that.
    fn begin(home: &Home) -> Result<Self> {
        let (script, pid) = (home.path("packs"), home.path("pid"));
        let text = format!(
            "#!/bin/sh\n\"$@\" | head -c 4096\necho $$ > {0}.new\nmv {0}.new {0}\nexec tail -f /dev/null\n",
            pid.display()
        );
        write(&script, text.as_bytes())?;
        std::fs::set_permissions(&script, std::fs::Permissions::from_mode(0o755))?;
        let hook = format!("[uploadpack]\npackObjectsHook = {}\n", script.display());
        write(&home.path(".gitconfig"), hook.as_bytes())?;
        Ok(Self(pid))
    }

    fn wait(&self) -> TestResult {
        let since = Instant::now();
        while !self.0.exists() {
            ensure!(since.elapsed().as_secs() < 30, "nobody packs");
            std::thread::yield_now();
        }
        Ok(())
    }
}

impl Drop for Holding {
    fn drop(&mut self) {
        if let Ok(pid) = std::fs::read_to_string(&self.0) {
            let mut kill = std::process::Command::new("kill");
            kill.args(["-KILL", pid.trim()]).status().ok();
        }
    }
}

#[test]
fn a_fetch_that_is_cut_off_by_a_kill_leaves_nothing_in_the_way() -> TestResult {
    let repository = GitRepository::new()?;
    repository.commit("main", &[("a.md", Node::File(b"1\n"))])?;
    let url = format!("file://{}", repository.path().display());
    let home = home(&url, "", "")?;
    let daemon = home.start()?;
    sync(&home)?;
    let noise: Vec<u8> = (0..20_000_u32)
        .flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n).to_le_bytes())
        .collect();
    repository.commit(
        "main",
        &[("a.md", Node::File(b"2\n")), ("b.bin", Node::File(&noise))],
    )?;
    let holding = Holding::begin(&home)?;
    home.json_ok(&["sync", "community", "--no-wait"])?;
    holding.wait()?;
    daemon.kill()?;
    let target = home.target("agents");
    target.expect(&[("a.md", "1\n")])?;
    std::fs::remove_file(home.path(".gitconfig"))?;
    let daemon = home.start()?;
    sync(&home)?;
    ensure!(target.has("b.bin"), "it is not published");
    let mut mirrors = std::fs::read_dir(home.data_dir().join("mirrors"))?;
    let packs = mirrors
        .next()
        .context("a mirror")??
        .path()
        .join("objects/pack");
    for entry in std::fs::read_dir(packs)? {
        let name = entry?.file_name();
        ensure!(
            !name.as_encoded_bytes().starts_with(b"tmp_"),
            "{name:?} is left"
        );
    }
    daemon.stop()
}
