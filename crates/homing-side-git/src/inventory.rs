//! What mirrors there are: their room on disk, whether they are whole, and which of them are nobody's.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::Path;
use std::slice;

use homing_core::{Progress, SideError};

use crate::address::Address;
use crate::git::Git;
use crate::mirror::{Mirrors, blocking};
use crate::modules;
use crate::remote;

/// What an examination of all mirrors found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Examination {
    /// Mirrors that were examined.
    pub mirrors: u64,
    /// The repositories of those that are not whole; of one that a submodule leads to, the mirror's directory.
    pub damaged: Vec<String>,
}

impl Mirrors {
    /// Returns how many there are, and their bytes.
    pub async fn size(&self) -> Result<(u64, u64), SideError> {
        let names = self.names().await?;
        let count = names.len() as u64;
        Ok((count, self.bytes_of(names.into_iter().collect()).await?))
    }

    /// Returns the bytes of those that a repository and its submodules have.
    pub async fn size_of(
        &self,
        environment: &[(OsString, OsString)],
        address: &Address,
    ) -> Result<u64, SideError> {
        let names = self
            .led_to(&Git::new(environment), slice::from_ref(address))
            .await?;
        self.bytes_of(names).await
    }

    /// Tells whether all mirrors can be read, and lack nothing but blobs; whoever fetches meanwhile waits.
    pub async fn examine(
        &self,
        environment: &[(OsString, OsString)],
        addresses: &[Address],
    ) -> Result<Examination, SideError> {
        let (git, progress) = (Git::new(environment), Progress::default());
        let mut found = Examination::default();
        for name in self.names().await? {
            let mirror = self.named(&name);
            let _turn = mirror.turn().await;
            found.mirrors += 1;
            if mirror.is_sound(&git, &progress).await? {
                continue;
            }
            let mut damaged = mirror.path().display().to_string();
            for address in addresses {
                let followed = remote::followed(&git, address, &progress).await?;
                if Self::name(followed.as_str()) == name {
                    damaged = address.to_string();
                }
            }
            found.damaged.push(damaged);
        }
        Ok(found)
    }

    /// Removes those of a repository and its submodules that no other repository has; returns how many.
    pub async fn forget(
        &self,
        environment: &[(OsString, OsString)],
        address: &Address,
        others: &[Address],
    ) -> Result<u64, SideError> {
        let git = Git::new(environment);
        let kept = self.led_to(&git, others).await?;
        let own = self.led_to(&git, slice::from_ref(address)).await?;
        let mut names = self.names().await?;
        names.retain(|name| own.contains(name) && !kept.contains(name));
        for name in &names {
            self.named(name).discard().await?;
        }
        Ok(names.len() as u64)
    }

    /// Returns the names of the mirrors of repositories and of their submodules.
    async fn led_to(
        &self,
        git: &Git,
        addresses: &[Address],
    ) -> Result<BTreeSet<String>, SideError> {
        let progress = Progress::default();
        let mut names = BTreeSet::new();
        for address in addresses {
            let address = remote::followed(git, address, &progress).await?;
            let name = Self::name(address.as_str());
            names.extend(modules::used(&self.named(&name)).await?.mirrors);
            names.insert(name);
        }
        Ok(names)
    }

    async fn bytes_of(&self, names: BTreeSet<String>) -> Result<u64, SideError> {
        let mirrors = names.iter().map(|name| self.named(name));
        let paths: Vec<_> = mirrors.map(|mirror| mirror.path().to_owned()).collect();
        blocking(move || paths.iter().map(|path| bytes(path)).sum()).await
    }
}

/// Returns the bytes of all files below a directory; what goes away meanwhile has none.
pub(crate) fn bytes(directory: &Path) -> io::Result<u64> {
    let unless_gone = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Ok(0),
        _ => Err(error),
    };
    let entries = match fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) => return unless_gone(error),
    };
    let mut sum = 0;
    for entry in entries {
        let entry = entry?;
        sum += match entry.metadata() {
            Ok(found) if found.is_dir() => bytes(&entry.path())?,
            Ok(found) => found.len(),
            Err(error) => unless_gone(error)?,
        };
    }
    Ok(sum)
}
