//! Honest peers among liars.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use gannet_base::Core;
use gannet_overlay::flood::{Coverage, Ending, PEERS_LISTED_MAX, Welcome, word_key};

use super::*;
use crate::harness::{Faults, World};

/// How a liar treats questions. All of them tell only of peers that do not
/// exist.
#[derive(Debug, Clone, Copy)]
enum Vice {
    /// Takes them and says nothing.
    Silence,
    /// Answers all of them with forgeries, and reports.
    Forgery,
    /// Sends them back to everybody, as far as they can go.
    Echo,
    /// Reports that it asked the whole world.
    Boast,
}

/// Content of forged rows; in truth their signatures do not hold.
const FORGED: u8 = 0xba;

enum Node {
    Honest(Box<Honest>),
    Liar(Liar),
}

/// As a node runs its peer: answers, and verifies.
struct Honest {
    flood: Flood,
    now: Timestamp,
    holds: bool,
    /// Events for the test.
    told: VecDeque<Output<FloodMessage, FloodEvent>>,
}

struct Liar {
    vice: Vice,
    linked: BTreeSet<PeerId>,
    lies: u32,
    outbox: VecDeque<Output<FloodMessage, FloodEvent>>,
}

impl Liar {
    fn say(&mut self, to: PeerId, message: FloodMessage) {
        self.outbox.push_back(Output::Send { to, message });
    }

    fn on_ask(&mut self, from: PeerId, ask: Ask) {
        let report = |asked| FloodMessage::Report {
            search: ask.search,
            round: ask.round,
            ttl: ask.ttl,
            coverage: Coverage {
                asked,
                ..Coverage::default()
            },
        };
        match self.vice {
            Vice::Silence => {}
            Vice::Forgery => {
                self.say(from, hits(ask.search, FORGED));
                self.say(from, report(1));
            }
            Vice::Boast => self.say(from, report(u32::MAX)),
            Vice::Echo => {
                // No more than a few at a time, or the test never ends.
                self.lies += 1;
                if self.lies > 2_000 {
                    return;
                }
                for to in self.linked.clone() {
                    let echo = Ask {
                        ttl: 255,
                        hops: 0,
                        round: ask.round.saturating_add(1),
                        ..ask.clone()
                    };
                    self.say(to, FloodMessage::Ask(echo));
                }
            }
        }
    }

    fn on_message(&mut self, from: PeerId, message: FloodMessage) {
        self.lies += 1;
        let peers = dead(self.lies, PEERS_LISTED_MAX);
        match message {
            FloodMessage::Hello { .. } => {
                let addresses = Vec::new();
                let welcome = Welcome { addresses, peers };
                self.say(from, FloodMessage::Welcome(Box::new(welcome)));
            }
            FloodMessage::Ping { nonce } => self.say(from, FloodMessage::Pong { nonce, peers }),
            FloodMessage::Ask(ask) => self.on_ask(from, ask),
            _ => {}
        }
    }
}

impl Honest {
    /// Does for the peer what a node does.
    fn tend(&mut self) {
        while let Some(output) = self.flood.poll_output() {
            let command = match &output {
                Output::Event(FloodEvent::Asked { search, .. }) => Some(FloodCommand::Answer {
                    search: *search,
                    rows: self.holds.then(|| row(1)).into_iter().collect(),
                    addresses: Vec::new(),
                }),
                Output::Event(FloodEvent::Rows {
                    via, rows, hops, ..
                }) => {
                    let forged = rows.iter().any(|one| one.content == row(FORGED).content);
                    forged.then_some(FloodCommand::Forged {
                        via: *via,
                        hops: *hops,
                    })
                }
                _ => None,
            };
            self.told.push_back(output);
            if let Some(command) = command {
                self.flood.handle_command(self.now, command);
            }
        }
    }
}

impl Core for Node {
    type Message = FloodMessage;
    type Command = FloodCommand;
    type Event = FloodEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: FloodMessage) {
        match self {
            Self::Honest(honest) => {
                honest.now = now;
                honest.flood.handle_message(now, from, message);
                honest.tend();
            }
            Self::Liar(liar) => liar.on_message(from, message),
        }
    }

    fn handle_command(&mut self, now: Timestamp, command: FloodCommand) {
        if let Self::Honest(honest) = self {
            honest.now = now;
            honest.flood.handle_command(now, command);
            honest.tend();
        } else if let (Self::Liar(liar), FloodCommand::Bootstrap(peers)) = (self, command) {
            let dials = peers
                .into_iter()
                .map(|known| Output::Dial { peer: known.peer });
            liar.outbox.extend(dials);
        }
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        match self {
            Self::Honest(honest) => {
                honest.now = now;
                honest.flood.handle_link(now, peer, link);
                honest.tend();
            }
            Self::Liar(liar) if link == Link::Up => {
                liar.linked.insert(peer);
                let (addresses, neighbours) = (Vec::new(), 1);
                liar.say(
                    peer,
                    FloodMessage::Hello {
                        addresses,
                        neighbours,
                    },
                );
            }
            Self::Liar(liar) => {
                liar.linked.remove(&peer);
            }
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        if let Self::Honest(honest) = self {
            honest.now = now;
            honest.flood.handle_timeout(now);
            honest.tend();
        }
    }

    fn poll_output(&mut self) -> Option<Output<FloodMessage, FloodEvent>> {
        match self {
            Self::Honest(honest) => honest.told.pop_front(),
            Self::Liar(liar) => liar.outbox.pop_front(),
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        match self {
            Self::Honest(honest) => honest.flood.next_deadline(),
            Self::Liar(_) => None,
        }
    }
}

const HONEST: u8 = 24;
const LIARS: u8 = 8;

/// A network in which a quarter lies; the last honest peer has the file.
fn network(seed: u64, vices: &[Vice]) -> World<Node> {
    let mut world = World::new(seed, Faults::NONE);
    let named = |n: u8| PeerAddress {
        peer: peer(n),
        addresses: Vec::new(),
    };
    for n in 0..HONEST {
        let rng = seeded_rng(seed * 1_000 + u64::from(n));
        let honest = Honest {
            flood: Flood::new(peer(n), Config::default(), rng),
            now: Timestamp::ZERO,
            holds: n == HONEST - 1,
            told: VecDeque::new(),
        };
        world.start(peer(n), Node::Honest(Box::new(honest)));
    }
    for n in 0..LIARS {
        let liar = Liar {
            vice: vices[usize::from(n) % vices.len()],
            linked: BTreeSet::new(),
            lies: u32::from(n) << 20,
            outbox: VecDeque::new(),
        };
        world.start(peer(100 + n), Node::Liar(liar));
    }
    for n in 1..HONEST {
        // Everybody knows one honest peer and one liar.
        let peers = vec![named(100 + n % LIARS), named(n / 2)];
        world.command(peer(n), FloodCommand::Bootstrap(peers));
        world.run_for(Duration::from_millis(200));
    }
    let keys = vec![word_key("harry"), word_key("potter")];
    world.command(peer(HONEST - 1), FloodCommand::Keys(keys));
    for n in 0..LIARS {
        let peers = (0..6).map(|k| named((n * 5 + k * 3) % HONEST)).collect();
        world.command(peer(100 + n), FloodCommand::Bootstrap(peers));
    }
    world.run_for(Duration::from_secs(240));
    world
}

fn neighbours(world: &World<Node>, n: u8) -> Vec<PeerId> {
    match world.core(peer(n)) {
        Node::Honest(honest) => {
            let status = honest.flood.status();
            status.neighbours.iter().map(|info| info.peer).collect()
        }
        Node::Liar(_) => Vec::new(),
    }
}

/// Honest peers reached from the first over honest peers alone.
fn reached(world: &World<Node>) -> usize {
    let all: BTreeMap<PeerId, Vec<PeerId>> = (0..HONEST)
        .map(|n| (peer(n), neighbours(world, n)))
        .collect();
    let mut seen = BTreeSet::from([peer(0)]);
    let mut todo = vec![peer(0)];
    while let Some(next) = todo.pop() {
        for other in &all[&next] {
            if all.contains_key(other) && seen.insert(*other) {
                todo.push(*other);
            }
        }
    }
    seen.len()
}

/// Every honest peer looks for the one file that there is. How many found it,
/// and how their searches ended.
fn search_all(world: &mut World<Node>) -> (usize, BTreeMap<Ending, usize>) {
    let mut found = BTreeSet::new();
    let mut endings = BTreeMap::new();
    for n in 0..HONEST - 1 {
        world.events.clear();
        let command = FloodCommand::Search {
            id: n.into(),
            wanted: words("harry potter"),
            enough: 3,
            strategy: None,
        };
        world.command(peer(n), command);
        world.run_until_holds("the search ends", Duration::from_secs(200), |world| {
            std::mem::take(&mut world.events)
                .into_iter()
                .any(|(_, id, event)| match event {
                    FloodEvent::Rows { rows, .. } if id == peer(n) => {
                        if rows.iter().any(|one| one.content == row(1).content) {
                            found.insert(n);
                        }
                        false
                    }
                    FloodEvent::Ended { outcome, .. } => {
                        *endings.entry(outcome.ending).or_default() += 1;
                        true
                    }
                    _ => false,
                })
        });
    }
    (found.len(), endings)
}

#[track_caller]
fn check(vices: &[Vice]) {
    for seed in 1..=3 {
        let mut world = network(seed, vices);
        assert_eq!(
            reached(&world),
            usize::from(HONEST),
            "seed {seed}: honest peers"
        );
        for n in 0..HONEST {
            let count = neighbours(&world, n).len();
            assert!(
                (4..=16).contains(&count),
                "seed {seed}: {count} neighbours of {n}"
            );
        }
        let (found, endings) = search_all(&mut world);
        assert_eq!(found, usize::from(HONEST) - 1, "seed {seed}: {endings:?}");
    }
}

#[test]
fn who_tells_only_of_the_dead_and_passes_nothing_on_hides_nothing() {
    check(&[Vice::Silence]);
}

#[test]
fn forgers_do_not_end_searches() {
    check(&[Vice::Forgery]);
}

/// Echoes overtake questions and draw answers away, so some searches miss; but
/// they do not drown anybody, nor tear the network apart, and once they are
/// gone everybody finds everything.
#[test]
fn echoes_do_no_lasting_harm() {
    for seed in 1..=3 {
        let mut world = network(seed, &[Vice::Echo]);
        search_all(&mut world);
        assert_eq!(reached(&world), usize::from(HONEST), "seed {seed}");
        for n in 0..LIARS {
            world.crash(peer(100 + n));
        }
        world.run_for(Duration::from_secs(60));
        let (found, endings) = search_all(&mut world);
        assert_eq!(found, usize::from(HONEST) - 1, "seed {seed}: {endings:?}");
    }
}

#[test]
fn boasts_do_not_end_searches() {
    check(&[Vice::Boast]);
}

#[test]
fn all_of_them_together() {
    check(&[Vice::Silence, Vice::Forgery, Vice::Echo, Vice::Boast]);
}
