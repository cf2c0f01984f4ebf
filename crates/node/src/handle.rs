//! The handle: what the page, the API and the command line hold of a node.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use gannet_base::{ContentId, PeerAddress, PeerId};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use crate::NodeConfig;
use crate::api::{
    BrowsePage, DownloadInfo, DownloadRequest, HeldFile, KeepRequest, KeptFile, LinkInfo,
    NodeEvent, PeerInfo, Refused, SearchState, SearchUpdate, ShareInfo, Status, UploadInfo,
};
use crate::error::{
    BrowseError, DownloadError, KeepError, LinkError, SearchError, ShareError, StartError, Stopped,
};

/// An answer on its way.
pub(crate) type Reply<T> = oneshot::Sender<T>;

/// What a user can do to a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Change {
    Pause,
    Resume,
    Cancel,
}

/// A started search: its number and its updates.
pub(crate) type Started = (u64, mpsc::Receiver<SearchUpdate>);

/// What a handle asks of the driver.
#[derive(Debug)]
pub(crate) enum Request {
    Status(Reply<Status>),
    Search {
        query: String,
        limit: u32,
        reply: Reply<Result<Started, SearchError>>,
    },
    SearchState {
        id: Option<u64>,
        reply: Reply<Option<SearchState>>,
    },
    Download {
        request: DownloadRequest,
        reply: Reply<Result<DownloadInfo, DownloadError>>,
    },
    Downloads(Reply<Vec<DownloadInfo>>),
    Change {
        number: u32,
        change: Change,
        reply: Reply<Result<DownloadInfo, DownloadError>>,
    },
    Uploads(Reply<Vec<UploadInfo>>),
    Peers(Reply<Vec<PeerInfo>>),
    Browse {
        peer: PeerAddress,
        offset: u64,
        limit: u32,
        reply: Reply<Result<BrowsePage, BrowseError>>,
    },
    Shares(Reply<Vec<ShareInfo>>),
    ShareAdd {
        path: PathBuf,
        force: bool,
        reply: Reply<Result<ShareInfo, ShareError>>,
    },
    ShareRemove {
        path: PathBuf,
        reply: Reply<Result<ShareInfo, ShareError>>,
    },
    Link {
        path: PathBuf,
        reply: Reply<Result<LinkInfo, LinkError>>,
    },
    Keeping(KeepingRequest),
    /// What a page asks besides.
    Page(crate::page::PageRequest),
    Shutdown,
}

/// What a handle asks about files that are kept.
#[derive(Debug)]
pub(crate) enum KeepingRequest {
    Keep {
        request: KeepRequest,
        reply: Reply<Result<KeptFile, KeepError>>,
    },
    Kept(Reply<Vec<KeptFile>>),
    Unkeep {
        content: ContentId,
        reply: Reply<Result<KeptFile, KeepError>>,
    },
    Held(Reply<Vec<HeldFile>>),
    Refuse {
        what: Refused,
        reply: Reply<Result<(), KeepError>>,
    },
    Allow {
        what: Refused,
        reply: Reply<Result<(), KeepError>>,
    },
    Refused(Reply<Vec<Refused>>),
}

/// A running peer. Cheap to clone; the peer runs until [`Node::shutdown`] or
/// until every handle is gone.
///
/// Every method may be called from any task; dropping a future that a method
/// returned loses its answer, not what it asked for.
#[derive(Debug, Clone)]
pub struct Node {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    peer: PeerId,
    data_dir: PathBuf,
    requests: mpsc::Sender<Request>,
    events: broadcast::Sender<NodeEvent>,
    stopped: watch::Receiver<bool>,
}

impl Node {
    /// Starts a peer and returns when it can be reached.
    ///
    /// # Errors
    ///
    /// Whatever keeps it from starting; nothing is left running then.
    pub async fn start(config: NodeConfig) -> Result<Self, StartError> {
        crate::start::start(config).await
    }

    pub(crate) fn new(
        peer: PeerId,
        data_dir: PathBuf,
        requests: mpsc::Sender<Request>,
        events: broadcast::Sender<NodeEvent>,
        stopped: watch::Receiver<bool>,
    ) -> Self {
        Self {
            shared: Arc::new(Shared {
                peer,
                data_dir,
                requests,
                events,
                stopped,
            }),
        }
    }

    /// Who this peer is.
    pub fn peer_id(&self) -> PeerId {
        self.shared.peer
    }

    /// Where its own files are.
    pub fn data_dir(&self) -> &Path {
        &self.shared.data_dir
    }

    pub(crate) async fn ask<T>(
        &self,
        request: impl FnOnce(Reply<T>) -> Request,
    ) -> Result<T, Stopped> {
        let (reply, answer) = oneshot::channel();
        self.shared
            .requests
            .send(request(reply))
            .await
            .map_err(|_| Stopped)?;
        answer.await.map_err(|_| Stopped)
    }

    /// Asks for something that nobody waits for.
    pub(crate) fn tell(&self, request: Request) {
        let Err(mpsc::error::TrySendError::Full(request)) = self.shared.requests.try_send(request)
        else {
            return;
        };
        let requests = self.shared.requests.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            // If the driver is gone there is nobody to tell.
            runtime.spawn(async move { drop(requests.send(request).await) });
        }
    }

    /// How it is.
    ///
    /// # Errors
    ///
    /// If the node has stopped; so for all that follow.
    pub async fn status(&self) -> Result<Status, Stopped> {
        self.ask(Request::Status).await
    }

    /// Searches for at most `limit` rows (1 to 1,000; clamped). Updates come on
    /// the receiver, the last is [`SearchUpdate::End`]; dropping the receiver
    /// does not end the search.
    ///
    /// # Errors
    ///
    /// If the words are no query.
    pub async fn search(&self, query: &str, limit: u32) -> Result<Started, SearchError> {
        let query = query.to_owned();
        self.ask(|reply| Request::Search {
            query,
            limit,
            reply,
        })
        .await?
    }

    /// A search as far as it has come; the latest one if `id` is `None`. The
    /// last 16 are kept.
    pub async fn search_state(&self, id: Option<u64>) -> Result<Option<SearchState>, Stopped> {
        self.ask(|reply| Request::SearchState { id, reply }).await
    }

    /// Starts a download, or returns the one that is already running.
    ///
    /// # Errors
    ///
    /// If there is nothing such to download.
    pub async fn download(&self, request: DownloadRequest) -> Result<DownloadInfo, DownloadError> {
        self.ask(|reply| Request::Download { request, reply })
            .await?
    }

    /// All downloads by number, finished ones of this run included.
    pub async fn downloads(&self) -> Result<Vec<DownloadInfo>, Stopped> {
        self.ask(Request::Downloads).await
    }

    /// Pauses a download; it keeps what it has.
    ///
    /// # Errors
    ///
    /// If there is no such download or it is over.
    pub async fn pause(&self, number: u32) -> Result<DownloadInfo, DownloadError> {
        self.change(number, Change::Pause).await
    }

    /// Lets a paused or failed download go on.
    ///
    /// # Errors
    ///
    /// If there is no such download or it is over.
    pub async fn resume(&self, number: u32) -> Result<DownloadInfo, DownloadError> {
        self.change(number, Change::Resume).await
    }

    /// Gives a download up and deletes what it has; a finished file stays.
    ///
    /// # Errors
    ///
    /// If there is no such download.
    pub async fn cancel(&self, number: u32) -> Result<DownloadInfo, DownloadError> {
        self.change(number, Change::Cancel).await
    }

    async fn change(&self, number: u32, change: Change) -> Result<DownloadInfo, DownloadError> {
        self.ask(|reply| Request::Change {
            number,
            change,
            reply,
        })
        .await?
    }

    /// Whom this peer serves, and who waits.
    pub async fn uploads(&self) -> Result<Vec<UploadInfo>, Stopped> {
        self.ask(Request::Uploads).await
    }

    /// Who is connected.
    pub async fn peers(&self) -> Result<Vec<PeerInfo>, Stopped> {
        self.ask(Request::Peers).await
    }

    /// A page of what another peer shares, at most `limit` entries (1 to 500;
    /// clamped) from `offset` on.
    ///
    /// # Errors
    ///
    /// If it cannot be reached or does not tell.
    pub async fn browse(
        &self,
        peer: &PeerAddress,
        offset: u64,
        limit: u32,
    ) -> Result<BrowsePage, BrowseError> {
        let peer = peer.clone();
        self.ask(|reply| Request::Browse {
            peer,
            offset,
            limit,
            reply,
        })
        .await?
    }

    /// The shared folders.
    pub async fn shares(&self) -> Result<Vec<ShareInfo>, Stopped> {
        self.ask(Request::Shares).await
    }

    /// Shares a folder from now on, over restarts too; it is scanned at once,
    /// in the background. `force` shares what is refused for safety's sake: a
    /// home directory, the root.
    ///
    /// # Errors
    ///
    /// If it cannot be shared.
    pub async fn share_add(&self, path: PathBuf, force: bool) -> Result<ShareInfo, ShareError> {
        self.ask(|reply| Request::ShareAdd { path, force, reply })
            .await?
    }

    /// Shares a folder no more. No file is touched.
    ///
    /// # Errors
    ///
    /// If it is not shared.
    pub async fn share_remove(&self, path: PathBuf) -> Result<ShareInfo, ShareError> {
        self.ask(|reply| Request::ShareRemove { path, reply })
            .await?
    }

    /// A link to a shared file; hashes it first if need be.
    ///
    /// # Errors
    ///
    /// If it cannot be read or is not shared.
    pub async fn link(&self, path: PathBuf) -> Result<LinkInfo, LinkError> {
        self.ask(|reply| Request::Link { path, reply }).await?
    }

    /// Has others keep a file that this peer shares, so that it outlives it here; on
    /// return they have been asked. Asked again, the new number of copies and the new
    /// end count. May take as long as hashing the file takes.
    ///
    /// # Errors
    ///
    /// If it cannot be kept, or is not here.
    pub async fn keep(&self, request: KeepRequest) -> Result<KeptFile, KeepError> {
        self.ask(|reply| Request::Keeping(KeepingRequest::Keep { request, reply }))
            .await?
    }

    /// The files that others keep for this peer, by content.
    pub async fn kept(&self) -> Result<Vec<KeptFile>, Stopped> {
        self.ask(|reply| Request::Keeping(KeepingRequest::Kept(reply)))
            .await
    }

    /// Has others keep a file no more. What it was is returned.
    ///
    /// # Errors
    ///
    /// If it is not kept.
    pub async fn unkeep(&self, content: ContentId) -> Result<KeptFile, KeepError> {
        self.ask(|reply| Request::Keeping(KeepingRequest::Unkeep { content, reply }))
            .await?
    }

    /// What this peer holds for others, by content.
    pub async fn held(&self) -> Result<Vec<HeldFile>, Stopped> {
        self.ask(|reply| Request::Keeping(KeepingRequest::Held(reply)))
            .await
    }

    /// Holds a content, or anything of a peer, for nobody from now on. What is held of
    /// it is deleted.
    ///
    /// # Errors
    ///
    /// If the dht overlay is off.
    pub async fn refuse(&self, what: Refused) -> Result<(), KeepError> {
        self.ask(|reply| Request::Keeping(KeepingRequest::Refuse { what, reply }))
            .await?
    }

    /// Takes a refusal back.
    ///
    /// # Errors
    ///
    /// If the dht overlay is off.
    pub async fn allow(&self, what: Refused) -> Result<(), KeepError> {
        self.ask(|reply| Request::Keeping(KeepingRequest::Allow { what, reply }))
            .await?
    }

    /// What this peer refuses to hold.
    pub async fn refused(&self) -> Result<Vec<Refused>, Stopped> {
        self.ask(|reply| Request::Keeping(KeepingRequest::Refused(reply)))
            .await
    }

    /// What happens from now on. A receiver that falls more than 256 events
    /// behind loses the oldest.
    pub fn events(&self) -> broadcast::Receiver<NodeEvent> {
        self.shared.events.subscribe()
    }

    /// Stops the peer in good order: tells the hubs, commits what downloads
    /// have, closes connections. Returns when that is done; may be called
    /// again.
    pub async fn shutdown(&self) {
        // If the driver is gone already there is nobody to tell.
        let _ = self.shared.requests.send(Request::Shutdown).await;
        self.stopped().await;
    }

    /// Waits until the peer has stopped, for whatever reason.
    pub async fn stopped(&self) {
        let mut stopped = self.shared.stopped.clone();
        // An error means that the driver is gone, which is what is waited for.
        let _ = stopped.wait_for(|stopped| *stopped).await;
    }
}
