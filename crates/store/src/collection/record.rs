//! What the download of a folder remembers across runs.

use std::path::Path;

use gannet_base::{GroupSet, PeerAddress};
use serde::{Deserialize, Serialize};

use crate::backend::path_bytes;
use crate::download::Finishing;
use crate::sealed::{Broken, seal, unseal};

const VERSION: u32 = 1;

/// The record as it lies in its file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Record {
    /// Sanitised name of the folder.
    pub(super) name: String,
    pub(super) paused: bool,
    pub(super) priority: u8,
    pub(super) sources: Vec<PeerAddress>,
    /// Where the folder will be; bytes, because paths need not be UTF-8.
    pub(super) download_dir: Vec<u8>,
    /// Numbers of the parts whose files lie, synced, in the staging folder.
    pub(super) done: GroupSet,
    /// Written before the staging folder gets its final name.
    pub(super) finishing: Option<Finishing>,
    /// Where the finished folder lies.
    pub(super) finished: Option<Vec<u8>>,
    /// Its files are in the catalogue.
    pub(super) adopted: bool,
}

impl Record {
    pub(super) fn new(name: String, download_dir: &Path) -> Self {
        Self {
            name,
            paused: false,
            priority: 0,
            sources: Vec::new(),
            download_dir: path_bytes(download_dir),
            done: GroupSet::new(),
            finishing: None,
            finished: None,
            adopted: false,
        }
    }

    pub(super) fn seal(&self) -> Vec<u8> {
        seal(VERSION, self)
    }

    pub(super) fn unseal(bytes: &[u8]) -> Result<Self, Broken> {
        unseal(VERSION, bytes)
    }
}
