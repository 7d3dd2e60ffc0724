//! The configuration of a world, as text.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::Path;

use anyhow::Result;

use crate::model::Place;
use crate::world::{Origin, Target, root};

/// Returns a configuration that names what is listed. Every target takes from every listed source.
pub(crate) fn render(
    place: &Path,
    origins: &[Origin],
    targets: &[Target],
    unlisted: &BTreeSet<Place>,
) -> Result<String> {
    let mut text = String::new();
    let data = place.join("data");
    writeln!(
        text,
        "[daemon]\ndata_dir = \"{}\"\nlog = \"info\"\n",
        data.display()
    )?;
    let listed = || {
        let all = origins.iter().enumerate();
        all.filter(|(number, _)| !unlisted.contains(&Place::Origin(*number)))
    };
    for (number, origin) in listed() {
        let root = root(place, Place::Origin(number));
        let push = if origin.direct { "direct" } else { "never" };
        let policy = if origin.union { "union" } else { "ask" };
        writeln!(text, "[sources.s{number}]\nkind = \"dir\"")?;
        writeln!(text, "root = \"{}\"", root.display())?;
        writeln!(text, "priority = {}\npush = \"{push}\"", origin.priority)?;
        // A list of plain strings looks the same in Rust and in TOML.
        writeln!(text, "include = {:?}", origin.selection.include)?;
        writeln!(text, "exclude = {:?}", origin.selection.exclude)?;
        writeln!(text, "on_conflict = \"{policy}\"\n")?;
    }
    let names: Vec<String> = listed().map(|(number, _)| format!("s{number}")).collect();
    for (number, target) in targets.iter().enumerate() {
        if unlisted.contains(&Place::Target(number)) {
            continue;
        }
        let root = root(place, Place::Target(number));
        let deletions = if target.keep_deletions {
            "keep"
        } else {
            "restore"
        };
        let layout = if target.flat { "flat" } else { "tree" };
        writeln!(text, "[targets.t{number}]\npath = \"{}\"", root.display())?;
        writeln!(text, "from = {names:?}\ndeletions = \"{deletions}\"")?;
        writeln!(text, "layout = \"{layout}\"")?;
        if target.shares_new_files && !unlisted.contains(&Place::Origin(0)) {
            writeln!(text, "new_files_to = \"s0\"")?;
        }
        writeln!(text)?;
    }
    Ok(text)
}
