//! Parts of contents that are kept for others.
//!
//! They lie in `kept/` in the data directory, apart from the user's downloads: what
//! the user fetches, cancels or finishes does not touch them, nor the other way round.
//! Files are sparse: only what is kept takes room.

use gannet_base::{ContentId, GroupSet};

use super::Store;
use crate::{Download, DownloadError, DownloadRecord};

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

    /// Gives up groups of a kept part, and the room that they take. When none are
    /// left everything about it is deleted.
    ///
    /// # Errors
    ///
    /// [`DownloadError::Unknown`] if nothing of the content is kept.
    pub fn drop_part(&self, content: ContentId, groups: &GroupSet) -> Result<(), DownloadError> {
        let part = self.inner.kept.get(content)?;
        if part.have().difference(groups).is_empty() {
            return self.inner.kept.forget(content);
        }
        part.forget_groups(groups)
    }
}
