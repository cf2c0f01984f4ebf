//! What the driver tells uploads, and what they tell the driver.

use gannet_base::{ContentId, GroupRange, GroupSet, PeerId};

use crate::message::Have;

/// What the driver asks of, or reports to, the uploads. Commands about an
/// upload that is not (or no more) known do nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum UploadCommand {
    /// Answers [`UploadEvent::Lookup`]: this can be served.
    Offer {
        /// Which content.
        content: ContentId,
        /// Its size, bytes; proven.
        size: u64,
        /// What there is of it.
        have: Have,
    },
    /// Answers [`UploadEvent::Lookup`]: this is not shared.
    NotShared {
        /// Which content.
        content: ContentId,
    },
    /// The slice's last byte was written to the stream.
    Served {
        /// To whom.
        to: PeerId,
        /// Which content.
        content: ContentId,
        /// Which slice.
        slice: GroupRange,
        /// How many bytes, proof included.
        bytes: u64,
    },
    /// Bytes of a slice that is being served went out. Not needed on fast
    /// lines; told every second or so, it keeps a slow line from being taken
    /// for a fetcher that does not read.
    Wrote {
        /// To whom.
        to: PeerId,
        /// Which content.
        content: ContentId,
    },
    /// The slice was not, or not wholly, written to the stream.
    ServeFailed {
        /// To whom.
        to: PeerId,
        /// Which content.
        content: ContentId,
        /// Which slice.
        slice: GroupRange,
        /// Why.
        failure: ServeFailure,
    },
    /// A partial content has grown.
    Gained {
        /// Which content.
        content: ContentId,
        /// What has come; what of it is known is no news.
        groups: GroupSet,
    },
    /// What there is of a content is this now.
    Grown {
        /// Which content.
        content: ContentId,
        /// All that there is of it now.
        have: Have,
    },
    /// The content is not shared any more: its file changed or went.
    Withdrawn {
        /// Which content.
        content: ContentId,
    },
    /// The transfer stream is closed, and not because of
    /// [`UploadEvent::Close`].
    StreamClosed {
        /// The other end.
        to: PeerId,
        /// Which content.
        content: ContentId,
    },
    /// From now on this many slots. Those beyond keep theirs until they leave.
    SetSlots {
        /// How many.
        slots_max: usize,
    },
}

/// Why a slice was not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ServeFailure {
    /// The file is not what it was: the content is withdrawn from everybody.
    Changed,
    /// These groups are not there; nothing was written to the stream.
    NotThere,
    /// Reading failed; nothing was written to the stream.
    Unreadable,
    /// The stream broke while writing.
    Stream,
}

/// What uploads tell the driver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UploadEvent {
    /// Is this content shared? Answer with [`UploadCommand::Offer`] or
    /// [`UploadCommand::NotShared`], once per content.
    Lookup {
        /// Which content.
        content: ContentId,
        /// Who asked first.
        peer: PeerId,
    },
    /// Write a slice header and the slice to the stream, then report
    /// [`UploadCommand::Served`] or [`UploadCommand::ServeFailed`]. At most
    /// [`UploadsConfig::serves_per_stream_max`](super::UploadsConfig) at a time
    /// for one stream; to be written in this order.
    Serve {
        /// To whom.
        to: PeerId,
        /// Which content.
        content: ContentId,
        /// Which slice.
        slice: GroupRange,
    },
    /// Close the transfer stream after what was sent before; no
    /// [`UploadCommand::StreamClosed`] is wanted for it.
    Close {
        /// The other end.
        to: PeerId,
        /// Which content.
        content: ContentId,
    },
}

/// All uploads, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadsStatus {
    /// How many can be served at once.
    pub slots_max: usize,
    /// Those served first, in order of peer and content; then the queue in its
    /// order.
    pub uploads: Vec<UploadStatus>,
}

/// One content for one peer, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UploadStatus {
    /// Who fetches.
    pub peer: PeerId,
    /// What.
    pub content: ContentId,
    /// How it stands.
    pub state: UploadState,
    /// Sent since it was asked for, bytes with proofs.
    pub bytes: u64,
    /// Speed now, bytes a second.
    pub rate_bytes_per_second: u64,
    /// Requests not yet answered.
    pub requests: usize,
}

/// How an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum UploadState {
    /// Asked; the content is being looked up.
    LookingUp,
    /// Has a slot.
    Serving,
    /// In the queue.
    Queued {
        /// Place in the queue; 1 is next.
        position: u32,
    },
}
