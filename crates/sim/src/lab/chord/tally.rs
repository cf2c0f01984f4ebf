//! Small whole numbers, counted by how often they came.

use crate::stats;

/// How often 0, 1, 2… came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Tally {
    counts: Vec<u64>,
}

impl Tally {
    /// Counts a number.
    pub(super) fn add(&mut self, number: u64) {
        let place = usize::try_from(number).expect("it is small");
        if self.counts.len() <= place {
            self.counts.resize(place + 1, 0);
        }
        self.counts[place] += 1;
    }

    /// How often 0, 1, 2… came.
    pub(super) fn histogram(&self) -> &[u64] {
        &self.counts
    }

    /// How many numbers.
    pub(super) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// 0 without numbers.
    pub(super) fn mean(&self) -> f64 {
        self.sum_of(|number| number) / self.weight()
    }

    /// The standard deviation.
    pub(super) fn deviation(&self) -> f64 {
        let mean = self.mean();
        let squares = self.sum_of(|number| (number - mean) * (number - mean));
        (squares / self.weight()).sqrt()
    }

    /// What so many of 100 do not exceed, nearest rank.
    pub(super) fn percentile(&self, per_cent: f64) -> u64 {
        let mut all = Vec::new();
        for (number, count) in (0_u64..).zip(&self.counts) {
            all.extend((0..*count).map(|_| number));
        }
        stats::percentile(&all, per_cent).unwrap_or(0)
    }

    fn weight(&self) -> f64 {
        stats::share(self.count().max(1), 1)
    }

    fn sum_of(&self, value: impl Fn(f64) -> f64) -> f64 {
        let values = (0_u32..).zip(&self.counts);
        values
            .map(|(number, count)| value(f64::from(number)) * stats::share(*count, 1))
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tally_sums_up() {
        let mut tally = Tally::default();
        assert_eq!((tally.mean(), tally.percentile(50.0)), (0.0, 0));
        for number in [1, 3, 3, 5] {
            tally.add(number);
        }
        assert_eq!(tally.histogram(), [0, 1, 0, 2, 0, 1]);
        assert_eq!((tally.count(), tally.mean()), (4, 3.0));
        assert!((tally.deviation() - 2.0_f64.sqrt()).abs() < 1e-12);
        assert_eq!((tally.percentile(1.0), tally.percentile(99.0)), (1, 5));
    }
}
