//! The crate `mainline`: announcing a peer for a content, and asking for peers.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use mainline::{Id, Testnet};

use crate::Trip;

/// Announces and looks up, each time by other peers. A put takes until the
/// library says that it is stored, a get until the first answer names a peer.
pub fn trips(peers: usize, trips: usize) -> Result<Vec<Trip>> {
    let network = Testnet::builder(peers).build()?;
    let nodes = &network.nodes;
    for node in nodes {
        ensure!(node.bootstrapped(), "a node did not find the others");
    }
    let mut found = Vec::new();
    for n in 0..trips {
        let (publisher, asker) = (&nodes[n * 37 % peers], &nodes[(n * 23 + 7) % peers]);
        let content = Id::random();
        let from = Instant::now();
        publisher.announce_peer(content, Some(7411))?;
        let put = from.elapsed();
        let from = Instant::now();
        let answer = asker.get_peers(content).next().context("nobody was found")?;
        let get = from.elapsed();
        ensure!(!answer.is_empty(), "an answer names nobody");
        found.push(Trip { put, get });
    }
    Ok(found)
}
