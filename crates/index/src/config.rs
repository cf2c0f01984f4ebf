//! The limits of an index.

use gannet_base::FileEntry;

/// The limits of an [`Index`](crate::Index).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Most entries of all holders together. Too low: publications are refused
    /// while there is room. Too high: memory, about 300 bytes each.
    pub entries_max: usize,
    /// Most holders, those included that have only announced a speed. Too low:
    /// peers are refused while there is room. Too high: memory, about 200 bytes
    /// each.
    pub holders_max: usize,
    /// Most entries of one holder. Too low: large collections are cut. Too
    /// high: one peer can fill the index.
    pub entries_per_holder_max: usize,
    /// Most bytes of one holder's entries, as [`Config::charge`] counts. Too
    /// low: large collections with long names are cut. Too high: one peer can
    /// fill the memory with few, long entries.
    pub bytes_per_holder_max: usize,
    /// Most entries of one holder with the same content. Too low: a holder's
    /// many copies of one file (empty ones, licences) are not all found by
    /// their names. Too high: each further copy costs time in proportion to
    /// those before it.
    pub names_per_content_max: usize,
    /// Most work of one search, in units of about three nanoseconds: one for
    /// each posting that is looked at, [`Config::WORK_PER_READING`] for each
    /// entry that is cut into words. Too low: searches with phrases, filters
    /// and beginnings of common words end incomplete. Too high: one search
    /// holds up everybody else.
    pub work_per_query_max: u64,
    /// Most matching entries that are ranked if the query is more than whole
    /// words, and how many rows all pages have together if it is not. Too low:
    /// searches with filters, phrases and beginnings of words rank only a small
    /// part of what matches. Too high: they are slow, and nobody reads so many.
    pub ranked_per_query_max: usize,
    /// Most entries that are cut into words to see in which order they have
    /// those of the query, the most widely held first. Entries with whole words
    /// only, of which each is among the first fifteen or occurs at most twice,
    /// need none. Too low: entries in the query's order stand behind others.
    /// Too high: searches are slow.
    pub readings_per_ranking_max: usize,
    /// Most rows of one page. Too low: more round trips. Too high: memory and
    /// time for an answer that nobody reads.
    pub rows_max: u32,
    /// Most hits of one row. Too low: fewer sources are known at once. Too
    /// high: the same.
    pub hits_per_row_max: u32,
    /// A number that strangers cannot guess. Results do not depend on it; if
    /// strangers know it, they can choose words that slow the index down.
    pub hash_seed: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            // Guess: 600 MB of memory at 300 bytes each.
            entries_max: 2_000_000,
            // Guess: far above the connections that one machine can have.
            holders_max: 200_000,
            // Guess: collections of which one is larger are rare.
            entries_per_holder_max: 200_000,
            // Guess: 640 bytes for each of 200,000 entries.
            bytes_per_holder_max: 128_000_000,
            // Guess: beyond any honest use of the copies' names.
            names_per_content_max: 256,
            // Guess: about half a millisecond.
            work_per_query_max: 150_000,
            // Guess: more than anybody pages through; with filters, each costs
            // about a tenth of a microsecond.
            ranked_per_query_max: 2_000,
            // Guess: a microsecond each, three times a screen of rows.
            readings_per_ranking_max: 64,
            // Guess: more than fits a screen, less than fits a frame.
            rows_max: 1_000,
            // Guess: more sources than a download uses at once.
            hits_per_row_max: 64,
            // A driver sets one of its own.
            hash_seed: 0,
        }
    }
}

impl Config {
    /// What an entry is charged for, of [`Config::bytes_per_holder_max`]: about
    /// twice the memory that usual ones take. One whose words occur nowhere
    /// else takes up to six times as much as this.
    // Measured: 241 bytes for an entry with a path of 64 bytes (`cargo xtask bench index`).
    pub fn charge(entry: &FileEntry) -> usize {
        Self::charge_for(entry.path.len(), entry.media.texts().map(str::len).sum())
    }

    pub(crate) fn charge_for(path_bytes: usize, media_bytes: usize) -> usize {
        256 + 4 * (path_bytes + media_bytes)
    }

    /// The price of cutting one entry into words, in units of
    /// [`Config::work_per_query_max`].
    // Guess: a few cache misses and the tokenizer.
    pub const WORK_PER_READING: u64 = 50;
}
