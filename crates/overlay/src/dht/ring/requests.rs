//! Questions that wait for an answer.

use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::contact::Contact;

/// Most questions out at once; a further one counts as unanswered at once.
// Guess: far more than lookups and maintenance need.
const REQUESTS_MAX: usize = 1_024;

/// What a question is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Reason {
    /// The way to a key: which lookup, which of its candidates.
    Find(u32, usize),
    /// Whether an owner is one: which lookup.
    Look(u32),
    /// The maintenance operation under way.
    Operation,
    /// What another node knows of the one that the operation is about.
    Probe,
    /// Somebody else wants to know whether it lives: who, which of its nodes, and
    /// its nonce.
    ProbeFor(PeerId, u8, u32),
    /// Whether a member of a small network lives.
    Member,
    /// Whether there is anybody.
    Greet,
    /// A place on the ring.
    Join,
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) nonce: u32,
    pub(super) to: Contact,
    pub(super) sent_at: Timestamp,
    pub(super) due: Timestamp,
    pub(super) reason: Reason,
}

#[derive(Debug, Default)]
pub(super) struct Requests {
    open: Vec<Request>,
    next: u32,
    /// The earliest of all.
    due: Option<Timestamp>,
}

impl Requests {
    /// A question is about to be sent; its nonce.
    pub(super) fn open(
        &mut self,
        now: Timestamp,
        to: &Contact,
        reason: Reason,
        timeout: Duration,
    ) -> u32 {
        self.next = self.next.wrapping_add(1);
        let due = if self.open.len() < REQUESTS_MAX {
            now + timeout
        } else {
            now
        };
        self.open.push(Request {
            nonce: self.next,
            to: to.clone(),
            sent_at: now,
            due,
            reason,
        });
        self.due = Some(self.due.map_or(due, |known| known.min(due)));
        self.next
    }

    /// The question that this peer answers now.
    pub(super) fn take(&mut self, nonce: u32, from: PeerId, index: u8) -> Option<Request> {
        let is_it = |open: &Request| open.nonce == nonce && open.to.is(from, index);
        let place = self.open.iter().position(is_it)?;
        let request = self.open.swap_remove(place);
        if self.due == Some(request.due) {
            self.due = self.open.iter().map(|open| open.due).min();
        }
        if self.open.is_empty() && self.open.capacity() > 4 {
            self.open = Vec::new();
        }
        Some(request)
    }

    /// The answer will come later. What it is for.
    pub(super) fn extend(
        &mut self,
        nonce: u32,
        (from, index): (PeerId, u8),
        due: Timestamp,
    ) -> Option<&Reason> {
        let is_it = |open: &&mut Request| open.nonce == nonce && open.to.is(from, index);
        let request = self.open.iter_mut().find(is_it)?;
        request.due = due;
        Some(&request.reason)
    }

    /// Takes out a question whose time is over.
    pub(super) fn pop_due(&mut self, now: Timestamp) -> Option<Request> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        let is_due = |open: &Request| open.due <= now;
        if let Some(place) = self.open.iter().position(is_due) {
            return Some(self.open.remove(place));
        }
        self.due = self.open.iter().map(|open| open.due).min();
        None
    }

    /// Takes out the questions to this peer that may be given up early.
    pub(super) fn take_to(&mut self, peer: PeerId) -> Vec<Request> {
        let is_it = |open: &mut Request| {
            let is_grave = matches!(open.reason, Reason::Operation | Reason::Member);
            open.to.peer == peer && !is_grave
        };
        let taken = self.open.extract_if(.., is_it).collect();
        self.due = self.open.iter().map(|open| open.due).min();
        taken
    }

    /// Forgets some.
    pub(super) fn forget(&mut self, is_it: impl Fn(&Reason) -> bool) {
        self.open.retain(|open| !is_it(&open.reason));
        self.due = self.open.iter().map(|open| open.due).min();
    }

    /// Whether one is out for this.
    pub(super) fn any(&self, is_it: impl Fn(&Request) -> bool) -> bool {
        self.open.iter().any(is_it)
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }
}
