//! The supernodes that are known.

use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId, Rng, Timestamp};

use super::addresses::Addresses;
use super::config::Config;
use crate::flood::{below, jittered, merge};

/// First pause after a failed attempt; doubles with each.
const PAUSE_MIN: Duration = Duration::from_secs(2);
/// Longest such pause.
const PAUSE_MAX: Duration = Duration::from_secs(120);
/// Failed attempts in a row after which a peer is forgotten.
const FAILURES_MAX: u8 = 5;
/// How long one without room is not asked for some.
// Guess: loads are told every ten seconds.
const FULL_PAUSE: Duration = Duration::from_secs(12);
/// How long until one of the dead sources that are held against a supernode is
/// forgiven: sources die without its fault.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);
/// Room for at most so many more is made at once.
const GROWTH_MAX: usize = 8;
/// Peers that the user named; more are ignored.
const NAMED_MAX: usize = 64;

/// A point in time in a half of the memory: sixteenths of a second, for eight
/// years.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
struct Moment(u32);

impl Moment {
    const MICROS: u64 = 1_000_000 / 16;

    /// The last one that is not after this.
    fn before(at: Timestamp) -> Self {
        Self(u32::try_from(at.as_micros() / Self::MICROS).unwrap_or(u32::MAX))
    }

    /// The first one that is not before this.
    fn after(at: Timestamp) -> Self {
        Self(u32::try_from(at.as_micros().div_ceil(Self::MICROS)).unwrap_or(u32::MAX))
    }

    fn time(self) -> Timestamp {
        Timestamp::from_micros(u64::from(self.0) * Self::MICROS)
    }
}

/// Small, for a leaf knows as many as all else that it has together.
#[derive(Debug)]
struct Known {
    peer: PeerId,
    addresses: Addresses,
    /// When it last said itself that it is a supernode.
    heard_at: Moment,
    /// Not to be tried before.
    retry_at: Moment,
    /// Not to be asked for a place before.
    full_until: Moment,
    banned_until: Moment,
    blamed_at: Moment,
    failures: u8,
    dead_sources: u8,
    /// Whether there is a `heard_at`.
    was_heard: bool,
    /// The user named it. Never forgotten.
    is_named: bool,
}

impl Known {
    fn new(peer: PeerId) -> Self {
        Self {
            peer,
            addresses: Addresses::default(),
            heard_at: Moment::default(),
            retry_at: Moment::default(),
            full_until: Moment::default(),
            banned_until: Moment::default(),
            blamed_at: Moment::default(),
            failures: 0,
            dead_sources: 0,
            was_heard: false,
            is_named: false,
        }
    }

    fn address(&self) -> PeerAddress {
        PeerAddress {
            peer: self.peer,
            addresses: self.addresses.to_vec(),
        }
    }

    fn is_fresh(&self, now: Timestamp, fresh: Duration) -> bool {
        let heard = self.heard_at();
        heard.is_some_and(|at| now - at <= fresh) && !self.is_banned(now)
    }

    fn heard_at(&self) -> Option<Timestamp> {
        self.was_heard.then(|| self.heard_at.time())
    }

    fn is_banned(&self, now: Timestamp) -> bool {
        self.banned_until.time() > now
    }

    fn has_room(&self, now: Timestamp) -> bool {
        self.full_until.time() <= now
    }

    /// Whether it may well have a place: peers that the user named may be leaves.
    fn is_likely(&self, now: Timestamp) -> bool {
        (self.was_heard || !self.is_named) && self.has_room(now)
    }

    /// Who goes first when there is no room: the smallest.
    fn worth(&self, now: Timestamp) -> (bool, bool, u8, Option<Timestamp>) {
        (
            self.is_named,
            self.is_banned(now),
            FAILURES_MAX.saturating_sub(self.failures),
            self.heard_at(),
        )
    }
}

/// How a peer comes into the book.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    /// Somebody told of it. Pushes nobody out who is known to live and to have room.
    Hearsay {
        /// How recently one must have been heard itself for that.
        fresh: Duration,
    },
    /// This peer had to do with it.
    Experience,
}

/// Known supernodes, and peers that may know some.
#[derive(Debug)]
pub(super) struct Book {
    list: Vec<Known>,
    /// How many there may be besides those that the user named.
    max: usize,
}

impl Book {
    /// With room for so many besides those that the user names, but at least one.
    pub(super) fn new(max: usize) -> Self {
        let list = Vec::new();
        Self {
            list,
            max: max.max(1),
        }
    }

    /// There is room for so many from now on: those worth the most stay.
    pub(super) fn resize(&mut self, now: Timestamp, max: usize) {
        self.max = max.max(1);
        let most = self.named() + self.max;
        if self.list.len() > most {
            self.list
                .sort_by_key(|known| std::cmp::Reverse(known.worth(now)));
            self.list.truncate(most);
            self.list.shrink_to_fit();
        }
    }

    fn named(&self) -> usize {
        self.list.iter().filter(|known| known.is_named).count()
    }

    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn has(&self, peer: PeerId) -> bool {
        self.list.iter().any(|known| known.peer == peer)
    }

    fn at(&mut self, peer: PeerId) -> Option<&mut Known> {
        self.list.iter_mut().find(|known| known.peer == peer)
    }

    fn put(&mut self, now: Timestamp, peer: PeerId, by: By) -> Option<&mut Known> {
        if let Some(place) = self.list.iter().position(|known| known.peer == peer) {
            return self.list.get_mut(place);
        }
        if self.list.len() - self.named() >= self.max {
            let others = (0..self.list.len()).filter(|place| !self.list[*place].is_named);
            let least = others.min_by_key(|place| self.list[*place].worth(now))?;
            if let By::Hearsay { fresh } = by {
                self.forget_for_hearsay(now, fresh, least)?;
            } else {
                self.list.swap_remove(least);
            }
        }
        self.push(peer);
        self.list.last_mut()
    }

    /// Makes room: of the least one if it is not known to live, else of one without
    /// room for leaves.
    fn forget_for_hearsay(&mut self, now: Timestamp, fresh: Duration, least: usize) -> Option<()> {
        let goes = if self.list[least].is_fresh(now, fresh) {
            let is_full =
                |known: &Known| !known.is_named && !known.has_room(now) && !known.is_banned(now);
            self.list.iter().position(is_full)?
        } else {
            least
        };
        self.list.swap_remove(goes);
        Some(())
    }

    fn push(&mut self, peer: PeerId) {
        let len = self.list.len();
        if len == self.list.capacity() {
            // A leaf's is short, and stays so.
            self.list.reserve_exact((len / 4).clamp(1, GROWTH_MAX));
        }
        self.list.push(Known::new(peer));
    }

    /// The user named it.
    pub(super) fn name(&mut self, now: Timestamp, address: &PeerAddress) {
        if self.named() >= NAMED_MAX {
            return;
        }
        if !self.has(address.peer) {
            self.push(address.peer);
        }
        if let Some(known) = self.at(address.peer) {
            known.is_named = true;
            known.retry_at = Moment::before(now);
            set_addresses(known, &address.addresses);
        }
    }

    /// Somebody told of it.
    pub(super) fn learn(&mut self, now: Timestamp, fresh: Duration, address: &PeerAddress) {
        if let Some(known) = self.put(now, address.peer, By::Hearsay { fresh }) {
            set_addresses(known, &address.addresses);
        }
    }

    /// It said so itself, or acts like one.
    pub(super) fn heard(&mut self, now: Timestamp, peer: PeerId) {
        if let Some(known) = self.put(now, peer, By::Experience) {
            known.heard_at = Moment::before(now);
            known.was_heard = true;
            known.failures = 0;
            known.retry_at = known.retry_at.min(Moment::before(now));
        }
    }

    /// Where it was seen.
    pub(super) fn seen(&mut self, peer: PeerId, addresses: &[SocketAddr]) {
        if let Some(known) = self.at(peer) {
            set_addresses(known, addresses);
        }
    }

    /// It says that it is no supernode now.
    pub(super) fn is_none(&mut self, now: Timestamp, peer: PeerId) {
        if let Some(known) = self.at(peer) {
            known.was_heard = false;
            if known.is_named {
                known.retry_at = Moment::after(now + FULL_PAUSE);
            } else {
                self.list.retain(|known| known.peer != peer);
            }
        }
    }

    /// It has no room.
    pub(super) fn is_full(&mut self, now: Timestamp, peer: PeerId) {
        if let Some(known) = self.at(peer) {
            known.full_until = Moment::after(now + FULL_PAUSE);
        }
    }

    /// It was tried in vain.
    pub(super) fn failed(&mut self, now: Timestamp, rng: &mut Rng, peer: PeerId) {
        let Some(known) = self.at(peer) else {
            return;
        };
        known.failures = known.failures.saturating_add(1);
        known.was_heard = false;
        let pause = PAUSE_MIN.saturating_mul(1 << known.failures.min(10));
        known.retry_at = Moment::after(now + jittered(rng, pause.min(PAUSE_MAX)));
        if known.failures >= FAILURES_MAX && !known.is_named && !known.is_banned(now) {
            self.list.retain(|known| known.peer != peer);
        }
    }

    /// It is to be left alone for so long.
    pub(super) fn ban(&mut self, now: Timestamp, config: &Config, peer: PeerId) {
        if let Some(known) = self.put(now, peer, By::Experience) {
            known.banned_until = Moment::after(now + config.ban);
            known.retry_at = known.banned_until;
            known.dead_sources = 0;
        }
    }

    /// It named a dead source. Whether it has named too many.
    pub(super) fn blame(&mut self, now: Timestamp, config: &Config, peer: PeerId) -> bool {
        let Some(known) = self.put(now, peer, By::Experience) else {
            return false;
        };
        if now - known.blamed_at.time() >= FORGIVEN_AFTER {
            known.dead_sources = known.dead_sources.saturating_sub(1);
        }
        known.blamed_at = Moment::before(now);
        known.dead_sources = known.dead_sources.saturating_add(1);
        u32::from(known.dead_sources) >= config.dead_sources_max
    }

    pub(super) fn is_banned(&self, now: Timestamp, peer: PeerId) -> bool {
        let mut all = self.list.iter();
        all.any(|known| known.peer == peer && known.is_banned(now))
    }

    /// Some to be tried now, at random, those with room first: of those that may well
    /// have a place, or of all.
    pub(super) fn candidates(
        &self,
        now: Timestamp,
        rng: &mut Rng,
        (count, only_likely): (usize, bool),
        is_taken: impl Fn(PeerId) -> bool,
    ) -> Vec<PeerAddress> {
        let is_ready = |known: &&Known| {
            known.retry_at.time() <= now
                && !known.is_banned(now)
                && !is_taken(known.peer)
                && (!only_likely || known.is_likely(now))
        };
        choose(self.list.iter().filter(is_ready), now, rng, count)
    }

    /// When the next one may be tried.
    pub(super) fn ready_at(&self) -> Option<Timestamp> {
        self.list.iter().map(|known| known.retry_at.time()).min()
    }

    /// Supernodes that were heard of lately.
    pub(super) fn fresh(&self, now: Timestamp, fresh: Duration) -> usize {
        let fresh = |known: &&Known| known.is_fresh(now, fresh);
        self.list.iter().filter(fresh).count()
    }

    /// Whether one is known to live that has room.
    pub(super) fn has_roomy(&self, now: Timestamp, fresh: Duration) -> bool {
        let roomy = |known: &Known| known.has_room(now) && known.is_fresh(now, fresh);
        self.list.iter().any(roomy)
    }

    /// Some that are known to live, for another peer; those with room first.
    pub(super) fn list(
        &self,
        now: Timestamp,
        config: &Config,
        rng: &mut Rng,
        (count, to): (usize, PeerId),
    ) -> Vec<PeerAddress> {
        let is_fresh = |known: &&Known| known.peer != to && known.is_fresh(now, config.fresh);
        choose(self.list.iter().filter(is_fresh), now, rng, count)
    }

    /// Those that are supernodes, as far as is known; all if none is.
    pub(super) fn supernodes(&self, now: Timestamp) -> Vec<PeerAddress> {
        let is_one = |known: &&Known| !known.is_banned(now) && (known.was_heard || !known.is_named);
        let found: Vec<_> = self
            .list
            .iter()
            .filter(is_one)
            .map(Known::address)
            .collect();
        if found.is_empty() {
            return self.remembered(now);
        }
        found
    }

    /// Those that the user named, whatever they are.
    pub(super) fn named_ones(&self) -> impl Iterator<Item = PeerAddress> {
        let named = self.list.iter().filter(|known| known.is_named);
        named.map(Known::address)
    }

    /// All that are worth it, the likeliest to live first.
    pub(super) fn remembered(&self, now: Timestamp) -> Vec<PeerAddress> {
        let usable = self.list.iter().filter(|known| !known.is_banned(now));
        let mut all: Vec<&Known> = usable.collect();
        all.sort_by_key(|known| std::cmp::Reverse((known.heard_at(), known.worth(now))));
        all.into_iter().map(Known::address).collect()
    }
}

/// So many of these at random, those with room first.
fn choose<'a>(
    among: impl Iterator<Item = &'a Known>,
    now: Timestamp,
    rng: &mut Rng,
    count: usize,
) -> Vec<PeerAddress> {
    let (mut roomy, mut full): (Vec<_>, Vec<_>) = among.partition(|known| known.has_room(now));
    let mut chosen = Vec::new();
    for pool in [&mut roomy, &mut full] {
        while chosen.len() < count && !pool.is_empty() {
            let known = pool.swap_remove(below(rng, pool.len()));
            chosen.push(known.address());
        }
    }
    chosen
}

fn set_addresses(known: &mut Known, new: &[SocketAddr]) {
    if !new.is_empty() && !known.addresses.starts_with(new) {
        let mut addresses = known.addresses.to_vec();
        merge(&mut addresses, new);
        known.addresses = addresses.into_iter().collect();
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::seeded_rng;

    use super::*;

    const FRESH: Duration = Duration::from_secs(180);

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn address(n: u8) -> PeerAddress {
        PeerAddress {
            peer: peer(n),
            addresses: Vec::new(),
        }
    }

    fn small() -> Config {
        Config {
            ban: Duration::from_secs(3_600),
            ..Config::default()
        }
    }

    fn ready(book: &Book, now: Timestamp) -> Vec<PeerId> {
        let mut found: Vec<PeerId> = book
            .candidates(now, &mut seeded_rng(1), (10, false), |_| false)
            .into_iter()
            .map(|address| address.peer)
            .collect();
        found.sort();
        found
    }

    #[test]
    fn it_keeps_who_was_named_and_who_lives() {
        let (config, now) = (small(), Timestamp::from_secs(100));
        let mut book = Book::new(3);
        book.name(now, &address(1));
        book.heard(now, peer(2));
        for n in 3..20 {
            book.learn(now, FRESH, &address(n));
        }
        assert_eq!(book.len(), 4);
        assert!(ready(&book, now).starts_with(&[peer(1), peer(2)]));
        let listed = book.list(now, &config, &mut seeded_rng(1), (9, peer(9)));
        assert_eq!(listed, [address(2)], "only what is known to live is told");
    }

    #[test]
    fn hearsay_pushes_nobody_out_who_lives_and_the_named_take_nobodys_place() {
        let now = Timestamp::from_secs(100);
        let mut book = Book::new(2);
        for n in 1..6 {
            book.name(now, &address(n));
        }
        book.heard(now, peer(6));
        book.heard(now + Duration::from_secs(1), peer(7));
        let all = |book: &Book| -> Vec<PeerId> {
            let mut all: Vec<PeerId> = book.list.iter().map(|known| known.peer).collect();
            all.sort();
            all
        };
        book.learn(now + FRESH, FRESH, &address(8));
        assert_eq!(all(&book), (1..8).map(peer).collect::<Vec<_>>());
        // Who was heard longest ago goes for who is heard now, and for anybody once
        // that is long past.
        book.heard(now + FRESH, peer(9));
        assert!(!book.has(peer(6)) && book.has(peer(7)) && book.has(peer(9)));
        book.learn(now + FRESH + Duration::from_secs(2), FRESH, &address(8));
        assert!(!book.has(peer(7)) && book.has(peer(8)) && book.has(peer(9)));
        book.resize(now + FRESH, 1);
        assert_eq!(book.len(), 6);
        assert!(book.has(peer(1)) && book.has(peer(9)));
    }

    #[test]
    fn the_dead_are_forgotten_and_the_useless_remembered() {
        let (config, mut now) = (small(), Timestamp::from_secs(100));
        let (mut book, mut rng) = (Book::new(4), seeded_rng(1));
        book.learn(now, FRESH, &address(1));
        book.learn(now, FRESH, &address(2));
        book.ban(now, &config, peer(2));
        for _ in 0..FAILURES_MAX {
            assert!(ready(&book, now + PAUSE_MAX).contains(&peer(1)));
            book.failed(now, &mut rng, peer(1));
            assert!(!ready(&book, now).contains(&peer(1)));
            now = now + PAUSE_MAX;
        }
        assert_eq!(ready(&book, now + PAUSE_MAX), []);
        assert!(book.is_banned(now, peer(2)));
        for n in 3..20 {
            book.learn(now, FRESH, &address(n));
        }
        assert!(book.is_banned(now, peer(2)), "not pushed out by others");
        assert!(ready(&book, now + config.ban).contains(&peer(2)));
    }

    #[test]
    fn three_dead_sources_are_too_many_unless_time_passes() {
        let (config, now) = (small(), Timestamp::from_secs(100));
        let mut book = Book::new(4);
        assert!(!book.blame(now, &config, peer(1)));
        assert!(!book.blame(now, &config, peer(1)));
        assert!(book.blame(now, &config, peer(1)));
        let mut later = now;
        for _ in 0..10 {
            later = later + FORGIVEN_AFTER;
            assert!(!book.blame(later, &config, peer(2)));
        }
    }
}
