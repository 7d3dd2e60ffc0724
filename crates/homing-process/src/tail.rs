//! The last words of a program.

use crate::errand::Ear;

/// How much of what it prints is kept: the end.
pub(crate) const TAIL_BYTES: usize = 8 * 1024;

/// The end of what was said.
#[derive(Default)]
pub struct Tail {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Ear for Tail {
    fn hears_errors(&self) -> bool {
        true
    }

    fn add(&mut self, bytes: &[u8]) -> bool {
        self.bytes.extend_from_slice(bytes);
        if let Some(surplus) = self.bytes.len().checked_sub(TAIL_BYTES).filter(|n| *n > 0) {
            self.bytes.drain(..surplus);
            self.is_cut = true;
        }
        true
    }
}

impl Tail {
    pub(crate) fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.bytes);
        // What is cut begins in the middle of a line, maybe of a character.
        let text = match (self.is_cut, text.split_once('\n')) {
            (true, Some((_, whole))) => whole,
            _ => &text,
        };
        text.trim_end().to_owned()
    }
}
