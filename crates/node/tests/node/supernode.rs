//! Supernodes: peers that elect directories among themselves, and what happens
//! when those die.

use std::time::{Duration, Instant};

use gannet_base::{PeerAddress, PeerId};
use gannet_node::api::{DownloadState, NodeEvent, Role, SupernodeInfo, Tie};
use gannet_node::{NodeConfig, Overlay, RoleWish};

use crate::support::{DEADLINE, Island, download_is, found, noise, row, search, shares, until};

/// Supernodes of the small networks here: with fewer, everybody is one.
const SUPERNODES: u32 = 3;

/// An island that joins through these and shares these files.
async fn start(
    through: &[PeerAddress],
    files: &[(&str, Vec<u8>)],
    change: impl FnOnce(&mut NodeConfig),
) -> Island {
    Island::start(files, |config| {
        config.overlays = vec![Overlay::Supernode];
        config.peers = through.to_vec();
        config.supernode.supernodes_min = SUPERNODES;
        // The machine of the tests is busy with the tests.
        config.supernode.load_max = 0;
        change(config);
    })
    .await
}

async fn info(island: &Island) -> SupernodeInfo {
    let status = island.peer.node.status().await.unwrap();
    status.supernode.expect("the overlay is on")
}

/// Waits until it is in this role.
async fn is(island: &Island, role: Role) {
    until(&format!("a {}", role.name()), async || {
        (info(island).await.role == role).then_some(())
    })
    .await;
}

/// Waits until it has so many live supernodes; the first is the primary.
async fn has_homes(island: &Island, wanted: usize) -> Vec<PeerId> {
    until(&format!("{wanted} supernodes"), async || {
        let homes = info(island).await.homes;
        let live = homes.iter().filter(|home| home.is_live);
        let live: Vec<PeerId> = live.map(|home| home.supernode).collect();
        (live.len() >= wanted).then_some(live)
    })
    .await
}

/// Three supernodes, then so many leaves, each with what `files` says.
async fn two_tiers(leaves: usize, files: impl Fn(usize) -> Vec<(&'static str, Vec<u8>)>) -> Crowd {
    let first = start(&[], &[], |_| {}).await;
    is(&first, Role::Supernode).await;
    let address = [first.peer.address().await];
    let mut supernodes = vec![first];
    for _ in 1..SUPERNODES {
        let next = start(&address, &[], |_| {}).await;
        is(&next, Role::Supernode).await;
        supernodes.push(next);
    }
    for supernode in &supernodes {
        until("links to the others", async || {
            (info(supernode).await.links + 1 >= SUPERNODES).then_some(())
        })
        .await;
    }
    let mut islands = Vec::new();
    for n in 0..leaves {
        let files = files(n);
        let change = |config: &mut NodeConfig| {
            config.limit_up = Some(500_000);
            // The first one asks and those with files are asked: no supernode
            // that is killed may be one of them.
            if n == 0 || !files.is_empty() {
                config.supernode.role = RoleWish::Forbid;
            }
        };
        let leaf = start(&address, &files, change).await;
        islands.push((leaf, files.len()));
    }
    let mut crowd = Crowd {
        supernodes,
        leaves: Vec::new(),
    };
    for (leaf, files) in islands {
        shares(&leaf.peer, files).await;
        has_homes(&leaf, 2).await;
        crowd.leaves.push(leaf);
    }
    crowd
}

struct Crowd {
    supernodes: Vec<Island>,
    leaves: Vec<Island>,
}

impl Crowd {
    /// Those who became a supernode later are among the leaves.
    fn take_supernode(&mut self, id: PeerId) -> Island {
        let is_it = |one: &Island| one.id() == id;
        match self.supernodes.iter().position(is_it) {
            Some(at) => self.supernodes.remove(at),
            None => {
                let at = self.leaves.iter().position(is_it);
                self.leaves.remove(at.expect("it is one of them"))
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_peer_is_usable_at_once_and_the_next_finds_its_files() {
    let started = Instant::now();
    let first = start(&[], &[("harry potter.txt", b"one".to_vec())], |_| {}).await;
    is(&first, Role::Supernode).await;
    shares(&first.peer, 1).await;
    // Nobody else can be asked, and that is not "nobody has it".
    let (rows, explanation) = search(&first.peer, "something else").await;
    assert!(rows.is_empty());
    assert!(
        explanation.contains("no other peer is known"),
        "{explanation}"
    );
    assert!(started.elapsed() < Duration::from_secs(8), "too slow");

    let started = Instant::now();
    let address = [first.peer.address().await];
    let second = start(&address, &[("tom riddle.txt", b"two".to_vec())], |_| {}).await;
    let (rows, explanation) = found(&second.peer, "harry potter").await;
    assert_eq!(rows[0].sources[0].peer, first.id(), "{explanation}");
    assert_eq!(rows[0].found_by[0].overlay, "supernode");
    // A second on an idle machine; this one may be busy.
    assert!(started.elapsed() < Duration::from_secs(8), "too slow");
    let (rows, _) = found(&first.peer, "tom riddle").await;
    assert_eq!(rows[0].sources[0].peer, second.id());
    let (rows, explanation) = search(&second.peer, "nothing of the kind").await;
    assert!(rows.is_empty());
    assert!(explanation.starts_with("Nobody has it"), "{explanation}");
}

/// A supernode and a leaf by their users' wish: what each says of itself and of
/// the other.
#[tokio::test(flavor = "multi_thread")]
async fn roles_can_be_chosen_and_are_shown() {
    let force = |config: &mut NodeConfig| config.supernode.role = RoleWish::Force;
    let supernode = start(&[], &[], force).await;
    is(&supernode, Role::Supernode).await;
    let address = [supernode.peer.address().await];
    let forbid = |config: &mut NodeConfig| config.supernode.role = RoleWish::Forbid;
    let leaf = start(&address, &[("kept.txt", b"kept".to_vec())], forbid).await;
    let mut events = leaf.peer.node.events();
    assert_eq!(has_homes(&leaf, 1).await, [supernode.id()]);
    until("the leaf's file", async || {
        let info = info(&supernode).await;
        (info.leaves == 1 && info.entries == 1).then_some(())
    })
    .await;
    let (rows, explanation) = found(&supernode.peer, "kept").await;
    assert_eq!(rows[0].sources[0].peer, leaf.id());
    assert_eq!(rows[0].found_by[0].hops, 0, "in its own index");
    assert!(explanation.contains("leaves of this supernode"));
    let tie = |peers: Vec<gannet_node::api::PeerInfo>| peers.first().and_then(|peer| peer.tie);
    let of_leaf = leaf.peer.node.peers().await.unwrap();
    assert_eq!(tie(of_leaf), Some(Tie::Primary));
    let of_supernode = supernode.peer.node.peers().await.unwrap();
    assert_eq!(tie(of_supernode), Some(Tie::Leaf));
    assert_eq!(leaf.peer.node.status().await.unwrap().problems, [""; 0]);

    drop(supernode);
    let lost = async {
        while !matches!(
            events.recv().await.unwrap(),
            NodeEvent::SupernodeDown { .. }
        ) {}
    };
    tokio::time::timeout(DEADLINE, lost)
        .await
        .expect("the loss is told");
    // It may not be one, and there is no other: that is a problem to be named.
    until("the problem is named", async || {
        let problems = leaf.peer.node.status().await.unwrap().problems.join(" ");
        problems.contains("no supernode").then_some(())
    })
    .await;
    let (rows, explanation) = search(&leaf.peer, "anything").await;
    assert!(rows.is_empty());
    assert!(explanation.starts_with("I could not ask"), "{explanation}");
}

/// Twenty peers in two tiers. The supernode of a leaf hangs while it is asked,
/// and is killed; the next one is killed in the middle of a download.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_search_and_a_download_go_on_when_their_supernodes_are_killed() {
    let bytes = noise(8_000_000, 51);
    let files = |n: usize| match n {
        1..=4 => vec![("harry potter.bin", bytes.clone())],
        _ => Vec::new(),
    };
    let mut crowd = two_tiers(17, files).await;
    let homes = has_homes(&crowd.leaves[0], 2).await;
    let victim = crowd.take_supernode(homes[0]);
    let alice = &crowd.leaves[0];

    let go_on = victim.hang();
    let (id, mut updates) = alice.peer.node.search("harry potter", 10).await.unwrap();
    drop(victim);
    drop(go_on);
    let ended = async { while updates.recv().await.is_some() {} };
    tokio::time::timeout(DEADLINE, ended)
        .await
        .expect("the search ends");
    let state = alice.peer.node.search_state(Some(id)).await.unwrap();
    let state = state.expect("it is remembered");
    assert_eq!(state.rows.len(), 1, "{:?}", state.end);
    assert_eq!(state.rows[0].sources.len(), 4, "{:?}", state.end);

    let (rows, _) = found(&alice.peer, "harry potter").await;
    assert_eq!(rows.len(), 1);
    let started = alice.peer.node.download(row(1)).await.unwrap();
    until("some has come", async || {
        let downloads = alice.peer.node.downloads().await.unwrap();
        (downloads[0].have_bytes > 1_000_000).then_some(())
    })
    .await;
    let homes = has_homes(alice, 1).await;
    drop(crowd.take_supernode(homes[0]));
    let alice = &crowd.leaves[0];
    let done = download_is(&alice.peer, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
    // At the very end a slice may be asked of two.
    let received = done.received_bytes;
    let margin = 1 << 20;
    assert!(
        (8_000_000..8_000_000 + margin).contains(&received),
        "{received}"
    );

    // Everybody has a place again, and everything is found.
    for leaf in &crowd.leaves {
        until("a place", async || {
            let info = info(leaf).await;
            let is_placed = info.role == Role::Supernode || info.homes.iter().any(|h| h.is_live);
            is_placed.then_some(())
        })
        .await;
    }
    until("all sources, alice one of them", async || {
        let (rows, _) = search(&crowd.leaves[9].peer, "harry potter").await;
        rows.first().filter(|row| row.sources.len() == 5).map(drop)
    })
    .await;
}

/// The only source is killed, and so is the supernode that named it; a source
/// that joins later is found by content, and the rest comes from there.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_download_finds_new_sources_when_source_and_supernode_are_killed() {
    let bytes = noise(4_000_000, 52);
    let files = |n: usize| match n {
        1 => vec![("goblet.bin", bytes.clone())],
        _ => Vec::new(),
    };
    let mut crowd = two_tiers(2, files).await;
    let bob = crowd.leaves.remove(1);
    let (rows, _) = found(&crowd.leaves[0].peer, "goblet").await;
    assert_eq!(rows[0].sources[0].peer, bob.id());
    let started = crowd.leaves[0].peer.node.download(row(1)).await.unwrap();
    until("some has come", async || {
        let downloads = crowd.leaves[0].peer.node.downloads().await.unwrap();
        (downloads[0].have_bytes > 500_000).then_some(())
    })
    .await;
    let homes = has_homes(&crowd.leaves[0], 1).await;
    drop(crowd.take_supernode(homes[0]));
    drop(bob);
    let address = [crowd.supernodes[0].peer.address().await];
    let carol = start(&address, &[("goblet.bin", bytes.clone())], |_| {}).await;
    let alice = &crowd.leaves[0].peer;
    let done = download_is(alice, started.number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
    let mut sources = done.sources.iter();
    assert!(
        sources.any(|source| source.peer == carol.id() && source.bytes > 0),
        "{:?}",
        done.sources
    );
    let received = done.received_bytes;
    assert!((4_000_000..5_048_576).contains(&received), "{received}");
}

/// Sources are asked before they count: a supernode that named three dead ones
/// is left, and the file still comes when there is a live one.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_names_three_dead_sources_is_left() {
    let bytes = noise(1_000_000, 53);
    // Each has two of the three supernodes, and what came from further away is
    // not held against who passed it on.
    let files = |n: usize| match n {
        1..=7 => vec![("goblet.bin", bytes.clone())],
        _ => Vec::new(),
    };
    let mut crowd = two_tiers(8, files).await;
    let alice = crowd.leaves.remove(0);
    let homes = has_homes(&alice, 2).await;
    let (rows, _) = found(&alice.peer, "goblet").await;
    assert_eq!(rows[0].sources.len(), 7);
    // Nobody is told of their end.
    crowd.leaves.clear();
    let started = alice.peer.node.download(row(1)).await.unwrap();
    until("one to be left", async || {
        let now = info(&alice).await.homes;
        let is_left = |home: &PeerId| now.iter().all(|other| other.supernode != *home);
        homes.iter().any(is_left).then_some(())
    })
    .await;
    let address = [crowd.supernodes[0].peer.address().await];
    let carol = start(&address, &[("goblet.bin", bytes.clone())], |_| {}).await;
    let number = started.number;
    let done = download_is(&alice.peer, number, DownloadState::Complete).await;
    assert!(std::fs::read(done.path.unwrap()).unwrap() == bytes);
    drop(carol);
}
