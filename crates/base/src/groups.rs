//! Groups: the 16 KiB units in which a content is verified, and sets of them.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Bytes in a group; the last group of a content may be shorter.
// Source: iroh-blobs uses 2^4 chunks of 1 KiB; measured to cost 7-22 % of the decoding speed of 256 KiB groups.
pub const GROUP_BYTES: u64 = 16 * 1024;

/// How many groups a content of `size` bytes has. An empty content has one
/// empty group, so that it too can be verified.
pub const fn groups_in(size: u64) -> u64 {
    if size == 0 {
        1
    } else {
        size.div_ceil(GROUP_BYTES)
    }
}

/// A run of groups: first to one past the last, by index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct GroupRange {
    /// Index of the first group.
    pub start: u64,
    /// Index after the last group.
    pub end: u64,
}

impl GroupRange {
    /// The run `start..end`; empty if `end <= start`.
    pub const fn new(start: u64, end: u64) -> Self {
        Self { start, end }
    }

    /// All groups of a content of `size` bytes.
    pub const fn whole(size: u64) -> Self {
        Self {
            start: 0,
            end: groups_in(size),
        }
    }

    /// How many groups it has.
    pub const fn len(self) -> u64 {
        self.end.saturating_sub(self.start)
    }

    /// Whether it has none.
    pub const fn is_empty(self) -> bool {
        self.end <= self.start
    }

    /// Where its bytes lie in a content of `size` bytes.
    pub fn bytes(self, size: u64) -> Range<u64> {
        let start = self.start.saturating_mul(GROUP_BYTES).min(size);
        start..self.end.saturating_mul(GROUP_BYTES).clamp(start, size)
    }

    /// The groups in both.
    pub fn intersection(self, other: Self) -> Self {
        Self::new(self.start.max(other.start), self.end.min(other.end))
    }
}

/// Ranges from the wire that do not form a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("group ranges must be non-empty, ascending and apart")]
pub struct InvalidGroupSet;

/// A set of groups as ascending, disjoint, non-adjacent runs. Adding and
/// removing cost O(runs).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "Vec<GroupRange>", into = "Vec<GroupRange>")]
pub struct GroupSet {
    runs: Vec<GroupRange>,
}

impl GroupSet {
    /// The empty set.
    pub const fn new() -> Self {
        Self { runs: Vec::new() }
    }

    /// The set of all groups of a content of `size` bytes.
    pub fn whole(size: u64) -> Self {
        Self {
            runs: vec![GroupRange::whole(size)],
        }
    }

    /// Its runs, ascending, with gaps between them.
    pub fn runs(&self) -> &[GroupRange] {
        &self.runs
    }

    /// Whether it has no groups.
    pub fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// How many groups it has.
    pub fn len(&self) -> u64 {
        self.runs.iter().map(|run| run.len()).sum()
    }

    /// Whether it has `group`.
    pub fn contains(&self, group: u64) -> bool {
        self.contains_range(GroupRange::new(group, group.saturating_add(1)))
    }

    /// Whether it has all of `range`. True for an empty range.
    pub fn contains_range(&self, range: GroupRange) -> bool {
        if range.is_empty() {
            return true;
        }
        let after = self.runs.partition_point(|run| run.start <= range.start);
        after > 0 && self.runs[after - 1].end >= range.end
    }

    /// Whether it has all groups of a content of `size` bytes.
    pub fn is_whole(&self, size: u64) -> bool {
        self.contains_range(GroupRange::whole(size))
    }

    /// Adds a run.
    pub fn insert(&mut self, range: GroupRange) {
        if range.is_empty() {
            return;
        }
        let first = self.runs.partition_point(|run| run.end < range.start);
        let last = self.runs.partition_point(|run| run.start <= range.end);
        let merged = self.runs[first..last].iter().fold(range, |merged, run| {
            GroupRange::new(merged.start.min(run.start), merged.end.max(run.end))
        });
        self.runs.splice(first..last, [merged]);
    }

    /// Takes a run out.
    pub fn remove(&mut self, range: GroupRange) {
        if range.is_empty() {
            return;
        }
        let first = self.runs.partition_point(|run| run.end <= range.start);
        let last = self.runs.partition_point(|run| run.start < range.end);
        let Some(cut) = self.runs.get(first..last).filter(|cut| !cut.is_empty()) else {
            return;
        };
        let left = GroupRange::new(cut[0].start, range.start);
        let right = GroupRange::new(range.end, cut[cut.len() - 1].end);
        self.runs.splice(
            first..last,
            [left, right].into_iter().filter(|run| !run.is_empty()),
        );
    }

    /// The groups of `self` that `other` lacks.
    #[must_use]
    pub fn difference(&self, other: &Self) -> Self {
        let mut rest = self.clone();
        for run in &other.runs {
            rest.remove(*run);
        }
        rest
    }

    /// The groups in both.
    #[must_use]
    pub fn intersection(&self, other: &Self) -> Self {
        let (mut runs, mut i, mut j) = (Vec::new(), 0, 0);
        while let (Some(a), Some(b)) = (self.runs.get(i), other.runs.get(j)) {
            let both = a.intersection(*b);
            if !both.is_empty() {
                runs.push(both);
            }
            if a.end <= b.end { i += 1 } else { j += 1 }
        }
        Self { runs }
    }

    /// The runs of `range` that the set lacks, ascending.
    pub fn gaps_in(&self, range: GroupRange) -> Self {
        Self::from(range).difference(self)
    }

    /// How many bytes its groups have in a content of `size` bytes.
    pub fn bytes(&self, size: u64) -> u64 {
        self.runs
            .iter()
            .map(|run| run.bytes(size))
            .map(|bytes| bytes.end - bytes.start)
            .sum()
    }
}

impl From<GroupRange> for GroupSet {
    fn from(range: GroupRange) -> Self {
        let mut set = Self::new();
        set.insert(range);
        set
    }
}

impl FromIterator<GroupRange> for GroupSet {
    fn from_iter<I: IntoIterator<Item = GroupRange>>(ranges: I) -> Self {
        let mut set = Self::new();
        for range in ranges {
            set.insert(range);
        }
        set
    }
}

impl TryFrom<Vec<GroupRange>> for GroupSet {
    type Error = InvalidGroupSet;

    /// Runs as they come off the wire: refused, not repaired.
    fn try_from(runs: Vec<GroupRange>) -> Result<Self, InvalidGroupSet> {
        let apart = runs.windows(2).all(|pair| pair[0].end < pair[1].start);
        if apart && runs.iter().all(|run| !run.is_empty()) {
            Ok(Self { runs })
        } else {
            Err(InvalidGroupSet)
        }
    }
}

impl From<GroupSet> for Vec<GroupRange> {
    fn from(set: GroupSet) -> Self {
        set.runs
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    fn model(set: &GroupSet) -> BTreeSet<u64> {
        set.runs()
            .iter()
            .flat_map(|run| run.start..run.end)
            .collect()
    }

    fn ranges() -> impl Strategy<Value = Vec<(bool, GroupRange)>> {
        let range = (0_u64..40, 0_u64..12).prop_map(|(start, n)| GroupRange::new(start, start + n));
        prop::collection::vec((any::<bool>(), range), 0..24)
    }

    fn apply(steps: &[(bool, GroupRange)]) -> (GroupSet, BTreeSet<u64>) {
        let (mut set, mut truth) = (GroupSet::new(), BTreeSet::new());
        for (add, range) in steps {
            if *add {
                set.insert(*range);
                truth.extend(range.start..range.end);
            } else {
                set.remove(*range);
                truth.retain(|group| !(range.start..range.end).contains(group));
            }
        }
        (set, truth)
    }

    proptest! {
        #[test]
        fn agrees_with_a_plain_set(a in ranges(), b in ranges(), start in 0_u64..40, n in 0_u64..9) {
            let ((a, a_truth), (b, b_truth)) = (apply(&a), apply(&b));
            prop_assert_eq!(&model(&a), &a_truth);
            prop_assert_eq!(a.len(), a_truth.len() as u64);
            prop_assert_eq!(GroupSet::try_from(a.runs().to_vec()), Ok(a.clone()));
            prop_assert_eq!(model(&a.difference(&b)), &a_truth - &b_truth);
            prop_assert_eq!(model(&a.intersection(&b)), &a_truth & &b_truth);
            let all = (start..start + n).all(|group| a_truth.contains(&group));
            prop_assert_eq!(a.contains_range(GroupRange::new(start, start + n)), all);
        }
    }

    #[test]
    fn sets_off_the_wire_are_checked() {
        let run = |start, end| GroupRange::new(start, end);
        assert!(GroupSet::try_from(vec![run(0, 1), run(2, 3)]).is_ok());
        for bad in [
            vec![run(1, 1)],
            vec![run(0, 1), run(1, 2)],
            vec![run(4, 5), run(0, 1)],
        ] {
            assert_eq!(GroupSet::try_from(bad), Err(InvalidGroupSet));
        }
    }

    #[test]
    fn geometry_by_size() {
        for (size, groups) in [(0, 1), (1, 1), (16_384, 1), (16_385, 2), (1 << 40, 1 << 26)] {
            assert_eq!(groups_in(size), groups);
            assert_eq!(GroupSet::whole(size).bytes(size), size);
        }
        assert_eq!(GroupRange::new(1, 3).bytes(20_000), 16_384..20_000);
        assert_eq!(GroupRange::new(7, 9).bytes(20_000), 20_000..20_000);
    }
}
