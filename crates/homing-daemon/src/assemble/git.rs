//! A source of the kind `git`.

use std::path::PathBuf;
use std::sync::Arc;

use homing_config::{SignedObject, SignerKeys, SourceConfig, Verify};
use homing_core::{Side, SideError, SourceId};
use homing_side_git::{Address, GitOptions, GitSide, Keys, Signed, Trust};

use super::limits;
use super::remote::Remotes;

/// What only this kind has.
pub(crate) struct Repository<'a> {
    pub(crate) url: &'a str,
    pub(crate) reference: Option<&'a str>,
    pub(crate) user: Option<&'a str>,
    pub(crate) ca_file: Option<&'a PathBuf>,
    pub(crate) verify: Option<&'a Verify>,
    pub(crate) submodules: bool,
}

/// Builds its side.
pub(crate) fn side(
    id: &SourceId,
    config: &SourceConfig,
    repository: &Repository<'_>,
    remotes: &Remotes,
) -> Result<Arc<dyn Side>, SideError> {
    let token = config.token.as_ref();
    let options = GitOptions {
        address: Address::parse(repository.url)?,
        reference: repository.reference.map(str::to_owned),
        path: config.path.as_ref().map(ToString::to_string),
        include: config.include.clone(),
        exclude: config.exclude.clone(),
        limits: limits(config),
        submodules: repository.submodules,
        login: token.map(|token| remotes.login(id, token, repository.user)),
        ca_file: repository.ca_file.cloned(),
        trust: repository.verify.map(trust),
        environment: remotes.kept().environment_of_git(remotes.env()),
        connections: remotes.kept().connections.clone(),
    };
    let mirrors = remotes.kept().mirrors.clone();
    remotes.side(repository.ca_file, move |client| {
        Ok(Arc::new(GitSide::new(
            client,
            mirrors.clone(),
            options.clone(),
        )?))
    })
}

fn trust(verify: &Verify) -> Trust {
    Trust {
        signed: match verify.signed {
            SignedObject::Commit => Signed::Commit,
            SignedObject::Tag => Signed::Tag,
        },
        keys: match &verify.keys {
            SignerKeys::AllowedSigners(file) => Keys::AllowedSigners(file.clone()),
            SignerKeys::Keyring(file) => Keys::Keyring(file.clone()),
        },
    }
}

/// Returns what of that decides which revisions there are; what is in the file of keys, the side sees itself.
pub(crate) fn words(verify: &Verify) -> Vec<&str> {
    let (key, file) = verify.keys.setting();
    // A path that is no text cannot come out of a configuration.
    let file = file.to_str().unwrap_or_default();
    vec!["verify", verify.signed.as_str(), key, file]
}
