//! Files that outlive their publisher: kept by the peers of a ring, found and fetched
//! from them, refused, released, and there again after a restart.

use std::path::Path;

use gannet_base::{ContentId, PeerAddress};
use gannet_node::api::{
    DownloadRequest, DownloadState, HeldFile, KeepRequest, KeptFile, Refused, ToKeep,
};
use gannet_node::{KeepError, Node, NodeConfig, Overlay};

use crate::support::{Island, Peer, config, download_is, found, noise, row, search, shares, until};

/// Larger than one block.
const BYTES: usize = 17 << 20;

/// An island on a ring only, which shares these files.
async fn start(
    through: &[PeerAddress],
    files: &[(&str, Vec<u8>)],
    change: impl FnOnce(&mut NodeConfig),
) -> Island {
    let island = Island::start(files, |config| {
        config.overlays = vec![Overlay::Dht];
        config.peers = through.to_vec();
        change(config);
    })
    .await;
    shares(&island.peer, files.len()).await;
    island
}

/// Waits until it has so many others on its ring.
async fn has_others(peer: &Peer, others: usize) {
    until(&format!("a ring with {others} others"), async || {
        let ring = peer.node.status().await.unwrap().dht.unwrap();
        (ring.joined && ring.successors.len() >= others).then_some(())
    })
    .await;
}

/// A publisher with this file, and so many others with nothing.
async fn ring(bytes: &[u8], others: usize, change: impl Fn(&mut NodeConfig)) -> Vec<Island> {
    let file = ("harry potter.bin", bytes.to_vec());
    let mut islands = vec![start(&[], &[file], |_| {}).await];
    let through = [islands[0].peer.address().await];
    for _ in 0..others {
        islands.push(start(&through, &[], &change).await);
    }
    for island in &islands {
        has_others(&island.peer, others).await;
    }
    islands
}

fn wish(path: &Path) -> KeepRequest {
    KeepRequest {
        file: ToKeep::Path {
            path: path.to_owned(),
        },
        copies: None,
        days: None,
    }
}

/// Has a peer's file kept, and waits until there are as many copies as there can be.
async fn keep(peer: &Peer) -> KeptFile {
    let path = peer.shared().join("harry potter.bin");
    let kept = peer.node.keep(wish(&path)).await.unwrap();
    assert_eq!((kept.copies, kept.name.as_str()), (8, "harry potter.bin"));
    until("all copies", async || {
        let kept = peer.node.kept().await.unwrap();
        let kept = kept.into_iter().next().expect("it is being kept");
        kept.is_placed().then_some(kept)
    })
    .await
}

async fn held(peer: &Peer) -> Vec<HeldFile> {
    peer.node.held().await.unwrap()
}

/// Waits until a peer holds nothing, on the disk neither.
async fn holds_nothing(peer: &Peer) {
    let parts = peer.node.data_dir().join("kept");
    until("nothing is held", async || {
        let left = std::fs::read_dir(&parts).map_or(0, |files| {
            let files = files.filter_map(Result::ok);
            files.filter(|file| file.path().is_file()).count()
        });
        (held(peer).await.is_empty() && left == 0).then_some(())
    })
    .await;
}

async fn get(peer: &Peer, bytes: &[u8]) {
    let link = format!("gannet:{}?name=fetched.bin", ContentId::of(bytes));
    let request = DownloadRequest::Link { link };
    let started = peer.node.download(request).await.unwrap();
    let done = download_is(peer, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
}

/// The publisher dies for good; a peer that comes later finds the file by its words and
/// fetches it by its hash, and so does one that holds it all itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_file_outlives_its_publisher() {
    let bytes = noise(BYTES, 1);
    let mut islands = ring(&bytes, 3, |_| {}).await;
    let kept = keep(&islands[0].peer).await;
    assert_eq!((kept.blocks, kept.copies_possible), (2, 3), "{kept:?}");
    assert_eq!(kept.copies_online, 3, "{kept:?}");
    let publisher = islands.remove(0);
    let gone = publisher.id();
    drop(publisher);
    for island in &islands {
        let held = held(&island.peer).await;
        assert_eq!((held.len(), held[0].blocks_held), (1, 2), "{held:?}");
        assert_eq!(held[0].orders[0].keeper, gone);
        let keeping = island
            .peer
            .node
            .status()
            .await
            .unwrap()
            .dht
            .unwrap()
            .keeping;
        assert_eq!(keeping.held_bytes, BYTES as u64, "{keeping:?}");
        // What is not whole for its own sake is not listed as shared.
        assert!(island.peer.node.status().await.unwrap().shares.files == 0);
    }
    let through = [islands[0].peer.address().await];
    let late = start(&through, &[], |config| config.dht.grant = 0).await;
    has_others(&late.peer, 3).await;
    let (rows, _) = found(&late.peer, "harry potter").await;
    assert_eq!(rows[0].name, "harry potter.bin");
    get(&late.peer, &bytes).await;
    assert!(held(&late.peer).await.is_empty(), "it grants nothing");
    get(&islands[0].peer, &bytes).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_released_or_refused_goes() {
    let bytes = noise(BYTES, 2);
    let islands = ring(&bytes, 3, |_| {}).await;
    let keeper = &islands[0].peer;
    let content = keep(keeper).await.content;
    let first = &islands[1].peer;
    first
        .node
        .refuse(Refused::Content { content })
        .await
        .unwrap();
    holds_nothing(first).await;
    assert_eq!(
        first.node.refused().await.unwrap(),
        [Refused::Content { content }]
    );
    let second = &islands[2].peer;
    let keeper_id = islands[0].id();
    let refused = Refused::Keeper { keeper: keeper_id };
    second.node.refuse(refused).await.unwrap();
    holds_nothing(second).await;
    second.node.allow(refused).await.unwrap();
    assert!(second.node.refused().await.unwrap().is_empty());

    first
        .node
        .allow(Refused::Content { content })
        .await
        .unwrap();
    keeper.node.unkeep(content).await.unwrap();
    assert!(keeper.node.kept().await.unwrap().is_empty());
    for island in &islands {
        holds_nothing(&island.peer).await;
    }
    let error = keeper.node.unkeep(content).await.unwrap_err();
    assert!(matches!(error, KeepError::NotKept { .. }), "{error}");
    // And kept again at once: the new word is later than the release.
    let kept = keep(keeper).await;
    assert_eq!(kept.copies_online, 3, "{kept:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_more_is_held_than_is_granted() {
    let bytes = noise(BYTES, 3);
    // Room for the second block and its like, for one keeper; not for the first.
    let islands = ring(&bytes, 2, |config| config.dht.grant = 20_000_000).await;
    let keeper = &islands[0].peer;
    let path = keeper.shared().join("harry potter.bin");
    keeper.node.keep(wish(&path)).await.unwrap();
    let kept = until("the refusal", async || {
        let kept = keeper.node.kept().await.unwrap().remove(0);
        kept.refused.is_some().then_some(kept)
    })
    .await;
    assert!(!kept.is_placed(), "{kept:?}");
    assert!(kept.refused.unwrap().contains("half of the space"));
    for island in &islands[1..] {
        let taken: u64 = held(&island.peer).await.iter().map(|file| file.bytes).sum();
        assert!(taken <= 10_000_000, "{taken}");
    }
}

/// Killed and started again, a holder has what it held, serves it, and remembers its own
/// orders; parts that nobody wants any more are deleted.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_held_survives_a_kill() {
    let bytes = noise(BYTES, 4);
    let mut islands = ring(&bytes, 1, |_| {}).await;
    keep(&islands[0].peer).await;
    let address = islands[0].peer.address().await;

    let holder = islands.remove(1);
    let dir = holder.peer.dir.path().to_owned();
    // What its keeper has been told is on the disk. Its folders must outlive it.
    let holder = copy_of_killed(holder, &dir).await;
    let mut config = config(holder.path());
    config.overlays = vec![Overlay::Dht];
    config.peers = vec![address];
    let node = Node::start(config).await.unwrap();
    let again = Peer { node, dir: holder };
    let files = held(&again).await;
    assert_eq!((files.len(), files[0].blocks_held), (1, 2), "{files:?}");
    has_others(&again, 1).await;

    let publisher = islands.remove(0);
    drop(publisher);
    let late = start(&[again.address().await], &[], |_| {}).await;
    has_others(&late.peer, 1).await;
    get(&late.peer, &bytes).await;
    again.node.shutdown().await;
}

/// The folders of a peer that is killed, elsewhere.
async fn copy_of_killed(island: Island, dir: &Path) -> tempfile::TempDir {
    let copy = crate::support::temp_dir();
    copy_folder(dir, copy.path());
    drop(island);
    copy
}

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap().filter_map(Result::ok) {
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy_folder(&path, &to);
        } else if std::fs::copy(&path, &to).is_err() {
            // Files that are written under another name first may be gone.
            assert!(!path.exists(), "{}", path.display());
        }
    }
}

/// A peer that is asked to keep what its user is just downloading takes it from there.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_user_fetches_is_not_fetched_twice() {
    let bytes = noise(BYTES, 5);
    let file = ("harry potter.bin", bytes.clone());
    let slow = |config: &mut NodeConfig| config.limit_up = Some(6_000_000);
    let publisher = start(&[], &[file], slow).await;
    let through = [publisher.peer.address().await];
    let user = start(&through, &[], |_| {}).await;
    has_others(&user.peer, 1).await;
    has_others(&publisher.peer, 1).await;
    found(&user.peer, "harry potter").await;
    let started = user.peer.node.download(row(1)).await.unwrap();
    until("some of it", async || {
        let downloads = user.peer.node.downloads().await.unwrap();
        (downloads[0].have_bytes > 0).then_some(())
    })
    .await;
    let kept = keep(&publisher.peer).await;
    assert_eq!(kept.copies_online, 1, "{kept:?}");
    download_is(&user.peer, started.number, DownloadState::Complete).await;
    let traffic = publisher.peer.node.status().await.unwrap().traffic;
    assert!(traffic.sent_bytes < 3 * BYTES as u64 / 2, "{traffic:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_refused_in_plain_words() {
    let alone = Island::start(&[("a.bin", b"a".to_vec())], |config| {
        config.overlays = vec![Overlay::Hub];
    })
    .await;
    shares(&alone.peer, 1).await;
    let path = alone.peer.shared().join("a.bin");
    let off = alone.peer.node.keep(wish(&path)).await.unwrap_err();
    assert!(
        off.to_string().contains("--overlay hub,supernode,dht"),
        "{off}"
    );

    let one = start(&[], &[("a.bin", b"a".to_vec())], |_| {}).await;
    let node = &one.peer.node;
    let path = one.peer.shared().join("a.bin");
    let wrong = |copies, days| KeepRequest {
        copies,
        days,
        ..wish(&path)
    };
    for request in [
        wrong(Some(0), None),
        wrong(Some(33), None),
        wrong(None, Some(367)),
    ] {
        let error = node.keep(request).await.unwrap_err();
        assert!(matches!(error, KeepError::Bounds(_)), "{error}");
    }
    let elsewhere = one.peer.dir.path().join("not shared.bin");
    std::fs::write(&elsewhere, b"b").unwrap();
    let error = node.keep(wish(&elsewhere)).await.unwrap_err();
    assert!(error.to_string().contains("gannet share add"), "{error}");
    let link = format!("gannet:{}?name=b.bin", ContentId::of(b"b"));
    let by_link = KeepRequest {
        file: ToKeep::Link { link },
        copies: None,
        days: None,
    };
    let error = node.keep(by_link).await.unwrap_err();
    assert!(error.to_string().contains("gannet get"), "{error}");
    let (rows, _) = search(&one.peer, "nothing").await;
    assert!(rows.is_empty());
    let row = KeepRequest {
        file: ToKeep::Row {
            search: None,
            number: 1,
        },
        copies: None,
        days: None,
    };
    let error = node.keep(row).await.unwrap_err();
    assert!(matches!(error, KeepError::UnknownRow { .. }), "{error}");
    // Nobody is there yet: it waits for somebody.
    let kept = node.keep(wish(&path)).await.unwrap();
    assert_eq!((kept.copies_online, kept.blocks), (0, 1));
}
