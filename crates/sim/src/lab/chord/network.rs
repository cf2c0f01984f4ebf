//! A ring in a world, and how it stands with it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use gannet_base::{PeerAddress, Rng, Timestamp, fork_rng, seeded_rng};
use gannet_overlay::dht::ring::rules::Node as _;
use gannet_overlay::dht::{Config, Dht, DhtCommand};

use super::super::below;
use super::crowd::Crowd;
use super::layout::Layout;
use super::oracle::{Member, is_ideal, violations};
use super::still::random_key;
use super::watch::Watch;
use crate::{LinkModel, World, draw, node_of, peer_id};

/// Everybody, and what lies between them.
pub(super) struct Network {
    pub(super) world: World<Dht, Crowd>,
    config: Arc<Config>,
    pub(super) rng: Rng,
    /// When peers came back.
    back: BTreeMap<u32, Timestamp>,
}

impl Network {
    /// Nobody yet.
    pub(super) fn new(seed: u64, model: LinkModel, config: Config) -> Self {
        Self {
            world: World::new(seed, model, Crowd::default()),
            config: Arc::new(config),
            rng: seeded_rng(seed),
            back: BTreeMap::new(),
        }
    }

    /// A ring of so many in their ideal places.
    pub(super) fn settled(seed: u64, model: LinkModel, config: Config, nodes: u32) -> Self {
        let mut network = Self::new(seed, model, config);
        let layout = Layout::new(0..nodes, 1);
        let places = layout.places(0, 1);
        for (node, place) in (0..nodes).zip(places) {
            let place = usize::try_from(place).expect("pointers have 32 bits");
            let settled = layout.settled(place, network.config.ring.successors);
            let rng = fork_rng(&mut network.rng);
            let config = Arc::clone(&network.config);
            let core = Dht::settled(peer_id(node), config, rng, vec![settled]);
            network.world.app_mut().add_peer();
            network.world.app_mut().set_member(node, true);
            network.world.add(core);
        }
        network
    }

    fn fresh(&mut self, node: u32) -> Dht {
        let rng = fork_rng(&mut self.rng);
        Dht::new(peer_id(node), Arc::clone(&self.config), rng)
    }

    /// A peer that is down, and may [start](Self::restart) later.
    pub(super) fn add_down(&mut self) -> u32 {
        let node = self.world.nodes();
        let core = self.fresh(node);
        self.world.app_mut().add_peer();
        self.world.add(core);
        self.world.crash(node);
        node
    }

    /// Somebody new comes, who knows these.
    pub(super) fn join(&mut self, known: Vec<PeerAddress>) -> u32 {
        let node = self.world.nodes();
        let core = self.fresh(node);
        self.world.app_mut().add_peer();
        self.world.add(core);
        self.world.command(node, DhtCommand::Bootstrap(known));
        node
    }

    /// One that is down comes back, as new but for whom it knows.
    pub(super) fn restart(&mut self, node: u32, known: Vec<PeerAddress>) {
        self.crash(node);
        let core = self.fresh(node);
        self.back.insert(node, self.world.now());
        self.world.restart(node, core);
        self.world.command(node, DhtCommand::Bootstrap(known));
    }

    /// As by pulling the plug.
    pub(super) fn crash(&mut self, node: u32) -> Option<Dht> {
        let core = self.world.crash(node)?;
        let now = self.world.now();
        self.world.app_mut().on_crash(now, node);
        Some(core)
    }

    /// A random member.
    pub(super) fn somebody(&mut self) -> Option<u32> {
        let count = self.world.app().count();
        let place = draw::place(&mut self.rng, count.max(1));
        self.world.app().members().nth(place)
    }

    /// A peer looks for a random key.
    pub(super) fn lookup(&mut self, node: u32) {
        let key = random_key(&mut self.rng);
        let now = self.world.now();
        let command = self.world.app_mut().begin(now, node, key);
        self.world.command(node, command);
    }

    /// Time passes until then.
    pub(super) fn until(&mut self, at: Timestamp) {
        self.world.run_until(at);
    }

    /// A random number of peers.
    pub(super) fn below(&mut self, bound: u32) -> u32 {
        below(&mut self.rng, bound)
    }

    /// From now on what must hold is looked at after every event.
    pub(super) fn watch(&mut self) {
        let mut watch = Watch::new(self.r() + 1);
        for node in 0..self.world.nodes() {
            if let Some(core) = self.world.core(node) {
                watch.read(node, &core.rings()[0]);
            }
        }
        self.world.app_mut().watch = Some(watch);
    }

    /// How the members see the ring, in order: those of them that are on one.
    pub(super) fn snapshot(&self, of: impl Fn(u32) -> bool) -> Vec<Member> {
        let members = self.world.app().members().filter(|node| of(*node));
        let cores = members.filter_map(|node| self.world.core(node));
        let rings = cores.map(|core| &core.rings()[0]);
        rings
            .filter(|ring| ring.is_on_ring())
            .map(|ring| {
                let pointers = ring.pointers();
                Member {
                    at: ring.me().position,
                    successors: pointers.successors.iter().map(|n| n.position()).collect(),
                    predecessor: Some(pointers.predecessor.position()),
                }
            })
            .collect()
    }

    /// Whether this peer came back within `time`.
    pub(super) fn is_back_since(&self, node: u32, time: Duration) -> bool {
        let back = self.back.get(&node);
        back.is_some_and(|at| self.world.now() - *at <= time)
    }

    /// r.
    pub(super) fn r(&self) -> usize {
        self.config.ring.successors
    }

    /// What is not as it should be, for whoever has to find out why.
    pub(super) fn flaws(&self) -> String {
        let members = self.snapshot(|_| true);
        let count = members.len();
        let broken = violations(&members, self.r() + 1);
        let broken: Vec<String> = broken.iter().map(ToString::to_string).collect();
        let mut lists = Vec::new();
        let mut predecessors = Vec::new();
        for (place, member) in members.iter().enumerate() {
            let listed = self.r().min(count - 1);
            let after = (1..=listed).map(|step| members[(place + step) % count].at);
            if !member.successors.iter().take(listed).copied().eq(after) {
                lists.push(member.at);
            }
            if member.predecessor != Some(members[(place + count - 1) % count].at) {
                predecessors.push(member.at);
            }
        }
        let alone: Vec<u32> = (0..self.world.nodes())
            .filter(|node| {
                let core = self.world.core(*node);
                core.is_some_and(|core| !core.rings()[0].is_on_ring())
            })
            .collect();
        format!(
            "lists of {} nodes and predecessors of {} are not, of {count} on a ring with lists of \
             {}; peers {alone:?} are on none; what does not hold: {broken:?}; first of the lists: \
             {:?}, of the predecessors: {:?}",
            lists.len(),
            predecessors.len(),
            self.r(),
            lists.first(),
            predecessors.first(),
        )
    }

    /// Whether all members of a side are on one ring as it should be. Where they are
    /// too few for one, whether everybody knows everybody.
    pub(super) fn is_ideal(&self, of: impl Fn(u32) -> bool) -> bool {
        let nodes: Vec<u32> = self
            .world
            .app()
            .members()
            .filter(|node| of(*node))
            .collect();
        if nodes.len() <= self.r() {
            let cores = nodes.iter().filter_map(|node| self.world.core(*node));
            let mut rings = cores.map(|core| &core.rings()[0]);
            return rings.all(|ring| {
                let known: Vec<u32> = ring.successors().filter_map(|n| node_of(n.peer)).collect();
                let is_known =
                    |node: &u32| known.contains(node) || peer_id(*node) == ring.me().peer;
                known.len() + 1 == nodes.len() && nodes.iter().all(is_known)
            });
        }
        let members = self.snapshot(of);
        members.len() == nodes.len() && is_ideal(&members, self.r())
    }
}
