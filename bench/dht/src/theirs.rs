//! The crate `mainline`: announcing a peer for a content, and asking for peers.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use futures::StreamExt as _;
use mainline::async_dht::AsyncDht;
use mainline::{Dht, Id, Testnet};

use crate::Trip;

/// Announces and looks up, each time by other peers. A put takes until the
/// library says that it is stored, a get until the first answer names a peer.
pub fn trips(peers: usize, trips: usize) -> Result<Vec<Trip>> {
    let network = Testnet::builder(peers).build()?;
    let nodes: Vec<AsyncDht> = network.nodes.iter().cloned().map(Dht::as_async).collect();
    tokio::runtime::Runtime::new()?.block_on(run(&nodes, trips))
}

async fn run(nodes: &[AsyncDht], trips: usize) -> Result<Vec<Trip>> {
    for node in nodes {
        ensure!(node.bootstrapped().await, "a node did not find the others");
    }
    let peers = nodes.len();
    let mut found = Vec::new();
    for n in 0..trips {
        let (publisher, asker) = (&nodes[n * 37 % peers], &nodes[(n * 23 + 7) % peers]);
        let content = Id::random();
        let from = Instant::now();
        publisher.announce_peer(content, Some(7411)).await?;
        let put = from.elapsed();
        let from = Instant::now();
        let answer = asker
            .get_peers(content)
            .next()
            .await
            .context("nobody was found")?;
        let get = from.elapsed();
        ensure!(!answer.is_empty(), "an answer names nobody");
        found.push(Trip { put, get });
    }
    Ok(found)
}
