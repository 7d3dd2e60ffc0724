//! Examination: what each item is, found out while its content is kept, or read back where it was kept already.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, Read};
use std::sync::{Arc, Mutex};

use homing_core::{ContentHash, ContentReader, Contents, ItemKey, SideError};
use homing_items::{Examined, Examiner, Finding, Kind, Level, RULES, Rule, own_name};
use homing_store::{Facts, HeadRow};

use crate::shared::locked;

/// So much of a content is read back at once.
const READ_BYTES: usize = 16 << 10;

/// The contents of a run, each examined while it is kept.
pub(crate) struct Examining {
    below: Arc<dyn Contents>,
    seen: Mutex<HashMap<ContentHash, Examined>>,
}

impl Examining {
    pub(crate) fn over(below: Arc<dyn Contents>) -> Self {
        Self {
            below,
            seen: Mutex::default(),
        }
    }

    /// Returns what a content is under a key; `None` when it is not kept any more. Blocks.
    pub(crate) fn facts(
        &self,
        key: &ItemKey,
        hash: &ContentHash,
    ) -> Result<Option<Facts>, SideError> {
        if let Some(examined) = locked(&self.seen).get(hash) {
            return Ok(Some(facts(examined, key)));
        }
        let read = read_back(self.below.as_ref(), hash)?;
        let Some((examined, _)) = read else {
            return Ok(None);
        };
        let facts = facts(&examined, key);
        locked(&self.seen).insert(*hash, examined);
        Ok(Some(facts))
    }

    /// Adds to `puts` the facts of what it takes over, and the rows of `head` that were not examined by the rules of this
    /// Homing. Blocks.
    pub(crate) fn complete(
        &self,
        puts: &mut Vec<HeadRow>,
        deletes: &[ItemKey],
        head: &BTreeMap<ItemKey, HeadRow>,
        is_outdated: bool,
    ) -> Result<(), SideError> {
        for row in &mut *puts {
            let known = head.get(&row.key).filter(|known| {
                !is_outdated && known.head.map(|head| head.hash) == row.head.map(|head| head.hash)
            });
            row.facts = match (known.and_then(|known| known.facts.clone()), row.head) {
                (Some(facts), _) => Some(facts),
                (None, Some(version)) => self.facts(&row.key, &version.hash)?,
                (None, None) => None,
            };
        }
        let is_due = |row: &&HeadRow| row.head.is_some() && (is_outdated || row.facts.is_none());
        if !head.values().any(|row| is_due(&row)) {
            return Ok(());
        }
        let mut touched: std::collections::BTreeSet<ItemKey> =
            puts.iter().map(|row| row.key.clone()).collect();
        touched.extend(deletes.iter().cloned());
        let due = head.values().filter(is_due);
        for row in due.filter(|row| !touched.contains(&row.key)) {
            let Some(version) = row.head else { continue };
            let facts = self.facts(&row.key, &version.hash)?;
            if facts.is_some() && facts != row.facts {
                puts.push(HeadRow {
                    facts,
                    ..row.clone()
                });
            }
        }
        Ok(())
    }
}

impl Contents for Examining {
    fn open(&self, hash: &ContentHash) -> Result<ContentReader, SideError> {
        self.below.open(hash)
    }

    fn report_damaged(&self, hash: &ContentHash) {
        self.below.report_damaged(hash);
    }

    fn keep(&self, bytes: &mut dyn Read, size_hint: u64) -> Result<(ContentHash, u64), SideError> {
        let mut tee = Tee {
            from: bytes,
            examiner: Examiner::for_size(size_hint),
        };
        let (hash, size) = self.below.keep(&mut tee, size_hint)?;
        // Not under the lock: others keep contents meanwhile.
        let examined = tee.examiner.end();
        locked(&self.seen).insert(hash, examined);
        Ok((hash, size))
    }

    fn flush(&self) -> Result<(), SideError> {
        self.below.flush()
    }
}

/// Passes bytes on and shows them to an examiner.
struct Tee<'a> {
    from: &'a mut dyn Read,
    examiner: Examiner,
}

impl Read for Tee<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.examiner.update(&buffer[..count]);
        Ok(count)
    }
}

/// The key under which the store remembers by which rules a source's items were examined.
pub(crate) fn rules_key(source: &homing_core::SourceId) -> String {
    format!("examined_by:{source}")
}

/// The rules of this Homing, as the store remembers them.
pub(crate) fn rules() -> String {
    RULES.to_string()
}

/// Reads a content back and examines it; `None` when it is not kept. Also returns its size. Blocks.
pub(crate) fn read_back(
    contents: &dyn Contents,
    hash: &ContentHash,
) -> Result<Option<(Examined, u64)>, SideError> {
    let mut reader = match contents.open(hash) {
        Err(SideError::NotFound { .. }) => return Ok(None),
        opened => opened?,
    };
    let mut examiner = Examiner::default();
    let size = read_through(&mut reader, &mut examiner).map_err(|error| SideError::Storage {
        message: format!("content {hash} could not be read"),
        source: Some(Box::new(error)),
    })?;
    Ok(Some((examiner.end(), size)))
}

fn read_through(reader: &mut dyn Read, examiner: &mut Examiner) -> io::Result<u64> {
    let mut buffer = vec![0; READ_BYTES];
    let mut size = 0;
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(size),
            Ok(count) => {
                examiner.update(&buffer[..count]);
                size += count as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Makes the store's row of what was found out.
fn facts(examined: &Examined, key: &ItemKey) -> Facts {
    let found = examined.facts(key);
    Facts {
        kind: found.kind.number(),
        name: found.name,
        version: found.version,
        findings: Finding::to_text(&found.findings),
    }
}

/// Returns the kind of a file by itself; by its path alone where nobody has looked at it yet.
pub(crate) fn kind(key: &ItemKey, facts: Option<&Facts>) -> Kind {
    facts
        .and_then(|facts| Kind::from_number(facts.kind))
        .unwrap_or_else(|| Kind::of(key, None))
}

/// Returns the name that a file goes by.
pub(crate) fn name<'a>(key: &'a ItemKey, kind: Kind, facts: Option<&'a Facts>) -> Option<&'a str> {
    facts
        .and_then(|facts| facts.name.as_deref())
        .or_else(|| own_name(key, kind))
}

/// Returns what is to be said against a file.
pub(crate) fn findings(facts: Option<&Facts>) -> Vec<Finding> {
    let text = facts.and_then(|facts| facts.findings.as_deref());
    text.map(Finding::from_text).unwrap_or_default()
}

/// Returns the first thing that keeps a file from being published.
pub(crate) fn blocking(facts: Option<&Facts>) -> Option<Finding> {
    let text = facts.and_then(|facts| facts.findings.as_deref())?;
    let mut rules = Rule::ALL
        .iter()
        .filter(|rule| rule.level() == Level::Blocking);
    // Each publish asks for it of each item, and notes are many.
    if !rules.any(|rule| text.contains(rule.id())) {
        return None;
    }
    let mut findings = Finding::from_text(text).into_iter();
    findings.find(|one| one.level() == Level::Blocking)
}

#[cfg(test)]
mod tests {
    use homing_core::Version;
    use testkit::MemoryContents;

    use super::*;

    const AGENT: &str = "---\nname: a\ndescription: d\nversion: 2\n---\n\u{202e}\n";

    fn key(path: &str) -> ItemKey {
        ItemKey::new(path).unwrap()
    }

    fn row(path: &str, hash: ContentHash) -> HeadRow {
        let version = Version {
            hash,
            executable: false,
        };
        HeadRow {
            key: key(path),
            head: Some(version),
            base: Some(version),
            size: 1,
            identity: None,
            facts: None,
        }
    }

    #[test]
    fn what_is_kept_is_examined_on_its_way_and_what_was_kept_is_read_back() {
        let store = Arc::new(MemoryContents::default());
        let kept = store.add(b"kept before");
        let examining = Examining::over(Arc::clone(&store) as Arc<dyn Contents>);
        let (hash, size) = examining.keep(&mut AGENT.as_bytes(), 0).unwrap();
        assert_eq!(
            (hash, size),
            (ContentHash::of(AGENT.as_bytes()), AGENT.len() as u64)
        );
        // Nothing is read again of what came by.
        store.forget(&hash);
        let facts = examining
            .facts(&key("agents/x.md"), &hash)
            .unwrap()
            .unwrap();
        assert_eq!(
            (facts.kind, facts.name.as_deref()),
            (Kind::Agent.number(), Some("a"))
        );
        assert_eq!(facts.version.as_deref(), Some("2"));
        assert_eq!(
            blocking(Some(&facts)).unwrap().rule,
            Rule::BidirectionalControl
        );
        let text = examining.facts(&key("x.txt"), &kept).unwrap().unwrap();
        assert_eq!(text, Facts::default());
        let gone = ContentHash::of(b"gone");
        assert_eq!(examining.facts(&key("x.txt"), &gone).unwrap(), None);
    }

    #[test]
    fn a_large_content_is_examined_whole_on_its_way_and_when_it_is_read_back() {
        let store = Arc::new(MemoryContents::default());
        let examining = Examining::over(Arc::clone(&store) as Arc<dyn Contents>);
        let mut large = vec![b'x'; 3 << 20];
        large.extend_from_slice("\u{202e}".as_bytes());
        let (hash, _) = examining
            .keep(&mut large.as_slice(), large.len() as u64)
            .unwrap();
        assert!(store.get(&hash).unwrap() == large);
        let facts = examining.facts(&key("x.md"), &hash).unwrap();
        assert_eq!(blocking(facts.as_ref()).unwrap().rule, Rule::OversizeText);
        let (again, size) = read_back(store.as_ref(), &hash).unwrap().unwrap();
        assert_eq!(size, large.len() as u64);
        assert_eq!(Some(super::facts(&again, &key("x.md"))), facts);
        let facts = examining.facts(&key("x.py"), &hash).unwrap();
        let found = blocking(facts.as_ref()).unwrap();
        assert_eq!(
            (found.rule, found.column),
            (Rule::BidirectionalControl, (3 << 20) + 1)
        );
    }

    #[test]
    fn rows_get_their_facts_and_those_that_were_never_examined_too() {
        let store = Arc::new(MemoryContents::default());
        let (one, two) = (store.add(b"one"), store.add(b"two"));
        let examining = Examining::over(Arc::clone(&store) as Arc<dyn Contents>);
        let known = HeadRow {
            facts: Some(Facts {
                kind: 3,
                ..Facts::default()
            }),
            ..row("known.md", one)
        };
        let head: BTreeMap<ItemKey, HeadRow> = [
            known.clone(),
            row("unknown.md", one),
            row("deleted.md", one),
            row("changed.md", one),
            HeadRow {
                head: None,
                ..row("gone.md", one)
            },
        ]
        .into_iter()
        .map(|row| (row.key.clone(), row))
        .collect();
        let completed = |puts: Vec<HeadRow>, is_outdated| {
            let mut puts = puts;
            let deletes = [key("deleted.md")];
            let done = examining.complete(&mut puts, &deletes, &head, is_outdated);
            done.unwrap();
            let told = puts.iter().map(|row| {
                (
                    row.key.to_string(),
                    row.facts.as_ref().map(|facts| facts.kind),
                )
            });
            let mut told: Vec<_> = told.collect();
            told.sort();
            told
        };
        let named = |names: &[(&str, Option<u8>)]| -> Vec<(String, Option<u8>)> {
            names
                .iter()
                .map(|(name, kind)| ((*name).to_owned(), *kind))
                .collect()
        };
        assert_eq!(
            completed(vec![row("changed.md", two)], false),
            named(&[("changed.md", Some(0)), ("unknown.md", Some(0))])
        );
        // The same content under another identity keeps what is known of it.
        let touched = HeadRow {
            facts: None,
            ..known.clone()
        };
        assert_eq!(
            completed(vec![touched], false),
            named(&[
                ("changed.md", Some(0)),
                ("known.md", Some(3)),
                ("unknown.md", Some(0))
            ])
        );
        assert_eq!(
            completed(Vec::new(), true),
            named(&[
                ("changed.md", Some(0)),
                ("known.md", Some(0)),
                ("unknown.md", Some(0))
            ])
        );
    }
}
