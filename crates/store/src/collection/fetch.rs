//! Fetching a folder: what is there already, and the last steps.
//!
//! The manifest and the parts are downloads like any other, which lie in
//! `parts/` in the data directory apart from the user's. What is complete is
//! taken apart into the staging folder `.gannet-partial/<id>.folder` in the
//! download folder, synced and noted, and its download is deleted. At the end
//! the staging folder gets its name in one rename: first the intention is
//! recorded with the folder's identity, so that whoever finds it after a crash
//! can tell whether it was done.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use gannet_base::{ContentId, GroupRange, PeerAddress};
use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::record::Record;
use super::{Collection, Manifest};
use crate::backend::{Disk as _, RealDisk, bytes_path, path_bytes, read_exact};
use crate::download::{Finishing, PARTIAL_DIR, SOURCES_MAX, failed};
use crate::names::sanitise_name;
use crate::store::Inner;
use crate::{CollectionError, Download, DownloadError, DownloadState};

/// Name of the record in the collection's folder.
pub(super) const RECORD: &str = "record";
/// Most names that are tried.
// Guess: nobody fetches the same name a thousand times without noticing.
const NAMES_MAX: u32 = 1_000;

/// What is remembered of a collection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CollectionRecord {
    /// The content of its manifest.
    pub id: ContentId,
    /// The folder's name.
    pub name: String,
    /// How far its download is; None if it was never downloaded here.
    pub state: Option<DownloadState>,
    /// Peers that had it, to ask first after a restart; at most 64.
    pub sources: Vec<PeerAddress>,
    /// Its priority among downloads that wait; higher goes first.
    pub priority: u8,
    /// What of it is there to be served, if its manifest is here.
    pub served: Option<Collection>,
    /// It is finished, and its files are not shared yet: see
    /// [`CollectionDownload::adopt`].
    pub to_adopt: bool,
}

/// What becomes of a part that is begun.
#[derive(Debug)]
pub enum PartBegun {
    /// It was here already, and is stored.
    Stored,
    /// It is to be fetched.
    Fetch(Download),
}

/// The downloads of folders that are open.
pub(crate) type Open = Mutex<BTreeMap<ContentId, Arc<Fetched>>>;

#[derive(Debug)]
pub(crate) struct Fetched {
    pub(super) id: ContentId,
    record: Mutex<Record>,
    /// Held while files are moved and the record is written.
    commit: Mutex<()>,
    manifest: OnceLock<Arc<Manifest>>,
    /// It was given up: nothing is written any more.
    discarded: AtomicBool,
}

impl Fetched {
    fn new(id: ContentId, record: Record) -> Self {
        Self {
            id,
            record: Mutex::new(record),
            commit: Mutex::new(()),
            manifest: OnceLock::new(),
            discarded: AtomicBool::new(false),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Record> {
        self.record.lock().expect("no holder panicked")
    }
}

/// The download of a folder. Cheap to clone; all clones are the same download,
/// and may be used by several threads at once.
#[derive(Debug, Clone)]
pub struct CollectionDownload {
    pub(super) fetched: Arc<Fetched>,
    pub(super) store: Arc<Inner>,
}

impl Inner {
    fn read_record(&self, id: ContentId) -> Option<Record> {
        let path = self.shelf.folder(id).join(RECORD);
        let bytes = fs::read(&path).ok()?;
        match Record::unseal(&bytes) {
            Ok(record) => Some(record),
            Err(broken) => {
                tracing::warn!(%id, %broken, "the record of a folder's download cannot be used");
                None
            }
        }
    }

    /// Whether a collection is being fetched, or is not all put away.
    pub(crate) fn is_fetching(&self, id: ContentId) -> bool {
        let open = self.fetched.lock().expect("no holder panicked");
        open.contains_key(&id)
            || self
                .read_record(id)
                .is_some_and(|record| record.finished.is_none() || !record.adopted)
    }

    /// See [`Store::create_collection`](crate::Store::create_collection).
    pub(crate) fn create_collection(
        store: &Arc<Self>,
        id: ContentId,
        name_hint: &str,
    ) -> Result<CollectionDownload, CollectionError> {
        let mut open = store.fetched.lock().expect("no holder panicked");
        let handle = |fetched: &Arc<Fetched>| CollectionDownload {
            fetched: Arc::clone(fetched),
            store: Arc::clone(store),
        };
        if let Some(fetched) = open.get(&id) {
            return Ok(handle(fetched));
        }
        let known = store.read_record(id);
        let is_gone = |record: &Record| {
            let path = record.finished.as_deref().map(bytes_path);
            path.is_some_and(|path| !path.exists())
        };
        let known = known.filter(|record| !is_gone(record));
        let is_new = known.is_none();
        let record = known.unwrap_or_else(|| {
            let dir = std::path::absolute(&store.config.download_dir);
            let dir = dir.unwrap_or_else(|_| store.config.download_dir.clone());
            Record::new(sanitise_name(name_hint), &dir)
        });
        let fetched = Arc::new(Fetched::new(id, record));
        let download = handle(&fetched);
        if is_new {
            let folder = store.shelf.folder(id);
            if !folder.exists() {
                let fetching = |id: ContentId| {
                    open.contains_key(&id)
                        || store
                            .read_record(id)
                            .is_some_and(|record| record.finished.is_none())
                };
                store
                    .shelf
                    .make_room(fetching)
                    .and_then(|()| store.shelf.make(id))
                    .map_err(|error| failed(&folder, error))?;
            }
            download.write_record(&download.fetched.lock())?;
        }
        if let Ok(manifest) = store.shelf.manifest(id) {
            download.note_manifest(manifest);
        }
        open.insert(id, fetched);
        Ok(download)
    }

    /// See [`Store::collections`](crate::Store::collections).
    pub(crate) fn collection_records(&self) -> io::Result<Vec<CollectionRecord>> {
        let mut records = Vec::new();
        for id in self.shelf.ids()? {
            let manifest = self.shelf.manifest(id).ok();
            let record = self.read_record(id);
            let length = |manifest: &Manifest| manifest.encode().len() as u64;
            let served = manifest
                .as_ref()
                .map(|manifest| Collection::of(id, length(manifest), manifest));
            let state = record.as_ref().map(|record| match &record.finished {
                Some(path) => DownloadState::Finished {
                    path: bytes_path(path),
                },
                None if record.paused => DownloadState::Paused,
                None => DownloadState::Active,
            });
            let name = match (&record, &manifest) {
                (Some(record), _) => record.name.clone(),
                (None, Some(manifest)) => manifest.name().to_owned(),
                (None, None) => continue,
            };
            records.push(CollectionRecord {
                id,
                name,
                state,
                to_adopt: record
                    .as_ref()
                    .is_some_and(|record| record.finished.is_some() && !record.adopted),
                sources: record
                    .as_ref()
                    .map(|record| record.sources.clone())
                    .unwrap_or_default(),
                priority: record.map_or(0, |record| record.priority),
                served,
            });
        }
        Ok(records)
    }
}

impl CollectionDownload {
    /// The content of its manifest.
    pub fn id(&self) -> ContentId {
        self.fetched.id
    }

    /// The folder's name: once the manifest is here, as that says.
    pub fn name(&self) -> String {
        self.fetched.lock().name.clone()
    }

    /// What is in the folder, once that is known.
    pub fn manifest(&self) -> Option<Arc<Manifest>> {
        self.fetched.manifest.get().cloned()
    }

    /// Whether a part, by its number in the manifest, is stored.
    pub fn is_stored(&self, part: usize) -> bool {
        self.fetched.lock().done.contains(part as u64)
    }

    /// Where the folder lies, once it is finished.
    pub fn finished(&self) -> Option<PathBuf> {
        self.fetched.lock().finished.as_deref().map(bytes_path)
    }

    fn note_manifest(&self, manifest: Arc<Manifest>) {
        manifest.name().clone_into(&mut self.fetched.lock().name);
        let _ = self.fetched.manifest.set(manifest);
    }

    /// The download of the manifest.
    ///
    /// # Errors
    ///
    /// See [`DownloadError`].
    pub fn begin_manifest(&self) -> Result<Download, DownloadError> {
        self.store.create_part(&self.store, self.fetched.id)
    }

    /// Reads the manifest, whose download is complete.
    ///
    /// # Errors
    ///
    /// [`CollectionError::Manifest`] if it is none.
    pub fn take_manifest(&self) -> Result<Arc<Manifest>, CollectionError> {
        let id = self.fetched.id;
        let partial = self.store.parts.get(id)?;
        let file = partial.whole()?;
        let size = partial.size().unwrap_or(0);
        if size > Manifest::BYTES_MAX {
            let max = Manifest::BYTES_MAX;
            return Err(crate::InvalidManifest::TooLong { max }.into());
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        let folder = self.store.shelf.folder(id);
        read_exact(file, &mut bytes, 0).map_err(|error| failed(&folder, error))?;
        let manifest = Arc::new(Manifest::decode(&bytes)?);
        let shelf = &self.store.shelf;
        shelf
            .put(id, &bytes)
            .map_err(|error| failed(&folder, error))?;
        self.note_manifest(Arc::clone(&manifest));
        self.store.forget_part(id)?;
        Ok(manifest)
    }

    /// Begins to fetch a part, unless its bytes are here under another name.
    ///
    /// # Errors
    ///
    /// See [`CollectionError`].
    ///
    /// # Panics
    ///
    /// If there is no such part.
    pub fn begin_part(&self, number: usize) -> Result<PartBegun, CollectionError> {
        if self.is_stored(number) || self.copy_part(number)? {
            return Ok(PartBegun::Stored);
        }
        let content = self.part(number).content;
        let download = self.store.create_part(&self.store, content)?;
        Ok(PartBegun::Fetch(download))
    }

    pub(super) fn part(&self, number: usize) -> super::Part {
        let manifest = self.fetched.manifest.get();
        manifest.expect("parts are of a manifest").parts()[number].clone()
    }

    /// The folder that is being filled.
    pub(super) fn staging(&self) -> PathBuf {
        let dir = bytes_path(&self.fetched.lock().download_dir);
        dir.join(PARTIAL_DIR)
            .join(format!("{}.folder", self.fetched.id))
    }

    /// Notes that the files of a part are in the staging folder, synced.
    pub(super) fn note_stored(&self, number: usize) -> Result<(), DownloadError> {
        let number = number as u64;
        self.commit(|record| record.done.insert(GroupRange::new(number, number + 1)))
    }

    /// Remembers whether the user has paused it.
    ///
    /// # Errors
    ///
    /// If the record cannot be written.
    pub fn set_paused(&self, paused: bool) -> Result<(), DownloadError> {
        self.commit(|record| record.paused = paused)
    }

    /// Remembers peers that have it, the first 64 of them, and the user's
    /// priority.
    ///
    /// # Errors
    ///
    /// If the record cannot be written.
    pub fn remember(&self, sources: &[PeerAddress], priority: u8) -> Result<(), DownloadError> {
        self.commit(|record| {
            record.sources = sources.to_vec();
            record.priority = priority;
        })
    }

    pub(super) fn commit(&self, change: impl FnOnce(&mut Record)) -> Result<(), DownloadError> {
        let _commit = self.fetched.commit.lock().expect("no committer panicked");
        if self.fetched.discarded.load(Ordering::Relaxed) {
            let content = self.fetched.id;
            return Err(DownloadError::Unknown { content });
        }
        let mut after = self.fetched.lock().clone();
        change(&mut after);
        after.sources.truncate(SOURCES_MAX);
        self.write_record(&after)?;
        *self.fetched.lock() = after;
        Ok(())
    }

    fn write_record(&self, record: &Record) -> Result<(), DownloadError> {
        let path = self.store.shelf.folder(self.fetched.id).join(RECORD);
        crate::backend::replace(&RealDisk, &path, &record.seal())
            .map_err(|error| failed(&path, error))
    }

    /// Gives the folder, all of whose parts are stored, a name in the download
    /// folder that was free.
    ///
    /// # Errors
    ///
    /// See [`CollectionError`]; it can be tried again.
    pub fn finish(&self) -> Result<PathBuf, CollectionError> {
        let staging = self.staging();
        let record = self.fetched.lock().clone();
        let dir = bytes_path(&record.download_dir);
        if let Some(path) = record.finished.as_deref().map(bytes_path) {
            return Ok(path);
        }
        if let Some(plan) = &record.finishing
            && !staging.exists()
        {
            let path = dir.join(&plan.name);
            if RealDisk.id(&path).ok() == Some(plan.id) {
                return self.note_finished(path);
            }
        }
        self.make_empty_files(&staging)?;
        let id = RealDisk
            .id(&staging)
            .map_err(|error| failed(&staging, error))?;
        for n in 1..=NAMES_MAX {
            let name = if n == 1 {
                record.name.clone()
            } else {
                format!("{} ({n})", record.name)
            };
            let path = dir.join(&name);
            if fs::symlink_metadata(&path).is_ok() {
                continue;
            }
            self.commit(|record| record.finishing = Some(Finishing { name, id }))?;
            match rename_folder(&staging, &path) {
                Ok(()) => return self.note_finished(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, error).into()),
            }
        }
        let taken = io::ErrorKind::AlreadyExists.into();
        Err(failed(&dir.join(&record.name), taken).into())
    }

    fn note_finished(&self, path: PathBuf) -> Result<PathBuf, CollectionError> {
        let dir = crate::backend::parent(&path);
        RealDisk.sync_dir(dir).map_err(|error| failed(dir, error))?;
        self.commit(|record| {
            record.finished = Some(path_bytes(&path));
            record.finishing = None;
            record.sources.clear();
        })?;
        Ok(path)
    }

    /// Deletes what was fetched, if it is not finished, and forgets all about
    /// it.
    ///
    /// # Errors
    ///
    /// If something cannot be deleted; it can be tried again.
    pub fn discard(&self) -> Result<(), DownloadError> {
        let id = self.fetched.id;
        let _commit = self.fetched.commit.lock().expect("no committer panicked");
        self.fetched.discarded.store(true, Ordering::Relaxed);
        if self.finished().is_none() {
            let mut contents = vec![id];
            if let Some(manifest) = self.fetched.manifest.get() {
                contents.extend(manifest.parts().iter().map(|part| part.content));
            }
            for content in contents {
                match self.store.forget_part(content) {
                    Ok(()) | Err(DownloadError::Unknown { .. }) => {}
                    Err(error) => return Err(error),
                }
            }
            let staging = self.staging();
            match fs::remove_dir_all(&staging) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(&staging, error));
                }
                _ => {}
            }
        }
        let removed = self.store.shelf.remove(id);
        removed.map_err(|error| failed(&self.store.shelf.folder(id), error))?;
        self.close();
        Ok(())
    }

    /// Lets go of what is over.
    pub(super) fn close(&self) {
        let mut open = self.store.fetched.lock().expect("no holder panicked");
        open.remove(&self.fetched.id);
    }
}

/// Renames a folder to a name that is free. Where the system cannot do both in
/// one, the look at the name comes first.
fn rename_folder(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::io::Errno;
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Err(Errno::INVAL | Errno::NOSYS | Errno::OPNOTSUPP)
            if fs::symlink_metadata(to).is_err() =>
        {
            fs::rename(from, to)
        }
        renamed => Ok(renamed?),
    }
}
