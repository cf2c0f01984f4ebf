//! What was written since the last checkpoint, for a process that is killed.
//!
//! A checkpoint makes the disk keep what it vouches for, which takes time, so
//! it comes once a second. A process that is killed loses no page that it
//! wrote: only the knowledge of which. That knowledge is this file: a list of
//! runs of groups, appended to without a sync and believed only after each
//! group has been verified again. After a loss of power it may say anything,
//! and costs some reading.

use std::io::IoSlice;

use gannet_base::{GroupRange, GroupSet, groups_in};

use super::partial::Partial;
use crate::backend::{DiskFile, read_exact, write_all};
use crate::slice::SLICE_GROUPS_MAX;

/// Bytes of one entry: first group and the one after the last, little endian.
const ENTRY_BYTES: usize = 16;
/// Most entries. A second of the fastest transfer in the smallest slices has
/// fewer; what does not fit is fetched again after a kill.
// Guess: 64 KiB of file.
const ENTRIES_MAX: usize = 4_096;

/// The list and how much of it is used.
#[derive(Debug, Default)]
pub(super) struct Recent {
    file: Option<Box<dyn DiskFile>>,
    entries: usize,
}

impl Recent {
    /// Notes a run. Failing to is no error: the next checkpoint has it.
    pub(super) fn note(&mut self, slice: GroupRange) {
        if self.entries < ENTRIES_MAX && self.write(self.entries, &[slice]) {
            self.entries += 1;
        }
    }

    /// Begins anew with what no checkpoint has yet.
    pub(super) fn restart(&mut self, rest: &GroupSet) {
        let runs = &rest.runs()[..rest.runs().len().min(ENTRIES_MAX)];
        self.entries = if self.write(0, runs) { runs.len() } else { 0 };
    }

    /// Writes entries and an empty one after them, which ends the list.
    fn write(&self, at: usize, runs: &[GroupRange]) -> bool {
        let Some(file) = &self.file else { return false };
        let mut bytes = Vec::with_capacity((runs.len() + 1) * ENTRY_BYTES);
        for run in runs.iter().chain([&GroupRange::new(0, 0)]) {
            bytes.extend_from_slice(&run.start.to_le_bytes());
            bytes.extend_from_slice(&run.end.to_le_bytes());
        }
        let offset = (at * ENTRY_BYTES) as u64;
        write_all(file.as_ref(), &mut [IoSlice::new(&bytes)], offset).is_ok()
    }

    /// The runs of a list that an earlier run left; whatever is no run of this
    /// content ends it.
    fn read(file: &dyn DiskFile, size: u64) -> Vec<GroupRange> {
        let mut runs = Vec::new();
        for n in 0..ENTRIES_MAX {
            let (mut start, mut end) = ([0; 8], [0; 8]);
            let offset = (n * ENTRY_BYTES) as u64;
            let read = read_exact(file, &mut start, offset)
                .and_then(|()| read_exact(file, &mut end, offset + 8));
            let run = GroupRange::new(u64::from_le_bytes(start), u64::from_le_bytes(end));
            if read.is_err() || run.is_empty() || run.end > groups_in(size) {
                break;
            }
            runs.push(run);
        }
        runs
    }
}

impl Partial {
    /// Opens the list, and takes in what it names and what verifies.
    pub(super) fn recover_recent(&self) {
        let Some(files) = self.files() else { return };
        let path = &self.paths.recent;
        let opened = self.disk.open(path).or_else(|_| self.disk.create(path));
        let Ok(file) = opened else { return };
        let committed = self.have();
        let named: GroupSet = Recent::read(file.as_ref(), files.size)
            .into_iter()
            .collect();
        let mut found = GroupSet::new();
        for run in named.difference(&committed).runs() {
            let mut start = run.start;
            while start < run.end {
                let end = run.end.min(start + SLICE_GROUPS_MAX);
                let slice = GroupRange::new(start, end);
                if self.read_verified(files, slice).is_ok() {
                    found.insert(slice);
                }
                start = end;
            }
        }
        if !found.is_empty() {
            tracing::info!(content = %self.content, groups = found.len(), "kept from a killed run");
        }
        let mut state = self.lock();
        for run in found.runs() {
            state.have.insert(*run);
        }
        state.recent = Recent {
            file: Some(file),
            entries: 0,
        };
        state.recent.restart(&found);
    }
}
