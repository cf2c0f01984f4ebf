//! Questions that wait for an answer.
//!
//! Some links are slower than any timeout that suits the others: who answered when
//! nobody waited any more is given more time from then on. Without that a node whose
//! only way onto the ring is such a link never comes in.

use std::collections::VecDeque;
use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

use super::contact::Contact;

/// Most questions out at once; a further one counts as unanswered at once.
// Guess: far more than lookups and maintenance need.
const REQUESTS_MAX: usize = 1_024;
/// Questions given up whose answers are still recognised, and peers known to be slow.
// Guess: a node has few slow neighbours, and whoever matters is asked again soon.
const LATE_MAX: usize = 16;
/// Most times the usual timeout that a slow peer is given. Higher: whoever answers
/// late on purpose is taken for dead later.
const SLOW_MAX: u32 = 2;

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
    /// Nothing until a question is given up: most nodes never need it.
    late: Option<Box<Late>>,
}

/// What came too late, or may do so.
#[derive(Debug, Default)]
struct Late {
    /// Questions given up: nonce, to whom, when they were sent.
    given_up: VecDeque<(u32, PeerId, Timestamp)>,
    /// Who answered too late, and how long it took.
    slow: VecDeque<(PeerId, Duration)>,
}

impl Late {
    fn give_up(&mut self, request: &Request) {
        if self.given_up.len() >= LATE_MAX {
            self.given_up.pop_front();
        }
        let given_up = (request.nonce, request.to.peer, request.sent_at);
        self.given_up.push_back(given_up);
    }

    fn on_answer(&mut self, now: Timestamp, nonce: u32, from: PeerId) {
        let is_it = |known: &(u32, PeerId, Timestamp)| known.0 == nonce && known.1 == from;
        let Some(place) = self.given_up.iter().position(is_it) else {
            return;
        };
        let Some((.., sent_at)) = self.given_up.remove(place) else {
            return;
        };
        self.slow.retain(|(known, _)| *known != from);
        if self.slow.len() >= LATE_MAX {
            self.slow.pop_front();
        }
        self.slow.push_back((from, now - sent_at));
    }

    /// How long this peer took.
    fn took(&self, peer: PeerId) -> Option<Duration> {
        let mut slow = self.slow.iter();
        slow.find(|(known, _)| *known == peer)
            .map(|(_, took)| *took)
    }
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
        let took = self.late.as_ref().and_then(|late| late.took(to.peer));
        let timeout = took.map_or(timeout, |took| {
            (took * 3 / 2).clamp(timeout, timeout * SLOW_MAX)
        });
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

    /// The question that this peer answers now, if it was not given up.
    pub(super) fn take(
        &mut self,
        now: Timestamp,
        nonce: u32,
        (from, index): (PeerId, u8),
    ) -> Option<Request> {
        let is_it = |open: &Request| open.nonce == nonce && open.to.is(from, index);
        let Some(place) = self.open.iter().position(is_it) else {
            if let Some(late) = &mut self.late {
                late.on_answer(now, nonce, from);
            }
            return None;
        };
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
            let request = self.open.remove(place);
            self.late.get_or_insert_default().give_up(&request);
            return Some(request);
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

#[cfg(test)]
mod tests {
    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(2);

    fn peer(n: u8) -> Contact {
        Contact::new(PeerId::from_bytes([n; 32]), 0)
    }

    fn sent(requests: &mut Requests, now: Timestamp, to: &Contact) -> (u32, Timestamp) {
        let nonce = requests.open(now, to, Reason::Join, TIMEOUT);
        let mut open = requests.open.iter();
        let due = open.find(|open| open.nonce == nonce).map(|open| open.due);
        (nonce, due.unwrap())
    }

    #[test]
    fn who_answers_late_is_given_time() {
        let (mut requests, now) = (Requests::default(), Timestamp::from_secs(9));
        let (slow, other) = (peer(1), peer(2));
        let (nonce, due) = sent(&mut requests, now, &slow);
        assert_eq!(due, now + TIMEOUT);
        assert_eq!(requests.pop_due(due).map(|open| open.nonce), Some(nonce));
        // Somebody else's answer is none.
        let late = due + Duration::from_millis(9);
        assert!(requests.take(late, nonce, (other.peer, 0)).is_none());
        assert_eq!(sent(&mut requests, late, &slow).1, late + TIMEOUT);
        assert!(requests.take(late, nonce, (slow.peer, 0)).is_none());
        let (nonce, due) = sent(&mut requests, late, &slow);
        assert!(due > late + TIMEOUT * 5 / 4 && due <= late + TIMEOUT * SLOW_MAX);
        assert!(requests.take(due, nonce, (slow.peer, 0)).is_some());
        assert_eq!(sent(&mut requests, late, &other).1, late + TIMEOUT);
    }

    #[test]
    fn few_are_remembered_and_none_is_waited_for_long() {
        let (mut requests, now) = (Requests::default(), Timestamp::from_secs(9));
        let much_later = now + TIMEOUT * 50;
        for n in 0..100 {
            let (nonce, due) = sent(&mut requests, now, &peer(n));
            while requests.pop_due(due).is_some() {}
            assert!(
                requests
                    .take(much_later, nonce, (peer(n).peer, 0))
                    .is_none()
            );
            let (_, due) = sent(&mut requests, now, &peer(n));
            assert_eq!(due, now + TIMEOUT * SLOW_MAX);
        }
        let late = requests.late.as_ref().unwrap();
        assert!(late.slow.len() <= LATE_MAX && late.given_up.len() <= LATE_MAX);
    }
}
