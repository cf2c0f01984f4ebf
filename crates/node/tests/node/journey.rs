//! The journey: share, register, search, fetch from many, serve meanwhile.

use gannet_base::{ContentId, GannetLink, LinkKind, PeerAddress};
use gannet_node::api::{DownloadRequest, DownloadState};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{
    Peer, download_is, hub, noise, on_both_roads, road, row, search, sharer, sharer_with, start,
    temp_dir, until,
};
use gannet_node::{BulkRoad, Node};

on_both_roads! {
    words_to_a_verified_file_from_three_sources,
    a_downloader_serves_what_it_has_got_already,
    a_stopped_download_goes_on_where_it_was,
    a_source_that_dies_is_done_without,
    a_source_that_comes_back_elsewhere_is_used_again,
    pause_resume_cancel,
}

fn link(content: ContentId, peers: Vec<PeerAddress>) -> DownloadRequest {
    let link = GannetLink {
        content,
        kind: LinkKind::File,
        name: Some("from a link.bin".to_owned()),
        size: None,
        peers,
    };
    DownloadRequest::Link {
        link: link.to_string(),
    }
}

async fn words_to_a_verified_file_from_three_sources() {
    let hub = hub().await;
    let bytes = noise(6_000_000, 1);
    let mut sharers = Vec::new();
    for n in 0..3 {
        let own = (format!("only {n}.txt"), vec![n; 100]);
        let files = [("Harry Pötter.bin", bytes.clone()), (own.0.as_str(), own.1)];
        sharers.push(sharer(&hub, &files).await);
    }
    let address = hub.address().await;
    let alice = start(|config| config.hubs = vec![address]).await;
    until("the hub is up", async || {
        alice.node.status().await.unwrap().hubs[0]
            .connected
            .then_some(())
    })
    .await;

    let (rows, explanation) = search(&alice, "harry potter").await;
    assert_eq!(rows.len(), 1, "{explanation}");
    assert_eq!((rows[0].holders, rows[0].sources.len()), (3, 3));
    assert_eq!(rows[0].size, bytes.len() as u64);
    assert_eq!(explanation, "1 row from 1 of 1 hub.");

    let started = alice.node.download(row(1)).await.unwrap();
    let done = download_is(&alice, started.number, DownloadState::Complete).await;
    let path = done.path.expect("a finished file has a path");
    assert!(std::fs::read(&path).unwrap() == bytes, "the bytes differ");
    assert_eq!(path.file_name().unwrap(), "Harry Pötter.bin");
    // At the very end a slice may be asked of two.
    let received = done.received_bytes;
    assert!((6_000_000..7_048_577).contains(&received), "{received}");
    // All of it by the road that was to be taken, and nothing by the other.
    let by_tcp = alice
        .node
        .status()
        .await
        .unwrap()
        .traffic
        .tcp_received_bytes;
    match road() {
        BulkRoad::Tcp => assert!(by_tcp >= received, "{by_tcp} of {received}"),
        _ => assert_eq!(by_tcp, 0),
    }

    // Finished, it is one more source.
    let bob_hub = hub.address().await;
    let bob = start(|config| config.hubs = vec![bob_hub]).await;
    until("four have it", async || {
        let (rows, _) = search(&bob, "harry potter").await;
        rows.first()
            .is_some_and(|row| row.holders == 4)
            .then_some(())
    })
    .await;
}

async fn a_downloader_serves_what_it_has_got_already() {
    let hub = hub().await;
    let bytes = noise(12_000_000, 2);
    let slow = sharer_with(&hub, &[("slow.bin", bytes.clone())], |config| {
        config.limit_up = Some(4_000_000);
    })
    .await;
    let alice = start(|_| {}).await;
    let content = ContentId::of(&bytes);
    let first = alice
        .node
        .download(link(content, vec![slow.address().await]))
        .await
        .unwrap();
    until("Alice has some", async || {
        let downloads = alice.node.downloads().await.unwrap();
        (downloads[0].have_bytes > 1_000_000).then_some(())
    })
    .await;

    // Bob knows nobody but Alice, who has not all of it yet.
    let bob = start(|_| {}).await;
    let second = bob
        .node
        .download(link(content, vec![alice.address().await]))
        .await
        .unwrap();
    until("Bob has some", async || {
        let downloads = bob.node.downloads().await.unwrap();
        (downloads[0].have_bytes > 0).then_some(())
    })
    .await;
    let alice_now = alice.node.downloads().await.unwrap().remove(0);
    assert_ne!(
        alice_now.state,
        DownloadState::Complete,
        "she was still fetching"
    );
    download_is(&alice, first.number, DownloadState::Complete).await;
    let done = download_is(&bob, second.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
    assert!(alice.node.status().await.unwrap().traffic.sent_bytes >= bytes.len() as u64);
}

async fn a_stopped_download_goes_on_where_it_was() {
    let hub = hub().await;
    let bytes = noise(8_000_000, 3);
    let sharer = sharer_with(&hub, &[("resumed.bin", bytes.clone())], |config| {
        config.limit_up = Some(4_000_000);
    })
    .await;
    let dir = temp_dir();
    let config = crate::support::config(dir.path());
    let content = ContentId::of(&bytes);
    let node = Node::start(config.clone()).await.unwrap();
    node.download(link(content, vec![sharer.address().await]))
        .await
        .unwrap();
    until("some of it is there", async || {
        (node.downloads().await.unwrap()[0].have_bytes > 2_000_000).then_some(())
    })
    .await;
    node.shutdown().await;

    let node = Node::start(config).await.unwrap();
    let before = node.downloads().await.unwrap().remove(0);
    assert!(before.have_bytes > 2_000_000, "{before:?}");
    let peer = Peer { node, dir };
    let done = download_is(&peer, before.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
    assert!(
        done.received_bytes <= bytes.len() as u64 - before.have_bytes + before.received_bytes,
        "a verified group was fetched twice: {} after {}",
        done.received_bytes,
        before.have_bytes
    );
}

async fn a_source_that_dies_is_done_without() {
    let hub = hub().await;
    let bytes = noise(12_000_000, 4);
    let mut sharers = Vec::new();
    for _ in 0..2 {
        let limit = |config: &mut gannet_node::NodeConfig| config.limit_up = Some(3_000_000);
        sharers.push(sharer_with(&hub, &[("mortal.bin", bytes.clone())], limit).await);
    }
    let alice = start(|_| {}).await;
    let peers = vec![sharers[0].address().await, sharers[1].address().await];
    let started = alice
        .node
        .download(link(ContentId::of(&bytes), peers))
        .await
        .unwrap();
    until("both send", async || {
        let sources = alice.node.downloads().await.unwrap().remove(0).sources;
        (sources.len() == 2 && sources.iter().all(|source| source.bytes > 0)).then_some(())
    })
    .await;
    sharers.remove(0).node.shutdown().await;
    let done = download_is(&alice, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
}

/// An address is not an identity: the only source restarts on another port in
/// the middle of a transfer, the hub tells where, and the transfer goes on.
async fn a_source_that_comes_back_elsewhere_is_used_again() {
    let hub = hub().await;
    let bytes = noise(8_000_000, 6);
    let mut roaming = sharer_with(&hub, &[("roaming.bin", bytes.clone())], |config| {
        config.limit_up = Some(3_000_000);
    })
    .await;
    let before = roaming.address().await;
    let address = hub.address().await;
    let alice = start(|config| config.hubs = vec![address.clone()]).await;
    let content = ContentId::of(&bytes);
    let started = alice
        .node
        .download(link(content, vec![before.clone()]))
        .await
        .unwrap();
    until("some has come", async || {
        (alice.node.downloads().await.unwrap()[0].have_bytes > 1_000_000).then_some(())
    })
    .await;
    roaming.node.shutdown().await;
    let mut config = crate::support::config(roaming.dir.path());
    config.hubs = vec![address];
    // Held, so that the system cannot give the same port again. If it cannot be
    // had, somebody else holds it, which does as well.
    let held = std::net::UdpSocket::bind(before.addresses[0]).ok();
    roaming.node = Node::start(config).await.unwrap();
    let after = roaming.address().await;
    assert_eq!(before.peer, after.peer);
    assert_ne!(before.addresses, after.addresses);
    let done = download_is(&alice, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
    drop(held);
}

async fn pause_resume_cancel() {
    let hub = hub().await;
    let bytes = noise(6_000_000, 5);
    let sharer = sharer_with(&hub, &[("paused.bin", bytes.clone())], |config| {
        config.limit_up = Some(2_000_000);
    })
    .await;
    let alice = start(|_| {}).await;
    let content = ContentId::of(&bytes);
    let request = link(content, vec![sharer.address().await]);
    let number = alice.node.download(request.clone()).await.unwrap().number;
    until("it moves", async || {
        (alice.node.downloads().await.unwrap()[0].have_bytes > 0).then_some(())
    })
    .await;
    alice.node.pause(number).await.unwrap();
    download_is(&alice, number, DownloadState::Paused).await;
    alice.node.resume(number).await.unwrap();
    download_is(&alice, number, DownloadState::Active).await;
    alice.node.cancel(number).await.unwrap();
    assert!(alice.node.downloads().await.unwrap().is_empty());
    until("the partial file is gone", async || {
        let partial = alice.dir.path().join("downloads/.gannet-partial");
        let left = std::fs::read_dir(partial).map_or(0, Iterator::count);
        (left == 0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn browsing_and_links() {
    let hub = hub().await;
    let bob = sharer(&hub, &[("a.txt", b"a".to_vec()), ("b.txt", b"bb".to_vec())]).await;
    let alice = start(|_| {}).await;
    let page = alice
        .node
        .browse(&bob.address().await, 0, 10)
        .await
        .unwrap();
    assert_eq!(page.total, 2);
    let paths: Vec<&str> = page
        .entries
        .iter()
        .map(|entry| entry.path.as_str())
        .collect();
    assert_eq!(paths, ["shared/a.txt", "shared/b.txt"]);
    let second = alice.node.browse(&bob.address().await, 1, 1).await.unwrap();
    assert_eq!(second.entries, page.entries[1..]);

    let link = bob.node.link(bob.shared().join("b.txt")).await.unwrap();
    let started = alice
        .node
        .download(DownloadRequest::Link { link: link.link })
        .await
        .unwrap();
    let done = download_is(&alice, started.number, DownloadState::Complete).await;
    assert_eq!(std::fs::read(done.path.unwrap()).unwrap(), b"bb");
}

#[tokio::test(flavor = "multi_thread")]
async fn shares_come_and_go_while_it_runs() {
    let hub = hub().await;
    let bob = sharer(&hub, &[("here.txt", b"here".to_vec())]).await;
    let found = async |words: &str| search(&bob, words).await.0.len();
    std::fs::write(bob.shared().join("later.txt"), b"later").unwrap();
    until("a new file is found", async || {
        (found("later").await == 1).then_some(())
    })
    .await;
    std::fs::write(bob.shared().join("here.txt"), b"now something else").unwrap();
    let id = ContentId::of(b"now something else");
    until("a changed file is found as what it is", async || {
        (found(&format!("hash:{id}")).await == 1).then_some(())
    })
    .await;
    assert_eq!(found(&format!("hash:{}", ContentId::of(b"here"))).await, 0);
    bob.node.share_remove(bob.shared()).await.unwrap();
    until("nothing is found", async || {
        (found("later").await + found("here").await == 0).then_some(())
    })
    .await;
    assert_eq!(
        bob.node
            .shares()
            .await
            .unwrap()
            .iter()
            .map(|share| share.files)
            .sum::<u64>(),
        0
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hub_that_restarts_is_registered_at_again() {
    let hub_dir = temp_dir();
    let mut hub_config = crate::support::config(hub_dir.path());
    hub_config.hub_server = true;
    let node = Node::start(hub_config.clone()).await.unwrap();
    let address = node.status().await.unwrap().address;
    let hub = Peer {
        node,
        dir: temp_dir(),
    };
    let bob = sharer(&hub, &[("kept.txt", b"kept".to_vec())]).await;
    hub.node.shutdown().await;
    until("Bob sees that", async || {
        (!bob.node.status().await.unwrap().hubs[0].connected).then_some(())
    })
    .await;
    let (rows, explanation) = search(&bob, "kept").await;
    assert!(
        rows.is_empty() && explanation.contains("could not ask"),
        "{explanation}"
    );

    hub_config.listen = address.addresses;
    let node = Node::start(hub_config).await.unwrap();
    until("Bob's file is found again", async || {
        (search(&bob, "kept").await.0.len() == 1).then_some(())
    })
    .await;
    node.shutdown().await;
}

/// A router that passes a TCP port on to the source fails in the middle of the
/// transfer: the rest comes over the connection that is there anyway.
#[tokio::test(flavor = "multi_thread")]
async fn a_tcp_connection_that_is_cut_costs_no_byte_twice() {
    let hub = hub().await;
    let bytes = noise(16_000_000, 7);
    let router = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = router.local_addr().unwrap().port();
    let sharer = sharer_with(&hub, &[("cut.bin", bytes.clone())], |config| {
        config.limit_up = Some(4_000_000);
        config.tcp_port = port.try_into().ok();
    })
    .await;
    // The TCP port is the same as that of QUIC, unless somebody had it.
    let to = sharer.address().await.addresses[0];
    let passing = tokio::spawn(async move {
        let (mut near, _) = router.accept().await.unwrap();
        let mut far = TcpStream::connect(to).await.unwrap();
        let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
    });
    let alice = start(|_| {}).await;
    let started = alice
        .node
        .download(link(ContentId::of(&bytes), vec![sharer.address().await]))
        .await
        .unwrap();
    until("some comes by TCP", async || {
        let traffic = alice.node.status().await.unwrap().traffic;
        (traffic.tcp_received_bytes > 2_000_000).then_some(())
    })
    .await;
    passing.abort();
    let done = download_is(&alice, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
    let traffic = alice.node.status().await.unwrap().traffic;
    assert!(traffic.tcp_received_bytes < 15_000_000, "{traffic:?}");
    assert_eq!((traffic.tcp_failures, traffic.tcp_transfers), (1, 0));
    let received = done.received_bytes;
    assert!((16_000_000..17_048_577).contains(&received), "{received}");
}
