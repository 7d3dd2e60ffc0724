//! Merging three texts.

use std::collections::HashMap;

use gix_merge::blob::Resolution;
use gix_merge::blob::builtin_driver::text;

use crate::Policy;

/// A content of more bytes is not merged by lines: its three versions and their tables must fit in memory.
pub const MERGE_LIMIT_BYTES: usize = 16 * 1024 * 1024;

/// A content of more lines is not merged by lines: comparing contents that have nothing in common takes a time that
/// grows with the square of their lines, 1.5 s at this number and minutes at the largest size.
pub const MERGE_LIMIT_LINES: usize = 50_000;

/// How far into a content a NUL byte is looked for; Git looks as far.
const BINARY_PROBE_BYTES: usize = 8 * 1024;

/// The three contents of a key.
///
/// A content with a NUL byte in its first 8 KiB, of more than [`MERGE_LIMIT_BYTES`] or of more than
/// [`MERGE_LIMIT_LINES`] is binary: it is taken or left as a whole. Lines end at `\n`; a line that differs in its `\r`
/// only has been changed.
#[derive(Debug, Clone, Copy)]
pub struct MergeInput<'a> {
    /// What both sides last agreed on.
    pub base: Option<&'a [u8]>,
    /// The near side's bytes; `None`: deleted.
    pub near: Option<&'a [u8]>,
    /// The far side's bytes; `None`: deleted.
    pub far: Option<&'a [u8]>,
    /// What becomes of places that overlap.
    pub policy: Policy,
}

/// What a merge came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MergeOutcome {
    /// The merged bytes; `None`: deleted.
    Merged(Option<Vec<u8>>),
    /// A person must decide.
    Conflict,
}

/// Merges three-way. Never yields conflict markers.
///
/// Text is merged by lines; binary content, deletions and both-added contents only as the policy says. Without
/// [`Policy::Ours`] or [`Policy::Theirs`] no line gets lost that neither side removed.
pub fn merge(input: MergeInput<'_>) -> MergeOutcome {
    let MergeInput {
        base,
        near,
        far,
        policy,
    } = input;
    if near == far || far == base {
        return whole(near);
    }
    if near == base {
        return whole(far);
    }
    let (Some(near_text), Some(far_text)) = (near, far) else {
        return pick(input);
    };
    let by_lines = base.is_some() || policy == Policy::Union;
    let base_text = base.unwrap_or_default();
    if !by_lines || [base_text, near_text, far_text].into_iter().any(is_binary) {
        return pick(input);
    }
    merge_lines(base_text, near_text, far_text, policy).unwrap_or_else(|| pick(input))
}

/// Merges the executable bit: the side that changed it wins.
///
/// Without a base the near side's stays: a source alone never makes a file of the user's executable.
pub fn merge_executable(base: Option<bool>, near: bool, far: bool) -> bool {
    if base == Some(near) { far } else { near }
}

fn whole(bytes: Option<&[u8]>) -> MergeOutcome {
    MergeOutcome::Merged(bytes.map(<[u8]>::to_vec))
}

/// Takes one side as it is, where the policy names one.
fn pick(input: MergeInput<'_>) -> MergeOutcome {
    match input.policy {
        Policy::Ours => whole(input.near),
        Policy::Theirs => whole(input.far),
        Policy::Ask | Policy::Union => MergeOutcome::Conflict,
    }
}

pub(crate) fn is_binary(bytes: &[u8]) -> bool {
    bytes.len() > MERGE_LIMIT_BYTES
        || bytes[..bytes.len().min(BINARY_PROBE_BYTES)].contains(&0)
        || bytes.split_inclusive(|byte| *byte == b'\n').count() > MERGE_LIMIT_LINES
}

/// Returns the merged text, or `None` when it overlaps in a way that the policy does not settle line by line.
fn merge_lines(base: &[u8], near: &[u8], far: &[u8], policy: Policy) -> Option<MergeOutcome> {
    #[expect(
        clippy::default_trait_access,
        reason = "gix-merge does not re-export the crate of this type"
    )]
    let mut tokens = Default::default();
    let algorithm = text::Options::default().diff_algorithm;
    let hunks = text::Merge::new(&mut tokens, near, base, far, algorithm);
    let mut merged = Vec::with_capacity(near.len().max(far.len()));

    // Where nothing overlaps no policy has a say. gix-merge's union, for one, would complete the last line.
    let resolution = hunks.run(
        &mut merged,
        text::Labels::default(),
        text::Conflict::default(),
    );
    let overlaps = resolution == Resolution::Conflict;
    if !overlaps && LineCounts::of(base, near, far, &merged).are_kept() {
        return Some(MergeOutcome::Merged(Some(merged)));
    }
    let conflict = match policy {
        Policy::Ours if overlaps => text::Conflict::ResolveWithOurs,
        Policy::Theirs if overlaps => text::Conflict::ResolveWithTheirs,
        Policy::Union => text::Conflict::ResolveWithUnion,
        Policy::Ask | Policy::Ours | Policy::Theirs => return None,
    };
    hunks.run(&mut merged, text::Labels::default(), conflict);
    let counts = LineCounts::of(base, near, far, &merged);
    let is_sound = counts.are_not_invented() && (policy != Policy::Union || counts.are_kept());
    is_sound.then_some(MergeOutcome::Merged(Some(merged)))
}

/// How often each line stands in the base, the near, the far and the merged text, whatever ends it.
struct LineCounts<'a>(HashMap<&'a [u8], [usize; 4]>);

impl<'a> LineCounts<'a> {
    fn of(base: &'a [u8], near: &'a [u8], far: &'a [u8], merged: &'a [u8]) -> Self {
        let mut counts: HashMap<&[u8], [usize; 4]> = HashMap::new();
        for (side, text) in [base, near, far, merged].into_iter().enumerate() {
            for line in text.split_inclusive(|byte| *byte == b'\n') {
                let is_end = |byte: &u8| matches!(byte, b'\r' | b'\n');
                let end = line
                    .iter()
                    .rposition(|byte| !is_end(byte))
                    .map_or(0, |last| last + 1);
                counts.entry(&line[..end]).or_default()[side] += 1;
            }
        }
        Self(counts)
    }

    /// Tells whether the merged text has every line that it must have.
    ///
    /// Diffs speak of places: where both sides move one of two equal lines to the same place, each removes another
    /// one, and a clean merge is left with a single line although both sides hold two. That waits for a person.
    fn are_kept(&self) -> bool {
        self.0.values().all(|&[base, near, far, merged]| {
            let removed = base.saturating_sub(near) + base.saturating_sub(far);
            let added = near.saturating_sub(base).max(far.saturating_sub(base));
            merged >= (base + added).saturating_sub(removed)
        })
    }

    /// Tells whether the merged text has no line more often than both sides together.
    ///
    /// gix-merge's union at times brings back a line that both sides removed.
    fn are_not_invented(&self) -> bool {
        self.0
            .values()
            .all(|&[_, near, far, merged]| merged <= near + far)
    }
}
