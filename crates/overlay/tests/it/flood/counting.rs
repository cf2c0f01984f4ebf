//! What floods cost, against closed forms, on networks with fixed links.

use gannet_overlay::flood::{Config, Ending, Strategy};

use super::{Net, content, flood, rings, words};
use crate::harness::peer;

fn plain() -> Config {
    Config {
        tables: false,
        questions_per_second: 0,
        ..Config::default()
    }
}

/// A torus; row * columns + column.
fn torus(rows: u8, columns: u8) -> Vec<(u8, u8)> {
    let mut edges = Vec::new();
    for row in 0..rows {
        for column in 0..columns {
            let n = row * columns + column;
            edges.push((n, row * columns + (column + 1) % columns));
            edges.push((n, (row + 1) % rows * columns + column));
        }
    }
    edges
}

/// A tree whose inner peers have `degree` neighbours, of this depth.
fn tree(degree: u8, depth: u32) -> (u8, Vec<(u8, u8)>) {
    let mut edges = Vec::new();
    let (mut ring, mut next) = (vec![0_u8], 1_u8);
    for level in 0..depth {
        let mut outer = Vec::new();
        for parent in ring {
            let children = if level == 0 { degree } else { degree - 1 };
            for _ in 0..children {
                edges.push((parent, next));
                outer.push(next);
                next += 1;
            }
        }
        ring = outer;
    }
    (next, edges)
}

#[test]
fn a_flood_on_a_torus_reaches_and_costs_what_the_closed_form_says() {
    // Within half the width, 4t peers lie at distance t. Each of them but the
    // first sends to all but one.
    for ttl in 1..=4_u8 {
        for revisit in [true, false] {
            let config = Config { revisit, ..plain() };
            let mut net = Net::fixed(u64::from(ttl), 81, &torus(9, 9), &config);
            let id = net.search(40, words("nothing"), 1, flood(ttl));
            let outcome = net.outcome(id);
            let t = u64::from(ttl);
            let reach = 2 * t * (t + 1);
            let messages = 4 + 3 * (2 * t * (t - 1));
            assert_eq!(net.sum(|peer| peer.asked.into()), reach);
            assert_eq!(u64::from(outcome.coverage.asked), reach);
            assert_eq!(net.sum(|peer| peer.asks_sent), messages, "TTL {ttl}");
            assert_eq!(outcome.ending, Ending::Horizon);
            assert_eq!(outcome.coverage.silent + outcome.coverage.refused, 0);
            // Every link leads on from the last ring but the one the question
            // came on: each of its peers counts three.
            assert_eq!(u64::from(outcome.coverage.beyond), 3 * 4 * t);
        }
    }
}

#[test]
fn a_full_flood_costs_each_link_twice_but_the_tree() {
    let edges = torus(6, 6);
    let mut net = Net::fixed(1, 36, &edges, &plain());
    let id = net.search(0, words("nothing"), 1, flood(15));
    let outcome = net.outcome(id);
    assert_eq!(net.sum(|peer| peer.asked.into()), 35);
    let edges = u64::try_from(edges.len()).unwrap();
    assert_eq!(net.sum(|peer| peer.asks_sent), 2 * edges - 35);
    assert_eq!(outcome.ending, Ending::Everybody);
    assert_eq!(outcome.coverage.asked, 35);
    // Each question was reported on once: nothing waits, nothing is left over.
    assert_eq!(net.sum(|peer| peer.sent - peer.asks_sent), 2 * edges - 35);
    let status = net.world.core(peer(0)).flood.status();
    assert_eq!((status.open, status.searches), (0, 0));
}

#[test]
fn a_flood_on_a_tree_has_no_duplicates() {
    let (count, edges) = tree(4, 3);
    let mut net = Net::fixed(1, count, &edges, &plain());
    let id = net.search(0, words("nothing"), 1, flood(3));
    // d((d-1)^t - 1)/(d-2).
    assert_eq!(net.outcome(id).coverage.asked, 52);
    assert_eq!(net.sum(|peer| peer.asks_sent), 52);
    assert_eq!(net.sum(|peer| peer.flood.status().counters.duplicates), 0);
}

#[test]
fn rings_stop_when_enough_was_found() {
    let mut net = Net::fixed(3, 81, &torus(9, 9), &plain());
    net.share(42, &["harry potter.txt"]);
    let id = net.search(40, words("harry"), 1, rings(&[1, 2, 3, 4], true));
    let outcome = net.outcome(id);
    assert_eq!(
        (outcome.ending, outcome.ttl, outcome.rounds),
        (Ending::Enough, 2, 2)
    );
    assert_eq!(net.rows[&id][0].0, 2, "two hops away");
    // The second ring is everybody within two hops, asked once and answering
    // once.
    assert_eq!(net.sum(|peer| peer.asked.into()), 12);
    assert_eq!(net.sum(|peer| peer.asks_sent), 4 + (4 + 12));
    // By content id: as many holders as are wanted.
    net.share(44, &["harry potter.txt"]);
    let id = net.search(40, content("harry potter.txt"), 2, rings(&[], false));
    assert_eq!(net.outcome(id).ending, Ending::Enough);
    assert_eq!(net.found(id), 2);
}

#[test]
fn a_rare_file_is_found_by_widening_only() {
    for how in [
        (rings(&[1, 2], false), false),
        (rings(&[1, 2], true), true),
        (rings(&[], false), true),
        (Strategy::Dynamic, true),
        (flood(3), false),
        (flood(15), true),
    ] {
        let (how, finds) = how;
        let mut net = Net::fixed(
            5,
            81,
            &torus(9, 9),
            &Config {
                questions_per_second: 0,
                ..Config::default()
            },
        );
        net.share(0, &["harry potter.txt"]);
        net.world.run_for(std::time::Duration::from_secs(10));
        let id = net.search(40, words("potter"), 1, how.clone());
        let outcome = net.outcome(id);
        let ending = if finds {
            Ending::Enough
        } else {
            Ending::Horizon
        };
        assert_eq!(
            (net.found(id), outcome.ending),
            (finds.into(), ending),
            "{how:?}"
        );
        // What nobody has: whoever widens is sure of it.
        let widens = finds && how != flood(15);
        let id = net.search(40, words("voldemort"), 1, how.clone());
        let outcome = net.outcome(id);
        assert_eq!(net.found(id), 0);
        if widens {
            assert_eq!(outcome.ending, Ending::Everybody, "{how:?} {outcome:?}");
            assert_eq!(outcome.coverage.asked, 80);
        }
    }
}

#[test]
fn tables_spare_the_last_hop_and_miss_nothing() {
    let run = |tables: bool| {
        let config = Config {
            tables,
            questions_per_second: 0,
            ..Config::default()
        };
        let mut net = Net::fixed(7, 81, &torus(9, 9), &config);
        for n in 0..81 {
            net.share(n, &[&format!("number{n}.txt"), "common.txt"]);
        }
        net.world.run_for(std::time::Duration::from_secs(10));
        let asks = net.sum(|peer| peer.asks_sent);
        let mut found = 0;
        for wanted in [words("number 41"), words("number 50"), words("number 51")] {
            let id = net.search(40, wanted, 1, flood(3));
            net.outcome(id);
            found += net.found(id);
        }
        (found, net.sum(|peer| peer.asks_sent) - asks)
    };
    let ((with, asks_with), (without, asks_without)) = (run(true), run(false));
    assert_eq!((with, without), (3, 3));
    assert!(
        asks_with * 2 < asks_without,
        "{asks_with} with tables, {asks_without} without"
    );
}

#[test]
fn revisiting_repairs_slow_short_paths() {
    // 0 - 1 - 2 - 3 - 4 with a slow link from 0 to 2: the fast path 0-1-2 uses
    // up one hop more.
    let run = |revisit: bool| {
        let config = Config { revisit, ..plain() };
        let edges = [(0, 1), (1, 2), (0, 2), (2, 3), (3, 4)];
        let mut net = Net::fixed(1, 5, &edges, &config);
        net.share(4, &["far.txt"]);
        net.world.slow.insert((peer(0), peer(2)), 10);
        let id = net.search(0, words("far"), 2, flood(3));
        let outcome = net.outcome(id);
        (net.found(id), outcome.coverage.asked)
    };
    assert_eq!(run(true), (1, 4));
    assert_eq!(run(false), (0, 3));
}
