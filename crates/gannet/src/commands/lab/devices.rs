//! `gannet lab devices`.

use clap::Args;
use gannet_sim::lab::devices::{self, Params, Report};

use super::plot::{Plot, Series};
use super::{How, View, experiment, latency, per_cent};
use crate::exit::{Exit, Outcome};
use crate::output::{Layout, Printer, Table};

/// `lab devices`.
#[derive(Debug, Clone, Args)]
pub(super) struct DevicesArgs {
    /// How many peers there are
    #[arg(long, value_name = "N", default_value_t = Params::default().nodes)]
    nodes: u32,
    /// Neighbours of each peer
    #[arg(long, value_name = "D", default_value_t = Params::default().degree)]
    degree: u32,
    /// How many different files there are
    #[arg(long, value_name = "F", default_value_t = Params::default().files)]
    files: u32,
    /// Copies of each file, as a share of the peers
    #[arg(long, value_name = "SHARE", default_value_t = Params::default().copies_share)]
    copies_share: f64,
    /// How many searches there are in each line of the table
    #[arg(long, value_name = "Q", default_value_t = Params::default().queries)]
    queries: u32,
    /// How far the plain flood goes that everything is compared with
    #[arg(long, value_name = "HOPS", default_value_t = Params::default().ttl)]
    ttl: u8,
    /// How long a hop takes, milliseconds: equal, equal:MS, uniform:LO,HI,
    /// exp:MEAN or plane:BASE,ACROSS [default: uniform:20,180]
    #[arg(long, value_name = "LATENCY")]
    latency: Option<String>,
}

pub(super) fn run(args: &DevicesArgs, how: &How, out: &mut Printer) -> Outcome {
    let default = Params::default();
    let params = Params {
        nodes: args.nodes,
        degree: args.degree,
        files: args.files,
        copies_share: args.copies_share,
        queries: args.queries,
        ttl: args.ttl,
        latency: latency(args.latency.as_deref(), default.latency)?,
        seed: how.seed,
    };
    experiment(how, out, || devices::run(&params), view)
}

fn view(report: &Report) -> View {
    let mut table = Table::new(&[
        ("#", Layout::Right),
        ("devices", Layout::Left),
        ("recall", Layout::Right),
        ("messages", Layout::Right),
        ("of plain", Layout::Right),
        ("bytes", Layout::Right),
        ("first answer ms", Layout::Right),
        ("99 %", Layout::Right),
        ("end ms", Layout::Right),
    ]);
    let milliseconds = |value: Option<f64>| value.map_or_else(String::new, |ms| format!("{ms:.0}"));
    let mut bars = Vec::new();
    for (line, number) in report.lines.iter().zip(1_u32..) {
        table.row([
            number.to_string().into(),
            line.devices.as_str().into(),
            per_cent(line.recall).into(),
            format!("{:.1}", line.messages_per_query).into(),
            per_cent(line.of_plain).into(),
            format!("{:.0}", line.bytes_per_query).into(),
            milliseconds(line.first_hit_ms_p50).into(),
            milliseconds(line.first_hit_ms_p99).into(),
            milliseconds(line.end_ms_p50).into(),
        ]);
        bars.push((f64::from(number - 1), line.messages_per_query));
    }
    let facts = vec![
        ("peers", report.nodes.to_string()),
        ("neighbours", report.degree.to_string()),
        ("copies of a file", report.copies.to_string()),
        ("event hash", report.event_hash.to_string()),
    ];
    View {
        facts,
        table: Some(table),
        plot: Plot {
            title: format!("Messages of a search among {} peers", report.nodes),
            x: "line of the table".to_owned(),
            labels: (1..=report.lines.len()).map(|n| n.to_string()).collect(),
            y: "messages".to_owned(),
            series: vec![Series::bars("messages", bars)],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: Exit::Done,
    }
}
