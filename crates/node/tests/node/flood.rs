//! Finding without any directory: neighbours that pass questions on.

use gannet_base::ContentId;
use gannet_base::PeerAddress;
use gannet_net::{Channel, Net, NetConfig, NetEvent};
use gannet_node::api::DownloadState;
use gannet_node::{Node, NodeConfig, Overlay};

use crate::support::{
    Peer, config, download_is, found, hub, noise, row, search, sharer_with, shares, start, until,
    with_files,
};

/// A peer with flood only, which joins through these and shares these files.
async fn flooder(
    through: &[PeerAddress],
    files: &[(&str, Vec<u8>)],
    change: impl FnOnce(&mut NodeConfig),
) -> Peer {
    let (dir, config) = with_files(files, |config| {
        config.overlays = vec![Overlay::Flood];
        config.peers = through.to_vec();
        change(config);
    });
    let node = Node::start(config).await.expect("the node starts");
    let peer = Peer { node, dir };
    shares(&peer, files.len()).await;
    peer
}

async fn has_neighbours(peer: &Peer, wanted: u32) {
    until(&format!("{wanted} neighbours"), async || {
        let flood = peer.node.status().await.unwrap().flood.unwrap();
        (flood.neighbours >= wanted).then_some(())
    })
    .await;
}

/// Peers that have one neighbour on each side.
async fn line(length: usize, files_of_last: &[(&str, Vec<u8>)]) -> Vec<Peer> {
    let mut peers: Vec<Peer> = Vec::new();
    for n in 0..length {
        let through: Vec<PeerAddress> = match peers.last() {
            Some(last) => vec![last.address().await],
            None => Vec::new(),
        };
        let files = if n + 1 == length { files_of_last } else { &[] };
        // Nobody looks for a second neighbour, and each has room for one more.
        let one = |config: &mut NodeConfig| config.neighbours = 1;
        let peer = flooder(&through, files, one).await;
        if n > 0 {
            has_neighbours(&peer, 1).await;
        }
        peers.push(peer);
    }
    peers
}

#[tokio::test(flavor = "multi_thread")]
async fn words_find_a_file_four_hops_away_and_it_is_fetched() {
    let bytes = noise(3_000_000, 41);
    let peers = line(5, &[("Harry Pötter.bin", bytes.clone())]).await;
    let alice = &peers[0];
    for peer in &peers[1..4] {
        has_neighbours(peer, 2).await;
    }
    let (rows, explanation) = found(alice, "harry potter").await;
    assert_eq!(rows.len(), 1, "{explanation}");
    let by = &rows[0].found_by[0];
    assert_eq!((by.overlay.as_str(), by.hops), ("flood", 4), "{rows:?}");
    assert_eq!(by.via, peers[1].node.peer_id());
    assert!(explanation.contains("peers by flood"), "{explanation}");

    // Its holder was met by nobody but its neighbour: the answer says where it
    // is.
    let started = alice.node.download(row(1)).await.unwrap();
    let done = download_is(alice, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);

    // Nobody has it, as against: nobody could be asked.
    let (rows, explanation) = search(alice, "something else entirely").await;
    assert!(rows.is_empty());
    assert!(explanation.starts_with("Nobody has it"), "{explanation}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_known_is_not_nobody_has_it() {
    let alone = start(|_| {}).await;
    let (rows, explanation) = search(&alone, "anything").await;
    assert!(rows.is_empty());
    assert!(
        explanation.contains("--hub or --peer PEER@ADDRESS"),
        "{explanation}"
    );
    let status = alone.node.status().await.unwrap();
    assert_eq!(status.overlays, ["hub", "supernode", "flood"]);
    let problem = status.problems.join(" ");
    assert!(problem.contains(&status.address.to_string()), "{problem}");

    // Somebody is known, who is gone.
    let gone = start(|_| {}).await;
    let address = gone.address().await;
    gone.node.shutdown().await;
    let lost = start(|config| config.peers = vec![address]).await;
    let (rows, explanation) = search(&lost, "anything").await;
    assert!(rows.is_empty());
    assert!(explanation.starts_with("I could not ask"), "{explanation}");
    until("the problem is named", async || {
        let problems = lost.node.status().await.unwrap().problems.join(" ");
        problems.contains("no neighbours").then_some(())
    })
    .await;
}

/// Everybody uses a hub and knows one other peer. The hub dies while a file is
/// fetched from one slow source; a new holder joins afterwards, is found
/// through neighbours, and helps.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_and_finds_sources_when_the_hub_dies() {
    let hub = hub().await;
    let bytes = noise(20_000_000, 42);
    let files = [("mortal hub.bin", bytes.clone())];
    let slow = |config: &mut NodeConfig| config.limit_up = Some(1_000_000);
    let bob = sharer_with(&hub, &files, slow).await;
    let (hub_address, bob_address) = (hub.address().await, bob.address().await);
    let alice = start(|config| {
        config.overlays = vec![Overlay::Hub, Overlay::Flood];
        config.hubs = vec![hub_address.clone()];
        config.peers = vec![bob_address.clone()];
    })
    .await;
    has_neighbours(&alice, 1).await;
    until("the hub is up", async || {
        alice.node.status().await.unwrap().hubs[0]
            .connected
            .then_some(())
    })
    .await;
    let (rows, explanation) = search(&alice, "mortal hub").await;
    let mut overlays: Vec<&str> = rows[0]
        .found_by
        .iter()
        .map(|found| found.overlay.as_str())
        .collect();
    overlays.sort_unstable();
    assert_eq!(overlays, ["flood", "hub"], "{explanation}");
    let started = alice.node.download(row(1)).await.unwrap();
    until("some has come", async || {
        (alice.node.downloads().await.unwrap()[0].have_bytes > 500_000).then_some(())
    })
    .await;
    hub.node.shutdown().await;

    let carol = flooder(&[bob_address], &files, |_| {}).await;
    let carol_id = carol.node.peer_id();
    until("carol sends", async || {
        let download = alice.node.downloads().await.unwrap().remove(0);
        assert_ne!(download.state, DownloadState::Complete, "bob was too fast");
        let mut sources = download.sources.into_iter();
        sources
            .any(|source| source.peer == carol_id && source.bytes > 0)
            .then_some(())
    })
    .await;
    let (rows, explanation) = search(&alice, "mortal hub").await;
    assert_eq!(rows[0].sources.len(), 2, "{explanation}");
    assert!(
        explanation.contains("the hub did not answer"),
        "{explanation}"
    );
    let done = download_is(&alice, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
}

/// What is being downloaded is found already, by words and by content.
#[tokio::test(flavor = "multi_thread")]
async fn a_partial_download_is_found_by_flood() {
    let bytes = noise(12_000_000, 43);
    let slow = |config: &mut NodeConfig| config.limit_up = Some(2_000_000);
    let bob = flooder(&[], &[("partial.bin", bytes.clone())], slow).await;
    let alice = flooder(&[bob.address().await], &[], |_| {}).await;
    has_neighbours(&alice, 1).await;
    let _ = found(&alice, "partial").await;
    alice.node.download(row(1)).await.unwrap();
    let carol = flooder(&[bob.address().await], &[], |_| {}).await;
    let query = format!("hash:{}", ContentId::of(&bytes));
    for words in ["partial", &query] {
        until(&format!("both are found by {words}"), async || {
            let (rows, _) = search(&carol, words).await;
            let sources = rows.first().map_or(0, |row| row.sources.len());
            (sources == 2).then_some(())
        })
        .await;
    }
}

/// The one peer that was named is gone at the next start; those met through it
/// are remembered.
#[tokio::test(flavor = "multi_thread")]
async fn remembered_peers_lead_back_into_the_network() {
    let first = flooder(&[], &[], |_| {}).await;
    let address = first.address().await;
    let second = flooder(
        std::slice::from_ref(&address),
        &[("kept.txt", b"kept".to_vec())],
        |_| {},
    )
    .await;
    has_neighbours(&second, 1).await;
    let alice = flooder(&[address], &[], |_| {}).await;
    has_neighbours(&alice, 2).await;
    alice.node.shutdown().await;
    first.node.shutdown().await;

    let mut config = config(alice.dir.path());
    config.overlays = vec![Overlay::Flood];
    let alice = Peer {
        node: Node::start(config).await.unwrap(),
        dir: alice.dir,
    };
    has_neighbours(&alice, 1).await;
    let (rows, _) = found(&alice, "kept").await;
    assert_eq!(rows[0].sources[0].peer, second.node.peer_id());
}

/// A peer that speaks nonsense loses its link, and nobody else notices.
#[tokio::test(flavor = "multi_thread")]
async fn nonsense_costs_the_link() {
    let bob = flooder(&[], &[("sound.txt", b"sound".to_vec())], |_| {}).await;
    let address = bob.address().await;
    let alice = flooder(std::slice::from_ref(&address), &[], |_| {}).await;
    let mut evil = NetConfig::new([77; 32], NodeConfig::DEFAULT_NETWORK);
    evil.listen = vec!["127.0.0.1:0".parse().unwrap()];
    evil.local_discovery = false;
    let (net, mut events) = Net::bind(evil).await.unwrap();
    for body in [&[0xff; 40][..], &[6], &[0, 200, 200], &[9, 0, 0, 0, 255]] {
        net.add_user_addresses(address.clone());
        let _ = net.dial(address.peer);
        let next = async |events: &mut tokio::sync::mpsc::Receiver<NetEvent>| {
            tokio::time::timeout(crate::support::DEADLINE, events.recv())
                .await
                .expect("something happens")
                .expect("the network lives")
        };
        while !matches!(next(&mut events).await, NetEvent::Up { .. }) {}
        // An unknown variant is skipped, a malformed one costs the link.
        let unknown = [&[200, 1][..], body].concat();
        net.send(address.peer, Channel::Flood, unknown.into())
            .unwrap();
        net.send(address.peer, Channel::Flood, body.to_vec().into())
            .unwrap();
        if body[0] == 0xff {
            // Reads as a variant from the future.
            net.disconnect(address.peer);
        }
        while !matches!(next(&mut events).await, NetEvent::Down { .. }) {}
    }
    let (rows, _) = found(&alice, "sound").await;
    assert_eq!(rows.len(), 1);
}
