//! What the store looks like from outside.

use super::{Place, Store};

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreCounters {
    /// Messages sent.
    pub sent: u64,
    /// Ways to keys that were asked for.
    pub lookups: u64,
    /// Questions that nobody answered in time.
    pub timeouts: u64,
    /// Records of others taken, each list counted.
    pub taken: u64,
    /// Records refused, each list counted.
    pub refused: u64,
    /// Of these, forged, over or misplaced ones.
    pub invalid: u64,
    /// Records that ended.
    pub expired: u64,
    /// Own records that were taken by who is responsible, each list counted.
    pub published: u64,
    /// Questions for lists that were answered.
    pub served: u64,
    /// Questions that went beyond a budget.
    pub busy: u64,
    /// Comparisons with other nodes that came to an end.
    pub compared: u64,
    /// Records sent because a comparison showed that they were missing.
    pub repaired: u64,
    /// Lists split.
    pub splits: u64,
    /// Lists made whole again.
    pub folds: u64,
    /// Answers with forged records.
    pub forged: u64,
}

/// What the store looks like from outside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreStatus {
    /// Own files that are published.
    pub files: usize,
    /// Lists that they are in, or shall be.
    pub keys: usize,
    /// Of these, those that nobody has taken yet.
    pub keys_pending: usize,
    /// Of these, those of contents, in which sources are looked up.
    pub sources_pending: usize,
    /// Entries held for others, each list counted.
    pub postings: usize,
    /// Lists with entries.
    pub lists: usize,
    /// Entries of the longest one.
    pub longest: u32,
    /// Notes on lists that are split.
    pub marks: usize,
    /// Bytes of entries held for others.
    pub bytes: usize,
    /// Words known to be split.
    pub hints: usize,
    /// Regions of the ring whose owners are remembered.
    pub regions: usize,
    /// Own searches that run.
    pub searches: usize,
    /// What happened since the start.
    pub counters: StoreCounters,
}

impl Store {
    /// What it looks like from outside.
    pub(crate) fn status(&self) -> StoreStatus {
        StoreStatus {
            files: self.own.len(),
            keys: self.publishing.len(),
            keys_pending: self.publishing.pending(|_| true),
            sources_pending: self.publishing.pending(|place| *place == Place::Sources),
            postings: self.shelf.len(),
            lists: self.shelf.lists_len(),
            longest: self.shelf.longest(),
            marks: self.shelf.marks_len(),
            bytes: self.shelf.bytes(),
            hints: self.hints.len(),
            regions: self.known.regions_len(),
            searches: self.searches.len(),
            counters: self.counters,
        }
    }
}
