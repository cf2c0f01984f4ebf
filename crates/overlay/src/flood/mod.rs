//! The flood overlay: neighbours pass questions on, breadth first.

mod api;
mod key;
mod message;
mod question;

pub use api::{
    DownReason, Ending, FloodCommand, FloodEvent, FloodOutcome, RequestId, Strategy,
};
pub use key::{content_key, entry_keys, word_key};
pub use message::{
    Ask, Coverage, FloodMessage, HITS_MAX, HITS_ROWS_MAX, Hits, PATCH_BYTES_MAX,
    PEERS_LISTED_MAX, Patch, SearchId, TABLE_BITS,
};
pub use question::{Question, Wanted};
