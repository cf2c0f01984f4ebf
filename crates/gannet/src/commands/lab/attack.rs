//! `gannet lab attack`.

use clap::Args;
use gannet_sim::lab::attack::{self, Params, Report};

use super::plot::{Plot, Series};
use super::{How, View, experiment, per_cent};
use crate::exit::{Exit, Outcome};
use crate::output::Printer;

/// `lab attack`.
#[derive(Debug, Clone, Args)]
pub(super) struct AttackArgs {
    /// How many peers there are, attackers included
    #[arg(long, value_name = "N", default_value_t = Params::default().nodes)]
    nodes: u32,
    /// How many neighbours each wants
    #[arg(long, value_name = "D", default_value_t = Params::default().degree)]
    degree: u32,
    /// How many of the peers attack
    #[arg(long, value_name = "N", default_value_t = Params::default().attackers)]
    attackers: u32,
    /// Questions that a peer answers and passes on a second
    #[arg(long, value_name = "N", default_value_t = Params::default().budget)]
    budget: u32,
    /// What an attacker asks of each neighbour, in budgets
    #[arg(long, value_name = "N", default_value_t = Params::default().times)]
    times: u32,
    /// How many searches the others do, in peace and again under attack
    #[arg(long, value_name = "Q", default_value_t = Params::default().queries)]
    queries: u32,
}

pub(super) fn run(args: &AttackArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = Params {
        nodes: args.nodes,
        degree: args.degree,
        attackers: args.attackers,
        budget: args.budget,
        times: args.times,
        queries: args.queries,
        seed: how.seed,
    };
    experiment(how, out, || attack::run(&params), view)
}

fn view(report: &Report) -> View {
    let first = |ms: Option<f64>| ms.map_or_else(|| "none".to_owned(), |ms| format!("{ms:.0} ms"));
    let facts = vec![
        ("peers", report.nodes.to_string()),
        ("attackers", report.attackers.to_string()),
        ("recall in peace", per_cent(report.recall_in_peace)),
        ("under attack", per_cent(report.recall_under_attack)),
        ("kept", per_cent(report.kept)),
        (
            "first answer",
            format!(
                "for half {} in peace, {} under attack",
                first(report.first_hit_ms_p50_in_peace),
                first(report.first_hit_ms_p50_under_attack)
            ),
        ),
        ("attackers asked", report.attack_questions.to_string()),
        ("refused", report.refused.to_string()),
        ("expelled", report.expelled.to_string()),
        ("wrong answers", report.wrong.to_string()),
        ("event hash", report.event_hash.to_string()),
    ];
    let bars = vec![
        (0.0, report.recall_in_peace),
        (1.0, report.recall_under_attack),
    ];
    View {
        facts,
        table: None,
        plot: Plot {
            title: format!(
                "Searches among {} peers, {} of them attackers",
                report.nodes, report.attackers
            ),
            x: String::new(),
            labels: vec!["in peace".to_owned(), "under attack".to_owned()],
            y: "recall".to_owned(),
            series: vec![Series::bars("recall", bars)],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: Exit::Done,
    }
}
