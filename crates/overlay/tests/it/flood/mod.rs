//! Peers of the flood overlay among each other.

mod counting;
mod joining;
mod searching;

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use gannet_base::wire::SignatureBytes;
use gannet_base::{
    ContentId, Core, FileEntry, Hit, Link, Media, Output, PeerAddress, PeerId, Publication, Query,
    Row, Timestamp, WallTime, fork_rng, seeded_rng,
};
use gannet_overlay::flood::{
    Config, Flood, FloodCommand, FloodEvent, FloodMessage, FloodOutcome, Question, Strategy,
    Wanted, entry_keys,
};

use crate::harness::{Faults, World, peer};

#[derive(Debug, Clone)]
pub(crate) enum Order {
    Flood(FloodCommand),
    /// Connects, as fixed neighbours are.
    Dial(PeerId),
    /// Says this, whatever the rules are.
    Say(PeerId, FloodMessage),
}

/// A peer with files, which answers at once.
pub(crate) struct Peer {
    pub(crate) flood: Flood,
    pub(crate) files: Vec<FileEntry>,
    /// Questions that it looked at.
    pub(crate) asked: u32,
    /// Messages that it sent: questions and all.
    pub(crate) asks_sent: u64,
    pub(crate) sent: u64,
    me: PeerId,
    now: Timestamp,
    extra: VecDeque<Output<FloodMessage, FloodEvent>>,
}

impl Peer {
    fn new(me: PeerId, config: Config, seed: u64) -> Self {
        let first = u64::from(me.as_bytes()[0]);
        let mut rng = seeded_rng(seed * 1_000 + first);
        Self {
            flood: Flood::new(me, config, fork_rng(&mut rng)),
            files: Vec::new(),
            asked: 0,
            asks_sent: 0,
            sent: 0,
            me,
            now: Timestamp::ZERO,
            extra: VecDeque::new(),
        }
    }

    fn rows(&self, question: &Question) -> Vec<Row> {
        let matches = |entry: &&FileEntry| match question.wanted() {
            Wanted::Content(content) => entry.content == *content,
            Wanted::Words(_) => question.expression().is_some_and(|e| e.matches(entry)),
        };
        let matching = self.files.iter().filter(matches);
        matching.map(|entry| row(self.me, entry.clone())).collect()
    }
}

/// A row that nobody has to verify here.
pub(crate) fn row(holder: PeerId, entry: FileEntry) -> Row {
    Row {
        content: entry.content,
        holders: 1,
        hits: vec![Hit {
            publication: Publication {
                entry,
                holder,
                expires: WallTime::from_unix_seconds(1),
                signature: SignatureBytes([7; 64]),
            },
        }],
    }
}

pub(crate) fn file(path: &str) -> FileEntry {
    FileEntry {
        content: ContentId::of(path.as_bytes()),
        size: 1,
        path: path.to_owned(),
        media: Media::default(),
    }
}

impl Core for Peer {
    type Message = FloodMessage;
    type Command = Order;
    type Event = FloodEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: FloodMessage) {
        // What goes over a wire must fit it.
        gannet_base::wire::encode(&message);
        self.now = now;
        self.flood.handle_message(now, from, message);
    }

    fn handle_command(&mut self, now: Timestamp, order: Order) {
        self.now = now;
        match order {
            Order::Flood(command) => self.flood.handle_command(now, command),
            Order::Dial(peer) => self.extra.push_back(Output::Dial { peer }),
            Order::Say(to, message) => self.extra.push_back(Output::Send { to, message }),
        }
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        self.now = now;
        self.flood.handle_link(now, peer, link);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.now = now;
        self.flood.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output<FloodMessage, FloodEvent>> {
        if let Some(output) = self.extra.pop_front() {
            return Some(output);
        }
        let output = self.flood.poll_output()?;
        match &output {
            Output::Event(FloodEvent::Asked {
                search, question, ..
            }) => {
                self.asked += 1;
                let rows = self.rows(question);
                // A peer that has nothing says so in one half of the cases.
                if !rows.is_empty() || search.0 % 2 == 0 {
                    let search = *search;
                    let answer = FloodCommand::Answer {
                        search,
                        rows,
                        addresses: Vec::new(),
                    };
                    self.flood.handle_command(self.now, answer);
                }
            }
            Output::Send { message, .. } => {
                self.sent += 1;
                self.asks_sent += u64::from(matches!(message, FloodMessage::Ask(_)));
            }
            _ => {}
        }
        Some(output)
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.flood.next_deadline()
    }
}

/// A world of `count` peers, numbered from 0.
pub(crate) struct Net {
    pub(crate) world: World<Peer>,
    pub(crate) count: u8,
    pub(crate) ended: BTreeMap<u64, FloodOutcome>,
    pub(crate) rows: BTreeMap<u64, Vec<(u8, Row)>>,
    next: u64,
}

impl Net {
    pub(crate) fn new(seed: u64, faults: Faults, count: u8, config: &Config) -> Self {
        let mut world = World::new(seed, faults);
        for n in 0..count {
            world.start(peer(n), Peer::new(peer(n), config.clone(), seed));
        }
        Self {
            world,
            count,
            ended: BTreeMap::new(),
            rows: BTreeMap::new(),
            next: 0,
        }
    }

    /// Fixed neighbours, connected.
    pub(crate) fn fixed(seed: u64, count: u8, edges: &[(u8, u8)], config: &Config) -> Self {
        let faults = Faults {
            queue: usize::MAX,
            gap: Duration::ZERO,
            jitter: 0,
            ..Faults::NONE
        };
        let mut net = Self::new(seed, faults, count, config);
        for n in 0..count {
            let ends = edges.iter().flat_map(|(a, b)| [(*a, *b), (*b, *a)]);
            let neighbours: Vec<PeerId> = ends
                .filter(|(a, _)| *a == n)
                .map(|(_, b)| peer(b))
                .collect();
            for other in neighbours.iter().filter(|other| **other > peer(n)) {
                net.world.command(peer(n), Order::Dial(*other));
            }
            net.command(n, FloodCommand::Fixed(neighbours));
        }
        net.world.run_for(Duration::from_secs(1));
        net
    }

    pub(crate) fn command(&mut self, n: u8, command: FloodCommand) {
        self.world.command(peer(n), Order::Flood(command));
    }

    /// Gives a peer these files.
    pub(crate) fn share(&mut self, n: u8, paths: &[&str]) {
        let files: Vec<FileEntry> = paths.iter().map(|path| file(path)).collect();
        let mut keys = Vec::new();
        files.iter().for_each(|entry| entry_keys(entry, &mut keys));
        self.world.core_mut(peer(n)).files = files;
        self.command(n, FloodCommand::Keys(keys));
    }

    pub(crate) fn search(&mut self, n: u8, wanted: Wanted, enough: u32, how: Strategy) -> u64 {
        self.next += 1;
        let command = FloodCommand::Search {
            id: self.next,
            wanted,
            enough,
            strategy: Some(how),
        };
        self.command(n, command);
        self.next
    }

    /// Takes the events in.
    pub(crate) fn look(&mut self) {
        for (_, _, event) in std::mem::take(&mut self.world.events) {
            match event {
                FloodEvent::Ended { id, outcome } => {
                    assert!(self.ended.insert(id, outcome).is_none(), "ended twice");
                }
                FloodEvent::Rows { id, hops, rows, .. } => {
                    let of_search = self.rows.entry(id).or_default();
                    of_search.extend(rows.into_iter().map(|row| (hops, row)));
                }
                _ => {}
            }
        }
    }

    /// Runs until a search has ended.
    #[track_caller]
    pub(crate) fn outcome(&mut self, id: u64) -> FloodOutcome {
        let mut ended = std::mem::take(&mut self.ended);
        let mut rows = std::mem::take(&mut self.rows);
        self.world
            .run_until_holds("the search ends", Duration::from_secs(600), |world| {
                let mut look = Self {
                    world: World::new(0, Faults::NONE),
                    count: 0,
                    ended: std::mem::take(&mut ended),
                    rows: std::mem::take(&mut rows),
                    next: 0,
                };
                std::mem::swap(&mut look.world.events, &mut world.events);
                look.look();
                (ended, rows) = (look.ended, look.rows);
                ended.contains_key(&id)
            });
        (self.ended, self.rows) = (ended, rows);
        self.ended[&id]
    }

    pub(crate) fn found(&self, id: u64) -> usize {
        self.rows.get(&id).map_or(0, Vec::len)
    }

    pub(crate) fn sum(&self, of: impl Fn(&Peer) -> u64) -> u64 {
        (0..self.count)
            .filter(|n| self.world.is_up(peer(*n)))
            .map(|n| of(self.world.core(peer(n))))
            .sum()
    }
}

pub(crate) fn words(text: &str) -> Wanted {
    Wanted::Words(Query::new(text).expect("it is a query"))
}

pub(crate) fn content(path: &str) -> Wanted {
    Wanted::Content(ContentId::of(path.as_bytes()))
}

pub(crate) fn at(n: u8) -> PeerAddress {
    PeerAddress {
        peer: peer(n),
        addresses: Vec::new(),
    }
}

pub(crate) fn flood(ttl: u8) -> Strategy {
    Strategy::Flood { ttl }
}

pub(crate) fn rings(ttls: &[u8], widen: bool) -> Strategy {
    let ttls = ttls.to_vec();
    Strategy::Rings { ttls, widen }
}
