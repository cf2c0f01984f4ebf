//! How deleted entries leave the postings.
//!
//! **Problem.** An entry occurs in the postings of a dozen words. Taking it
//! out of each at once would cost a dozen cache misses and the tokenizer; a
//! holder with 100,000 entries that leaves would stop everything.
//!
//! **How.** A deleted entry is only marked: searches skip it, its slot is not
//! used again. When an eighth of all slots are marked, a sweep over the
//! dictionary begins, some postings with every later insertion or deletion, so
//! that it ends before as many again are marked. Then the slots are free.
//!
//! **Invariant.** A slot is used again only when no posting names it.

use super::Index;
use super::bits::Bits;

/// Fewer marked entries than this are not worth a sweep.
const SWEEP_MIN: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Graves {
    /// Deleted since the sweep began.
    waiting: Bits,
    sweep: Option<Sweep>,
}

#[derive(Debug)]
struct Sweep {
    gone: Bits,
    /// The next word.
    word: usize,
    /// Postings for each insertion or deletion.
    pace: usize,
    /// Postings that may be passed over now; below zero if a long list was.
    credit: isize,
}

impl Graves {
    /// The deleted entries of a chunk that postings may still name: two sets,
    /// as [`Bits::chunk`] gives them.
    pub(super) fn chunk(&self, number: u16) -> [&[u64]; 2] {
        let sweeping = self.sweep.as_ref();
        let gone = sweeping.map_or(&[][..], |sweep| sweep.gone.chunk(number));
        [self.waiting.chunk(number), gone]
    }

    pub(super) fn memory_bytes(&self) -> usize {
        let sweeping = self
            .sweep
            .as_ref()
            .map_or(0, |sweep| sweep.gone.memory_bytes());
        self.waiting.memory_bytes() + sweeping
    }
}

impl Index {
    /// Marks a deleted entry.
    pub(super) fn bury(&mut self, entry: u32) {
        self.graves.waiting.insert(entry);
    }

    /// Goes on with the sweep, or begins one, after this many insertions or
    /// deletions.
    pub(super) fn advance_sweep(&mut self, changes: usize) {
        let graves = &mut self.graves;
        if graves.sweep.is_none() && graves.waiting.len() >= (self.slots.made() / 8).max(SWEEP_MIN)
        {
            let gone = std::mem::take(&mut graves.waiting);
            let all = self.words.postings_len() + self.words.records_len() * 20;
            let pace = all / gone.len() + 1;
            graves.sweep = Some(Sweep {
                gone,
                word: 0,
                pace,
                credit: 0,
            });
        }
        let Some(sweep) = &mut graves.sweep else {
            return;
        };
        let signed = |count: usize| isize::try_from(count).unwrap_or(isize::MAX);
        let earned = signed(sweep.pace.saturating_mul(changes));
        sweep.credit = sweep.credit.saturating_add(earned);
        while sweep.credit > 0 && sweep.word < self.words.records_len() {
            sweep.credit -= signed(self.words.sweep(sweep.word, &sweep.gone));
            sweep.word += 1;
        }
        if sweep.word == self.words.records_len() {
            let gone = graves
                .sweep
                .take()
                .map(|sweep| sweep.gone)
                .unwrap_or_default();
            gone.iter().for_each(|entry| self.slots.free(entry));
        }
    }
}
