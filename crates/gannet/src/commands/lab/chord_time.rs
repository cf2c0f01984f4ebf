//! `gannet lab chord-churn` and `chord-heal`: rings that change.

use std::time::Duration;

use clap::Args;
use gannet_sim::lab::chord::{churn, heal};
use gannet_sim::{Impossible, Latency};

use super::plot::{Plot, Series};
use super::{How, View, experiment, latency, per_cent, seconds};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Layout, Printer, Table};

/// `lab chord-churn`.
#[derive(Debug, Clone, Args)]
pub(super) struct ChurnArgs {
    /// How many nodes at first
    #[arg(long, value_name = "N", default_value_t = churn::Params::default().nodes)]
    nodes: u32,
    /// Successors that each knows
    #[arg(long, value_name = "R", default_value_t = churn::Params::default().successors)]
    successors: u32,
    /// Joins in a second, and failures, on average each
    #[arg(long, value_name = "EVENTS_PER_S", default_value_t = churn::Params::default().rate)]
    rate: f64,
    /// How many lookups
    #[arg(long, value_name = "L", default_value_t = churn::Params::default().lookups)]
    lookups: u32,
    /// Lookups in a second, on average
    #[arg(long, value_name = "PER_S", default_value_t = churn::Params::default().lookup_rate)]
    lookup_rate: f64,
    /// Shortest and longest seconds between two looks at the neighbours
    #[arg(long, value_name = "LOW,HIGH", default_value = "15,45")]
    stabilise: String,
    /// How long a packet takes, drawn for each: equal:MS, uniform:LO,HI or exp:MEAN
    #[arg(long, value_name = "LATENCY", default_value = "exp:50ms")]
    delay: String,
    /// How long an answer is waited for: 500ms, 0.5s
    #[arg(long, value_name = "TIME", default_value = "500ms")]
    timeout: String,
    /// Seconds before the first lookup
    #[arg(long, value_name = "SECONDS",
        default_value_t = churn::Params::default().warm_up.as_secs_f64())]
    warm_up: f64,
    /// Everything that the overlay does to make ways short, not only what was
    /// published
    #[arg(long)]
    whole: bool,
}

pub(super) fn run_churn(args: &ChurnArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = churn_params(args, how.seed)?;
    experiment(how, out, || churn::run(&params), view_churn)
}

fn churn_params(args: &ChurnArgs, seed: u64) -> Result<churn::Params, Failure> {
    let delay = args.delay.replace("ms", "");
    Ok(churn::Params {
        nodes: args.nodes,
        successors: args.successors,
        rate: args.rate,
        lookups: args.lookups,
        lookup_rate: args.lookup_rate,
        stabilise: stabilise(&args.stabilise)?,
        delay: Latency::parse("--delay", &delay)?,
        timeout: time("--timeout", &args.timeout)?,
        warm_up: seconds("--warm-up", args.warm_up)?,
        published: !args.whole,
        seed,
    })
}

/// `15,45`.
fn stabilise(typed: &str) -> Result<(Duration, Duration), Impossible> {
    let wrong = || {
        let possible = "the shortest and the longest time in seconds: 15,45";
        Impossible::new("--stabilise", typed, possible)
    };
    let (low, high) = typed.split_once(',').ok_or_else(wrong)?;
    let number = |text: &str| text.trim().parse().map_err(|_| wrong());
    Ok((
        seconds("--stabilise", number(low)?)?,
        seconds("--stabilise", number(high)?)?,
    ))
}

/// `500ms` or `0.5s`.
fn time(parameter: &'static str, typed: &str) -> Result<Duration, Impossible> {
    let (text, unit) = match typed.strip_suffix("ms") {
        Some(text) => (text, 1_000.0),
        None => (typed.strip_suffix('s').unwrap_or(typed), 1.0),
    };
    let number: f64 = text
        .trim()
        .parse()
        .map_err(|_| Impossible::new(parameter, typed, "a time, such as 500ms or 0.5s"))?;
    seconds(parameter, number / unit)
}

fn view_churn(report: &churn::Report) -> View {
    let mut facts = vec![
        (
            "nodes",
            format!("{} at first, {} at the end", report.nodes, report.nodes_end),
        ),
        (
            "came and went",
            format!("{} joins, {} failures", report.joins, report.leaves),
        ),
        ("lookups", report.lookups.to_string()),
    ];
    facts.extend(lookups(report));
    facts.extend([
        (
            "what must hold",
            format!(
                "looked at {} times, did not {} times",
                report.looks, report.invariant_violations
            ),
        ),
        (
            "messages",
            format!(
                "{:.2} of a node in a second",
                report.messages_per_node_second
            ),
        ),
        ("virtual time", format!("{:.1} s", report.seconds)),
        ("event hash", report.event_hash.to_string()),
    ]);
    let mut table = Table::new(&[("what did not hold", Layout::Left)]);
    for told in &report.told {
        table.row([told.as_str().into()]);
    }
    let bars = vec![(0.0, report.path_mean), (1.0, report.timeouts_mean)];
    View {
        facts,
        table: (!report.told.is_empty()).then_some(table),
        plot: Plot {
            title: format!(
                "{} nodes, {} come and go in a second",
                report.nodes, report.rate
            ),
            x: String::new(),
            labels: vec!["hops".to_owned(), "timeouts".to_owned()],
            y: "of a lookup".to_owned(),
            series: vec![Series::bars("mean", bars)],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: Exit::Done,
    }
}

fn lookups(report: &churn::Report) -> [(&'static str, String); 4] {
    [
        (
            "failures",
            format!(
                "{}, {:.1} of 10,000",
                report.failures, report.failures_per_10000
            ),
        ),
        (
            "hops",
            format!(
                "{:.2} on average, {} to {} for 98 of 100",
                report.path_mean, report.path_p01, report.path_p99
            ),
        ),
        (
            "timeouts",
            format!(
                "{:.3} on average, {} to {} for 98 of 100, theory says {:.3}",
                report.timeouts_mean,
                report.timeouts_p01,
                report.timeouts_p99,
                report.timeouts_expected
            ),
        ),
        (
            "time",
            format!(
                "{:.0} ms for half, {:.0} ms for 99 of 100",
                report.elapsed_ms_p50, report.elapsed_ms_p99
            ),
        ),
    ]
}

/// `lab chord-heal`.
#[derive(Debug, Clone, Args)]
pub(super) struct HealArgs {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = heal::Params::default().nodes)]
    nodes: u32,
    /// Successors that each knows
    #[arg(long, value_name = "R", default_value_t = heal::Params::default().successors)]
    successors: u32,
    /// The share of them that is cut off from the others
    #[arg(long, value_name = "FRACTION", default_value_t = heal::Params::default().split)]
    split: f64,
    /// For how many seconds
    #[arg(long, value_name = "T",
        default_value_t = heal::Params::default().duration.as_secs_f64())]
    seconds: f64,
    /// How long links take, milliseconds: equal, equal:MS, uniform:LO,HI, exp:MEAN
    /// or plane:BASE,ACROSS [default: uniform:20,180]
    #[arg(long, value_name = "LATENCY")]
    latency: Option<String>,
    /// How many lookups on each side, and after it
    #[arg(long, value_name = "L", default_value_t = heal::Params::default().lookups)]
    lookups: u32,
}

pub(super) fn run_heal(args: &HealArgs, how: &How, out: &mut Printer) -> Outcome {
    let default = heal::Params::default();
    let params = heal::Params {
        nodes: args.nodes,
        successors: args.successors,
        split: args.split,
        duration: seconds("--seconds", args.seconds)?,
        latency: latency(args.latency.as_deref(), default.latency)?,
        lookups: args.lookups,
        seed: how.seed,
    };
    experiment(how, out, || heal::run(&params), view_heal)
}

fn view_heal(report: &heal::Report) -> View {
    let after = |seconds: Option<f64>, what: &str| {
        seconds.map_or_else(
            || "never".to_owned(),
            |seconds| format!("{seconds:.1} s after {what}"),
        )
    };
    let [inside, outside] = report.sides;
    let [recall_inside, recall_outside] = report.recall_each_side.map(per_cent);
    let facts = vec![
        (
            "nodes",
            format!("{inside} and {outside}, apart for {:.0} s", report.seconds),
        ),
        ("two rings", after(report.settled_seconds, "the cut")),
        (
            "lookups on either side",
            format!("{recall_inside} and {recall_outside} led where they should"),
        ),
        ("one ring", after(report.merge_seconds, "the cut ended")),
        (
            "lookups after that",
            format!("{} led where they should", per_cent(report.recall_after)),
        ),
        (
            "messages while merging",
            format!(
                "{:.1} of a node in a second",
                report.messages_per_node_second
            ),
        ),
        ("event hash", report.event_hash.to_string()),
    ];
    let seconds = [report.settled_seconds, report.merge_seconds];
    let bars = (0_u32..).zip(seconds);
    let bars = bars
        .filter_map(|(at, seconds)| Some((at.into(), seconds?)))
        .collect();
    View {
        facts,
        table: None,
        plot: Plot {
            title: format!("{} nodes cut in two", report.nodes),
            x: String::new(),
            labels: ["two rings", "one ring"].map(str::to_owned).to_vec(),
            y: "seconds".to_owned(),
            series: vec![Series::bars("seconds", bars)],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: if report.merged {
            Exit::Done
        } else {
            Exit::Failed
        },
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    struct Typed {
        #[command(flatten)]
        args: ChurnArgs,
    }

    #[track_caller]
    fn typed(words: &str) -> Result<churn::Params, Failure> {
        let words = std::iter::once("chord-churn").chain(words.split_whitespace());
        churn_params(&Typed::try_parse_from(words).unwrap().args, 1)
    }

    #[test]
    fn what_is_typed_is_what_runs() {
        assert_eq!(typed("").unwrap(), churn::Params::default());
        let other = typed("--stabilise 2,6 --delay equal:20 --timeout 2s --whole").unwrap();
        assert_eq!(
            other.stabilise,
            (Duration::from_secs(2), Duration::from_secs(6))
        );
        assert_eq!(other.delay, Latency::Equal(Duration::from_millis(20)));
        assert_eq!(other.timeout, Duration::from_secs(2));
        assert!(!other.published);
        for wrong in [
            "--stabilise 15",
            "--stabilise a,b",
            "--stabilise=-1,2",
            "--delay fast",
            "--timeout soon",
            "--timeout=-5ms",
        ] {
            assert!(typed(wrong).is_err(), "{wrong}");
        }
    }
}
