//! Where own lookups led lately: whoever looks up many keys has been near most of them
//! before long, and need not come from afar each time.
//!
//! These nodes were only told of. So they are where own lookups begin, and nobody else
//! hears of them.

use std::time::Duration;

use gannet_base::Timestamp;

use super::contact::Contact;
use super::{Found, Ring};
use crate::dht::position::Position;

/// How long a node is begun at.
// Guess: few of those that stay an hour have left by then.
const LIFE: Duration = Duration::from_secs(300);

/// A node that a lookup led to, the last of those it told of.
#[derive(Debug)]
pub(super) struct Led {
    contact: Contact,
    at: Timestamp,
}

impl Ring {
    /// A lookup led there. Keys behind the last of the nodes that it told of are the ones
    /// that may be asked for next: it told all of those before.
    pub(super) fn note_led(&mut self, now: Timestamp, found: &Found) {
        let max = self.config.ring.contacts_max;
        let Some(last) = found.owners.last().filter(|last| **last != self.me) else {
            return;
        };
        self.trail.retain(|led| led.contact != *last);
        if self.trail.len() >= max.max(1) {
            self.trail.remove(0);
        }
        if max > 0 {
            self.trail.push(Led {
                contact: last.clone(),
                at: now,
            });
        }
    }

    /// A node is of no use as a way any more.
    pub(super) fn forget_led(&mut self, contact: &Contact) {
        self.trail.retain(|led| led.contact != *contact);
    }

    /// The nearest of them before a key.
    pub(super) fn led_near(&self, now: Timestamp, key: Position) -> Option<&Contact> {
        let here = self.me.position;
        let fresh = self.trail.iter().filter(|led| now - led.at < LIFE);
        let before = fresh
            .map(|led| &led.contact)
            .filter(|known| known.position.is_between(here, key) && !self.is_suspect(known));
        before.min_by_key(|known| known.position.distance_to(key))
    }
}
