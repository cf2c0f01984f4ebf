//! Records under keys: who has a content, and which entries have a word.
//!
//! **Problem.** The ring says which node a key belongs to. Nodes come, go, lie
//! and are unevenly loved: a third of all names may have the same word.
//!
//! **Goals.** What live publishers published is found, by content and by word,
//! by asking one node in the usual case; it survives the death of the nodes that
//! hold it until its publisher would have renewed it; nobody holds or serves
//! more than its share of a common word; nothing unsigned is kept.
//!
//! **Non-goals.** Finding the nodes: that is asked of the ring, or of whatever
//! else knows who is responsible for a key. Ranking across lists.
//!
//! **Invariant.** A record is held only if its holder signed it, it is not over,
//! and it belongs in the list that it is in.
//!
//! # How
//!
//! * A record is the signed publication. It is listed under its content and under
//!   each of its words (`record`, `shelf`), so that the list of any one word
//!   answers a query of many by filtering: what a match is, decides
//!   [`Expression`](gannet_index::Expression), there as everywhere (`answer`).
//! * Publishers walk along the ring, one lookup for all keys that fall to the same
//!   few nodes (`publish`, `errand`), and begin anew after some hours.
//! * The owner of a key passes copies on at once, and says that it has a record when
//!   they have been taken (`receipts`); owner and replicas compare what they have by cheap sums, now and then and when the neighbourhood
//!   changes, and exchange only what differs (`sync`); whether a replica may say that
//!   it has everything, the owner tells it (`copies`, `custody`). What some node holds
//!   that no owner speaks for, it brings to the owner.
//! * A list that gets too long is split by the first bit of the content id, its
//!   halves again, and is whole again when little is left (`shards`). The halves
//!   are under keys of their own. Who asks for a split list, or publishes to it, is
//!   told how deep it is split, remembers that and goes straight to the parts
//!   next time (`hints`); others that store or answer tell of split words that
//!   they see in entries and queries, so that hardly anybody has to ask the node
//!   with the word's own key. Searchers begin with the word that is rarest as far
//!   as they can tell, and choose at random among those that hold copies.
//! * A reader asks two of those that hold copies: one for the entries, the other
//!   for a sum over them. Where they differ, it reads both, and what it tells is
//!   the union, each entry verified (`search`, `words`, `legs`).

mod admit;
mod answer;
mod around;
mod budgets;
mod config;
mod copies;
mod custody;
mod errand;
mod folding;
#[doc(hidden)]
pub mod fuzz;
mod hints;
mod legs;
mod looking;
mod message;
mod own;
mod publish;
mod pushing;
mod receipts;
mod record;
mod requests;
mod search;
mod shards;
mod shelf;
mod status;
mod strays;
mod sync;
#[cfg(test)]
mod tests;
mod words;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use gannet_base::{PeerAddress, PeerId, Rng, Timestamp, WallTime};
use rand_core::Rng as _;

use super::api::LookupCost;
use super::api::{DhtEvent, RequestId};
use super::parts::PartOutput;
use super::position::Position;
use super::ring::Contact;
use super::ring::Found as Led;
pub(crate) use around::Around;
use around::Known;
use budgets::Budgets;
pub use config::Config;
use custody::Custody;
use errand::Errand;
use hints::Hints;
pub use message::{
    Ask, Cursor, Difference, Found, Hint, Item, ListState, Load, Mark, Mode, Refusal, Refused,
    Span, Spot, Standing, StoreMessage, Summary, Summed, Vouch,
};
use own::OwnFiles;
use publish::Publishing;
use receipts::{Copied, Receipts};
pub use record::{Place, Record, RecordId, Shard, Word};
use requests::{Purpose, Requests};
use search::OwnSearch;
use shards::Shards;
use shelf::{Posting, Shelf};
pub use status::{StoreCounters, StoreStatus};
use sync::Syncing;

/// Who waits for the way to a key.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Waiting {
    /// A walk along the ring with own records.
    Publish(Position),
    /// An errand that does not know yet whom to go to.
    Errand(u64),
    /// A search that reads a list.
    Leg(RequestId, Position),
    /// Records here that nobody speaks for.
    Stray(Position),
    /// A look at a part of a list.
    Poll(shards::Look),
}

/// Records under keys: what this peer publishes, holds for others and looks for.
///
/// It is a part of a [`Dht`](super::Dht): the messages that it sends are wrapped,
/// links are dialled and keys are looked up by others.
#[derive(Debug)]
pub(crate) struct Store {
    me: PeerId,
    config: Arc<Config>,
    rng: Rng,
    calendar: Option<(WallTime, Timestamp)>,
    addresses: Vec<SocketAddr>,
    known: Known,
    custody: Custody,
    hints: Hints,
    own: OwnFiles,
    publishing: Publishing,
    shelf: Shelf,
    budgets: Budgets,
    syncing: Syncing,
    shards: Shards,
    waiting: BTreeMap<u64, Waiting>,
    requests: Requests,
    receipts: Receipts,
    errands: BTreeMap<u64, Errand>,
    searches: BTreeMap<RequestId, OwnSearch>,
    /// Peers that answered with forged records, and until when they are avoided.
    liars: BTreeMap<PeerId, Timestamp>,
    sweep_at: Option<Timestamp>,
    next_id: u64,
    counters: StoreCounters,
    outbox: VecDeque<PartOutput<StoreMessage>>,
}

/// Peers remembered as liars.
const LIARS_MAX: usize = 256;
/// How long they are avoided.
const LIAR_FOR: std::time::Duration = std::time::Duration::from_secs(3_600);

impl Store {
    /// A store with nothing in it, of a peer that is on no ring yet.
    pub(crate) fn new(me: PeerId, config: impl Into<Arc<Config>>, mut rng: Rng) -> Self {
        Self {
            me,
            config: config.into(),
            calendar: None,
            addresses: Vec::new(),
            known: Known::default(),
            custody: Custody::default(),
            hints: Hints::default(),
            own: OwnFiles::default(),
            publishing: Publishing::default(),
            shelf: Shelf::default(),
            budgets: Budgets::default(),
            syncing: Syncing::default(),
            shards: Shards::default(),
            waiting: BTreeMap::new(),
            requests: Requests::default(),
            receipts: Receipts::default(),
            errands: BTreeMap::new(),
            searches: BTreeMap::new(),
            liars: BTreeMap::new(),
            sweep_at: None,
            // What answers echo must not be guessed.
            next_id: rng.next_u64() >> 1,
            counters: StoreCounters::default(),
            outbox: VecDeque::new(),
            rng,
        }
    }

    /// Nobody comes or goes: for laboratories without maintenance, nothing is
    /// compared.
    pub(crate) fn keep_still(&mut self) {
        self.known.is_still = true;
    }

    /// The ring begins with everybody in its place, and nothing held.
    pub(crate) fn found(&mut self) {
        self.custody.found();
    }

    /// Takes a message.
    pub(crate) fn handle_message(&mut self, now: Timestamp, from: PeerId, message: StoreMessage) {
        match message {
            StoreMessage::Store {
                request,
                mode,
                load,
            } => self.on_store(now, from, request, (mode, *load)),
            StoreMessage::Search { request, ask } => self.on_ask(now, from, request, &ask),
            StoreMessage::Poll {
                request,
                word,
                shard,
            } => self.on_poll(now, from, request, (&word, shard)),
            StoreMessage::Fold { word, shard } => self.on_fold(now, from, word, shard),
            StoreMessage::Compare {
                request,
                salt,
                spans,
            } => self.on_compare(now, from, request, (salt, spans)),
            StoreMessage::Fetch { request, spots } => self.on_fetch(now, from, request, spots),
            StoreMessage::Agreed { from: start, to } => self.on_agreed(now, from, (start, to)),
            StoreMessage::Lapsed { from: start, to } => self.on_lapsed(from, (start, to)),
            StoreMessage::Brought { from, to } => self.on_brought_here(now, (from, to)),
            answer => self.on_reply(now, from, answer),
        }
    }

    /// Messages that answer an own one.
    fn on_reply(&mut self, now: Timestamp, from: PeerId, message: StoreMessage) {
        let request = match &message {
            StoreMessage::Stored { request, .. }
            | StoreMessage::Answer { request, .. }
            | StoreMessage::Polled { request, .. }
            | StoreMessage::Compared { request, .. }
            | StoreMessage::Fetched { request, .. } => *request,
            _ => return,
        };
        let Some(purpose) = self.requests.take(request, from) else {
            return;
        };
        match (purpose, message) {
            (Purpose::Errand(id), StoreMessage::Stored { refused, hints, .. }) => {
                self.learn_hints(now, hints);
                self.on_stored(now, id, &refused);
            }
            (Purpose::Leg(id, key), StoreMessage::Answer { found, hints, .. }) => {
                self.learn_hints(now, hints);
                self.on_answer(now, from, (id, key), *found);
            }
            (Purpose::Poll(look), StoreMessage::Polled { state, count, .. }) => {
                self.on_polled(now, look, Some(state.map(|state| (state, count))));
            }
            (
                Purpose::Compare(id),
                StoreMessage::Compared {
                    differences,
                    left,
                    standing,
                    ..
                },
            ) => self.on_compared(now, id, (differences, left), standing),
            (Purpose::Fetch(id), StoreMessage::Fetched { load, .. }) => {
                self.on_fetched(now, from, id, *load);
            }
            (Purpose::Copies(receipt), StoreMessage::Stored { refused, .. }) => {
                let taken = Copied::of(&refused);
                self.on_copied(now, receipt, (from, taken));
            }
            (purpose, _) => self.on_no_reply(now, from, purpose),
        }
    }

    fn learn_hints(&mut self, now: Timestamp, hints: Vec<Hint>) {
        for hint in hints {
            self.hints.hear(now, &self.config, hint);
        }
    }

    /// A peer did not answer in time, not as it should, or cannot be reached.
    fn on_no_reply(&mut self, now: Timestamp, peer: PeerId, purpose: Purpose) {
        match purpose {
            Purpose::Errand(id) => self.on_errand_failed(now, id),
            Purpose::Leg(id, key) => self.on_reader_failed(now, (id, key), peer),
            Purpose::Poll(look) => self.on_polled(now, look, None),
            Purpose::Compare(id) | Purpose::Fetch(id) => self.end_session(now, id, false),
            Purpose::Copies(receipt) => self.on_copied(now, receipt, (peer, Copied::Late)),
        }
    }

    /// A link broke, or a peer that was to be dialled cannot be reached.
    pub(crate) fn on_unreachable(&mut self, now: Timestamp, peer: PeerId) {
        self.known.doubt(peer);
        self.budgets.forget(peer);
        for purpose in self.requests.take_all_of(peer) {
            self.on_no_reply(now, peer, purpose);
        }
    }

    /// The ring around this peer changed. `nodes`: the own nodes that are members.
    pub(crate) fn on_neighbourhood(&mut self, now: Timestamp, mut nodes: Vec<Around>) {
        for node in &mut nodes {
            node.before.truncate(self.config.copies);
        }
        if self.known.nodes == nodes {
            return;
        }
        let was_alone = !self.known.has_others();
        let old = std::mem::replace(&mut self.known.nodes, nodes);
        self.tell_lapsed(&old);
        if was_alone && self.known.has_others() {
            self.publish_again(now);
        }
        if self.custody.update(now, &self.config, &self.known.nodes) {
            self.on_change(now);
        }
    }

    /// Whether everything is here that is stored under a key, as far as can be known.
    fn is_sure(&self, now: Timestamp, key: Position) -> bool {
        let is_holder = self.known.is_holder(key, self.config.copies) == Some(true);
        let is_whole = if self.known.is_still {
            is_holder
        } else {
            self.custody.is_sure(now, &self.config, (key, is_holder))
        };
        is_whole && !self.shards.is_gathering(now, key)
    }

    /// Where the way to a key leads.
    pub(crate) fn on_located(
        &mut self,
        now: Timestamp,
        id: u64,
        found: Option<Led>,
        cost: LookupCost,
    ) {
        let Some(waiting) = self.waiting.remove(&id) else {
            return;
        };
        let key = self.waiting_key(&waiting);
        let way = found.and_then(|led| {
            let (from, owners) = (led.from, led.owners);
            // It is fresher than what is remembered.
            let way = key.and_then(|key| around::way(from, &owners, key, self.config.copies));
            self.known.learn(now, &self.config, from, owners);
            way.or_else(|| self.known.way(now, &self.config, key?))
        });
        match waiting {
            Waiting::Publish(position) => self.on_publish_way(now, position, way),
            Waiting::Errand(id) => self.on_errand_way(now, id, way),
            Waiting::Leg(id, key) => self.on_leg_way(now, (id, key), way, cost),
            Waiting::Stray(key) => self.on_stray_way(now, key, way),
            Waiting::Poll(look) => self.on_poll_way(now, look, way),
        }
    }

    fn waiting_key(&self, waiting: &Waiting) -> Option<Position> {
        match waiting {
            Waiting::Publish(key) | Waiting::Leg(_, key) | Waiting::Stray(key) => Some(*key),
            Waiting::Errand(id) => self.errands.get(id).map(|errand| errand.key),
            Waiting::Poll(look) => Some(look.key()),
        }
    }

    /// Asks for the way to a key.
    fn locate(&mut self, key: Position, waiting: Waiting) {
        let id = self.id();
        self.waiting.insert(id, waiting);
        self.counters.lookups += 1;
        self.outbox
            .push_back(PartOutput::Locate { id, key, paths: 1 });
    }

    fn id(&mut self) -> u64 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    /// Sends something that is answered.
    fn request(
        &mut self,
        now: Timestamp,
        to: &Contact,
        purpose: Purpose,
        message: impl FnOnce(u64) -> StoreMessage,
    ) -> u64 {
        let id = self.id();
        let deadline = now + self.config.request_timeout;
        self.requests.insert(id, to.peer, deadline, purpose);
        self.send(to.clone(), message(id));
        id
    }

    fn send(&mut self, to: Contact, message: StoreMessage) {
        self.counters.sent += 1;
        self.outbox.push_back(PartOutput::Send { to, message });
    }

    fn reply(&mut self, to: PeerId, message: StoreMessage) {
        self.counters.sent += 1;
        self.outbox.push_back(PartOutput::Reply { to, message });
    }

    fn event(&mut self, event: DhtEvent) {
        self.outbox.push_back(PartOutput::Event(event));
    }

    /// The calendar's time, if it is known.
    fn wall_time(&self, now: Timestamp) -> Option<WallTime> {
        let (time, told_at) = self.calendar?;
        Some(time.plus_seconds((now - told_at).as_secs()))
    }

    /// Whether a posting is over.
    fn is_over(&self, now: Timestamp, posting: &Posting) -> bool {
        let wall = self.wall_time(now);
        posting.until <= now || wall.is_some_and(|wall| posting.record.publication().expires < wall)
    }

    /// The calendar's time now.
    pub(crate) fn set_wall_time(&mut self, now: Timestamp, time: WallTime) {
        self.calendar = Some((time, now));
    }

    /// Where a peer was seen.
    pub(crate) fn see(&mut self, peer: PeerId, addresses: Vec<SocketAddr>) {
        self.budgets.see(&self.config, peer, addresses);
    }

    /// Where this peer can be reached.
    pub(crate) fn announce(&mut self, addresses: &[SocketAddr]) {
        self.addresses = addresses.to_vec();
        self.addresses.truncate(PeerAddress::ADDRESSES_MAX);
    }

    /// Rows that came through a peer were not signed by their holders.
    pub(crate) fn on_forged(&mut self, now: Timestamp, via: PeerId) {
        self.counters.forged += 1;
        if self.liars.len() >= LIARS_MAX {
            self.liars.pop_first();
        }
        self.liars.insert(via, now + LIAR_FOR);
    }

    fn is_liar(&self, now: Timestamp, peer: PeerId) -> bool {
        self.liars.get(&peer).is_some_and(|until| *until > now)
    }

    /// Does what is due.
    pub(crate) fn handle_timeout(&mut self, now: Timestamp) {
        while let Some((peer, purpose)) = self.requests.pop_late(now) {
            self.counters.timeouts += 1;
            self.known.doubt(peer);
            self.on_no_reply(now, peer, purpose);
        }
        self.on_timeout_receipts(now);
        self.on_timeout_errands(now);
        self.on_timeout_publish(now);
        self.on_timeout_searches(now);
        self.on_timeout_sync(now);
        self.on_timeout_shards(now);
        if self.sweep_at.is_some_and(|at| at <= now) {
            self.sweep(now);
        }
    }

    /// Forgets what is over.
    fn sweep(&mut self, now: Timestamp) {
        let mut shelf = std::mem::take(&mut self.shelf);
        let swept = shelf.sweep(|posting| self.is_over(now, posting));
        self.counters.expired += u64::try_from(swept).unwrap_or(u64::MAX);
        let lease = self.config.lease;
        let idle = |(key, kept): (Position, &shelf::Kept)| {
            let is_idle = now - kept.heard >= lease && shelf.count(key) == 0;
            is_idle.then_some(key)
        };
        let idle: Vec<Position> = shelf.marks().filter_map(idle).collect();
        idle.into_iter().for_each(|key| shelf.drop_mark(key));
        self.shelf = shelf;
        self.sweep_at = None;
        self.expect_sweep(now);
    }

    fn expect_sweep(&mut self, now: Timestamp) {
        if self.sweep_at.is_none() && !self.shelf.is_empty() {
            self.sweep_at = Some(now + self.config.sweep_interval);
        }
    }

    /// When [`handle_timeout`](Self::handle_timeout) is next wanted.
    pub(crate) fn next_deadline(&self) -> Option<Timestamp> {
        let errands = self.errands.values().filter_map(|errand| errand.resume_at);
        [
            self.requests.due(),
            self.receipts.due(),
            errands.min(),
            self.publishing_due(),
            self.searches_due(),
            self.sync_due(),
            self.shards.due(),
            self.sweep_at,
        ]
        .into_iter()
        .flatten()
        .min()
    }

    /// The next thing to do.
    pub(crate) fn poll(&mut self) -> Option<PartOutput<StoreMessage>> {
        let next = self.outbox.pop_front();
        if next.is_none() && self.outbox.capacity() > 0 {
            self.outbox = VecDeque::new();
        }
        next
    }
}
