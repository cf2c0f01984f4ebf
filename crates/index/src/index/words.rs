//! The dictionary: every word of any entry, with where it occurs.

use hashbrown::HashTable;

use super::chunk::Places;
use super::hash::Hasher;
use super::postings::Postings;

/// Words of one block of the alphabetical list.
const BLOCK_MAX: usize = 512;
/// The work of forgetting a word, in postings that are passed over.
// Guess: a few cache misses.
const FORGET_WORK: usize = 100;

#[derive(Debug)]
pub(super) struct Words {
    hasher: Hasher,
    table: HashTable<u32>,
    records: Vec<Word>,
    /// Records to be used again.
    free: Vec<u32>,
    /// The words' texts, one behind the other.
    text: String,
    /// Bytes of `text` that no word uses any more.
    text_unused: usize,
    /// All words in the order of their bytes, in blocks, none empty.
    sorted: Vec<Vec<u32>>,
    /// Postings of all words together.
    postings_len: usize,
}

#[derive(Debug)]
struct Word {
    start: u32,
    /// 0: the record is free.
    len: u8,
    postings: Postings,
}

impl Words {
    pub(super) fn new(hasher: Hasher) -> Self {
        Self {
            hasher,
            table: HashTable::new(),
            records: Vec::new(),
            free: Vec::new(),
            text: String::new(),
            text_unused: 0,
            sorted: Vec::new(),
            postings_len: 0,
        }
    }

    /// How many records there are, free ones too: the range of word numbers.
    pub(super) fn records_len(&self) -> usize {
        self.records.len()
    }

    /// How many postings all words have together, deleted ones too.
    pub(super) fn postings_len(&self) -> usize {
        self.postings_len
    }

    pub(super) fn len(&self) -> usize {
        self.table.len()
    }

    fn find(&self, word: &str) -> Option<u32> {
        let hash = self.hasher.bytes(word.as_bytes());
        let same = |id: &u32| text_of(&self.text, &self.records, *id) == word;
        self.table.find(hash, same).copied()
    }

    pub(super) fn postings(&self, word: &str) -> Option<&Postings> {
        self.find(word)
            .map(|id| &self.records[id as usize].postings)
    }

    /// Notes that the word occurs in the entry. At most once for each entry.
    pub(super) fn post(&mut self, word: &str, entry: u32, places: Places) {
        let id = self.find(word).unwrap_or_else(|| self.add(word));
        self.records[id as usize].postings.insert(entry, places);
        self.postings_len += 1;
    }

    fn add(&mut self, word: &str) -> u32 {
        if self.text.capacity() - self.text.len() < word.len() {
            self.text.reserve_exact(self.text.len() / 8 + 256);
        }
        let record = Word {
            start: u32::try_from(self.text.len()).expect("4 GiB of words are beyond any limit"),
            len: u8::try_from(word.len()).expect("the tokenizer bounds words"),
            postings: Postings::EMPTY,
        };
        self.text.push_str(word);
        let id = if let Some(id) = self.free.pop() {
            self.records[id as usize] = record;
            id
        } else {
            if self.records.len() == self.records.capacity() {
                self.records.reserve_exact(self.records.len() / 8 + 16);
            }
            self.records.push(record);
            u32::try_from(self.records.len() - 1).expect("fewer words than bytes of them")
        };
        let Self {
            hasher,
            table,
            records,
            text,
            ..
        } = self;
        table.insert_unique(hasher.bytes(word.as_bytes()), id, |id| {
            hasher.bytes(text_of(text, records, *id).as_bytes())
        });
        self.sort_in(id);
        id
    }

    /// The block where the word is or belongs.
    fn block_of(&self, word: &str) -> usize {
        let text = |id| text_of(&self.text, &self.records, id);
        self.sorted
            .partition_point(|block| text(block[0]) <= word)
            .saturating_sub(1)
    }

    fn sort_in(&mut self, id: u32) {
        if self.sorted.is_empty() {
            let mut block = Vec::with_capacity(BLOCK_MAX);
            block.push(id);
            self.sorted.push(block);
            return;
        }
        let word = text_of(&self.text, &self.records, id);
        let at = self.block_of(word);
        let (text, records) = (&self.text, &self.records);
        let place = self.sorted[at].partition_point(|&id| text_of(text, records, id) < word);
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
        let at = self.block_of(prefix);
        let text = |id| text_of(&self.text, &self.records, id);
        self.sorted[at.min(self.sorted.len())..]
            .iter()
            .flatten()
            .skip_while(move |id| text(**id) < prefix)
            .take_while(move |id| text(**id).starts_with(prefix))
            .map(|id| &self.records[*id as usize].postings)
    }

    /// Takes entries out of the word with this number and forgets it if
    /// nothing is left. Returns the work that it was, in postings.
    pub(super) fn sweep(&mut self, id: usize, gone: &super::bits::Bits) -> usize {
        let record = &mut self.records[id];
        let before = record.postings.len();
        if record.len > 0 {
            record.postings.sweep(gone);
            self.postings_len -= before - record.postings.len();
            if record.postings.len() == 0 {
                self.forget(u32::try_from(id).expect("word numbers are 32 bits"));
                return before + FORGET_WORK;
            }
        }
        before + 1
    }

    fn forget(&mut self, id: u32) {
        let (text, records) = (&self.text, &self.records);
        let word = text_of(text, records, id);
        let hash = self.hasher.bytes(word.as_bytes());
        let at = self.block_of(word);
        let place = self.sorted[at].partition_point(|&id| text_of(text, records, id) < word);
        if let Ok(found) = self.table.find_entry(hash, |other| *other == id) {
            found.remove();
        }
        debug_assert_eq!(
            self.sorted[at][place], id,
            "every word is in the sorted list"
        );
        self.sorted[at].remove(place);
        if self.sorted[at].is_empty() {
            self.sorted.remove(at);
        }
        let record = &mut self.records[id as usize];
        self.text_unused += usize::from(record.len);
        record.len = 0;
        record.postings = Postings::EMPTY;
        self.free.push(id);
        if self.text_unused > self.text.len() / 2 + 4_096 {
            self.compact_text();
        }
    }

    fn compact_text(&mut self) {
        let mut text = String::with_capacity(self.text.len() - self.text_unused);
        for id in 0..self.records.len() {
            let number = u32::try_from(id).expect("word numbers are 32 bits");
            let start = u32::try_from(text.len()).expect("no longer than before");
            text.push_str(text_of(&self.text, &self.records, number));
            self.records[id].start = start;
        }
        self.text = text;
        self.text_unused = 0;
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.table.allocation_size()
            + self.records.capacity() * size_of::<Word>()
            + self
                .records
                .iter()
                .map(|word| word.postings.memory_bytes())
                .sum::<usize>()
            + self.text.capacity()
            + (self.sorted.len() * BLOCK_MAX + self.free.capacity()) * 4
    }
}

fn text_of<'a>(text: &'a str, records: &[Word], id: u32) -> &'a str {
    let record = &records[id as usize];
    let start = record.start as usize;
    &text[start..start + usize::from(record.len)]
}
