//! Winning neighbours: whom to try, greetings, refusals.

use std::collections::VecDeque;
use std::net::SocketAddr;

use gannet_base::{Link, Output, PeerAddress, PeerId, Timestamp};

use super::Flood;
use super::api::{DownReason, FloodEvent};
use super::book::{Book, jittered, merge};
use super::config::Config;
use super::message::{FloodMessage, Welcome};
use super::neighbours::Neighbours;
use super::slots::Slot;

/// Peers refused for breaking rules that are remembered; the oldest goes first.
const BANNED_MAX: usize = 64;

/// Peers that are no neighbours yet and whose place is remembered; the oldest
/// goes first.
const SIGHTINGS_MAX: usize = 32;

/// Neighbours that a full peer gives up, in one interval of exchanges, for
/// greeters that have enough already and only exchange theirs. No more, or
/// strangers could take every place.
// Guess: as many exchanges as a newcomer makes in its first half minute.
const SWAPS_MAX: u8 = 4;

/// Everything that has to do with who the neighbours are.
#[derive(Debug, Default)]
pub(crate) struct Joining {
    pub(super) book: Book,
    attempts: Vec<Attempt>,
    banned: Vec<(PeerId, Timestamp)>,
    announced: Vec<SocketAddr>,
    /// Where peers were seen that may become neighbours.
    sightings: VecDeque<PeerAddress>,
    /// Neighbours were given, for good.
    pub(super) fixed: bool,
    /// Said goodbye.
    pub(super) left: bool,
    pub(super) shuffle_at: Timestamp,
    /// Exchanges begun so far.
    pub(super) exchanges: u8,
    /// Neighbours given up for greeters, and since when these are counted.
    swaps: (Timestamp, u8),
    /// Greetings answered and not forgiven yet, in millionths, and when.
    hellos: (u64, Timestamp),
    /// No attempt before.
    paced_until: Timestamp,
}

/// Neighbours with which a peer takes its time to find more.
// Guess: so many keep it in the network.
const PACED_FROM: usize = 2;

/// A peer that may become a neighbour.
#[derive(Debug)]
struct Attempt {
    peer: PeerId,
    /// Greeted; before that, dialled.
    greeted: bool,
    /// In exchange for another neighbour.
    shuffle: bool,
    due: Timestamp,
}

impl Joining {
    /// Where this peer can be reached.
    pub(super) fn announced(&self) -> &[SocketAddr] {
        &self.announced
    }

    fn is_banned(&self, now: Timestamp, peer: PeerId) -> bool {
        let banned = |(banned, until): &(PeerId, Timestamp)| *banned == peer && *until > now;
        self.banned.iter().any(banned)
    }

    pub(super) fn ban(&mut self, until: Timestamp, peer: PeerId) {
        self.banned.retain(|(banned, _)| *banned != peer);
        if self.banned.len() >= BANNED_MAX {
            self.banned.remove(0);
        }
        self.banned.push((peer, until));
    }

    /// Where it was seen, and then where it says it is.
    fn places(&self, peer: PeerId, mut named: Vec<SocketAddr>) -> Vec<SocketAddr> {
        let seen = self.sightings.iter().find(|seen| seen.peer == peer);
        merge(&mut named, seen.map_or(&[], |seen| &seen.addresses));
        named
    }

    /// Whether there is no reason to try it: it is a neighbour, about to become
    /// one, or banned.
    fn is_taken(&self, now: Timestamp, neighbours: &Neighbours, peer: PeerId) -> bool {
        neighbours.find(peer).is_some()
            || self.attempts.iter().any(|attempt| attempt.peer == peer)
            || self.is_banned(now, peer)
    }

    fn take_attempt(&mut self, peer: PeerId) -> Option<Attempt> {
        let position = self
            .attempts
            .iter()
            .position(|attempt| attempt.peer == peer)?;
        Some(self.attempts.swap_remove(position))
    }

    /// Whether one neighbour more is given up in exchange.
    fn admit_swap(&mut self, now: Timestamp, config: &Config) -> bool {
        if now >= self.swaps.0 + config.shuffle_interval {
            self.swaps = (now, 0);
        }
        let admitted = self.swaps.1 < SWAPS_MAX;
        self.swaps.1 += u8::from(admitted);
        admitted
    }

    /// Whether one greeting more is answered. Half of a second's worth is kept for
    /// newcomers: who has neighbours can ask others, and to a crowd that knows one
    /// peer, that one is the only way in. Who lies wins a place in the queue.
    // Measured: without it, of 10,000 that come 100 a second to one peer, one in a
    // hundred waits 88 s for its first neighbour; with it, 1 s.
    pub(super) fn admit_hello(
        &mut self,
        now: Timestamp,
        per_second: u32,
        is_newcomer: bool,
    ) -> bool {
        let (answered, at) = self.hellos;
        // Forgiven at that rate.
        let elapsed = u64::try_from((now - at).as_micros()).unwrap_or(u64::MAX);
        let answered = answered.saturating_sub(elapsed.saturating_mul(per_second.into()));
        let most = u64::from(per_second) * 1_000_000;
        let admitted = answered + 1_000_000 <= most && (is_newcomer || answered <= most / 2);
        self.hellos = (answered + u64::from(admitted) * 1_000_000, now);
        admitted
    }
}

impl Flood {
    pub(super) fn on_bootstrap(&mut self, now: Timestamp, peers: Vec<PeerAddress>) {
        let joining = &mut self.joining;
        if joining.fixed {
            return;
        }
        joining.left = false;
        joining.book.name(&self.config, self.me, peers);
        self.seek(now);
    }

    pub(super) fn on_announce(&mut self, mut addresses: Vec<SocketAddr>) {
        addresses.truncate(PeerAddress::ADDRESSES_MAX);
        self.joining.announced = addresses;
    }

    pub(super) fn on_seen_at(&mut self, peer: PeerId, mut addresses: Vec<SocketAddr>) {
        addresses.truncate(PeerAddress::ADDRESSES_MAX);
        if let Some(slot) = self.neighbours.find(peer) {
            if let Some(neighbour) = self.neighbours.at_mut(slot) {
                neighbour.care().seen = addresses;
            }
        } else if !self.joining.fixed {
            let sightings = &mut self.joining.sightings;
            sightings.retain(|seen| seen.peer != peer);
            if sightings.len() >= SIGHTINGS_MAX {
                sightings.pop_front();
            }
            sightings.push_back(PeerAddress { peer, addresses });
        }
    }

    /// Tries others while there are too few neighbours.
    pub(super) fn seek(&mut self, now: Timestamp) {
        self.expire_attempts(now);
        let target = usize::from(self.config.neighbours_target);
        while self.is_joining()
            && self.joining.attempts.len() < self.config.attempts_max
            && self.neighbours.len() + self.joining.attempts.len() < target
            && self.joining.paced_until <= now
        {
            let Some(peer) = self.candidate(now) else {
                break;
            };
            self.attempt(now, peer, false);
            if self.neighbours.len() >= PACED_FROM {
                let pause = jittered(&mut self.rng, self.config.seek_pause);
                self.joining.paced_until = now + pause;
            }
        }
        self.find_seek_at(now);
    }

    fn is_joining(&self) -> bool {
        !self.joining.fixed && !self.joining.left
    }

    fn candidate(&mut self, now: Timestamp) -> Option<PeerAddress> {
        let alone = self.neighbours.len() == 0;
        let Self {
            joining,
            neighbours,
            rng,
            ..
        } = self;
        let taken = |peer| joining.is_taken(now, neighbours, peer);
        joining.book.candidate(now, rng, alone, taken)
    }

    fn attempt(&mut self, now: Timestamp, peer: PeerAddress, shuffle: bool) {
        self.joining.attempts.push(Attempt {
            peer: peer.peer,
            greeted: false,
            shuffle,
            due: now + self.config.dial_timeout,
        });
        self.counters.dials += 1;
        let id = peer.peer;
        if !peer.addresses.is_empty() {
            self.outbox.event(FloodEvent::Addresses(peer));
        }
        self.outbox.put(Output::Dial { peer: id });
    }

    fn expire_attempts(&mut self, now: Timestamp) {
        let late = |attempt: &Attempt| attempt.due <= now;
        while let Some(position) = self.joining.attempts.iter().position(late) {
            let attempt = self.joining.attempts.swap_remove(position);
            self.on_attempt_failed(now, attempt.peer);
            self.outbox.put(Output::Disconnect { peer: attempt.peer });
        }
    }

    fn on_attempt_failed(&mut self, now: Timestamp, peer: PeerId) {
        self.joining
            .book
            .failed(now, &self.config, &mut self.rng, peer);
    }

    /// When there will be something to try, or to give up.
    fn find_seek_at(&mut self, now: Timestamp) {
        let joining = &self.joining;
        let given_up = joining.attempts.iter().map(|attempt| attempt.due).min();
        let is_short = self.neighbours.len() + joining.attempts.len()
            < usize::from(self.config.neighbours_target)
            && joining.attempts.len() < self.config.attempts_max;
        let taken = |peer| joining.is_taken(now, &self.neighbours, peer);
        let ready = (is_short && self.is_joining())
            .then(|| joining.book.ready_at(taken))
            .flatten();
        let soon = now + std::time::Duration::from_millis(1);
        let ready = ready.map(|ready| ready.max(soon).max(joining.paced_until));
        self.seek_at = given_up.into_iter().chain(ready).min();
    }

    /// A link to somebody random, in exchange for an old one: networks that were
    /// split find each other, and neighbourhoods mix.
    pub(super) fn shuffle(&mut self, now: Timestamp) {
        if !self.is_joining() || self.joining.attempts.len() >= self.config.attempts_max {
            return;
        }
        let Self {
            joining,
            neighbours,
            rng,
            ..
        } = self;
        let taken = |peer| joining.is_taken(now, neighbours, peer);
        if let Some(peer) = joining.book.anybody(now, rng, taken) {
            self.attempt(now, peer, true);
            self.find_seek_at(now);
        }
    }

    pub(super) fn on_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        if self.joining.fixed {
            if link != Link::Up
                && let Some(slot) = self.neighbours.find(peer)
            {
                self.on_gone_opens(now, slot);
            }
            return;
        }
        match link {
            Link::Up => self.on_up(now, peer),
            Link::Down | Link::Unreachable => {
                if let Some(slot) = self.neighbours.find(peer)
                    && link == Link::Down
                {
                    self.drop_neighbour(now, slot, DownReason::Lost);
                } else if self.joining.take_attempt(peer).is_some() {
                    self.on_attempt_failed(now, peer);
                }
                self.seek(now);
            }
        }
    }

    fn on_up(&mut self, now: Timestamp, peer: PeerId) {
        let due = now + self.config.hello_timeout;
        let mut attempts = self.joining.attempts.iter_mut();
        let Some(attempt) = attempts.find(|attempt| attempt.peer == peer && !attempt.greeted)
        else {
            return;
        };
        attempt.greeted = true;
        attempt.due = due;
        let hello = FloodMessage::Hello {
            addresses: self.joining.announced.clone(),
            neighbours: u16::try_from(self.neighbours.len()).unwrap_or(u16::MAX),
        };
        self.outbox.send(peer, hello);
        self.find_seek_at(now);
    }

    pub(super) fn on_hello(
        &mut self,
        now: Timestamp,
        from: PeerId,
        addresses: Vec<SocketAddr>,
        neighbours: u16,
    ) {
        if self.joining.fixed || from == self.me {
            return;
        }
        let per_second = self.config.hellos_per_second;
        if !self.joining.admit_hello(now, per_second, neighbours == 0) {
            self.counters.dropped += 1;
            return;
        }
        if let Some(slot) = self.neighbours.find(from) {
            // It does not know that we are neighbours, or lost our table.
            if self.admit_control(now, slot) {
                self.on_hello_again(now, slot, addresses);
            }
            return;
        }
        if self.joining.left || self.joining.is_banned(now, from) {
            self.outbox
                .send(from, FloodMessage::Busy { peers: Vec::new() });
            return;
        }
        let has_room = neighbours < self.config.neighbours_target;
        let places = self.joining.places(from, addresses.clone());
        let book = &mut self.joining.book;
        book.heard(now, &self.config, from, &places, Some(has_room));
        let is_full = self.neighbours.len() >= self.config.neighbours_accepted();
        let swaps = is_full
            && !has_room
            && self.neighbours.len() < self.config.neighbours_max()
            && self.joining.admit_swap(now, &self.config);
        if is_full && !swaps {
            let peers = self.list_for(now, from);
            self.outbox.send(from, FloodMessage::Busy { peers });
            return;
        }
        let attempt = self.joining.take_attempt(from);
        self.add_neighbour(now, from, addresses, attempt.is_some());
        if swaps {
            self.drop_surplus(now, from);
        }
        self.welcome(now, from);
        self.seek(now);
    }

    fn on_hello_again(&mut self, now: Timestamp, slot: Slot, addresses: Vec<SocketAddr>) {
        let Some(neighbour) = self.neighbours.at_mut(slot) else {
            return;
        };
        let peer = neighbour.peer;
        let care = neighbour.care();
        care.addresses = addresses;
        care.outgoing = Default::default();
        self.aim_table(now, slot);
        self.welcome(now, peer);
    }

    fn welcome(&mut self, now: Timestamp, to: PeerId) {
        let welcome = Welcome {
            addresses: self.joining.announced.clone(),
            peers: self.list_for(now, to),
        };
        self.outbox
            .send(to, FloodMessage::Welcome(Box::new(welcome)));
    }

    /// Others to tell a peer of.
    pub(super) fn list_for(&mut self, now: Timestamp, to: PeerId) -> Vec<PeerAddress> {
        let book = &self.joining.book;
        book.list(now, &self.config, &mut self.rng, to)
    }

    pub(super) fn on_welcome(&mut self, now: Timestamp, from: PeerId, welcome: Welcome) {
        if let Some(slot) = self.neighbours.find(from) {
            if self.admit_control(now, slot)
                && let Some(neighbour) = self.neighbours.at_mut(slot)
            {
                neighbour.care().addresses = welcome.addresses;
            }
            return;
        }
        let greeted = self.joining.attempts.iter();
        let greeted = greeted.into_iter().any(|a| a.peer == from && a.greeted);
        if !greeted {
            self.counters.unasked += 1;
            return;
        }
        let shuffle = self.joining.take_attempt(from).is_some_and(|a| a.shuffle);
        let Welcome { addresses, peers } = welcome;
        let places = self.joining.places(from, addresses.clone());
        let book = &mut self.joining.book;
        book.heard(now, &self.config, from, &places, None);
        book.told(&self.config, self.me, from, peers);
        if self.neighbours.len() >= self.config.neighbours_max() {
            let peers = self.list_for(now, from);
            self.outbox.send(from, FloodMessage::Bye { peers });
            self.outbox.put(Output::Disconnect { peer: from });
        } else {
            self.add_neighbour(now, from, addresses, true);
            if shuffle && self.neighbours.len() > usize::from(self.config.neighbours_target) {
                self.drop_surplus(now, from);
            }
        }
        self.seek(now);
    }

    fn add_neighbour(
        &mut self,
        now: Timestamp,
        peer: PeerId,
        addresses: Vec<SocketAddr>,
        dialled: bool,
    ) {
        let place = self.budget.as_mut().and_then(|budget| budget.enter(now));
        let slot = self.neighbours.add(now, peer, place);
        let sightings = &mut self.joining.sightings;
        let seen = sightings.iter().position(|seen| seen.peer == peer);
        let seen = seen.and_then(|seen| sightings.remove(seen));
        if let Some(neighbour) = self.neighbours.at_mut(slot) {
            let care = neighbour.care();
            care.seen = seen.map(|seen| seen.addresses).unwrap_or_default();
            care.addresses = addresses;
            care.dialled = dialled;
            care.answered = now;
        }
        self.outbox.event(FloodEvent::NeighbourUp { peer });
        self.aim_table(now, slot);
        self.start_care(now);
    }

    pub(super) fn on_busy(&mut self, now: Timestamp, from: PeerId, peers: Vec<PeerAddress>) {
        let greeted = self.joining.attempts.iter();
        if !greeted.into_iter().any(|a| a.peer == from && a.greeted) {
            self.counters.unasked += 1;
            return;
        }
        self.joining.take_attempt(from);
        let pause = jittered(&mut self.rng, self.config.busy_pause);
        let book = &mut self.joining.book;
        book.heard(now, &self.config, from, &[], Some(false));
        book.pause(now + pause, from);
        book.told(&self.config, self.me, from, peers);
        self.outbox.put(Output::Disconnect { peer: from });
        self.seek(now);
    }

    pub(super) fn on_bye(&mut self, now: Timestamp, slot: Slot, peers: Vec<PeerAddress>) {
        let Some(from) = self.neighbours.at(slot).map(|neighbour| neighbour.peer) else {
            return;
        };
        let pause = jittered(&mut self.rng, self.config.busy_pause);
        self.joining.book.pause(now + pause, from);
        self.joining.book.told(&self.config, self.me, from, peers);
        self.drop_neighbour(now, slot, DownReason::Left);
        self.seek(now);
    }

    /// The slot is nobody's any more. The caller looks for a replacement.
    pub(super) fn drop_neighbour(&mut self, now: Timestamp, slot: Slot, reason: DownReason) {
        let Some(gone) = self.neighbours.remove(slot) else {
            return;
        };
        if let (Some(budget), Some(place)) = (&mut self.budget, gone.place) {
            budget.leave(now, place);
        }
        let peer = gone.peer;
        let dialled = gone.care.is_some_and(|care| care.dialled);
        if !matches!(reason, DownReason::Lost | DownReason::Left) {
            let mut peers = Vec::new();
            if reason == DownReason::Surplus {
                peers = self.list_for(now, peer);
            }
            self.outbox.send(peer, FloodMessage::Bye { peers });
        }
        match reason {
            DownReason::Lost | DownReason::Silent => self.on_attempt_failed(now, peer),
            DownReason::Misbehaved => self.joining.ban(now + self.config.ban, peer),
            DownReason::Left => {}
            DownReason::Surplus => self.joining.book.pause(now + self.config.busy_pause, peer),
        }
        if reason != DownReason::Lost && (dialled || reason == DownReason::Misbehaved) {
            self.outbox.put(Output::Disconnect { peer });
        }
        self.outbox
            .event(FloodEvent::NeighbourDown { peer, reason });
        self.searches.on_gone(slot);
        self.on_gone_opens(now, slot);
    }

    pub(super) fn on_leave(&mut self, now: Timestamp) {
        while let Some(attempt) = self.joining.attempts.pop() {
            self.outbox.put(Output::Disconnect { peer: attempt.peer });
        }
        for slot in self.neighbours.live().iter() {
            if let Some(peer) = self.neighbours.at(slot).map(|neighbour| neighbour.peer) {
                let peers = self.list_for(now, peer);
                self.outbox.send(peer, FloodMessage::Bye { peers });
            }
            self.drop_neighbour(now, slot, DownReason::Left);
        }
        self.joining.left = true;
        (self.seek_at, self.ping_at, self.tables_at) = (None, None, None);
    }

    /// These are the neighbours, for good.
    pub(super) fn on_fixed(&mut self, now: Timestamp, peers: Vec<PeerId>) {
        self.on_leave(now);
        self.joining.fixed = true;
        self.neighbours.reserve(peers.len());
        self.make_budget(peers.len());
        for peer in peers {
            if peer == self.me || self.neighbours.find(peer).is_some() {
                continue;
            }
            let place = self.budget.as_mut().and_then(|budget| budget.enter(now));
            let slot = self.neighbours.add(now, peer, place);
            self.aim_table(now, slot);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PER_SECOND: u32 = 10;

    /// Greetings admitted of so many a second, for so long, one of each kind in
    /// turn: of newcomers and of others.
    fn admitted(per_second: u64, seconds: u64) -> (u32, u32) {
        let mut joining = Joining::default();
        let (mut newcomers, mut others) = (0, 0);
        for n in 0..per_second * seconds {
            let now = Timestamp::from_micros(n * 1_000_000 / per_second);
            let is_newcomer = n % 2 == 0;
            let admitted = u32::from(joining.admit_hello(now, PER_SECOND, is_newcomer));
            if is_newcomer {
                newcomers += admitted;
            } else {
                others += admitted;
            }
        }
        (newcomers, others)
    }

    #[test]
    fn newcomers_come_first_when_greetings_are_short() {
        assert_eq!(admitted(10, 60), (300, 300), "enough for all");
        // Twice as many as can be answered, half of them newcomers.
        let (newcomers, others) = admitted(20, 60);
        assert_eq!(newcomers, 600);
        assert!(others <= 10, "{others}");
        // Not even newcomers get more than the rate and one second's worth.
        let (newcomers, others) = admitted(100, 60);
        assert!((600..=610).contains(&(newcomers + others)));
        assert!(others <= 10, "{others}");
    }

    #[test]
    fn one_greeting_a_second_is_anybodys() {
        let mut joining = Joining::default();
        let mut admit =
            |second, is_newcomer| joining.admit_hello(Timestamp::from_secs(second), 1, is_newcomer);
        assert!(admit(1, false) && !admit(1, true) && admit(2, true) && admit(3, false));
        assert!(
            !joining.admit_hello(Timestamp::MAX, 0, true),
            "none is none"
        );
    }
}
