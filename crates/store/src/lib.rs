//! Files on disk: what is shared, what it hashes to, verified reads and writes.
//!
//! **Problem.** A peer serves files that other programs may change at any
//! moment, to strangers who believe only what verifies, and takes files from
//! strangers who may lie about every byte and every name. It may be killed
//! between any two instructions.
//!
//! **Goals.**
//! * Shared files are read in place. What leaves is checked against the BLAKE3
//!   tree on the way out, so a changed or rotten file never leaves under its
//!   old id; it is withdrawn and hashed again.
//! * What arrives is checked before it is written, and vouched for only after
//!   it is on the disk.
//! * The catalogue of shares and the partial files survive `kill -9` and power
//!   loss; work already done is not done again.
//!
//! **Non-goals.** Choosing what to fetch from whom (`swarm`), words and
//! ranking (`index`), anything with a socket.
//!
//! **Invariant.** Everything is synchronous and blocks; callers with an event
//! loop use their blocking threads. Nothing is written outside the data
//! directory and the download folder.

mod backend;
mod catalogue;
mod collection;
mod config;
mod content;
mod deny;
mod download;
mod error;
mod gather;
mod hash;
mod lock;
mod media;
mod names;
mod open;
mod outboard;
mod outboards;
mod scan;
mod sealed;
mod share;
mod slice;
mod space;
mod store;
mod watch;

#[doc(hidden)]
pub mod fuzz;

pub use crate::catalogue::Entries;
pub use crate::collection::{
    Collection, CollectionDownload, CollectionRecord, InvalidManifest, Manifest, ManifestFile,
    Part, PartBegun,
};
pub use crate::config::StoreConfig;
pub use crate::content::{ContentReader, Coverage};
pub use crate::download::{Download, DownloadRecord, DownloadState, Finished};
pub use crate::error::{
    CatalogueError, CollectionError, CopyError, DownloadError, LinkError, OpenError, ReadError,
    ScanError, ShareError, WatchError, WriteError,
};
pub use crate::names::sanitise_name;
pub use crate::scan::{Progress, ScanControl, ScanSummary, ShareChange};
pub use crate::share::{ShareInfo, ShareState};
pub use crate::slice::SLICE_GROUPS_MAX;
pub use crate::store::{Store, StoreEvent};
pub use crate::watch::Watcher;
