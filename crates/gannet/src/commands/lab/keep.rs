//! `gannet lab keep`.

use clap::Args;
use gannet_sim::lab::keep::{self, Params, Report};

use super::churn::sessions;
use super::plot::{Plot, Series};
use super::{How, View, experiment};
use crate::exit::{Exit, Outcome};
use crate::output::Printer;

/// `lab keep`.
#[derive(Debug, Clone, Args)]
pub(super) struct KeepArgs {
    /// How many peers there are, online and away
    #[arg(long, value_name = "N", default_value_t = Params::default().nodes)]
    nodes: u32,
    /// How many files are kept
    #[arg(long, value_name = "F", default_value_t = Params::default().files)]
    files: u32,
    /// Bytes of each file; a block has 16 MiB
    #[arg(long, value_name = "BYTES", default_value_t = Params::default().size)]
    size: u64,
    /// Copies of each block
    #[arg(long, value_name = "R", default_value_t = Params::default().copies)]
    copies: u8,
    /// How long peers stay, seconds: exp:MEAN, weibull:SHAPE,SCALE, or
    /// trace:PATH [default: exponential with a median of an hour]
    #[arg(long, value_name = "DIST")]
    session: Option<String>,
    /// How long they stay away before they come back with their disk [default: as
    /// for --session]
    #[arg(long, value_name = "DIST")]
    offline: Option<String>,
    /// The share of departures that are for good, disk and all
    #[arg(long, value_name = "FRACTION", default_value_t = Params::default().leave)]
    leave: f64,
    /// How long, days
    #[arg(long, value_name = "D", default_value_t = Params::default().days)]
    days: f64,
    /// Space that each peer grants to others, bytes
    #[arg(long, value_name = "BYTES", default_value_t = Params::default().grant)]
    grant: u64,
    /// Bytes a second of one transfer
    #[arg(long, value_name = "BYTES", default_value_t = Params::default().rate)]
    rate: u64,
    /// Make a copy whenever somebody goes, instead of waiting for who may come back
    #[arg(long)]
    hasty: bool,
}

pub(super) fn run(args: &KeepArgs, how: &How, out: &mut Printer) -> Outcome {
    let default = Params::default();
    let session = match &args.session {
        Some(spec) => sessions("--session", spec)?,
        None => default.session,
    };
    let offline = match &args.offline {
        Some(spec) => sessions("--offline", spec)?,
        None => session.clone(),
    };
    let params = Params {
        nodes: args.nodes,
        files: args.files,
        size: args.size,
        copies: args.copies,
        session,
        offline,
        leave: args.leave,
        days: args.days,
        grant: args.grant,
        rate: args.rate,
        patient: !args.hasty,
        seed: how.seed,
    };
    experiment(how, out, || keep::run(&params), view)
}

fn view(report: &Report) -> View {
    let facts = vec![
        ("peers", report.nodes.to_string()),
        ("online, on average", format!("{:.0}", report.online_mean)),
        ("blocks", report.blocks.to_string()),
        ("copies wanted", report.copies.to_string()),
        ("lost", report.lost.to_string()),
        ("never placed", report.unplaced.to_string()),
        ("available", format!("{:.5}", report.available_fraction)),
        ("copies online", format!("{:.2}", report.online_copies_mean)),
        ("copies on disks", format!("{:.2}", report.disk_copies_mean)),
        ("bytes of first copies", report.placed_bytes.to_string()),
        ("bytes of repairs", report.repaired_bytes.to_string()),
        (
            "bytes a peer and day",
            format!("{:.0}", report.bytes_per_node_per_day),
        ),
        (
            "of messages",
            format!("{:.0}", report.control_bytes_per_node_per_day),
        ),
        ("departures", report.departures.to_string()),
        ("for good", report.departures_for_good.to_string()),
        ("event hash", report.event_hash.to_string()),
    ];
    View {
        facts,
        table: None,
        plot: Plot {
            title: "Copies of a block".to_owned(),
            x: "days".to_owned(),
            y: "copies".to_owned(),
            labels: Vec::new(),
            series: vec![Series::line(
                "online",
                report
                    .curve
                    .iter()
                    .map(|point| (point[0], point[1]))
                    .collect(),
            )],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: Exit::Done,
    }
}
