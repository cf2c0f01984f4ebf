//! The best few of very many entries.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::holders::SpeedClass;

/// The best entries of one closeness: of the fastest holders; among equally
/// fast ones, those with the smallest numbers.
pub(super) struct Best {
    max: usize,
    /// The worst on top.
    heap: BinaryHeap<(Reverse<SpeedClass>, u32)>,
}

impl Best {
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            heap: BinaryHeap::with_capacity(max.min(64) + 1),
        }
    }

    pub(super) fn takes(&self, class: SpeedClass, entry: u32) -> bool {
        let better = |worst: &(Reverse<SpeedClass>, u32)| (Reverse(class), entry) < *worst;
        self.heap.len() < self.max || self.heap.peek().is_some_and(better)
    }

    pub(super) fn offer(&mut self, class: SpeedClass, entry: u32) {
        if self.takes(class, entry) {
            self.heap.push((Reverse(class), entry));
            if self.heap.len() > self.max {
                self.heap.pop();
            }
        }
    }

    pub(super) fn is_full(&self) -> bool {
        self.heap.len() >= self.max
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// In no order that means anything.
    pub(super) fn into_entries(self) -> impl Iterator<Item = u32> {
        self.heap.into_iter().map(|(_, entry)| entry)
    }
}
