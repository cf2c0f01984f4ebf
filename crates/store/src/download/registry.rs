//! All downloads of a store.

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, Weak};

use gannet_base::ContentId;

use super::partial::{Paths, failed, state_path};
use super::record::Record;
use super::{DownloadRecord, DownloadState, Partial};
use crate::DownloadError;
use crate::backend::Disk;
use crate::names::sanitise_name;
use crate::outboard::outboard_path;

/// The open downloads, and the directory with the records of all.
#[derive(Debug)]
pub(crate) struct Downloads {
    disk: Arc<dyn Disk>,
    state_dir: PathBuf,
    download_dir: PathBuf,
    /// Whether each is closed when nobody uses it, for there may be more of them than
    /// files can be open; and found where this folder is now, though it was moved.
    lends: bool,
    open: Mutex<BTreeMap<ContentId, Open>>,
}

/// A download that is open.
#[derive(Debug)]
enum Open {
    /// Until it is finished or forgotten.
    Held(Arc<Partial>),
    /// As long as somebody uses it.
    Lent(Weak<Partial>),
}

impl Open {
    fn partial(&self) -> Option<Arc<Partial>> {
        match self {
            Self::Held(partial) => Some(Arc::clone(partial)),
            Self::Lent(partial) => partial.upgrade(),
        }
    }
}

impl Downloads {
    pub(crate) fn new(disk: Arc<dyn Disk>, state_dir: PathBuf, download_dir: PathBuf) -> Self {
        Self {
            disk,
            state_dir,
            download_dir,
            lends: false,
            open: Mutex::new(BTreeMap::new()),
        }
    }

    /// The same, but each is closed when nobody uses it. What is to survive that
    /// must have been committed.
    pub(crate) fn lending(self) -> Self {
        Self {
            lends: true,
            ..self
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<ContentId, Open>> {
        self.open.lock().expect("no holder panicked")
    }

    fn note(&self, open: &mut BTreeMap<ContentId, Open>, partial: &Arc<Partial>) {
        let noted = if self.lends {
            open.retain(|_, other| other.partial().is_some());
            Open::Lent(Arc::downgrade(partial))
        } else {
            Open::Held(Arc::clone(partial))
        };
        open.insert(partial.content, noted);
    }

    /// The download that is there, or a new one.
    pub(crate) fn create(
        &self,
        content: ContentId,
        name_hint: &str,
    ) -> Result<Arc<Partial>, DownloadError> {
        let mut open = self.lock();
        match self.find(&mut open, content) {
            Err(DownloadError::Unknown { .. }) => {}
            found => return found,
        }
        let paths = Paths::new(&self.state_dir, self.download_dir.clone(), content);
        let name = sanitise_name(name_hint);
        let partial = Partial::create(Arc::clone(&self.disk), content, name, paths)?;
        let partial = Arc::new(partial);
        self.note(&mut open, &partial);
        Ok(partial)
    }

    /// The unfinished download of this content.
    pub(crate) fn get(&self, content: ContentId) -> Result<Arc<Partial>, DownloadError> {
        self.find(&mut self.lock(), content)
    }

    fn find(
        &self,
        open: &mut BTreeMap<ContentId, Open>,
        content: ContentId,
    ) -> Result<Arc<Partial>, DownloadError> {
        if let Some(partial) = open.get(&content).and_then(Open::partial) {
            return Ok(partial);
        }
        let disk = Arc::clone(&self.disk);
        let place = (self.download_dir.as_path(), self.lends);
        let partial = Partial::open(disk, &self.state_dir, place, content)?;
        if matches!(partial.shown().state, DownloadState::Finished { .. }) {
            return Err(DownloadError::Unknown { content });
        }
        let partial = Arc::new(partial);
        self.note(open, &partial);
        Ok(partial)
    }

    /// Lets go of a download that is finished.
    pub(crate) fn close(&self, content: ContentId) {
        self.lock().remove(&content);
    }

    /// Where the outboard of an unfinished, or not yet adopted, download lies.
    pub(crate) fn outboard(&self, content: ContentId) -> PathBuf {
        outboard_path(&self.state_dir, content)
    }

    /// Contents of all records, by content id.
    fn contents(&self) -> Result<Vec<ContentId>, DownloadError> {
        let entries = match std::fs::read_dir(&self.state_dir) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.state_dir, error)),
        };
        let mut contents = Vec::new();
        for entry in entries {
            let name = entry
                .map_err(|error| failed(&self.state_dir, error))?
                .file_name();
            let content = Path::new(&name)
                .to_str()
                .and_then(|name| name.strip_suffix(".state"))
                .and_then(|id| id.parse::<ContentId>().ok());
            contents.extend(content);
        }
        contents.sort_unstable();
        Ok(contents)
    }

    /// The records of all downloads.
    pub(crate) fn records(&self) -> Result<Vec<DownloadRecord>, DownloadError> {
        let mut records = Vec::new();
        for content in self.contents()? {
            if let Some(partial) = self.lock().get(&content).and_then(Open::partial) {
                records.push(partial.shown());
                continue;
            }
            records.extend(self.record(content)?);
        }
        Ok(records)
    }

    fn record(&self, content: ContentId) -> Result<Option<DownloadRecord>, DownloadError> {
        let path = state_path(&self.state_dir, content);
        let bytes = match self.disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(failed(&path, error)),
        };
        match Record::unseal(&bytes) {
            Ok(record) => Ok(Some(record.shown(content))),
            // Damaged: opening it rebuilds what can be.
            Err(_) => self.get(content).map(|partial| Some(partial.shown())),
        }
    }

    /// Deletes an unfinished download, or the record of a finished one.
    pub(crate) fn forget(&self, content: ContentId) -> Result<(), DownloadError> {
        let mut open = self.lock();
        match self.find(&mut open, content) {
            Ok(partial) => {
                partial.discard()?;
                open.remove(&content);
                Ok(())
            }
            Err(DownloadError::Unknown { .. }) => {
                let path = state_path(&self.state_dir, content);
                self.disk.remove(&path).map_err(|error| {
                    if error.kind() == io::ErrorKind::NotFound {
                        DownloadError::Unknown { content }
                    } else {
                        failed(&path, error)
                    }
                })
            }
            Err(error) => Err(error),
        }
    }

    /// Downloads that an earlier run gave their names, and went no further.
    pub(crate) fn half_finished(&self) -> Result<Vec<(ContentId, PathBuf)>, DownloadError> {
        let mut placed = Vec::new();
        for record in self.records()? {
            let path = match record.state {
                // Its outboard is still here: it was not adopted.
                DownloadState::Finished { path } => {
                    let outboard = self.outboard(record.content);
                    if self.disk.id(&outboard).is_err() {
                        continue;
                    }
                    path
                }
                // Only a complete one was given its name.
                _ if !record.size.is_some_and(|size| record.have.is_whole(size)) => continue,
                _ => {
                    let partial = self.get(record.content)?;
                    if !partial.is_half_finished() {
                        continue;
                    }
                    partial.place()?
                }
            };
            placed.push((record.content, path));
        }
        Ok(placed)
    }
}
