//! `homing verify`

use std::fmt::Write as _;

use anstyle::Style;
use homing_api::{Drift, Exit, Verification, Verifications, VerifyRequest, names_target};

use crate::arguments::VerifyArgs;
use crate::context::Context;
use crate::error::CliError;
use crate::output::{RED, Report, Screen, YELLOW};
use crate::table::{Table, plain};
use crate::text::{count, escape};

/// Compares what is published with what was written.
pub(super) async fn run(args: &VerifyArgs, context: &Context) -> Result<Report, CliError> {
    let ids = context.client.targets().await?.targets.into_iter();
    let ids = ids.map(|target| target.id);
    let names: Vec<String> = match &args.name {
        None => ids.collect(),
        Some(name) => {
            let named: Vec<String> = ids.filter(|id| names_target(name, id)).collect();
            // The daemon says what it does not know.
            if named.is_empty() {
                vec![name.clone()]
            } else {
                named
            }
        }
    };
    let mut verifications = Vec::new();
    for name in &names {
        verifications.push(
            context
                .client
                .verify(
                    name,
                    &VerifyRequest {
                        repair: args.repair,
                    },
                )
                .await?,
        );
    }
    let warning = verifications
        .is_empty()
        .then(|| "nothing to verify: no target is configured".to_owned());
    let text = render(&verifications, args.repair, context.screen);
    let exit = exit_of(&verifications);
    Ok(Report::new(&Verifications { verifications }, text)
        .ending(exit)
        .with_warning(warning))
}

/// An edit is the user's and no damage; what is missing or unreadable is.
fn exit_of(verifications: &[Verification]) -> Exit {
    let damaged = |drift: &Drift| !matches!(drift, Drift::Edited | Drift::Repaired);
    let any = verifications
        .iter()
        .flat_map(|verification| &verification.drifted)
        .any(|path| damaged(&path.drift));
    if any { Exit::Partial } else { Exit::Done }
}

fn render(verifications: &[Verification], repair: bool, screen: Screen) -> String {
    let mut text = String::new();
    for verification in verifications {
        if !verification.drifted.is_empty() {
            let mut table = Table::new(screen, &["DRIFT", "PATH", "MORE"]);
            for path in &verification.drifted {
                let style = style(&path.drift);
                table.row([
                    (path.drift.to_string(), style),
                    plain(&path.path),
                    plain(&path.message),
                ]);
            }
            text.push_str(&table.render());
        }
        let differ = match verification.drifted.len() {
            0 if verification.checked == 0 => "nothing is published there".to_owned(),
            0 => "all as written".to_owned(),
            number => format!("{number} differ"),
        };
        let compared = count(verification.checked, "file");
        writeln!(
            text,
            "{}: {compared} compared, {differ}",
            escape(&verification.target)
        )
        .expect("a String takes all");
    }
    if !repair && exit_of(verifications) == Exit::Partial {
        text.push_str("to restore what is missing or damaged: `homing verify --repair`\n");
    }
    text
}

fn style(drift: &Drift) -> Style {
    match drift {
        Drift::Missing | Drift::Unreadable => RED,
        Drift::Edited => YELLOW,
        Drift::Repaired | Drift::Other(_) => Style::new(),
    }
}

#[cfg(test)]
mod tests {
    use homing_api::Drifted;

    use super::*;

    fn found(target: &str, drifts: &[Drift]) -> Verification {
        let drifted = drifts.iter().map(|drift| Drifted {
            path: format!("agents/{drift}.md"),
            drift: drift.clone(),
            message: String::new(),
        });
        Verification {
            target: target.to_owned(),
            checked: 10,
            drifted: drifted.collect(),
        }
    }

    #[test]
    fn drift_is_listed_with_the_way_out() {
        let found = [
            found("claude", &[Drift::Edited, Drift::Missing]),
            found("codex", &[]),
        ];
        insta::assert_snapshot!(render(&found, false, Screen::default()), @r"
        DRIFT    PATH               MORE
        edited   agents/edited.md
        missing  agents/missing.md
        claude: 10 files compared, 2 differ
        codex: 10 files compared, all as written
        to restore what is missing or damaged: `homing verify --repair`
        ");
        assert!(!render(&found, true, Screen::default()).contains("--repair"));
    }

    #[test]
    fn an_edit_is_no_damage() {
        assert_eq!(
            exit_of(&[found("t", &[Drift::Edited, Drift::Repaired])]),
            Exit::Done
        );
        assert_eq!(
            exit_of(&[found("t", &[Drift::Edited]), found("u", &[Drift::Missing])]),
            Exit::Partial
        );
        assert_eq!(exit_of(&[found("t", &[Drift::Unreadable])]), Exit::Partial);
    }
}
