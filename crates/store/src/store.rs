//! The store: everything of the other modules under one handle.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, RwLock};

use gannet_base::{ContentId, FileEntry};
use rayon::{ThreadPool, ThreadPoolBuilder};

use crate::backend::{RealDisk, RealFile, SparseDisk};
use crate::catalogue::{Catalogue, Change, DOWNLOADS_SHARE, Effect, FileRecord, Place, ShareId};
use crate::collection::{OpenCollections, Shelf};
use crate::content::Shared;
use crate::download::Downloads;
use crate::lock::DirLock;
use crate::open::Root;
use crate::outboards::Outboards;
use crate::scan::{self, Candidate, Paced, Scope, Unhashed, hash_candidate};
use crate::share::{self, Share, ShareKind, Shares};
use crate::{
    CatalogueError, ContentReader, Download, DownloadError, DownloadRecord, Entries, Finished,
    LinkError, OpenError, ReadError, ScanControl, ScanError, ScanSummary, ShareChange, ShareError,
    ShareInfo, ShareState, StoreConfig, WatchError, Watcher,
};

mod collecting;
mod keeping;
mod opening;
mod reading;
mod sharing;
mod upgrade;

pub(crate) use self::reading::is_ours;

/// What the store notices by itself, told to its listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreEvent {
    /// A read found a file changed: its entry is gone from the catalogue.
    Withdrawn {
        /// What it was.
        content: ContentId,
        /// Its path as in its [`FileEntry`].
        path: String,
    },
    /// Something at or under these paths may have changed: pass them to
    /// [`Store::scan_paths`].
    Dirty(Vec<PathBuf>),
    /// So much changed that it was not kept track of: call [`Store::scan`].
    AllDirty,
}

type Listener = Arc<dyn Fn(StoreEvent) + Send + Sync>;

/// The store. Cheap to clone; all clones are the same store, and may be used by
/// several threads at once. The data directory is let go of when the last clone,
/// reader and download is dropped.
#[derive(Debug, Clone)]
pub struct Store {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) config: StoreConfig,
    pub(crate) data_dir: PathBuf,
    pub(crate) catalogue: Catalogue,
    pub(crate) outboards: Outboards,
    downloads: Downloads,
    /// Parts that are kept for others.
    kept: Downloads,
    /// Manifests and parts of folders that are being fetched.
    pub(crate) parts: Downloads,
    pub(crate) shelf: Shelf,
    /// The downloads of folders that are open.
    pub(crate) fetched: OpenCollections,
    shares: RwLock<Shares>,
    /// Held while the list of shares is changed and saved.
    sharing: Mutex<()>,
    /// Held by a scan.
    scanning: Mutex<()>,
    pool: OnceLock<ThreadPool>,
    listener: RwLock<Option<Listener>>,
    warnings: Vec<String>,
    /// Dropped last: the directory is ours until everything is closed.
    _lock: DirLock,
}

impl fmt::Debug for Inner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("data_dir", &self.data_dir)
            .finish_non_exhaustive()
    }
}

impl Store {
    /// Opens the data directory, making it if it is missing. Downloads that an
    /// earlier run had completed, but not put away, are put away.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open(config: StoreConfig) -> Result<Self, OpenError> {
        let inner = Arc::new(Inner::open(config)?);
        inner.put_away()?;
        Ok(Self { inner })
    }

    /// What went wrong and was repaired while opening, in words for the user.
    /// If there is any, call [`Store::scan`].
    pub fn warnings(&self) -> &[String] {
        &self.inner.warnings
    }

    /// Sets who is told of [`StoreEvent`]s. It is called from whatever thread
    /// notices, and must not block or call the store.
    pub fn listen(&self, listener: impl Fn(StoreEvent) + Send + Sync + 'static) {
        *self.inner.listener.write().expect("no holder panicked") = Some(Arc::new(listener));
    }

    /// Shares a folder or a single file; its files come with the next scan.
    /// Inside another share is fine: each file has one entry, that of the
    /// innermost share.
    ///
    /// # Errors
    ///
    /// See [`ShareError`]; `forced` overrides [`ShareError::TooWide`] alone.
    pub fn add_share(&self, path: &Path, forced: bool) -> Result<ShareInfo, ShareError> {
        self.inner.add_share(path, forced)
    }

    /// Stops sharing a folder or file that was added; `sink` is told of every
    /// entry that goes. The files stay.
    ///
    /// # Errors
    ///
    /// [`ShareError::NotShared`], or the catalogue's.
    pub fn remove_share(
        &self,
        path: &Path,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<ShareInfo, ShareError> {
        self.inner.remove_share(path, sink)
    }

    /// What is shared, in the order of adding; finished downloads come last, as
    /// one.
    ///
    /// # Errors
    ///
    /// The catalogue's.
    pub fn shares(&self) -> Result<Vec<ShareInfo>, CatalogueError> {
        self.inner.share_infos()
    }

    /// Looks at every share and hashes what is new or changed. `sink` is told
    /// of files as soon as they are committed, those of one commit together and
    /// in order, long before the scan ends; it may read from the store, but not
    /// scan.
    /// Interrupted, even by `kill -9`, it goes on where it was. One scan runs
    /// at a time; a second one waits.
    ///
    /// # Errors
    ///
    /// See [`ScanError`].
    pub fn scan(
        &self,
        control: &ScanControl,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<ScanSummary, ScanError> {
        self.inner.scan(control, sink)
    }

    /// As [`Store::scan`], but looks only at and under these paths. Paths that
    /// no share holds are ignored.
    ///
    /// # Errors
    ///
    /// See [`ScanError`].
    pub fn scan_paths(
        &self,
        paths: &[PathBuf],
        control: &ScanControl,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<ScanSummary, ScanError> {
        self.inner.scan_paths(paths, control, sink)
    }

    /// Watches the shares, for as long as the watcher lives. What changes is
    /// told to the listener as [`StoreEvent::Dirty`], half a second later.
    /// Watch again after adding or removing a share.
    ///
    /// # Errors
    ///
    /// See [`WatchError`]; scanning now and then still works.
    pub fn watch(&self) -> Result<Watcher, WatchError> {
        let shares = self.inner.with_shares(|shares| shares.list.clone());
        let roots = shares.iter().filter(|share| share.unavailable.is_none());
        let inner = Arc::downgrade(&self.inner);
        Watcher::new(roots.map(Share::root).collect(), move |event| {
            if let Some(inner) = inner.upgrade() {
                inner.tell(event);
            }
        })
    }

    /// Everything that is shared now, finished downloads included.
    ///
    /// # Errors
    ///
    /// The catalogue's.
    pub fn entries(&self) -> Result<Entries, CatalogueError> {
        let names = self.inner.available_names();
        Entries::new(&self.inner.catalogue.snapshot()?, names)
    }

    /// Entries of this content, one per path.
    ///
    /// # Errors
    ///
    /// The catalogue's.
    pub fn entries_of(&self, content: ContentId) -> Result<Vec<FileEntry>, CatalogueError> {
        let names = self.inner.available_names();
        let snapshot = self.inner.catalogue.snapshot()?;
        let mut entries = Vec::new();
        for place in snapshot.places(content)? {
            if let (Some(name), Some(record)) = (names.get(&place.share), snapshot.record(&place)?)
            {
                entries.push(share::entry(name, &place.path, record));
            }
        }
        Ok(entries)
    }

    /// The entry of a shared file by its path on disk; hashes it first if that
    /// was not done yet. An entry that was not there before is new: publish it.
    ///
    /// # Errors
    ///
    /// See [`LinkError`].
    pub fn link_target(&self, path: &Path) -> Result<FileEntry, LinkError> {
        self.inner.link_target(path)
    }

    /// Opens a content for reading: a shared file, a finished or a partial
    /// download, or a part that is kept; of the latter two, what has more.
    ///
    /// # Errors
    ///
    /// See [`ReadError`].
    pub fn open_content(&self, content: ContentId) -> Result<ContentReader, ReadError> {
        Inner::open_content(&self.inner, content)
    }

    /// Starts a download, or goes on with the one that is there, whose name
    /// then stays.
    ///
    /// # Errors
    ///
    /// See [`DownloadError`].
    pub fn create_download(
        &self,
        content: ContentId,
        name_hint: &str,
    ) -> Result<Download, DownloadError> {
        let partial = self.inner.downloads.create(content, name_hint)?;
        Ok(Download::new(partial, Arc::clone(&self.inner)))
    }

    /// A download that was started and is not finished, in this run or an
    /// earlier one.
    ///
    /// # Errors
    ///
    /// [`DownloadError::Unknown`] if there is none.
    pub fn download(&self, content: ContentId) -> Result<Download, DownloadError> {
        let partial = self.inner.downloads.get(content)?;
        Ok(Download::new(partial, Arc::clone(&self.inner)))
    }

    /// All downloads by content id, finished ones included until they are
    /// forgotten. Reads a small file for each that is not open.
    ///
    /// # Errors
    ///
    /// If a record cannot be read.
    pub fn downloads(&self) -> Result<Vec<DownloadRecord>, DownloadError> {
        self.inner.downloads.records()
    }

    /// Ends a download and deletes its partial file; or forgets a finished
    /// one, whose file stays.
    ///
    /// # Errors
    ///
    /// [`DownloadError::Unknown`] if there is none.
    pub fn forget_download(&self, content: ContentId) -> Result<(), DownloadError> {
        self.inner.downloads.forget(content)
    }
}

impl Inner {
    pub(crate) fn tell(&self, event: StoreEvent) {
        let listener = self.listener.read().expect("no holder panicked").clone();
        if let Some(listener) = listener {
            listener(event);
        }
    }

    pub(crate) fn with_shares<T>(&self, look: impl FnOnce(&Shares) -> T) -> T {
        look(&self.shares.read().expect("no holder of shares panicked"))
    }

    /// The threads that hash; started when they are first needed.
    pub(crate) fn pool(&self) -> &ThreadPool {
        self.pool.get_or_init(|| {
            ThreadPoolBuilder::new()
                .num_threads(self.config.threads)
                .thread_name(|n| format!("hash-{n}"))
                .build()
                .expect("the system can start a few threads")
        })
    }

    /// What others see of a change; None if its share is gone.
    pub(crate) fn shown(&self, effect: &Effect) -> Option<ShareChange> {
        let (Effect::Added(place, record) | Effect::Removed(place, record)) = effect;
        let name =
            self.with_shares(|shares| shares.get(place.share).map(|share| share.name.clone()))?;
        Some(match effect {
            Effect::Added(..) => {
                ShareChange::Added(share::entry(&name, &place.path, record.clone()))
            }
            Effect::Removed(..) => ShareChange::Removed {
                content: record.content,
                path: share::display_path(&name, &place.path),
            },
        })
    }
}
