//! What tasks and threads report to the driver.

use std::path::PathBuf;
use std::sync::Arc;

use gannet_base::{ContentId, FileEntry, GroupRange, GroupSet, PeerAddress, PeerId, Publication};
use gannet_overlay::locate::{LocateId, Overlay};
use gannet_store::{
    CollectionDownload, CollectionError, CollectionRecord, ContentReader, Download, DownloadError,
    Finished, ReadError, StoreEvent, WatchError, Watcher,
};
use gannet_swarm::{DownloadCommand, ServeFailure, TransferMessage};

use crate::api::{DownloadInfo, KeptFile};
use crate::error::{KeepError, LinkError};
use crate::gather::Step;
use crate::handle::Reply;
use crate::verify::CheckedRows;

/// Most reports waiting for the driver; whoever reports more waits.
pub(crate) const REPORTS_MAX: usize = 1_024;

/// Something that the driver has to know.
#[derive(Debug)]
pub(crate) enum Report {
    /// From a stream that fetches.
    Fetch {
        whose: Whose,
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
    /// What is shared changed, in this order.
    Shares(Vec<SharedChange>),
    /// The shares are watched, or cannot be.
    Watching(Result<Watcher, WatchError>),
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
    /// What is kept for others.
    Kept(KeptNews),
    /// A folder that is fetched, or can be had here.
    Folder(FolderNews),
    /// A file that others are to keep was looked up.
    ToKeep {
        result: Result<FileEntry, LinkError>,
        wish: KeepWish,
        reply: Reply<Result<KeptFile, KeepError>>,
    },
}

/// News of folders.
#[derive(Debug)]
pub(crate) enum FolderNews {
    /// An earlier run left it.
    Known {
        record: CollectionRecord,
        download: CollectionDownload,
    },
    /// The download of a folder was begun, or cannot be.
    Created {
        wish: Wish,
        result: Result<CollectionDownload, CollectionError>,
        reply: Reply<Result<DownloadInfo, crate::DownloadError>>,
    },
    /// A step was done, or could not be.
    Done {
        download: CollectionDownload,
        /// Of the download in the list.
        number: u32,
        step: Step,
        result: Box<Result<StepDone, CollectionError>>,
    },
    /// Whether the disk has room again.
    Room { id: ContentId, room: bool },
    /// A folder that was given up is deleted, as far as it can be.
    Discarded(ContentId),
    /// What is there for the sake of folders that can be had here.
    Served(Vec<Publication>),
}

/// What came of a step.
#[derive(Debug)]
pub(crate) enum StepDone {
    /// Something is to be fetched.
    Fetch(Download),
    /// The folder has its name.
    Finished(PathBuf),
    /// It is done.
    Done,
}

/// For whom something is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Whose {
    /// The user.
    Own,
    /// Others, for whom it is kept.
    Kept,
}

/// How committing some blocks of a part ended.
#[derive(Debug)]
pub(crate) struct Committed {
    pub(crate) content: ContentId,
    /// Of the part.
    pub(crate) number: u64,
    /// Their indices.
    pub(crate) blocks: Vec<u32>,
    pub(crate) result: Result<(), String>,
}

/// News of what is kept for others, from the thread that does its disk work.
#[derive(Debug)]
pub(crate) enum KeptNews {
    /// A part was opened, or cannot be.
    Opened {
        content: ContentId,
        number: u64,
        result: Result<Download, String>,
    },
    /// Blocks were committed, or could not be.
    Committed(Committed),
    /// What of a part is still good.
    Checked {
        content: ContentId,
        number: u64,
        have: GroupSet,
    },
    /// A proof, if one can be given.
    Proof {
        id: u64,
        content: ContentId,
        proof: Option<[u8; 32]>,
    },
    /// The user's download has what is kept of its content.
    Lent { content: ContentId },
    /// What is to be remembered was written, or could not be.
    Saved(Result<(), String>),
}

/// How a file is to be kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct KeepWish {
    pub(crate) copies: u8,
    pub(crate) days: u32,
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
    /// More sources for what is kept for others.
    KeptSources(ContentId),
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

impl FetchNews {
    /// What a download core is to hear of it; a message is its peer's own word.
    pub(crate) fn into_command(
        self,
        content: ContentId,
        peer: PeerId,
    ) -> Result<DownloadCommand, TransferMessage> {
        Ok(match self {
            Self::Message(message) => return Err(message),
            Self::Received(bytes) => DownloadCommand::Received {
                content,
                peer,
                bytes,
            },
            Self::Stored { slice, groups } => DownloadCommand::Stored {
                content,
                peer,
                slice,
                groups,
            },
            Self::NotStored { slice, .. } | Self::DiskFull { slice } => {
                DownloadCommand::NotStored {
                    content,
                    peer,
                    slice,
                }
            }
            Self::Corrupt { slice } => DownloadCommand::Corrupt {
                content,
                peer,
                slice,
            },
            Self::Closed => DownloadCommand::StreamClosed { content, peer },
        })
    }
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
    /// Shared from now on, and not registered anywhere: who asks this peer finds
    /// it.
    Found(Box<FileEntry>),
    /// Not any more.
    Withdrawn(ContentId, String),
}
