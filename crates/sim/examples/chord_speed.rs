//! Speed of the laboratory of Chord.
//!
//! `cargo run --release -p gannet-sim --example chord_speed -- WHAT [NUMBER…]`:
//! `check [IDS [SUCCESSORS]]`, `path [NODES [SUCCESSORS [LOOKUPS [SEED]]]]` or
//! `fail [NODES [SUCCESSORS [PER_CENT [LOOKUPS [SEED]]]]]`, `churn [NODES
//! [SUCCESSORS [JOINS_IN_100_S [LOOKUPS [SEED]]]]]` or `heal [NODES [SUCCESSORS
//! [PER_CENT [SECONDS [SEED]]]]]`.

#![allow(clippy::print_stdout, reason = "a program")]
#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::time::{Duration, Instant};

use gannet_sim::lab::chord::{check, churn, fail, heal, path};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let what = arguments.next().unwrap_or_else(|| "path".to_owned());
    let mut number = |default: u32| {
        arguments
            .next()
            .map_or(default, |text| text.parse().expect("a number"))
    };
    let start = Instant::now();
    match what.as_str() {
        "check" => {
            let small = |number: u32| u8::try_from(number).expect("few");
            let params = check::Params {
                ids: small(number(5)),
                successors: small(number(2)),
            };
            println!("{:#?}", check::run(&params).expect("possible"));
        }
        "path" => {
            let params = path::Params {
                nodes: number(1_000_000),
                successors: number(1),
                lookups: number(100_000),
                seed: number(1).into(),
                ..path::Params::default()
            };
            let watch = |phase| {
                if params.nodes >= 10_000 {
                    println!("{:.1} s: {phase:?}", start.elapsed().as_secs_f64());
                }
            };
            println!(
                "{:#?}",
                path::run_watched(&params, watch).expect("possible")
            );
        }
        "fail" => {
            let params = fail::Params {
                nodes: number(1_000),
                successors: number(20),
                fail: f64::from(number(50)) / 100.0,
                lookups: number(10_000),
                seed: number(1).into(),
                liars: f64::from(number(0)) / 100.0,
                paths: u8::try_from(number(1)).expect("a few ways"),
                is_wary: number(1) == 1,
            };
            println!("{:#?}", fail::run(&params).expect("possible"));
        }
        other => play_in_time(other, &mut number),
    }
    println!("{:.1} s", start.elapsed().as_secs_f64());
    // Linux tells the most memory there was.
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if let Some(line) = status.lines().find(|line| line.starts_with("VmHWM:")) {
        println!("{line}");
    }
}

/// What lasts for a while.
fn play_in_time(what: &str, number: &mut dyn FnMut(u32) -> u32) {
    match what {
        "churn" => {
            let params = churn::Params {
                nodes: number(1_000),
                successors: number(20),
                rate: f64::from(number(5)) / 100.0,
                lookups: number(10_000),
                seed: number(1).into(),
                ..churn::Params::default()
            };
            println!("{:#?}", churn::run(&params).expect("possible"));
        }
        "heal" => {
            let params = heal::Params {
                nodes: number(1_000),
                successors: number(16),
                split: f64::from(number(50)) / 100.0,
                duration: Duration::from_secs(number(120).into()),
                seed: number(1).into(),
                ..heal::Params::default()
            };
            println!("{:#?}", heal::run(&params).expect("possible"));
        }
        other => panic!("what is {other}?"),
    }
}
