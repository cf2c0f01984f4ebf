//! How patient and how thorough searches are.

use std::time::Duration;

/// How searches over several overlays are run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Different contents that are enough for a search by words, if it asks for
    /// so many: overlays that widen step by step stop there. Too low: common
    /// words show few of many. Too high: every search goes through the whole
    /// network.
    // Guess: two screens full.
    pub enough: u32,
    /// Holders that are enough for a question for sources. Too low: slow
    /// downloads. Too high: questions travel further than they need.
    // Guess: half of what a download uses at once (32).
    pub holders_enough: u32,
    /// How long a search waits for its last overlay. Too low: slow networks are
    /// cut short. Too high: a search that something holds up seems to hang.
    // Guess: three times what a hub may take, and more than ten hops.
    pub patience: Duration,
    /// Searches and questions for sources at once; the next one ends without
    /// asking. Bounds memory.
    // Guess: a long list of downloads, all looking for sources.
    pub searches_max: usize,
    /// Rows of one search. Caps what is asked for.
    // Guess: more than anybody reads; a program pages.
    pub rows_max: u32,
    /// Sources kept of one row.
    // Guess: more than a download uses at once (32), with some to spare.
    pub sources_per_row_max: usize,
    /// Finders named in one row, of each overlay.
    // Guess: who was first, and some who confirm it.
    pub found_by_max: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            enough: 50,
            holders_enough: 16,
            patience: Duration::from_secs(30),
            searches_max: 256,
            rows_max: 1_000,
            sources_per_row_max: 64,
            found_by_max: 4,
        }
    }
}
