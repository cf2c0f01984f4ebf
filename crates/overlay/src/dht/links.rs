//! Which links are up, what waits for those being dialled, and which are of no
//! use any more. The side that dialled decides when a link is given up.

use std::collections::VecDeque;
use std::time::Duration;

use gannet_base::{PeerId, Timestamp};

/// A link along which nothing came for so long, though something was sent, is dialled
/// anew. Too low: links are torn for nothing. Too high: an end that alone believes in
/// its link talks to nobody.
// Guess: several questions and their answers.
const SILENCE_MAX: Duration = Duration::from_secs(15);

#[derive(Debug)]
enum State<M> {
    Up,
    /// What is to be sent when it is up.
    Dialling(VecDeque<M>),
}

#[derive(Debug)]
struct Wire<M> {
    peer: PeerId,
    is_own: bool,
    used_at: Timestamp,
    /// When the first message was sent after the last one that came.
    unheard_since: Option<Timestamp>,
    state: State<M>,
}

/// What became of a message that was to be sent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Posted<M> {
    /// Send it now.
    Now(M),
    /// It waits for a dial under way.
    Waits,
    /// It waits, and this is to be dialled.
    Dial,
    /// As before, and the link that there was is to be given up: the other end may
    /// have forgotten it.
    Redial,
}

/// Sorted by peer.
#[derive(Debug)]
pub(super) struct Links<M> {
    wires: Vec<Wire<M>>,
    /// Not later than the first link that is to be given up.
    due: Option<Timestamp>,
}

impl<M> Default for Links<M> {
    fn default() -> Self {
        Self {
            wires: Vec::new(),
            due: None,
        }
    }
}

impl<M> Links<M> {
    fn find(&self, peer: PeerId) -> Result<usize, usize> {
        self.wires.binary_search_by_key(&peer, |wire| wire.peer)
    }

    /// Whether there is a link.
    #[cfg(test)]
    pub(super) fn is_up(&self, peer: PeerId) -> bool {
        self.find(peer)
            .is_ok_and(|place| matches!(self.wires[place].state, State::Up))
    }

    /// Whether there is a link that was of use within `idle`.
    pub(super) fn is_of_use(&self, now: Timestamp, peer: PeerId, idle: Duration) -> bool {
        self.find(peer).is_ok_and(|place| {
            let wire = &self.wires[place];
            matches!(wire.state, State::Up) && now < wire.used_at + idle
        })
    }

    /// How many there are, with those being dialled.
    pub(super) fn len(&self) -> usize {
        self.wires.len()
    }

    /// A message came along it.
    pub(super) fn on_message(&mut self, now: Timestamp, peer: PeerId) {
        if let Ok(place) = self.find(peer) {
            self.wires[place].used_at = now;
            self.wires[place].unheard_since = None;
        }
    }

    /// Somebody wants to send this.
    pub(super) fn post(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        message: M,
        (idle, queue_max): (Duration, usize),
    ) -> Posted<M> {
        match self.find(peer) {
            Ok(place) => {
                let wire = &mut self.wires[place];
                wire.used_at = now;
                let State::Dialling(queue) = &mut wire.state else {
                    let since = *wire.unheard_since.get_or_insert(now);
                    if now < since + SILENCE_MAX {
                        return Posted::Now(message);
                    }
                    wire.unheard_since = None;
                    wire.is_own = true;
                    wire.state = State::Dialling(VecDeque::from([message]));
                    self.expect_idle(now + idle);
                    return Posted::Redial;
                };
                if queue.len() >= queue_max.max(1) {
                    queue.pop_front();
                }
                queue.push_back(message);
                Posted::Waits
            }
            Err(place) => {
                let wire = Wire {
                    peer,
                    is_own: true,
                    used_at: now,
                    unheard_since: None,
                    state: State::Dialling(VecDeque::from([message])),
                };
                self.wires.insert(place, wire);
                self.expect_idle(now + idle);
                Posted::Dial
            }
        }
    }

    fn expect_idle(&mut self, at: Timestamp) {
        self.due = Some(self.due.map_or(at, |due| due.min(at)));
    }

    /// The link is there; what waited for it.
    pub(super) fn on_up(&mut self, now: Timestamp, peer: PeerId) -> VecDeque<M> {
        match self.find(peer) {
            Ok(place) => {
                let wire = &mut self.wires[place];
                wire.used_at = now;
                wire.unheard_since = None;
                match std::mem::replace(&mut wire.state, State::Up) {
                    State::Up => VecDeque::new(),
                    State::Dialling(queue) => queue,
                }
            }
            Err(place) => {
                let wire = Wire {
                    peer,
                    is_own: false,
                    used_at: now,
                    unheard_since: None,
                    state: State::Up,
                };
                self.wires.insert(place, wire);
                VecDeque::new()
            }
        }
    }

    /// The link, or the dial, is gone.
    pub(super) fn on_gone(&mut self, peer: PeerId) {
        if let Ok(place) = self.find(peer) {
            self.wires.remove(place);
            if self.wires.capacity() > 16 && self.wires.len() < self.wires.capacity() / 4 {
                self.wires.shrink_to_fit();
            }
        }
    }

    /// When to look for links that are to be given up.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Takes out a link of this side that was of no use for `idle`.
    pub(super) fn pop_idle(&mut self, now: Timestamp, idle: Duration) -> Option<PeerId> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        let own = |wire: &&Wire<M>| wire.is_own && matches!(wire.state, State::Up);
        let idle_at = |wire: &Wire<M>| wire.used_at + idle;
        let first = self
            .wires
            .iter()
            .filter(own)
            .min_by_key(|wire| wire.used_at);
        match first {
            Some(wire) if idle_at(wire) <= now => {
                let peer = wire.peer;
                self.on_gone(peer);
                Some(peer)
            }
            Some(wire) => {
                self.due = Some(idle_at(wire));
                None
            }
            None => {
                // Dials end by themselves; then it is time to look again.
                let dials = self.wires.iter().any(|wire| wire.is_own);
                self.due = dials.then(|| now + idle);
                None
            }
        }
    }

    /// Takes out the longest unused link if there are more than `max`.
    pub(super) fn pop_surplus(&mut self, max: usize) -> Option<PeerId> {
        if self.wires.len() <= max {
            return None;
        }
        let up = |wire: &&Wire<M>| matches!(wire.state, State::Up);
        let oldest = self.wires.iter().filter(up).min_by_key(|wire| wire.used_at);
        let peer = oldest?.peer;
        self.on_gone(peer);
        Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: (Duration, usize) = (Duration::from_secs(10), 2);

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    #[test]
    fn messages_wait_for_the_dial() {
        let mut links = Links::default();
        let now = Timestamp::from_secs(1);
        assert_eq!(links.post(now, peer(1), 'a', LIMITS), Posted::Dial);
        assert_eq!(links.post(now, peer(1), 'b', LIMITS), Posted::Waits);
        assert_eq!(links.post(now, peer(1), 'c', LIMITS), Posted::Waits);
        assert!(!links.is_up(peer(1)));
        assert_eq!(
            links.on_up(now, peer(1)),
            ['b', 'c'],
            "the oldest was dropped"
        );
        assert_eq!(links.post(now, peer(1), 'd', LIMITS), Posted::Now('d'));
    }

    #[test]
    fn only_own_links_are_given_up_and_only_when_idle() {
        let mut links = Links::default();
        let now = Timestamp::from_secs(1);
        let _ = links.post(now, peer(1), 'a', LIMITS);
        assert!(links.on_up(now, peer(1)).len() == 1 && links.on_up(now, peer(2)).is_empty());
        let later = now + LIMITS.0;
        links.on_message(later, peer(1));
        assert_eq!(links.pop_idle(later, LIMITS.0), None);
        let idle = later + LIMITS.0;
        assert_eq!(links.due(), Some(idle));
        assert_eq!(links.pop_idle(idle, LIMITS.0), Some(peer(1)));
        assert_eq!(links.pop_idle(idle, LIMITS.0), None);
        assert!(links.is_up(peer(2)) && links.due().is_none());
        assert_eq!(
            links.pop_surplus(0),
            Some(peer(2)),
            "unless there are too many"
        );
    }
}
