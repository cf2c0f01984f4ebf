//! Finding holders for blocks that lack some: those after the block, in order, that have
//! room.

use std::collections::BTreeMap;

use gannet_base::{BlockId, ContentId, PeerAddress, PeerId, Timestamp};

use super::message::{BLOCKS_LISTED_MAX, KeepMessage, SOURCES_LISTED_MAX};
use super::ward::{Horizon, Stage};
use super::{Keep, Neighbourhood, Purpose};
use crate::dht::position::Position;
use crate::dht::ring::Contact;

/// How long nodes beyond the successors are remembered.
// Guess: a few of them go meanwhile, which costs an offer.
const REACH_LIFE: std::time::Duration = std::time::Duration::from_secs(600);

/// Nodes beyond the successors of one of this node's places.
#[derive(Debug, Default)]
pub(super) struct Reach {
    pub(super) beyond: Vec<Contact>,
    until: Timestamp,
    lookup: Option<u64>,
    /// There are no more.
    exhausted: bool,
}

/// An offer being put together.
#[derive(Debug)]
pub(super) struct Draft {
    to: PeerAddress,
    blocks: Vec<u32>,
    sources: Vec<PeerAddress>,
}

/// Drafts by whom they go to, and for which content.
pub(super) type Drafts = BTreeMap<(PeerId, ContentId), Draft>;

impl Keep {
    /// Recruits holders for those of these blocks that lack some.
    pub(super) fn recruit_for(
        &mut self,
        now: Timestamp,
        blocks: impl IntoIterator<Item = BlockId>,
        places: &dyn Neighbourhood,
    ) {
        let mut drafts = Drafts::new();
        for id in blocks {
            let Some(node) = self
                .wards
                .get(&id)
                .and_then(|ward| places.node_of(ward.key))
            else {
                continue;
            };
            let horizon = self.horizon(node, places);
            self.recruit(now, id, (node, &horizon), &mut drafts);
        }
        for ((_, content), draft) in drafts {
            let orders = self.orders.of(content).to_vec();
            if orders.is_empty() {
                continue;
            }
            for blocks in draft.blocks.chunks(BLOCKS_LISTED_MAX) {
                let offer = KeepMessage::Offer {
                    orders: orders.clone(),
                    blocks: blocks.to_vec(),
                    sources: draft.sources.clone(),
                };
                self.send(draft.to.clone(), offer);
            }
        }
    }

    fn recruit(
        &mut self,
        now: Timestamp,
        id: BlockId,
        (node, horizon): (usize, &Horizon<'_>),
        drafts: &mut Drafts,
    ) {
        let copies = self.orders.copies(id.content);
        let Some(ward) = self.wards.get_mut(&id) else {
            return;
        };
        ward.clean(now, horizon, &self.config);
        let tally = ward.tally(now, copies, horizon, &self.config);
        let mut wanted = ward.wanted(now, tally, &self.config);
        if wanted == 0 {
            return;
        }
        let sources = ward.sources(now, horizon, &self.config);
        if sources.is_empty() {
            return;
        }
        let me = Contact::new(self.me, 0);
        let beyond = self.reach.get(&node).filter(|reach| now < reach.until);
        let beyond = beyond.iter().flat_map(|reach| &reach.beyond);
        let after = horizon.successors.iter().chain(beyond);
        let keepers = self.orders.of(id.content);
        let is_keeper = |peer| keepers.iter().any(|order| order.keeper == peer);
        for near in std::iter::once(&me)
            .chain(after)
            .take(self.config.reach_max)
        {
            if wanted == 0 {
                return;
            }
            let peer = near.peer;
            // Keepers have it anyway, and it is to outlive them.
            if is_keeper(peer)
                || ward.is_settled(peer, now)
                || self.avoid.get(&peer).is_some_and(|at| now < *at)
            {
                continue;
            }
            ward.hear(now, &near.address(), 0, Stage::Offered);
            wanted -= 1;
            let draft = drafts.entry((peer, id.content)).or_insert_with(|| Draft {
                to: near.address(),
                blocks: Vec::new(),
                sources: Vec::new(),
            });
            draft.blocks.push(id.index);
            for source in &sources {
                let known = draft.sources.iter().any(|known| known.peer == source.peer);
                if !known && draft.sources.len() < SOURCES_LISTED_MAX {
                    draft.sources.push(source.clone());
                }
            }
        }
        if wanted > 0 {
            self.reach_further(now, node, horizon);
        }
    }

    /// Looks for more nodes after those that are known.
    fn reach_further(&mut self, now: Timestamp, node: usize, horizon: &Horizon<'_>) {
        let known = self.reach.entry(node).or_default();
        if now >= known.until {
            *known = Reach::default();
            known.until = now + REACH_LIFE;
        }
        let asked = horizon.successors.len() + known.beyond.len();
        if known.lookup.is_some() || known.exhausted || asked >= self.config.reach_max {
            return;
        }
        let last = known.beyond.last().or(horizon.successors.last());
        let Some(last) = last.map(|last| last.position) else {
            return;
        };
        let id = self.locate(Purpose::Reach(node), last.plus(1));
        if let Some(known) = self.reach.get_mut(&node) {
            known.lookup = Some(id);
        }
    }

    pub(super) fn on_located_reach(
        &mut self,
        node: usize,
        found: Option<(Position, Vec<Contact>)>,
        places: &dyn Neighbourhood,
    ) {
        let Some(known) = self.reach.get_mut(&node) else {
            return;
        };
        known.lookup = None;
        let start = places.position(node);
        let successors = places.successors(node);
        let last = known.beyond.last().or(successors.last());
        let mut furthest = last.map_or(0, |last| start.distance_to(last.position));
        let before = known.beyond.len();
        for near in found.into_iter().flat_map(|(_, owners)| owners) {
            let distance = start.distance_to(near.position);
            // Once round the ring there is nobody new.
            if distance > furthest && near.peer != self.me {
                furthest = distance;
                known.beyond.push(near);
            }
        }
        known.exhausted = known.beyond.len() == before;
        if !known.exhausted {
            let mine = self.wards.iter();
            let mine = mine.filter(|(_, ward)| places.node_of(ward.key) == Some(node));
            self.dirty.extend(mine.map(|(id, _)| *id));
        }
    }
}
