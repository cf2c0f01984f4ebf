//! A hundred real peers that find files through each other.

use std::path::Path;
use std::process::Command;

use super::report::{Figure, Target};
use super::scratch::{self, Interrupt};
use super::suites::{Promise, RUNS, figures, numbers, runs};
use super::tool;

const PROMISES: &[Promise] = &[
    (
        "first_row_ms_p50",
        "first row, half of the searches",
        "ms",
        Target::AtMost(100.0),
    ),
    (
        "all_rows_ms_max",
        "all rows, every search",
        "ms",
        Target::AtMost(1_000.0),
    ),
];

/// Searches among a hundred peers in one process on loopback.
pub(crate) fn run(root: &Path, interrupt: &Interrupt) -> anyhow::Result<Vec<Figure>> {
    let program = tool::programs(root, interrupt)?.flood;
    let folder = scratch::folder()?;
    let mut command = Command::new(program);
    command.env("TMPDIR", folder.path());
    let runs = runs(&mut command, RUNS, numbers, interrupt)?;
    figures("flood", PROMISES, &runs)
}
