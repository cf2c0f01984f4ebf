//! Networks that stand still: laid ideally, never maintained, and asked.

use std::sync::Arc;

use gannet_base::{Rng, fork_rng};
use gannet_overlay::dht::ring::{FingerChoice, SUCCESSORS_MAX};
use gannet_overlay::dht::{Config, Dht, Position, ring};
use rand_core::Rng as _;

use super::super::{below, index};
use super::bare::{Bare, Looked};
use super::layout::Layout;
use crate::{Impossible, peer_id};

/// Most nodes of a peer.
// Source: the overlay's own limit.
const VIRTUALS_MAX: u8 = 64;

/// Nodes in their ideal places.
pub(super) struct Still {
    pub(super) bare: Bare,
    /// All of them, dead or alive.
    pub(super) layout: Layout,
    config: Arc<Config>,
    first: u32,
    peers: u32,
    virtuals: u8,
    /// For each peer the places of its nodes.
    places: Vec<u32>,
}

/// The overlay as Chord was published: no maintenance, no nodes remembered in
/// passing, nothing that makes ways shorter than fingers and successors do.
pub(super) fn as_published(successors: usize, virtuals: u8) -> Config {
    Config {
        virtual_nodes: virtuals,
        ring: ring::Config {
            successors,
            is_maintained: false,
            alpha: 1,
            fingers: FingerChoice::Exact,
            contacts_max: 0,
            shortcuts: false,
            confirms_owner: false,
            is_wary: false,
            ..ring::Config::default()
        },
        ..Config::default()
    }
}

/// The overlay as it is, but for maintenance.
pub(super) fn as_it_is(successors: usize, is_wary: bool) -> Config {
    Config {
        ring: ring::Config {
            successors,
            is_maintained: false,
            is_wary,
            ..ring::Config::default()
        },
        ..Config::default()
    }
}

impl Still {
    /// So many peers. Where they lie is drawn: other peers for another seed.
    pub(super) fn new(peers: u32, config: Config, rng: &mut Rng) -> Self {
        let first = below(rng, u32::MAX - peers);
        let virtuals = config.virtual_nodes;
        let layout = Layout::new(first..first + peers, virtuals);
        let places = layout.places(first, virtuals);
        let mut still = Self {
            bare: Bare::new(first, index(peers)),
            layout,
            config: Arc::new(config),
            first,
            peers,
            virtuals,
            places,
        };
        for peer in 0..peers {
            let core = still.core(peer, fork_rng(rng));
            still.bare.add(core);
        }
        still
    }

    /// How many peers there were at first.
    pub(super) fn peers(&self) -> u32 {
        self.peers
    }

    /// The number of a peer in the whole world.
    pub(super) fn number(&self, peer: u32) -> u32 {
        self.first + peer
    }

    fn core(&self, peer: u32, rng: Rng) -> Dht {
        let virtuals = usize::from(self.virtuals);
        let places = &self.places[index(peer) * virtuals..][..virtuals];
        let r = self.config.ring.successors;
        let settled = places
            .iter()
            .map(|place| self.layout.settled(index(*place), r))
            .collect();
        let me = peer_id(self.number(peer));
        Dht::settled(me, Arc::clone(&self.config), rng, settled)
    }

    /// A peer knows again what it knew at first, and nothing else.
    pub(super) fn renew(&mut self, peer: u32, rng: &mut Rng) {
        let core = self.core(peer, fork_rng(rng));
        self.bare.renew(self.number(peer), core);
    }

    /// A random peer.
    pub(super) fn somebody(&self, rng: &mut Rng) -> u32 {
        below(rng, self.peers)
    }

    /// One of the peers looks for a key.
    pub(super) fn lookup(&mut self, peer: u32, key: Position) -> Looked {
        self.lookup_by(peer, key, 1)
    }

    /// The same, by so many ways.
    pub(super) fn lookup_by(&mut self, peer: u32, key: Position, paths: u8) -> Looked {
        self.bare.lookup(self.number(peer), key, paths)
    }
}

/// The parameters of rings, if they are possible: the length of lists, and the
/// nodes of a peer.
///
/// # Errors
///
/// If a ring needs more peers, or the overlay allows no such lists.
pub(super) fn checked(
    nodes: u32,
    successors: u32,
    virtuals: u32,
) -> Result<(usize, u8), Impossible> {
    let r = index(successors);
    if !(1..=SUCCESSORS_MAX).contains(&r) {
        let possible = format!("lists of 1 to {SUCCESSORS_MAX}");
        return Err(Impossible::new("--successors", successors, possible));
    }
    let virtuals = u8::try_from(virtuals).unwrap_or(0);
    if !(1..=VIRTUALS_MAX).contains(&virtuals) {
        let possible = format!("from 1 to {VIRTUALS_MAX} nodes a peer");
        return Err(Impossible::new("--virtual", virtuals, possible));
    }
    if nodes < 2 || nodes <= successors {
        let possible = format!("more than the {successors} --successors, and 2 at least");
        return Err(Impossible::new("--nodes", nodes, possible));
    }
    Ok((r, virtuals))
}

/// Keys are hashes: any place is as likely as any other.
pub(super) fn random_key(rng: &mut Rng) -> Position {
    Position(u128::from(rng.next_u64()) << 64 | u128::from(rng.next_u64()))
}
