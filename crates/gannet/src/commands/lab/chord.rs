//! `gannet lab chord-path`, `chord-fail`, `chord-load` and `chord-check`: rings
//! that stand still.

use std::time::Instant;

use clap::Args;
use gannet_sim::lab::chord::{check, fail, load, path};
use serde::Serialize;

use super::plot::{Plot, Series};
use super::speed::memory;
use super::{How, View, experiment, float};
use crate::exit::{Exit, Outcome};
use crate::output::{Layout, Printer, Table};

/// `lab chord-path`.
#[derive(Debug, Clone, Args)]
pub(super) struct PathArgs {
    /// How many peers
    #[arg(long, value_name = "N", default_value_t = path::Params::default().nodes)]
    nodes: u32,
    /// Successors that each node knows; with 1 a lookup uses fingers and one
    /// successor only
    #[arg(long, value_name = "R", default_value_t = path::Params::default().successors)]
    successors: u32,
    /// Nodes of each peer
    #[arg(long = "virtual", value_name = "V", default_value_t = path::Params::default().virtuals)]
    virtuals: u32,
    /// How many lookups, each from a random peer for a random key
    #[arg(long, value_name = "L", default_value_t = path::Params::default().lookups)]
    lookups: u32,
}

/// What the machine took for it: differs from run to run.
#[derive(Debug, Default)]
struct Clock {
    build_seconds: f64,
    lookup_seconds: f64,
    lookups: u64,
    peers: u64,
    resident: Option<u64>,
    bytes_per_node: Option<u64>,
}

impl Clock {
    /// A part is done that took so long.
    fn on_phase(&mut self, phase: path::Phase, seconds: f64) {
        match phase {
            path::Phase::Built(peers) => {
                self.build_seconds += seconds;
                self.peers += u64::from(peers);
                // Of the first ring: later ones take the memory that it had.
                if self.bytes_per_node.is_none() {
                    let bytes = memory("VmRSS:").zip(self.resident);
                    let grown = bytes.map(|(now, before)| now.saturating_sub(before));
                    self.bytes_per_node = grown.and_then(|b| b.checked_div(peers.into()));
                }
            }
            path::Phase::Looked(lookups) => {
                self.lookup_seconds += seconds;
                self.lookups += u64::from(lookups);
            }
        }
    }
}

/// A report with what the machine took.
#[derive(Debug, Serialize)]
struct Timed {
    #[serde(flatten)]
    report: path::Report,
    /// By the clock on the wall, of all rings.
    build_seconds: f64,
    lookups_per_second: f64,
    /// Resident memory that a peer took; nothing where the system does not tell.
    bytes_per_node: Option<u64>,
}

pub(super) fn run_path(args: &PathArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = path::Params {
        nodes: args.nodes,
        successors: args.successors,
        virtuals: args.virtuals,
        lookups: args.lookups,
        seed: how.seed,
    };
    let timed = || {
        let mut clock = Clock {
            resident: memory("VmRSS:"),
            ..Clock::default()
        };
        let mut last = Instant::now();
        let report = path::run_watched(&params, |phase| {
            clock.on_phase(phase, last.elapsed().as_secs_f64());
            last = Instant::now();
        })?;
        Ok(Timed {
            report,
            build_seconds: clock.build_seconds,
            lookups_per_second: (float(clock.lookups) / clock.lookup_seconds.max(1e-9)).round(),
            bytes_per_node: clock.bytes_per_node,
        })
    };
    experiment(how, out, timed, view_path)
}

fn view_path(timed: &Timed) -> View {
    let report = &timed.report;
    let bytes = timed.bytes_per_node;
    let facts = vec![
        (
            "peers",
            format!(
                "{} on each of {} rings, {} nodes each, {} successors",
                report.nodes, report.rings, report.virtuals, report.successors
            ),
        ),
        ("lookups", report.lookups.to_string()),
        (
            "hops to the predecessor",
            format!(
                "{:.3} on average, theory says {:.3}",
                report.path_mean, report.path_expected
            ),
        ),
        (
            "of 1, 50 and 99 of 100",
            format!(
                "{}, {}, {}",
                report.path_p01, report.path_p50, report.path_p99
            ),
        ),
        ("messages a lookup", format!("{:.1}", report.messages_mean)),
        ("failures", report.failures.to_string()),
        ("built in", format!("{:.2} s", timed.build_seconds)),
        (
            "lookups a second",
            format!("{:.0}", timed.lookups_per_second),
        ),
        (
            "memory of a peer",
            bytes.map_or_else(|| "not known".to_owned(), |bytes| format!("{bytes} bytes")),
        ),
        ("event hash", report.event_hash.to_string()),
    ];
    let bars = (0_u32..).zip(&report.path_histogram);
    let bars = bars
        .map(|(hops, count)| (hops.into(), float(*count)))
        .collect();
    View {
        facts,
        table: None,
        plot: Plot {
            title: format!("Ways in a ring of {}", report.nodes),
            x: "hops".to_owned(),
            labels: Vec::new(),
            y: "lookups".to_owned(),
            series: vec![Series::bars("lookups", bars)],
        },
        events: report.events,
        peers: u64::from(report.nodes) * u64::from(report.rings),
        exit: Exit::Done,
    }
}

/// `lab chord-fail`.
#[derive(Debug, Clone, Args)]
pub(super) struct FailArgs {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = fail::Params::default().nodes)]
    nodes: u32,
    /// Successors that each knows
    #[arg(long, value_name = "R", default_value_t = fail::Params::default().successors)]
    successors: u32,
    /// The share of them that dies, all at once
    #[arg(long, value_name = "P", default_value_t = fail::Params::default().fail)]
    fail: f64,
    /// The share of those left that lie: they answer every question with themselves.
    /// Lookups go as the overlay lets them then, not as Chord was published
    #[arg(long, value_name = "P", default_value_t = fail::Params::default().liars)]
    liars: f64,
    /// Disjoint ways of each lookup, with --liars
    #[arg(long, value_name = "D", default_value_t = fail::Params::default().paths)]
    paths: u8,
    /// With --liars: believe every claim, however much it leaves out
    #[arg(long)]
    trusting: bool,
    /// How many lookups, each from a random node that is left for a random key
    #[arg(long, value_name = "L", default_value_t = fail::Params::default().lookups)]
    lookups: u32,
}

pub(super) fn run_fail(args: &FailArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = fail::Params {
        nodes: args.nodes,
        successors: args.successors,
        fail: args.fail,
        liars: args.liars,
        paths: args.paths,
        is_wary: !args.trusting,
        lookups: args.lookups,
        seed: how.seed,
    };
    experiment(how, out, || fail::run(&params), view_fail)
}

fn view_fail(report: &fail::Report) -> View {
    let facts = vec![
        (
            "nodes",
            format!(
                "{}, {} of them died, {} lie",
                report.nodes, report.failed_nodes, report.liars
            ),
        ),
        ("lookups", report.lookups.to_string()),
        ("failures", report.failures.to_string()),
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
                "{:.2} on average, {} to {} for 98 of 100, theory says {:.2}",
                report.timeouts_mean,
                report.timeouts_p01,
                report.timeouts_p99,
                report.timeouts_expected
            ),
        ),
        (
            "all successors dead",
            format!(
                "{} nodes, theory says {:.1e}",
                report.stranded, report.stranded_expected
            ),
        ),
        ("event hash", report.event_hash.to_string()),
    ];
    let bars = vec![(0.0, report.path_mean), (1.0, report.timeouts_mean)];
    View {
        facts,
        table: None,
        plot: Plot {
            title: format!("{} of {} nodes dead", report.failed_nodes, report.nodes),
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

/// `lab chord-load`.
#[derive(Debug, Clone, Args)]
pub(super) struct LoadArgs {
    /// How many nodes
    #[arg(long, value_name = "N", default_value_t = load::Params::default().nodes)]
    nodes: u32,
    /// How many keys
    #[arg(long, value_name = "K", default_value_t = load::Params::default().keys)]
    keys: u32,
    /// Positions of each node
    #[arg(long = "virtual", value_name = "V", default_value_t = load::Params::default().virtuals)]
    virtuals: u32,
    /// How many rings, each with a seed of its own
    #[arg(long, value_name = "M", default_value_t = load::Params::default().seeds)]
    seeds: u32,
}

pub(super) fn run_load(args: &LoadArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = load::Params {
        nodes: args.nodes,
        keys: args.keys,
        virtuals: args.virtuals,
        seeds: args.seeds,
        seed: how.seed,
    };
    experiment(how, out, || load::run(&params), view_load)
}

fn view_load(report: &load::Report) -> View {
    let shares = [
        ("1 of 100", report.p01_over_mean),
        ("half", report.p50_over_mean),
        ("99 of 100", report.p99_over_mean),
        ("most of a ring", report.ring_max_over_mean),
        ("most of all", report.max_over_mean),
    ];
    let mut facts = vec![
        (
            "nodes",
            format!(
                "{} on each of {} rings, {} positions each",
                report.nodes, report.seeds, report.virtuals
            ),
        ),
        ("keys of a node", format!("{:.1} on average", report.mean)),
    ];
    let times = |(name, share): &(&'static str, f64)| (*name, format!("{share:.3} times that"));
    facts.extend(shares.iter().map(times));
    facts.extend([
        (
            "moved by a newcomer",
            format!(
                "{:.1} keys, theory says {:.1}; {} to anybody else",
                report.moved_mean, report.moved_expected, report.moved_elsewhere
            ),
        ),
        ("event hash", report.event_hash.to_string()),
    ]);
    let bars = (0_u32..).zip(&shares);
    let bars = bars.map(|(at, (_, share))| (at.into(), *share)).collect();
    let all = u64::from(report.keys) * u64::from(report.seeds);
    View {
        facts,
        table: None,
        plot: Plot {
            title: format!("{} keys on {} nodes", report.keys, report.nodes),
            x: "nodes".to_owned(),
            labels: shares.map(|(name, _)| name.to_owned()).to_vec(),
            y: "keys over the mean".to_owned(),
            series: vec![Series::bars("keys", bars)],
        },
        events: all,
        peers: u64::from(report.nodes) * u64::from(report.seeds),
        exit: Exit::Done,
    }
}

/// `lab chord-check`.
#[derive(Debug, Clone, Args)]
pub(super) struct CheckArgs {
    /// How many places the ring has
    #[arg(long, value_name = "N", default_value_t = check::Params::default().ids)]
    ids: u8,
    /// Successors that each node knows
    #[arg(long, value_name = "R", default_value_t = check::Params::default().successors)]
    successors: u8,
}

pub(super) fn run_check(args: &CheckArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = check::Params {
        ids: args.ids,
        successors: args.successors,
    };
    experiment(how, out, || check::run(&params), view_check)
}

fn view_check(report: &check::Report) -> View {
    let facts = vec![
        (
            "rings",
            format!("{} places, {} successors", report.ids, report.successors),
        ),
        (
            "one thing pending a node",
            format!(
                "{} states, {} transitions",
                report.states, report.transitions
            ),
        ),
        (
            "as the overlay runs",
            format!(
                "{} states, {} transitions",
                report.running_states, report.running_transitions
            ),
        ),
        ("violations", report.violations.to_string()),
        (
            "all tried out",
            if report.exhausted {
                "yes"
            } else {
                "no, there were too many"
            }
            .to_owned(),
        ),
    ];
    let mut table = Table::new(&[("what does not hold", Layout::Left)]);
    for told in &report.told {
        table.row([told.as_str().into()]);
    }
    let bars = [report.states, report.running_states].map(float);
    let is_right = report.violations == 0 && report.exhausted;
    View {
        facts,
        table: (report.violations > 0).then_some(table),
        plot: Plot {
            title: format!("{} rings tried out", report.states + report.running_states),
            x: String::new(),
            labels: ["one pending", "as it runs"].map(str::to_owned).to_vec(),
            y: "states".to_owned(),
            series: vec![Series::bars("states", vec![(0.0, bars[0]), (1.0, bars[1])])],
        },
        events: report.transitions + report.running_transitions,
        peers: report.ids.into(),
        exit: if is_right { Exit::Done } else { Exit::Failed },
    }
}
