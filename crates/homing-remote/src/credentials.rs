//! Secrets, looked up at the moment of their use.

use std::sync::Arc;

use homing_core::{BoxFuture, SideError};
use http::HeaderValue;
use secrecy::{ExposeSecret, SecretString};

/// Where a secret comes from.
pub trait Credentials: Send + Sync {
    /// Looks the secret up; `None` when there is none and none is needed. [`SideError::Auth`] says what to mend.
    fn secret(&self) -> BoxFuture<'_, Result<Option<SecretString>, SideError>>;
}

/// A secret that is at hand.
impl Credentials for SecretString {
    fn secret(&self) -> BoxFuture<'_, Result<Option<SecretString>, SideError>> {
        Box::pin(async { Ok(Some(self.clone())) })
    }
}

/// Who asks, and how that is said.
#[derive(Clone)]
pub struct Login {
    /// The secret.
    pub credentials: Arc<dyn Credentials>,
    /// With a user the secret is a password (basic); without one it is a bearer token.
    pub user: Option<String>,
}

impl Login {
    /// Returns a bearer token.
    pub fn bearer(credentials: Arc<dyn Credentials>) -> Self {
        Self {
            credentials,
            user: None,
        }
    }

    /// Returns the header's value, which prints as nothing.
    pub(crate) async fn authorization(&self) -> Result<Option<HeaderValue>, SideError> {
        let Some(secret) = self.credentials.secret().await? else {
            return Ok(None);
        };
        let text = match &self.user {
            None => SecretString::from(format!("Bearer {}", secret.expose_secret())),
            Some(user) => {
                let pair = SecretString::from(format!("{user}:{}", secret.expose_secret()));
                SecretString::from(format!("Basic {}", base64(pair.expose_secret().as_bytes())))
            }
        };
        // The error would tell nothing, and must not tell the secret.
        let Ok(mut value) = HeaderValue::from_str(text.expose_secret()) else {
            return Err(SideError::Auth {
                message:
                    "the token cannot be sent in a header: it has characters beyond ASCII; set another one"
                        .to_owned(),
                source: None,
            });
        };
        value.set_sensitive(true);
        Ok(Some(value))
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login")
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let group = chunk
            .iter()
            .fold(0_u32, |group, byte| group << 8 | u32::from(*byte))
            << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let six = (group >> (18 - 6 * at)) & 63;
            text.push(if at <= chunk.len() {
                char::from(ALPHABET[six as usize])
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648() {
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(base64(bytes.as_bytes()), text);
        }
        assert_eq!(base64(&[0xfb, 0xff, 0xfe]), "+//+");
    }

    #[tokio::test]
    async fn a_secret_is_sent_and_never_printed() {
        let mut login = Login::bearer(Arc::new(SecretString::from("s3cret")));
        let bearer = login.authorization().await.unwrap().unwrap();
        assert_eq!(bearer.to_str().unwrap(), "Bearer s3cret");
        assert!(!format!("{bearer:?}{login:?}").contains("s3cret"));
        login.user = Some("ann".to_owned());
        let basic = login.authorization().await.unwrap().unwrap();
        assert_eq!(basic.to_str().unwrap(), "Basic YW5uOnMzY3JldA==");
        assert!(basic.is_sensitive());
        let odd = Login::bearer(Arc::new(SecretString::from("s3cret\n")));
        let error = odd.authorization().await.unwrap_err();
        assert!(!format!("{error:?}").contains("s3cret"), "{error:?}");
    }
}
