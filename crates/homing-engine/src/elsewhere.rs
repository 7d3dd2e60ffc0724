//! A target that the configuration names at another path than before: told as that, with what stays behind.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::path::Path;

use homing_core::{ContentHash, ItemKey, SideError, TargetId};
use homing_store::LedgerRow;

use crate::error::EngineError;
use crate::shared::{Shared, blocking};

/// So many edited files are named.
const NAMED: usize = 5;

/// Returns the key of the metadata that remembers where a target was published last.
pub(crate) fn path_key(target: &TargetId) -> String {
    format!("target_path:{target}")
}

/// Returns the error as it is, or, if it is only that the target's path was changed, as that.
pub(crate) async fn told(shared: &Shared, id: &TargetId, error: EngineError) -> EngineError {
    let is_of_root = matches!(
        error,
        EngineError::RootChanged(_)
            | EngineError::RootEmpty(_)
            | EngineError::RootGone(_)
            | EngineError::Side(SideError::NotFound { .. })
    );
    let Ok((spec, _)) = shared.target(id) else {
        return error;
    };
    if !is_of_root {
        return error;
    }
    let (name, target) = (path_key(id), id.clone());
    let known = shared.store.read(move |reader| {
        let Some(path) = reader.metadata(&name)? else {
            return Ok(None);
        };
        Ok(Some((path, reader.ledger(&target)?)))
    });
    let Ok(Some((old, ledger))) = known.await else {
        return error;
    };
    let new = spec.path.display().to_string();
    if old == new {
        return error;
    }
    let place = old.clone();
    let Ok(left) = blocking(move || Left::find(Path::new(&place), &ledger)).await else {
        return error;
    };
    let accept = match spec.from.iter().find(|source| shared.is_live(source)) {
        Some(source) => format!("`homing sync {source} --accept-root`"),
        None => "`homing sync --accept-root`".to_owned(),
    };
    EngineError::PathChanged {
        message: format!(
            "the path of target `{id}` was changed from `{old}` to `{new}`; {}",
            left.told(&old)
        ),
        hint: format!("{accept} publishes into `{new}`; or set `path` back to `{old}`"),
    }
}

/// What Homing published at the old path and is there still.
struct Left {
    files: usize,
    edited: Vec<ItemKey>,
}

impl Left {
    /// Compares what is there with what was agreed on. Reads the files.
    fn find(root: &Path, ledger: &BTreeMap<ItemKey, LedgerRow>) -> Self {
        let mut left = Self {
            files: 0,
            edited: Vec::new(),
        };
        for row in ledger.values().filter(|row| !row.tombstone) {
            let path = root.join(row.path.as_str());
            if !path.symlink_metadata().is_ok_and(|found| found.is_file()) {
                continue;
            }
            left.files += 1;
            let agreed = row.base.map(|base| base.hash);
            // What cannot be read is not known to be as it was.
            if hash(&path).ok() != agreed {
                left.edited.push(row.path.clone());
            }
        }
        left
    }

    fn told(&self, old: &str) -> String {
        let files = match self.files {
            0 => return format!("nothing that Homing published in `{old}` is there any more"),
            1 => "1 file that Homing published in".to_owned(),
            files => format!("{files} files that Homing published in"),
        };
        let edited = match self.edited.len() {
            0 => "none of them edited".to_owned(),
            edited => {
                let named: Vec<String> = self.edited[..edited.min(NAMED)]
                    .iter()
                    .map(|path| format!("`{path}`"))
                    .collect();
                let more = match edited - named.len() {
                    0 => String::new(),
                    more => format!(" and {more} more"),
                };
                format!("{edited} of them edited ({}{more})", named.join(", "))
            }
        };
        format!("{files} `{old}`, {edited}, will stay there and be yours")
    }
}

fn hash(path: &Path) -> std::io::Result<ContentHash> {
    let mut bytes = Vec::new();
    File::open(path)?.read_to_end(&mut bytes)?;
    Ok(ContentHash::of(&bytes))
}
