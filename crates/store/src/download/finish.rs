//! The last steps: a complete partial file gets its name.
//!
//! Order: everything is synced; the intention is recorded with the file's
//! identity; the file is renamed to a name that was free; the record says that
//! it is finished. Whoever finds the intention after a crash looks whether the
//! file bears the name already, and goes on from there.

use std::io;
use std::path::PathBuf;

use super::partial::{Partial, Phase, failed};
use super::record::Finishing;
use crate::DownloadError;
use crate::backend::{parent, path_bytes};
use crate::names::numbered;

/// Most names that are tried.
// Guess: nobody fetches the same name a thousand times without noticing.
const NAMES_MAX: u32 = 1_000;

impl Partial {
    /// Gives the complete file its name. The partial file's outboard stays
    /// where it is.
    pub(super) fn place(&self) -> Result<PathBuf, DownloadError> {
        self.recheck();
        let _commit = self.commit.lock().expect("no committer panicked");
        if let Some(path) = self.placed_already()? {
            return self.mark_finished(path);
        }
        let Some(files) = self.files() else {
            return Err(DownloadError::Incomplete { missing: u64::MAX });
        };
        let groups = gannet_base::groups_in(files.size);
        let missing = groups - self.have().len();
        if missing > 0 {
            return Err(DownloadError::Incomplete { missing });
        }
        self.checkpoint_locked()?;
        let id = files
            .part
            .id()
            .map_err(|error| failed(&self.paths.part, error))?;
        let base = self.with_record(|record| record.name.clone());
        for n in 1..=NAMES_MAX {
            let name = numbered(&base, n);
            let path = self.paths.download_dir.join(&name);
            if self.disk.id(&path).is_ok() {
                continue;
            }
            self.commit_locked(|record| record.finishing = Some(Finishing { name, id }))?;
            match self.disk.rename_new(&self.paths.part, &path) {
                Ok(()) => return self.mark_finished(path),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(failed(&path, error)),
            }
        }
        Err(failed(
            &self.paths.download_dir.join(base),
            io::ErrorKind::AlreadyExists.into(),
        ))
    }

    /// Where the file lies, if an earlier run gave it its name and went no
    /// further.
    fn placed_already(&self) -> Result<Option<PathBuf>, DownloadError> {
        let Some(plan) = self.with_record(|record| record.finishing.clone()) else {
            return Ok(None);
        };
        match self.disk.id(&self.paths.part) {
            Ok(_) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(failed(&self.paths.part, error)),
        }
        let path = self.paths.download_dir.join(&plan.name);
        Ok((self.disk.id(&path).ok() == Some(plan.id)).then_some(path))
    }

    /// Whether an earlier run stopped between the intention and the record.
    pub(super) fn is_half_finished(&self) -> bool {
        matches!(self.placed_already(), Ok(Some(_)))
    }

    fn mark_finished(&self, path: PathBuf) -> Result<PathBuf, DownloadError> {
        // Both directories: the name must be there and the old one gone.
        for dir in [self.paths.download_dir.as_path(), parent(&self.paths.part)] {
            self.disk
                .sync_dir(dir)
                .map_err(|error| failed(dir, error))?;
        }
        self.commit_locked(|record| {
            record.finished = Some(path_bytes(&path));
            record.finishing = None;
            record.sources.clear();
        })?;
        self.end(Phase::Finished);
        // Of no more use, and of no harm if it stays.
        let _ = self.disk.remove(&self.paths.recent);
        Ok(path)
    }

    /// Deletes everything of an unfinished download.
    pub(super) fn discard(&self) -> Result<(), DownloadError> {
        let _commit = self.commit.lock().expect("no committer panicked");
        self.end(Phase::Discarded);
        // The record last: what is left of a half-deleted one can be deleted again.
        let paths = &self.paths;
        for path in [&paths.part, &paths.outboard, &paths.recent, &paths.state] {
            match self.disk.remove(path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    return Err(failed(path, error));
                }
                _ => {}
            }
        }
        let dir = parent(&self.paths.state);
        self.disk.sync_dir(dir).map_err(|error| failed(dir, error))
    }
}
