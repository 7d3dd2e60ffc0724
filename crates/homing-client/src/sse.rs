//! Server-sent events, as far as homingd sends them.

/// One event as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Raw {
    pub(crate) id: Option<String>,
    pub(crate) event: String,
    pub(crate) data: String,
}

/// Puts events together from pieces that end anywhere.
#[derive(Debug, Default)]
pub(crate) struct Parser {
    /// Bytes of which no whole line has come yet, from `start` on.
    bytes: Vec<u8>,
    start: usize,
    current: Raw,
}

impl Parser {
    /// Takes in a piece.
    pub(crate) fn feed(&mut self, piece: &[u8]) {
        if self.start > 0 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.bytes.extend_from_slice(piece);
    }

    /// Returns how many bytes wait for the end of their event.
    pub(crate) fn waiting(&self) -> usize {
        self.bytes.len() - self.start + self.current.data.len()
    }

    /// Returns the next whole event; an error when a line is no text.
    pub(crate) fn next(&mut self) -> Result<Option<Raw>, std::str::Utf8Error> {
        while let Some(length) = self.bytes[self.start..]
            .iter()
            .position(|byte| *byte == b'\n')
        {
            let line = std::str::from_utf8(&self.bytes[self.start..self.start + length])?;
            let line = line.strip_suffix('\r').unwrap_or(line);
            if line.is_empty() {
                self.start += length + 1;
                let event = std::mem::take(&mut self.current);
                if event.event.is_empty() && event.data.is_empty() {
                    continue;
                }
                return Ok(Some(event));
            }
            let (field, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match field {
                "id" => self.current.id = Some(value.to_owned()),
                "event" => value.clone_into(&mut self.current.event),
                "data" => {
                    if !self.current.data.is_empty() {
                        self.current.data.push('\n');
                    }
                    self.current.data.push_str(value);
                }
                // A comment, or a field of a newer daemon.
                _ => {}
            }
            self.start += length + 1;
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = ": comment\n\nid: b:1\nevent: a\ndata: {\"x\":\ndata: \"ä\"}\nretry: 3\n\n:\n\nevent: b\r\ndata:c\r\n\r\nevent: cut";

    fn expected() -> Vec<Raw> {
        let raw = |id: Option<&str>, event: &str, data: &str| Raw {
            id: id.map(str::to_owned),
            event: event.to_owned(),
            data: data.to_owned(),
        };
        vec![
            raw(Some("b:1"), "a", "{\"x\":\n\"ä\"}"),
            raw(None, "b", "c"),
        ]
    }

    #[test]
    fn events_are_whole_wherever_the_pieces_end() {
        for size in 1..=TEXT.len() {
            let mut parser = Parser::default();
            let mut events = Vec::new();
            for piece in TEXT.as_bytes().chunks(size) {
                parser.feed(piece);
                while let Some(event) = parser.next().unwrap() {
                    events.push(event);
                }
            }
            assert_eq!(events, expected(), "in pieces of {size}");
            assert_eq!(parser.waiting(), "event: cut".len());
        }
    }

    #[test]
    fn what_is_no_text_is_an_error() {
        let mut parser = Parser::default();
        parser.feed(b"data: \xff\n\n");
        assert!(parser.next().is_err());
    }
}
