//! Searches under faults.

use std::time::Duration;

use gannet_base::PeerId;
use gannet_overlay::flood::{
    Ask, Config, Ending, FloodCommand, FloodMessage, Question, SearchId, Strategy,
};
use rand_core::Rng as _;

use super::{Net, Order, at, content, flood, rings, words};
use crate::harness::{Faults, peer};

/// A random network with fixed links: a ring with chords.
fn ring_with_chords(count: u8) -> Vec<(u8, u8)> {
    let next = (0..count).map(|n| (n, (n + 1) % count));
    let chords = (0..count).map(|n| (n, (n + 7) % count));
    next.chain(chords).collect()
}

#[test]
fn every_search_ends_under_loss_and_says_nothing_wrong() {
    let (mut enough, mut cells) = (0, 0);
    for seed in 0..12 {
        for how in [flood(4), rings(&[1, 2], true), Strategy::Dynamic] {
            let config = Config {
                questions_per_second: 0,
                ..Config::default()
            };
            let mut net = Net::fixed(seed, 24, &ring_with_chords(24), &config);
            net.share(12, &["here.txt", "other.txt"]);
            net.world.faults = Faults::HEAVY;
            let wanted = if seed % 2 == 0 {
                words("here")
            } else {
                content("here.txt")
            };
            let id = net.search(0, wanted, 1, how.clone());
            if seed % 3 == 0 {
                net.world.run_for(Duration::from_millis(30));
                net.world.crash(peer(3));
                net.world.set_mute(peer(7), true);
            }
            let outcome = net.outcome(id);
            for (_, row) in net.rows.get(&id).into_iter().flatten() {
                assert_eq!(row.hits[0].entry().path, "here.txt", "seed {seed}");
                assert_eq!(row.hits[0].holder(), peer(12), "seed {seed}");
            }
            let found = net.found(id) > 0;
            assert_eq!(
                found,
                outcome.ending == Ending::Enough,
                "seed {seed} {how:?}"
            );
            assert!(outcome.elapsed < Duration::from_secs(120), "seed {seed}");
            enough += u32::from(found);
            cells += 1;
        }
    }
    assert_eq!(cells, 36);
    assert!(enough >= 20, "only {enough} of 36 found what is there");
}

#[test]
fn who_does_not_answer_is_counted() {
    let mut net = Net::fixed(1, 4, &[(0, 1), (1, 2), (2, 3)], &Config::default());
    net.world.set_asleep(peer(3), true);
    let id = net.search(0, words("nothing"), 1, flood(5));
    let outcome = net.outcome(id);
    assert_eq!((outcome.coverage.asked, outcome.coverage.silent), (2, 1));
    assert_eq!(outcome.ending, Ending::Partial);
    // Whoever is on the way waits for less long than who asked it.
    assert!(
        outcome.elapsed < Duration::from_secs(6),
        "{:?}",
        outcome.elapsed
    );
    // A crash is noticed sooner than silence.
    net.world.set_asleep(peer(3), false);
    let id = net.search(0, words("nothing"), 1, flood(5));
    net.world.run_for(Duration::from_millis(30));
    net.world.faults.notice = Duration::from_millis(10);
    net.world.crash(peer(2));
    let outcome = net.outcome(id);
    assert_eq!((outcome.coverage.asked, outcome.coverage.silent), (1, 1));
    assert!(
        outcome.elapsed < Duration::from_secs(1),
        "{:?}",
        outcome.elapsed
    );
}

#[test]
fn alone_there_is_nobody_to_ask() {
    let mut net = Net::new(1, Faults::NONE, 1, &Config::default());
    let id = net.search(0, words("nothing"), 1, rings(&[], true));
    assert_eq!(net.outcome(id).ending, Ending::NoNeighbours);
}

#[test]
fn many_searches_at_once_do_not_get_confused() {
    let mut net = Net::fixed(2, 24, &ring_with_chords(24), &Config::default());
    let names: Vec<String> = (0..24).map(|n| format!("file{n}.txt")).collect();
    for (n, name) in (0..24).zip(&names) {
        net.share(n, &[name]);
    }
    net.world.run_for(Duration::from_secs(5));
    let mut searches = Vec::new();
    for from in [0, 5, 11] {
        for n in (0..24_u8).filter(|n| *n != from) {
            let id = net.search(from, content(&names[usize::from(n)]), 1, rings(&[], true));
            searches.push((id, n));
        }
    }
    let too_many: Vec<u64> = (0..100)
        .map(|_| net.search(23, words("nothing"), 1, flood(2)))
        .collect();
    for cancelled in too_many.iter().take(50) {
        net.command(23, FloodCommand::Cancel { id: *cancelled });
    }
    for (id, holder) in searches {
        assert_eq!(net.outcome(id).ending, Ending::Enough);
        assert_eq!(net.rows[&id][0].1.hits[0].holder(), peer(holder));
    }
    net.world.run_for(Duration::from_secs(20));
    net.look();
    let refused = too_many.iter().filter_map(|id| net.ended.get(id));
    let refused = refused.filter(|outcome| outcome.ending == Ending::TooMany);
    assert_eq!(refused.count(), 100 - 64);
    let ended = too_many.iter().filter(|id| net.ended.contains_key(id));
    assert_eq!(
        ended.count(),
        50,
        "the cancelled say nothing, or said so before"
    );
}

/// Peer 0 asks in vain now and then; 1, its neighbour, floods. What share of the
/// questions of the others is answered?
fn answered(flooding: bool, budget: u32) -> (usize, u64) {
    let config = Config {
        questions_per_second: budget,
        questions_burst: budget * 2,
        ..Config::default()
    };
    let mut net = Net::new(
        4,
        Faults {
            jitter: 0,
            ..Faults::NONE
        },
        20,
        &config,
    );
    net.share(19, &["wanted.txt"]);
    for n in 1..20 {
        net.command(n, FloodCommand::Bootstrap(vec![at(0)]));
    }
    net.world.run_for(Duration::from_secs(60));
    net.world.faults.queue = usize::MAX;
    net.world.faults.gap = Duration::ZERO;
    let mut asked = 0;
    let mut searches = Vec::new();
    for _ in 0..20 {
        for from in [2, 6, 9, 14] {
            let how = rings(&[2], true);
            searches.push(net.search(from, content("wanted.txt"), 1, how));
        }
        for _ in 0..100 {
            net.world.run_for(Duration::from_millis(1));
            // A hundred times the budget: a tenth of it each millisecond.
            for _ in 0..(budget / 10).max(1) {
                if flooding {
                    asked += 1;
                    say_something_new(&mut net, peer(1));
                }
            }
        }
    }
    net.world.run_for(Duration::from_secs(30));
    net.look();
    let found = searches.iter().filter(|id| net.found(**id) > 0).count();
    (found * 100 / searches.len(), asked)
}

fn say_something_new(net: &mut Net, from: PeerId) {
    let status = net.world.core(from).flood.status();
    for neighbour in status.neighbours {
        let ask = Ask {
            search: SearchId(net.world.rng.next_u64()),
            round: 0,
            ttl: 7,
            hops: 0,
            report: false,
            again: false,
            question: Question::from(words("whatever")),
        };
        let say = Order::Say(neighbour.peer, FloodMessage::Ask(ask));
        net.world.command(from, say);
    }
}

#[test]
fn a_neighbour_with_a_hundred_times_the_budget_costs_the_others_little() {
    let (quiet, _) = answered(false, 50);
    let (loud, asked) = answered(true, 50);
    assert_eq!(quiet, 100);
    assert!(asked >= 100 * 50 * 2);
    assert!(loud >= 95, "{loud} % are answered");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let run = |seed| {
        let mut net = Net::new(seed, Faults::HEAVY, 12, &Config::default());
        net.world.trace = Some(Vec::new());
        net.share(7, &["wanted.txt"]);
        for n in 1..12 {
            net.command(n, FloodCommand::Bootstrap(vec![at(0), at(1)]));
        }
        net.world.run_for(Duration::from_secs(20));
        for from in [1, 3] {
            net.search(from, words("wanted"), 1, rings(&[], true));
            net.search(from, words("nothing"), 1, Strategy::Dynamic);
        }
        net.world.run_for(Duration::from_secs(20));
        net.world.trace.take().unwrap()
    };
    let (one, again, other) = (run(1), run(1), run(2));
    assert!(one.len() > 1_000);
    assert!(one == again, "two runs of one seed differ");
    assert!(one != other, "the seed changes nothing");
}
