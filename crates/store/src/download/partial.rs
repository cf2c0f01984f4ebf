//! A partial file: bytes at their final offsets, the outboard beside them, and
//! a record that says which groups are there.
//!
//! **Invariant.** The record on the disk never names a group whose bytes and
//! hash pairs were not synced before it: [`Partial::checkpoint`] takes the set
//! of groups first, then syncs, then writes the record. A sync that fails may
//! have dropped what it was given, so the groups since the last good
//! checkpoint are forgotten.

use std::io::{self, IoSlice};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};

use gannet_base::{ContentId, GROUP_BYTES, GroupRange, GroupSet, groups_in};

use super::recent::Recent;
use super::record::{Record, SOURCES_MAX};
use super::{DownloadRecord, PARTIAL_DIR};
use crate::backend::{Disk, DiskFile, is_disk_full, parent, replace, write_all};
use crate::gather::gather;
use crate::outboard::{PAIR_BYTES, PAIR_BYTES_64, outboard_bytes, outboard_path};
use crate::slice::{Step, Verified, encoded_bytes, is_slice_of, steps, verify};
use crate::{DownloadError, WriteError};

/// Where the parts of a download lie.
#[derive(Debug, Clone)]
pub(super) struct Paths {
    pub(super) state: PathBuf,
    pub(super) outboard: PathBuf,
    pub(super) part: PathBuf,
    pub(super) recent: PathBuf,
    pub(super) download_dir: PathBuf,
}

impl Paths {
    pub(super) fn new(state_dir: &Path, download_dir: PathBuf, content: ContentId) -> Self {
        Self {
            state: state_path(state_dir, content),
            outboard: outboard_path(state_dir, content),
            recent: state_dir.join(format!("{content}.recent")),
            part: download_dir
                .join(PARTIAL_DIR)
                .join(format!("{content}.part")),
            download_dir,
        }
    }
}

/// The state file of a download.
pub(super) fn state_path(state_dir: &Path, content: ContentId) -> PathBuf {
    state_dir.join(format!("{content}.state"))
}

#[derive(Debug)]
pub(crate) struct Partial {
    pub(super) content: ContentId,
    pub(super) disk: Arc<dyn Disk>,
    pub(super) paths: Paths,
    /// Set together with the record's size.
    pub(super) files: OnceLock<Files>,
    state: Mutex<State>,
    /// Held while the record is written, and while the files are moved.
    pub(super) commit: Mutex<()>,
}

#[derive(Debug)]
pub(super) struct Files {
    pub(super) size: u64,
    pub(super) part: Box<dyn DiskFile>,
    pub(super) outboard: Box<dyn DiskFile>,
}

impl Files {
    pub(super) fn gather(
        &self,
        slice: GroupRange,
        steps: &[Step],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        gather(
            &*self.part,
            Some(&*self.outboard),
            self.size,
            slice,
            steps,
            out,
        )
    }
}

#[derive(Debug)]
pub(super) struct State {
    /// As on the disk, but for what is changed and not committed yet.
    pub(super) record: Record,
    /// Groups that are verified and written; at least the record's.
    pub(super) have: GroupSet,
    /// Groups that an earlier run wrote and nobody has checked since.
    pub(super) inherited: GroupSet,
    /// What no checkpoint has yet, for the case of a kill.
    pub(super) recent: Recent,
    /// One bit per hash pair that this run has written.
    pairs: Vec<u64>,
    /// How many syncs have failed. A write that began before a failure may be
    /// lost, although a later sync succeeds.
    failures: u64,
    phase: Phase,
}

/// Where a download is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Running,
    /// The file has its name. It is read through the descriptors that are
    /// open, and not written any more.
    Finished,
    /// Everything was deleted.
    Discarded,
}

impl Partial {
    /// Starts a download.
    pub(super) fn create(
        disk: Arc<dyn Disk>,
        content: ContentId,
        name: String,
        paths: Paths,
    ) -> Result<Self, DownloadError> {
        let record = Record::new(name, &paths.download_dir);
        let partial = Self::with(disk, content, paths, record);
        let state_dir = parent(&partial.paths.state);
        partial
            .disk
            .create_dir(state_dir)
            .map_err(|error| failed(state_dir, error))?;
        partial.write_record(&partial.lock().record)?;
        Ok(partial)
    }

    pub(super) fn with(
        disk: Arc<dyn Disk>,
        content: ContentId,
        paths: Paths,
        record: Record,
    ) -> Self {
        let state = State {
            have: record.have.clone(),
            inherited: record.have.clone(),
            record,
            recent: Recent::default(),
            pairs: Vec::new(),
            failures: 0,
            phase: Phase::Running,
        };
        Self {
            content,
            disk,
            paths,
            files: OnceLock::new(),
            state: Mutex::new(state),
            commit: Mutex::new(()),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the state")
    }

    /// Makes `out` the encoding of a slice, unverified.
    pub(crate) fn gather(
        &self,
        slice: GroupRange,
        steps: &[Step],
        out: &mut Vec<u8>,
    ) -> io::Result<()> {
        match self.files.get() {
            Some(files) => files.gather(slice, steps, out),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// The bytes of a complete download. What an earlier run wrote is checked
    /// again.
    pub(crate) fn whole(&self) -> Result<&dyn DiskFile, DownloadError> {
        self.recheck();
        let missing = match self.files() {
            None => u64::MAX,
            Some(files) => groups_in(files.size) - self.have().len(),
        };
        match self.files() {
            Some(files) if missing == 0 => Ok(&*files.part),
            _ => Err(DownloadError::Incomplete { missing }),
        }
    }

    /// Where its bytes lie.
    pub(crate) fn part_path(&self) -> &Path {
        &self.paths.part
    }

    pub(super) fn files(&self) -> Option<&Files> {
        self.files.get()
    }

    pub(crate) fn content(&self) -> ContentId {
        self.content
    }

    pub(crate) fn size(&self) -> Option<u64> {
        self.files.get().map(|files| files.size)
    }

    pub(crate) fn have(&self) -> GroupSet {
        self.lock().have.clone()
    }

    pub(crate) fn has(&self, slice: GroupRange) -> bool {
        let state = self.lock();
        state.phase != Phase::Discarded && state.have.contains_range(slice)
    }

    pub(super) fn shown(&self) -> DownloadRecord {
        let state = self.lock();
        DownloadRecord {
            have: state.have.clone(),
            ..state.record.shown(self.content)
        }
    }

    /// Ends the download for everybody who holds it.
    pub(super) fn end(&self, phase: Phase) {
        self.lock().phase = phase;
    }

    pub(super) fn with_record<T>(&self, look: impl FnOnce(&mut Record) -> T) -> T {
        look(&mut self.lock().record)
    }

    pub(crate) fn set_size(&self, size: u64) -> Result<(), WriteError> {
        let _commit = self.commit.lock().expect("no committer panicked");
        if let Some(files) = self.files.get() {
            return same_size(size, files.size);
        }
        if self.lock().phase != Phase::Running {
            return Err(WriteError::Over);
        }
        let paths = &self.paths;
        let part_dir = parent(&paths.part);
        self.disk
            .create_dir(part_dir)
            .map_err(|error| unwritten(part_dir, error))?;
        let part = self.make(&paths.part, size)?;
        let outboard = self.make(&paths.outboard, outboard_bytes(size))?;
        self.disk
            .sync_dir(part_dir)
            .map_err(|error| unwritten(part_dir, error))?;
        let mut record = self.lock().record.clone();
        record.size = Some(size);
        replace(&*self.disk, &paths.state, &record.seal())
            .map_err(|error| unwritten(&paths.state, error))?;
        let mut state = self.lock();
        state.record.size = Some(size);
        state.pairs = vec![0; pair_words(size)];
        drop(state);
        let _ = self.files.set(Files {
            size,
            part,
            outboard,
        });
        self.recover_recent();
        Ok(())
    }

    fn make(&self, path: &Path, size: u64) -> Result<Box<dyn DiskFile>, WriteError> {
        let file = match self.disk.create(path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => self.disk.open(path),
            created => created,
        };
        let file = file.map_err(|error| unwritten(path, error))?;
        file.allocate(size)
            .map_err(|error| unwritten(path, error))?;
        Ok(file)
    }

    /// Verifies and writes a slice; see [`Download::write_slice`](super::Download::write_slice).
    pub(crate) fn write_slice(
        &self,
        claimed: u64,
        slice: GroupRange,
        encoded: &[u8],
    ) -> Result<GroupSet, WriteError> {
        if self.lock().phase != Phase::Running {
            return Err(WriteError::Over);
        }
        if !is_slice_of(slice, claimed) {
            return Err(WriteError::OutOfRange {
                slice,
                size: claimed,
            });
        }
        match self.files.get() {
            Some(files) => same_size(claimed, files.size)?,
            None if slice.end != groups_in(claimed) => return Err(WriteError::SizeUnproven),
            None => {}
        }
        let steps = steps(claimed, slice);
        check_length(encoded.len() as u64, encoded_bytes(claimed, slice, &steps))?;
        let verified =
            verify(self.content, claimed, slice, &steps, encoded).map_err(|mismatch| {
                WriteError::Corrupt {
                    group: mismatch.group(slice),
                }
            })?;
        self.set_size(claimed)?;
        let files = self.files.get().ok_or(WriteError::Over)?;
        let failures = self.lock().failures;
        let mut groups: Vec<_> = verified.groups.iter().map(|g| IoSlice::new(g)).collect();
        write_all(&*files.part, &mut groups, slice.start * GROUP_BYTES)
            .map_err(|error| unwritten(&self.paths.part, error))?;
        let pairs = self
            .write_pairs(files, &verified)
            .map_err(|error| unwritten(&self.paths.outboard, error))?;
        let mut state = self.lock();
        if state.phase != Phase::Running {
            return Err(WriteError::Over);
        }
        if state.failures != failures {
            let error = io::Error::other("the disk failed to sync meanwhile");
            return Err(unwritten(&self.paths.part, error));
        }
        for pair in pairs {
            state.pairs[word(pair)] |= bit(pair);
        }
        state.have.insert(slice);
        state.inherited.remove(slice);
        state.recent.note(slice);
        Ok(slice.into())
    }

    /// Writes the pairs that this run has not written yet, neighbours together.
    /// Returns which.
    fn write_pairs(&self, files: &Files, verified: &Verified<'_>) -> io::Result<Vec<u64>> {
        let fresh: Vec<_> = {
            let mut state = self.lock();
            state.pairs.resize(pair_words(files.size), 0);
            let is_fresh = |pair: &u64| state.pairs[word(*pair)] & bit(*pair) == 0;
            let pairs = verified.pairs.iter();
            pairs.filter(|(pair, _)| is_fresh(pair)).copied().collect()
        };
        for run in fresh.chunk_by(|a, b| a.0 + 1 == b.0) {
            let mut bytes: Vec<_> = run.iter().map(|(_, pair)| IoSlice::new(*pair)).collect();
            write_all(&*files.outboard, &mut bytes, run[0].0 * PAIR_BYTES_64)?;
        }
        Ok(fresh.into_iter().map(|(pair, _)| pair).collect())
    }

    /// See [`Download::checkpoint`](super::Download::checkpoint).
    pub(crate) fn checkpoint(&self) -> Result<(), DownloadError> {
        let _commit = self.commit.lock().expect("no committer panicked");
        self.checkpoint_locked()
    }

    /// As [`Partial::checkpoint`], for who holds the commit lock.
    pub(super) fn checkpoint_locked(&self) -> Result<(), DownloadError> {
        // The set is taken before the sync: what it names was written before.
        let (have, mut record) = {
            let state = self.lock();
            if state.phase != Phase::Running || state.have == state.record.have {
                return Ok(());
            }
            (state.have.clone(), state.record.clone())
        };
        if let Some(files) = self.files.get() {
            let synced = [
                (&files.part, &self.paths.part),
                (&files.outboard, &self.paths.outboard),
            ]
            .into_iter()
            .try_for_each(|(file, path)| file.sync().map_err(|error| (path, error)));
            if let Err((path, error)) = synced {
                self.lock().forget_unsynced();
                return Err(if is_disk_full(&error) {
                    DownloadError::DiskFull
                } else {
                    DownloadError::SyncFailed {
                        path: path.clone(),
                        source: error,
                    }
                });
            }
        }
        record.have = have.clone();
        self.write_record(&record)?;
        let mut state = self.lock();
        let rest = state.have.difference(&have);
        state.recent.restart(&rest);
        state.record.have = have;
        Ok(())
    }

    /// Changes the record and commits it. The change is undone if the disk
    /// refuses it.
    pub(super) fn commit(&self, change: impl FnOnce(&mut Record)) -> Result<(), DownloadError> {
        let _commit = self.commit.lock().expect("no committer panicked");
        self.commit_locked(change)
    }

    /// As [`Partial::commit`], for who holds the commit lock.
    pub(super) fn commit_locked(
        &self,
        change: impl FnOnce(&mut Record),
    ) -> Result<(), DownloadError> {
        let before = self.with_record(|record| record.clone());
        let mut after = before.clone();
        change(&mut after);
        after.sources.truncate(SOURCES_MAX);
        if after == before {
            return Ok(());
        }
        self.write_record(&after)?;
        self.with_record(|record| *record = after);
        Ok(())
    }

    /// Gives groups up, and their room back: first the record, then the bytes.
    pub(crate) fn forget_groups(&self, groups: &GroupSet) -> Result<(), DownloadError> {
        let _commit = self.commit.lock().expect("no committer panicked");
        // Not served from now on, whatever the disk says next.
        self.lock().drop_groups(groups);
        self.commit_locked(|record| record.have = record.have.difference(groups))?;
        let Some(files) = self.files.get() else {
            return Ok(());
        };
        for run in groups.runs() {
            let bytes = run.bytes(files.size);
            if !bytes.is_empty() {
                let punched = files.part.punch(bytes.start, bytes.end - bytes.start);
                punched.map_err(|error| failed(&self.paths.part, error))?;
            }
        }
        Ok(())
    }

    fn write_record(&self, record: &Record) -> Result<(), DownloadError> {
        replace(&*self.disk, &self.paths.state, &record.seal())
            .map_err(|error| failed(&self.paths.state, error))
    }
}

impl State {
    pub(super) fn drop_groups(&mut self, lost: &GroupSet) {
        self.have = self.have.difference(lost);
        self.inherited = self.inherited.difference(lost);
    }

    /// After a failed sync only what was committed before can be believed.
    fn forget_unsynced(&mut self) {
        self.have = self.have.intersection(&self.record.have);
        self.pairs.fill(0);
        self.failures += 1;
    }
}

fn pair_words(size: u64) -> usize {
    usize::try_from((groups_in(size) - 1).div_ceil(64)).unwrap_or(0)
}

fn word(pair: u64) -> usize {
    usize::try_from(pair / 64).unwrap_or(usize::MAX)
}

fn bit(pair: u64) -> u64 {
    1 << (pair % 64)
}

const _: () = assert!(PAIR_BYTES as u64 == PAIR_BYTES_64);

fn same_size(claimed: u64, proven: u64) -> Result<(), WriteError> {
    if claimed == proven {
        Ok(())
    } else {
        Err(WriteError::SizeMismatch { claimed, proven })
    }
}

fn check_length(bytes: u64, expected: u64) -> Result<(), WriteError> {
    match bytes.cmp(&expected) {
        std::cmp::Ordering::Less => Err(WriteError::Truncated { bytes, expected }),
        std::cmp::Ordering::Greater => Err(WriteError::TooLong { bytes, expected }),
        std::cmp::Ordering::Equal => Ok(()),
    }
}

fn unwritten(path: &Path, error: io::Error) -> WriteError {
    if is_disk_full(&error) {
        WriteError::DiskFull
    } else {
        WriteError::Io {
            path: path.to_owned(),
            source: error,
        }
    }
}

pub(crate) fn failed(path: &Path, error: io::Error) -> DownloadError {
    if is_disk_full(&error) {
        DownloadError::DiskFull
    } else {
        DownloadError::Io {
            path: path.to_owned(),
            source: error,
        }
    }
}
