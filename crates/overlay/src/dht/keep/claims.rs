//! Rounds: telling the responsible nodes what is held here, in the order of the ring,
//! so that one lookup serves a whole region.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use gannet_base::{BlockId, ContentId, PeerAddress, PeerId, Timestamp};

use super::holding::State;
use super::message::{
    BLOCKS_LISTED_MAX, BlockList, ClaimList, KeepMessage, LISTS_MAX, MATES_LISTED_MAX,
    MATES_TOTAL_MAX, Mate, MateLists, ORDERS_LISTED_MAX, Role, blocks_of,
};
use super::{Keep, Neighbourhood, Purpose};
use crate::dht::position::Position;
use crate::dht::ring::Contact;

/// How soon what could not be told is tried again.
// Guess: the ring has noticed a loss by then.
const RETRY: Duration = Duration::from_secs(30);
/// Longest wait for a lookup.
// Guess: the ring ends each far sooner; without an end nothing would be told again.
const LOOKUP_MAX: Duration = Duration::from_secs(120);
/// How soon blocks are told to whoever calls for them, and as much again by chance.
// Guess: many calls of one change are one round.
const CALL_JITTER: Duration = Duration::from_secs(5);
/// How soon a node that has no place on the ring tries again.
const PLACELESS: Duration = Duration::from_secs(5);
/// How soon after its start a node tells what it holds.
// Guess: it has a place on the ring by then.
pub(super) const FIRST_ROUND: Duration = Duration::from_secs(5);
/// Longest time between two announcements of a release.
// Guess: a node that comes back with an old order meets one that knows better
// before it has persuaded anybody.
const ANNOUNCE_MAX: Duration = Duration::from_secs(6 * 3600);

/// What is to be told about a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Word {
    Claim(Role),
    Release(PeerId),
}

/// Something to be told to whoever is responsible for a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    key: Position,
    block: BlockId,
    word: Word,
}

/// The round under way, and the next.
#[derive(Debug, Default)]
pub(super) struct Round {
    /// When everything is told again.
    pub(super) due: Timestamp,
    /// When what is in `soon` is told.
    soon_at: Option<Timestamp>,
    pub(super) soon: BTreeSet<BlockId>,
    /// In the order of the ring.
    tasks: VecDeque<Task>,
    /// The lookup that is waited for.
    lookup: Option<(u64, Timestamp)>,
}

impl Round {
    pub(super) fn due_at(due: Timestamp) -> Self {
        Self {
            due,
            ..Self::default()
        }
    }

    pub(super) fn deadline(&self) -> Option<Timestamp> {
        if let Some((_, until)) = self.lookup {
            return Some(until);
        }
        Some(self.soon_at.map_or(self.due, |soon| soon.min(self.due)))
    }

    /// Has what is due then told then.
    pub(super) fn wake(&mut self, at: Timestamp) {
        self.soon_at = Some(self.soon_at.map_or(at, |soon| soon.min(at)));
    }

    /// Has blocks told again in a while.
    pub(super) fn again(
        &mut self,
        now: Timestamp,
        blocks: impl IntoIterator<Item = BlockId>,
        after: Duration,
    ) {
        self.soon.extend(blocks);
        let at = now + after;
        if !self.soon.is_empty() {
            self.soon_at = Some(self.soon_at.map_or(at, |soon| soon.min(at)));
        }
    }
}

impl Keep {
    /// Begins a round if one is due.
    pub(super) fn on_timeout_round(&mut self, now: Timestamp, places: &dyn Neighbourhood) {
        if self.round.deadline().is_none_or(|due| now < due) {
            return;
        }
        if let Some((id, _)) = self.round.lookup {
            self.lookups.remove(&id);
            self.on_located_round(now, id, None, places);
            return;
        }
        if !places.is_member() {
            self.round.due = self.round.due.max(now + PLACELESS);
            self.round.soon_at = self.round.soon_at.map(|at| at.max(now + PLACELESS));
            return;
        }
        let full = now >= self.round.due;
        let soon = std::mem::take(&mut self.round.soon);
        self.round.soon_at = None;
        let mut tasks = self.holder_tasks(|block| full || soon.contains(&block));
        if full {
            let quarter = self.config.claim_interval / 4;
            self.round.due = now + 3 * quarter + self.jitter(2 * quarter);
            self.add_release_tasks(now, &mut tasks);
        }
        self.add_keeper_tasks(now, &soon, &mut tasks);
        tasks.sort_unstable();
        tasks.dedup();
        self.round.tasks = tasks.into();
        self.advance_round(now, places);
    }

    fn holder_tasks(&self, wanted: impl Fn(BlockId) -> bool) -> Vec<Task> {
        let blocks = self.holdings.blocks.iter();
        let blocks = blocks.filter(|(block, _)| wanted(**block));
        let task = |(block, holding): (&BlockId, &super::holding::Holding)| Task {
            key: holding.key,
            block: *block,
            word: Word::Claim(if holding.state == State::Here {
                Role::Holds
            } else {
                Role::Fetches
            }),
        };
        blocks.map(task).collect()
    }

    fn add_release_tasks(&mut self, now: Timestamp, tasks: &mut Vec<Task>) {
        for ((content, keeper), known) in &mut self.orders.releases {
            let (due, times) = known.announce;
            if now < due {
                continue;
            }
            let wait = self
                .config
                .claim_interval
                .saturating_mul(1 << times.min(10));
            known.announce = (now + wait.min(ANNOUNCE_MAX), times + 1);
            let (content, keeper) = (*content, *keeper);
            tasks.extend(known.blocks.iter().map(|index| Task {
                key: Position::of_block(content, *index),
                block: BlockId {
                    content,
                    index: *index,
                },
                word: Word::Release(keeper),
            }));
        }
    }

    fn add_keeper_tasks(
        &mut self,
        now: Timestamp,
        soon: &BTreeSet<BlockId>,
        tasks: &mut Vec<Task>,
    ) {
        for (content, kept) in &mut self.kept {
            let due = now >= kept.due;
            let content = *content;
            for ((index, copies), begun) in (0..).zip(&kept.blocks).zip(&kept.begun) {
                let block = BlockId { content, index };
                let fresh = !begun;
                // While something lacks only that.
                if soon.contains(&block) || (due && (kept.lacks(copies) || kept.is_well())) {
                    tasks.push(Task {
                        key: Position::of_block(content, index),
                        block,
                        word: Word::Claim(Role::Keeps { fresh }),
                    });
                }
            }
            if due {
                kept.wait(now, self.config.keeper_interval);
            }
        }
        if let Some(due) = self.kept.values().map(|kept| kept.due).min()
            && due < self.round.due
        {
            self.round.wake(due);
        }
    }

    /// Goes on with the round: what this node is responsible for itself it tells
    /// itself; the rest takes a lookup a region.
    fn advance_round(&mut self, now: Timestamp, places: &dyn Neighbourhood) {
        let mut own = Vec::new();
        while let Some(task) = self.round.tasks.front().copied() {
            if places.node_of(task.key).is_none() {
                let id = self.locate(Purpose::Round, task.key);
                self.round.lookup = Some((id, now + LOOKUP_MAX));
                break;
            }
            self.round.tasks.pop_front();
            own.push(task);
        }
        self.tell(now, &Self::bare(self.me), own);
    }

    /// A lookup of the round is over.
    pub(super) fn on_located_round(
        &mut self,
        now: Timestamp,
        id: u64,
        found: Option<(Position, Vec<Contact>)>,
        places: &dyn Neighbourhood,
    ) {
        if self.round.lookup.is_none_or(|(waited, _)| waited != id) {
            return;
        }
        self.round.lookup = None;
        let mut told: BTreeMap<PeerId, (PeerAddress, Vec<Task>)> = BTreeMap::new();
        if let Some((before, owners)) = found {
            // A node at the very place of the predecessor is a full circle away.
            let far = |to: Position| before.distance_to(to).wrapping_sub(1);
            while let Some(task) = self.round.tasks.front() {
                let owner = owners
                    .iter()
                    .find(|owner| far(owner.position) >= far(task.key));
                let Some(owner) = owner else { break };
                let batch = told.entry(owner.peer);
                let (_, batch) = batch.or_insert_with(|| (owner.address(), Vec::new()));
                batch.extend(self.round.tasks.pop_front());
            }
        }
        if told.is_empty()
            && let Some(task) = self.round.tasks.pop_front()
        {
            // Nobody knows the way there now: the others may be luckier.
            self.round.again(now, [task.block], RETRY);
        }
        for (to, batch) in told.into_values() {
            self.tell(now, &to, batch);
        }
        self.advance_round(now, places);
    }

    /// Tells one peer.
    fn tell(&mut self, now: Timestamp, to: &PeerAddress, batch: Vec<Task>) {
        let mut claims = Vec::new();
        let mut releases: BTreeMap<(ContentId, PeerId), Vec<u32>> = BTreeMap::new();
        for task in batch {
            match task.word {
                Word::Claim(role) => claims.push((task.block, role)),
                Word::Release(keeper) => {
                    let blocks = releases.entry((task.block.content, keeper)).or_default();
                    blocks.push(task.block.index);
                }
            }
        }
        self.claim(now, to, claims, false);
        for (id, mut blocks) in releases {
            blocks.truncate(BLOCKS_LISTED_MAX);
            if let Some(known) = self.orders.releases.get(&id) {
                let release = known.release.clone();
                self.send(to.clone(), KeepMessage::Release { release, blocks });
            }
        }
    }

    /// Claims blocks at a peer.
    fn claim(
        &mut self,
        now: Timestamp,
        to: &PeerAddress,
        mut blocks: Vec<(BlockId, Role)>,
        again: bool,
    ) {
        blocks.sort_unstable_by_key(|(block, role)| (*role, *block));
        let mut lists: Vec<ClaimList> = Vec::new();
        let (mut listed, mut mate_lists) = (0, 0);
        for (block, role) in blocks {
            if let Some(holding) = self.holdings.blocks.get_mut(&block)
                && !matches!(role, Role::Keeps { .. })
            {
                holding.warden = Some(to.peer);
                holding.spare = false;
            }
            let open =
                |claim: &&mut ClaimList| claim.list.content == block.content && claim.role == role;
            let mates = self.known_mates(now, block).filter(|_| role == Role::Holds);
            mate_lists += mates.as_ref().map_or(0, Vec::len);
            let mates = mates.map(|mates| (block.index, mates));
            match lists.last_mut().filter(open) {
                Some(claim) => {
                    claim.list.blocks.push(block.index);
                    claim.mates.extend(mates);
                }
                None => lists.push(ClaimList {
                    list: BlockList {
                        content: block.content,
                        blocks: vec![block.index],
                    },
                    role,
                    stamp: self.orders.stamp(block.content),
                    mates: mates.into_iter().collect(),
                }),
            }
            listed += 1;
            let full = mate_lists + MATES_LISTED_MAX > MATES_TOTAL_MAX;
            if full || listed >= BLOCKS_LISTED_MAX || lists.len() >= LISTS_MAX {
                self.send_claim(now, to, std::mem::take(&mut lists), again);
                (listed, mate_lists) = (0, 0);
            }
        }
        if !lists.is_empty() {
            self.send_claim(now, to, lists, again);
        }
    }

    /// Other holders of a block, as told.
    fn known_mates(&self, now: Timestamp, block: BlockId) -> Option<Vec<Mate>> {
        let holding = self.holdings.blocks.get(&block)?;
        let (mates, at) = &holding.mates;
        let more = u16::try_from((now - *at).as_secs() / 60).unwrap_or(u16::MAX);
        let mates = mates.iter().map(|known| Mate {
            // Who was there then may have been there until a moment ago.
            minutes: match known.minutes {
                0 => 0,
                minutes => minutes.saturating_add(more),
            },
            ..*known
        });
        let mates: Vec<_> = mates.collect();
        (!mates.is_empty()).then_some(mates)
    }

    /// A responsible node tells who else holds blocks.
    pub(super) fn on_mates(
        &mut self,
        now: Timestamp,
        from: PeerId,
        told: Vec<(ContentId, MateLists)>,
    ) {
        for (content, lists) in told {
            for (index, mates) in lists {
                let block = BlockId { content, index };
                if let Some(holding) = self.holdings.blocks.get_mut(&block)
                    && holding.warden == Some(from)
                {
                    holding.mates = (mates, now);
                }
            }
        }
    }

    fn send_claim(&mut self, now: Timestamp, to: &PeerAddress, lists: Vec<ClaimList>, again: bool) {
        let message = KeepMessage::Claim {
            at: self.calendar.own(now),
            returns: self.returns,
            again,
            addresses: self.addresses.clone(),
            lists,
        };
        self.send(to.clone(), message);
    }

    /// Claims blocks that have just come at who asked for them.
    pub(super) fn tell_new(&mut self, now: Timestamp) {
        let mut new: BTreeMap<PeerId, Vec<(BlockId, Role)>> = BTreeMap::new();
        for block in std::mem::take(&mut self.told) {
            let holding = self.holdings.blocks.get(&block);
            if let Some(warden) = holding.and_then(|holding| holding.warden) {
                new.entry(warden).or_default().push((block, Role::Holds));
            }
        }
        for (warden, blocks) in new {
            self.claim(now, &Self::bare(warden), blocks, false);
        }
    }

    /// A responsible node lacks orders: it gets them, and the claims again.
    pub(super) fn on_unknown(&mut self, now: Timestamp, from: PeerId, lists: &[BlockList]) {
        let mut orders = Vec::new();
        for list in lists {
            orders.extend_from_slice(self.orders.of(list.content));
        }
        for some in orders.chunks(ORDERS_LISTED_MAX) {
            self.send(Self::bare(from), KeepMessage::Orders(some.to_vec()));
        }
        let mut blocks = Vec::new();
        for block in blocks_of(lists) {
            if let Some(holding) = self.holdings.blocks.get(&block) {
                let here = holding.state == State::Here;
                blocks.push((block, if here { Role::Holds } else { Role::Fetches }));
            }
            if self.kept_block(block).is_some() {
                let fresh = self.is_fresh(block);
                blocks.push((block, Role::Keeps { fresh }));
            }
        }
        self.claim(now, &Self::bare(from), blocks, true);
    }

    /// A node is not responsible for blocks that were claimed there.
    pub(super) fn on_elsewhere(&mut self, now: Timestamp, from: PeerId, lists: &[BlockList]) {
        let told = |block: &BlockId| {
            let holding = self.holdings.blocks.get(block);
            holding.is_some_and(|holding| holding.warden == Some(from))
                || self.kept_block(*block).is_some()
        };
        let mine: Vec<_> = blocks_of(lists).filter(told).collect();
        let after = Duration::from_secs(1) + self.jitter(RETRY / 2);
        self.round.again(now, mine, after);
    }

    /// Somebody became responsible for keys. Who that is the ring is asked.
    pub(super) fn on_call(&mut self, now: Timestamp, after: Position, upto: Position) {
        let blocks = self.holdings.blocks.iter();
        let called = blocks.filter(|(_, holding)| upto.owns(after, holding.key));
        let called: Vec<_> = called.map(|(block, _)| *block).collect();
        if !called.is_empty() {
            let wait = CALL_JITTER + self.jitter(CALL_JITTER);
            self.round.again(now, called, wait);
        }
    }

    /// A responsible node is gone: what it looked after is told its heir.
    pub(super) fn reclaim_from(&mut self, now: Timestamp, peer: PeerId) {
        let blocks = self.holdings.blocks.iter();
        let orphans = blocks.filter(|(_, holding)| holding.warden == Some(peer));
        let orphans: Vec<_> = orphans.map(|(block, _)| *block).collect();
        if !orphans.is_empty() {
            let after = RETRY + self.jitter(RETRY);
            self.round.again(now, orphans, after);
        }
    }
}
