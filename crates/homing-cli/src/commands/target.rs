//! `homing target`

use homing_api::{TargetEntries, TargetEntry, TargetShown, names_target, section};
use homing_config::{Config, Edit, EditError, Section, Setting};

use super::config;
use super::editing::{self, Next, Told};
use crate::arguments::{AddTargetArgs, RemoveTargetArgs, TargetCommand};
use crate::context::{Context, unknown_section};
use crate::error::CliError;
use crate::output::Report;
use crate::table::{Table, plain};

/// Carries out what was typed about targets.
pub(super) async fn run(command: &TargetCommand, context: &Context) -> Result<Report, CliError> {
    match command {
        TargetCommand::List => list(context),
        TargetCommand::Show(args) => show(&args.name, context).await,
        TargetCommand::Add(args) => add(args, context).await,
        TargetCommand::Remove(args) => remove(args, context).await,
    }
}

fn list(context: &Context) -> Result<Report, CliError> {
    let targets = entries(context)?;
    let mut table = Table::new(
        context.screen,
        &["NAME", "FROM", "LAYOUT", "DELETIONS", "PATH"],
    );
    for TargetEntry { settings, .. } in &targets {
        table.row([
            plain(&settings.id),
            plain(from(settings)),
            plain(&settings.layout),
            plain(&settings.deletions),
            plain(&settings.path),
        ]);
    }
    let text = if targets.is_empty() {
        "no target is configured; add one with `homing target add`\n".to_owned()
    } else {
        table.render()
    };
    Ok(Report::new(&TargetEntries { targets }, text))
}

/// Returns the sources of a target; those that another target serves with its name.
fn from(settings: &TargetShown) -> String {
    let own = settings.from.iter().cloned();
    let served = settings.served.iter();
    let served = served.map(|served| format!("{} (in {})", served.source, served.by));
    own.chain(served).collect::<Vec<_>>().join(", ")
}

async fn show(name: &str, context: &Context) -> Result<Report, CliError> {
    let targets = entries(context)?;
    let names: Vec<&str> = targets
        .iter()
        .map(|entry| entry.settings.id.as_str())
        .collect();
    let sections = names.iter().map(|id| section(id));
    let names: Vec<&str> = names.iter().copied().chain(sections).collect();
    let missing = unknown_section(Section::Target, name, &names);
    let mut entries: Vec<TargetEntry> = targets
        .into_iter()
        .filter(|entry| names_target(name, &entry.settings.id))
        .collect();
    if entries.is_empty() {
        return Err(missing);
    }
    // Without a daemon, or with one that does not know it yet, the configuration is what there is to show.
    let known = context.client.targets().await.ok();
    let mut known = known.map_or_else(Vec::new, |known| known.targets);
    let mut texts = Vec::new();
    for entry in &mut entries {
        let id = &entry.settings.id;
        let at = known.iter().position(|target| target.id == *id);
        entry.status = at.map(|at| known.swap_remove(at));
        texts.push(text_of(entry, context)?);
    }
    let text = texts.join("\n");
    Ok(match entries.as_slice() {
        [entry] if entry.settings.id == name => Report::new(entry, text),
        _ => Report::new(&TargetEntries { targets: entries }, text),
    })
}

fn text_of(entry: &TargetEntry, context: &Context) -> Result<String, CliError> {
    let mut text = config::section(context, &format!("targets.{}", entry.settings.id))?;
    let line = entry
        .line
        .map(|line| format!(":{line}"))
        .unwrap_or_default();
    text.push_str(&config::field("file", &format!("{}{line}", entry.file)));
    if let Some(status) = &entry.status {
        let states: Vec<&str> = status.states.iter().map(|state| state.as_str()).collect();
        text.push_str(&config::field("state", &states.join(", ")));
        text.push_str(&config::field("files", &status.files.to_string()));
    }
    Ok(text)
}

async fn add(args: &AddTargetArgs, context: &Context) -> Result<Report, CliError> {
    let name = args.name.as_str();
    let path = |path: &Option<String>| {
        let path = path.as_deref()?;
        Some(Setting::Text(context.written_path(path)))
    };
    let tool = args.tool.clone().map(Setting::Text);
    let place = [
        ("path", path(&args.path)),
        ("tool", tool),
        ("project", path(&args.project)),
    ];
    let place = place.into_iter();
    let mut settings: Vec<(&str, Setting)> = place
        .filter_map(|(key, setting)| Some((key, setting?)))
        .collect();
    settings.push(("from", Setting::Texts(args.from.clone())));
    let texts = [
        ("layout", &args.layout),
        ("deletions", &args.deletions),
        ("new_files_to", &args.new_files_to),
    ];
    let given = texts
        .into_iter()
        .filter_map(|(key, text)| Some((key, text.as_ref()?)));
    settings.extend(given.map(|(key, text)| (key, Setting::Text(text.clone()))));
    if !args.after.is_empty() {
        settings.push(("after", Setting::Texts(args.after.clone())));
    }
    let change =
        |edit: &mut Edit| -> Result<(), EditError> { edit.add(Section::Target, name, &settings) };
    let told = Told {
        headline: format!("added target `{name}`"),
        next: Some(Next::Sync(args.from.clone())),
        ..Told::default()
    };
    editing::finish(context, args.dry_run, &change, told).await
}

async fn remove(args: &RemoveTargetArgs, context: &Context) -> Result<Report, CliError> {
    let name = args.name.as_str();
    let change = |edit: &mut Edit| -> Result<(), EditError> { edit.remove(Section::Target, name) };
    let told = Told {
        headline: format!("removed target `{name}`"),
        notes: vec!["its files stay where they are; Homing no longer looks after them".to_owned()],
        ..Told::default()
    };
    editing::finish(context, args.dry_run, &change, told).await
}

/// Returns every target as it is configured.
fn entries(context: &Context) -> Result<Vec<TargetEntry>, CliError> {
    let configuration = Config::load(&context.locations, &context.env)?;
    let edit = Edit::begin(&context.locations, &context.env)?;
    let entry = |settings: TargetShown| {
        let place = edit.place(Section::Target, section(&settings.id));
        TargetEntry {
            file: place
                .map(|(file, _)| file.display().to_string())
                .unwrap_or_default(),
            line: place.map(|(_, line)| line),
            status: None,
            settings,
        }
    };
    let shown = config::shown(&configuration, &context.locations);
    Ok(shown.targets.into_iter().map(entry).collect())
}
