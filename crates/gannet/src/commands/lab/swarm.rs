//! `gannet lab swarm`.

use std::time::Duration;

use clap::Args;
use gannet_sim::lab::swarm::{self, Params, Report};
use gannet_sim::{Impossible, Latency};

use super::plot::{Plot, Series};
use super::{How, View, experiment, per_cent};
use crate::exit::{Exit, Outcome};
use crate::output::{Printer, count, size, speed};

/// `lab swarm`.
#[derive(Debug, Clone, Args)]
pub(super) struct SwarmArgs {
    /// Peers that start with nothing
    #[arg(long, value_name = "N", default_value_t = Params::default().peers)]
    peers: u32,
    /// Peers that start with everything
    #[arg(long, value_name = "N", default_value_t = Params::default().seeds)]
    seeds: u32,
    /// Size of the file: bytes, or such as 500K, 20M, 1MiB
    #[arg(long, value_name = "BYTES", value_parser = amount, default_value_t = Params::default().size)]
    size: u64,
    /// What each peer can send: bytes a second, or such as 500K, 20M
    #[arg(long, value_name = "RATE", value_parser = amount, default_value_t = Params::default().up)]
    up: u64,
    /// What each peer can receive
    #[arg(long, value_name = "RATE", value_parser = amount, default_value_t = Params::default().down)]
    down: u64,
    /// Share of those who fetch that crash on the way, 0 to 1
    #[arg(long, value_name = "FRACTION", default_value_t = Params::default().die)]
    die: f64,
    /// Share of the seeds that crash on the way
    #[arg(long, value_name = "FRACTION", default_value_t = Params::default().die_seeds)]
    die_seeds: f64,
    /// How long a message takes, milliseconds: equal:MS or uniform:LO,HI
    /// [default: uniform:10,30]
    #[arg(long, value_name = "LATENCY")]
    latency: Option<String>,
}

pub(super) fn run(args: &SwarmArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = Params {
        peers: args.peers,
        seeds: args.seeds,
        size: args.size,
        up: args.up,
        down: args.down,
        die: args.die,
        die_seeds: args.die_seeds,
        latency: latency(args.latency.as_deref())?,
        seed: how.seed,
    };
    experiment(how, out, || swarm::run(&params), view)
}

/// The bounds of the latency that was typed.
fn latency(typed: Option<&str>) -> Result<(Duration, Duration), Impossible> {
    let Some(typed) = typed else {
        return Ok(Params::default().latency);
    };
    match Latency::parse("--latency", typed)? {
        Latency::Equal(latency) => Ok((latency, latency)),
        Latency::Uniform(low, high) => Ok((low, high)),
        _ => {
            let possible = "in a swarm it is equal:MS or uniform:LOW,HIGH";
            Err(Impossible::new("--latency", typed, possible))
        }
    }
}

/// A number of bytes with a unit or without.
fn amount(text: &str) -> Result<u64, String> {
    let lower = text.trim().to_ascii_lowercase();
    let digits = lower.trim_end_matches(|c: char| !c.is_ascii_digit());
    let factor = match &lower[digits.len()..] {
        "" | "b" => Some(1),
        "k" | "kb" => Some(1_000),
        "m" | "mb" => Some(1_000_000),
        "g" | "gb" => Some(1_000_000_000),
        "kib" => Some(1 << 10),
        "mib" => Some(1 << 20),
        "gib" => Some(1 << 30),
        _ => None,
    };
    let number: Option<u64> = digits.parse().ok();
    number
        .zip(factor)
        .and_then(|(number, factor)| number.checked_mul(factor))
        .ok_or_else(|| "write a whole number of bytes, such as 5000000, 500K, 20M or 1MiB".into())
}

fn view(report: &Report) -> View {
    let bound = report.ideal_seconds.max(report.round_bound_seconds);
    let bars = [
        ("bound", bound),
        ("half finished", report.finish_seconds_p50),
        ("99 of 100", report.finish_seconds_p99),
        ("all", report.seconds),
    ];
    View {
        facts: facts(report),
        table: None,
        plot: Plot {
            title: format!(
                "{} fetch {} from {}",
                count(report.peers.into(), "peer"),
                size(report.size),
                count(report.seeds.into(), "seed")
            ),
            x: String::new(),
            labels: bars.map(|(name, _)| name.to_owned()).to_vec(),
            y: "seconds".to_owned(),
            series: vec![Series::bars(
                "seconds",
                bars.iter()
                    .zip(0_u32..)
                    .map(|((_, y), x)| (x.into(), *y))
                    .collect(),
            )],
        },
        events: report.events,
        peers: u64::from(report.peers) + u64::from(report.seeds),
        exit: Exit::Done,
    }
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let complete = format!(
        "{} of {} that lived, {}",
        report.complete,
        report.survivors,
        per_cent(report.complete_share)
    );
    vec![
        (
            "peers",
            format!(
                "{}, and {}",
                report.peers,
                count(report.seeds.into(), "seed")
            ),
        ),
        ("file", size(report.size)),
        (
            "lines",
            format!("{} up, {} down", speed(report.up), speed(report.down)),
        ),
        ("complete", complete),
        (
            "seconds",
            format!(
                "{:.1}, {:.3} times the bound",
                report.seconds, report.times_ideal
            ),
        ),
        (
            "bounds",
            format!(
                "{:.1} s by bandwidth, {:.1} s by rounds from one seed",
                report.ideal_seconds, report.round_bound_seconds
            ),
        ),
        (
            "copies from seeds",
            format!("{:.3}", report.seed_copies_sent),
        ),
        (
            "finished",
            format!(
                "half by {:.1} s, 99 of 100 by {:.1} s",
                report.finish_seconds_p50, report.finish_seconds_p99
            ),
        ),
        ("received twice", per_cent(report.duplicate_share)),
        ("overhead", per_cent(report.overhead_share)),
        (
            "lines used",
            format!(
                "{} of the peers' sending, {} of the seeds'",
                per_cent(report.uplink_utilisation),
                per_cent(report.seed_utilisation)
            ),
        ),
        (
            "messages",
            format!("{}, {}", report.messages, size(report.message_bytes)),
        ),
        ("sources given up", report.dropped_sources.to_string()),
        ("wrong", report.wrong.to_string()),
        ("event hash", report.event_hash.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_as_typed() {
        for (text, bytes) in [
            ("0", Some(0)),
            ("2000000", Some(2_000_000)),
            ("20M", Some(20_000_000)),
            ("1MiB", Some(1 << 20)),
            ("5kb", Some(5_000)),
            ("", None),
            ("M", None),
            ("-1", None),
            ("1.5M", None),
            ("12 parsecs", None),
            ("99999999999G", None),
        ] {
            assert_eq!(amount(text).ok(), bytes, "{text}");
        }
    }

    #[test]
    fn a_latency_has_two_bounds() {
        let ms = Duration::from_millis;
        assert_eq!(latency(None), Ok((ms(10), ms(30))));
        assert_eq!(latency(Some("equal:5")), Ok((ms(5), ms(5))));
        assert_eq!(latency(Some("uniform:5,9")), Ok((ms(5), ms(9))));
        assert!(latency(Some("exp:5")).is_err());
    }
}
