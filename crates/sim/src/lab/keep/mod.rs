//! Files that others keep, while everybody comes and goes for a month.
//!
//! Every peer runs the very part of the structured overlay that keeps files
//! ([`gannet_overlay::dht::keep`]). Under it is not the ring but an oracle: who is
//! responsible for a key, and who comes after, is what a perfect ring would say. A
//! month of a whole ring would take days, and what the ring does under churn is
//! measured elsewhere. Bytes are not moved, but take the time that moving them takes.

mod network;
#[cfg(test)]
mod tests;

use std::time::Duration;

use gannet_base::{BLOCK_BYTES, BlockId, KeepOrder};
use serde::Serialize;

use super::EventHash;
use crate::churn::Sessions;
use crate::impossible::Impossible;
use network::Network;

/// Most peers.
// Guess: a month of them is a matter of an hour.
const NODES_MAX: u32 = 100_000;
/// Most blocks.
// Guess: as for peers.
const BLOCKS_MAX: u64 = 1_000_000;
/// Longest experiment, days: orders live at most a year.
const DAYS_MAX: f64 = 300.0;

/// Peers that keep files for others.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// Peers, online and away.
    pub nodes: u32,
    /// Files.
    pub files: u32,
    /// Bytes of each.
    pub size: u64,
    /// Copies of each block that are wanted.
    pub copies: u8,
    /// How long peers stay.
    pub session: Sessions,
    /// How long they stay away.
    pub offline: Sessions,
    /// The share of departures that are for good: disk and all. Somebody new comes
    /// in their place.
    pub leave: f64,
    /// How long, days.
    pub days: f64,
    /// Space that each peer grants, bytes.
    pub grant: u64,
    /// Speed of one transfer of a block, bytes a second.
    pub rate: u64,
    /// Whether who is away is waited for. Off: a copy is made whenever somebody goes.
    pub patient: bool,
    /// The seed.
    pub seed: u64,
}

impl Default for Params {
    fn default() -> Self {
        // A median of an hour.
        let hour = || Sessions::Exponential {
            mean: 3_600.0 / std::f64::consts::LN_2,
        };
        Self {
            nodes: 500,
            files: 200,
            size: BLOCK_BYTES,
            copies: KeepOrder::COPIES_DEFAULT,
            session: hour(),
            offline: hour(),
            leave: 0.01,
            days: 30.0,
            grant: 1_000_000_000,
            rate: 1_000_000,
            patient: true,
            seed: 1,
        }
    }
}

/// What became of the files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Peers, online and away.
    pub nodes: u32,
    /// Peers online, on average.
    pub online_mean: f64,
    /// Files.
    pub files: u32,
    /// Their blocks.
    pub blocks: u64,
    /// Copies wanted of each block.
    pub copies: u8,
    /// Days.
    pub days: f64,
    /// Blocks that nobody has any more, neither online nor away.
    pub lost: u64,
    /// Blocks that never had as many copies as wanted.
    pub unplaced: u64,
    /// Bytes of first copies.
    pub placed_bytes: u64,
    /// Bytes of all copies made beyond those.
    pub repaired_bytes: u64,
    /// All bytes of content that moved, by peers and days.
    pub bytes_per_node_per_day: f64,
    /// The same, of repairs alone.
    pub repaired_bytes_per_node_per_day: f64,
    /// Bytes of messages, by peers and days; lookups not counted.
    pub control_bytes_per_node_per_day: f64,
    /// Messages, by peers and days; lookups not counted.
    pub messages_per_node_per_day: f64,
    /// Lookups, by peers and days.
    pub lookups_per_node_per_day: f64,
    /// Of all blocks, at all moments looked at, the share of which a copy was online.
    pub available_fraction: f64,
    /// Copies of a block that were online, on average.
    pub online_copies_mean: f64,
    /// Copies of a block on disks in the end, on average.
    pub disk_copies_mean: f64,
    /// The most bytes that a peer held at a moment that was looked at.
    pub held_bytes_max: u64,
    /// Departures.
    pub departures: u64,
    /// Departures for good.
    pub departures_for_good: u64,
    /// Things that happened.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
    /// Days, copies of a block that are online on average, and the share of blocks
    /// with any: for a plot.
    #[serde(skip)]
    pub curve: Vec<[f64; 3]>,
}

/// Lets peers keep files.
///
/// # Errors
///
/// If the numbers are impossible.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    check(params)?;
    let mut network = Network::new(params);
    network.run(Duration::from_secs_f64(params.days * 86_400.0));
    Ok(network.report())
}

fn check(params: &Params) -> Result<(), Impossible> {
    if !(3..=NODES_MAX).contains(&params.nodes) {
        let possible = format!("from 3 to {NODES_MAX} peers");
        return Err(Impossible::new("--nodes", params.nodes, possible));
    }
    let blocks = u64::from(params.files) * u64::from(BlockId::count(params.size));
    if params.files == 0 || blocks > BLOCKS_MAX {
        let possible = format!("from 1 file to {BLOCKS_MAX} blocks of 16 MiB");
        return Err(Impossible::new("--files", params.files, possible));
    }
    if params.size > KeepOrder::SIZE_MAX {
        let possible = format!("up to {} bytes", KeepOrder::SIZE_MAX);
        return Err(Impossible::new("--size", params.size, possible));
    }
    if !(1..=KeepOrder::COPIES_MAX).contains(&params.copies) {
        let possible = format!("from 1 to {} copies", KeepOrder::COPIES_MAX);
        return Err(Impossible::new("--copies", params.copies, possible));
    }
    if !(0.0..=1.0).contains(&params.leave) {
        let possible = "a share of the departures, from 0 to 1";
        return Err(Impossible::new("--leave", params.leave, possible));
    }
    if !(params.days > 0.0 && params.days <= DAYS_MAX) {
        let possible = format!("above 0, up to {DAYS_MAX} days");
        return Err(Impossible::new("--days", params.days, possible));
    }
    if params.rate == 0 {
        return Err(Impossible::new("--rate", 0, "a byte a second or more"));
    }
    Ok(())
}
