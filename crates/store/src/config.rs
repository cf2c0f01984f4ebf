//! What the store is told when it is opened.

use std::path::PathBuf;

/// Where the store lives and how hard it may work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreConfig {
    /// Directory for the catalogue, the outboards and the state of downloads.
    /// Created with mode 0700 if it is missing.
    pub data_dir: PathBuf,
    /// Folder for finished downloads; partial ones lie in `.gannet-partial`
    /// inside it, so that the last rename never crosses file systems. Created
    /// if missing when the first download starts.
    pub download_dir: PathBuf,
    /// Threads that hash; 0 means one per core. Too few: hashing waits for
    /// one core. Too many: the rest of the machine waits.
    pub threads: usize,
    /// Most bytes read per second while hashing; `None` means as fast as it
    /// goes. Too low: new files are found late. Too high: other programs feel
    /// the disk busy.
    pub scan_bytes_per_second: Option<u64>,
    /// Whether files and folders whose name starts with a dot are shared. The
    /// deny-list holds all the same.
    pub share_hidden: bool,
    /// Memory for pages of the catalogue, bytes. Too low: re-scans of large
    /// shares read the disk again and again. Too high: memory for nothing.
    pub catalogue_cache_bytes: usize,
    /// Deepest folder below a share's root that is looked into. Too low: files
    /// are missed. Too high: a pathological tree costs time.
    pub depth_max: usize,
    /// Most files of all shares together. Too low: files are missed. Too high:
    /// the catalogue grows, by up to 1.5 KB each until it is compacted.
    pub files_max: u64,
    /// Longest that a result waits before it is committed to the catalogue,
    /// milliseconds. Too low: a sync of the disk per small file. Too high: a
    /// kill loses that much hashing.
    pub commit_every_millis: u64,
}

impl StoreConfig {
    /// The defaults for these two directories.
    pub fn new(data_dir: impl Into<PathBuf>, download_dir: impl Into<PathBuf>) -> Self {
        Self {
            data_dir: data_dir.into(),
            download_dir: download_dir.into(),
            // Guess: hashing is rare and everybody waits for it.
            threads: 0,
            // Guess: reading is what a disk is for.
            scan_bytes_per_second: None,
            // Guess: who hides a file does not mean to publish it.
            share_hidden: false,
            // Guess: the inner pages of a million files fit.
            catalogue_cache_bytes: 8 * 1024 * 1024,
            // Guess: nobody nests folders that deep on purpose.
            depth_max: 64,
            // Guess: ten times the largest libraries that people share.
            files_max: 10_000_000,
            // Guess: a kill should lose less than a second of hashing.
            commit_every_millis: 800,
        }
    }
}
