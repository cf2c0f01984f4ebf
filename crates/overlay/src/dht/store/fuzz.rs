//! Body of the fuzz target: a conversation about records with peers who say anything.
//! Nothing panics, nothing outgrows its limits, every search ends, and nothing is held
//! that its holder has not signed.

use std::collections::BTreeSet;
use std::time::Duration;

use ed25519_dalek::SigningKey;
use gannet_base::wire::{Decoded, decode, encode};
use gannet_base::{
    ContentId, FileEntry, Media, PeerId, Publication, Timestamp, WallTime, seeded_rng,
};

use super::message::ListState;
use super::receipts::RECEIPTS_MAX;
use super::sync::SESSIONS_MAX;
use super::{
    Around, Ask, Config, Contact, Cursor, Difference, Found, Hint, Item, LIARS_MAX, Led, Load,
    LookupCost, Mark, Mode, Place, Position, Record, RecordId, Refusal, Refused, Shard, Span, Spot,
    Standing, Store, StoreMessage, Summary, Summed, Vouch, Word,
};
use crate::dht::DhtMessage;
use crate::dht::api::DhtEvent;
use crate::dht::parts::PartOutput;
use crate::flood::Wanted;
use crate::fuzz::{Choices, Kinds};

/// How many others there are.
const PEERS: u8 = 9;
/// The calendar at the beginning, seconds.
const BEGINNING: u64 = 1_800_000_000;
/// Good publications that there are.
const GOOD: u8 = 6;
/// Most outputs that one input may cause with the limits used here.
const OUTPUTS_MAX: usize = 5_000;
/// Wake-ups within which every search ends when nobody says anything any more.
const WAKE_UPS_MAX: u32 = 20_000;

/// A conversation.
pub fn dht_store(input: &[u8]) {
    let _ = talk(input);
}

fn config() -> Config {
    Config {
        copies: 3,
        postings_max: 40,
        postings_per_holder_max: 20,
        bytes_max: 12_000,
        list_max: 3,
        list_hard_max: 9,
        own_max: 5,
        hints_max: 4,
        regions_max: 3,
        searches_max: 2,
        sources_max: 4,
        shards_per_search_max: 8,
        pages_per_list_max: 4,
        ..Config::default()
    }
}

fn key(n: u8) -> SigningKey {
    SigningKey::from_bytes(&[n + 1; 32])
}

fn good(n: u8) -> Publication {
    let entry = FileEntry {
        content: ContentId::from_bytes([n * 40; 32]),
        size: 7,
        path: format!("folder/word {n}"),
        media: Media::default(),
    };
    let expires = WallTime::from_unix_seconds(BEGINNING + 3_600 * (1 + u64::from(n)));
    Publication::sign(entry, expires, &key(n % 3))
}

impl Choices<'_> {
    fn other(&mut self) -> Contact {
        Contact::new(PeerId::from_bytes([1 + self.below(PEERS); 32]), 0)
    }

    fn word(&mut self) -> Word {
        let texts = ["word", "folder", "0", "1", "other"];
        Word::from(self.one_of(&texts).unwrap_or_default())
    }

    fn shard(&mut self) -> Shard {
        let content = ContentId::from_bytes([self.byte(); 32]);
        Shard::of(content, self.below(4))
    }

    fn list(&mut self) -> Place {
        match self.below(4) {
            0 => Place::Sources,
            1 => Place::Word(self.word(), self.shard()),
            _ => Place::Word(self.word(), Shard::ROOT),
        }
    }

    fn record(&mut self, pool: &[Publication]) -> Record {
        let mut publication = self.one_of(pool).expect("there are some");
        match self.below(5) {
            0 => publication.entry.size += 1,
            1 => publication.holder = self.other().peer,
            _ => {}
        }
        Record::new(publication, self.addresses())
    }

    fn mark(&mut self) -> Mark {
        let bits = self.below(14);
        let states = [ListState::Whole, ListState::Gone, ListState::Split { bits }];
        Mark {
            word: self.word(),
            shard: self.shard(),
            epoch: self.short(),
            state: self.one_of(&states).expect("three"),
            count: self.short(),
        }
    }

    fn load(&mut self, pool: &[Publication]) -> Box<Load> {
        let items = (0..self.below(4)).map(|_| Item {
            record: self.record(pool),
            age_s: self.short(),
            places: (0..=self.below(3)).map(|_| self.list()).collect(),
        });
        let items = items.collect();
        let marks = (0..self.below(3)).map(|_| self.mark()).collect();
        Box::new(Load { items, marks })
    }

    fn spot(&mut self) -> Spot {
        let key = match self.below(3) {
            0 => Position(u128::from(self.byte()) << 120),
            1 => Position::of_word(self.word().text(), 0),
            _ => Position(u128::MAX),
        };
        let id = [0, 1, u128::MAX][usize::from(self.below(3))];
        (key, RecordId(id))
    }

    fn spans(&mut self) -> Vec<Span> {
        let count = self.below(4);
        let span = |choices: &mut Self| Span {
            first: choices.spot(),
            last: choices.spot(),
        };
        (0..count).map(|_| span(self)).collect()
    }

    fn summed(&mut self) -> Vec<Summed> {
        let spans = self.spans();
        let summed = spans.into_iter().map(|span| Summed {
            span,
            summary: Summary {
                count: self.short(),
                digest: self.number(),
            },
        });
        summed.collect()
    }

    fn hints(&mut self) -> Vec<Hint> {
        let count = self.below(3);
        let hint = |choices: &mut Self| Hint {
            word: choices.word(),
            bits: choices.below(13),
            count: choices.short(),
        };
        (0..count).map(|_| hint(self)).collect()
    }

    fn around(&mut self, me: PeerId) -> Vec<Around> {
        let me = Contact::new(me, 0);
        let mut near: Vec<Contact> = (0..self.below(6)).map(|_| self.other()).collect();
        near.sort_by_key(|node| me.position.distance_to(node.position));
        near.dedup();
        let predecessor = near.last().cloned();
        let before = near.iter().rev().map(|node| node.position).collect();
        let node = Around {
            me,
            predecessor,
            successors: near,
            before,
            is_everybody: self.flag(),
        };
        (0..self.below(4).min(1)).map(|_| node.clone()).collect()
    }
}

struct Talk {
    store: Store,
    now: Timestamp,
    pool: Vec<Publication>,
    /// What was said to others, so that answers can echo it.
    said: Vec<(PeerId, StoreMessage)>,
    located: Vec<u64>,
    running: BTreeSet<u64>,
    next: u64,
    verified: BTreeSet<(RecordId, u64)>,
    kinds: Kinds,
}

fn talk(input: &[u8]) -> Kinds {
    let mut choices = Choices::new(input);
    let me = PeerId::from_bytes(key(0).verifying_key().to_bytes());
    let mut store = Store::new(me, config(), seeded_rng(1));
    store.set_wall_time(Timestamp::ZERO, WallTime::from_unix_seconds(BEGINNING));
    let mut talk = Talk {
        store,
        now: Timestamp::ZERO,
        pool: (0..GOOD).map(good).collect(),
        said: Vec::new(),
        located: Vec::new(),
        running: BTreeSet::new(),
        next: 0,
        verified: BTreeSet::new(),
        kinds: Kinds::default(),
    };
    while !choices.is_empty() {
        talk.step(&mut choices);
        talk.drain();
        talk.check();
    }
    talk.fall_silent();
    talk.kinds
}

impl Talk {
    fn step(&mut self, choices: &mut Choices<'_>) {
        let now = self.now;
        match choices.below(16) {
            0 => {
                self.now = now + Duration::from_millis(u64::from(choices.byte()) * 90);
                self.store.handle_timeout(self.now);
            }
            1 | 2 => {
                self.now = self.store.next_deadline().map_or(now, |due| due.max(now));
                self.store.handle_timeout(self.now);
            }
            3 => {
                let nodes = choices.around(self.store.me);
                self.store.on_neighbourhood(now, nodes);
            }
            4 | 5 => {
                if let Some(id) = self.located.pop() {
                    let found = choices.flag().then(|| Led {
                        predecessor: choices.other(),
                        from: choices.other().position,
                        owners: (0..=choices.below(4)).map(|_| choices.other()).collect(),
                        agreeing: 1,
                    });
                    self.store.on_located(now, id, found, LookupCost::default());
                }
            }
            6 | 7 => self.command(choices),
            8..=11 => {
                if let Some((from, said)) = self.said.pop() {
                    let message = self.answer(choices, &said);
                    self.hand_over(from, message);
                }
            }
            _ => {
                let from = choices.other().peer;
                let message = self.something(choices);
                self.hand_over(from, message);
            }
        }
    }

    fn hand_over(&mut self, from: PeerId, message: StoreMessage) {
        // Only what can come over a wire comes.
        let bytes = encode(&DhtMessage::Store(message));
        if let Ok(Decoded::Message(DhtMessage::Store(message))) = decode(&bytes) {
            self.store.handle_message(self.now, from, message);
        }
    }

    fn command(&mut self, choices: &mut Choices<'_>) {
        let now = self.now;
        match choices.below(9) {
            0 | 1 => {
                let own = self.pool.iter().filter(|one| one.holder == self.store.me);
                let own = own.cloned().collect();
                self.store.publish(now, own);
            }
            2 => self.store.on_unreachable(now, choices.other().peer),
            3 => self.store.see(choices.other().peer, choices.addresses()),
            4 => self.store.announce(&choices.addresses()),
            5 => self.store.on_forged(now, choices.other().peer),
            6 => {
                let id = u64::from(choices.below(9));
                self.running.remove(&id);
                self.store.cancel(id);
            }
            7 if choices.below(4) == 0 => self.store.leave(now),
            _ => {
                self.next += 1;
                self.running.insert(self.next);
                let wanted = if choices.flag() {
                    Wanted::Words(choices.query())
                } else {
                    Wanted::Content(ContentId::from_bytes([choices.below(3) * 40; 32]))
                };
                let enough = choices.short();
                self.store.search(now, self.next, wanted, enough);
            }
        }
    }

    fn drain(&mut self) {
        let mut count = 0;
        while let Some(output) = self.store.poll() {
            count += 1;
            match output {
                PartOutput::Send { message, to } => self.note(to.peer, message),
                PartOutput::Reply { message, to } => self.note(to, message),
                PartOutput::Locate { id, .. } => self.located.push(id),
                PartOutput::Cancel { .. } => {}
                PartOutput::Event(event) => {
                    self.kinds.note(&event);
                    if let DhtEvent::Ended { id, .. } = event {
                        assert!(self.running.remove(&id), "a search ends once: {id}");
                    }
                }
            }
        }
        assert!(count < OUTPUTS_MAX, "one input caused {count} outputs");
        self.said.truncate(64);
    }

    fn note(&mut self, to: PeerId, message: StoreMessage) {
        self.kinds.note(&message);
        let whole = DhtMessage::Store(message.clone());
        assert_eq!(
            decode::<DhtMessage>(&encode(&whole)),
            Ok(Decoded::Message(whole))
        );
        self.said.push((to, message));
    }

    /// Nothing outgrows its limits, nothing unsigned is held.
    fn check(&mut self) {
        let (store, config) = (&self.store, &self.store.config);
        assert!(store.shelf.len() <= config.postings_max);
        assert!(store.shelf.bytes() <= config.bytes_max + 4_096);
        assert!(store.shelf.marks_len() <= config.postings_max / 8 + 8);
        assert!(store.own.len() <= config.own_max);
        assert!(store.hints.len() <= config.hints_max);
        assert!(store.known.regions_len() <= config.regions_max);
        assert!(store.searches.len() <= config.searches_max);
        assert!(store.receipts.len() <= RECEIPTS_MAX);
        assert!(store.liars.len() <= LIARS_MAX);
        assert!(store.syncing.sessions.len() <= SESSIONS_MAX);
        for (key, list) in store.shelf.lists() {
            for posting in store.shelf.list(key) {
                let publication = posting.record.publication();
                let name = (posting.record.id(), publication.entry.size);
                if self.verified.insert(name) {
                    let signed = publication.verify(WallTime::from_unix_seconds(BEGINNING));
                    assert!(signed.is_ok(), "{publication:?} is held");
                }
                assert!(list.place.suits(&posting.record, true), "{:?}", list.place);
            }
        }
    }

    /// Nobody says anything any more.
    fn fall_silent(&mut self) {
        for _ in 0..WAKE_UPS_MAX {
            if self.running.is_empty() {
                return;
            }
            let due = self.store.next_deadline().expect("searches have deadlines");
            self.now = self.now.max(due);
            self.store.handle_timeout(self.now);
            self.drain();
        }
        panic!("searches {:?} never end", self.running);
    }

    /// What an honest peer would answer, more or less.
    fn answer(&self, choices: &mut Choices<'_>, said: &StoreMessage) -> StoreMessage {
        match *said {
            StoreMessage::Store { request, .. } => StoreMessage::Stored {
                request,
                refused: refused(choices),
                hints: choices.hints(),
            },
            StoreMessage::Search { request, .. } => StoreMessage::Answer {
                request,
                found: Box::new(self.found(choices)),
                hints: choices.hints(),
            },
            StoreMessage::Poll { request, .. } => StoreMessage::Polled {
                request,
                state: choices.flag().then(|| choices.mark().state),
                count: choices.short(),
            },
            StoreMessage::Compare { request, .. } => self.compared(choices, request),
            StoreMessage::Fetch { request, .. } => StoreMessage::Fetched {
                request,
                load: choices.load(&self.pool),
            },
            _ => self.something(choices),
        }
    }

    fn found(&self, choices: &mut Choices<'_>) -> Found {
        match choices.below(7) {
            0 => Found::NoShard,
            1 => Found::NotMine,
            2 => Found::Busy,
            3 => Found::Split {
                bits: choices.byte(),
                count: choices.short(),
            },
            _ => Found::Entries {
                records: (0..choices.below(4))
                    .map(|_| choices.record(&self.pool))
                    .collect(),
                next: choices
                    .flag()
                    .then(|| Cursor(choices.below(4), choices.spot().1)),
                total: choices.short(),
                digest: choices.number(),
                listed: choices.short(),
                is_sure: choices.flag(),
            },
        }
    }

    fn compared(&self, choices: &mut Choices<'_>, request: u64) -> StoreMessage {
        let mut differences = Vec::new();
        for _ in 0..choices.below(3) {
            differences.push(if choices.flag() {
                Difference::Parts(choices.summed())
            } else {
                let records = (0..choices.below(4)).map(|_| {
                    let (key, id) = choices.spot();
                    (key, id, choices.number())
                });
                let records = records.collect();
                let span = Span {
                    first: (Position(0), RecordId(0)),
                    last: (Position(u128::MAX), RecordId(u128::MAX)),
                };
                Difference::Listing { span, records }
            });
        }
        let vouches = [Vouch::No, Vouch::Alone, Vouch::Yes];
        StoreMessage::Compared {
            request,
            differences,
            left: choices.spans(),
            standing: Standing {
                is_owner: choices.below(4) != 0,
                is_replica: choices.flag(),
                vouch: choices.one_of(&vouches).expect("three"),
            },
        }
    }

    fn something(&self, choices: &mut Choices<'_>) -> StoreMessage {
        let request = choices.number();
        let content = ContentId::from_bytes([choices.below(3) * 40; 32]);
        let modes = [Mode::Publish, Mode::Create, Mode::Copy];
        match choices.below(15) {
            0..=3 => StoreMessage::Store {
                request,
                mode: choices.one_of(&modes).expect("three"),
                load: choices.load(&self.pool),
            },
            4 | 5 => {
                let place = choices.list();
                StoreMessage::Search {
                    request,
                    ask: Box::new(Ask {
                        content: (place == Place::Sources).then_some(content),
                        place,
                        query: choices.flag().then(|| choices.query()),
                        after: choices
                            .flag()
                            .then(|| Cursor(choices.byte(), choices.spot().1)),
                        limit: u16::from(choices.byte()) * 9,
                    }),
                }
            }
            6 => StoreMessage::Poll {
                request,
                word: choices.word(),
                shard: choices.shard(),
            },
            7 => StoreMessage::Fold {
                word: choices.word(),
                shard: choices.shard(),
            },
            8 | 9 => StoreMessage::Compare {
                request,
                salt: choices.number(),
                spans: choices.summed(),
            },
            10 => StoreMessage::Fetch {
                request,
                spots: (0..choices.below(4)).map(|_| choices.spot()).collect(),
            },
            11 => StoreMessage::Agreed {
                from: choices.spot().0,
                to: choices.other().position,
            },
            12 => StoreMessage::Lapsed {
                from: choices.spot().0,
                to: choices.other().position,
            },
            13 => StoreMessage::Brought {
                from: choices.spot().0,
                to: Position::of_peer(self.store.me, 0),
            },
            _ => self.compared(choices, request),
        }
    }
}

fn refused(choices: &mut Choices<'_>) -> Vec<Refused> {
    let bits = choices.below(14);
    let all = [
        Refusal::Split { bits },
        Refusal::NoShard,
        Refusal::NotMine,
        Refusal::Full,
        Refusal::Busy,
        Refusal::Invalid,
    ];
    let refused = (0..choices.below(3)).map(|_| Refused {
        item: u16::from(choices.below(3)),
        place: u16::from(choices.below(3)),
        why: choices.one_of(&all).expect("six"),
    });
    refused.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::random;

    #[test]
    fn random_conversations_get_everywhere() {
        let mut kinds = Kinds::default();
        for seed in 0..1_200 {
            kinds.extend(talk(&random::input(seed, 1_500)));
        }
        kinds.check_all(&[
            "Store", "Stored", "Search", "Answer", "Poll", "Polled", "Compare", "Compared",
            "Fetch", "Fetched", "Agreed", "Brought", "Rows", "Ended",
        ]);
    }
}
