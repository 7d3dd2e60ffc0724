//! What can be told of a repository without taking anything.

use homing_core::{Examined, Progress, Scope, SideError};
use jiff::Timestamp;

use crate::GithubSide;
use crate::api::{Api, Head, Rate};
use crate::refusal;

impl GithubSide {
    /// Looks at the tree, the token and the limit.
    pub(crate) async fn look(&self) -> Result<Examined, SideError> {
        let mut api = self.api(&Progress::default()).await?;
        let notes = self.notes(&api).await?;
        let revision = match api.head(self.reference.as_deref(), None).await? {
            Head::At(revision) => revision,
            Head::Empty | Head::Unchanged(_) => {
                return Ok(Examined {
                    bytes: Some(0),
                    problems: self.no_commit().problems,
                    notes,
                    ..Examined::default()
                });
            }
        };
        let files = self.files(&api, &revision).await?;
        let survey = self.survey(&files.entries, None, &Scope::Whole)?;
        let count = survey.gathering.files() as u64;
        let bytes = survey.bytes;
        let mut problems = survey.finish_unread();
        problems.extend(self.new_name(&api).await);
        Ok(Examined {
            files: count,
            bytes: Some(bytes),
            problems,
            notes,
        })
    }

    /// Tells whose token it is, what it lacks, and what is left of the limit.
    async fn notes(&self, api: &Api) -> Result<Vec<String>, SideError> {
        let mut notes = Vec::new();
        let limits = api.rate_limit().await?;
        let scopes = limits
            .as_ref()
            .and_then(|(_, headers)| refusal::scopes(headers));
        if api.session().is_authorized() {
            // The token of a workflow is valid, and nobody's.
            let whose = match api.user().await {
                Ok(user) => format!("`{}`'s", refusal::plain(&user.login)),
                Err(error @ SideError::Auth { .. }) if limits.is_none() => return Err(error),
                Err(SideError::NotFound { .. } | SideError::Auth { .. }) if limits.is_some() => {
                    "valid".to_owned()
                }
                Err(error) => format!("not checked ({error})"),
            };
            notes.push(match &scopes {
                Some(scopes) => format!(
                    "the token is {whose}; its scopes: {}",
                    refusal::listed(scopes)
                ),
                None => format!(
                    "the token is {whose}; GitHub tells no scopes of it, as of fine-grained ones"
                ),
            });
            if scopes.is_some_and(|scopes| !scopes.iter().any(|scope| scope == "repo")) {
                notes.push(
                    "the token lacks the scope `repo`, without which private repositories cannot be read"
                        .to_owned(),
                );
            }
        } else {
            notes.push(
                "no token is sent: private repositories cannot be read, and 60 requests an hour are all there are"
                    .to_owned(),
            );
        }
        if let Some((limits, _)) = limits {
            notes.push(left(&limits.rate));
        }
        Ok(notes)
    }
}

fn left(rate: &Rate) -> String {
    let renewed = Timestamp::from_second(rate.reset).map_or_else(
        |_out_of_range| String::new(),
        |at| format!("; renewed at {}", at.strftime("%H:%M UTC")),
    );
    format!(
        "{} of {} requests are left{renewed}",
        rate.remaining, rate.limit
    )
}
