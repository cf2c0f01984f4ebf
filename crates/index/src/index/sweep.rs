//! How deleted entries leave the postings.
//!
//! **Problem.** An entry occurs in the postings of a dozen words. Taking it
//! out of each at once would cost a dozen cache misses and the tokenizer; a
//! holder with 100,000 entries that leaves would stop everything.
//!
//! **How.** A deleted entry is only marked: searches skip it, its slot is not
//! used again. When an eighth of all slots are marked, a sweep begins, a little
//! with every later insertion or deletion, so that it ends before as many again
//! are marked: over the postings of all words, over the alphabetical list for
//! words that are gone, over the marks, whose slots become free. No step of it
//! is longer than one chunk of postings.
//!
//! **Invariant.** A slot is used again only when no posting names it.

use super::Index;
use super::bits::Bits;
use super::chunk::Bitmap;

/// Fewer marked entries than this are not worth a sweep.
const SWEEP_MIN: usize = 1_024;
/// The work of freeing a slot, in postings that are passed over.
// Guess: less than a cache miss, they are next to each other.
const FREE_WORK: usize = 4;

#[derive(Debug, Default)]
pub(super) struct Graves {
    /// Deleted since the sweep began.
    waiting: Bits,
    sweep: Option<Sweep>,
}

#[derive(Debug)]
struct Sweep {
    gone: Bits,
    next: Next,
    /// Postings for each insertion or deletion.
    pace: usize,
    /// Postings that may be passed over now; below zero if a long list was.
    credit: isize,
}

/// Where a sweep goes on.
#[derive(Debug, Clone, Copy)]
enum Next {
    /// With the postings of this word from this chunk on.
    Postings(u32, u16),
    /// With this block of the alphabetical list.
    Tidy(usize),
    /// With the slots of these 64 marks.
    Free(usize),
    Done,
}

impl Graves {
    /// The deleted entries of a chunk that postings may still name: two sets.
    pub(super) fn chunk(&self, number: u16) -> [Option<&Bitmap>; 2] {
        let gone = self.sweep.as_ref().map(|sweep| &sweep.gone);
        [
            self.waiting.chunk(number),
            gone.and_then(|gone| gone.chunk(number)),
        ]
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
            let pace = self.words.sweep_work() / gone.len() + FREE_WORK + 1;
            graves.sweep = Some(Sweep {
                gone,
                next: Next::Postings(0, 0),
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
        while sweep.credit > 0 {
            let (work, next) = match sweep.next {
                Next::Postings(word, _) if word >= self.words.records_len() => (1, Next::Tidy(0)),
                Next::Postings(word, from) => {
                    let (work, next) = self.words.sweep(word, from, &sweep.gone);
                    let next = next.map_or((word + 1, 0), |from| (word, from));
                    (work, Next::Postings(next.0, next.1))
                }
                Next::Tidy(block) => match self.words.tidy(block) {
                    Some((work, next)) => (work, Next::Tidy(next)),
                    None => (1, Next::Free(0)),
                },
                Next::Free(marks) => match sweep.gone.marks(marks) {
                    Some(entries) => {
                        let mut work = 1;
                        for entry in entries {
                            self.slots.free(entry);
                            work += FREE_WORK;
                        }
                        (work, Next::Free(marks + 1))
                    }
                    None => (1, Next::Done),
                },
                Next::Done => {
                    graves.sweep = None;
                    return;
                }
            };
            sweep.credit -= signed(work);
            sweep.next = next;
        }
    }
}
