//! Benchmarks that live beside what they measure, and print their figures.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::report::{Figure, Target, median, spread};
use super::scratch::{self, Interrupt};
use super::tool;

/// How often each program runs.
pub(super) const RUNS: usize = 3;

/// A figure that was promised: its key, what it is, its unit, its target.
pub(crate) type Promise = (&'static str, &'static str, &'static str, Target);

const INDEX: &[Promise] = &[
    (
        "ours_bytes_per_entry",
        "resident memory an entry",
        "bytes",
        Target::AtMost(300.0),
    ),
    (
        "ours_queries_per_s",
        "two-word queries",
        "/s",
        Target::AtLeast(20_000.0),
    ),
    (
        "queries_ratio",
        "queries, times tantivy's",
        "",
        Target::AtLeast(1.0),
    ),
    (
        "ours_leave_ms",
        "1,000 entries of a holder that leaves",
        "ms",
        Target::AtMost(1.0),
    ),
    (
        "join_ratio",
        "holders coming, times tantivy's",
        "",
        Target::AtLeast(5.0),
    ),
    (
        "leave_ratio",
        "holders leaving, times tantivy's",
        "",
        Target::AtLeast(5.0),
    ),
];

const STORE: &[Promise] = &[
    (
        "hash_ratio",
        "hashing large files, times b3sum's",
        "",
        Target::AtLeast(0.9),
    ),
    (
        "rescan_seconds",
        "100,000 unchanged files scanned again",
        "s",
        Target::AtMost(2.0),
    ),
];

/// The word index beside tantivy.
pub(crate) fn index(root: &Path, interrupt: &Interrupt) -> anyhow::Result<Vec<Figure>> {
    index_runs(root, RUNS, interrupt)
}

/// The same, so many times.
pub(crate) fn index_runs(
    root: &Path,
    times: usize,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Figure>> {
    let manifest = ["--manifest-path", "bench/tantivy/Cargo.toml"];
    let program = tool::build(root, &manifest, interrupt)?;
    let mut command = Command::new(program);
    command.current_dir(root).arg("--json");
    let runs = runs(&mut command, times, index_figures, interrupt)?;
    figures("index", INDEX, &runs)
}

/// What the index's benchmark prints, and what is made of it: both indexes
/// answered in the same run.
fn index_figures(text: &str) -> anyhow::Result<Run> {
    let mut run = numbers(text)?;
    if let (Some(ours), Some(theirs)) = (
        run.get("ours_queries_per_s"),
        run.get("tantivy_queries_per_s"),
    ) {
        run.insert("queries_ratio".to_owned(), ours / theirs);
    }
    Ok(run)
}

/// Hashing and scanning, beside b3sum.
pub(crate) fn store(root: &Path, interrupt: &Interrupt) -> anyhow::Result<Vec<Figure>> {
    let program = tool::programs(root, interrupt)?.store;
    store_runs(root, &program, RUNS, interrupt)
}

/// The same with the benchmark built, so many times.
pub(crate) fn store_runs(
    root: &Path,
    program: &Path,
    times: usize,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Figure>> {
    let b3sum = b3sum(root, interrupt)?;
    // It makes its files in here, so they go even if it is killed.
    let folder = scratch::folder()?;
    let mut command = Command::new(program);
    command.arg(folder.path()).env("B3SUM", b3sum);
    let runs = runs(&mut command, times, store_figures, interrupt)?;
    figures("store", STORE, &runs)
}

/// The figures in what the store's benchmark prints.
fn store_figures(text: &str) -> anyhow::Result<Run> {
    let number = |line: &str, before: &str, after: &str| -> anyhow::Result<f64> {
        let found = text
            .lines()
            .find_map(|candidate| candidate.strip_prefix(line))
            .and_then(|rest| rest.split_once(before)?.1.split_once(after));
        let (number, _) = found.with_context(|| format!("no \"{line}\" in {text:?}"))?;
        Ok(number.trim().parse()?)
    };
    let figures = [
        (
            "hash_ratio",
            number("b3sum, same files", "(ours is ", " of it")?,
        ),
        ("rescan_seconds", number("scan of the same", ":", " s")?),
        ("hash_mb_per_s", number("hash and outboard", ":", " MB/s")?),
        (
            "encode_mb_per_s",
            number("read, verify and encode", ":", " MB/s")?,
        ),
        ("decode_mb_per_s", number("verify and write", ":", " MB/s")?),
    ];
    let named = figures.map(|(key, number)| (key.to_owned(), number));
    Ok(Run::from(named))
}

/// The reference program, installed beside the build output once.
fn b3sum(root: &Path, interrupt: &Interrupt) -> anyhow::Result<PathBuf> {
    let home = root.join("target").join("bench-tools");
    let program = home.join("bin").join("b3sum");
    if !program.exists() {
        let mut command = tool::cargo(root);
        command.args(["install", "--locked", "b3sum", "--root"]);
        tool::output(command.arg(&home), interrupt)?;
    }
    Ok(program)
}

pub(crate) type Run = BTreeMap<String, f64>;

pub(crate) fn runs(
    command: &mut Command,
    times: usize,
    read: fn(&str) -> anyhow::Result<Run>,
    interrupt: &Interrupt,
) -> anyhow::Result<Vec<Run>> {
    (0..times)
        .map(|n| {
            eprintln!("  run {} of {times}", n + 1);
            let text = tool::output(command, interrupt)?;
            read(&text)
        })
        .collect()
}

/// The numbers of the JSON object that a program printed, by key.
pub(crate) fn numbers(text: &str) -> anyhow::Result<Run> {
    number_fields(&tool::last_json(text)?)
}

/// Those fields of an object that are numbers.
pub(crate) fn number_fields(value: &Value) -> anyhow::Result<Run> {
    let fields = value.as_object().context("the figures are no object")?;
    Ok(fields
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)))
        .collect())
}

/// Medians: first what was promised, then everything else that was measured.
pub(crate) fn figures(
    part: &'static str,
    promises: &[Promise],
    runs: &[Run],
) -> anyhow::Result<Vec<Figure>> {
    let values = |key: &str| -> Vec<f64> {
        let found = runs.iter().filter_map(|run| run.get(key));
        found.copied().collect()
    };
    let mut figures = Vec::new();
    for (key, what, unit, target) in promises {
        let values = values(key);
        if values.is_empty() {
            bail!("the {part} benchmark does not report {key}");
        }
        let figure = Figure::new(part, what, median(&values), unit);
        figures.push(figure.target(*target).note(spread(&values)));
    }
    let promised = |key: &str| promises.iter().any(|(promised, ..)| *promised == key);
    let other = runs.first().into_iter().flat_map(Run::keys);
    figures.extend(
        other
            .filter(|key| !promised(key))
            .map(|key| Figure::new(part, key, median(&values(key)), "")),
    );
    Ok(figures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_medians_and_promises_come_first() {
        let run = |a: f64, b: f64| Run::from([("a".to_owned(), a), ("b".to_owned(), b)]);
        let runs = [run(1.0, 10.0), run(3.0, 30.0), run(2.0, 20.0)];
        let promises: &[Promise] = &[("b", "what b is", "ms", Target::AtMost(25.0))];
        let found = figures("index", promises, &runs).unwrap();
        let names: Vec<(&str, f64)> = found
            .iter()
            .map(|figure| (figure.what.as_str(), figure.measured))
            .collect();
        assert_eq!(names, [("what b is", 20.0), ("a", 2.0)]);
        assert!(found[0].is_met());
        let gone: &[Promise] = &[("c", "gone", "", Target::AtLeast(1.0))];
        assert!(figures("index", gone, &runs).is_err());
    }

    #[test]
    fn only_numbers_are_figures() {
        let text = r#"{"a": 1, "b": 2.5, "c": "text", "d": null}"#;
        let run = Run::from([("a".to_owned(), 1.0), ("b".to_owned(), 2.5)]);
        assert_eq!(numbers(text).unwrap(), run);
        assert!(numbers("[1]").is_err());
    }

    #[test]
    fn the_indexes_are_compared_within_a_run() {
        let run = index_figures(r#"{"ours_queries_per_s": 30, "tantivy_queries_per_s": 20}"#);
        assert_eq!(run.unwrap()["queries_ratio"], 1.5);
        // With `--alone`.
        let run = index_figures(r#"{"ours_queries_per_s": 30}"#).unwrap();
        assert!(!run.contains_key("queries_ratio"));
    }

    #[test]
    fn the_stores_lines_are_read() {
        let text = "hash and outboard of 4 files of 512 MiB: 3000 MB/s\n\
            b3sum, same files:         3150 MB/s (ours is 0.95 of it)\n\
            read, verify and encode slices of 1 MiB, one thread: 1200 MB/s\n\
            verify and write slices of 1 MiB, one thread:        1100 MB/s\n\
            scan of the same, unchanged:      0.51 s\n";
        let run = store_figures(text).unwrap();
        assert_eq!(run["hash_ratio"], 0.95);
        assert_eq!(run["rescan_seconds"], 0.51);
        assert_eq!(run["hash_mb_per_s"], 3000.0);
        let without = text.replace("b3sum", "");
        assert!(store_figures(&without).is_err());
    }
}
