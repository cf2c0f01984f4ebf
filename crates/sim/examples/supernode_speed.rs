//! Speed and memory of the laboratory: a network of two tiers.
//!
//! `cargo run --release -p gannet-sim --example supernode_speed [-- NODES
//! [LEAVES_MAX [FILES [QUERIES [KILL]]]]]`: defaults 100000, 100, 10000, 100
//! and no kill; `shrink:N` in place of KILL lets all but N go, `known:N` bounds
//! the lists of supernodes, `seed:N` and `no:backup` say themselves.

#![allow(clippy::print_stdout, reason = "a program")]

mod speed;

use gannet_sim::lab::supernode::{Params, run};

use speed::{memory_kib, number, timed};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut params = Params {
        nodes: number(&mut arguments, 100_000),
        leaves_max: u16::try_from(number(&mut arguments, 100)).expect("places"),
        files: number(&mut arguments, 10_000),
        queries: number(&mut arguments, 100),
        ..Params::default()
    };
    for word in arguments {
        match word.split_once(':') {
            Some(("shrink", to)) => params.shrink_to = Some(to.parse().expect("a number")),
            Some(("known", max)) => params.known_max = max.parse().expect("a number"),
            Some(("seed", seed)) => params.seed = seed.parse().expect("a number"),
            Some(("no", "backup")) => params.backup = false,
            Some(("no", "jitter")) => params.jitter = false,
            Some(("no", "shedding")) => params.shedding = false,
            _ => params.kill = Some(word.parse().expect("a share")),
        }
    }
    let (report, seconds) = timed(|| run(&params).expect("possible parameters"));
    println!("{report:#?}");
    let peak_mib = memory_kib("VmHWM:") / 1_024;
    println!(
        "{seconds:.1} s, {} events, at most {peak_mib} MiB",
        report.events
    );
}
