//! A secret in the desktop's keyring, by the Secret Service of the session's bus.

use super::SecretError;

/// The attribute `service` of our entries; `username` is the name that the configuration gives.
#[cfg(target_os = "linux")]
const SERVICE: &str = "homing";

/// Reads an entry. Blocks for as long as the keyring does, which may ask a person to unlock it.
#[cfg(target_os = "linux")]
pub(super) fn read(name: &str) -> Result<Vec<u8>, SecretError> {
    use keyring_core::Error;
    use keyring_core::api::CredentialStoreApi;

    let failed = |error: Error| match error {
        Error::NoEntry => SecretError::NoEntry {
            name: name.to_owned(),
        },
        Error::Ambiguous(_) => SecretError::Ambiguous {
            name: name.to_owned(),
        },
        Error::NoStorageAccess(_) => SecretError::Locked,
        Error::PlatformFailure(source) => SecretError::NoKeyring {
            source: Some(source),
        },
        // Some of the others carry what they found.
        _ => SecretError::NoKeyring { source: None },
    };
    let store = zbus_secret_service_keyring_store::Store::new().map_err(failed)?;
    let entry = store.build(SERVICE, name, None).map_err(failed)?;
    entry.get_secret().map_err(failed)
}

/// No keyring of this system is known.
#[cfg(not(target_os = "linux"))]
pub(super) fn read(_name: &str) -> Result<Vec<u8>, SecretError> {
    Err(SecretError::NoKeyring { source: None })
}
