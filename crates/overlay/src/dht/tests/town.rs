//! The town itself: a world, and the invariants that are held against it.

use std::collections::BTreeMap;
use std::time::Duration;

use gannet_base::seeded_rng;

use super::super::ring::rules::{Node as _, Pointers};
use super::super::ring::{Entry, RingBody, Step};
use super::super::world::{self, Own, World, address};
use super::super::*;

/// What it takes until a broken link is noticed.
const NOTICED: Duration = Duration::from_secs(8);

pub(super) fn peer(n: u16) -> PeerId {
    let mut bytes = [0; 32];
    bytes[..2].copy_from_slice(&n.to_be_bytes());
    PeerId::from_bytes(bytes)
}

pub(super) type Town = world::Town<Checks>;

#[derive(Default)]
pub(in crate::dht) struct Checks {
    /// Whether the invariants are to be held against it.
    pub(super) is_on: bool,
    /// The pointers that were checked last.
    checked: BTreeMap<PeerId, Vec<Pointers<Entry>>>,
}

impl Own for Checks {
    fn after(town: &mut Town, actor: PeerId) {
        if !town.own.is_on {
            return;
        }
        let rings = town.peers[&actor].rings().iter();
        let pointers: Vec<_> = rings.map(|ring| ring.pointers().clone()).collect();
        if town.own.checked.get(&actor) != Some(&pointers) {
            town.own.checked.insert(actor, pointers);
            town.check();
        }
    }
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
        Self::with_faults(World::new(config))
    }

    /// So many peers in their ideal places.
    pub(super) fn settled(config: Config, count: u16) -> Self {
        Self::with_faults(World::settled(config, (0..count).map(peer)))
    }

    fn with_faults(mut world: World) -> Self {
        world.noticed = NOTICED;
        world.lies = Some(Box::new(lie));
        Self::of(world)
    }

    pub(super) fn join(&mut self, n: u16, knows: &[u16]) {
        let core = Dht::new(peer(n), self.config.clone(), seeded_rng(u64::from(n) + 1));
        self.put(peer(n), core);
        let known = knows.iter().map(|n| address(peer(*n))).collect();
        self.command(n, DhtCommand::Bootstrap(known));
    }

    pub(super) fn command(&mut self, n: u16, command: DhtCommand) {
        self.tell(peer(n), command);
    }

    /// Dies without a word.
    pub(super) fn kill(&mut self, n: u16) {
        World::kill(self, peer(n));
    }

    /// Everybody who is on a ring, in order.
    pub(super) fn members(&self) -> Vec<&Ring> {
        let rings = self.peers.values().flat_map(|dht| dht.rings());
        let mut members: Vec<&Ring> = rings.filter(|ring| ring.is_on_ring()).collect();
        members.sort_by_key(|ring| ring.me().position);
        members
    }

    /// INV1 and INV2 of the proof.
    fn check(&self) {
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

    /// The same without this one.
    pub(super) fn owner_but(&self, key: Position, but: u16) -> PeerId {
        let members = self.members();
        let others = members.iter().filter(|ring| ring.me().peer != peer(but));
        let nearest = others.min_by_key(|ring| key.distance_to(ring.me().position));
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
