//! Folders: the part of a path before its last slash, kept once for all the
//! files in it.

use hashbrown::HashTable;

use super::hash::Hasher;
use super::paged::Paged;

#[derive(Debug)]
pub(super) struct Folders {
    hasher: Hasher,
    table: HashTable<u32>,
    records: Paged<Folder>,
    free: Vec<u32>,
    text_bytes: usize,
}

#[derive(Debug)]
struct Folder {
    /// How many entries are in it.
    entries: u32,
    text: Box<str>,
}

impl Folders {
    pub(super) fn new(hasher: Hasher) -> Self {
        Self {
            hasher,
            table: HashTable::new(),
            records: Paged::default(),
            free: Vec::new(),
            text_bytes: 0,
        }
    }

    pub(super) fn text(&self, number: u32) -> &str {
        &self.records[number].text
    }

    /// The folder's number, one entry more in it.
    pub(super) fn enter(&mut self, text: &str) -> u32 {
        let hash = self.hasher.bytes(text.as_bytes());
        let Self {
            hasher,
            table,
            records,
            ..
        } = self;
        if let Some(&number) = table.find(hash, |number| *records[*number].text == *text) {
            records[number].entries += 1;
            return number;
        }
        self.text_bytes += text.len();
        let record = Folder {
            entries: 1,
            text: text.into(),
        };
        let number = if let Some(number) = self.free.pop() {
            records[number] = record;
            number
        } else {
            records.push(record)
        };
        table.insert_unique(hash, number, |number| {
            hasher.bytes(records[*number].text.as_bytes())
        });
        number
    }

    /// One entry less in it.
    pub(super) fn leave(&mut self, number: u32) {
        let record = &mut self.records[number];
        record.entries -= 1;
        if record.entries > 0 {
            return;
        }
        let text = std::mem::take(&mut record.text);
        self.text_bytes -= text.len();
        let hash = self.hasher.bytes(text.as_bytes());
        if let Ok(found) = self.table.find_entry(hash, |other| *other == number) {
            found.remove();
        }
        self.free.push(number);
    }

    pub(super) fn memory_bytes(&self) -> usize {
        // An allocation of its own for each text.
        let texts = self.text_bytes + self.table.len() * 16;
        self.table.allocation_size()
            + self.records.memory_bytes()
            + self.free.capacity() * 4
            + texts
    }
}
