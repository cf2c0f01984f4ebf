//! What came of a network of two tiers.

use serde::Serialize;

use gannet_base::Timestamp;
use gannet_overlay::supernode::Counters;

use super::super::EventHash;
use super::super::search::Report as Searches;
use super::fall::Fall;
use super::invariants::Broken;
use super::network::Network;
use super::public::Peer;
use super::{Params, shrink::Shrunk};
use crate::stats;

/// A network of two tiers. What is told of roles, links and places is of the
/// network when it had settled; with a kill, of what was before it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// Which overlay.
    pub overlay: &'static str,
    /// Peers that have arrived.
    pub nodes: u32,
    /// Supernodes.
    pub supernodes: u32,
    /// Leaves.
    pub leaves: u32,
    /// Links of a supernode to others: 5 of 100 have no more.
    pub links_p05: u32,
    /// On average.
    pub links_mean: f64,
    /// 95 of 100 have no more.
    pub links_p95: u32,
    /// The share of the supernodes that have 30 to 50 links.
    pub links_within_30_50: f64,
    /// Places of a supernode.
    pub leaves_max: u16,
    /// Registrations at the supernode that has most of them, of both kinds.
    pub leaves_per_supernode_max: u32,
    /// Registrations at a supernode, on average.
    pub leaves_per_supernode_mean: f64,
    /// Whether leaves keep a backup.
    pub backup: bool,
    /// Whether they wait at random before they look for another place.
    pub jitter: bool,
    /// Whether full supernodes send leaves away.
    pub shedding: bool,
    /// Seconds from the last arrival until roles and links stood still; nothing
    /// if they did not.
    pub settled_s: Option<f64>,
    /// The longest time that a leaf had no supernode from its start on, seconds;
    /// what follows a kill is not counted.
    pub longest_unassigned_s: f64,
    /// Peers without service at the end.
    pub unassigned: u32,
    /// The share of the searches that found the file, of those for which
    /// somebody who was up had it, as wide as it takes.
    pub recall_before: f64,
    /// The same after the kill; nothing without one.
    pub recall_after: Option<f64>,
    /// The share of the copies that was found, on average.
    pub copies_found_before: f64,
    /// The same after the kill.
    pub copies_found_after: Option<f64>,
    /// Messages that a search for one holder causes.
    pub messages_per_query: f64,
    /// Their bytes.
    pub bytes_per_query: f64,
    /// Messages of a search for all holders there are.
    pub messages_per_query_whole: f64,
    /// Their bytes.
    pub bytes_per_query_whole: f64,
    /// The share of the searches for one holder that found it.
    pub recall_one: f64,
    /// Milliseconds until the first answer to a search for one holder, of half
    /// of them.
    pub first_hit_ms_p50: Option<f64>,
    /// The same of 99 of 100.
    pub first_hit_ms_p99: Option<f64>,
    /// Messages that no search caused, for each peer and minute.
    pub maintenance_messages_per_peer_minute: f64,
    /// Supernodes that were killed.
    pub killed: u32,
    /// Leaves whose primary was killed.
    pub bereaved: u64,
    /// The share of them that have another one.
    pub rehomed_fraction: Option<f64>,
    /// Seconds until then, of half of them.
    pub rehomed_seconds_p50: Option<f64>,
    /// The same of 99 of 100.
    pub rehomed_seconds_p99: Option<f64>,
    /// The same of all.
    pub rehomed_seconds_max: Option<f64>,
    /// Supernodes that nobody killed and that stopped being one while leaves
    /// looked for places.
    pub secondary_losses: u64,
    /// Attempts to connect at a survivor, a second, in the minute before.
    pub connects_before_per_s: Option<f64>,
    /// The same in the worst ten seconds after, over that.
    pub connects_per_survivor_ratio: Option<f64>,
    /// Attempts a second at the survivor that had most, in its worst ten
    /// seconds.
    pub connects_worst_survivor_per_s: Option<f64>,
    /// Peers that became supernodes because theirs had died.
    pub elections: u64,
    /// Times that a peer became a supernode.
    pub promotions: u64,
    /// Times that one stood down.
    pub demotions: u64,
    /// Peers that were left after the others had gone; nothing if none were to.
    pub shrunk_to: Option<u32>,
    /// The longest time that any peer that was up had no service, growing,
    /// shrinking and kills included, seconds.
    pub longest_without_service_s: f64,
    /// Answers that match nothing or are not their holder's: always 0.
    pub wrong: u64,
    /// Searches that said that nobody has what somebody has.
    pub denied: u64,
    /// Searches that did not end: always 0.
    pub never: u64,
    /// Rules that did not hold at the end of a phase: always 0.
    pub broken: u64,
    /// Some of them, in words.
    pub broken_rules: Vec<String>,
    /// Virtual seconds.
    pub seconds: f64,
    /// Things that happened.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
}

/// Links of supernodes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::lab) struct Links {
    pub(in crate::lab) p05: u32,
    pub(in crate::lab) mean: f64,
    pub(in crate::lab) p95: u32,
    pub(in crate::lab) within_30_50: f64,
}

/// How many links supernodes have now.
pub(in crate::lab) fn links_of<P: Peer>(network: &Network<P>) -> Links {
    let supernodes = network.supernodes().into_iter();
    let cores = supernodes.filter_map(|node| network.world.core(node));
    let links = cores.map(|peer| {
        let flood = peer.supernode().status(network.world.now()).flood;
        flood.map_or(0, |flood| {
            u32::try_from(flood.neighbours.len()).unwrap_or(u32::MAX)
        })
    });
    let mut links: Vec<u32> = links.collect();
    links.sort_unstable();
    let at = |per_cent| stats::percentile(&links, per_cent).unwrap_or(0);
    let count = links.len() as u64;
    let within = links
        .iter()
        .filter(|links| (30..=50).contains(*links))
        .count();
    Links {
        p05: at(5.0),
        mean: stats::share(links.iter().map(|links| u64::from(*links)).sum(), count),
        p95: at(95.0),
        within_30_50: stats::share(within as u64, count),
    }
}

/// The network when it has settled.
#[derive(Debug, Clone, Copy)]
pub(super) struct Settled {
    supernodes: u32,
    leaves: u32,
    links: Links,
    registrations: (u32, f64),
    seconds: Option<f64>,
    longest_unassigned_s: f64,
}

/// Looks at the network now.
pub(super) fn look<P: Peer>(network: &Network<P>, settled: Option<std::time::Duration>) -> Settled {
    let supernodes = network.supernodes().into_iter();
    let cores = supernodes.filter_map(|node| network.world.core(node));
    let counts = cores.map(|peer| peer.supernode().leaves().count() as u64);
    let (count, sum, most) = counts.fold((0, 0, 0), |(count, sum, most), leaves: u64| {
        (count + 1, sum + leaves, leaves.max(most))
    });
    Settled {
        supernodes: network.census.supernodes,
        leaves: network.census.leaves,
        links: links_of(network),
        registrations: (
            u32::try_from(most).unwrap_or(u32::MAX),
            stats::share(sum, count),
        ),
        seconds: settled.map(|settled| settled.as_secs_f64()),
        longest_unassigned_s: network.census.longest().0.as_secs_f64(),
    }
}

/// Everything that was measured.
#[derive(Debug)]
pub(super) struct Measured {
    pub(super) settled: Settled,
    pub(super) one: Searches,
    pub(super) whole: Searches,
    pub(super) fall: Option<(Fall, Searches)>,
    pub(super) shrunk: Option<Shrunk>,
    pub(super) broken: Broken,
}

impl Measured {
    fn series(&self) -> impl Iterator<Item = &Searches> {
        let after = self.fall.iter().map(|(_, after)| after);
        [&self.one, &self.whole].into_iter().chain(after)
    }
}

pub(super) fn of<P: Peer>(params: &Params, network: &Network<P>, measured: Measured) -> Report {
    let settled = &measured.settled;
    let counters: Counters = network.counters();
    let fall = measured.fall.as_ref().map(|(fall, _)| fall);
    let after = measured.fall.as_ref().map(|(_, after)| after);
    let rehomed = |per_cent| fall.and_then(|fall| stats::percentile(&fall.rehomed, per_cent));
    let (one, whole) = (&measured.one, &measured.whole);
    Report {
        overlay: "supernode",
        nodes: network.world.nodes(),
        supernodes: settled.supernodes,
        leaves: settled.leaves,
        links_p05: settled.links.p05,
        links_mean: settled.links.mean,
        links_p95: settled.links.p95,
        links_within_30_50: settled.links.within_30_50,
        leaves_max: params.leaves_max,
        leaves_per_supernode_max: settled.registrations.0,
        leaves_per_supernode_mean: settled.registrations.1,
        backup: params.backup,
        jitter: params.jitter,
        shedding: params.shedding,
        settled_s: settled.seconds,
        longest_unassigned_s: settled.longest_unassigned_s,
        unassigned: network.census.unserved,
        recall_before: whole.recall,
        recall_after: after.map(|after| after.recall),
        copies_found_before: whole.copies_found_share,
        copies_found_after: after.map(|after| after.copies_found_share),
        messages_per_query: one.messages_per_query,
        bytes_per_query: one.bytes_per_query,
        messages_per_query_whole: whole.messages_per_query,
        bytes_per_query_whole: whole.bytes_per_query,
        recall_one: one.recall,
        first_hit_ms_p50: one.first_hit_ms_p50,
        first_hit_ms_p99: one.first_hit_ms_p99,
        maintenance_messages_per_peer_minute: one.maintenance_messages_per_peer_minute,
        killed: fall.map_or(0, |fall| fall.killed),
        bereaved: fall.map_or(0, |fall| fall.bereaved),
        rehomed_fraction: fall
            .filter(|fall| fall.bereaved > 0)
            .map(|fall| stats::share(fall.rehomed.len() as u64, fall.bereaved)),
        rehomed_seconds_p50: rehomed(50.0),
        rehomed_seconds_p99: rehomed(99.0),
        rehomed_seconds_max: rehomed(100.0),
        secondary_losses: fall.map_or(0, |fall| fall.secondary_losses),
        connects_before_per_s: fall.map(|fall| fall.before_per_s),
        connects_per_survivor_ratio: fall.and_then(Fall::ratio),
        connects_worst_survivor_per_s: fall.map(|fall| fall.worst_per_s),
        elections: counters.elections,
        promotions: counters.promotions,
        demotions: counters.demotions,
        shrunk_to: measured.shrunk.as_ref().map(|shrunk| shrunk.left),
        longest_without_service_s: network
            .census
            .longest()
            .0
            .as_secs_f64()
            .max(settled.longest_unassigned_s),
        // Of the whole run: each series tells what there was so far.
        wrong: network.world.app().people.wrong,
        denied: measured.series().map(|series| series.denied).sum(),
        never: measured.series().map(|series| series.ended.never).sum(),
        broken: measured.broken.count() as u64,
        broken_rules: measured.broken.told(),
        seconds: (network.world.now() - Timestamp::ZERO).as_secs_f64(),
        events: network.world.stats().events,
        event_hash: EventHash(network.world.fingerprint()),
    }
}
