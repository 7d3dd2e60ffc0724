//! What people write.

use crate::content::{Unit, is_binary, ordered_units};
use crate::model::Place;
use crate::rng::Rng;

/// Writes lines that nobody ever wrote before.
#[derive(Debug, Default)]
pub(crate) struct Pen {
    lines: u32,
}

impl Pen {
    fn line(&mut self, place: Place) -> Unit {
        self.lines += 1;
        format!("{place} wrote line {:06}\n", self.lines).into_bytes()
    }

    /// Returns a whole new content of the path.
    pub(crate) fn content(&mut self, rng: &mut Rng, place: Place, path: &str) -> Vec<u8> {
        if is_binary_path(path) {
            return [b"\0binary ".to_vec(), self.line(place)].concat();
        }
        let mut content = first_line(path);
        for _ in 0..4 + rng.below(8) {
            content.extend(self.line(place));
        }
        content.extend(last_line(path));
        content
    }

    /// Returns what an edit makes of a content.
    pub(crate) fn edit(
        &mut self,
        rng: &mut Rng,
        place: Place,
        path: &str,
        bytes: &[u8],
    ) -> Vec<u8> {
        if is_binary(bytes) || is_binary_path(path) || rng.chance(5) {
            return self.content(rng, place, path);
        }
        let mut lines = ordered_units(bytes);
        // The first and the last line stay, so that half a file shows.
        for _ in 0..=rng.below(2) {
            let inner = lines.len().saturating_sub(2);
            let at = 1 + rng.below(inner + 1);
            match rng.below(4) {
                0 | 1 if inner > 0 && at <= inner => lines[at] = self.line(place),
                2 if inner > 2 && at <= inner => {
                    lines.remove(at);
                }
                _ if lines.len() >= 2 => lines.insert(at, self.line(place)),
                _ => return self.content(rng, place, path),
            }
        }
        lines.concat()
    }
}

pub(crate) fn is_binary_path(path: &str) -> bool {
    std::path::Path::new(path)
        .extension()
        .is_some_and(|extension| extension == "bin")
}

fn first_line(path: &str) -> Unit {
    format!("= {path} begins\n").into_bytes()
}

fn last_line(path: &str) -> Unit {
    format!("= {path} ends\n").into_bytes()
}
