//! What a shell asks for when Tab is pressed: names from the daemon, or from the configuration while it does not answer.
//!
//! Nothing is started, and nothing is ever told but names: an error text would end up in what is being typed.

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use clap::{Arg, Command, CommandFactory};
use clap_complete::CompleteEnv;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};
use homing_api::{Run, RunsQuery, section};
use homing_client::Client;
use homing_config::{Config, Env};

use crate::arguments::{Arguments, Globals};
use crate::context::Context;
use crate::output::Screen;
use crate::text::{escape, relative};

/// The variable by which a shell asks; its value is the shell's name.
pub(crate) const VARIABLE: &str = "HOMING_COMPLETE";

/// A person waits with a finger on Tab.
const LIMIT: Duration = Duration::from_millis(300);

/// How many runs are offered.
const RUNS: u32 = 20;

/// Answers a shell, if it is one that asks.
pub(crate) fn answer(args: &[OsString], env: &Env) -> bool {
    let words = args.iter().skip_while(|word| *word != "--").skip(1);
    let known = Arc::new(Known {
        globals: globals(words),
        env: env.clone(),
    });
    let asked = CompleteEnv::with_factory(|| with_names(Arguments::command(), &[], &known))
        .var(VARIABLE)
        .try_complete(args, Some(&env.current_dir));
    // An error means that a shell asked.
    asked.unwrap_or(true)
}

/// What a word on the command line names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Named {
    Source,
    Target,
    Either,
    Run,
}

/// Tells what an argument of a command names.
fn named(command: &[String], argument: &str) -> Option<Named> {
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    match (command.as_slice(), argument) {
        (["source" | "target", "add"], "name" | "names") => None,
        (["run", ..], "id") | (["undo"], "run") => Some(Named::Run),
        (["source", "add"], "target") | (["target", ..] | ["verify"], "name" | "names") => {
            Some(Named::Target)
        }
        (["status" | "conflicts" | "resolve"], "name" | "names") => Some(Named::Either),
        (["target", "add"], "from" | "new_files_to") | (_, "name" | "names") => Some(Named::Source),
        _ => None,
    }
}

fn with_names(command: Command, path: &[String], known: &Arc<Known>) -> Command {
    let command = command.mut_args(|arg: Arg| match named(path, arg.get_id().as_str()) {
        Some(named) => {
            let known = Arc::clone(known);
            arg.add(ArgValueCompleter::new(move |current: &OsStr| {
                known.candidates(named, current)
            }))
        }
        None => arg,
    });
    command.mut_subcommands(|subcommand| {
        let mut path = path.to_vec();
        path.push(subcommand.get_name().to_owned());
        with_names(subcommand, &path, known)
    })
}

/// Finds the places among the words typed so far, of which the last may be unfinished.
fn globals<'w>(words: impl IntoIterator<Item = &'w OsString>) -> Globals {
    let mut globals = Globals::default();
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        let Some(word) = word.to_str() else { continue };
        let (flag, value) = match word.split_once('=') {
            Some((flag, value)) => (flag, Some(value.into())),
            None => (word, None),
        };
        let place = match flag {
            "--config" => &mut globals.config,
            "--data-dir" => &mut globals.data_dir,
            "--socket" => &mut globals.socket,
            _ => continue,
        };
        *place = value.or_else(|| words.next().map(|value| Path::new(value).to_owned()));
    }
    globals
}

/// Where names are found.
struct Known {
    globals: Globals,
    env: Env,
}

impl Known {
    fn candidates(&self, named: Named, current: &OsStr) -> Vec<CompletionCandidate> {
        let Some(current) = current.to_str() else {
            return Vec::new();
        };
        let found = match named {
            Named::Run => self.runs(),
            Named::Source | Named::Target | Named::Either => self.names(named),
        };
        found
            .unwrap_or_default()
            .into_iter()
            .filter(|(name, _)| name.starts_with(current))
            .enumerate()
            .map(|(order, (name, help))| {
                CompletionCandidate::new(name)
                    .help(Some(escape(&help).into_owned().into()))
                    .display_order(Some(order))
            })
            .collect()
    }

    fn names(&self, named: Named) -> Option<Vec<(String, String)>> {
        let context = self.context()?;
        let (sources, targets) = asked(&context.client, async |client| {
            let status = client.status().await.ok()?;
            let sources = status.sources.into_iter().map(|source| source.id);
            let targets = status.targets.into_iter().map(|target| target.id);
            Some((sources.collect::<Vec<_>>(), with_presets(targets)))
        })
        .or_else(|| {
            let config = Config::load(&context.locations, &context.env).ok()?;
            let sources = config.sources.keys().map(ToString::to_string);
            let targets = config.targets.keys().map(ToString::to_string);
            Some((sources.collect(), with_presets(targets)))
        })?;
        let of = |kind: &'static str, names: Vec<String>| {
            names.into_iter().map(move |name| (name, kind.to_owned()))
        };
        Some(match named {
            Named::Source | Named::Run => of("source", sources).collect(),
            Named::Target => of("target", targets).collect(),
            Named::Either => of("source", sources).chain(of("target", targets)).collect(),
        })
    }

    fn runs(&self) -> Option<Vec<(String, String)>> {
        let context = self.context()?;
        let runs = asked(&context.client, async |client| {
            let query = RunsQuery {
                limit: Some(RUNS),
                ..RunsQuery::default()
            };
            client.runs(&query).await.ok()
        })?;
        let told = |run: Run| {
            let of = run.source.or(run.target).unwrap_or_default();
            let when = relative(&run.started_at, context.now);
            let help = format!("{} {of}, {}, {when}", run.verb.as_str(), run.status);
            (run.id.to_string(), help)
        };
        Some(runs.runs.into_iter().map(told).collect())
    }

    fn context(&self) -> Option<Context> {
        Context::new(&self.globals, &self.env, Screen::default()).ok()
    }
}

/// Asks the daemon; `None` when it does not answer in time, or not with what was asked for.
fn asked<T>(client: &Client, question: impl AsyncFnOnce(&Client) -> Option<T>) -> Option<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .ok()?;
    runtime.block_on(async {
        tokio::time::timeout(LIMIT, question(client))
            .await
            .ok()
            .flatten()
    })
}

/// Returns the names that targets go by: before the parts of a preset, that of the preset.
fn with_presets(ids: impl Iterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for id in ids {
        let preset = section(&id).to_owned();
        if !names.contains(&preset) {
            names.push(preset);
        }
        if !names.contains(&id) {
            names.push(id);
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_that_can_be_typed_is_completed() {
        let mut waiting = vec![(Vec::new(), Arguments::command())];
        let mut completed = Vec::new();
        while let Some((path, command)) = waiting.pop() {
            for arg in command.get_positionals() {
                if let Some(named) = named(&path, arg.get_id().as_str()) {
                    completed.push(format!("{} {named:?}", path.join(" ")));
                }
            }
            for subcommand in command.get_subcommands() {
                let mut path: Vec<String> = path.clone();
                path.push(subcommand.get_name().to_owned());
                waiting.push((path, subcommand.clone()));
            }
        }
        for expected in [
            "status Either",
            "sync Source",
            "pull Source",
            "push Source",
            "diff Source",
            "conflicts Either",
            "resolve Either",
            "history Source",
            "run show Run",
            "run cancel Run",
            "undo Run",
            "release Source",
            "pause Source",
            "resume Source",
            "verify Target",
            "source show Source",
            "source enable Source",
            "source pin Source",
            "rollback Source",
            "source check Source",
            "target remove Target",
        ] {
            assert!(
                completed.iter().any(|found| found == expected),
                "{expected}: {completed:?}"
            );
        }
    }

    #[test]
    fn a_new_source_has_no_name_to_complete() {
        let path = |words: [&str; 2]| words.map(ToOwned::to_owned);
        assert_eq!(named(&path(["source", "add"]), "name"), None);
        assert_eq!(named(&path(["target", "add"]), "from"), Some(Named::Source));
        assert_eq!(
            named(&path(["source", "remove"]), "name"),
            Some(Named::Source)
        );
        assert_eq!(
            named(&path(["target", "show"]), "name"),
            Some(Named::Target)
        );
    }

    #[test]
    fn places_are_found_among_unfinished_words() {
        let words: Vec<OsString> = [
            "homing",
            "--socket",
            "/s",
            "sync",
            "--config=c",
            "--data-dir",
        ]
        .map(OsString::from)
        .to_vec();
        let globals = globals(&words);
        assert_eq!(globals.socket.as_deref(), Some(Path::new("/s")));
        assert_eq!(globals.config.as_deref(), Some(Path::new("c")));
        assert_eq!(globals.data_dir, None);
    }
}
