use super::*;

fn known(bits: u8, count: u32) -> (u8, u32, Word) {
    (bits, count, Word::from("x"))
}

#[test]
fn many_entries_are_in_many_parts_whatever_is_said_of_those() {
    let depth = |bits: u8, count: u32| depth(&known(bits, count), 64);
    assert_eq!((depth(1, 0), depth(1, 64), depth(3, 756)), (1, 1, 3));
    assert_eq!((depth(1, 756), depth(1, 1_629), depth(9, 756)), (3, 4, 9));
}

#[test]
fn reading_begins_where_most_parts_are_whole() {
    let likely = |count: u32| likely_depth(count, 64);
    // 76 entries on average may be in a part, 77 may not.
    assert_eq!((likely(76), likely(153), likely(154)), (0, 1, 2));
    assert_eq!((likely(2_589), likely(u32::MAX)), (6, Shard::BITS_MAX));
}

#[test]
fn parts_that_are_met_speak_for_others_as_deep() {
    let part = |n: u8, bits: u8| Shard::of(gannet_base::ContentId::from_bytes([n; 32]), bits);
    // 40 in each are known.
    let known = (40 << 6, 64);
    let mut met = Met::default();
    assert!(!met.add(part(1, 6), 100, known), "one that is an exception");
    assert!(!met.add(part(2, 6), 110, known));
    assert!(!met.add(part(3, 6), 48, known));
    assert!(met.add(part(4, 6), 200, known), "what was known is wrong");
    assert!(
        !met.add(part(4, 7), 70, known),
        "which says nothing of deeper ones"
    );
    let mut met = Met::default();
    assert!(met.add(part(1, 1), 800, (0, 64)) && !Met::default().add(part(1, 1), 90, (0, 64)));
}

/// Words with how common they seem; the rarest last, as everywhere.
fn choice(words: &[(usize, &str)], split: &[(u8, u32, &str)], fresh: &[&str]) -> Choice {
    let words = words
        .iter()
        .map(|(common, word)| (*common, Word::from(*word)));
    let split = split.iter();
    let split = split.map(|(bits, count, word)| (*bits, *count, Word::from(*word)));
    Choice {
        words: words.collect(),
        split: split.collect(),
        fresh: fresh.iter().map(|word| Word::from(*word)).collect(),
        ..Choice::default()
    }
}

#[test]
fn the_own_keys_of_common_words_are_not_asked_without_need() {
    let next = |mut choice: Choice| choice.next_root(64).map(|word| word.text().to_owned());
    let some = |word: &str| Some(word.to_owned());
    assert_eq!(
        next(choice(&[(9, "common"), (0, "rare")], &[], &[])),
        some("rare")
    );
    assert_eq!(next(choice(&[(9, "common")], &[], &[])), some("common"));
    let long = (5, 2_000, "long");
    assert_eq!(next(choice(&[(9, "common")], &[long], &[])), None);
    assert_eq!(
        next(choice(&[(3, "other")], &[long], &["long"])),
        some("other")
    );
    // Four parts are soon read, if they are no more.
    let short = (1, 300, "short");
    assert_eq!(next(choice(&[(3, "other")], &[short], &["short"])), None);
    assert_eq!(next(choice(&[(3, "other")], &[short], &[])), some("other"));
}
