//! The sections of the configuration that an import needs.

use homing_config::{Edit, EditError, Section, Setting};

use super::{Context, ImportOutcome, ImportReport, ImportedFile, ImportedSource};
use crate::commands::editing;
use crate::error::CliError;

/// Returns the sources that are not configured yet and have something to take over.
pub(super) fn new(report: &ImportReport) -> Vec<&ImportedSource> {
    let is_refused = |file: &ImportedFile| file.outcome == ImportOutcome::Refused;
    let is_of_use = |source: &&ImportedSource| {
        let has_files = source.files.iter().any(|file| !is_refused(file));
        let needs_files = source.settings.kind == "http" || !source.files.is_empty();
        !source.configured && (has_files || !needs_files)
    };
    report.sources.iter().filter(is_of_use).collect()
}

/// Adds them, all or none, and has homingd load them.
pub(super) async fn add(sources: &[&ImportedSource], context: &Context) -> Result<(), CliError> {
    if sources.is_empty() {
        return Ok(());
    }
    let change = |edit: &mut Edit| -> Result<(), EditError> {
        for source in sources {
            edit.add(Section::Source, &source.id, &settings(source))?;
        }
        Ok(())
    };
    editing::put_in_force(context, &change).await
}

fn settings(source: &ImportedSource) -> Vec<(&'static str, Setting)> {
    let settings = &source.settings;
    let text = |text: &String| Setting::Text(text.clone());
    let mut all = vec![("kind", text(&settings.kind)), ("url", text(&settings.url))];
    all.extend(settings.reference.as_ref().map(|name| ("ref", text(name))));
    all.extend(settings.path.as_ref().map(|path| ("path", text(path))));
    let lists = [
        ("files", &settings.files),
        ("include", &settings.include),
        ("exclude", &settings.exclude),
    ];
    let given = lists.into_iter().filter(|(_, list)| !list.is_empty());
    all.extend(given.map(|(key, list)| (key, Setting::Texts(list.clone()))));
    let priority = settings.priority.map(i64::from);
    all.extend(priority.map(|priority| ("priority", Setting::Number(priority))));
    all.extend((!settings.enabled).then_some(("enabled", Setting::Flag(false))));
    all
}
