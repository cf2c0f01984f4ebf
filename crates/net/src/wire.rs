//! Numbers on the wire: what the first bytes of a stream mean, and why
//! connections and streams are closed.

use crate::{Channel, RequestKind};

/// The name of the protocol in the TLS handshake.
pub(crate) const ALPN: &[u8] = b"gannet/1";

// The codes of closed connections. They are only ever appended to.
pub(crate) const CODE_LEFT: u32 = 0;
pub(crate) const CODE_WRONG_NETWORK: u32 = 1;
pub(crate) const CODE_WRONG_SECRET: u32 = 2;
pub(crate) const CODE_VERSION: u32 = 3;
pub(crate) const CODE_DUPLICATE: u32 = 4;
pub(crate) const CODE_FULL: u32 = 5;
pub(crate) const CODE_MALFORMED: u32 = 6;
pub(crate) const CODE_TIMED_OUT: u32 = 7;
pub(crate) const CODE_REPLACED: u32 = 8;

// The codes of abandoned streams.
pub(crate) const CODE_STOPPED: u32 = 0;
pub(crate) const CODE_REFUSED: u32 = 1;
pub(crate) const CODE_UNKNOWN: u32 = 2;
/// The reader has everything: it stops a stream whose bytes came by another
/// road.
pub(crate) const CODE_RECEIVED: u32 = 3;
/// The lane that the stream had moved to broke.
pub(crate) const CODE_BROKEN: u32 = 4;

/// Most bytes in a segment of a transfer. Each segment has its length before
/// it, 4 bytes, little endian; larger numbers are marks.
pub(crate) const SEGMENT_BYTES_MAX: u32 = 1 << 30;
/// A mark on a transfer's QUIC stream: what follows comes by the lane whose name
/// is the next 16 bytes.
pub(crate) const MARK_MOVE: u32 = 0x8000_0001;
/// A mark on a lane: nothing follows.
pub(crate) const MARK_END: u32 = 0x8000_0002;
/// A mark on a lane: the lane whose name is the next 16 bytes is used too, and from here on
/// both carry numbered stripes.
pub(crate) const MARK_JOIN: u32 = 0x8000_0003;

const KIND_HANDSHAKE: u8 = 1;
const KIND_TRANSFER: u8 = 2;
const KIND_REQUEST: u8 = 3;
const KIND_CONTROL: u8 = 4;
const KIND_ROAD: u8 = 5;

/// What a stream carries, as its first bytes say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamHeader {
    /// The handshake: the first stream of a connection, and only that.
    Handshake,
    /// A transfer.
    Transfer,
    /// A request and its answer.
    Request(RequestKind),
    /// Messages of one protocol, one direction.
    Control(Channel),
    /// A wish for another road for transfers, and the offer of one.
    Road,
}

/// What the first bytes of a stream amount to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ParsedHeader {
    /// A stream of a known kind.
    Known(StreamHeader),
    /// Another byte is needed.
    Incomplete,
    /// Something that this version does not know.
    Unknown,
}

impl StreamHeader {
    /// Longest header, bytes.
    pub(crate) const BYTES_MAX: usize = 2;

    /// The header's bytes.
    pub(crate) fn encode(self) -> Vec<u8> {
        match self {
            Self::Handshake => vec![KIND_HANDSHAKE],
            Self::Transfer => vec![KIND_TRANSFER],
            Self::Request(kind) => vec![KIND_REQUEST, kind.0],
            Self::Control(channel) => vec![KIND_CONTROL, channel.number()],
            Self::Road => vec![KIND_ROAD],
        }
    }

    /// Reads a header that begins with these bytes and must not be longer.
    pub(crate) fn parse(bytes: &[u8]) -> ParsedHeader {
        let known = match *bytes {
            [] | [KIND_REQUEST | KIND_CONTROL] => return ParsedHeader::Incomplete,
            [KIND_HANDSHAKE] => Self::Handshake,
            [KIND_TRANSFER] => Self::Transfer,
            [KIND_ROAD] => Self::Road,
            [KIND_REQUEST, kind] => Self::Request(RequestKind(kind)),
            [KIND_CONTROL, number] => match Channel::from_number(number) {
                Some(channel) => Self::Control(channel),
                None => return ParsedHeader::Unknown,
            },
            _ => return ParsedHeader::Unknown,
        };
        ParsedHeader::Known(known)
    }
}

/// Body of the fuzz target `stream_header`: any bytes are a header, the start
/// of one, or unknown; and what is known encodes to the same bytes.
pub fn fuzz(input: &[u8]) {
    for end in 0..=input.len().min(StreamHeader::BYTES_MAX) {
        match StreamHeader::parse(&input[..end]) {
            ParsedHeader::Known(header) => {
                assert_eq!(header.encode(), &input[..end]);
                return;
            }
            ParsedHeader::Incomplete => assert!(end < StreamHeader::BYTES_MAX),
            ParsedHeader::Unknown => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_round_trip() {
        let mut headers = vec![
            StreamHeader::Handshake,
            StreamHeader::Transfer,
            StreamHeader::Road,
            StreamHeader::Request(RequestKind::BROWSE),
            StreamHeader::Request(RequestKind(255)),
        ];
        headers.extend(Channel::ALL.map(StreamHeader::Control));
        for header in headers {
            let bytes = header.encode();
            assert_eq!(StreamHeader::parse(&bytes), ParsedHeader::Known(header));
            assert!(bytes.len() <= StreamHeader::BYTES_MAX);
            assert_eq!(
                StreamHeader::parse(&bytes[..bytes.len() - 1]),
                ParsedHeader::Incomplete
            );
        }
    }

    #[test]
    fn every_pair_of_bytes_is_judged() {
        for first in 0..=u8::MAX {
            for second in 0..=u8::MAX {
                fuzz(&[first, second]);
            }
        }
        assert_eq!(StreamHeader::parse(&[9]), ParsedHeader::Unknown);
        assert_eq!(StreamHeader::parse(&[4, 5]), ParsedHeader::Unknown);
    }
}
