//! Joining, leaving, healing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gannet_base::{PeerAddress, PeerId};
use gannet_overlay::flood::{Config, Ending, FloodCommand};

use super::{Net, at, rings, words};
use crate::harness::{Faults, peer};

/// Whom each peer that is up has as neighbours.
fn graph(net: &Net) -> BTreeMap<PeerId, BTreeSet<PeerId>> {
    let up = (0..net.count).map(peer).filter(|id| net.world.is_up(*id));
    up.map(|id| {
        let status = net.world.core(id).flood.status();
        let neighbours = status.neighbours.iter().map(|neighbour| neighbour.peer);
        (id, neighbours.collect())
    })
    .collect()
}

/// Who can be reached from whom, in both directions of every link.
fn reached(graph: &BTreeMap<PeerId, BTreeSet<PeerId>>, from: PeerId) -> usize {
    let mut reached = BTreeSet::from([from]);
    let mut todo = vec![from];
    while let Some(next) = todo.pop() {
        for other in graph.get(&next).into_iter().flatten() {
            if graph.contains_key(other) && reached.insert(*other) {
                todo.push(*other);
            }
        }
    }
    reached.len()
}

fn is_whole(net: &Net) -> bool {
    let graph = graph(net);
    graph
        .keys()
        .all(|from| reached(&graph, *from) == graph.len())
}

fn mean_degree(net: &Net) -> f64 {
    let graph = graph(net);
    let links: usize = graph.values().map(BTreeSet::len).sum();
    links as f64 / graph.len() as f64
}

#[track_caller]
fn assert_degrees(net: &Net, target: usize) {
    for (id, neighbours) in graph(net) {
        assert!(neighbours.len() <= 2 * target, "{id:?} has too many");
        assert!(neighbours.len() >= target / 2, "{id:?} has too few");
    }
    let (mean, target) = (mean_degree(net), target as f64);
    assert!(
        mean >= target * 0.75 && mean <= target * 1.25,
        "{mean} neighbours on average, {target} are wanted"
    );
}

fn join_all(net: &mut Net, by: &[u8]) {
    let named: Vec<PeerAddress> = by.iter().map(|n| at(*n)).collect();
    for n in 0..net.count {
        if !by.contains(&n) {
            net.command(n, FloodCommand::Bootstrap(named.clone()));
            net.world.run_for(Duration::from_millis(50));
        }
    }
}

#[test]
fn sixty_peers_join_by_one() {
    for (seed, faults) in [(1, Faults::NONE), (2, Faults::HEAVY)] {
        let mut net = Net::new(seed, faults, 60, &Config::default());
        join_all(&mut net, &[0]);
        net.world
            .run_until_holds("one network", Duration::from_secs(120), |_| true);
        let limit = Duration::from_secs(120);
        net.world.run_for(limit);
        assert!(is_whole(&net), "seed {seed}");
        assert_degrees(&net, 8);
        // Both ends agree, but for what is under way.
        let graph = graph(&net);
        let one_sided = graph.iter().flat_map(|(id, others)| {
            let graph = &graph;
            others
                .iter()
                .filter(move |other| !graph[other].contains(id))
        });
        let one_sided = one_sided.count();
        assert!(one_sided <= 12, "seed {seed}: {one_sided} one-sided links");
    }
}

#[test]
fn dead_bootstrap_peers_and_lists_of_the_dead_do_not_stop_joining() {
    let mut net = Net::new(3, Faults::NONE, 12, &Config::default());
    join_all(&mut net, &[0]);
    net.world.run_for(Duration::from_secs(30));
    // A newcomer that knows forty dead ones and one alive.
    let mut named: Vec<PeerAddress> = (100..140).map(at).collect();
    named.push(at(5));
    let took = {
        net.world.crash(peer(11));
        net.world.run_for(Duration::from_secs(30));
        net.world
            .start(peer(11), super::Peer::new(peer(11), Config::default(), 9));
        net.command(11, FloodCommand::Bootstrap(named));
        net.world
            .run_until_holds("it joined", Duration::from_secs(120), |world| {
                world.core(peer(11)).flood.status().neighbours.len() >= 6
            })
    };
    assert!(took < Duration::from_secs(60), "it took {took:?}");
    // The bootstrap peer dies: nobody needs it.
    net.world.crash(peer(0));
    net.world.run_for(Duration::from_secs(60));
    assert!(is_whole(&net));
    net.share(3, &["wanted.txt"]);
    let id = net.search(9, words("wanted"), 1, rings(&[], true));
    assert_eq!(net.outcome(id).ending, Ending::Enough);
}

#[test]
fn the_dead_and_the_silent_are_replaced() {
    let mut net = Net::new(4, Faults::NONE, 40, &Config::default());
    join_all(&mut net, &[0]);
    net.world.run_for(Duration::from_secs(60));
    for n in 0..16 {
        match n % 2 {
            0 => net.world.crash(peer(n)),
            _ => net.world.set_asleep(peer(n), true),
        }
    }
    net.world.run_for(Duration::from_secs(180));
    let graph = graph(&net);
    for (id, neighbours) in graph.iter().filter(|(id, _)| id.as_bytes()[0] >= 16) {
        let alive = neighbours
            .iter()
            .filter(|other| other.as_bytes()[0] >= 16)
            .count();
        assert!(alive >= 6, "{id:?} has {alive} living neighbours");
        assert_eq!(alive, neighbours.len(), "{id:?} keeps dead ones");
    }
}

#[test]
fn a_network_that_was_split_becomes_one_again() {
    let config = Config {
        shuffle_interval: Duration::from_secs(60),
        ..Config::default()
    };
    let mut net = Net::new(5, Faults::NONE, 40, &config);
    join_all(&mut net, &[0]);
    net.world.run_for(Duration::from_secs(60));
    let across = |n: u8, m: u8| (n < 20) != (m < 20);
    for n in 0..40 {
        for m in (n + 1..40).filter(|m| across(n, *m)) {
            net.world.set_cut(peer(n), peer(m), true);
        }
    }
    net.world.run_for(Duration::from_secs(300));
    let halves = graph(&net);
    assert_eq!(reached(&halves, peer(0)), 20);
    assert_eq!(reached(&halves, peer(39)), 20);
    net.share(1, &["wanted.txt"]);
    let id = net.search(30, words("wanted"), 1, rings(&[], true));
    assert_eq!(net.outcome(id).ending, Ending::Everybody);
    net.world.heal();
    net.world.run_for(Duration::from_secs(60));
    assert!(is_whole(&net));
    let id = net.search(30, words("wanted"), 1, rings(&[], true));
    assert_eq!(net.outcome(id).ending, Ending::Enough);
}

#[test]
fn who_leaves_says_so_and_is_not_dialled_at_once() {
    let mut net = Net::new(6, Faults::NONE, 20, &Config::default());
    join_all(&mut net, &[0]);
    net.world.run_for(Duration::from_secs(60));
    net.command(7, FloodCommand::Leave);
    net.world.run_for(Duration::from_secs(2));
    for (id, neighbours) in graph(&net) {
        assert!(!neighbours.contains(&peer(7)), "{id:?} keeps it");
    }
    assert!(graph(&net)[&peer(7)].is_empty());
    assert_eq!(net.world.core(peer(7)).flood.status().open, 0);
    // What it remembers is enough to come back.
    let remembered = net.world.core(peer(7)).flood.remembered();
    assert!(remembered.len() >= 8);
    net.command(7, FloodCommand::Bootstrap(remembered));
    net.world.run_for(Duration::from_secs(30));
    assert!(graph(&net)[&peer(7)].len() >= 4);
}
