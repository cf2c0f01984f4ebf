//! What can be looked at from outside.

use gannet_base::{PeerAddress, PeerId, Timestamp};

use super::message::Score;
use super::{Role, Supernode};
use crate::flood::FloodStatus;
use crate::hub::{HubServer, HubStatus};

/// How it stands with the overlay.
#[derive(Debug, Clone, PartialEq)]
pub struct SupernodeStatus {
    /// The tier.
    pub role: Role,
    /// The supernodes at which this leaf is registered, the primary first; at
    /// most two. Empty on a supernode.
    pub homes: Vec<HomeInfo>,
    /// Since when this leaf has no supernode, if it has none.
    pub unassigned_since: Option<Timestamp>,
    /// What this peer says of itself.
    pub score: Score,
    /// Supernodes that were heard of lately.
    pub known_supernodes: usize,
    /// Peers that are known.
    pub known_peers: usize,
    /// Own searches under way.
    pub searches: usize,
    /// As a supernode: its part as a hub.
    pub hub: Option<HubStatus>,
    /// As a supernode: its links to others.
    pub flood: Option<FloodStatus>,
    /// What happened since the start.
    pub counters: Counters,
}

/// How it stands with one of a leaf's supernodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HomeInfo {
    /// Which.
    pub supernode: PeerId,
    /// Whether it has welcomed this peer and answers.
    pub is_live: bool,
    /// Entries of this peer that it has, by its own word.
    pub registered: usize,
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Times that this peer became a supernode.
    pub promotions: u64,
    /// Those of them that followed an heir's claim: elections won.
    pub elections: u64,
    /// Times that it stood down.
    pub demotions: u64,
    /// Knocks sent.
    pub knocks: u64,
    /// Knocks answered.
    pub knocks_answered: u64,
    /// Knocks sent on to others with more room.
    pub referred: u64,
    /// Places refused.
    pub refused: u64,
    /// Supernodes of this leaf that were lost.
    pub lost: u64,
    /// Supernodes left for what they did.
    pub banned: u64,
    /// Leaves' searches taken.
    pub leaf_searches: u64,
    /// Messages that made no sense from whom they came, or were too many.
    pub dropped: u64,
}

/// The same, as it is kept: what a leaf counts is small.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Tally {
    pub(super) knocks_answered: u64,
    pub(super) leaf_searches: u64,
    pub(super) dropped: u64,
    pub(super) referred: u32,
    pub(super) refused: u32,
    pub(super) promotions: u32,
    pub(super) elections: u32,
    pub(super) demotions: u32,
    pub(super) knocks: u32,
    pub(super) lost: u32,
    pub(super) banned: u32,
}

impl Tally {
    fn told(self) -> Counters {
        Counters {
            promotions: self.promotions.into(),
            elections: self.elections.into(),
            demotions: self.demotions.into(),
            knocks: self.knocks.into(),
            knocks_answered: self.knocks_answered,
            referred: self.referred.into(),
            refused: self.refused.into(),
            lost: self.lost.into(),
            banned: self.banned.into(),
            leaf_searches: self.leaf_searches,
            dropped: self.dropped,
        }
    }
}

impl Supernode {
    /// The tier.
    pub fn role(&self) -> Role {
        if self.office.is_some() {
            Role::Supernode
        } else {
            Role::Leaf
        }
    }

    /// The supernodes that have this leaf and answer, the primary first. None
    /// on a supernode.
    pub fn homes(&self) -> impl Iterator<Item = PeerId> {
        let live = self.homes.iter().filter(|home| home.is_live);
        live.map(|home| home.peer)
    }

    /// As a supernode: the leaves that are registered, this peer itself not
    /// counted, each with how many entries of it there are; in the order of their
    /// ids.
    pub fn leaves(&self) -> impl Iterator<Item = (PeerId, usize)> {
        let hub = self.office.as_ref().map(|office| &office.hub);
        let all = hub.into_iter().flat_map(HubServer::registered);
        all.filter(|(peer, _)| *peer != self.me)
    }

    /// As a supernode: the others that it has links to, in the order of their
    /// ids.
    pub fn neighbours(&self) -> impl Iterator<Item = PeerId> {
        let offices = self.office.iter();
        offices.flat_map(|office| office.neighbours.keys().copied())
    }

    /// How it stands. Costs time in proportion to leaves, neighbours and peers
    /// known.
    pub fn status(&self, now: Timestamp) -> SupernodeStatus {
        let homes = self.homes.iter().map(|home| HomeInfo {
            supernode: home.peer,
            is_live: home.is_live,
            registered: self.client.registered(home.peer),
        });
        SupernodeStatus {
            role: self.role(),
            homes: homes.collect(),
            unassigned_since: self.seek.orphan_since,
            score: self.facts.score(now),
            known_supernodes: self.book.fresh(now, self.config.fresh),
            known_peers: self.book.len(),
            searches: self.asking.len(),
            hub: self.office.as_ref().map(|office| office.hub.status()),
            flood: self.office.as_ref().map(|office| office.flood.status()),
            counters: self.counters.told(),
        }
    }

    /// Peers to remember beyond the end of the process, the likeliest to live
    /// first. At most [`Config::known_max`](super::Config::known_max), on a leaf
    /// [`Config::leaf_known_max`](super::Config::leaf_known_max) and forty that its
    /// supernodes named, besides those that the user named.
    pub fn remembered(&self, now: Timestamp) -> Vec<PeerAddress> {
        let mut all = self.book.remembered(now);
        // A leaf's book is short.
        for listed in self.seek.rosters.supernodes() {
            let is_news = all.iter().all(|known| known.peer != listed.peer);
            if is_news && !self.book.is_banned(now, listed.peer) {
                all.push(listed.clone());
            }
        }
        all
    }
}
