//! What the layer above tells a client and is told.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::{ContentId, PeerAddress, PeerId, Publication, Query, Row, Timestamp};

use crate::hub::{HubCounts, Refusal};

/// The caller's name for a search, echoed in its events.
pub type RequestId = u64;

/// What the layer above tells a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubClientCommand {
    /// Use these hubs, all at once; at most
    /// [`hubs_max`](crate::hub::ClientConfig::hubs_max), the first ones.
    Hubs(Vec<PeerId>),
    /// What to say of this peer.
    Announce {
        /// Where it believes it can be reached; the first eight count.
        addresses: Vec<SocketAddr>,
        /// How fast it can upload.
        upload_bytes_per_second: Option<u64>,
    },
    /// Register these, all of the same holder: this peer. One for the same
    /// content and path replaces the earlier one.
    Publish(Vec<Publication>),
    /// Register these no more.
    Withdraw(Vec<(ContentId, String)>),
    /// Find contents.
    Search {
        /// The caller's name for it.
        id: RequestId,
        /// The words.
        query: Query,
        /// Most rows wanted from each hub.
        limit: u32,
    },
    /// Find who has a content.
    Sources {
        /// The caller's name for it.
        id: RequestId,
        /// The content.
        content: ContentId,
    },
    /// Forget a search; nothing more comes of it.
    Cancel {
        /// Which.
        id: RequestId,
    },
    /// A row from this hub held a publication that its holder did not sign.
    /// After some, the hub is left.
    Forged {
        /// Which hub.
        hub: PeerId,
    },
    /// Ask every hub in use at once whether it is there, for whoever has reason
    /// to doubt it. One that has been asked and has not answered is asked again,
    /// and its silence counts from the first question.
    Check,
    /// Say goodbye to every hub and use none: for a clean shutdown.
    Leave,
}

/// Why a hub is not used now. It is tried again after a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownReason {
    /// No connection could be made.
    Unreachable,
    /// The connection broke.
    LinkLost,
    /// It is connected, but did not answer the greeting: it may be no hub.
    NoWelcome,
    /// It is connected, but did not answer for so long.
    Silent {
        /// Since the first unanswered question.
        unanswered: Duration,
    },
    /// It was asked for an entry that it had acknowledged and did not know it.
    WrongAnswer,
    /// It sent answers that make no sense.
    Nonsense,
    /// It does not take in what is registered.
    Stalled,
    /// It refuses this peer.
    Refused(Refusal),
}

impl fmt::Display for DownReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreachable => f.write_str("it cannot be reached"),
            Self::LinkLost => f.write_str("the connection broke"),
            Self::NoWelcome => {
                f.write_str("it is connected but did not answer the greeting: is it a hub?")
            }
            Self::Silent { unanswered } => write!(
                f,
                "it is connected but has not answered for {} s",
                unanswered.as_secs()
            ),
            Self::WrongAnswer => f.write_str("it does not know an entry that it had acknowledged"),
            Self::Nonsense => f.write_str("it sends answers that make no sense"),
            Self::Stalled => f.write_str("it does not take in what is registered"),
            Self::Refused(refusal) => write!(f, "it refuses this peer: {refusal}"),
        }
    }
}

/// How one hub did in one search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It answered.
    Answered {
        /// How many rows it has in all, as far as it knows.
        total: u64,
    },
    /// It refused, or this client did in its place.
    Refused {
        /// Why.
        reason: Refusal,
    },
    /// It was asked and did not answer to the end.
    NoAnswer,
    /// It could not be asked.
    NotConnected,
}

/// One hub's part in a search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubOutcome {
    /// Which hub.
    pub hub: PeerId,
    /// How it did.
    pub outcome: Outcome,
    /// How long it took.
    pub elapsed: Duration,
}

/// What a client tells the layer above.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HubClientEvent {
    /// A hub welcomed this peer.
    HubUp {
        /// Which.
        hub: PeerId,
    },
    /// A hub is not used now; told for each failed attempt.
    HubDown {
        /// Which.
        hub: PeerId,
        /// Why.
        reason: DownReason,
    },
    /// A hub has taken in every change so far.
    Registered {
        /// Which.
        hub: PeerId,
        /// How many entries of this peer it has.
        entries: usize,
    },
    /// A hub did not take in some entries. Told once per registration and
    /// reason, when the rest is in.
    RegistrationRefused {
        /// Which.
        hub: PeerId,
        /// How many entries are missing there.
        entries: usize,
        /// Why.
        reason: Refusal,
    },
    /// Some publications were not taken by this client itself.
    PublishRefused {
        /// How many broke a rule of entries.
        invalid: usize,
        /// How many were beyond the limit.
        excess: usize,
        /// The limit.
        entries_max: usize,
    },
    /// Some of the answer to a search. A content comes at most once per search
    /// and hub. The publications are not verified yet.
    Rows {
        /// Which search.
        id: RequestId,
        /// Whose answer.
        hub: PeerId,
        /// The rows.
        rows: Vec<Row>,
        /// Where their holders can be reached.
        addresses: Vec<PeerAddress>,
    },
    /// A search is over.
    Ended {
        /// Which.
        id: RequestId,
        /// What every hub made of it.
        asked: Vec<HubOutcome>,
    },
}

/// How far a client is with a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HubPhase {
    /// Left, and tried again then.
    Resting {
        /// When.
        until: Timestamp,
    },
    /// Being connected to.
    Dialing,
    /// Connected, not yet welcomed.
    Greeting,
    /// In use.
    Live,
}

/// What a client knows of a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HubState {
    /// Which.
    pub hub: PeerId,
    /// How far it is.
    pub phase: HubPhase,
    /// Whether it is in use.
    pub connected: bool,
    /// How many entries of this peer it has, by its own word.
    pub registered: usize,
    /// How many of this peer's changes it has not acknowledged yet.
    pub unregistered: usize,
    /// How many entries it refused.
    pub refused: usize,
    /// How long its last canary or keep-alive took to be answered.
    pub canary_rtt: Option<Duration>,
    /// When it last answered one rightly.
    pub answered_at: Option<Timestamp>,
    /// Why it was left the last time.
    pub last_down: Option<DownReason>,
    /// How much it has, by its own word.
    pub counts: HubCounts,
}
