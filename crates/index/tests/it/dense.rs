//! Words that nearly every entry has, in every order and far behind: bitmaps
//! against the model.

use gannet_base::wire::SignatureBytes;
use gannet_base::{ContentId, FileEntry, Media, PeerId, Publication, Query, WallTime};
use gannet_index::{Config, Expression, Index, Inserted, Page};

use crate::model::Model;

/// Enough that the words' first chunk is a bitmap, and so are the commonest
/// places of a word.
const ENTRIES: u32 = 12_000;

fn publication(number: u32) -> Publication {
    let mut draws = (1..).map(|step: u32| {
        let mixed = (number * 31 + step).wrapping_mul(0x9e37_79b1);
        (mixed ^ mixed >> 15).wrapping_mul(0x85eb_ca6b) >> 16
    });
    let mut draw = |end: u32| draws.next().unwrap() % end;
    let orders = [
        "alpha beta gamma",
        "alpha beta gamma",
        "alpha beta gamma",
        "alpha beta gamma",
        "gamma beta",
        "beta alpha beta",
        "gamma alpha gamma beta alpha gamma",
        "beta gamma alpha",
    ];
    let before = [0, 0, 0, 0, 0, 0, 1, 12, 13, 14, 15, 16];
    let order = orders[draw(8) as usize];
    let far = before[draw(12) as usize];
    let between = if draw(9) == 0 {
        before[draw(12) as usize]
    } else {
        0
    };
    let mut path = "q ".repeat(far);
    path += &order.replacen("beta", &("q ".repeat(between) + "beta"), 1);
    if draw(7) == 0 {
        path = if draw(9) == 0 {
            format!("some {path}")
        } else {
            path + " some"
        };
    }
    path += &format!("/n{number}");
    let shared = draw(20) == 0;
    Publication {
        entry: FileEntry {
            content: ContentId::of(&if shared { number % 100 } else { number }.to_le_bytes()),
            size: 1,
            path,
            media: Media::default(),
        },
        holder: PeerId::from_bytes([u8::try_from(number % 17).unwrap(); 32]),
        expires: WallTime::from_unix_seconds(1_000_000),
        signature: SignatureBytes([0; 64]),
    }
}

/// Queries and pages; whatever says that it is complete must be right.
fn check(index: &Index, model: &Model, all_complete: bool) {
    let pages = [(0, 49), (0, 9), (9, 40), (3, 300), (0, 0)];
    for text in [
        "alpha beta",
        "beta alpha",
        "gamma alpha beta",
        "q alpha",
        "gamma q",
        "some alpha",
        "alpha some",
        "beta some",
        "q some",
        "n 17 alpha",
    ] {
        let parsed = Expression::parse(&Query::new(text).unwrap()).unwrap();
        let answer = |(offset, limit)| {
            let page = Page {
                offset,
                limit,
                hits_per_row: 4,
            };
            (page, index.search(&parsed, page))
        };
        let mut answers: Vec<_> = pages.into_iter().map(answer).collect();
        let [whole, front, back] = [0, 1, 2].map(|place: usize| answers[place].1.rows.clone());
        answers.retain(|(_, found)| found.complete || all_complete);
        if all_complete {
            assert_eq!([front, back].concat(), whole, "{text}");
        }
        model.check(&parsed, &answers);
    }
}

fn build(config: Config) -> (Index, Model) {
    let mut index = Index::new(config);
    let mut model = Model::default();
    for publication in (0..ENTRIES).map(publication) {
        model.insert_new(&publication);
        assert_eq!(index.insert(&publication), Inserted::New);
    }
    for holder in 0..12 {
        let (holder, speed) = (PeerId::from_bytes([holder; 32]), 1 << (holder % 5));
        index.set_speed(holder, speed);
        model.set_speed(holder, speed);
    }
    (index, model)
}

#[test]
fn common_words_agree_with_the_model() {
    let (mut index, mut model) = build(Config {
        work_per_query_max: u64::MAX,
        ranked_per_query_max: usize::MAX,
        readings_per_ranking_max: usize::MAX,
        ..Config::default()
    });
    check(&index, &model, true);
    // Some marked, then all swept, then down to lists again.
    for (from, to) in [(0, 1), (1, 6), (6, 15)] {
        for holder in (from..to).map(|number| PeerId::from_bytes([number; 32])) {
            let gone = index.remove_holder(holder);
            assert_eq!(gone, model.remove_holder(holder));
        }
        check(&index, &model, true);
    }
}

#[test]
fn what_limits_leave_is_right_or_says_that_it_is_not() {
    let (index, model) = build(Config::default());
    check(&index, &model, false);
    let (index, model) = build(Config {
        work_per_query_max: 3_000,
        ranked_per_query_max: 30,
        readings_per_ranking_max: 4,
        ..Config::default()
    });
    check(&index, &model, false);
}
