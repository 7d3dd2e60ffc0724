//! `homing why`

use homing_api::{Problem, ProblemKind, Why};

use crate::arguments::WhyArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{Report, Screen};
use crate::paths::with_nearest_file;
use crate::table::{Table, plain};
use crate::text::escape;

/// Tells which source put a file where it is.
pub(super) async fn run(args: &WhyArgs, context: &Context) -> Result<Report, CliError> {
    let absolute = context.absolute(&args.path);
    let Some(path) = absolute.to_str() else {
        let detail = format!("the name `{}` is not UTF-8", absolute.display());
        return Err(Problem::new(ProblemKind::UnknownPath, detail)
            .with_hint("Homing publishes no such names, so the file is your own")
            .into());
    };
    let why = match context.client.why(path).await {
        Ok(why) => why,
        Err(error) => {
            return Err(with_nearest_file(error, &args.path, &absolute, context).await);
        }
    };
    let text = render(&why, context.screen);
    Ok(Report::new(&why, text))
}

fn render(why: &Why, screen: Screen) -> String {
    let mut text = format!(
        "{}: {}\n",
        escape(&format!("{}: {}", why.target, why.path)),
        escape(&why.state)
    );
    if why.candidates.is_empty() {
        text.push_str("no source offers it\n");
        return text;
    }
    let mut table = Table::new(
        screen,
        &["SOURCE", ">PRIORITY", "KEY", "CONTENT", "REVISION", "WHY"],
    );
    for candidate in &why.candidates {
        let hash: String = candidate.version.hash.chars().take(12).collect();
        let revision: String = candidate
            .revision
            .as_deref()
            .unwrap_or("-")
            .chars()
            .take(12)
            .collect();
        table.row([
            plain(&candidate.source),
            plain(candidate.priority.to_string()),
            plain(&candidate.key),
            plain(hash),
            plain(revision),
            plain(&candidate.reason),
        ]);
    }
    text + &table.render()
}

#[cfg(test)]
mod tests {
    use homing_api::{Candidate, Version};

    use super::*;

    #[test]
    fn the_winner_comes_first() {
        let candidate = |source: &str, priority, reason: &str| Candidate {
            source: source.to_owned(),
            key: "agents/a.md".to_owned(),
            priority,
            version: Version {
                hash: "0123456789abcdef".repeat(4),
                executable: false,
            },
            revision: None,
            reason: reason.to_owned(),
        };
        let mut why = Why {
            target: "claude".to_owned(),
            path: "agents/a.md".to_owned(),
            state: "published".to_owned(),
            candidates: vec![
                candidate("team", 50, "lowest priority number"),
                candidate("community", 100, "lost to team"),
            ],
        };
        insta::assert_snapshot!(render(&why, Screen::default()), @r"
        claude: agents/a.md: published
        SOURCE     PRIORITY  KEY          CONTENT       REVISION  WHY
        team             50  agents/a.md  0123456789ab  -         lowest priority number
        community       100  agents/a.md  0123456789ab  -         lost to team
        ");
        why.candidates.clear();
        why.state = "own".to_owned();
        insta::assert_snapshot!(render(&why, Screen::default()), @r"
        claude: agents/a.md: own
        no source offers it
        ");
    }
}
