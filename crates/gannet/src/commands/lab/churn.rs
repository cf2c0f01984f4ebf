//! `gannet lab churn`.

use clap::Args;
use gannet_sim::churn::Sessions;
use gannet_sim::lab::churn::{self, Ages, Params, Report};

use super::plot::{Plot, Series};
use super::{How, View, experiment, read};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Layout, Printer, Table};

/// `lab churn`.
#[derive(Debug, Clone, Args)]
pub(super) struct ChurnArgs {
    /// How long peers stay, seconds: exp:MEAN, weibull:SHAPE,SCALE, or
    /// trace:PATH with one length a line
    #[arg(long, value_name = "DIST")]
    session: String,
    /// How many peers there are
    #[arg(long, value_name = "N")]
    nodes: u32,
    /// When to look: seconds after the beginning, which is in the steady state
    #[arg(long, value_name = "SECONDS")]
    at: f64,
    /// How long peers stay away, as for --session; without it, who leaves is
    /// replaced at once
    #[arg(long, value_name = "DIST")]
    offline: Option<String>,
}

pub(super) fn run(args: &ChurnArgs, how: &How, out: &mut Printer) -> Outcome {
    let offline = args.offline.as_deref();
    let params = Params {
        session: sessions("--session", &args.session)?,
        offline: offline
            .map(|spec| sessions("--offline", spec))
            .transpose()?,
        nodes: args.nodes,
        at: args.at,
        seed: how.seed,
    };
    experiment(how, out, || churn::run(&params), view)
}

/// The sessions that were typed; the list is read if it is one.
pub(super) fn sessions(parameter: &'static str, spec: &str) -> Result<Sessions, Failure> {
    let text = Sessions::trace_path(spec).map(read).transpose()?;
    Ok(Sessions::parse(parameter, spec, text.as_deref())?)
}

fn view(report: &Report) -> View {
    let mut table = Table::new(&[
        ("", Layout::Left),
        ("seen", Layout::Right),
        ("expected", Layout::Right),
    ]);
    let mut row = |name: &str, seen: f64, expected: f64, digits: usize| {
        let [seen, expected] = [seen, expected].map(|value| format!("{value:.digits$}"));
        table.row([name.into(), seen.into(), expected.into()]);
    };
    let (seen, expected) = (&report.age_cdf, &report.expected_age_cdf);
    row("online", report.online.into(), report.expected_online, 0);
    for (name, share) in [
        (
            "for at most 10 min",
            (|ages| ages.minutes_10) as fn(&Ages) -> f64,
        ),
        ("for at most 1 h", |ages| ages.hour),
        ("for at most 5 h", |ages| ages.hours_5),
        ("for at most 1 d", |ages| ages.day),
    ] {
        row(name, share(seen), share(expected), 4);
    }
    row("stay 1 h more", report.stay_1h, report.expected_stay_1h, 4);
    let residual = report.expected_mean_residual_s;
    row("mean age, s", report.mean_age_s, residual, 1);
    row("mean residual, s", report.mean_residual_s, residual, 1);
    let (median, mean) = (
        report.expected_session_median_s,
        report.expected_session_mean_s,
    );
    row("median session, s", report.session_median_s, median, 1);
    row("mean session, s", report.session_mean_s, mean, 1);
    let facts = vec![
        ("peers", report.nodes.to_string()),
        ("joins", report.joins.to_string()),
        ("leaves", report.leaves.to_string()),
        ("event hash", report.event_hash.to_string()),
    ];
    let curve = |column: usize| {
        let points = report.curve.iter();
        points.map(|point| (point[0], point[column])).collect()
    };
    View {
        facts,
        table: Some(table),
        plot: Plot {
            title: format!(
                "Ages of {} peers online after {} s",
                report.online, report.at_s
            ),
            x: "age, seconds".to_owned(),
            labels: Vec::new(),
            y: "share not older".to_owned(),
            series: vec![
                Series::line("seen", curve(1)),
                Series::line("expected", curve(2)),
            ],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: Exit::Done,
    }
}
