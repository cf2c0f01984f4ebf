//! Supernodes, with real processes: who becomes one, what leaves say of theirs,
//! and what happens when one is killed in the middle of a search and of a
//! download.

use gannet_node::api::{Role, Status};
use gannet_web::Client;

use crate::harness::{Peer, Place, find, noise, shares, until};

/// Two supernodes are enough for two tiers; the machine of the tests is busy.
const SETTINGS: &str = "[supernode]\nsupernodes_min = 2\nload_max = 0\n";

/// A peer with supernodes only, which joins through another one.
fn member(place: &Place, name: &str, through: Option<&Peer>, more: &[&str]) -> Peer {
    let config = place.path("two-tiers.toml");
    std::fs::write(&config, SETTINGS).unwrap();
    let more = [&["--config", config.to_str().unwrap()], more].concat();
    place.join(name, "supernode", through, &more)
}

async fn is(client: &Client, role: Role) -> Status {
    let has_role = |status: &Status| {
        let supernode = status.supernode.as_ref();
        supernode.is_some_and(|supernode| supernode.role == role)
    };
    until(role.name(), || client.status(), has_role).await
}

/// Waits until a supernode has a neighbour.
async fn is_linked(client: &Client) {
    let linked = |status: &Status| status.supernode.as_ref().is_some_and(|info| info.links > 0);
    until("another supernode", || client.status(), linked).await;
}

/// The ids of the supernodes of a leaf, once there are so many.
async fn has_homes(client: &Client, wanted: usize) -> Vec<String> {
    let live = |status: &Status| -> Vec<String> {
        let supernode = status.supernode.as_ref();
        let homes = supernode.map_or(&[][..], |supernode| &supernode.homes);
        let live = homes.iter().filter(|home| home.is_live);
        live.map(|home| home.supernode.to_string()).collect()
    };
    let enough = |status: &Status| live(status).len() >= wanted;
    let status = until("supernodes", || client.status(), enough).await;
    live(&status)
}

/// Two supernodes.
async fn two_supernodes(place: &Place) -> [Peer; 2] {
    let one = member(place, "one", None, &[]);
    is(&one.client().await, Role::Supernode).await;
    let two = member(place, "two", Some(&one), &[]);
    is(&two.client().await, Role::Supernode).await;
    is_linked(&two.client().await).await;
    [one, two]
}

/// The one of two with this id, and the other one.
fn split(two: [Peer; 2], id: &str) -> (Peer, Peer) {
    let [one, other] = two;
    if one.address.peer.to_string() == id {
        (one, other)
    } else {
        (other, one)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn peers_say_what_they_are_to_each_other() {
    let place = Place::new();
    let folder = place.folder("files", &[("harry potter.txt", b"here")]);
    let one = member(&place, "one", None, &["--role", "force"]);
    is(&one.client().await, Role::Supernode).await;
    let folder = folder.to_str().unwrap();
    let leaf = member(&place, "leaf", Some(&one), &["--role", "forbid", folder]);
    let homes = has_homes(&leaf.client().await, 1).await;
    assert_eq!(homes, [one.address.peer.to_string()]);
    shares(&leaf.client().await, 1).await;
    let state = find(&place, "one", "harry");
    assert_eq!(state["rows"][0]["found_by"][0]["overlay"], "supernode");
    let status = place.ask("one", &["status"]);
    status.expect(0, &["supernode, as configured: 1 leaf of at most 300"]);
    place
        .ask("leaf", &["status"])
        .expect(0, &["leaf, as configured", "asks", "1 file registered"]);
    place.ask("leaf", &["peers"]).expect(0, &["its supernode"]);
    place.ask("one", &["peers"]).expect(0, &["leaf"]);
    let json = place.ask("leaf", &["status", "--json"]).json();
    assert_eq!(json["supernode"]["role"], "leaf", "{json}");
    assert_eq!(json["supernode"]["homes"][0]["is_primary"], true, "{json}");

    // The leaf may not take its place, and says so.
    one.kill();
    let client = leaf.client().await;
    let said = |status: &Status| {
        status
            .problems
            .join(" ")
            .contains("no supernode has this peer")
    };
    until("a problem", || client.status(), said).await;
    let search = place.ask("leaf", &["search", "harry"]);
    search.expect(5, &["could not ask"]);
}

/// The supernode is made to hang, so that the search is under way when it is
/// killed.
#[tokio::test(flavor = "multi_thread")]
async fn a_search_goes_on_when_its_supernode_is_killed() {
    let place = Place::new();
    let two = two_supernodes(&place).await;
    let folder = place.folder("files", &[("harry potter.bin", b"short")]);
    let bob = member(&place, "bob", Some(&two[0]), &[folder.to_str().unwrap()]);
    shares(&bob.client().await, 1).await;
    has_homes(&bob.client().await, 2).await;
    let alice = member(&place, "alice", Some(&two[1]), &[]);
    let homes = has_homes(&alice.client().await, 2).await;
    find(&place, "alice", "harry");
    let (victim, other) = split(two, &homes[0]);

    victim.process.signal("STOP");
    let mut search = place.watch_search(&alice, "harry");
    let row = search.line("row");
    let found_by = &row["found_by"][0];
    assert_eq!(found_by["overlay"], "supernode", "{row}");
    assert_eq!(found_by["via"], other.address.peer.to_string(), "{row}");
    victim.kill();
    let end = search.line("end");
    // Who takes the place of the dead in the meantime may be asked as well.
    assert_eq!(end["complete"], true, "{end}");
    assert_eq!(end["total"], 1, "{end}");
    let words = end["explanation"].as_str().unwrap();
    assert!(words.starts_with("1 row from "), "{end}");
    assert_eq!(search.ended().code(), Some(0));
    // Somebody takes the place of the dead: there are two again.
    is_linked(&other.client().await).await;
    find(&place, "alice", "harry");
}

/// Supernode and only source are killed while `gannet get` runs: the same
/// command finishes with a source that joined since, and fetches nothing twice.
#[tokio::test(flavor = "multi_thread")]
async fn a_download_goes_on_when_supernode_and_source_are_killed() {
    let place = Place::new();
    let bytes = noise(31, 8 << 20);
    let two = two_supernodes(&place).await;
    let folder = place.folder("files", &[("harry potter.bin", &bytes)]);
    let folder = folder.to_str().unwrap();
    let bob = member(&place, "bob", Some(&two[0]), &[folder, "--limit-up", "1M"]);
    shares(&bob.client().await, 1).await;
    has_homes(&bob.client().await, 2).await;
    let alice = member(&place, "alice", Some(&two[1]), &[]);
    let homes = has_homes(&alice.client().await, 2).await;
    find(&place, "alice", "harry");
    let mut get = place.watch_get(&alice).await;
    let (victim, other) = split(two, &homes[0]);
    victim.kill();
    bob.kill();
    let carol = member(&place, "carol", Some(&other), &[folder]);
    let end = get.got(&bytes, &carol);
    // At the very end a slice may be asked of two.
    let received = end["download"]["received_bytes"].as_u64().unwrap();
    assert!((8 << 20..9 << 20).contains(&received), "{end}");
}
