//! What a page shows besides: settings, the way around a peer, a self-test.

use gannet_base::{FileEntry, PeerAddress, PeerId};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::schema;

/// What of the configuration may change while the peer runs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Settings {
    /// Most content bytes a second sent, all peers together; 0: no limit.
    pub limit_up: u64,
    /// Most content bytes a second received, all downloads together; 0: no limit.
    pub limit_down: u64,
    /// How many peers are served at once.
    pub upload_slots: u32,
    /// The hubs to register at and to search, in that order.
    #[schema(value_type = Vec<schema::PeerAddress>)]
    pub hubs: Vec<PeerAddress>,
}

/// New settings; what is left out stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct SettingsChange {
    /// See [`Settings::limit_up`].
    pub limit_up: Option<u64>,
    /// See [`Settings::limit_down`].
    pub limit_down: Option<u64>,
    /// See [`Settings::upload_slots`]; 1 to 100.
    #[schema(minimum = 1, maximum = 100)]
    pub upload_slots: Option<u32>,
    /// See [`Settings::hubs`].
    #[schema(value_type = Option<Vec<schema::PeerAddress>>)]
    pub hubs: Option<Vec<PeerAddress>>,
}

/// Other peers on the ring, as far as this peer has pointers to them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RingMap {
    /// Where this peer is: 32 hexadecimal digits, clockwise from 0. Nothing
    /// without a place on the ring.
    pub position: Option<String>,
    /// Whom it points to, in order of position.
    pub places: Vec<RingPlace>,
}

/// One of a peer's pointers on the ring.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct RingPlace {
    /// To whom.
    #[schema(value_type = schema::PeerId)]
    pub peer: PeerId,
    /// Where that is: 32 hexadecimal digits.
    pub position: String,
    /// Which pointer.
    pub pointer: Pointer,
}

/// Which of a peer's pointers on the ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Pointer {
    /// To the peer before it.
    Predecessor,
    /// To one of those after it.
    Successor,
    /// A shortcut across the ring.
    Finger,
}

/// One file that this peer shares.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SharedFile {
    /// What it is.
    #[schema(value_type = schema::FileEntry)]
    pub entry: FileEntry,
    /// The link, to be given to others.
    pub link: String,
}

/// A part of what this peer shares.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct SharedFiles {
    /// The part, in order of path.
    pub files: Vec<SharedFile>,
    /// How many it shares in all.
    pub total: u64,
}

/// What a self-test found.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct SelfTest {
    /// The questions with their answers, the most important first.
    pub checks: Vec<Check>,
}

/// One question of a self-test.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Check {
    /// The question, in plain words.
    pub question: String,
    /// The answer in a word.
    pub verdict: Verdict,
    /// What it rests on, and what to do if it is not yes.
    pub answer: String,
}

/// The answer to a question of a self-test.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Verdict {
    /// It is so.
    Yes,
    /// It is so in part, or nothing has shown it yet.
    Partly,
    /// It is not so.
    No,
}
