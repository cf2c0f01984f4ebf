//! A peer of small limits among a few others, who say anything at any time.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gannet_base::wire::{WireMessage as _, encode};
use gannet_base::{Core as _, Link, Output, PeerId, Timestamp, pump, seeded_rng};

use super::PEERS;
use crate::flood::{
    Ask, Config, Flood, FloodCommand, FloodEvent, FloodMessage, Hits, RequestId, SearchId,
};
use crate::fuzz::{Choices, Kinds};

/// Most outputs that one input may cause with the limits used here.
const OUTPUTS_MAX: usize = 2_000;
/// Wake-ups within which every search ends when nobody says anything any more.
const WAKE_UPS_MAX: u32 = 20_000;
/// Wake-ups in a row that may be due at once.
const SPINS_MAX: u32 = 100;
/// Characters of the whole state as text.
const STATE_MAX: usize = 400_000;

fn config() -> Config {
    Config {
        neighbours_target: 2,
        ttl_max: 7,
        seen_max: 24,
        open_max: 8,
        searches_max: 3,
        rows_per_answer: 30,
        rows_per_search: 60,
        questions_per_second: 20,
        questions_burst: 40,
        known_max: 6,
        bootstrap_max: 3,
        hellos_per_second: 5,
        control_max: 30,
        strikes_max: 2,
        shuffle_interval: Duration::from_secs(10),
        attempts_max: 2,
        ..Config::default()
    }
}

/// The conversation under way.
struct Talk {
    flood: Flood,
    config: Config,
    now: Timestamp,
    up: BTreeSet<PeerId>,
    dialled: Vec<PeerId>,
    /// Who was asked to be a neighbour, and has not answered.
    greeted: Vec<PeerId>,
    /// Own searches that have not ended, and the number of the next one.
    running: BTreeSet<RequestId>,
    next: RequestId,
    /// What was heard last: answers echo it.
    asks: Vec<(PeerId, Ask)>,
    nonces: Vec<(PeerId, u32)>,
    asked: Vec<SearchId>,
    /// Numbers of the next patches.
    patches: BTreeMap<PeerId, u32>,
    kinds: Kinds,
}

/// The whole conversation.
pub(super) fn talk(input: &[u8]) -> Kinds {
    let mut choices = Choices::new(input);
    let mut talk = Talk::new();
    while !choices.is_empty() {
        talk.step(&mut choices);
        talk.drain();
    }
    talk.fall_silent();
    talk.kinds
}

impl Talk {
    fn new() -> Self {
        let config = config();
        Self {
            flood: Flood::new(PeerId::from_bytes([0; 32]), config.clone(), seeded_rng(1)),
            config,
            now: Timestamp::ZERO,
            up: BTreeSet::new(),
            dialled: Vec::new(),
            greeted: Vec::new(),
            running: BTreeSet::new(),
            next: 0,
            asks: Vec::new(),
            nonces: Vec::new(),
            asked: Vec::new(),
            patches: BTreeMap::new(),
            kinds: Kinds::default(),
        }
    }

    fn step(&mut self, choices: &mut Choices<'_>) {
        match choices.below(24) {
            0 => {
                self.now = self.now + Duration::from_millis(choices.number().min(1 << 20) * 300);
                self.flood.handle_timeout(self.now);
            }
            1..=3 => self.wake(),
            4 => {
                let peer = choices.peer(PEERS);
                self.link(peer, Link::Up);
            }
            5 if choices.below(3) == 0 => {
                let peer = choices.peer(PEERS);
                self.link(peer, Link::Down);
            }
            6 => {
                let peer = choices.peer(PEERS);
                self.link(peer, Link::Unreachable);
            }
            7 => {
                if let Some(peer) = self.dialled.pop() {
                    self.link(peer, Link::Up);
                }
            }
            8 => {
                if let Some(from) = self.greeted.pop() {
                    let welcome = choices.welcome();
                    self.hand_over(from, welcome);
                }
            }
            9 => {
                if let Some(message) = choices.raw() {
                    let from = choices.peer(PEERS);
                    self.hand_over(from, message);
                }
            }
            10..=12 => {
                let command = self.command(choices);
                self.flood.handle_command(self.now, command);
            }
            _ => {
                let from = self.sender(choices);
                let message = self.message(choices, from);
                self.hand_over(from, message);
            }
        }
    }

    fn link(&mut self, peer: PeerId, link: Link) {
        match link {
            Link::Up => self.up.insert(peer),
            Link::Down | Link::Unreachable => self.up.remove(&peer),
        };
        self.flood.handle_link(self.now, peer, link);
    }

    /// A message that came over the wire: within its limits.
    fn hand_over(&mut self, from: PeerId, message: FloodMessage) {
        if message.validate().is_ok() {
            self.flood.handle_message(self.now, from, message);
        }
    }

    fn wake(&mut self) {
        if let Some(due) = self.flood.next_deadline() {
            self.now = self.now.max(due);
            self.flood.handle_timeout(self.now);
        }
    }

    /// Takes what the peer wants done, and checks its limits.
    fn drain(&mut self) {
        let mut outputs = Vec::new();
        pump(&mut self.flood, |output| outputs.push(output));
        assert!(outputs.len() < OUTPUTS_MAX, "{} outputs", outputs.len());
        for output in outputs {
            match output {
                Output::Send { to, message } => self.hear(to, message),
                Output::Dial { peer } => self.dialled.push(peer),
                Output::Disconnect { peer } => {
                    self.up.remove(&peer);
                }
                Output::Event(event) => self.on_event(event),
            }
        }
        self.asks.drain(..self.asks.len().saturating_sub(40));
        self.nonces.drain(..self.nonces.len().saturating_sub(8));
        self.asked.drain(..self.asked.len().saturating_sub(8));
        self.greeted.drain(..self.greeted.len().saturating_sub(8));
        self.dialled.drain(..self.dialled.len().saturating_sub(8));
        let status = self.flood.status();
        assert!(status.neighbours.len() <= usize::from(self.config.neighbours_target) * 2);
        assert!(status.known_peers <= self.config.known_max + self.config.bootstrap_max);
        assert!(self.running.len() <= self.config.searches_max);
    }

    fn hear(&mut self, to: PeerId, message: FloodMessage) {
        assert_ne!(to, PeerId::from_bytes([0; 32]), "to itself");
        assert_eq!(message.validate(), Ok(()));
        encode(&message);
        self.kinds.note(&message);
        match message {
            FloodMessage::Ask(ask) => {
                assert!(ask.ttl > 0 && ask.ttl.saturating_add(ask.hops) <= self.config.ttl_max);
                self.asks.push((to, ask));
            }
            FloodMessage::Hello { .. } => self.greeted.push(to),
            FloodMessage::Ping { nonce } => self.nonces.push((to, nonce)),
            _ => {}
        }
    }

    fn on_event(&mut self, event: FloodEvent) {
        self.kinds.note(&event);
        match event {
            FloodEvent::Ended { id, outcome } => {
                self.kinds.note(&outcome.ending);
                assert!(self.running.remove(&id), "{id} ended twice");
            }
            FloodEvent::Rows { id, .. } => {
                assert!(self.running.contains(&id), "rows for {id}, which is over");
            }
            FloodEvent::Asked { search, .. } => self.asked.push(search),
            FloodEvent::NeighbourDown { reason, .. } => self.kinds.note(&reason),
            FloodEvent::NeighbourUp { .. } | FloodEvent::Addresses(_) => {}
        }
    }

    /// Nobody says anything any more: everything ends, and time goes on.
    fn fall_silent(&mut self) {
        let mut spins = 0;
        for _ in 0..WAKE_UPS_MAX {
            if self.running.is_empty() {
                break;
            }
            let before = self.now;
            self.wake();
            self.drain();
            spins = if self.now > before { 0 } else { spins + 1 };
            assert!(spins < SPINS_MAX, "time stands still");
        }
        assert!(self.running.is_empty(), "{:?} never end", self.running);
        let state = format!("{:?}", self.flood).len();
        assert!(state < STATE_MAX, "the state has {state} characters");
    }

    fn command(&mut self, choices: &mut Choices<'_>) -> FloodCommand {
        match choices.below(14) {
            0 => FloodCommand::Bootstrap(choices.peers()),
            1 => FloodCommand::Announce(choices.addresses()),
            2 => FloodCommand::Seen {
                peer: choices.peer(PEERS),
                addresses: choices.addresses(),
            },
            3 | 4 => FloodCommand::Keys((0..choices.byte()).map(|_| choices.short()).collect()),
            5..=8 => {
                let id = self.next;
                self.next += 1;
                self.running.insert(id);
                FloodCommand::Search {
                    id,
                    wanted: choices.wanted(),
                    enough: choices.short(),
                    strategy: choices.strategy(),
                }
            }
            9 => {
                let id = choices.number();
                self.running.remove(&id);
                FloodCommand::Cancel { id }
            }
            10 | 11 => FloodCommand::Answer {
                search: choices.one_of(&self.asked).unwrap_or_default(),
                rows: choices.rows(),
                addresses: choices.peers(),
            },
            12 if choices.below(4) == 0 => FloodCommand::Leave,
            12 => FloodCommand::Forged {
                via: choices.peer(PEERS),
                hops: u8::from(choices.below(2) == 0),
            },
            _ => FloodCommand::Bootstrap(Vec::new()),
        }
    }

    /// Mostly somebody who is linked.
    fn sender(&self, choices: &mut Choices<'_>) -> PeerId {
        let up: Vec<PeerId> = self.up.iter().copied().collect();
        match choices.below(8) {
            0 => choices.peer(PEERS),
            _ => choices.one_of(&up).unwrap_or_else(|| choices.peer(PEERS)),
        }
    }

    fn message(&mut self, choices: &mut Choices<'_>, from: PeerId) -> FloodMessage {
        let heard: Vec<&(PeerId, Ask)> = self.asks.iter().filter(|(to, _)| *to == from).collect();
        let heard = choices.one_of(&heard).map(|(_, ask)| ask.clone());
        match choices.below(16) {
            0 => FloodMessage::Hello {
                addresses: choices.addresses(),
                neighbours: u16::from(choices.byte()),
            },
            1 => choices.welcome(),
            2 if choices.below(4) == 0 => FloodMessage::Busy {
                peers: choices.peers(),
            },
            3 if choices.below(4) == 0 => FloodMessage::Bye {
                peers: choices.peers(),
            },
            4 => FloodMessage::Ping {
                nonce: choices.short(),
            },
            5 => {
                let nonce = self.nonces.iter().find(|(to, _)| *to == from);
                FloodMessage::Pong {
                    nonce: nonce.map_or(7, |(_, nonce)| *nonce),
                    peers: choices.peers(),
                }
            }
            6 | 7 => {
                let next = self.patches.entry(from).or_default();
                let patch = choices.patch(*next);
                *next = patch.sequence.wrapping_add(1);
                FloodMessage::Table(Box::new(patch))
            }
            8..=10 => {
                let search = heard.map_or_else(|| choices.search(), |ask| ask.search);
                let hits = Hits {
                    hops: choices.byte(),
                    rows: choices.rows(),
                    addresses: choices.peers(),
                };
                FloodMessage::Hits(search, Box::new(hits))
            }
            11 | 12 => choices.report(heard.as_ref()),
            _ => FloodMessage::Ask(choices.ask(heard)),
        }
    }
}
