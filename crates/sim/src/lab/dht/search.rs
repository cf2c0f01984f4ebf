//! `gannet lab search` over this overlay: the same searches, the same report.

use std::time::Duration;

use gannet_base::{fork_rng, seeded_rng};
use gannet_overlay::dht::DhtCommand;
use gannet_overlay::flood::Wanted;

use super::super::search::report::{self, Run};
use super::super::search::{Params, Report, drawn};
use super::super::{EventHash, below, index};
use super::network::{Network, successors};
use crate::Impossible;

/// Most nodes of one peer.
const VIRTUAL_MAX: u8 = 64;
/// Longest wait for the last search.
// Guess: longer than any search may take.
const LATE_MAX: Duration = Duration::from_secs(60);
/// Time for what is still on its way.
const ON_ITS_WAY: Duration = Duration::from_secs(10);
/// From one look at whether the last search is over to the next.
const TICK: Duration = Duration::from_secs(1);
/// Time in which the first of those that left are noticed.
const UNREST: Duration = Duration::from_secs(60);

/// Searches in a structured network.
///
/// # Errors
///
/// If the numbers are impossible.
pub(in crate::lab) fn run(params: &Params) -> Result<Report, Impossible> {
    check(params)?;
    let mut rng = seeded_rng(params.seed);
    let library = params.library(&mut fork_rng(&mut rng));
    let mut network = Network::settled(params, library, rng);
    if let Some(churn) = &params.churn {
        network.begin_churn(churn);
        network.pass(UNREST);
    }
    let began = network.world.now();
    network.world.app_mut().begin_counting();
    for _ in 0..params.queries {
        network.pass(params.interval);
        ask(params, &mut network);
    }
    let last = network.world.now();
    while network.world.app().people.running > 0 && network.world.now() - last < LATE_MAX {
        network.pass(TICK);
    }
    network.pass(ON_ITS_WAY);
    let run = Run {
        overlay: "dht",
        nodes: params.nodes,
        files: params.files,
        degree_mean: network.links_mean(),
        listed: Some(network.listed()),
        took: network.world.now() - began,
        events: network.world.stats().events,
        event_hash: EventHash(network.world.fingerprint()),
    };
    Ok(report::of(&network.world.app().people, &run))
}

fn check(params: &Params) -> Result<(), Impossible> {
    let successors = successors();
    if usize::try_from(params.nodes).is_ok_and(|nodes| nodes <= successors) {
        let possible = format!("more than the {successors} successors that a node lists");
        return Err(Impossible::new("--nodes", params.nodes, possible));
    }
    if !(1..=VIRTUAL_MAX).contains(&params.virtual_nodes) {
        let possible = format!("from 1 to {VIRTUAL_MAX} nodes of each peer");
        return Err(Impossible::new("--virtual", params.virtual_nodes, possible));
    }
    if params.grow {
        let possible = "of flood and supernode; a ring is laid as it would become";
        return Err(Impossible::new("--grow", true, possible));
    }
    Ok(())
}

/// Somebody who does not have it asks for something.
fn ask(params: &Params, network: &mut Network) {
    let world = &mut network.world;
    let library = &world.app().people.library;
    let is_up = |node| world.is_running(node);
    let Some((searcher, file)) = drawn(library, params.nodes, &mut network.rng, is_up) else {
        return;
    };
    let (least, most) = params.words;
    let rng = &mut network.rng;
    let count = u32::from(least) + below(rng, u32::from(most - least) + 1);
    let (query, files) = library.query_of(file, index(count), rng);
    let now = world.now();
    let sought = (files, params.enough);
    let id = world.app_mut().begin(now, searcher, file, sought);
    let command = DhtCommand::Search {
        id,
        wanted: Wanted::Words(query),
        enough: params.enough,
    };
    world.command(searcher, command);
}
