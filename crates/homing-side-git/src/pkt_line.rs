//! Git's framing of what is sent: lines that say how long they are.

use bytes::{BufMut, Bytes, BytesMut};

/// The length of a line's length.
const LENGTH: usize = 4;

/// A packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Packet {
    /// `0000`: the end of a message.
    Flush,
    /// `0001`: the end of a section.
    Delimiter,
    /// `0002`: the end of an answer.
    End,
    /// What it holds.
    Data(Bytes),
}

/// What was received is no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// A message that is being written.
#[derive(Debug, Default)]
pub(crate) struct Message(BytesMut);

impl Message {
    /// Adds a line, which gets its end.
    pub(crate) fn line(mut self, text: &str) -> Self {
        let length = LENGTH + text.len() + 1;
        self.0.put_slice(format!("{length:04x}{text}\n").as_bytes());
        self
    }

    pub(crate) fn delimiter(mut self) -> Self {
        self.0.put_slice(b"0001");
        self
    }

    pub(crate) fn flush(mut self) -> Bytes {
        self.0.put_slice(b"0000");
        self.0.freeze()
    }
}

/// Takes the next packet off what was received; `None` when it is not whole yet.
pub(crate) fn next(received: &mut BytesMut) -> Result<Option<Packet>, Malformed> {
    let Some(length) = received.get(..LENGTH) else {
        return Ok(None);
    };
    let length = std::str::from_utf8(length)
        .ok()
        .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))
        .and_then(|digits| usize::from_str_radix(digits, 16).ok())
        .ok_or(Malformed)?;
    let special = match length {
        0 => Some(Packet::Flush),
        1 => Some(Packet::Delimiter),
        2 => Some(Packet::End),
        3 => return Err(Malformed),
        _ => None,
    };
    if let Some(packet) = special {
        drop(received.split_to(LENGTH));
        return Ok(Some(packet));
    }
    if received.len() < length {
        return Ok(None);
    }
    let mut packet = received.split_to(length);
    Ok(Some(Packet::Data(packet.split_off(LENGTH).freeze())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_read_as_it_was_written() {
        let message = Message::default()
            .line("command=ls-refs")
            .delimiter()
            .line("peel")
            .flush();
        assert_eq!(&message[..], b"0014command=ls-refs\n00010009peel\n0000");
        let mut received = BytesMut::new();
        let mut packets = Vec::new();
        // However it arrives.
        for byte in message {
            received.put_u8(byte);
            packets.extend(next(&mut received).unwrap());
        }
        assert_eq!(
            packets,
            [
                Packet::Data(Bytes::from_static(b"command=ls-refs\n")),
                Packet::Delimiter,
                Packet::Data(Bytes::from_static(b"peel\n")),
                Packet::Flush
            ]
        );
    }

    #[test]
    fn what_is_no_packet_is_noticed() {
        for bytes in [&b"<!DO"[..], b"0003", b"+123", b"zzzz"] {
            assert_eq!(next(&mut BytesMut::from(bytes)), Err(Malformed));
        }
        assert_eq!(next(&mut BytesMut::from(&b"000"[..])), Ok(None));
        assert_eq!(next(&mut BytesMut::from(&b"0005"[..])), Ok(None));
        assert_eq!(
            next(&mut BytesMut::from(&b"0002"[..])),
            Ok(Some(Packet::End))
        );
    }
}
