//! `homing source list` and `homing source show NAME`

use homing_api::{SourceEntries, SourceEntry, SourceShown};
use homing_config::{Config, Edit, Section};

use crate::commands::config;
use crate::context::{Context, unknown_section};
use crate::error::CliError;
use crate::output::Report;
use crate::table::{Table, plain};
use crate::text::setting;

/// Lists what is configured.
pub(super) fn list(context: &Context) -> Result<Report, CliError> {
    let sources = entries(context)?;
    let titles = [
        "NAME",
        "KIND",
        ">PRIORITY",
        "EVERY",
        "PUSH",
        "TARGETS",
        "ROOT",
    ];
    let mut table = Table::new(context.screen, &titles);
    for entry in &sources {
        let source = &entry.settings;
        let every = if source.enabled {
            schedule(source)
        } else {
            "disabled".to_owned()
        };
        table.row([
            plain(&source.id),
            plain(&source.kind),
            plain(source.priority.to_string()),
            plain(every),
            plain(&source.push),
            plain(entry.targets.join(", ")),
            plain(&source.root),
        ]);
    }
    let text = if sources.is_empty() {
        "no source is configured; add one with `homing source add`\n".to_owned()
    } else {
        table.render()
    };
    Ok(Report::new(&SourceEntries { sources }, text))
}

/// Shows one, with how it is when homingd knows it.
pub(super) async fn show(name: &str, context: &Context) -> Result<Report, CliError> {
    let sources = entries(context)?;
    let names: Vec<&str> = sources
        .iter()
        .map(|entry| entry.settings.id.as_str())
        .collect();
    let missing = unknown_section(Section::Source, name, &names);
    let mut entry = sources
        .into_iter()
        .find(|entry| entry.settings.id == name)
        .ok_or(missing)?;
    // Without a daemon, or with one that does not know it yet, the configuration is what there is to show.
    entry.status = context.client.source(name).await.ok();
    let mut text = config::section(context, &format!("sources.{name}"))?;
    text.push_str(&config::field("targets", &entry.targets.join(", ")));
    let line = entry
        .line
        .map(|line| format!(":{line}"))
        .unwrap_or_default();
    text.push_str(&config::field("file", &format!("{}{line}", entry.file)));
    if let Some(status) = &entry.status {
        let states: Vec<&str> = status.states.iter().map(|state| state.as_str()).collect();
        text.push_str(&config::field("state", &states.join(", ")));
        text.push_str(&config::field("files", &status.files.to_string()));
        let success = status.last_success.as_deref();
        let success = success.map_or_else(
            || "never".into(),
            |time| crate::text::relative(time, context.now),
        );
        text.push_str(&config::field("last success", &success));
    }
    Ok(Report::new(&entry, text))
}

/// Returns every source as it is configured.
fn entries(context: &Context) -> Result<Vec<SourceEntry>, CliError> {
    let configuration = Config::load(&context.locations, &context.env)?;
    let edit = Edit::begin(&context.locations, &context.env)?;
    let shown = config::shown(&configuration, &context.locations);
    let targets = shown.targets;
    let entry = |settings: SourceShown| {
        let takes = targets
            .iter()
            .filter(|target| target.from.contains(&settings.id));
        let targets = takes.map(|target| target.id.clone()).collect();
        let place = edit.place(Section::Source, &settings.id);
        SourceEntry {
            targets,
            file: place
                .map(|(file, _)| file.display().to_string())
                .unwrap_or_default(),
            line: place.map(|(_, line)| line),
            status: None,
            settings,
        }
    };
    Ok(shown.sources.into_iter().map(entry).collect())
}

fn schedule(source: &SourceShown) -> String {
    let every = source.every_ms.map(setting);
    every
        .or_else(|| source.cron.clone())
        .unwrap_or_else(|| "by hand".to_owned())
}
