//! What following submodules may cost where they lead nowhere.

use std::collections::HashMap;
use std::fs;
use std::io;

use homing_core::SideError;

use super::Loss;
use crate::address::Address;
use crate::mirror::{Mirror, blocking};

/// Submodules of one source that are sought, whether they are found or not.
pub(super) const MOST: usize = 100;
/// After so many failures in a row nothing more is asked of a host.
const ENOUGH: usize = 3;

/// What was sought so far, and which hosts failed.
#[derive(Debug, Default)]
pub(super) struct Attempts {
    sought: usize,
    /// How often in a row, and how the last time.
    failed: HashMap<String, (usize, SideError)>,
}

impl Attempts {
    /// Takes room for one more; an error where there is none, or where its host answers nobody.
    pub(super) fn begin(&mut self, address: &Address) -> Result<(), Loss> {
        if let Some((ENOUGH.., error)) = self.failed.get(address.host_as_written()) {
            return Err(Loss::Failed(error.repeat()));
        }
        if self.sought == MOST {
            return Err(Loss::Refused(format!("there are more than {MOST} of them")));
        }
        self.sought += 1;
        Ok(())
    }

    /// Notes how one ended: what is wrong with a repository says nothing of its host.
    pub(super) fn end(&mut self, address: &Address, loss: Option<&Loss>) {
        let host = address.host_as_written();
        match loss {
            Some(Loss::Failed(
                error @ (SideError::Unreachable { .. }
                | SideError::Transient { .. }
                | SideError::RateLimited { .. }),
            )) if !host.is_empty() => {
                let (times, last) = self
                    .failed
                    .entry(host.to_owned())
                    .or_insert_with(|| (0, error.repeat()));
                *times += 1;
                *last = error.repeat();
            }
            _ => drop(self.failed.remove(host)),
        }
    }
}

/// Removes a mirror into which nothing was ever fetched: all that is fetched comes in packs.
pub(super) async fn forget_if_empty(mirror: &Mirror) -> Result<(), SideError> {
    let _turn = mirror.turn().await;
    let packs = mirror.path().join("objects/pack");
    let is_empty = blocking(move || match fs::read_dir(packs) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        entries => Ok(entries?.next().is_none()),
    });
    if is_empty.await? {
        mirror.give_up().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_that_fails_again_and_again_is_asked_no_more() {
        let address = |text: &str| Address::parse(text).unwrap();
        let (away, other) = (
            address("https://a.example/x"),
            address("https://b.example/x"),
        );
        let failure = Loss::Failed(SideError::Unreachable {
            message: "away".to_owned(),
            source: None,
        });
        let missing = Loss::Failed(SideError::NotFound {
            message: "missing".to_owned(),
            source: None,
        });
        let mut attempts = Attempts::default();
        for _ in 0..4 {
            attempts.begin(&away).unwrap();
            attempts.end(&away, Some(&missing));
        }
        for _ in 0..ENOUGH {
            attempts.begin(&away).unwrap();
            attempts.end(&away, Some(&failure));
        }
        let told = attempts.begin(&away).unwrap_err();
        assert!(matches!(told, Loss::Failed(SideError::Unreachable { .. })));
        for _ in 4 + ENOUGH..MOST {
            attempts.begin(&other).unwrap();
            attempts.end(&other, None);
        }
        let told = attempts.begin(&other).unwrap_err();
        assert!(matches!(told, Loss::Refused(_)), "{told:?}");
    }
}
