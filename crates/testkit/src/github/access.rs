//! Who asks, what they may see, and how many requests are left to them.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use super::WINDOW;

/// What an anonymous address may ask for within an hour.
const ANONYMOUS: u64 = 60;
/// What a token may ask for within an hour.
const AUTHORISED: u64 = 5000;

/// A token that the emulator knows.
#[derive(Debug, Clone)]
pub struct Token {
    text: String,
    login: String,
    /// `None` for a fine-grained token, which has none.
    scopes: Option<Vec<String>>,
    /// The private repositories that its owner may see; `None` for all.
    only: Option<Vec<String>>,
}

impl Token {
    /// Returns a classic token, whose scopes are told in every answer; only `repo` opens private repositories.
    pub fn classic(text: &str, login: &str, scopes: &[&str]) -> Self {
        Self {
            text: text.to_owned(),
            login: login.to_owned(),
            scopes: Some(scopes.iter().map(|&scope| scope.to_owned()).collect()),
            only: None,
        }
    }

    /// Returns a fine-grained token for these private repositories.
    pub fn fine_grained(text: &str, login: &str, repositories: &[&str]) -> Self {
        Self {
            scopes: None,
            ..Self::classic(text, login, &[]).only(repositories)
        }
    }

    /// Limits the private repositories that the token's owner may see.
    #[must_use]
    pub fn only(mut self, repositories: &[&str]) -> Self {
        self.only = Some(repositories.iter().map(|&name| name.to_owned()).collect());
        self
    }

    pub(crate) fn login(&self) -> &str {
        &self.login
    }

    pub(crate) fn scopes(&self) -> Option<String> {
        self.scopes.as_ref().map(|scopes| scopes.join(", "))
    }

    pub(crate) fn may_see(&self, repository: &str) -> bool {
        let in_scope = self
            .scopes
            .as_ref()
            .is_none_or(|scopes| scopes.iter().any(|scope| scope == "repo"));
        let member = self
            .only
            .as_ref()
            .is_none_or(|only| only.iter().any(|name| name == repository));
        in_scope && member
    }
}

/// Who a request comes from.
#[derive(Debug, Clone)]
pub(crate) enum Caller {
    /// No credentials.
    Anonymous,
    /// A token that is known.
    Known(Token),
    /// Credentials that are not.
    Unknown,
}

impl Caller {
    pub(crate) fn token(&self) -> Option<&Token> {
        match self {
            Self::Known(token) => Some(token),
            Self::Anonymous | Self::Unknown => None,
        }
    }
}

/// The requests that are left to somebody.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Allowance {
    pub(crate) limit: u64,
    pub(crate) remaining: u64,
    pub(crate) reset: SystemTime,
}

impl Allowance {
    fn full(limit: u64) -> Self {
        Self {
            limit,
            remaining: limit,
            reset: SystemTime::now() + WINDOW,
        }
    }

    /// Returns the moment of the renewal in seconds since 1970.
    pub(crate) fn reset_seconds(&self) -> u64 {
        self.reset
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs())
    }
}

/// Tokens and allowances.
#[derive(Debug, Default)]
pub(crate) struct Access {
    tokens: BTreeMap<String, Token>,
    /// By token; the empty text is the anonymous.
    allowances: BTreeMap<String, Allowance>,
}

impl Access {
    pub(crate) fn add(&mut self, token: Token) {
        self.tokens.insert(token.text.clone(), token);
    }

    pub(crate) fn revoke(&mut self, token: &str) {
        self.tokens.remove(token);
    }

    pub(crate) fn leave(&mut self, token: Option<&str>, remaining: u64, reset: SystemTime) {
        let allowance = self.allowance(token.unwrap_or_default());
        allowance.remaining = remaining;
        allowance.reset = reset;
    }

    pub(crate) fn renew(&mut self) {
        self.allowances.clear();
    }

    /// Reads an `Authorization` header: `Bearer TOKEN`, `token TOKEN`, or basic with the token as the password.
    pub(crate) fn caller(&self, authorization: Option<&str>) -> Caller {
        let Some(authorization) = authorization else {
            return Caller::Anonymous;
        };
        let text = match authorization.split_once(' ') {
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("bearer") => rest.to_owned(),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("token") => rest.to_owned(),
            Some((scheme, rest)) if scheme.eq_ignore_ascii_case("basic") => password(rest),
            _ => String::new(),
        };
        match self.tokens.get(&text) {
            Some(token) => Caller::Known(token.clone()),
            None => Caller::Unknown,
        }
    }

    /// Returns what is left to a caller.
    pub(crate) fn left(&mut self, caller: &Caller) -> Allowance {
        *self.allowance(name(caller))
    }

    /// Takes one request from a caller's allowance, `false` when there is none.
    pub(crate) fn take(&mut self, caller: &Caller) -> bool {
        let allowance = self.allowance(name(caller));
        let left = allowance.remaining.checked_sub(1);
        allowance.remaining = left.unwrap_or(0);
        left.is_some()
    }

    /// Gives a request back: an authorised one that was answered with 304 does not count.
    pub(crate) fn give_back(&mut self, caller: &Caller) {
        self.allowance(name(caller)).remaining += 1;
    }

    fn allowance(&mut self, name: &str) -> &mut Allowance {
        let limit = if name.is_empty() {
            ANONYMOUS
        } else {
            AUTHORISED
        };
        let allowance = self
            .allowances
            .entry(name.to_owned())
            .or_insert_with(|| Allowance::full(limit));
        if allowance.reset <= SystemTime::now() {
            *allowance = Allowance::full(limit);
        }
        allowance
    }
}

/// What is refused counts for nobody who is known.
fn name(caller: &Caller) -> &str {
    caller.token().map_or("", |token| &token.text)
}

fn password(basic: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD
        .decode(basic)
        .ok()
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .and_then(|pair| Some(pair.split_once(':')?.1.to_owned()))
        .unwrap_or_default()
}
