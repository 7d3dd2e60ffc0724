//! `homing source add`

use homing_api::{CheckRequest, Problem, ProblemKind};
use homing_config::{Edit, EditError, SecretSource, Section, Setting, secret_in_address};

use super::ask::{self, Place};
use super::check;
use crate::arguments::AddSourceArgs;
use crate::commands::editing::{self, Next, Told};
use crate::context::Context;
use crate::error::CliError;
use crate::output::Report;
use crate::text::quote;

const SECRET_HINT: &str = "leave it out, and say where it is, for example --token env:TEAM_TOKEN; what was typed may be in the \
     shell's history, so take it out there and get a new secret";

/// So many things that would not come are named.
const MOST_NOTICES: usize = 5;

/// Adds a source to the configuration, after a look at it.
pub(super) async fn run(args: &AddSourceArgs, context: &Context) -> Result<Report, CliError> {
    let known = Edit::begin(&context.locations, &context.env)?.names(Section::Target);
    let answers = ask::complete(args, &known, context.may_ask)?;
    let name = answers.name.as_str();
    let mut settings = place(args, &answers.place, context)?;
    settings.extend(common(args, answers.every.as_deref()));
    let token = args
        .token
        .as_deref()
        .map(|text| token(text, context))
        .transpose()?;
    settings.extend(token.map(|token| ("token", Setting::Secret(token))));
    let change = |edit: &mut Edit| -> Result<(), EditError> {
        edit.add(Section::Source, name, &settings)?;
        for target in &answers.targets {
            edit.push(Section::Target, target, "from", name)?;
        }
        Ok(())
    };
    editing::prepare(context, &change)?;
    let mut told = Told {
        headline: format!("added source `{name}`"),
        next: Some(next(name, &answers.targets, &known)),
        ..Told::default()
    };
    if !args.no_check {
        let mut only = Edit::of_nothing(&context.locations, &context.env);
        only.add(Section::Source, name, &settings)?;
        let request = CheckRequest {
            text: Some(only.text()),
            sources: vec![name.to_owned()],
        };
        told.checks = check::ask(&request, context).await?.sources;
        for check in &told.checks {
            if let Some(problem) = check::problem(check) {
                let hint = problem
                    .hint
                    .clone()
                    .unwrap_or_else(|| "mend what the cause names".to_owned());
                let hint = format!("{hint}; or add it all the same with --no-check");
                return Err(problem.with_hint(hint).into());
            }
            told.notes.push(check::told(check));
            told.notes.extend(check::notices(check, MOST_NOTICES));
            told.notes.extend(check::token(check));
        }
    }
    editing::finish(context, args.dry_run, &change, told).await
}

/// Reads where a secret is. The error does not repeat what was typed, for it may be one.
fn token(text: &str, context: &Context) -> Result<SecretSource, CliError> {
    match SecretSource::parse(text) {
        Ok(SecretSource::File(path)) => {
            let path = context.written_path(&path.to_string_lossy());
            Ok(SecretSource::File(path.into()))
        }
        Ok(source) => Ok(source),
        Err(error) => {
            let problem = Problem::new(
                ProblemKind::BadRequest,
                format!("--token: {}", error.message),
            );
            Err(problem.with_hint(error.hint.unwrap_or_default()).into())
        }
    }
}

/// Returns the settings that say what kind of place it is, and where.
fn place(
    args: &AddSourceArgs,
    place: &Place,
    context: &Context,
) -> Result<Vec<(&'static str, Setting)>, CliError> {
    let text = |text: &str| Setting::Text(text.to_owned());
    let remote = &args.remote;
    let has_listing =
        !remote.files.is_empty() || remote.index.is_some() || remote.agent_skills || remote.archive;
    let kind = match (args.kind.as_deref(), place) {
        (Some(kind), _) => kind,
        (None, Place::Root(_)) => "dir",
        (None, Place::Url(url))
            if !has_listing && (is_git(url) || remote.verify.is_some() || remote.submodules) =>
        {
            "git"
        }
        (None, Place::Url(_)) if has_listing || remote.user.is_some() => "http",
        (None, Place::Url(url))
            if remote.reference.is_some() || remote.api.is_some() || is_github(url) =>
        {
            "github"
        }
        (None, Place::Url(_)) => {
            return Err(Problem::new(
                ProblemKind::BadRequest,
                "the URL alone does not tell what is there",
            )
            .with_hint(
                "add --file PATH, --index PATH, --agent-skills or --archive, or --kind github or --kind git for a repository",
            )
            .into());
        }
    };
    let mut settings = vec![("kind", text(kind))];
    match place {
        Place::Root(root) => settings.push(("root", Setting::Text(context.written_path(root)))),
        Place::Url(url) => settings.push(("url", text(url))),
    }
    let url = match place {
        Place::Root(_) => None,
        Place::Url(url) => Some(url.as_str()),
    };
    let typed = [
        ("--url", url),
        ("--index", remote.index.as_deref()),
        ("--api", remote.api.as_deref()),
    ];
    for (flag, address) in typed {
        if let Some(what) = address.and_then(secret_in_address) {
            return Err(
                Problem::new(ProblemKind::BadRequest, format!("{flag}: {what}"))
                    .with_hint(SECRET_HINT)
                    .into(),
            );
        }
    }
    if !remote.files.is_empty() {
        settings.push(("files", Setting::Texts(remote.files.clone())));
    }
    settings.extend(remote.index.as_deref().map(|index| ("index", text(index))));
    let flags = [
        ("agent_skills", remote.agent_skills),
        ("archive", remote.archive),
        ("submodules", remote.submodules),
    ];
    let given = flags.into_iter().filter(|(_, flag)| *flag);
    settings.extend(given.map(|(key, flag)| (key, Setting::Flag(flag))));
    let texts = [
        ("ref", remote.reference.as_deref()),
        ("api", remote.api.as_deref()),
        ("user", remote.user.as_deref()),
        ("verify", remote.verify.as_deref()),
    ];
    let given = texts.into_iter();
    settings.extend(given.filter_map(|(key, value)| Some((key, text(value?)))));
    let files = [
        ("ca_file", remote.ca_file.as_deref()),
        ("allowed_signers", remote.allowed_signers.as_deref()),
        ("keyring", remote.keyring.as_deref()),
    ];
    let written = |path: &str| Setting::Text(context.written_path(path));
    let given = files.into_iter();
    settings.extend(given.filter_map(|(key, path)| Some((key, written(path?)))));
    Ok(settings)
}

/// Tells whether nothing but Git takes such an address.
fn is_git(url: &str) -> bool {
    let is_web = url.starts_with("https://") || url.starts_with("http://");
    if is_web {
        return url.strip_suffix(".git").is_some() && !is_github(url);
    }
    true
}

fn is_github(url: &str) -> bool {
    url.starts_with("https://github.com/")
}

/// Returns the settings that every kind has.
fn common<'a>(args: &'a AddSourceArgs, every: Option<&'a str>) -> Vec<(&'static str, Setting)> {
    let text = |text: &str| Setting::Text(text.to_owned());
    let mut settings = Vec::new();
    settings.extend(args.path.as_deref().map(|path| ("path", text(path))));
    let lists = [("include", &args.include), ("exclude", &args.exclude)];
    let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
    settings.extend(given.map(|(key, list)| (key, Setting::Texts(list.clone()))));
    let texts = [("every", every), ("cron", args.cron.as_deref())];
    settings.extend(
        texts
            .into_iter()
            .filter_map(|(key, value)| Some((key, text(value?)))),
    );
    settings.extend(args.watch.then_some(("watch", Setting::Flag(true))));
    let priority = args.priority.map(i64::from);
    settings.extend(priority.map(|priority| ("priority", Setting::Number(priority))));
    let texts = [
        ("push", args.push.as_deref()),
        ("on_conflict", args.on_conflict.as_deref()),
    ];
    settings.extend(
        texts
            .into_iter()
            .filter_map(|(key, value)| Some((key, text(value?)))),
    );
    settings
}

fn next(name: &str, targets: &[String], known: &[String]) -> Next {
    if !targets.is_empty() {
        return Next::Sync(vec![name.to_owned()]);
    }
    let name = quote(name);
    Next::Say(match known.first() {
        None => {
            format!("publish it somewhere: `homing target add TARGET --path DIR --from {name}`")
        }
        Some(_) => format!(
            "publish it somewhere: add \"{name}\" to `from` of a target, or `homing target add TARGET --path DIR --from {name}`"
        ),
    })
}
