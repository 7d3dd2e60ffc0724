//! A Secret Service on a bus of its own, with one entry.
//!
//! It takes part in the exchange of keys with the public key 1, so that the shared key is always the same and the
//! answer can stand here as it was encrypted once.

use std::collections::HashMap;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result};
use zbus::blocking::{Connection, connection};
use zbus::zvariant::{ObjectPath, OwnedObjectPath, OwnedValue, Value};
use zbus::{fdo, interface};

const DAEMON: &str = "/usr/bin/dbus-daemon";
const SESSION: &str = "/org/freedesktop/secrets/session/1";
const ITEM: &str = "/org/freedesktop/secrets/collection/login/1";
/// `super::SECRET` under the key that HKDF-SHA256 makes of 1, with a first block of zeros.
const ENCRYPTED: [u8; 32] = [
    0xec, 0xd5, 0xed, 0x35, 0x58, 0xd3, 0x7b, 0xcc, 0xf4, 0xe6, 0xa8, 0xb5, 0x18, 0xa9, 0x73, 0x7c,
    0x21, 0xd2, 0xc4, 0x6b, 0x35, 0x4c, 0x6e, 0x06, 0x69, 0x2f, 0x4c, 0xf5, 0x5b, 0x80, 0x94, 0x21,
];

/// A bus with a keyring on it, ended when it is dropped.
pub(super) struct Keyring {
    bus: Child,
    /// What a session has in `DBUS_SESSION_BUS_ADDRESS`.
    pub(super) address: String,
    service: Option<Connection>,
}

impl Keyring {
    /// Starts a bus; `None` where there is no `dbus-daemon`.
    pub(super) fn start(with_service: bool) -> Result<Option<Self>> {
        if !Path::new(DAEMON).exists() {
            return Ok(None);
        }
        let mut bus = Command::new(DAEMON)
            .args(["--session", "--nofork", "--nopidfile", "--print-address"])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let said = bus.stdout.take().context("standard output is a pipe")?;
        let mut keyring = Self {
            bus,
            address: String::new(),
            service: None,
        };
        BufReader::new(said).read_line(&mut keyring.address)?;
        keyring.address = keyring.address.trim().to_owned();
        if with_service {
            let service = connection::Builder::address(keyring.address.as_str())?
                .serve_at("/org/freedesktop/secrets", Service)?
                .serve_at(ITEM, Item)?
                .name("org.freedesktop.secrets")?
                .build()?;
            keyring.service = Some(service);
        }
        Ok(Some(keyring))
    }
}

impl Drop for Keyring {
    fn drop(&mut self) {
        // It may have ended already.
        self.bus.kill().unwrap_or_default();
        self.bus.wait().map(drop).unwrap_or_default();
    }
}

struct Service;

#[interface(name = "org.freedesktop.Secret.Service")]
impl Service {
    #[expect(clippy::unused_self, reason = "the interface says so")]
    fn open_session(
        &self,
        algorithm: String,
        input: Value<'_>,
    ) -> fdo::Result<(OwnedValue, OwnedObjectPath)> {
        let is_key = Vec::<u8>::try_from(input).is_ok_and(|key| key.len() > 64);
        if algorithm != "dh-ietf1024-sha256-aes128-cbc-pkcs7" || !is_key {
            return Err(fdo::Error::NotSupported(algorithm));
        }
        let ours = Value::from(vec![1_u8])
            .try_into()
            .map_err(zbus::Error::from)?;
        Ok((ours, path(SESSION)?))
    }

    #[expect(
        clippy::needless_pass_by_value,
        clippy::unused_self,
        reason = "the interface says so"
    )]
    fn search_items(
        &self,
        attributes: HashMap<String, String>,
    ) -> fdo::Result<(Vec<OwnedObjectPath>, Vec<OwnedObjectPath>)> {
        let ours = attributes
            .get("service")
            .is_some_and(|service| service == "homing")
            && attributes
                .get("username")
                .is_some_and(|name| name == "team");
        let found = if ours { vec![path(ITEM)?] } else { Vec::new() };
        Ok((found, Vec::new()))
    }
}

struct Item;

#[interface(name = "org.freedesktop.Secret.Item")]
impl Item {
    #[expect(clippy::unused_self, reason = "the interface says so")]
    fn get_secret(
        &self,
        session: ObjectPath<'_>,
    ) -> ((OwnedObjectPath, Vec<u8>, Vec<u8>, String),) {
        let secret = (
            session.into(),
            vec![0; 16],
            ENCRYPTED.to_vec(),
            "text/plain".to_owned(),
        );
        (secret,)
    }

    #[expect(clippy::unused_self, reason = "the interface says so")]
    #[zbus(property)]
    fn locked(&self) -> bool {
        false
    }
}

fn path(path: &str) -> fdo::Result<OwnedObjectPath> {
    OwnedObjectPath::try_from(path).map_err(|error| fdo::Error::Failed(error.to_string()))
}
