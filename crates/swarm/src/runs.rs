//! A set of groups that changes often: like `GroupSet`, in logarithmic time.

use std::collections::BTreeMap;

use gannet_base::{GroupRange, GroupSet};

/// Disjoint, non-adjacent runs: start → end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Runs {
    runs: BTreeMap<u64, u64>,
    groups: u64,
}

impl Runs {
    pub(crate) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many groups, not runs.
    pub(crate) fn len(&self) -> u64 {
        self.groups
    }

    /// How many runs, not groups.
    pub(crate) fn pieces(&self) -> usize {
        self.runs.len()
    }

    /// The run at or after `from`; its part before `from` is left out.
    pub(crate) fn seek(&self, from: u64) -> Option<GroupRange> {
        if let Some((_, end)) = self
            .runs
            .range(..=from)
            .next_back()
            .filter(|run| *run.1 > from)
        {
            return Some(GroupRange::new(from, *end));
        }
        let (start, end) = self.runs.range(from..).next()?;
        Some(GroupRange::new(*start, *end))
    }

    /// Where the run begins that holds `group`.
    pub(crate) fn start_of(&self, group: u64) -> Option<u64> {
        let (start, end) = self.runs.range(..=group).next_back()?;
        (*end > group).then_some(*start)
    }

    pub(crate) fn contains_range(&self, range: GroupRange) -> bool {
        range.is_empty()
            || self
                .seek(range.start)
                .is_some_and(|run| run.start == range.start && run.end >= range.end)
    }

    pub(crate) fn insert(&mut self, range: GroupRange) {
        if range.is_empty() {
            return;
        }
        let (mut start, mut end) = (range.start, range.end);
        if let Some((before, until)) = self
            .runs
            .range(..start)
            .next_back()
            .filter(|run| *run.1 >= start)
        {
            (start, end) = (*before, end.max(*until));
        }
        while let Some((at, until)) = self.runs.range(start..=end).next() {
            let (at, until) = (*at, *until);
            self.runs.remove(&at);
            self.groups -= until - at;
            end = end.max(until);
        }
        self.runs.insert(start, end);
        self.groups += end - start;
    }

    pub(crate) fn remove(&mut self, range: GroupRange) {
        if range.is_empty() {
            return;
        }
        if let Some(start) = self
            .start_of(range.start)
            .filter(|start| *start < range.start)
        {
            // Cut in two, so that what follows starts inside.
            let end = self.runs.insert(start, range.start).unwrap_or(range.start);
            self.runs.insert(range.start, end);
        }
        while let Some((at, until)) = self.runs.range(range.start..range.end).next() {
            let (at, until) = (*at, *until);
            self.runs.remove(&at);
            self.groups -= until - at;
            if until > range.end {
                self.runs.insert(range.end, until);
                self.groups += until - range.end;
            }
        }
    }

    /// Its parts inside `range`, ascending.
    pub(crate) fn within(&self, range: GroupRange) -> Vec<GroupRange> {
        let mut parts = Vec::new();
        let mut from = range.start;
        while let Some(run) = self.seek(from).filter(|run| run.start < range.end) {
            parts.push(run.intersection(range));
            from = run.end;
        }
        parts
    }

    /// The parts of `range` that it lacks, ascending.
    pub(crate) fn gaps(&self, range: GroupRange) -> Vec<GroupRange> {
        let mut gaps = Vec::new();
        let mut from = range.start;
        for part in self.within(range) {
            if part.start > from {
                gaps.push(GroupRange::new(from, part.start));
            }
            from = part.end;
        }
        if from < range.end {
            gaps.push(GroupRange::new(from, range.end));
        }
        gaps
    }

    pub(crate) fn to_set(&self) -> GroupSet {
        let runs: Vec<_> = self
            .runs
            .iter()
            .map(|(start, end)| GroupRange::new(*start, *end))
            .collect();
        GroupSet::try_from(runs).expect("runs are kept ascending and apart")
    }
}

/// The groups of `a` that `b` lacks, in one pass over both.
pub(crate) fn difference(a: &GroupSet, b: &GroupSet) -> GroupSet {
    let mut rest = Vec::new();
    let mut others = b.runs().iter().peekable();
    for run in a.runs() {
        let mut start = run.start;
        while others.next_if(|other| other.end <= start).is_some() {}
        while let Some(other) = others.peek().filter(|other| other.start < run.end) {
            if other.start > start {
                rest.push(GroupRange::new(start, other.start));
            }
            start = other.end;
            if other.end >= run.end {
                break;
            }
            others.next();
        }
        if start < run.end {
            rest.push(GroupRange::new(start, run.end));
        }
    }
    GroupSet::try_from(rest).expect("parts of runs that are ascending and apart")
}

impl FromIterator<GroupRange> for Runs {
    fn from_iter<I: IntoIterator<Item = GroupRange>>(ranges: I) -> Self {
        let mut runs = Self::default();
        for range in ranges {
            runs.insert(range);
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sets() -> impl Strategy<Value = GroupSet> {
        let range = (0_u64..80, 1_u64..9).prop_map(|(start, n)| GroupRange::new(start, start + n));
        prop::collection::vec(range, 0..12).prop_map(|ranges| ranges.into_iter().collect())
    }

    proptest! {
        #[test]
        fn one_pass_finds_the_same_difference(a in sets(), b in sets()) {
            prop_assert_eq!(difference(&a, &b), a.difference(&b));
        }

        #[test]
        fn agrees_with_a_group_set(
            steps in prop::collection::vec((any::<bool>(), 0_u64..60, 0_u64..15), 0..40),
            from in 0_u64..70,
            len in 0_u64..30,
        ) {
            let (mut runs, mut truth) = (Runs::default(), GroupSet::new());
            for (add, start, len) in steps {
                let range = GroupRange::new(start, start + len);
                if add {
                    runs.insert(range);
                    truth.insert(range);
                } else {
                    runs.remove(range);
                    truth.remove(range);
                }
                prop_assert_eq!(&runs.to_set(), &truth);
                prop_assert_eq!(runs.len(), truth.len());
            }
            let range = GroupRange::new(from, from + len);
            prop_assert_eq!(runs.contains_range(range), truth.contains_range(range));
            let gaps: GroupSet = runs.gaps(range).into_iter().collect();
            prop_assert_eq!(gaps, truth.gaps_in(range));
            let within: GroupSet = runs.within(range).into_iter().collect();
            prop_assert_eq!(within, truth.intersection(&range.into()));
            let next = (from..100).find(|group| truth.contains(*group));
            prop_assert_eq!(runs.seek(from).map(|run| run.start), next);
            let start = truth.runs().iter().find(|run| run.start <= from && from < run.end);
            prop_assert_eq!(runs.start_of(from), start.map(|run| run.start));
        }
    }
}
