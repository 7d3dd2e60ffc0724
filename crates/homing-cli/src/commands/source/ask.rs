//! Questions on a terminal, for what a command line left out.

use std::io::{self, BufRead, IsTerminal, Write};

use homing_api::{Problem, ProblemKind};
use homing_config::{ValueError, parse_duration, parse_name};

use crate::arguments::AddSourceArgs;
use crate::error::CliError;

/// What is known of a new source once every question is answered.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answers {
    pub(super) name: String,
    pub(super) place: Place,
    pub(super) every: Option<String>,
    pub(super) targets: Vec<String>,
}

/// Where a source is, as it was typed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// In a directory.
    Root(String),
    /// At a URL.
    Url(String),
}

impl Place {
    /// Returns what the flags say.
    fn of(args: &AddSourceArgs) -> Option<Self> {
        let url = args.url.clone().map(Self::Url);
        url.or_else(|| args.root.clone().map(Self::Root))
    }

    /// Reads an answer: whoever types a URL means one.
    fn parse(text: &str) -> Self {
        if text.starts_with("https://") || text.starts_with("http://") {
            Self::Url(text.to_owned())
        } else {
            Self::Root(text.to_owned())
        }
    }
}

/// Takes what was typed, and asks for the rest if somebody sits at a terminal; else it is a usage error.
pub(super) fn complete(
    args: &AddSourceArgs,
    targets: &[String],
    may_ask: bool,
) -> Result<Answers, CliError> {
    if let (Some(name), Some(place)) = (&args.name, Place::of(args)) {
        return Ok(Answers {
            name: name.clone(),
            place,
            every: args.every.clone(),
            targets: args.target.clone(),
        });
    }
    if !may_ask || !io::stdin().is_terminal() || !io::stderr().is_terminal() {
        let missing = match (&args.name, Place::of(args)) {
            (None, None) => "NAME and --root are missing",
            (None, Some(_)) => "NAME is missing",
            _ if matches!(args.kind.as_deref(), Some("http" | "github" | "git")) => {
                "--url is missing"
            }
            _ => "--root is missing, or --url",
        };
        return Err(Problem::new(ProblemKind::BadRequest, missing)
            .with_hint("for example: `homing source add team --root ~/team/agents --every 1h`")
            .into());
    }
    Questions {
        input: io::stdin().lock(),
        output: io::stderr().lock(),
    }
    .ask(args, targets)
}

struct Questions<R, W> {
    input: R,
    output: W,
}

impl<R: BufRead, W: Write> Questions<R, W> {
    fn ask(&mut self, args: &AddSourceArgs, targets: &[String]) -> Result<Answers, CliError> {
        let name = match &args.name {
            Some(name) => name.clone(),
            None => self.question("name of the source", parse_name)?,
        };
        let place = match Place::of(args) {
            Some(place) => place,
            None => self.question("directory or URL to sync from", |text| match text {
                "" => Err(ValueError {
                    message: "a directory or a URL is needed".to_owned(),
                    hint: None,
                }),
                text => Ok(Place::parse(text)),
            })?,
        };
        let every = match (&args.every, &args.cron) {
            (None, None) => self.question(
                "sync every (15m, 6h, …; empty: only when you ask)",
                |text| {
                    (!text.is_empty())
                        .then(|| parse_duration(text).map(|_| text.to_owned()))
                        .transpose()
                },
            )?,
            (every, _) => every.clone(),
        };
        let targets = if args.target.is_empty() && !targets.is_empty() {
            let question = format!("publish it in ({}; empty: nowhere yet)", targets.join(", "));
            self.question(&question, |text| {
                let names: Vec<String> = text
                    .split([',', ' '])
                    .filter(|name| !name.is_empty())
                    .map(str::to_owned)
                    .collect();
                match names.iter().find(|name| !targets.contains(name)) {
                    Some(name) => Err(ValueError {
                        message: format!("there is no target `{}`", name.escape_debug()),
                        hint: None,
                    }),
                    None => Ok(names),
                }
            })?
        } else {
            args.target.clone()
        };
        Ok(Answers {
            name,
            place,
            every,
            targets,
        })
    }

    /// Asks until the answer makes sense; the end of the input ends the command.
    fn question<T>(
        &mut self,
        question: &str,
        read: impl Fn(&str) -> Result<T, ValueError>,
    ) -> Result<T, CliError> {
        loop {
            write!(self.output, "{question}: ")?;
            self.output.flush()?;
            let mut line = String::new();
            if self.input.read_line(&mut line)? == 0 {
                writeln!(self.output)?;
                return Err(Problem::new(
                    ProblemKind::Cancelled,
                    "nothing was written: a question was not answered",
                )
                .with_hint("`homing source add --help` lists the flags that answer it")
                .into());
            }
            match read(line.trim()) {
                Ok(answer) => return Ok(answer),
                Err(error) => {
                    let hint = error
                        .hint
                        .map(|hint| format!("; {hint}"))
                        .unwrap_or_default();
                    writeln!(self.output, "  {}{hint}", error.message)?;
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::arguments::{Arguments, Command, SourceCommand};

    fn args(line: &str) -> AddSourceArgs {
        let Command::Source(SourceCommand::Add(args)) =
            Arguments::try_parse_from(line.split_whitespace())
                .unwrap()
                .command
        else {
            panic!("{line}")
        };
        *args
    }

    fn answered(line: &str, input: &str) -> (Result<Answers, CliError>, String) {
        let mut output = Vec::new();
        let targets = ["claude".to_owned(), "codex".to_owned()];
        let answers = Questions {
            input: input.as_bytes(),
            output: &mut output,
        }
        .ask(&args(line), &targets);
        (answers, String::from_utf8(output).unwrap())
    }

    #[test]
    fn what_is_missing_is_asked_until_it_makes_sense() {
        let (answers, said) = answered(
            "homing source add",
            "-x\nteam\n\n~/team\nsoon\n15m\nnobody\nclaude, codex\n",
        );
        assert_eq!(
            answers.unwrap(),
            Answers {
                name: "team".to_owned(),
                place: Place::Root("~/team".to_owned()),
                every: Some("15m".to_owned()),
                targets: vec!["claude".to_owned(), "codex".to_owned()],
            }
        );
        for told in [
            "as options do",
            "a directory or a URL is needed",
            "`soon` is not a duration",
            "no target `nobody`",
        ] {
            assert!(said.contains(told), "{said}");
        }
    }

    #[test]
    fn only_what_is_missing_is_asked() {
        let (answers, said) = answered(
            "homing source add team --every 1h --target codex",
            "/srv/team\n",
        );
        assert_eq!(answers.unwrap().place, Place::Root("/srv/team".to_owned()));
        assert_eq!(said, "directory or URL to sync from: ");
    }

    #[test]
    fn the_end_of_the_input_ends_it() {
        let (answers, _) = answered("homing source add", "team\n");
        let problem = answers.unwrap_err().problem();
        assert!(
            problem.detail.contains("nothing was written") && problem.hint.is_some(),
            "{problem:?}"
        );
    }

    #[test]
    fn without_a_terminal_it_is_usage() {
        for (line, missing) in [
            ("homing source add", "NAME and --root"),
            ("homing source add team", "--root is missing"),
            ("homing source add team --kind http", "--url is missing"),
            (
                "homing source add --url https://e.org --archive",
                "NAME is missing",
            ),
            ("homing source add --root d", "NAME is missing"),
        ] {
            let error = complete(&args(line), &[], false).unwrap_err();
            assert!(error.problem().detail.contains(missing), "{error:?}");
            assert_eq!(error.exit().code(), 2);
        }
    }
}
