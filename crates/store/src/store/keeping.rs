//! Parts of contents that are kept for others.
//!
//! They lie in `kept/` in the data directory, apart from the user's downloads: what
//! the user fetches, cancels or finishes does not touch them, nor the other way round.
//! Files are sparse: only what is kept takes room.

use gannet_base::{ContentId, GroupSet};

use super::Store;
use crate::{ContentReader, Download, DownloadError, DownloadRecord, ReadError};

impl Store {
    /// Starts to keep a part of a content, or goes on with the part that is there.
    /// What is written to it is served at once by [`Store::open_content`]. It is never
    /// [finished](Download::finish).
    ///
    /// # Errors
    ///
    /// See [`DownloadError`].
    pub fn keep_part(&self, content: ContentId) -> Result<Download, DownloadError> {
        let partial = self.inner.kept.create(content, "kept")?;
        Ok(Download::new(partial, self.inner.clone()))
    }

    /// The parts that are kept, by content id: their `have` is what is here.
    ///
    /// # Errors
    ///
    /// If a record cannot be read.
    pub fn kept_parts(&self) -> Result<Vec<DownloadRecord>, DownloadError> {
        self.inner.kept.records()
    }

    /// Opens a kept part for reading, and nothing else that has the content.
    ///
    /// # Errors
    ///
    /// [`ReadError::NotShared`] if nothing of the content is kept.
    pub fn open_part(&self, content: ContentId) -> Result<ContentReader, ReadError> {
        let not_kept = ReadError::NotShared { content };
        match self.inner.kept.get(content) {
            Ok(part) => ContentReader::partial(part, self.inner.clone()).ok_or(not_kept),
            Err(DownloadError::Io { source, .. }) => Err(ReadError::Io { content, source }),
            Err(_) => Err(not_kept),
        }
    }

    /// Gives up all groups of a kept part but these, and the room that they take.
    /// With none, everything about it is deleted.
    ///
    /// # Errors
    ///
    /// [`DownloadError::Unknown`] if nothing of the content is kept.
    pub fn retain_part(&self, content: ContentId, groups: &GroupSet) -> Result<(), DownloadError> {
        if groups.is_empty() {
            return self.inner.kept.forget(content);
        }
        let part = self.inner.kept.get(content)?;
        let rest = part.have().difference(groups);
        if rest.is_empty() {
            return Ok(());
        }
        part.forget_groups(&rest)
    }

    /// Bytes that may still be written to the disk of the data directory, where parts
    /// are kept.
    ///
    /// # Errors
    ///
    /// If the system does not say.
    pub fn part_room_bytes(&self) -> std::io::Result<u64> {
        crate::space::free_bytes(&self.inner.data_dir)
    }
}
