//! Downloads: partial files that vouch only for what verified and was synced.
//!
//! Bytes go to `.gannet-partial/<content>.part` in the download folder, so the
//! last rename stays within one file system; the outboard and the record go to
//! `downloads/` in the data directory.

mod finish;
mod partial;
mod recent;
mod record;
mod registry;
mod resume;

use std::path::PathBuf;
use std::sync::Arc;

use gannet_base::{ContentId, FileEntry, GroupRange, GroupSet, PeerAddress, groups_in};

pub(crate) use self::partial::{Partial, failed};
pub(crate) use self::record::{Finishing, SOURCES_MAX};
pub(crate) use self::registry::Downloads;
use crate::slice::SLICE_GROUPS_MAX;
use crate::store::Inner;
use crate::{ContentReader, CopyError, DownloadError, WriteError};

/// Folder for partial files, inside the download folder.
pub(crate) const PARTIAL_DIR: &str = ".gannet-partial";

/// What a download is doing, as far as it is remembered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DownloadState {
    /// It goes on when the program runs.
    Active,
    /// The user has paused it.
    Paused,
    /// It is complete.
    Finished {
        /// Where the finished file was put.
        path: PathBuf,
    },
}

/// What is remembered of a download; survives the process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DownloadRecord {
    /// What is fetched.
    pub content: ContentId,
    /// The name that it will have unless that is taken, already sanitised.
    pub name: String,
    /// Its size in bytes, once proven.
    pub size: Option<u64>,
    /// The groups that are verified and written; after a restart, those that
    /// were committed.
    pub have: GroupSet,
    /// What it is doing.
    pub state: DownloadState,
    /// Peers that had it, to ask first after a restart; at most 64.
    pub sources: Vec<PeerAddress>,
    /// Its priority among downloads that wait; higher goes first.
    pub priority: u8,
}

/// A finished download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finished {
    /// Where the file lies.
    pub path: PathBuf,
    /// Its entry: it is shared from now on.
    pub entry: FileEntry,
}

/// A download in progress. Cheap to clone; all clones are the same download,
/// and may be used by several threads at once.
#[derive(Debug, Clone)]
pub struct Download {
    partial: Arc<Partial>,
    store: Arc<Inner>,
}

impl Download {
    pub(crate) fn new(partial: Arc<Partial>, store: Arc<Inner>) -> Self {
        Self { partial, store }
    }

    /// What is fetched.
    pub fn content(&self) -> ContentId {
        self.partial.content
    }

    /// What is known of it now.
    pub fn record(&self) -> DownloadRecord {
        self.partial.shown()
    }

    /// The size in bytes, once proven.
    pub fn size(&self) -> Option<u64> {
        self.partial.size()
    }

    /// The groups that are verified and written, committed or not.
    pub fn have(&self) -> GroupSet {
        self.partial.have()
    }

    /// Sets the proven size and reserves room for the file. Doing it again is
    /// harmless.
    ///
    /// # Errors
    ///
    /// [`WriteError::DiskFull`] if there is no room: the size stays unknown,
    /// try again later. [`WriteError::SizeMismatch`] if another size is proven.
    pub fn set_size(&self, size: u64) -> Result<(), WriteError> {
        self.partial.set_size(size)
    }

    /// Verifies an encoded slice against the content id and writes it, all or
    /// nothing. Returns the groups written. While the size is not known, only
    /// a slice with the last group is taken: it proves the claimed size, which
    /// is then set.
    ///
    /// # Errors
    ///
    /// See [`WriteError`].
    pub fn write_slice(
        &self,
        claimed_size: u64,
        slice: GroupRange,
        encoded: &[u8],
    ) -> Result<GroupSet, WriteError> {
        self.partial.write_slice(claimed_size, slice, encoded)
    }

    /// Makes what was written survive power loss: first the data, then the
    /// record that vouches for it. Nothing to do costs nothing. Call it about
    /// once a second: what is not committed is fetched again after a crash.
    ///
    /// # Errors
    ///
    /// [`DownloadError::SyncFailed`] or [`DownloadError::DiskFull`]:
    /// [`Download::have`] may have shrunk to what was committed before.
    pub fn checkpoint(&self) -> Result<(), DownloadError> {
        self.partial.checkpoint()
    }

    /// Remembers whether the user has paused it.
    ///
    /// # Errors
    ///
    /// If the record cannot be written; it is then as before.
    pub fn set_paused(&self, paused: bool) -> Result<(), DownloadError> {
        self.partial.commit(|record| record.paused = paused)
    }

    /// Remembers peers that have it, the first 64 of them, and the user's priority.
    ///
    /// # Errors
    ///
    /// If the record cannot be written; it is then as before.
    pub fn remember(&self, sources: &[PeerAddress], priority: u8) -> Result<(), DownloadError> {
        self.partial.commit(|record| {
            record.sources = sources.to_vec();
            record.priority = priority;
        })
    }

    /// Takes groups from a content that is here already, each checked on the way, and
    /// makes them survive power loss. Reads and writes all of them.
    ///
    /// # Errors
    ///
    /// See [`CopyError`]; what was copied before stays.
    pub fn copy_from(&self, reader: &ContentReader, groups: &GroupSet) -> Result<(), CopyError> {
        let size = reader.size();
        let last = groups_in(size) - 1;
        let mut encoded = Vec::new();
        // The last group first: it proves the size.
        let proof = self
            .size()
            .is_none()
            .then(|| GroupRange::new(last, last + 1));
        let runs = groups.difference(&self.have());
        let runs = runs.intersection(&GroupRange::whole(size).into());
        for run in proof.into_iter().chain(runs.runs().iter().copied()) {
            let mut start = run.start;
            while start < run.end {
                let end = run
                    .end
                    .min((start / SLICE_GROUPS_MAX + 1) * SLICE_GROUPS_MAX);
                let slice = GroupRange::new(start, end);
                reader.read_slice(slice, &mut encoded)?;
                self.write_slice(size, slice, &encoded)?;
                start = end;
            }
        }
        Ok(self.checkpoint()?)
    }

    /// Moves the complete file into the download folder under a name that was
    /// free, and shares it. Groups that an earlier run wrote are read and
    /// checked once more before; those of this run were checked when they came.
    ///
    /// # Errors
    ///
    /// [`DownloadError::Incomplete`] if groups are missing, perhaps because
    /// their bytes on the disk have changed; fetch them again.
    pub fn finish(&self) -> Result<Finished, DownloadError> {
        let path = self.partial.place()?;
        self.store.adopt(self.partial.content, path)
    }
}

/// For the fuzz targets: any payload under a right checksum.
pub(crate) fn fuzz_record(payload: &[u8]) {
    if let Ok(record) = postcard::from_bytes::<record::Record>(payload) {
        let _ = record::Record::unseal(&record.seal());
    }
    let _ = record::Record::unseal(payload);
}

#[cfg(test)]
mod faults;
#[cfg(test)]
mod tests;
