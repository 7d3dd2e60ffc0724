//! What sources of remote systems share: clients, and whom their secrets come from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use homing_config::{Env, SecretSource};
use homing_core::{BoxFuture, ContentHash, Side, SideError, SourceId};
use homing_process::Mark;
use homing_remote::{Client, ClientOptions, Credentials, Login};
use homing_side_git::{Mirrors, SshConnections};
use secrecy::SecretString;

use super::rereading::Rereading;
use crate::secrets::{self, SecretError};

/// What outlives a configuration: mirrors of repositories, and connections to where they are.
#[derive(Debug, Clone)]
pub(crate) struct Kept {
    pub(crate) mirrors: Mirrors,
    pub(crate) connections: SshConnections,
    /// On every `git` that is started.
    pub(crate) mark: Mark,
}

impl Kept {
    /// Keeps mirrors in a directory for data, and connections where the user's sockets are.
    pub(crate) fn new(data_dir: &Path, env: &Env) -> Self {
        let sockets = match &env.runtime_dir {
            Some(directory) => directory.join("homing"),
            None => data_dir.to_owned(),
        };
        Self {
            mirrors: Mirrors::new(data_dir.join("mirrors")),
            connections: SshConnections::of_process(&sockets.join("ssh")),
            mark: Mark::new("HOMING_GIT_OF", data_dir),
        }
    }

    /// Returns what every `git` finds in its environment.
    pub(crate) fn environment_of_git(&self, env: &Env) -> Vec<(OsString, OsString)> {
        let given = env.passed_on.iter().chain(&env.for_git).cloned();
        given.chain([self.mark.variable()]).collect()
    }
}

/// What the sources of one configuration share.
pub(crate) struct Remotes {
    env: Env,
    kept: Kept,
    clients: Arc<Clients>,
}

/// Clients: sources with the same options have one together, and its connections.
pub(crate) struct Clients {
    options: ClientOptions,
    /// By the file of certificates that they trust beside the system's, and what was in it.
    made: Mutex<BTreeMap<Option<PathBuf>, (ContentHash, Client)>>,
}

impl Remotes {
    /// Begins with none; they are made as sources need them. Large archives are put into `directory` for a while.
    pub(crate) fn new(per_host: usize, directory: &Path, env: &Env, kept: &Kept) -> Self {
        let options = ClientOptions {
            per_host,
            directory: Some(directory.into()),
            ..ClientOptions::default()
        };
        Self {
            env: env.clone(),
            kept: kept.clone(),
            clients: Arc::new(Clients {
                options,
                made: Mutex::default(),
            }),
        }
    }

    /// Makes a side of a client that trusts the system's certificates, and those of a file.
    ///
    /// Where the file cannot be read, the side says so each time that it is used, and no other one is affected.
    pub(crate) fn side(
        &self,
        ca_file: Option<&PathBuf>,
        make: impl Fn(Client) -> Result<Arc<dyn Side>, SideError> + Send + Sync + 'static,
    ) -> Result<Arc<dyn Side>, SideError> {
        match ca_file {
            None => make(self.clients.trusting_the_system()?),
            Some(ca_file) => {
                let clients = Arc::clone(&self.clients);
                let side = Rereading::new(ca_file.clone(), clients, Box::new(make))?;
                Ok(Arc::new(side))
            }
        }
    }

    /// Returns what outlives the configuration.
    pub(crate) fn kept(&self) -> &Kept {
        &self.kept
    }

    /// Returns the environment.
    pub(crate) fn env(&self) -> &Env {
        &self.env
    }

    /// Returns who asks with the secret that a source names.
    pub(crate) fn login(&self, id: &SourceId, token: &SecretSource, user: Option<&str>) -> Login {
        self.login_with(id, vec![token.clone()], false, user)
    }

    /// Returns who asks with the first secret that is there, and without one where none is.
    pub(crate) fn login_if_any(&self, id: &SourceId, variables: &[&str]) -> Login {
        let places = variables.iter();
        let places = places.map(|name| SecretSource::Env((*name).to_owned()));
        self.login_with(id, places.collect(), true, None)
    }

    fn login_with(
        &self,
        id: &SourceId,
        places: Vec<SecretSource>,
        is_optional: bool,
        user: Option<&str>,
    ) -> Login {
        Login {
            credentials: Arc::new(Lookup {
                section: format!("[sources.{id}]"),
                places,
                is_optional,
                env: self.env.clone(),
            }),
            user: user.map(str::to_owned),
        }
    }
}

impl Clients {
    /// Returns the client that trusts the system's certificates alone.
    pub(crate) fn trusting_the_system(&self) -> Result<Client, SideError> {
        let (_, client) = self.made_of(None, ContentHash::of(b""))?;
        Ok(client)
    }

    /// Returns the client that trusts those of a file too, as it is now, and the hash of that. Blocks.
    pub(crate) fn trusting(&self, ca_file: &Path) -> Result<(ContentHash, Client), SideError> {
        let bytes = std::fs::read(ca_file).map_err(|error| SideError::Config {
            message: format!("`ca_file = \"{}\"`: {error}", ca_file.display()),
        })?;
        self.made_of(Some(ca_file.to_owned()), ContentHash::of(&bytes))
    }

    fn made_of(
        &self,
        ca_file: Option<PathBuf>,
        hash: ContentHash,
    ) -> Result<(ContentHash, Client), SideError> {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = made.get(&ca_file).filter(|(known, _)| *known == hash) {
            return Ok(known.clone());
        }
        let client = Client::new(ClientOptions {
            ca_file: ca_file.clone(),
            ..self.options.clone()
        })?;
        made.insert(ca_file, (hash, client.clone()));
        Ok((hash, client))
    }
}

/// Looks a secret up in one place after the other.
struct Lookup {
    section: String,
    places: Vec<SecretSource>,
    is_optional: bool,
    env: Env,
}

impl Credentials for Lookup {
    fn secret(&self) -> BoxFuture<'_, Result<Option<SecretString>, SideError>> {
        Box::pin(async move {
            for place in &self.places {
                match secrets::resolve(place, &self.env).await {
                    Ok(secret) => return Ok(Some(secret)),
                    Err(SecretError::Unset { .. } | SecretError::Empty { .. })
                        if self.is_optional => {}
                    Err(error) => {
                        let failure = secrets::failure(&error, &self.section);
                        let hint = failure.hint.unwrap_or_default();
                        return Err(SideError::Auth {
                            message: format!("there is no token: {error}; {hint}"),
                            source: None,
                        });
                    }
                }
            }
            Ok(None)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Write;

    use homing_core::{ItemKey, ListRequest, Scope};
    use homing_side_http::{HttpOptions, HttpSide, What};

    use super::*;

    /// One of nobody's, which is good for nothing.
    const CERTIFICATE: &str = "\
-----BEGIN CERTIFICATE-----\n\
MIIBgjCCASmgAwIBAgIUO5xRK/z0+nXl+Ujw2aK1iD+XkkwwCgYIKoZIzj0EAwIw\n\
FjEUMBIGA1UEAwwLZXhhbXBsZS5vcmcwIBcNMjYxMTIwMjI0NjQyWhgPMjEyNjEw\n\
MjcyMjQ2NDJaMBYxFDASBgNVBAMMC2V4YW1wbGUub3JnMFkwEwYHKoZIzj0CAQYI\n\
KoZIzj0DAQcDQgAEg0f0k22KjzYqBCPncglVW2psjO/fNxz+b/VuGQaD92rEqSb9\n\
ZuIdCkQzVMwFBHBJ7opYXRQjdu4MKQ1KPhRdrKNTMFEwHQYDVR0OBBYEFCpey5vU\n\
VdB2xYXQLajgAYesPpfsMB8GA1UdIwQYMBaAFCpey5vUVdB2xYXQLajgAYesPpfs\n\
MA8GA1UdEwEB/wQFMAMBAf8wCgYIKoZIzj0EAwIDRwAwRAIgGnOzQkcmqvY/W2d7\n\
/+SSm8zlVxRbXjH6PRHuopqogk0CIAhQ/POals3JahwJibBMf3vxjqvpXI4/PDs4\n\
WzzzivJm\n\
-----END CERTIFICATE-----\n\
";

    fn remotes() -> Remotes {
        let nowhere = Path::new("/nowhere");
        let env = Env::with_home(nowhere);
        Remotes::new(8, nowhere, &env, &Kept::new(nowhere, &env))
    }

    fn lookup(variables: &[&str], is_optional: bool) -> Login {
        let remotes = remotes();
        let id: SourceId = "team".parse().unwrap();
        if is_optional {
            remotes.login_if_any(&id, variables)
        } else {
            remotes.login(&id, &SecretSource::Env(variables[0].to_owned()), None)
        }
    }

    #[tokio::test]
    async fn a_missing_secret_is_told_unless_none_is_needed() {
        let none = lookup(&["HOMING_TEST_NONE", "HOMING_TEST_NEITHER"], true);
        assert!(none.credentials.secret().await.unwrap().is_none());
        // A variable that every environment has stands for a token here.
        let some = lookup(&["HOMING_TEST_NONE", "PATH"], true);
        assert!(some.credentials.secret().await.unwrap().is_some());
        let error = lookup(&["HOMING_TEST_NONE"], false)
            .credentials
            .secret()
            .await
            .unwrap_err();
        assert!(matches!(&error, SideError::Auth { .. }));
        let text = error.to_string();
        assert!(
            text.contains("HOMING_TEST_NONE") && text.contains("[sources.team]"),
            "{text}"
        );
    }

    #[test]
    fn sources_share_clients() {
        let remotes = remotes();
        for _ in 0..2 {
            remotes.clients.trusting_the_system().unwrap();
        }
        assert_eq!(remotes.clients.made.lock().unwrap().len(), 1);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn certificates_are_read_when_they_are_needed_and_again_when_they_are_others() {
        let home = tempfile::tempdir().unwrap();
        let ca_file = home.path().join("ca.pem");
        let make = |client| {
            let url = url::Url::parse("https://127.0.0.1:1/").unwrap();
            let options = HttpOptions::new(url, What::Files(vec!["a.md".to_owned()]));
            Ok(Arc::new(HttpSide::new(client, options)?) as Arc<dyn Side>)
        };
        let side = remotes().side(Some(&ca_file), make).unwrap();
        assert!(side.covers(&ItemKey::new("a.md").unwrap()));
        let ask = async || side.list(ListRequest::new(Scope::Whole)).await.unwrap_err();
        let is_config = |error: &SideError| {
            let text = error.to_string();
            matches!(error, SideError::Config { .. }) && text.contains("ca.pem")
        };
        let put = |text: &str| {
            let mut file = File::create(&ca_file).unwrap();
            file.write_all(text.as_bytes()).unwrap();
        };
        assert!(is_config(&ask().await));
        put(CERTIFICATE);
        let error = ask().await;
        assert!(matches!(error, SideError::Unreachable { .. }), "{error:?}");
        put("no certificate");
        assert!(is_config(&ask().await));
    }
}
