//! What the layer above and the overlays tell, and what they are told.

use std::str::FromStr;
use std::time::Duration;

use gannet_base::{ContentId, FileEntry, PeerId, Query, Row};
use serde::{Deserialize, Serialize};

use super::explain::Explanation;
use crate::dht::DhtOutcome;
use crate::flood::FloodOutcome;
use crate::hub::HubOutcome;
use crate::supernode::SupernodeOutcome;

/// The caller's number for a search; echoed, and handed on to the overlays.
pub type LocateId = u64;

/// One way to find files. As text, its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Overlay {
    /// Directory servers that peers register at.
    Hub,
    /// Directories that peers elect among themselves.
    Supernode,
    /// A ring on which every word and every content has its peers.
    Dht,
    /// Neighbours that pass questions on.
    Flood,
}

/// A text that names no overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseOverlayError(String);

impl std::fmt::Display for ParseOverlayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [first @ .., last] = Overlay::ALL.map(Overlay::name);
        write!(
            f,
            "\"{}\" is no overlay: there are {} and {last}",
            self.0,
            first.join(", ")
        )
    }
}

impl std::error::Error for ParseOverlayError {}

impl Overlay {
    /// Every overlay, the quickest to answer first.
    pub const ALL: [Self; 4] = [Self::Hub, Self::Supernode, Self::Dht, Self::Flood];

    /// Its name, as users type and see it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hub => "hub",
            Self::Supernode => "supernode",
            Self::Dht => "dht",
            Self::Flood => "flood",
        }
    }

    /// Whether it asks further step by step, so that stopping it early spares
    /// others work.
    pub(super) const fn widens(self) -> bool {
        match self {
            Self::Hub => false,
            Self::Supernode | Self::Dht | Self::Flood => true,
        }
    }
}

impl FromStr for Overlay {
    type Err = ParseOverlayError;

    fn from_str(text: &str) -> Result<Self, ParseOverlayError> {
        Self::ALL
            .into_iter()
            .find(|overlay| overlay.name() == text)
            .ok_or_else(|| ParseOverlayError(text.to_owned()))
    }
}

/// What one overlay is asked to find.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Files that match a query.
    Words {
        /// The words.
        query: Query,
        /// Most rows of use.
        rows_max: u32,
        /// Different contents that are enough, at most `rows_max`.
        enough: u32,
    },
    /// Holders of one content.
    Holders {
        /// The content.
        content: ContentId,
        /// Holders that are enough.
        enough: u32,
    },
}

/// How one overlay's part of a search ended, as the overlay tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum OverlayOutcome {
    /// It is not in use here: no hub is named, no other peer is known.
    Unused,
    /// What every hub made of it.
    Hub(Vec<HubOutcome>),
    /// How far the supernodes came.
    Supernode(SupernodeOutcome),
    /// How far it came on the ring.
    Dht(DhtOutcome),
    /// How far the flood came.
    Flood(FloodOutcome),
}

/// What a search is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocateCommand {
    /// These overlays are switched on. Searches under way keep theirs.
    Overlays(Vec<Overlay>),
    /// Find files that match a query.
    Search {
        /// The caller's number.
        id: LocateId,
        /// The words.
        query: Query,
        /// Most rows wanted.
        rows_max: u32,
    },
    /// Find who has a content.
    Sources {
        /// The caller's number.
        id: LocateId,
        /// The content.
        content: ContentId,
    },
    /// Forget a search: its overlays are told, no other event follows.
    Cancel {
        /// Which.
        id: LocateId,
    },
    /// Answers from an overlay, their signatures verified.
    Rows {
        /// Which search.
        id: LocateId,
        /// Which overlay.
        overlay: Overlay,
        /// The peer that they came from.
        via: PeerId,
        /// Hops from here to the answerer, as they say.
        hops: u8,
        /// The rows.
        rows: Vec<Row>,
        /// Hits that were left out because their holders had not signed them.
        forged: u64,
    },
    /// An overlay is done; all its rows have been told before.
    Ended {
        /// Which search.
        id: LocateId,
        /// Which overlay.
        overlay: Overlay,
        /// How it went.
        outcome: OverlayOutcome,
    },
}

/// What a search tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LocateEvent {
    /// An overlay is to look for something.
    Ask {
        /// The search's number.
        id: LocateId,
        /// Which overlay.
        overlay: Overlay,
        /// What for.
        ask: Ask,
    },
    /// An overlay need not look any more.
    Forget {
        /// The search's number.
        id: LocateId,
        /// Which overlay.
        overlay: Overlay,
    },
    /// A row is new, or has changed.
    Row {
        /// The search's number.
        id: LocateId,
        /// The row as it is now.
        row: Box<LocatedRow>,
    },
    /// A search is over.
    Ended {
        /// Its number.
        id: LocateId,
        /// How.
        explanation: Explanation,
    },
}

/// One content and who has it, put together from all answers so far.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LocatedRow {
    /// Its place in the order of first appearance, from 0; it stays.
    pub position: u32,
    /// What the first answer said of it; the path is that of the name that most
    /// sources give it.
    pub entry: FileEntry,
    /// How many have it: at least those in `sources`, more if an answerer knows
    /// of more.
    pub holders: u32,
    /// Some of them, in order of appearance, each peer once.
    pub sources: Vec<Source>,
    /// Who found it, in order of time.
    pub found_by: Vec<FoundBy>,
}

/// A peer that has a content.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Source {
    /// Who.
    pub peer: PeerId,
    /// The path there.
    pub path: String,
}

/// Which overlay found something, and how fast.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundBy {
    /// Which overlay.
    pub overlay: Overlay,
    /// The peer that the answer came from.
    pub via: PeerId,
    /// Hops from here to the nearest answerer behind it, as they say.
    pub hops: u8,
    /// From the question to the first answer.
    pub after: Duration,
}
