//! Tables of queries.

use gannet_base::{ContentId, FileEntry, Media, Query};

use super::*;

fn parse(text: &str) -> Result<Expression, QueryError> {
    Expression::parse(&Query::new(text).unwrap())
}

fn song() -> FileEntry {
    FileEntry {
        content: ContentId::of(b"song"),
        size: 30_000_000,
        path: "Music/ABBA - 1974/Waterloo (S01E02).tar.FLAC".to_owned(),
        media: Media {
            title: Some("Waterloo".to_owned()),
            artist: Some("Björn & Benny".to_owned()),
            album: Some("黒猫の歌".to_owned()),
            ..Media::default()
        },
    }
}

#[track_caller]
fn check(text: &str, expected: bool) {
    let expression = parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
    assert_eq!(
        expression.matches(&song()),
        expected,
        "{text} is {expression:?}"
    );
}

#[test]
fn words_phrases_and_prefixes() {
    check("waterloo abba", true);
    check("WATERLOO ÀBBA", true);
    check("waterloo madonna", false);
    check("water", false);
    check("water*", true);
    check("\"abba 1974\"", true);
    check("\"1974 abba\"", false);
    check("\"1974 water\"*", true);
    check("S01E02", true);
    check("S01E03", false);
    check("s01e*", true);
    check("“abba 1974”", true);
    check("flac waterloo", true);
    // A phrase does not run from the path into the title.
    check("\"flac waterloo\"", false);
    check("\"bjorn benny\"", true);
    check("黒猫", true);
    check("猫の歌", true);
    check("歌猫 waterloo", false);
    check("猫", true);
}

#[test]
fn choices_and_exclusions() {
    check("madonna OR abba", true);
    check("madonna OR queen", false);
    check("waterloo madonna OR abba", true);
    check("madonna abba OR waterloo", false);
    check("waterloo or abba", false);
    check("waterloo -madonna", true);
    check("waterloo -abba", false);
    check("waterloo -\"1974 abba\"", true);
    check("waterloo -abb*", false);
    check("waterloo -S01E02", false);
    check("waterloo - abba", true);
    check("waterloo -type:audio,video", false);
    check("waterloo -ext:mp3", true);
}

#[test]
fn filters() {
    check("waterloo type:audio", true);
    check("waterloo type:VIDEO,Audio", true);
    check("waterloo type:image", false);
    check("waterloo ext:flac", true);
    check("waterloo ext:.tar.flac", true);
    check("waterloo ext:mp3", false);
    check("waterloo ext:mp3,flac", true);
    check("waterloo size:>10MB", true);
    check("waterloo size:<30MB", false);
    check("waterloo size:<=30MB", true);
    check("waterloo size:30MB", true);
    check("waterloo size:0.03GB", true);
    check("waterloo size:28MiB..29MiB", true);
    check("waterloo size:..29mb", false);
    check("title:waterloo", true);
    check("title:abba", false);
    check("artist:bjorn", true);
    check("artist:\"björn benny\" album:黒猫", true);
    check("artist:benn* waterloo", true);
    check("waterloo -artist:benny", false);
    check("artist:madonna OR title:waterloo", true);
    check(&format!("hash:{}", ContentId::of(b"song")), true);
    check(&format!("hash:{}", ContentId::of(b"other")), false);
    check("waterloo type:image OR type:audio", true);
    // A colon behind anything else is punctuation.
    check("music:abba", true);
    check("abba:music", false);
    check("abba: waterloo", true);
}

#[test]
fn sizes_that_are_none_say_so() {
    let size = |value: &str| value.to_owned();
    let cases = [
        ("abba size:big", QueryError::BadSize { value: size("big") }),
        (
            "abba size:1.2.3",
            QueryError::BadSize {
                value: size("1.2.3"),
            },
        ),
        ("abba size:..", QueryError::BadSize { value: size("..") }),
        ("abba size:-1", QueryError::BadSize { value: size("-1") }),
        (
            "abba size:99999999TB",
            QueryError::SizeOverflow {
                value: size("99999999TB"),
            },
        ),
        (
            "abba size:>18446744073709551615",
            QueryError::SizeOverflow {
                value: size(">18446744073709551615"),
            },
        ),
        (
            "abba size:2..1",
            QueryError::EmptySize {
                value: size("2..1"),
            },
        ),
        ("abba size:<0", QueryError::EmptySize { value: size("<0") }),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text}");
    }
}

#[test]
fn what_makes_no_sense_says_so() {
    let cases = [
        ("-stone", QueryError::NoPositiveWord),
        ("type:audio", QueryError::NoPositiveWord),
        ("size:>1 -a", QueryError::NoPositiveWord),
        ("!!! ...", QueryError::NoPositiveWord),
        ("*", QueryError::NoPositiveWord),
        ("abba OR type:audio", QueryError::NoPositiveWord),
        ("\"abba", QueryError::OpenQuote),
        ("abba \"", QueryError::OpenQuote),
        ("OR abba", QueryError::DanglingOr),
        ("abba OR", QueryError::DanglingOr),
        ("abba OR OR queen", QueryError::DanglingOr),
        ("abba OR -queen", QueryError::NegatedAlternative),
        ("-abba OR queen", QueryError::NegatedAlternative),
        (
            "abba type:song",
            QueryError::UnknownKind {
                value: "song".to_owned(),
            },
        ),
        (
            "abba type:",
            QueryError::EmptyFilter {
                field: "type",
                example: "audio",
            },
        ),
        (
            "abba ext:.",
            QueryError::EmptyFilter {
                field: "ext",
                example: "flac",
            },
        ),
        (
            "title:!!!",
            QueryError::EmptyFilter {
                field: "title",
                example: "waterloo",
            },
        ),
    ];
    for (text, error) in cases {
        assert_eq!(parse(text), Err(error), "{text}");
    }
    assert!(matches!(parse("hash:12"), Err(QueryError::BadContentId(_))));
    let digits = "9".repeat(240);
    assert!(matches!(
        parse(&format!("a size:{digits}")),
        Err(QueryError::SizeOverflow { .. })
    ));
    let letters = "a ".repeat(128);
    assert_eq!(parse(&letters), Err(QueryError::TooManyTerms));
    let dense = "a1".repeat(128);
    assert_eq!(parse(&dense), Err(QueryError::TooManyWords));
}

#[test]
fn closeness_is_order_then_wholeness() {
    let closeness = |text: &str| parse(text).unwrap().closeness(&song());
    assert_eq!(closeness("abba waterloo"), Some(Closeness::InOrder));
    assert_eq!(closeness("1974 abba"), Some(Closeness::Whole));
    assert_eq!(closeness("abba water*"), Some(Closeness::Prefix));
    assert_eq!(closeness("abba waterloo*"), Some(Closeness::InOrder));
    assert_eq!(
        closeness("abba queen OR waterloo type:audio"),
        Some(Closeness::InOrder)
    );
    // The title comes behind the path.
    assert_eq!(closeness("abba flac waterloo"), Some(Closeness::InOrder));
    assert_eq!(closeness("abba madonna"), None);
}

#[test]
fn canonical_texts() {
    let cases = [
        ("  Potter   HARRY ", "potter harry"),
        ("harry harry", "harry"),
        ("type:Audio harry -Ron", "harry type:audio -ron"),
        ("b OR a", "a OR b"),
        ("S01E02*", "\"s 01 e 02\"*"),
        ("a size:>1kB", "a size:1001.."),
        ("a -type:video,audio", "a -type:audio -type:video"),
        ("ARTIST:Abba", "artist:abba"),
    ];
    for (text, canonical) in cases {
        let expression = parse(text).unwrap();
        assert_eq!(expression.canonical(), canonical);
        assert_eq!(parse(canonical), Ok(expression));
    }
    let words: Vec<String> = parse("Harry \"the stone\" po* -x a OR b")
        .unwrap()
        .required_words()
        .map(str::to_owned)
        .collect();
    assert_eq!(words, ["harry", "the", "stone"]);
}

#[test]
fn a_content_is_required_unless_there_is_a_choice() {
    let (song, other) = (ContentId::of(b"song"), ContentId::of(b"other"));
    let required = |text: String| parse(&text).unwrap().required_content();
    assert_eq!(required(format!("hash:{song}")), Some(song));
    assert_eq!(
        required(format!("waterloo hash:{song} ext:flac")),
        Some(song)
    );
    assert_eq!(required(format!("hash:{song} OR hash:{song}")), Some(song));
    assert_eq!(required(format!("hash:{song} OR hash:{other}")), None);
    assert_eq!(required(format!("hash:{song} OR waterloo")), None);
    assert_eq!(required(format!("waterloo -hash:{song}")), None);
    assert_eq!(required("waterloo".to_owned()), None);
}
