//! Gannet's index beside tantivy.
//!
//! ```text
//! cargo run --release --manifest-path bench/tantivy/Cargo.toml -- [--entries N] [--queries N] [--alone] [--json]
//! ```
//!
//! `--alone` leaves tantivy out. The corpus is the `Contents` index of Debian
//! (`apt-get install apt-file && apt-file update`, or `GANNET_CONTENTS=path`):
//! every package is a peer that shares its files. Both indexes run in one
//! thread, in memory, on the same words cut by the same tokenizer.

mod corpus;
mod ours;
mod report;
mod theirs;

use std::time::Duration;

use anyhow::{Context as _, Result};
use corpus::{Corpus, Draw};
use gannet_index::{Config, tokenize};
use report::Report;

struct Options {
    entries: usize,
    queries: usize,
    alone: bool,
    json: bool,
}

fn main() -> Result<()> {
    let options = options()?;
    let corpus = Corpus::load(options.entries)?;
    let holders = corpus.holders().count();
    eprintln!("corpus: {}", corpus.source);
    let mut report = Report::default();
    let entries = corpus.len() as f64;
    report.add("entries", "entries", entries);
    report.add("holders", "holders", holders as f64);
    report.add(
        "path_bytes",
        "bytes of a path, mean",
        corpus.path_bytes() as f64 / entries,
    );
    let queries = queries(&corpus, options.queries);

    eprintln!("building");
    let mut ours = ours::build(&corpus, ours::config());
    report.add(
        "ours_build_per_s",
        "ours: entries inserted a second",
        entries / seconds(ours.build),
    );
    let resident = ours.resident_bytes as f64 / entries;
    report.add(
        "ours_bytes_per_entry",
        "ours: resident bytes an entry (at most 300)",
        resident,
    );
    let own_count = ours.index.memory_bytes() as f64 / entries;
    report.add(
        "ours_own_count",
        "ours: bytes an entry by its own count",
        own_count,
    );
    report.add(
        "ours_words",
        "ours: different words",
        ours.index.words_len() as f64,
    );
    eprintln!("searching");
    measure_queries(&mut report, "ours", &ours::search(&ours.index, &queries)?);
    ours::set_speeds(&mut ours.index, &corpus);
    let found = ours::search(&ours.index, &queries)?;
    measure_queries(&mut report, "ours_speeds", &found);
    let (join, leave) = measure_ours(&mut report, &corpus, &mut ours.index);
    drop(ours);

    let unlimited = Config {
        work_per_query_max: u64::MAX,
        ranked_per_query_max: usize::MAX,
        readings_per_ranking_max: usize::MAX,
        ..ours::config()
    };
    let exhaustive = ours::build(&corpus, unlimited);
    let found = ours::search(&exhaustive.index, &queries[..(queries.len() / 50).max(1)])?;
    measure_queries(&mut report, "ours_exhaustive", &found);
    drop(exhaustive);

    if !options.alone {
        let mut theirs = theirs::build(&corpus)?;
        let rate = entries / seconds(theirs.build);
        report.add(
            "tantivy_build_per_s",
            "tantivy: entries inserted a second",
            rate,
        );
        let resident = theirs.resident_bytes as f64 / entries;
        report.add(
            "tantivy_bytes_per_entry",
            "tantivy: resident bytes an entry",
            resident,
        );
        let found = theirs.search(&queries)?;
        measure_queries(&mut report, "tantivy", &found);
        measure_theirs(&mut report, &corpus, &mut theirs, join, leave)?;
    }
    report.print(options.json);
    Ok(())
}

fn options() -> Result<Options> {
    let mut options = Options {
        entries: 1_000_000,
        queries: 20_000,
        alone: false,
        json: false,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        let mut number =
            || -> Result<usize> { Ok(arguments.next().context("a number is missing")?.parse()?) };
        match argument.as_str() {
            "--entries" => options.entries = number()?,
            "--queries" => options.queries = number()?,
            "--alone" => options.alone = true,
            "--json" => options.json = true,
            other => anyhow::bail!("unknown option {other}"),
        }
    }
    Ok(options)
}

fn seconds(time: Duration) -> f64 {
    time.as_secs_f64()
}

/// Two different words of one random path each, so that they hit; every tenth
/// takes its second word from another path, and every fortieth from nowhere.
fn queries(corpus: &Corpus, count: usize) -> Vec<[String; 2]> {
    let mut draw = Draw(42);
    let word = |draw: &mut Draw, file: usize| {
        let words = tokenize(corpus.path(file));
        let place = draw.below(words.len().max(1));
        words.iter().nth(place).unwrap_or("usr").to_owned()
    };
    let mut queries = Vec::with_capacity(count);
    while queries.len() < count {
        let file = draw.below(corpus.len());
        let first = word(&mut draw, file);
        let second = match queries.len() % 40 {
            39 => format!("nowhere{}", draw.below(1_000)).replace(char::is_numeric, "x"),
            9 | 19 | 29 => {
                let other = draw.below(corpus.len());
                word(&mut draw, other)
            }
            _ => word(&mut draw, file),
        };
        if first != second {
            queries.push([first, second]);
        }
    }
    queries
}

fn measure_queries(report: &mut Report, who: &str, queries: &report::Queries) {
    let add = |report: &mut Report, name: &str, text: &str, figure: f64| {
        report.add(&format!("{who}_{name}"), &format!("{who}: {text}"), figure);
    };
    add(
        report,
        "queries_per_s",
        "two-word queries a second",
        queries.per_second(),
    );
    add(
        report,
        "query_p50_us",
        "µs a query, median",
        queries.quantile_micros(0.5),
    );
    add(
        report,
        "query_p99_us",
        "µs a query, 99 of 100 below",
        queries.quantile_micros(0.99),
    );
    add(
        report,
        "query_max_us",
        "µs the slowest query",
        queries.quantile_micros(1.0),
    );
    add(
        report,
        "incomplete",
        "share cut off at the work limit",
        queries.incomplete_share(),
    );
    add(
        report,
        "empty",
        "share without a result",
        queries.empty_share(),
    );
    add(report, "rows", "rows returned", queries.rows() as f64);
}

/// A third of all holders leave and come back. Returns the mean seconds of one
/// joining and one leaving, for the first hundred, which tantivy does too.
fn measure_ours(
    report: &mut Report,
    corpus: &Corpus,
    index: &mut gannet_index::Index,
) -> (f64, f64) {
    let movers: Vec<_> = corpus.holders().step_by(3).collect();
    let mut first = [Duration::ZERO; 2];
    let mut worst = Duration::ZERO;
    let mut worst_per_thousand = 0_f64;
    let mut total = Duration::ZERO;
    let mut moved = 0;
    for (place, files) in movers.iter().enumerate() {
        let time = ours::leave(index, corpus, files.clone());
        moved += files.len();
        total += time;
        worst = worst.max(time);
        if files.len() >= 500 {
            worst_per_thousand = worst_per_thousand.max(seconds(time) * 1e6 / files.len() as f64);
        }
        first[0] += if place < SIDE_BY_SIDE {
            time
        } else {
            Duration::ZERO
        };
    }
    let thousands = moved as f64 / 1e3;
    let mean = seconds(total) * 1e3 / thousands;
    report.add(
        "ours_leave_ms",
        "ours: ms for 1,000 entries of holders that leave",
        mean,
    );
    let text = "ours: the same, the slowest holder of 500 entries or more";
    report.add("ours_leave_worst_ms", text, worst_per_thousand);
    report.add(
        "ours_leave_longest_ms",
        "ours: ms the longest leaving",
        seconds(worst) * 1e3,
    );
    let mut total = Duration::ZERO;
    for (place, files) in movers.iter().enumerate() {
        let time = ours::join(index, corpus, files.clone());
        total += time;
        first[1] += if place < SIDE_BY_SIDE {
            time
        } else {
            Duration::ZERO
        };
    }
    let mean = seconds(total) * 1e3 / thousands;
    report.add(
        "ours_join_ms",
        "ours: ms for 1,000 entries of holders that come",
        mean,
    );
    let [leave, join] = first.map(|time| seconds(time) / SIDE_BY_SIDE as f64);
    report.add("ours_join_one_ms", "ours: ms one holder coming", join * 1e3);
    report.add(
        "ours_leave_one_ms",
        "ours: ms one holder leaving",
        leave * 1e3,
    );
    (join, leave)
}

/// Holders that leave and come in both indexes.
const SIDE_BY_SIDE: usize = 40;

fn measure_theirs(
    report: &mut Report,
    corpus: &Corpus,
    theirs: &mut theirs::Theirs,
    our_join: f64,
    our_leave: f64,
) -> Result<()> {
    let mut times = [Duration::ZERO; 2];
    let movers: Vec<_> = corpus.holders().step_by(3).take(SIDE_BY_SIDE).collect();
    for files in &movers {
        times[0] += theirs.leave(corpus, files.clone())?;
    }
    for files in &movers {
        times[1] += theirs.join(corpus, files.clone())?;
    }
    let [leave, join] = times.map(|time| seconds(time) / movers.len() as f64);
    report.add(
        "tantivy_join_one_ms",
        "tantivy: ms one holder coming, commit, reload",
        join * 1e3,
    );
    report.add(
        "tantivy_leave_one_ms",
        "tantivy: ms one holder leaving, commit, reload",
        leave * 1e3,
    );
    report.add(
        "join_ratio",
        "times faster: coming (at least 5)",
        join / our_join,
    );
    report.add(
        "leave_ratio",
        "times faster: leaving (at least 5)",
        leave / our_leave,
    );
    Ok(())
}
