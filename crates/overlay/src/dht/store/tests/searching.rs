//! What is published is found.

use std::collections::BTreeSet;
use std::time::Duration;

use gannet_base::Query;
use gannet_index::Expression;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::town::{Town, config, entry, peer, with_store};
use crate::dht::ring::Contact;
use crate::dht::{Ending, Position};

fn texts(paths: &[&str]) -> BTreeSet<String> {
    paths.iter().map(|path| (*path).to_owned()).collect()
}

#[test]
fn by_word_phrase_filter_and_content() {
    let mut town = Town::settled(config(), 40);
    town.publish(
        1,
        &["Films/Harry Potter 1.mkv", "Music/Abba - Waterloo.flac"],
    );
    town.publish(2, &["Films/Harry Potter 1.mkv", "Books/Potter, Harry.epub"]);
    town.publish(3, &["Music/Waterloo sunset.mp3"]);
    town.rest();
    let potter = &["Films/Harry Potter 1.mkv", "Books/Potter, Harry.epub"][..];
    #[track_caller]
    fn check(town: &mut Town, query: &str, expected: &[&str]) {
        let answer = town.find(7, query);
        assert_eq!(answer.paths, texts(expected), "{query}");
        assert_eq!(answer.outcome.ending, Ending::Everything, "{query}");
        assert_eq!(answer.outcome.asked, answer.outcome.answered, "{query}");
    }
    check(&mut town, "potter", potter);
    check(&mut town, "harry potter", potter);
    check(&mut town, "\"harry potter\"", &potter[..1]);
    check(&mut town, "harry -books", &potter[..1]);
    check(&mut town, "harry ext:epub", &potter[1..]);
    check(
        &mut town,
        "waterloo type:audio abba OR sunset",
        &["Music/Abba - Waterloo.flac", "Music/Waterloo sunset.mp3"],
    );
    check(&mut town, "waterloo abb*", &["Music/Abba - Waterloo.flac"]);
    check(
        &mut town,
        "sunset OR abba",
        &["Music/Abba - Waterloo.flac", "Music/Waterloo sunset.mp3"],
    );
    check(
        &mut town,
        "sunset OR \"harry potter\" type:video",
        &potter[..1],
    );
    check(&mut town, "voldemort OR weasley", &[]);
    check(&mut town, "voldemort", &[]);
    let content = entry("Films/Harry Potter 1.mkv").content;
    check(&mut town, &format!("hash:{content} harry"), &potter[..1]);

    let answer = town.sources(7, "Films/Harry Potter 1.mkv");
    assert_eq!(answer.holders, BTreeSet::from([peer(1), peer(2)]));
    for query in ["pott*", "pott* OR abba"] {
        assert_eq!(
            town.find(7, query).outcome.ending,
            Ending::NoWord,
            "{query}"
        );
    }
}

/// Whoever is asked for what others hold does not say that it is all there is, be it
/// that nobody comes or goes.
#[test]
fn who_was_led_astray_is_not_told_that_there_is_nothing() {
    for is_maintained in [true, false] {
        let mut config = config();
        config.ring.is_maintained = is_maintained;
        let mut town = Town::settled(config, 40);
        town.publish(1, &["a/rare thing.txt"]);
        town.rest();
        let key = Position::of_word("rare", 0);
        let mut nodes: Vec<Contact> = town
            .peers
            .values()
            .map(|dht| dht.rings()[0].me().clone())
            .collect();
        nodes.sort_by_key(|node| key.distance_to(node.position));
        let (before, asker) = (nodes[39].position, nodes[20].peer);
        // The first that hold it are left out.
        let now = town.now;
        let dht = town.peers.get_mut(&asker).unwrap();
        let store = dht.store.config.clone();
        let wrong = nodes[store.copies..2 * store.copies].to_vec();
        dht.store.known.learn(now, &store, before, wrong);
        let n = (0..40).find(|n| peer(*n) == asker).unwrap();
        let answer = town.find(n, "rare");
        assert_eq!(answer.paths, texts(&["a/rare thing.txt"]), "{answer:?}");
        assert_eq!(answer.outcome.ending, Ending::Everything);
        assert!(answer.outcome.asked > 2, "{answer:?}");
    }
}

#[test]
fn alone_a_peer_finds_its_own() {
    let mut town = Town::new(config());
    town.join(1, &[]);
    town.publish(1, &["a/only me.txt"]);
    let answer = town.find(1, "only");
    assert_eq!(answer.paths, texts(&["a/only me.txt"]));
    assert_eq!(
        (answer.outcome.ending, answer.outcome.messages),
        (Ending::Alone, 0)
    );
    let answer = town.sources(1, "a/only me.txt");
    assert_eq!(answer.holders, BTreeSet::from([peer(1)]));
}

#[test]
fn two_peers_find_each_others() {
    let mut town = Town::new(config());
    town.join(1, &[]);
    town.publish(1, &["a/first one.txt"]);
    town.run(Duration::from_secs(3));
    town.join(2, &[1]);
    town.publish(2, &["b/second one.txt"]);
    town.run(Duration::from_secs(5));
    town.rest();
    for n in [1, 2] {
        let answer = town.find(n, "one");
        assert_eq!(
            answer.paths,
            texts(&["a/first one.txt", "b/second one.txt"]),
            "{n}"
        );
        assert_eq!(answer.outcome.ending, Ending::Everything);
    }
}

#[test]
fn enough_is_enough_and_pages_go_on() {
    let mut town = Town::settled(config(), 30);
    for n in 0..20 {
        let paths: Vec<String> = (0..30)
            .map(|i| format!("p{n}/common number {n} {i}.txt"))
            .collect();
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        town.publish(n, &paths);
    }
    town.rest();
    let answer = town.find(25, "common");
    assert_eq!(answer.paths.len(), 600);
    assert_eq!(answer.outcome.ending, Ending::Everything);
    let wanted = crate::flood::Wanted::Words(Query::new("common").unwrap());
    let answer = town.look(25, wanted, 5);
    assert_eq!(answer.outcome.ending, Ending::Enough);
    assert!(
        (5..=20).contains(&answer.paths.len()),
        "{}",
        answer.paths.len()
    );
}

#[test]
fn searches_are_bounded() {
    let mut town = Town::settled(with_store(|store| store.searches_max = 0), 5);
    assert_eq!(town.find(1, "any").outcome.ending, Ending::TooMany);
}

/// Twice the same comes to the same.
#[test]
fn same_seed_same_answers() {
    let run = || {
        let mut town = Town::settled(config(), 20);
        town.publish(1, &["x/alpha beta.txt", "x/beta gamma.txt"]);
        town.rest();
        let answer = town.find(5, "beta");
        (town.now, answer.paths, answer.outcome, town.load.clone())
    };
    assert_eq!(run(), run());
}

const WORDS: [&str; 8] = [
    "red",
    "green",
    "blue",
    "S01E02",
    "Björk",
    "水曜日",
    "a",
    "song",
];

fn path() -> impl Strategy<Value = String> {
    let mark = select(&[" ", "/", "-", ". "][..]);
    vec((select(&WORDS[..]), mark), 1..5).prop_map(|parts| {
        let text: String = parts
            .iter()
            .flat_map(|(word, mark)| [*word, *mark])
            .collect();
        format!("x/{text}end.mp3")
    })
}

fn query() -> impl Strategy<Value = String> {
    let shapes = vec![
        "{}",
        "{}",
        "{} {}",
        "\"{} {}\"",
        "{} -{}",
        "{} re*",
        "{} {} OR {}",
        "{} OR {}",
        "{} OR {} OR {}",
    ];
    (select(shapes), vec(select(&WORDS[..]), 3)).prop_map(|(shape, words)| {
        words
            .iter()
            .fold(shape.to_owned(), |text, word| text.replacen("{}", word, 1))
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    /// The same set as looking at every file.
    #[test]
    fn the_result_is_everything_that_matches(
        files in vec((0..12_u16, path()), 1..40),
        queries in vec(query(), 6),
        list_max in select(&[3_u32, 1_000][..]),
    ) {
        let config = with_store(|store| {
            store.list_max = list_max;
            store.checks_signatures = false;
        });
        let mut town = Town::settled(config, 24);
        for (n, path) in &files {
            town.publish(*n, &[path]);
        }
        town.rest();
        // Until lists have been split.
        town.run(Duration::from_secs(30));
        for text in queries {
            let query = Query::new(&text).expect("it has words");
            let Ok(expression) = Expression::parse(&query) else { continue };
            let expected: BTreeSet<String> = files
                .iter()
                .filter(|(_, path)| expression.matches(&entry(path)))
                .map(|(_, path)| path.clone())
                .collect();
            let answer = town.find(20, &text);
            prop_assert_eq!(answer.outcome.ending, Ending::Everything, "{}", &text);
            prop_assert_eq!(answer.paths, expected, "{}", text);
        }
    }
}
