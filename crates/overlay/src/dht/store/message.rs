//! What nodes say to each other about records.

use gannet_base::wire::{FRAME_BYTES_MAX, Malformed};
use gannet_base::{ContentId, Query};
use serde::{Deserialize, Serialize};

use super::record::{Place, Record, RecordId, Shard, Word};
use crate::dht::Position;

/// Most bytes of records in one message.
pub(super) const LOAD_BYTES_MAX: usize = 48 * 1024;
const _: () = assert!(LOAD_BYTES_MAX + 8 * 1024 <= FRAME_BYTES_MAX);
/// Most records in one message.
pub(super) const ITEMS_MAX: usize = 256;
/// Most lists for one record in one message.
pub(super) const PLACES_MAX: usize = 256;
/// Most notes on lists in one message.
pub(super) const MARKS_MAX: usize = 64;
/// Most hints in one message.
pub(super) const HINTS_MAX: usize = 16;
/// Most stretches in one comparison.
pub(super) const SPANS_MAX: usize = 64;
/// Into how many parts a stretch that differs is cut.
pub(super) const PARTS_MAX: usize = 16;
/// Most records that one stretch is told as, one by one.
pub(super) const LISTED_MAX: usize = 256;
/// Most records that one comparison is answered with, one by one.
pub(super) const LISTED_ALL_MAX: usize = 1_024;

/// A record with the lists that it belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Item {
    /// The record.
    pub record: Record,
    /// Seconds since its publisher renewed it.
    pub age_s: u32,
    /// Where it belongs.
    pub places: Vec<Place>,
}

/// What a node says of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum ListState {
    /// It is whole: entries are in it.
    Whole,
    /// It is in parts.
    Split {
        /// Bits of the least deep part that is whole.
        bits: u8,
    },
    /// It was given up: entries are in the list that it was a half of.
    Gone,
}

/// A list that is split, or part of one that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The word.
    pub word: Word,
    /// Which part of its list.
    pub shard: Shard,
    /// Counts the changes from and to [`ListState::Whole`]: the later one is
    /// right.
    pub epoch: u32,
    /// What it is.
    pub state: ListState,
    /// Entries in all its parts, as last counted.
    pub count: u32,
}

/// What nodes hand to each other.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Load {
    /// Records.
    pub items: Vec<Item>,
    /// Notes on lists.
    pub marks: Vec<Mark>,
}

/// What is to be done with a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Mode {
    /// Take it, and see to the copies.
    Publish,
    /// The same, and begin parts of lists that are not there.
    Create,
    /// Take it as a copy.
    Copy,
}

/// Why a record is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Refusal {
    /// The list is split: go there.
    Split {
        /// In at least 2^bits parts.
        bits: u8,
    },
    /// There is no such part of a list.
    NoShard,
    /// Some other node owns the key.
    NotMine,
    /// A quota is used up.
    Full,
    /// A budget is used up: later.
    Busy,
    /// It is forged, over, or does not belong there.
    Invalid,
}

/// A refusal of one record in one list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Which item of the load, from 0.
    pub item: u16,
    /// Which place of the item, from 0.
    pub place: u16,
    /// Why.
    pub why: Refusal,
}

/// News of a word whose list is split.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hint {
    /// The word.
    pub word: Word,
    /// Bits of the least deep part that is whole.
    pub bits: u8,
    /// Entries in all parts.
    pub count: u32,
}

/// Where an answer goes on: behind this rank and record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Cursor(pub u8, pub RecordId);

/// A question for entries of one list.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ask {
    /// Which list.
    pub place: Place,
    /// The content, for [`Place::Sources`].
    pub content: Option<ContentId>,
    /// What entries must match.
    pub query: Option<Query>,
    /// Where the page before ended.
    pub after: Option<Cursor>,
    /// Most entries wanted; 0 to hear only what there is.
    pub limit: u16,
}

/// What a list has for a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Found {
    /// Some of it.
    Entries {
        /// The records, the best first.
        records: Vec<Record>,
        /// Where to go on, if there are more.
        next: Option<Cursor>,
        /// How many match.
        total: u32,
        /// A sum over all that match, to see whether two nodes have the same.
        digest: u64,
        /// Entries in the list.
        listed: u32,
        /// Whether the answerer has reason to think that it has the whole list.
        is_sure: bool,
    },
    /// The list is in parts.
    Split {
        /// Bits of the least deep part that is whole.
        bits: u8,
        /// Entries in all parts.
        count: u32,
    },
    /// There is no such part of a list.
    NoShard,
    /// Ask somebody else.
    NotMine,
    /// A budget is used up.
    Busy,
}

/// How a stretch of keys is summed up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Summary {
    /// How many records.
    pub count: u32,
    /// A salted sum of their hashes.
    pub digest: u64,
}

/// A place in the order of all records: by key, then by number. Number 0 is the
/// note on the list.
pub type Spot = (Position, RecordId);

/// A stretch of that order, both ends included.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    /// The first spot.
    pub first: Spot,
    /// The last spot.
    pub last: Spot,
}

/// One stretch as the asker has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Summed {
    /// The stretch.
    pub span: Span,
    /// What is in it.
    pub summary: Summary,
}

/// What differs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Difference {
    /// Much: the answerer's sums of parts of it.
    Parts(Vec<Summed>),
    /// Little: each record with its version.
    Listing {
        /// The stretch.
        span: Span,
        /// The answerer's records in it.
        records: Vec<(Position, RecordId, u64)>,
    },
}

/// What an answerer of a comparison has everything of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Vouch {
    /// It may lack something.
    No,
    /// It was alone until a moment ago, and had all that there was.
    Alone,
    /// Everything.
    Yes,
}

/// What an answerer of a comparison is to the stretches, by the ring as it is now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Standing {
    /// Whether it owns them.
    pub is_owner: bool,
    /// Whether it is, and the asker is one of those that hold its copies.
    pub is_replica: bool,
    /// Whether it has everything.
    pub vouch: Vouch,
}

/// Messages of the store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum StoreMessage {
    /// Keep these.
    Store {
        /// Echoed; 0 for no answer.
        request: u64,
        /// How.
        mode: Mode,
        /// What. Boxed: large.
        load: Box<Load>,
    },
    /// What became of it: everything that is not named was taken.
    Stored {
        /// The number of the load.
        request: u64,
        /// What was not taken.
        refused: Vec<Refused>,
        /// Words of the records that are split.
        hints: Vec<Hint>,
    },
    /// What is in a list?
    Search {
        /// Echoed.
        request: u64,
        /// The question. Boxed: large.
        ask: Box<Ask>,
    },
    /// The answer. Boxed: large.
    Answer {
        /// The number of the question.
        request: u64,
        /// What there is.
        found: Box<Found>,
        /// Words of the question that are split.
        hints: Vec<Hint>,
    },
    /// How is a list?
    Poll {
        /// Echoed.
        request: u64,
        /// The word.
        word: Word,
        /// Which part.
        shard: Shard,
    },
    /// So.
    Polled {
        /// The number of the question.
        request: u64,
        /// What it is; nothing if it is not known here.
        state: Option<ListState>,
        /// Entries in all its parts.
        count: u32,
    },
    /// Give this part of a list up: the list that it is a half of is whole again.
    /// Not believed, only looked into.
    Fold {
        /// The word.
        word: Word,
        /// The part.
        shard: Shard,
    },
    /// Do you have the same?
    Compare {
        /// Echoed.
        request: u64,
        /// Goes into the digests.
        salt: u64,
        /// Stretches as the sender has them.
        spans: Vec<Summed>,
    },
    /// What differs; nothing for what does not.
    Compared {
        /// The number of the question.
        request: u64,
        /// The differences.
        differences: Vec<Difference>,
        /// Stretches that it has not got round to.
        left: Vec<Span>,
        /// What it is to all of them.
        standing: Standing,
    },
    /// Give me these.
    Fetch {
        /// Echoed.
        request: u64,
        /// Which.
        spots: Vec<Spot>,
    },
    /// As many of them as fit. Boxed: large.
    Fetched {
        /// The number of the question.
        request: u64,
        /// The records.
        load: Box<Load>,
    },
    /// We have the same from (exclusive) here to (inclusive) there.
    Agreed {
        /// Behind this position.
        from: Position,
        /// Up to this.
        to: Position,
    },
    /// I had everything from (exclusive) here to (inclusive) there, and it is with
    /// you now.
    Brought {
        /// Behind this position.
        from: Position,
        /// Up to this.
        to: Position,
    },
    /// That we have the same from (exclusive) here to (inclusive) there may not be so
    /// any more: I am the owner, and somebody came between or before us.
    Lapsed {
        /// Behind this position.
        from: Position,
        /// Up to this.
        to: Position,
    },
}

impl Load {
    fn check(&self) -> Result<(), Malformed> {
        Malformed::unless(self.items.len() <= ITEMS_MAX, "items")?;
        Malformed::unless(self.marks.len() <= MARKS_MAX, "marks")?;
        for item in &self.items {
            let count = item.places.len();
            Malformed::unless((1..=PLACES_MAX).contains(&count), "places")?;
            Malformed::unless(item.places.iter().all(Place::is_valid), "place")?;
        }
        let valid = |mark: &Mark| mark.word.is_valid() && mark.shard.is_valid();
        Malformed::unless(self.marks.iter().all(valid), "mark")
    }
}

fn check_hints(hints: &[Hint]) -> Result<(), Malformed> {
    Malformed::unless(hints.len() <= HINTS_MAX, "hints")?;
    let valid = |hint: &Hint| hint.word.is_valid() && hint.bits <= Shard::BITS_MAX;
    Malformed::unless(hints.iter().all(valid), "hint")
}

fn check_differences(differences: &[Difference]) -> Result<(), Malformed> {
    let mut listed = 0;
    for difference in differences {
        match difference {
            Difference::Parts(parts) => Malformed::unless(parts.len() <= PARTS_MAX, "parts")?,
            Difference::Listing { records, .. } => listed += records.len(),
        }
    }
    Malformed::unless(listed <= LISTED_ALL_MAX, "records")
}

impl StoreMessage {
    /// Checks what the type cannot.
    ///
    /// # Errors
    ///
    /// The first rule that is broken.
    pub(crate) fn validate(&self) -> Result<(), Malformed> {
        match self {
            Self::Store { load, .. } | Self::Fetched { load, .. } => load.check(),
            Self::Stored { refused, hints, .. } => {
                Malformed::unless(refused.len() <= ITEMS_MAX * 8, "refused")?;
                check_hints(hints)
            }
            Self::Search { ask, .. } => {
                let sources = ask.place == Place::Sources;
                Malformed::unless(sources == ask.content.is_some(), "content")?;
                Malformed::unless(ask.place.is_valid(), "place")
            }
            Self::Answer { found, hints, .. } => {
                if let Found::Entries { records, .. } = &**found {
                    Malformed::unless(records.len() <= ITEMS_MAX, "records")?;
                }
                check_hints(hints)
            }
            Self::Poll { word, shard, .. } | Self::Fold { word, shard } => {
                Malformed::unless(word.is_valid() && shard.is_valid(), "list")
            }
            Self::Compare { spans, .. } => Malformed::unless(spans.len() <= SPANS_MAX, "spans"),
            Self::Compared {
                differences, left, ..
            } => {
                Malformed::unless(differences.len() <= SPANS_MAX, "differences")?;
                Malformed::unless(left.len() <= SPANS_MAX, "left")?;
                check_differences(differences)
            }
            Self::Fetch { spots, .. } => Malformed::unless(spots.len() <= ITEMS_MAX, "spots"),
            Self::Polled { .. }
            | Self::Agreed { .. }
            | Self::Brought { .. }
            | Self::Lapsed { .. } => Ok(()),
        }
    }
}
