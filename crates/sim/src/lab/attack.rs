//! One neighbour that asks a hundred times as much as anybody may.
//!
//! The same network and the same searches twice, once in peace and once while
//! some peers do nothing but ask nonsense as fast as they are told to. What is
//! compared is how many of the others' searches find what is there.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{Core, Link, Output, PeerId, Query, Rng, Timestamp, fork_rng, pump, seeded_rng};
use gannet_overlay::flood::{
    Ask, Config, Flood, FloodCommand, FloodEvent, FloodMessage, Question, SearchId, Wanted,
};
use rand_core::Rng as _;
use serde::Serialize;

use super::library::{Library, Shares};
use super::search::crowd::Crowd;
use super::{EventHash, address, below};
use crate::{App, Fingerprint, Impossible, Latency, LinkModel, Mode, World, peer_id, stats};

/// The network, the searches and the attackers.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Peers, attackers included.
    pub nodes: u32,
    /// Neighbours that each wants.
    pub degree: u32,
    /// How many of the peers attack.
    pub attackers: u32,
    /// Questions that a peer answers and passes on per second.
    pub budget: u32,
    /// Questions that an attacker sends to each neighbour, as a multiple of the
    /// budget.
    pub times: u32,
    /// Searches of the others, four a second.
    pub queries: u32,
    /// Of everything.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        Self {
            nodes: 300,
            degree: 8,
            attackers: 1,
            budget: 20,
            times: 100,
            queries: 200,
            seed: 1,
        }
    }
}

/// What became of the others' searches.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Peers.
    pub nodes: u32,
    /// Attackers among them.
    pub attackers: u32,
    /// The share of the searches that found the file, in peace.
    pub recall_in_peace: f64,
    /// The same under attack.
    pub recall_under_attack: f64,
    /// What is kept of the first.
    pub kept: f64,
    /// Milliseconds to the first answer, of half of the searches, in peace.
    pub first_hit_ms_p50_in_peace: Option<f64>,
    /// The same under attack.
    pub first_hit_ms_p50_under_attack: Option<f64>,
    /// Questions that attackers sent.
    pub attack_questions: u64,
    /// Questions that were refused, over a budget.
    pub refused: u64,
    /// Times that an attacker was expelled by a neighbour.
    pub expelled: u64,
    /// Wrong answers, in both.
    pub wrong: u64,
    /// Things that happened, in both.
    pub events: u64,
    /// The hash over both.
    pub event_hash: EventHash,
}

/// Searches in peace and under attack.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    if !(10..=100_000).contains(&params.nodes) {
        return Err(Impossible::new(
            "--nodes",
            params.nodes,
            "from 10 to 100000 peers",
        ));
    }
    if !(2..=30).contains(&params.degree) {
        return Err(Impossible::new(
            "--degree",
            params.degree,
            "from 2 to 30 neighbours",
        ));
    }
    if params.attackers > params.nodes / 2 {
        let possible = format!("at most half of the {} peers", params.nodes);
        return Err(Impossible::new("--attackers", params.attackers, possible));
    }
    let peace = battle(params, 0);
    let attack = battle(params, params.times);
    let mut hash = Fingerprint::default();
    hash.add(peace.hash, attack.hash);
    Ok(Report {
        nodes: params.nodes,
        attackers: params.attackers,
        recall_in_peace: peace.recall,
        recall_under_attack: attack.recall,
        kept: if peace.recall > 0.0 {
            attack.recall / peace.recall
        } else {
            0.0
        },
        first_hit_ms_p50_in_peace: peace.first_ms,
        first_hit_ms_p50_under_attack: attack.first_ms,
        attack_questions: attack.sent,
        refused: attack.refused,
        expelled: attack.expelled,
        wrong: peace.wrong + attack.wrong,
        events: peace.events + attack.events,
        event_hash: EventHash(hash.value()),
    })
}

/// A peer, or one that is none.
enum Peer {
    Honest(Box<Flood>),
    Attacker(Box<Attacker>),
}

/// Behaves like a peer, and asks nonsense beside it.
struct Attacker {
    core: Flood,
    neighbours: Vec<PeerId>,
    /// Questions in one go to each neighbour.
    burst: u32,
    next: Timestamp,
    question: Question,
    rng: Rng,
    outbox: std::collections::VecDeque<Output<FloodMessage, FloodEvent>>,
    sent: u64,
    expelled: u64,
}

/// From one burst to the next.
const PACE: Duration = Duration::from_millis(100);

impl Attacker {
    /// Takes out what the peer in it wants, and sees who its neighbours are.
    fn drain(&mut self) {
        let Self {
            core,
            neighbours,
            outbox,
            expelled,
            ..
        } = self;
        pump(core, |output| {
            match &output {
                Output::Event(FloodEvent::NeighbourUp { peer }) => neighbours.push(*peer),
                Output::Event(FloodEvent::NeighbourDown { peer, .. }) => {
                    neighbours.retain(|neighbour| neighbour != peer);
                    *expelled += 1;
                }
                _ => {}
            }
            outbox.push_back(output);
        });
    }

    fn attack(&mut self, now: Timestamp) {
        if self.burst == 0 || now < self.next {
            return;
        }
        self.next = now + PACE;
        for peer in self.neighbours.clone() {
            for _ in 0..self.burst {
                self.sent += 1;
                let ask = Ask {
                    search: SearchId(self.rng.next_u64()),
                    round: 0,
                    ttl: u8::MAX,
                    hops: 0,
                    report: false,
                    again: false,
                    question: self.question.clone(),
                };
                let message = FloodMessage::Ask(ask);
                self.outbox.push_back(Output::Send { to: peer, message });
            }
        }
    }
}

impl Peer {
    fn core(&mut self) -> &mut Flood {
        match self {
            Self::Honest(core) => core,
            Self::Attacker(attacker) => &mut attacker.core,
        }
    }
}

impl Core for Peer {
    type Message = FloodMessage;
    type Command = FloodCommand;
    type Event = FloodEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: FloodMessage) {
        self.core().handle_message(now, from, message);
    }

    fn handle_command(&mut self, now: Timestamp, command: FloodCommand) {
        self.core().handle_command(now, command);
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        self.core().handle_link(now, peer, link);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.core().handle_timeout(now);
        if let Self::Attacker(attacker) = self {
            attacker.attack(now);
        }
    }

    fn poll_output(&mut self) -> Option<Output<FloodMessage, FloodEvent>> {
        match self {
            Self::Honest(core) => core.poll_output(),
            Self::Attacker(attacker) => {
                attacker.drain();
                attacker.outbox.pop_front()
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Honest(core) => core.next_deadline(),
            Self::Attacker(attacker) if attacker.burst > 0 => {
                let own = attacker.core.next_deadline();
                Some(own.map_or(attacker.next, |own| own.min(attacker.next)))
            }
            Self::Attacker(attacker) => attacker.core.next_deadline(),
        }
    }
}

/// The same people as in other searches.
struct Public(Crowd);

impl App<Peer> for Public {
    fn on_event(
        &mut self,
        now: Timestamp,
        node: u32,
        event: FloodEvent,
        commands: &mut Vec<FloodCommand>,
    ) {
        App::<Flood>::on_event(&mut self.0, now, node, event, commands);
    }

    fn size(&self, message: &FloodMessage) -> u32 {
        App::<Flood>::size(&self.0, message)
    }

    fn kind(&self, message: &FloodMessage) -> u8 {
        App::<Flood>::kind(&self.0, message)
    }
}

/// What came of one of the two.
struct Battle {
    recall: f64,
    first_ms: Option<f64>,
    sent: u64,
    refused: u64,
    expelled: u64,
    wrong: u64,
    events: u64,
    hash: u64,
}

fn battle(params: &Params, times: u32) -> Battle {
    let mut rng = seeded_rng(params.seed);
    let shares = Shares {
        nodes: params.nodes,
        files: params.nodes,
        copies: 3.0,
        zipf: 0.8,
    };
    let library = Library::new(shares, &mut fork_rng(&mut rng));
    let latency = Latency::Uniform(Duration::from_millis(20), Duration::from_millis(180));
    let model = LinkModel::new(Mode::Connected, latency);
    let crowd = Public(Crowd::new(library, params.nodes));
    let mut world = World::new(params.seed, model, crowd);
    let config = Arc::new(Config {
        neighbours_target: u16::try_from(params.degree).unwrap_or(8),
        questions_per_second: params.budget,
        questions_burst: params.budget * 2,
        ..Config::laboratory()
    });
    let burst = params.budget * times / 10;
    for node in 0..params.nodes {
        let core = Flood::new(peer_id(node), Arc::clone(&config), fork_rng(&mut rng));
        let peer = if node < params.attackers {
            Peer::Attacker(Box::new(attacker(core, burst, fork_rng(&mut rng))))
        } else {
            Peer::Honest(Box::new(core))
        };
        world.add(peer);
        let keys = world.app().0.people.library.keys(node);
        world.command(node, FloodCommand::Keys(keys));
        let told = (0..4).map(|_| below(&mut rng, params.nodes)).map(address);
        world.command(node, FloodCommand::Bootstrap(told.collect()));
    }
    // The attack begins with the searches.
    let began = Timestamp::from_secs(60);
    world.run_until(began);
    for _ in 0..params.queries {
        search(params, &mut world, &mut rng);
        world.run_until(world.now() + Duration::from_millis(250));
    }
    let limit = world.now() + Duration::from_secs(300);
    world.run_while(limit, |public| public.0.people.running > 0);
    outcome(params, world)
}

fn attacker(core: Flood, burst: u32, rng: Rng) -> Attacker {
    let query = Query::new("nonsense").expect("a word");
    Attacker {
        core,
        neighbours: Vec::new(),
        burst,
        next: Timestamp::from_secs(60),
        question: Question::from(Wanted::Words(query)),
        rng,
        outbox: std::collections::VecDeque::new(),
        sent: 0,
        expelled: 0,
    }
}

/// An honest peer looks for something.
fn search(params: &Params, world: &mut World<Peer, Public>, rng: &mut Rng) {
    let file = world.app().0.people.library.target(rng);
    let honest = params.nodes - params.attackers;
    let searcher = params.attackers + below(rng, honest);
    let now = world.now();
    let crowd = &mut world.app_mut().0.people;
    let query = crowd.library.query(file);
    let id = crowd.begin(now, searcher, file);
    let command = FloodCommand::Search {
        id,
        wanted: Wanted::Words(query),
        enough: 1,
        strategy: None,
    };
    world.command(searcher, command);
}

fn outcome(params: &Params, world: World<Peer, Public>) -> Battle {
    let (mut sent, mut refused, mut expelled) = (0, 0, 0);
    for node in 0..params.nodes {
        match world.core(node) {
            Some(Peer::Honest(core)) => refused += core.status().counters.refused,
            Some(Peer::Attacker(attacker)) => {
                sent += attacker.sent;
                expelled += attacker.expelled;
            }
            None => {}
        }
    }
    let (events, hash) = (world.stats().events, world.fingerprint());
    let crowd = world.into_app().0.people;
    let possible = crowd.trials.iter().filter(|trial| trial.alive > 0);
    let found = possible.clone().filter(|trial| !trial.found.is_empty());
    let firsts = crowd.trials.iter().filter_map(|trial| trial.first);
    let mut firsts: Vec<f64> = firsts
        .map(|(after, _)| after.as_secs_f64() * 1_000.0)
        .collect();
    firsts.sort_by(f64::total_cmp);
    Battle {
        recall: stats::share(found.count() as u64, possible.count() as u64),
        first_ms: stats::percentile(&firsts, 50.0),
        sent,
        refused,
        expelled,
        wrong: crowd.wrong,
        events,
        hash,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_others_keep_their_answers() {
        let params = Params {
            nodes: 150,
            queries: 100,
            ..Params::default()
        };
        let report = run(&params).unwrap();
        assert!(report.recall_in_peace > 0.99, "{report:?}");
        assert!(report.kept >= 0.95, "{report:?}");
        assert!(
            report.attack_questions > 1_000 && report.refused > 1_000,
            "{report:?}"
        );
        assert_eq!(report.wrong, 0);
    }

    #[test]
    fn what_is_impossible_is_told_with_what_is_possible() {
        let few = Params {
            nodes: 3,
            ..Params::default()
        };
        assert!(run(&few).unwrap_err().to_string().contains("from 10"));
        let many = Params {
            attackers: 200,
            ..Params::default()
        };
        assert!(run(&many).unwrap_err().to_string().contains("half"));
    }
}
