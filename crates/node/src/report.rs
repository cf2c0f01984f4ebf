//! What tasks and threads report to the driver.

use std::sync::Arc;

use gannet_base::{ContentId, GroupRange, GroupSet, PeerAddress, PeerId, Publication};
use gannet_overlay::locate::{LocateId, Overlay};
use gannet_store::{
    ContentReader, Download, DownloadError, Finished, ReadError, ScanError, ScanSummary,
    StoreEvent, WatchError, Watcher,
};
use gannet_swarm::{ServeFailure, TransferMessage};

use crate::api::DownloadInfo;
use crate::handle::Reply;
use crate::verify::CheckedRows;

/// Most reports waiting for the driver; whoever reports more waits.
pub(crate) const REPORTS_MAX: usize = 1_024;

/// Something that the driver has to know.
#[derive(Debug)]
pub(crate) enum Report {
    /// From a stream that fetches.
    Fetch {
        content: ContentId,
        peer: PeerId,
        stream: u64,
        news: FetchNews,
    },
    /// From a stream that serves.
    Serve {
        content: ContentId,
        peer: PeerId,
        stream: u64,
        news: ServeNews,
    },
    /// A download's files were made, or could not be.
    Created {
        wish: Wish,
        result: Result<Download, DownloadError>,
        reply: Reply<Result<DownloadInfo, crate::DownloadError>>,
    },
    /// A content was opened for serving, or cannot be.
    Opened {
        content: ContentId,
        result: Result<Arc<ContentReader>, ReadError>,
    },
    /// Answers were checked.
    Rows {
        id: LocateId,
        overlay: Overlay,
        via: PeerId,
        hops: u8,
        checked: CheckedRows,
    },
    /// What is shared changed.
    Share(SharedChange),
    /// The shares are watched, or cannot be.
    Watching(Result<Watcher, WatchError>),
    /// A scan of everything is over.
    Scanned(Result<ScanSummary, ScanError>),
    /// The store noticed something.
    Store(StoreEvent),
    /// A download's checkpoint is done.
    Checkpoint {
        content: ContentId,
        result: Result<(), DownloadError>,
    },
    /// A complete download has its final name, or cannot get it.
    Finished {
        content: ContentId,
        result: Result<Finished, DownloadError>,
    },
    /// Whether the disk has room again.
    Room { content: ContentId, room: bool },
}

/// A download that somebody asked for.
#[derive(Debug)]
pub(crate) struct Wish {
    pub(crate) content: ContentId,
    pub(crate) name: String,
    pub(crate) size_hint: Option<u64>,
    pub(crate) sources: Vec<PeerAddress>,
}

/// What a question to the overlays is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// A user's search.
    Search(u64),
    /// More sources for a download.
    Sources(ContentId),
    /// Whether others find this peer: a self-test.
    Findable(u64),
}

/// News from a stream that fetches.
#[derive(Debug)]
pub(crate) enum FetchNews {
    /// A control message.
    Message(TransferMessage),
    /// Raw bytes came in.
    Received(u64),
    /// A slice is verified and written.
    Stored { slice: GroupRange, groups: GroupSet },
    /// A slice did not come whole or could not be written.
    NotStored {
        slice: GroupRange,
        problem: Option<String>,
    },
    /// A slice does not verify.
    Corrupt { slice: GroupRange },
    /// The disk is full.
    DiskFull { slice: GroupRange },
    /// The stream is over; the last news.
    Closed,
}

/// News from a stream that serves.
#[derive(Debug)]
pub(crate) enum ServeNews {
    /// A control message.
    Message(TransferMessage),
    /// A slice was sent whole.
    Served { slice: GroupRange, bytes: u64 },
    /// A slice was not.
    Failed {
        slice: GroupRange,
        failure: ServeFailure,
    },
    /// The stream is over; the last news.
    Closed,
}

/// A change of what is shared.
#[derive(Debug)]
pub(crate) enum SharedChange {
    /// Shared from now on, signed.
    Published(Box<Publication>),
    /// Not any more.
    Withdrawn(ContentId, String),
}
