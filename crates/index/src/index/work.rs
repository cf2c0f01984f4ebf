//! The work that one query may cause.

/// What is left of [`Config::work_per_query_max`](crate::Config::work_per_query_max).
#[derive(Debug)]
pub(super) struct Work {
    left: u64,
    exhausted: bool,
}

impl Work {
    pub(super) fn new(units: u64) -> Self {
        Self {
            left: units,
            exhausted: false,
        }
    }

    /// Whether this much was left. If not, what remains is lost.
    pub(super) fn spend(&mut self, units: u64) -> bool {
        match self.left.checked_sub(units) {
            Some(left) => {
                self.left = left;
                true
            }
            None => {
                self.give_up();
                false
            }
        }
    }

    /// As [`Work::spend`], for counts.
    pub(super) fn spend_len(&mut self, units: usize) -> bool {
        self.spend(u64::try_from(units).unwrap_or(u64::MAX))
    }

    /// Leaves the rest undone.
    pub(super) fn give_up(&mut self) {
        self.left = 0;
        self.exhausted = true;
    }

    /// Does something with at most half of what is left, so that some is left
    /// for what comes behind it.
    pub(super) fn half<T>(&mut self, act: impl FnOnce(&mut Self) -> T) -> T {
        let half = self.left / 2;
        let mut part = Self::new(half);
        let done = act(&mut part);
        self.left -= half - part.left;
        self.exhausted |= part.exhausted;
        done
    }

    /// Whether something had to be left undone.
    pub(super) fn is_exhausted(&self) -> bool {
        self.exhausted
    }
}
