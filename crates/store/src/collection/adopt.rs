//! Sharing the files of a folder that was fetched.
//!
//! They are shared as finished downloads are, in batches, after the folder has
//! its name: nobody waits for that. What a stop interrupts is done the next
//! time.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use gannet_base::{ContentId, GROUP_BYTES, Media};

use super::ManifestFile;
use super::fetch::CollectionDownload;
use crate::backend::parent;
use crate::catalogue::{Change, FileRecord, Place};
use crate::download::failed;
use crate::hash::hash_file;
use crate::open::Root;
use crate::outboard::outboard_path;
use crate::scan::Paced;
use crate::share::Share;
use crate::{DownloadError, ScanControl, ShareChange, deny};

/// Files that are taken in at once.
// Guess: some tens of milliseconds of work, which a stop has to wait for.
const BATCH_FILES: usize = 512;

impl CollectionDownload {
    /// Shares the files of the finished folder; `sink` is told of them, many at a time. Returns
    /// false if it was stopped before the end: call it again.
    ///
    /// # Errors
    ///
    /// See [`DownloadError`]; what is shared stays shared.
    pub fn adopt(
        &self,
        stop: &AtomicBool,
        sink: &mut dyn FnMut(Vec<ShareChange>),
    ) -> Result<bool, DownloadError> {
        let (Some(path), Some(manifest)) = (self.finished(), self.manifest()) else {
            return Ok(true);
        };
        let share = self.share(&path)?;
        let root = Root::open(&share).map_err(|error| failed(&path, error))?;
        let mut contents = Vec::new();
        for batch in manifest.files().chunks(BATCH_FILES) {
            if stop.load(Ordering::Relaxed) {
                return Ok(false);
            }
            let mut changes = Vec::with_capacity(batch.len());
            for file in batch {
                if let Some(change) = self.record_of(&share, &root, &path, file, stop) {
                    contents.push(file.content);
                    changes.push(change);
                }
            }
            let applied = self.store.catalogue.apply(&changes)?;
            for content in contents.drain(..) {
                self.store.outboards.unpin(content);
            }
            let effects = applied.effects.iter();
            let shown = effects.filter_map(|effect| self.store.shown(effect));
            sink(shown.collect());
        }
        if stop.load(Ordering::Relaxed) {
            return Ok(false);
        }
        self.commit(|record| record.adopted = true)?;
        self.close();
        Ok(true)
    }

    /// The share that the folder is in from now on.
    fn share(&self, path: &Path) -> Result<Share, DownloadError> {
        let full = path.canonicalize().map_err(|error| failed(path, error))?;
        let holding = self
            .store
            .with_shares(|shares| shares.holding(&full).cloned());
        match holding {
            Some(share) => Ok(share),
            None => Ok(self.store.downloads_share(parent(&full))?),
        }
    }

    /// What the catalogue is to say of a file; its outboard is there, and
    /// pinned. None for what is not shared: it has changed, or may not be.
    fn record_of(
        &self,
        share: &Share,
        root: &Root,
        folder: &Path,
        file: &ManifestFile,
        stop: &AtomicBool,
    ) -> Option<Change> {
        let full: PathBuf = folder.join(&file.path);
        let hidden = self.store.config.share_hidden;
        let mut names: Vec<&str> = file.path.split('/').collect();
        let name = names.pop()?;
        let denied = names
            .iter()
            .any(|name| deny::folder(name.as_bytes(), hidden).is_some())
            || deny::file(name.as_bytes(), hidden).is_some();
        if denied {
            return None;
        }
        let below = share.relative(&full)?;
        let open = root.open_file(&below).ok()?;
        if open.stamp.size != file.size {
            return None;
        }
        self.pin_outboard(&open.file, file, stop)?;
        let record = FileRecord {
            content: file.content,
            stamp: open.stamp,
            // What a stranger has just sent is not parsed.
            media: Media::default(),
        };
        Some(Change::Put(Place::new(share.id, below), record))
    }

    fn pin_outboard(
        &self,
        bytes: &std::fs::File,
        file: &ManifestFile,
        stop: &AtomicBool,
    ) -> Option<ContentId> {
        let outboards = &self.store.outboards;
        let is_there =
            file.size <= GROUP_BYTES || outboard_path(outboards.dir(), file.content).exists();
        if is_there {
            outboards.pin(file.content);
            return Some(file.content);
        }
        let temporary = outboards.temporary().ok()?;
        let control = ScanControl::new();
        let pace = Paced::new(&control, stop, self.store.config.scan_bytes_per_second);
        let hashed = hash_file(bytes, file.size, Some(&temporary.file), None, &pace).ok()?;
        if hashed != file.content {
            return None;
        }
        outboards.place(&temporary, file.content).ok()?;
        Some(file.content)
    }
}
