//! Where a repository says that its submodules are.

use std::collections::BTreeMap;
use std::ffi::OsStr;

use homing_core::{Progress, SideError};

use super::Module;
use crate::GitSide;
use crate::address::{Address, Transport};
use crate::blobs::Held;
use crate::git::{Git, Question};
use crate::mirror::Trouble;
use crate::tree::{self, Entry, Kind};

/// The file that says it.
const FILE: &str = ".gitmodules";
/// Bytes of that file.
const MOST_BYTES: u64 = 1 << 20;

impl GitSide {
    /// Returns the submodules that a repository names, by path, with their addresses as they are written.
    pub(super) async fn named(
        &self,
        module: &Module,
        progress: &Progress,
    ) -> Result<BTreeMap<Vec<u8>, String>, SideError> {
        let said = self.said(module, progress).await;
        let said = said.map_err(|trouble| self.beyond_repair(trouble))?;
        Ok(read(&said))
    }

    /// Returns what Git reads in the file, which is a stranger's.
    async fn said(&self, module: &Module, progress: &Progress) -> Result<Vec<u8>, Trouble> {
        let (mirror, remote) = (&module.mirror, &module.remote);
        let (commit, mut file) = (&module.commit, None);
        let take = |entry: Entry| {
            if matches!(entry.kind, Kind::File { .. }) && *entry.path == *FILE.as_bytes() {
                file = Some(entry);
            }
            Ok(())
        };
        tree::each(&self.git, mirror, commit, Some(FILE), progress, take).await?;
        let Some(file) = file else {
            return Ok(Vec::new());
        };
        let ids = [file.id.clone()];
        match self.sizes(mirror, remote, &ids, progress).await?.first() {
            Some(Held::Size(0..=MOST_BYTES)) => {}
            Some(Held::Size(_)) => {
                return Err(Trouble::Side(SideError::Untrusted {
                    message: format!("`{FILE}` has more than {MOST_BYTES} bytes"),
                }));
            }
            _ => return Err(Trouble::Broken(format!("it lacks the blob {}", file.id))),
        }
        let question = Question {
            arguments: &[
                "config",
                "-z",
                "--no-includes",
                "--blob",
                &file.id,
                "--get-regexp",
                "^submodule[.]",
            ]
            .map(OsStr::new),
            input: Vec::new(),
            most: 4 << 20,
        };
        // Of a file that Git cannot read nothing is known, as of one that names none.
        let (said, ended) = Git::ask(mirror.reading(&self.git), question, progress).await?;
        Ok(if ended.status.success() {
            said
        } else {
            Vec::new()
        })
    }
}

/// What is said of a submodule.
#[derive(Debug, Default)]
struct Named<'a> {
    path: Option<&'a [u8]>,
    url: Option<&'a [u8]>,
}

/// Reads what `git config -z` says: `submodule.NAME.KEY`, a line feed and the value, each with a zero at the end.
fn read(said: &[u8]) -> BTreeMap<Vec<u8>, String> {
    let mut modules: BTreeMap<&[u8], Named<'_>> = BTreeMap::new();
    for line in said.split(|byte| *byte == 0) {
        let Some(end) = line.iter().position(|byte| *byte == b'\n') else {
            continue;
        };
        let (key, value) = (&line[..end], &line[end + 1..]);
        let Some(dot) = key.iter().rposition(|byte| *byte == b'.') else {
            continue;
        };
        let module = modules.entry(&key[..dot]).or_default();
        match &key[dot + 1..] {
            b"path" => module.path = Some(value),
            b"url" => module.url = Some(value),
            _ => {}
        }
    }
    let named = modules.into_values().filter_map(|Named { path, url }| {
        let path = path?.strip_suffix(b"/").or(path)?;
        Some((path.to_vec(), String::from_utf8(url?.to_vec()).ok()?))
    });
    named.collect()
}

/// Reads where a submodule is, as its parent at `base` says. The error says why it is not followed.
pub(super) fn address(base: &Address, url: Option<&String>) -> Result<Address, String> {
    let url = url.ok_or("`.gitmodules` does not say where it is")?;
    let text = if url.starts_with("./") || url.starts_with("../") {
        relative(base.as_str(), url)
            .ok_or_else(|| format!("its relative address leads out of `{base}`"))?
    } else {
        url.clone()
    };
    let address = Address::parse(&text).map_err(|why| format!("`.gitmodules`: {why}"))?;
    // What the user's own configuration says of addresses goes by how they begin (`insteadOf`).
    if !matches!(address.transport(), Transport::File(_)) && has_steps_up(&text) {
        return Err(format!("`{address}` has `..` in it"));
    }
    Ok(address)
}

fn has_steps_up(text: &str) -> bool {
    let text = text.to_ascii_lowercase().replace("%2e", ".");
    text.split(['/', ':']).any(|step| step == "..")
}

/// Goes from an address to a relative one as `git submodule` does; `None` where there is no way up.
fn relative(base: &str, mut url: &str) -> Option<String> {
    let mut base = base.strip_suffix('/').unwrap_or(base);
    let mut separator = '/';
    loop {
        if let Some(rest) = url.strip_prefix("../") {
            url = rest;
            if let Some(at) = base.rfind('/') {
                base = &base[..at];
            } else {
                base = &base[..base.rfind(':')?];
                separator = ':';
            }
        } else if let Some(rest) = url.strip_prefix("./") {
            url = rest;
        } else {
            break;
        }
        // A host is not left, and neither is the root.
        if base.is_empty() || base.ends_with('/') || base.ends_with(':') {
            return None;
        }
    }
    let url = url.strip_suffix('/').unwrap_or(url);
    Some(format!("{base}{separator}{url}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_relative_address_is_that_of_git() {
        for (base, url, expected) in [
            (
                "https://a.example/t/agents.git",
                "../b.git",
                Some("https://a.example/t/b.git"),
            ),
            (
                "https://a.example/t/agents.git/",
                "../../b",
                Some("https://a.example/b"),
            ),
            (
                "https://a.example/agents",
                "./b/",
                Some("https://a.example/agents/b"),
            ),
            (
                "git@a.example:t/agents.git",
                "../b.git",
                Some("git@a.example:t/b.git"),
            ),
            (
                "git@a.example:agents.git",
                "../b.git",
                Some("git@a.example:b.git"),
            ),
            (
                "/srv/git/agents.git",
                "../../other/./b",
                Some("/srv/other/./b"),
            ),
            ("file:///srv/agents", "../b", Some("file:///srv/b")),
            ("https://a.example/agents", "../../b", None),
            ("/srv", "../../b", None),
        ] {
            assert_eq!(relative(base, url).as_deref(), expected, "{base} {url}");
        }
    }

    #[test]
    fn what_would_run_a_program_or_be_an_option_is_not_followed() {
        let base = Address::parse("https://a.example/t/agents.git").unwrap();
        assert!(address(&base, Some(&"../b.git".to_owned())).is_ok());
        assert!(address(&base, None).is_err());
        for (url, why) in [
            ("-uxterm", "option"),
            ("--upload-pack=touch x", "option"),
            ("ext::sh -c 'touch x'", "run a program"),
            ("ssh://-oProxyCommand=x/a", "option"),
            ("https://me:s3cret@a.example/b", "password"),
            ("b", "relative"),
            ("https://a.example/t/../../etc", "`..`"),
            ("https://a.example/%2E%2e/etc", "`..`"),
            ("../../../../b", "leads out"),
            ("https://a.example/\nb", "control"),
        ] {
            let said = address(&base, Some(&url.to_owned())).unwrap_err();
            assert!(said.contains(why), "{url}: {said}");
            assert!(!said.contains("s3cret"), "{said}");
        }
    }

    #[test]
    fn what_git_says_of_the_file_is_read() {
        let said = b"submodule.x/A.path\nx/a/\0submodule.x/A.url\n../a\0submodule.b.url\n../b\0submodule.c.flag\0";
        let named = read(said);
        assert_eq!(named.len(), 1);
        assert_eq!(named[&b"x/a"[..]], "../a");
    }
}
