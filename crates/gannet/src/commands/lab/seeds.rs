//! `gannet lab seeds`.

use clap::Args;
use gannet_sim::lab::seeds::{self, Params, Report};

use super::plot::{Plot, Series};
use super::search::OverlayArg;
use super::{How, View, experiment, per_cent};
use crate::exit::{Exit, Outcome};
use crate::output::{Layout, Printer, Table};

/// `lab seeds`.
#[derive(Debug, Clone, Args)]
pub(super) struct SeedsArgs {
    /// The overlay that has to bear it
    #[arg(long, value_name = "OVERLAY", default_value = "flood")]
    overlay: OverlayArg,
    /// The first seed [default: --seed]
    #[arg(long, value_name = "SEED")]
    from: Option<u64>,
    /// How many seeds, one after the other
    #[arg(long, value_name = "N", default_value_t = Params::default().count)]
    count: u32,
}

pub(super) fn run(args: &SeedsArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = Params {
        overlay: args.overlay.into(),
        from: args.from.unwrap_or(how.seed),
        count: args.count,
    };
    experiment(how, out, || seeds::run(&params), view)
}

fn view(report: &Report) -> View {
    let failed = report.count - report.passed;
    let facts = vec![
        ("seeds", format!("{} from {} on", report.count, report.from)),
        ("as it should be", report.passed.to_string()),
        ("failed", failed.to_string()),
        (
            "in trouble",
            format!(
                "{} searches, {} found something",
                report.troubled_searches,
                per_cent(report.troubled_recall)
            ),
        ),
        (
            "after healing",
            format!("{} searches found all copies", report.healed_searches),
        ),
        ("crashes", report.crashes.to_string()),
        ("messages lost", report.messages_lost.to_string()),
        (
            "one network again",
            format!("within {:.0} s", report.healed_s_max),
        ),
        ("event hash", report.event_hash.to_string()),
    ];
    let mut table = Table::new(&[("what went wrong", Layout::Left), ("again", Layout::Left)]);
    for failure in &report.failures {
        table.row([failure.what.as_str().into(), failure.replay.as_str().into()]);
    }
    let bars = vec![(0.0, report.passed.into()), (1.0, failed.into())];
    View {
        facts,
        table: (failed > 0).then_some(table),
        plot: Plot {
            title: format!("{} seeds", report.count),
            x: String::new(),
            labels: vec!["as it should be".to_owned(), "failed".to_owned()],
            y: "seeds".to_owned(),
            series: vec![Series::bars("seeds", bars)],
        },
        events: report.events,
        // Networks come one after the other; they have 32 peers at most.
        peers: 32,
        exit: if failed == 0 {
            Exit::Done
        } else {
            Exit::Failed
        },
    }
}
