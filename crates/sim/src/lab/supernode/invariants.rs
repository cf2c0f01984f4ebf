//! What must hold when nothing goes wrong any more, checked outside the cores.

use std::time::Duration;

use gannet_overlay::supernode::Role;

use super::network::Network;
use super::public::Peer;
use crate::node_of;

/// Broken rules that are told of; more are only counted.
const TOLD_MAX: usize = 8;

/// Rules that do not hold.
#[derive(Debug, Default)]
pub(super) struct Broken {
    pub(super) count: u64,
    pub(super) told: Vec<String>,
}

impl Broken {
    fn add(&mut self, what: impl FnOnce() -> String) {
        self.count += 1;
        if self.told.len() < TOLD_MAX {
            self.told.push(what());
        }
    }

    /// Those of another phase as well.
    pub(super) fn extend(&mut self, other: Self) {
        self.count += other.count;
        self.told.extend(other.told);
        self.told.truncate(TOLD_MAX);
    }
}

/// What does not hold at any moment of so long: a peer that is changing its place
/// just now breaks a rule for the time of a round trip.
// Guess: longer than a registration takes, or finding the next place.
const WITHIN: Duration = Duration::from_secs(20);

/// Rules that are broken and stay so.
pub(super) fn lastingly_broken<P: Peer>(network: &mut Network<P>) -> Broken {
    let until = network.world.now() + WITHIN;
    loop {
        let broken = broken(network);
        if broken.count == 0 || network.world.now() >= until {
            return broken;
        }
        network.pass(Duration::from_secs(1));
    }
}

/// Each leaf is registered at one or two, each supernode nowhere; nobody is
/// counted twice; what supernodes have of a peer is what it shares. Holds when
/// leases of those that are gone have run out.
pub(super) fn broken<P: Peer>(network: &mut Network<P>) -> Broken {
    network.census.take(&network.world);
    let mut broken = Broken::default();
    for node in network.up() {
        let Some(peer) = network.world.core(node) else {
            continue;
        };
        let count = network.census.registrations(node);
        match peer.supernode().role() {
            Role::Supernode => {
                if count > 0 {
                    broken
                        .add(|| format!("supernode {node} is registered as a leaf {count} times"));
                }
                check_index(network, node, &mut broken);
            }
            Role::Leaf if !(1..=2).contains(&count) => {
                broken.add(|| format!("leaf {node} is registered at {count} supernodes"));
            }
            Role::Leaf => {}
        }
    }
    broken
}

/// A supernode has what its leaves and itself share, and nothing else.
fn check_index<P: Peer>(network: &Network<P>, node: u32, broken: &mut Broken) {
    let Some(peer) = network.world.core(node) else {
        return;
    };
    let library = &network.world.app().people.library;
    let core = peer.supernode();
    let mut expected = library.shares(node).len();
    let mut before = None;
    for (leaf, entries) in core.leaves() {
        if before.replace(leaf).is_some_and(|before| before >= leaf) {
            broken.add(|| format!("supernode {node} has leaves out of order, or twice"));
        }
        let Some(leaf) = node_of(leaf) else {
            broken.add(|| format!("supernode {node} has a leaf that does not exist"));
            continue;
        };
        let shared = library.shares(leaf).len();
        expected += shared;
        if network.world.core(leaf).is_none() {
            broken.add(|| format!("supernode {node} has leaf {leaf}, which is down"));
        } else if entries != shared {
            broken.add(|| {
                format!(
                    "supernode {node} has {entries} entries of leaf {leaf}, which shares {shared}"
                )
            });
        }
    }
    let status = core.status(network.world.now()).hub;
    match status.map(|hub| hub.entries) {
        Some(entries) if entries == expected => {}
        entries => broken.add(|| {
            format!("the index of supernode {node} has {entries:?} entries, not {expected}")
        }),
    }
}
