//! Peers go, and rings break.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet_base::PeerId;

use super::town::{Town, config, peer, signed, with_store};
use crate::dht::{DhtCommand, Ending};

const HOUR: Duration = Duration::from_secs(3_600);

fn one(path: &str) -> BTreeSet<String> {
    BTreeSet::from([path.to_owned()])
}

#[test]
fn a_dead_publishers_files_are_found_until_their_lease_ends() {
    let config = with_store(|store| {
        store.lease = HOUR / 6;
        store.republish_interval = HOUR / 20;
        store.sync_interval = HOUR / 10;
        store.stray_interval = HOUR / 10;
    });
    let copies = config.store.copies;
    let mut town = Town::settled(config, 20);
    town.publish(1, &["x/lonely.txt"]);
    town.publish(2, &["x/lively.txt"]);
    town.rest();
    town.kill(peer(1));
    town.run(HOUR / 12);
    assert_eq!(town.find(9, "lonely").paths, one("x/lonely.txt"));
    town.run(HOUR / 6);
    assert_eq!(town.find(9, "lonely").paths, BTreeSet::new());
    assert_eq!(
        town.find(9, "lively").paths,
        one("x/lively.txt"),
        "it was renewed"
    );
    let held: usize = town
        .peers
        .values()
        .map(|dht| dht.status().store.postings)
        .sum();
    // Its content and three words, as many copies of each; some more of what moved.
    assert!((4 * copies..4 * copies + 8).contains(&held), "{held}");
}

#[test]
fn what_is_signed_for_shorter_ends_sooner_and_what_is_withdrawn_too() {
    let config = with_store(|store| {
        store.lease = HOUR / 6;
        store.republish_interval = HOUR / 20;
    });
    let mut town = Town::settled(config, 20);
    town.command(1, DhtCommand::Publish(vec![signed(1, "x/short.txt", 300)]));
    town.publish(2, &["x/long.txt"]);
    town.rest();
    assert_eq!(town.find(9, "short").paths, one("x/short.txt"));
    town.command(
        2,
        DhtCommand::Withdraw(vec![(
            super::town::entry("x/long.txt").content,
            "x/long.txt".into(),
        )]),
    );
    town.run(Duration::from_secs(301));
    assert_eq!(town.find(9, "short").paths, BTreeSet::new());
    assert_eq!(town.find(9, "long").paths, one("x/long.txt"));
    assert!(town.find(2, "long").paths == one("x/long.txt"));
    town.run(HOUR / 6);
    assert_eq!(town.find(9, "long").paths, BTreeSet::new());
}

#[test]
fn what_dying_nodes_held_is_found_and_copied_again() {
    let mut town = Town::settled(config(), 40);
    let paths: Vec<String> = (0..40).map(|n| format!("x/number{n} thing.txt")).collect();
    for (n, path) in (0..).zip(&paths) {
        town.publish(n, &[path]);
    }
    town.rest();
    // One of three, again and again, with time to notice.
    for n in 20..34 {
        town.kill(peer(n));
        town.run(Duration::from_secs(45));
    }
    for path in &paths[20..34] {
        let word = path.trim_start_matches("x/").split(' ').next().unwrap();
        let digits = word.trim_start_matches("number");
        let answer = town.find(3, &format!("number {digits}"));
        assert!(answer.paths.contains(path), "{path}: {answer:?}");
    }
    let answer = town.find(3, "thing");
    assert_eq!(answer.paths.len(), 40, "{:?}", answer.outcome);
}

#[test]
fn newcomers_take_over_what_is_theirs() {
    let mut town = Town::settled(config(), 12);
    for n in 0..12 {
        town.publish(n, &[&format!("x/number{n} thing.txt")]);
    }
    town.rest();
    for n in 12..24 {
        town.join(n, &[n - 1]);
        town.run(Duration::from_secs(20));
    }
    town.run(Duration::from_secs(120));
    // Only who came later is left.
    for n in 0..10 {
        town.command(n, DhtCommand::Leave);
        town.run(Duration::from_secs(2));
        town.kill(peer(n));
        town.run(Duration::from_secs(45));
    }
    let answer = town.find(20, "thing");
    assert_eq!(answer.paths.len(), 12, "{:?}", answer.outcome);
}

#[test]
fn both_sides_of_a_split_find_everything_after_it() {
    let mut town = Town::settled(config(), 30);
    for n in 0..30 {
        town.publish(n, &[&format!("x/before{n} thing.txt")]);
    }
    town.rest();
    let side = |id: PeerId| u8::from((0..15).any(|n| peer(n) == id));
    town.cut(side);
    town.run(Duration::from_secs(120));
    for n in 0..30 {
        town.publish(n, &[&format!("x/after{n} matter.txt")]);
    }
    town.run(Duration::from_secs(60));
    let [one, other] = [3, 20].map(|n| town.find(n, "matter").paths.len());
    assert_eq!((one, other), (15, 15));
    town.mend();
    town.run(Duration::from_secs(400));
    for n in [3, 20] {
        for (word, count) in [("thing", 30), ("matter", 30)] {
            let answer = town.find(n, word);
            assert_eq!(answer.paths.len(), count, "{n} {word} {:?}", answer.outcome);
        }
    }
}

#[test]
fn silent_replicas_do_not_stop_a_search() {
    let mut town = Town::settled(config(), 30);
    town.publish(1, &["x/lonely.txt"]);
    town.rest();
    let holders = town.holding();
    // All but one of each key's at worst: whoever is dead is noticed in the act.
    let dead: Vec<PeerId> = holders
        .into_iter()
        .filter(|id| *id != peer(9))
        .step_by(2)
        .collect();
    for id in dead {
        town.kill(id);
    }
    let answer = town.find(9, "lonely");
    assert_eq!(answer.paths, one("x/lonely.txt"), "{:?}", answer.outcome);
    assert!(matches!(
        answer.outcome.ending,
        Ending::Everything | Ending::Partial
    ));
}
