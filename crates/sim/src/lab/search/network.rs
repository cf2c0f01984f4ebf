//! Makes the network that is searched, and lets its peers come and go.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{PeerAddress, Rng, Timestamp, fork_rng};
use gannet_overlay::flood::{Config, Flood, FloodCommand, SharedTable};

use super::super::turnover::Comings;
use super::super::{address, below, index};
use super::crowd::Crowd;
use super::{Params, ttl};
use crate::topology::{Graph, Topology};
use crate::{Impossible, LinkModel, Mode, World, peer_id, stats};

/// Peers that a newcomer is told of.
const BOOTSTRAP: usize = 4;
/// Peers that one who comes back remembers.
const REMEMBERED: usize = 16;
/// Virtual time that a network has to settle, if it is not given.
// Measured: neighbours are found, and tables sent, within half of it.
const SETTLE: Duration = Duration::from_secs(90);

pub(super) fn config(params: &Params) -> Arc<Config> {
    let base = Config::laboratory();
    Arc::new(Config {
        neighbours_target: u16::try_from(params.degree()).unwrap_or(u16::MAX),
        ttl_max: base.ttl_max.max(ttl(&params.strategy)),
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
    let (nodes, degree) = (params.nodes, params.degree());
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
            let table = SharedTable::of_keys(&world.app().people.library.keys(node));
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
        let keys = world.app().people.library.keys(node);
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

/// Flood peers that come and go.
#[derive(Debug)]
pub(super) struct Rejoining {
    config: Arc<Config>,
    /// What those who are away remember.
    remembered: Vec<Vec<PeerAddress>>,
}

impl Rejoining {
    pub(super) fn new(params: &Params) -> Self {
        Self {
            config: config(params),
            remembered: vec![Vec::new(); index(params.nodes)],
        }
    }
}

impl Comings<Flood, Crowd> for Rejoining {
    fn leave(&mut self, world: &mut World<Flood, Crowd>, node: u32) {
        if let Some(core) = world.crash(node) {
            let mut remembered = core.remembered();
            remembered.truncate(REMEMBERED);
            self.remembered[index(node)] = remembered;
        }
        world.app_mut().people.on_crash(node);
    }

    fn come_back(&mut self, world: &mut World<Flood, Crowd>, node: u32, rng: Rng) {
        let core = Flood::new(peer_id(node), Arc::clone(&self.config), rng);
        world.restart(node, core);
        world.app_mut().people.up[index(node)] = true;
        let keys = world.app().people.library.keys(node);
        world.command(node, FloodCommand::Keys(keys));
        let remembered = std::mem::take(&mut self.remembered[index(node)]);
        world.command(node, FloodCommand::Bootstrap(remembered));
    }
}

/// Neighbours of a peer that is up, on average.
pub(super) fn degree_mean(world: &World<Flood, Crowd>) -> f64 {
    let cores = (0..world.nodes()).filter_map(|node| world.core(node));
    let (mut count, mut links) = (0, 0);
    for core in cores {
        count += 1;
        links += core.status().neighbours.len() as u64;
    }
    stats::share(links, count)
}
