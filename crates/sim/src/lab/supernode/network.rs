//! Makes the network, lets time pass in it, and peers come and go.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{PeerAddress, Rng, Timestamp, fork_rng};
use gannet_overlay::supernode::{Config, Counters, Machine, Role, Supernode, SupernodeCommand};
use rand_core::Rng as _;

use super::super::library::{Library, calendar};
use super::super::turnover::{Comings, Turnover};
use super::super::{address, below, index};
use super::census::Census;
use super::public::{Peer, Public};
use crate::{LinkModel, World, draw, peer_id, stats};

/// Peers that one who comes back remembers.
const REMEMBERED: usize = 32;
/// From one census to the next, when nothing needs it more often.
pub(super) const TICK: Duration = Duration::from_secs(1);
/// How long roles and links stand still in a network that has settled.
pub(super) const STILL: Duration = Duration::from_secs(30);
/// Links that may come and go in a network that stands still: supernodes
/// replace some now and then.
const STIR_MAX: f64 = 0.005;

/// All peers, and what is known of them outside their cores.
pub(super) struct Network<P: Peer> {
    pub(super) world: World<P, Public>,
    pub(super) census: Census,
    pub(super) comings: Rejoining<P>,
    turnover: Option<Turnover>,
    pub(super) rng: Rng,
}

/// How peers leave and come back.
pub(super) struct Rejoining<P> {
    config: Arc<Config>,
    /// Makes what the world drives of a peer's core.
    wrap: fn(u32, Supernode) -> P,
    /// What those who are away remember.
    remembered: Vec<Vec<PeerAddress>>,
    /// Those who came and went since the census was told.
    came: Vec<(Timestamp, u32, bool)>,
    /// What happened to those that are gone.
    pub(super) counters: Counters,
}

impl<P: Peer> Rejoining<P> {
    fn core(&self, node: u32, rng: Rng) -> P {
        let core = Supernode::new(peer_id(node), Arc::clone(&self.config), rng);
        (self.wrap)(node, core)
    }
}

impl<P: Peer> Comings<P, Public> for Rejoining<P> {
    fn leave(&mut self, world: &mut World<P, Public>, node: u32) {
        let Some(peer) = world.crash(node) else {
            return;
        };
        let core = peer.supernode();
        let mut remembered = core.remembered(world.now());
        remembered.truncate(REMEMBERED);
        self.remembered[index(node)] = remembered;
        add(&mut self.counters, &core.status(world.now()).counters);
        world.app_mut().on_crash(node);
        self.came.push((world.now(), node, false));
    }

    fn come_back(&mut self, world: &mut World<P, Public>, node: u32, rng: Rng) {
        let core = self.core(node, rng);
        world.restart(node, core);
        let remembered = std::mem::take(&mut self.remembered[index(node)]);
        begin(world, node, remembered);
        self.came.push((world.now(), node, true));
    }
}

/// A peer starts: with whom it knows, and what it shares.
fn begin<P: Peer>(world: &mut World<P, Public>, node: u32, told: Vec<PeerAddress>) {
    world.app_mut().on_start(node);
    let calendar = calendar(world.now());
    let published = world.app().people.library.publications(node);
    let machine = machine(node);
    for command in [
        SupernodeCommand::WallTime(calendar),
        SupernodeCommand::Machine(machine),
        SupernodeCommand::Announce {
            addresses: Vec::new(),
            upload_bytes_per_second: Some(u64::from(machine.upload_kib) * 1_024),
        },
        SupernodeCommand::Publish(published),
        SupernodeCommand::Bootstrap(told),
    ] {
        world.command(node, command);
    }
}

/// What a peer's machine is: of four kinds, by its number.
// Guess: as homes are connected, most of them slowly upwards.
fn machine(node: u32) -> Machine {
    let kinds = [(512, 512), (2_048, 1_024), (5_120, 2_048), (12_288, 4_096)];
    let kind = crate::fingerprint::mixed(u64::from(node)) % 4;
    let (upload_kib, memory_mib) = kinds[usize::try_from(kind).unwrap_or(0)];
    Machine {
        upload_kib,
        memory_mib,
    }
}

fn add(sum: &mut Counters, more: &Counters) {
    sum.promotions += more.promotions;
    sum.elections += more.elections;
    sum.demotions += more.demotions;
    sum.knocks += more.knocks;
    sum.knocks_answered += more.knocks_answered;
    sum.refused += more.refused;
    sum.lost += more.lost;
    sum.banned += more.banned;
    sum.leaf_searches += more.leaf_searches;
    sum.dropped += more.dropped;
}

impl<P: Peer> Network<P> {
    /// Nobody is there yet; at most `nodes` will be.
    pub(super) fn new(
        (library, nodes): (Library, u32),
        config: Config,
        (seed, model): (u64, LinkModel),
        wrap: fn(u32, Supernode) -> P,
        rng: Rng,
    ) -> Self {
        Self {
            world: World::new(seed, model, Public::new(library, nodes)),
            census: Census::new(nodes),
            comings: Rejoining {
                config: Arc::new(config),
                wrap,
                remembered: vec![Vec::new(); index(nodes)],
                came: Vec::new(),
                counters: Counters::default(),
            },
            turnover: None,
            rng,
        }
    }

    /// A newcomer; returns its number.
    pub(super) fn add(&mut self, told: Vec<PeerAddress>) -> u32 {
        let node = self.world.nodes();
        let core = self.comings.core(node, fork_rng(&mut self.rng));
        self.world.add(core);
        begin(&mut self.world, node, told);
        self.census.on_start(self.world.now(), node);
        node
    }

    /// Peers that were there before a newcomer, so many or fewer, at random.
    pub(super) fn some_before(&mut self, node: u32, count: u32) -> Vec<PeerAddress> {
        let mut told: Vec<u32> = Vec::new();
        for _ in 0..count.min(node) {
            let other = below(&mut self.rng, node);
            if self.world.core(other).is_some() && !told.contains(&other) {
                told.push(other);
            }
        }
        told.into_iter().map(address).collect()
    }

    /// Pulls the plug.
    pub(super) fn crash(&mut self, node: u32) {
        self.comings.leave(&mut self.world, node);
        self.tell_census();
    }

    /// A peer is back, with what it remembers and whom it is told of.
    pub(super) fn restart(&mut self, node: u32, told: Vec<PeerAddress>) {
        self.comings.remembered[index(node)].extend(told);
        let rng = fork_rng(&mut self.rng);
        self.comings.come_back(&mut self.world, node, rng);
        self.tell_census();
    }

    /// What a peer that is down remembers is lost.
    pub(super) fn forget(&mut self, node: u32) {
        self.comings.remembered[index(node)].clear();
    }

    fn tell_census(&mut self) {
        for (at, node, up) in self.comings.came.drain(..) {
            if up {
                self.census.on_start(at, node);
            } else {
                self.census.on_crash(at, node);
            }
        }
    }

    /// From now on peers come and go.
    pub(super) fn begin_churn(&mut self, churn: &super::Churn) {
        let turnover = Turnover::new(churn, &mut self.world, &mut self.comings, &mut self.rng);
        self.turnover = Some(turnover);
        self.tell_census();
    }

    /// Lets time pass, without a census.
    pub(super) fn run_until(&mut self, until: Timestamp) {
        match &mut self.turnover {
            Some(turnover) => turnover.run_until(&mut self.world, &mut self.comings, until),
            None => self.world.run_until(until),
        }
        self.tell_census();
    }

    /// Lets time pass, with a census each tick and at the end.
    pub(super) fn pass(&mut self, time: Duration) {
        let end = self.world.now() + time;
        while self.world.now() < end {
            self.run_until(end.min(self.world.now() + TICK));
            self.census.take(&self.world);
        }
    }

    /// Waits until everybody has service, and roles and links stand still; tells
    /// how long that took, the time of standing still not counted.
    pub(super) fn settle(&mut self, patience: Duration) -> Option<Duration> {
        let began = self.world.now();
        loop {
            let (roles, links) = (self.world.app().role_changes, self.world.app().links);
            let since = self.world.now();
            let mut still = true;
            while still && self.world.now() - since < STILL {
                if self.world.now() - began > patience + STILL {
                    return None;
                }
                self.pass(TICK);
                still = self.world.app().role_changes == roles && self.census.unserved == 0;
            }
            let now = self.world.app().links;
            let stir = stats::share(now.abs_diff(links), links.max(1));
            if still && stir <= STIR_MAX {
                return Some(since - began);
            }
        }
    }

    /// The supernodes that are up, ascending.
    pub(super) fn supernodes(&self) -> Vec<u32> {
        let is_one = |node: &u32| {
            let peer = self.world.core(*node);
            peer.is_some_and(|peer| peer.supernode().role() == Role::Supernode)
        };
        (0..self.world.nodes()).filter(is_one).collect()
    }

    /// The peers that are up, ascending.
    pub(super) fn up(&self) -> Vec<u32> {
        let is_up = |node: &u32| self.world.core(*node).is_some();
        (0..self.world.nodes()).filter(is_up).collect()
    }

    /// What happened to all peers so far.
    pub(super) fn counters(&self) -> Counters {
        let mut sum = self.comings.counters;
        for node in 0..self.world.nodes() {
            if let Some(peer) = self.world.core(node) {
                add(
                    &mut sum,
                    &peer.supernode().status(self.world.now()).counters,
                );
            }
        }
        sum
    }

    /// Some of a list, at random.
    pub(super) fn some_of(&mut self, mut list: Vec<u32>, count: usize) -> Vec<u32> {
        draw::shuffle(&mut self.rng, &mut list);
        list.truncate(count);
        list
    }

    /// A coin.
    pub(super) fn chance(&mut self) -> bool {
        self.rng.next_u32().is_multiple_of(2)
    }
}
