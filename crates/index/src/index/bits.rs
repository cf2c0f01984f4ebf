//! A set of entry numbers, one bit each.

use super::chunk::{Bitmap, CHUNK_WORDS};

#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    len: usize,
    /// How many are in each chunk of 65,536.
    chunks: Vec<u32>,
}

impl Bits {
    pub(super) fn len(&self) -> usize {
        self.len
    }

    pub(super) fn contains(&self, id: u32) -> bool {
        let id = id as usize;
        self.words
            .get(id / 64)
            .is_some_and(|word| word >> (id % 64) & 1 == 1)
    }

    /// Adds a number.
    pub(super) fn insert(&mut self, id: u32) {
        let id = id as usize;
        if id / 64 >= self.words.len() {
            self.chunks.resize((id >> 16) + 1, 0);
            self.words.resize(self.chunks.len() * CHUNK_WORDS, 0);
        }
        let word = &mut self.words[id / 64];
        let is_new = *word >> (id % 64) & 1 == 0;
        *word |= 1 << (id % 64);
        self.len += usize::from(is_new);
        self.chunks[id >> 16] += u32::from(is_new);
    }

    /// Takes a number out if it is in.
    pub(super) fn remove(&mut self, id: u32) {
        if self.contains(id) {
            let id = id as usize;
            self.words[id / 64] &= !(1 << (id % 64));
            self.len -= 1;
            self.chunks[id >> 16] -= 1;
        }
    }

    /// The numbers of one chunk of 65,536; nothing if none is in the set.
    pub(super) fn chunk(&self, number: u16) -> Option<&Bitmap> {
        let number = usize::from(number);
        if *self.chunks.get(number)? == 0 {
            return None;
        }
        self.words.as_chunks().0.get(number)
    }

    /// The numbers in the set of the `at`-th 64 ones, ascending; nothing if all
    /// that are in the set are smaller.
    pub(super) fn marks(&self, at: usize) -> Option<impl Iterator<Item = u32> + use<>> {
        let word = *self.words.get(at)?;
        let base = u32::try_from(at * 64).expect("numbers are 32 bits");
        Some(ones(word).map(move |bit| base + bit))
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8 + self.chunks.capacity() * 4
    }
}

/// The places of the ones of a word, ascending.
pub(super) fn ones(word: u64) -> impl Iterator<Item = u32> + use<> {
    let mut rest = word;
    std::iter::from_fn(move || {
        (rest != 0).then(|| {
            let bit = rest.trailing_zeros();
            rest &= rest - 1;
            bit
        })
    })
}
