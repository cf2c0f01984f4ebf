//! Finding by assignment: each key belongs to a node, and a handful of hops lead
//! there.
//!
//! **Problem.** Asking around costs more the larger the network is; a directory
//! costs trust.
//!
//! **Goals.** Consistent hashing assigns every key to nodes that nobody chose; a
//! lookup costs some hops whatever the size of the network; nothing is lost or
//! wrong while peers come, go, lie, or are cut off from each other.
//!
//! **Non-goals.** Transfers; trust in answers: whether a publication is its
//! holder's is for the layer above to verify as well.
//!
//! **Invariant.** Routing knows nothing of what is stored: another geometry can be
//! put under the same store.
//!
//! # What it is made of
//!
//! [`ring`] is the routing. Parts emit what they want done; this core dials, queues
//! and dispatches.

mod api;
mod config;
#[doc(hidden)]
pub mod fuzz;
pub mod keep;
mod keeping;
mod links;
mod message;
mod parts;
mod position;
pub mod ring;
mod status;
pub mod store;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod world;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;
use std::sync::Arc;

use gannet_base::{Core, Link, Output, PeerAddress, PeerId, Rng, Timestamp, WallTime, fork_rng};
use rand_core::Rng as _;

use links::{Links, Posted};
use parts::Asker;
use ring::{CLIENT, Contact, Ring, RingMessage, RingOutput};
use store::{Around, Store, StoreMessage};

pub use api::{DhtCommand, DhtEvent, DhtOutcome, Ending, Located, LookupCost, RequestId};
pub use config::Config;
pub use message::DhtMessage;
pub use parts::PartOutput;
pub use position::Position;
pub use ring::{Found, Settled};
pub use status::DhtStatus;

/// Most virtual nodes of one peer.
const VIRTUAL_NODES_MAX: u8 = 64;

/// A peer of the structured overlay, as a [`Core`].
///
/// * getters: [`rings`](Self::rings), [`is_joined`](Self::is_joined),
///   [`status`](Self::status), [`remembered`](Self::remembered);
/// * inputs: [`handle_message`](Core::handle_message),
///   [`handle_command`](Core::handle_command),
///   [`handle_link`](Core::handle_link), [`handle_timeout`](Core::handle_timeout);
/// * outputs: [`poll_output`](Core::poll_output), [`next_deadline`](Core::next_deadline).
///
/// ```
/// use gannet_base::{Core as _, Output, PeerId, Timestamp, seeded_rng, step};
/// use gannet_overlay::dht::{Config, Dht, DhtCommand, DhtEvent, Position};
///
/// let me = PeerId::from_bytes([1; 32]);
/// let mut peer = Dht::new(me, Config::default(), seeded_rng(7));
/// let outputs = step(&mut peer, |peer| {
///     let (id, key, paths) = (1, Position(42), 1);
///     peer.handle_command(Timestamp::ZERO, DhtCommand::Lookup { id, key, paths });
/// });
/// // It is alone: everything is its own.
/// let [Output::Event(DhtEvent::Located { found: Some(found), .. })] = &outputs[..] else {
///     panic!("{outputs:?}");
/// };
/// assert_eq!(found.owners[0].peer, me);
/// ```
#[derive(Debug)]
pub struct Dht {
    config: Arc<Config>,
    me: PeerId,
    rings: Vec<Ring>,
    links: Links<DhtMessage>,
    calendar: Option<(WallTime, Timestamp)>,
    /// Lookups that the ring was asked for, by its number for them.
    lookups: BTreeMap<u64, (Asker, u64)>,
    next_lookup: u64,
    /// Between virtual nodes of this peer.
    inner: VecDeque<RingMessage>,
    store: Store,
    keep: Option<Box<keep::Keep>>,
    /// What the part above draws from.
    keep_seed: u64,
    /// The ring around this peer, as far as is known.
    places: Vec<Around>,
    /// Where this peer believes it can be reached.
    addresses: Vec<SocketAddr>,
    /// Whether the store is to be told of the ring around.
    is_moved: bool,
    is_joined: bool,
    is_begun: bool,
    outbox: VecDeque<Output<DhtMessage, DhtEvent>>,
}

impl Dht {
    /// A peer that knows nobody. `rng` must differ between two starts. Many peers of
    /// one process may share their configuration.
    pub fn new(me: PeerId, config: impl Into<Arc<Config>>, mut rng: Rng) -> Self {
        let config = config.into();
        let count = if config.ring.is_member_wished {
            config.virtual_nodes.clamp(1, VIRTUAL_NODES_MAX)
        } else {
            1
        };
        let rings = (0..count)
            .map(|index| Ring::new(me, index, config.clone(), fork_rng(&mut rng)))
            .collect();
        Self::with_rings(me, config, rings, rng)
    }

    /// A peer whose nodes are in their ideal places, so that a laboratory can lay a
    /// ring of a million at once: one entry for each virtual node, by index.
    pub fn settled(
        me: PeerId,
        config: impl Into<Arc<Config>>,
        mut rng: Rng,
        places: Vec<Settled>,
    ) -> Self {
        let config = config.into();
        let settle = |(index, settled)| {
            Ring::settled(me, index, config.clone(), fork_rng(&mut rng), settled)
        };
        let rings = (0..VIRTUAL_NODES_MAX).zip(places).map(settle).collect();
        let mut dht = Self::with_rings(me, config, rings, rng);
        dht.is_joined = true;
        dht.is_begun = true;
        dht.store.found();
        dht
    }

    fn with_rings(me: PeerId, config: Arc<Config>, rings: Vec<Ring>, mut rng: Rng) -> Self {
        let keep_seed = rng.next_u64();
        let mut store = Store::new(me, config.store.clone(), rng);
        if !config.ring.is_maintained {
            store.keep_still();
        }
        Self {
            me,
            rings,
            links: Links::default(),
            calendar: None,
            lookups: BTreeMap::new(),
            next_lookup: 0,
            inner: VecDeque::new(),
            store,
            keep: None,
            keep_seed,
            places: Vec::new(),
            addresses: Vec::new(),
            is_moved: true,
            is_joined: false,
            is_begun: false,
            outbox: VecDeque::new(),
            config,
        }
    }

    /// The nodes of this peer: at least one.
    pub fn rings(&self) -> &[Ring] {
        &self.rings
    }

    /// Whether it has a place among others.
    pub fn is_joined(&self) -> bool {
        self.is_joined
    }

    /// Whether there is a link to this peer that was of use lately: whoever hangs up
    /// what is not needed must ask.
    pub fn uses_link(&self, now: Timestamp, peer: PeerId) -> bool {
        self.links.is_of_use(now, peer, self.config.link_idle)
    }

    fn event(&mut self, event: DhtEvent) {
        self.outbox.push_back(Output::Event(event));
    }

    /// Sends, dials first if need be.
    fn post(&mut self, now: Timestamp, to: &Contact, message: DhtMessage) {
        let limits = (self.config.link_idle, self.config.dial_queue_max);
        match self.links.post(now, to.peer, message, limits) {
            Posted::Now(message) => {
                let to = to.peer;
                self.outbox.push_back(Output::Send { to, message });
            }
            Posted::Waits => {}
            Posted::Redial => {
                let peer = to.peer;
                self.outbox.push_back(Output::Disconnect { peer });
                self.outbox.push_back(Output::Dial { peer });
            }
            Posted::Dial => {
                if !to.addresses.is_empty() {
                    self.event(DhtEvent::Addresses(to.address()));
                }
                self.outbox.push_back(Output::Dial { peer: to.peer });
                while let Some(peer) = self.links.pop_surplus(self.config.links_max) {
                    self.outbox.push_back(Output::Disconnect { peer });
                }
            }
        }
    }

    /// Asks the ring for a lookup on behalf of a part.
    fn locate(&mut self, now: Timestamp, asker: (Asker, u64), (key, paths): (Position, u8)) {
        self.next_lookup += 1;
        let number = self.next_lookup;
        self.lookups.insert(number, asker);
        // The own node that is nearest before the key saves hops.
        let rings = self.rings.iter_mut();
        let nearest = rings.min_by_key(|ring| ring.me().position.distance_to(key));
        if let Some(ring) = nearest {
            ring.lookup(now, number, key, paths);
        }
    }

    fn forget_lookup(&mut self, asker: (Asker, u64)) {
        let is_it = |known: &(Asker, u64)| *known == asker;
        let number = self.lookups.iter().find(|(_, known)| is_it(known));
        if let Some(number) = number.map(|(number, _)| *number) {
            self.lookups.remove(&number);
            self.rings.iter_mut().for_each(|ring| ring.cancel(number));
        }
    }

    fn on_located(&mut self, now: Timestamp, number: u64, found: Option<Found>, cost: LookupCost) {
        match self.lookups.remove(&number) {
            Some((Asker::Store, id)) => self.store.on_located(now, id, found, cost),
            Some((Asker::Keep, id)) => self.on_keep_located(now, id, found),
            Some((Asker::Caller, id)) => {
                let found = found.map(|found| Located {
                    predecessor: found.predecessor.address(),
                    owners: found.owners.iter().map(Contact::address).collect(),
                    agreeing: found.agreeing,
                });
                self.event(DhtEvent::Located { id, found, cost });
            }
            None => {}
        }
    }

    /// Performs what the parts want done, until they want nothing.
    fn settle(&mut self, now: Timestamp) {
        loop {
            let mut is_done = true;
            for place in 0..self.rings.len() {
                while let Some(output) = self.rings[place].poll() {
                    is_done = false;
                    self.on_ring_output(now, output);
                }
            }
            while let Some(message) = self.inner.pop_front() {
                is_done = false;
                self.on_ring_message(now, self.me, message);
            }
            if std::mem::take(&mut self.is_moved) {
                let nodes: Vec<Around> = self.rings.iter().filter_map(Around::of).collect();
                self.places.clone_from(&nodes);
                self.store.on_neighbourhood(now, nodes);
                if let Some(keep) = &mut self.keep {
                    keep.on_neighbourhood(now);
                }
            }
            while let Some(output) = self.store.poll() {
                is_done = false;
                self.on_store_output(now, output);
            }
            is_done &= !self.settle_keep(now);
            if is_done {
                return;
            }
        }
    }

    fn on_store_output(&mut self, now: Timestamp, output: PartOutput<StoreMessage>) {
        match output {
            PartOutput::Send { to, message } => self.post(now, &to, DhtMessage::Store(message)),
            PartOutput::Reply { to, message } => {
                let to = Contact::new(to, 0);
                self.post(now, &to, DhtMessage::Store(message));
            }
            PartOutput::Locate { id, key, paths } => {
                self.locate(now, (Asker::Store, id), (key, paths));
            }
            PartOutput::Cancel { id } => self.forget_lookup((Asker::Store, id)),
            PartOutput::Event(event) => self.event(event),
        }
    }

    fn on_ring_output(&mut self, now: Timestamp, output: RingOutput) {
        match output {
            RingOutput::Send { to, message } if to.peer == self.me => {
                self.inner.push_back(message);
            }
            RingOutput::Send { to, message } => self.post(now, &to, DhtMessage::Ring(message)),
            RingOutput::Located { id, found, cost } => self.on_located(now, id, found, cost),
            RingOutput::Neighbourhood => self.is_moved = true,
            RingOutput::Joined(_) => {
                let is_joined = self.rings.iter().any(Ring::is_joined);
                if is_joined != self.is_joined {
                    self.is_joined = is_joined;
                    self.event(DhtEvent::Joined(is_joined));
                }
            }
        }
    }

    fn on_ring_message(&mut self, now: Timestamp, from: PeerId, message: RingMessage) {
        let index = if message.to == CLIENT { 0 } else { message.to };
        if let Some(ring) = self.rings.get_mut(usize::from(index)) {
            ring.handle_message(now, from, message);
        }
    }

    fn on_bootstrap(&mut self, now: Timestamp, peers: &[PeerAddress]) {
        let me = self.me;
        for place in 0..self.rings.len() {
            let others = peers.iter().filter(|known| known.peer != me);
            self.rings[place].bootstrap(now, others.cloned().collect());
        }
    }

    /// What every input does first: the own nodes know each other.
    fn begin(&mut self, now: Timestamp) {
        if !std::mem::replace(&mut self.is_begun, true) {
            let first = PeerAddress {
                peer: self.me,
                addresses: Vec::new(),
            };
            for ring in &mut self.rings {
                ring.bootstrap(now, vec![first.clone()]);
            }
        }
    }

    fn on_announce(&mut self, addresses: &[SocketAddr]) {
        self.rings
            .iter_mut()
            .for_each(|ring| ring.announce(addresses));
        self.store.announce(addresses);
        addresses.clone_into(&mut self.addresses);
        if let Some(keep) = &mut self.keep {
            keep.set_addresses(addresses);
        }
    }

    fn on_seen(&mut self, peer: PeerId, addresses: &[SocketAddr]) {
        for ring in &mut self.rings {
            ring.seen(peer, addresses);
        }
        self.store.see(peer, addresses.to_vec());
    }

    fn on_gone(&mut self, now: Timestamp, peer: PeerId) {
        self.links.on_gone(peer);
        for ring in &mut self.rings {
            ring.on_unreachable(now, peer);
        }
        self.store.on_unreachable(now, peer);
    }
}

impl Core for Dht {
    type Message = DhtMessage;
    type Command = DhtCommand;
    type Event = DhtEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: DhtMessage) {
        self.begin(now);
        self.links.on_message(now, from);
        match message {
            DhtMessage::Ring(message) => self.on_ring_message(now, from, message),
            DhtMessage::Store(message) => self.store.handle_message(now, from, message),
            DhtMessage::Keep(message) => self.on_keep_message(now, from, message),
        }
        self.settle(now);
    }

    fn handle_command(&mut self, now: Timestamp, command: DhtCommand) {
        self.begin(now);
        match command {
            DhtCommand::Bootstrap(peers) => self.on_bootstrap(now, &peers),
            DhtCommand::Announce(addresses) => self.on_announce(&addresses),
            DhtCommand::Seen { peer, addresses } => self.on_seen(peer, &addresses),
            DhtCommand::WallTime(time) => {
                self.calendar = Some((time, now));
                self.store.set_wall_time(now, time);
                if let Some(keep) = &mut self.keep {
                    keep.set_wall_time(now, time);
                }
            }
            DhtCommand::Lookup { id, key, paths } => {
                self.locate(now, (Asker::Caller, id), (key, paths));
            }
            DhtCommand::Cancel { id } => {
                self.forget_lookup((Asker::Caller, id));
                self.store.cancel(id);
            }
            DhtCommand::Publish(publications) => self.store.publish(now, publications),
            DhtCommand::Withdraw(entries) => self.store.withdraw(&entries),
            DhtCommand::Search { id, wanted, enough } => {
                self.store.search(now, id, wanted, enough);
            }
            DhtCommand::Forged { via } => self.store.on_forged(now, via),
            DhtCommand::Keep(command) => self.on_keep_command(now, command),
            DhtCommand::Leave => {
                self.store.leave(now);
                self.rings.iter_mut().for_each(|ring| ring.leave(now));
            }
        }
        self.settle(now);
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        self.begin(now);
        match link {
            Link::Up => {
                for message in self.links.on_up(now, peer) {
                    self.outbox.push_back(Output::Send { to: peer, message });
                }
            }
            Link::Down => self.on_gone(now, peer),
            Link::Unreachable => {
                self.on_gone(now, peer);
                // A link that only broke may have been of no use any more.
                if let Some(keep) = &mut self.keep {
                    keep.on_unreachable(now, peer);
                }
            }
        }
        self.settle(now);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.begin(now);
        for ring in &mut self.rings {
            ring.handle_timeout(now);
        }
        self.store.handle_timeout(now);
        self.on_keep_timeout(now);
        while let Some(peer) = self.links.pop_idle(now, self.config.link_idle) {
            self.outbox.push_back(Output::Disconnect { peer });
        }
        self.settle(now);
    }

    fn poll_output(&mut self) -> Option<Output<DhtMessage, DhtEvent>> {
        let next = self.outbox.pop_front();
        if next.is_none() && self.outbox.capacity() > 0 {
            self.outbox = VecDeque::new();
        }
        next
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        if !self.is_begun {
            return Some(Timestamp::ZERO);
        }
        let rings = self.rings.iter().filter_map(Ring::next_deadline);
        let keep = self.keep.as_ref().and_then(|keep| keep.next_deadline());
        let parts = self.store.next_deadline().into_iter().chain(keep);
        rings.chain(self.links.due()).chain(parts).min()
    }
}
