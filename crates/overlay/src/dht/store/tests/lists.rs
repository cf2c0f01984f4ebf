//! Long lists are split, short ones come together, and nobody carries too much.

use std::collections::BTreeSet;
use std::time::Duration;

use super::town::{Town, with_store};
use crate::dht::store::publish::COMMON;
use crate::dht::store::{Found, Hint, ListState, Mark, Mode, Place, Shard, StoreMessage, Word};
use crate::dht::{Ending, Position};

const MINUTE: Duration = Duration::from_secs(60);

fn small_lists() -> crate::dht::Config {
    with_store(|store| {
        store.list_max = 20;
        store.checks_signatures = false;
        store.lease = 30 * MINUTE;
        store.republish_interval = 10 * MINUTE;
        store.shard_interval = MINUTE;
    })
}

fn town_with(count: u16, files: u16) -> Town {
    let mut town = Town::settled(small_lists(), count);
    for n in 0..count {
        let paths: Vec<String> = (0..files)
            .map(|i| format!("x/common n{n}i{i}.txt"))
            .collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        town.publish(n, &paths);
    }
    town.rest();
    town.run(5 * MINUTE);
    town
}

#[test]
fn a_hot_word_is_split_and_all_of_it_found() {
    let mut town = town_with(40, 10);
    let status = |town: &Town| {
        town.peers
            .values()
            .map(|dht| dht.status().store)
            .collect::<Vec<_>>()
    };
    // Words: common, n, i, txt, x.
    let longest = status(&town).iter().map(|store| store.longest).max();
    assert!(longest <= Some(20), "{longest:?}");
    for n in [3, 17] {
        let answer = town.find(n, "common");
        assert_eq!(answer.paths.len(), 400, "{:?}", answer.outcome);
        assert_eq!(answer.outcome.ending, Ending::Everything);
    }
    let answer = town.find(5, "common txt \"n 7 i\"");
    assert_eq!(answer.paths.len(), 10, "{:?}", answer.outcome);
    let splits: u64 = status(&town)
        .iter()
        .map(|store| store.counters.splits)
        .sum();
    assert!(splits >= 4 * 15, "{splits}");
}

#[test]
fn it_shrinks_again_when_its_entries_go() {
    let mut town = town_with(30, 8);
    let before = town.find(3, "common").outcome.messages;
    for n in 2..30 {
        let gone = (0..8).map(|i| {
            let path = format!("x/common n{n}i{i}.txt");
            (super::town::entry(&path).content, path)
        });
        town.command(n, crate::dht::DhtCommand::Withdraw(gone.collect()));
    }
    // Until they are over, and each level has been looked at.
    town.run(60 * MINUTE);
    let folds: u64 = town
        .peers
        .values()
        .map(|dht| dht.status().store.counters.folds)
        .sum();
    assert!(folds > 0);
    let answer = town.find(3, "common");
    let expected: BTreeSet<String> = (0..2)
        .flat_map(|n| (0..8).map(move |i| format!("x/common n{n}i{i}.txt")))
        .collect();
    assert_eq!(answer.paths, expected, "{:?}", answer.outcome);
    // Who was wrong about how deep it is split knows better now.
    let after = town.find(3, "common").outcome.messages;
    assert!(after * 3 <= before * 2, "{before} messages, now {after}");
}

#[test]
fn hardly_anybody_asks_the_words_own_node() {
    let mut town = town_with(60, 10);
    let root = Position::of_word("common", 0);
    let owner = town.peers.values().find(|dht| dht.rings()[0].owns(root));
    let owner = owner.unwrap().rings()[0].me().peer;
    town.load.clear();
    let query = gannet_base::Query::new("common").unwrap();
    for n in 0..60 {
        let wanted = crate::flood::Wanted::Words(query.clone());
        let answer = town.look(n, wanted, 5);
        assert_eq!(answer.outcome.ending, Ending::Enough);
        // 2 log2 60
        assert!(answer.outcome.messages <= 12, "{:?}", answer.outcome);
    }
    let total: u64 = town.load.values().sum();
    let mean = total / 60;
    let at_root = town.load.get(&owner).copied().unwrap_or(0);
    assert!(at_root <= 3 * mean, "{at_root} of {total}");
}

/// Who has heard long ago that a common word is in two parts, which is in many by now, reads
/// the list of the rarer word all the same.
#[test]
fn a_search_turns_to_the_word_that_is_in_fewer_parts() {
    let mut town = town_with(60, 10);
    let all = town.find(5, "common").outcome.messages;
    let (now, config) = (town.now, town.config.store.clone());
    let hint = Hint {
        word: "common".into(),
        bits: 1,
        count: 30,
    };
    let asker = super::town::peer(6);
    let hints = &mut town.peers.get_mut(&asker).unwrap().store.hints;
    hints.forget(&hint.word);
    hints.hear(now, &config, hint);
    let answer = town.find(6, "common 7");
    // As one number or the other, or both.
    assert_eq!(answer.paths.len(), 60 + 10 - 1, "{:?}", answer.outcome);
    let cost = answer.outcome.messages;
    assert!(
        cost * 2 < all,
        "{cost} messages, {all} for all that is common"
    );
}

/// A search for words that the asker has never heard of asked for one list after the other,
/// and ran out of time before it knew what to read.
#[test]
fn lists_of_words_never_heard_of_are_asked_for_two_at_once() {
    const WORDS: [&str; 4] = ["alpha", "beta", "gamma", "delta"];
    let config = with_store(|store| {
        (store.list_max, store.part_max) = (4, 4);
        store.checks_signatures = false;
    });
    let mut town = Town::settled(config, 40);
    for n in 0..40_u16 {
        let paths: Vec<String> = (0..25)
            .map(|i| {
                // Each word is in 21 of 1,000 names, and all of them in one.
                let words = match (i, n) {
                    (0, 7) => WORDS.join(" "),
                    (1..=4, 0..20) => WORDS[i - 1].to_owned(),
                    _ => String::new(),
                };
                let filler = char::from(b'a' + u8::try_from(i).unwrap());
                format!("{filler}{n}/{words}.{filler}")
            })
            .collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        town.publish(n, &paths);
    }
    town.rest();
    town.run(10 * MINUTE);
    let words = WORDS.map(Word::from);
    let is_ignorant = |n: &u16| {
        let store = &town.peers[&super::town::peer(*n)].store;
        let copies = store.config.copies;
        let holds = |word: &Word| {
            let key = Shard::ROOT.key(word);
            store.known.is_holder(key, copies) == Some(true)
        };
        let mut words = words.iter();
        words.all(|word| store.frequency(word) < COMMON && !holds(word))
    };
    let asker = (0..40).find(is_ignorant).unwrap();
    let dht = town.peers.get_mut(&super::town::peer(asker)).unwrap();
    words.iter().for_each(|word| dht.store.hints.forget(word));
    let wanted = crate::flood::Wanted::Words(gannet_base::Query::new(&WORDS.join(" ")).unwrap());
    let enough = u32::MAX;
    let search = crate::dht::DhtCommand::Search {
        id: 900,
        wanted,
        enough,
    };
    town.command(asker, search);
    let asks_for_two = |town: &Town| {
        let searches = &town.peers[&super::town::peer(asker)].store.searches;
        searches
            .get(&900)
            .is_some_and(|search| search.legs.len() == 2 && search.visited.is_empty())
    };
    let end = town.now + MINUTE;
    assert!(town.run_until(end, asks_for_two));
    let answer = town.find(asker, &WORDS.join(" "));
    assert_eq!(answer.paths.len(), 1, "{:?}", answer.outcome);
    assert_eq!(answer.outcome.ending, Ending::Everything);
}

/// Who holds the list of a rare word took the word for a common one, and read the hundreds of
/// parts of another word in place of that list.
#[test]
fn a_rare_word_is_not_taken_for_a_common_one_by_who_holds_its_list() {
    let mut town = Town::settled(small_lists(), 40);
    for n in 0..12_u16 {
        // The same content, and different ones whose names have nothing else in common.
        let letter = char::from(b'a' + u8::try_from(n).unwrap());
        let other: String = [letter; 5].iter().collect();
        town.publish(n, &["q/jufu.zz", &format!("{other}/kofi.{other}")]);
    }
    town.rest();
    let holders = |town: &Town, word: &str| {
        let key = Shard::ROOT.key(&word.into());
        let holds = |n: &u16| town.peers[&super::town::peer(*n)].store.shelf.count(key) >= 12;
        (20..40).filter(holds).collect::<Vec<u16>>()
    };
    for word in ["jufu", "kofi"] {
        let all = holders(&town, word);
        assert!(!all.is_empty(), "{word}");
        for n in all {
            let store = &town.peers[&super::town::peer(n)].store;
            let frequency = store.frequency(&word.into());
            // Of the lists of the twelve other words it may hold some, with an entry each.
            assert!(
                frequency < 12 && (word == "kofi" || frequency <= 1),
                "{n} {word}"
            );
        }
    }
}

/// Whoever cannot be asked for the list of one word has not missed anything if that of
/// another one, which all matches have too, was read.
#[test]
fn one_list_that_was_read_is_enough() {
    let mut town = Town::settled(small_lists(), 40);
    town.publish(1, &["x/longestword other.txt"]);
    town.rest();
    town.liars = town.peers.keys().copied().collect();
    town.lie(|message| match message {
        StoreMessage::Search { request, ask }
            if ask.place == Place::Word("longestword".into(), Shard::ROOT) =>
        {
            Some(StoreMessage::Answer {
                request: *request,
                found: Box::new(Found::Busy),
                hints: Vec::new(),
            })
        }
        _ => None,
    });
    let root = Position::of_word("longestword", 0);
    let is_far = |n: &u16| {
        let store = &town.peers[&super::town::peer(*n)].store;
        store.known.is_holder(root, store.config.copies) != Some(true)
    };
    let asker = (2..40).find(is_far).unwrap();
    let answer = town.find(asker, "longestword other");
    assert_eq!(answer.paths.len(), 1, "{:?}", answer.outcome);
    assert_eq!(answer.outcome.ending, Ending::Everything);
    let answer = town.find(asker, "longestword");
    assert_eq!(answer.outcome.ending, Ending::Partial);
}

#[test]
fn wrong_hints_are_found_out() {
    let mut town = Town::settled(small_lists(), 30);
    town.publish(1, &["x/rare thing.txt"]);
    town.rest();
    // Everybody believes that it is split in 64.
    let ids: Vec<_> = town.peers.keys().copied().collect();
    for id in ids {
        let now = town.now;
        let hint = Hint {
            word: "rare".into(),
            bits: 6,
            count: 5_000,
        };
        let dht = town.peers.get_mut(&id).unwrap();
        dht.store.hints.hear(now, &dht.store.config.clone(), hint);
    }
    let answer = town.find(5, "rare");
    assert_eq!(answer.paths.len(), 1, "{:?}", answer.outcome);
    town.publish(2, &["x/rare other.txt"]);
    town.rest();
    let answer = town.find(7, "rare");
    assert_eq!(answer.paths.len(), 2, "{:?}", answer.outcome);
}

#[test]
fn a_stranger_cannot_say_that_a_list_is_split() {
    let mut town = Town::settled(small_lists(), 30);
    town.publish(1, &["x/rare thing.txt"]);
    town.rest();
    let ids: Vec<_> = town.peers.keys().copied().collect();
    for state in [ListState::Split { bits: 9 }, ListState::Gone] {
        for to in &ids {
            let mark = Mark {
                word: "rare".into(),
                shard: Shard::ROOT,
                epoch: 1_000,
                state,
                count: 9_999,
            };
            let load = crate::dht::store::Load {
                items: Vec::new(),
                marks: vec![mark],
            };
            for mode in [Mode::Publish, Mode::Create] {
                let load = Box::new(load.clone());
                let message = StoreMessage::Store {
                    request: 7,
                    mode,
                    load,
                };
                town.say(super::town::peer(999), *to, message);
            }
        }
    }
    town.run(MINUTE);
    assert_eq!(town.find(5, "rare").paths.len(), 1);
}
