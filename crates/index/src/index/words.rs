//! The dictionary: every word of any entry, with where it occurs.

use hashbrown::HashTable;

use super::bits::Bits;
use super::chunk::Places;
use super::hash::Hasher;
use super::paged::Paged;
use super::postings::Postings;
use super::text::Text;

/// Words of one block of the alphabetical list.
const BLOCK_MAX: usize = 512;
/// The work of coming to the next word, in postings that are passed over.
// Guess: a cache miss for a word in two.
const WORD_WORK: usize = 20;
/// The work of taking a word out of the table.
// Guess: a few cache misses.
const FORGET_WORK: usize = 200;
/// The work of looking whether a word of the alphabetical list is still there.
// Guess: words next to each other are far apart in memory.
const LOOK_WORK: usize = 20;

#[derive(Debug)]
pub(super) struct Words {
    hasher: Hasher,
    table: HashTable<u32>,
    records: Paged<Word>,
    /// Records to be used again.
    free: Vec<u32>,
    /// All words in the order of their bytes, in blocks, none empty. Forgotten
    /// ones stay until [`Words::tidy`] comes by.
    sorted: Vec<Vec<u32>>,
    /// The block that took the latest word: the next one is often near.
    latest: usize,
    /// Postings of all words together.
    postings_len: usize,
}

#[derive(Debug)]
struct Word {
    text: Text,
    /// Whether it is in the table. A forgotten one keeps its text while it is
    /// in the alphabetical list.
    is_known: bool,
    postings: Postings,
}

impl Words {
    pub(super) fn new(hasher: Hasher) -> Self {
        Self {
            hasher,
            table: HashTable::new(),
            records: Paged::default(),
            free: Vec::new(),
            sorted: Vec::new(),
            latest: 0,
            postings_len: 0,
        }
    }

    /// Makes room in the table for so many words.
    pub(super) fn reserve(&mut self, words: usize) {
        let Self {
            hasher,
            table,
            records,
            ..
        } = self;
        table.reserve(words, |id| hasher.bytes(records[*id].text.bytes()));
    }

    /// How many records there are, free ones too: the range of word numbers.
    pub(super) fn records_len(&self) -> u32 {
        self.records.len()
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    /// Every word, in no meaningful order.
    pub(super) fn texts(&self) -> impl Iterator<Item = &str> {
        let known = self.records.iter().filter(|record| record.is_known);
        known.map(|record| record.text.as_str())
    }

    fn text(&self, id: u32) -> &[u8] {
        self.records[id].text.bytes()
    }

    fn find(&self, word: &str) -> Option<u32> {
        let hash = self.hasher.bytes(word.as_bytes());
        let same = |id: &u32| self.text(*id) == word.as_bytes();
        self.table.find(hash, same).copied()
    }

    pub(super) fn postings(&self, word: &str) -> Option<&Postings> {
        self.find(word).map(|id| &self.records[id].postings)
    }

    /// Notes that the word occurs in the entry. At most once for each entry.
    pub(super) fn post(&mut self, word: &str, entry: u32, places: Places) {
        let id = self.find(word).unwrap_or_else(|| self.add(word));
        self.records[id].postings.insert(entry, places);
        self.postings_len += 1;
    }

    fn add(&mut self, word: &str) -> u32 {
        let record = Word {
            text: Text::new(word),
            is_known: true,
            postings: Postings::EMPTY,
        };
        let id = if let Some(id) = self.free.pop() {
            self.records[id] = record;
            id
        } else {
            self.records.push(record)
        };
        let Self {
            hasher,
            table,
            records,
            ..
        } = self;
        table.insert_unique(hasher.bytes(word.as_bytes()), id, |id| {
            hasher.bytes(records[*id].text.bytes())
        });
        self.sort_in(id);
        id
    }

    /// The block where the word is or belongs.
    fn block_of(&self, word: &[u8]) -> usize {
        self.sorted
            .partition_point(|block| self.text(block[0]) <= word)
            .saturating_sub(1)
    }

    /// Whether the word is in this block or belongs there.
    fn is_in_block(&self, at: usize, word: &[u8]) -> bool {
        let first = |at: usize| self.sorted.get(at).map(|block| self.text(block[0]));
        first(at).is_some_and(|first| first <= word) && first(at + 1).is_none_or(|next| word < next)
    }

    fn sort_in(&mut self, id: u32) {
        if self.sorted.is_empty() {
            let mut block = Vec::with_capacity(BLOCK_MAX);
            block.push(id);
            self.sorted.push(block);
            return;
        }
        let word = self.text(id);
        let at = match self.is_in_block(self.latest, word) {
            true => self.latest,
            false => self.block_of(word),
        };
        self.latest = at;
        let word = self.text(id);
        let place = self.sorted[at].partition_point(|&id| self.text(id) < word);
        let block = &mut self.sorted[at];
        block.insert(place, id);
        if block.len() == BLOCK_MAX {
            let mut upper = Vec::with_capacity(BLOCK_MAX);
            upper.extend(block.drain(BLOCK_MAX / 2..));
            self.sorted.insert(at + 1, upper);
        }
    }

    /// The words that start so, ascending, each with where it occurs.
    pub(super) fn starting_with<'a>(
        &'a self,
        prefix: &'a str,
    ) -> impl Iterator<Item = &'a Postings> {
        let prefix = prefix.as_bytes();
        let at = self.block_of(prefix);
        self.sorted[at.min(self.sorted.len())..]
            .iter()
            .flatten()
            .skip_while(move |id| self.text(**id) < prefix)
            .take_while(move |id| self.text(**id).starts_with(prefix))
            .map(|id| &self.records[*id])
            .filter(|record| record.is_known)
            .map(|record| &record.postings)
    }

    /// How much work sweeping everything is, about.
    pub(super) fn sweep_work(&self) -> usize {
        self.postings_len + self.records.len() as usize * (WORD_WORK + LOOK_WORK)
    }

    /// Takes entries out of a part of the word with this number, that which
    /// begins with this chunk, and forgets the word if nothing is left. Returns
    /// the work that it was, in postings, and the chunk to go on with.
    pub(super) fn sweep(&mut self, number: u32, from: u16, gone: &Bits) -> (usize, Option<u16>) {
        let record = &mut self.records[number];
        if !record.is_known {
            return (1, None);
        }
        let before = record.postings.len();
        let (work, next) = record.postings.sweep(from, gone);
        self.postings_len -= before - record.postings.len();
        if record.postings.len() > 0 {
            return (WORD_WORK + work, next);
        }
        record.is_known = false;
        record.postings = Postings::EMPTY;
        let hash = self.hasher.bytes(record.text.bytes());
        if let Ok(found) = self.table.find_entry(hash, |other| *other == number) {
            found.remove();
        }
        (FORGET_WORK + work, None)
    }

    /// Takes forgotten words out of one block of the alphabetical list; nothing
    /// if there is no such block. Returns the work that it was and the block to
    /// go on with.
    pub(super) fn tidy(&mut self, at: usize) -> Option<(usize, usize)> {
        let block = self.sorted.get_mut(at)?;
        let work = block.len() * LOOK_WORK;
        let (records, free) = (&mut self.records, &mut self.free);
        block.retain(|&id| {
            let record = &mut records[id];
            if !record.is_known {
                record.text = Text::new("");
                free.push(id);
            }
            record.is_known
        });
        if block.is_empty() {
            self.sorted.remove(at);
            return Some((work, at));
        }
        Some((work, at + 1))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let of_word = |word: &Word| word.text.memory_bytes() + word.postings.memory_bytes();
        self.table.allocation_size()
            + self.records.memory_bytes()
            + self.records.iter().map(of_word).sum::<usize>()
            + (self.sorted.len() * BLOCK_MAX + self.free.capacity()) * 4
    }
}
