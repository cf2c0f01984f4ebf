//! Searches in a network of flood peers that share files.
//!
//! Peers share files with names of words that are unevenly common; some peers
//! ask, one after the other, for files that are unevenly popular, by the words
//! of their names. What is found, at what cost, and how searches end is
//! counted outside the cores.

pub(super) mod crowd;
mod network;
pub(super) mod report;

use std::time::Duration;

use gannet_base::{Rng, Timestamp, fork_rng, seeded_rng};
use gannet_overlay::flood::{Flood, FloodCommand, Strategy, Wanted};

use self::crowd::Crowd;
use self::network::Rejoining;
use self::report::Run;
pub use self::report::{Endings, Report};
use super::library::{Library, Shares};
use super::turnover::Turnover;
use super::{EventHash, below, dht, supernode};
use crate::churn::Sessions;
use crate::{Impossible, Latency, World};

/// Most peers.
// Guess: two million take some 8 GB.
const NODES_MAX: u32 = 2_000_000;
/// Neighbours, if nothing is said.
const DEGREE: u32 = 8;
/// Most copies of all files together.
const COPIES_MAX: f64 = 1e8;

/// Most of [`Params::words`]: names have no more.
pub const WORDS_MAX: u8 = 4;
/// Most of [`Params::common_share`]: there must be names enough without.
const COMMON_MAX: f64 = 0.9;

/// How peers come and go.
#[derive(Debug, Clone, PartialEq)]
pub struct Churn {
    /// How long they stay.
    pub online: Sessions,
    /// How long they stay away.
    pub offline: Sessions,
}

/// Which overlay is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Overlay {
    /// Neighbours pass questions on.
    #[default]
    Flood,
    /// Two tiers: leaves ask supernodes, which pass questions on.
    Supernode,
    /// Every key is assigned to nodes of a ring.
    Dht,
}

/// Searches.
#[derive(Debug, Clone)]
pub struct Params {
    /// Which overlay.
    pub overlay: Overlay,
    /// How many peers there are, those that are away included.
    pub nodes: u32,
    /// Neighbours of each: of a random regular graph, or, where neighbours are
    /// found by the peers themselves, their target; of two tiers, the links of
    /// a supernode that it wants. By default 8, or what supernodes want.
    pub degree: Option<u32>,
    /// Places of a supernode, where there are two tiers.
    pub leaves_max: u16,
    /// How many files there are.
    pub files: u32,
    /// On how many peers a file lies, on average; at least 1.
    pub copies: f64,
    /// The share of the names that have one word in common, beyond what chance
    /// gives; from 0 to 0.9.
    pub common_share: f64,
    /// How many searches there are.
    pub queries: u32,
    /// Fewest and most words of a search, each number as likely: words of a file's
    /// name. All four fit one file only; fewer are for the structured network.
    pub words: (u8, u8),
    /// The exponent of the files' popularity with searchers.
    pub zipf: f64,
    /// How searches go.
    pub strategy: Strategy,
    /// Entries of a list from which a structured network splits it; by default as
    /// many as everywhere.
    pub list_max: Option<u32>,
    /// Nodes of the ring that each peer of a structured network is; at least 1.
    pub virtual_nodes: u8,
    /// How many holders are enough.
    pub enough: u32,
    /// Whether there are routing tables.
    pub tables: bool,
    /// Whether later copies that may go further are passed on.
    pub revisit: bool,
    /// Whether searches ask for reports.
    pub reports: bool,
    /// How long links take.
    pub latency: Latency,
    /// Messages lost, per mille.
    pub loss: u16,
    /// Whether and how peers come and go. Then they find their neighbours
    /// themselves.
    pub churn: Option<Churn>,
    /// Whether the network grows by its own joining, from one peer.
    pub grow: bool,
    /// From one search to the next.
    pub interval: Duration,
    /// Of everything.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            overlay: Overlay::Flood,
            nodes: 10_000,
            degree: None,
            leaves_max: 100,
            files: 10_000,
            copies: 10.0,
            common_share: 0.0,
            queries: 200,
            words: (WORDS_MAX, WORDS_MAX),
            // Source: Tsoumakos and Roussopoulos: 0.82; 0.6 to 1.2 is the usual range.
            zipf: 0.82,
            strategy: Strategy::Rings {
                ttls: Vec::new(),
                widen: true,
            },
            list_max: None,
            virtual_nodes: gannet_overlay::dht::Config::default().virtual_nodes,
            enough: 1,
            tables: true,
            revisit: true,
            reports: true,
            latency: Latency::Uniform(Duration::from_millis(20), Duration::from_millis(180)),
            loss: 0,
            churn: None,
            grow: false,
            interval: Duration::from_secs(1),
            seed: 1,
        }
    }
}

impl Params {
    /// Neighbours of each.
    fn degree(&self) -> u32 {
        self.degree.unwrap_or(DEGREE)
    }

    /// Whether peers look after their neighbours themselves.
    fn is_maintained(&self) -> bool {
        self.grow || self.churn.is_some()
    }

    /// Who shares what.
    pub(super) fn library(&self, rng: &mut Rng) -> Library {
        let shares = Shares {
            nodes: self.nodes,
            files: self.files,
            copies: self.copies,
            zipf: self.zipf,
        };
        Library::with_common(shares, self.common_share, rng)
    }

    fn check(&self) -> Result<(), Impossible> {
        let wrong = |parameter, given: &dyn std::fmt::Display, possible: String| {
            Err(Impossible::new(parameter, given, possible))
        };
        if !(2..=NODES_MAX).contains(&self.nodes) {
            return wrong(
                "--nodes",
                &self.nodes,
                format!("from 2 to {NODES_MAX} peers"),
            );
        }
        let degree_max = (self.nodes - 1).min(1_000);
        let degree = self.degree();
        if self.overlay == Overlay::Flood && !(1..=degree_max).contains(&degree)
            || !(1..=1_000).contains(&degree)
        {
            let possible = format!("with {} peers from 1 to {degree_max}", self.nodes);
            return wrong("--degree", &degree, possible);
        }
        let copies_max = f64::from(self.nodes - 1);
        if !(1.0..=copies_max).contains(&self.copies) {
            let possible = format!(
                "from 1 to {copies_max} with {} peers: each file lies on some peer, and not on \
                 all",
                self.nodes
            );
            return wrong("--copies", &self.copies, possible);
        }
        let files_max = (COPIES_MAX / self.copies).min(1e7).floor();
        if self.files == 0 || f64::from(self.files) > files_max {
            let possible = format!("from 1 to {files_max} with {} copies each", self.copies);
            return wrong("--files", &self.files, possible);
        }
        if !(0.0..=COMMON_MAX).contains(&self.common_share) {
            let possible = format!("a share from 0 to {COMMON_MAX}");
            return wrong("--common-share", &self.common_share, possible);
        }
        if !(1..=1_000_000).contains(&self.queries) {
            return wrong("--queries", &self.queries, "from 1 to 1000000".to_owned());
        }
        let (least, most) = self.words;
        if least == 0 || least > most || most > WORDS_MAX {
            let given = format!("{least}..{most}");
            return wrong("--words", &given, format!("from 1 to {WORDS_MAX} words"));
        }
        if least < WORDS_MAX && self.overlay != Overlay::Dht {
            let given = format!("{least}..{most}");
            let possible = format!("fewer than {WORDS_MAX} words only with --overlay dht");
            return wrong("--words", &given, possible);
        }
        if !(0.0..=10.0).contains(&self.zipf) {
            return wrong("--zipf", &self.zipf, "an exponent from 0 to 10".to_owned());
        }
        if self.loss > 900 {
            return wrong("--loss", &self.loss, "from 0 to 900 per mille".to_owned());
        }
        Ok(())
    }
}

/// Searches.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    params.check()?;
    match params.overlay {
        Overlay::Flood => {}
        Overlay::Supernode => return supernode::search(params),
        Overlay::Dht => return dht::search(params),
    }
    let mut rng = seeded_rng(params.seed);
    let library = params.library(&mut fork_rng(&mut rng));
    let crowd = Crowd::new(library, params.nodes);
    let mut world = network::build(params, crowd, &mut fork_rng(&mut rng))?;
    let began = world.now();
    let mut turnover = params.churn.as_ref().map(|churn| {
        let mut rejoining = Rejoining::new(params);
        let turnover = Turnover::new(churn, &mut world, &mut rejoining, &mut rng);
        (turnover, rejoining)
    });
    world.app_mut().people.begin_counting();
    for _ in 0..params.queries {
        let until = world.now() + params.interval;
        match &mut turnover {
            Some((turnover, peers)) => turnover.run_until(&mut world, peers, until),
            None => world.run_until(until),
        }
        ask(params, &mut world, &mut rng);
    }
    finish(&mut world, &mut turnover);
    let run = Run {
        overlay: "flood",
        nodes: params.nodes,
        files: params.files,
        degree_mean: network::degree_mean(&world),
        listed: None,
        took: world.now() - began,
        events: world.stats().events,
        event_hash: EventHash(world.fingerprint()),
    };
    Ok(report::of(&world.app().people, &run))
}

/// The largest TTL that a strategy names.
pub(super) fn ttl(strategy: &Strategy) -> u8 {
    match strategy {
        Strategy::Flood { ttl } => *ttl,
        Strategy::Rings { ttls, .. } => ttls.iter().copied().max().unwrap_or(0),
        Strategy::Dynamic | Strategy::Likely => 0,
    }
}

/// A peer that is up, and a file that it may look for: it does not have it.
pub(super) fn drawn(
    library: &Library,
    nodes: u32,
    rng: &mut Rng,
    is_up: impl Fn(u32) -> bool,
) -> Option<(u32, u32)> {
    let file = library.target(rng);
    // Guess: with a hundred draws somebody is found unless hardly anybody is up.
    let mut drawn = (0..100).map(|_| below(rng, nodes));
    let searcher = drawn.find(|node| is_up(*node) && !library.holds(*node, file))?;
    Some((searcher, file))
}

/// Somebody who does not have it asks for something.
fn ask(params: &Params, world: &mut World<Flood, Crowd>, rng: &mut Rng) {
    let library = &world.app().people.library;
    let is_up = |node| world.is_running(node);
    let Some((searcher, file)) = drawn(library, params.nodes, rng, is_up) else {
        return;
    };
    let now = world.now();
    let app = &mut world.app_mut().people;
    let query = app.library.query(file);
    let id = app.begin(now, searcher, file);
    let command = FloodCommand::Search {
        id,
        wanted: Wanted::Words(query),
        enough: params.enough,
        strategy: None,
    };
    world.command(searcher, command);
}

/// Waits for the end of every search, and for what is still on its way.
fn finish(world: &mut World<Flood, Crowd>, turnover: &mut Option<(Turnover, Rejoining)>) {
    // Guess: a search of many rounds with silent peers takes minutes.
    let limit = world.now() + Duration::from_secs(3_600);
    match turnover {
        None => {
            world.run_while(limit, |crowd| crowd.people.running > 0);
        }
        Some((turnover, peers)) => {
            while world.app().people.running > 0 && world.now() < limit {
                let until = world.now() + Duration::from_secs(1);
                turnover.run_until(world, peers, until);
            }
        }
    }
    let late = world.now() + Duration::from_secs(10);
    world.run_until(late.min(Timestamp::MAX));
}

#[cfg(test)]
mod tests;
