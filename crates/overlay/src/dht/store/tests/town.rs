//! A world whose peers publish, store and find.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use gannet_base::{ContentId, FileEntry, Media, PeerId, Publication, Query, WallTime, seeded_rng};

use crate::dht::ring;
use crate::dht::store::{Config, StoreMessage};
use crate::dht::world::{self, Own, World, address};
use crate::dht::{self, Dht, DhtCommand, DhtEvent, DhtMessage, DhtOutcome};
use crate::flood::Wanted;

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

pub(super) type Town = world::Town<Searches>;

/// How many there were.
#[derive(Default)]
pub(in crate::dht) struct Searches(u64);

impl Own for Searches {}

/// What a search came to.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) paths: BTreeSet<String>,
    pub(super) holders: BTreeSet<PeerId>,
    pub(super) outcome: DhtOutcome,
}

impl Town {
    pub(super) fn new(config: dht::Config) -> Self {
        Self::of(World::new(config))
    }

    /// So many peers in their ideal places, which have compared notes.
    pub(super) fn settled(config: dht::Config, count: u16) -> Self {
        let mut town = Self::of(World::settled(config, (0..count).map(peer)));
        for n in 0..count {
            town.tell_time(n);
        }
        town.run(Duration::from_secs(10));
        town
    }

    fn tell_time(&mut self, n: u16) {
        let today = TODAY + self.now.as_micros() / 1_000_000;
        self.command(n, DhtCommand::WallTime(WallTime::from_unix_seconds(today)));
    }

    /// A newcomer.
    pub(super) fn join(&mut self, n: u16, knows: &[u16]) {
        let core = Dht::new(peer(n), self.config.clone(), seeded_rng(u64::from(n) + 999));
        self.put(peer(n), core);
        self.tell_time(n);
        let known = knows.iter().map(|n| address(peer(*n))).collect();
        self.command(n, DhtCommand::Bootstrap(known));
    }

    pub(super) fn command(&mut self, n: u16, command: DhtCommand) {
        self.tell(peer(n), command);
    }

    /// A message from nobody in particular.
    pub(super) fn say(&mut self, from: PeerId, to: PeerId, message: StoreMessage) {
        World::say(self, from, to, DhtMessage::Store(message));
    }

    /// What liars say from now on in place of answering.
    pub(super) fn lie(&mut self, lie: fn(&StoreMessage) -> Option<StoreMessage>) {
        self.lies = Some(Box::new(move |_, message| match message {
            DhtMessage::Store(message) => lie(message).map(DhtMessage::Store),
            _ => None,
        }));
    }

    /// Peer `n` publishes these.
    pub(super) fn publish(&mut self, n: u16, paths: &[&str]) {
        let publications = paths.iter().map(|path| signed(n, path, LIFE)).collect();
        self.command(n, DhtCommand::Publish(publications));
    }

    /// Peer `n` looks for something.
    pub(super) fn look(&mut self, n: u16, wanted: Wanted, enough: u32) -> Answer {
        self.events.clear();
        self.own.0 += 1;
        let (id, asker) = (self.own.0, peer(n));
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
