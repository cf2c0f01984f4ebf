//! What can be looked at from outside.

use super::{Contact, Mode, Ring};

/// What place a node has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// None: it uses the ring.
    Client,
    /// In a network of at most r + 1 nodes, alone perhaps.
    Small,
    /// On its way to a place on a ring.
    Joining,
    /// On a ring.
    Ring,
    /// It said goodbye.
    Left,
}

/// How it stands with a node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RingStatus {
    /// The node.
    pub me: Contact,
    /// Its place.
    pub standing: Standing,
    /// The node before it.
    pub predecessor: Option<Contact>,
    /// The nodes after it, in order.
    pub successors: Vec<Contact>,
    /// Different fingers.
    pub fingers: usize,
    /// Other nodes that are remembered.
    pub contacts: usize,
    /// Nodes that do not answer any more, and are tried now and then.
    pub passive: usize,
    /// How many nodes there are, judged by how dense they are around here.
    pub size_estimate: u64,
    /// Lookups under way, maintenance included.
    pub lookups: usize,
    /// What happened since the start.
    pub counters: Counters,
}

/// What happened since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Own lookups that ended, those of maintenance not counted.
    pub lookups: u64,
    /// Of these, those that failed.
    pub failed: u64,
    /// Others' questions for the way.
    pub asked: u64,
    /// Nodes taken for dead.
    pub buried: u64,
    /// Operations given up because everybody waited for everybody.
    pub gave_way: u64,
    /// Nodes of rings that were apart taken as successors, or tried.
    pub merges: u64,
    /// Times that all successors were gone.
    pub lost: u64,
    /// Answers to what was not asked.
    pub strays: u64,
}

impl Ring {
    /// How it stands. Costs a copy of the list of successors.
    pub fn status(&self) -> RingStatus {
        RingStatus {
            me: self.me.clone(),
            standing: match &self.mode {
                Mode::Client => Standing::Client,
                Mode::Small(_) if self.joining.is_some() => Standing::Joining,
                Mode::Small(_) => Standing::Small,
                Mode::Ring => Standing::Ring,
                Mode::Left => Standing::Left,
            },
            predecessor: self.predecessor().cloned(),
            successors: self.successors().cloned().collect(),
            fingers: self.fingers.contacts().count(),
            contacts: self.book.len(),
            passive: self.passive.len(),
            size_estimate: self.size_estimate(),
            lookups: self.lookups.len() + self.waiting.len(),
            counters: self.counters,
        }
    }

    /// What happened since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }
}
