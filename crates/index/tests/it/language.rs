//! The tokenizer and the parser on anything.

use gannet_base::Query;
use gannet_index::{Expression, Tokens, fuzz_query, tokenize};
use proptest::prelude::*;

fn words(text: &str) -> Vec<String> {
    tokenize(text).iter().map(str::to_owned).collect()
}

#[track_caller]
fn check(text: &str, expected: &[&str]) {
    assert_eq!(words(text), expected, "{text}");
}

#[test]
fn words_of_many_scripts() {
    check("", &[]);
    check("!?/", &[]);
    check("a/b.C-d_e", &["a", "b", "c", "d", "e"]);
    check("Track01mp3", &["track", "01", "mp", "3"]);
    check("Ærøskøbing Łódź", &["ærøskøbing", "łodz"]);
    check("Straße STRASSE", &["strasse", "strasse"]);
    check("ΣΊΣΥΦΟΣ σίσυφος", &["σισυφοσ", "σισυφοσ"]);
    check("ﬁancée Ⅷ ½ m²", &["fiancee", "viii", "1", "2", "m", "2"]);
    check("Ｆｕｌｌ　ｗｉｄｔｈ", &["full", "width"]);
    check(
        "soft\u{ad}hyphen zero\u{200b}width",
        &["softhyphen", "zerowidth"],
    );
    check("Ёлка İstanbul", &["елка", "istanbul"]);
    // Chinese, Japanese, Korean: pairs; kana keep their voicing.
    check("水曜日", &["水曜", "曜日"]);
    check("水", &["水"]);
    check("がか ｶﾞ", &["がか", "ガ"]);
    check("한국어 abc", &["한국", "국어", "abc"]);
    check("第3話", &["第", "3", "話"]);
    // Indic vowel signs are part of the word.
    check("हिन्दी", &["हिन्दी"]);
}

/// Every character by itself, and between letters: its words tokenize to
/// themselves.
#[test]
fn every_character_is_idempotent() {
    for c in '\0'..=char::MAX {
        // Most of the range is unassigned or alike.
        if u32::from(c) > 0x3_2000 && u32::from(c) % 64 > 0 {
            continue;
        }
        let text = format!("{c} a{c}b水{c}水");
        let once = words(&text);
        assert_eq!(
            words(&once.join(" ")),
            once,
            "U+{:04X} in {text}",
            u32::from(c)
        );
    }
}

#[test]
fn words_are_bounded() {
    let long = words(&"ä".repeat(10_000));
    assert_eq!(long, ["a".repeat(Tokens::WORD_BYTES_MAX)]);
    assert_eq!(
        words(&"a ".repeat(10_000)).len(),
        Tokens::WORDS_PER_TEXT_MAX
    );
    assert_eq!(
        words(&"水".repeat(10_000)).len(),
        Tokens::WORDS_PER_TEXT_MAX
    );
    assert_eq!(
        words(&"é1".repeat(10_000)).len(),
        Tokens::WORDS_PER_TEXT_MAX
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn tokenizing_words_gives_the_words(text in "\\PC{0,60}") {
        let once = words(&text);
        prop_assert_eq!(words(&once.join(" ")), once);
    }

    #[test]
    fn composed_decomposed_and_case_are_equal(text in "[a-zA-Zà-ÿÀ-ßα-ωа-яァ-ヶ가-힣 0-9]{0,40}") {
        use unicode_normalization::UnicodeNormalization as _;
        let expected = words(&text);
        prop_assert_eq!(&words(&text.nfd().collect::<String>()), &expected);
        prop_assert_eq!(&words(&text.nfkc().collect::<String>()), &expected);
        prop_assert_eq!(&words(&text.to_uppercase()), &expected);
        prop_assert_eq!(&words(&text.to_lowercase()), &expected);
    }

    #[test]
    fn queries_of_any_bytes(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        fuzz_query(&bytes);
    }

    #[test]
    fn queries_of_their_own_parts(parts in prop::collection::vec(prop::sample::select(&[
        "harry", "S01E02", "水曜日", "水", "\"", "“", "-", "--", " ", " ", " OR ", "*", "type:",
        "audio", ",", "ext:", ".tar.gz", "size:", ">", "<=", "1.5GB", "..", "title:", "artist:",
        "hash:", "0000000000000000000000000000000000000000000000000000000000000000", "\u{301}",
        "\u{0}", "99999999999999999999", "\u{202e}",
    ][..]), 0..24)) {
        fuzz_query(parts.concat().as_bytes());
    }
}

#[test]
fn the_longest_queries_are_bounded() {
    let letters: String = ('a'..='z').flat_map(|c| [c, ' ']).collect();
    let query = |text: &str| Expression::parse(&Query::new(text).unwrap());
    assert!(query(&letters).is_err(), "26 terms are too many");
    let dense = "a1".repeat(128);
    assert!(query(&dense).is_err(), "256 words in one term are too many");
    assert!(query(&"x".repeat(256)).is_ok());
}
