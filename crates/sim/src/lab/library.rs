//! Who shares what, and what matches a question.
//!
//! Every file lies on the same peers throughout. Peers keep nothing: whether a
//! peer has a match is looked up here, once a question for the matching files
//! and then by the peer's number.

use std::collections::BTreeSet;

use gannet_base::wire::SignatureBytes;
use gannet_base::{
    ContentId, FileEntry, Hit, Media, Publication, Query, Rng, Row, Timestamp, WallTime,
};
use gannet_index::{Tokens, tokenize};
use gannet_overlay::flood::{Question, Wanted, entry_keys};

use crate::draw;
use crate::fingerprint::mixed;
use crate::workload::{Names, Zipf, copies, word};
use crate::{node_of, peer_id, stats};

/// Lists of numbers, one after the other.
#[derive(Debug, Default)]
struct Lists {
    /// Where each list ends.
    ends: Vec<u32>,
    items: Vec<u32>,
}

impl Lists {
    /// From (list, item) pairs in any order; items of a list ascend.
    fn new(lists: usize, mut pairs: Vec<(u32, u32)>) -> Self {
        pairs.sort_unstable();
        let mut ends = vec![0; lists];
        for (list, _) in &pairs {
            ends[index(*list)] += 1;
        }
        let mut end = 0;
        for count in &mut ends {
            end += *count;
            *count = end;
        }
        let items = pairs.into_iter().map(|(_, item)| item).collect();
        Self { ends, items }
    }

    fn list(&self, list: u32) -> &[u32] {
        let list = index(list);
        let Some(end) = self.ends.get(list) else {
            return &[];
        };
        let start = list.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.items[index(start)..index(*end)]
    }
}

/// All files and where they are.
#[derive(Debug)]
pub(in crate::lab) struct Library {
    paths: Vec<String>,
    holders: Lists,
    shares: Lists,
    /// All words of all paths, ascending.
    words: Vec<String>,
    /// For each word the files that have it.
    postings: Lists,
    popularity: Zipf,
}

/// How many files there are, and how they are spread.
#[derive(Debug, Clone, Copy)]
pub(in crate::lab) struct Shares {
    pub(in crate::lab) nodes: u32,
    pub(in crate::lab) files: u32,
    /// Copies of a file on average.
    pub(in crate::lab) copies: f64,
    /// Exponent of popularity.
    pub(in crate::lab) zipf: f64,
}

/// What matches a question.
#[derive(Debug)]
pub(in crate::lab) struct Matches {
    /// Peers with a match, ascending, each with the file.
    holders: Vec<(u32, u32)>,
}

/// When all publications end, seconds of Unix time.
pub(in crate::lab) const EXPIRES: u64 = 2_000_000_000;
/// Seconds before that at which virtual time begins: three days of the seven that
/// publications may live.
const BEFORE_EXPIRY: u64 = 3 * 24 * 3_600;
/// Most words that names are made of.
const VOCABULARY_MAX: u32 = 100_000;
/// Words of a name.
const NAME_WORDS: usize = 4;

impl Library {
    pub(in crate::lab) fn new(shares: Shares, rng: &mut Rng) -> Self {
        Self::with_common(shares, 0.0, rng)
    }

    /// The same, with one more word in this share of all names.
    pub(in crate::lab) fn with_common(shares: Shares, common: f64, rng: &mut Rng) -> Self {
        let Shares {
            nodes, files, zipf, ..
        } = shares;
        let popularity = Zipf::new(files, zipf);
        let paths = paths(files, common, rng);
        let mut pairs = Vec::new();
        for (file, count) in (0..).zip(copies(&popularity, files, shares.copies, 0.0)) {
            for node in distinct(rng, nodes, count) {
                pairs.push((file, node));
            }
        }
        let by_node = pairs.iter().map(|(file, node)| (*node, *file)).collect();
        let all: Vec<Tokens> = paths.iter().map(|path| tokenize(path)).collect();
        let words: BTreeSet<&str> = all.iter().flat_map(Tokens::iter).collect();
        let words: Vec<String> = words.into_iter().map(str::to_owned).collect();
        let mut posted = Vec::new();
        for (file, tokens) in (0..).zip(&all) {
            for word in tokens.iter() {
                posted.extend(place(&words, word).map(|word| (word, file)));
            }
        }
        posted.sort_unstable();
        posted.dedup();
        Self {
            holders: Lists::new(index(files), pairs),
            shares: Lists::new(index(nodes), by_node),
            postings: Lists::new(words.len(), posted),
            paths,
            words,
            popularity,
        }
    }

    /// A file that somebody asks for.
    pub(in crate::lab) fn target(&self, rng: &mut Rng) -> u32 {
        self.popularity.sample(rng)
    }

    /// The peers that have a file, ascending.
    pub(in crate::lab) fn holders(&self, file: u32) -> &[u32] {
        self.holders.list(file)
    }

    /// Whether a peer has a file.
    pub(in crate::lab) fn holds(&self, node: u32, file: u32) -> bool {
        self.holders(file).binary_search(&node).is_ok()
    }

    /// The keys of all that a peer has.
    pub(in crate::lab) fn keys(&self, node: u32) -> Vec<u32> {
        let mut keys = Vec::new();
        for file in self.shares.list(node) {
            entry_keys(&self.entry(*file), &mut keys);
        }
        keys
    }

    /// The words of a file's name, which no other file's name has all of.
    pub(in crate::lab) fn query(&self, file: u32) -> Query {
        let path = &self.paths[index(file)];
        let words: Vec<&str> = words_of(path).collect();
        Query::new(&words.join(" ")).expect("four short words")
    }

    /// So many of the words of a file's name, in their order, and the files whose
    /// names have all of these, ascending.
    pub(in crate::lab) fn query_of(
        &self,
        file: u32,
        count: usize,
        rng: &mut Rng,
    ) -> (Query, Vec<u32>) {
        let mut words: Vec<&str> = words_of(&self.paths[index(file)]).collect();
        while words.len() > count.max(1) {
            words.remove(draw::place(rng, words.len()));
        }
        let mut lists: Vec<&[u32]> = words
            .iter()
            .filter_map(|word| Some(self.postings.list(place(&self.words, word)?)))
            .collect();
        lists.sort_by_key(|list| list.len());
        let (shortest, others) = lists.split_first().expect("a name has words");
        let has_all = |file: &u32| others.iter().all(|list| list.binary_search(file).is_ok());
        let files = shortest.iter().copied().filter(has_all).collect();
        let query = Query::new(&words.join(" ")).expect("some short words");
        (query, files)
    }

    pub(in crate::lab) fn entry(&self, file: u32) -> FileEntry {
        FileEntry {
            content: content_of(file),
            size: 1_000_000 + u64::from(file),
            path: self.paths[index(file)].clone(),
            media: Media::default(),
        }
    }

    /// The file of this content.
    pub(in crate::lab) fn file_of(&self, content: ContentId) -> Option<u32> {
        let file = node_of(gannet_base::PeerId::from_bytes(*content.as_bytes()));
        let file = file.map(|number| !number)?;
        (index(file) < self.paths.len()).then_some(file)
    }

    /// The files that match, as the query language defines it.
    fn matching(&self, question: &Question) -> Vec<u32> {
        let expression = match (question.wanted(), question.expression()) {
            (Wanted::Content(content), _) => return self.file_of(*content).into_iter().collect(),
            (Wanted::Words(_), None) => return Vec::new(),
            (Wanted::Words(_), Some(expression)) => expression,
        };
        let all: Vec<u32>;
        let postings = expression
            .required_words()
            .map(|word| place(&self.words, word).map_or(&[][..], |word| self.postings.list(word)));
        let candidates = match postings.min_by_key(|files| files.len()) {
            Some(files) => files,
            None => {
                all = (0..).take(self.paths.len()).collect();
                &all
            }
        };
        let matches = |file: &u32| expression.matches(&self.entry(*file));
        candidates.iter().copied().filter(matches).collect()
    }

    /// Who has what matches.
    pub(in crate::lab) fn matches(&self, question: &Question) -> Matches {
        let mut holders = Vec::new();
        for file in self.matching(question) {
            holders.extend(self.holders(file).iter().map(|node| (*node, file)));
        }
        holders.sort_unstable();
        Matches { holders }
    }

    /// What a peer answers.
    pub(in crate::lab) fn rows(&self, node: u32, matches: &Matches) -> Vec<Row> {
        let start = matches
            .holders
            .partition_point(|(holder, _)| *holder < node);
        let own = matches.holders[start..].iter();
        own.take_while(|(holder, _)| *holder == node)
            .map(|(_, file)| self.row(node, *file))
            .collect()
    }

    /// The files that a peer has, ascending.
    pub(in crate::lab) fn shares(&self, node: u32) -> &[u32] {
        self.shares.list(node)
    }

    /// What a peer publishes of them.
    pub(in crate::lab) fn publications(&self, node: u32) -> Vec<Publication> {
        let shares = self.shares(node).iter();
        shares.map(|file| self.publication(node, *file)).collect()
    }

    /// The share of the names that have the commonest word of those that they are
    /// searched by.
    pub(in crate::lab) fn commonest_word_share(&self) -> f64 {
        let mut counts = std::collections::BTreeMap::<&str, u64>::new();
        for path in &self.paths {
            for word in words_of(path) {
                *counts.entry(word).or_default() += 1;
            }
        }
        let most = counts.into_values().max().unwrap_or(0);
        stats::share(most, self.paths.len() as u64)
    }

    /// How many files there are.
    pub(in crate::lab) fn files(&self) -> u32 {
        u32::try_from(self.paths.len()).expect("they have numbers")
    }

    fn publication(&self, node: u32, file: u32) -> Publication {
        Publication {
            entry: self.entry(file),
            holder: peer_id(node),
            expires: WallTime::from_unix_seconds(EXPIRES),
            // Nobody checks signatures here; they are as long as real ones.
            signature: SignatureBytes([0x5a; 64]),
        }
    }

    fn row(&self, node: u32, file: u32) -> Row {
        let publication = self.publication(node, file);
        Row {
            content: publication.entry.content,
            holders: 1,
            hits: vec![Hit { publication }],
        }
    }
}

/// The calendar's time, at a virtual one.
pub(in crate::lab) fn calendar(now: Timestamp) -> WallTime {
    let passed = now.as_micros() / 1_000_000;
    WallTime::from_unix_seconds(EXPIRES - BEFORE_EXPIRY + passed)
}

/// The words of a name.
fn words_of(path: &str) -> impl Iterator<Item = &str> {
    path.split(['/', ' ']).take(NAME_WORDS)
}

/// Contents have numbers in them as peers have, but other ones.
fn content_of(file: u32) -> ContentId {
    ContentId::from_bytes(*peer_id(!file).as_bytes())
}

/// Names of four different words each, no two names of the same words. This
/// share of them is in a folder of one name.
fn paths(files: u32, common: f64, rng: &mut Rng) -> Vec<String> {
    // Guess: collections have some new words for each file.
    let names = Names::new(files.clamp(1_000, VOCABULARY_MAX), 1.0);
    // Of the first rank that no vocabulary has.
    let folder = word(VOCABULARY_MAX);
    let mut taken = BTreeSet::new();
    let mut paths = Vec::new();
    for file in 0..files {
        loop {
            let mut path = names.file_name(file, rng);
            if common > 0.0
                && draw::unit(rng) < common
                && let Some((_, name)) = path.split_once('/')
            {
                path = format!("{folder}/{name}");
            }
            let tokens = tokenize(&path);
            let mut words: Vec<&str> = tokens.iter().take(NAME_WORDS).collect();
            words.sort_unstable();
            words.dedup();
            let sum = words.iter().fold(0, |sum: u64, word| {
                let bytes = word
                    .bytes()
                    .fold(0, |sum: u64, byte| sum << 8 | u64::from(byte));
                sum.wrapping_add(mixed(bytes))
            });
            // Two sets with one sum cost a new name, and nothing else.
            if words.len() == NAME_WORDS && taken.insert(sum) {
                paths.push(path);
                break;
            }
        }
    }
    paths
}

/// So many different peers, or all.
fn distinct(rng: &mut Rng, nodes: u32, count: u32) -> BTreeSet<u32> {
    let mut chosen = BTreeSet::new();
    // Floyd's way: each subset is equally likely.
    for last in nodes.saturating_sub(count)..nodes {
        let drawn = draw::below(rng, u64::from(last) + 1);
        let drawn = u32::try_from(drawn).expect("at most the last");
        if !chosen.insert(drawn) {
            chosen.insert(last);
        }
    }
    chosen
}

fn place(words: &[String], word: &str) -> Option<u32> {
    let place = words
        .binary_search_by(|other| other.as_str().cmp(word))
        .ok()?;
    u32::try_from(place).ok()
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("pointers have at least 32 bits")
}

#[cfg(test)]
mod tests {
    use gannet_base::seeded_rng;

    use super::*;

    fn library() -> Library {
        let shares = Shares {
            nodes: 300,
            files: 400,
            copies: 3.5,
            zipf: 0.8,
        };
        Library::new(shares, &mut seeded_rng(5))
    }

    #[test]
    fn files_are_on_so_many_different_peers() {
        let library = library();
        let copies: usize = (0..400).map(|file| library.holders(file).len()).sum();
        assert_eq!(copies, 1_400);
        for file in 0..400 {
            let holders = library.holders(file);
            assert!(!holders.is_empty() && holders.is_sorted_by(|a, b| a < b));
            for node in holders {
                assert!(library.holds(*node, file));
                assert!(library.shares.list(*node).contains(&file));
            }
            assert_eq!(library.file_of(content_of(file)), Some(file));
        }
        assert_eq!(library.file_of(content_of(400)), None);
        assert_eq!(distinct(&mut seeded_rng(1), 5, 9).len(), 5);
    }

    #[test]
    fn fewer_words_match_more_files() {
        let (library, mut rng) = (library(), seeded_rng(2));
        for count in 1..=NAME_WORDS {
            for file in 0..100 {
                let (query, files) = library.query_of(file, count, &mut rng);
                let question = Question::from(Wanted::Words(query));
                assert_eq!(library.matching(&question), files);
                assert!(files.binary_search(&file).is_ok());
                assert!(count < NAME_WORDS || files == [file]);
            }
        }
    }

    /// Against every file, one by one.
    #[test]
    fn a_match_is_what_the_query_language_says() {
        let library = library();
        let mut found = 0;
        let mut check = |wanted: Wanted| {
            let question = Question::from(wanted);
            let mut expected = Vec::new();
            for file in 0..400 {
                let entry = library.entry(file);
                let is_match = match (question.wanted(), question.expression()) {
                    (Wanted::Content(content), _) => entry.content == *content,
                    (_, Some(expression)) => expression.matches(&entry),
                    _ => false,
                };
                let holders = library.holders(file).iter().filter(|_| is_match);
                expected.extend(holders.map(|node| (*node, file)));
            }
            expected.sort_unstable();
            let matches = library.matches(&question);
            assert_eq!(matches.holders, expected);
            for node in 0..300 {
                let rows = library.rows(node, &matches);
                let own = expected.iter().filter(|(holder, _)| *holder == node);
                assert_eq!(rows.len(), own.count());
                found += rows.len();
            }
            expected.len()
        };
        for file in 0..400 {
            let count = check(Wanted::Words(library.query(file)));
            assert_eq!(count, library.holders(file).len(), "the file and no other");
        }
        check(Wanted::Content(content_of(7)));
        check(Wanted::Content(content_of(7_000)));
        for text in [
            "ba*",
            "baba OR bada",
            "mp3 -baba",
            "ext:mp3 ba*",
            "nonsense",
        ] {
            check(Wanted::Words(Query::new(text).unwrap()));
        }
        assert!(found > 1_400);
    }

    #[test]
    fn keys_are_of_all_words() {
        let library = library();
        for node in 0..300 {
            let keys = library.keys(node);
            for file in library.shares.list(node) {
                let question = Question::from(Wanted::Words(library.query(*file)));
                assert!(question.keys().iter().all(|key| keys.contains(key)));
            }
        }
    }
}
