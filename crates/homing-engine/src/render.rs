//! Rendering: items in the form that a target's tool reads.

use std::collections::{BTreeMap, HashMap};
use std::io::Read;
use std::sync::{Arc, Mutex};

use homing_core::{
    ContentHash, Contents, ItemKey, Problem, ProblemKind, SideError, TargetId, Version,
};
use homing_store::LedgerRow;

use crate::catalog::{Catalog, Entry, Loser, SourceHead};
use crate::error::EngineError;
use crate::past::look_back;
use crate::shared::{Shared, locked};
use crate::spec::{Renderer, Specs, TargetSpec, ToolSpec};

/// So many renderings are remembered; then it begins again.
const REMEMBERED: usize = 50_000;

/// A larger content is not read: no form takes it.
const LARGEST: u64 = 1 << 20;

/// What was rendered since the start, so that it is not done at every publish.
#[derive(Debug, Default)]
pub(crate) struct Renderings(Mutex<HashMap<(Renderer, ContentHash, String), Outcome>>);

/// What became of one content, or why nothing did.
type Outcome = Result<Rendered, String>;

/// A content in another form.
#[derive(Debug, Clone)]
struct Rendered {
    hash: ContentHash,
    size: u64,
    /// What has no place in it.
    left_out: Arc<[String]>,
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
    let mut catalog = Catalog::merge(id, heads, spec, &past);
    catalog.problems.extend(read_twice(&shared.specs, id));
    if let Some(renderer) = spec.render {
        let rendering = Rendering {
            id,
            renderer,
            ledger,
            contents: contents.as_ref(),
            renderings: &shared.renderings,
        };
        // What was published before is in that form already.
        let is_done = |entry: &Entry| {
            let good = past.good.get(&(entry.source.clone(), entry.key.clone()));
            good.is_some_and(|(version, _)| *version == entry.version)
        };
        tokio::task::block_in_place(|| rendering.render(&mut catalog, is_done))?;
    }
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
    ledger: &'a BTreeMap<ItemKey, LedgerRow>,
    /// Where the originals are, and the renderings go.
    contents: &'a dyn Contents,
    renderings: &'a Renderings,
}

impl Rendering<'_> {
    /// Puts every entry of a catalog into the target's form. Blocks.
    ///
    /// What cannot be put into it is not published; where it could be before, that stays. `is_done` tells which entries
    /// are in that form already.
    fn render(
        &self,
        catalog: &mut Catalog,
        is_done: impl Fn(&Entry) -> bool,
    ) -> Result<(), SideError> {
        let mut kept_back = Vec::new();
        for (path, entry) in &mut catalog.entries {
            if is_done(entry) {
                continue;
            }
            match self.rendered(path, entry)? {
                Ok(rendered) => {
                    if !rendered.left_out.is_empty() {
                        catalog.problems.push(self.left_out(path, entry, &rendered));
                    }
                    entry.version = Version {
                        hash: rendered.hash,
                        executable: false,
                    };
                    entry.size = rendered.size;
                }
                Err(why) => {
                    let row = self.ledger.get(path);
                    let row = row.filter(|row| row.source == entry.source && row.key == entry.key);
                    let last = row.and_then(|row| Some((row.base?, row.size)));
                    let outcome = if last.is_some() {
                        "the last version that could be stays"
                    } else {
                        "it is not published"
                    };
                    catalog.problems.push(Problem {
                        kind: ProblemKind::Rendering,
                        path: path.to_string(),
                        message: format!(
                            "`{}` of source `{}` cannot be written as {} in target `{}`, so {outcome}: {why}",
                            entry.key,
                            entry.source,
                            form(self.renderer),
                            self.id
                        ),
                    });
                    match last {
                        Some((version, size)) => (entry.version, entry.size) = (version, size),
                        None => kept_back.push((path.clone(), why)),
                    }
                }
            }
        }
        for (path, why) in kept_back {
            if let Some(entry) = catalog.entries.remove(&path) {
                let reason = format!("it cannot be written as {}: {why}", form(self.renderer));
                let losers = catalog.losers.entry(path).or_default();
                let to = None;
                losers.insert(0, Loser { entry, reason, to });
            }
        }
        Ok(())
    }

    fn rendered(&self, path: &ItemKey, entry: &Entry) -> Result<Outcome, SideError> {
        let name = entry.key.file_name().to_owned();
        let remembered = (self.renderer, entry.version.hash, name);
        let known = locked(&self.renderings.0).get(&remembered).cloned();
        match known {
            // It is kept only as long as something names it: what is new to the target is made again.
            Some(Ok(known)) if self.is_published(path, &known) => return Ok(Ok(known)),
            Some(Err(why)) => return Ok(Err(why)),
            _ => {}
        }
        let bytes = match self.read(&entry.version.hash) {
            Err(error @ (SideError::Storage { .. } | SideError::Cancelled)) => return Err(error),
            // It may be at hand the next time.
            Err(error) => return Ok(Err(error.to_string())),
            Ok(bytes) => bytes,
        };
        let outcome = match self.renderer {
            Renderer::CodexAgent => homing_items::codex_agent(&entry.key, &bytes),
        };
        let outcome = match outcome {
            Err(why) => Err(why.to_string()),
            Ok(rendered) => {
                let text = rendered.text.into_bytes();
                let size = text.len() as u64;
                let rendered = Rendered {
                    hash: ContentHash::of(&text),
                    size,
                    left_out: rendered.left_out.into(),
                };
                // What the ledger names is kept already.
                let is_kept = self.is_published(path, &rendered)
                    && self.contents.open(&rendered.hash).is_ok();
                if !is_kept {
                    self.contents.keep(&mut text.as_slice(), size)?;
                }
                Ok(rendered)
            }
        };
        let mut all = locked(&self.renderings.0);
        if all.len() >= REMEMBERED {
            all.clear();
        }
        all.insert(remembered, outcome.clone());
        Ok(outcome)
    }

    fn is_published(&self, path: &ItemKey, rendered: &Rendered) -> bool {
        let base = self.ledger.get(path).and_then(|row| row.base);
        base.is_some_and(|base| base.hash == rendered.hash)
    }

    fn read(&self, hash: &ContentHash) -> Result<Vec<u8>, SideError> {
        let mut bytes = Vec::new();
        self.contents
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

/// Returns what a person calls the form.
fn form(renderer: Renderer) -> &'static str {
    match renderer {
        Renderer::CodexAgent => "TOML",
    }
}
