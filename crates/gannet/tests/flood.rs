//! Neighbours instead of a hub, with real processes: joining, searching,
//! fetching, hubs that die, neighbours that die, healing.

use std::time::Instant;

use gannet_node::api::Status;
use gannet_web::Client;

use crate::harness::{Peer, Place, SOON, find, joined, noise, registered, shares, until, wait_for};

/// Waits until a peer has so many neighbours.
async fn has_neighbours(client: &Client, wanted: u32) -> Status {
    let enough = |status: &Status| {
        let flood = status.flood.as_ref();
        flood.is_some_and(|flood| flood.neighbours >= wanted)
    };
    until("neighbours", || client.status(), enough).await
}

/// A peer with neighbours only, which joins through another one.
fn flooder(place: &Place, name: &str, through: Option<&Peer>, more: &[&str]) -> Peer {
    place.join(name, "flood", through, more)
}

#[tokio::test(flavor = "multi_thread")]
async fn four_peers_find_and_fetch_without_a_hub() {
    let place = Place::new();
    let bytes = noise(21, 2 << 20);
    let folder = place.folder("files", &[("Harry Potter.bin", &bytes)]);
    let one = flooder(&place, "one", None, &["--neighbours", "1"]);
    let two = flooder(&place, "two", Some(&one), &["--neighbours", "1"]);
    has_neighbours(&two.client().await, 1).await;
    let three = flooder(&place, "three", Some(&two), &["--neighbours", "1"]);
    has_neighbours(&three.client().await, 1).await;
    let folder = folder.to_str().unwrap();
    let four = flooder(&place, "four", Some(&three), &["--neighbours", "1", folder]);
    let client = four.client().await;
    shares(&client, 1).await;
    has_neighbours(&client, 1).await;

    // Each has one neighbour or two: the holder is three hops away.
    let state = find(&place, "one", "harry potter");
    let found = &state["rows"][0]["found_by"][0];
    assert_eq!(found["overlay"], "flood", "{state}");
    assert_eq!(found["hops"], 3, "{state}");
    let flood = &state["end"]["overlays"][0]["flood"];
    assert_eq!(flood["asked"], 3, "{state}");
    let shown = place.ask("one", &["search", "harry", "potter"]);
    shown.expect(
        0,
        &["flood, 3 hops", "1 row from 3 peers by flood", "round"],
    );
    place
        .ask("one", &["get", "1"])
        .expect(0, &["complete", "verified"]);
    let got = place.path("one").join("finished/Harry Potter.bin");
    assert_eq!(std::fs::read(got).unwrap(), bytes);

    // Nobody has it, and that is known.
    let nothing = place.ask("one", &["search", "--json", "nothing of the kind"]);
    nothing.expect(4, &["nobody has it"]);
    let status = place.ask("two", &["status"]);
    status.expect(0, &["2 neighbours of 1 wanted"]);
    place.ask("two", &["peers"]).expect(0, &["neighbour"]);
    drop((two, three, four, one));
}

/// The overlays of those who have a hub and neighbours.
const BOTH: [&str; 2] = ["--overlay", "hub,flood"];

/// Bob and Alice use a hub and are neighbours; Bob has the file.
async fn hub_and_neighbours(place: &Place, bytes: &[u8]) -> [Peer; 3] {
    let hub = place.start("hub", &["hub"]);
    let address = hub.address();
    let folder = place.folder("files", &[("harry potter.bin", bytes)]);
    let folder = folder.to_str().unwrap();
    let [overlay, both] = BOTH;
    let bob = place.start("bob", &["up", folder, overlay, both, "--hub", &address]);
    registered(&bob.client().await, 1).await;
    let bobs = bob.address();
    let flags = ["up", overlay, both, "--hub", &address, "--peer", &bobs];
    let alice = place.start("alice", &flags);
    let client = alice.client().await;
    joined(&client).await;
    has_neighbours(&client, 1).await;
    [hub, bob, alice]
}

/// The hub is made to hang, so that the search is under way when it is killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_goes_on_when_the_hub_is_killed() {
    let place = Place::new();
    let [hub, _bob, alice] = hub_and_neighbours(&place, b"short").await;
    hub.process.signal("STOP");
    let mut search = place.watch_search(&alice, "harry");
    let row = search.line("row");
    assert_eq!(row["found_by"][0]["overlay"], "flood", "{row}");
    hub.kill();
    let end = search.line("end");
    assert_eq!(end["complete"], false, "{end}");
    let words = end["explanation"].as_str().unwrap();
    assert!(words.contains("1 row from 1 peer by flood"), "{end}");
    assert!(words.contains("the hub did not answer"), "{end}");
    assert_eq!(search.ended().code(), Some(0));
    // The next one does not wait for it.
    let again = place.ask("alice", &["search", "harry"]);
    again.expect(0, &["harry potter.bin", "flood, 1 hop"]);
}

/// Hub and only source are killed while `gannet get` runs: the same command
/// finishes with a source that joined since and is found through neighbours.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_when_hub_and_source_are_killed() {
    let place = Place::new();
    let bytes = noise(22, 12 << 20);
    let hub = place.start("hub", &["hub"]);
    let address = hub.address();
    let folder = place.folder("files", &[("harry potter.bin", &bytes)]);
    let folder = folder.to_str().unwrap();
    let slow = ["up", folder, "--hub", &address, "--limit-up", "1M"];
    let bob = place.start("bob", &slow);
    registered(&bob.client().await, 1).await;
    let dave = flooder(&place, "dave", None, &[]);
    let daves = dave.address();
    let [overlay, both] = BOTH;
    let flags = ["up", overlay, both, "--hub", &address, "--peer", &daves];
    let alice = place.start("alice", &flags);
    let client = alice.client().await;
    joined(&client).await;
    has_neighbours(&client, 1).await;
    find(&place, "alice", "harry");
    let mut get = place.watch_get(&alice).await;
    hub.kill();
    let carol = flooder(&place, "carol", Some(&dave), &[folder]);
    shares(&carol.client().await, 1).await;
    has_neighbours(&carol.client().await, 1).await;
    bob.kill();
    get.got(&bytes, &carol);
}

/// The one in the middle is killed: both sides find each other and search again.
#[tokio::test(flavor = "multi_thread")]
async fn a_network_heals_when_a_neighbour_is_killed() {
    let place = Place::new();
    let folder = place.folder("files", &[("harry potter.txt", b"here")]);
    let folder = folder.to_str().unwrap();
    let left = flooder(&place, "left", None, &["--neighbours", "1"]);
    let middle = flooder(&place, "middle", Some(&left), &["--neighbours", "1"]);
    has_neighbours(&middle.client().await, 1).await;
    let right = flooder(
        &place,
        "right",
        Some(&middle),
        &["--neighbours", "1", folder],
    );
    has_neighbours(&middle.client().await, 2).await;
    let state = find(&place, "left", "harry");
    assert_eq!(state["rows"][0]["found_by"][0]["hops"], 2, "{state}");
    middle.kill();
    let start = Instant::now();
    loop {
        let state = find(&place, "left", "harry");
        if state["rows"][0]["found_by"][0]["hops"] == 1 {
            break;
        }
        assert!(start.elapsed() < SOON, "not healed: {state}");
    }
    drop((left, right));
}

/// The only peer that was named is dead at the next start: others that were met
/// are remembered.
#[tokio::test(flavor = "multi_thread")]
async fn remembered_peers_replace_a_dead_bootstrap_peer() {
    let place = Place::new();
    let folder = place.folder("files", &[("harry potter.txt", b"here")]);
    let folder = folder.to_str().unwrap();
    let first = flooder(&place, "first", None, &[]);
    let other = flooder(&place, "other", Some(&first), &[folder]);
    shares(&other.client().await, 1).await;
    let me = flooder(&place, "me", Some(&first), &[]);
    has_neighbours(&me.client().await, 2).await;
    // Killed, not stopped: what is remembered is on the disk already.
    let peers = me.data_dir.join("peers.json");
    wait_for("remembered peer", || {
        let text = std::fs::read_to_string(&peers).unwrap_or_default();
        text.contains(&other.address.peer.to_string())
    });
    let dead = first.address();
    first.kill();
    me.kill();
    let me = place.start("me", &["up", "--overlay", "flood", "--peer", &dead]);
    has_neighbours(&me.client().await, 1).await;
    let state = find(&place, "me", "harry");
    assert_eq!(state["rows"][0]["name"], "harry potter.txt", "{state}");
}
