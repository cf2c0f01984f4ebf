//! A peer in a program of one's own: it shares a folder, searches, and fetches
//! what it finds first.
//!
//! `cargo run -p gannet-node --example journey -- FOLDER WORDS PEER@IP:PORT`

#![allow(clippy::print_stdout, reason = "a program")]

use gannet_node::api::{DownloadRequest, NodeEvent};
use gannet_node::{Node, NodeConfig};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [folder, words, peer] = arguments.as_slice() else {
        return Err("name a folder, words and a peer".into());
    };
    let mut config = NodeConfig::new("journey-data".into());
    config.peers = vec![peer.parse()?];
    let node = Node::start(config).await?;
    node.share_add(folder.into(), false).await?;
    let mut events = node.events();
    let (search, mut found) = node.search(words, 20).await?;
    while found.recv().await.is_some() {}
    let (search, number) = (Some(search), 1);
    node.download(DownloadRequest::Row { search, number })
        .await?;
    loop {
        if let NodeEvent::DownloadComplete { path, .. } = events.recv().await? {
            println!("{}", path.display());
            break;
        }
    }
    node.shutdown().await;
    Ok(())
}
