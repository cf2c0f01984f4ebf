//! `gannet lab search`.

use clap::{Args, ValueEnum};
use gannet_sim::Impossible;
use gannet_sim::lab::Strategy;
use gannet_sim::lab::search::{self, Endings, Overlay, Params, Report};

use super::plot::{Plot, Series};
use super::workload::Workload;
use super::{How, View, experiment, per_cent, seconds};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::Printer;

/// `lab search`.
#[derive(Debug, Clone, Args)]
pub(super) struct SearchArgs {
    /// The overlay that searches
    #[arg(long, value_name = "OVERLAY", default_value = "flood")]
    overlay: OverlayArg,
    /// How many peers there are, with --churn those that are away included
    #[arg(long, value_name = "N", default_value_t = Params::default().nodes)]
    nodes: u32,
    /// Neighbours of each peer [default: 8]; links of each supernode [default:
    /// 40]
    #[arg(long, value_name = "D")]
    degree: Option<u32>,
    /// Leaves that a supernode has room for, backups included
    #[arg(long, value_name = "L", default_value_t = Params::default().leaves_max)]
    leaves_max: u16,
    /// How many different files there are
    #[arg(long, value_name = "F", default_value_t = Params::default().files)]
    files: u32,
    /// The share of the names that have one more word in common, from 0 to 0.9
    #[arg(long, value_name = "SHARE", default_value_t = Params::default().common_share)]
    common_share: f64,
    /// How many searches there are
    #[arg(long, value_name = "Q", default_value_t = Params::default().queries)]
    queries: u32,
    /// How many words each search has: one number, or LEAST-MOST; fewer than 4
    /// with --overlay dht only
    #[arg(long, value_name = "WORDS", default_value = "4")]
    words: String,
    /// How many holders of the file are enough; of fewer words than 4, how many
    /// files
    #[arg(long, value_name = "N", default_value_t = Params::default().enough)]
    enough: u32,
    /// Entries from which --overlay dht splits the list of a word [default: as
    /// everywhere]
    #[arg(long, value_name = "ENTRIES")]
    list_max: Option<u32>,
    /// Nodes of the ring that each peer of --overlay dht is
    #[arg(long = "virtual", value_name = "V", default_value_t = Params::default().virtual_nodes)]
    virtual_nodes: u8,
    #[command(flatten)]
    strategy: StrategyArgs,
    /// No query routing tables: the last hop goes to everybody
    #[arg(long)]
    no_qrp: bool,
    /// Drop later copies that may go further, as Gnutella did
    #[arg(long)]
    no_revisit: bool,
    /// No reports of who was asked, as in Gnutella: a search waits instead
    #[arg(long)]
    no_reports: bool,
    #[command(flatten)]
    workload: Workload,
    /// The network grows from one peer by its own joining
    #[arg(long)]
    grow: bool,
    /// Seconds from one search to the next
    #[arg(long, value_name = "SECONDS", default_value_t = 1.0)]
    interval: f64,
}

/// An overlay, as typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum OverlayArg {
    /// Neighbours pass questions on
    Flood,
    /// Leaves ask supernodes, which pass questions on
    Supernode,
    /// Every key is assigned to nodes of a ring
    Dht,
}

impl From<OverlayArg> for Overlay {
    fn from(typed: OverlayArg) -> Self {
        match typed {
            OverlayArg::Flood => Self::Flood,
            OverlayArg::Supernode => Self::Supernode,
            OverlayArg::Dht => Self::Dht,
        }
    }
}

/// How searches go.
#[derive(Debug, Clone, Args)]
struct StrategyArgs {
    /// Expanding ring with these TTLs, then as far as it takes [default: 1,2,3
    /// and so on]
    #[arg(long, value_name = "TTLS", value_delimiter = ',', conflicts_with_all = ["dynamic", "ttl"])]
    ring: Vec<u8>,
    /// End after the last ring of --ring
    #[arg(long, requires = "ring")]
    no_widen: bool,
    /// Dynamic querying: probe, estimate how common the file is, widen as needed
    #[arg(long, conflicts_with = "ttl")]
    dynamic: bool,
    /// One flood of so many hops, as Gnutella did
    #[arg(long, value_name = "HOPS")]
    ttl: Option<u8>,
}

impl StrategyArgs {
    fn strategy(&self) -> Result<Strategy, Impossible> {
        if self.dynamic {
            return Ok(Strategy::Dynamic);
        }
        if let Some(ttl) = self.ttl {
            if ttl == 0 {
                return Err(Impossible::new("--ttl", ttl, "a TTL is from 1 to 255"));
            }
            return Ok(Strategy::Flood { ttl });
        }
        let grows = self.ring.is_sorted_by(|a, b| a < b);
        if !grows || self.ring.first() == Some(&0) {
            let typed: Vec<String> = self.ring.iter().map(u8::to_string).collect();
            let possible = "TTLs that grow, from 1 to 255, such as 1,2,4";
            return Err(Impossible::new("--ring", typed.join(","), possible));
        }
        Ok(Strategy::Rings {
            ttls: self.ring.clone(),
            widen: !self.no_widen,
        })
    }
}

pub(super) fn run(args: &SearchArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = params(args, how.seed)?;
    experiment(how, out, || search::run(&params), view)
}

fn params(args: &SearchArgs, seed: u64) -> Result<Params, Failure> {
    let workload = &args.workload;
    Ok(Params {
        overlay: args.overlay.into(),
        nodes: args.nodes,
        degree: args.degree,
        leaves_max: args.leaves_max,
        files: args.files,
        copies: workload.copies,
        common_share: args.common_share,
        queries: args.queries,
        words: words(&args.words)?,
        list_max: args.list_max,
        virtual_nodes: args.virtual_nodes,
        zipf: workload.zipf,
        strategy: args.strategy.strategy()?,
        enough: args.enough,
        tables: !args.no_qrp,
        revisit: !args.no_revisit,
        reports: !args.no_reports,
        latency: workload.latency()?,
        loss: workload.loss,
        churn: workload.churn()?,
        grow: args.grow,
        interval: seconds("--interval", args.interval)?,
        seed,
    })
}

/// A number of words, or two with a dash between them.
fn words(typed: &str) -> Result<(u8, u8), Impossible> {
    let (least, most) = typed.split_once('-').unwrap_or((typed, typed));
    match (least.parse(), most.parse()) {
        (Ok(least), Ok(most)) => Ok((least, most)),
        _ => Err(Impossible::new("--words", typed, "a number, or 1-4")),
    }
}

fn view(report: &Report) -> View {
    let kinds = kinds(report);
    let bars = kinds.iter().zip(0_u32..);
    let bars = bars.map(|((_, count), at)| (at.into(), *count)).collect();
    View {
        facts: facts(report),
        table: None,
        plot: Plot {
            title: format!(
                "{} searches among {} peers: recall {}",
                report.queries,
                report.nodes,
                per_cent(report.recall)
            ),
            x: "kind of message".to_owned(),
            labels: kinds.map(|(name, _)| name.to_owned()).to_vec(),
            y: "messages a search".to_owned(),
            series: vec![Series::bars("messages", bars)],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: Exit::Done,
    }
}

/// What a search causes.
fn kinds(report: &Report) -> [(&'static str, f64); 3] {
    [
        ("questions", report.asks_per_query),
        ("answers", report.hits_per_query),
        ("reports", report.reports_per_query),
    ]
}

fn facts(report: &Report) -> Vec<(&'static str, String)> {
    let milliseconds = |p50: Option<f64>, p99: Option<f64>| match p50.zip(p99) {
        Some((p50, p99)) => format!("{p50:.0} ms for half, {p99:.0} ms for 99 of 100"),
        None => "none".to_owned(),
    };
    let [asks, hits, reports] = kinds(report).map(|(name, count)| format!("{count:.1} {name}"));
    vec![
        (
            "peers",
            format!(
                "{}, {:.2} neighbours each",
                report.nodes, report.degree_mean
            ),
        ),
        ("files", report.files.to_string()),
        (
            "searches",
            format!("{}, {} abandoned", report.queries, report.abandoned),
        ),
        ("recall", per_cent(report.recall)),
        ("copies found", per_cent(report.copies_found_share)),
        (
            "messages a search",
            format!(
                "{:.1}: {asks}, {hits}, {reports}",
                report.messages_per_query
            ),
        ),
        ("bytes a search", format!("{:.0}", report.bytes_per_query)),
        (
            "first answer",
            milliseconds(report.first_hit_ms_p50, report.first_hit_ms_p99),
        ),
        ("end", milliseconds(report.end_ms_p50, report.end_ms_p99)),
        ("hops to the first", format!("{:.2}", report.hops_mean)),
        ("rounds", format!("{:.2}", report.rounds_mean)),
        ("peers that looked", format!("{:.1}", report.asked_mean)),
        (
            "messages a peer",
            format!(
                "half of the peers {}, 99 of 100 {}, all {}",
                report.load_p50, report.load_p99, report.load_max
            ),
        ),
        (
            "upkeep",
            format!(
                "{:.2} messages a peer and minute",
                report.maintenance_messages_per_peer_minute
            ),
        ),
        ("ended", endings(&report.ended)),
        ("wrong answers", report.wrong.to_string()),
        ("wrongly denied", report.denied.to_string()),
        ("virtual time", format!("{:.1} s", report.seconds)),
        ("event hash", report.event_hash.to_string()),
    ]
}

/// How searches ended, in words; what did not happen is left out.
fn endings(ended: &Endings) -> String {
    let parts = [
        (ended.enough, "enough found"),
        (ended.everybody, "everybody asked"),
        (ended.horizon, "as far as allowed"),
        (ended.partial, "some silent"),
        (ended.no_neighbours, "nobody to ask"),
        (ended.too_many, "too many at once"),
        (ended.never, "never"),
    ];
    let parts = parts.iter().filter(|(count, _)| *count > 0);
    let parts: Vec<String> = parts.map(|(count, how)| format!("{count} {how}")).collect();
    parts.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::workload;
    use super::*;

    #[track_caller]
    fn typed(words: &str) -> Result<Params, Failure> {
        params(&workload::typed(words).unwrap(), 1)
    }

    #[test]
    fn strategies_as_typed() {
        let rings = |ttls: &[u8], widen| Strategy::Rings {
            ttls: ttls.to_vec(),
            widen,
        };
        for (words, strategy) in [
            ("", rings(&[], true)),
            ("--ring 1,2,3", rings(&[1, 2, 3], true)),
            ("--ring 1,2,3 --no-widen", rings(&[1, 2, 3], false)),
            ("--dynamic", Strategy::Dynamic),
            ("--ttl 7", Strategy::Flood { ttl: 7 }),
        ] {
            assert_eq!(typed(words).unwrap().strategy, strategy, "{words}");
        }
        for (words, problem) in [
            ("--ttl 0", "--ttl 0 is impossible"),
            ("--ring 3,2", "--ring 3,2 is impossible: TTLs that grow"),
            ("--ring 0,1", "--ring 0,1 is impossible"),
            ("--interval -1", "seconds from 0"),
            ("--latency slow", "--latency slow"),
        ] {
            let words = words.replace(" -1", "=-1");
            let failure = typed(&words).unwrap_err();
            assert!(failure.message.contains(problem), "{failure:?}");
        }
        for words in [
            "--ttl 7 --dynamic",
            "--ring 1 --ttl 2",
            "--offline exp:1",
            "--ttl 256",
        ] {
            assert!(workload::typed::<SearchArgs>(words).is_err(), "{words}");
        }
    }
}
