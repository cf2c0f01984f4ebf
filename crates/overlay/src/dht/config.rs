//! What can be set.

use std::sync::Arc;
use std::time::Duration;

use super::{keep, ring, store};

/// How a peer of the structured overlay behaves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// How many nodes of the ring this peer is. Too low for a strong machine: it
    /// carries as little as a weak one. 0 counts as 1.
    // Guess: machines are alike until told otherwise.
    pub virtual_nodes: u8,
    /// Links that this side dialled are given up when they were of no use for so
    /// long.
    // Guess: longer than the pause between two looks at a neighbour.
    pub link_idle: Duration,
    /// Messages that wait for one dial; the oldest are dropped beyond it.
    // Guess: a batch of records.
    pub dial_queue_max: usize,
    /// Links, and dials under way. Beyond it, the longest idle one is given up.
    // Guess: lookups of a minute.
    pub links_max: usize,
    /// Routing.
    pub ring: ring::Config,
    /// Records under keys.
    pub store: Arc<store::Config>,
    /// Blocks of kept files.
    pub keep: Arc<keep::Config>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            virtual_nodes: 1,
            link_idle: Duration::from_secs(60),
            dial_queue_max: 64,
            links_max: 512,
            ring: ring::Config::default(),
            store: Arc::default(),
            keep: Arc::default(),
        }
    }
}
