//! `gannet lab`: experiments with thousands of simulated peers, which run the
//! very protocols that real peers run. Nothing touches the network.

mod attack;
mod chord;
mod chord_time;
mod churn;
mod devices;
mod flood;
mod join;
mod keep;
mod plot;
mod search;
mod seeds;
mod speed;
mod supernode;
mod swarm;
mod workload;

use std::path::{Path, PathBuf};
use std::time::Duration;

use clap::{Args, Subcommand};
use gannet_sim::{Impossible, Latency};
use serde::Serialize;

use crate::exit::{Exit, Failure, Outcome};
use crate::output::{Printer, Table, facts, note};

use plot::Plot;
use speed::{Speed, Watch};

/// `lab`.
#[derive(Debug, Clone, Args)]
pub(crate) struct LabArgs {
    #[command(flatten)]
    how: How,
    #[command(subcommand)]
    experiment: Experiment,
}

/// What every experiment takes.
#[derive(Debug, Clone, Args)]
struct How {
    /// The seed: the same one gives the same result to the bit
    #[arg(long, global = true, value_name = "SEED", default_value_t = 1)]
    seed: u64,
    /// Draw the result into an SVG file
    #[arg(long, global = true, value_name = "FILE.svg")]
    plot: Option<PathBuf>,
    /// Say how fast it went and how much memory it took, which differs from run
    /// to run
    #[arg(long, global = true)]
    speed: bool,
}

/// The experiments.
#[derive(Debug, Clone, Subcommand)]
enum Experiment {
    /// One flood over a graph: what it reaches and what it costs
    Flood(flood::FloodArgs),
    /// Searches in a network that shares files: what is found, at what cost
    Search(Box<search::SearchArgs>),
    /// The same searches with each device of the overlay switched off in turn
    Devices(devices::DevicesArgs),
    /// A network that grows from one peer by its own joining
    Join(join::JoinArgs),
    /// A network of two tiers: how it elects supernodes, finds, and recovers when
    /// many of them die at once
    Supernode(Box<supernode::SupernodeArgs>),
    /// A swarm that fetches one file, beside the least time that it can take
    Swarm(swarm::SwarmArgs),
    /// Many small networks in which everything goes wrong, and heals: what must
    /// always hold does; exit code 1 if not
    Seeds(seeds::SeedsArgs),
    /// Searches while some peers ask a hundred times as much as anybody may
    Attack(attack::AttackArgs),
    /// Peers that come and go: how long they have been, how long they stay
    Churn(churn::ChurnArgs),
    /// Lookups in an ideal ring of up to a million: how long their ways are
    ChordPath(chord::PathArgs),
    /// Lookups after many nodes of a ring died at once, before anybody mends it
    ChordFail(chord::FailArgs),
    /// Lookups while nodes of a ring come and go, and it is mended
    ChordChurn(chord_time::ChurnArgs),
    /// How evenly keys are spread over nodes, and what a newcomer moves
    ChordLoad(chord::LoadArgs),
    /// A ring that is cut in two, and becomes one again
    ChordHeal(chord_time::HealArgs),
    /// Every ring of a few places, in every order of events; exit code 1 if one
    /// breaks
    ChordCheck(chord::CheckArgs),
    /// Files that others keep while everybody comes and goes: what is lost, and what
    /// keeping them costs
    Keep(Box<keep::KeepArgs>),
}

/// Runs an experiment.
pub(crate) fn run(args: LabArgs, out: &mut Printer) -> Outcome {
    let LabArgs { how, experiment } = args;
    match experiment {
        Experiment::Flood(args) => flood::run(&args, &how, out),
        Experiment::Search(args) => search::run(&args, &how, out),
        Experiment::Devices(args) => devices::run(&args, &how, out),
        Experiment::Join(args) => join::run(&args, &how, out),
        Experiment::Supernode(args) => supernode::run(&args, &how, out),
        Experiment::Swarm(args) => swarm::run(&args, &how, out),
        Experiment::Seeds(args) => seeds::run(&args, &how, out),
        Experiment::Attack(args) => attack::run(&args, &how, out),
        Experiment::Churn(args) => churn::run(&args, &how, out),
        Experiment::ChordPath(args) => chord::run_path(&args, &how, out),
        Experiment::ChordFail(args) => chord::run_fail(&args, &how, out),
        Experiment::ChordChurn(args) => chord_time::run_churn(&args, &how, out),
        Experiment::ChordLoad(args) => chord::run_load(&args, &how, out),
        Experiment::ChordHeal(args) => chord_time::run_heal(&args, &how, out),
        Experiment::ChordCheck(args) => chord::run_check(&args, &how, out),
        Experiment::Keep(args) => keep::run(&args, &how, out),
    }
}

/// A result as it is shown.
struct View {
    facts: Vec<(&'static str, String)>,
    table: Option<Table>,
    plot: Plot,
    /// How many events and peers were simulated.
    events: u64,
    peers: u64,
    /// How the command ends.
    exit: Exit,
}

/// A report, and how fast it came about if that was asked for.
#[derive(Serialize)]
struct WithSpeed<'a, R> {
    #[serde(flatten)]
    report: &'a R,
    #[serde(skip_serializing_if = "Option::is_none")]
    speed: Option<Speed>,
}

/// Runs an experiment and shows what it found.
fn experiment<R: Serialize>(
    how: &How,
    out: &mut Printer,
    run: impl FnOnce() -> Result<R, Impossible>,
    view: impl FnOnce(&R) -> View,
) -> Outcome {
    let watch = Watch::start();
    let report = run()?;
    let mut view = view(&report);
    let exit = view.exit;
    let speed = how.speed.then(|| watch.stop(view.events, view.peers));
    if out.wants_json() {
        let report = &report;
        out.json(&WithSpeed { report, speed })?;
    } else {
        view.facts.extend(speed.iter().flat_map(Speed::facts));
        out.line(facts(&view.facts))?;
        if let Some(table) = &view.table {
            out.line("")?;
            out.table(table)?;
        }
    }
    if let Some(path) = &how.plot {
        write_plot(path, &view.plot)?;
        note(format_args!("plot: {}", path.display()));
    }
    Ok(exit)
}

fn write_plot(path: &Path, plot: &Plot) -> Result<(), Failure> {
    std::fs::write(path, plot.svg())
        .map_err(|error| Failure::failed(format_args!("cannot write {}: {error}", path.display())))
}

/// The latency that was typed, or the usual one.
fn latency(typed: Option<&str>, usual: Latency) -> Result<Latency, Impossible> {
    typed.map_or(Ok(usual), |text| Latency::parse("--latency", text))
}

/// A number of seconds as a time span of at most a year.
fn seconds(parameter: &'static str, typed: f64) -> Result<Duration, Impossible> {
    if !(0.0..=31_536_000.0).contains(&typed) {
        let possible = "seconds from 0 to 31536000, which is a year";
        return Err(Impossible::new(parameter, typed, possible));
    }
    Ok(Duration::from_secs_f64(typed))
}

/// The text of a file that a parameter names.
fn read(path: &str) -> Result<String, Failure> {
    std::fs::read_to_string(path)
        .map_err(|error| Failure::failed(format_args!("cannot read {path}: {error}")))
}

/// A parameter that no experiment can run with is wrong usage.
impl From<Impossible> for Failure {
    fn from(error: Impossible) -> Self {
        Self::usage(error)
    }
}

/// A share for people.
fn per_cent(share: f64) -> String {
    format!("{:.2} %", share * 100.0)
}

/// A count for a plot.
#[allow(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}
