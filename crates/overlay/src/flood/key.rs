//! Keys of routing tables: the published query-routing hash.

use gannet_base::{ContentId, FileEntry};
use gannet_index::Tokens;

/// The multiplier of the hash.
// Source: Rohrs, "Query Routing for the Gnutella Network".
const MULTIPLIER: u32 = 0x4F1B_BCDC;

/// The key of a word, as the tokenizer makes words: XOR of its little-endian
/// 32-bit words, times the multiplier. The upper bits are its slot in a table.
pub fn word_key(word: &str) -> u32 {
    key(word.as_bytes())
}

/// The key of a content.
pub fn content_key(content: ContentId) -> u32 {
    key(content.as_bytes())
}

fn key(bytes: &[u8]) -> u32 {
    let folded = bytes.chunks(4).fold(0, |folded, chunk| {
        let mut word = [0; 4];
        word[..chunk.len()].copy_from_slice(chunk);
        folded ^ u32::from_le_bytes(word)
    });
    folded.wrapping_mul(MULTIPLIER)
}

/// Adds the keys of everything that an entry can be found by; some may come
/// twice.
pub fn entry_keys(entry: &FileEntry, out: &mut Vec<u32>) {
    out.extend(Tokens::of_entry(entry).iter().map(word_key));
    out.push(content_key(entry.content));
}

#[cfg(test)]
mod tests {
    use gannet_base::{FileEntry, Media, Query};
    use gannet_index::Expression;
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::select;

    use super::*;
    use crate::flood::table::Table;
    use crate::flood::{Question, TABLE_BITS, Wanted};

    /// The published vectors; words are lower case by the time they come here.
    #[test]
    fn as_published() {
        #[track_caller]
        fn check(bits: u8, expected: &[(&str, u32)]) {
            for (word, slot) in expected {
                assert_eq!(word_key(word) >> (32 - bits), *slot, "{word}");
            }
        }
        let sixteen = [
            ("n", 65_003),
            ("nd", 54_193),
            ("ndf", 4_953),
            ("ndfl", 58_201),
            ("ndfla", 34_830),
            ("ndflal", 36_910),
            ("ndflale", 34_586),
            ("ndflalem", 37_658),
            ("ndflaleme", 45_559),
        ];
        check(16, &sixteen);
        let thirteen = [
            ("ebckl", 3_179),
            ("ebcklm", 3_235),
            ("ebcklme", 6_438),
            ("ebcklmen", 1_062),
            ("ebcklmenq", 3_527),
        ];
        check(13, &thirteen);
        let ten = [
            ("3nja9", 581),
            ("ol2j34lj", 318),
            ("a3f", 767),
            ("zzzzzzzzzzz", 944),
        ];
        check(10, &ten);
    }

    const WORDS: [&str; 14] = [
        "Harry",
        "potter",
        "pots",
        "Björk",
        "Jóga",
        "01",
        "e2",
        "水曜日",
        "曜日",
        "水",
        "Straße",
        "S01E02",
        "AC/DC",
        "\u{130}stanbul",
    ];

    fn text() -> impl Strategy<Value = String> {
        let mark = select(&["/", " ", "-", "_", "."][..]);
        vec((select(&WORDS[..]), mark), 1..6).prop_map(|parts| {
            let text: String = parts
                .iter()
                .flat_map(|(word, mark)| [*word, *mark])
                .collect();
            text + "end.flac"
        })
    }

    fn entry() -> impl Strategy<Value = FileEntry> {
        let field = || prop::option::weighted(0.3, text());
        (text(), field(), field(), field(), 0..6_u8).prop_map(
            |(path, title, artist, album, content)| FileEntry {
                content: ContentId::of(&[content]),
                size: 1_000,
                path,
                media: Media {
                    title,
                    artist,
                    album,
                    ..Media::default()
                },
            },
        )
    }

    fn query() -> impl Strategy<Value = String> {
        let shapes = [
            "{}",
            "{}",
            "{}",
            "-{}",
            "{}*",
            "title:{}",
            "artist:{}*",
            "\"{} {}\"",
            "{} OR {}",
            "{}* OR \"{} {}\"",
            "\"{} {}\"*",
            "ext:flac",
            "size:>500",
        ];
        let words =
            (select(shapes.to_vec()), vec(select(&WORDS[..]), 3)).prop_map(|(shape, words)| {
                words
                    .iter()
                    .fold(shape.to_owned(), |text, word| text.replacen("{}", word, 1))
            });
        let hash = (0..6_u8).prop_map(|content| format!("hash:{}", ContentId::of(&[content])));
        vec(prop_oneof![8 => words, 1 => hash], 1..4).prop_map(|terms| terms.join(" "))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(400))]

        #[test]
        fn a_table_never_rules_out_a_match(
            entries in vec(entry(), 1..6),
            queries in vec(query(), 8),
        ) {
            let mut keys = Vec::new();
            entries.iter().for_each(|entry| entry_keys(entry, &mut keys));
            let table = Table::of_keys(&keys, TABLE_BITS);
            for text in queries {
                let Ok(query) = Query::new(&text) else { continue };
                let Ok(expression) = Expression::parse(&query) else { continue };
                let matched = entries.iter().any(|entry| expression.matches(entry));
                let question = Question::from(Wanted::Words(query));
                prop_assert!(!matched || table.may_hold(question.keys()), "{}", text);
            }
            for entry in &entries {
                let question = Question::from(Wanted::Content(entry.content));
                prop_assert!(table.may_hold(question.keys()));
            }
        }

        /// No more keys than words and the content.
        #[test]
        fn keys_are_those_of_words_and_content(entry in entry()) {
            let mut keys = Vec::new();
            entry_keys(&entry, &mut keys);
            let mut expected = vec![content_key(entry.content)];
            let texts = std::iter::once(entry.path.as_str()).chain(entry.media.texts());
            for text in texts {
                expected.extend(gannet_index::tokenize(text).iter().map(word_key));
            }
            keys.sort_unstable();
            keys.dedup();
            expected.sort_unstable();
            expected.dedup();
            prop_assert_eq!(keys, expected);
        }
    }

    /// The words of a path are cut off after some hundred in each of its folder
    /// and its name, and all of those are found.
    #[test]
    fn a_long_path_is_found_by_all_its_words() {
        let path = "a 1 ".repeat(200) + "/" + &"b 2 ".repeat(50) + "last";
        let entry = FileEntry {
            content: ContentId::of(b""),
            size: 0,
            path,
            media: Media::default(),
        };
        let query = Query::new("last").expect("a word is a query");
        let matches = Expression::parse(&query).is_ok_and(|words| words.matches(&entry));
        let mut keys = Vec::new();
        entry_keys(&entry, &mut keys);
        assert!(matches && keys.contains(&word_key("last")));
    }
}
