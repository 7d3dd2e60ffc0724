//! Commands that the configuration names: lists of arguments, and which of them are in force.

use std::collections::BTreeMap;
use std::path::PathBuf;

use homing_core::{SourceId, TargetId};

use crate::config::SourceKind;
use crate::section::Section;
use crate::{Config, Env, SecretSource};

/// The commands of a configuration, by place, each with the directory that it runs in.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Commands {
    after: BTreeMap<TargetId, (Vec<String>, PathBuf)>,
    /// What prints a source's token, and whom it is for.
    tokens: BTreeMap<SourceId, (SecretSource, SourceKind)>,
}

impl Config {
    /// Returns the commands.
    pub fn commands(&self) -> Commands {
        let hooks = self.targets.iter();
        let hooks = hooks.filter(|(_, target)| !target.after.is_empty());
        let tokens = self.sources.iter().filter_map(|(id, source)| {
            let token = source.token.clone().filter(is_command)?;
            Some((id.clone(), (token, source.kind.clone())))
        });
        Commands {
            tokens: tokens.collect(),
            after: hooks
                .map(|(id, target)| (id.clone(), (target.after.clone(), target.path.clone())))
                .collect(),
        }
    }

    /// Takes back every command that is not among those `in_force`, and returns where they are.
    ///
    /// Where a command was changed, the old one stays in its place; where it would run in another directory, or
    /// nothing was, nothing runs. A command that is gone is gone.
    pub fn keep_commands(&mut self, mut in_force: Commands) -> Vec<String> {
        let mut waiting = Vec::new();
        for (id, source) in &mut self.sources {
            let Some(wanted) = source.token.clone().filter(is_command) else {
                continue;
            };
            let known = in_force.tokens.remove(id);
            if known.as_ref().is_some_and(|(token, kind)| {
                *token == wanted && kind.is_one_place_with(&source.kind)
            }) {
                continue;
            }
            waiting.push(format!("sources.{id}.token"));
            // What the old one prints is not for another place.
            source.token = known
                .filter(|(_, kind)| kind.is_one_place_with(&source.kind))
                .map(|(token, _)| token);
        }
        for (id, target) in &mut self.targets {
            let wanted = (target.after.clone(), target.path.clone());
            if wanted.0.is_empty() {
                continue;
            }
            let known = in_force.after.remove(id);
            if known.as_ref() == Some(&wanted) {
                continue;
            }
            waiting.push(format!("targets.{id}.after"));
            target.after = known
                .filter(|(_, path)| *path == target.path)
                .map(|(command, _)| command)
                .unwrap_or_default();
        }
        waiting
    }
}

fn is_command(token: &SecretSource) -> bool {
    matches!(token, SecretSource::Command(_))
}

/// Reads a command: a program, by name, from the root or from `~/`, and its arguments. Empty when there is none.
pub(crate) fn command(section: &Section<'_>, key: &str, env: &Env) -> Vec<String> {
    let words = section.texts(key).unwrap_or_default();
    for word in &words {
        if word.value.contains('\0') {
            section.complain(
                word.span.clone(),
                format!("{key}: an argument has a NUL character"),
                Some("remove it".to_owned()),
            );
        }
    }
    let mut command: Vec<String> = words.iter().map(|word| word.value.clone()).collect();
    let (Some(program), Some(word)) = (command.first_mut(), words.first()) else {
        return command;
    };
    let wrong = |message: String, hint: &str| {
        section.complain(word.span.clone(), message, Some(hint.to_owned()));
    };
    if program.is_empty() {
        wrong(format!("{key}: the program is empty"), "name a program");
    } else if let Some(below) = program.strip_prefix("~/") {
        let home = env.home.as_deref();
        match home.and_then(|home| home.join(below).to_str().map(str::to_owned)) {
            Some(path) => *program = path,
            None => wrong(
                format!("{key}: the home directory is not known"),
                "write an absolute path",
            ),
        }
    } else if program.contains('/') && !program.starts_with('/') {
        wrong(
            format!(
                "{key}: `{}` would be another program in every directory",
                program.escape_debug()
            ),
            "write an absolute path, one that begins with `~/`, or the name of a program in PATH",
        );
    } else if program.contains(char::is_whitespace) && words.len() == 1 {
        wrong(
            format!(
                "{key}: there is hardly a program named `{}`",
                program.escape_debug()
            ),
            "no shell takes it apart: write a list such as [\"notify-send\", \"agents updated\"]",
        );
    }
    command
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::{ConfigError, Locations};

    fn parse(target: &str) -> Result<Config, ConfigError> {
        let env = Env::with_home(Path::new("/nowhere/home"));
        let locations = Locations::find(None, None, &env).unwrap();
        let text = format!(
            "[sources.a]\nkind = \"dir\"\nroot = \"/somewhere/a\"\n[targets.t]\nfrom = [\"a\"]\n{target}\n"
        );
        Config::parse(&text, &locations, &env)
    }

    fn after(config: &Config) -> Vec<String> {
        config.targets.values().next().unwrap().after.clone()
    }

    const HOOK: &str = "path = \"~/t\"\nafter = [\"say\", \"hello  world\", \"\"]";

    #[test]
    fn a_command_is_a_list_and_its_program_may_begin_at_home() {
        assert_eq!(after(&parse(HOOK).unwrap()), ["say", "hello  world", ""]);
        let at_home = parse("path = \"~/t\"\nafter = [\"~/bin/x\", \"~/y\"]").unwrap();
        assert_eq!(after(&at_home), ["/nowhere/home/bin/x", "~/y"]);
        assert!(after(&parse("path = \"~/t\"\nafter = []").unwrap()).is_empty());
        for wrong in [
            "after = \"say hello\"",
            "after = [\"say hello\"]",
            "after = [\"\"]",
            "after = [\"./x.sh\"]",
            "after = [\"bin/x\"]",
            "after = [\"say\", \"a\\u0000b\"]",
            "after = [3]",
            "hook_timeout = \"10ms\"",
        ] {
            let error = parse(&format!("path = \"~/t\"\n{wrong}")).unwrap_err();
            assert!(error.to_string().contains(":7:"), "{wrong}: {error}");
        }
    }

    #[test]
    fn only_token_commands_in_force_stay() {
        let env = Env::with_home(Path::new("/nowhere/home"));
        let locations = Locations::find(None, None, &env).unwrap();
        let parse = |root: &str, token: &str| {
            let text = format!("[sources.a]\nkind = \"dir\"\nroot = \"{root}\"\ntoken = {token}\n");
            Config::parse(&text, &locations, &env).unwrap()
        };
        let kept = |mut config: Config, in_force: &Commands| {
            let waiting = config.keep_commands(in_force.clone());
            let token = config.sources.into_values().next().unwrap().token;
            (token, waiting.len())
        };
        let pass = "{ command = [\"pass\", \"team\"] }";
        let old = parse("/a", pass);
        let token = old.sources.values().next().unwrap().token.clone();
        let in_force = old.commands();
        let other = "{ command = [\"other\"] }";
        assert_eq!(kept(parse("/a", pass), &in_force), (token.clone(), 0));
        assert_eq!(kept(parse("/a", other), &in_force), (token, 1));
        assert_eq!(kept(parse("/b", pass), &in_force), (None, 1));
        assert_eq!(kept(parse("/a", pass), &Commands::default()), (None, 1));
        let variable = Some(SecretSource::Env("T".to_owned()));
        let config = parse("/a", "{ env = \"T\" }");
        assert_eq!(kept(config, &Commands::default()), (variable, 0));
    }

    #[test]
    fn only_commands_in_force_stay() {
        let old = parse(HOOK).unwrap().commands();
        let kept = |text: &str, in_force: &Commands| {
            let mut config = parse(text).unwrap();
            let waiting = config.keep_commands(in_force.clone());
            (after(&config), waiting)
        };
        let hook = ["say", "hello  world", ""].map(str::to_owned).to_vec();
        let waits = vec!["targets.t.after".to_owned()];
        assert_eq!(kept(HOOK, &old), (hook.clone(), Vec::new()));
        assert_eq!(
            kept(HOOK, &Commands::default()),
            (Vec::new(), waits.clone())
        );
        let changed = "path = \"~/t\"\nafter = [\"shout\"]";
        assert_eq!(kept(changed, &old), (hook, waits.clone()));
        let moved = HOOK.replace("~/t", "~/u");
        assert_eq!(kept(&moved, &old), (Vec::new(), waits));
        assert_eq!(kept("path = \"~/t\"", &old), (Vec::new(), Vec::new()));
    }
}
