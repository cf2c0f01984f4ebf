//! Blocks of files that outlive their publisher.
//!
//! **Problem.** A file is there for as long as somebody who shares it is. Who wants it
//! to stay asks others to hold it, who come and go, crash, restart, leave for good, fill
//! up, and may lie; nobody sees them all.
//!
//! **How.** A *keeper* signs a [`KeepOrder`](gannet_base::KeepOrder). A file is cut into
//! blocks, each with a position on the ring. The node responsible for that position, the
//! *warden*, sees to it that enough *holders* have the block: itself, and those after
//! it that have room in what their owners grant. Holders *claim* what they hold in
//! rounds along the ring, at whoever is responsible now; so a new warden knows
//! everything after one round, and nothing needs to be handed over or saved. What a
//! warden makes of what it sees is in `tally`: who is away is waited for, who comes back
//! is counted again. Wardens that have the block themselves have holders prove it.
//!
//! **Goals.** No block is lost while enough of its holders come back; few bytes move;
//! an owner sees and refuses what it holds; nothing is held without a signed order, nor
//! longer than that says; a wrong clock loses nothing.
//!
//! **Non-goals.** Bytes: the layer above moves them as ordinary transfers. Secrecy:
//! holders can read what they hold.
//!
//! One file per concern: `orders` (who wants what), `calendar` (what day it is),
//! `holding` (as a holder), `claims` (rounds), `warden`, `recruit`, `ward` and `tally`
//! (as the responsible node), `keeper`, `audit`.

mod api;
mod audit;
#[cfg(test)]
mod bench;
mod calendar;
mod claims;
mod config;
#[doc(hidden)]
pub mod fuzz;
mod holding;
mod keeper;
mod message;
mod orders;
mod places;
mod recruit;
mod tally;
#[cfg(test)]
mod tests;
mod ward;
mod warden;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use gannet_base::{BlockId, ContentId, PeerAddress, PeerId, Rng, Timestamp, WallTime};
use rand_core::Rng as _;

use super::position::Position;
use super::ring::Contact;
use audit::Audits;
use calendar::Calendar;
use claims::Round;
use holding::{Holdings, State};
use keeper::Kept;
use orders::{Orders, Remembered};
use recruit::Reach;
use ward::Ward;
use warden::Claimer;

pub use api::{
    DropReason, HeldInfo, KeepCommand, KeepEvent, KeepSaved, KeepStatus, KeptInfo, Refusal,
    RefusalReason,
};
pub use audit::proof;
pub use config::Config;
pub use message::{
    BLOCKS_LISTED_MAX, BlockList, ClaimList, Copies, KeepMessage, LISTS_MAX, MATES_LISTED_MAX,
    MATES_TOTAL_MAX, Mate, MateLists, ORDERS_LISTED_MAX, ORDERS_OF_CONTENT_MAX, Role,
    SOURCES_LISTED_MAX,
};

/// Shortest time between two [`KeepEvent::Changed`].
// Guess: what is lost by a kill is claimed and offered again.
const CHANGED_EVERY: Duration = Duration::from_secs(1);

/// What keeping needs to know of this peer's places on the ring.
pub trait Neighbourhood {
    /// Whether there is a ring with others; if not, nobody is told anything.
    fn is_member(&self) -> bool;
    /// How many places this peer has on the ring (its virtual nodes).
    fn nodes(&self) -> usize;
    /// Where a place is; `node` is below [`nodes`](Self::nodes).
    fn position(&self, node: usize) -> Position;
    /// The nodes after a place, in order, live as far as is known.
    fn successors(&self, node: usize) -> &[Contact];
    /// The node before a place; the place itself if there is none.
    fn before(&self, node: usize) -> Position;
    /// Which of this peer's places is responsible for a key, if any.
    fn node_of(&self, key: Position) -> Option<usize>;
}

/// What keeping wants done, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub enum KeepOutput {
    /// Send a message; dial first if there is no link.
    Send {
        /// To whom; without addresses if it has just been heard from.
        to: PeerAddress,
        /// What.
        message: KeepMessage,
    },
    /// Ask the ring who is responsible for a key; answered by [`Keep::on_located`].
    Locate {
        /// To be echoed.
        id: u64,
        /// The key.
        key: Position,
    },
    /// Tell the layer above.
    Event(KeepEvent),
}

/// What a lookup is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Purpose {
    Round,
    Reach(usize),
}

/// What is kept, for display.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeepCounts {
    /// Blocks held for others, with those being fetched.
    pub held_blocks: usize,
    /// Their bytes.
    pub held_bytes: u64,
    /// Bytes granted to others.
    pub grant_bytes: u64,
    /// Blocks that this node looks after as the responsible one.
    pub wards: usize,
    /// Own files that others keep.
    pub kept: usize,
    /// Copies that turned out not to be there.
    pub disbelieved: u64,
}

/// The keeping of files: a part of the structured overlay, driven by it.
///
/// * getters: [`held`](Self::held), [`kept`](Self::kept), [`saved`](Self::saved),
///   [`counts`](Self::counts);
/// * inputs: [`handle_message`](Self::handle_message),
///   [`handle_command`](Self::handle_command), [`handle_timeout`](Self::handle_timeout),
///   [`on_located`](Self::on_located), [`on_unreachable`](Self::on_unreachable),
///   [`on_neighbourhood`](Self::on_neighbourhood);
/// * outputs: [`poll`](Self::poll), to be drained after every input, and
///   [`next_deadline`](Self::next_deadline).
#[derive(Debug)]
pub struct Keep {
    config: Arc<Config>,
    me: PeerId,
    rng: Rng,
    addresses: Vec<SocketAddr>,
    returns: u8,
    calendar: Calendar,
    orders: Orders,
    /// As a keeper.
    kept: BTreeMap<ContentId, Kept>,
    /// As a holder.
    holdings: Holdings,
    round: Round,
    /// Blocks that came: to be told.
    told: BTreeSet<BlockId>,
    /// As the responsible node.
    wards: BTreeMap<BlockId, Ward>,
    ward_counts: BTreeMap<PeerId, usize>,
    /// Blocks whose copies have changed.
    dirty: BTreeSet<BlockId>,
    reach: BTreeMap<usize, Reach>,
    /// Who grants no space, until when that is believed.
    avoid: BTreeMap<PeerId, Timestamp>,
    /// Whose orders for what were asked for, and when.
    expected: BTreeMap<(PeerId, ContentId), Timestamp>,
    audits: Audits,
    disbelieved: u64,
    check_at: Timestamp,
    /// The node before each place, when it was last looked at.
    before: BTreeMap<usize, Position>,
    /// The ring around has changed since.
    is_moved: bool,
    lookups: BTreeMap<u64, Purpose>,
    next_lookup: u64,
    /// What is to be saved is not what was.
    changed: bool,
    changed_at: Option<Timestamp>,
    /// Messages to itself.
    own: VecDeque<KeepMessage>,
    outbox: VecDeque<KeepOutput>,
}

impl Keep {
    /// Holds nothing, keeps nothing.
    pub fn new(me: PeerId, config: impl Into<Arc<Config>>, mut rng: Rng) -> Self {
        let config = config.into();
        Self {
            orders: Orders::new(&config),
            holdings: Holdings::within(config.grant_bytes),
            round: Round::due_at(Timestamp::ZERO + claims::FIRST_ROUND),
            next_lookup: rng.next_u64() >> 1,
            config,
            me,
            rng,
            addresses: Vec::new(),
            returns: 0,
            calendar: Calendar::default(),
            kept: BTreeMap::new(),
            told: BTreeSet::new(),
            wards: BTreeMap::new(),
            ward_counts: BTreeMap::new(),
            dirty: BTreeSet::new(),
            reach: BTreeMap::new(),
            avoid: BTreeMap::new(),
            expected: BTreeMap::new(),
            audits: Audits::default(),
            disbelieved: 0,
            check_at: Timestamp::ZERO,
            before: BTreeMap::new(),
            is_moved: true,
            lookups: BTreeMap::new(),
            changed: false,
            changed_at: None,
            own: VecDeque::new(),
            outbox: VecDeque::new(),
        }
    }

    /// Counts, for display.
    pub fn counts(&self) -> KeepCounts {
        KeepCounts {
            held_blocks: self.holdings.blocks.len(),
            held_bytes: self.holdings.used_bytes,
            grant_bytes: self.holdings.grant_bytes,
            wards: self.wards.len(),
            kept: self.kept.len(),
            disbelieved: self.disbelieved,
        }
    }

    /// Blocks held for others, with those being fetched, by content.
    pub fn held(&self) -> impl Iterator<Item = HeldInfo> + '_ {
        self.holdings.blocks.iter().filter_map(|(block, holding)| {
            Some(HeldInfo {
                block: *block,
                entry: self.orders.entry(block.content)?.clone(),
                bytes: holding.bytes,
                is_here: holding.state == State::Here,
                orders: self.orders.of(block.content).to_vec(),
            })
        })
    }

    /// What this peer's owner does not want to hold.
    pub fn refusals(&self) -> &[Refusal] {
        &self.holdings.refusals
    }

    /// What is to survive the process: save it on [`KeepEvent::Changed`].
    pub fn saved(&self) -> KeepSaved {
        let mut contents: Vec<_> = self.holdings.blocks.keys().map(|id| id.content).collect();
        contents.dedup();
        let orders = contents.iter().flat_map(|content| self.orders.of(*content));
        let releases = self.orders.releases.values();
        KeepSaved {
            returns: self.returns,
            orders: orders.cloned().collect(),
            blocks: self.holdings.blocks.keys().copied().collect(),
            kept: self.kept.values().map(|kept| kept.order.clone()).collect(),
            releases: releases
                .map(|known| (known.release.clone(), known.until, known.blocks.clone()))
                .collect(),
            refusals: self.holdings.refusals.clone(),
        }
    }

    /// Whether what is to survive has changed and [`KeepEvent::Changed`] is still to tell
    /// of it: it comes at most once in some seconds.
    pub fn has_changed(&self) -> bool {
        self.changed
    }

    /// Where this peer believes it can be reached; the first eight count.
    pub fn set_addresses(&mut self, addresses: &[SocketAddr]) {
        let most = addresses.len().min(PeerAddress::ADDRESSES_MAX);
        self.addresses = addresses[..most].to_vec();
    }

    /// The calendar's time now, by this machine's own clock.
    pub fn set_wall_time(&mut self, now: Timestamp, time: WallTime) {
        self.calendar.set(now, time);
    }

    /// Takes a message. Infallible: hostile input is normal input.
    pub fn handle_message(
        &mut self,
        now: Timestamp,
        from: PeerId,
        message: KeepMessage,
        places: &dyn Neighbourhood,
    ) {
        self.on_message(now, from, message, places);
        self.settle(now, places);
    }

    /// Takes a command from the layer above.
    pub fn handle_command(
        &mut self,
        now: Timestamp,
        command: KeepCommand,
        places: &dyn Neighbourhood,
    ) {
        match command {
            KeepCommand::Grant { bytes } => self.on_grant(bytes),
            KeepCommand::Keep(order) => self.on_keep(now, *order, false),
            KeepCommand::Unkeep(release) => self.on_unkeep(now, &release, places),
            KeepCommand::Held(block) => self.on_held(block),
            KeepCommand::FetchFailed(block) | KeepCommand::Lost(block) => self.on_lost(block),
            KeepCommand::Refuse(refusal) => self.on_refuse(refusal),
            KeepCommand::Allow(refusal) => {
                self.holdings.refusals.retain(|known| *known != refusal);
                self.changed = true;
            }
            KeepCommand::Restore { saved, here } => self.on_restore(now, *saved, &here),
            KeepCommand::Proof { id, proof } => self.on_own_proof(now, id, proof),
        }
        self.settle(now, places);
    }

    /// Does what is due. An early or spurious call does nothing.
    pub fn handle_timeout(&mut self, now: Timestamp, places: &dyn Neighbourhood) {
        // A lookup that never ended, then what became due meanwhile.
        for _ in 0..2 {
            self.on_timeout_round(now, places);
        }
        if now >= self.check_at && self.has_to_check() {
            self.check_at = now + self.config.check_interval;
            self.end_over(now);
            self.call_holders(places);
            self.check_wards(now, places);
            self.audit(now, places);
        }
        self.settle(now, places);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next wanted.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let check = self.has_to_check().then_some(self.check_at);
        let tells = !self.holdings.blocks.is_empty()
            || !self.kept.is_empty()
            || !self.orders.releases.is_empty();
        let round = self.round.deadline().filter(|_| tells);
        let changed = self.changed_at.filter(|_| self.changed);
        [check, round, changed].into_iter().flatten().min()
    }

    /// A lookup is over: the node before the key, and those responsible for it, in
    /// order; nothing if it failed.
    pub fn on_located(
        &mut self,
        now: Timestamp,
        id: u64,
        found: Option<(Position, Vec<Contact>)>,
        places: &dyn Neighbourhood,
    ) {
        match self.lookups.remove(&id) {
            Some(Purpose::Round) => self.on_located_round(now, id, found, places),
            Some(Purpose::Reach(node)) => self.on_located_reach(node, found, places),
            None => {}
        }
        self.settle(now, places);
    }

    /// A peer could not be reached, or its link broke.
    pub fn on_unreachable(&mut self, now: Timestamp, peer: PeerId) {
        for (id, ward) in &mut self.wards {
            if ward.lose_contact(peer) {
                self.dirty.insert(*id);
            }
        }
        self.reclaim_from(now, peer);
    }

    /// The nodes next to one of this peer's places have changed.
    pub fn on_neighbourhood(&mut self, now: Timestamp) {
        self.is_moved = true;
        // Looked at soon, and once for many changes.
        let soon = now + self.config.check_interval / 10;
        self.check_at = self.check_at.min(soon);
    }

    /// The next thing to do, oldest first.
    pub fn poll(&mut self) -> Option<KeepOutput> {
        let next = self.outbox.pop_front();
        if next.is_none() && self.outbox.capacity() > 0 {
            self.outbox = VecDeque::new();
        }
        next
    }

    fn has_to_check(&self) -> bool {
        self.is_moved
            || !self.wards.is_empty()
            || !self.holdings.blocks.is_empty()
            || !self.kept.is_empty()
    }

    fn on_message(
        &mut self,
        now: Timestamp,
        from: PeerId,
        message: KeepMessage,
        places: &dyn Neighbourhood,
    ) {
        match message {
            KeepMessage::Claim {
                at,
                returns,
                again,
                addresses,
                lists,
            } => {
                self.calendar.hear(now, from, self.foreign(from, at));
                let at = PeerAddress {
                    peer: from,
                    addresses,
                };
                let claimer = Claimer { at, returns, again };
                self.on_claim(now, &claimer, lists, places);
            }
            KeepMessage::Noted {
                at,
                unknown,
                elsewhere,
                spare,
                mates,
                copies,
            } => {
                self.calendar.hear(now, from, self.foreign(from, at));
                self.on_unknown(now, from, &unknown);
                self.on_elsewhere(now, from, &elsewhere);
                self.on_spare(from, &spare);
                self.on_mates(now, from, mates);
                self.on_copies(now, &copies);
            }
            KeepMessage::Orders(orders) => self.on_orders(now, from, &orders),
            KeepMessage::Offer {
                orders,
                blocks,
                sources,
            } => self.on_offer(now, from, (orders, blocks, sources), places),
            KeepMessage::Answer {
                content,
                taken,
                refused,
            } => self.on_answer(now, from, (content, &taken, &refused)),
            KeepMessage::Dropped(lists) => self.on_dropped(now, from, &lists),
            KeepMessage::Moved(lists) => self.on_elsewhere(now, from, &lists),
            KeepMessage::Release { release, blocks } => {
                self.on_release(now, &release, &blocks, places);
            }
            KeepMessage::Challenge { nonce, block } => self.on_challenge(now, from, nonce, block),
            KeepMessage::Call { after, upto } => self.on_call(now, after, upto),
            KeepMessage::Proof { nonce, proof } => self.on_proof(now, from, nonce, proof),
        }
    }

    /// The clock of a peer, unless that is this one.
    fn foreign(&self, from: PeerId, at: Option<WallTime>) -> Option<WallTime> {
        at.filter(|_| from != self.me)
    }

    fn on_spare(&mut self, from: PeerId, lists: &[BlockList]) {
        for block in message::blocks_of(lists) {
            let holding = self.holdings.blocks.get_mut(&block);
            if let Some(holding) = holding.filter(|holding| holding.warden == Some(from)) {
                holding.spare = true;
            }
        }
    }

    fn on_restore(&mut self, now: Timestamp, saved: KeepSaved, here: &[BlockId]) {
        // Who comes back with nothing has not shown that it keeps.
        self.returns = saved.returns.saturating_add(u8::from(!here.is_empty()));
        let orders = saved.orders.into_iter().take(self.config.contents_max);
        orders.for_each(|order| self.orders.restore(order));
        self.holdings.refusals = saved.refusals;
        self.holdings.refusals.truncate(holding::REFUSALS_MAX);
        for (release, until, blocks) in saved.releases {
            let id = (release.content, release.keeper);
            let announce = (now, 0);
            let known = Remembered {
                release,
                until,
                blocks,
                announce,
            };
            self.orders.releases.insert(id, known);
        }
        let here: BTreeSet<BlockId> = here.iter().copied().collect();
        self.restore_blocks(&saved.blocks, &here);
        for order in saved.kept {
            self.on_keep(now, order, true);
        }
        self.round.due = now + claims::FIRST_ROUND;
        self.changed = true;
    }

    /// Ends what is over by the calendar.
    fn end_over(&mut self, now: Timestamp) {
        self.end_kept(now);
        for content in self.orders.over(now, &self.calendar) {
            self.drop_all(content, DropReason::Expired);
            self.changed = true;
        }
        let used: BTreeSet<ContentId> = {
            let held = self.holdings.blocks.keys().map(|id| id.content);
            let wards = self.wards.keys().map(|id| id.content);
            let expected = self.expected.keys().map(|(_, content)| *content);
            let kept = self.kept.keys().copied();
            held.chain(wards).chain(expected).chain(kept).collect()
        };
        let two = 2 * self.config.answer_max;
        self.expected.retain(|_, since| now - *since < two);
        self.orders
            .clean(now, &self.calendar, |content| used.contains(&content));
    }

    /// After every input: what this node says to itself, and what follows from it.
    fn settle(&mut self, now: Timestamp, places: &dyn Neighbourhood) {
        loop {
            self.tell_new(now);
            if let Some(message) = self.own.pop_front() {
                self.on_message(now, self.me, message, places);
            } else if !self.dirty.is_empty() {
                let dirty = std::mem::take(&mut self.dirty);
                self.recruit_for(now, dirty, places);
            } else {
                break;
            }
        }
        if self.changed && self.changed_at.is_none_or(|at| now >= at) {
            self.changed = false;
            self.changed_at = Some(now + CHANGED_EVERY);
            self.event(KeepEvent::Changed);
        }
    }

    fn locate(&mut self, purpose: Purpose, key: Position) -> u64 {
        let id = self.next_lookup;
        self.next_lookup = id.wrapping_add(1);
        self.lookups.insert(id, purpose);
        self.outbox.push_back(KeepOutput::Locate { id, key });
        id
    }

    fn send(&mut self, to: PeerAddress, message: KeepMessage) {
        if to.peer == self.me {
            self.own.push_back(message);
        } else {
            self.outbox.push_back(KeepOutput::Send { to, message });
        }
    }

    fn event(&mut self, event: KeepEvent) {
        self.outbox.push_back(KeepOutput::Event(event));
    }

    fn jitter(&mut self, most: Duration) -> Duration {
        let micros = u64::try_from(most.as_micros()).unwrap_or(u64::MAX).max(1);
        Duration::from_micros(self.rng.next_u64() % micros)
    }

    /// A peer that has just been heard from.
    fn bare(peer: PeerId) -> PeerAddress {
        PeerAddress {
            peer,
            addresses: Vec::new(),
        }
    }
}
