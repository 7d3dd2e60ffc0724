//! Who signed what is published.

mod keys;
mod statement;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::sync::PoisonError;

use homing_core::{ContentHash, Progress, SideError};

use crate::GitSide;
use crate::errors;
use crate::git::{Git, Question};
use crate::mirror::{Mirror, Trouble};
use crate::refs::Found;
use keys::Ring;
use statement::{Form, Signed as Statement};

/// No commit or tag that a person wrote is longer.
const MOST_BYTES: usize = 16 << 20;

/// What has to be signed, and by whom.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// What.
    pub signed: Signed,
    /// By whom.
    pub keys: Keys,
}

/// What has to be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Signed {
    /// The commit.
    Commit,
    /// The annotated tag that leads to it.
    Tag,
}

/// Whose signatures count; the file is read whenever something is to be verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keys {
    /// SSH keys, in the form that `ssh-keygen` calls allowed signers.
    AllowedSigners(PathBuf),
    /// OpenPGP keys, as `gpg --export` writes them.
    Keyring(PathBuf),
}

/// What was verified last.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Verified {
    /// The commit or tag.
    id: String,
    /// Those that counted then.
    keys: ContentHash,
}

impl Signed {
    /// Returns the word for it, which is Git's for such an object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Commit => "commit",
            Self::Tag => "tag",
        }
    }
}

impl Keys {
    /// Returns the key of the configuration, and the file.
    pub(crate) fn setting(&self) -> (&'static str, &PathBuf) {
        match self {
            Self::AllowedSigners(path) => ("allowed_signers", path),
            Self::Keyring(path) => ("keyring", path),
        }
    }

    /// Returns the setting as it is written.
    fn shown(&self) -> String {
        let (key, path) = self.setting();
        format!("`{key} = \"{}\"`", path.display())
    }

    fn form(&self) -> Form {
        match self {
            Self::AllowedSigners(_) => Form::Ssh,
            Self::Keyring(_) => Form::OpenPgp,
        }
    }
}

impl GitSide {
    /// Returns the object that is fetched: the one that is signed, where that matters.
    pub(crate) fn subject<'a>(&self, found: &'a Found) -> Result<&'a str, SideError> {
        let is_tag_wanted = (self.trust.as_ref()).is_some_and(|trust| trust.signed == Signed::Tag);
        if !is_tag_wanted {
            return Ok(&found.commit);
        }
        found.tag.as_deref().ok_or_else(|| {
            let named = found.name.as_deref().unwrap_or(&found.commit);
            self.unverified(
                found,
                &format!("no signature: `{named}` is no annotated tag, and `verify = \"tag\"` wants a signed one"),
            )
        })
    }

    /// Tells whether a revision was verified already, with the keys that count now.
    pub(crate) async fn is_verified(&self, found: &Found) -> Result<bool, SideError> {
        let Some(trust) = &self.trust else {
            return Ok(true);
        };
        let id = self.subject(found)?;
        let (_, keys) = keys::read(&trust.keys).await?;
        let known = self.verified.lock();
        let known = known.unwrap_or_else(PoisonError::into_inner);
        Ok(known
            .as_ref()
            .is_some_and(|known| known.id == id && known.keys == keys))
    }

    /// Verifies a revision that is in the mirror, and tells who signed it; `None` where nobody asks.
    ///
    /// [`SideError::Unverified`] when it is not signed as it has to be.
    pub(crate) async fn verify(
        &self,
        mirror: &Mirror,
        found: &Found,
        progress: &Progress,
    ) -> Result<Option<String>, Trouble> {
        let Some(trust) = &self.trust else {
            return Ok(None);
        };
        let id = self.subject(found)?;
        let kind = trust.signed.as_str();
        let text = self.text(mirror, kind, id, progress).await?;
        if trust.signed == Signed::Tag {
            // The remote said what the tag is called and what it is of; what counts is what was signed.
            statement::check_tag(&text, found.name.as_deref(), &found.commit)
                .map_err(|why| self.unverified(found, &why))?;
        }
        match statement::form(kind, &text, id.len()) {
            Some(form) if form == trust.keys.form() => {}
            Some(form) => {
                let why = format!("it has {form}, and {} names other keys", trust.keys.shown());
                return Err(self.unverified(found, &why).into());
            }
            None => return Err(self.unverified(found, "no signature").into()),
        }
        let (bytes, keys) = keys::read(&trust.keys).await?;
        let ring = Ring::of(&trust.keys, bytes, &self.git, progress).await?;
        let mut command = mirror.reading(&self.git);
        ring.configure(&mut command);
        let verb = format!("verify-{kind}");
        let question = Question {
            arguments: &[verb.as_str(), "--raw", id].map(OsStr::new),
            input: Vec::new(),
            most: 1 << 20,
        };
        let (_, ended) = Git::ask(command, question, progress).await?;
        if ended.complaints.contains("cannot run ssh-keygen") {
            return Err(keys::no_ssh_keygen().into());
        }
        let said = Statement::read(trust.keys.form(), &ended.complaints);
        let signer = match said {
            Statement::Good(signer) if ended.status.success() => signer,
            said => {
                let why = said.why_not(&trust.keys.shown());
                return Err(self.unverified(found, &why).into());
            }
        };
        *self.verified.lock().unwrap_or_else(PoisonError::into_inner) = Some(Verified {
            id: id.to_owned(),
            keys,
        });
        Ok(Some(signer))
    }

    /// Returns what a commit or tag says.
    async fn text(
        &self,
        mirror: &Mirror,
        kind: &str,
        id: &str,
        progress: &Progress,
    ) -> Result<Vec<u8>, Trouble> {
        let question = Question {
            arguments: &["cat-file", kind, id].map(OsStr::new),
            input: Vec::new(),
            most: MOST_BYTES,
        };
        let (text, ended) = Git::ask(mirror.reading(&self.git), question, progress).await?;
        if ended.status.success() {
            return Ok(text);
        }
        let why = errors::of_git(&format!("reading the {kind} {id}"), &ended);
        Err(Trouble::Broken(why.to_string()))
    }

    fn unverified(&self, found: &Found, why: &str) -> SideError {
        let short = found.commit.get(..12).unwrap_or(&found.commit);
        let named = match &found.name {
            Some(name) => format!("`{name}` at {short}"),
            None => format!("commit {short}"),
        };
        SideError::Unverified {
            message: format!("{named} of {} is not published: {why}", self.shown_place),
        }
    }
}
