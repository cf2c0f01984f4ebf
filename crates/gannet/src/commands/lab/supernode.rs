//! `gannet lab supernode`.

use clap::Args;
use gannet_sim::lab::supernode::{self, Params, Report};

use super::plot::{Plot, Series};
use super::workload::Workload;
use super::{How, View, experiment, per_cent, seconds};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Layout, Printer, Table};

/// `lab supernode`.
#[derive(Debug, Clone, Args)]
pub(super) struct SupernodeArgs {
    /// How many peers arrive, with --churn those that are away included
    #[arg(long, value_name = "N", default_value_t = Params::default().nodes)]
    nodes: u32,
    /// Leaves that a supernode has room for, backups included
    #[arg(long, value_name = "L", default_value_t = Params::default().leaves_max)]
    leaves_max: u16,
    /// How many different files there are
    #[arg(long, value_name = "F", default_value_t = Params::default().files)]
    files: u32,
    /// How many searches there are in each series
    #[arg(long, value_name = "Q", default_value_t = Params::default().queries)]
    queries: u32,
    /// Kill this share of the supernodes at one instant, and watch
    #[arg(long, value_name = "FRACTION")]
    kill: Option<f64>,
    /// Peers that arrive in a second [default: a hundredth of all, 10 to 1000]
    #[arg(long, value_name = "RATE")]
    arrivals: Option<f64>,
    /// Newcomers know the first peer and nobody else, not three at random
    #[arg(long)]
    bootstrap_single: bool,
    /// At the end peers go until so many are left
    #[arg(long, value_name = "N")]
    shrink_to: Option<u32>,
    /// Leaves keep no backup
    #[arg(long)]
    no_backup: bool,
    /// Leaves that lost their supernode look for another at once
    #[arg(long)]
    no_jitter: bool,
    /// Full supernodes take every leaf all the same
    #[arg(long)]
    no_shedding: bool,
    /// Supernodes below which everybody is one
    #[arg(long, value_name = "N", default_value_t = Params::default().supernodes_min)]
    supernodes_min: u16,
    /// Supernodes that each leaf remembers, some 70 bytes each
    #[arg(long, value_name = "N", default_value_t = Params::default().known_max)]
    known: usize,
    #[command(flatten)]
    workload: Workload,
    /// Seconds from one search to the next
    #[arg(long, value_name = "SECONDS", default_value_t = Params::default().interval.as_secs_f64())]
    interval: f64,
    /// Seconds after the last arrival for the network to settle
    #[arg(long, value_name = "SECONDS", default_value_t = Params::default().patience.as_secs_f64())]
    patience: f64,
}

pub(super) fn run(args: &SupernodeArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = params(args, how.seed)?;
    experiment(how, out, || supernode::run(&params), view)
}

fn params(args: &SupernodeArgs, seed: u64) -> Result<Params, Failure> {
    let workload = &args.workload;
    Ok(Params {
        nodes: args.nodes,
        leaves_max: args.leaves_max,
        files: args.files,
        copies: workload.copies,
        queries: args.queries,
        zipf: workload.zipf,
        kill: args.kill,
        churn: workload.churn()?,
        arrivals_per_second: args.arrivals,
        bootstrap_single: args.bootstrap_single,
        shrink_to: args.shrink_to,
        backup: !args.no_backup,
        jitter: !args.no_jitter,
        shedding: !args.no_shedding,
        supernodes_min: args.supernodes_min,
        known_max: args.known,
        latency: workload.latency()?,
        loss: workload.loss,
        interval: seconds("--interval", args.interval)?,
        patience: seconds("--patience", args.patience)?,
        seed,
    })
}

fn view(report: &Report) -> View {
    let mut facts = tiers(report);
    facts.extend(searches(report));
    if report.killed > 0 {
        facts.extend(kill(report));
    }
    facts.extend(ends(report));
    let mut table = Table::new(&[("what does not hold", Layout::Left)]);
    for rule in &report.broken_rules {
        table.row([rule.as_str().into()]);
    }
    let bars = vec![
        (0.0, report.links_p05.into()),
        (1.0, report.links_mean),
        (2.0, report.links_p95.into()),
    ];
    View {
        facts,
        table: (report.broken > 0).then_some(table),
        plot: Plot {
            title: format!(
                "{} supernodes for {} leaves",
                report.supernodes, report.leaves
            ),
            x: "supernodes".to_owned(),
            labels: ["5 of 100", "mean", "95 of 100"]
                .map(str::to_owned)
                .to_vec(),
            y: "links to others".to_owned(),
            series: vec![Series::bars("links", bars)],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: Exit::Done,
    }
}

fn seconds_or_none(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "none".to_owned(), |seconds| format!("{seconds:.1} s"))
}

fn share_or_none(share: Option<f64>) -> String {
    share.map_or_else(|| "none".to_owned(), per_cent)
}

fn tiers(report: &Report) -> Vec<(&'static str, String)> {
    let off: Vec<&str> = [
        (report.backup, "no backups"),
        (report.jitter, "no jitter"),
        (report.shedding, "no shedding"),
    ]
    .iter()
    .filter_map(|(on, name)| (!on).then_some(*name))
    .collect();
    let off = if off.is_empty() {
        "nothing".to_owned()
    } else {
        off.join(", ")
    };
    vec![
        ("peers", report.nodes.to_string()),
        (
            "tiers",
            format!("{} supernodes, {} leaves", report.supernodes, report.leaves),
        ),
        (
            "links",
            format!(
                "{:.1} on average, {} to {} for 90 of 100; {} have 30 to 50",
                report.links_mean,
                report.links_p05,
                report.links_p95,
                per_cent(report.links_within_30_50)
            ),
        ),
        (
            "registrations",
            format!(
                "{:.1} on average, {} at most, room for {}",
                report.leaves_per_supernode_mean,
                report.leaves_per_supernode_max,
                report.leaves_max
            ),
        ),
        ("switched off", off),
        ("settled", seconds_or_none(report.settled_s)),
        (
            "longest without a place",
            format!("{:.1} s", report.longest_unassigned_s),
        ),
    ]
}

fn searches(report: &Report) -> Vec<(&'static str, String)> {
    let first = report
        .first_hit_ms_p50
        .zip(report.first_hit_ms_p99)
        .map_or_else(
            || "none".to_owned(),
            |(p50, p99)| format!("{p50:.0} ms for half, {p99:.0} ms for 99 of 100"),
        );
    vec![
        (
            "recall",
            format!(
                "{}, {} of the copies",
                per_cent(report.recall_before),
                per_cent(report.copies_found_before)
            ),
        ),
        (
            "messages a search",
            format!(
                "{:.1} for one holder, {:.1} for all",
                report.messages_per_query, report.messages_per_query_whole
            ),
        ),
        (
            "bytes a search",
            format!(
                "{:.0} for one holder, {:.0} for all",
                report.bytes_per_query, report.bytes_per_query_whole
            ),
        ),
        ("first answer", first),
        (
            "upkeep",
            format!(
                "{:.2} messages a peer and minute",
                report.maintenance_messages_per_peer_minute
            ),
        ),
    ]
}

fn kill(report: &Report) -> Vec<(&'static str, String)> {
    let ratio = report.connects_per_survivor_ratio.map_or_else(
        || "from none".to_owned(),
        |ratio| format!("{ratio:.2} times"),
    );
    vec![
        (
            "killed",
            format!(
                "{} supernodes, the primaries of {} leaves",
                report.killed, report.bereaved
            ),
        ),
        ("found another", share_or_none(report.rehomed_fraction)),
        (
            "within",
            format!(
                "{} for half, {} for 99 of 100, {} for all",
                seconds_or_none(report.rehomed_seconds_p50),
                seconds_or_none(report.rehomed_seconds_p99),
                seconds_or_none(report.rehomed_seconds_max)
            ),
        ),
        ("secondary losses", report.secondary_losses.to_string()),
        (
            "attempts at a survivor",
            format!(
                "{ratio} as many, {:.1} a second at most",
                report.connects_worst_survivor_per_s.unwrap_or(0.0)
            ),
        ),
        (
            "recall after",
            format!(
                "{}, {} of the copies",
                share_or_none(report.recall_after),
                share_or_none(report.copies_found_after)
            ),
        ),
    ]
}

fn ends(report: &Report) -> Vec<(&'static str, String)> {
    let mut facts = vec![(
        "roles",
        format!(
            "{} became supernodes, {} of them elected, {} stood down",
            report.promotions, report.elections, report.demotions
        ),
    )];
    if let Some(left) = report.shrunk_to {
        facts.push(("shrunk to", left.to_string()));
    }
    facts.extend([
        (
            "longest without service",
            format!("{:.1} s", report.longest_without_service_s),
        ),
        ("without service at the end", report.unassigned.to_string()),
        ("wrong answers", report.wrong.to_string()),
        ("wrongly denied", report.denied.to_string()),
        ("never ended", report.never.to_string()),
        ("rules broken", report.broken.to_string()),
        ("virtual time", format!("{:.1} s", report.seconds)),
        ("event hash", report.event_hash.to_string()),
    ]);
    facts
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
    fn what_is_typed_is_what_runs() {
        let usual = typed("").unwrap();
        assert!(usual.backup && usual.jitter && usual.shedding && usual.churn.is_none());
        let off = typed("--no-backup --no-jitter --no-shedding --kill 0.6 --churn exp:60").unwrap();
        assert!(!off.backup && !off.jitter && !off.shedding);
        assert_eq!(off.kill, Some(0.6));
        let churn = off.churn.unwrap();
        assert_eq!(churn.online, churn.offline);
        assert!(typed("--latency slow").is_err());
        assert!(typed("--interval=-1").is_err());
    }

    #[test]
    fn a_small_network_is_shown() {
        let params = typed("--nodes 40 --files 40 --copies 2 --queries 5 --kill 0.3").unwrap();
        let view = view(&supernode::run(&params).unwrap());
        let shown = |name: &str| view.facts.iter().any(|(fact, _)| *fact == name);
        assert!(shown("tiers") && shown("killed") && shown("event hash"));
        assert!(view.table.is_none());
    }
}
