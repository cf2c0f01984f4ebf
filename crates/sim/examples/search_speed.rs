//! Speed and memory of the laboratory: searches in a network of flood peers.
//!
//! `cargo run --release -p gannet-sim --example search_speed [-- NODES
//! [QUERIES [COPIES [KIND]]]]`: defaults 100000, 100, 10 and `ring`; KIND is
//! `ring`, `dynamic`, or a TTL for a plain flood without tables and reports.

#![allow(clippy::print_stdout, reason = "a program")]
#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::time::Instant;

use gannet_overlay::flood::Strategy;
use gannet_sim::lab::search::{Params, run};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let (nodes, queries, copies) = (number(100_000), number(100), number(10));
    let kind = arguments.next().unwrap_or_else(|| "ring".to_owned());
    let mut params = Params {
        nodes,
        files: nodes,
        copies: f64::from(copies),
        queries,
        ..Params::default()
    };
    match kind.as_str() {
        "ring" => {}
        "dynamic" => params.strategy = Strategy::Dynamic,
        ttl => {
            let ttl = ttl.parse().expect("ring, dynamic or a TTL");
            params.strategy = Strategy::Flood { ttl };
            params.tables = false;
            params.reports = false;
        }
    }
    let before = resident_kib();
    let began = Instant::now();
    let report = run(&params).expect("these are possible");
    let seconds = began.elapsed().as_secs_f64();
    println!(
        "{}",
        serde_json::to_string_pretty(&report).expect("plain data")
    );
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let rate = report.events as f64 / seconds / 1e6;
    let peak = peak_kib().saturating_sub(before);
    let each = peak * 1024 / u64::from(nodes);
    println!("{seconds:.2} s, {rate:.2} million events a second, at most {each} bytes a peer");
}

fn resident_kib() -> u64 {
    status("VmRSS:")
}

fn peak_kib() -> u64 {
    status("VmHWM:")
}

/// A line of the process's status; 0 where there is none.
fn status(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
