//! As the responsible node: who claims what.
//!
//! What this node knows of a block it was told by those who hold it, and would be
//! told again within a claim interval: nothing of it is handed over or saved.

use std::collections::{BTreeMap, BTreeSet};

use gannet_base::{BlockId, ContentId, KeepOrder, KeepRelease, PeerAddress, PeerId, Timestamp};

use super::api::{DropReason, RefusalReason};
use super::holding::State;
use super::message::{
    BLOCKS_LISTED_MAX, BlockList, ClaimList, Copies, KeepMessage, MATES_TOTAL_MAX, Mate, MateLists,
    Role, blocks_of, listed,
};
use super::ward::{Horizon, Stage, Ward, stage_of};
use super::{Keep, Neighbourhood};
use crate::dht::position::Position;

/// Most peers whose orders are waited for.
const EXPECTED_MAX: usize = 1_024;
/// Who claims, and when it was heard.
pub(super) struct Claimer {
    pub(super) at: PeerAddress,
    pub(super) returns: u8,
    pub(super) again: bool,
}

/// What is answered to a claim.
#[derive(Default)]
struct Notes {
    unknown: Vec<BlockId>,
    elsewhere: Vec<BlockId>,
    spare: Vec<BlockId>,
    mates: Vec<(ContentId, MateLists)>,
    mates_total: usize,
    copies: Vec<(ContentId, Vec<(u32, Copies)>)>,
    releases: Vec<(KeepRelease, Vec<u32>)>,
    orders: Vec<KeepOrder>,
}

/// What is answered to a claim of one block.
#[derive(Default)]
struct Heard {
    /// To keepers, by who knows.
    copies: Option<Copies>,
    is_spare: bool,
    mates: Option<Vec<Mate>>,
}

impl Keep {
    pub(super) fn on_claim(
        &mut self,
        now: Timestamp,
        claimer: &Claimer,
        lists: Vec<ClaimList>,
        places: &dyn Neighbourhood,
    ) {
        let mut notes = Notes::default();
        for claim in lists {
            self.on_claim_list(now, claimer, &claim, (places, &mut notes));
        }
        let to = claimer.at.clone();
        for (release, blocks) in notes.releases {
            self.send(to.clone(), KeepMessage::Release { release, blocks });
        }
        for orders in notes.orders.chunks(super::message::ORDERS_LISTED_MAX) {
            self.send(to.clone(), KeepMessage::Orders(orders.to_vec()));
        }
        let flat = |blocks: Vec<BlockId>| -> Vec<BlockList> {
            // What a claim had room for its answer has room for.
            listed(blocks).into_iter().flatten().collect()
        };
        let noted = KeepMessage::Noted {
            at: self.calendar.own(now),
            unknown: flat(notes.unknown),
            elsewhere: flat(notes.elsewhere),
            spare: flat(notes.spare),
            mates: notes.mates,
            copies: notes.copies,
        };
        self.send(to, noted);
    }

    fn on_claim_list(
        &mut self,
        now: Timestamp,
        claimer: &Claimer,
        claim: &ClaimList,
        (places, notes): (&dyn Neighbourhood, &mut Notes),
    ) {
        let content = claim.list.content;
        let blocks = &claim.list.blocks;
        let block = |index: &u32| BlockId {
            content,
            index: *index,
        };
        let stamp = self.orders.stamp(content);
        if stamp != claim.stamp && !claimer.again {
            // Each side tells the other what it knows.
            notes.orders.extend_from_slice(self.orders.of(content));
            let known = self.orders.releases_of(content).cloned();
            notes
                .releases
                .extend(known.map(|release| (release, blocks.clone())));
            if claim.stamp != 0 {
                let mine = |index: &&u32| places.node_of(place(block(index))).is_some();
                let mine = blocks.iter().filter(mine);
                notes.unknown.extend(mine.map(block));
                self.expect(now, claimer.at.peer, content);
            }
        }
        if stamp == 0 && claimer.again {
            return;
        }
        let (mut counts, mut mate_lists) = (Vec::new(), MateLists::new());
        for index in blocks {
            let id = block(index);
            let key = place(id);
            let Some(node) = places.node_of(key) else {
                notes.elsewhere.push(id);
                continue;
            };
            if stamp == 0 || !self.has_ward(now, id, key) {
                continue;
            }
            let told = claim.mates.iter().find(|(of, _)| of == index);
            let told = told.map_or(&[][..], |(_, mates)| mates);
            let heard = self.hear_claim(now, claimer, (claim.role, told), (id, node, places));
            counts.extend(heard.copies.map(|copies| (*index, copies)));
            if heard.is_spare {
                notes.spare.push(id);
            }
            if let Some(mates) = heard.mates
                && notes.mates_total + mates.len() <= MATES_TOTAL_MAX
            {
                notes.mates_total += mates.len();
                mate_lists.push((*index, mates));
            }
        }
        if !mate_lists.is_empty() {
            notes.mates.push((content, mate_lists));
        }
        if !counts.is_empty() {
            notes.copies.push((content, counts));
        }
    }

    /// Notes one claim of one block.
    fn hear_claim(
        &mut self,
        now: Timestamp,
        claimer: &Claimer,
        (role, told): (Role, &[Mate]),
        (id, node, places): (BlockId, usize, &dyn Neighbourhood),
    ) -> Heard {
        let horizon = self.horizon(node, places);
        let wanted = self.orders.copies(id.content);
        let Some(ward) = self.wards.get_mut(&id) else {
            return Heard::default();
        };
        let peer = claimer.at.peer;
        let news = match (stage_of(role), role) {
            (Some(stage), _) => ward.hear(now, &claimer.at, claimer.returns, stage),
            (None, Role::Keeps { fresh }) => ward.hear_keeper(now, &claimer.at, fresh),
            (None, _) => false,
        };
        ward.hear_mates(now, peer, told);
        if news {
            self.dirty.insert(id);
        }
        let tally = ward.tally(now, wanted, &horizon, &self.config);
        let few = |count: usize| u8::try_from(count).unwrap_or(u8::MAX);
        let holds = role == Role::Holds;
        let copies = Copies {
            online: few(tally.online),
            kept: few(tally.kept()),
            refused: ward.refusal.filter(|_| tally.missing() > 0),
        };
        let asks = matches!(role, Role::Keeps { .. });
        Heard {
            // A node that has heard nobody does not know that there is nobody.
            copies: (asks && (ward.is_warm() || tally.kept() > 0)).then_some(copies),
            is_spare: holds && ward.is_spare(peer, (now, tally), &horizon, &self.config),
            mates: ward.mates(now, &horizon, &self.config).filter(|_| holds),
        }
    }

    /// Whether a block is looked after here, from now on if not before.
    fn has_ward(&mut self, now: Timestamp, id: BlockId, key: Position) -> bool {
        if self.wards.contains_key(&id) {
            return true;
        }
        let size = self.orders.entry(id.content).map_or(0, |entry| entry.size);
        if id.groups(size).is_empty() || self.wards.len() >= self.config.wards_max {
            return false;
        }
        // On the account of whoever has fewest here.
        let keepers = self.orders.of(id.content).iter().map(|order| order.keeper);
        let count = |keeper: &PeerId| self.ward_counts.get(keeper).copied().unwrap_or(0);
        let Some(keeper) = keepers.min_by_key(count) else {
            return false;
        };
        if count(&keeper) >= self.config.wards_per_keeper_max {
            return false;
        }
        *self.ward_counts.entry(keeper).or_default() += 1;
        self.wards.insert(id, Ward::new(key, now));
        true
    }

    /// Counts anew what each keeper has here.
    fn recount_wards(&mut self) {
        self.ward_counts.clear();
        for id in self.wards.keys() {
            if let Some(order) = self.orders.of(id.content).first() {
                *self.ward_counts.entry(order.keeper).or_default() += 1;
            }
        }
    }

    fn expect(&mut self, now: Timestamp, peer: PeerId, content: ContentId) {
        if self.expected.len() >= EXPECTED_MAX {
            let two = 2 * self.config.answer_max;
            self.expected.retain(|_, since| now - *since < two);
        }
        if self.expected.len() < EXPECTED_MAX {
            self.expected.insert((peer, content), now);
        }
    }

    /// Orders that were asked for, or that this node lacks.
    pub(super) fn on_orders(&mut self, now: Timestamp, from: PeerId, orders: &[KeepOrder]) {
        for order in orders {
            let content = order.entry.content;
            let expected = self.expected.contains_key(&(from, content));
            if !expected && !self.is_concerned(content) {
                continue;
            }
            let proven = self.holdings.has_any(content);
            let bounds = (&*self.config, proven);
            let admitted = self.orders.admit(now, order, &self.calendar, bounds);
            self.changed |= admitted == Ok(true);
            if admitted == Err(RefusalReason::Released)
                && let Some(release) = self.orders.release_of(order).cloned()
            {
                let blocks = Vec::new();
                self.send(Self::bare(from), KeepMessage::Release { release, blocks });
            }
        }
    }

    /// Whether this node has anything to do with a content.
    pub(super) fn is_concerned(&self, content: ContentId) -> bool {
        let block = |index| BlockId { content, index };
        let all = block(0)..=block(u32::MAX);
        self.kept.contains_key(&content)
            || self.holdings.of(content).next().is_some()
            || self.wards.range(all).next().is_some()
    }

    pub(super) fn horizon<'a>(&self, node: usize, places: &'a dyn Neighbourhood) -> Horizon<'a> {
        Horizon {
            me: self.me,
            position: places.position(node),
            successors: places.successors(node),
        }
    }

    /// After a change of the ring: where this node has become responsible for more, those
    /// after it, who mostly hold what lies there, are asked to claim it.
    pub(super) fn call_holders(&mut self, places: &dyn Neighbourhood) {
        if !std::mem::take(&mut self.is_moved) {
            return;
        }
        for node in 0..places.nodes() {
            let (after, upto) = (places.before(node), places.position(node));
            let known = self.before.insert(node, after);
            if known.is_some_and(|known| known == after || !known.is_between(after, upto)) {
                continue;
            }
            let own = self.holdings.blocks.iter();
            let own = own.filter(|(_, holding)| {
                holding.state == State::Here && upto.owns(after, holding.key)
            });
            self.told.extend(own.map(|(block, _)| *block));
            for near in places.successors(node) {
                let to = near.address();
                self.send(to, KeepMessage::Call { after, upto });
            }
        }
        for block in &self.told {
            // What is this node's own now it tells itself.
            if let Some(holding) = self.holdings.blocks.get_mut(block)
                && places.node_of(holding.key).is_some()
            {
                holding.warden = Some(self.me);
            }
        }
    }

    /// Looks at every block: what is missing, who is gone, what is somebody else's
    /// by now.
    pub(super) fn check_wards(&mut self, now: Timestamp, places: &dyn Neighbourhood) {
        let mut moved: BTreeMap<PeerId, BTreeSet<BlockId>> = BTreeMap::new();
        let orders = &self.orders;
        self.wards.retain(|id, ward| {
            let mine = places.node_of(ward.key).is_some();
            if !mine {
                for holder in ward.holders.iter().filter(|holder| !holder.unreachable) {
                    moved.entry(holder.at.peer).or_default().insert(*id);
                }
            }
            mine && orders.is_wanted(id.content)
        });
        self.recount_wards();
        for (peer, blocks) in moved {
            for lists in listed(blocks) {
                self.send(Self::bare(peer), KeepMessage::Moved(lists));
            }
        }
        self.avoid.retain(|_, until| now < *until);
        let all: Vec<_> = self.wards.keys().copied().collect();
        self.recruit_for(now, all, places);
    }

    /// A candidate takes blocks, or does not.
    pub(super) fn on_answer(
        &mut self,
        now: Timestamp,
        from: PeerId,
        (content, taken, refused): (ContentId, &[u32], &[(u32, RefusalReason)]),
    ) {
        for index in taken {
            let id = BlockId {
                content,
                index: *index,
            };
            let Some(ward) = self.wards.get_mut(&id) else {
                continue;
            };
            // It may have told already that it has the block.
            let offered = |holder: &&mut super::ward::Holder| holder.stage == Stage::Offered;
            if let Some(holder) = ward.holder(from).filter(offered) {
                (holder.stage, holder.since, holder.heard) = (Stage::Fetching, now, now);
            }
        }
        let until = now + self.config.refusal_memory;
        for (index, reason) in refused {
            let id = BlockId {
                content,
                index: *index,
            };
            let Some(ward) = self.wards.get_mut(&id) else {
                continue;
            };
            let known = ward.holder(from).is_some();
            ward.refuse(from, until, false);
            ward.refusal = Some(*reason);
            if known {
                self.dirty.insert(id);
            }
            if *reason == RefusalReason::NoGrant
                && from != self.me
                && self.avoid.len() < EXPECTED_MAX
            {
                self.avoid.insert(from, until);
            }
        }
    }

    /// A holder holds no more.
    pub(super) fn on_dropped(&mut self, now: Timestamp, from: PeerId, lists: &[BlockList]) {
        let until = now + self.config.refusal_memory;
        for id in blocks_of(lists) {
            if let Some(ward) = self.wards.get_mut(&id)
                && ward.holder(from).is_some()
            {
                ward.refuse(from, until, false);
                self.dirty.insert(id);
            }
        }
    }

    /// A keeper wants no more.
    pub(super) fn on_release(
        &mut self,
        now: Timestamp,
        release: &KeepRelease,
        blocks: &[u32],
        places: &dyn Neighbourhood,
    ) {
        let content = release.content;
        let concerns = |index: &u32| {
            let id = BlockId {
                content,
                index: *index,
            };
            self.wards.contains_key(&id)
                || self.holdings.blocks.contains_key(&id)
                || places.node_of(place(id)).is_some()
        };
        let mut own: BTreeSet<u32> = blocks.iter().copied().filter(concerns).collect();
        own.extend(self.holdings.of(content).map(|(id, _)| id.index));
        if own.is_empty() && !self.orders.is_wanted(content) {
            return;
        }
        if !self.orders.accepts(now, release, &self.config) {
            return;
        }
        self.changed = true;
        if !self.orders.is_wanted_beyond(release) {
            self.pass_on(release);
            self.drop_all(content, DropReason::Released);
            self.wards.retain(|id, _| id.content != content);
        }
        let own_clock = self.calendar.own(now);
        self.orders
            .end(now, release, own.into_iter().collect(), own_clock);
    }

    /// Tells all holders of what a release ends.
    fn pass_on(&mut self, release: &KeepRelease) {
        let content = release.content;
        let block = |index| BlockId { content, index };
        let mut told: BTreeMap<PeerId, (PeerAddress, Vec<u32>)> = BTreeMap::new();
        for (id, ward) in self.wards.range(block(0)..=block(u32::MAX)) {
            for holder in ward
                .holders
                .iter()
                .filter(|holder| holder.at.peer != self.me)
            {
                let entry = told.entry(holder.at.peer);
                let (_, blocks) = entry.or_insert_with(|| (holder.at.clone(), Vec::new()));
                blocks.push(id.index);
            }
        }
        for (to, blocks) in told.into_values() {
            for blocks in blocks.chunks(BLOCKS_LISTED_MAX) {
                let (release, blocks) = (release.clone(), blocks.to_vec());
                self.send(to.clone(), KeepMessage::Release { release, blocks });
            }
        }
    }
}

/// Where a block belongs.
pub(super) fn place(id: BlockId) -> Position {
    Position::of_block(id.content, id.index)
}
