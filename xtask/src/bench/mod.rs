//! `cargo xtask bench`: what the program promises about speed and memory, beside
//! what was measured.
//!
//! Figures that are compared are taken in the same run, taking turns, and are
//! medians of several runs.

mod flood;
mod http;
mod idle;
pub(crate) mod peer;
pub(crate) mod report;
pub(crate) mod scratch;
pub(crate) mod suites;
pub(crate) mod tool;
pub(crate) mod transfer;
pub(crate) mod usage;

use std::path::Path;

use anyhow::bail;

use report::Figure;
use scratch::Interrupt;

type Part = (
    &'static str,
    fn(&Path, &Interrupt) -> anyhow::Result<Vec<Figure>>,
);

const PARTS: &[Part] = &[
    ("index", suites::index),
    ("store", suites::store),
    ("transfer", transfer::run),
    ("idle", idle::run),
    ("flood", flood::run),
];

/// Runs one part or all; whether every target was met.
pub(crate) fn run(root: &Path, arguments: &[&str]) -> anyhow::Result<bool> {
    let json = arguments.contains(&"--json");
    let wanted: Vec<&str> = arguments
        .iter()
        .copied()
        .filter(|argument| *argument != "--json")
        .collect();
    let part = match wanted.as_slice() {
        [] | ["all"] => None,
        [part] if PARTS.iter().any(|(name, _)| name == part) => Some(*part),
        _ => bail!("bench takes one of index, store, transfer, idle, flood, all; and --json"),
    };
    let interrupt = Interrupt::register()?;
    let mut figures = Vec::new();
    for (name, measure) in PARTS {
        if part.is_none_or(|part| part == *name) {
            eprintln!("bench {name} …");
            figures.extend(measure(root, &interrupt)?);
        }
    }
    if json {
        println!("{}", serde_json::to_string_pretty(&figures)?);
    } else {
        print!("{}", report::table(&figures));
    }
    Ok(figures.iter().all(Figure::is_met))
}
