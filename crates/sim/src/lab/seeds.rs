//! Many small networks under faults, each from a seed of its own.
//!
//! Two phases. First everything goes wrong: messages are lost, doubled and
//! overtaken, peers crash, come back with and without their memory, are paused,
//! and the network is cut in two, both ways or one way. Then nothing wrong may
//! be reported, and every search must end. After that all is healed, and then
//! the network must become one, and everything that is there must be found.
//!
//! What is checked is known outside the cores: who has what, and who is up.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use gannet_base::{Core, PeerAddress, Rng, Timestamp, fork_rng, seeded_rng};
use gannet_overlay::flood::{Config, Flood, FloodCommand, Strategy, Wanted};
use serde::Serialize;

use super::join::{claims, links};
use super::library::{Library, Shares};
use super::people::{People, Trial};
use super::search::Overlay;
use super::search::crowd::Crowd;
use super::{EventHash, address, below, chord, supernode};
use crate::{
    App, Cut, Faults, Fingerprint, Impossible, Latency, LinkModel, Mode, World, draw, peer_id,
};

/// Virtual time during which everything goes wrong.
pub(super) const TROUBLE: Duration = Duration::from_secs(120);
/// Longest time after that until the network is one.
// Measured: shuffling finds the other part within two of its intervals.
pub(super) const HEALING: Duration = Duration::from_secs(1_800);
/// Time that tables have to get to new neighbours.
// Measured: they are there within ten seconds.
const SETTLING: Duration = Duration::from_secs(60);
/// Longest that a search may take, whatever happens.
// Guess: fifteen rounds with silent peers, each of them at most 15 s.
const SEARCH_MAX: Duration = Duration::from_secs(300);
/// Time in which what was missing may come late.
pub(super) const LATE: Duration = Duration::from_secs(10);
/// Searches after healing.
pub(super) const FINAL_SEARCHES: u32 = 6;

/// Which seeds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Params {
    /// Which overlay has to bear it.
    pub overlay: Overlay,
    /// The first.
    pub from: u64,
    /// How many, one after the other.
    pub count: u32,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            overlay: Overlay::Flood,
            from: 1,
            count: 200,
        }
    }
}

/// What came of all seeds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// The first seed.
    pub from: u64,
    /// How many there were.
    pub count: u32,
    /// How many went as they should.
    pub passed: u32,
    /// Those that did not.
    pub failures: Vec<Failure>,
    /// Searches while everything went wrong.
    pub troubled_searches: u64,
    /// The share of those that found something.
    pub troubled_recall: f64,
    /// Searches after healing, each of which found every copy.
    pub healed_searches: u64,
    /// Crashes in all of them.
    pub crashes: u64,
    /// Messages lost, to faults and at cuts.
    pub messages_lost: u64,
    /// Longest time until a network was one again, seconds.
    pub healed_s_max: f64,
    /// Things that happened.
    pub events: u64,
    /// The hash over all of them.
    pub event_hash: EventHash,
}

/// A seed that did not go as it should.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// What went wrong.
    pub what: String,
    /// What to type to see it again.
    pub replay: String,
}

/// Runs all seeds.
///
/// # Errors
///
/// If there is none.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    if params.count == 0 {
        return Err(Impossible::new("--count", 0, "at least one seed"));
    }
    let mut hash = Fingerprint::default();
    let mut sum = Outcome::default();
    let mut failures = Vec::new();
    for seed in (params.from..).take(usize::try_from(params.count).unwrap_or(usize::MAX)) {
        let mut outcome = Outcome::default();
        let (result, option) = match params.overlay {
            Overlay::Flood => (one(seed, &mut outcome), ""),
            Overlay::Supernode => {
                let result = supernode::seeds::one(seed, &mut outcome);
                (result, " --overlay supernode")
            }
            Overlay::Dht => (chord::seeds::one(seed, &mut outcome), " --overlay dht"),
        };
        if let Err(what) = result {
            failures.push(Failure {
                seed,
                what,
                replay: format!("gannet lab seeds{option} --from {seed} --count 1"),
            });
        }
        hash.add(outcome.hash, outcome.events);
        sum.add(&outcome);
    }
    let failed = u32::try_from(failures.len()).expect("at most one each");
    Ok(Report {
        from: params.from,
        count: params.count,
        passed: params.count - failed,
        failures,
        troubled_searches: sum.troubled,
        troubled_recall: crate::stats::share(sum.troubled_found, sum.troubled),
        healed_searches: sum.healed,
        crashes: sum.crashes,
        messages_lost: sum.lost,
        healed_s_max: sum.healed_s,
        events: sum.events,
        event_hash: EventHash(hash.value()),
    })
}

/// What came of a seed.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) troubled: u64,
    pub(super) troubled_found: u64,
    pub(super) healed: u64,
    pub(super) crashes: u64,
    pub(super) lost: u64,
    pub(super) healed_s: f64,
    pub(super) events: u64,
    pub(super) hash: u64,
}

impl Outcome {
    fn add(&mut self, other: &Self) {
        self.troubled += other.troubled;
        self.troubled_found += other.troubled_found;
        self.healed += other.healed;
        self.crashes += other.crashes;
        self.lost += other.lost;
        self.healed_s = self.healed_s.max(other.healed_s);
        self.events += other.events;
    }

    /// Notes what happened in a world, however it went.
    pub(super) fn note_world<C, A>(&mut self, world: &World<C, A>, crashes: u64)
    where
        C: Core,
        C::Message: Clone,
        A: App<C>,
    {
        let stats = world.stats();
        self.crashes = crashes;
        self.lost = stats.lost + stats.cut;
        self.events = stats.events;
        self.hash = world.fingerprint();
    }

    /// Notes all searches so far, which were in trouble.
    pub(super) fn note_troubled(&mut self, trials: &[Trial]) {
        self.troubled = trials.len() as u64;
        self.troubled_found = trials.iter().filter(|t| !t.found.is_empty()).count() as u64;
    }
}

/// Searches that have not ended, each of which must.
#[derive(Debug, Default)]
pub(super) struct UnderWay(Vec<Began>);

#[derive(Debug)]
struct Began {
    at: Timestamp,
    searcher: u32,
    id: u64,
}

impl UnderWay {
    /// A search begins.
    pub(super) fn add(&mut self, at: Timestamp, searcher: u32, id: u64) {
        self.0.push(Began { at, searcher, id });
    }

    /// Forgets those that are over.
    ///
    /// # Errors
    ///
    /// If one is not, after this time and that of the trouble; or if an answer
    /// was wrong.
    pub(super) fn check<C, A>(
        &mut self,
        world: &World<C, A>,
        people: &People,
        longest: Duration,
    ) -> Result<(), String>
    where
        C: Core,
        C::Message: Clone,
        A: App<C>,
    {
        if people.wrong > 0 {
            return Err(format!("{} answers were wrong", people.wrong));
        }
        self.0.retain(|search| {
            let trial = people.trial(search.id);
            trial.outcome.is_none() && !trial.abandoned
        });
        let now = world.now();
        let late = self.0.iter().find(|search| {
            // Who sleeps cannot end a search.
            world.is_running(search.searcher) && now - search.at > longest + TROUBLE
        });
        late.map_or(Ok(()), |Began { at, searcher, id }| {
            Err(format!(
                "search {id} of peer {searcher}, begun at {at}, has not ended at {now}"
            ))
        })
    }
}

/// What a search of the healed network has missed, and whether it came later.
/// `early` is the search as it was at its end.
pub(super) fn missed(people: &People, id: u64, early: &Trial) -> String {
    let late = people.trial(id).found.len() - early.found.len();
    let holders = people.library.holders(early.file).iter();
    let missing: Vec<u32> = holders
        .filter(|holder| **holder != early.searcher && !early.found.contains(holder))
        .copied()
        .collect();
    format!(
        "search {id} of peer {} in the healed network of {} found {:?} and not {missing:?}, \
         {late} of them came later; it ended with {:?}",
        early.searcher,
        people.up.len(),
        early.found,
        early.outcome
    )
}

/// The files of a small network: how many, and how common, is drawn.
pub(super) fn library(nodes: u32, rng: &mut Rng) -> Library {
    let shares = Shares {
        nodes,
        files: 20 + below(rng, 40),
        copies: 1.0 + f64::from(below(rng, 30)) / 10.0,
        zipf: 0.8,
    };
    Library::new(shares, &mut fork_rng(rng))
}

/// What goes wrong next, or happens beside it.
pub(super) enum Trouble {
    /// This peer is to crash.
    Crash(u32),
    /// This one, which is down, is to come back.
    Restart(u32),
    /// This one is to look for something.
    Search(u32),
    /// Nothing, or what the world itself does: pauses and partitions.
    None,
}

/// Draws what goes wrong next, and does of it what is the world's to do.
pub(super) fn trouble<C, A>(world: &mut World<C, A>, rng: &mut Rng) -> Trouble
where
    C: Core,
    C::Message: Clone,
    A: App<C>,
{
    let nodes = world.nodes();
    let node = below(rng, nodes);
    match below(rng, 10) {
        0 if up(world) * 2 > nodes => return Trouble::Crash(node),
        1 if world.core(node).is_none() => return Trouble::Restart(node),
        2 => world.pause(node, true),
        3 => (0..nodes).for_each(|node| world.pause(node, false)),
        4 => {
            let cuts = [Cut::Both, Cut::Mute, Cut::Deaf];
            let cut = cuts[draw::place(rng, cuts.len())];
            let inside: BTreeSet<u32> = (0..nodes).filter(|_| below(rng, 3) == 0).collect();
            world.partition(inside, cut);
        }
        5 => world.heal(),
        _ if world.is_running(node) => return Trouble::Search(node),
        _ => {}
    }
    Trouble::None
}

/// How many peers are up.
fn up<C, A>(world: &World<C, A>) -> u32
where
    C: Core,
    C::Message: Clone,
    A: App<C>,
{
    let up = (0..world.nodes()).filter(|node| world.core(*node).is_some());
    u32::try_from(up.count()).expect("at most all")
}

/// Links, messages and faults, drawn from a seed.
pub(super) fn model(rng: &mut Rng) -> LinkModel {
    let ms = Duration::from_millis;
    let latency = match below(rng, 3) {
        0 => Latency::Equal(ms(50)),
        1 => Latency::Uniform(ms(5), ms(200)),
        _ => Latency::Exponential(ms(80)),
    };
    let mut model = LinkModel::new(Mode::Connected, latency);
    let mut per_mille = |most| u16::try_from(below(rng, most)).unwrap_or(0);
    model.faults = Faults {
        loss: per_mille(120),
        duplication: per_mille(80),
        reordering: per_mille(80),
    };
    model
}

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

fn one(seed: u64, outcome: &mut Outcome) -> Result<(), String> {
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
        self.world.set_faults(Faults::NONE);
        self.world.heal();
        for node in 0..self.nodes {
            self.world.pause(node, false);
            if self.world.core(node).is_none() {
                self.restart(node, Vec::new());
            }
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

#[cfg(test)]
mod tests {
    use super::*;

    /// The gate: 200 seeds. More by `gannet lab seeds --from 1 --count 100000`.
    #[test]
    fn nothing_wrong_in_trouble_and_everything_found_after_it() {
        let report = run(&Params::default()).unwrap();
        assert_eq!(report.failures, []);
        assert_eq!(report.passed, 200);
        assert!(
            report.crashes > 500 && report.messages_lost > 10_000,
            "{report:?}"
        );
        assert!(report.troubled_searches > 2_000, "{report:?}");
        assert!(report.troubled_recall > 0.5, "{report:?}");
    }

    /// Networks that once stayed in parts, or missed copies, after all was healed.
    #[test]
    fn what_once_failed_does_not_again() {
        for from in [20, 100, 140, 264, 268, 427, 497, 614, 710, 978] {
            let report = run(&Params {
                from,
                count: 1,
                ..Params::default()
            })
            .unwrap();
            assert_eq!(report.failures, []);
        }
    }

    #[test]
    fn a_seed_repeats() {
        let one = Params {
            from: 7,
            count: 2,
            ..Params::default()
        };
        assert_eq!(run(&one), run(&one));
        let other = run(&Params { from: 8, ..one }).unwrap();
        assert_ne!(run(&one).unwrap().event_hash, other.event_hash);
        assert!(run(&Params { count: 0, ..one }).is_err());
    }
}
