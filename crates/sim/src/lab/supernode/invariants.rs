//! What must hold when nothing goes wrong any more, checked outside the cores.

use std::collections::BTreeMap;
use std::time::Duration;

use gannet_overlay::supernode::Role;

use super::network::Network;
use super::public::Peer;
use crate::node_of;

/// Broken rules that are told of; more are only counted.
const TOLD_MAX: usize = 8;

/// Who breaks a rule, which one, and on account of whom.
type Case = (u32, &'static str, Option<u32>);

/// Rules that do not hold, each with what is the matter.
#[derive(Debug, Default)]
pub(super) struct Broken(BTreeMap<Case, String>);

impl Broken {
    fn add(&mut self, case: Case, what: String) {
        self.0.insert(case, what);
    }

    /// Those of another phase as well.
    pub(super) fn extend(&mut self, other: Self) {
        self.0.extend(other.0);
    }

    /// Only those that are broken now, too.
    fn keep(&mut self, now: &Self) {
        self.0.retain(|case, _| now.0.contains_key(case));
    }

    pub(super) fn count(&self) -> usize {
        self.0.len()
    }

    pub(super) fn told(&self) -> Vec<String> {
        self.0.values().take(TOLD_MAX).cloned().collect()
    }
}

/// What does not hold at any moment of so long: a peer that is changing its place
/// just now breaks a rule for the time of a round trip, and among very many there is
/// always one.
// Guess: longer than a registration takes, or finding the next place.
const WITHIN: Duration = Duration::from_secs(20);

/// Rules that are broken and stay so.
pub(super) fn lastingly_broken<P: Peer>(network: &mut Network<P>) -> Broken {
    let until = network.world.now() + WITHIN;
    let mut lasting = broken(network);
    while lasting.count() > 0 && network.world.now() < until {
        network.pass(Duration::from_secs(1));
        lasting.keep(&broken(network));
    }
    lasting
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
                    let what = format!("supernode {node} is registered as a leaf {count} times");
                    broken.add((node, "no leaf", None), what);
                }
                check_index(network, node, &mut broken);
            }
            Role::Leaf if !(1..=2).contains(&count) => {
                let what = format!("leaf {node} is registered at {count} supernodes");
                broken.add((node, "one or two", None), what);
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
            let what = format!("supernode {node} has leaves out of order, or twice");
            broken.add((node, "nobody twice", None), what);
        }
        let Some(leaf) = node_of(leaf) else {
            let what = format!("supernode {node} has a leaf that does not exist");
            broken.add((node, "leaves exist", None), what);
            continue;
        };
        let shared = library.shares(leaf).len();
        expected += shared;
        if network.world.core(leaf).is_none() {
            let what = format!("supernode {node} has leaf {leaf}, which is down");
            broken.add((node, "leaves are up", Some(leaf)), what);
        } else if entries != shared {
            let what = format!(
                "supernode {node} has {entries} entries of leaf {leaf}, which shares {shared}"
            );
            broken.add((node, "all its entries", Some(leaf)), what);
        }
    }
    let status = core.status(network.world.now()).hub;
    match status.map(|hub| hub.entries) {
        Some(entries) if entries == expected => {}
        entries => {
            let what =
                format!("the index of supernode {node} has {entries:?} entries, not {expected}");
            broken.add((node, "index", None), what);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broken(leaves: &[u32]) -> Broken {
        let mut broken = Broken::default();
        for leaf in leaves {
            broken.add((*leaf, "one or two", None), format!("leaf {leaf}"));
        }
        broken
    }

    #[test]
    fn what_is_mended_meanwhile_is_not_lasting_whatever_breaks_next() {
        let mut lasting = broken(&[1, 2]);
        lasting.keep(&broken(&[2, 3]));
        assert_eq!(lasting.told(), ["leaf 2"]);
        lasting.keep(&broken(&[1, 3]));
        assert_eq!(lasting.count(), 0);
    }
}
