//! Which parts of a file can be judged although others are no TOML.

use std::ops::Range;

/// Of a text with more mistakes than this nothing else is judged: it is hardly a configuration.
const MOST_MISTAKES: usize = 100;

/// The parts of a text, from one table's header to the next, that have a mistake of syntax.
#[derive(Debug, Default)]
pub(crate) struct Broken {
    parts: Vec<Range<usize>>,
    /// Where the first mistake of each of them is.
    firsts: Vec<usize>,
    text: String,
}

impl Broken {
    /// Finds the parts in which the `mistakes` are.
    pub(crate) fn find(text: &str, mistakes: impl Iterator<Item = Range<usize>>) -> Self {
        let mut broken = Self {
            text: text.to_owned(),
            ..Self::default()
        };
        let mut starts: Vec<usize> = mistakes.map(|span| span.start.min(text.len())).collect();
        if starts.len() > MOST_MISTAKES {
            broken.parts.push(0..text.len());
            broken.firsts.push(usize::MAX);
            return broken;
        }
        starts.sort_unstable();
        for start in starts {
            if !broken.has(start) {
                broken.parts.push(part_around(text, start));
                broken.firsts.push(start);
            }
        }
        broken
    }

    /// Tells whether a place lies in one of them.
    pub(crate) fn has(&self, at: usize) -> bool {
        self.parts
            .iter()
            .any(|part| part.contains(&at) || at == part.end && at == self.text.len())
    }

    /// Tells whether the mistake at this place only follows from the header above it, which is no header.
    pub(crate) fn is_consequence(&self, at: usize) -> bool {
        self.parts.iter().zip(&self.firsts).any(|(part, first)| {
            let header_ends = self.text[part.start..]
                .find('\n')
                .map_or(part.end, |end| part.start + end);
            part.contains(&at)
                && at > header_ends
                && *first <= header_ends
                && is_header(&self.text[part.start..])
        })
    }
}

/// Returns the part of the text, from one header to the next, in which a place is.
fn part_around(text: &str, at: usize) -> Range<usize> {
    let mut part = 0..text.len();
    let mut line_start = 0;
    for line in text.split_inclusive('\n') {
        if is_header(line) {
            if line_start > at {
                part.end = line_start;
                break;
            }
            part.start = line_start;
        }
        line_start += line.len();
    }
    part
}

fn is_header(line: &str) -> bool {
    line.trim_start().starts_with('[')
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "top = 1\n[a]\nx = \n\n  [b]\ny = 2\n[c\nz = 3\nz = \n";

    fn at(needle: &str) -> usize {
        TEXT.find(needle).unwrap()
    }

    #[test]
    fn a_part_goes_from_one_header_to_the_next() {
        let broken = Broken::find(TEXT, std::iter::once(at("x = ")..at("x = ") + 4));
        for (place, is_broken) in [
            ("top", false),
            ("[a]", true),
            ("[b]", false),
            ("z = 3", false),
        ] {
            assert_eq!(broken.has(at(place)), is_broken, "{place}");
        }
    }

    #[test]
    fn what_follows_a_header_that_is_none_is_a_consequence() {
        let places = [at("[c") + 2, TEXT.len()];
        let broken = Broken::find(TEXT, places.into_iter().map(|at| at..at));
        assert!(!broken.is_consequence(at("[c") + 2));
        assert!(broken.is_consequence(at("z = \n")));
        assert!(broken.has(TEXT.len()), "the last mistake may be at the end");
        let mistake = Broken::find(TEXT, std::iter::once(at("x = ")..at("x = ")));
        assert!(!mistake.is_consequence(at("x = ")));
    }
}
