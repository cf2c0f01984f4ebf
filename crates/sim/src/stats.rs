//! Percentiles, means and histograms, deterministic and without surprises.

use serde::Serialize;

use crate::draw;

/// The nearest-rank percentile of ascending values: the smallest value that at
/// least `per_cent` (0 to 100, thousandths count) of them do not exceed; 0
/// gives the smallest. `None` without values.
///
/// # Panics
///
/// If `per_cent` is not between 0 and 100.
pub fn percentile<T: Copy>(ascending: &[T], per_cent: f64) -> Option<T> {
    assert!((0.0..=100.0).contains(&per_cent), "{per_cent} per cent");
    // In whole thousandths, so that 99.9 per cent of 1000 is exactly the 999th.
    let thousandths = u128::from(draw::whole(per_cent * 1_000.0));
    let rank = (ascending.len() as u128 * thousandths).div_ceil(100_000);
    let rank = usize::try_from(rank).expect("it is at most the length");
    ascending.get(rank.max(1) - 1).copied()
}

/// The mean; 0 without values.
pub fn mean(values: &[f64]) -> f64 {
    ratio(values.iter().sum(), values.len() as u64)
}

/// `sum` divided among `count`; 0 if there is none to divide among.
#[allow(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub fn ratio(sum: f64, count: u64) -> f64 {
    if count == 0 { 0.0 } else { sum / count as f64 }
}

/// What share of `whole` is `part`; 0 of nothing.
#[allow(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
pub fn share(part: u64, whole: u64) -> f64 {
    ratio(part as f64, whole)
}

/// Many whole numbers in six. All are 0 without values.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Summary {
    /// How many values there are.
    pub count: u64,
    /// Their mean.
    pub mean: f64,
    /// The smallest.
    pub min: u64,
    /// The median, nearest rank.
    pub p50: u64,
    /// What 99 of 100 do not exceed, nearest rank.
    pub p99: u64,
    /// The largest.
    pub max: u64,
}

impl Summary {
    /// Sums up; sorts the values on the way.
    pub fn of(values: &mut [u64]) -> Self {
        values.sort_unstable();
        let sum: u128 = values.iter().map(|value| u128::from(*value)).sum();
        let at = |per_cent| percentile(values, per_cent).unwrap_or(0);
        #[allow(clippy::cast_precision_loss, reason = "a mean need not be exact")]
        let sum = sum as f64;
        Self {
            count: values.len() as u64,
            mean: ratio(sum, values.len() as u64),
            min: at(0.0),
            p50: at(50.0),
            p99: at(99.0),
            max: at(100.0),
        }
    }
}

/// How often values fall into ranges of equal width; what lies outside goes to
/// the first or the last.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Histogram {
    /// Where the first range begins.
    pub from: f64,
    /// The width of a range.
    pub width: f64,
    /// How many values are in each range.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// An empty histogram of `ranges` ranges between two bounds.
    ///
    /// # Panics
    ///
    /// If there is no range, or the bounds are not in ascending order.
    pub fn new(from: f64, to: f64, ranges: usize) -> Self {
        assert!(ranges > 0 && from < to, "{ranges} ranges in {from}..{to}");
        Self {
            from,
            width: (to - from) / as_f64(ranges as u64),
            counts: vec![0; ranges],
        }
    }

    /// Counts a value; what is no number is left out.
    pub fn add(&mut self, value: f64) {
        if value.is_nan() {
            return;
        }
        let range = ((value - self.from) / self.width).floor();
        let last = self.counts.len() - 1;
        let range = usize::try_from(draw::whole(range)).unwrap_or(last);
        self.counts[range.min(last)] += 1;
    }

    /// How many values have been counted.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The middle of each range and the share of the values in it.
    pub fn shares(&self) -> Vec<(f64, f64)> {
        let total = self.total();
        let ranges = self.counts.iter().zip(0_u32..);
        ranges
            .map(|(count, n)| {
                let middle = self.from + self.width * (f64::from(n) + 0.5);
                (middle, share(*count, total))
            })
            .collect()
    }
}

#[allow(clippy::cast_precision_loss, reason = "counts stay below 2^53")]
fn as_f64(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn nearest_rank() {
        // The textbook's example, and the edges.
        let five = [15, 20, 35, 40, 50];
        for (per_cent, value) in [
            (0.0, 15),
            (5.0, 15),
            (20.0, 15),
            (20.001, 20),
            (30.0, 20),
            (40.0, 20),
            (50.0, 35),
            (100.0, 50),
        ] {
            assert_eq!(percentile(&five, per_cent), Some(value), "{per_cent}");
        }
        let thousand: Vec<u32> = (1..=1_000).collect();
        assert_eq!(percentile(&thousand, 99.9), Some(999));
        assert_eq!(percentile(&thousand, 99.0), Some(990));
        assert_eq!(percentile::<u32>(&[], 50.0), None);
    }

    #[test]
    fn a_summary_is_of_all_values() {
        let summary = Summary::of(&mut [3, 1, 100, 2]);
        let expected = Summary {
            count: 4,
            mean: 26.5,
            min: 1,
            p50: 2,
            p99: 100,
            max: 100,
        };
        assert_eq!(summary, expected);
        assert_eq!(Summary::of(&mut []), Summary::default());
        assert_eq!(mean(&[]), 0.0);
        assert_eq!(share(1, 4), 0.25);
    }

    #[test]
    fn a_histogram_counts_everything_once() {
        let mut histogram = Histogram::new(0.0, 10.0, 5);
        for value in [-1.0, 0.0, 1.999, 2.0, 9.999, 10.0, 1e300, f64::NAN] {
            histogram.add(value);
        }
        assert_eq!(histogram.counts, [3, 1, 0, 0, 3]);
        assert_eq!(histogram.total(), 7);
        assert_eq!(histogram.shares()[1], (3.0, 1.0 / 7.0));
    }

    proptest! {
        /// Against the definition, spelt out.
        #[test]
        fn percentiles_are_what_they_say(
            mut values in prop::collection::vec(0_u32..50, 1..60),
            per_cent in 0_u32..=100,
        ) {
            values.sort_unstable();
            let enough = |limit: u32| {
                let below = values.iter().filter(|value| **value <= limit).count();
                below * 100 >= values.len() * per_cent as usize
            };
            let expected = values.iter().copied().find(|value| enough(*value));
            prop_assert_eq!(percentile(&values, f64::from(per_cent)), expected);
        }
    }
}
