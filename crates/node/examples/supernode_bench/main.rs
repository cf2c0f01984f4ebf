//! A real supernode on one core, with some hundred leaves: how much memory it
//! takes and how many searches a second it answers. Prints a table, or JSON.
//!
//! `supernode_bench [--leaves N] [--files N] [--seconds N] [--json]`
//!
//! The supernode is a [`Node`] in a process of its own (this program again, as
//! `supernode_bench supernode N`), kept on the first processor with `taskset`
//! where that exists. The leaves are in this process, on the other processors
//! if there are some: each has its own key, its own QUIC endpoint on loopback
//! and the leaf side of the supernode core, and publishes signed entries of
//! files that nobody has. What leaves ask costs them too, and everything else
//! on the machine costs both: besides searches a second, the program says what
//! share of its processor the supernode had, and what a whole one would do.
//!
//! Two rounds of searches: two of a file's words, taken blindly, and the two
//! rarest of them, as who wants that file would type. No leaf asks faster than
//! its budget allows (10 a second), so 300 leaves ask 3,000 times at most.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program")]

mod common;
mod leaf;
mod process;
mod report;
mod words;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, mpsc, watch};

use common::{Common, Round};
use leaf::leaf;
use process::{Process, supernode, taskset};
use report::report;
use words::Vocabulary;

/// Longest that anything may take.
const DEADLINE: Duration = Duration::from_secs(300);
/// Leaves that register at once: a network grows, it does not appear.
const REGISTERING: usize = 32;
/// Leaves ask so long before it counts.
const WARM_UP: Duration = Duration::from_secs(1);

fn main() {
    let mut arguments = std::env::args().skip(1);
    let (mut leaves, mut files, mut seconds, mut json) = (300, 1_000, 10, false);
    while let Some(argument) = arguments.next() {
        let mut number = || {
            let text = arguments.next().expect("a number follows");
            text.parse::<u32>().expect("a number")
        };
        match argument.as_str() {
            "supernode" => return supernode(number()),
            "--leaves" => leaves = number(),
            "--files" => files = number(),
            "--seconds" => seconds = number().max(1),
            "--json" => json = true,
            other => panic!("unknown argument {other}"),
        }
    }
    measure(leaves, files, Duration::from_secs(seconds.into()), json);
}

/// Threads for everything that waits.
pub(crate) fn runtime() -> Runtime {
    Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("threads start")
}

fn measure(leaves: u32, files: u32, window: Duration, json: bool) {
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let mut process = Process::start(leaves);
    // Before there are threads: they inherit it.
    let others = format!("1-{}", processors.saturating_sub(1));
    let own = std::process::id().to_string();
    let is_apart = process.is_pinned && processors > 1 && taskset(&["-cp", &others, &own]);
    let empty_mib = process.memory_mib("VmRSS:");
    let common = Arc::new(Common {
        vocabulary: Vocabulary::new(),
        files: files.into(),
        all_files: u64::from(leaves) * u64::from(files),
        supernode: process.address.clone(),
        registering: Semaphore::new(REGISTERING),
        tally: Mutex::default(),
    });
    let runtime = runtime();
    let (round, rounds) = watch::channel(Round::Quiet);
    let (ends, mut ended) = mpsc::unbounded_channel();
    for number in 0..leaves {
        let leaf = runtime.spawn(leaf(common.clone(), number.into(), rounds.clone()));
        let ends = ends.clone();
        runtime.spawn(async move { ends.send(leaf.await) });
    }
    let begun = Instant::now();
    registered(&mut process, &common, || ended.try_recv().is_ok());
    let (registering_s, registering_cpu) = (begun.elapsed().as_secs_f64(), process.cpu_seconds());
    pause(Duration::from_secs(3));
    let full_mib = process.memory_mib("VmRSS:");
    let mut searches = Vec::new();
    for (kind, name) in [(Round::Any, "any two"), (Round::Rarest, "two rarest")] {
        round.send_replace(kind);
        pause(WARM_UP);
        searches.push(searched(&process, &common, window, name));
        round.send_replace(Round::Quiet);
        pause(WARM_UP);
    }
    assert!(ended.try_recv().is_err(), "a leaf ended");
    let figures = serde_json::json!({
        "leaves": leaves,
        "files": files,
        "entries": process.status().0,
        "supernode_on_one_processor": process.is_pinned,
        "leaves_on_others": is_apart,
        "processors": processors,
        "registering_seconds": registering_s,
        "registering_cpu_seconds": registering_cpu,
        "resident_mib_empty": empty_mib,
        "resident_mib_registered": full_mib,
        "resident_mib_after_searches": process.memory_mib("VmRSS:"),
        "resident_mib_peak": process.memory_mib("VmHWM:"),
        "searches": searches,
    });
    report(&figures, json);
    runtime.shutdown_background();
    process.end();
}

fn pause(time: Duration) {
    std::thread::sleep(time); // tidy: allow(a measurement lasts as long as it lasts)
}

/// Waits until the supernode has every entry.
fn registered(process: &mut Process, common: &Common, mut has_failed: impl FnMut() -> bool) {
    let begun = Instant::now();
    let mut told = begun;
    loop {
        let (entries, leaves) = process.status();
        if entries as u64 >= common.all_files {
            return;
        }
        assert!(!has_failed(), "a leaf ended");
        if told.elapsed() > Duration::from_secs(5) {
            told = Instant::now();
            eprintln!("{entries} entries of {leaves} leaves");
        }
        assert!(begun.elapsed() < DEADLINE, "{entries} entries so far");
        pause(Duration::from_millis(250));
    }
}

/// Counts for a while what leaves are answered.
fn searched(process: &Process, common: &Common, window: Duration, name: &str) -> serde_json::Value {
    drop(common.take_tally());
    let (begun, cpu) = (Instant::now(), process.cpu_seconds());
    pause(window);
    let mut tally = common.take_tally();
    let seconds = begun.elapsed().as_secs_f64();
    let cpu = process.cpu_seconds() - cpu;
    tally.micros.sort_unstable();
    let percentile = |percent: usize| {
        let at = tally.micros.len().saturating_sub(1) * percent / 100;
        f64::from(tally.micros.get(at).copied().unwrap_or(0)) / 1e3
    };
    let answered = f64::from(tally.answered);
    serde_json::json!({
        "words": name,
        "answered_per_second": answered / seconds,
        "processor_share": cpu / seconds,
        "answered_per_cpu_second": answered / cpu,
        "refused": tally.refused,
        "otherwise": tally.otherwise,
        "rows_mean": tally.rows as f64 / answered,
        "answer_bytes_mean": tally.bytes as f64 / answered,
        "answer_ms_p50": percentile(50),
        "answer_ms_p99": percentile(99),
    })
}
