//! A ring with everything published on it, and how its peers come and go.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{PeerAddress, Rng, Timestamp, fork_rng};
use gannet_overlay::dht::{Config, Dht, DhtCommand, ring, store};

use super::super::chord::layout::Layout;
use super::super::index;
use super::super::library::{Library, calendar};
use super::super::search::Params;
use super::super::search::report::Listed;
use super::super::turnover::{Comings, Turnover};
use super::crowd::Crowd;
use crate::{LinkModel, Mode, World, peer_id, stats};

/// From one look at whether everything is published to the next.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// Looks in a row at which nothing has changed: who has a list that is split looks at
/// its parts every two minutes.
const QUIET_LOOKS: u32 = 18;
/// Longest wait for that.
// Guess: refusals are tried again with pauses that double to ten minutes.
const PATIENCE: Duration = Duration::from_secs(1_800);
/// Peers that one who comes back remembers.
const REMEMBERED: usize = 32;

/// All peers, and what is known of them outside their cores.
pub(super) struct Network {
    pub(super) world: World<Dht, Crowd>,
    comings: Rejoining,
    turnover: Option<Turnover>,
    pub(super) rng: Rng,
}

/// How peers leave and come back.
struct Rejoining {
    config: Arc<Config>,
    /// What those who are away remember.
    remembered: Vec<Vec<PeerAddress>>,
}

impl Comings<Dht, Crowd> for Rejoining {
    fn leave(&mut self, world: &mut World<Dht, Crowd>, node: u32) {
        if let Some(core) = world.crash(node) {
            let mut remembered = core.remembered();
            remembered.truncate(REMEMBERED);
            self.remembered[index(node)] = remembered;
        }
        world.app_mut().people.on_crash(node);
    }

    fn come_back(&mut self, world: &mut World<Dht, Crowd>, node: u32, rng: Rng) {
        let core = Dht::new(peer_id(node), Arc::clone(&self.config), rng);
        world.restart(node, core);
        world.app_mut().people.up[index(node)] = true;
        let remembered = std::mem::take(&mut self.remembered[index(node)]);
        world.command(node, DhtCommand::Bootstrap(remembered));
        begin(world, node);
    }
}

/// A peer publishes what it shares.
fn begin(world: &mut World<Dht, Crowd>, node: u32) {
    let now = calendar(world.now());
    let published = world.app().people.library.publications(node);
    world.command(node, DhtCommand::WallTime(now));
    world.command(node, DhtCommand::Publish(published));
}

/// Successors that a node lists.
pub(super) fn successors() -> usize {
    ring::Config::default().successors
}

fn config(params: &Params) -> Config {
    let default = store::Config::default();
    Config {
        virtual_nodes: params.virtual_nodes,
        ring: ring::Config {
            is_maintained: params.churn.is_some(),
            ..ring::Config::default()
        },
        store: Arc::new(store::Config {
            // The library signs nothing.
            checks_signatures: false,
            list_max: params.list_max.unwrap_or(default.list_max),
            ..default
        }),
        ..Config::default()
    }
}

impl Network {
    /// Everybody in its place, and everything published.
    pub(super) fn settled(params: &Params, library: Library, mut rng: Rng) -> Self {
        let nodes = params.nodes;
        let mut model = LinkModel::new(Mode::Connected, params.latency.clone());
        model.faults.loss = params.loss;
        let mut world = World::new(params.seed, model, Crowd::new(library, nodes));
        let config = Arc::new(config(params));
        let virtuals = config.virtual_nodes.max(1);
        let layout = Layout::new(0..nodes, virtuals);
        let successors = config.ring.successors;
        let place = |place: &u32| layout.settled_after(index(*place), successors);
        let places = layout.places(0, virtuals);
        for (node, own) in (0..nodes).zip(places.chunks(usize::from(virtuals))) {
            let settled = own.iter().map(place).collect();
            let rng = fork_rng(&mut rng);
            let config = Arc::clone(&config);
            world.add(Dht::settled(peer_id(node), config, rng, settled));
        }
        for node in 0..nodes {
            begin(&mut world, node);
        }
        let mut network = Self {
            world,
            comings: Rejoining {
                config,
                remembered: vec![Vec::new(); index(nodes)],
            },
            turnover: None,
            rng,
        };
        network.wait_for_publications();
        network
    }

    /// Until all are where they belong and lists are as long as they should be.
    fn wait_for_publications(&mut self) {
        let (mut before, mut quiet) = (None, 0);
        while self.world.now() - Timestamp::ZERO < PATIENCE {
            self.pass(LOOK_EVERY);
            let (mut pending, mut changes) = (0, 0);
            for core in (0..self.world.nodes()).filter_map(|node| self.world.core(node)) {
                let store = core.status().store;
                pending += store.keys_pending;
                changes += store.counters.taken + store.counters.splits + store.counters.folds;
            }
            if pending == 0 && quiet >= QUIET_LOOKS {
                return;
            }
            quiet = if before == Some(changes) {
                quiet + 1
            } else {
                0
            };
            before = Some(changes);
        }
    }

    /// From now on peers come and go.
    pub(super) fn begin_churn(&mut self, churn: &super::super::search::Churn) {
        let turnover = Turnover::new(churn, &mut self.world, &mut self.comings, &mut self.rng);
        self.turnover = Some(turnover);
    }

    /// Lets time pass.
    pub(super) fn pass(&mut self, time: Duration) {
        let until = self.world.now() + time;
        match &mut self.turnover {
            Some(turnover) => turnover.run_until(&mut self.world, &mut self.comings, until),
            None => self.world.run_until(until),
        }
    }

    /// Who lists what, and was asked how often.
    pub(super) fn listed(&self) -> Listed {
        let of = |node| {
            self.world
                .core(node)
                .map(|core| core.status().store.postings)
        };
        let held = (0..self.world.nodes()).map(|node| of(node).unwrap_or(0));
        Listed {
            served: self.world.app().lists_served.clone(),
            held: held
                .map(|count| u32::try_from(count).unwrap_or(u32::MAX))
                .collect(),
        }
    }

    /// Links of a peer that is up, on average.
    pub(super) fn links_mean(&self) -> f64 {
        let cores = (0..self.world.nodes()).filter_map(|node| self.world.core(node));
        let (mut count, mut links) = (0, 0);
        for core in cores {
            count += 1;
            links += core.status().links as u64;
        }
        stats::share(links, count)
    }
}
