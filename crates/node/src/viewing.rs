//! Reading a content from any place, while it may still be coming.
//!
//! **Problem.** A player asks for the beginning, then for the end, then for the
//! middle, and wants each at once; the download fetches what is rarest.
//!
//! **Goals.** A view tells the download where it reads, so that those groups come
//! first, and waits for what is not here yet. Every byte has been verified.
//!
//! **Non-goals.** Starting a download: there must be one, or a shared file.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gannet_base::{ContentId, GROUP_BYTES, GroupRange, groups_in};
use gannet_store::{ContentReader, Coverage, ReadError};
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::Node;
use crate::error::Stopped;
use crate::handle::Request;
use crate::page::PageRequest;

/// Which view of a content, so that an old one's end does not end a newer one's
/// wishes.
pub(crate) type ViewId = u64;

/// Most groups read at once: 256 KiB.
// Guess: some tenths of a second of video, and few turns for a fast disk.
const READ_GROUPS_MAX: u64 = 16;
/// How long a view waits for a length, or for the bytes that it wants, while none
/// at all come.
// Guess: longer than a source takes to be found and dialled.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the driver knows of a content that somebody wants to look at.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) view: ViewId,
    /// What it is called here.
    pub(crate) name: String,
    /// `None`: neither a download nor, as far as the driver knows, shared.
    pub(crate) is_known: bool,
    pub(crate) store: gannet_store::Store,
    /// Changes when bytes have come, of whatever download.
    pub(crate) grown: watch::Receiver<u64>,
}

/// Why a content cannot be looked at.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ViewError {
    /// It is neither shared nor being downloaded.
    #[error("{} is neither shared nor being downloaded here", content.short())]
    Unknown {
        /// Which content.
        content: ContentId,
    },
    /// The place lies behind the end.
    #[error("byte {offset} lies behind the end: there are {size}")]
    Beyond {
        /// The place, in bytes.
        offset: u64,
        /// The content's length in bytes.
        size: u64,
    },
    /// The file is not any more what it was.
    #[error("the file has changed since it was looked through")]
    Changed,
    /// What is wanted does not come.
    #[error("nothing has come for {} s: does any source have it?", PATIENCE.as_secs())]
    Stalled,
    /// The disk failed.
    #[error("cannot read it: {0}")]
    Unreadable(String),
    /// The node has stopped.
    #[error(transparent)]
    Stopped(#[from] Stopped),
}

/// A content that is being looked at. While there is one, its download fetches in
/// order from where the latest view began.
#[derive(Debug)]
pub struct View {
    node: Node,
    content: ContentId,
    name: String,
    reader: Arc<ContentReader>,
    grown: watch::Receiver<u64>,
    id: ViewId,
}

impl Node {
    /// Opens a content for reading from about byte `offset` on: a shared file, or
    /// a download that runs. Waits for its length, if it is not known yet.
    ///
    /// # Errors
    ///
    /// If there is no such content here, or its length does not come.
    pub async fn view(&self, content: ContentId, offset: u64) -> Result<View, ViewError> {
        let first_group = offset / GROUP_BYTES;
        let request = |reply| {
            Request::Page(PageRequest::View {
                content,
                first_group,
                reply,
            })
        };
        let mut opened = self.ask(request).await?;
        let until = Instant::now() + PATIENCE;
        // So that the download's wishes end too if this is given up.
        let mut end = End {
            node: self.clone(),
            content,
            id: Some(opened.view),
        };
        loop {
            let store = opened.store.clone();
            let reader = tokio::task::spawn_blocking(move || store.open_content(content)).await;
            match reader.map_err(|error| ViewError::Unreadable(error.to_string()))? {
                Ok(reader) => {
                    let id = end.id.take().expect("taken only here");
                    return Ok(View {
                        node: self.clone(),
                        content,
                        name: opened.name,
                        reader: Arc::new(reader),
                        grown: opened.grown,
                        id,
                    });
                }
                Err(ReadError::NotShared { .. }) if opened.is_known => {
                    wait(&mut opened.grown, until).await?;
                }
                Err(error) => return Err(view_error(error)),
            }
        }
    }
}

/// Waits until bytes have come.
async fn wait(grown: &mut watch::Receiver<u64>, until: Instant) -> Result<(), ViewError> {
    let changed = timeout_at(until, grown.changed()).await;
    let changed = changed.map_err(|_| ViewError::Stalled)?;
    changed.map_err(|_| ViewError::Stopped(Stopped))
}

fn view_error(error: ReadError) -> ViewError {
    match error {
        ReadError::NotShared { content } => ViewError::Unknown { content },
        ReadError::Changed { .. } => ViewError::Changed,
        error => ViewError::Unreadable(error.to_string()),
    }
}

impl View {
    /// Which content it is.
    pub fn content(&self) -> ContentId {
        self.content
    }

    /// What it is called here: of a download, a text of a stranger.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its length in bytes.
    pub fn size(&self) -> u64 {
        self.reader.size()
    }

    /// Some bytes from `offset` on, at least one; waits for them if need be.
    ///
    /// # Errors
    ///
    /// If they do not come, or cannot be read.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future loses nothing.
    pub async fn read(&mut self, offset: u64) -> Result<Bytes, ViewError> {
        let size = self.size();
        if offset >= size {
            return Err(ViewError::Beyond { offset, size });
        }
        let first = offset / GROUP_BYTES;
        let slice = loop {
            // Seen before looking: what comes in between is not missed.
            self.grown.borrow_and_update();
            if let Some(slice) = self.here(first) {
                break slice;
            }
            wait(&mut self.grown, Instant::now() + PATIENCE).await?;
        };
        let reader = Arc::clone(&self.reader);
        let read = tokio::task::spawn_blocking(move || {
            let mut bytes = Vec::new();
            reader.read_data(slice, &mut bytes).map(|()| bytes)
        });
        let bytes = read
            .await
            .map_err(|error| ViewError::Unreadable(error.to_string()))?
            .map_err(view_error)?;
        let skip = usize::try_from(offset - first * GROUP_BYTES).expect("less than a group");
        Ok(Bytes::from(bytes).slice(skip..))
    }

    /// The groups that can be read now from `first` on.
    fn here(&self, first: u64) -> Option<GroupRange> {
        let wanted = GroupRange::new(first, groups_in(self.size()).min(first + READ_GROUPS_MAX));
        match self.reader.have() {
            Coverage::Whole => Some(wanted),
            Coverage::Groups(have) => {
                let runs = have.runs().iter().map(|run| run.intersection(wanted));
                runs.into_iter()
                    .find(|run| !run.is_empty() && run.start == first)
            }
        }
    }
}

impl Drop for View {
    fn drop(&mut self) {
        unview(&self.node, self.content, self.id);
    }
}

/// Tells the driver if an opening is given up.
struct End {
    node: Node,
    content: ContentId,
    id: Option<ViewId>,
}

impl Drop for End {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            unview(&self.node, self.content, id);
        }
    }
}

fn unview(node: &Node, content: ContentId, view: ViewId) {
    let request = Request::Page(PageRequest::Unview { content, view });
    node.tell(request);
}
