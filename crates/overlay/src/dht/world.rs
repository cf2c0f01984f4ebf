//! Where tests have their peers live: 10 ms between any two if nothing is said, links that break, and what
//! is on its way. What a test looks at beyond that is its own.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::time::Duration;

use gannet_base::wire::WireMessage as _;
use gannet_base::{Core as _, Link, Output, PeerAddress, PeerId, Timestamp, pump, seeded_rng};

use super::ring::Contact;
use super::{Config, Dht, DhtCommand, DhtEvent, DhtMessage, Settled};

const LATENCY: Duration = Duration::from_millis(10);
/// What a dial to nobody takes.
const DIAL: Duration = Duration::from_millis(500);

/// What a liar says in place of an answer to this, if it lies about it.
pub(super) type Lie = Box<dyn Fn(PeerId, &DhtMessage) -> Option<DhtMessage>>;

enum Due {
    Message(PeerId, PeerId, DhtMessage),
    Link(PeerId, PeerId, Link),
}

pub(super) struct World {
    pub(super) now: Timestamp,
    pub(super) peers: BTreeMap<PeerId, Dht>,
    pub(super) events: Vec<(PeerId, DhtEvent)>,
    pub(super) config: Arc<Config>,
    /// What it takes until a broken link is noticed.
    pub(super) noticed: Duration,
    /// Who lies, and how.
    pub(super) liars: BTreeSet<PeerId>,
    pub(super) lies: Option<Lie>,
    /// What the messages of some take beyond what is usual.
    pub(super) slow: BTreeMap<PeerId, Duration>,
    /// Messages taken, by peer, of all parts.
    pub(super) load: BTreeMap<PeerId, u64>,
    links: BTreeSet<(PeerId, PeerId)>,
    /// Which side of a cut a peer is on; all on one if there is none.
    side: BTreeMap<PeerId, u8>,
    due: BTreeMap<(Timestamp, u64), Due>,
    wakes: BTreeMap<PeerId, Timestamp>,
    dues: u64,
}

impl World {
    pub(super) fn new(config: Config) -> Self {
        Self {
            now: Timestamp::from_secs(1),
            peers: BTreeMap::new(),
            events: Vec::new(),
            config: Arc::new(config),
            noticed: LATENCY,
            liars: BTreeSet::new(),
            lies: None,
            slow: BTreeMap::new(),
            load: BTreeMap::new(),
            links: BTreeSet::new(),
            side: BTreeMap::new(),
            due: BTreeMap::new(),
            wakes: BTreeMap::new(),
            dues: 0,
        }
    }

    /// These peers in their ideal places.
    pub(super) fn settled(config: Config, peers: impl Iterator<Item = PeerId>) -> Self {
        let mut world = Self::new(config);
        let mut nodes: Vec<Contact> = peers.map(|peer| Contact::new(peer, 0)).collect();
        nodes.sort_by_key(|node| node.position);
        let (r, size) = (world.config.ring.successors, nodes.len());
        for (place, node) in nodes.iter().enumerate() {
            let after = |step: usize| nodes[(place + step) % size].clone();
            let fingers = (0..128).map(|bit| {
                let start = node.position.plus(1 << bit);
                let first = nodes.partition_point(|node| node.position < start) % size;
                (bit, nodes[first].clone())
            });
            let place = Settled {
                predecessor: after(size - 1),
                before: Vec::new(),
                successors: (1..=r.min(size - 1)).map(after).collect(),
                fingers: fingers.filter(|(_, finger)| finger != node).collect(),
            };
            let rng = seeded_rng(u64::try_from(world.peers.len()).unwrap());
            let core = Dht::settled(node.peer, world.config.clone(), rng, vec![place]);
            world.put(node.peer, core);
        }
        world
    }

    pub(super) fn put(&mut self, id: PeerId, core: Dht) {
        self.wakes
            .insert(id, core.next_deadline().unwrap_or(Timestamp::MAX));
        self.peers.insert(id, core);
    }

    pub(super) fn tell(&mut self, id: PeerId, command: DhtCommand) {
        let core = self.peers.get_mut(&id).unwrap();
        core.handle_command(self.now, command);
        self.drain(id);
    }

    /// A message from nobody in particular.
    pub(super) fn say(&mut self, from: PeerId, to: PeerId, message: DhtMessage) {
        let core = self.peers.get_mut(&to).unwrap();
        core.handle_message(self.now, from, message);
        self.drain(to);
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.dues += 1;
        self.due.insert((self.now + after, self.dues), due);
    }

    fn can_reach(&self, a: PeerId, b: PeerId) -> bool {
        self.peers.contains_key(&b) && self.side.get(&a) == self.side.get(&b)
    }

    fn drain(&mut self, id: PeerId) {
        let mut outputs = Vec::new();
        let core = self.peers.get_mut(&id).unwrap();
        pump(core, |output| outputs.push(output));
        self.wakes
            .insert(id, core.next_deadline().unwrap_or(Timestamp::MAX));
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    message.validate().expect("bounded");
                    if self.links.contains(&pair(id, to)) {
                        let more = self.slow.get(&id).copied().unwrap_or_default();
                        self.later(LATENCY + more, Due::Message(id, to, message));
                    }
                }
                Output::Dial { peer } if self.can_reach(id, peer) => {
                    self.links.insert(pair(id, peer));
                    self.later(LATENCY, Due::Link(peer, id, Link::Up));
                    self.later(LATENCY * 2, Due::Link(id, peer, Link::Up));
                }
                Output::Dial { peer } => self.later(DIAL, Due::Link(id, peer, Link::Unreachable)),
                Output::Disconnect { peer } => {
                    if self.links.remove(&pair(id, peer)) {
                        self.later(LATENCY, Due::Link(peer, id, Link::Down));
                    }
                }
                Output::Event(event) => self.events.push((id, event)),
            }
        }
    }

    /// Dies without a word: its links are noticed only by silence.
    pub(super) fn kill(&mut self, gone: PeerId) {
        self.peers.remove(&gone);
        self.wakes.remove(&gone);
        let is_cut = |(a, b): &(PeerId, PeerId)| *a == gone || *b == gone;
        let cut: Vec<_> = self.links.extract_if(.., is_cut).collect();
        for (a, b) in cut {
            let other = if a == gone { b } else { a };
            self.later(self.noticed, Due::Link(other, gone, Link::Down));
        }
    }

    /// Links across the cut break, and cannot be made.
    pub(super) fn cut(&mut self, side: impl Fn(PeerId) -> u8) {
        self.side = self.peers.keys().map(|id| (*id, side(*id))).collect();
        let is_cut = |(a, b): &(PeerId, PeerId)| self.side.get(a) != self.side.get(b);
        let cut: Vec<_> = self.links.extract_if(.., is_cut).collect();
        for (a, b) in cut {
            self.later(self.noticed, Due::Link(a, b, Link::Down));
            self.later(self.noticed, Due::Link(b, a, Link::Down));
        }
    }

    pub(super) fn mend(&mut self) {
        self.side.clear();
    }

    /// The next thing happens, unless it is later than the end: then it is the end. Whether
    /// something happened, and who took it.
    fn step(&mut self, end: Timestamp) -> Option<Option<PeerId>> {
        let message = self.due.first_key_value().map(|(at, _)| at.0);
        let wakes = self.wakes.iter().map(|(id, at)| (*at, *id));
        let wake = wakes.min_by_key(|(at, _)| *at);
        let wake_at = wake.map(|(at, _)| at.max(self.now));
        let next = [message, wake_at].into_iter().flatten().min();
        let Some(next) = next.filter(|next| *next <= end) else {
            self.now = end;
            return None;
        };
        self.now = next;
        if message == Some(next) {
            let (_, due) = self.due.pop_first().unwrap();
            return Some(self.deliver(due));
        }
        let (_, id) = wake?;
        self.peers.get_mut(&id).unwrap().handle_timeout(next);
        self.drain(id);
        Some(Some(id))
    }

    /// Who was there to take it.
    fn deliver(&mut self, due: Due) -> Option<PeerId> {
        let now = self.now;
        match due {
            Due::Message(from, to, message) => {
                if !self.can_reach(from, to) || !self.links.contains(&pair(from, to)) {
                    return None;
                }
                *self.load.entry(to).or_default() += 1;
                let lies = self.lies.as_ref().filter(|_| self.liars.contains(&to));
                if let Some(lie) = lies.and_then(|lies| lies(to, &message)) {
                    self.later(LATENCY, Due::Message(to, from, lie));
                    return None;
                }
                self.peers.get_mut(&to)?.handle_message(now, from, message);
                self.drain(to);
                Some(to)
            }
            Due::Link(to, other, link) => {
                if link == Link::Down && self.links.contains(&pair(to, other)) {
                    // There is another one by now.
                    return None;
                }
                self.peers.get_mut(&to)?.handle_link(now, other, link);
                self.drain(to);
                Some(to)
            }
        }
    }
}

/// A world, and what the tests of one part have beside it.
pub(super) struct Town<X> {
    world: World,
    pub(super) own: X,
}

/// What tests have beside a world.
pub(super) trait Own: Default {
    /// Something has happened, and this peer took it.
    fn after(_town: &mut Town<Self>, _actor: PeerId) {}
}

impl<X> Deref for Town<X> {
    type Target = World;

    fn deref(&self) -> &World {
        &self.world
    }
}

impl<X> DerefMut for Town<X> {
    fn deref_mut(&mut self) -> &mut World {
        &mut self.world
    }
}

impl<X: Own> Town<X> {
    pub(super) fn of(world: World) -> Self {
        let own = X::default();
        Self { world, own }
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
    }

    /// Until it is so, or the end. Whether it is so.
    pub(super) fn run_until(&mut self, end: Timestamp, is_so: impl Fn(&Self) -> bool) -> bool {
        while !is_so(self) {
            match self.step(end) {
                None => return is_so(self),
                Some(Some(actor)) => X::after(self, actor),
                Some(None) => {}
            }
        }
        true
    }
}

/// A peer's address; there is only one way to anybody here.
pub(super) fn address(peer: PeerId) -> PeerAddress {
    PeerAddress {
        peer,
        addresses: Vec::new(),
    }
}

fn pair(a: PeerId, b: PeerId) -> (PeerId, PeerId) {
    (a.min(b), a.max(b))
}
