//! Everything goes wrong at random: first nothing false is ever said, then,
//! once the faults end, everything is found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gannet_base::{ContentId, PeerId, Publication, Row, Timestamp};
use gannet_overlay::hub::{ClientConfig, HubClientCommand, HubClientEvent, ServerConfig};

use super::{News, Town, publication, query, start_hub, start_peer, town};
use crate::harness::{Faults, peer};

const HUBS: [u8; 2] = [201, 202];
const PEERS: u8 = 5;
const FAULTY: Duration = Duration::from_secs(150);
/// After the faults end: a lease, the longest back-off and a registration.
const PATIENCE: Duration = Duration::from_secs(120);

fn client_config() -> ClientConfig {
    ClientConfig {
        backoff_max: Duration::from_secs(20),
        ..ClientConfig::default()
    }
}

/// What is true, kept by the test itself.
#[derive(Default)]
struct Truth {
    /// What every peer shares now.
    shared: BTreeMap<PeerId, BTreeMap<String, Publication>>,
    /// Everything that anybody ever published.
    ever: BTreeSet<(PeerId, String)>,
    /// What is withdrawn, and since when.
    withdrawn: BTreeMap<(PeerId, String), Timestamp>,
    /// Who is gone, and since when.
    gone: BTreeMap<PeerId, Timestamp>,
}

struct Run {
    town: Town,
    truth: Truth,
    checked_rows: usize,
    request: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let mut town = town(seed, Faults::HEAVY);
        for n in HUBS {
            start_hub(&mut town, peer(n), ServerConfig::default());
        }
        let mut run = Self {
            town,
            truth: Truth::default(),
            checked_rows: 0,
            request: 0,
        };
        for n in 1..=PEERS {
            run.start(peer(n));
            for _ in 0..10 {
                run.publish(peer(n));
            }
        }
        run
    }

    fn start(&mut self, id: PeerId) {
        let hubs = HUBS.map(peer);
        start_peer(&mut self.town, id, client_config(), &hubs);
        self.truth.gone.remove(&id);
        let shared = self.truth.shared.entry(id).or_default();
        let all: Vec<Publication> = shared.values().cloned().collect();
        self.town.order(id, HubClientCommand::Publish(all));
    }

    fn publish(&mut self, id: PeerId) {
        // Few names, so that peers share contents and withdrawn ones come back.
        let path = format!("pool/common file{}", self.town.below(60));
        let new = publication(id, &path);
        let shared = self.truth.shared.entry(id).or_default();
        shared.insert(path.clone(), new.clone());
        self.truth.withdrawn.remove(&(id, path.clone()));
        self.truth.ever.insert((id, path));
        self.town.order(id, HubClientCommand::Publish(vec![new]));
    }

    fn withdraw(&mut self, id: PeerId) {
        let shared = self.truth.shared.entry(id).or_default();
        let paths: Vec<String> = shared.keys().cloned().collect();
        if paths.is_empty() {
            return;
        }
        let path = paths[self.town.below(paths.len())].clone();
        if let Some(gone) = self
            .truth
            .shared
            .get_mut(&id)
            .and_then(|all| all.remove(&path))
        {
            let entry = vec![(gone.entry.content, path.clone())];
            self.truth.withdrawn.insert((id, path), self.town.now);
            self.town.order(id, HubClientCommand::Withdraw(entry));
        }
    }

    fn trouble(&mut self) {
        let n = u8::try_from(self.town.below(usize::from(PEERS))).expect("small") + 1;
        let someone = peer(n);
        let hub = peer(HUBS[self.town.below(HUBS.len())]);
        if !self.town.is_up(hub) && self.town.per_mille(100) {
            start_hub(&mut self.town, hub, ServerConfig::default());
        }
        if !self.town.is_up(someone) && self.town.per_mille(100) {
            self.start(someone);
        }
        match self.town.below(16) {
            0 if self.town.is_up(hub) && self.town.per_mille(250) => self.town.crash(hub),
            1 if self.town.is_up(someone) && self.town.per_mille(500) => {
                self.town.crash(someone);
                self.truth.gone.insert(someone, self.town.now);
            }
            3 => self.town.set_cut(someone, hub, true),
            4 | 5 => self.town.set_cut(someone, hub, false),
            6 => self.town.set_mute(hub, true),
            7 | 8 => self.town.set_mute(hub, false),
            9..=11 if self.town.is_up(someone) => self.publish(someone),
            12 | 13 if self.town.is_up(someone) => self.withdraw(someone),
            _ if self.town.is_up(someone) => {
                self.request += 1;
                let (id, query) = (self.request, query("common"));
                let search = HubClientCommand::Search {
                    id,
                    query,
                    limit: 100,
                };
                self.town.order(someone, search);
            }
            _ => {}
        }
    }

    /// Nothing that was said since the last time is false.
    fn check(&mut self) {
        let config = ServerConfig::default();
        let memory = config.lease + config.grace + Duration::from_secs(5);
        for (at, _, news) in std::mem::take(&mut self.town.events) {
            let News::Peer(HubClientEvent::Rows { rows, .. }) = news else {
                continue;
            };
            for hit in rows.iter().flat_map(|row| &row.hits) {
                let (holder, path) = (hit.holder(), &hit.entry().path);
                let seed = self.town.seed;
                assert_eq!(
                    hit.publication,
                    publication(holder, path),
                    "seed {seed}: changed on the way"
                );
                assert!(
                    self.truth.ever.contains(&(holder, path.clone())),
                    "seed {seed}: {path} was never published by {holder:?}"
                );
                if let Some(since) = self.truth.gone.get(&holder) {
                    assert!(at - *since < memory, "seed {seed}: {holder:?} is long gone");
                }
                if let Some(since) = self.truth.withdrawn.get(&(holder, path.clone())) {
                    // Longest if the hub hears of neither this nor the silence.
                    let late = at - *since < memory + Duration::from_secs(30);
                    assert!(late, "seed {seed}: {path} of {holder:?} was withdrawn");
                }
                self.checked_rows += 1;
            }
        }
    }

    fn faulty(&mut self) {
        let end = self.town.now + FAULTY;
        while self.town.now < end {
            self.trouble();
            let pause = 100 + u64::try_from(self.town.below(900)).expect("small");
            self.town.run_for(Duration::from_millis(pause));
            self.check();
        }
    }

    fn heal(&mut self) {
        self.town.heal();
        for n in HUBS {
            if !self.town.is_up(peer(n)) {
                start_hub(&mut self.town, peer(n), ServerConfig::default());
            }
        }
        for n in 1..=PEERS {
            if !self.town.is_up(peer(n)) {
                self.start(peer(n));
            }
        }
    }

    fn expected(&self) -> BTreeSet<(ContentId, PeerId)> {
        let shared = self.truth.shared.iter();
        shared
            .flat_map(|(holder, all)| all.values().map(|one| (one.entry.content, *holder)))
            .collect()
    }

    /// Everything shared is registered at every hub and found by everybody,
    /// and nothing else.
    fn check_recall(&mut self) {
        let hubs = HUBS.map(peer);
        for n in 1..=PEERS {
            let id = peer(n);
            self.town.await_registered(id, &hubs, PATIENCE);
        }
        let expected = self.expected();
        for n in 1..=PEERS {
            let (rows, asked) = self.town.search(peer(n), "common", 1_000);
            assert_eq!(asked.len(), HUBS.len());
            let named = |row: &Row| {
                let content = row.content;
                let holders = row.hits.iter().map(move |hit| (content, hit.holder()));
                holders.collect::<Vec<_>>()
            };
            let found: BTreeSet<_> = rows.iter().flat_map(named).collect();
            assert_eq!(found, expected, "seed {}", self.town.seed);
        }
    }
}

fn run(seed: u64) -> Run {
    let mut run = Run::new(seed);
    run.faulty();
    run.heal();
    run.check_recall();
    run
}

#[test]
fn nothing_false_then_everything() {
    let mut checked = 0;
    for seed in 0..16 {
        checked += run(seed).checked_rows;
    }
    // The safety check looked at something.
    assert!(checked > 10_000, "{checked}");
}

#[test]
fn same_seed_same_trace() {
    let trace = |seed| {
        let mut run = Run::new(seed);
        run.town.trace = Some(Vec::new());
        run.faulty();
        run.town.trace.take().expect("it was kept")
    };
    let (once, again) = (trace(3), trace(3));
    assert!(once.len() > 1_000, "{}", once.len());
    let differs = once.iter().zip(&again).position(|(a, b)| a != b);
    assert_eq!(differs.map(|at| (&once[at], &again[at])), None);
    assert_eq!(once.len(), again.len());
    assert_ne!(once, trace(4));
}

#[test]
fn without_leases_the_dead_would_be_found() {
    // The defence matters: with it switched off, the same check fails.
    let mut town = town(1, Faults::NONE);
    let eternal = ServerConfig {
        lease: Duration::from_secs(1_000_000),
        grace: Duration::from_secs(1_000_000),
        ..ServerConfig::default()
    };
    start_hub(&mut town, peer(201), eternal);
    for n in [1, 2] {
        start_peer(&mut town, peer(n), client_config(), &[peer(201)]);
    }
    town.publish(peer(1), &["pool/common file"]);
    town.await_registered(peer(1), &[peer(201)], PATIENCE);
    town.crash(peer(1));
    town.run_for(Duration::from_secs(3_600));
    assert_eq!(town.search(peer(2), "common", 10).0.len(), 1);
}

#[test]
fn a_herd_comes_back_spread_out() {
    let mut town = town(5, Faults::NONE);
    start_hub(&mut town, peer(201), ServerConfig::default());
    let herd = 1..=120;
    for n in herd.clone() {
        start_peer(&mut town, peer(n), ClientConfig::default(), &[peer(201)]);
        town.publish(peer(n), &["a/one"]);
    }
    town.run_for(Duration::from_secs(5));
    town.crash(peer(201));
    town.run_for(Duration::from_secs(30));
    start_hub(&mut town, peer(201), ServerConfig::default());
    town.events.clear();
    town.run_for(Duration::from_secs(120));
    let joined: Vec<Timestamp> = town
        .events
        .iter()
        .filter(|(_, _, news)| {
            let News::Hub(event) = news else {
                return false;
            };
            matches!(event, gannet_overlay::hub::HubServerEvent::Joined { .. })
        })
        .map(|(at, ..)| *at)
        .collect();
    assert_eq!(
        joined.len(),
        herd.count(),
        "all are back within two minutes"
    );
    let busiest = joined
        .iter()
        .map(|from| {
            let soon = |at: &&Timestamp| **at >= *from && **at - *from < Duration::from_secs(1);
            joined.iter().filter(soon).count()
        })
        .max();
    assert!(busiest < Some(30), "{busiest:?} in one second");
}
