//! The servers that one listing leads to, and which of them are in trouble.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use homing_core::SideError;
use url::{Origin, Url};

/// Servers beside the source's own that one list may lead to.
const MOST_OTHERS: usize = 32;
/// After so many requests without an answer a server is in trouble and no more is asked of it …
const MOST_SILENT: usize = 8;
/// … and after so many if nothing came at all: each may have taken its whole time.
const MOST_IN_VAIN: usize = 3;
/// After so many answers in a row that say so, it is too. A single file may be broken for good.
const MOST_REFUSALS: usize = 16;

/// All servers of one listing.
pub(crate) struct Servers {
    home: Origin,
    each: Mutex<HashMap<Origin, Server>>,
}

/// How one of them does.
#[derive(Debug, Default)]
struct Server {
    /// Requests that brought no answer, or not all of one.
    silent: usize,
    /// Answers in a row that say that it is in trouble.
    refusals: usize,
    answered: bool,
    stop: Option<SideError>,
}

impl Servers {
    /// Begins with the servers of `urls`, in their order, as far as there is room, beside that of `home`.
    pub(crate) fn new<'a>(home: &Url, urls: impl Iterator<Item = &'a Url>) -> Self {
        let home = home.origin();
        let mut each = HashMap::from([(home.clone(), Server::default())]);
        for origin in urls.map(Url::origin).filter(Origin::is_tuple) {
            if each.len() > MOST_OTHERS {
                break;
            }
            each.entry(origin).or_default();
        }
        Self {
            home,
            each: Mutex::new(each),
        }
    }

    /// Says why `url` is not asked for, where there are too many servers before its own.
    pub(crate) fn may_lead_to(&self, url: &Url) -> Result<(), String> {
        // What is not fetched at all, the client refuses; its origin equals no other.
        if !url.origin().is_tuple() || self.lock().contains_key(&url.origin()) {
            return Ok(());
        }
        Err(format!(
            "the list leads to more than {MOST_OTHERS} servers; what is on the others is not fetched"
        ))
    }

    /// Notes that a server gave an answer.
    pub(crate) fn answered(&self, url: &Url) {
        if let Some(server) = self.lock().get_mut(&url.origin()) {
            server.answered = true;
            server.refusals = 0;
        }
    }

    /// Fails when enough has failed at the server of `url`, or at the source's own: that one is everybody's.
    pub(crate) fn go_on(&self, url: &Url) -> Result<(), SideError> {
        let each = self.lock();
        let stop = [&self.home, &url.origin()]
            .into_iter()
            .find_map(|origin| each.get(origin)?.stop.as_ref());
        stop.map_or(Ok(()), |error| Err(error.repeat()))
    }

    /// Notes an answer that is a failure.
    pub(crate) fn refused(&self, url: &Url, error: &SideError) {
        self.note(url, error, |server| {
            server.refusals += 1;
            server.refusals >= MOST_REFUSALS
        });
    }

    /// Notes that no answer came, or not all of it.
    pub(crate) fn failed(&self, url: &Url, error: &SideError) {
        self.note(url, error, |server| {
            let most = if server.answered {
                MOST_SILENT
            } else {
                MOST_IN_VAIN
            };
            server.silent += 1;
            server.silent >= most
        });
    }

    fn note(&self, url: &Url, error: &SideError, is_too_often: impl Fn(&mut Server) -> bool) {
        let mut each = self.lock();
        let Some(server) = each.get_mut(&url.origin()) else {
            return;
        };
        let is_in_trouble = match error {
            SideError::RateLimited { .. } | SideError::Unreachable { .. } => true,
            SideError::Transient { .. } => is_too_often(server),
            _ => false,
        };
        if is_in_trouble {
            server.stop.get_or_insert_with(|| error.repeat());
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Origin, Server>> {
        self.each.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
