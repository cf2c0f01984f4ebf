//! The ring, with real processes: joining, what a killed publisher leaves
//! behind, healing, and coming back.

use gannet_base::ContentId;
use gannet_node::api::Status;
use gannet_web::Client;

use crate::harness::{Peer, Place, find, noise, shares, until, wait_for};

/// A peer with a ring only, which joins through another one.
fn member(place: &Place, name: &str, through: Option<&Peer>, more: &[&str]) -> Peer {
    place.join(name, "dht", through, more)
}

/// Waits until a peer has so many others on its ring, and so many files listed
/// there.
async fn has_place(client: &Client, others: usize, files: u64) -> Status {
    let is_settled = |status: &Status| {
        let Some(ring) = &status.dht else {
            return false;
        };
        let is_listed = ring.published >= files && ring.pending == 0;
        ring.joined && ring.successors.len() >= others && is_listed
    };
    until("ring", || client.status(), is_settled).await
}

/// Waits until a peer does not have this one next to itself.
async fn has_dropped(client: &Client, gone: &str) {
    let without = |status: &Status| {
        let ring = status.dht.as_ref();
        let successors = ring.map(|ring| ring.successors.as_slice());
        let mut successors = successors.unwrap_or_default().iter();
        ring.is_some_and(|ring| ring.joined) && successors.all(|peer| peer.to_string() != gone)
    };
    until("healing", || client.status(), without).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_say_where_they_are() {
    let place = Place::new();
    let folder = place.folder("files", &[("harry potter.txt", b"here")]);
    let one = member(&place, "one", None, &[]);
    let folder = folder.to_str().unwrap();
    let two = member(&place, "two", Some(&one), &[folder]);
    shares(&two.client().await, 1).await;
    has_place(&two.client().await, 1, 1).await;
    let state = find(&place, "one", "harry");
    assert_eq!(state["rows"][0]["found_by"][0]["overlay"], "dht", "{state}");
    let shown = place.ask("one", &["search", "harry", "potter"]);
    shown.expect(0, &["dht, ", "1 row from"]);
    let status = place.ask("two", &["status"]);
    status.expect(
        0,
        &[
            "on a ring of about 2 peers",
            "1 successor of",
            "1 file listed there",
        ],
    );
    place
        .ask("one", &["peers"])
        .expect(0, &["next on the ring"]);
    let json = place.ask("two", &["status", "--json"]).json();
    assert_eq!(json["dht"]["joined"], true, "{json}");
    assert_eq!(
        json["dht"]["successors"][0],
        one.address.peer.to_string(),
        "{json}"
    );
    // Once both have compared what they list, that is known.
    wait_for("nobody", || {
        let nothing = place.ask("one", &["search", "--json", "nothing of the kind"]);
        nothing.code == Some(4) && nothing.out.to_lowercase().contains("nobody has it")
    });
}

/// The publisher is killed: others list what it shared, by word and by hash,
/// and whoever has a copy gives it.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_publisher_is_listed_by_word_and_by_hash() {
    let place = Place::new();
    let bytes = noise(41, 2 << 20);
    let files: [(&str, &[u8]); 2] = [("Harry Potter.bin", &bytes), ("owl post.txt", b"only here")];
    let folder = place.folder("files", &files);
    let first = member(&place, "first", None, &[]);
    let publisher = member(
        &place,
        "publisher",
        Some(&first),
        &[folder.to_str().unwrap()],
    );
    let mut others = Vec::new();
    for name in ["alice", "bob", "carol"] {
        others.push(member(&place, name, Some(&first), &[]));
    }
    shares(&publisher.client().await, 2).await;
    has_place(&publisher.client().await, 4, 2).await;
    for other in &others {
        has_place(&other.client().await, 4, 0).await;
    }
    find(&place, "carol", "owl post");
    find(&place, "bob", "owl post");
    find(&place, "alice", "harry potter");
    place
        .ask("alice", &["get", "1"])
        .expect(0, &["complete", "verified"]);
    has_place(&others[0].client().await, 4, 1).await;
    let gone = publisher.address.peer.to_string();
    publisher.kill();

    let state = find(&place, "carol", "owl post");
    assert_eq!(state["rows"][0]["sources"][0]["peer"], gone, "{state}");
    let hash = ContentId::of(&bytes);
    let state = find(&place, "bob", &format!("hash:{hash}"));
    assert_eq!(state["rows"][0]["name"], "Harry Potter.bin", "{state}");
    let link = format!("gannet:{hash}?name=fetched.bin");
    place
        .ask("bob", &["get", &link])
        .expect(0, &["complete", "verified"]);
    let got = place.path("bob").join("finished/fetched.bin");
    assert_eq!(std::fs::read(got).unwrap(), bytes);
    for other in &others {
        has_dropped(&other.client().await, &gone).await;
    }
}

/// The only source is killed while `gannet get` runs: the same command finishes
/// with a source that joined since, found on the ring.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_when_its_source_is_killed() {
    let place = Place::new();
    let bytes = noise(42, 8 << 20);
    let folder = place.folder("files", &[("harry potter.bin", &bytes)]);
    let folder = folder.to_str().unwrap();
    let first = member(&place, "first", None, &[]);
    let bob = member(&place, "bob", Some(&first), &[folder, "--limit-up", "1M"]);
    shares(&bob.client().await, 1).await;
    has_place(&bob.client().await, 1, 1).await;
    let alice = member(&place, "alice", Some(&first), &[]);
    has_place(&alice.client().await, 2, 0).await;
    find(&place, "alice", "harry");
    let mut get = place.watch_get(&alice).await;
    bob.kill();
    let carol = member(&place, "carol", Some(&first), &[folder]);
    get.got(&bytes, &carol);
}

/// The only peer that was named is dead at the next start: others that were met
/// are remembered.
#[tokio::test(flavor = "multi_thread")]
async fn the_ring_is_found_again_through_those_remembered() {
    let place = Place::new();
    let folder = place.folder("files", &[("harry potter.txt", b"here")]);
    let first = member(&place, "first", None, &[]);
    let other = member(&place, "other", Some(&first), &[folder.to_str().unwrap()]);
    shares(&other.client().await, 1).await;
    let me = member(&place, "me", Some(&first), &[]);
    has_place(&me.client().await, 2, 0).await;
    // Killed, not stopped: what is remembered is on the disk already.
    let peers = me.data_dir.join("peers.json");
    wait_for("remembered peer", || {
        let text = std::fs::read_to_string(&peers).unwrap_or_default();
        text.contains(&other.address.peer.to_string())
    });
    let dead = first.address();
    first.kill();
    me.kill();
    let me = place.start("me", &["up", "--overlay", "dht", "--peer", &dead]);
    has_place(&me.client().await, 1, 0).await;
    let state = find(&place, "me", "harry");
    assert_eq!(state["rows"][0]["name"], "harry potter.txt", "{state}");
}
