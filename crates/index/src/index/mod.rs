//! The inverted index: from words to entries to holders.
//!
//! **Problem.** A hub holds millions of entries of peers that come and go. It
//! must find words in microseconds, fit in memory, and forget a peer at once.
//!
//! **How.** Every entry has a slot with a number ([`slots`]); its path's folder
//! is kept once for all files in it ([`folders`]), its name as it came, so that
//! the publication can be handed out with its signature. The dictionary
//! ([`words`]) leads from a word to the sorted numbers of the entries that have
//! it and to where in them it stands ([`postings`], [`chunk`], [`dense`]), so
//! that queries of whole words are counted and ranked without looking at entries
//! ([`plain`]; what words have in common: [`common`], [`counted`]; whether they
//! stand in order: [`order`], [`pair`]); other queries look at what they match
//! ([`search`]). Entries of one content form a list ([`contents`]), those of one
//! holder a table ([`holders`]). Deleting marks; a sweep in small steps cleans
//! the postings ([`sweep`]).
//!
//! **Non-goals.** Persistence: an index is rebuilt from what its holders say.
//!
//! **Invariant.** Results depend on what is in the index and on the limits;
//! while no limit is met, not on the order in which it came, except that rows
//! which rank the same may change places.

mod best;
mod bits;
mod chunk;
mod common;
mod contents;
mod counted;
mod dense;
mod entries;
mod folders;
mod hash;
mod holders;
mod intersect;
mod listing;
mod media;
mod order;
mod paged;
mod pair;
mod plain;
mod pool;
mod postings;
mod rank;
mod search;
mod slots;
mod sweep;
mod text;
mod words;
mod work;

use gannet_base::{InvalidEntry, Publication, Row};

use crate::Config;
use crate::query::EntryTokens;
use contents::Contents;
use folders::Folders;
use holders::Holders;
use pool::Pool;
use slots::Slots;
use sweep::Graves;
use words::Words;

/// Entries of many holders, found by their words.
///
/// * in: [`Index::insert`], [`Index::remove`], [`Index::remove_holder`],
///   [`Index::expire`], [`Index::set_speed`];
/// * out: [`Index::search`], [`Index::holders`], [`Index::holdings`];
/// * about itself: [`Index::len`], [`Index::holders_len`],
///   [`Index::contents_len`], [`Index::memory_bytes`].
///
/// ```
/// use gannet_base::{ContentId, FileEntry, Media, PeerId, Publication, Query, WallTime};
/// use gannet_base::wire::SignatureBytes;
/// use gannet_index::{Config, Expression, Index, Inserted, Page};
///
/// let publication = Publication {
///     entry: FileEntry {
///         content: ContentId::of(b"song"),
///         size: 4,
///         path: "Music/Abba/Waterloo.flac".to_owned(),
///         media: Media::default(),
///     },
///     holder: PeerId::from_bytes([7; 32]),
///     expires: WallTime::from_unix_seconds(2_000_000_000),
///     signature: SignatureBytes([0; 64]),
/// };
/// let mut index = Index::new(Config::default());
/// assert_eq!(index.insert(&publication), Inserted::New);
///
/// let query = Query::new("water* -mp3 type:audio").expect("a query");
/// let expression = Expression::parse(&query).expect("with a word");
/// let found = index.search(&expression, Page::default());
/// assert_eq!(found.rows[0].hits[0].publication, publication);
/// ```
#[derive(Debug)]
pub struct Index {
    config: Config,
    words: Words,
    slots: Slots,
    folders: Folders,
    contents: Contents,
    holders: Holders,
    graves: Graves,
    pool: Pool,
    /// Memory for cutting entries into words.
    tokens: EntryTokens,
    /// Entries that are not deleted.
    len: usize,
}

/// What became of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Inserted {
    /// It is in the index and was not before.
    New,
    /// The holder's entry with this content and path was there; signature,
    /// expiry, size and media are now those of this publication.
    Renewed,
    /// It is not in the index. What was there before stays.
    Refused(Refusal),
}

/// Why a publication was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The entry breaks a rule of its own: its publisher is faulty or hostile.
    #[error("the entry is invalid: {0}")]
    Invalid(#[from] InvalidEntry),
    /// The whole index is full ([`Config::entries_max`]). Try another one.
    #[error("the index is full: it has {max} entries")]
    Full {
        /// The limit.
        max: usize,
    },
    /// The index knows as many holders as it may ([`Config::holders_max`]).
    #[error("the index is full: it knows {max} peers")]
    Holders {
        /// The limit.
        max: usize,
    },
    /// The holder has as many entries as it may
    /// ([`Config::entries_per_holder_max`]). Share fewer files.
    #[error("this peer has {max} entries, which is the most that one may have")]
    HolderEntries {
        /// The limit.
        max: usize,
    },
    /// The holder's entries take as much memory as they may
    /// ([`Config::bytes_per_holder_max`]). Share fewer files or shorten names.
    #[error("this peer's entries take {max} bytes, which is the most that one's may take")]
    HolderBytes {
        /// The limit.
        max: usize,
    },
    /// The holder has this content under as many paths as it may
    /// ([`Config::names_per_content_max`]). It is found under those.
    #[error("this peer has the same content under {max} paths already")]
    Names {
        /// The limit.
        max: usize,
    },
}

/// Which part of an answer is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page {
    /// How many rows to leave out at the front.
    pub offset: u32,
    /// Most rows; [`Config::rows_max`] bounds it.
    pub limit: u32,
    /// Most hits of one row; [`Config::hits_per_row_max`] bounds it.
    pub hits_per_row: u32,
}

impl Default for Page {
    /// The first twenty rows, eight hits each.
    fn default() -> Self {
        Self {
            offset: 0,
            limit: 20,
            hits_per_row: 8,
        }
    }
}

/// The answer to a search.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rows {
    /// One row for each content, best first. Hits match the query; `holders`
    /// counts all holders of the content, under whatever name.
    pub rows: Vec<Row>,
    /// How many rows there are on all pages; a lower bound unless `complete`.
    pub total: u64,
    /// Whether `total` is exact and no better row is missing. If not, the work
    /// that one query may cause ran out: the rows are good, but better ones may
    /// be missing.
    pub complete: bool,
}

/// Some entries of one holder.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Holdings {
    /// In the order of their paths' bytes, then of their content ids.
    pub publications: Vec<Publication>,
    /// How many it has.
    pub total: u64,
}
