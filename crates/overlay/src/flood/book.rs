//! Peers that are no neighbours now and may become some.

use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId, Rng, Timestamp};
use rand_core::Rng as _;

use super::config::Config;
use super::searches::below;

/// A peer that was heard of.
#[derive(Debug, Clone)]
struct Known {
    peer: PeerId,
    addresses: Vec<SocketAddr>,
    /// When this peer itself had to do with it last.
    alive: Option<Timestamp>,
    /// Whether it had room for neighbours then.
    has_room: bool,
    /// Who told of it, if it was not heard itself.
    told_by: Option<PeerId>,
    failures: u8,
    /// Not to be tried before.
    retry_at: Timestamp,
}

impl Known {
    fn new(peer: PeerId) -> Self {
        Self {
            peer,
            addresses: Vec::new(),
            alive: None,
            has_room: false,
            told_by: None,
            failures: 0,
            retry_at: Timestamp::ZERO,
        }
    }

    fn address(&self) -> PeerAddress {
        PeerAddress {
            peer: self.peer,
            addresses: self.addresses.clone(),
        }
    }

    /// Larger is worse: who fails, then who was never heard, then who was heard
    /// longest ago.
    fn worth(&self) -> (u8, bool, std::cmp::Reverse<Option<Timestamp>>) {
        (
            self.failures,
            self.alive.is_none(),
            std::cmp::Reverse(self.alive),
        )
    }

    fn is_fresh(&self, now: Timestamp, fresh: Duration) -> bool {
        self.failures == 0 && self.alive.is_some_and(|alive| now - alive <= fresh)
    }
}

/// Peers that the user named, and, apart from them, peers that were heard of.
/// Strangers can fill only what is not known to live.
#[derive(Debug, Default)]
pub(crate) struct Book {
    named: Vec<Known>,
    known: Vec<Known>,
}

/// Peers that one peer may have told of, at a time: lists of dead addresses
/// replace each other.
const TOLD_BY_ONE_MAX: usize = super::message::PEERS_LISTED_MAX;

impl Book {
    pub(crate) fn len(&self) -> usize {
        let apart = |known: &&Known| self.named.iter().all(|named| named.peer != known.peer);
        self.named.len() + self.known.iter().filter(apart).count()
    }

    /// How many there are that were not tried in vain since they were heard of.
    pub(crate) fn promising(&self) -> usize {
        let apart = |known: &&Known| self.named.iter().all(|named| named.peer != known.peer);
        let all = self.named.iter().chain(self.known.iter().filter(apart));
        all.filter(|known| known.failures == 0).count()
    }

    /// Takes over what the user named.
    pub(crate) fn name(&mut self, config: &Config, me: PeerId, peers: Vec<PeerAddress>) {
        for peer in peers.into_iter().filter(|peer| peer.peer != me) {
            let position = self.named.iter().position(|named| named.peer == peer.peer);
            let position = position.unwrap_or_else(|| {
                self.named.push(Known::new(peer.peer));
                self.named.len() - 1
            });
            let named = &mut self.named[position];
            (named.failures, named.retry_at) = (0, Timestamp::ZERO);
            merge(&mut named.addresses, &peer.addresses);
            self.named.truncate(config.bootstrap_max);
        }
    }

    /// A peer was heard itself.
    pub(crate) fn heard(
        &mut self,
        now: Timestamp,
        config: &Config,
        peer: PeerId,
        addresses: &[SocketAddr],
        has_room: Option<bool>,
    ) {
        for named in self.named.iter_mut().filter(|named| named.peer == peer) {
            named.alive = Some(now);
            named.failures = 0;
            merge(&mut named.addresses, addresses);
        }
        let position = self.known.iter().position(|known| known.peer == peer);
        let position =
            position.or_else(|| self.make_room(config, true).then_some(self.known.len()));
        let Some(position) = position else {
            return;
        };
        if position == self.known.len() {
            self.known.push(Known::new(peer));
        }
        let known = &mut self.known[position];
        known.alive = Some(now);
        known.told_by = None;
        known.failures = 0;
        known.has_room = has_room.unwrap_or(known.has_room);
        merge(&mut known.addresses, addresses);
    }

    /// A neighbour, or somebody about to be one, told of others.
    pub(crate) fn told(
        &mut self,
        config: &Config,
        me: PeerId,
        by: PeerId,
        peers: Vec<PeerAddress>,
    ) {
        for peer in peers.into_iter().filter(|peer| peer.peer != me) {
            if let Some(known) = self.known.iter_mut().find(|known| known.peer == peer.peer) {
                // Who is known to live says itself where it is.
                if known.alive.is_none() {
                    merge(&mut known.addresses, &peer.addresses);
                }
                continue;
            }
            let by_one = |known: &Known| known.told_by == Some(by);
            if self.known.iter().filter(|known| by_one(known)).count() >= TOLD_BY_ONE_MAX {
                if let Some(oldest) = self.known.iter().position(by_one) {
                    self.known.remove(oldest);
                }
            } else if !self.make_room(config, false) {
                continue;
            }
            let mut addresses = peer.addresses;
            addresses.truncate(PeerAddress::ADDRESSES_MAX);
            self.known.push(Known {
                addresses,
                told_by: Some(by),
                ..Known::new(peer.peer)
            });
        }
    }

    /// Forgets the worst if it is full. Hearsay pushes nobody out who lives.
    fn make_room(&mut self, config: &Config, is_heard: bool) -> bool {
        if self.known.len() < config.known_max {
            return true;
        }
        let worst = (0..self.known.len()).max_by_key(|place| self.known[*place].worth());
        let Some(worst) = worst else {
            return false;
        };
        if !is_heard && self.known[worst].alive.is_some() && self.known[worst].failures == 0 {
            return false;
        }
        self.known.remove(worst);
        true
    }

    /// An attempt came to nothing: not again before a pause, twice as long each
    /// time, jittered.
    pub(crate) fn failed(&mut self, now: Timestamp, config: &Config, rng: &mut Rng, peer: PeerId) {
        for known in self.both().filter(|known| known.peer == peer) {
            known.failures = known.failures.saturating_add(1);
            let doubled = config.backoff_min * (1 << u32::from(known.failures - 1).min(16));
            known.retry_at = now + jittered(rng, doubled.min(config.backoff_max));
        }
    }

    /// It lives, and is not to be asked again for a while.
    pub(crate) fn pause(&mut self, until: Timestamp, peer: PeerId) {
        for known in self.both().filter(|known| known.peer == peer) {
            known.has_room = false;
            known.retry_at = known.retry_at.max(until);
        }
    }

    fn both(&mut self) -> impl Iterator<Item = &mut Known> {
        self.named.iter_mut().chain(&mut self.known)
    }

    /// Somebody to try now. Mostly who has room, as far as is known; whom the
    /// user named when nobody else is there, or when this peer is alone.
    pub(crate) fn candidate(
        &self,
        now: Timestamp,
        rng: &mut Rng,
        alone: bool,
        is_taken: impl Fn(PeerId) -> bool,
    ) -> Option<PeerAddress> {
        let ready = |known: &&Known| known.retry_at <= now && !is_taken(known.peer);
        let mut tiers: [Vec<&Known>; 4] = Default::default();
        for known in self.known.iter().filter(ready) {
            let tier = match (known.failures, known.alive) {
                (0, Some(_)) if known.has_room => 0,
                (0, _) => 1,
                _ => 2,
            };
            tiers[tier].push(known);
        }
        tiers[3].extend(self.named.iter().filter(ready));
        let roll = rng.next_u32() % 8;
        let order = match roll {
            0..=2 if alone => [3, 0, 1, 2],
            0..=1 => [1, 0, 2, 3],
            2 => [2, 1, 0, 3],
            _ => [0, 1, 2, 3],
        };
        let tier = order.into_iter().find(|tier| !tiers[*tier].is_empty())?;
        let chosen = tiers[tier][below(rng, tiers[tier].len())];
        Some(chosen.address())
    }

    /// Anybody who may be tried now, the failing as likely as the others, and
    /// every other time one of the named: links across what was once split, where
    /// the rest of the book is of this side only.
    // Measured: with one of eight, 2 of 1,000 networks do not heal in time.
    pub(crate) fn anybody(
        &self,
        now: Timestamp,
        rng: &mut Rng,
        is_taken: impl Fn(PeerId) -> bool,
    ) -> Option<PeerAddress> {
        let is_ready = |known: &&Known| known.retry_at <= now && !is_taken(known.peer);
        let mut ready: Vec<&Known> = self.named.iter().filter(is_ready).collect();
        if ready.is_empty() || below(rng, 2) == 0 {
            ready.extend(self.known.iter().filter(is_ready));
        }
        if ready.is_empty() {
            return None;
        }
        let chosen = ready[below(rng, ready.len())];
        Some(chosen.address())
    }

    /// When the next one may be tried.
    pub(crate) fn ready_at(&self, is_taken: impl Fn(PeerId) -> bool) -> Option<Timestamp> {
        let all = self.known.iter().chain(&self.named);
        let free = all.filter(|known| !is_taken(known.peer));
        free.map(|known| known.retry_at).min()
    }

    /// Some that this peer knows to live, for another one; those with room
    /// first.
    pub(crate) fn list(
        &self,
        now: Timestamp,
        config: &Config,
        rng: &mut Rng,
        to: PeerId,
    ) -> Vec<PeerAddress> {
        let mut fresh: Vec<&Known> = self
            .known
            .iter()
            .filter(|known| known.peer != to && known.is_fresh(now, config.fresh))
            .collect();
        let (mut roomy, mut full) = (Vec::new(), Vec::new());
        while !fresh.is_empty() && roomy.len() < config.listed() {
            let known = fresh.swap_remove(below(rng, fresh.len()));
            if known.has_room {
                roomy.push(known);
            } else if full.len() < config.listed() {
                full.push(known);
            }
        }
        let listed = roomy.into_iter().chain(full).take(config.listed());
        listed.map(Known::address).collect()
    }

    /// All, the best first.
    pub(crate) fn remembered(&self) -> Vec<PeerAddress> {
        let mut all: Vec<&Known> = self.known.iter().collect();
        all.sort_by_key(|known| known.worth());
        all.into_iter().map(Known::address).collect()
    }
}

/// Adds addresses, the new ones first.
pub(crate) fn merge(addresses: &mut Vec<SocketAddr>, new: &[SocketAddr]) {
    if new.is_empty() || addresses.starts_with(new) {
        return;
    }
    addresses.retain(|address| !new.contains(address));
    let old = std::mem::take(addresses);
    addresses.extend(
        new.iter()
            .copied()
            .chain(old)
            .take(PeerAddress::ADDRESSES_MAX),
    );
}

/// Between half and all of it.
pub(crate) fn jittered(rng: &mut Rng, duration: Duration) -> Duration {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / 2);
    let half = micros / 2;
    Duration::from_micros(half + rng.next_u64() % (micros - half + 1))
}
