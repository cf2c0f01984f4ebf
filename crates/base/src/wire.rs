//! What goes over a stream: frames, and messages inside them.
//!
//! A frame is a length (4 bytes, little endian) and that many bytes. A message
//! is a postcard-encoded enum: its first bytes are the variant's number, so a
//! variant from a later version is told apart from nonsense. An unknown variant
//! is skipped and counted; a malformed message costs the sender its link.
//!
//! Every length is checked before anything of that length is allocated.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

/// Largest control frame that any protocol may use, bytes after the length.
// Source: gossipsub (rust) caps messages at 65,536.
pub const FRAME_BYTES_MAX: usize = 64 * 1024;

/// Bytes of the length before each frame.
pub const FRAME_HEADER_BYTES: usize = 4;

/// A message type: an enum whose variants are only ever appended to.
pub trait WireMessage: Serialize + DeserializeOwned {
    /// How many variants this version knows: numbers from here on are unknown.
    const VARIANTS: u32;
    /// Largest encoding accepted, bytes; at most [`FRAME_BYTES_MAX`].
    const BYTES_MAX: usize;

    /// Checks what the type cannot: lengths of lists, ranges of numbers.
    ///
    /// # Errors
    ///
    /// If a rule is broken; the message is then malformed.
    fn validate(&self) -> Result<(), Malformed>;
}

/// What a frame holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decoded<M> {
    /// A message.
    Message(M),
    /// A variant that this version does not know: skip and count it.
    Unknown {
        /// The variant's number.
        variant: u32,
    },
}

/// A message that breaks the protocol: its sender loses the link.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// More bytes than the message type allows.
    #[error("{bytes} bytes are more than the protocol allows")]
    TooLong {
        /// How many bytes it has.
        bytes: usize,
    },
    /// The bytes do not decode, or some are left over.
    #[error("the bytes do not decode")]
    Encoding,
    /// A list is longer or a number larger than the protocol allows.
    #[error("{field} is out of bounds")]
    Bounds {
        /// Which field.
        field: &'static str,
    },
}

impl Malformed {
    /// [`Malformed::Bounds`] unless `holds`.
    ///
    /// # Errors
    ///
    /// If it does not hold.
    pub fn unless(holds: bool, field: &'static str) -> Result<(), Self> {
        if holds {
            Ok(())
        } else {
            Err(Self::Bounds { field })
        }
    }
}

/// Encodes a message, without a frame around it.
///
/// # Panics
///
/// If the message breaks its own limits: a bug of the sender, which must split.
pub fn encode<M: WireMessage>(message: &M) -> Vec<u8> {
    let bytes =
        postcard::to_stdvec(message).expect("messages are plain data, which always encodes");
    assert!(
        bytes.len() <= M::BYTES_MAX,
        "a message of {} bytes is too long to send",
        bytes.len()
    );
    bytes
}

/// Decodes the inside of a frame.
///
/// # Errors
///
/// If the bytes are not a message of this type within its limits.
pub fn decode<M: WireMessage>(bytes: &[u8]) -> Result<Decoded<M>, Malformed> {
    if bytes.len() > M::BYTES_MAX {
        return Err(Malformed::TooLong { bytes: bytes.len() });
    }
    let (variant, _) = postcard::take_from_bytes::<u32>(bytes).map_err(|_| Malformed::Encoding)?;
    if variant >= M::VARIANTS {
        return Ok(Decoded::Unknown { variant });
    }
    let (message, rest) = postcard::take_from_bytes::<M>(bytes).map_err(|_| Malformed::Encoding)?;
    if !rest.is_empty() {
        return Err(Malformed::Encoding);
    }
    message.validate()?;
    Ok(Decoded::Message(message))
}

/// Body of the fuzz targets of message types: decoding never panics, and what
/// decodes encodes to something that decodes to the same.
#[doc(hidden)]
pub fn fuzz_decode<M: WireMessage + PartialEq + std::fmt::Debug>(input: &[u8]) {
    if let Ok(Decoded::Message(message)) = decode::<M>(input) {
        let bytes = postcard::to_stdvec(&message).expect("what decoded encodes");
        if bytes.len() <= M::BYTES_MAX {
            assert_eq!(decode::<M>(&bytes), Ok(Decoded::Message(message)));
        }
    }
}

/// Puts a length before `body`.
///
/// # Panics
///
/// If the body is longer than [`FRAME_BYTES_MAX`].
pub fn frame(body: &[u8]) -> Vec<u8> {
    assert!(
        body.len() <= FRAME_BYTES_MAX,
        "a frame of {} bytes is too long",
        body.len()
    );
    let length = u32::try_from(body.len()).expect("the limit is far below 2^32");
    let mut bytes = Vec::with_capacity(FRAME_HEADER_BYTES + body.len());
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(body);
    bytes
}

/// How long the frame is that starts with this header.
///
/// # Errors
///
/// If it is longer than `bytes_max`.
pub fn frame_length(
    header: [u8; FRAME_HEADER_BYTES],
    bytes_max: usize,
) -> Result<usize, Malformed> {
    let bytes = usize::try_from(u32::from_le_bytes(header)).unwrap_or(usize::MAX);
    if bytes > bytes_max {
        Err(Malformed::TooLong { bytes })
    } else {
        Ok(bytes)
    }
}

/// An Ed25519 signature as bytes; serde's own arrays end at 32.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SignatureBytes(pub [u8; 64]);

impl std::fmt::Debug for SignatureBytes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&data_encoding::HEXLOWER.encode(&self.0))
    }
}

impl Serialize for SignatureBytes {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let (low, high) = self.0.split_at(32);
        let half = |bytes: &[u8]| <[u8; 32]>::try_from(bytes).expect("64 bytes split at 32");
        (half(low), half(high)).serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for SignatureBytes {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let (low, high) = <([u8; 32], [u8; 32])>::deserialize(deserializer)?;
        let mut bytes = [0; 64];
        bytes[..32].copy_from_slice(&low);
        bytes[32..].copy_from_slice(&high);
        Ok(Self(bytes))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum Old {
        Ping(u8),
        Words(Vec<String>),
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    enum New {
        Ping(u8),
        Words(Vec<String>),
        Later { text: String },
    }

    impl WireMessage for Old {
        const VARIANTS: u32 = 2;
        const BYTES_MAX: usize = 64;

        fn validate(&self) -> Result<(), Malformed> {
            match self {
                Self::Ping(_) => Ok(()),
                Self::Words(words) => Malformed::unless(words.len() <= 3, "words"),
            }
        }
    }

    impl WireMessage for New {
        const VARIANTS: u32 = 3;
        const BYTES_MAX: usize = 64;

        fn validate(&self) -> Result<(), Malformed> {
            Ok(())
        }
    }

    #[test]
    fn later_variants_are_skipped_not_punished() {
        let later = encode(&New::Later {
            text: "hello".to_owned(),
        });
        assert_eq!(decode::<Old>(&later), Ok(Decoded::Unknown { variant: 2 }));
        assert_eq!(
            decode::<Old>(&encode(&New::Ping(3))),
            Ok(Decoded::Message(Old::Ping(3)))
        );
    }

    #[test]
    fn nonsense_is_malformed() {
        let long = vec![0; 65];
        assert_eq!(decode::<Old>(&long), Err(Malformed::TooLong { bytes: 65 }));
        assert_eq!(decode::<Old>(&[]), Err(Malformed::Encoding));
        assert_eq!(decode::<Old>(&[0]), Err(Malformed::Encoding));
        assert_eq!(
            decode::<Old>(&[0, 1, 2]),
            Err(Malformed::Encoding),
            "a byte is left over"
        );
        assert_eq!(decode::<Old>(&[0xff; 5]), Err(Malformed::Encoding));
        let four = encode(&New::Words(vec![String::new(); 4]));
        assert_eq!(
            decode::<Old>(&four),
            Err(Malformed::Bounds { field: "words" })
        );
        // A list that claims 2^28 strings and holds none.
        assert_eq!(
            decode::<Old>(&[1, 0xff, 0xff, 0xff, 0x7f]),
            Err(Malformed::Encoding)
        );
    }

    #[test]
    fn frames_are_measured_before_they_are_read() {
        let framed = frame(b"abc");
        let header = framed[..4].try_into().expect("four bytes");
        assert_eq!(frame_length(header, 3), Ok(3));
        assert_eq!(
            frame_length(header, 2),
            Err(Malformed::TooLong { bytes: 3 })
        );
        assert!(frame_length([0xff; 4], FRAME_BYTES_MAX).is_err());
    }
}
