//! What sources of remote systems share: clients, and whom their secrets come from.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use homing_config::{Env, SecretSource};
use homing_core::{BoxFuture, SideError, SourceId};
use homing_remote::{Client, ClientOptions, Credentials, Login};
use secrecy::SecretString;

use crate::secrets::{self, SecretError};

/// The clients of one configuration: sources with the same options share one, and its connections.
pub(crate) struct Remotes {
    env: Env,
    per_host: usize,
    clients: RefCell<BTreeMap<Option<PathBuf>, Client>>,
}

impl Remotes {
    /// Begins with none; they are made as sources need them.
    pub(crate) fn new(per_host: usize, env: &Env) -> Self {
        Self {
            env: env.clone(),
            per_host,
            clients: RefCell::default(),
        }
    }

    /// Returns the client that trusts the system's certificates, and those of a file.
    pub(crate) fn client(&self, ca_file: Option<&PathBuf>) -> Result<Client, SideError> {
        if let Some(client) = self.clients.borrow().get(&ca_file.cloned()) {
            return Ok(client.clone());
        }
        let client = Client::new(ClientOptions {
            ca_file: ca_file.cloned(),
            per_host: self.per_host,
            ..ClientOptions::default()
        })?;
        let mut clients = self.clients.borrow_mut();
        clients.insert(ca_file.cloned(), client.clone());
        Ok(client)
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
    use std::path::Path;

    use super::*;

    fn lookup(variables: &[&str], is_optional: bool) -> Login {
        let remotes = Remotes::new(8, &Env::with_home(Path::new("/nowhere")));
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
        let remotes = Remotes::new(8, &Env::with_home(Path::new("/nowhere")));
        remotes.client(None).unwrap();
        remotes.client(None).unwrap();
        assert_eq!(remotes.clients.borrow().len(), 1);
        let missing = PathBuf::from("/nowhere/ca.pem");
        assert!(remotes.client(Some(&missing)).is_err());
    }
}
