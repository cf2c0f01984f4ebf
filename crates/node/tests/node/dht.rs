//! The dht: peers on a ring that lists what is shared, and what happens when
//! some of them die.

use std::time::{Duration, Instant};

use gannet_base::{ContentId, PeerAddress};
use gannet_node::api::{DhtInfo, DownloadRequest, DownloadState, NodeEvent};
use gannet_node::{Node, NodeConfig, Overlay};

use crate::support::{
    DEADLINE, Island, Peer, download_is, found, noise, row, search, shares, until,
};

/// An island that joins through these and shares these files.
async fn start(
    through: &[PeerAddress],
    files: &[(&str, Vec<u8>)],
    change: impl FnOnce(&mut NodeConfig),
) -> Island {
    Island::start(files, |config| {
        config.overlays = vec![Overlay::Dht];
        config.peers = through.to_vec();
        change(config);
    })
    .await
}

async fn info(peer: &Peer) -> DhtInfo {
    let status = peer.node.status().await.unwrap();
    status.dht.expect("the overlay is on")
}

/// Waits until it is on a ring with so many others that it knows, and so many
/// of its files are listed there.
async fn is_on_ring(peer: &Peer, others: usize, published: u64) {
    until(&format!("a ring with {others} others"), async || {
        let info = info(peer).await;
        let is_whole = info.joined && info.successors.len() >= others;
        let is_listed = info.published >= published && info.pending == 0;
        (is_whole && is_listed).then_some(())
    })
    .await;
}

/// Peers on one ring, each with what `files` says.
async fn ring(peers: usize, files: impl Fn(usize) -> Vec<(&'static str, Vec<u8>)>) -> Vec<Island> {
    let mut islands: Vec<Island> = Vec::new();
    let mut through = Vec::new();
    for n in 0..peers {
        let island = start(&through, &files(n), |_| {}).await;
        if n == 0 {
            through.push(island.peer.address().await);
        }
        islands.push(island);
    }
    for (n, island) in islands.iter().enumerate() {
        let files = files(n).len();
        shares(&island.peer, files).await;
        is_on_ring(&island.peer, peers - 1, files as u64).await;
    }
    islands
}

#[tokio::test(flavor = "multi_thread")]
async fn two_peers_find_each_others_files() {
    let first = start(&[], &[("harry potter.txt", b"one".to_vec())], |_| {}).await;
    shares(&first.peer, 1).await;
    // Nobody else can be asked, and that is not "nobody has it".
    let (rows, explanation) = search(&first.peer, "something else").await;
    assert!(rows.is_empty());
    assert!(
        explanation.contains("no other peer is known"),
        "{explanation}"
    );
    let mut events = first.peer.node.events();

    let started = Instant::now();
    let address = [first.peer.address().await];
    let second = start(&address, &[("tom riddle.txt", b"two".to_vec())], |_| {}).await;
    let (rows, explanation) = found(&second.peer, "harry potter").await;
    assert_eq!(rows[0].sources[0].peer, first.id(), "{explanation}");
    assert_eq!(rows[0].found_by[0].overlay, "dht");
    let (rows, _) = found(&first.peer, "tom riddle").await;
    assert_eq!(rows[0].sources[0].peer, second.id());
    // Two seconds on an idle machine; this one may be busy.
    assert!(started.elapsed() < Duration::from_secs(10), "too slow");
    let by_hash = format!("hash:{}", ContentId::of(b"two"));
    let (rows, _) = found(&first.peer, &by_hash).await;
    assert_eq!(rows[0].name, "tom riddle.txt");
    // Once both have compared what they list.
    until("nobody has it", async || {
        let (rows, explanation) = search(&second.peer, "nothing of the kind").await;
        assert!(rows.is_empty());
        explanation.starts_with("Nobody has it").then_some(())
    })
    .await;
    let joined = async { while events.recv().await.unwrap() != NodeEvent::RingJoined {} };
    let joined = tokio::time::timeout(DEADLINE, joined).await;
    joined.expect("the ring is told of");
    let peers = first.peer.node.peers().await.unwrap();
    assert!(peers[0].is_ring_neighbour);
    assert_eq!(first.peer.node.status().await.unwrap().problems, [""; 0]);
}

/// The publisher is killed: what it had is listed as before, by word and by
/// hash, and comes from the other peer that has it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_publisher_had_is_found_by_word_and_by_hash() {
    let bytes = noise(3_000_000, 61);
    let copy = bytes.clone();
    let files = |n: usize| match n {
        0 => vec![
            ("goblet of fire.bin", copy.clone()),
            ("half blood prince.txt", b"only here".to_vec()),
        ],
        _ => Vec::new(),
    };
    let mut islands = ring(5, files).await;
    let bob = &islands[1].peer;
    found(bob, "goblet").await;
    // It began when the ring was another: others must have been told.
    found(&islands[3].peer, "half blood").await;
    found(&islands[4].peer, "half blood").await;
    let started = bob.node.download(row(1)).await.unwrap();
    download_is(bob, started.number, DownloadState::Complete).await;
    let publisher = islands.remove(0);
    let gone = publisher.id();
    drop(publisher);

    let dave = &islands[3].peer;
    let (rows, explanation) = found(dave, "half blood").await;
    assert_eq!(rows[0].sources[0].peer, gone, "{explanation}");
    let by_hash = format!("hash:{}", ContentId::of(&bytes));
    let bob = islands[0].id();
    until("bob's copy", async || {
        let (rows, _) = search(dave, &by_hash).await;
        let sources = &rows.first()?.sources;
        sources
            .iter()
            .any(|source| source.peer == bob)
            .then_some(())
    })
    .await;
    let link = format!("gannet:{}?name=fetched.bin", ContentId::of(&bytes));
    let request = DownloadRequest::Link { link };
    let started = dave.node.download(request).await.unwrap();
    let done = download_is(dave, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
    let sent = |source: &gannet_node::api::DownloadSource| source.peer == bob && source.bytes > 0;
    assert!(done.sources.iter().any(sent), "{:?}", done.sources);
}

/// Eight peers, each with a file of its own: everybody finds everything, also
/// when one of them has been killed, and one that comes later does too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_peers_find_everything_though_one_is_killed() {
    const NAMES: [&str; 8] = [
        "owl red.txt",
        "owl green.txt",
        "owl blue.txt",
        "owl black.txt",
        "owl white.txt",
        "owl yellow.txt",
        "owl brown.txt",
        "owl grey.txt",
    ];
    let files = |n: usize| vec![(NAMES[n], NAMES[n].as_bytes().to_vec())];
    let mut islands = ring(NAMES.len(), files).await;
    for island in &islands {
        until("all of them", async || {
            let (rows, _) = search(&island.peer, "owl").await;
            (rows.len() == NAMES.len()).then_some(())
        })
        .await;
    }
    let (rows, explanation) = search(&islands[6].peer, "owl -blue -red txt").await;
    assert_eq!(rows.len(), NAMES.len() - 2, "{explanation}");

    let gone = islands.remove(3).id();
    for (n, island) in islands.iter().enumerate() {
        let (rows, _) = found(&island.peer, NAMES[7 - n]).await;
        assert_eq!(rows.len(), 1, "{rows:?}");
    }
    let address = [islands[5].peer.address().await];
    let late = start(&address, &[("owl late.txt", b"late".to_vec())], |_| {}).await;
    until("the files of before, and the new one", async || {
        let (rows, _) = search(&late.peer, "owl").await;
        (rows.len() == NAMES.len() + 1).then_some(())
    })
    .await;
    let (rows, _) = found(&islands[0].peer, "late").await;
    assert_eq!(rows[0].sources[0].peer, late.id());
    until("the ring closes where one is gone", async || {
        let mut is_closed = true;
        for island in &islands {
            let info = info(&island.peer).await;
            is_closed &= info.predecessor != Some(gone) && !info.successors.contains(&gone);
        }
        is_closed.then_some(())
    })
    .await;
}

/// A peer that may not be a member keeps nothing, and is found and finds.
#[tokio::test(flavor = "multi_thread")]
async fn a_peer_without_a_place_uses_the_ring() {
    let islands = ring(2, |n| match n {
        0 => vec![("ring.txt", b"ring".to_vec())],
        _ => Vec::new(),
    })
    .await;
    let address = [islands[0].peer.address().await];
    let outside = |config: &mut NodeConfig| config.dht.member = false;
    let guest = start(&address, &[("guest.txt", b"guest".to_vec())], outside).await;
    let (rows, _) = found(&guest.peer, "ring").await;
    assert_eq!(rows[0].sources[0].peer, islands[0].id());
    let (rows, _) = found(&islands[1].peer, "guest").await;
    assert_eq!(rows[0].sources[0].peer, guest.id());
    assert!(!info(&guest.peer).await.is_member);
    for island in &islands {
        let info = info(&island.peer).await;
        assert!(!info.successors.contains(&guest.id()), "{info:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_renamed_is_found_by_its_new_name() {
    let islands = ring(3, |n| match n {
        0 => vec![("first name.txt", b"same".to_vec())],
        _ => Vec::new(),
    })
    .await;
    let alice = &islands[0].peer;
    found(&islands[1].peer, "first name").await;
    let shared = alice.shared();
    std::fs::rename(shared.join("first name.txt"), shared.join("second.txt")).unwrap();
    let (rows, _) = found(&islands[2].peer, "second").await;
    assert_eq!(rows[0].name, "second.txt");
}

/// A peer that starts again with its data directory finds the ring though the
/// peer that the user named is gone.
#[tokio::test(flavor = "multi_thread")]
async fn the_ring_is_found_again_without_the_peer_that_was_named() {
    let mut islands = ring(3, |n| match n {
        1 => vec![("kept.txt", b"kept".to_vec())],
        _ => Vec::new(),
    })
    .await;
    let address = islands[0].peer.address().await;
    let dir = crate::support::temp_dir();
    let mut config = crate::support::config(dir.path());
    config.overlays = vec![Overlay::Dht];
    config.peers = vec![address];
    let node = Node::start(config.clone()).await.unwrap();
    let first = Peer { node, dir };
    is_on_ring(&first, 3, 0).await;
    first.node.shutdown().await;
    drop(islands.remove(0));

    let node = Node::start(config).await.unwrap();
    let again = Peer {
        node,
        dir: first.dir,
    };
    is_on_ring(&again, 2, 0).await;
    let (rows, _) = found(&again, "kept").await;
    assert_eq!(rows[0].sources[0].peer, islands[0].id());
}
