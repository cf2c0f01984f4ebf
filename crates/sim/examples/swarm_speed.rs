//! A swarm in virtual time, with any of its settings changed: how near it comes
//! to the least time, and what it sends for that.
//!
//! `cargo run --release -p gannet-sim --example swarm_speed -- PEERS MIB UP DOWN RUNS [SETTING=VALUE]…`

#![allow(clippy::print_stdout, reason = "a program")]

use std::time::Duration;

use gannet_sim::swarm::{Swarm, SwarmConfig};

fn main() {
    let mut arguments = std::env::args().skip(1);
    let mut number = |default: u64| {
        let typed = arguments.next().and_then(|text| text.parse().ok());
        typed.unwrap_or(default)
    };
    let mut config = SwarmConfig {
        peers: u32::try_from(number(64)).unwrap_or(64),
        size: number(64) << 20,
        up: number(20_000_000),
        down: number(80_000_000),
        ..SwarmConfig::default()
    };
    let runs = number(3);
    for setting in arguments {
        let (name, value) = setting.split_once('=').expect("SETTING=VALUE");
        set(&mut config, name, value.parse().expect("a number"));
    }
    for seed in 1..=runs {
        config.seed = seed;
        let least = config
            .ideal()
            .max(if config.seeds == 1 && config.seed_up.is_none() {
                config.rounds()
            } else {
                Duration::ZERO
            });
        let outcome = Swarm::new(config.clone()).run();
        let times = outcome.times();
        println!(
            "seed {seed}: {:.2} s, {:.3} times the least; once out {:.2}, first {:.2}, median {:.2}; \
             {:.3} copies, {:.2} % twice, {} messages of {} kB, {} slices, {} dropped",
            outcome.took.as_secs_f64(),
            outcome.took.as_secs_f64() / least.as_secs_f64(),
            outcome.all_out.map_or(0.0, |at| at.as_secs_f64()),
            times.first().map_or(0.0, Duration::as_secs_f64),
            times
                .get(times.len() / 2)
                .map_or(0.0, Duration::as_secs_f64),
            outcome.seed_copies(config.size),
            outcome.duplicate_share() * 100.0,
            outcome.messages,
            outcome.message_bytes / 1_000,
            outcome.slices,
            outcome.dropped_sources,
        );
    }
}

fn set(config: &mut SwarmConfig, name: &str, value: u64) {
    let size = usize::try_from(value).expect("a count");
    let time = Duration::from_millis(value);
    match name {
        "seeds" => config.seeds = u32::try_from(value).expect("a count"),
        "seed_up" => config.seed_up = Some(value),
        "latency" => config.latency = (time / 2, time * 3 / 2),
        "named" => config.named_max = size,
        "slots" => config.uploads.slots_max = size,
        "active" => config.downloads.sources_active_max = size,
        "queued" => config.downloads.sources_queued_max = size,
        "given" => config.uploads.given_interval = time,
        "have" => {
            config.uploads.have_interval = time;
            config.downloads.have_interval = time;
        }
        "news" => {
            config.uploads.have_interval_idle = time;
            config.downloads.have_interval_idle = time * 4 / 5;
        }
        "fellows" => config.downloads.fellows_max = size,
        "idle" => config.uploads.idle_partial_max = time,
        "brisk" => config.downloads.slice_duration = time,
        "thrifty_ms" => config.downloads.slice_duration_thrifty = time,
        "thrifty" => config.downloads.slice_groups_thrifty = value,
        "initial" => config.downloads.slice_groups_initial = value,
        "pipeline" => config.downloads.pipeline_duration = time,
        _ => panic!("no setting {name}"),
    }
}
