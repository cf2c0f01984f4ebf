//! What searches cost, and whom.

use std::collections::BTreeSet;

use gannet_base::{Rng, seeded_rng};
use gannet_index::Expression;
use rand_core::Rng as _;

use super::town::{Town, entry, with_store};

const NODES: u16 = 256;
const WORDS: u64 = 1_500;

fn below(rng: &mut Rng, bound: u64) -> u64 {
    rng.next_u64() % bound
}

/// A word; the first ones are far more common than the last.
fn word(rng: &mut Rng) -> String {
    let rank = below(rng, WORDS)
        .min(below(rng, WORDS))
        .min(below(rng, WORDS));
    let letter = |n: u64| char::from(b"bcdfghklmnprstvw"[usize::try_from(n % 16).unwrap()]);
    let letters = [rank, rank / 16, rank / 256].map(letter);
    letters.iter().flat_map(|letter| [*letter, 'o']).collect()
}

fn name(rng: &mut Rng) -> String {
    let mut words: Vec<String> = (0..4).map(|_| word(rng)).collect();
    if below(rng, 3) == 0 {
        words.push("common".to_owned());
    }
    format!("x/{}.mp3", words.join(" "))
}

/// One to four of its words.
fn query(rng: &mut Rng, path: &str) -> String {
    let text = path.trim_start_matches("x/").trim_end_matches(".mp3");
    let mut words: Vec<&str> = text.split(' ').collect();
    let count = usize::try_from(1 + below(rng, 4)).unwrap().min(words.len());
    while words.len() > count {
        let place = below(rng, u64::try_from(words.len()).unwrap());
        words.remove(usize::try_from(place).unwrap());
    }
    words.join(" ")
}

#[test]
fn queries_cost_little_find_everything_and_burden_nobody() {
    let config = with_store(|store| {
        store.checks_signatures = false;
        // As 1,000 of the 100,000 names of a town of 10,000.
        store.list_max = 50;
    });
    let mut town = Town::settled(config, NODES);
    let mut rng = seeded_rng(5);
    let mut files: Vec<String> = Vec::new();
    for n in 0..NODES {
        let own: Vec<String> = (0..8).map(|_| name(&mut rng)).collect();
        let paths: Vec<&str> = own.iter().map(String::as_str).collect();
        town.publish(n, &paths);
        files.extend(own);
    }
    town.rest();
    town.run(std::time::Duration::from_secs(60));
    town.load.clear();
    let mut messages = Vec::new();
    let queries = 1_500;
    for n in 0..queries {
        let path = &files[usize::try_from(below(&mut rng, 2_048)).unwrap()];
        let text = query(&mut rng, path);
        let wanted = gannet_base::Query::new(&text).unwrap();
        let asker = u16::try_from(n * 7 % u64::from(NODES)).unwrap();
        let answer = town.look(asker, crate::flood::Wanted::Words(wanted.clone()), 20);
        let expression = Expression::parse(&wanted).unwrap();
        let expected: BTreeSet<&String> = files
            .iter()
            .filter(|path| expression.matches(&entry(path)))
            .collect();
        let found = answer.paths.len();
        assert!(
            answer.paths.iter().all(|path| expected.contains(path)),
            "{text}"
        );
        assert!(
            found >= expected.len().min(20),
            "{text}: {found} of {}",
            expected.len()
        );
        messages.push(answer.outcome.messages);
    }
    messages.sort_unstable();
    let median = messages[messages.len() / 2];
    // 2 log2 256
    assert!(median <= 16, "median {median}");
    let total: u64 = town.load.values().sum();
    let most = town.load.values().max().copied().unwrap_or(0);
    let mean = total / u64::from(NODES);
    assert!(most <= 3 * mean, "most {most}, mean {mean}");
}
