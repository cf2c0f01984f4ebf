//! Speed and memory of the laboratory: a network of two tiers.
//!
//! `cargo run --release -p gannet-sim --example supernode_speed [-- NODES
//! [LEAVES_MAX [FILES [QUERIES [KILL]]]]]`: defaults 100000, 100, 10000, 100
//! and no kill; `shrink:N` in place of KILL lets all but N go.

#![allow(clippy::print_stdout, reason = "a program")]
#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::time::Instant;

use gannet_sim::lab::supernode::{Params, run};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u32| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let mut params = Params {
        nodes: number(100_000),
        leaves_max: u16::try_from(number(100)).expect("places"),
        files: number(10_000),
        queries: number(100),
        ..Params::default()
    };
    for word in arguments {
        match word.split_once(':') {
            Some(("shrink", to)) => params.shrink_to = Some(to.parse().expect("a number")),
            Some(("seed", seed)) => params.seed = seed.parse().expect("a number"),
            Some(("no", "backup")) => params.backup = false,
            Some(("no", "jitter")) => params.jitter = false,
            Some(("no", "shedding")) => params.shedding = false,
            _ => params.kill = Some(word.parse().expect("a share")),
        }
    }
    let start = Instant::now();
    let report = run(&params).expect("possible parameters");
    let seconds = start.elapsed().as_secs_f64();
    println!("{report:#?}");
    println!("{seconds:.1} s, {} events", report.events);
    // Linux tells the most memory there was.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:")) {
        println!("{line}");
    }
}
