//! Who is registered where, looked at from outside: a leaf has service if it
//! says that a supernode has it, and that supernode says the same.

use std::time::Duration;

use gannet_base::Timestamp;
use gannet_overlay::supernode::Role;

use super::super::index;
use super::public::{Peer, Public};
use crate::{World, node_of};

/// Registrations of a peer that are noted; more are counted.
const NOTED_MAX: usize = 4;

/// Where a peer is registered.
#[derive(Debug, Clone, Copy, Default)]
struct Registered {
    at: [u32; NOTED_MAX],
    count: u32,
}

impl Registered {
    fn has(&self, home: u32) -> bool {
        let noted = index(self.count).min(NOTED_MAX);
        self.at[..noted].contains(&home)
    }
}

/// The census of a moment, and what there was at earlier ones.
#[derive(Debug)]
pub(super) struct Census {
    registered: Vec<Registered>,
    /// Since when each peer that is up has no service.
    without: Vec<Option<Timestamp>>,
    /// The longest time that a peer had none, and who.
    longest: (Duration, u32),
    taken_at: Timestamp,
    /// Of the last census.
    pub(super) supernodes: u32,
    pub(super) leaves: u32,
    /// Peers without service.
    pub(super) unserved: u32,
}

impl Census {
    pub(super) fn new(nodes: u32) -> Self {
        Self {
            registered: vec![Registered::default(); index(nodes)],
            without: vec![None; index(nodes)],
            longest: (Duration::ZERO, 0),
            taken_at: Timestamp::ZERO,
            supernodes: 0,
            leaves: 0,
            unserved: 0,
        }
    }

    /// A peer has come up: it has no service yet.
    pub(super) fn on_start(&mut self, now: Timestamp, node: u32) {
        self.without[index(node)] = Some(now);
    }

    /// A peer is down and misses nothing.
    pub(super) fn on_crash(&mut self, now: Timestamp, node: u32) {
        if let Some(since) = self.without[index(node)].take() {
            self.longest = self.longest.max((now - since, node));
        }
    }

    /// The longest time without service so far, those under way included, and
    /// who had none.
    pub(super) fn longest(&self) -> (Duration, u32) {
        self.longest
    }

    /// At how many supernodes a peer was registered.
    pub(super) fn registrations(&self, node: u32) -> u32 {
        self.registered[index(node)].count
    }

    /// Whether a supernode says that it has this leaf.
    pub(super) fn is_at(&self, node: u32, home: u32) -> bool {
        self.registered[index(node)].has(home)
    }

    /// Looks at everybody.
    pub(super) fn take<P: Peer>(&mut self, world: &World<P, Public>) {
        self.registered.fill(Registered::default());
        let supernodes = (0..world.nodes()).filter_map(|node| {
            let core = world.core(node)?.supernode();
            (core.role() == Role::Supernode).then_some((node, core))
        });
        for (home, core) in supernodes {
            for leaf in core.leaves().filter_map(|(leaf, _)| node_of(leaf)) {
                if let Some(registered) = self.registered.get_mut(index(leaf)) {
                    if let Some(place) = registered.at.get_mut(index(registered.count)) {
                        *place = home;
                    }
                    registered.count += 1;
                }
            }
        }
        self.count(world);
    }

    fn count<P: Peer>(&mut self, world: &World<P, Public>) {
        let now = world.now();
        (self.supernodes, self.leaves, self.unserved) = (0, 0, 0);
        for node in 0..world.nodes() {
            let Some(peer) = world.core(node) else {
                continue;
            };
            let core = peer.supernode();
            let served = if core.role() == Role::Supernode {
                self.supernodes += 1;
                true
            } else {
                self.leaves += 1;
                core.homes()
                    .filter_map(node_of)
                    .any(|home| self.is_at(node, home))
            };
            let without = &mut self.without[index(node)];
            if served {
                *without = None;
            } else {
                self.unserved += 1;
                // It may have lost it right after the last look.
                let since = *without.get_or_insert(self.taken_at);
                self.longest = self.longest.max((now - since, node));
            }
        }
        self.taken_at = now;
    }

    /// The primary supernode of a leaf, if both agree.
    pub(super) fn primary<P: Peer>(&self, world: &World<P, Public>, leaf: u32) -> Option<u32> {
        let core = world.core(leaf)?.supernode();
        let primary = node_of(core.homes().next()?)?;
        self.is_at(leaf, primary).then_some(primary)
    }
}
