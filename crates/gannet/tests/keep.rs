//! Files that outlive their publishers, with real processes.

use gannet_base::ContentId;
use gannet_node::api::Status;
use gannet_web::Client;

use crate::harness::{Peer, Place, files_below, find, noise, shares, until};

/// A peer with a ring only, which joins through another one.
fn member(place: &Place, name: &str, through: Option<&Peer>, more: &[&str]) -> Peer {
    place.join(name, "dht", through, more)
}

/// Waits until a peer has so many others on its ring.
async fn has_others(client: &Client, others: usize) {
    let is_whole = |status: &Status| {
        let ring = status.dht.as_ref();
        ring.is_some_and(|ring| ring.joined && ring.successors.len() >= others)
    };
    until("ring", || client.status(), is_whole).await;
}

/// What lies below the folder of parts that a peer keeps for others.
fn kept_files(peer: &Peer) -> usize {
    let folder = peer.data_dir.join("kept");
    if folder.exists() {
        files_below(&folder).len()
    } else {
        0
    }
}

/// Its publisher is killed for good, and so is a holder, which comes back: the file is
/// found by word and by hash, and is what it was.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_file_outlives_its_publisher_and_a_restart() {
    let place = Place::new();
    let bytes = noise(51, 18 << 20);
    let hash = ContentId::of(&bytes);
    let folder = place.folder("files", &[("Harry Potter.bin", &bytes)]);
    let publisher = member(&place, "publisher", None, &[folder.to_str().unwrap()]);
    let mut holders = Vec::new();
    for name in ["alice", "bob", "carol"] {
        holders.push(member(
            &place,
            name,
            Some(&publisher),
            &["--grant", "100MB"],
        ));
    }
    let dave = member(&place, "dave", Some(&publisher), &["--grant", "none"]);
    shares(&publisher.client().await, 1).await;
    for peer in holders.iter().chain([&dave, &publisher]) {
        has_others(&peer.client().await, 4).await;
    }
    let path = folder.join("Harry Potter.bin");
    let path = path.to_str().unwrap();
    let said = place.ask("publisher", &["keep", path, "--copies", "3", "--days", "9"]);
    said.expect(0, &["keeping Harry Potter.bin", "3 copies of 3 wanted"]);
    let kept = place.ask("publisher", &["kept"]);
    kept.expect(0, &["Harry Potter.bin", "3 of 3"]);
    for said in [said, kept] {
        // By whether a second has passed.
        let nine_days = ["9 d 0 h", "8 d 23 h"];
        assert!(
            nine_days.iter().any(|words| said.out.contains(words)),
            "{said:?}"
        );
    }
    let status = place.ask("publisher", &["status"]);
    status.expect(0, &["1 file kept by others"]);
    let held = place.ask("bob", &["kept", "--held"]);
    held.expect(
        0,
        &[
            "Harry Potter.bin",
            "2 of 2",
            "2 parts of others: 18.9 MB of 100.0 MB",
        ],
    );
    let held = place.ask("bob", &["kept", "--held", "--json"]).json();
    let keeper = publisher.address.peer.to_string();
    assert_eq!(held[0]["orders"][0]["keeper"], keeper.as_str(), "{held}");
    place
        .ask("dave", &["kept", "--held"])
        .expect(0, &["no space is granted"]);
    publisher.kill();

    // A holder is killed and comes back: it has what it had.
    let carol = holders.remove(2);
    let through = holders[0].address();
    carol.kill();
    let carol = place.start("carol", &["up", "--overlay", "dht", "--peer", &through]);
    has_others(&carol.client().await, 3).await;
    place
        .ask("carol", &["kept", "--held"])
        .expect(0, &["2 of 2"]);

    let state = find(&place, "dave", "harry potter");
    assert_eq!(state["rows"][0]["name"], "Harry Potter.bin", "{state}");
    gets(&place, "dave", "1", ("Harry Potter.bin", hash));
    // Who holds it for others need not fetch it from them.
    let link = format!("gannet:{hash}?name=fetched.bin");
    gets(&place, "carol", &link, ("fetched.bin", hash));
}

/// Fetches something as this peer: it is under this name then, and what it should be.
#[track_caller]
fn gets(place: &Place, who: &str, what: &str, (name, hash): (&str, ContentId)) {
    let said = place.ask(who, &["get", what]);
    said.expect(0, &["complete", "verified"]);
    let got = place.path(who).join("finished").join(name);
    assert_eq!(ContentId::of(&std::fs::read(got).unwrap()), hash);
}

#[tokio::test(flavor = "multi_thread")]
async fn owners_refuse_and_publishers_release() {
    let place = Place::new();
    let bytes = noise(52, 1 << 20);
    let folder = place.folder("files", &[("owl post.bin", &bytes)]);
    let publisher = member(&place, "publisher", None, &[folder.to_str().unwrap()]);
    let alice = member(&place, "alice", Some(&publisher), &[]);
    let bob = member(&place, "bob", Some(&publisher), &[]);
    shares(&publisher.client().await, 1).await;
    for peer in [&publisher, &alice, &bob] {
        has_others(&peer.client().await, 2).await;
    }
    find(&place, "publisher", "owl post");
    let keep = place.ask("publisher", &["keep", "1", "--json"]);
    let kept = keep.json();
    assert_eq!(kept[0]["copies_online"], 2, "{kept}");
    assert_eq!(kept[0]["copies_possible"], 2, "{kept}");
    let id = kept[0]["content"].as_str().unwrap();

    place
        .ask("alice", &["kept", "refuse", "owl post.bin"])
        .expect(0, &["refused", id]);
    place
        .ask("alice", &["kept", "--held"])
        .expect(0, &["0 parts of others"]);
    place.ask("alice", &["kept", "refused"]).expect(0, &[id]);
    place
        .ask("alice", &["kept", "allow", &id[..10]])
        .expect(0, &["allowed", id]);
    place
        .ask("alice", &["kept", "refuse", "nothing such"])
        .expect(2, &["nothing that is held"]);
    crate::harness::wait_for("deletion at alice's", || kept_files(&alice) == 0);

    assert!(kept_files(&bob) > 0);
    place
        .ask("publisher", &["unkeep", "owl post.bin"])
        .expect(0, &["no longer keeping owl post.bin"]);
    crate::harness::wait_for("deletion at bob's", || kept_files(&bob) == 0);
    place
        .ask("publisher", &["kept"])
        .expect(0, &["others keep nothing for you"]);
    place
        .ask("publisher", &["unkeep", "owl post.bin"])
        .expect(1, &["is not kept by others"]);

    // Kept again; the publisher is killed and comes back: it knows what it had kept.
    let path = folder.join("owl post.bin");
    place
        .ask("publisher", &["keep", path.to_str().unwrap()])
        .expect(0, &["2 copies (8 wanted; 2 other peers on the ring)"]);
    publisher.kill();
    let _publisher = place.start("publisher", &["up", "--overlay", "dht"]);
    place
        .ask("publisher", &["kept"])
        .expect(0, &["owl post.bin", "of 8"]);
}

#[test]
fn what_cannot_be_kept_says_why() {
    let place = Place::new();
    let folder = place.folder("files", &[("a.bin", b"a")]);
    let path = folder.join("a.bin");
    let path = path.to_str().unwrap();
    let none = place.ask("nobody", &["keep", path]);
    none.expect(3, &["no peer is running"]);
    let _off = place.start("off", &["up", "--overlay", "hub"]);
    place
        .ask("off", &["keep", path])
        .expect(1, &["the dht overlay is switched off", "--overlay"]);
    place
        .ask("off", &["kept", "--held"])
        .expect(0, &["the dht overlay is off"]);
    let _alone = member(&place, "alone", None, &[]);
    place
        .ask("alone", &["keep", path])
        .expect(1, &["gannet share add"]);
    let id = ContentId::of(b"a").to_string();
    place
        .ask("alone", &["keep", &id])
        .expect(1, &["does not share", "gannet get"]);
    place
        .ask("alone", &["keep", path, "--copies", "99"])
        .expect(2, &["from 1 to 32"]);
    place
        .ask("alone", &["share", "add", folder.to_str().unwrap()])
        .expect(0, &[]);
    place
        .ask("alone", &["keep", path, "--timeout", "1"])
        .expect(5, &["no other peer is on the ring"]);
    place
        .ask("alone", &["keep", path, "--detach"])
        .expect(0, &["the running peer goes on"]);
}
