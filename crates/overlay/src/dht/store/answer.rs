//! Answering what others ask of lists.

use gannet_base::{PeerId, Timestamp};
use gannet_index::{Closeness, Expression, tokenize};

use super::message::{ITEMS_MAX, LOAD_BYTES_MAX};
use super::record::word_hash;
use super::shelf::item_hash;
use super::{
    Ask, Cursor, Found, Hint, ListState, Place, Position, Record, Shard, Store, StoreMessage,
};
use crate::flood::below;

impl Store {
    pub(super) fn on_ask(&mut self, now: Timestamp, from: PeerId, request: u64, ask: &Ask) {
        let (found, hints) = if self.may_ask(now, from) {
            self.counters.served += 1;
            (self.look(now, ask), self.hints_on(now, ask))
        } else {
            (Found::Busy, Vec::new())
        };
        let message = StoreMessage::Answer {
            request,
            found: Box::new(found),
            hints,
        };
        self.reply(from, message);
    }

    /// What is known of the words of a question.
    fn hints_on(&mut self, now: Timestamp, ask: &Ask) -> Vec<Hint> {
        let text = ask.query.as_ref().map_or("", |query| query.text());
        if self.hints.is_empty() || text.is_empty() {
            return Vec::new();
        }
        let mut hints = self.hints.of(now, tokenize(text).iter());
        self.gossip(now, &mut hints);
        hints
    }

    /// Adds words that others may want to know to be split.
    pub(super) fn gossip(&mut self, now: Timestamp, hints: &mut Vec<Hint>) {
        let from = below(&mut self.rng, self.hints.len().max(1));
        self.hints.gossip(now, from, hints);
    }

    /// What this peer has for a question.
    pub(super) fn look(&self, now: Timestamp, ask: &Ask) -> Found {
        let content = ask
            .content
            .unwrap_or(gannet_base::ContentId::from_bytes([0; 32]));
        let key = ask.place.key(content);
        let is_empty = self.shelf.count(key) == 0;
        if is_empty && self.is_for_others(key) {
            return Found::NotMine;
        }
        match self.shelf.mark(key).map(|mark| (mark.state, mark.count)) {
            Some((ListState::Split { bits }, count)) => return Found::Split { bits, count },
            Some((ListState::Gone, _)) => return Found::NoShard,
            Some((ListState::Whole, _)) => {}
            None if is_empty && is_part(&ask.place) => return Found::NoShard,
            None => {}
        }
        let expression = match &ask.query {
            None => None,
            Some(query) => match Expression::parse(query) {
                Ok(expression) => Some(expression),
                // A later version may understand it: nothing matches here.
                Err(_) => return Found::NotMine,
            },
        };
        self.entries(now, key, ask, expression.as_ref())
    }

    /// Whether this peer is known to be none of those that hold a key.
    pub(super) fn is_for_others(&self, key: Position) -> bool {
        let is_holder = self.known.is_holder(key, self.config.copies);
        is_holder == Some(false) || !self.known.holds(key)
    }

    fn entries(
        &self,
        now: Timestamp,
        key: Position,
        ask: &Ask,
        expression: Option<&Expression>,
    ) -> Found {
        let hashes: Vec<u32> = expression.map_or_else(Vec::new, |expression| {
            expression.required_words().map(word_hash).collect()
        });
        let mut matching: Vec<(Cursor, &Record)> = Vec::new();
        let mut digest = 0_u64;
        for posting in self.shelf.list(key) {
            let record = &posting.record;
            if !hashes.iter().all(|hash| record.may_have(*hash)) || self.is_over(now, posting) {
                continue;
            }
            let rank = match expression {
                None => Some(0),
                Some(expression) => expression.closeness(record.entry()).map(rank),
            };
            if let Some(rank) = rank {
                matching.push((Cursor(rank, record.id()), record));
                digest = digest.wrapping_add(item_hash((key, record.id()), 0, 0));
            }
        }
        matching.sort_unstable_by_key(|(cursor, _)| *cursor);
        let first = ask.after.map_or(0, |after| {
            matching.partition_point(|(cursor, _)| *cursor <= after)
        });
        let most = usize::from(ask.limit).min(ITEMS_MAX);
        let (mut records, mut bytes, mut next) = (Vec::new(), 0, None);
        for (cursor, record) in &matching[first..] {
            bytes += record.wire_bytes();
            if records.len() >= most || (!records.is_empty() && bytes > LOAD_BYTES_MAX) {
                break;
            }
            records.push((*record).clone());
            next = Some(*cursor);
        }
        if first + records.len() >= matching.len() {
            next = None;
        }
        Found::Entries {
            next,
            total: u32::try_from(matching.len()).unwrap_or(u32::MAX),
            digest,
            listed: self.shelf.count(key),
            is_sure: self.is_sure(now, key),
            records,
        }
    }
}

fn is_part(place: &Place) -> bool {
    matches!(place, Place::Word(_, shard) if *shard != Shard::ROOT)
}

fn rank(closeness: Closeness) -> u8 {
    match closeness {
        Closeness::InOrder => 0,
        Closeness::Whole => 1,
        Closeness::Prefix => 2,
    }
}
