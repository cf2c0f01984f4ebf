//! What a download remembers across runs.

use std::path::Path;

use gannet_base::{ContentId, GroupSet, PeerAddress};
use serde::{Deserialize, Serialize};

use super::{DownloadRecord, DownloadState};
use crate::backend::{FileId, bytes_path, path_bytes};
use crate::sealed::{Broken, seal, unseal};

const VERSION: u32 = 2;
/// Ended before the priority.
const VERSION_BEFORE_PRIORITY: u32 = 1;

/// Most peers that are remembered.
// Guess: more than a download ever uses at once.
pub(crate) const SOURCES_MAX: usize = 64;

/// The record as it lies in the state file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Sanitised name of the finished file.
    pub(super) name: String,
    /// Proven size in bytes.
    pub(super) size: Option<u64>,
    /// Groups that are verified and synced.
    pub(super) have: GroupSet,
    pub(super) paused: bool,
    pub(super) sources: Vec<PeerAddress>,
    /// Folder of the partial file, and of the finished one above it; bytes,
    /// because paths need not be UTF-8.
    pub(super) download_dir: Vec<u8>,
    /// Written before the partial file gets a final name.
    pub(super) finishing: Option<Finishing>,
    /// Where the finished file lies.
    pub(super) finished: Option<Vec<u8>>,
    /// The user's, among downloads that wait. Behind the rest in the file.
    #[serde(skip)]
    pub(super) priority: u8,
}

/// The intention to give what was fetched its final name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Finishing {
    /// Name within the download folder.
    pub(crate) name: String,
    /// The partial file, or the staging folder: if it bears the name, all is done.
    pub(crate) id: FileId,
}

impl Record {
    pub(super) fn new(name: String, download_dir: &Path) -> Self {
        Self {
            name,
            size: None,
            have: GroupSet::new(),
            paused: false,
            sources: Vec::new(),
            download_dir: path_bytes(download_dir),
            finishing: None,
            finished: None,
            priority: 0,
        }
    }

    pub(super) fn seal(&self) -> Vec<u8> {
        seal(VERSION, &(self, self.priority))
    }

    /// The record of a state file. What contradicts itself is damaged.
    pub(super) fn unseal(bytes: &[u8]) -> Result<Self, Broken> {
        let (mut record, priority): (Self, u8) = match unseal(VERSION, bytes) {
            Err(Broken::Version {
                found: VERSION_BEFORE_PRIORITY,
            }) => (unseal(VERSION_BEFORE_PRIORITY, bytes)?, 0),
            record => record?,
        };
        record.priority = priority;
        let groups = record.size.map_or(0, gannet_base::groups_in);
        let fits = record.have.runs().iter().all(|run| run.end <= groups);
        if fits {
            Ok(record)
        } else {
            Err(Broken::Damaged)
        }
    }

    /// What the caller sees of it.
    pub(super) fn shown(&self, content: ContentId) -> DownloadRecord {
        let state = match &self.finished {
            Some(path) => DownloadState::Finished {
                path: bytes_path(path),
            },
            None if self.paused => DownloadState::Paused,
            None => DownloadState::Active,
        };
        DownloadRecord {
            content,
            name: self.name.clone(),
            size: self.size,
            have: self.have.clone(),
            state,
            sources: self.sources.clone(),
            priority: self.priority,
        }
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::GroupRange;

    use super::*;

    #[test]
    fn groups_beyond_the_size_are_damage() {
        let mut record = Record::new("a".to_owned(), Path::new("/d"));
        record.size = Some(20_000);
        record.have.insert(GroupRange::new(0, 2));
        assert_eq!(Record::unseal(&record.seal()), Ok(record.clone()));
        record.have.insert(GroupRange::new(2, 3));
        assert_eq!(Record::unseal(&record.seal()), Err(Broken::Damaged));
        record.size = None;
        assert_eq!(Record::unseal(&record.seal()), Err(Broken::Damaged));
    }

    #[test]
    fn records_without_a_priority_are_read() {
        let mut record = Record::new("a".to_owned(), Path::new("/d"));
        let old = seal(VERSION_BEFORE_PRIORITY, &record);
        assert_eq!(Record::unseal(&old), Ok(record.clone()));
        record.priority = 2;
        assert_eq!(Record::unseal(&record.seal()), Ok(record.clone()));
        let later = seal(VERSION + 1, &(record, 2_u8));
        let refused = Broken::Version { found: VERSION + 1 };
        assert_eq!(Record::unseal(&later), Err(refused));
    }
}
