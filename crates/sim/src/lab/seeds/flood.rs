//! Neighbours without an order under faults.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{PeerAddress, Rng, fork_rng, seeded_rng};
use gannet_overlay::flood::{Config, Flood, FloodCommand, Strategy, Wanted};

use super::super::join::{claims, links};
use super::super::search::crowd::Crowd;
use super::super::{address, below};
use super::{FINAL_SEARCHES, HEALING, LATE, Outcome, TROUBLE, Trouble, UnderWay};
use super::{heal, library, missed, model, trouble};
use crate::{World, peer_id};

/// Time that tables have to get to new neighbours.
// Measured: they are there within ten seconds.
const SETTLING: Duration = Duration::from_secs(60);
/// Longest that a search may take, whatever happens.
// Guess: fifteen rounds with silent peers, each of them at most 15 s.
const SEARCH_MAX: Duration = Duration::from_secs(300);

/// A network of a seed.
struct Network {
    world: World<Flood, Crowd>,
    config: Arc<Config>,
    nodes: u32,
    files: u32,
    rng: Rng,
    /// Whom the user of each peer names; together they lead to everybody.
    named: Vec<u32>,
    under_way: UnderWay,
    crashes: u64,
}

/// Runs the network of a seed.
///
/// # Errors
///
/// What went wrong, in words.
pub(super) fn one(seed: u64, outcome: &mut Outcome) -> Result<(), String> {
    let mut network = Network::new(seed);
    let result = network.play(outcome);
    outcome.note_world(&network.world, network.crashes);
    result
}

impl Network {
    /// Size, links, faults and devices are drawn from the seed.
    fn new(seed: u64) -> Self {
        let mut rng = seeded_rng(seed);
        let nodes = 8 + below(&mut rng, 25);
        let library = library(nodes, &mut rng);
        let files = library.files();
        let model = model(&mut rng);
        let strategy = match below(&mut rng, 4) {
            0 => Strategy::Dynamic,
            _ => Strategy::Rings {
                ttls: Vec::new(),
                widen: true,
            },
        };
        let config = Arc::new(Config {
            neighbours_target: u16::try_from(3 + below(&mut rng, 5)).unwrap_or(3),
            strategy,
            tables: below(&mut rng, 4) > 0,
            revisit: true,
            ..Config::laboratory()
        });
        Self {
            world: World::new(seed, model, Crowd::new(library, nodes)),
            config,
            nodes,
            files,
            rng,
            named: Vec::new(),
            under_way: UnderWay::default(),
            crashes: 0,
        }
    }

    fn play(&mut self, outcome: &mut Outcome) -> Result<(), String> {
        for node in 0..self.nodes {
            let core = self.core(node);
            self.world.add(core);
            let named = if node > 0 {
                below(&mut self.rng, node)
            } else {
                1
            };
            self.named.push(named);
            self.greet(node, Vec::new());
        }
        self.wait(Duration::from_secs(30))?;
        let end = self.world.now() + TROUBLE;
        while self.world.now() < end {
            self.trouble();
            let pause = Duration::from_millis(u64::from(below(&mut self.rng, 4_000)));
            self.wait(pause)?;
        }
        self.heal();
        outcome.note_troubled(&self.world.app().people.trials);
        let healed = self.until_one()?;
        outcome.healed_s = healed.as_secs_f64();
        // Tables sent while messages were lost are sent anew when neighbours
        // notice; searches begun in trouble end.
        self.wait(SETTLING)?;
        outcome.healed = self.find_everything()?;
        Ok(())
    }

    fn core(&mut self, node: u32) -> Flood {
        let rng = fork_rng(&mut self.rng);
        Flood::new(peer_id(node), Arc::clone(&self.config), rng)
    }

    /// A peer starts: with the one that its user names, and what it remembers.
    fn greet(&mut self, node: u32, remembered: Vec<PeerAddress>) {
        let keys = self.world.app().people.library.keys(node);
        self.world.command(node, FloodCommand::Keys(keys));
        let named = self.named[usize::try_from(node).expect("a node")];
        let mut told = vec![address(named)];
        told.extend(remembered);
        self.world.command(node, FloodCommand::Bootstrap(told));
    }

    /// One thing goes wrong, or one search begins.
    fn trouble(&mut self) {
        match trouble(&mut self.world, &mut self.rng) {
            Trouble::Crash(node) => {
                self.world.app_mut().people.on_crash(node);
                if let Some(core) = self.world.crash(node) {
                    self.crashes += 1;
                    // Half of them come back soon, with what they remember or without.
                    let kept = below(&mut self.rng, 2) == 0;
                    let told = if kept { core.remembered() } else { Vec::new() };
                    if below(&mut self.rng, 2) == 0 {
                        self.restart(node, told);
                    }
                }
            }
            Trouble::Restart(node) => self.restart(node, Vec::new()),
            Trouble::Search(node) => {
                let file = below(&mut self.rng, self.files);
                self.search(node, file, 1);
            }
            Trouble::None => {}
        }
    }

    /// A peer comes back.
    fn restart(&mut self, node: u32, remembered: Vec<PeerAddress>) {
        let core = self.core(node);
        self.world.restart(node, core);
        self.world.app_mut().people.up[usize::try_from(node).expect("a node")] = true;
        self.greet(node, remembered);
    }

    fn search(&mut self, node: u32, file: u32, enough: u32) -> u64 {
        let now = self.world.now();
        let app = &mut self.world.app_mut().people;
        let query = app.library.query(file);
        let id = app.begin(now, node, file);
        self.under_way.add(now, node, id);
        let command = FloodCommand::Search {
            id,
            wanted: Wanted::Words(query),
            enough,
            strategy: None,
        };
        self.world.command(node, command);
        id
    }

    /// Time passes, and what must always hold is checked.
    fn wait(&mut self, time: Duration) -> Result<(), String> {
        self.world.run_until(self.world.now() + time);
        let people = &self.world.app().people;
        self.under_way.check(&self.world, people, SEARCH_MAX)
    }

    /// Everybody is up, awake and linked as they like, and no message is lost.
    fn heal(&mut self) {
        for node in heal(&mut self.world) {
            self.restart(node, Vec::new());
        }
    }

    /// Waits until the neighbours make one network.
    fn until_one(&mut self) -> Result<Duration, String> {
        let began = self.world.now();
        loop {
            self.wait(Duration::from_secs(5))?;
            let cores =
                (0..self.nodes).filter_map(|node| Some((node, self.world.core(node)?.status())));
            let (graph, one_sided) = links(self.nodes, &claims(cores));
            let took = self.world.now() - began;
            if graph.is_connected() && one_sided == 0 {
                return Ok(took);
            }
            if took > HEALING {
                let parts = graph.components().sizes;
                return Err(format!(
                    "{} s after healing the network is in parts of {parts:?}, {one_sided} links \
                     have one end only",
                    took.as_secs()
                ));
            }
        }
    }

    /// Every copy of some files, from some peers.
    fn find_everything(&mut self) -> Result<u64, String> {
        for _ in 0..FINAL_SEARCHES {
            let node = below(&mut self.rng, self.nodes);
            let file = below(&mut self.rng, self.files);
            let id = self.search(node, file, u32::MAX);
            let limit = self.world.now() + SEARCH_MAX;
            self.world
                .run_while(limit, |crowd| crowd.people.trial(id).outcome.is_none());
            self.wait(Duration::ZERO)?;
            let trial = self.world.app().people.trial(id);
            if trial.outcome.is_none() {
                return Err(format!("search {id} of the healed network has not ended"));
            }
            if trial.found.len() < usize::try_from(trial.alive).unwrap_or(usize::MAX) {
                return Err(self.what_is_missing(node, id));
            }
        }
        Ok(u64::from(FINAL_SEARCHES))
    }

    /// A search has missed copies: which, and whether they come later.
    fn what_is_missing(&mut self, node: u32, id: u64) -> String {
        let early = self.world.app().people.trial(id).clone();
        self.world.run_until(self.world.now() + LATE);
        let missed = missed(&self.world.app().people, id, &early);
        let dropped_by = |network: &Self, node| {
            let core = network.world.core(node);
            core.map_or(0, |core| core.status().counters.hits_dropped)
        };
        let dropped: u64 = (0..self.nodes).map(|other| dropped_by(self, other)).sum();
        let own = dropped_by(self, node);
        format!("{missed}; in all {dropped} answers were dropped, {own} of them by the searcher")
    }
}
