//! The files that this peer itself has.

use std::collections::BTreeMap;

use gannet_base::ContentId;
use gannet_index::{Expression, Tokens};

use super::record::{Place, Record, RecordId, Shard, Word, word_hash};

/// The number of an own file; never used again.
pub(super) type OwnId = u64;

/// Own files.
#[derive(Debug, Default)]
pub(super) struct OwnFiles {
    records: BTreeMap<OwnId, Record>,
    names: BTreeMap<(ContentId, RecordId), OwnId>,
    next: OwnId,
}

impl OwnFiles {
    /// How many.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// One of them.
    pub(super) fn find(&self, id: OwnId) -> Option<&Record> {
        self.records.get(&id)
    }

    /// Puts one in, in place of what had the same content and path. Nothing if
    /// the very same was there, or there are too many.
    pub(super) fn put(&mut self, record: Record, max: usize) -> Option<OwnId> {
        let name = (record.entry().content, record.id());
        if let Some(id) = self.names.get(&name) {
            let old = self.records.get_mut(id)?;
            if *old == record {
                return None;
            }
            *old = record;
            return Some(*id);
        }
        if self.records.len() >= max {
            return None;
        }
        self.next += 1;
        self.names.insert(name, self.next);
        self.records.insert(self.next, record);
        Some(self.next)
    }

    /// Takes one out.
    pub(super) fn remove(&mut self, content: ContentId, record: RecordId) {
        if let Some(id) = self.names.remove(&(content, record)) {
            self.records.remove(&id);
        }
    }

    /// The number of one.
    pub(super) fn number(&self, record: &Record) -> Option<OwnId> {
        let name = (record.entry().content, record.id());
        self.names.get(&name).copied()
    }

    /// Those with a content.
    pub(super) fn of(&self, content: ContentId) -> impl Iterator<Item = &Record> {
        let named = self.names.range((content, RecordId(0))..);
        let of_content = named.take_while(move |((of, _), _)| *of == content);
        of_content.filter_map(|(_, id)| self.records.get(id))
    }

    /// Those that match.
    pub(super) fn matching(&self, expression: &Expression) -> Vec<Record> {
        let hashes: Vec<u32> = expression.required_words().map(word_hash).collect();
        let may = |record: &&Record| hashes.iter().all(|hash| record.may_have(*hash));
        let matches = |record: &&Record| expression.matches(record.entry());
        self.records
            .values()
            .filter(may)
            .filter(matches)
            .cloned()
            .collect()
    }

    /// Some of them.
    pub(super) fn sample(&self, count: usize) -> impl Iterator<Item = &Record> {
        self.records.values().take(count)
    }
}

/// Where a record belongs while no word is split.
pub(super) fn places(record: &Record, words_max: usize) -> Vec<Place> {
    let tokens = Tokens::of_entry(record.entry());
    let mut words: Vec<&str> = tokens.iter().collect();
    words.sort_unstable();
    words.dedup();
    words.truncate(words_max);
    let words = words.into_iter();
    let words = words.map(|word| Place::Word(Word::from(word), Shard::ROOT));
    std::iter::once(Place::Sources).chain(words).collect()
}
