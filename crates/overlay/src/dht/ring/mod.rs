//! Routing: Chord that is correct.
//!
//! **Problem.** A key belongs to the first node at or after it on a circle of
//! 2^128 places; who is that, when nodes come and go all the time, some lie, and
//! nobody knows more than a few?
//!
//! **Goals.** One ordered ring that stays one ([`rules`] says how); lookups of a
//! handful of hops that go round the dead and the lying; rings that were apart
//! merge; a network of any size works, from two peers on.
//!
//! **Non-goals.** What is stored under keys.
//!
//! **Invariant.** A successor is only ever a node that was just heard from, and its
//! list comes with it.
//!
//! # What it is made of
//!
//! The steps of maintenance (`stabilise`), one at a time; who is there while there
//! are at most r nodes (`small`); how a newcomer finds its place (`joining`); rings
//! that were apart (`merging`); the farther nodes that lookups begin at (`fingers`,
//! `book`, `trail`); the way that this node tells others (`route`) and finds itself
//! (`lookup`, `lookups`).

mod book;
mod config;
mod contact;
mod fingers;
mod joining;
mod lookup;
mod lookups;
mod merging;
mod message;
mod requests;
mod route;
pub mod rules;
mod small;
mod stabilise;
mod status;
mod trail;

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;

use gannet_base::{PeerAddress, PeerId, Rng, Timestamp};
use rand_core::Rng as _;

use super::Config as DhtConfig;
use super::api::LookupCost;
use super::position::Position;
use book::{Gone, Passive};
use fingers::Fingers;
use joining::Joining;
use lookup::Lookup;
use lookups::Waiting;
use requests::{Reason, Request, Requests};
use rules::Pointers;
use small::Small;
use stabilise::{Operation, Question};
use trail::Led;

pub use config::{Config, FingerChoice};
pub use contact::{CLIENT, Contact, Entry};
pub use message::{
    CLOSER_MAX, Card, MEMBERS_MAX, Members, RingBody, RingMessage, SUCCESSORS_MAX, State, Step,
};
pub use route::Suspicion;
pub use status::{Counters, RingStatus, Standing};

/// What the ring wants done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RingOutput {
    /// Send this, dialling if need be.
    Send {
        /// To whom, and where it is.
        to: Contact,
        /// What.
        message: RingMessage,
    },
    /// A lookup is over.
    Located {
        /// The caller's number.
        id: u64,
        /// Where it led; nothing if it failed.
        found: Option<Found>,
        /// What it cost.
        cost: LookupCost,
    },
    /// The predecessor or the successors changed.
    Neighbourhood,
    /// This node has a place among others, or has none any more.
    Joined(bool),
}

/// Where a lookup led.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The last node before the key, of those that answered.
    pub predecessor: Contact,
    /// No node is known behind this, and before the key: the predecessor, or one that
    /// was told of and did not answer, or was not believed.
    pub from: Position,
    /// The nodes at or after it, in order; at least one, at most r. The first one is
    /// responsible.
    pub owners: Vec<Contact>,
    /// How many ways led to the same first owner.
    pub agreeing: u8,
}

/// The ideal pointers of a node, for laboratories that lay a whole ring at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settled {
    /// The node before it.
    pub predecessor: Contact,
    /// Where the nodes before it are, nearest first; as many as it is to know.
    pub before: Vec<Position>,
    /// The nodes after it, in order. Fewer than r: the network is too small for a
    /// ring, and these are all the others.
    pub successors: Vec<Contact>,
    /// For some i: the first node at or after me + 2^i. In ascending order; where
    /// several i have the same node the first suffices.
    pub fingers: Vec<(u8, Contact)>,
}

/// How a node takes part.
#[derive(Debug)]
enum Mode {
    /// It uses the ring, and has no place on it.
    Client,
    /// There are at most r others: everybody knows everybody.
    Small(Box<Small>),
    /// On a ring.
    Ring,
    /// It said goodbye.
    Left,
}

/// When things are due; [`Timestamp::MAX`] for never.
#[derive(Debug)]
struct Timers {
    stabilise: Timestamp,
    finger: Timestamp,
    merge: Timestamp,
    greet: Timestamp,
}

/// A node of the ring. See the [module](self) for what it does, and
/// [`Dht`](super::Dht) for who drives it.
#[derive(Debug)]
pub struct Ring {
    config: Arc<DhtConfig>,
    rng: Rng,
    mode: Mode,
    pointers: Pointers<Entry>,
    me: Contact,
    /// The nodes before this one, nearest first, as the predecessor tells.
    predecessors: Vec<Position>,
    fingers: Fingers,
    book: Vec<Contact>,
    /// The oldest first.
    trail: Vec<Led>,
    /// Named by the user, or remembered.
    seeds: Vec<Contact>,
    passive: Vec<Passive>,
    /// Known to be dead or unresponsive.
    gone: Vec<Gone>,
    requests: Requests,
    lookups: Vec<Lookup>,
    waiting: VecDeque<Waiting>,
    next_lookup: u32,
    operation: Option<Box<Operation>>,
    questions: Vec<Question>,
    was_rectified: bool,
    doubts: u8,
    hinted_at: Timestamp,
    /// When it came to its place on the ring.
    ring_since: Timestamp,
    joining: Option<Box<Joining>>,
    timers: Timers,
    is_joined: bool,
    /// The pointers may have changed.
    is_touched: bool,
    counters: Counters,
    outbox: VecDeque<RingOutput>,
}

impl Ring {
    /// A node that knows nobody: a network of its own.
    pub fn new(me: PeerId, index: u8, config: Arc<DhtConfig>, rng: Rng) -> Self {
        let me = Contact::new(me, index);
        let r = config.ring.successors.clamp(1, SUCCESSORS_MAX);
        let mode = if config.ring.is_member_wished {
            Mode::Small(Box::default())
        } else {
            Mode::Client
        };
        let pointers = Pointers::ideal(&[Entry::Node(me.clone())], 0, r);
        Self {
            rng,
            mode,
            pointers,
            me,
            predecessors: Vec::new(),
            fingers: Fingers::default(),
            book: Vec::new(),
            trail: Vec::new(),
            seeds: Vec::new(),
            passive: Vec::new(),
            gone: Vec::new(),
            requests: Requests::default(),
            lookups: Vec::new(),
            waiting: VecDeque::new(),
            next_lookup: 0,
            operation: None,
            questions: Vec::new(),
            was_rectified: false,
            doubts: 0,
            hinted_at: Timestamp::ZERO,
            ring_since: Timestamp::ZERO,
            joining: None,
            timers: Timers {
                stabilise: Timestamp::MAX,
                finger: Timestamp::MAX,
                merge: Timestamp::MAX,
                greet: Timestamp::MAX,
            },
            is_joined: false,
            is_touched: false,
            counters: Counters::default(),
            outbox: VecDeque::new(),
            config,
        }
    }

    /// A node in its ideal place.
    pub fn settled(
        me: PeerId,
        index: u8,
        config: Arc<DhtConfig>,
        rng: Rng,
        settled: Settled,
    ) -> Self {
        let mut ring = Self::new(me, index, config, rng);
        let r = ring.replicas();
        if settled.successors.len() < r {
            let everybody = settled.successors;
            ring.settle_small(everybody);
        } else {
            let nodes = settled.successors.into_iter().take(r);
            ring.pointers.successors = nodes.map(Entry::Node).collect();
            ring.pointers.predecessor = Entry::Node(settled.predecessor);
            ring.predecessors = settled.before;
            ring.mode = Mode::Ring;
            ring.fingers = Fingers::settled(settled.fingers);
        }
        ring.is_joined = true;
        ring.start_timers(Timestamp::ZERO);
        ring
    }

    /// The node itself.
    pub fn me(&self) -> &Contact {
        &self.me
    }

    /// The node before it, if it knows of one.
    pub fn predecessor(&self) -> Option<&Contact> {
        self.pointers
            .predecessor
            .node()
            .filter(|node| **node != self.me)
    }

    /// Where the nodes before it are, nearest first; at most r. The first may not be
    /// the predecessor of this very moment yet.
    pub fn predecessors(&self) -> &[Position] {
        &self.predecessors
    }

    /// The nodes after it that it knows, nearest first; at most r.
    pub fn successors(&self) -> impl Iterator<Item = &Contact> {
        self.pointers.successors.iter().filter_map(Entry::node)
    }

    /// Its shortcuts across the ring.
    pub fn fingers(&self) -> impl Iterator<Item = &Contact> {
        self.fingers.contacts()
    }

    /// What the proof is about; for checking.
    pub fn pointers(&self) -> &Pointers<Entry> {
        &self.pointers
    }

    /// Whether it has a place, be it alone.
    pub fn is_member(&self) -> bool {
        matches!(self.mode, Mode::Small(_) | Mode::Ring)
    }

    /// Whether it has a place among others.
    pub fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// Whether it is on a ring, and not in a network too small for one.
    pub fn is_on_ring(&self) -> bool {
        matches!(self.mode, Mode::Ring)
    }

    /// r.
    pub fn replicas(&self) -> usize {
        self.pointers.successors.len()
    }

    /// Whether it is responsible for `key`, as far as it knows.
    pub fn owns(&self, key: Position) -> bool {
        self.is_member()
            && self
                .me
                .position
                .owns(rules::Node::position(&self.pointers.predecessor), key)
    }

    /// Whether it is one of the `copies` nodes from the one responsible for `key` on,
    /// as far as it knows the nodes before it.
    pub fn holds(&self, key: Position, copies: usize) -> bool {
        if self.owns(key) {
            return copies > 0;
        }
        let far = copies.min(self.predecessors.len());
        let bound = match copies.checked_sub(1).and(self.predecessors.get(copies - 1)) {
            Some(bound) => *bound,
            // Fewer nodes than copies: everybody holds everything.
            None if self.is_small() => return self.is_member() && copies > 0,
            None if far > 0 => self.predecessors[far - 1],
            None => return false,
        };
        self.is_member() && self.me.position.owns(bound, key)
    }

    /// How many nodes there are, judged by how dense they are around here.
    pub fn size_estimate(&self) -> u64 {
        if let Mode::Small(small) = &self.mode {
            return u64::try_from(small.len())
                .unwrap_or(u64::MAX)
                .saturating_add(1);
        }
        self.spacing().map_or(1, |spacing| {
            u64::try_from(u128::MAX / spacing.max(1)).unwrap_or(u64::MAX)
        })
    }

    /// Where this peer can be reached.
    pub fn announce(&mut self, addresses: &[SocketAddr]) {
        self.me.addresses = addresses
            .iter()
            .take(PeerAddress::ADDRESSES_MAX)
            .copied()
            .collect();
        self.pointers.me = Entry::Node(self.me.clone());
    }

    /// What to do next, oldest first.
    pub fn poll(&mut self) -> Option<RingOutput> {
        let next = self.outbox.pop_front();
        if next.is_none() && self.outbox.capacity() > 0 {
            self.outbox = VecDeque::new();
        }
        next
    }

    /// When [`Self::handle_timeout`] is wanted.
    pub fn next_deadline(&self) -> Option<Timestamp> {
        let timers = &self.timers;
        let mut due = timers.stabilise.min(timers.finger);
        due = due.min(timers.merge).min(timers.greet);
        due = due.min(self.requests.due().unwrap_or(Timestamp::MAX));
        for lookup in &self.lookups {
            due = due.min(lookup.started + self.config.ring.lookup_timeout);
            due = due.min(lookup.hedge_at().unwrap_or(Timestamp::MAX));
        }
        (due != Timestamp::MAX).then_some(due)
    }

    /// Does what is due.
    pub fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(request) = self.requests.pop_due(now) {
            self.on_silence(now, request);
        }
        self.on_timeout_lookups(now);
        self.on_timeout_small(now);
        self.on_timeout_stabilise(now);
        self.on_timeout_fingers(now);
        self.on_timeout_merging(now);
        self.settle(now);
    }

    /// A dial failed, or a link broke: what was asked along it is not answered. What
    /// decides about life and death is asked again in its own time, so that a short
    /// outage is one miss and not three.
    pub fn on_unreachable(&mut self, now: Timestamp, peer: PeerId) {
        for request in self.requests.take_to(peer) {
            self.on_silence(now, request);
        }
        self.settle(now);
    }

    fn on_silence(&mut self, now: Timestamp, request: Request) {
        let Request { to, reason, .. } = request;
        match reason {
            Reason::Find(lookup, place) => {
                self.suspect(now, &to);
                self.on_find_failed(now, (lookup, place), true);
            }
            Reason::Look(lookup) => {
                self.suspect(now, &to);
                self.on_look_failed(now, lookup, (&to, true));
            }
            Reason::Operation => self.on_miss(now),
            Reason::Member => self.on_member_miss(now, &to),
            Reason::ProbeFor(peer, index, nonce) => {
                let answers = Some(false);
                self.reply(peer, index, RingBody::Probed { nonce, answers });
            }
            Reason::Join => self.on_join_failed(now),
            Reason::Probe => self.judge(now),
            Reason::Greet => {}
        }
    }

    /// Takes a message.
    pub fn handle_message(&mut self, now: Timestamp, from: PeerId, message: RingMessage) {
        let RingMessage {
            from: index, body, ..
        } = message;
        let sender = (from, index);
        self.is_alive(from, index);
        match body {
            RingBody::Ping { nonce, digest } => self.on_ping(now, sender, (nonce, digest)),
            RingBody::Pong { nonce, digest } => self.on_pong(now, sender, (nonce, digest)),
            RingBody::Ask { nonce } => self.on_ask(now, sender, nonce),
            RingBody::Look { nonce } => self.on_look(sender, nonce),
            RingBody::State { nonce, state } => self.on_state(now, sender, (nonce, *state)),
            RingBody::Busy { nonce } => self.on_busy(now, sender, nonce),
            RingBody::Refused { nonce } => self.on_refused(now, sender, nonce),
            RingBody::Notify(card) => self.on_notify(now, sender, *card),
            RingBody::Hint => self.on_hint(now, sender),
            RingBody::Find { nonce, key, before } => {
                self.on_find(now, sender, nonce, (key, before));
            }
            RingBody::Step { nonce, step } => self.on_step(now, sender, (nonce, *step)),
            RingBody::Join { nonce, addresses } => self.on_join(now, sender, (nonce, &addresses)),
            RingBody::Members(members) => self.on_members(now, sender, *members),
            RingBody::Probe { nonce, node } => self.on_probe(now, sender, (nonce, &node)),
            RingBody::Probed { nonce, answers } => {
                self.on_probed(now, sender, (nonce, answers));
            }
            RingBody::Meet { node } => self.on_meet(now, *node),
            RingBody::Leave { state } => self.on_leave(now, sender, *state),
        }
        self.settle(now);
    }

    /// An answer with a state: whose question it was.
    fn on_state(&mut self, now: Timestamp, sender: (PeerId, u8), (nonce, state): (u32, State)) {
        let Some(request) = self.requests.take(now, nonce, sender) else {
            self.counters.strays += 1;
            return;
        };
        let from = request.to.with_addresses(&state.addresses);
        match request.reason {
            Reason::Operation => self.on_operation_answer(now, from, state),
            Reason::Look(lookup) => self.on_looked(now, lookup, (&from, state)),
            Reason::Join => self.on_joined(now, from, state),
            _ => self.counters.strays += 1,
        }
    }

    fn on_refused(&mut self, now: Timestamp, sender: (PeerId, u8), nonce: u32) {
        let Some(request) = self.requests.take(now, nonce, sender) else {
            self.counters.strays += 1;
            return;
        };
        let to = request.to;
        match request.reason {
            Reason::Find(lookup, place) => self.on_find_failed(now, (lookup, place), false),
            Reason::Look(lookup) => self.on_look_failed(now, lookup, (&to, false)),
            Reason::Operation => self.on_target_dead(now),
            Reason::Join => self.on_join_failed(now),
            _ => {}
        }
        self.forget(&to);
    }

    /// Tells the layer above what changed.
    fn settle(&mut self, now: Timestamp) {
        self.wake(now);
        if std::mem::take(&mut self.is_touched) {
            self.outbox.push_back(RingOutput::Neighbourhood);
        }
        let is_joined = match &self.mode {
            Mode::Small(small) => small.len() > 0,
            Mode::Ring => true,
            Mode::Client | Mode::Left => false,
        };
        if is_joined != self.is_joined {
            self.is_joined = is_joined;
            self.outbox.push_back(RingOutput::Joined(is_joined));
        }
    }

    fn send(&mut self, to: &Contact, body: RingBody) {
        let message = RingMessage {
            from: self.index(),
            to: to.index,
            body,
        };
        let to = to.clone();
        self.outbox.push_back(RingOutput::Send { to, message });
    }

    /// Answers along the link that the question came by.
    fn reply(&mut self, peer: PeerId, index: u8, body: RingBody) {
        let to = Contact {
            position: Position::default(),
            peer,
            index,
            addresses: Box::default(),
        };
        self.send(&to, body);
    }

    /// Asks, and remembers what for.
    fn ask(
        &mut self,
        now: Timestamp,
        to: &Contact,
        reason: Reason,
        body: impl FnOnce(u32) -> RingBody,
    ) -> u32 {
        let timeout = self.config.ring.request_timeout;
        let nonce = self.requests.open(now, to, reason, timeout);
        self.send(to, body(nonce));
        nonce
    }

    /// The index that others answer to.
    fn index(&self) -> u8 {
        if self.is_member() {
            self.me.index
        } else {
            CLIENT
        }
    }

    fn is_small(&self) -> bool {
        matches!(self.mode, Mode::Small(_))
    }

    /// What this node tells of itself.
    fn state(&self) -> State {
        State {
            predecessor: self.predecessor().cloned(),
            successors: self.pointers.successors.clone(),
            addresses: self.me.addresses.to_vec(),
        }
    }

    fn start_timers(&mut self, now: Timestamp) {
        if !self.config.ring.is_maintained {
            return;
        }
        self.timers.stabilise = now + self.stabilise_pause();
        self.timers.finger = now + self.spread(self.config.ring.finger_interval);
        self.timers.merge = now + self.spread(self.config.ring.merge_interval);
    }

    fn stabilise_pause(&mut self) -> std::time::Duration {
        let config = &self.config.ring;
        let (least, most) = (config.stabilise_min, config.stabilise_max);
        least + self.below(most.saturating_sub(least))
    }

    /// Between half and one and a half times this.
    fn spread(&mut self, mean: std::time::Duration) -> std::time::Duration {
        mean / 2 + self.below(mean)
    }

    fn below(&mut self, bound: std::time::Duration) -> std::time::Duration {
        let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
        std::time::Duration::from_micros(self.rng.next_u64() % micros.max(1))
    }

    fn pick(&mut self, count: usize) -> usize {
        let count = u64::try_from(count.max(1)).unwrap_or(u64::MAX);
        usize::try_from(self.rng.next_u64() % count).unwrap_or(0)
    }
}
