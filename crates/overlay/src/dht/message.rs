//! What peers of the structured overlay say to each other.

use gannet_base::wire::{FRAME_BYTES_MAX, Malformed, WireMessage};
use serde::{Deserialize, Serialize};

use super::keep::KeepMessage;
use super::ring::RingMessage;
use super::store::StoreMessage;

/// The overlay's messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum DhtMessage {
    /// Routing.
    Ring(RingMessage),
    /// Records.
    Store(StoreMessage),
    /// Blocks of kept files.
    Keep(KeepMessage),
}

impl WireMessage for DhtMessage {
    const VARIANTS: u32 = 3;
    const BYTES_MAX: usize = FRAME_BYTES_MAX;

    fn validate(&self) -> Result<(), Malformed> {
        match self {
            Self::Ring(message) => message.validate(),
            Self::Store(message) => message.validate(),
            Self::Keep(message) => message.validate(),
        }
    }
}
