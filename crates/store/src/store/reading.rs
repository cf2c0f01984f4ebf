//! Opening contents, and withdrawing what has changed.

use super::*;
use crate::Coverage;
use crate::collection::{Members, Shelved};
use crate::content::{Collected, CollectedData};

impl Inner {
    pub(crate) fn open_content(
        store: &Arc<Self>,
        content: ContentId,
    ) -> Result<ContentReader, ReadError> {
        let snapshot = store.catalogue.snapshot()?;
        let mut changed = false;
        for place in snapshot.places(content)? {
            let Some(record) = snapshot.record(&place)? else {
                continue;
            };
            let share = store.with_shares(|shares| shares.get(place.share).cloned());
            let Some(share) = share.filter(|share| share.unavailable.is_none()) else {
                continue;
            };
            // A share that has just gone is for the next scan to withdraw.
            let Ok(root) = Root::open(&share) else {
                store.tell(StoreEvent::Dirty(vec![share.root()]));
                continue;
            };
            match store.open_shared(&root, &place, &record) {
                Ok(shared) => return Ok(ContentReader::shared(shared, Arc::clone(store))),
                Err(error) if is_ours(&error) => {
                    return Err(ReadError::Io {
                        content,
                        source: error,
                    });
                }
                Err(_) => {
                    store.withdraw(&place, &record);
                    changed = true;
                }
            }
        }
        let collected = Self::open_collected(store, &snapshot, content)?;
        let groups = |reader: &ContentReader| match reader.have() {
            Coverage::Whole => u64::MAX,
            Coverage::Groups(groups) => groups.len(),
        };
        if let Some(whole) = &collected
            && whole.have() == Coverage::Whole
        {
            return Ok(collected.expect("it was looked at"));
        }
        let registries = [&store.downloads, &store.kept, &store.parts];
        let parts = registries.map(|parts| parts.get(content).ok());
        let parts = parts.into_iter().flatten();
        let most = parts.max_by_key(|partial| (partial.size().is_some(), partial.have().len()));
        let part = most.and_then(|partial| ContentReader::partial(partial, Arc::clone(store)));
        let readers = [part, collected].into_iter().flatten();
        if let Some(reader) = readers.max_by_key(groups) {
            return Ok(reader);
        }
        Err(if changed {
            ReadError::Changed { content }
        } else {
            ReadError::NotShared { content }
        })
    }

    /// A manifest or a pack, from the collection of which most is here.
    fn open_collected(
        store: &Arc<Self>,
        snapshot: &crate::catalogue::Snapshot,
        content: ContentId,
    ) -> Result<Option<ContentReader>, ReadError> {
        let mut best: Option<Collected> = None;
        for (id, shelved) in store.shelf.look_up(content) {
            let (data, size) = match shelved {
                Shelved::Manifest(file, size) => (CollectedData::Manifest(file), size),
                Shelved::Pack(manifest, part) => {
                    let part = &manifest.parts()[part];
                    let files = manifest.files_of(part);
                    let files = files.map(|file| (file.content, file.size));
                    let members = Members::find(store, snapshot, files)?;
                    (CollectedData::Pack(members), part.size)
                }
            };
            let Ok(outboard) = store.shelf.open_outboard(id, content, size) else {
                continue;
            };
            let collected = Collected::new(id, data, outboard, size);
            if collected.have.is_empty() {
                continue;
            }
            let is_better = |best: &Collected| best.have.len() < collected.have.len();
            if best.as_ref().is_none_or(is_better) {
                best = Some(collected);
            }
        }
        Ok(best.map(|collected| ContentReader::collected(content, collected, Arc::clone(store))))
    }

    fn open_shared(&self, root: &Root, place: &Place, record: &FileRecord) -> io::Result<Shared> {
        let open = root.open_file(&place.path)?;
        if open.stamp != record.stamp {
            return Err(io::Error::other("it has changed"));
        }
        let outboard = self.outboards.get(record.content, record.stamp.size)?;
        Ok(Shared {
            place: place.clone(),
            record: record.clone(),
            file: RealFile(open.file),
            root_dev: root.dev,
            outboard: outboard.map(RealFile),
        })
    }

    /// Takes a file that has changed out of the catalogue, and tells the
    /// listener.
    pub(crate) fn withdraw(&self, place: &Place, record: &FileRecord) {
        let remove = Change::Remove(place.clone(), Some(record.clone()));
        match self.catalogue.apply(&[remove]) {
            Ok(applied) => {
                for effect in &applied.effects {
                    if let Some(ShareChange::Removed { content, path }) = self.shown(effect) {
                        self.tell(StoreEvent::Withdrawn { content, path });
                    }
                }
            }
            // It stays in the catalogue, and every read of it fails.
            Err(error) => tracing::warn!(%error, "a changed file could not be withdrawn"),
        }
        let full = self.with_shares(|shares| {
            let share = shares.get(place.share)?;
            Some(share.full(&place.path))
        });
        if let Some(full) = full {
            self.tell(StoreEvent::Dirty(vec![full]));
        }
    }
}

/// Whether opening failed for want of descriptors or memory of ours.
pub(crate) fn is_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|errno| ours.contains(&errno))
}
