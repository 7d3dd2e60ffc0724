//! `homing files`

use homing_api::{Files, FilesQuery};
use jiff::Timestamp;

use crate::arguments::FilesArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Report, Screen, YELLOW};
use crate::paths::with_nearest_item;
use crate::table::{Table, plain};
use crate::text::{bytes, count, relative};

/// Files that are asked for at once.
const PAGE: u32 = 10_000;

/// Lists what Homing holds of a source.
pub(super) async fn run(args: &FilesArgs, context: &Context) -> Result<Report, CliError> {
    let mut query = FilesQuery {
        path: args.path.clone(),
        recent: args.recent,
        limit: args.recent.is_none().then_some(PAGE),
        after: None,
    };
    let mut listed = match context.client.files(&args.name, &query).await {
        Ok(listed) => listed,
        Err(error) => {
            let typed = args.path.as_slice();
            return Err(with_nearest_item(error, &args.name, typed, context).await);
        }
    };
    while let Some(next) = listed.next.take() {
        query.after = Some(next);
        let page = context.client.files(&args.name, &query).await?;
        listed.files.extend(page.files);
        // A daemon that tells the same page again would be asked for ever.
        listed.next = page
            .next
            .filter(|further| Some(further) > query.after.as_ref());
    }
    let text = render(&listed, context.now, context.screen);
    Ok(Report::new(&listed, text))
}

fn render(listed: &Files, now: Timestamp, screen: Screen) -> String {
    if listed.files.is_empty() {
        return "no files yet\n".to_owned();
    }
    let mut table = Table::new(screen, &[">SIZE", "CHANGED", "STATE", "HASH", "PATH"]);
    for file in &listed.files {
        let state = match (file.modified, file.held) {
            (true, true) => ("modified, held".to_owned(), YELLOW),
            (true, false) => ("modified".to_owned(), YELLOW),
            (false, true) => ("held".to_owned(), YELLOW),
            (false, false) => plain("synced"),
        };
        let short: String = file.hash.chars().take(12).collect();
        table.row([
            plain(bytes(file.size)),
            plain(relative(&file.synced_at, now)),
            state,
            plain(short),
            plain(&file.path),
        ]);
    }
    let total = listed.files.iter().map(|file| file.size).sum();
    format!(
        "{}{}, {}\n",
        table.render(),
        count(listed.files.len() as u64, "file"),
        bytes(total)
    )
}

#[cfg(test)]
mod tests {
    use homing_api::File;

    use super::*;

    #[test]
    fn files_are_listed_with_their_state_and_a_total() {
        let file = |path: &str, size, modified| File {
            path: path.to_owned(),
            size,
            hash: "9f86d081884c7d659a2feaa0".to_owned(),
            executable: false,
            modified,
            held: path.contains("held"),
            synced_at: "2026-01-02T03:04:05.678Z".to_owned(),
        };
        let mut listed = Files {
            source: "team".to_owned(),
            files: vec![
                file("agents/a.md", 1536, false),
                file("b\n.md", 12, true),
                file("held.md", 1, false),
            ],
            next: None,
        };
        let now = "2026-01-02T05:04:05.678Z".parse().unwrap();
        insta::assert_snapshot!(render(&listed, now, Screen::default()), @r"
           SIZE  CHANGED  STATE     HASH          PATH
        1.5 KiB  2h ago   synced    9f86d081884c  agents/a.md
           12 B  2h ago   modified  9f86d081884c  b\n.md
            1 B  2h ago   held      9f86d081884c  held.md
        3 files, 1.5 KiB
        ");
        listed.files.clear();
        assert_eq!(render(&listed, now, Screen::default()), "no files yet\n");
    }
}
