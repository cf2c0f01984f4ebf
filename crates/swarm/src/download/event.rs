//! What the driver tells downloads, and what they tell the driver.

use gannet_base::{ContentId, GroupRange, GroupSet, PeerId, Timestamp};

use crate::message::RefusedReason;

/// What the driver asks of, or reports to, the downloads. Commands about a
/// content or peer that is not (or no more) known do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadCommand {
    /// Fetch a content. Does nothing if it is being fetched already.
    Start {
        /// Which content.
        content: ContentId,
        /// What somebody said its size is; sources that agree are tried first.
        size_hint: Option<u64>,
        /// Its size, if proven in an earlier run.
        size: Option<u64>,
        /// What was verified and written in an earlier run; never asked for
        /// again.
        have: GroupSet,
        /// Higher ones go first while more downloads want to run than
        /// [`DownloadsConfig::downloads_active_max`](super::DownloadsConfig).
        priority: u8,
    },
    /// A peer may have (parts of) the content. For a known source that waits
    /// to be tried again: try soon.
    AddSource {
        /// Which content.
        content: ContentId,
        /// Who.
        peer: PeerId,
    },
    /// Stop fetching; keep everything.
    Pause {
        /// Which content.
        content: ContentId,
    },
    /// Go on after `Pause`.
    Resume {
        /// Which content.
        content: ContentId,
    },
    /// Stop and forget; also the way to forget a complete download.
    Cancel {
        /// Which content.
        content: ContentId,
    },
    /// Fetch only a part. What is asked for already may still come.
    Want {
        /// Which content.
        content: ContentId,
        /// The groups that are wanted; the download is complete when they are here.
        /// `None`, as at the start: all of them.
        groups: Option<GroupSet>,
    },
    /// The user is watching the file.
    Watch {
        /// Which content.
        content: ContentId,
        /// Fetch in order from here, and what lies before it last; `None`:
        /// rarest first again.
        first_group: Option<u64>,
    },
    /// Change the order of waiting downloads.
    Prioritise {
        /// Which content.
        content: ContentId,
        /// As in `Start`.
        priority: u8,
    },
    /// Raw bytes came in behind a slice header. To be told at least every
    /// 250 ms while bytes flow, the last ones included; speed and stalls are
    /// measured by it.
    Received {
        /// Which content.
        content: ContentId,
        /// From whom.
        peer: PeerId,
        /// How many since the last report.
        bytes: u64,
    },
    /// Groups of a slice were verified and written: the end of that request.
    Stored {
        /// Which content.
        content: ContentId,
        /// From whom.
        peer: PeerId,
        /// The slice as requested.
        slice: GroupRange,
        /// The whole slice, or what of it arrived; the rest is asked again.
        groups: GroupSet,
    },
    /// A slice arrived, or failed to, and was not written through no proven
    /// fault of the peer (too few bytes; an error of the disk): it is asked
    /// again.
    NotStored {
        /// Which content.
        content: ContentId,
        /// From whom.
        peer: PeerId,
        /// The slice as requested.
        slice: GroupRange,
    },
    /// The bytes of a slice do not verify: the peer is banned for this content
    /// and trusted less elsewhere. Report what did verify as `Stored` first.
    Corrupt {
        /// Which content.
        content: ContentId,
        /// From whom.
        peer: PeerId,
        /// The slice as requested.
        slice: GroupRange,
    },
    /// The transfer stream is closed or could not be opened, and not because
    /// of [`DownloadEvent::Close`].
    StreamClosed {
        /// Which content.
        content: ContentId,
        /// The other end.
        peer: PeerId,
    },
    /// Nothing can be written until `DiskOk`.
    DiskFull {
        /// Which content.
        content: ContentId,
    },
    /// There is room again.
    DiskOk {
        /// Which content.
        content: ContentId,
    },
}

/// What downloads tell the driver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadEvent {
    /// The size is proven by a verified last group: space may be reserved.
    SizeProven {
        /// Which content.
        content: ContentId,
        /// Its size, bytes.
        size: u64,
    },
    /// Groups were added; at most one per
    /// [`DownloadsConfig::progress_interval`](super::DownloadsConfig).
    Progress {
        /// Which content.
        content: ContentId,
        /// Verified so far, bytes.
        have_bytes: u64,
        /// Its size, bytes.
        size: u64,
    },
    /// Every group is verified and written.
    Complete {
        /// Which content.
        content: ContentId,
    },
    /// The state is another one now.
    StateChanged {
        /// Which content.
        content: ContentId,
        /// The new state.
        state: DownloadState,
    },
    /// More sources would help: ask `locate`. Repeated, ever more seldom,
    /// while it is so.
    NeedSources {
        /// Which content.
        content: ContentId,
        /// What the present sources are stuck on.
        why: WaitReason,
    },
    /// A source was given up, for good or until it is tried again.
    SourceDropped {
        /// Which content.
        content: ContentId,
        /// Who.
        peer: PeerId,
        /// Why.
        reason: DropReason,
        /// When it is tried again; `None`: not by itself.
        retry_at: Option<Timestamp>,
    },
    /// Close the transfer stream after what was sent before; no
    /// [`DownloadCommand::StreamClosed`] is wanted for it.
    Close {
        /// Which content.
        content: ContentId,
        /// The other end.
        peer: PeerId,
    },
}

/// How a download stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DownloadState {
    /// Bytes are asked for and arrive.
    Active,
    /// Nothing moves, for a reason.
    Waiting(WaitReason),
    /// By the user's wish.
    Paused,
    /// Every group is verified.
    Complete,
}

/// Why nothing moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum WaitReason {
    /// More important downloads are running.
    Turn,
    /// No source is known.
    NoSources,
    /// Sources are being connected to or asked.
    Connecting,
    /// All that answered put us in their queue.
    Queued,
    /// None could be reached; they are tried again.
    Unreachable,
    /// All refused, or were left for being slow or silent; they are tried
    /// again.
    Refused,
    /// All that were left sent wrong bytes or lied about the size.
    Banned,
    /// The sources have nothing of what is missing.
    NothingOffered,
    /// The sources that have it have stopped sending.
    Stalled,
    /// Bytes are here and are being verified and written.
    Writing,
    /// The disk is full.
    DiskFull,
}

/// Why a source was given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DropReason {
    /// It could not be dialled.
    Unreachable,
    /// The link or the stream broke.
    Lost,
    /// It did not answer in time.
    Silent,
    /// It stopped sending in the middle.
    Stalled,
    /// It sends too slowly to be of use.
    TooSlow,
    /// It refused.
    Refused(RefusedReason),
    /// It sent wrong bytes: banned.
    Corrupt {
        /// The slice that they were for.
        slice: GroupRange,
    },
    /// It claims a size that is not the content's, or none that can be:
    /// banned.
    WrongSize {
        /// What it claims, bytes.
        claimed: u64,
    },
    /// It broke the protocol: banned.
    Protocol,
    /// It sent wrong bytes for other contents: not used.
    Distrusted,
    /// It was put aside too often.
    GivenUp,
}

/// A download, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadStatus {
    /// How it stands.
    pub state: DownloadState,
    /// Its size in bytes, once proven.
    pub size: Option<u64>,
    /// Verified and written, bytes.
    pub have_bytes: u64,
    /// Verified and written.
    pub have: GroupSet,
    /// Speed now, bytes a second, all sources.
    pub rate_bytes_per_second: u64,
    /// Bytes that came and were here already, since the start.
    pub duplicate_bytes: u64,
    /// Every known source, in order of id.
    pub sources: Vec<SourceStatus>,
}

/// A source of a download, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceStatus {
    /// Who.
    pub peer: PeerId,
    /// How it stands.
    pub state: SourceState,
    /// Speed now, bytes a second.
    pub rate_bytes_per_second: u64,
    /// Verified bytes that came from it.
    pub bytes: u64,
    /// Asked of it and not here yet, bytes.
    pub in_flight_bytes: u64,
}

/// How a source stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SourceState {
    /// Known; others are used first.
    Spare,
    /// Failed; will be tried again.
    BackOff {
        /// When.
        until: Timestamp,
    },
    /// Being connected to.
    Dialing,
    /// Asked for a slot; has not answered.
    Asked,
    /// In its queue.
    Queued {
        /// Place in its queue; 1 is next.
        position: u32,
    },
    /// Gives slices, or would.
    Ready,
    /// Has a slot for us and has stopped sending.
    Snubbed,
    /// Not asked again for this content.
    Banned,
}

/// How to take the bytes behind a slice header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Expected {
    /// The content's size to verify against: proven, or claimed by this peer.
    pub size: u64,
    /// Fewer bytes than this cannot hold the slice, and more than
    /// [`bytes_max`](Self::bytes_max) are an attack. Handing in a header
    /// outside of these bounds closes the stream.
    pub bytes_min: u64,
    /// See [`bytes_min`](Self::bytes_min).
    pub bytes_max: u64,
    /// Whether the slice is still needed. If not, the bytes may be thrown away
    /// unverified and reported with
    /// [`NotStored`](DownloadCommand::NotStored).
    pub wanted: bool,
}
