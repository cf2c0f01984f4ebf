//! What peers and hubs say to each other.

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use gannet_base::wire::{FRAME_BYTES_MAX, Malformed, WireMessage};
use gannet_base::{ContentId, FileEntry, PeerAddress, PeerId, Query, Row, WallTime};
use gannet_base::{Publication, wire::SignatureBytes};
use serde::{Deserialize, Serialize};

/// Most changes in one batch.
// Source: a change encodes to more than 100 bytes, so a frame holds fewer.
pub(crate) const BATCH_CHANGES_MAX: usize = 600;
/// Most rows in one answer, whatever is asked.
// Source: a row encodes to more than 150 bytes, so a frame holds fewer.
pub(crate) const PAGE_ROWS_MAX: usize = 400;
/// Most hits in one row of an answer.
pub(crate) const ROW_HITS_MAX: usize = 400;

/// What a peer says of itself, besides its entries.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Announcement {
    /// Where it believes it can be reached; at most
    /// [`PeerAddress::ADDRESSES_MAX`]. A hub passes on only the private ones
    /// among them.
    pub addresses: Vec<SocketAddr>,
    /// How fast it can upload, if it says so. Only breaks ties in ranking.
    pub upload_bytes_per_second: Option<u64>,
}

/// One change to what a peer has registered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Change {
    /// The sender has this. With its expiry and signature it makes a
    /// [`Publication`] whose holder is the sender.
    Put {
        /// The file.
        entry: FileEntry,
        /// When the publication ends.
        expires: WallTime,
        /// The sender's signature of the publication.
        signature: SignatureBytes,
    },
    /// The sender has this no more.
    Remove {
        /// The content.
        content: ContentId,
        /// The path that it was registered under.
        path: String,
    },
}

impl Change {
    /// The change that registers `publication`.
    pub fn put(publication: &Publication) -> Self {
        Self::Put {
            entry: publication.entry.clone(),
            expires: publication.expires,
            signature: publication.signature,
        }
    }
}

/// How a peer's registration stands at a hub.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Standing {
    /// Drawn at random when the hub started: another one means that it forgot
    /// everything.
    pub epoch: u64,
    /// Number of the peer's registration; 0 if there is none.
    pub registration: u64,
    /// How many batches of it were applied: the sequence number of the next.
    pub next: u32,
    /// Digest chained over these batches.
    pub chain: [u8; 16],
    /// How many entries the hub has of the peer now.
    pub entries: u32,
    /// How many entries of the registration the hub refused.
    pub refused: u32,
}

/// What a hub allows each peer, told in its welcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Limits {
    /// How long a silent peer stays registered, seconds.
    pub lease_seconds: u32,
    /// Most entries of one peer.
    pub entries_max: u32,
    /// Questions a second that are answered for long.
    pub queries_per_second: u32,
    /// Batches that may be under way unacknowledged.
    pub window_batches: u16,
}

/// How much a hub has, for show: a hub can claim anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct HubCounts {
    /// Peers registered.
    pub peers: u32,
    /// Entries of all peers.
    pub entries: u64,
    /// Different contents among them.
    pub contents: u64,
}

/// A limit that a request ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Budget {
    /// Peers at this hub.
    Peers,
    /// Entries of one peer.
    Entries,
    /// Bytes of one peer's entries.
    Bytes,
    /// Paths of one content of one peer.
    Names,
    /// Entries of all peers.
    HubEntries,
    /// Registered bytes a second of one peer.
    RegistrationRate,
    /// Questions waiting, of one peer.
    Pending,
    /// The entry or question itself is not acceptable.
    Invalid,
    /// The publication's time is over.
    Expired,
    /// The publication's time ends too far ahead.
    Life,
    /// The hub is shutting down.
    Closing,
}

/// A refusal: which budget, how large it is, when to try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// The budget that is used up.
    pub budget: Budget,
    /// Its size, in the budget's own unit; 0 where it has none.
    pub max: u64,
    /// Earliest time at which trying again makes sense, milliseconds ahead.
    pub retry_after_ms: u32,
}

impl Refusal {
    /// When to try again.
    pub fn retry_after(&self) -> Duration {
        Duration::from_millis(u64::from(self.retry_after_ms))
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let max = self.max;
        match self.budget {
            Budget::Peers => write!(
                f,
                "the hub is full: it serves at most {max} peers; use another hub too"
            )?,
            Budget::Entries => write!(
                f,
                "the hub takes at most {max} entries of one peer: share fewer files, or name \
                 another hub"
            )?,
            Budget::Bytes => write!(
                f,
                "the hub keeps at most {max} bytes of one peer's entries: share fewer files or \
                 shorten their paths"
            )?,
            Budget::Names => write!(
                f,
                "the hub takes one content under at most {max} paths of one peer: it is found \
                 under those"
            )?,
            Budget::HubEntries => write!(
                f,
                "the hub is full: it holds at most {max} entries; use another hub too"
            )?,
            Budget::RegistrationRate => write!(
                f,
                "the hub takes at most {max} registered bytes a second of one peer: the rest \
                 follows more slowly"
            )?,
            Budget::Pending => write!(
                f,
                "the hub keeps at most {max} questions of one peer waiting: ask fewer at once"
            )?,
            Budget::Invalid => f.write_str("the hub finds it malformed or does not understand it")?,
            Budget::Expired => f.write_str(
                "the publication has expired by the hub's calendar: check the clocks of both machines",
            )?,
            Budget::Life => f.write_str(
                "the publication claims to live too long by the hub's calendar: check the clocks of \
                 both machines",
            )?,
            Budget::Closing => f.write_str("the hub is shutting down")?,
        }
        if self.retry_after_ms > 0 {
            let seconds = self.retry_after_ms.div_ceil(1_000);
            write!(f, " (again in {seconds} s)")?;
        }
        Ok(())
    }
}

/// Where a holder can be reached: [`PeerAddress`] in few bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HolderAddresses {
    /// Who.
    pub holder: PeerId,
    /// Where, verified addresses first; at most
    /// [`PeerAddress::ADDRESSES_MAX`].
    pub addresses: Vec<SocketAddr>,
}

/// The hub's control messages, both ways.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum HubMessage {
    /// Peer to hub, first on a link, until answered by `Welcome` or `Refused`.
    Hello {
        /// Echoed in the answer.
        nonce: u64,
        /// What the peer says of itself.
        announcement: Announcement,
    },
    /// Peer to hub, to keep the lease; answered by `Pong`.
    Ping {
        /// Echoed in the answer.
        nonce: u64,
        /// What the peer says of itself.
        announcement: Announcement,
    },
    /// Peer to hub: some changes; answered by `Ack`.
    Batch {
        /// The hub's epoch; a batch for another one is not applied.
        epoch: u64,
        /// The registration. A higher number than before, with sequence 0,
        /// begins anew and drops what was registered.
        registration: u64,
        /// Number of the batch in its registration, from 0. Applied in order.
        sequence: u32,
        /// The changes, in order; at most 600.
        changes: Vec<Change>,
    },
    /// Peer to hub: which contents match; answered by `Rows` or `Refused`.
    Search {
        /// Echoed in the answer.
        request: u64,
        /// The words.
        query: Query,
        /// Rows to skip, in the hub's ranking.
        offset: u32,
        /// Rows wanted; the answer may have fewer, with `next` set.
        limit: u16,
    },
    /// Peer to hub: who has a content; answered by `Rows` or `Refused`.
    Sources {
        /// Echoed in the answer.
        request: u64,
        /// The content.
        content: ContentId,
    },
    /// Peer to hub: forget me.
    Goodbye {
        /// The hub's epoch, as in `Batch`.
        epoch: u64,
        /// The registration to end; ignored if a later one has begun.
        registration: u64,
    },
    /// Hub to peer: come in.
    Welcome {
        /// The greeting's.
        nonce: u64,
        /// What is allowed.
        limits: Limits,
        /// What is registered already.
        standing: Standing,
        /// How much there is here.
        counts: HubCounts,
    },
    /// Hub to peer: still here.
    Pong {
        /// The question's.
        nonce: u64,
        /// What is registered.
        standing: Standing,
        /// How much there is here.
        counts: HubCounts,
    },
    /// Hub to peer, after each batch, applied or not.
    Ack {
        /// What is registered.
        standing: Standing,
        /// The batch came before one that is missing: `standing.next`.
        early: bool,
        /// Send nothing more for so long, milliseconds.
        wait_ms: u32,
        /// Why entries of this batch were refused, if some were.
        refusal: Option<Refusal>,
    },
    /// Hub to peer: one page of an answer.
    Rows {
        /// The question's.
        request: u64,
        /// Rows before the first of these, in the hub's ranking.
        offset: u32,
        /// The rows, best first.
        rows: Vec<Row>,
        /// Where the holders of the rows can be reached, each at most once.
        addresses: Vec<HolderAddresses>,
        /// How many rows there are in all, as far as known.
        total: u64,
        /// Where the next page starts; `None` after the last.
        next: Option<u32>,
    },
    /// Hub to peer: no.
    Refused {
        /// The question that is refused; `None` refuses the peer itself.
        request: Option<u64>,
        /// Why.
        refusal: Refusal,
    },
    /// Hub to peer: you are not known here (any more), say hello.
    Lapsed,
}

fn check_announcement(announcement: &Announcement) -> Result<(), Malformed> {
    Malformed::unless(
        announcement.addresses.len() <= PeerAddress::ADDRESSES_MAX,
        "addresses",
    )
}

fn check_changes(changes: &[Change]) -> Result<(), Malformed> {
    Malformed::unless(changes.len() <= BATCH_CHANGES_MAX, "changes")?;
    for change in changes {
        match change {
            Change::Put { entry, .. } => {
                Malformed::unless(entry.validate().is_ok(), "entry")?;
            }
            Change::Remove { path, .. } => {
                Malformed::unless(path.len() <= FileEntry::PATH_BYTES_MAX, "path")?;
            }
        }
    }
    Ok(())
}

fn check_rows(rows: &[Row], addresses: &[HolderAddresses]) -> Result<(), Malformed> {
    Malformed::unless(rows.len() <= PAGE_ROWS_MAX, "rows")?;
    let hits = rows.iter().map(|row| row.hits.len()).sum::<usize>();
    Malformed::unless(hits <= ROW_HITS_MAX.max(PAGE_ROWS_MAX), "hits")?;
    Malformed::unless(addresses.len() <= hits, "holders")?;
    let bounded = addresses
        .iter()
        .all(|holder| holder.addresses.len() <= PeerAddress::ADDRESSES_MAX);
    Malformed::unless(bounded, "addresses")
}

impl WireMessage for HubMessage {
    const VARIANTS: u32 = 12;
    const BYTES_MAX: usize = FRAME_BYTES_MAX;

    fn validate(&self) -> Result<(), Malformed> {
        match self {
            Self::Hello { announcement, .. } | Self::Ping { announcement, .. } => {
                check_announcement(announcement)
            }
            Self::Batch {
                registration,
                changes,
                ..
            } => {
                Malformed::unless(*registration > 0, "registration")?;
                check_changes(changes)
            }
            Self::Search { limit, .. } => Malformed::unless(*limit > 0, "limit"),
            Self::Rows {
                rows, addresses, ..
            } => check_rows(rows, addresses),
            Self::Sources { .. }
            | Self::Goodbye { .. }
            | Self::Welcome { .. }
            | Self::Pong { .. }
            | Self::Ack { .. }
            | Self::Refused { .. }
            | Self::Lapsed => Ok(()),
        }
    }
}
