//! Rendering: items in the form that a target's tool reads.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::{Arc, Mutex};

use homing_core::{
    ContentHash, Contents, ItemKey, Problem, ProblemKind, SideError, TargetId, Version,
};
use homing_items::{Finding, Level};
use homing_store::LedgerRow;

use crate::catalog::{Catalog, Entry, Loser, Refused, SourceHead};
use crate::error::EngineError;
use crate::past::{Past, look_back};
use crate::shared::{Shared, locked};
use crate::spec::{OnFinding, Renderer, Specs, TargetSpec, ToolSpec};

/// So many renderings are remembered; then it begins again.
const REMEMBERED: usize = 50_000;

/// A larger content is not read: no form takes it.
const LARGEST: u64 = 1 << 20;

/// What was rendered since the start, so that it is not done at every publish.
#[derive(Debug, Default)]
pub(crate) struct Renderings(Mutex<HashMap<(Renderer, ContentHash, String), Outcome>>);

impl Renderings {
    /// Returns what an item is in a form, without keeping it; `None` where it cannot be put into it. Blocks.
    pub(crate) fn version(
        &self,
        renderer: Renderer,
        (key, original): (&ItemKey, Version),
        contents: &dyn Contents,
    ) -> Result<Option<Version>, SideError> {
        let remembered = (renderer, original.hash, key.file_name().to_owned());
        let known = locked(&self.0).get(&remembered).cloned();
        let hash = match known {
            Some(outcome) => outcome.ok().map(|rendered| rendered.hash),
            None => match read(contents, &original.hash) {
                Err(error @ (SideError::Storage { .. } | SideError::Cancelled)) => {
                    return Err(error);
                }
                Err(_) => None,
                Ok(bytes) => text_of(renderer, key, &bytes)
                    .ok()
                    .map(|rendered| ContentHash::of(rendered.text.as_bytes())),
            },
        };
        Ok(hash.map(version_of))
    }
}

/// What became of one content, or why nothing did.
type Outcome = Result<Rendered, String>;

/// A content in another form.
#[derive(Debug, Clone)]
struct Rendered {
    hash: ContentHash,
    size: u64,
    /// What has no place in it.
    left_out: Arc<[String]>,
    /// The blocking finding that only this form shows.
    hidden: Option<Arc<Finding>>,
}

/// Returns what a target should hold, in its form; what was rendered goes into `contents`.
pub(crate) async fn catalog(
    shared: &Shared,
    (id, spec): (&TargetId, &TargetSpec),
    heads: Vec<SourceHead>,
    ledger: &BTreeMap<ItemKey, LedgerRow>,
    contents: Arc<dyn Contents>,
) -> Result<Catalog, EngineError> {
    let (heads, past) = look_back(heads, ledger, spec, Arc::clone(&contents)).await?;
    let rendering = spec.render.map(|renderer| Rendering {
        id,
        renderer,
        on_finding: spec.on_finding,
        ledger,
        past: &past,
        contents: contents.as_ref(),
        renderings: &shared.renderings,
    });
    let mut catalog = match &rendering {
        Some(rendering) => tokio::task::block_in_place(|| {
            // What cannot be rendered does not compete: it would take the place of what can be.
            let mut refuse = |path: &ItemKey, entry: &Entry| rendering.refuse(path, entry);
            let mut catalog = Catalog::merge(id, heads, spec, &past, &mut refuse)?;
            rendering.render(&mut catalog)?;
            Ok::<_, SideError>(catalog)
        })?,
        None => Catalog::merge(id, heads, spec, &past, &mut |_, _| Ok(None))?,
    };
    catalog.problems.extend(read_twice(&shared.specs, id));
    Ok(catalog)
}

/// Tells of the tools that read what a target holds in another directory too.
fn read_twice<'s>(specs: &'s Specs, id: &'s TargetId) -> impl Iterator<Item = Problem> + 's {
    let tools = specs
        .targets
        .iter()
        .filter_map(|(reader, spec)| Some((reader, spec.tool.as_ref()?)));
    let of_tool = move |(reader, tool): (&'s TargetId, &'s ToolSpec)| {
        let here = tool.read_twice.iter().filter(move |other| other.by == *id);
        here.map(move |other| Problem {
            kind: ProblemKind::ReadTwice,
            path: String::new(),
            message: format!(
                "{} (target `{}`) lists the skills of source `{}` twice, for it reads `{}` too, and no directory serves all tools that are to have them",
                tool.name,
                reader.section(),
                other.source,
                other.path.display()
            ),
        })
    };
    tools.flat_map(of_tool)
}

/// What a target's items are rendered with.
struct Rendering<'a> {
    id: &'a TargetId,
    renderer: Renderer,
    on_finding: OnFinding,
    ledger: &'a BTreeMap<ItemKey, LedgerRow>,
    past: &'a Past,
    /// Where the originals are, and the renderings go.
    contents: &'a dyn Contents,
    renderings: &'a Renderings,
}

impl Rendering<'_> {
    /// Tells why an entry is not offered: it cannot be put into the target's form, and could not be before. Blocks.
    fn refuse(&self, path: &ItemKey, entry: &Entry) -> Result<Option<Refused>, SideError> {
        if self.is_done(entry) {
            return Ok(None);
        }
        let (outcome, _) = self.made(entry, |_| true)?;
        let refusal = self.allowed(entry, &outcome).err();
        let refusal = refusal.filter(|_| self.last(path, entry, &outcome).is_none());
        Ok(refusal.map(|why| Refused {
            problem: self.not_rendered(path, entry, "it is not published", &why),
            reason: self.reason(&why),
        }))
    }

    /// Puts every entry of a catalog into the target's form. Blocks.
    ///
    /// Where one cannot be put into it any more, what was published of it stays.
    fn render(&self, catalog: &mut Catalog) -> Result<(), SideError> {
        let mut lost = Vec::new();
        for (path, entry) in &mut catalog.entries {
            if self.is_done(entry) {
                continue;
            }
            let outcome = self.rendered(path, entry)?;
            match self.allowed(entry, &outcome) {
                Ok(rendered) => {
                    if !rendered.left_out.is_empty() {
                        catalog.problems.push(self.left_out(path, entry, &rendered));
                    }
                    entry.version = version_of(rendered.hash);
                    entry.size = rendered.size;
                }
                Err(why) => {
                    let last = self.last(path, entry, &outcome);
                    let becomes = match last {
                        Some(_) => "the last version that could be stays",
                        None => "it is not published",
                    };
                    let problem = self.not_rendered(path, entry, becomes, &why);
                    catalog.problems.push(problem);
                    match last {
                        Some((version, size)) => (entry.version, entry.size) = (version, size),
                        // Its content was lost since it was offered.
                        None => lost.push((path.clone(), self.reason(&why))),
                    }
                }
            }
        }
        for (path, reason) in lost {
            if let Some(entry) = catalog.entries.remove(&path) {
                let losers = catalog.losers.entry(path).or_default();
                let to = None;
                losers.insert(0, Loser { entry, reason, to });
            }
        }
        Ok(())
    }

    /// Tells whether an entry is in that form already: it is what was published before.
    fn is_done(&self, entry: &Entry) -> bool {
        let of = (entry.source.clone(), entry.key.clone());
        let before = [&self.past.good, &self.past.bad];
        let mut before = before.iter().filter_map(|past| past.get(&of));
        before.any(|(version, _)| *version == entry.version)
    }

    /// Returns what of an entry is published, unless that is what may not be.
    fn last(&self, path: &ItemKey, entry: &Entry, outcome: &Outcome) -> Option<(Version, u64)> {
        let row = self.ledger.get(path)?;
        let base = row.base?;
        let is_refused = outcome.as_ref().is_ok_and(|now| now.hash == base.hash);
        let is_its = row.source == entry.source && row.key == entry.key;
        (is_its && !is_refused).then_some((base, row.size))
    }

    /// Returns what may be published of what was rendered.
    fn allowed(&self, entry: &Entry, outcome: &Outcome) -> Outcome {
        let rendered = outcome.clone()?;
        // What an undo holds is a person's word.
        let is_checked = self.on_finding == OnFinding::Block && !entry.held;
        match rendered.hidden.as_deref().filter(|_| is_checked) {
            Some(Finding { rule, message, .. }) => Err(format!("{rule}: {message}")),
            None => Ok(rendered),
        }
    }

    /// Returns what an entry is in the form, which is kept then.
    fn rendered(&self, path: &ItemKey, entry: &Entry) -> Result<Outcome, SideError> {
        // What the ledger names is kept already, unless it was damaged since.
        let is_kept = |known: &Rendered| {
            self.is_published(path, known) && self.contents.open(&known.hash).is_ok()
        };
        let (outcome, text) = self.made(entry, is_kept)?;
        if let (Ok(rendered), Some(text)) = (&outcome, text)
            && !is_kept(rendered)
        {
            self.contents.keep(&mut text.as_bytes(), rendered.size)?;
        }
        Ok(outcome)
    }

    /// Returns what an entry is in the form, and its text where that is not remembered or not `enough`.
    fn made(
        &self,
        entry: &Entry,
        enough: impl Fn(&Rendered) -> bool,
    ) -> Result<(Outcome, Option<String>), SideError> {
        let name = entry.key.file_name().to_owned();
        let remembered = (self.renderer, entry.version.hash, name);
        let known = locked(&self.renderings.0).get(&remembered).cloned();
        match known {
            Some(Ok(known)) if enough(&known) => return Ok((Ok(known), None)),
            Some(Err(why)) => return Ok((Err(why), None)),
            _ => {}
        }
        let bytes = match read(self.contents, &entry.version.hash) {
            Err(error @ (SideError::Storage { .. } | SideError::Cancelled)) => return Err(error),
            // It may be at hand the next time.
            Err(error) => return Ok((Err(error.to_string()), None)),
            Ok(bytes) => bytes,
        };
        let (outcome, text) = match text_of(self.renderer, &entry.key, &bytes) {
            Err(why) => (Err(why.to_string()), None),
            Ok(rendered) => {
                let known = Rendered {
                    hash: ContentHash::of(rendered.text.as_bytes()),
                    size: rendered.text.len() as u64,
                    left_out: rendered.left_out.into(),
                    hidden: hidden(&rendered.text).map(Arc::new),
                };
                (Ok(known), Some(rendered.text))
            }
        };
        let mut all = locked(&self.renderings.0);
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(remembered, outcome.clone());
        Ok((outcome, text))
    }

    fn is_published(&self, path: &ItemKey, rendered: &Rendered) -> bool {
        let base = self.ledger.get(path).and_then(|row| row.base);
        base.is_some_and(|base| base.hash == rendered.hash)
    }

    fn reason(&self, why: &str) -> String {
        format!("it cannot be written as {}: {why}", form(self.renderer))
    }

    fn not_rendered(&self, path: &ItemKey, entry: &Entry, becomes: &str, why: &str) -> Problem {
        Problem {
            kind: ProblemKind::Rendering,
            path: path.to_string(),
            message: format!(
                "`{}` of source `{}` cannot be written as {} in target `{}`, so {becomes}: {why}",
                entry.key,
                entry.source,
                form(self.renderer),
                self.id
            ),
        }
    }

    fn left_out(&self, path: &ItemKey, entry: &Entry, rendered: &Rendered) -> Problem {
        Problem {
            kind: ProblemKind::Rendering,
            path: path.to_string(),
            message: format!(
                "`{}` of source `{}` is written as {} in target `{}`, which has no place for {}",
                entry.key,
                entry.source,
                form(self.renderer),
                self.id,
                rendered.left_out.join(", ")
            ),
        }
    }
}

fn read(contents: &dyn Contents, hash: &ContentHash) -> Result<Vec<u8>, SideError> {
    let mut bytes = Vec::new();
    contents
        .open(hash)?
        .take(LARGEST + 1)
        .read_to_end(&mut bytes)
        .map_err(|error| SideError::Transient {
            message: "its content could not be read".to_owned(),
            retry_after: None,
            source: Some(Box::new(error)),
        })?;
    Ok(bytes)
}

fn text_of(
    renderer: Renderer,
    key: &ItemKey,
    bytes: &[u8],
) -> Result<homing_items::Rendered, homing_items::NotRendered> {
    match renderer {
        Renderer::CodexAgent => homing_items::codex_agent(key, bytes),
    }
}

/// Returns what may not be published in a text.
fn hidden(text: &str) -> Option<Finding> {
    let findings = homing_items::examine(text.as_bytes()).into_findings();
    let mut findings = findings.into_iter();
    findings.find(|one| one.level() == Level::Blocking)
}

/// What is rendered is never a program.
fn version_of(hash: ContentHash) -> Version {
    Version {
        hash,
        executable: false,
    }
}

/// Returns what a person calls the form.
fn form(renderer: Renderer) -> &'static str {
    match renderer {
        Renderer::CodexAgent => "TOML",
    }
}
