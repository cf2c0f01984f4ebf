//! Records that are here and belong to others: this peer was their owner before nodes
//! came or rings merged, or somebody published them here who knows an older ring.
//!
//! They are brought to the owner. What is brought is let go only when the owner has
//! shown in another comparison that it has it, and said that it is the owner by the
//! ring as it is now, and that this peer is none of those that hold its copies; what is
//! in a list that the owner has split, when the owners of the parts have taken it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use gannet_base::Timestamp;

use super::around::Way;
use super::errand::Todo;
use super::shelf::spans;
use super::sync::{Spanned, Why};
use super::{Contact, Place, Position, RecordId, Spot, Standing, Store, StoreMessage, Waiting};

/// Comparisons of what is brought, the last of which shows that it is there.
const PASSES_MAX: u8 = 4;
/// Owners that records are brought to in one look.
const OWNERS_MAX: u32 = 64;
/// Lists that got entries from publishers though they are another's; beyond it, they
/// are found with the others.
const ORPHANS_MAX: usize = 1_024;
/// Times that the pause after a failure doubles.
const DOUBLED_MAX: u32 = 5;

/// When to look for what belongs elsewhere, and how far one has got.
#[derive(Debug, Default)]
pub(super) struct Strays {
    at: Option<Timestamp>,
    /// Whether the way to one is being looked up.
    is_looking: bool,
    /// Where the look goes on.
    from: Position,
    owners_left: u32,
    failures: u32,
    /// Lists of others with entries that their owners may not have.
    orphans: BTreeSet<Position>,
}

impl Strays {
    pub(super) fn due(&self) -> Option<Timestamp> {
        self.at.filter(|_| !self.is_looking)
    }

    pub(super) fn stop(&mut self) {
        self.at = None;
    }

    /// The ring is another: what failed may not.
    pub(super) fn try_again(&mut self) {
        self.failures = 0;
    }
}

/// What one comparison brings.
#[derive(Debug)]
pub(super) struct Bringing {
    /// What was here when it began, with versions.
    had: BTreeMap<Spot, u64>,
    /// What the owner lacked at the last pass.
    lacked: BTreeSet<Spot>,
    /// What is in lists that the owner has split: the owners of their parts have said that
    /// they and those with copies have it, or are being asked.
    moved: BTreeSet<Spot>,
    passes: u8,
    is_replica: bool,
    /// Where the owner's stretch begins, as far as is known here.
    from: Position,
}

impl Bringing {
    /// Whether the other is the right one.
    pub(super) fn is_welcome(&mut self, standing: Standing) -> bool {
        self.is_replica |= standing.is_replica;
        standing.is_owner
    }

    /// The owner lacks these. What has moved, it is to lack.
    pub(super) fn lacks(&mut self, spots: &mut Vec<Spot>) {
        spots.retain(|spot| !self.moved.contains(spot));
        self.lacked.extend(spots.iter());
    }

    /// The owner's list is split: this goes into a part.
    pub(super) fn moves(&mut self, spot: Spot) {
        self.lacked.remove(&spot);
        self.moved.insert(spot);
    }

    /// A part did not take it.
    pub(super) fn stays(&mut self, todo: &Todo) {
        let Place::Word(word, part) = &todo.place else {
            return;
        };
        for bits in 0..part.bits() {
            let spot = (part.ancestor(bits).key(word), todo.record.id());
            if self.moved.remove(&spot) {
                self.lacked.insert(spot);
            }
        }
    }
}

impl Store {
    /// At the latest after so long, looks for what belongs elsewhere.
    pub(super) fn stray_by(&mut self, now: Timestamp, wait: Duration) {
        let at = now + self.jittered(wait);
        let due = self.syncing.strays.at;
        self.syncing.strays.at = Some(due.map_or(at, |due| due.min(at)));
    }

    pub(super) fn on_timeout_strays(&mut self, now: Timestamp) {
        let strays = &mut self.syncing.strays;
        if strays.due().is_some_and(|at| at <= now) {
            strays.at = None;
            strays.owners_left = OWNERS_MAX;
            self.stray_by(now, self.config.stray_interval);
            self.look_for_strays(now);
        }
    }

    /// A publisher's record came here though the list is another's.
    pub(super) fn on_orphan(&mut self, now: Timestamp, key: Position) {
        let orphans = &mut self.syncing.strays.orphans;
        if orphans.len() < ORPHANS_MAX {
            orphans.insert(key);
        }
        self.stray_by(now, self.config.settle_delay);
    }

    fn is_stray(&self, now: Timestamp, key: Position) -> bool {
        let is_orphan = self.syncing.strays.orphans.contains(&key);
        !self.known.owns(key) && (is_orphan || !self.is_sure(now, key))
    }

    /// Brings what nobody speaks for to its owner.
    fn look_for_strays(&mut self, now: Timestamp) {
        let strays = &mut self.syncing.strays;
        if self.known.nodes.is_empty() || strays.is_looking || strays.owners_left == 0 {
            return;
        }
        strays.owners_left -= 1;
        let from = strays.from;
        let keys = self.shelf.lists().map(|(key, _)| key);
        let marked = self.shelf.marks().map(|(key, _)| key);
        let stray = keys.chain(marked).filter(|key| self.is_stray(now, *key));
        let Some(key) = stray.min_by_key(|key| from.distance_to(*key)) else {
            self.syncing.strays.orphans.clear();
            return;
        };
        match self.known.way(now, &self.config, key) {
            Some(way) if self.syncing.strays.failures == 0 => {
                self.go_stray_way(now, key, way);
            }
            _ => {
                self.syncing.strays.is_looking = true;
                self.locate(key, Waiting::Stray(key));
            }
        }
    }

    pub(super) fn on_stray_way(&mut self, now: Timestamp, key: Position, way: Option<Way>) {
        self.syncing.strays.is_looking = false;
        match way {
            Some(way) => self.go_stray_way(now, key, way),
            None => self.on_not_brought(now),
        }
    }

    /// Brings what is here from the first such list on, up to the owner: it may have
    /// lost the keys before that to newer nodes already.
    fn go_stray_way(&mut self, now: Timestamp, key: Position, way: Way) {
        self.syncing.strays.from = way.to.plus(1);
        let (from, to) = (Position(key.0.wrapping_sub(1)), way.to);
        let owner = way.owners.into_iter().next();
        let Some(owner) = owner.filter(|owner| owner.peer != self.me) else {
            // It is this peer itself, as others see it.
            self.on_not_brought(now);
            return;
        };
        let had = spans(from, to)
            .into_iter()
            .flat_map(|span| self.shelf.items(span))
            .collect();
        let bringing = Bringing {
            had,
            lacked: BTreeSet::new(),
            moved: BTreeSet::new(),
            passes: 1,
            is_replica: false,
            from: way.from,
        };
        if !self.start_session(now, Why::Stray(bringing), owner, (from, to)) {
            self.on_not_brought(now);
        }
    }

    /// Whether what was brought has to be compared once more.
    pub(super) fn goes_over_it_again(&mut self, id: u64) -> bool {
        let Some(session) = self.syncing.sessions.get_mut(&id) else {
            return false;
        };
        let Why::Stray(bringing) = &mut session.why else {
            return false;
        };
        if bringing.lacked.is_empty() || bringing.passes >= PASSES_MAX {
            return false;
        }
        bringing.passes += 1;
        bringing.lacked.clear();
        session.todo = spans(session.from, session.to);
        true
    }

    /// Who was taken for the owner is none, or not of all of it.
    pub(super) fn on_wrong_owner(&mut self, now: Timestamp, id: u64) {
        if let Some(session) = self.syncing.sessions.get(&id) {
            self.known.doubt(session.peer.peer);
        }
        self.end_session(now, id, false);
    }

    /// Tries again soon, and what belongs to others at once.
    pub(super) fn on_not_brought(&mut self, now: Timestamp) {
        let strays = &mut self.syncing.strays;
        strays.failures = strays.failures.saturating_add(1);
        let wait = self.config.settle_delay / 2 * (1 << strays.failures.min(DOUBLED_MAX));
        self.stray_by(now, wait);
        self.look_for_strays(now);
    }

    /// The owner has it, as it has shown.
    pub(super) fn on_brought(
        &mut self,
        now: Timestamp,
        owner: Contact,
        (from, to): Spanned,
        bringing: Bringing,
    ) {
        let whole = (bringing.from, to);
        let had_all = self.custody.has_had(now, &self.config, whole);
        let is_empty = |span| self.shelf.items(span).next().is_none();
        let is_all = whole.0 == from || spans(bringing.from, from).into_iter().all(is_empty);
        if had_all && is_all && bringing.lacked.is_empty() {
            let (from, to) = whole;
            self.send(owner, StoreMessage::Brought { from, to });
        }
        self.syncing.strays.failures = 0;
        let orphans = &mut self.syncing.strays.orphans;
        orphans.retain(|key| !to.owns(from, *key));
        if !bringing.is_replica {
            self.let_go(now, &bringing);
        }
        self.look_for_strays(now);
    }

    /// What came or changed meanwhile stays, and what the owner has no room for.
    fn let_go(&mut self, now: Timestamp, bringing: &Bringing) {
        for (spot, version) in &bringing.had {
            let (key, record) = *spot;
            if bringing.lacked.contains(spot) || self.known.owns(key) {
                continue;
            }
            if record == RecordId(0) {
                let is_same = self.shelf.mark_version(key) == Some(*version);
                if is_same && self.shelf.count(key) == 0 {
                    self.shelf.drop_mark(key);
                }
            } else {
                let posting = self.shelf.posting(*spot);
                if posting.is_some_and(|posting| posting.record.version() == *version) {
                    self.shelf.remove(*spot);
                }
            }
        }
        self.expect_sweep(now);
    }
}
