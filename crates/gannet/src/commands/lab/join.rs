//! `gannet lab join`.

use clap::Args;
use gannet_sim::lab::join::{self, Params, Report};

use super::plot::{Plot, Series};
use super::{How, View, experiment, latency, per_cent, seconds};
use crate::exit::{Exit, Outcome};
use crate::output::Printer;

/// `lab join`.
#[derive(Debug, Clone, Args)]
pub(super) struct JoinArgs {
    /// How many peers, the first one included
    #[arg(long, value_name = "N", default_value_t = Params::default().nodes)]
    nodes: u32,
    /// How many neighbours each wants
    #[arg(long, value_name = "D", default_value_t = Params::default().degree)]
    degree: u32,
    /// Seconds from one newcomer to the next
    #[arg(long, value_name = "SECONDS", default_value_t = Params::default().interval.as_secs_f64())]
    interval: f64,
    /// How long a hop takes, milliseconds: equal, equal:MS, uniform:LO,HI,
    /// exp:MEAN or plane:BASE,ACROSS [default: uniform:20,180]
    #[arg(long, value_name = "LATENCY")]
    latency: Option<String>,
    /// Messages lost, of a thousand
    #[arg(long, value_name = "PER_MILLE", default_value_t = 0)]
    loss: u16,
    /// Seconds after the last arrival for the network to become whole
    #[arg(long, value_name = "SECONDS", default_value_t = Params::default().patience.as_secs_f64())]
    patience: f64,
}

pub(super) fn run(args: &JoinArgs, how: &How, out: &mut Printer) -> Outcome {
    let default = Params::default();
    let params = Params {
        nodes: args.nodes,
        degree: args.degree,
        interval: seconds("--interval", args.interval)?,
        latency: latency(args.latency.as_deref(), default.latency)?,
        loss: args.loss,
        patience: seconds("--patience", args.patience)?,
        seed: how.seed,
    };
    experiment(how, out, || join::run(&params), view)
}

fn view(report: &Report) -> View {
    let whole = if report.connected {
        "yes".to_owned()
    } else {
        format!("no, it has {} parts", report.parts)
    };
    let settled = report.settled_s.map_or_else(
        || "never".to_owned(),
        |settled| format!("{settled:.0} s after the last arrival"),
    );
    let first = report
        .first_neighbour_ms_p50
        .zip(report.first_neighbour_ms_p99)
        .map_or_else(
            || "none".to_owned(),
            |(p50, p99)| format!("{p50:.0} ms for half, {p99:.0} ms for 99 of 100"),
        );
    let degrees = [
        ("fewest", report.degree_min.into()),
        ("mean", report.degree_mean),
        ("wanted", report.degree_target.into()),
        ("most", report.degree_max.into()),
        ("most ever", report.degree_max_ever.into()),
    ];
    let neighbours = format!(
        "{} wanted; {} to {}, {:.2} on average, {} at most ever",
        report.degree_target,
        report.degree_min,
        report.degree_max,
        report.degree_mean,
        report.degree_max_ever
    );
    let facts = vec![
        ("peers", report.nodes.to_string()),
        ("links", report.edges.to_string()),
        ("one network", whole),
        ("neighbours", neighbours),
        ("within a quarter", per_cent(report.within_quarter)),
        ("one-sided links", report.one_sided.to_string()),
        ("arrivals", format!("{:.1} s", report.arrivals_s)),
        ("settled", settled),
        ("first neighbour", first),
        (
            "messages a peer",
            format!("{:.1}", report.messages_per_peer),
        ),
        ("virtual time", format!("{:.1} s", report.seconds)),
        ("event hash", report.event_hash.to_string()),
    ];
    let bars = degrees.iter().zip(0_u32..);
    let bars = bars.map(|((_, count), at)| (at.into(), *count)).collect();
    View {
        facts,
        table: None,
        plot: Plot {
            title: format!("Neighbours after {} peers have joined", report.nodes),
            x: "peers".to_owned(),
            labels: degrees.map(|(name, _)| name.to_owned()).to_vec(),
            y: "neighbours".to_owned(),
            series: vec![Series::bars("neighbours", bars)],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: Exit::Done,
    }
}
