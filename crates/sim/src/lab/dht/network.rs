//! A ring with everything published on it, and how its peers come and go.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{PeerAddress, Rng, fork_rng};
use gannet_overlay::dht::{Config, Dht, DhtCommand, ring, store};

use super::super::chord::layout::Layout;
use super::super::index;
use super::super::library::{Library, calendar};
use super::super::search::Params;
use super::super::search::report::Listed;
use super::super::turnover::{Comings, Turnover};
use super::crowd::Crowd;
use crate::{LinkModel, Mode, World, draw, peer_id, stats};

/// Time in which everybody comes to publish.
// Guess: lists that grow are in parts within some looks at them.
const COMING: Duration = Duration::from_secs(300);
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

/// Of how many nodes each finger is one.
fn fingers_among(config: &Config) -> usize {
    match config.ring.fingers {
        ring::FingerChoice::Exact => 1,
        ring::FingerChoice::Among(count) | ring::FingerChoice::Nearest(count) => count.into(),
    }
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
        let places = layout.places(0, virtuals);
        let like = (config.ring.successors, fingers_among(&config));
        for (node, own) in (0..nodes).zip(places.chunks(usize::from(virtuals))) {
            let places = own.iter().copied().map(index);
            let settled = places.map(|place| layout.maintained(place, like, &mut rng));
            let settled = settled.collect();
            let rng = fork_rng(&mut rng);
            let config = Arc::clone(&config);
            world.add(Dht::settled(peer_id(node), config, rng, settled));
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
        network.publish();
        network.wait_for_publications();
        network
    }

    /// Everybody publishes, one after the other: who comes later learns which words
    /// are in parts by then.
    fn publish(&mut self) {
        let nodes = self.world.nodes();
        let mut order: Vec<u32> = (0..nodes).collect();
        draw::shuffle(&mut self.rng, &mut order);
        for node in order {
            begin(&mut self.world, node);
            self.pass(COMING / nodes);
        }
    }

    /// Until all are where they belong and lists are as long as they should be.
    fn wait_for_publications(&mut self) {
        let (mut before, mut quiet) = (None, 0);
        let began = self.world.now();
        while self.world.now() - began < PATIENCE {
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
