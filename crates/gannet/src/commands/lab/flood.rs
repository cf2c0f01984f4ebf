//! `gannet lab flood`.

use clap::Args;
use gannet_sim::Latency;
use gannet_sim::lab::flood::{self, Params, Report};
use gannet_sim::topology::{Graph, Topology};

use super::plot::{Plot, Series};
use super::{How, View, experiment, float, per_cent, read};
use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Layout, Printer, Table};

/// `lab flood`.
#[derive(Debug, Clone, Args)]
pub(super) struct FloodArgs {
    /// Who is linked to whom: torus:ROWSxCOLUMNS, grid:ROWSxCOLUMNS,
    /// hypercube:DIMENSIONS, random:N,MEAN, regular:N,DEGREE, powerlaw:N,EXP or
    /// file:PATH with lines of "u v"
    #[arg(long, value_name = "GRAPH")]
    graph: String,
    /// The node that asks; in a torus or grid it is row * columns + column
    #[arg(long, value_name = "ID")]
    source: u32,
    /// How many hops the question may go
    #[arg(long, value_name = "HOPS")]
    ttl: u32,
    /// How long a hop takes, milliseconds: equal, equal:MS, uniform:LO,HI,
    /// exp:MEAN or plane:BASE,ACROSS
    #[arg(long, value_name = "LATENCY", default_value = "equal")]
    latency: String,
    /// Pass on a later copy that may go further than the first, which repairs
    /// what unequal latencies do; plain flooding does not
    #[arg(long)]
    revisit: bool,
}

pub(super) fn run(args: &FloodArgs, how: &How, out: &mut Printer) -> Outcome {
    let params = Params {
        graph: graph(&args.graph, how.seed)?,
        source: args.source,
        ttl: args.ttl,
        latency: Latency::parse("--latency", &args.latency)?,
        revisit: args.revisit,
        seed: how.seed,
    };
    let title = format!("Flood of {}, TTL {}", args.graph, args.ttl);
    experiment(
        how,
        out,
        || flood::run(&params),
        |report| view(report, title),
    )
}

/// The graph that was typed; the edge list is read if it is one.
fn graph(spec: &str, seed: u64) -> Result<Graph, Failure> {
    let topology: Topology = spec.parse()?;
    let text = topology.file().map(read).transpose()?;
    Ok(topology.build(seed, text.as_deref())?)
}

fn view(report: &Report, title: String) -> View {
    let mut table = Table::new(&[
        ("hop", Layout::Right),
        ("new nodes", Layout::Right),
        ("in all", Layout::Right),
        ("of all nodes", Layout::Right),
    ]);
    let others = float(report.nodes.saturating_sub(1).into()).max(1.0);
    let mut sum = 0;
    let mut bars = Vec::new();
    let mut line = Vec::new();
    for (new, hop) in report.reach_by_hop.iter().zip(1_u32..) {
        sum += new;
        let share = per_cent(float(sum) / others);
        table.row([
            hop.to_string().into(),
            new.to_string().into(),
            sum.to_string().into(),
            share.into(),
        ]);
        bars.push((hop.into(), float(*new)));
        line.push((hop.into(), float(sum)));
    }
    let reach = format!("{}, {}", report.reach, per_cent(report.reach_share));
    let messages = format!(
        "{}, {:.3} a node",
        report.messages, report.messages_per_node
    );
    let duplicates = per_cent(report.duplicate_share);
    let facts = vec![
        ("nodes", report.nodes.to_string()),
        ("edges", report.edges.to_string()),
        ("reach", reach),
        ("messages", messages),
        ("duplicates", format!("{}, {duplicates}", report.duplicates)),
        ("virtual time", format!("{:.3} s", report.seconds)),
        ("event hash", report.event_hash.to_string()),
    ];
    View {
        facts,
        table: Some(table),
        plot: Plot {
            title,
            x: "hops".to_owned(),
            labels: Vec::new(),
            y: "nodes".to_owned(),
            series: vec![Series::bars("new", bars), Series::line("in all", line)],
        },
        events: report.events,
        peers: report.nodes.into(),
        exit: Exit::Done,
    }
}
