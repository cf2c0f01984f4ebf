//! Random histories: the index and the model agree on everything.

use gannet_base::wire::SignatureBytes;
use gannet_base::{ContentId, Dimensions, FileEntry, Media, PeerId, Publication, Query, WallTime};
use gannet_index::{Config, Expression, Index, Inserted, Page, Tokens};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::model::Model;

const WORDS: [&str; 18] = [
    "usr",
    "share",
    "Harry",
    "potter",
    "pots",
    "Björk",
    "Jóga",
    "01",
    "e2",
    "live",
    "水曜日",
    "曜日",
    "水",
    "Straße",
    "doc",
    "docs",
    "a",
    "lib64",
];
const EXTENSIONS: [&str; 5] = ["", ".mp3", ".FLAC", ".tar.gz", ".txt"];

fn text() -> impl Strategy<Value = String> {
    let separators = select(&["/", " ", "-", "_", "."][..]);
    vec((select(&WORDS[..]), separators), 1..6).prop_map(|parts| {
        let mut text: String = parts
            .iter()
            .flat_map(|(word, mark)| [*word, *mark])
            .collect();
        text.pop();
        text
    })
}

fn media() -> impl Strategy<Value = Media> {
    let field = || proptest::option::weighted(0.2, text());
    (
        field(),
        field(),
        field(),
        any::<Option<u32>>(),
        any::<Option<(u32, u32)>>(),
    )
        .prop_map(|(title, artist, album, duration_seconds, size)| Media {
            title,
            artist,
            album,
            duration_seconds,
            dimensions: size.map(|(width, height)| Dimensions { width, height }),
        })
}

fn publication() -> impl Strategy<Value = Publication> {
    let media = prop_oneof![3 => Just(Media::default()), 1 => media()];
    let path = (text(), select(&EXTENSIONS[..])).prop_map(|(text, end)| text + end);
    (
        0..6_u8,
        0..12_u8,
        path,
        media,
        0..3_u64,
        0..20_u64,
        // Those of 0 are not signed.
        0..4_u8,
    )
        .prop_map(
            |(holder, content, path, media, size, expires, signature)| Publication {
                entry: FileEntry {
                    content: ContentId::of(&[content]),
                    size: size * 1_000,
                    path,
                    media,
                },
                holder: PeerId::from_bytes([holder; 32]),
                expires: WallTime::from_unix_seconds(10_000 + expires * 1_000),
                signature: SignatureBytes([signature; 64]),
            },
        )
}

fn query() -> impl Strategy<Value = String> {
    let filters = select(
        &[
            "type:audio",
            "-type:other",
            "ext:flac",
            "ext:tar.gz,txt",
            "size:>500",
            "size:..1kB",
        ][..],
    );
    let word = select(&WORDS[..]).prop_map(str::to_owned);
    let shape = select(
        &[
            "{}",
            "{}",
            "{}",
            "-{}",
            "{}*",
            "title:{}",
            "artist:{}*",
            "\"{} {}\"",
            "-\"{} {}\"",
            "{} OR {}",
            "{}* OR \"{} {}\" OR album:{}",
            "-{}*",
            "\"{} {}\"*",
        ][..],
    );
    let words = (shape, vec(word, 4)).prop_map(|(shape, words)| {
        words
            .iter()
            .fold(shape.to_owned(), |text, word| text.replacen("{}", word, 1))
    });
    let hash = (0..12_u8).prop_map(|content| format!("hash:{}", ContentId::of(&[content])));
    let term = prop_oneof![8 => words, 2 => filters.prop_map(str::to_owned), 1 => hash];
    vec(term, 1..4).prop_map(|terms| terms.join(" "))
}

#[derive(Debug, Clone)]
enum Action {
    Insert(Box<Publication>),
    /// Of what was inserted before.
    Remove(prop::sample::Index),
    /// Likewise, with another expiry and signature.
    Renew(prop::sample::Index, u64, u8),
    /// Room for so many of a holder.
    Reserve(u8, usize),
    Leave(u8),
    Speed(u8, u64),
    Expire(u64),
    Search(String, u32, u32),
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        12 => publication().prop_map(|one| Action::Insert(Box::new(one))),
        3 => any::<prop::sample::Index>().prop_map(Action::Remove),
        2 => (any::<prop::sample::Index>(), 10_000..30_000_u64, 0..4_u8)
            .prop_map(|(which, expires, signature)| Action::Renew(which, expires, signature)),
        1 => (0..6_u8, 0..100_usize).prop_map(|(holder, more)| Action::Reserve(holder, more)),
        1 => (0..6_u8).prop_map(Action::Leave),
        1 => (0..6_u8, 0..3_u64).prop_map(|(holder, speed)| Action::Speed(holder, speed)),
        1 => (12_000..35_000_u64).prop_map(Action::Expire),
        6 => (query(), 0..4_u32, 0..8_u32)
            .prop_map(|(text, offset, limit)| Action::Search(text, offset, limit)),
    ]
}

fn unlimited() -> Config {
    Config {
        work_per_query_max: u64::MAX,
        ranked_per_query_max: usize::MAX,
        readings_per_ranking_max: usize::MAX,
        ..Config::default()
    }
}

#[derive(Debug, Default)]
struct Both {
    model: Model,
    inserted: Vec<Publication>,
    searches: usize,
}

impl Both {
    fn apply(&mut self, index: &mut Index, action: &Action) {
        match action {
            Action::Insert(publication) => {
                let expected = match self.model.insert(publication) {
                    true => Inserted::New,
                    false => Inserted::Renewed,
                };
                assert_eq!(index.insert(publication), expected);
                self.inserted.push((**publication).clone());
            }
            Action::Remove(which) if !self.inserted.is_empty() => {
                let Publication { entry, holder, .. } = which.get(&self.inserted);
                assert_eq!(
                    index.remove(*holder, entry.content, &entry.path),
                    self.model.remove(*holder, entry.content, &entry.path)
                );
            }
            Action::Renew(which, expires, signature) if !self.inserted.is_empty() => {
                let mut publication = which.get(&self.inserted).clone();
                publication.expires = WallTime::from_unix_seconds(*expires);
                publication.signature = SignatureBytes([*signature; 64]);
                let is_there = self.model.renew(&publication);
                assert_eq!(index.renew(&publication), is_there);
            }
            Action::Remove(_) | Action::Renew(..) => {}
            Action::Reserve(holder, more) => {
                index.reserve(PeerId::from_bytes([*holder; 32]), *more);
            }
            Action::Leave(holder) => {
                let holder = PeerId::from_bytes([*holder; 32]);
                assert_eq!(
                    index.remove_holder(holder),
                    self.model.remove_holder(holder)
                );
            }
            Action::Speed(holder, speed) => {
                let holder = PeerId::from_bytes([*holder; 32]);
                index.set_speed(holder, *speed);
                self.model.set_speed(holder, *speed);
            }
            Action::Expire(now) => {
                let now = WallTime::from_unix_seconds(*now);
                assert_eq!(index.expire(now), self.model.expire(now));
            }
            Action::Search(text, offset, limit) => {
                let Ok(expression) = Expression::parse(&Query::new(text).unwrap()) else {
                    return;
                };
                let page = Page {
                    offset: *offset,
                    limit: *limit,
                    hits_per_row: 3,
                };
                self.model
                    .check(&expression, &[(page, index.search(&expression, page))]);
                self.searches += 1;
            }
        }
    }

    fn compare(&self, index: &Index) {
        assert_eq!(index.len(), self.model.len());
        assert_eq!(index.holders_len(), self.model.holders_len());
        assert_eq!(index.contents_len(), self.model.contents_len());
        for holder in (0..6).map(|holder| PeerId::from_bytes([holder; 32])) {
            assert_eq!(
                index.holdings(holder, 1, 5),
                self.model.holdings(holder, 1, 5)
            );
            let all = self.model.holdings(holder, 0, usize::MAX);
            assert_eq!(index.holder_len(holder) as u64, all.total);
        }
        for content in (0..12).map(|content| ContentId::of(&[content])) {
            assert_eq!(index.holders(content, 3), self.model.holders(content, 3));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn the_index_does_what_the_model_does(actions in vec(action(), 1..120)) {
        let mut index = Index::new(unlimited());
        let mut both = Both::default();
        for action in &actions {
            both.apply(&mut index, action);
        }
        both.compare(&index);
    }

    /// Neither the secret of the hash nor the moment of a sweep shows.
    #[test]
    fn same_inputs_same_results(actions in vec(action(), 1..80), seed in any::<u64>()) {
        let mut one = Index::new(unlimited());
        let mut other = Index::new(Config { hash_seed: seed, ..unlimited() });
        let (mut first, mut second) = (Both::default(), Both::default());
        for action in &actions {
            first.apply(&mut one, action);
            second.apply(&mut other, action);
        }
        for action in &actions {
            if let Action::Search(text, offset, limit) = action
                && let Ok(expression) = Expression::parse(&Query::new(text).unwrap())
            {
                let page = Page { offset: *offset, limit: *limit, hits_per_row: 3 };
                prop_assert_eq!(one.search(&expression, page), other.search(&expression, page));
            }
        }
        first.compare(&other);
        prop_assert_eq!(first.searches, second.searches);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(3_000))]

    /// What summaries are asked for never hides a match.
    #[test]
    fn every_match_has_what_is_required(text in query(), publication in publication()) {
        let entry = publication.entry;
        let Ok(expression) = Expression::parse(&Query::new(&text).unwrap()) else {
            return Ok(());
        };
        if expression.matches(&entry) {
            let words = Tokens::of_entry(&entry);
            for word in expression.required_words() {
                let found = words.iter().any(|other| other == word);
                prop_assert!(found, "{word} of {text} is not in {entry:?}");
            }
            let content = expression.required_content();
            prop_assert!(content.is_none_or(|content| content == entry.content));
        }
    }
}

/// Enough entries for lists, bitmaps and several sweeps, which random
/// histories of a hundred steps do not reach.
#[test]
fn a_long_history_with_sweeps_agrees_with_the_model() {
    use proptest::strategy::ValueTree as _;
    use proptest::test_runner::TestRunner;

    let mut runner = TestRunner::deterministic();
    let mut index = Index::new(unlimited());
    let mut model = Model::default();
    let mut words_max = 0;
    let id = |number: u32| PeerId::from_bytes([u8::try_from(number).unwrap(); 32]);
    for number in 0..10_000_u32 {
        let mut publication = publication().new_tree(&mut runner).unwrap().current();
        publication.entry.content = ContentId::of(&(number % 9_000).to_le_bytes());
        publication.entry.path = format!("common/n{number}/{}", publication.entry.path);
        let holder = number / 500 % 14;
        publication.holder = id(holder);
        model.insert_new(&publication);
        assert_eq!(index.insert(&publication), Inserted::New);
        if number % 500 < 499 {
            continue;
        }
        words_max = index.words_len().max(words_max);
        let leaver = id((holder + 2) % 14);
        assert_eq!(index.remove_holder(leaver), model.remove_holder(leaver));
        if number % 2_000 < 1_999 {
            continue;
        }
        let text = query().new_tree(&mut runner).unwrap().current();
        for text in [
            "common -harry",
            "pot* common",
            "common n*",
            "common usr",
            "harry common n",
            &text,
        ] {
            if let Ok(parsed) = Expression::parse(&Query::new(text).unwrap()) {
                let page = Page::default();
                model.check(&parsed, &[(page, index.search(&parsed, page))]);
            }
        }
    }
    assert_eq!(index.len(), model.len());
    // Words of entries that are gone went with them: there were 10,000 numbers.
    assert!(words_max < 9_500, "{words_max}");
}
