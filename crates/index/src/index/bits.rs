//! A set of entry numbers, one bit each.

#[derive(Debug, Clone, Default)]
pub(super) struct Bits {
    words: Vec<u64>,
    len: usize,
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
            self.words.resize(id / 64 + 1, 0);
        }
        let word = &mut self.words[id / 64];
        self.len += usize::from(*word >> (id % 64) & 1 == 0);
        *word |= 1 << (id % 64);
    }

    /// Takes a number out if it is in.
    pub(super) fn remove(&mut self, id: u32) {
        if self.contains(id) {
            let id = id as usize;
            self.words[id / 64] &= !(1 << (id % 64));
            self.len -= 1;
        }
    }

    /// The 64-bit words that hold the numbers of one chunk of 65,536: at most
    /// 1,024, fewer at the end.
    pub(super) fn chunk(&self, number: u16) -> &[u64] {
        let start = (usize::from(number) * 1_024).min(self.words.len());
        let end = (start + 1_024).min(self.words.len());
        &self.words[start..end]
    }

    /// The numbers in the set, ascending.
    pub(super) fn iter(&self) -> impl Iterator<Item = u32> {
        self.words.iter().enumerate().flat_map(|(place, &word)| {
            let base = u32::try_from(place * 64).expect("numbers are 32 bits");
            ones(word).map(move |bit| base + bit)
        })
    }

    pub(super) fn memory_bytes(&self) -> usize {
        self.words.capacity() * 8
    }
}

/// The places of the ones of a word, ascending.
pub(super) fn ones(word: u64) -> impl Iterator<Item = u32> {
    let mut rest = word;
    std::iter::from_fn(move || {
        (rest != 0).then(|| {
            let bit = rest.trailing_zeros();
            rest &= rest - 1;
            bit
        })
    })
}
