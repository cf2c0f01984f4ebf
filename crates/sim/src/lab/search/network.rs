//! Makes the network that is searched, and lets its peers come and go.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gannet_base::{PeerAddress, Rng, Timestamp, fork_rng};
use gannet_overlay::flood::{Config, Flood, FloodCommand, SharedTable, Strategy};

use super::crowd::Crowd;
use super::{Churn, Params};
use crate::churn::{Sessions, duration};
use crate::draw;
use crate::topology::{Graph, Topology};
use crate::{Impossible, LinkModel, Mode, World, peer_id};

/// Peers that a newcomer is told of.
const BOOTSTRAP: usize = 4;
/// Peers that one who comes back remembers.
const REMEMBERED: usize = 16;
/// Virtual time that a network has to settle, if it is not given.
// Measured: neighbours are found, and tables sent, within half of it.
const SETTLE: Duration = Duration::from_secs(90);

pub(super) fn config(params: &Params) -> Arc<Config> {
    let ttl = match &params.strategy {
        Strategy::Flood { ttl } => *ttl,
        Strategy::Rings { ttls, .. } => ttls.iter().copied().max().unwrap_or(0),
        Strategy::Dynamic => 0,
    };
    let base = Config::laboratory();
    Arc::new(Config {
        neighbours_target: u16::try_from(params.degree).unwrap_or(u16::MAX),
        ttl_max: base.ttl_max.max(ttl),
        strategy: params.strategy.clone(),
        tables: params.tables,
        revisit: params.revisit,
        reports: params.reports,
        bootstrap_max: REMEMBERED,
        ..base
    })
}

/// The network, settled.
pub(super) fn build(
    params: &Params,
    crowd: Crowd,
    rng: &mut Rng,
) -> Result<World<Flood, Crowd>, Impossible> {
    let mode = if params.is_maintained() {
        Mode::Connected
    } else {
        Mode::Open
    };
    let mut model = LinkModel::new(mode, params.latency.clone());
    model.faults.loss = params.loss;
    let config = config(params);
    let mut world = World::new(params.seed, model, crowd);
    for node in 0..params.nodes {
        world.add(Flood::new(
            peer_id(node),
            Arc::clone(&config),
            fork_rng(rng),
        ));
    }
    match mode {
        Mode::Open => link_as_given(params, &mut world)?,
        Mode::Connected => join(params, &mut world, rng),
    }
    Ok(world)
}

fn graph(params: &Params) -> Result<Graph, Impossible> {
    let (nodes, degree) = (params.nodes, params.degree);
    let topology = if (u64::from(nodes) * u64::from(degree)).is_multiple_of(2) {
        Topology::Regular { nodes, degree }
    } else {
        Topology::Random {
            nodes,
            mean: f64::from(degree),
        }
    };
    topology.build(params.seed, None)
}

fn link_as_given(params: &Params, world: &mut World<Flood, Crowd>) -> Result<(), Impossible> {
    let graph = graph(params)?;
    for node in 0..params.nodes {
        let neighbours = graph.neighbours(node).iter().copied().map(peer_id);
        world.command(node, FloodCommand::Fixed(neighbours.collect()));
    }
    if params.tables {
        for node in 0..params.nodes {
            let table = SharedTable::of_keys(&world.app().library.keys(node));
            for neighbour in graph.neighbours(node) {
                if let Some(core) = world.core_mut(*neighbour) {
                    core.share_table(peer_id(node), table.clone());
                }
            }
        }
    }
    Ok(())
}

fn join(params: &Params, world: &mut World<Flood, Crowd>, rng: &mut Rng) {
    for node in 0..params.nodes {
        let keys = world.app().library.keys(node);
        world.command(node, FloodCommand::Keys(keys));
        // Grown from one: everybody is told of a single peer, which is there
        // first; else of some at random.
        let told: Vec<PeerAddress> = match (params.grow, node) {
            (true, 0) => Vec::new(),
            (true, _) => vec![address(0)],
            (false, _) => {
                let others = (0..BOOTSTRAP).map(|_| below(rng, params.nodes));
                others.filter(|other| *other != node).map(address).collect()
            }
        };
        let at = match params.grow {
            // Guess: a crowd of a thousand in ten seconds.
            true => Timestamp::from_millis(u64::from(node) * 10),
            false => world.now(),
        };
        world.command_at(at, node, FloodCommand::Bootstrap(told));
    }
    let last = match params.grow {
        true => Duration::from_millis(u64::from(params.nodes) * 10),
        false => Duration::ZERO,
    };
    world.run_until(Timestamp::ZERO + last + SETTLE);
}

pub(in crate::lab) fn address(node: u32) -> PeerAddress {
    PeerAddress {
        peer: peer_id(node),
        addresses: Vec::new(),
    }
}

pub(in crate::lab) fn below(rng: &mut Rng, bound: u32) -> u32 {
    let drawn = draw::below(rng, u64::from(bound));
    u32::try_from(drawn).expect("it is below a u32")
}

/// Peers that come and go, from the steady state on.
#[derive(Debug)]
pub(super) struct Turnover {
    churn: Churn,
    config: Arc<Config>,
    /// When each peer comes or goes next.
    next: BTreeSet<(Timestamp, u32)>,
    /// What those who are away remember.
    remembered: Vec<Vec<PeerAddress>>,
    rng: Rng,
}

impl Turnover {
    /// Takes away who is away in the steady state.
    pub(super) fn new(
        params: &Params,
        churn: &Churn,
        world: &mut World<Flood, Crowd>,
        rng: &mut Rng,
    ) -> Self {
        let nodes = usize::try_from(params.nodes).expect("they are in a list");
        let mut turnover = Self {
            churn: churn.clone(),
            config: config(params),
            next: BTreeSet::new(),
            remembered: vec![Vec::new(); nodes],
            rng: fork_rng(rng),
        };
        let (on, off) = (churn.online.mean(), churn.offline.mean());
        for node in 0..params.nodes {
            let away = draw::unit(&mut turnover.rng) * (on + off) >= on;
            let sessions = if away { &churn.offline } else { &churn.online };
            let left = sessions.sample_under_way(&mut turnover.rng).residual;
            turnover.next.insert((world.now() + duration(left), node));
            if away {
                turnover.leave(world, node);
            }
        }
        turnover
    }

    /// Lets everything happen until then.
    pub(super) fn run_until(&mut self, world: &mut World<Flood, Crowd>, until: Timestamp) {
        while let Some((at, node)) = self.next.first().copied().filter(|(at, _)| *at <= until) {
            self.next.pop_first();
            world.run_until(at);
            let is_up = world.core(node).is_some();
            let sessions: &Sessions = if is_up {
                self.leave(world, node);
                &self.churn.offline
            } else {
                self.come_back(world, node);
                &self.churn.online
            };
            let lasts = duration(sessions.sample(&mut self.rng)).max(Duration::from_micros(1));
            self.next.insert((at + lasts, node));
        }
        world.run_until(until);
    }

    /// As by pulling the plug: nobody says goodbye.
    fn leave(&mut self, world: &mut World<Flood, Crowd>, node: u32) {
        if let Some(core) = world.crash(node) {
            let mut remembered = core.remembered();
            remembered.truncate(REMEMBERED);
            self.remembered[usize::try_from(node).expect("a node")] = remembered;
        }
        world.app_mut().on_crash(node);
    }

    fn come_back(&mut self, world: &mut World<Flood, Crowd>, node: u32) {
        let place = usize::try_from(node).expect("a node");
        let config = Arc::clone(&self.config);
        let core = Flood::new(peer_id(node), config, fork_rng(&mut self.rng));
        world.restart(node, core);
        world.app_mut().up[place] = true;
        let keys = world.app().library.keys(node);
        world.command(node, FloodCommand::Keys(keys));
        let remembered = std::mem::take(&mut self.remembered[place]);
        world.command(node, FloodCommand::Bootstrap(remembered));
    }
}
