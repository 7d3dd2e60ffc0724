//! Contents that were kept and whose bytes are damaged or gone.
//!
//! Such a content is marked where that is noticed. It counts as missing from then on, so that the next run fetches it
//! again, and keeping it takes the mark away. What is left of its bytes stays until then: a mark may be wrong, and what
//! was lost may come back from a backup.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::sync::atomic::Ordering;

use homing_core::{ContentHash, ContentReader, Hasher};

use crate::contents::{COPY_BYTES, Opened, StoredContents};
use crate::tables::NewContent;
use crate::{Store, StoreError};

/// So many contents are verified in one transaction: while it lasts the write-ahead log cannot be taken over.
const AT_ONCE: usize = 1_000;

impl Store {
    /// Returns the contents that were kept and found damaged or gone, until they are kept again.
    ///
    /// Asks the database only where there may be some.
    pub async fn lost_contents(&self) -> Result<Vec<ContentHash>, StoreError> {
        let contents = &self.inner().contents;
        // Before it is looked: what is marked meanwhile is for the next one who asks.
        let losses = contents.losses.load(Ordering::Acquire);
        if contents.losses_healed.load(Ordering::Acquire) == losses {
            return Ok(Vec::new());
        }
        let lost = self.read(|reader| reader.lost_contents()).await?;
        if lost.is_empty() {
            contents.losses_healed.fetch_max(losses, Ordering::AcqRel);
        }
        Ok(lost)
    }
}

impl StoredContents {
    /// Reads a content whole and compares it with its hash. `false`: its bytes are damaged or gone, and it is marked.
    pub fn verify_content(&self, hash: &ContentHash) -> Result<bool, StoreError> {
        let mut reader = match self.open_stored(hash)? {
            // Small ones were compared when they were opened.
            Opened::Content(ContentReader::Bytes(_)) => return Ok(true),
            Opened::Content(reader) => reader,
            Opened::Nothing => return Err(StoreError::MissingContent(*hash)),
            Opened::Lost => return Ok(false),
        };
        let found =
            hash_of(&mut reader).map_err(|error| StoreError::io(self.state().file(hash), error))?;
        if found != *hash {
            self.lose(hash, "its file does not have its hash");
        }
        Ok(found == *hash)
    }

    /// Reads contents whole and compares each with its hash, as [`Self::verify_content`] does; `false` for one that is not
    /// kept too.
    pub fn verify_contents(&self, hashes: &[ContentHash]) -> Result<Vec<bool>, StoreError> {
        let mut all = Vec::with_capacity(hashes.len());
        for some in hashes.chunks(AT_ONCE) {
            let mut sound = self.inner.read(|reader| reader.are_sound(some))?;
            for (hash, is_sound) in some.iter().zip(&mut sound) {
                if !*is_sound {
                    *is_sound = match self.verify_content(hash) {
                        Err(StoreError::MissingContent(_)) => false,
                        other => other?,
                    };
                }
            }
            all.extend(sound);
        }
        Ok(all)
    }

    /// Marks a content as lost.
    pub(crate) fn lose(&self, hash: &ContentHash, what: &str) -> Opened {
        tracing::warn!(content = %hash, what, "a content of the store is damaged");
        let lost = *hash;
        if let Err(error) = self.inner.write(move |writer| writer.set_lost(&lost)) {
            // Whoever opens it next notices again.
            tracing::warn!(
                content = %hash,
                error = &error as &dyn std::error::Error,
                "a damaged content could not be marked"
            );
        }
        self.state().losses.fetch_add(1, Ordering::AcqRel);
        Opened::Lost
    }

    /// Looks once more at what is left of a lost content, in the database (`bytes`) and in its file.
    pub(crate) fn open_lost(
        &self,
        hash: &ContentHash,
        bytes: Option<Vec<u8>>,
    ) -> Result<Opened, StoreError> {
        if let Some(bytes) = bytes
            && ContentHash::of(&bytes) == *hash
        {
            self.find(hash, NewContent::Bytes(bytes.clone().into()));
            return Ok(Opened::bytes(bytes));
        }
        let Ok(mut file) = File::open(self.state().file(hash)) else {
            return Ok(Opened::Lost);
        };
        let is_whole = hash_of(&mut file).is_ok_and(|found| found == *hash);
        if !is_whole || file.rewind().is_err() {
            return Ok(Opened::Lost);
        }
        let metadata = file
            .sync_all()
            .and_then(|()| file.metadata())
            .map_err(|error| StoreError::io(self.state().file(hash), error))?;
        self.find(
            hash,
            NewContent::File {
                size: metadata.len(),
            },
        );
        Ok(Opened::Content(ContentReader::File(file)))
    }

    fn find(&self, hash: &ContentHash, content: NewContent) {
        let found = [(*hash, content)];
        match self.inner.write(move |writer| writer.put_contents(&found)) {
            Ok(()) => tracing::info!(content = %hash, "a content that was lost is whole again"),
            Err(error) => tracing::warn!(
                content = %hash,
                error = &error as &dyn std::error::Error,
                "the mark of a content that is whole again could not be taken away"
            ),
        }
    }
}

fn hash_of(reader: &mut dyn Read) -> io::Result<ContentHash> {
    let mut hasher = Hasher::default();
    let mut buffer = vec![0; COPY_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish()),
            Ok(count) => hasher.update(&buffer[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}
