//! Looking for a place: knocking at supernodes, at heirs, and at last at
//! nobody's door but the own.
//!
//! **Election.** A supernode tells its leaves, while it lives, which of them
//! are fit to take its place, in order. Leaves that lost it and found no room
//! elsewhere knock at these heirs in this order; an heir that has lost it too
//! becomes a supernode. So those who heard the same roster meet at the same
//! heir without a word between them; where rosters differ or messages are lost,
//! two heirs may both serve. That does no harm: a leaf belongs to whom it
//! registers at, and to nobody else.

use std::time::Duration;

use gannet_base::{Output, PeerAddress, PeerId, Timestamp};
use rand_core::Rng as _;

use super::config::RoleWish;
use super::message::{Place, SupernodeMessage, Wish};
use super::rosters::Rosters;
use super::tier::{CALAMITY, Why};
use super::wires::User;
use super::{Role, Supernode, SupernodeEvent};
use crate::flood::{below, jittered};

/// First pause between two rounds of a leaf without a place; doubles.
const ROUND_PAUSE_MIN: Duration = Duration::from_secs(1);
/// Supernodes that send a leaf on before it takes a full one's place.
// Guess: more than two rounds of a newcomer: lists are better by then.
const REFUSED_BEFORE_INSISTING: u8 = 12;
/// How long a newcomer waits to be told of others.
const START_PAUSE: Duration = Duration::from_millis(200);
/// How long a supernode that is gone counts as gone for the claims of others.
const GONE_FOR: Duration = Duration::from_secs(120);

/// A question whether there is a place.
#[derive(Debug)]
struct Knock {
    peer: PeerId,
    nonce: u64,
    wish: Wish,
    is_sent: bool,
    until: Timestamp,
}

/// What a leaf does to be placed.
#[derive(Debug, Default)]
pub(super) struct Seek {
    knocks: Vec<Knock>,
    /// When the next round begins, if one is wanted.
    at: Option<Timestamp>,
    /// Rounds without a place in a row.
    rounds: u32,
    /// Since when no supernode serves this peer.
    pub(super) orphan_since: Option<Timestamp>,
    /// When to refresh the list.
    refresh_at: Option<Timestamp>,
    /// Who can take the place of the primary, and who else there is.
    pub(super) rosters: Rosters,
    heirs_asked: usize,
    /// Was placed at least once.
    was_placed: bool,
    /// Supernodes that had no room since.
    refused: u8,
    /// A supernode that fell silent: if it lives, it is useless.
    doubted: Option<Box<PeerId>>,
}

impl Seek {
    /// Gives back memory that is needed while somebody is asked, and not else.
    pub(super) fn rest(&mut self) {
        if self.knocks.is_empty() {
            self.knocks = Vec::new();
        }
    }

    /// Whether somebody is being asked for a place.
    fn is_knocking(&self) -> bool {
        let mut knocks = self.knocks.iter();
        knocks.any(|knock| knock.wish != Wish::List)
    }

    pub(super) fn due(&self) -> Option<Timestamp> {
        let knocks = self.knocks.iter().map(|knock| knock.until).min();
        [self.at, self.refresh_at, knocks]
            .into_iter()
            .flatten()
            .min()
    }
}

impl Supernode {
    /// The first thing that happens.
    pub(super) fn begin_seek(&mut self, now: Timestamp) {
        self.seek.orphan_since = Some(now);
        self.seek.at = Some(now + START_PAUSE);
    }

    /// A supernode until now, this peer looks for a place.
    pub(super) fn begin_seek_again(&mut self, now: Timestamp) {
        self.seek = Seek {
            orphan_since: Some(now),
            at: Some(now),
            ..Seek::default()
        };
    }

    /// This peer needs no place any more.
    pub(super) fn end_seek(&mut self, now: Timestamp) {
        for knock in std::mem::take(&mut self.seek).knocks {
            self.wires.release(now, knock.peer, User::Knock);
        }
    }

    /// There will be a round by then.
    pub(super) fn seek_by(&mut self, at: Timestamp) {
        self.seek.at = Some(self.seek.at.map_or(at, |due| due.min(at)));
    }

    /// Somebody told of a peer.
    pub(super) fn learn(&mut self, now: Timestamp, address: &PeerAddress) {
        if address.peer != self.me {
            self.book.learn(now, self.config.fresh, address);
        }
    }

    /// Somebody told of supernodes, those with room first: of a list longer than the
    /// book these stay.
    pub(super) fn learn_listed(&mut self, now: Timestamp, listed: &[PeerAddress]) {
        for address in listed.iter().rev() {
            self.learn(now, address);
        }
    }

    pub(super) fn on_bootstrap(&mut self, now: Timestamp, peers: &[PeerAddress]) {
        for address in peers.iter().filter(|address| address.peer != self.me) {
            self.book.name(now, address);
        }
        if self.office.is_some() {
            self.bootstrap_flood(now, peers.to_vec());
        } else if self.wish().is_some() {
            self.seek_by(now);
        }
    }

    /// What this leaf lacks.
    fn wish(&self) -> Option<Wish> {
        let stays = |home: &&super::homes::Home| !home.is_moving;
        match self.homes.iter().filter(stays).count() {
            0 => Some(Wish::Primary),
            1 if self.config.backup && self.homes[0].is_live => Some(Wish::Backup),
            _ => None,
        }
    }

    /// A place was found, or is confirmed.
    pub(super) fn on_placed(&mut self, now: Timestamp) {
        let is_first = !std::mem::replace(&mut self.seek.was_placed, true);
        self.seek.orphan_since = None;
        self.seek.rounds = 0;
        self.seek.heirs_asked = 0;
        self.seek.at = None;
        if self.seek.refresh_at.is_none() {
            self.seek.refresh_at = Some(now + self.spread(self.config.refresh_interval));
        }
        if self.wish() == Some(Wish::Backup) {
            let wait = if is_first {
                Duration::ZERO
            } else {
                self.backup_pause(now, self.config.backup_jitter)
            };
            self.seek_by(now + wait);
        }
    }

    /// At random, up to that long, before a leaf that has a primary asks for a backup.
    /// Longer when it lost both at once: so did very many, and those who are left hear
    /// all of them.
    fn backup_pause(&mut self, now: Timestamp, bound: Duration) -> Duration {
        let is_calamity = self.gone_lately(now, GONE_FOR) >= CALAMITY;
        self.below(if is_calamity { bound * 2 } else { bound })
    }

    /// A supernode was lost.
    pub(super) fn on_unplaced(&mut self, now: Timestamp, was_in_service: bool) {
        if self.office.is_some() {
            return;
        }
        if self.live_home().is_some() {
            let wait = self.below(self.config.backup_jitter);
            self.seek_by(now + wait);
            return;
        }
        if self.seek.orphan_since.is_none() {
            self.seek.orphan_since = Some(now);
        }
        // The other one may be on its way, or being checked.
        if self.homes.is_empty() && !self.seek.is_knocking() {
            let wait = if was_in_service {
                self.below(self.config.orphan_jitter)
            } else {
                self.round_pause()
            };
            self.seek_by(now + wait);
        }
    }

    fn round_pause(&mut self) -> Duration {
        let bound = ROUND_PAUSE_MIN.saturating_mul(1 << self.seek.rounds.min(10));
        self.below(bound.min(self.config.orphan_pause_max))
    }

    /// At random, up to that long.
    fn below(&mut self, bound: Duration) -> Duration {
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        Duration::from_micros(self.rng.wake().next_u64() % micros.max(1))
    }

    /// Between half and all of it.
    pub(super) fn spread(&mut self, duration: Duration) -> Duration {
        jittered(&mut self.rng.wake(), duration)
    }

    pub(super) fn on_timeout_seek(&mut self, now: Timestamp) {
        let late: Vec<PeerId> = self
            .seek
            .knocks
            .iter()
            .filter(|knock| knock.until <= now)
            .map(|knock| knock.peer)
            .collect();
        for peer in late {
            self.on_knock_failed(now, peer);
        }
        if self.seek.at.is_some_and(|at| at <= now) {
            self.seek.at = None;
            self.seek_round(now);
        }
        if self.seek.refresh_at.is_some_and(|at| at <= now) {
            self.refresh(now);
        }
    }

    /// Asks a random supernode for others, to know some that live when they are
    /// needed.
    fn refresh(&mut self, now: Timestamp) {
        self.seek.refresh_at = None;
        if self.office.is_some() {
            return;
        }
        self.seek.refresh_at = Some(now + self.spread(self.config.refresh_interval));
        if self.live_home().is_some() && self.seek.knocks.is_empty() {
            self.knock_at_some(now, 1, Wish::List);
            self.send_cards(now);
        }
    }

    fn seek_round(&mut self, now: Timestamp) {
        if self.office.is_some() || self.seek.is_knocking() {
            return;
        }
        if self.config.role == RoleWish::Force {
            self.promote(now, Why::Forced);
            return;
        }
        let Some(wish) = self.wish() else {
            return;
        };
        if wish == Wish::Backup {
            self.seek_backup(now);
            return;
        }
        if self.is_alone_too_long(now) && self.can_serve() {
            self.promote(now, Why::Alone);
            return;
        }
        // Who had a place knows some that live, and many may have gone at once:
        // those who are left hear enough knocks.
        let count = if self.seek.was_placed {
            1
        } else {
            self.config.knocks_max
        };
        // First somebody known, then an heir, then the next known one: where many
        // went at once, most find their heir alive, and few others.
        if self.seek.rounds % 2 == 1 {
            self.knock_at_heir(now);
        }
        if self.office.is_none() && !self.seek.is_knocking() {
            self.knock_at_some(now, count, wish);
        }
        self.seek.rounds = self.seek.rounds.saturating_add(1);
        if self.office.is_none() && !self.seek.is_knocking() {
            self.on_nobody_to_ask(now);
        }
    }

    fn seek_backup(&mut self, now: Timestamp) {
        self.knock_at_some(now, 1, Wish::Backup);
        // Nobody else is known to live: the primary may know some.
        if self.book.fresh(now, self.config.fresh) <= 1
            && let Some(peer) = self.live_home()
        {
            let addresses = Vec::new();
            self.knock(now, PeerAddress { peer, addresses }, Wish::List);
        }
        if self.seek.knocks.is_empty() {
            let wait = self.spread(self.config.backup_jitter.max(ROUND_PAUSE_MIN));
            self.seek_by(now + wait);
        }
    }

    /// Nobody is known, or all have been asked just now.
    fn on_nobody_to_ask(&mut self, now: Timestamp) {
        if self.book.len() == 0 && self.seek.rosters.is_empty() && self.can_serve() {
            self.promote(now, Why::Alone);
            return;
        }
        self.seek.rosters.begin_again();
        let pause = self.round_pause().max(ROUND_PAUSE_MIN / 2);
        let ready = self.book.ready_at().map_or(now, |at| at.max(now));
        let pause_max = self.config.orphan_pause_max;
        self.seek_by((now + pause).max(ready.min(now + pause_max)));
    }

    /// Whether it is time to begin by oneself: the fitter, the earlier.
    fn is_alone_too_long(&self, now: Timestamp) -> bool {
        let Some(since) = self.seek.orphan_since else {
            return false;
        };
        let value = self.facts.score(now).value().min(1_200);
        let handicap = self.config.alone_after * (1_200 - value) / 1_200;
        let patience = if self.seek.was_placed {
            self.config.alone_after + handicap
        } else {
            // A first start: people wait.
            self.config.alone_after / 2 + handicap / 4
        };
        now - since >= patience
    }

    fn knock_at_some(&mut self, now: Timestamp, count: usize, wish: Wish) {
        for address in self.some_known(now, count, wish) {
            self.knock(now, address, wish);
        }
    }

    /// Some of the book and of the rosters that are not asked yet. The book of a small
    /// machine is short, and half of it are peers that the user named, who may be
    /// leaves: for places, whoever is likely to have one goes first, then whom its
    /// supernodes named. Who is asked for a list may be anybody.
    pub(super) fn some_known(
        &mut self,
        now: Timestamp,
        count: usize,
        wish: Wish,
    ) -> Vec<PeerAddress> {
        let (homes, knocks, me) = (&self.homes, &self.seek.knocks, self.me);
        let is_taken = |peer: PeerId| {
            peer == me
                || homes.iter().any(|home| home.peer == peer)
                || knocks.iter().any(|knock| knock.peer == peer)
        };
        let mut rng = self.rng.wake();
        let (book, rosters) = (&self.book, &mut self.seek.rosters);
        let places = wish != Wish::List;
        let listed = book.len() + rosters.listed();
        let from_book = places || below(&mut rng, listed.max(1)) < book.len();
        let first = if from_book { count } else { 0 };
        let mut chosen = book.candidates(now, &mut rng, (first, places), is_taken);
        let missing = count - chosen.len().min(count);
        let is_noted = |peer: PeerId| is_taken(peer) || book.has(peer);
        chosen.extend(rosters.choose(&mut rng, missing, is_noted));
        let missing = count - chosen.len().min(count);
        let is_taken = |peer: PeerId| is_taken(peer) || chosen.iter().any(|one| one.peer == peer);
        let rest = book.candidates(now, &mut rng, (missing, false), is_taken);
        chosen.extend(rest);
        chosen
    }

    /// The next heir's turn.
    fn knock_at_heir(&mut self, now: Timestamp) {
        let next = self.seek.heirs_asked;
        let Some((of, heirs)) = self.seek.rosters.heirs() else {
            return;
        };
        let Some(heir) = heirs.get(next).cloned() else {
            // Whoever did not answer may be back, or be convinced now.
            self.seek.heirs_asked = 0;
            return;
        };
        self.seek.heirs_asked += 1;
        if heir.peer != self.me {
            self.knock(now, heir, Wish::Heir { of });
        } else if self.can_serve() {
            self.promote(now, Why::Elected);
        }
    }

    fn knock(&mut self, now: Timestamp, address: PeerAddress, wish: Wish) {
        let peer = address.peer;
        if self.seek.knocks.iter().any(|knock| knock.peer == peer)
            || self.book.is_banned(now, peer)
            || !self.wires.take(peer, User::Knock)
        {
            return;
        }
        self.seek.knocks.push(Knock {
            peer,
            nonce: self.rng.wake().next_u64(),
            wish,
            is_sent: false,
            until: now + self.config.knock_timeout,
        });
        self.counters.knocks += 1;
        if self.wires.is_up(peer) {
            self.send_knock(peer);
        } else {
            if !address.addresses.is_empty() {
                self.event(SupernodeEvent::Addresses(address));
            }
            self.output(Output::Dial { peer });
        }
    }

    /// A supernode answers nothing any more, though nobody says that the link is
    /// broken. If it answers a knock, it is not dead.
    pub(super) fn doubt(&mut self, now: Timestamp, peer: PeerId) {
        if self.wires.is_up(peer) && self.office.is_none() {
            self.seek.doubted = Some(Box::new(peer));
            let addresses = Vec::new();
            self.knock(now, PeerAddress { peer, addresses }, Wish::List);
        }
    }

    fn send_knock(&mut self, peer: PeerId) {
        let knock = self.seek.knocks.iter_mut().find(|knock| knock.peer == peer);
        if let Some(knock) = knock.filter(|knock| !knock.is_sent) {
            knock.is_sent = true;
            let message = SupernodeMessage::Knock {
                nonce: knock.nonce,
                wish: knock.wish,
                insists: self.seek.refused >= REFUSED_BEFORE_INSISTING,
            };
            self.send(peer, message);
        }
    }

    pub(super) fn on_link_seek(&mut self, now: Timestamp, peer: PeerId, is_up: bool) {
        if is_up {
            self.send_knock(peer);
        } else if self.seek.knocks.iter().any(|knock| knock.peer == peer) {
            self.on_knock_failed(now, peer);
        }
    }

    fn take_knock(&mut self, now: Timestamp, peer: PeerId) -> Option<Knock> {
        let place = self
            .seek
            .knocks
            .iter()
            .position(|knock| knock.peer == peer)?;
        let knock = self.seek.knocks.swap_remove(place);
        if self.seek.knocks.is_empty() {
            self.seek.knocks = Vec::new();
        }
        self.wires.release(now, peer, User::Knock);
        Some(knock)
    }

    fn on_knock_failed(&mut self, now: Timestamp, peer: PeerId) {
        if self.take_knock(now, peer).is_some() {
            self.book.failed(now, &mut self.rng.wake(), peer);
            self.after_knock(now);
        }
    }

    pub(super) fn on_place(&mut self, now: Timestamp, from: PeerId, place: Place) {
        let expected = self
            .seek
            .knocks
            .iter()
            .any(|knock| knock.peer == from && knock.nonce == place.nonce && knock.is_sent);
        if !expected {
            self.counters.dropped += 1;
            return;
        }
        let Some(knock) = self.take_knock(now, from) else {
            return;
        };
        let is_refused = knock.wish != Wish::List && place.is_supernode && !place.room;
        if self
            .seek
            .doubted
            .take_if(|doubted| **doubted == from)
            .is_some()
        {
            self.counters.banned += 1;
            self.book.ban(now, &self.config, from);
        } else if place.is_supernode {
            self.heard(now, from);
        } else {
            self.book.is_none(now, from);
        }
        if is_refused {
            self.seek.refused = self.seek.refused.saturating_add(1);
            self.book.is_full(now, from);
        }
        self.learn_listed(now, &place.supernodes);
        if knock.wish != Wish::List {
            if place.needed && self.can_serve() && self.homes.is_empty() {
                self.promote(now, Why::Needed);
                return;
            }
            if place.room && self.wish().is_some() {
                self.seek.refused = 0;
                self.take_home(now, from);
            }
        }
        self.after_knock(now);
    }

    /// When all have answered, or not, and there is still something to look for.
    fn after_knock(&mut self, now: Timestamp) {
        if self.seek.is_knocking() || self.office.is_some() || self.seek.at.is_some() {
            return;
        }
        match self.wish() {
            Some(Wish::Backup) => {
                let wait = self.backup_pause(now, self.config.backup_jitter / 4);
                self.seek_by(now + wait);
            }
            Some(_) => {
                let wait = self.round_pause();
                self.seek_by(now + wait);
            }
            None => {}
        }
    }

    /// Somebody says that this leaf's supernode is gone and that this peer is
    /// its heir. Believed if it is gone, or in doubt, for this peer too.
    pub(super) fn on_claim(&mut self, now: Timestamp, of: PeerId) {
        let was_ours = self
            .gone
            .iter()
            .any(|(gone, at)| *gone == of && now - *at <= GONE_FOR);
        let is_doubtful = self
            .homes
            .iter()
            .any(|home| home.peer == of && !home.is_live);
        if self.role() == Role::Leaf && (was_ours || is_doubtful) && self.can_serve() {
            self.promote(now, Why::Elected);
        }
    }
}
