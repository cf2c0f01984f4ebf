//! A network of two tiers: it grows, elects its supernodes, is searched, loses
//! many of them at once, and is searched again.
//!
//! What is told is what is seen from outside the cores: a leaf has a place if
//! the supernode that it names says so too, and what is found is held against
//! who has it.

mod census;
mod fall;
#[cfg(test)]
mod hostile;
mod invariants;
mod network;
mod public;
mod report;
mod search;
mod searches;
pub(super) mod seeds;
mod shrink;
#[cfg(test)]
mod tests;
mod weigh;
mod wire;

use std::time::Duration;

use gannet_base::{Rng, Timestamp, fork_rng, seeded_rng};
use gannet_overlay::supernode::{Config, Supernode};

use self::network::Network;
use self::public::Peer;
use self::report::Measured;
pub use self::report::Report;
pub(super) use self::search::run as search;
use self::searches::Series;
pub use self::weigh::{Weight, weigh};
use super::address;
use super::library::{Library, Shares};
pub use super::search::Churn;
use crate::{Impossible, Latency, LinkModel, Mode};

/// Most peers.
// Guess: a million take some 8 GB.
const NODES_MAX: u32 = 1_000_000;
/// Most copies of all files together.
const COPIES_MAX: f64 = 1e8;
/// Peers that a newcomer knows.
const KNOWN: u32 = 3;
/// Time for registrations of those who are gone to run out.
const LEASES: Duration = Duration::from_secs(60);

/// A network of two tiers, and what is done to it.
#[derive(Debug, Clone)]
pub struct Params {
    /// How many peers arrive.
    pub nodes: u32,
    /// Places of a supernode.
    pub leaves_max: u16,
    /// How many files there are.
    pub files: u32,
    /// On how many peers a file lies, on average; at least 1.
    pub copies: f64,
    /// Searches in each series.
    pub queries: u32,
    /// The exponent of the files' popularity with searchers.
    pub zipf: f64,
    /// The share of the supernodes that is killed.
    pub kill: Option<f64>,
    /// Whether and how peers come and go once the network has settled.
    pub churn: Option<Churn>,
    /// Peers that arrive in a second; by default a hundredth of all, from 10 to
    /// 1,000.
    pub arrivals_per_second: Option<f64>,
    /// Whether newcomers know the first peer and nobody else, in place of three
    /// others at random.
    pub bootstrap_single: bool,
    /// To how many peers the network shrinks at the end.
    pub shrink_to: Option<u32>,
    /// Whether leaves keep a backup.
    pub backup: bool,
    /// Whether leaves wait at random before they look for another place.
    pub jitter: bool,
    /// Whether full supernodes send leaves away.
    pub shedding: bool,
    /// Supernodes below which everybody is one.
    pub supernodes_min: u16,
    /// Supernodes that a leaf remembers: memory, some 70 bytes each.
    pub known_max: usize,
    /// How long links take.
    pub latency: Latency,
    /// Messages lost, per mille.
    pub loss: u16,
    /// From one search to the next.
    pub interval: Duration,
    /// Longest time after the last arrival until the network stands still.
    pub patience: Duration,
    /// Of everything.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 2_000,
            leaves_max: 60,
            files: 2_000,
            copies: 10.0,
            queries: 200,
            zipf: 0.82,
            kill: None,
            churn: None,
            arrivals_per_second: None,
            bootstrap_single: false,
            shrink_to: None,
            backup: true,
            jitter: true,
            shedding: true,
            supernodes_min: Config::default().supernodes_min,
            known_max: Config::default().leaf_known_max,
            latency: Latency::Uniform(Duration::from_millis(20), Duration::from_millis(180)),
            loss: 0,
            interval: Duration::from_millis(500),
            patience: Duration::from_secs(600),
            seed: 1,
        }
    }
}

impl Params {
    fn check(&self) -> Result<(), Impossible> {
        let wrong = |parameter, given: &dyn std::fmt::Display, possible: String| {
            Err(Impossible::new(parameter, given, possible))
        };
        let nodes = self.nodes;
        if !(1..=NODES_MAX).contains(&nodes) {
            return wrong("--nodes", &nodes, format!("from 1 to {NODES_MAX} peers"));
        }
        if !(1..=10_000).contains(&self.leaves_max) {
            let possible = "from 1 to 10000 places";
            return wrong("--leaves-max", &self.leaves_max, possible.to_owned());
        }
        let copies_max = f64::from(nodes.max(2) - 1);
        if !(1.0..=copies_max).contains(&self.copies) {
            let possible = format!(
                "from 1 to {copies_max} with {nodes} peers: each file lies on some peer, and not \
                 on all"
            );
            return wrong("--copies", &self.copies, possible);
        }
        let files_max = (COPIES_MAX / self.copies).min(1e7).floor();
        if self.files == 0 || f64::from(self.files) > files_max {
            let possible = format!("from 1 to {files_max} with {} copies each", self.copies);
            return wrong("--files", &self.files, possible);
        }
        if self.queries > 1_000_000 {
            return wrong("--queries", &self.queries, "from 0 to 1000000".to_owned());
        }
        if !(0.0..=10.0).contains(&self.zipf) {
            return wrong("--zipf", &self.zipf, "an exponent from 0 to 10".to_owned());
        }
        if let Some(kill) = self.kill.filter(|kill| !(0.0..=1.0).contains(kill)) {
            return wrong("--kill", &kill, "a share from 0 to 1".to_owned());
        }
        let rate = self.arrivals_per_second;
        if let Some(rate) = rate.filter(|rate| !(0.001..=1e6).contains(rate)) {
            let possible = "from 0.001 to 1000000 peers a second";
            return wrong("--arrivals", &rate, possible.to_owned());
        }
        if let Some(to) = self.shrink_to.filter(|to| *to > nodes) {
            return wrong(
                "--shrink-to",
                &to,
                format!("at most the {nodes} peers there are"),
            );
        }
        if !(1..=10_000).contains(&self.known_max) {
            let possible = "from 1 to 10000 supernodes".to_owned();
            return wrong("--known", &self.known_max, possible);
        }
        if self.loss > 900 {
            return wrong("--loss", &self.loss, "from 0 to 900 per mille".to_owned());
        }
        Ok(())
    }

    fn arrivals_per_second(&self) -> f64 {
        let usual = (f64::from(self.nodes) / 100.0).clamp(10.0, 1_000.0);
        self.arrivals_per_second.unwrap_or(usual)
    }

    fn config(&self) -> Config {
        let mut config = Config {
            leaves_max: self.leaves_max,
            supernodes_min: self.supernodes_min,
            leaf_known_max: self.known_max,
            backup: self.backup,
            shedding: self.shedding,
            ..Config::default()
        };
        if !self.jitter {
            config.orphan_jitter = Duration::ZERO;
            config.backup_jitter = Duration::ZERO;
        }
        config
    }
}

/// Grows a network, and does to it what is wanted.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    params.check()?;
    let mut network = plain(params);
    grow(params, &mut network);
    let settled = network.settle(params.patience);
    network.pass(LEASES);
    let mut broken = invariants::lastingly_broken(&mut network);
    let settled = report::look(&network, settled);
    if let Some(churn) = &params.churn {
        network.begin_churn(churn);
        network.pass(LEASES);
    }
    let series = |enough| Series {
        queries: params.queries,
        enough,
        interval: params.interval,
    };
    let one = network.searches(series(1));
    let whole = network.searches(series(u32::MAX));
    let fall = params.kill.map(|share| {
        let fall = fall::fall(&mut network, share);
        let after = network.searches(series(u32::MAX));
        (fall, after)
    });
    let shrunk = params.shrink_to.map(|to| {
        let shrunk = shrink::shrink(&mut network, to, params.arrivals_per_second());
        network.settle(params.patience);
        shrunk
    });
    if params.churn.is_none() {
        network.pass(LEASES);
        broken.extend(invariants::lastingly_broken(&mut network));
    }
    let measured = Measured {
        settled,
        one,
        whole,
        fall,
        shrunk,
        broken,
    };
    Ok(report::of(params, &network, measured))
}

/// Nobody is there yet.
fn plain(params: &Params) -> Network<Supernode> {
    let mut rng = seeded_rng(params.seed);
    let library = library(params, &mut fork_rng(&mut rng));
    network(params, library, |_, core| core, rng)
}

fn library(params: &Params, rng: &mut Rng) -> Library {
    let shares = Shares {
        nodes: params.nodes,
        files: params.files,
        copies: params.copies,
        zipf: params.zipf,
    };
    Library::new(shares, rng)
}

fn network<P: Peer>(
    params: &Params,
    library: Library,
    wrap: fn(u32, Supernode) -> P,
    rng: Rng,
) -> Network<P> {
    let mut model = LinkModel::new(Mode::Connected, params.latency.clone());
    model.faults.loss = params.loss;
    let config = params.config();
    Network::new(
        (library, params.nodes),
        config,
        (params.seed, model),
        wrap,
        rng,
    )
}

/// Everybody arrives.
fn grow<P: Peer>(params: &Params, network: &mut Network<P>) {
    let interval = Duration::from_secs_f64(1.0 / params.arrivals_per_second());
    let mut census_at = Timestamp::ZERO;
    for node in 0..params.nodes {
        let at = Timestamp::ZERO + interval * node;
        while census_at + network::TICK <= at {
            census_at = census_at + network::TICK;
            network.run_until(census_at);
            network.census.take(&network.world);
        }
        network.run_until(at);
        let told = match node {
            0 => Vec::new(),
            _ if params.bootstrap_single => vec![address(0)],
            _ => network.some_before(node, KNOWN),
        };
        network.add(told);
    }
}
