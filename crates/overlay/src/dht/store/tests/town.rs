//! Peers of the overlay with 10 ms between any two.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use gannet_base::{
    ContentId, Core as _, FileEntry, Link, Media, Output, PeerId, Publication, Query, Timestamp,
    WallTime, pump, seeded_rng,
};

use crate::dht::ring::{self, Contact};
use crate::dht::store::{Config, StoreMessage};
use crate::dht::{self, Dht, DhtCommand, DhtEvent, DhtMessage, DhtOutcome, Settled};
use crate::flood::Wanted;

const LATENCY: Duration = Duration::from_millis(10);
const DIAL: Duration = Duration::from_millis(500);
/// The calendar's time at the start.
pub(super) const TODAY: u64 = 2_000_000_000;

pub(super) fn key(n: u16) -> SigningKey {
    let mut seed = [7; 32];
    seed[..2].copy_from_slice(&n.to_be_bytes());
    SigningKey::from_bytes(&seed)
}

/// The id of peer `n`.
pub(super) fn peer(n: u16) -> PeerId {
    PeerId::from_bytes(key(n).verifying_key().to_bytes())
}

pub(super) fn entry(path: &str) -> FileEntry {
    FileEntry {
        content: ContentId::of(path.as_bytes()),
        size: 1,
        path: path.to_owned(),
        media: Media::default(),
    }
}

/// What peer `n` says that it has, for so many seconds.
pub(super) fn signed(n: u16, path: &str, life: u64) -> Publication {
    let expires = WallTime::from_unix_seconds(TODAY + life);
    Publication::sign(entry(path), expires, &key(n))
}

/// A week less an hour.
pub(super) const LIFE: u64 = 7 * 24 * 3_600 - 3_600;

pub(super) fn config() -> dht::Config {
    dht::Config {
        ring: ring::Config {
            successors: 8,
            ..ring::Config::default()
        },
        ..dht::Config::default()
    }
}

/// The same with another store.
pub(super) fn with_store(change: impl FnOnce(&mut Config)) -> dht::Config {
    let mut config = config();
    change(Arc::make_mut(&mut config.store));
    config
}

enum Due {
    Message(PeerId, PeerId, DhtMessage),
    Link(PeerId, PeerId, Link),
}

pub(super) struct Town {
    pub(super) now: Timestamp,
    pub(super) peers: BTreeMap<PeerId, Dht>,
    links: BTreeSet<(PeerId, PeerId)>,
    due: BTreeMap<(Timestamp, u64), Due>,
    wakes: BTreeMap<PeerId, Timestamp>,
    next: u64,
    pub(super) events: Vec<(PeerId, DhtEvent)>,
    side: BTreeMap<PeerId, u8>,
    pub(super) config: Arc<dht::Config>,
    /// Messages taken, by peer, of all parts.
    pub(super) load: BTreeMap<PeerId, u64>,
    /// What peers of whom nothing good is known say instead of answering.
    pub(super) lies: Option<fn(&StoreMessage) -> Option<StoreMessage>>,
    pub(super) liars: BTreeSet<PeerId>,
}

/// What a search came to.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) paths: BTreeSet<String>,
    pub(super) holders: BTreeSet<PeerId>,
    pub(super) outcome: DhtOutcome,
}

impl Town {
    pub(super) fn new(config: dht::Config) -> Self {
        Self {
            now: Timestamp::from_secs(1),
            peers: BTreeMap::new(),
            links: BTreeSet::new(),
            due: BTreeMap::new(),
            wakes: BTreeMap::new(),
            next: 0,
            events: Vec::new(),
            side: BTreeMap::new(),
            config: Arc::new(config),
            load: BTreeMap::new(),
            lies: None,
            liars: BTreeSet::new(),
        }
    }

    /// So many peers in their ideal places, which have compared notes.
    pub(super) fn settled(config: dht::Config, count: u16) -> Self {
        let mut town = Self::new(config);
        let mut nodes: Vec<Contact> = (0..count).map(|n| Contact::new(peer(n), 0)).collect();
        nodes.sort_by_key(|node| node.position);
        let (r, size) = (town.config.ring.successors, nodes.len());
        for (place, node) in nodes.iter().enumerate() {
            let after = |step: usize| nodes[(place + step) % size].clone();
            let fingers = (0..128).map(|bit| {
                let start = node.position.plus(1 << bit);
                let first = nodes.partition_point(|node| node.position < start) % size;
                (bit, nodes[first].clone())
            });
            let place = Settled {
                predecessor: after(size - 1),
                before: Vec::new(),
                successors: (1..=r.min(size - 1)).map(after).collect(),
                fingers: fingers.filter(|(_, finger)| finger != node).collect(),
            };
            let seed = u64::try_from(town.peers.len()).unwrap();
            let core = Dht::settled(
                node.peer,
                town.config.clone(),
                seeded_rng(seed),
                vec![place],
            );
            town.put(node.peer, core);
        }
        town.run(Duration::from_secs(10));
        town
    }

    fn put(&mut self, id: PeerId, core: Dht) {
        self.peers.insert(id, core);
        let today = TODAY + self.now.as_micros() / 1_000_000;
        self.tell(id, DhtCommand::WallTime(WallTime::from_unix_seconds(today)));
    }

    /// A newcomer.
    pub(super) fn join(&mut self, n: u16, knows: &[u16]) {
        let core = Dht::new(peer(n), self.config.clone(), seeded_rng(u64::from(n) + 999));
        self.put(peer(n), core);
        let address = |n: &u16| gannet_base::PeerAddress {
            peer: peer(*n),
            addresses: Vec::new(),
        };
        let known = knows.iter().map(address).collect();
        self.command(n, DhtCommand::Bootstrap(known));
    }

    pub(super) fn command(&mut self, n: u16, command: DhtCommand) {
        self.tell(peer(n), command);
    }

    pub(super) fn tell(&mut self, id: PeerId, command: DhtCommand) {
        let now = self.now;
        self.peers
            .get_mut(&id)
            .unwrap()
            .handle_command(now, command);
        self.drain(id);
    }

    /// A message from nobody in particular.
    pub(super) fn say(&mut self, from: PeerId, to: PeerId, message: StoreMessage) {
        let message = DhtMessage::Store(message);
        let now = self.now;
        self.peers
            .get_mut(&to)
            .unwrap()
            .handle_message(now, from, message);
        self.drain(to);
    }

    /// Peer `n` publishes these.
    pub(super) fn publish(&mut self, n: u16, paths: &[&str]) {
        let publications = paths.iter().map(|path| signed(n, path, LIFE)).collect();
        self.command(n, DhtCommand::Publish(publications));
    }

    fn later(&mut self, after: Duration, due: Due) {
        self.next += 1;
        self.due.insert((self.now + after, self.next), due);
    }

    fn can_reach(&self, a: PeerId, b: PeerId) -> bool {
        self.peers.contains_key(&b) && self.side.get(&a) == self.side.get(&b)
    }

    fn drain(&mut self, id: PeerId) {
        let mut outputs = Vec::new();
        let core = self.peers.get_mut(&id).unwrap();
        pump(core, |output| outputs.push(output));
        let wake = core.next_deadline().unwrap_or(Timestamp::MAX);
        self.wakes.insert(id, wake);
        for output in outputs {
            match output {
                Output::Send { to, message } => {
                    gannet_base::wire::WireMessage::validate(&message).expect("bounded");
                    if self.links.contains(&pair(id, to)) {
                        self.later(LATENCY, Due::Message(id, to, message));
                    }
                }
                Output::Dial { peer } if self.can_reach(id, peer) => {
                    self.links.insert(pair(id, peer));
                    self.later(LATENCY, Due::Link(peer, id, Link::Up));
                    self.later(LATENCY, Due::Link(id, peer, Link::Up));
                }
                Output::Dial { peer } => self.later(DIAL, Due::Link(id, peer, Link::Unreachable)),
                Output::Disconnect { peer } => {
                    if self.links.remove(&pair(id, peer)) {
                        self.later(LATENCY, Due::Link(peer, id, Link::Down));
                    }
                }
                Output::Event(event) => self.events.push((id, event)),
            }
        }
    }

    /// Dies without a word.
    pub(super) fn kill(&mut self, id: PeerId) {
        self.peers.remove(&id);
        self.wakes.remove(&id);
        let ends: Vec<(PeerId, PeerId)> = self
            .links
            .iter()
            .copied()
            .filter(|(a, b)| *a == id || *b == id)
            .collect();
        for (a, b) in ends {
            self.links.remove(&(a, b));
            let other = if a == id { b } else { a };
            self.later(LATENCY, Due::Link(other, id, Link::Down));
        }
    }

    /// Links across the cut break, and cannot be made.
    pub(super) fn cut(&mut self, side: impl Fn(PeerId) -> u8) {
        self.side = self.peers.keys().map(|id| (*id, side(*id))).collect();
        let across = |(a, b): &&(PeerId, PeerId)| self.side.get(a) != self.side.get(b);
        let broken: Vec<(PeerId, PeerId)> = self.links.iter().filter(across).copied().collect();
        for (a, b) in broken {
            self.links.remove(&(a, b));
            self.later(LATENCY, Due::Link(a, b, Link::Down));
            self.later(LATENCY, Due::Link(b, a, Link::Down));
        }
    }

    pub(super) fn mend(&mut self) {
        self.side.clear();
    }

    pub(super) fn run(&mut self, time: Duration) {
        let end = self.now + time;
        self.run_until(end, |_| false);
    }

    pub(super) fn run_until(&mut self, end: Timestamp, is_so: impl Fn(&Self) -> bool) -> bool {
        loop {
            if is_so(self) {
                return true;
            }
            let message = self.due.first_key_value().map(|(at, _)| at.0);
            let wake = self
                .wakes
                .iter()
                .min_by_key(|(_, at)| **at)
                .map(|(id, at)| (*at, *id));
            let wake_at = wake.map(|(at, _)| at.max(self.now));
            let next = [message, wake_at].into_iter().flatten().min();
            let Some(next) = next.filter(|next| *next <= end) else {
                self.now = end;
                return is_so(self);
            };
            self.now = next;
            if message == Some(next) {
                let (_, due) = self.due.pop_first().unwrap();
                self.deliver(due);
            } else if let Some((_, id)) = wake {
                self.peers.get_mut(&id).unwrap().handle_timeout(next);
                self.drain(id);
            }
        }
    }

    fn deliver(&mut self, due: Due) {
        let now = self.now;
        match due {
            Due::Message(from, to, message) => {
                if !self.can_reach(from, to) || !self.links.contains(&pair(from, to)) {
                    return;
                }
                *self.load.entry(to).or_default() += 1;
                if let (true, Some(lies), DhtMessage::Store(asked)) =
                    (self.liars.contains(&to), self.lies, &message)
                    && let Some(lie) = lies(asked)
                {
                    self.later(LATENCY, Due::Message(to, from, DhtMessage::Store(lie)));
                    return;
                }
                self.peers
                    .get_mut(&to)
                    .unwrap()
                    .handle_message(now, from, message);
                self.drain(to);
            }
            Due::Link(to, other, link) => {
                if let Some(core) = self.peers.get_mut(&to) {
                    core.handle_link(now, other, link);
                    self.drain(to);
                }
            }
        }
    }

    /// Peer `n` looks for something.
    pub(super) fn look(&mut self, n: u16, wanted: Wanted, enough: u32) -> Answer {
        self.events.clear();
        let (id, asker) = (self.next, peer(n));
        self.command(n, DhtCommand::Search { id, wanted, enough });
        let ended = |(who, event): &(PeerId, DhtEvent)| match event {
            DhtEvent::Ended { id: of, outcome } if *who == asker && *of == id => Some(*outcome),
            _ => None,
        };
        let end = self.now + Duration::from_secs(60);
        let is_over = |town: &Self| town.events.iter().any(|event| ended(event).is_some());
        assert!(self.run_until(end, is_over), "a search ends");
        let (mut paths, mut holders) = (BTreeSet::new(), BTreeSet::new());
        for (_, event) in &self.events {
            if let DhtEvent::Rows { rows, .. } = event {
                for hit in rows.iter().flat_map(|row| &row.hits) {
                    paths.insert(hit.entry().path.clone());
                    holders.insert(hit.holder());
                }
            }
        }
        let outcome = self.events.iter().find_map(ended).unwrap();
        Answer {
            paths,
            holders,
            outcome,
        }
    }

    /// Peer `n` looks for all that matches.
    pub(super) fn find(&mut self, n: u16, query: &str) -> Answer {
        self.look(n, Wanted::Words(Query::new(query).unwrap()), u32::MAX)
    }

    /// Peer `n` looks for all that have the content of this path.
    pub(super) fn sources(&mut self, n: u16, path: &str) -> Answer {
        self.look(n, Wanted::Content(ContentId::of(path.as_bytes())), u32::MAX)
    }

    /// Until everything published is stored, and copies of it.
    pub(super) fn rest(&mut self) {
        let end = self.now + Duration::from_secs(120);
        let stored = |town: &Self| {
            town.peers
                .values()
                .all(|dht| dht.status().store.keys_pending == 0)
        };
        assert!(self.run_until(end, stored), "everything is published");
        self.run(Duration::from_secs(1));
    }

    /// The peers that hold a record of this word, or of all.
    pub(super) fn holding(&self) -> Vec<PeerId> {
        let holds = |dht: &Dht| dht.status().store.postings > 0;
        self.peers
            .iter()
            .filter(|(_, dht)| holds(dht))
            .map(|(id, _)| *id)
            .collect()
    }
}

fn pair(a: PeerId, b: PeerId) -> (PeerId, PeerId) {
    (a.min(b), a.max(b))
}
