//! Where a secret comes from: `token = { env = "…" }` and its like. The secret itself is never in the configuration.

use std::fmt;
use std::ops::Range;
use std::path::PathBuf;

use toml::de::{DeTable, DeValue};

use crate::commands::command;
use crate::env::PASSED_ON;
use crate::mask::looks_like_a_secret;
use crate::section::{Section, suggest, text};
use crate::values::{ValueError, expand_path};
use crate::{Env, Locations};

/// Where a secret is looked up at the moment of its use.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// A variable of the environment.
    Env(String),
    /// The whole of a file that only the user may read; absolute.
    File(PathBuf),
    /// What a command prints: a program and its arguments.
    Command(Vec<String>),
    /// An entry of the desktop's keyring, by its name.
    Keyring(String),
}

/// The words for them.
const FORMS: [&str; 4] = ["env", "file", "command", "keyring"];
/// More than any name of a variable or of an entry has.
const LONGEST_NAME: usize = 255;
/// Programs that print what they are given, so that the secret would stand in the file after all.
const PARROTS: [&str; 2] = ["echo", "printf"];

const HOW: &str = "write where it is, for example { env = \"TEAM_TOKEN\" }, { file = \"~/.secrets/team\" }, \
     { command = [\"gh\", \"auth\", \"token\"] } or { keyring = \"team\" }; whoever read this file may know the secret, \
     so get a new one";

impl SecretSource {
    /// Reads what follows `--token`: `env:NAME`, `file:PATH`, `keyring:NAME` or `command:PROGRAM ARGUMENT…`.
    ///
    /// The error never repeats the text.
    pub fn parse(text: &str) -> Result<Self, ValueError> {
        let wrong = || {
            ValueError::new(
                "a secret is never given on the command line",
                "say where it is: env:NAME, file:PATH, keyring:NAME or \"command:PROGRAM ARGUMENT…\"; what was typed is in \
                 the history of the shell and was seen in the list of processes, so if it is a secret, get a new one",
            )
        };
        let (form, rest) = text.split_once(':').ok_or_else(wrong)?;
        if rest.trim().is_empty() && FORMS.contains(&form) {
            return Err(ValueError::new(
                format!("nothing follows `{form}:`"),
                "write for example env:TEAM_TOKEN",
            ));
        }
        match form {
            "env" => variable(rest).map(Self::Env),
            "file" => Ok(Self::File(PathBuf::from(rest))),
            "keyring" => entry(rest).map(Self::Keyring),
            "command" => Ok(Self::Command(
                rest.split_whitespace().map(str::to_owned).collect(),
            )),
            _ => Err(wrong()),
        }
    }

    /// Returns the word for its form, as the configuration has it.
    pub fn form(&self) -> &'static str {
        match self {
            Self::Env(_) => "env",
            Self::File(_) => "file",
            Self::Command(_) => "command",
            Self::Keyring(_) => "keyring",
        }
    }
}

impl fmt::Display for SecretSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "the variable {name}"),
            Self::File(path) => write!(f, "the file {}", path.display()),
            // Of its arguments nobody knows what they hold.
            Self::Command(words) => write!(
                f,
                "the command `{}`",
                words.first().map_or("", String::as_str)
            ),
            Self::Keyring(name) => write!(f, "the keyring entry `{name}`"),
        }
    }
}

/// Reads where a secret comes from. Complaints never repeat what stands there.
pub(crate) fn read(
    section: &Section<'_>,
    key: &str,
    locations: &Locations,
    env: &Env,
) -> Option<SecretSource> {
    let value = section.table.and_then(|table| table.get(key))?;
    let Some(table) = value.get_ref().as_table() else {
        let what = match value.get_ref() {
            DeValue::String(_) => {
                format!("{key}: a secret is never written into the configuration")
            }
            _ => format!("{key}: where the secret comes from belongs here, as a table"),
        };
        section.complain(value.span(), what, Some(HOW.to_owned()));
        return None;
    };
    only_form(section, key, table, value.span())?;
    let part = Section {
        title: format!("{}, {key}", section.title),
        header: value.span(),
        table: Some(table),
        defaults: section.defaults,
        complaints: section.complaints,
    };
    let base = locations
        .config_file
        .parent()
        .unwrap_or(&locations.config_file);
    if table.contains_key("env") {
        let name = part.get("env", |value| variable(&text(value)?))?;
        return Some(SecretSource::Env(name.value));
    }
    if table.contains_key("file") {
        let path = part.get("file", |value| {
            let text = text(value)?;
            if looks_like_a_secret(&text) {
                return Err(literal());
            }
            expand_path(&text, base, env.home.as_deref())
        })?;
        return Some(SecretSource::File(path.value));
    }
    if table.contains_key("keyring") {
        let name = part.get("keyring", |value| entry(&text(value)?))?;
        return Some(SecretSource::Keyring(name.value));
    }
    let words = command(&part, "command", env);
    let Some(program) = words.first() else {
        if part.texts("command").is_some_and(|words| words.is_empty()) {
            let hint =
                "name a program that prints the secret, for example [\"gh\", \"auth\", \"token\"]";
            part.complain(value.span(), "command: it is empty", Some(hint.to_owned()));
        }
        return None;
    };
    let name = program.rsplit('/').next().unwrap_or_default();
    if PARROTS.contains(&name) || words.iter().any(|word| looks_like_a_secret(word)) {
        let error = literal();
        part.complain(
            value.span(),
            format!("command: {}", error.message),
            error.hint,
        );
        return None;
    }
    Some(SecretSource::Command(words))
}

/// Makes sure that exactly one form is given.
fn only_form(
    section: &Section<'_>,
    key: &str,
    table: &DeTable<'_>,
    span: Range<usize>,
) -> Option<()> {
    let mut known = 0;
    for name in table.keys() {
        let word = name.get_ref().as_ref();
        if FORMS.contains(&word) {
            known += 1;
            continue;
        }
        // The word itself may be the secret; a near one is a slip.
        let hint = suggest(word, &FORMS, "one of");
        section.complain(
            name.span(),
            format!("{key}: this does not say where a secret comes from"),
            Some(hint),
        );
        return None;
    }
    match known {
        1 => Some(()),
        0 => {
            section.complain(
                span,
                format!("{key}: it does not say where the secret comes from"),
                Some(HOW.to_owned()),
            );
            None
        }
        _ => {
            section.complain(
                span,
                format!("{key}: a secret comes from one place, and here are {known}"),
                Some(format!("keep one of: {}", FORMS.join(", "))),
            );
            None
        }
    }
}

fn literal() -> ValueError {
    ValueError::new(
        "this looks like the secret itself, which is never written into the configuration",
        HOW,
    )
}

fn variable(name: &str) -> Result<String, ValueError> {
    let is_name = name.len() <= LONGEST_NAME
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && !name.starts_with(|first: char| first.is_ascii_digit());
    let mixed = name.len() >= 20
        && name.bytes().any(|byte| byte.is_ascii_lowercase())
        && name.bytes().any(|byte| byte.is_ascii_digit());
    if mixed || looks_like_a_secret(name) {
        return Err(literal());
    }
    if name.is_empty() || !is_name {
        return Err(ValueError::new(
            "this is no name of an environment variable",
            "a name has letters, digits and `_`, for example { env = \"TEAM_TOKEN\" }",
        ));
    }
    if PASSED_ON.contains(&name) {
        return Err(ValueError::new(
            format!("`{name}` has another meaning, and commands such as hooks are given it"),
            "give the secret a variable of its own, for example TEAM_TOKEN",
        ));
    }
    Ok(name.to_owned())
}

fn entry(name: &str) -> Result<String, ValueError> {
    if looks_like_a_secret(name) {
        return Err(literal());
    }
    if name.trim().is_empty() || name.len() > LONGEST_NAME || name.contains(char::is_control) {
        return Err(ValueError::new(
            "this is no name of a keyring entry",
            "write for example { keyring = \"team\" }",
        ));
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{Config, ConfigError};

    const LITERAL: &str = "hunter2-of-the-test";

    fn parse(lines: &str) -> Result<Option<SecretSource>, ConfigError> {
        let env = Env::with_home(Path::new("/nowhere/home"));
        let locations = Locations::find(None, None, &env).unwrap();
        let text = format!("[sources.a]\nkind = \"dir\"\nroot = \"/somewhere/a\"\n{lines}\n");
        let config = Config::parse(&text, &locations, &env)?;
        Ok(config.sources.into_values().next().unwrap().token)
    }

    #[test]
    fn a_secret_comes_from_one_of_four_places() {
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect();
        for (line, source) in [
            ("", None),
            (
                "token = { env = \"TEAM_TOKEN\" }",
                Some(SecretSource::Env("TEAM_TOKEN".to_owned())),
            ),
            (
                "token.env = \"_t\"",
                Some(SecretSource::Env("_t".to_owned())),
            ),
            (
                "token = { file = \"~/t\" }",
                Some(SecretSource::File("/nowhere/home/t".into())),
            ),
            (
                "token = { file = \"t\" }",
                Some(SecretSource::File("/nowhere/home/.config/homing/t".into())),
            ),
            (
                "token = { command = [\"~/bin/tok\", \"a b\"] }",
                Some(SecretSource::Command(words(&[
                    "/nowhere/home/bin/tok",
                    "a b",
                ]))),
            ),
            (
                "[sources.a.token]\nkeyring = \"team token\"",
                Some(SecretSource::Keyring("team token".to_owned())),
            ),
        ] {
            assert_eq!(parse(line).unwrap(), source, "{line}");
        }
    }

    #[test]
    fn a_secret_that_is_written_down_is_refused_and_never_shown() {
        for (line, told) in [
            ("token = \"{}\"", "never written"),
            ("token = '{}'", "never written"),
            ("token = \"\"\"\n{}\"\"\" # {}", "never written"),
            ("token = [\"{}\"]", "as a table"),
            ("token = { value = \"{}\" }", "does not say where"),
            ("token = { enf = \"{}\" }", "did you mean `env`"),
            ("token = { {} = 1 }", "does not say where"),
            ("token = {}", "string values must be quoted"),
            ("token = \"{}", "invalid basic string"),
            ("token = { env = \"X\", file = \"{}\" }", "from one place"),
            ("token = { env = \"{}\" }", "no name"),
            ("token = { env = \"ghp_{}\" }", "the secret itself"),
            ("token = { env = \"PATH\" } # {}", "another meaning"),
            ("token = { keyring = \"glpat-{}\" }", "the secret itself"),
            ("token = { file = \"github_pat_{}\" }", "the secret itself"),
            (
                "token = { command = [\"/bin/echo\", \"{}\"] }",
                "the secret itself",
            ),
            ("token = { command = [] }", "it is empty"),
            ("token = {} # { }", "does not say where"),
            ("tokne = \"{}\"", "did you mean `token`"),
            ("password = \"{}\"", "unknown key"),
            ("x = 1 # token = \"{}\"", "unknown key"),
            ("[sources.a.token]\nvalue = \"{}\"", "does not say where"),
            ("[sources.a.token]\nenv = \n\"{}\"", "env"),
            ("root = \"https://ada:{}@host/x\"", "duplicate"),
            ("path = \"/https://ada:{}@host/x\"", "below the root"),
        ] {
            // `{} #` is the empty table.
            let literal = line.replace("{}", LITERAL);
            let line = if line.contains("{} #") {
                line
            } else {
                &literal
            };
            let error = parse(line).unwrap_err();
            let debugged = format!("{error:?}");
            let all = format!("{error}\n{}\n{:?}", error.report(), error.hint());
            assert!(all.contains(told), "{line}: {all}");
            assert!(!all.contains("hunter2"), "{line}: {all}");
            assert!(!debugged.contains("hunter2"), "{line}: {debugged}");
        }
    }

    #[test]
    fn the_caret_is_below_what_is_wrong_although_something_is_masked() {
        let error = parse("token = { env = \"TEAM_TOKEN\", files = \"x\" }").unwrap_err();
        let report = error.report();
        let lines: Vec<&str> = report.lines().collect();
        assert_eq!(
            lines[2], "4 | token = { env = \"…\", files = \"…\" }",
            "{report}"
        );
        let caret = lines[3].find('^').unwrap();
        assert!(
            lines[2]
                .chars()
                .skip(caret)
                .collect::<String>()
                .starts_with("files"),
            "{report}"
        );
    }

    #[test]
    fn what_follows_an_option_says_where_or_is_refused_unseen() {
        for (text, form) in [
            ("env:TEAM_TOKEN", "env"),
            ("file:~/t", "file"),
            ("keyring:team", "keyring"),
            ("command:gh auth token", "command"),
        ] {
            assert_eq!(SecretSource::parse(text).unwrap().form(), form);
        }
        for text in [
            LITERAL,
            "env:",
            "env:hunter2-x",
            "pass:hunter2",
            "keyring:ghp_hunter2",
        ] {
            let error = SecretSource::parse(text).unwrap_err();
            assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
        }
    }
}
