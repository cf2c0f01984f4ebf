//! The own routing table on its way to the neighbours, and theirs on its way
//! here.

use std::sync::Arc;

use gannet_base::{PeerId, Timestamp};

use super::Flood;
use super::message::{FloodMessage, Patch, TABLE_BITS};
use super::neighbours::Knowledge;
use super::slots::Slot;
use super::table::Table;

/// A routing table that many peers of one process share. For laboratories.
#[derive(Debug, Clone)]
pub struct SharedTable(Arc<Table>);

impl SharedTable {
    /// Of these keys; any order, repetitions do no harm.
    pub fn of_keys(keys: &[u32]) -> Self {
        Self(Arc::new(Table::of_keys(keys, TABLE_BITS)))
    }
}

impl Flood {
    /// The keys of what this peer shares have changed.
    pub(super) fn on_keys(&mut self, now: Timestamp, keys: Vec<u32>) {
        if !self.config.tables {
            return;
        }
        self.keys = Some(keys.into_boxed_slice());
        self.send_tables_at(now + self.config.table_debounce);
    }

    /// Hands a neighbour's table over without messages: in a laboratory, where
    /// a hundred thousand peers would keep eight copies of each. Nothing
    /// happens if it is no neighbour.
    pub fn share_table(&mut self, peer: PeerId, table: SharedTable) {
        if let Some(slot) = self.neighbours.find(peer)
            && let Some(neighbour) = self.neighbours.at_mut(slot)
        {
            neighbour.knowledge = Knowledge::Shared(table.0);
        }
    }

    fn send_tables_at(&mut self, at: Timestamp) {
        self.tables_at = Some(self.tables_at.map_or(at, |earlier| earlier.min(at)));
    }

    /// A neighbour is to have the own table.
    pub(super) fn aim_table(&mut self, now: Timestamp, slot: Slot) {
        if let Some(table) = &self.table
            && let Some(neighbour) = self.neighbours.at_mut(slot)
        {
            neighbour.care().outgoing.aim(Arc::clone(table));
            self.send_tables_at(now + self.config.table_pace);
        }
    }

    pub(super) fn on_timeout_tables(&mut self, now: Timestamp) {
        if self.tables_at.is_none_or(|due| due > now) {
            return;
        }
        self.tables_at = None;
        if let Some(keys) = self.keys.take() {
            let table = Table::succeeding(self.table.as_deref(), &keys, TABLE_BITS);
            let table = Arc::new(table);
            for neighbour in self.neighbours.iter_mut() {
                neighbour.care().outgoing.aim(Arc::clone(&table));
            }
            self.table = Some(table);
        }
        let mut is_done = true;
        for neighbour in self.neighbours.iter_mut() {
            let peer = neighbour.peer;
            let Some(care) = &mut neighbour.care else {
                continue;
            };
            if let Some(patch) = care.outgoing.next_patch() {
                self.counters.patches += 1;
                self.outbox.send(peer, FloodMessage::Table(Box::new(patch)));
            }
            is_done &= care.outgoing.is_done();
        }
        if !is_done {
            self.send_tables_at(now + self.config.table_pace);
        }
    }

    pub(super) fn on_table(&mut self, now: Timestamp, slot: Slot, patch: &Patch) {
        if !self.config.tables || !self.admit_control(now, slot) {
            return;
        }
        let Some(neighbour) = self.neighbours.at_mut(slot) else {
            return;
        };
        if !matches!(neighbour.knowledge, Knowledge::Told(_)) {
            neighbour.knowledge = Knowledge::Told(Box::default());
        }
        let Knowledge::Told(incoming) = &mut neighbour.knowledge else {
            return;
        };
        if incoming.apply(patch).is_err() {
            self.strike(now, slot);
        }
    }
}
