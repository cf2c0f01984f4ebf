//! Limits, and what strangers do to find their end.

use gannet_base::wire::SignatureBytes;
use gannet_base::{ContentId, FileEntry, Media, PeerId, Publication, Query, WallTime};
use gannet_index::{Config, Expression, Index, Inserted, Page, Refusal};

fn publication(holder: u8, number: u32, path: String) -> Publication {
    Publication {
        entry: FileEntry {
            content: ContentId::of(&number.to_le_bytes()),
            size: 1,
            path,
            media: Media::default(),
        },
        holder: PeerId::from_bytes([holder; 32]),
        expires: WallTime::from_unix_seconds(1_000_000),
        signature: SignatureBytes([holder; 64]),
    }
}

fn expression(text: &str) -> Expression {
    Expression::parse(&Query::new(text).unwrap()).unwrap()
}

#[test]
fn limits_refuse_and_leave_what_is_there() {
    let config = Config {
        entries_max: 6,
        holders_max: 3,
        entries_per_holder_max: 3,
        bytes_per_holder_max: 3_000,
        names_per_content_max: 2,
        ..Config::default()
    };
    let mut index = Index::new(config);
    let mut insert =
        |holder, number, path: &str| index.insert(&publication(holder, number, path.to_owned()));
    assert_eq!(insert(1, 1, "one"), Inserted::New);
    assert_eq!(insert(1, 1, "two"), Inserted::New);
    assert_eq!(insert(1, 1, "two"), Inserted::Renewed);
    assert_eq!(
        insert(1, 1, "three"),
        Inserted::Refused(Refusal::Names { max: 2 })
    );
    assert_eq!(insert(1, 2, "three"), Inserted::New);
    let full = Inserted::Refused(Refusal::HolderEntries { max: 3 });
    assert_eq!(insert(1, 3, "four"), full);
    assert_eq!(insert(1, 2, "three"), Inserted::Renewed);
    let long = "x".repeat(700);
    let heavy = Inserted::Refused(Refusal::HolderBytes { max: 3_000 });
    assert_eq!(insert(2, 1, &long), heavy);
    assert_eq!(insert(2, 1, "one"), Inserted::New);
    assert_eq!(insert(3, 1, "one"), Inserted::New);
    assert_eq!(
        insert(4, 1, "one"),
        Inserted::Refused(Refusal::Holders { max: 3 })
    );
    assert_eq!(insert(3, 2, "one"), Inserted::New);
    assert_eq!(
        insert(3, 3, "one"),
        Inserted::Refused(Refusal::Full { max: 6 })
    );
    assert!(matches!(
        insert(1, 1, "../x"),
        Inserted::Refused(Refusal::Invalid(_))
    ));
    index.set_speed(PeerId::from_bytes([9; 32]), 1);
    assert_eq!(
        (index.len(), index.holders_len(), index.contents_len()),
        (6, 3, 2)
    );

    // What was charged is given back.
    assert!(index.remove(
        PeerId::from_bytes([1; 32]),
        ContentId::of(&1_u32.to_le_bytes()),
        "two"
    ));
    assert_eq!(
        index.insert(&publication(1, 3, "four".to_owned())),
        Inserted::New
    );
    assert_eq!(index.remove_holder(PeerId::from_bytes([1; 32])), 3);
    assert_eq!(
        index.insert(&publication(4, 1, "one".to_owned())),
        Inserted::New
    );
}

/// A change of size or media that does not fit leaves the old entry.
#[test]
fn a_refused_renewal_changes_nothing() {
    let mut index = Index::new(Config {
        bytes_per_holder_max: 400,
        ..Config::default()
    });
    let old = publication(1, 1, "abba".to_owned());
    assert_eq!(index.insert(&old), Inserted::New);
    let mut new = old.clone();
    new.entry.media.title = Some("waterloo ".repeat(20));
    assert!(matches!(
        index.insert(&new),
        Inserted::Refused(Refusal::HolderBytes { .. })
    ));
    assert_eq!(
        index.holdings(old.holder, 0, 9).publications,
        [publication(1, 1, "abba".to_owned())]
    );
    new.entry.media.title = Some("waterloo".to_owned());
    assert_eq!(index.insert(&new), Inserted::Renewed);
    assert_eq!(
        index.search(&expression("waterloo"), Page::default()).total,
        1
    );
    assert_eq!(index.insert(&old), Inserted::Renewed);
    assert_eq!(
        index.search(&expression("waterloo"), Page::default()).total,
        0
    );
}

fn crowd() -> Index {
    let mut index = Index::new(Config {
        work_per_query_max: 20_000,
        ..Config::default()
    });
    for number in 0..9_000_u32 {
        let holder = u8::try_from(number / 500).unwrap();
        let path = format!("usr/share/a{number}/common a b c d e f g h");
        assert_eq!(
            index.insert(&publication(holder, number, path)),
            Inserted::New
        );
    }
    index
}

/// The dearest queries end at the limit, say so, and give what they found.
#[test]
fn the_dearest_queries_are_cut_off() {
    let index = crowd();
    let found = |text: &str| index.search(&expression(text), Page::default());
    let ranked_max = Config::default().ranked_per_query_max as u64;
    for text in ["a*", "usr OR share OR a*", "\"h usr\" OR common", "u* s*"] {
        let found = found(text);
        assert!(!found.complete, "{text}");
        assert!(found.rows.len() > 10, "{text}: {}", found.rows.len());
        assert!(found.total <= ranked_max, "{text}: {}", found.total);
    }
    // These have to look at every entry to find nothing.
    for text in [
        "\"h usr\"",
        "usr type:audio",
        "usr size:>1GB -title:x*",
        "title:usr",
    ] {
        let found = found(text);
        assert!(!found.complete && found.rows.is_empty(), "{text}");
    }
    // Whole words are counted without being looked at, in order or not.
    for text in ["usr", "usr share", "share usr"] {
        let found = found(text);
        assert!(found.complete, "{text}");
        assert_eq!((found.total, found.rows.len()), (9_000, 20), "{text}");
    }
    // A rare word makes a common one cheap.
    let rare = found("usr a 8765 share");
    assert!(rare.complete);
    assert_eq!(rare.total, 1);
    let nothing = found("usr nowhere");
    assert!(nothing.complete && nothing.rows.is_empty());
}

#[test]
fn pages_are_bounded_and_disjoint() {
    let index = crowd();
    let page = |offset, limit| {
        let page = Page {
            offset,
            limit,
            hits_per_row: u32::MAX,
        };
        index
            .search(&expression("common 4711 OR 4712 OR 4713"), page)
            .rows
    };
    let all = page(0, u32::MAX);
    assert_eq!(all.len(), 3);
    assert_eq!([page(0, 1), page(1, 1), page(2, 5)].concat(), all);
    assert!(page(3, 1).is_empty() && page(u32::MAX, u32::MAX).is_empty());
    assert!(page(0, 0).is_empty());
}

/// One content that very many have, and one holder with very many names.
#[test]
fn popular_contents_stay_cheap() {
    let config = Config {
        work_per_query_max: 20_000,
        ..Config::default()
    };
    let mut index = Index::new(config);
    for holder in 0..=255 {
        for name in 0..20 {
            index.insert(&publication(holder, 1, format!("popular {name}")));
        }
    }
    let content = ContentId::of(&1_u32.to_le_bytes());
    let row = index.holders(content, 10).unwrap();
    assert_eq!((row.holders, row.hits.len()), (256, 10));
    let found = index.search(&expression("popular"), Page::default());
    assert_eq!((found.total, found.complete), (1, false));
    assert_eq!((found.rows[0].holders, found.rows[0].hits.len()), (256, 8));
    for holder in 0..=255 {
        assert_eq!(index.remove_holder(PeerId::from_bytes([holder; 32])), 20);
    }
    assert!(index.is_empty() && index.holders(content, 10).is_none());
    assert_eq!((index.contents_len(), index.words_len()), (0, 0));
}
