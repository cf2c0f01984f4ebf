//! What to ask for next.
//!
//! Open groups are kept in runs, in one set per availability (how many partial
//! sources have them, and how many sources gave them to others; whole sources
//! have everything, so they do not tell groups apart). Picking looks at the rarest set first. A pick costs
//! O(levels) steps of O(log runs), whatever the size of the content; for a
//! partial source a step is bounded by [`HOPS_MAX`], and only if that finds
//! nothing all its runs are looked at.

use std::collections::BTreeMap;

use gannet_base::{GroupRange, GroupSet, Rng};
use rand_core::Rng as _;

use crate::message::Have;
use crate::runs::Runs;

/// Runs of a partial source that are looked at in one level of availability
/// before the next level is tried.
// Guess: bounds a pick to some thousand steps.
const HOPS_MAX: usize = 64;

/// Which of the open groups is wanted most.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Want {
    /// The first at or after this one; then those before.
    InOrder(u64),
    /// The rarest; among those this one, where the source left off.
    Rarest(Option<u64>),
}

/// The open groups of a content by availability.
#[derive(Debug)]
pub(super) struct Plan {
    groups: u64,
    open_groups: u64,
    /// Counts how often groups were opened.
    openings: u64,
    /// Start → how many partial sources have the groups from there on.
    available: BTreeMap<u64, u32>,
    /// Availability → the open groups that have it. No empty sets.
    open: BTreeMap<u32, Runs>,
}

impl Plan {
    /// Nothing open, nothing available.
    pub(super) fn new(groups: u64) -> Self {
        Self {
            groups,
            open_groups: 0,
            openings: 0,
            available: BTreeMap::from([(0, 0)]),
            open: BTreeMap::new(),
        }
    }

    /// How many groups are open.
    pub(super) fn open_groups(&self) -> u64 {
        self.open_groups
    }

    /// The groups of `range` are to be asked for.
    pub(super) fn open(&mut self, range: GroupRange) {
        self.openings += 1;
        for (part, count) in self.pieces(range) {
            let level = self.open.entry(count).or_default();
            let before = level.len();
            level.insert(part);
            self.open_groups += level.len() - before;
        }
    }

    /// They are asked for, or here.
    pub(super) fn close(&mut self, range: GroupRange) {
        let mut closed = 0;
        self.open.retain(|_, level| {
            let before = level.len();
            level.remove(range);
            closed += before - level.len();
            !level.is_empty()
        });
        self.open_groups -= closed;
    }

    /// How often groups were opened: a source that had nothing to give has
    /// nothing until this, or its own set, changes.
    pub(super) fn openings(&self) -> u64 {
        self.openings
    }

    /// The open groups.
    pub(super) fn open_set(&self) -> GroupSet {
        let sets = self.open.values().map(Runs::to_set);
        sets.flat_map(|set| set.runs().to_vec()).collect()
    }

    /// How many partial sources have `group`.
    pub(super) fn availability(&self, group: u64) -> u32 {
        let piece = self.available.range(..=group).next_back();
        piece.map_or(0, |(_, count)| *count)
    }

    /// Stretches of equal availability.
    #[cfg(test)]
    pub(super) fn borders(&self) -> usize {
        self.available.len()
    }

    /// One more partial source has `groups`.
    pub(super) fn gain(&mut self, groups: &GroupSet) {
        for run in groups.runs() {
            self.shift(*run, |count| count + 1);
        }
    }

    /// One less has them.
    pub(super) fn lose(&mut self, groups: &GroupSet) {
        for run in groups.runs() {
            self.shift(*run, |count| count.saturating_sub(1));
        }
    }

    /// At most `groups_max` open groups in one run that a source with `have`
    /// can give.
    pub(super) fn pick(
        &self,
        have: &Have,
        want: Want,
        groups_max: u64,
        rng: &mut Rng,
    ) -> Option<GroupRange> {
        let (start, run) = match want {
            Want::InOrder(from) => {
                let first = |from| {
                    let found = self
                        .open
                        .values()
                        .filter_map(|level| seek_both(level, have, from, usize::MAX));
                    found.min_by_key(|run| run.start)
                };
                let run = first(from).or_else(|| first(0))?;
                (run.start, run)
            }
            Want::Rarest(cursor) => {
                let random = (rng.next_u64() % self.groups.max(1), rng.next_u64());
                let found = |level| rarest_in(level, have, cursor, random, groups_max);
                let any = |level| seek_both(level, have, 0, usize::MAX).map(|run| (run.start, run));
                let rarest = self.open.values().find_map(found);
                rarest.or_else(|| self.open.values().find_map(any))?
            }
        };
        // Slices end on multiples of their length: neighbours in the tree, so less proof.
        let aligned = (start / groups_max + 1).saturating_mul(groups_max);
        Some(GroupRange::new(start, run.end.min(aligned)))
    }

    /// `range` cut where the availability changes.
    fn pieces(&self, range: GroupRange) -> Vec<(GroupRange, u32)> {
        let range = range.intersection(GroupRange::new(0, self.groups));
        if range.is_empty() {
            return Vec::new();
        }
        let first = self.available.range(..=range.start).next_back();
        let mut count = first.map_or(0, |(_, count)| *count);
        let mut start = range.start;
        let mut pieces = Vec::new();
        for (at, next) in self.available.range(range.start + 1..range.end) {
            pieces.push((GroupRange::new(start, *at), count));
            (start, count) = (*at, *next);
        }
        pieces.push((GroupRange::new(start, range.end), count));
        pieces
    }

    fn shift(&mut self, range: GroupRange, change: impl Fn(u32) -> u32) {
        for (part, count) in self.pieces(range) {
            let changed = change(count);
            let after = self.available.range(..=part.end).next_back();
            let after = after.map_or(0, |(_, count)| *count);
            self.available.insert(part.start, changed);
            if part.end < self.groups {
                self.available.entry(part.end).or_insert(after);
            }
            self.join(part.start);
            self.move_open(part, count, changed);
        }
        self.join(range.end);
    }

    /// Forgets a border that is none.
    fn join(&mut self, at: u64) {
        let before = self
            .available
            .range(..at)
            .next_back()
            .map(|(_, count)| *count);
        if at > 0 && before.is_some() && before == self.available.get(&at).copied() {
            self.available.remove(&at);
        }
    }

    fn move_open(&mut self, range: GroupRange, from: u32, to: u32) {
        let Some(level) = self.open.get_mut(&from) else {
            return;
        };
        let parts = level.within(range);
        level.remove(range);
        if level.is_empty() {
            self.open.remove(&from);
        }
        for part in parts {
            self.open.entry(to).or_default().insert(part);
        }
    }
}

/// The first run at or after `from` that is in both, unless it is more than
/// `hops_max` runs away.
fn seek_both(level: &Runs, have: &Have, from: u64, hops_max: usize) -> Option<GroupRange> {
    let Have::Some(groups) = have else {
        return level.seek(from);
    };
    let mut from = from;
    let next = groups.runs().partition_point(|run| run.end <= from);
    for run in groups.runs()[next..].iter().take(hops_max) {
        if from >= run.end {
            continue;
        }
        from = from.max(run.start);
        let open = level.seek(from)?;
        if open.start < run.end {
            return Some(GroupRange::new(open.start, open.end.min(run.end)));
        }
        from = open.start;
    }
    None
}

/// Where to start in a level, and the run from there on. In a source of many
/// pieces it looks at some of them only.
fn rarest_in(
    level: &Runs,
    have: &Have,
    cursor: Option<u64>,
    random: (u64, u64),
    groups_max: u64,
) -> Option<(u64, GroupRange)> {
    if let Some(cursor) = cursor {
        let run = seek_both(level, have, cursor, 1).filter(|run| run.start == cursor);
        if let Some(run) = run {
            return Some((cursor, run));
        }
    }
    // In the middle of a long run, start where slices do.
    let aligned = random.0 / groups_max * groups_max;
    let run = seek_both(level, have, aligned, HOPS_MAX)
        .or_else(|| seek_both(level, have, 0, HOPS_MAX))?;
    if run.start == aligned {
        return Some((aligned, run));
    }
    // Where a run begins another fetcher is at work, and it does not tell in
    // time how far it is: begin anywhere but there.
    let inside = (run.start + random.1 % run.len()) / groups_max * groups_max;
    let start = inside.max(run.start);
    Some((start, GroupRange::new(start, run.end)))
}
