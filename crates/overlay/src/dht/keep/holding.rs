//! As a holder: taking blocks, within what the owner grants and wants.

use std::collections::{BTreeMap, BTreeSet};

use gannet_base::{
    BlockId, ContentId, GroupRange, GroupSet, KeepOrder, PeerAddress, PeerId, Timestamp, groups_in,
};

use super::api::{DropReason, KeepEvent, Refusal, RefusalReason};
use super::message::{KeepMessage, Mate, listed};
use super::{Keep, Neighbourhood};
use crate::dht::position::Position;

/// Most things that the owner refuses.
// Guess: more than anybody types.
pub(super) const REFUSALS_MAX: usize = 4_096;

/// How many times as far as its successors reach a node's blocks may lie before it.
// Guess: responsible nodes ask some 64 nodes after a block; successors are 16 or so,
// and unevenly spaced.
const SPANS_MAX: u128 = 16;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// Its turn to be fetched has not come.
    Waiting,
    Fetching,
    Here,
}

/// A block that is held, or will be.
#[derive(Debug)]
pub(super) struct Holding {
    pub(super) key: Position,
    pub(super) bytes: u64,
    /// Whose share of the space it takes.
    pub(super) keeper: PeerId,
    pub(super) state: State,
    from: Vec<PeerAddress>,
    /// The responsible node, as last known.
    pub(super) warden: Option<PeerId>,
    /// The responsible node does not need it.
    pub(super) spare: bool,
    /// Other holders, and when that was told.
    pub(super) mates: (Vec<Mate>, Timestamp),
    /// In which order they came.
    seq: u64,
}

/// What is held.
#[derive(Debug, Default)]
pub(super) struct Holdings {
    pub(super) blocks: BTreeMap<BlockId, Holding>,
    pub(super) grant_bytes: u64,
    pub(super) used_bytes: u64,
    pub(super) refusals: Vec<Refusal>,
    /// Bytes of each keeper's.
    shares: BTreeMap<PeerId, u64>,
    fetching: usize,
    seq: u64,
}

impl Holdings {
    pub(super) fn within(grant_bytes: u64) -> Self {
        Self {
            grant_bytes,
            ..Self::default()
        }
    }

    /// Whether a content has blocks here that are complete.
    pub(super) fn has_any(&self, content: ContentId) -> bool {
        let mut blocks = self.of(content);
        blocks.any(|(_, holding)| holding.state == State::Here)
    }

    pub(super) fn of(&self, content: ContentId) -> impl Iterator<Item = (&BlockId, &Holding)> {
        let block = |index| BlockId { content, index };
        self.blocks.range(block(0)..=block(u32::MAX))
    }

    fn insert(&mut self, block: BlockId, mut holding: Holding) {
        self.seq += 1;
        holding.seq = self.seq;
        self.used_bytes += holding.bytes;
        *self.shares.entry(holding.keeper).or_default() += holding.bytes;
        self.blocks.insert(block, holding);
    }

    fn remove(&mut self, block: BlockId) -> Option<Holding> {
        let holding = self.blocks.remove(&block)?;
        self.used_bytes -= holding.bytes;
        if let Some(share) = self.shares.get_mut(&holding.keeper) {
            *share -= holding.bytes;
            if *share == 0 {
                self.shares.remove(&holding.keeper);
            }
        }
        if holding.state == State::Fetching {
            self.fetching -= 1;
        }
        Some(holding)
    }

    fn refuses(&self, order: &KeepOrder) -> bool {
        let content = Refusal::Content(order.entry.content);
        let keeper = Refusal::Keeper(order.keeper);
        self.refusals.contains(&content) || self.refusals.contains(&keeper)
    }
}

impl Keep {
    /// Somebody offers blocks.
    pub(super) fn on_offer(
        &mut self,
        now: Timestamp,
        from: PeerId,
        (orders, blocks, sources): (Vec<KeepOrder>, Vec<u32>, Vec<PeerAddress>),
        places: &dyn Neighbourhood,
    ) {
        let Some(content) = orders.first().map(|order| order.entry.content) else {
            return;
        };
        let (mut taken, mut refused) = (Vec::new(), Vec::new());
        let wish = self.admit_offered(now, from, &orders, &blocks);
        for index in blocks {
            let block = BlockId { content, index };
            let answer = match wish {
                Ok(keeper) => self.take(block, keeper, (from, &sources), places),
                Err(reason) => Err(reason),
            };
            match answer {
                Ok(()) => taken.push(index),
                Err(reason) => refused.push((index, reason)),
            }
        }
        self.changed |= !taken.is_empty();
        let to = Self::bare(from);
        let answer = KeepMessage::Answer {
            content,
            taken,
            refused,
        };
        self.send(to, answer);
        self.start_fetches();
    }

    /// Takes in the orders of an offer. Returns on whose account the blocks go.
    fn admit_offered(
        &mut self,
        now: Timestamp,
        from: PeerId,
        orders: &[KeepOrder],
        blocks: &[u32],
    ) -> Result<PeerId, RefusalReason> {
        if self.holdings.grant_bytes == 0 {
            return Err(RefusalReason::NoGrant);
        }
        let mut reason = RefusalReason::Order;
        for order in orders {
            if self.holdings.refuses(order) {
                reason = RefusalReason::Unwanted;
                continue;
            }
            if let Some(release) = self.orders.release_of(order).cloned() {
                let blocks = blocks.to_vec();
                self.send(Self::bare(from), KeepMessage::Release { release, blocks });
            }
            let proven = self.holdings.has_any(order.entry.content);
            let bounds = (&*self.config, proven);
            match self.orders.admit(now, order, &self.calendar, bounds) {
                Ok(_) => {}
                Err(why) => reason = why,
            }
        }
        let content = orders.first().ok_or(reason)?.entry.content;
        let known = self.orders.of(content).iter();
        let wanted = known.filter(|order| !self.holdings.refuses(order));
        // On the account of who has most room left.
        let share = |keeper: &PeerId| self.holdings.shares.get(keeper).copied().unwrap_or(0);
        let keepers = wanted.map(|order| order.keeper);
        keepers.min_by_key(share).ok_or(reason)
    }

    fn take(
        &mut self,
        block: BlockId,
        keeper: PeerId,
        (from, sources): (PeerId, &[PeerAddress]),
        places: &dyn Neighbourhood,
    ) -> Result<(), RefusalReason> {
        if let Some(holding) = self.holdings.blocks.get_mut(&block) {
            holding.warden = Some(from);
            if holding.state == State::Here {
                self.told.insert(block);
            }
            return Ok(());
        }
        let size = self.orders.entry(block.content).map(|entry| entry.size);
        let size = size.ok_or(RefusalReason::Order)?;
        if block.groups(size).is_empty() {
            return Err(RefusalReason::Order);
        }
        let key = Position::of_block(block.content, block.index);
        if !is_near(key, places) {
            return Err(RefusalReason::Far);
        }
        if self.holdings.blocks.len() >= self.config.blocks_max {
            return Err(RefusalReason::Busy);
        }
        let bytes = block.bytes(size);
        self.make_room(keeper, bytes)?;
        let from_whom = sources.iter().filter(|source| source.peer != self.me);
        let holding = Holding {
            key,
            bytes,
            keeper,
            state: State::Waiting,
            from: from_whom.cloned().collect(),
            warden: Some(from),
            spare: false,
            mates: (Vec::new(), Timestamp::ZERO),
            seq: 0,
        };
        self.holdings.insert(block, holding);
        Ok(())
    }

    /// Looks for room within the keeper's share and within the grant, if need be by
    /// giving up copies that are not needed.
    fn make_room(&mut self, keeper: PeerId, bytes: u64) -> Result<(), RefusalReason> {
        let grant = self.holdings.grant_bytes;
        let share = grant / 1_000 * u64::from(self.config.keeper_permille_max);
        let has = self.holdings.shares.get(&keeper).copied().unwrap_or(0);
        if has + bytes > share {
            return Err(RefusalReason::KeeperShare);
        }
        let free = grant.saturating_sub(self.holdings.used_bytes);
        let mut lacking = bytes.saturating_sub(free);
        let mut given_up = Vec::new();
        for (block, holding) in &self.holdings.blocks {
            if lacking == 0 {
                break;
            }
            if holding.spare && holding.state == State::Here {
                lacking = lacking.saturating_sub(holding.bytes);
                given_up.push(*block);
            }
        }
        if lacking > 0 {
            return Err(RefusalReason::Full);
        }
        for block in given_up {
            self.drop_block(block, DropReason::Spare);
        }
        Ok(())
    }

    /// Fetches what waits, the oldest first.
    pub(super) fn start_fetches(&mut self) {
        while self.holdings.fetching < self.config.fetches_max {
            let waiting = self.holdings.blocks.iter_mut();
            let waiting = waiting.filter(|(_, holding)| holding.state == State::Waiting);
            let Some((block, holding)) = waiting.min_by_key(|(_, holding)| holding.seq) else {
                return;
            };
            holding.state = State::Fetching;
            self.holdings.fetching += 1;
            let (block, from) = (*block, std::mem::take(&mut holding.from));
            let Some(entry) = self.orders.entry(block.content).cloned() else {
                self.drop_block(block, DropReason::Released);
                continue;
            };
            let mut groups = GroupSet::from(block.groups(entry.size));
            groups.insert(last_group(entry.size));
            self.event(KeepEvent::Fetch {
                block,
                entry: Box::new(entry),
                groups,
                from,
            });
        }
    }

    /// A block is here.
    pub(super) fn on_held(&mut self, block: BlockId) {
        let first = !self.holdings.has_any(block.content);
        let Some(holding) = self.holdings.blocks.get_mut(&block) else {
            return;
        };
        if holding.state == State::Fetching {
            self.holdings.fetching -= 1;
        }
        if std::mem::replace(&mut holding.state, State::Here) != State::Here {
            self.told.insert(block);
            self.changed = true;
            if let Some(entry) = self.orders.entry(block.content).filter(|_| first) {
                let entry = Box::new(entry.clone());
                self.event(KeepEvent::Serve(entry));
            }
        }
        self.start_fetches();
    }

    /// A block is not here, or not any more, through no wish of anybody.
    pub(super) fn on_lost(&mut self, block: BlockId) {
        if let Some(holding) = self.holdings.remove(block) {
            self.after_drop(block, &holding);
            self.tell_dropped(holding.warden, [block]);
        }
        self.start_fetches();
    }

    /// Gives a block up.
    pub(super) fn drop_block(&mut self, block: BlockId, reason: DropReason) {
        let size = self.orders.entry(block.content).map(|entry| entry.size);
        let Some(holding) = self.holdings.remove(block) else {
            return;
        };
        if holding.state != State::Waiting {
            let groups = self.groups_to_drop(block, size.unwrap_or(KeepOrder::SIZE_MAX));
            self.event(KeepEvent::Drop {
                block,
                groups,
                reason,
            });
        }
        self.after_drop(block, &holding);
        if matches!(
            reason,
            DropReason::Refused | DropReason::Grant | DropReason::Spare
        ) {
            self.tell_dropped(holding.warden, [block]);
        }
    }

    /// What of a block is not needed for others of the same content.
    fn groups_to_drop(&self, block: BlockId, size: u64) -> GroupSet {
        let mut groups = GroupSet::from(block.groups(size));
        let others = self.holdings.of(block.content).next().is_some();
        if others {
            groups.remove(last_group(size));
        } else {
            groups.insert(last_group(size));
        }
        groups
    }

    fn after_drop(&mut self, block: BlockId, holding: &Holding) {
        self.changed = true;
        self.told.remove(&block);
        self.round.soon.remove(&block);
        let was_last = holding.state == State::Here && !self.holdings.has_any(block.content);
        if was_last && let Some(entry) = self.orders.entry(block.content) {
            let entry = Box::new(entry.clone());
            self.event(KeepEvent::Withdraw(entry));
        }
    }

    fn tell_dropped(&mut self, warden: Option<PeerId>, blocks: [BlockId; 1]) {
        if let Some(warden) = warden {
            for lists in listed(blocks) {
                self.send(Self::bare(warden), KeepMessage::Dropped(lists));
            }
        }
    }

    /// Drops what no order wants any more. To be called before the orders forget
    /// what the content was.
    pub(super) fn drop_all(&mut self, content: ContentId, reason: DropReason) {
        let blocks = self.holdings.of(content).map(|(block, _)| *block);
        for block in blocks.collect::<Vec<_>>() {
            self.drop_block(block, reason);
        }
        self.start_fetches();
    }

    /// The owner grants more or less.
    pub(super) fn on_grant(&mut self, bytes: u64) {
        self.holdings.grant_bytes = bytes;
        while self.holdings.used_bytes > bytes {
            let newest = self.holdings.blocks.iter();
            let newest = newest.max_by_key(|(_, holding)| (holding.spare, holding.seq));
            let Some(block) = newest.map(|(block, _)| *block) else {
                return;
            };
            self.drop_block(block, DropReason::Grant);
        }
        self.start_fetches();
    }

    /// The owner does not want something.
    pub(super) fn on_refuse(&mut self, refusal: Refusal) {
        if !self.holdings.refusals.contains(&refusal) && self.holdings.refusals.len() < REFUSALS_MAX
        {
            self.holdings.refusals.push(refusal);
            self.changed = true;
        }
        let contents: Vec<ContentId> = self.holdings.blocks.keys().map(|id| id.content).collect();
        for content in contents {
            let mut orders = self.orders.of(content).iter();
            let others = orders.any(|order| !self.holdings.refuses(order));
            if !others {
                self.drop_all(content, DropReason::Refused);
            }
        }
    }

    /// What an earlier run held. Returns what is not here any more.
    pub(super) fn restore_blocks(&mut self, saved: &[BlockId], here: &BTreeSet<BlockId>) {
        for block in saved {
            let Some(entry) = self.orders.entry(block.content).cloned() else {
                continue;
            };
            if !here.contains(block) {
                let kept = here.iter().any(|other| other.content == block.content);
                let mut groups = GroupSet::from(block.groups(entry.size));
                if kept {
                    groups.remove(last_group(entry.size));
                }
                let reason = DropReason::Incomplete;
                let block = *block;
                self.event(KeepEvent::Drop {
                    block,
                    groups,
                    reason,
                });
                continue;
            }
            let keepers = self.orders.of(block.content).iter();
            let Some(keeper) = keepers.map(|order| order.keeper).next() else {
                continue;
            };
            let first = !self.holdings.has_any(block.content);
            let holding = Holding {
                key: Position::of_block(block.content, block.index),
                bytes: block.bytes(entry.size),
                keeper,
                state: State::Here,
                from: Vec::new(),
                warden: None,
                spare: false,
                mates: (Vec::new(), Timestamp::ZERO),
                seq: 0,
            };
            self.holdings.insert(*block, holding);
            if first {
                self.event(KeepEvent::Serve(Box::new(entry)));
            }
        }
    }
}

/// Whether a key lies where blocks may be that this node is asked to hold: not far
/// before one of its places.
fn is_near(key: Position, places: &dyn Neighbourhood) -> bool {
    (0..places.nodes()).any(|node| {
        let position = places.position(node);
        let successors = places.successors(node);
        let Some(last) = successors.last().filter(|_| successors.len() >= 8) else {
            // So few that everybody is near.
            return true;
        };
        let span = position.distance_to(last.position);
        key.distance_to(position) <= span.saturating_mul(SPANS_MAX)
    })
}

/// The group that proves how large a content is.
fn last_group(size: u64) -> GroupRange {
    let groups = groups_in(size);
    GroupRange::new(groups - 1, groups)
}
