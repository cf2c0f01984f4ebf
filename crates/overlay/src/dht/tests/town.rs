//! The town itself: who lives, who reaches whom, and what is on its way.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gannet_base::{pump, seeded_rng};

use super::super::ring::rules::{Node as _, Pointers};
use super::super::ring::{Entry, RingBody, Step};
use super::super::*;

const LATENCY: Duration = Duration::from_millis(10);
/// What it takes until a broken link is noticed.
const NOTICED: Duration = Duration::from_secs(8);
/// What a dial to nobody takes.
const DIAL: Duration = Duration::from_millis(500);

pub(super) fn peer(n: u16) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    PeerId::from_bytes(bytes)
}

pub(super) fn address(n: u16) -> PeerAddress {
    PeerAddress {
        peer: peer(n),
        addresses: Vec::new(),
    }
}

enum Due {
    Message(PeerId, PeerId, DhtMessage),
    Link(PeerId, PeerId, Link),
}

pub(super) struct Town {
    pub(super) now: Timestamp,
    pub(super) peers: BTreeMap<PeerId, Dht>,
    /// Who lies about the way.
    pub(super) liars: BTreeSet<PeerId>,
    pub(super) links: BTreeSet<(PeerId, PeerId)>,
    due: BTreeMap<(Timestamp, u64), Due>,
    pub(super) wakes: BTreeMap<PeerId, Timestamp>,
    pub(super) next: u64,
    pub(super) events: Vec<(PeerId, DhtEvent)>,
    /// Which side of a cut a peer is on; all on one if there is none.
    pub(super) side: BTreeMap<PeerId, u8>,
    pub(super) config: Arc<Config>,
    /// Whether the invariants are to be held against it.
    pub(super) is_checked: bool,
    /// The pointers that were checked last.
    pub(super) checked: BTreeMap<PeerId, Vec<Pointers<Entry>>>,
}

pub(super) fn config(r: usize) -> Config {
    Config {
        ring: ring::Config {
            successors: r,
            ..ring::Config::default()
        },
        ..Config::default()
    }
}

impl Town {
    pub(super) fn new(config: Config) -> Self {
        Self {
            now: Timestamp::from_secs(1),
            peers: BTreeMap::new(),
            liars: BTreeSet::new(),
            links: BTreeSet::new(),
            due: BTreeMap::new(),
            wakes: BTreeMap::new(),
            next: 0,
            events: Vec::new(),
            side: BTreeMap::new(),
            config: Arc::new(config),
            is_checked: false,
            checked: BTreeMap::new(),
        }
    }

    pub(super) fn join(&mut self, n: u16, knows: &[u16]) {
        let core = Dht::new(peer(n), self.config.clone(), seeded_rng(u64::from(n) + 1));
        self.peers.insert(peer(n), core);
        let known = knows.iter().copied().map(address).collect();
        self.command(n, DhtCommand::Bootstrap(known));
    }

    /// So many peers in their ideal places.
    pub(super) fn settled(config: Config, count: u16) -> Self {
        let mut town = Self::new(config);
        let mut nodes: Vec<Contact> = (0..count).map(|n| Contact::new(peer(n), 0)).collect();
        nodes.sort_by_key(|node| node.position);
        let r = town.config.ring.successors;
        let size = nodes.len();
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
            let seed = u64::try_from(town.peers.len()).unwrap();
            let core = Dht::settled(
                node.peer,
                town.config.clone(),
                seeded_rng(seed),
                vec![place],
            );
            town.wakes
                .insert(node.peer, core.next_deadline().unwrap_or(Timestamp::MAX));
            town.peers.insert(node.peer, core);
        }
        town
    }

    pub(super) fn command(&mut self, n: u16, command: DhtCommand) {
        let now = self.now;
        self.peers
            .get_mut(&peer(n))
            .unwrap()
            .handle_command(now, command);
        self.drain(peer(n));
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.next += 1;
        self.due.insert((self.now + after, self.next), due);
    }

    pub(super) fn can_reach(&self, a: PeerId, b: PeerId) -> bool {
        self.peers.contains_key(&b) && self.side.get(&a) == self.side.get(&b)
    }

    pub(super) fn drain(&mut self, id: PeerId) {
        let mut outputs = Vec::new();
        let core = self.peers.get_mut(&id).unwrap();
        pump(core, |output| outputs.push(output));
        self.wakes
            .insert(id, core.next_deadline().unwrap_or(Timestamp::MAX));
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    if self.links.contains(&pair(id, to)) {
                        self.later(LATENCY, Due::Message(id, to, message));
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
    pub(super) fn kill(&mut self, n: u16) {
        self.peers.remove(&peer(n));
        self.wakes.remove(&peer(n));
        let gone = peer(n);
        let is_cut = |(a, b): &(PeerId, PeerId)| *a == gone || *b == gone;
        let cut: Vec<_> = self.links.extract_if(.., is_cut).collect();
        for (a, b) in cut {
            let other = if a == gone { b } else { a };
            self.later(NOTICED, Due::Link(other, gone, Link::Down));
        }
    }

    /// Links across the cut break, and cannot be made.
    pub(super) fn cut(&mut self, side: impl Fn(PeerId) -> u8) {
        self.side = self.peers.keys().map(|id| (*id, side(*id))).collect();
        let is_cut = |(a, b): &(PeerId, PeerId)| self.side.get(a) != self.side.get(b);
        let cut: Vec<_> = self.links.extract_if(.., is_cut).collect();
        for (a, b) in cut {
            self.later(NOTICED, Due::Link(a, b, Link::Down));
            self.later(NOTICED, Due::Link(b, a, Link::Down));
        }
    }

    pub(super) fn mend(&mut self) {
        self.side.clear();
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
    }

    /// Until it is so, or the end. Whether it is so.
    pub(super) fn run_until(&mut self, end: Timestamp, is_so: impl Fn(&Self) -> bool) -> bool {
        loop {
            if is_so(self) {
                return true;
            }
            let message = self.due.first_key_value().map(|(at, _)| at.0);
            let wake = self
                .wakes
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(id, at)| (*at, *id));
            let wake_at = wake.map(|(at, _)| at.max(self.now));
            let next = [message, wake_at].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return is_so(self);
            };
            self.now = next;
            let mut actor = wake.map(|(_, id)| id);
            if message == Some(next) {
                let (_, due) = self.due.pop_first().unwrap();
                actor = self.deliver(due);
            } else if let Some((_, id)) = wake {
                self.peers.get_mut(&id).unwrap().handle_timeout(next);
                self.drain(id);
            }
            if let Some(actor) = actor.filter(|_| self.is_checked) {
                self.check_after(actor);
            }
        }
    }

    /// Who was there to take it.
    fn deliver(&mut self, due: Due) -> Option<PeerId> {
        let now = self.now;
        match due {
            Due::Message(from, to, message) => {
                if !self.can_reach(from, to) || !self.links.contains(&pair(from, to)) {
                    return None;
                }
                if self.liars.contains(&to)
                    && let Some(lie) = lie(to, &message)
                {
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

    pub(super) fn check_after(&mut self, actor: PeerId) {
        let rings = self.peers[&actor].rings().iter();
        let pointers: Vec<_> = rings.map(|ring| ring.pointers().clone()).collect();
        if self.checked.get(&actor) != Some(&pointers) {
            self.checked.insert(actor, pointers);
            self.check();
        }
    }

    /// Everybody who is on a ring, in order.
    pub(super) fn members(&self) -> Vec<&Ring> {
        let rings = self.peers.values().flat_map(|dht| dht.rings());
        let mut members: Vec<&Ring> = rings.filter(|ring| ring.is_on_ring()).collect();
        members.sort_by_key(|ring| ring.me().position);
        members
    }

    /// INV1 and INV2 of the proof.
    pub(super) fn check(&self) {
        let members = self.members();
        let Some(first) = members.first() else {
            return;
        };
        let r = first.replicas();
        let lives = |entry: &Entry| {
            entry.node().is_some_and(|node| {
                self.peers.get(&node.peer).is_some_and(|dht| {
                    let ring = dht.rings().get(usize::from(node.index));
                    ring.is_some_and(Ring::is_on_ring)
                })
            })
        };
        for ring in &members {
            let is_live = ring.pointers().successors.iter().any(lives);
            assert!(is_live, "INV1 at {}: {:?}", self.now, ring.me());
        }
        let is_principal = |node: &&&Ring| {
            let place = node.me().position;
            !members.iter().any(|ring| {
                let pointers = ring.pointers();
                let list = std::iter::once(&pointers.me).chain(&pointers.successors);
                let pairs = list.clone().zip(list.skip(1));
                let mut pairs = pairs.map(|(a, b)| (a.position(), b.position()));
                pairs.any(|(a, b)| place.is_between(a, b))
            })
        };
        let principals = members.iter().filter(is_principal).count();
        assert!(
            principals > r,
            "INV2 at {}: {principals} of {}",
            self.now,
            members.len()
        );
    }

    /// Whether all peers are on one ring, in the ideal state.
    pub(super) fn is_ideal(&self) -> bool {
        let members = self.members();
        let count = members.len();
        let nodes: usize = self.peers.values().map(|dht| dht.rings().len()).sum();
        let is_ideal = |(place, ring): (usize, &&Ring)| {
            let before = members[(place + count - 1) % count].me();
            let after = (1..=ring.replicas()).map(|step| members[(place + step) % count].me());
            ring.predecessor() == Some(before) && ring.successors().eq(after)
        };
        count == nodes && members.iter().enumerate().all(is_ideal)
    }

    /// Who lives that is responsible.
    pub(super) fn owner(&self, key: Position) -> PeerId {
        let rings = self.peers.values().flat_map(|dht| dht.rings());
        let nearest = rings.min_by_key(|ring| key.distance_to(ring.me().position));
        nearest.unwrap().me().peer
    }

    pub(super) fn lookup(
        &mut self,
        n: u16,
        id: u64,
        key: Position,
        paths: u8,
    ) -> (Option<Located>, LookupCost) {
        self.command(n, DhtCommand::Lookup { id, key, paths });
        let end = self.now + Duration::from_secs(60);
        let is_it =
            |event: &DhtEvent| matches!(event, DhtEvent::Located { id: of, .. } if *of == id);
        let over = |town: &Self| {
            town.events
                .iter()
                .any(|(who, event)| *who == peer(n) && is_it(event))
        };
        assert!(self.run_until(end, over), "a lookup ends");
        let place = self
            .events
            .iter()
            .position(|(_, event)| is_it(event))
            .unwrap();
        match self.events.swap_remove(place).1 {
            DhtEvent::Located { found, cost, .. } => (found, cost),
            _ => unreachable!("that is what was looked for"),
        }
    }

    /// So many lookups at random: how many led to who is responsible, and the mean
    /// of hops.
    pub(super) fn lookups(&mut self, count: u64, paths: u8) -> (u64, f64) {
        let askers: Vec<u16> = (0..2_000)
            .filter(|n| self.peers.contains_key(&peer(*n)))
            .collect();
        let askers: Vec<u16> = askers
            .into_iter()
            .filter(|n| !self.liars.contains(&peer(*n)))
            .collect();
        let (mut right, mut hops) = (0, 0);
        for id in 0..count {
            let key = Position::of_word(&format!("word {id}"), 0);
            let asker = askers[usize::try_from(id * 7).unwrap() % askers.len()];
            let (found, cost) = self.lookup(asker, id, key, paths);
            hops += u64::from(cost.hops);
            let owner = found.map(|found| found.owners[0].peer);
            right += u64::from(owner == Some(self.owner(key)));
        }
        (right, hops as f64 / count as f64)
    }
}

pub(super) fn pair(a: PeerId, b: PeerId) -> (PeerId, PeerId) {
    (a.min(b), a.max(b))
}

/// Claims every key.
fn lie(liar: PeerId, message: &DhtMessage) -> Option<DhtMessage> {
    let DhtMessage::Ring(message) = message else {
        return None;
    };
    let RingBody::Find { nonce, .. } = message.body else {
        return None;
    };
    let step = Step {
        closer: Vec::new(),
        owners: vec![Contact::new(liar, 0)],
    };
    Some(DhtMessage::Ring(RingMessage {
        from: message.to,
        to: message.from,
        body: RingBody::Step {
            nonce,
            step: Box::new(step),
        },
    }))
}

impl Town {
    pub(super) fn owner_but(&self, key: Position, but: u16) -> PeerId {
        let members = self.members();
        let others = members.iter().filter(|ring| ring.me().peer != peer(but));
        let nearest = others.min_by_key(|ring| key.distance_to(ring.me().position));
        nearest.unwrap().me().peer
    }
}

pub(super) fn standings(town: &Town) -> Vec<(PeerId, ring::Standing, usize)> {
    let nodes = town.peers.iter().map(|(id, dht)| (*id, dht.status()));
    nodes
        .map(|(id, status)| {
            (
                id,
                status.nodes[0].standing,
                status.nodes[0].successors.len(),
            )
        })
        .collect()
}
