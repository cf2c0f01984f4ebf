//! Scanning: finding what is new, changed or gone, and hashing it.
//!
//! Three threads in a row, each with a bounded queue to the next: one walks the
//! folders beside the catalogue, both in the order of paths, so that neither
//! has to be held in memory; one hashes, small files side by side and large
//! ones each with all threads; the caller's commits results in batches and
//! tells the sink. A kill loses what was not committed yet.

mod commit;
mod control;
mod cursor;
mod hashing;
mod walk;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::sync_channel;

use gannet_base::{ContentId, FileEntry};

use self::commit::Committer;
pub(crate) use self::control::Paced;
pub use self::control::{Progress, ScanControl};
use self::hashing::Hasher;
pub(crate) use self::hashing::{Unhashed, hash_candidate};
use self::walk::Walker;
use crate::ScanError;
use crate::catalogue::{Change, FileRecord, Place, ShareId, Stamp};
use crate::share::Share;
use crate::store::Inner;

/// Results that wait between two of the threads.
// Guess: enough that none of them starves.
const QUEUE_MAX: usize = 1_024;

/// Most problems that a summary tells in full.
const PROBLEMS_MAX: usize = 64;

/// What a scan found to be different.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ShareChange {
    /// A file is shared now.
    Added(FileEntry),
    /// A file is not shared any more under this path. A changed file is
    /// removed, then added.
    Removed {
        /// What it was.
        content: ContentId,
        /// Its path as in its [`FileEntry`].
        path: String,
    },
}

/// What a scan did.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ScanSummary {
    /// Files looked at.
    pub seen: u64,
    /// Files that were hashed.
    pub hashed: u64,
    /// Bytes that were hashed.
    pub bytes_hashed: u64,
    /// Entries added.
    pub added: u64,
    /// Entries removed.
    pub removed: u64,
    /// Files and folders left out: hidden, on the deny-list, links, special
    /// files, too deep, shared on their own.
    pub skipped: u64,
    /// Files and folders that could not be read, or that changed while they
    /// were hashed, in words; the first 64 of them.
    pub problems: Vec<String>,
    /// Whether it was cancelled before the end.
    pub cancelled: bool,
}

/// A part of a share to look at: everything below `path`, and `path` itself.
#[derive(Debug, Clone)]
pub(crate) struct Scope {
    pub(crate) share: Share,
    pub(crate) path: Vec<u8>,
}

/// What the walker tells the hasher.
enum Found {
    Ready(Step),
    Hash(Candidate),
}

/// What the committer is told.
enum Step {
    Change(Change),
    /// A file whose content is pinned until it is committed.
    Pinned(Place, FileRecord),
    /// The share is not there, for this reason.
    Lost(ShareId, String),
    /// The share is there again, with this inode of its root.
    Back(ShareId, u64),
    Problem(String),
    /// An outboard could not be written: the scan ends.
    Failed(ScanError),
}

/// A file to be hashed.
pub(crate) struct Candidate {
    pub(crate) place: Place,
    pub(crate) stamp: Stamp,
    pub(crate) root: std::sync::Arc<crate::open::Root>,
    /// Name on disk, for problems and for the kind.
    pub(crate) full: PathBuf,
}

/// Runs a scan over some scopes.
pub(crate) fn run(
    store: &Inner,
    scopes: &[Scope],
    control: &ScanControl,
    sink: &mut dyn FnMut(Vec<ShareChange>),
) -> Result<ScanSummary, ScanError> {
    let stop = AtomicBool::new(false);
    let result = std::thread::scope(|threads| {
        let (to_hasher, from_walker) = sync_channel(QUEUE_MAX);
        let (to_committer, from_hasher) = sync_channel(QUEUE_MAX);
        let (stop, failures) = (&stop, to_committer.clone());
        threads.spawn(move || {
            for scope in scopes {
                let walker = Walker::new(store, control, stop, &to_hasher);
                match walker.scope(scope) {
                    Ok(()) => {}
                    Err(walk::Stop::Stopped) => return,
                    Err(walk::Stop::Catalogue(error)) => {
                        // The committer is gone only if it has failed itself.
                        let _ = failures.send(Step::Failed(error.into()));
                        return;
                    }
                }
            }
        });
        threads.spawn(move || Hasher::new(store, control, stop, &to_committer).run(&from_walker));
        let committed = Committer::new(store, control, sink).run(&from_hasher);
        stop.store(true, Ordering::Relaxed);
        // Lets the other threads' sends fail.
        drop(from_hasher);
        committed
    });
    let mut summary = result?;
    summary.cancelled = control.is_cancelled();
    Ok(summary)
}

#[cfg(test)]
mod tests;
