//! The start of a peer that shares very many files which have not changed.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::Bench;
use crate::bench::peer::{Lab, Peer};
use crate::bench::report::{Figure, Target, median, spread};
use crate::bench::scratch;
use crate::bench::usage;

const PART: &str = "start";
const READY_SECONDS: Target = Target::AtMost(3.0);
const RESIDENT_MEGABYTES: Target = Target::AtMost(400.0);
const FILES_PER_FOLDER: u64 = 1_000;
/// Longest time for the first indexing, and for each start.
const PATIENCE: Duration = Duration::from_secs(3_600);
/// Longer than a search lasts.
const SEARCH_MAX: Duration = Duration::from_secs(120);

/// Everything about starting.
pub(crate) fn run(bench: &Bench<'_>) -> anyhow::Result<Vec<Figure>> {
    let files = bench.options.files;
    let folder = scratch::folder()?;
    let shared = folder.path().join("shared");
    write_files(&shared, files)?;
    let lab = bench.lab(folder.path());
    let begun = Instant::now();
    let first = lab.start("shares", "up", &[shared.to_str().context("no UTF-8")?])?;
    bench
        .interrupt
        .wait_for("the first indexing", PATIENCE, || {
            let shares = first.api.get("/status")?["shares"].take();
            let is_done = shares["files"].as_u64() == Some(files) && shares["scanning"].is_null();
            Ok(is_done.then_some(()))
        })?;
    let indexing = begun.elapsed().as_secs_f64();
    first.stop(bench.interrupt)?;
    eprintln!("  {files} files indexed in {indexing:.1} s");
    let mut starts = Vec::new();
    for n in 0..bench.options.runs {
        let start = again(bench, &lab, files, n)?;
        eprintln!("  start: {:.2} s, {:.0} MB", start.seconds, start.megabytes);
        starts.push(start);
    }
    let seconds: Vec<f64> = starts.iter().map(|start| start.seconds).collect();
    let apis: Vec<f64> = starts.iter().map(|start| start.api_seconds).collect();
    let memory: Vec<f64> = starts.iter().map(|start| start.megabytes).collect();
    let figure = |what: &str, values: &[f64], unit: &str| {
        let what = format!("{files} unchanged files: {what}");
        Figure::new(PART, &what, median(values), unit).note(spread(values))
    };
    Ok(vec![
        figure("first indexing", &[indexing], "s"),
        figure("until the API answers", &apis, "s"),
        figure("until the last file is found", &seconds, "s").target(READY_SECONDS),
        figure("resident when the scan is over", &memory, "MB").target(RESIDENT_MEGABYTES),
    ])
}

struct Start {
    api_seconds: f64,
    seconds: f64,
    megabytes: f64,
}

/// One start beside a peer that asks.
fn again(bench: &Bench<'_>, lab: &Lab<'_>, files: u64, n: usize) -> anyhow::Result<Start> {
    // Forbidden to be a supernode: else all files would be registered there too.
    let asker = lab.start(&format!("asks {n}"), "up", &["--role", "forbid"])?;
    let from = Instant::now();
    let peer = lab.start("shares", "up", &["--peer", &asker.address])?;
    let api_seconds = from.elapsed().as_secs_f64();
    let words = format!("file number {}", files - 1);
    bench.interrupt.wait_for("an answer", PATIENCE, || {
        Ok(is_found(bench, &asker, &words)?.then_some(()))
    })?;
    let seconds = from.elapsed().as_secs_f64();
    bench
        .interrupt
        .wait_for("the end of the scan", PATIENCE, || {
            let shares = &peer.api.get("/status")?["shares"];
            let is_done = shares["ready"].is_null() && shares["scanning"].is_null();
            Ok(is_done.then_some(()))
        })?;
    let megabytes = usage::resident_megabytes(peer.pid())?;
    peer.stop(bench.interrupt)?;
    Ok(Start {
        api_seconds,
        seconds,
        megabytes,
    })
}

/// Whether one search, taken to its end, has a row.
fn is_found(bench: &Bench<'_>, asker: &Peer, words: &str) -> anyhow::Result<bool> {
    let search = asker.api.post("/searches", &json!({ "query": words }))?;
    let id = search["id"].as_u64().context("the search has no id")?;
    bench.interrupt.wait_for("a search", SEARCH_MAX, || {
        let state: Value = asker.api.get(&format!("/searches/{id}"))?;
        let rows = state["rows"].as_array();
        let has_row = rows.is_some_and(|rows| !rows.is_empty());
        Ok((has_row || !state["end"].is_null()).then_some(has_row))
    })
}

fn write_files(shared: &Path, files: u64) -> anyhow::Result<()> {
    for n in 0..files {
        let folder = shared.join(format!("folder {}", n / FILES_PER_FOLDER));
        if n % FILES_PER_FOLDER == 0 {
            fs::create_dir_all(&folder)?;
        }
        let text = format!("what is in file {n}\n");
        fs::write(folder.join(format!("file number {n}.txt")), text)?;
    }
    Ok(())
}
