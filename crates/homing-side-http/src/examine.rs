//! A look at what a first run would take, for `homing source check`.

use homing_core::{Examined, ItemKey, ListRequest, ProblemKind, Progress, Scope, SideError};
use homing_remote::{ArchiveLimits, Gathering, Request, Session, ShownUrl, Witness, unpack};
use url::Url;

use crate::archived::no_page;
use crate::fetching::{Beginning, holds_pages};
use crate::index::Named;
use crate::listing::Planned;
use crate::unpacking::Unpacking;
use crate::{Inner, What, identity};

impl Inner {
    /// Asks for lists and archives, and for one file where there are only files; keeps nothing.
    pub(crate) async fn examine(&self) -> Result<Examined, SideError> {
        let session = self.session(&Progress::default()).await?;
        let request = ListRequest::new(Scope::Whole);
        let mut gathering = self.gathering(&request.scope);
        let mut notes = Vec::new();
        if self.options.what == What::Archive {
            let asked = Request::get(self.base.clone());
            let Some(answer) = session.get(asked).await? else {
                return Ok(Examined::default());
            };
            no_page(&answer)?;
            if answer.url != self.base {
                notes.push(format!("it is at `{}`", ShownUrl::of(&answer.url)));
            }
            let looking = Unpacking::new(self, &request.scope, String::new(), None)?;
            let limits = ArchiveLimits::from(self.options.limits);
            let looked = unpack(answer.body, limits, looking, &mut ()).await?;
            let looked = looked.gather(&mut gathering, |_count| identity::of_archive(""))?;
            return Ok(Examined {
                files: looked.count as u64,
                bytes: Some(looked.bytes),
                problems: gathering.finish_examined(looked.count > 0),
                notes,
            });
        }
        let Planned::Whole(mut plan) = self.plan(&session, &request).await? else {
            return Ok(Examined::default());
        };
        let wanted = plan.wanted(&mut gathering)?;
        if plan.is_by_hand {
            self.look_for_one(&session, &wanted, &mut gathering).await?;
        }
        if !wanted.is_empty() {
            notes.push(match (plan.is_by_hand, wanted.len()) {
                (true, 1) => "the file is there; its content was not read".to_owned(),
                (true, _) => {
                    "only the first file was asked for, and no content was read".to_owned()
                }
                (false, _) => "only the list was read, and no file that it names".to_owned(),
            });
        }
        if !plan.archives.is_empty() {
            notes.push(format!(
                "{} skills are archives, whose files are not counted",
                plan.archives.len()
            ));
        }
        let sizes: Option<Vec<u64>> = wanted.iter().map(|(_, named)| named.size).collect();
        let is_any = !wanted.is_empty() || !plan.archives.is_empty();
        Ok(Examined {
            files: wanted.len() as u64,
            bytes: sizes
                .filter(|_| plan.archives.is_empty())
                .map(|sizes| sizes.into_iter().sum()),
            problems: gathering.finish_examined(is_any),
            notes,
        })
    }

    /// Asks for one file after the other until one is there: then the server is too, and lets us in.
    async fn look_for_one(
        &self,
        session: &Session,
        wanted: &[(ItemKey, Named)],
        gathering: &mut Gathering<'_>,
    ) -> Result<(), SideError> {
        let mut first = None;
        for (key, named) in wanted {
            let Ok(url) = &named.url else { continue };
            match is_there(session, url, &named.name).await {
                Ok(()) => return Ok(()),
                Err(error @ (SideError::NotFound { .. } | SideError::Permanent { .. })) => {
                    let why = error.to_string();
                    gathering.problem(ProblemKind::Unreadable, key.as_str(), why);
                    first.get_or_insert(error);
                }
                Err(error) => return Err(error),
            }
        }
        first.map_or(Ok(()), Err)
    }
}

async fn is_there(session: &Session, url: &Url, name: &str) -> Result<(), SideError> {
    let Some(mut answer) = session.get(Request::get(url.clone())).await? else {
        return Ok(());
    };
    let mut beginning = Beginning::default();
    if !answer.is_a_page_instead_of(name) {
        if holds_pages(name) {
            return Ok(());
        }
        while !beginning.is_enough()
            && let Some(chunk) = answer.body.chunk().await?
        {
            beginning.see(&chunk);
        }
        if !beginning.is_page() {
            return Ok(());
        }
    }
    Err(SideError::Permanent {
        message: format!(
            "`{}` answered with an HTML page where a file is expected; check the URL, and whether it wants a login",
            ShownUrl::of(url)
        ),
        source: None,
    })
}
