//! A ring that grows while everybody publishes and searches.

use std::collections::BTreeMap;
use std::time::Duration;

use gannet_base::{Timestamp, seeded_rng};
use rand_core::Rng as _;

use super::town::{Town, peer, with_store};
use crate::dht::{Ending, Position};

const PEERS: u16 = 60;

/// What was published, and when everything of its publisher had been taken.
#[derive(Debug)]
struct Book {
    /// The word, the publisher, and since when it is listed.
    words: Vec<(String, u16, Option<Timestamp>)>,
}

impl Book {
    fn publish(&mut self, town: &mut Town, n: u16) {
        let word = format!("novelty{}", letters(self.words.len()));
        let path = format!("x/{word} thing.txt");
        town.publish(n, &[&path]);
        self.words.push((word, n, None));
    }

    fn note(&mut self, town: &Town) {
        let mut is_listed = BTreeMap::new();
        for (_, n, since) in self.words.iter_mut().filter(|(.., since)| since.is_none()) {
            let listed = *is_listed.entry(*n).or_insert_with(|| {
                let status = town.peers[&peer(*n)].status();
                status.store.keys_pending == 0
            });
            if listed {
                *since = Some(town.now);
            }
        }
    }
}

/// Digits would be words of their own.
fn letters(number: usize) -> String {
    let digits = number.to_string().into_bytes();
    digits
        .into_iter()
        .map(|digit| char::from(digit - b'0' + b'a'))
        .collect()
}

/// Who holds a word's list, in the order of the ring.
fn holders(town: &Town, word: &str) -> String {
    let key = Position::of_word(word, 0);
    let mut all: Vec<_> = town.peers.values().collect();
    all.sort_by_key(|dht| key.distance_to(dht.rings()[0].me().position));
    let line = |dht: &&crate::dht::Dht| {
        let (store, ring) = (&dht.store, &dht.rings()[0]);
        let holder = store.known.is_holder(key, store.config.copies);
        format!(
            "{}: {} entries, owns {}, holder {holder:?}, sure {}, on ring {}\n",
            ring.me().peer.short(),
            store.shelf.count(key),
            store.known.owns(key),
            store.is_sure(town.now, key),
            ring.is_on_ring(),
        )
    };
    all.iter().map(line).collect()
}

/// From one peer to sixty within a minute: whatever is published is found by everybody, or
/// the search says that it is not complete.
#[test]
fn who_searches_while_a_ring_grows_is_never_told_that_nobody_has_it() {
    let (mut whole, mut all) = (0, 0);
    for seed in 0..3 {
        let config = with_store(|store| store.checks_signatures = false);
        let mut rng = seeded_rng(seed);
        let mut below = |bound: u64| rng.next_u64() % bound;
        let mut town = Town::new(config);
        let mut book = Book { words: Vec::new() };
        town.join(0, &[]);
        book.publish(&mut town, 0);
        town.run(Duration::from_secs(2));
        for n in 1..PEERS {
            let knows = u16::try_from(below(u64::from(n))).unwrap();
            town.join(n, &[knows]);
            book.publish(&mut town, n);
            let other = u16::try_from(below(u64::from(n))).unwrap();
            book.publish(&mut town, other);
            for _ in 0..4 {
                town.run(Duration::from_millis(200));
                book.note(&town);
            }
            for _ in 0..3 {
                let place = usize::try_from(below(book.words.len() as u64)).unwrap();
                let (word, _, since) = &book.words[place];
                if since.is_none() {
                    continue;
                }
                let asker = u16::try_from(below(u64::from(n) + 1)).unwrap();
                let answer = town.find(asker, word);
                let is_whole = answer.outcome.ending == Ending::Everything;
                assert!(
                    answer.paths.len() == 1 || !is_whole,
                    "seed {seed}, {} peers: {asker} is told that nobody has {word}, {:?}\n{}",
                    n + 1,
                    answer.outcome,
                    holders(&town, word)
                );
                all += 1;
                whole += u32::from(answer.paths.len() == 1);
            }
        }
        town.rest();
        town.run(Duration::from_secs(20));
        for (word, publisher, _) in book.words.iter().step_by(7) {
            let answer = town.find((publisher + 31) % PEERS, word);
            assert_eq!(
                (answer.paths.len(), answer.outcome.ending),
                (1, Ending::Everything),
                "seed {seed}: {word}"
            );
        }
    }
    // It is not by saying so always.
    assert!(whole * 10 >= all * 9, "{whole} of {all} were found at once");
}

/// Those who were there early hold entries of lists that belong to others by now, and are in
/// parts: they bring them into the parts, and let them go.
#[test]
fn a_ring_that_has_grown_comes_to_rest() {
    let config = with_store(|store| {
        (store.list_max, store.part_max) = (20, 20);
        store.checks_signatures = false;
    });
    let mut town = Town::new(config);
    for n in 0..PEERS {
        town.join(n, if n == 0 { &[] } else { &[0] });
        let paths: Vec<String> = (0..10).map(|i| format!("x/common n{n}i{i}.txt")).collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        town.publish(n, &paths);
        town.run(Duration::from_millis(500));
    }
    town.rest();
    town.run(Duration::from_secs(600));
    let refused = |town: &Town| -> u64 {
        let stores = town.peers.values().map(|dht| dht.status().store);
        stores.map(|store| store.counters.refused).sum()
    };
    let before = refused(&town);
    town.run(Duration::from_secs(600));
    assert_eq!(refused(&town) - before, 0, "after {before} while it grew");
    let answer = town.find(7, "common");
    assert_eq!(answer.paths.len(), 600, "{:?}", answer.outcome);
    assert_eq!(answer.outcome.ending, Ending::Everything);
}
