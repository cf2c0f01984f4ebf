//! Which links there are and what for. The part that dialled decides when a
//! link is given up: the other end cannot know what it is for.

use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId, Timestamp};

use super::addresses::Addresses;

/// Most links that are remembered; what goes on along others is not affected.
const WIRES_MAX: usize = 8_192;
/// How long a link that this side dialled may be of no use.
// Guess: what was just sent must arrive, and the next use may come at once.
const IDLE_MAX: Duration = Duration::from_secs(10);

/// A part of the core that uses links.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum User {
    /// Registration at it.
    Client = 1,
    /// It is a neighbour, or about to be.
    Flood = 2,
    /// A knock is out.
    Knock = 4,
    /// It is dialled back for another.
    DialBack = 8,
}

#[derive(Debug)]
struct Wire {
    peer: PeerId,
    users: u8,
    is_up: bool,
    /// This side dialled.
    is_own: bool,
    /// When it is given up; [`Timestamp::MAX`] while it is of use.
    idle_at: Timestamp,
    /// Where the other end was seen.
    seen: Addresses,
}

impl Wire {
    /// Not up yet.
    fn dialled_by_other(peer: PeerId) -> Self {
        Self {
            peer,
            users: 0,
            is_up: false,
            is_own: false,
            idle_at: Timestamp::MAX,
            seen: Addresses::default(),
        }
    }
}

/// Sorted by peer: a leaf has three, a supernode some hundred.
#[derive(Debug, Default)]
pub(super) struct Wires {
    wires: Vec<Wire>,
    /// Not later than the first link that is to be given up.
    due: Option<Timestamp>,
}

impl Wires {
    fn find(&self, peer: PeerId) -> Result<usize, usize> {
        self.wires.binary_search_by_key(&peer, |wire| wire.peer)
    }

    fn at(&mut self, peer: PeerId) -> Option<&mut Wire> {
        let place = self.find(peer).ok()?;
        self.wires.get_mut(place)
    }

    pub(super) fn is_up(&self, peer: PeerId) -> bool {
        self.find(peer).is_ok_and(|place| self.wires[place].is_up)
    }

    /// Whether this side dialled.
    pub(super) fn is_own(&self, peer: PeerId) -> bool {
        self.find(peer).is_ok_and(|place| self.wires[place].is_own)
    }

    /// Whether a part of this core uses it.
    pub(super) fn is_used(&self, peer: PeerId) -> bool {
        self.find(peer)
            .is_ok_and(|place| self.wires[place].users != 0)
    }

    /// Where the other end of a link was seen, which is there or about to be.
    pub(super) fn saw(&mut self, peer: PeerId, addresses: &[SocketAddr]) {
        let place = match self.find(peer) {
            Ok(place) => place,
            Err(place) if self.wires.len() < WIRES_MAX => {
                self.insert(place, Wire::dialled_by_other(peer));
                place
            }
            Err(_) => return,
        };
        let kept = addresses.iter().take(PeerAddress::ADDRESSES_MAX);
        self.wires[place].seen = kept.copied().collect();
    }

    /// The addresses of the last sighting, if there is a link.
    pub(super) fn seen(&self, peer: PeerId) -> &[SocketAddr] {
        match self.find(peer) {
            Ok(place) => &self.wires[place].seen,
            Err(_) => &[],
        }
    }

    /// Who is at the other end of links, and where.
    pub(super) fn sightings(&self) -> Vec<(PeerId, Vec<SocketAddr>)> {
        let seen = self.wires.iter().filter(|wire| !wire.seen.is_empty());
        seen.map(|wire| (wire.peer, wire.seen.to_vec())).collect()
    }

    /// A part wants a link. Whether it is to be dialled or asked for again; no
    /// if there is no room for more.
    pub(super) fn take(&mut self, peer: PeerId, user: User) -> bool {
        match self.find(peer) {
            Ok(place) => {
                let wire = &mut self.wires[place];
                wire.users |= user as u8;
                wire.idle_at = Timestamp::MAX;
            }
            Err(place) if self.wires.len() < WIRES_MAX => self.insert(
                place,
                Wire {
                    peer,
                    users: user as u8,
                    is_up: false,
                    is_own: true,
                    idle_at: Timestamp::MAX,
                    seen: Addresses::default(),
                },
            ),
            Err(_) => return false,
        }
        true
    }

    /// A part uses a link that is there.
    pub(super) fn note(&mut self, peer: PeerId, user: User) {
        if let Some(wire) = self.at(peer) {
            wire.users |= user as u8;
            wire.idle_at = Timestamp::MAX;
        }
    }

    /// A part needs a link no more.
    pub(super) fn release(&mut self, now: Timestamp, peer: PeerId, user: User) {
        if let Some(wire) = self.at(peer) {
            wire.users &= !(user as u8);
            if wire.users == 0 && wire.is_own {
                let at = now + IDLE_MAX;
                wire.idle_at = at;
                self.due = Some(self.due.map_or(at, |due| due.min(at)));
            }
        }
    }

    /// The link is there. Whether it is news.
    pub(super) fn on_up(&mut self, peer: PeerId) -> bool {
        match self.find(peer) {
            Ok(place) => !std::mem::replace(&mut self.wires[place].is_up, true),
            Err(place) => {
                if self.wires.len() < WIRES_MAX {
                    let mut wire = Wire::dialled_by_other(peer);
                    wire.is_up = true;
                    self.insert(place, wire);
                }
                true
            }
        }
    }

    /// The link, or the dial, is gone.
    pub(super) fn on_gone(&mut self, peer: PeerId) {
        if let Ok(place) = self.find(peer) {
            self.wires.remove(place);
        }
        if self.wires.capacity() > 2 * self.wires.len() {
            self.wires.shrink_to_fit();
        }
    }

    fn insert(&mut self, place: usize, wire: Wire) {
        let len = self.wires.len();
        if self.wires.capacity() == len {
            self.wires.reserve_exact((len / 2).max(1));
        }
        self.wires.insert(place, wire);
    }

    /// When to look for links that are to be given up.
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.due
    }

    /// Takes out a link that is to be given up.
    pub(super) fn pop_idle(&mut self, now: Timestamp) -> Option<PeerId> {
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        let is_due = |wire: &&Wire| wire.idle_at <= now;
        let Some(peer) = self.wires.iter().find(is_due).map(|wire| wire.peer) else {
            let next = self.wires.iter().map(|wire| wire.idle_at).min();
            self.due = next.filter(|at| *at < Timestamp::MAX);
            return None;
        };
        self.on_gone(peer);
        Some(peer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    #[test]
    fn who_dialled_gives_up_what_nobody_needs() {
        let mut wires = Wires::default();
        assert!(wires.take(peer(1), User::Knock));
        assert!(wires.on_up(peer(1)));
        assert!(wires.on_up(peer(2)), "the other side dialled");
        wires.note(peer(2), User::Flood);
        wires.note(peer(1), User::Client);
        let now = Timestamp::from_secs(5);
        wires.release(now, peer(1), User::Knock);
        wires.release(now, peer(2), User::Flood);
        assert_eq!(wires.due(), None, "one is needed, the other not ours");
        wires.release(now, peer(1), User::Client);
        let due = wires.due().unwrap();
        assert_eq!(wires.pop_idle(now), None);
        assert_eq!(wires.pop_idle(due), Some(peer(1)));
        assert_eq!(wires.pop_idle(due), None);
        assert!(wires.is_up(peer(2)) && !wires.is_up(peer(1)));
    }
}
