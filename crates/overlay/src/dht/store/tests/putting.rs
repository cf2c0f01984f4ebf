//! What was put is found from that moment on, whatever ring those know who look for it.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::PeerId;

use super::town::{Town, config, entry, peer};
use crate::dht::Position;

/// Who is there from the beginning, and who comes.
const OLD: u16 = 40;
const NEWCOMER: u16 = 100;

fn place(n: u16) -> Position {
    Position::of_peer(peer(n), 0)
}

fn key(path: &str) -> Position {
    Position::of_content(entry(path).content)
}

/// The old ones in the order of the ring, from the owner of a key on.
fn after(key: Position) -> Vec<u16> {
    let mut all: Vec<u16> = (0..OLD).collect();
    all.sort_by_key(|n| key.distance_to(place(*n)));
    all
}

/// A file that the newcomer will be responsible for.
fn path() -> String {
    let mut paths = (0..).map(|n| format!("x/thing {n}.txt"));
    let is_newcomers = |path: &String| {
        let first = after(key(path))[0];
        key(path).distance_to(place(NEWCOMER)) < key(path).distance_to(place(first))
    };
    paths.find(is_newcomers).unwrap()
}

/// Whom a peer thinks to be responsible.
fn first(town: &Town, n: u16, key: Position) -> Option<PeerId> {
    let store = &town.peers[&peer(n)].store;
    let way = store.known.way(town.now, &store.config, key);
    way.map(|way| way.owners[0].peer)
}

/// Somebody far away knows who is responsible; then the newcomer is. Who that is.
fn grown(town: &mut Town, path: &str) -> u16 {
    let around = after(key(path));
    let far = around[usize::from(OLD / 2)];
    assert!(town.sources(far, path).holders.is_empty());
    town.join(NEWCOMER, &[around[9]]);
    town.run(Duration::from_secs(20));
    assert!(town.peers[&peer(NEWCOMER)].store.known.owns(key(path)));
    assert_eq!(
        first(town, far, key(path)),
        Some(peer(around[0])),
        "as before"
    );
    far
}

/// Until the source is put.
fn put(town: &mut Town, n: u16, path: &str) {
    town.publish(n, &[path]);
    let end = town.now + Duration::from_secs(2);
    let is_put = |town: &Town| town.peers[&peer(n)].status().store.sources_pending == 0;
    assert!(town.run_until(end, is_put), "it is put");
}

/// Issue 5: of a hundred sources that had just been put, one or two were denied. Their
/// publisher was itself responsible, and took for put what it alone had; those who looked
/// for them knew the ring from before it came.
#[test]
fn what_a_newcomer_puts_on_itself_is_found_by_who_does_not_know_it() {
    let (mut town, path) = (Town::settled(config(), OLD), path());
    let far = grown(&mut town, &path);
    town.slow.insert(peer(NEWCOMER), Duration::from_millis(50));
    put(&mut town, NEWCOMER, &path);
    let answer = town.sources(far, &path);
    assert_eq!(answer.holders.len(), 1, "{:?}", answer.outcome);
}

/// Who publishes may know an older ring as well: what the former owner takes is put when
/// the present one has it, and those that hold its copies.
#[test]
fn what_a_former_owner_takes_is_where_it_belongs_at_once() {
    let (mut town, path) = (Town::settled(config(), OLD), path());
    let far = grown(&mut town, &path);
    put(&mut town, far, &path);
    let copies = town.config.store.copies;
    let has = |n: u16| town.peers[&peer(n)].store.shelf.count(key(&path)) > 0;
    assert!(has(NEWCOMER));
    assert!(after(key(&path))[..copies - 1].iter().all(|n| has(*n)));
}

/// A put waits for copies only so long; whoever is silent does not say meanwhile that what
/// it has is all.
#[test]
fn who_does_not_confirm_its_copy_vouches_for_nothing() {
    let (mut town, path) = (Town::settled(config(), OLD), path());
    let around = after(key(&path));
    let (silent, far) = (around[3], around[usize::from(OLD / 2)]);
    let is_sure = |town: &Town, n: u16| {
        let store = &town.peers[&peer(n)].store;
        store.is_sure(town.now, key(&path))
    };
    town.run(Duration::from_secs(10));
    assert!(is_sure(&town, silent));
    town.slow.insert(peer(silent), Duration::from_secs(5));
    put(&mut town, far, &path);
    town.run(Duration::from_millis(20));
    assert!(!is_sure(&town, silent));
    assert!(around[..3].iter().all(|n| is_sure(&town, *n)));
    town.slow.clear();
    town.run(Duration::from_secs(20));
    assert!(is_sure(&town, silent), "they have compared");
}

/// Nor does who has no room for it: neither when it refuses its copy, nor when they have
/// compared what they have, as long as there is no room.
#[test]
fn who_has_no_room_for_its_copy_vouches_for_nothing() {
    let (mut town, path) = (Town::settled(config(), OLD), path());
    let around = after(key(&path));
    let (full, far) = (around[3], around[usize::from(OLD / 2)]);
    let is_sure = |town: &Town, n: u16| {
        let store = &town.peers[&peer(n)].store;
        store.is_sure(town.now, key(&path))
    };
    let make_room = |town: &mut Town, postings: usize| {
        let dht = town.peers.get_mut(&peer(full)).unwrap();
        Arc::make_mut(&mut dht.store.config).postings_max = postings;
    };
    town.run(Duration::from_secs(10));
    assert!(is_sure(&town, full));
    make_room(&mut town, 0);
    put(&mut town, far, &path);
    town.run(Duration::from_millis(20));
    assert!(!is_sure(&town, full));
    assert!(around[..3].iter().all(|n| is_sure(&town, *n)));
    for _ in 0..20 {
        town.run(Duration::from_secs(10));
        assert!(!is_sure(&town, full), "at {}", town.now);
    }
    make_room(&mut town, 1_000);
    town.run(Duration::from_secs(90));
    assert!(is_sure(&town, full), "they have compared");
    assert!(town.peers[&peer(full)].store.shelf.count(key(&path)) > 0);
}
