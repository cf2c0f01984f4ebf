//! Gannet's index.

use std::ops::Range;
use std::time::{Duration, Instant};

use anyhow::Result;
use gannet_base::Query;
use gannet_index::{Config, Expression, Index, Page};

use crate::corpus::{Corpus, Draw};
use crate::report::{Queries, Stopwatch, resident_bytes};

pub struct Ours {
    pub index: Index,
    pub build: Duration,
    pub resident_bytes: u64,
}

pub fn config() -> Config {
    Config {
        entries_max: usize::MAX,
        entries_per_holder_max: usize::MAX,
        bytes_per_holder_max: usize::MAX,
        ..Config::default()
    }
}

pub fn build(corpus: &Corpus, config: Config) -> Ours {
    let before = resident_bytes();
    let mut index = Index::new(config);
    let mut build = Duration::ZERO;
    for files in corpus.holders() {
        build += join(&mut index, corpus, files);
    }
    let resident_bytes = resident_bytes() - before;
    Ours {
        index,
        build,
        resident_bytes,
    }
}

/// A holder comes. Making the publications is not counted.
pub fn join(index: &mut Index, corpus: &Corpus, files: Range<usize>) -> Duration {
    let publications: Vec<_> = files.map(|file| corpus.publication(file)).collect();
    let start = Stopwatch::start();
    for publication in &publications {
        index.insert(publication);
    }
    start.elapsed()
}

pub fn leave(index: &mut Index, corpus: &Corpus, files: Range<usize>) -> Duration {
    let holder = corpus.holder(files.start);
    let start = Stopwatch::start();
    index.remove_holder(holder);
    start.elapsed()
}

/// Every holder announces a speed, from 8 kB to 128 MB a second.
pub fn set_speeds(index: &mut Index, corpus: &Corpus) {
    let mut draw = Draw(7);
    for files in corpus.holders() {
        let power = 13 + draw.below(14);
        index.set_speed(corpus.holder(files.start), draw.number() >> (63 - power));
    }
}

pub fn search(index: &Index, queries: &[[String; 2]]) -> Result<Queries> {
    let mut result = Queries::default();
    let all = Stopwatch::start();
    for words in queries {
        let text = words.join(" ");
        let start = Instant::now();
        let expression = Expression::parse(&Query::new(&text)?)?;
        let found = index.search(
            &expression,
            Page {
                offset: 0,
                limit: 20,
                hits_per_row: 8,
            },
        );
        result.add(start.elapsed(), found.rows.len(), found.complete);
    }
    result.total = all.elapsed();
    Ok(result)
}
