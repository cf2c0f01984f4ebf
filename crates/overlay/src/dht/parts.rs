//! What the parts of this core have in common: they neither dial nor care for
//! links.

use gannet_base::PeerId;

use super::api::DhtEvent;
use super::position::Position;
use super::ring::Contact;

/// What a part wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PartOutput<M> {
    /// Send this, dialling if need be.
    Send {
        /// To whom, and where it is.
        to: Contact,
        /// What.
        message: M,
    },
    /// Answer along the link that a question came by.
    Reply {
        /// Who asked.
        to: PeerId,
        /// What.
        message: M,
    },
    /// Look up who is responsible for a key; the part is told where that led.
    Locate {
        /// The part's number for it.
        id: u64,
        /// The key.
        key: Position,
        /// Disjoint ways to go.
        paths: u8,
    },
    /// Forget a lookup.
    Cancel {
        /// The part's number for it.
        id: u64,
    },
    /// Tell the layer above.
    Event(DhtEvent),
}

/// Whom a lookup is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Asker {
    /// The layer above.
    Caller,
    /// The store.
    Store,
    /// The keeping of files.
    Keep,
}
