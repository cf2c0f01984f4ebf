//! As a keeper: own files, and how they are kept.

use std::time::Duration;

use gannet_base::{BlockId, ContentId, KeepOrder, KeepRelease, Timestamp, WallTime};

use super::api::{KeepEvent, KeepStatus, KeptInfo};
use super::message::Copies;
use super::{Keep, Neighbourhood};

/// First wait for copies to be made; doubles.
// Guess: a block takes a second or some.
const WAIT_FIRST: Duration = Duration::from_millis(500);
/// Wait while copies are coming.
// Guess: somebody may be waiting to leave.
const WAIT_COMING: Duration = Duration::from_secs(1);
/// Longest wait while a file is being placed.
// Guess: by then something is wrong, which somebody has to change.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// An own file.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) order: KeepOrder,
    /// How each block is kept, as last heard.
    pub(super) blocks: Vec<Copies>,
    /// Of which blocks a copy may exist: of these somebody may be waited for.
    pub(super) begun: Vec<bool>,
    /// When it is looked at next.
    pub(super) due: Timestamp,
    wait: Duration,
    told: Option<KeepStatus>,
}

impl Kept {
    fn new(order: KeepOrder, begun: bool, now: Timestamp) -> Self {
        let blocks = usize::try_from(order.blocks()).unwrap_or(usize::MAX);
        Self {
            blocks: vec![Copies::default(); blocks],
            begun: vec![begun; blocks],
            due: now,
            wait: WAIT_FIRST,
            told: None,
            order,
        }
    }

    /// Whether every block has its copies, though some may be away or on their way.
    fn is_placed(&self) -> bool {
        let copies = self.order.copies;
        self.blocks.iter().all(|block| block.kept >= copies)
    }

    /// Whether every block has its copies, complete and online.
    pub(super) fn is_well(&self) -> bool {
        self.blocks.iter().all(|block| !self.lacks(block))
    }

    /// Whether a block lacks copies that are complete and online.
    pub(super) fn lacks(&self, block: &Copies) -> bool {
        block.kept.min(block.online) < self.order.copies
    }

    /// It was looked at: next after `interval` if all is well, sooner if not.
    pub(super) fn wait(&mut self, now: Timestamp, interval: Duration) {
        if self.is_well() {
            self.wait = WAIT_FIRST;
            self.due = now + interval;
        } else {
            let most = if self.is_placed() { interval } else { WAIT_MAX };
            self.due = now + self.wait;
            self.wait = (self.wait * 2).min(most);
        }
    }

    fn status(&self) -> KeepStatus {
        let copies = self.order.copies;
        let kept = self.blocks.iter().filter(|block| block.kept >= copies);
        let least = |of: fn(&Copies) -> u8| self.blocks.iter().map(of).min().unwrap_or(0);
        KeepStatus {
            content: self.order.entry.content,
            copies,
            blocks: self.order.blocks(),
            blocks_kept: u32::try_from(kept.count()).unwrap_or(u32::MAX),
            copies_min: least(|block| block.kept),
            online_min: least(|block| block.online),
            refused: self.blocks.iter().find_map(|block| block.refused),
        }
    }
}

impl Keep {
    /// Own files that others keep, by content.
    pub fn kept(&self) -> impl Iterator<Item = KeptInfo> + '_ {
        self.kept.values().map(|kept| KeptInfo {
            order: kept.order.clone(),
            status: kept.status(),
        })
    }

    /// When this peer last gave its word on a content, an order or a release: the next
    /// must be later.
    pub fn latest_word(&self, content: ContentId) -> Option<WallTime> {
        let order = self.kept.get(&content).map(|kept| kept.order.issued);
        let release = self.orders.releases.get(&(content, self.me));
        order.max(release.map(|known| known.release.issued))
    }

    /// Whether nobody can have a block of an own file yet.
    pub(super) fn is_fresh(&self, block: BlockId) -> bool {
        let place = usize::try_from(block.index).unwrap_or(usize::MAX);
        let kept = self.kept.get(&block.content);
        kept.and_then(|kept| kept.begun.get(place)) == Some(&false)
    }

    pub(super) fn kept_block(&self, block: BlockId) -> Option<Copies> {
        let place = usize::try_from(block.index).ok()?;
        self.kept.get(&block.content)?.blocks.get(place).copied()
    }

    /// Takes an own order; `begun` if it was begun in an earlier run.
    pub(super) fn on_keep(&mut self, now: Timestamp, order: KeepOrder, begun: bool) {
        let content = order.entry.content;
        let is_new = !self.kept.contains_key(&content);
        let too_many = is_new && self.kept.len() >= self.config.kept_max;
        if order.keeper != self.me || order.check().is_err() || too_many {
            return;
        }
        self.orders.releases.remove(&(content, self.me));
        self.orders.restore(order.clone());
        match self.kept.get_mut(&content) {
            // What is known of the copies stays.
            Some(kept) if kept.order.entry.size == order.entry.size => {
                kept.order = order;
                kept.due = now;
                kept.wait = WAIT_FIRST;
            }
            _ => {
                self.kept.insert(content, Kept::new(order, begun, now));
            }
        }
        self.round
            .again(now, [BlockId { content, index: 0 }], Duration::ZERO);
        self.changed = true;
    }

    pub(super) fn on_unkeep(
        &mut self,
        now: Timestamp,
        release: &KeepRelease,
        places: &dyn Neighbourhood,
    ) {
        let Some(kept) = self.kept.remove(&release.content) else {
            return;
        };
        self.on_release(now, release, &[], places);
        let id = (release.content, release.keeper);
        if let Some(known) = self.orders.releases.get_mut(&id) {
            known.blocks = (0..kept.order.blocks()).collect();
        }
        // A whole round: releases are told with it.
        self.round.due = now;
        self.changed = true;
    }

    /// A responsible node tells how blocks are kept.
    pub(super) fn on_copies(&mut self, now: Timestamp, copies: &[(ContentId, Vec<(u32, Copies)>)]) {
        for (content, blocks) in copies {
            let Some(kept) = self.kept.get_mut(content) else {
                continue;
            };
            let was_well = kept.is_well();
            let online = |kept: &Kept| kept.blocks.iter().map(|b| u64::from(b.online)).sum::<u64>();
            let before = online(kept);
            for (index, copies) in blocks {
                let place = usize::try_from(*index).unwrap_or(usize::MAX);
                if let Some(known) = kept.blocks.get_mut(place) {
                    *known = *copies;
                }
                if let Some(begun) = kept.begun.get_mut(place) {
                    *begun |= copies.kept > 0;
                }
            }
            if !was_well && kept.is_well() {
                kept.wait(now, self.config.keeper_interval);
            } else if !kept.is_well() && online(kept) > before {
                kept.wait = WAIT_COMING;
                kept.due = kept.due.min(now + WAIT_COMING);
                self.round.wake(kept.due);
            }
            let status = kept.status();
            if kept.told.replace(status) != Some(status) {
                self.event(KeepEvent::Status(status));
            }
        }
    }

    /// Own orders that are over.
    pub(super) fn end_kept(&mut self, now: Timestamp) {
        let before = self.kept.len();
        let calendar = &self.calendar;
        self.kept
            .retain(|_, kept| !calendar.is_over(now, &kept.order));
        self.changed |= self.kept.len() < before;
    }
}
