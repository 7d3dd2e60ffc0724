//! A look at what a first run would take, for `homing source check`.

use homing_core::{Examined, ListRequest, Progress, Scope, SideError};
use homing_remote::{ArchiveLimits, Request, ShownUrl, unpack};

use crate::archived::{Unpacking, no_page};
use crate::{Inner, What};

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
            let (files, bytes) = looked.gather(&mut gathering, "")?;
            return Ok(Examined {
                files: files as u64,
                bytes: Some(bytes),
                problems: gathering.finish_examined(files > 0),
                notes,
            });
        }
        let Some(plan) = self.plan(&session, &request).await? else {
            return Ok(Examined::default());
        };
        let wanted = plan.wanted(&mut gathering)?;
        if plan.is_by_hand
            && let Some((_, named)) = wanted.first()
            && let Ok(url) = &named.url
        {
            // Whether the server is there, and lets us in.
            session.get(Request::get(url.clone())).await?;
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
}
