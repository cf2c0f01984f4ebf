//! What all leaves share, and what they count together.

use std::sync::{Mutex, PoisonError};
use std::time::SystemTime;

use ed25519_dalek::SigningKey;
use gannet_base::{ContentId, FileEntry, Media, PeerAddress, Publication, WallTime, seeded_rng};
use rand_core::Rng as _;
use tokio::sync::Semaphore;

use crate::words::{Vocabulary, path};

/// What leaves do, and what came of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Round {
    Quiet,
    Any,
    Rarest,
}

#[derive(Debug, Default)]
pub(crate) struct Tally {
    pub(crate) answered: u32,
    pub(crate) refused: u32,
    pub(crate) otherwise: u32,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
    pub(crate) micros: Vec<u32>,
}

/// What all leaves share.
pub(crate) struct Common {
    pub(crate) vocabulary: Vocabulary,
    pub(crate) files: u64,
    pub(crate) all_files: u64,
    pub(crate) supernode: PeerAddress,
    pub(crate) registering: Semaphore,
    pub(crate) tally: Mutex<Tally>,
}

impl Common {
    pub(crate) fn tally(&self, change: impl FnOnce(&mut Tally)) {
        change(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner));
    }

    pub(crate) fn take_tally(&self) -> Tally {
        std::mem::take(&mut self.tally.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What a leaf with this number shares.
    pub(crate) fn publications(&self, leaf: u64, key: &SigningKey) -> Vec<Publication> {
        let numbers = leaf * self.files..(leaf + 1) * self.files;
        let expires = wall_time().plus_seconds(Publication::LIFE_SECONDS_MAX / 2);
        let entries = numbers.map(|number| FileEntry {
            content: ContentId::of(&number.to_le_bytes()),
            size: seeded_rng(number).next_u64() % 1_000_000_000,
            path: path(&self.vocabulary.file(number)),
            media: Media::default(),
        });
        entries
            .map(|entry| Publication::sign(entry, expires, key))
            .collect()
    }
}

pub(crate) fn wall_time() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    WallTime::from_unix_seconds(since.expect("after 1970").as_secs())
}
