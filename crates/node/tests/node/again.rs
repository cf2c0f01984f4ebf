//! Starting again with files that were shared before.

use gannet_base::PeerAddress;
use gannet_node::{Node, NodeConfig, Overlay};

use crate::support::{Peer, config, found, noise, search, shares, start, until, with_files};

fn neighbour_of(config: &mut NodeConfig, other: PeerAddress, overlays: &[Overlay]) {
    config.overlays = overlays.to_vec();
    config.peers = vec![other];
}

/// A peer that shares `kept.bin` and `gone.bin` is shut down, `gone.bin` is
/// removed and `new.bin` comes; then it starts again, beside one that asks.
async fn restarted(overlays: &[Overlay]) -> (Peer, Peer) {
    let files = [
        ("kept.bin", noise(50_000, 1)),
        ("gone.bin", noise(50_000, 2)),
    ];
    let asker = start(|config| config.overlays = overlays.to_vec()).await;
    let address = asker.address().await;
    let (dir, first) = with_files(&files, |config| {
        neighbour_of(config, address.clone(), overlays);
    });
    let node = Node::start(first).await.expect("the node starts");
    let peer = Peer { node, dir };
    shares(&peer, files.len()).await;
    let Peer { node, dir } = peer;
    node.shutdown().await;
    std::fs::remove_file(dir.path().join("shared/gone.bin")).unwrap();
    std::fs::write(dir.path().join("shared/new.bin"), noise(50_000, 3)).unwrap();
    let mut again = config(dir.path());
    neighbour_of(&mut again, address, overlays);
    let node = Node::start(again).await.expect("the node starts");
    (Peer { node, dir }, asker)
}

/// What was shared before is found, with signatures that hold; what has gone
/// meanwhile is not, in the end.
async fn is_found_again(overlays: &[Overlay]) {
    let (peer, asker) = restarted(overlays).await;
    for name in ["kept", "new"] {
        let (rows, explanation) = found(&asker, name).await;
        assert_eq!(rows.len(), 1, "{explanation}");
        assert_eq!(rows[0].name, format!("{name}.bin"));
    }
    until("what is gone is not found", async || {
        search(&asker, "gone").await.0.is_empty().then_some(())
    })
    .await;
    let shares = peer.node.status().await.unwrap().shares;
    assert_eq!((shares.files, shares.ready), (2, None));
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_earlier_run_are_found_by_neighbours() {
    is_found_again(&[Overlay::Flood]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_earlier_run_are_found_at_supernodes() {
    is_found_again(&[Overlay::Supernode]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn files_of_an_earlier_run_are_found_on_the_ring() {
    let (peer, asker) = restarted(&[Overlay::Dht]).await;
    let (rows, explanation) = found(&asker, "kept").await;
    assert_eq!(rows.len(), 1, "{explanation}");
    drop(peer);
}
