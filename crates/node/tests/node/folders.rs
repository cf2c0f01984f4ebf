//! Folders: linked to, fetched as a whole, served on.

use std::collections::BTreeMap;
use std::path::Path;

use gannet_base::{GannetLink, LinkKind, PeerAddress};
use gannet_node::api::{DownloadRequest, DownloadState};
use gannet_node::{DownloadError, LinkError, Node, NodeConfig};

use crate::support::{
    Island, Peer, config, download_is, hub, noise, on_both_roads, search, shares, start, temp_dir,
    until,
};

on_both_roads! {
    a_folder_goes_from_peer_to_peer,
    a_folder_comes_from_two_and_one_dies,
    a_stopped_folder_goes_on_where_it_was,
}

/// A folder of so many small files and two large ones.
fn fill(dir: &Path, small: usize) {
    for n in 0..small {
        let inner = dir.join(format!("folder {}", n / 50));
        std::fs::create_dir_all(&inner).unwrap();
        let bytes = noise(1 + n * 97 % 30_000, n as u64);
        std::fs::write(inner.join(format!("file {n}.txt")), bytes).unwrap();
    }
    std::fs::write(dir.join("empty"), b"").unwrap();
    std::fs::write(dir.join("large.bin"), noise(3_000_000, 1)).unwrap();
    std::fs::write(dir.join("larger.bin"), noise(5_000_000, 2)).unwrap();
}

const SMALL: usize = 1_200;

fn tree(dir: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            let below = tree(&path).into_iter();
            files.extend(below.map(|(inner, bytes)| (format!("{name}/{inner}"), bytes)));
        } else {
            files.insert(name, std::fs::read(&path).unwrap());
        }
    }
    files
}

/// A peer that shares such a folder, `shared/Photos`, all hashed.
async fn sharer(change: impl FnOnce(&mut NodeConfig)) -> Peer {
    let dir = temp_dir();
    let mut config = config(dir.path());
    let shared = dir.path().join("shared");
    fill(&shared.join("Photos"), SMALL);
    config.shares = vec![shared];
    change(&mut config);
    let node = Node::start(config).await.unwrap();
    let peer = Peer { node, dir };
    shares(&peer, SMALL + 3).await;
    peer
}

async fn link_of(peer: &Peer) -> GannetLink {
    let path = peer.shared().join("Photos");
    let link = peer.node.link(path).await.unwrap();
    assert_eq!(link.files, Some(SMALL as u64 + 3));
    link.link.parse().unwrap()
}

fn request(link: &GannetLink, peers: Vec<PeerAddress>) -> DownloadRequest {
    let link = GannetLink {
        peers,
        ..link.clone()
    };
    DownloadRequest::Link {
        link: link.to_string(),
    }
}

async fn a_folder_goes_from_peer_to_peer() {
    let alice = sharer(|_| {}).await;
    let link = link_of(&alice).await;
    assert_eq!(link.kind, LinkKind::Folder);
    assert_eq!(link.name.as_deref(), Some("Photos"));
    assert_eq!(link_of(&alice).await, link, "the same again");
    let photos = tree(&alice.shared().join("Photos"));

    let bob = start(|_| {}).await;
    let begun = bob.node.download(request(&link, link.peers.clone())).await;
    let number = begun.unwrap().number;
    let done = download_is(&bob, number, DownloadState::Complete).await;
    let path = done.path.clone().expect("a finished folder has a path");
    assert_eq!(path.file_name().unwrap(), "Photos");
    assert!(tree(&path) == photos, "what came differs");
    assert_eq!(done.files, Some(SMALL as u64 + 3));
    assert_eq!(done.size, Some(done.have_bytes));
    assert_eq!(done.pieces, "f".repeat(64));
    assert!(done.received_bytes >= done.have_bytes);
    assert_eq!(bob.node.downloads().await.unwrap().len(), 1, "one row");
    let again = bob.node.download(request(&link, Vec::new())).await;
    assert!(
        matches!(again, Err(DownloadError::AlreadyHave { .. })),
        "{again:?}"
    );

    // His files are shared, and he is a source of the folder by himself.
    shares(&bob, SMALL + 3).await;
    drop(alice);
    let carol = start(|_| {}).await;
    let from_bob = request(&link, vec![bob.address().await]);
    let begun = carol.node.download(from_bob).await.unwrap();
    let done = download_is(&carol, begun.number, DownloadState::Complete).await;
    assert!(tree(&done.path.unwrap()) == photos);
}

async fn a_folder_comes_from_two_and_one_dies() {
    let alice = sharer(|_| {}).await;
    let link = link_of(&alice).await;
    let photos = tree(&alice.shared().join("Photos"));
    let slow = |config: &mut NodeConfig| {
        config.limit_up = Some(4_000_000);
        config.shares = Vec::new();
    };
    let bob = Island::start(&[], slow).await;
    let begun = bob
        .peer
        .node
        .download(request(&link, link.peers.clone()))
        .await
        .unwrap();
    download_is(&bob.peer, begun.number, DownloadState::Complete).await;
    shares(&bob.peer, SMALL + 3).await;
    alice.node.shutdown().await;
    let alice = {
        let mut config = config(alice.dir.path());
        config.shares = vec![alice.shared()];
        config.limit_up = Some(6_000_000);
        let node = Node::start(config).await.unwrap();
        Peer {
            node,
            dir: alice.dir,
        }
    };
    shares(&alice, SMALL + 3).await;

    let carol = start(|_| {}).await;
    let both = vec![alice.address().await, bob.peer.address().await];
    let begun = carol.node.download(request(&link, both)).await.unwrap();
    until("both send", async || {
        let info = carol.node.downloads().await.unwrap().remove(0);
        let sending = info.sources.iter().filter(|source| source.bytes > 0);
        (sending.count() == 2).then_some(())
    })
    .await;
    let info = carol.node.downloads().await.unwrap().remove(0);
    assert_ne!(
        info.state,
        DownloadState::Complete,
        "she was still fetching"
    );
    drop(bob);
    let done = download_is(&carol, begun.number, DownloadState::Complete).await;
    assert!(tree(&done.path.unwrap()) == photos);
}

async fn a_stopped_folder_goes_on_where_it_was() {
    let alice = sharer(|config| config.limit_up = Some(6_000_000)).await;
    let link = link_of(&alice).await;
    let photos = tree(&alice.shared().join("Photos"));
    let dir = temp_dir();
    let config = config(dir.path());
    let node = Node::start(config.clone()).await.unwrap();
    node.download(request(&link, link.peers.clone()))
        .await
        .unwrap();
    until("some of it is there", async || {
        (node.downloads().await.unwrap()[0].have_bytes > 8_000_000).then_some(())
    })
    .await;
    node.shutdown().await;

    let node = Node::start(config).await.unwrap();
    let bob = Peer { node, dir };
    until("it is known", async || {
        (!bob.node.downloads().await.unwrap().is_empty()).then_some(())
    })
    .await;
    let number = bob.node.downloads().await.unwrap()[0].number;
    let done = download_is(&bob, number, DownloadState::Complete).await;
    let (size, received) = (done.size.unwrap(), done.received_bytes);
    assert!(
        received < size - 4_000_000,
        "{received} of {size} came again"
    );
    assert!(tree(&done.path.unwrap()) == photos);
}

/// The link names nobody: manifest and packs are found by their contents.
#[tokio::test(flavor = "multi_thread")]
async fn a_folder_is_found_by_its_content_and_not_by_words() {
    let hub = hub().await;
    let address = hub.address().await;
    let alice = sharer(|config| config.hubs = vec![address.clone()]).await;
    let link = link_of(&alice).await;
    until("the packs are registered", async || {
        let hubs = alice.node.status().await.unwrap().hubs;
        // The files, a manifest and two packs.
        (hubs[0].registered >= SMALL as u64 + 6).then_some(())
    })
    .await;
    let bob = start(|config| config.hubs = vec![address]).await;
    let begun = bob.node.download(request(&link, Vec::new())).await;
    let number = begun.unwrap().number;
    let done = download_is(&bob, number, DownloadState::Complete).await;
    assert!(tree(&done.path.unwrap()) == tree(&alice.shared().join("Photos")));
    let (rows, _) = search(&bob, "photos").await;
    let large = rows.iter().filter(|row| !row.name.contains('.')).count();
    assert!(large <= 1, "only the file without an extension: {large}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pause_resume_cancel_of_a_folder() {
    let alice = sharer(|config| config.limit_up = Some(5_000_000)).await;
    let link = link_of(&alice).await;
    let bob = start(|_| {}).await;
    let wish = || request(&link, link.peers.clone());
    let number = bob.node.download(wish()).await.unwrap().number;
    until("some of it is there", async || {
        (bob.node.downloads().await.unwrap()[0].have_bytes > 1_000_000).then_some(())
    })
    .await;
    let paused = bob.node.pause(number).await.unwrap();
    assert_eq!(paused.state, DownloadState::Paused);
    assert_eq!(bob.node.resume(number).await.unwrap().number, number);
    download_is(&bob, number, DownloadState::Active).await;
    bob.node.cancel(number).await.unwrap();
    assert!(bob.node.downloads().await.unwrap().is_empty());
    let left = || {
        let partial = bob.dir.path().join("downloads/.gannet-partial");
        let left = std::fs::read_dir(partial).map_or(0, Iterator::count);
        let parts = std::fs::read_dir(bob.dir.path().join("data/parts"));
        left + parts.map_or(0, Iterator::count)
    };
    until("nothing is left", async || (left() == 0).then_some(())).await;
    // And from the start.
    let number = bob.node.download(wish()).await.unwrap().number;
    download_is(&bob, number, DownloadState::Complete).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_named_and_a_wrong_link_refused() {
    let alice = sharer(|_| {}).await;
    let link = link_of(&alice).await;
    let changed = alice.shared().join("Photos/folder 3/file 170.txt");
    std::fs::write(changed, noise(20_000, 12_345)).unwrap();
    let bob = start(|_| {}).await;
    let begun = bob.node.download(request(&link, link.peers.clone())).await;
    let number = begun.unwrap().number;
    until("the file is named", async || {
        let info = bob.node.downloads().await.unwrap().remove(0);
        assert_eq!(info.number, number);
        let reason = info.reason.unwrap_or_default();
        let is_named = reason.contains("folder 3/file 170.txt");
        (info.state == DownloadState::Waiting && is_named).then_some(())
    })
    .await;

    let mut wrong = alice.shared().join("Photos/large.bin");
    let file = alice.node.link(wrong.clone()).await.unwrap();
    let file: GannetLink = file.link.parse().unwrap();
    let wish = GannetLink {
        kind: LinkKind::Folder,
        ..file
    };
    let begun = bob.node.download(request(&wish, wish.peers.clone())).await;
    let number = begun.unwrap().number;
    let failed = download_is(&bob, number, DownloadState::Failed).await;
    let reason = failed.reason.unwrap();
    assert!(reason.contains("not the list of a folder"), "{reason}");

    wrong = alice.dir.path().join("elsewhere");
    std::fs::create_dir(&wrong).unwrap();
    let refused = alice.node.link(wrong).await;
    assert!(
        matches!(refused, Err(LinkError::NotShared { .. })),
        "{refused:?}"
    );
    let hollow = alice.shared().join("hollow");
    std::fs::create_dir(&hollow).unwrap();
    let refused = alice.node.link(hollow).await.unwrap_err();
    assert!(refused.to_string().contains("no file"), "{refused}");
}
