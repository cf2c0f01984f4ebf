//! Peers that do harm, and what comes of it.

use std::time::Duration;

use gannet_base::{
    ContentId, Core, FileEntry, Link, Media, Output, PeerId, Publication, Timestamp,
};
use gannet_base::{WallTime, fork_rng, seeded_rng, wire::SignatureBytes};
use gannet_overlay::hub::HubMessage;
use gannet_overlay::supernode::{
    Config, Machine, Role, Score, Supernode, SupernodeCommand, SupernodeEvent, SupernodeMessage,
};

use super::super::library::EXPIRES;
use super::network::Network;
use super::public::Peer;
use super::searches::Series;
use super::{Params, grow, library, network};
use crate::{LinkModel, Mode, node_of, peer_id, workload};

/// The peer that does harm, where it is to be one from the start.
const CULPRIT: u32 = 0;

/// A peer that may change what it says.
struct Tongue {
    core: Supernode,
    /// What becomes of a message; nothing if it is not sent.
    say: fn(SupernodeMessage) -> Option<SupernodeMessage>,
}

impl Peer for Tongue {
    fn supernode(&self) -> &Supernode {
        &self.core
    }
}

impl Core for Tongue {
    type Message = SupernodeMessage;
    type Command = SupernodeCommand;
    type Event = SupernodeEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: SupernodeMessage) {
        self.core.handle_message(now, from, message);
    }

    fn handle_command(&mut self, now: Timestamp, command: SupernodeCommand) {
        self.core.handle_command(now, command);
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        self.core.handle_link(now, peer, link);
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        self.core.handle_timeout(now);
    }

    fn poll_output(&mut self) -> Option<Output<SupernodeMessage, SupernodeEvent>> {
        loop {
            match self.core.poll_output()? {
                Output::Send { to, message } => {
                    if let Some(message) = (self.say)(message) {
                        return Some(Output::Send { to, message });
                    }
                }
                other => return Some(other),
            }
        }
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.core.next_deadline()
    }
}

fn params() -> Params {
    Params {
        nodes: 120,
        leaves_max: 20,
        files: 120,
        copies: 3.0,
        queries: 30,
        supernodes_min: 6,
        ..Params::default()
    }
}

/// A network in which some speak otherwise.
fn speaking(params: &Params, wrap: fn(u32, Supernode) -> Tongue) -> Network<Tongue> {
    let mut rng = seeded_rng(params.seed);
    let library = library(params, &mut fork_rng(&mut rng));
    let mut network = network(params, library, wrap, rng);
    grow(params, &mut network);
    network.pass(Duration::from_secs(120));
    network
}

fn honest(message: SupernodeMessage) -> Option<SupernodeMessage> {
    Some(message)
}

/// Everything is found, by everybody.
#[track_caller]
fn all_is_found<P: Peer>(network: &mut Network<P>) -> f64 {
    let report = network.searches(Series {
        queries: 30,
        enough: 1,
        interval: Duration::from_millis(500),
    });
    assert_eq!(
        (report.recall, report.wrong, report.ended.never),
        (1.0, 0, 0),
        "{report:?}"
    );
    report.messages_per_query
}

/// It says the best of itself that can be said: it may be elected, like the
/// best there are, and not more often than they.
#[test]
fn who_boasts_is_believed_as_far_as_the_best() {
    fn boast(message: SupernodeMessage) -> Option<SupernodeMessage> {
        let best = Score {
            uptime_s: u32::MAX,
            machine: Machine {
                upload_kib: u32::MAX,
                memory_mib: u32::MAX,
            },
            stability: u8::MAX,
            reachable: true,
            willing: true,
        };
        Some(match message {
            SupernodeMessage::Card { is_primary, .. } => SupernodeMessage::Card {
                is_primary,
                score: best,
            },
            SupernodeMessage::Load {
                leaves, leaves_max, ..
            } => SupernodeMessage::Load {
                leaves,
                leaves_max,
                score: best,
            },
            other => other,
        })
    }
    let mut network = speaking(&params(), |node, core| Tongue {
        core,
        say: if node % 4 == 1 { boast } else { honest },
    });
    let supernodes = network.supernodes();
    let boasters = supernodes.iter().filter(|node| **node % 4 == 1).count();
    assert!(
        boasters < supernodes.len(),
        "{boasters} of {}",
        supernodes.len()
    );
    assert_eq!(network.census.unserved, 0);
    all_is_found(&mut network);
}

/// It takes leaves in, and answers nothing that they ask: they leave it, and
/// do not come back.
#[test]
fn who_answers_nothing_is_left() {
    fn mute(message: SupernodeMessage) -> Option<SupernodeMessage> {
        let is_answer = matches!(
            message,
            SupernodeMessage::Rows { .. }
                | SupernodeMessage::Ended { .. }
                | SupernodeMessage::Hub(HubMessage::Rows { .. })
        );
        (!is_answer).then_some(message)
    }
    let mut network = speaking(&params(), |node, core| Tongue {
        core,
        say: if node == CULPRIT { mute } else { honest },
    });
    // Who shares nothing has nothing to try it with, until it searches.
    let library = &network.world.app().people.library;
    let sharers = network.up().into_iter();
    let sharers = sharers.filter(|node| !library.shares(*node).is_empty());
    let believers = sharers.filter(|node| {
        let peer = network.world.core(*node);
        peer.is_some_and(|peer| peer.core.homes().any(|home| node_of(home) == Some(CULPRIT)))
    });
    assert_eq!(believers.count(), 0);
    assert_eq!(network.census.unserved, 0);
    let counters = network.counters();
    assert!(counters.banned > 0, "{counters:?}");
    all_is_found(&mut network);
}

/// Entries with these paths, of a peer.
fn entries(holder: u32, paths: impl Iterator<Item = String>) -> Vec<Publication> {
    paths
        .map(|path| Publication {
            entry: FileEntry {
                content: ContentId::of(path.as_bytes()),
                size: 1,
                path,
                media: Media::default(),
            },
            holder: peer_id(holder),
            expires: WallTime::from_unix_seconds(EXPIRES),
            signature: SignatureBytes([0x5a; 64]),
        })
        .collect()
}

/// A leaf whose files have every word there is: whoever asks, asks its
/// supernode too, and that is all.
#[test]
fn who_claims_every_word_costs_an_ask() {
    let params = params();
    let run = |claims: bool| {
        let mut network = super::plain(&params);
        grow(&params, &mut network);
        network.pass(Duration::from_secs(60));
        if claims {
            // One in each name: with more, some would be what is asked for.
            let name = |word: u32| format!("all/{}.txt", workload::word(word));
            let published = entries(7, (0..1_000).map(name));
            network
                .world
                .command(7, SupernodeCommand::Publish(published));
        }
        network.pass(Duration::from_secs(30));
        all_is_found(&mut network)
    };
    let (without, with) = (run(false), run(true));
    assert!(with <= without + 40.0, "{without} messages, then {with}");
}

/// One that registers without end is stopped where the limit is; the others do
/// not notice.
#[test]
fn who_registers_without_end_is_stopped() {
    const LIMIT: usize = 500;
    let params = params();
    let mut rng = seeded_rng(params.seed);
    let library = library(&params, &mut fork_rng(&mut rng));
    let mut config = Config { ..params.config() };
    config.server.entries_per_peer_max = LIMIT;
    let model = LinkModel::new(Mode::Connected, params.latency.clone());
    let wrap: fn(u32, Supernode) -> Supernode = |_, core| core;
    let mut network = Network::new((library, params.nodes), config, (1, model), wrap, rng);
    grow(&params, &mut network);
    network.pass(Duration::from_secs(60));
    let greedy = (0..params.nodes)
        .find(|node| {
            network
                .world
                .core(*node)
                .is_some_and(|core| core.role() == Role::Leaf)
        })
        .unwrap();
    let many = entries(greedy, (0..5_000).map(|n| format!("much/{n}.bin")));
    network
        .world
        .command(greedy, SupernodeCommand::Publish(many));
    network.pass(Duration::from_secs(60));
    let homes = network
        .supernodes()
        .into_iter()
        .filter_map(|node| network.world.core(node));
    let taken: Vec<usize> = homes
        .flat_map(|core| core.leaves().filter(|(leaf, _)| *leaf == peer_id(greedy)))
        .map(|(_, entries)| entries)
        .collect();
    assert!(
        !taken.is_empty() && taken.iter().all(|entries| *entries == LIMIT),
        "{taken:?}"
    );
    assert_eq!(network.census.unserved, 0);
    all_is_found(&mut network);
}
