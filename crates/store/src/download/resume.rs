//! Going on where an earlier run was, and checking what it left.

use std::io;
use std::path::Path;
use std::sync::Arc;

use gannet_base::{ContentId, GROUP_BYTES, GroupRange, GroupSet, groups_in};

use super::partial::{Files, Partial, Paths, failed, state_path};
use super::record::Record;
use crate::DownloadError;
use crate::backend::{Disk, DiskFile, bytes_path};
use crate::outboard::outboard_bytes;
use crate::slice::{SLICE_GROUPS_MAX, steps, verify};

impl Partial {
    /// Goes on with a download of an earlier run. A damaged record is rebuilt
    /// from what verifies. The partial file is where the record says, or, with
    /// `moves`, in this download folder.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        state_dir: &Path,
        (download_dir, moves): (&Path, bool),
        content: ContentId,
    ) -> Result<Self, DownloadError> {
        let path = state_path(state_dir, content);
        let bytes = match disk.read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(DownloadError::Unknown { content });
            }
            Err(error) => return Err(failed(&path, error)),
        };
        let (record, damage) = match Record::unseal(&bytes) {
            Ok(record) => (record, None),
            Err(damage) => {
                tracing::warn!(%content, %damage, "a download's record is rebuilt");
                let name = format!("{}.bin", content.short());
                (Record::new(name, download_dir), Some(damage))
            }
        };
        let download_dir = if moves {
            download_dir.to_owned()
        } else {
            bytes_path(&record.download_dir)
        };
        let paths = Paths::new(state_dir, download_dir, content);
        let partial = Self::with(disk, content, paths, record);
        match damage {
            None => {
                partial.open_files()?;
                partial.recover_recent();
            }
            Some(_) => partial.rebuild()?,
        }
        Ok(partial)
    }

    /// Opens the files that the record speaks of. Groups that cannot be there
    /// any more are dropped.
    fn open_files(&self) -> Result<(), DownloadError> {
        let size = self.lock().record.size;
        let Some(size) = size else { return Ok(()) };
        let part = self.disk.open(&self.paths.part);
        let outboard = self.disk.open(&self.paths.outboard);
        match (part, outboard) {
            (Ok(part), Ok(outboard)) => {
                let (there, pairs) = (file_len(&*part), file_len(&*outboard));
                let keep = GroupRange::new(
                    0,
                    if there >= size {
                        groups_in(size)
                    } else {
                        there / GROUP_BYTES
                    },
                );
                let mut state = self.lock();
                if pairs < outboard_bytes(size) {
                    state.drop_groups(&GroupSet::whole(size));
                } else {
                    let lost = GroupSet::whole(size).difference(&keep.into());
                    state.drop_groups(&lost);
                }
                drop(state);
                let _ = self.files.set(Files {
                    size,
                    part,
                    outboard,
                });
            }
            (part, outboard) => {
                for error in [part.err(), outboard.err()].into_iter().flatten() {
                    if error.kind() != io::ErrorKind::NotFound {
                        return Err(failed(&self.paths.part, error));
                    }
                }
                // The finishing of an earlier run may have moved them.
                self.lock().drop_groups(&GroupSet::whole(size));
            }
        }
        Ok(())
    }

    /// Finds out size and groups from the files themselves.
    fn rebuild(&self) -> Result<(), DownloadError> {
        let Ok(part) = self.disk.open(&self.paths.part) else {
            return Ok(());
        };
        let Ok(outboard) = self.disk.open(&self.paths.outboard) else {
            return Ok(());
        };
        let size = file_len(&*part);
        let files = Files {
            size,
            part,
            outboard,
        };
        let last = groups_in(size);
        if self
            .read_verified(&files, GroupRange::new(last - 1, last))
            .is_err()
        {
            return Ok(());
        }
        {
            let mut state = self.lock();
            state.record.size = Some(size);
            state.have = GroupSet::whole(size);
            state.inherited = state.have.clone();
        }
        let _ = self.files.set(files);
        self.recheck();
        self.checkpoint()
    }

    /// Checks the groups that an earlier run wrote, and drops those that do
    /// not verify any more. Returns how many were dropped.
    pub(super) fn recheck(&self) -> u64 {
        let doubtful = self.lock().inherited.clone();
        self.check_again(&doubtful)
    }

    /// Checks groups that did not verify when they were read, and drops those
    /// that are bad.
    pub(crate) fn doubt(&self, slice: GroupRange) {
        let doubtful = self.lock().have.intersection(&slice.into());
        self.check_again(&doubtful);
    }

    fn check_again(&self, doubtful: &GroupSet) -> u64 {
        let Some(files) = self.files.get() else {
            return 0;
        };
        let mut bad = GroupSet::new();
        for run in doubtful.runs() {
            let mut start = run.start;
            while start < run.end {
                let end = run.end.min(start + SLICE_GROUPS_MAX);
                let slice = GroupRange::new(start, end);
                if self.read_verified(files, slice).is_err() {
                    // One bad group spoils the slice's check, not its neighbours.
                    (start..end)
                        .map(|group| GroupRange::new(group, group + 1))
                        .filter(|group| self.read_verified(files, *group).is_err())
                        .for_each(|group| bad.insert(group));
                }
                start = end;
            }
        }
        let mut state = self.lock();
        state.inherited = state.inherited.difference(doubtful);
        if !bad.is_empty() {
            tracing::warn!(content = %self.content, groups = bad.len(), "groups on the disk have changed");
            state.drop_groups(&bad);
        }
        bad.len()
    }

    pub(super) fn read_verified(&self, files: &Files, slice: GroupRange) -> io::Result<()> {
        let steps = steps(files.size, slice);
        let mut encoded = Vec::new();
        files.gather(slice, &steps, &mut encoded)?;
        verify(self.content, files.size, slice, &steps, &encoded)
            .map(drop)
            .map_err(|_| io::ErrorKind::InvalidData.into())
    }
}

fn file_len(file: &dyn DiskFile) -> u64 {
    file.len().unwrap_or(0)
}
