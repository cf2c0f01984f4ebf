//! Opening contents, and withdrawing what has changed.

use super::*;

impl Inner {
    pub(super) fn open_content(
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
        let parts = [&store.downloads, &store.kept].map(|parts| parts.get(content).ok());
        let parts = parts.into_iter().flatten();
        let most = parts.max_by_key(|partial| (partial.size().is_some(), partial.have().len()));
        if let Some(reader) =
            most.and_then(|partial| ContentReader::partial(partial, Arc::clone(store)))
        {
            return Ok(reader);
        }
        Err(if changed {
            ReadError::Changed { content }
        } else {
            ReadError::NotShared { content }
        })
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
fn is_ours(error: &io::Error) -> bool {
    use rustix::io::Errno;
    let ours = [Errno::MFILE, Errno::NFILE, Errno::NOMEM].map(Errno::raw_os_error);
    error
        .raw_os_error()
        .is_some_and(|errno| ours.contains(&errno))
}
