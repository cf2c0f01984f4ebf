//! Receipts: records are said to be stored only when those that hold copies have them
//! too.
//!
//! Who searches asks any two of those with copies, by a picture of the ring that may be
//! minutes old; what one node alone has would be denied. So the owner answers when its
//! copies were taken. Who does not take its own in time, or refuses it, is told that it may
//! lack something: it says no more that what it has is all.

use std::collections::BTreeMap;
use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::{Hint, Refusal, Refused, Store, StoreMessage};

/// Receipts that wait at once; further ones are given at once.
// Guess: a node in the middle of a hundred walks along the ring.
pub(super) const RECEIPTS_MAX: usize = 1_024;
/// Copies are waited for this part of the time that an answer may take.
const WAIT_PART: u32 = 3;

/// What became of the copies that somebody was to take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Copied {
    /// It has what it may have.
    Taken,
    /// It has no room for some, or says that they are not its own.
    Refused,
    /// It was busy or silent: it may take them when they are compared.
    Late,
}

impl Copied {
    /// What an answer says of it.
    pub(super) fn of(refused: &[Refused]) -> Self {
        let any = |why: &[Refusal]| refused.iter().any(|one| why.contains(&one.why));
        if any(&[Refusal::Busy]) {
            Self::Late
        } else if any(&[Refusal::Full, Refusal::NotMine]) {
            Self::Refused
        } else {
            Self::Taken
        }
    }
}

/// Who waits for a receipt.
#[derive(Debug)]
pub(super) enum For {
    /// A peer that brought records: who, its request, and what it is told besides.
    Peer(PeerId, u64, Vec<Hint>),
    /// An own errand that led to this peer itself.
    Errand(u64),
}

#[derive(Debug)]
struct Receipt {
    who: For,
    refused: Vec<Refused>,
    /// Those with copies that have not answered; some more than once.
    missing: Vec<PeerId>,
    until: Timestamp,
}

/// Receipts that wait for copies. Those with higher numbers began later, and all wait
/// equally long.
#[derive(Debug, Default)]
pub(super) struct Receipts {
    all: BTreeMap<u64, Receipt>,
}

impl Receipts {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.all.values().next().map(|receipt| receipt.until)
    }
}

impl Store {
    fn copies_wait(&self) -> Duration {
        self.config.request_timeout / WAIT_PART
    }

    /// Records were taken and copies sent, with the receipt's number. What was refused, if
    /// there is nothing to wait for; else it is told later.
    pub(super) fn wait_for_copies(
        &mut self,
        now: Timestamp,
        (number, who): (u64, For),
        (refused, missing): (Vec<Refused>, Vec<PeerId>),
    ) -> Option<(For, Vec<Refused>)> {
        if missing.is_empty() || self.receipts.len() >= RECEIPTS_MAX {
            return Some((who, refused));
        }
        let receipt = Receipt {
            who,
            refused,
            missing,
            until: now + self.copies_wait(),
        };
        self.receipts.all.insert(number, receipt);
        None
    }

    /// One that holds copies took some, or not.
    pub(super) fn on_copied(
        &mut self,
        now: Timestamp,
        number: u64,
        (peer, copied): (PeerId, Copied),
    ) {
        match copied {
            Copied::Taken => {}
            Copied::Refused => self.on_copies_refused(peer),
            Copied::Late => self.on_copies_lost(now, peer),
        }
        let Some(receipt) = self.receipts.all.get_mut(&number) else {
            return;
        };
        if let Some(place) = receipt.missing.iter().position(|one| *one == peer) {
            receipt.missing.swap_remove(place);
        }
        if receipt.missing.is_empty()
            && let Some(receipt) = self.receipts.all.remove(&number)
        {
            self.give_receipt(now, receipt.who, receipt.refused);
        }
    }

    pub(super) fn give_receipt(&mut self, now: Timestamp, who: For, refused: Vec<Refused>) {
        match who {
            For::Peer(to, request, hints) => {
                let message = StoreMessage::Stored {
                    request,
                    refused,
                    hints,
                };
                self.reply(to, message);
            }
            For::Errand(id) => self.on_stored(now, id, &refused),
        }
    }

    pub(super) fn on_timeout_receipts(&mut self, now: Timestamp) {
        while self.receipts.due().is_some_and(|due| due <= now)
            && let Some((_, receipt)) = self.receipts.all.pop_first()
        {
            for peer in receipt.missing {
                self.on_copies_lost(now, peer);
            }
            self.give_receipt(now, receipt.who, receipt.refused);
        }
    }
}
