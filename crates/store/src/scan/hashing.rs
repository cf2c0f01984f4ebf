//! The hashing thread: small files side by side, large ones each with all
//! threads, in the order in which they were found.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, TryRecvError};

use gannet_base::GROUP_BYTES;
use rayon::ThreadPool;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::control::{Paced, add};
use super::{Candidate, Found, ScanControl, Step};
use crate::ScanError;
use crate::catalogue::FileRecord;
use crate::hash::{HashError, PARALLEL_BYTES_MIN, Pace, hash_file};
use crate::media;
use crate::outboard::outboard_path;
use crate::outboards::Outboards;
use crate::store::Inner;

/// Most small files that are hashed side by side.
const BATCH_FILES_MAX: usize = 256;
/// Most of their bytes together.
const BATCH_BYTES_MAX: u64 = 64 * 1024 * 1024;

pub(super) struct Hasher<'a> {
    store: &'a Inner,
    control: &'a ScanControl,
    stop: &'a AtomicBool,
    pace: Paced<'a>,
    out: &'a SyncSender<Step>,
}

/// Nobody listens any more.
struct Closed;

impl<'a> Hasher<'a> {
    pub(super) fn new(
        store: &'a Inner,
        control: &'a ScanControl,
        stop: &'a AtomicBool,
        out: &'a SyncSender<Step>,
    ) -> Self {
        Self {
            store,
            control,
            stop,
            pace: Paced::new(control, stop, store.config.scan_bytes_per_second),
            out,
        }
    }

    /// Hashes until the walker is done, the scan is cancelled, or nobody
    /// listens.
    pub(super) fn run(&self, found: &Receiver<Found>) {
        let mut batch = Vec::new();
        while let Ok(first) = found.recv() {
            let mut next = Some(first);
            while let Some(found_one) = next {
                if self.take(found_one, &mut batch).is_err() {
                    return;
                }
                next = match found.try_recv() {
                    Ok(more) if fits(&batch) => Some(more),
                    Ok(more) => {
                        if self.flush(&mut batch).is_err() {
                            return;
                        }
                        Some(more)
                    }
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => None,
                };
            }
            if self.flush(&mut batch).is_err() {
                return;
            }
        }
    }

    fn take(&self, found: Found, batch: &mut Vec<Candidate>) -> Result<(), Closed> {
        match found {
            Found::Ready(step) => self.send(step),
            Found::Hash(candidate) if candidate.stamp.size < PARALLEL_BYTES_MIN => {
                batch.push(candidate);
                Ok(())
            }
            Found::Hash(candidate) => {
                self.flush(batch)?;
                self.hash(&candidate, Some(self.store.pool()))
            }
        }
    }

    fn flush(&self, batch: &mut Vec<Candidate>) -> Result<(), Closed> {
        let all = self.store.pool().install(|| {
            batch
                .par_iter()
                .map(|candidate| self.hash(candidate, None))
                .collect::<Vec<_>>()
        });
        batch.clear();
        all.into_iter().collect()
    }

    fn hash(&self, candidate: &Candidate, pool: Option<&ThreadPool>) -> Result<(), Closed> {
        if self.control.is_cancelled() || self.stop.load(Ordering::Relaxed) {
            return Err(Closed);
        }
        let step = match hash_candidate(&self.store.outboards, candidate, pool, &self.pace) {
            Ok(record) => {
                add(&self.control.files_hashed, 1);
                Step::Pinned(candidate.place.clone(), record)
            }
            Err(Unhashed::Stopped) => return Err(Closed),
            Err(Unhashed::File(error)) => {
                Step::Problem(format!("{}: {error}", candidate.full.display()))
            }
            Err(Unhashed::Outboard(error)) => Step::Failed(error),
        };
        self.send(step)
    }

    fn send(&self, step: Step) -> Result<(), Closed> {
        self.out.send(step).map_err(|_| Closed)
    }
}

fn fits(batch: &[Candidate]) -> bool {
    let bytes: u64 = batch.iter().map(|candidate| candidate.stamp.size).sum();
    batch.len() < BATCH_FILES_MAX && bytes < BATCH_BYTES_MAX
}

/// Why a file has no record.
pub(crate) enum Unhashed {
    Stopped,
    /// It cannot be read, or does not hold still.
    File(io::Error),
    Outboard(ScanError),
}

/// Hashes one file, places its outboard and pins its content.
pub(crate) fn hash_candidate(
    outboards: &Outboards,
    candidate: &Candidate,
    pool: Option<&ThreadPool>,
    pace: &dyn Pace,
) -> Result<FileRecord, Unhashed> {
    let open = candidate
        .root
        .open_file(&candidate.place.path)
        .map_err(Unhashed::File)?;
    let stamp = open.stamp;
    let unwritten = |source| {
        Unhashed::Outboard(ScanError::Outboard {
            path: outboards.dir().to_owned(),
            source,
        })
    };
    let temporary = if stamp.size > GROUP_BYTES {
        Some(outboards.temporary().map_err(unwritten)?)
    } else {
        None
    };
    let outboard = temporary.as_ref().map(|temporary| &temporary.file);
    let content =
        hash_file(&open.file, stamp.size, outboard, pool, pace).map_err(|error| match error {
            HashError::Stopped => Unhashed::Stopped,
            HashError::Read(error) => Unhashed::File(error),
            HashError::Outboard(error) => unwritten(error),
        })?;
    if open.stamp_now().map_err(Unhashed::File)? != stamp {
        return Err(Unhashed::File(io::Error::other(
            "it changed while it was read; it is tried again at the next scan",
        )));
    }
    let name = candidate.full.file_name().unwrap_or_default();
    let media = media::read(&open.file, &crate::backend::path_bytes(name.as_ref()));
    match &temporary {
        Some(temporary) => outboards.place(temporary, content).map_err(|source| {
            Unhashed::Outboard(ScanError::Outboard {
                path: outboard_path(outboards.dir(), content),
                source,
            })
        })?,
        None => outboards.pin(content),
    }
    Ok(FileRecord {
        content,
        stamp,
        media,
    })
}
