//! Identities: who (a peer) and what (a content).

use std::fmt;
use std::str::FromStr;

use data_encoding::HEXLOWER_PERMISSIVE;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that should have been an id and is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseIdError {
    /// The text has the wrong length. Ids are 64 hexadecimal digits: copy the
    /// whole id.
    #[error("an id is 64 hexadecimal digits, this has {found} characters")]
    Length {
        /// How many characters the text has.
        found: usize,
    },
    /// A character is not a hexadecimal digit.
    #[error("an id is 64 hexadecimal digits, character {position} is not one")]
    Digit {
        /// Zero-based position of the first wrong character.
        position: usize,
    },
}

fn parse_hex(text: &str) -> Result<[u8; 32], ParseIdError> {
    let length = text.chars().count();
    if length != 64 || text.len() != 64 {
        return Err(ParseIdError::Length { found: length });
    }
    let mut bytes = [0; 32];
    HEXLOWER_PERMISSIVE
        .decode_mut(text.as_bytes(), &mut bytes)
        .map_err(|partial| ParseIdError::Digit {
            position: partial.error.position,
        })?;
    Ok(bytes)
}

/// A peer: its Ed25519 public key, 32 bytes. Addresses come and go; the key is
/// who it is. Written as 64 lower-case hexadecimal digits, in JSON too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerId([u8; 32]);

/// A content: the BLAKE3 hash of a file's bytes, 32 bytes. Written as 64
/// lower-case hexadecimal digits, the same that `b3sum` prints, in JSON too.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId([u8; 32]);

macro_rules! id_text {
    ($name:ident) => {
        impl $name {
            /// The id with these bytes.
            pub const fn from_bytes(bytes: [u8; 32]) -> Self {
                Self(bytes)
            }

            /// The id's bytes.
            pub const fn as_bytes(&self) -> &[u8; 32] {
                &self.0
            }

            /// The first ten digits: enough to tell two apart on a screen, not
            /// enough to name one on the wire.
            pub fn short(&self) -> String {
                HEXLOWER_PERMISSIVE.encode(&self.0[..5])
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&HEXLOWER_PERMISSIVE.encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self.short())
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.0.serialize(serializer)
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    String::deserialize(deserializer)?
                        .parse()
                        .map_err(serde::de::Error::custom)
                } else {
                    <[u8; 32]>::deserialize(deserializer).map(Self)
                }
            }
        }

        impl FromStr for $name {
            type Err = ParseIdError;

            fn from_str(text: &str) -> Result<Self, ParseIdError> {
                parse_hex(text).map(Self)
            }
        }
    };
}

id_text!(PeerId);
id_text!(ContentId);

impl ContentId {
    /// The id of these bytes. For a whole file in memory; files on disk are
    /// hashed by the store.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_round_trip_as_text() {
        let id = ContentId::of(b"gannet");
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.to_string().to_uppercase().parse(), Ok(id));
        assert_eq!(id.short().len(), 10);
    }

    #[test]
    fn ids_are_bytes_on_the_wire_and_text_in_json() {
        let id = PeerId::from_bytes([0xab; 32]);
        assert_eq!(postcard::to_stdvec(&id).unwrap(), [0xab; 32]);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, format!("\"{id}\""));
        assert_eq!(serde_json::from_str::<PeerId>(&json).unwrap(), id);
        assert!(serde_json::from_str::<PeerId>("\"ab\"").is_err());
    }

    #[test]
    fn bad_ids_say_what_is_wrong() {
        let id = PeerId::from_bytes([7; 32]).to_string();
        assert_eq!(
            id[..63].parse::<PeerId>(),
            Err(ParseIdError::Length { found: 63 })
        );
        let wrong = format!("{}g{}", &id[..5], &id[6..]);
        assert_eq!(
            wrong.parse::<PeerId>(),
            Err(ParseIdError::Digit { position: 5 })
        );
        let wide = "é".repeat(32);
        assert_eq!(
            wide.parse::<PeerId>(),
            Err(ParseIdError::Length { found: 32 })
        );
    }
}
