//! Asking those that the ways of a lookup name whether they own the key.

use super::super::contact::{Contact, Entry};
use super::super::message::State;
use super::{Ask, Lookup};
use crate::dht::position::Position;

/// Owners asked for confirmation before a lookup settles for what it has.
const CONFIRMATIONS_MAX: usize = 24;

/// Asking owners whether they are.
#[derive(Debug, Default)]
pub(super) struct Confirming {
    key: Position,
    /// Not asked yet; nearest after the key last.
    queue: Vec<Contact>,
    tried: Vec<Contact>,
    /// Who was silent, and is asked once more if the node after it knows it.
    silent: Vec<Contact>,
    /// The nearest that answered.
    pub(super) best: Option<(Contact, Vec<Contact>)>,
    asked: Option<Contact>,
}

impl Lookup {
    /// Begins with whom the ways name; nothing if this lookup takes their word.
    pub(super) fn confirm(&mut self) -> Option<Ask> {
        if !self.confirms {
            return None;
        }
        let key = self.key;
        let mut confirming = Box::new(Confirming {
            key,
            ..Confirming::default()
        });
        for claim in self.paths.iter().filter_map(|path| path.claim.as_ref()) {
            for owner in &claim.owners {
                if !confirming.queue.contains(owner) {
                    confirming.queue.push(owner.clone());
                }
            }
        }
        confirming.sort(key);
        let first = confirming.next().map(Ask::Look);
        self.confirming = Some(confirming);
        first
    }

    /// An owner said what it is.
    pub(in crate::dht::ring) fn on_state(&mut self, from: &Contact, state: State) {
        if let Some(confirming) = &mut self.confirming {
            confirming.on_state(from, state);
        }
    }

    /// An owner said nothing.
    pub(in crate::dht::ring) fn on_unconfirmed(&mut self, from: &Contact, is_silent: bool) {
        self.cost.timeouts = self.cost.timeouts.saturating_add(u16::from(is_silent));
        if let Some(confirming) = &mut self.confirming
            && confirming.asked.as_ref() == Some(from)
        {
            confirming.asked = None;
            let tries = confirming.tried.iter().filter(|known| *known == from);
            if is_silent && tries.count() == 1 {
                confirming.silent.push(from.clone());
            }
        }
    }
}

impl Confirming {
    /// Nobody more is asked or waited for.
    pub(super) fn give_up(&mut self) {
        self.queue.clear();
        self.asked = None;
    }

    fn sort(&mut self, key: Position) {
        let after = |owner: &Contact| std::cmp::Reverse(key.distance_to(owner.position));
        self.queue.sort_by_key(after);
    }

    /// Whom to ask.
    pub(super) fn next(&mut self) -> Option<Contact> {
        if self.is_over() || self.asked.is_some() {
            return None;
        }
        let next = self.queue.pop()?;
        self.tried.push(next.clone());
        self.asked = Some(next.clone());
        Some(next)
    }

    pub(super) fn is_over(&self) -> bool {
        if self.asked.is_some() {
            return false;
        }
        let Some(next) = self.queue.last() else {
            return true;
        };
        let is_nearer = |best: &Contact| next.position.is_between(self.key, best.position);
        let is_beaten = |best: &Contact| next.position != self.key && !is_nearer(best);
        let best = self.best.as_ref();
        self.tried.len() >= CONFIRMATIONS_MAX || best.is_some_and(|(best, _)| is_beaten(best))
    }

    fn on_state(&mut self, from: &Contact, state: State) {
        if self.asked.as_ref() != Some(from) {
            return;
        }
        self.asked = None;
        let key = self.key;
        let after = |contact: &Contact| key.distance_to(contact.position);
        let best = self.best.as_ref();
        if best.is_none_or(|(best, _)| after(from) < after(best)) {
            let nodes = state.successors.iter().filter_map(Entry::node).cloned();
            self.best = Some((from.clone(), nodes.collect()));
        }
        // Its predecessor is at or after the key: that one is the owner, if it is there.
        let Some(before) = state.predecessor else {
            return;
        };
        let is_tried = self.tried.contains(&before);
        // An answer may have been late: only that of the owner decides.
        let is_worth = !is_tried || self.silent.contains(&before);
        if after(&before) < after(from) && is_worth {
            self.silent.retain(|known| *known != before);
            self.queue.retain(|known| *known != before);
            self.queue.push(before);
        }
    }
}
