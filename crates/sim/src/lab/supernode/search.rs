//! `gannet lab search` over this overlay: the same searches, the same report.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::{fork_rng, seeded_rng};
use gannet_overlay::supernode::{Config, Supernode};

use super::super::search::{Params, Report};
use super::grow;
use super::network::Network;
use super::searches::Series;
use crate::{Impossible, LinkModel, Mode};

/// Searches in a network of two tiers.
///
/// # Errors
///
/// If the numbers are impossible.
pub(in crate::lab) fn run(params: &Params) -> Result<Report, Impossible> {
    let own = super::Params {
        nodes: params.nodes,
        leaves_max: params.leaves_max,
        files: params.files,
        copies: params.copies,
        queries: params.queries,
        zipf: params.zipf,
        bootstrap_single: params.grow,
        latency: params.latency.clone(),
        loss: params.loss,
        interval: params.interval,
        seed: params.seed,
        ..super::Params::default()
    };
    own.check()?;
    let mut rng = seeded_rng(params.seed);
    let library = params.library(&mut fork_rng(&mut rng));
    let mut model = LinkModel::new(Mode::Connected, params.latency.clone());
    model.faults.loss = params.loss;
    let wrap: fn(u32, Supernode) -> Supernode = |_, core| core;
    let model = (params.seed, model);
    let mut network = Network::new(
        (library, params.nodes),
        config(params, &own),
        model,
        wrap,
        rng,
    );
    grow(&own, &mut network);
    network.settle(own.patience);
    if let Some(churn) = &params.churn {
        network.begin_churn(churn);
        network.pass(Duration::from_secs(60));
    }
    Ok(network.searches(Series {
        queries: params.queries,
        enough: params.enough,
        interval: params.interval,
    }))
}

/// What is said of the flood holds of the flood among supernodes.
fn config(params: &Params, own: &super::Params) -> Config {
    let mut config = own.config();
    let flood = Arc::make_mut(&mut config.flood);
    if let Some(degree) = params.degree {
        flood.neighbours_target = u16::try_from(degree).unwrap_or(u16::MAX);
    }
    flood.ttl_max = flood
        .ttl_max
        .max(super::super::search::ttl(&params.strategy));
    flood.strategy = params.strategy.clone();
    flood.tables = params.tables;
    flood.revisit = params.revisit;
    flood.reports = params.reports;
    config
}
