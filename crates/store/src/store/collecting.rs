//! Folders as a whole: links to them, and fetching them.

use std::path::Path;
use std::sync::Arc;

use gannet_base::ContentId;

use super::{Inner, Store};
use crate::{
    Collection, CollectionDownload, CollectionError, CollectionRecord, Download, DownloadError,
    LinkError, ShareChange,
};

impl Store {
    /// Makes a manifest of a shared folder, or of a folder inside one, as it is
    /// now: what is new in it is hashed first, and `sink` told of it. Unchanged,
    /// the folder has the same manifest again. The manifest and its packs can be
    /// read by [`Store::open_content`] from now on, also after a restart.
    ///
    /// Of a file that lies in the folder under a name that is not safe on every
    /// system, the name in the manifest is another.
    ///
    /// # Errors
    ///
    /// See [`LinkError`].
    pub fn link_folder(
        &self,
        path: &Path,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<Collection, LinkError> {
        self.inner.link_folder(path, sink)
    }

    /// Starts the download of a folder, or goes on with the one that is there.
    /// If it was finished and its folder is gone, it starts anew.
    ///
    /// # Errors
    ///
    /// See [`CollectionError`].
    pub fn create_collection(
        &self,
        id: ContentId,
        name_hint: &str,
    ) -> Result<CollectionDownload, CollectionError> {
        Inner::create_collection(&self.inner, id, name_hint)
    }

    /// All collections that are known, linked to or downloaded. Reads the manifest
    /// of each.
    ///
    /// # Errors
    ///
    /// If they cannot be listed.
    pub fn collections(&self) -> std::io::Result<Vec<CollectionRecord>> {
        self.inner.collection_records()
    }
}

impl Inner {
    /// The download of a manifest or a part of a folder.
    pub(crate) fn create_part(
        &self,
        store: &Arc<Self>,
        content: ContentId,
    ) -> Result<Download, DownloadError> {
        let partial = self.parts.create(content, "part")?;
        Ok(Download::new(partial, Arc::clone(store)))
    }

    /// Ends it and deletes its files.
    pub(crate) fn forget_part(&self, content: ContentId) -> Result<(), DownloadError> {
        self.parts.forget(content)
    }
}
