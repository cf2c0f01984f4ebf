//! Deadlines inside a core.

use std::collections::{BTreeMap, BTreeSet};

use gannet_base::Timestamp;

/// At most one deadline per key: the earliest that was armed. Whoever is woken
/// looks at what is really due and arms again, so arming later costs nothing.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    queue: BTreeSet<(Timestamp, K)>,
    armed: BTreeMap<K, Timestamp>,
}

impl<K> Default for Timers<K> {
    fn default() -> Self {
        Self {
            queue: BTreeSet::new(),
            armed: BTreeMap::new(),
        }
    }
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// Wakes `timer` at `at` or earlier; [`Timestamp::MAX`] is never.
    pub(crate) fn arm(&mut self, timer: K, at: Timestamp) {
        if at == Timestamp::MAX || self.armed.get(&timer).is_some_and(|armed| *armed <= at) {
            return;
        }
        self.disarm(timer);
        self.armed.insert(timer, at);
        self.queue.insert((at, timer));
    }

    pub(crate) fn disarm(&mut self, timer: K) {
        if let Some(at) = self.armed.remove(&timer) {
            self.queue.remove(&(at, timer));
        }
    }

    pub(crate) fn pop_due(&mut self, now: Timestamp) -> Option<K> {
        let (at, timer) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.disarm(timer);
        Some(timer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_arming_counts_and_pops_once() {
        let mut timers = Timers::default();
        let at = Timestamp::from_secs;
        timers.arm('a', at(5));
        timers.arm('a', at(9));
        timers.arm('a', at(3));
        timers.arm('b', at(4));
        timers.arm('c', Timestamp::MAX);
        timers.arm('d', at(1));
        timers.disarm('d');
        assert_eq!(timers.next(), Some(at(3)));
        assert_eq!(timers.pop_due(at(2)), None);
        assert_eq!(timers.pop_due(at(9)), Some('a'));
        assert_eq!(timers.pop_due(at(9)), Some('b'));
        assert_eq!(
            (timers.pop_due(Timestamp::MAX), timers.next()),
            (None, None)
        );
    }
}
