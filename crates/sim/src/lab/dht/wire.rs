//! What messages of the structured overlay are for, and how long they are.

use gannet_base::wire::{FRAME_HEADER_BYTES, encode};
use gannet_overlay::dht::DhtMessage;
use gannet_overlay::dht::ring::{RingBody, RingMessage};
use gannet_overlay::dht::store::StoreMessage;

use super::super::people::Purpose;

/// Bytes of the message in its frame.
pub(super) fn size(message: &DhtMessage) -> u32 {
    u32::try_from(FRAME_HEADER_BYTES + encode(message).len()).unwrap_or(u32::MAX)
}

/// A number for each kind that has a purpose of its own.
pub(super) fn kind(message: &DhtMessage) -> u8 {
    let layer = match message {
        DhtMessage::Ring(_) => 0,
        DhtMessage::Store(_) => 0x10,
        DhtMessage::Keep(_) => 0x20,
    };
    let purpose = match purpose(message) {
        Purpose::Question => 1,
        Purpose::Answer => 2,
        Purpose::Report => 3,
        Purpose::Upkeep => 4,
    };
    layer + purpose
}

/// What the message is for, if a search sent it or gets it: lookups are made for
/// other ends as well.
pub(super) fn purpose(message: &DhtMessage) -> Purpose {
    match message {
        DhtMessage::Ring(RingMessage { body, .. }) => match body {
            RingBody::Find { .. } | RingBody::Look { .. } => Purpose::Question,
            RingBody::Step { .. }
            | RingBody::State { .. }
            | RingBody::Busy { .. }
            | RingBody::Refused { .. } => Purpose::Answer,
            _ => Purpose::Upkeep,
        },
        DhtMessage::Store(StoreMessage::Search { .. }) => Purpose::Question,
        DhtMessage::Store(StoreMessage::Answer { .. }) => Purpose::Answer,
        DhtMessage::Store(_) | DhtMessage::Keep(_) => Purpose::Upkeep,
    }
}
