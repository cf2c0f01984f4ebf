//! Benchmarks that live beside what they measure: programs that print one JSON
//! object of numbers.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail};
use serde_json::Value;

use super::report::{Figure, Target, median, spread};
use super::scratch::Interrupt;
use super::tool;

/// How often each program runs.
const RUNS: usize = 3;

/// A figure that was promised: its key, what it is, its unit, its target.
type Promise = (&'static str, &'static str, &'static str, Target);

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
    let manifest = ["--manifest-path", "bench/tantivy/Cargo.toml"];
    let program = tool::build(root, &manifest, interrupt)?;
    let mut command = Command::new(program);
    command.current_dir(root).arg("--json");
    let mut runs = runs(&mut command, interrupt)?;
    for run in &mut runs {
        if let (Some(ours), Some(theirs)) = (
            run.get("ours_queries_per_s"),
            run.get("tantivy_queries_per_s"),
        ) {
            run.insert("queries_ratio".to_owned(), ours / theirs);
        }
    }
    figures("index", INDEX, &runs)
}

/// Hashing and scanning, beside b3sum.
pub(crate) fn store(root: &Path, interrupt: &Interrupt) -> anyhow::Result<Vec<Figure>> {
    let b3sum = b3sum(root, interrupt)?;
    let mut command = tool::cargo(root);
    command.args(["bench", "--package", "gannet-store", "--bench", "store"]);
    command.args(["--", "--json"]).env("B3SUM", b3sum);
    let runs = runs(&mut command, interrupt)?;
    figures("store", STORE, &runs)
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

type Run = BTreeMap<String, f64>;

fn runs(command: &mut Command, interrupt: &Interrupt) -> anyhow::Result<Vec<Run>> {
    (0..RUNS)
        .map(|n| {
            eprintln!("  run {} of {RUNS}", n + 1);
            let text = tool::output(command, interrupt)?;
            numbers(&tool::last_json(&text)?)
        })
        .collect()
}

/// The numbers of an object, by key.
fn numbers(value: &Value) -> anyhow::Result<Run> {
    let fields = value.as_object().context("the figures are no object")?;
    Ok(fields
        .iter()
        .filter_map(|(key, value)| Some((key.clone(), value.as_f64()?)))
        .collect())
}

/// Medians: first what was promised, then everything else that was measured.
fn figures(part: &'static str, promises: &[Promise], runs: &[Run]) -> anyhow::Result<Vec<Figure>> {
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
        let value = serde_json::json!({ "a": 1, "b": 2.5, "c": "text", "d": null });
        let run = Run::from([("a".to_owned(), 1.0), ("b".to_owned(), 2.5)]);
        assert_eq!(numbers(&value).unwrap(), run);
        assert!(numbers(&serde_json::json!([1])).is_err());
    }
}
