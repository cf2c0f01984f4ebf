//! Taking records of others: verified, bounded, passed on to the replicas.

use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::{PeerId, Timestamp};
use gannet_index::Tokens;

use super::receipts::For;
use super::requests::Purpose;
use super::shelf::Put;
use super::{
    Contact, Item, ListState, Load, Mark, Mode, Place, Position, Posting, Record, Refusal, Refused,
    Shard, Store, StoreMessage,
};
use crate::hub::{is_dialable, is_private};

/// Records of a load that are looked through for split words.
const HINTED_ITEMS_MAX: usize = 32;
/// Entries that one holder may have in the smallest part of a list.
const PER_HOLDER_MIN: u32 = 64;

/// A record, its age in seconds, and the lists that took it.
type TakenItem = (Record, u32, Vec<(Position, Place)>);

/// What was taken of a load, for the replicas of each own node.
#[derive(Debug, Default)]
struct Taken {
    items: Vec<TakenItem>,
    marks: Vec<Mark>,
}

impl Store {
    pub(super) fn on_store(
        &mut self,
        now: Timestamp,
        from: PeerId,
        request: u64,
        (mode, load): (Mode, Load),
    ) {
        let hints = if request == 0 {
            Vec::new()
        } else {
            self.hints_for(now, &load)
        };
        let is_neighbour = self.is_neighbour(from);
        let is_free = self.has_budget(now, from, is_neighbour, &load);
        let receipt = self.id();
        let taken = self.take_load(now, from, (mode, receipt), (load, is_free, false));
        if request != 0 {
            let who = For::Peer(from, request, hints);
            if let Some((who, refused)) = self.wait_for_copies(now, (receipt, who), taken) {
                self.give_receipt(now, who, refused);
            }
        }
    }

    /// What its publishers may not know yet of the words of these records.
    fn hints_for(&mut self, now: Timestamp, load: &Load) -> Vec<super::Hint> {
        if self.hints.is_empty() {
            return Vec::new();
        }
        let items = load.items.iter().take(HINTED_ITEMS_MAX);
        let tokens: Vec<Tokens> = items
            .map(|item| Tokens::of_entry(item.record.entry()))
            .collect();
        let mut hints = self.hints.of(now, tokens.iter().flat_map(Tokens::iter));
        self.gossip(now, &mut hints);
        hints
    }

    /// A load of an errand from this peer to itself. Nothing if copies are waited for.
    pub(super) fn take_own_load(
        &mut self,
        now: Timestamp,
        mode: Mode,
        load: Load,
        errand: u64,
    ) -> Option<Vec<Refused>> {
        let receipt = self.id();
        let taken = self.take_load(now, self.me, (mode, receipt), (load, true, false));
        let who = For::Errand(errand);
        self.wait_for_copies(now, (receipt, who), taken)
            .map(|(_, refused)| refused)
    }

    fn has_budget(
        &mut self,
        now: Timestamp,
        from: PeerId,
        is_neighbour: bool,
        load: &Load,
    ) -> bool {
        let postings: usize = load.items.iter().map(|item| item.places.len()).sum();
        let price = u64::try_from(postings).unwrap_or(u64::MAX);
        self.budgets
            .may_store(now, &self.config, from, (price, is_neighbour))
    }

    /// Whether a peer may ask something now.
    pub(super) fn may_ask(&mut self, now: Timestamp, from: PeerId) -> bool {
        let is_neighbour = self.is_neighbour(from);
        let may = self.budgets.may_ask(now, &self.config, from, is_neighbour);
        self.counters.busy += u64::from(!may);
        may
    }

    fn is_neighbour(&self, peer: PeerId) -> bool {
        let first = Position::of_peer(peer, 0);
        self.known.nodes.iter().any(|node| {
            let near = node.predecessor.iter().chain(&node.successors);
            near.into_iter().any(|other| other.peer == peer) || node.before.contains(&first)
        })
    }

    /// Takes what may be taken; tells what was not, and to whom copies were sent, with the
    /// number of a receipt. `is_free`: the sender has not used up its budget; `is_asked`:
    /// this peer asked for it.
    pub(super) fn take_load(
        &mut self,
        now: Timestamp,
        from: PeerId,
        (mode, receipt): (Mode, u64),
        (load, is_free, is_asked): (Load, bool, bool),
    ) -> (Vec<Refused>, Vec<PeerId>) {
        let mut taken = Taken::default();
        if is_free {
            for mark in load.marks {
                let is_believed = is_asked || from == self.me || self.is_owner(from, &mark);
                self.take_mark(now, mode, (mark, is_believed), &mut taken.marks);
            }
        }
        let mut refused = Vec::new();
        for (number, item) in (0..).zip(load.items) {
            let verdict = if is_free {
                self.check(now, from, &item)
            } else {
                self.counters.busy += 1;
                Err(Refusal::Busy)
            };
            self.take_item(
                now,
                mode,
                (number, item),
                verdict,
                (&mut taken, &mut refused),
            );
        }
        let copied = if is_asked {
            // One of those with copies had it, the others may lack it as well.
            self.pass_on(now, receipt, &taken, Some(from))
        } else if mode != Mode::Copy {
            let mut copied = self.pass_on(now, receipt, &taken, None);
            copied.extend(self.pass_on_orphans(now, receipt, &taken));
            copied
        } else {
            Vec::new()
        };
        self.expect_sweep(now);
        (refused, copied)
    }

    fn take_item(
        &mut self,
        now: Timestamp,
        mode: Mode,
        (number, item): (u16, Item),
        verdict: Result<Record, Refusal>,
        (taken, refused): (&mut Taken, &mut Vec<Refused>),
    ) {
        let mut kept = Vec::new();
        for (place_number, place) in (0..).zip(item.places) {
            let outcome = verdict
                .clone()
                .and_then(|record| self.take_one(now, mode, (&record, item.age_s), &place));
            match outcome {
                Ok((key, put)) => {
                    self.counters.taken += u64::from(put == Put::New);
                    if put != Put::Known {
                        kept.push((key, place));
                    }
                }
                Err(why) => {
                    self.counters.refused += 1;
                    self.counters.invalid += u64::from(why == Refusal::Invalid);
                    refused.push(Refused {
                        item: number,
                        place: place_number,
                        why,
                    });
                }
            }
        }
        if let (Ok(record), false) = (verdict, kept.is_empty()) {
            taken.items.push((record, item.age_s, kept));
        }
    }

    /// Verifies a record, unless the very same is held already. Gives it with the
    /// addresses that may be passed on.
    fn check(&self, now: Timestamp, from: PeerId, item: &Item) -> Result<Record, Refusal> {
        let record = &item.record;
        let content = record.entry().content;
        let spot = |place: &Place| (place.key(content), record.id());
        let same = item.places.iter().find_map(|place| {
            let held = self.shelf.posting(spot(place))?;
            (held.record.publication() == record.publication()).then(|| held.record.clone())
        });
        let wall = self.wall_time(now);
        if wall.is_some_and(|wall| record.publication().expires < wall) {
            return Err(Refusal::Invalid);
        }
        if let Some(same) = same {
            return Ok(same);
        }
        if self.config.checks_signatures {
            // Whoever does not know the time believes what is signed of it.
            let wall = wall.unwrap_or(record.publication().expires);
            let verified = record.publication().verify(wall);
            verified.map_err(|_| Refusal::Invalid)?;
        } else if record.entry().validate().is_err() {
            return Err(Refusal::Invalid);
        }
        Ok(self.with_addresses(from, record))
    }

    /// The record with the addresses that may be handed to strangers to dial:
    /// where its holder was seen, and what leads nowhere beyond the own network.
    fn with_addresses(&self, from: PeerId, record: &Record) -> Record {
        let is_direct = from == record.holder() && from != self.me;
        let seen = if is_direct {
            self.budgets.seen(from)
        } else {
            &[]
        };
        let claimed = record.addresses().iter().filter(|at| {
            if is_direct && !seen.is_empty() {
                is_private(at) && !seen.contains(at)
            } else {
                is_dialable(at)
            }
        });
        let addresses: Vec<SocketAddr> = seen.iter().chain(claimed).copied().collect();
        if addresses == record.addresses() {
            record.clone()
        } else {
            Record::new(record.publication().clone(), addresses)
        }
    }

    /// Puts a record into one list.
    fn take_one(
        &mut self,
        now: Timestamp,
        mode: Mode,
        (record, age_s): (&Record, u32),
        place: &Place,
    ) -> Result<(Position, Put), Refusal> {
        let content = record.entry().content;
        let key = place.key(content);
        let is_copy = mode == Mode::Copy;
        if !self.known.holds(key) || (!is_copy && self.is_for_others(key)) {
            return Err(Refusal::NotMine);
        }
        if let Place::Word(word, shard) = place {
            self.check_list(now, mode, key, (word, *shard))?;
        }
        if !place.suits(record, self.config.checks_signatures) {
            return Err(Refusal::Invalid);
        }
        let is_there = self.shelf.posting((key, record.id())).is_some();
        if !is_there {
            self.check_quotas(record, key, place)?;
        }
        let age = Duration::from_secs(age_s.into());
        let Some(left) = self.config.lease.checked_sub(age) else {
            return Err(Refusal::Invalid);
        };
        let until = now + left;
        let record = record.clone();
        let put = self.shelf.put(place, Posting { record, until });
        if !is_copy && put != Put::Known && !self.known.owns(key) {
            self.on_orphan(now, key);
        }
        if put == Put::New {
            self.on_grown(now, key);
        }
        Ok((key, put))
    }

    /// Whether a list takes entries.
    fn check_list(
        &mut self,
        now: Timestamp,
        mode: Mode,
        key: Position,
        (word, shard): (&super::Word, Shard),
    ) -> Result<(), Refusal> {
        let mark = self.shelf.mark(key);
        let epoch = match mark.map(|mark| (mark.state, mark.epoch)) {
            Some((ListState::Whole, _)) => return Ok(()),
            Some((ListState::Split { bits }, _)) => return Err(Refusal::Split { bits }),
            None if shard == Shard::ROOT => return Ok(()),
            Some((ListState::Gone, epoch)) if mode == Mode::Create => epoch.saturating_add(1),
            None if mode != Mode::Publish => 0,
            Some((ListState::Gone, _)) | None => return Err(Refusal::NoShard),
        };
        if self.shelf.marks_len() >= self.config.postings_max / 8 {
            return Err(Refusal::Full);
        }
        let mark = Mark {
            word: word.clone(),
            shard,
            epoch,
            state: ListState::Whole,
            count: 0,
        };
        self.shelf.put_mark(now, mark.clone());
        self.on_mark(now, &mark);
        Ok(())
    }

    fn check_quotas(&self, record: &Record, key: Position, place: &Place) -> Result<(), Refusal> {
        let config = &self.config;
        let count = self.shelf.count(key);
        if count >= config.list_hard_max && self.known.is_large(config.copies) {
            return Err(Refusal::Busy);
        }
        let holder = record.holder();
        if self.shelf.len() >= config.postings_max
            || self.shelf.bytes() + record.wire_bytes() > config.bytes_max
            || self.shelf.of_holder(holder) >= config.postings_per_holder_max
        {
            return Err(Refusal::Full);
        }
        let bits = match place {
            Place::Sources => 0,
            Place::Word(_, shard) => shard.bits(),
        };
        let most = config.list_entries_per_holder_max >> bits;
        let most = most.max(PER_HOLDER_MIN);
        if count >= most {
            let same = |posting: &&Posting| posting.record.holder() == holder;
            let own = self.shelf.list(key).filter(same).count();
            if u32::try_from(own).unwrap_or(u32::MAX) >= most {
                return Err(Refusal::Full);
            }
        }
        Ok(())
    }

    /// Whether a peer may be the owner of a list that this one holds a replica of:
    /// whether it is between the key and this peer.
    fn is_owner(&self, from: PeerId, mark: &Mark) -> bool {
        let key = mark.shard.key(&mark.word);
        let position = Position::of_peer(from, 0);
        self.is_neighbour(from)
            || self
                .known
                .nodes
                .iter()
                .any(|node| key.distance_to(position) < key.distance_to(node.me.position))
    }

    /// Takes note of a list, if it is one that this peer holds.
    fn take_mark(
        &mut self,
        now: Timestamp,
        mode: Mode,
        (mut mark, is_believed): (Mark, bool),
        taken: &mut Vec<Mark>,
    ) {
        let key = mark.shard.key(&mark.word);
        let old = self.shelf.mark(key);
        let is_full = old.is_none() && self.shelf.marks_len() >= self.config.postings_max / 8;
        if is_full || !self.known.holds(key) {
            return;
        }
        let is_begun = mode == Mode::Create && mark.state == ListState::Whole;
        if is_begun {
            match old.map(|old| (old.state, old.epoch)) {
                None => {}
                Some((ListState::Gone, epoch)) => {
                    mark.epoch = mark.epoch.max(epoch.saturating_add(1));
                }
                Some(_) => return,
            }
        } else if mode != Mode::Copy || !is_believed {
            if matches!(mark.state, ListState::Split { .. }) {
                self.on_claim(now, &mark);
            }
            return;
        }
        if self.adopt(now, mark.clone()) {
            taken.push(mark);
        }
    }

    /// The owner passes on what is new to those that hold replicas; gives who they are.
    /// What gets lost is a reason to compare soon.
    fn pass_on(
        &mut self,
        now: Timestamp,
        receipt: u64,
        taken: &Taken,
        but: Option<PeerId>,
    ) -> Vec<PeerId> {
        let mut loads = Vec::new();
        for node in &self.known.nodes {
            let mut replicas = node.replicas(self.config.copies);
            replicas.retain(|replica| but != Some(replica.peer));
            let mut load = taken.load(|key| node.owns(key));
            let marks = taken.marks.iter();
            let own = marks.filter(|mark| node.owns(mark.shard.key(&mark.word)));
            load.marks.extend(own.cloned());
            loads.push((replicas, load));
        }
        self.send_copies(now, receipt, loads)
    }

    /// Publishers brought what is another's: they know an older ring, in which this peer is
    /// the owner, or the owner does not answer. It goes to whom it concerns in either case,
    /// as far as they are known here.
    fn pass_on_orphans(&mut self, now: Timestamp, receipt: u64, taken: &Taken) -> Vec<PeerId> {
        let known = &self.known;
        let mut loads = Vec::new();
        for node in &known.nodes {
            let here = node.me.position;
            let is_nearest = |key: Position| {
                let mut others = known.nodes.iter().map(|other| other.me.position);
                others.all(|other| key.distance_to(here) <= key.distance_to(other))
            };
            let load = taken.load(|key| !known.owns(key) && is_nearest(key));
            let mut peers = node.replicas(self.config.copies);
            if let Some(before) = &node.predecessor
                && before.peer != self.me
                && peers.iter().all(|peer| peer.peer != before.peer)
            {
                peers.push(before.clone());
            }
            loads.push((peers, load));
        }
        self.send_copies(now, receipt, loads)
    }

    /// Sends loads to those that hold replicas; gives who they are.
    fn send_copies(
        &mut self,
        now: Timestamp,
        receipt: u64,
        loads: Vec<(Vec<Contact>, Load)>,
    ) -> Vec<PeerId> {
        let mut copied = Vec::new();
        let is_empty = |load: &Load| load.items.is_empty() && load.marks.is_empty();
        for (peers, load) in loads.into_iter().filter(|(_, load)| !is_empty(load)) {
            for replica in peers {
                let message = |request| StoreMessage::Store {
                    request,
                    mode: Mode::Copy,
                    load: Box::new(load.clone()),
                };
                self.request(now, &replica, Purpose::Copies(receipt), message);
                copied.push(replica.peer);
            }
        }
        copied
    }

    /// Tells the replicas of a list what it is now.
    pub(super) fn pass_on_mark(&mut self, now: Timestamp, mark: Mark) {
        let marks = vec![mark];
        let items = Vec::new();
        self.pass_on(now, 0, &Taken { items, marks }, None);
    }
}

impl Taken {
    /// The records under keys that it is about.
    fn load(&self, is_about: impl Fn(Position) -> bool) -> Load {
        let mut load = Load::default();
        for (record, age_s, places) in &self.items {
            let places = places.iter().filter(|(key, _)| is_about(*key));
            let places: Vec<Place> = places.map(|(_, place)| place.clone()).collect();
            if !places.is_empty() {
                load.items.push(Item {
                    record: record.clone(),
                    age_s: *age_s,
                    places,
                });
            }
        }
        load
    }
}
