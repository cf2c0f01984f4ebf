//! Own lookups: sends what they ask for, hands them the answers, says where they
//! led.

use gannet_base::{PeerId, Timestamp};

use super::contact::Contact;
use super::lookup::{Ask, Lookup, Purpose, keep_in_order};
use super::message::{RingBody, State, Step};
use super::requests::Reason;
use super::{Found, Ring, RingOutput};
use crate::dht::api::LookupCost;
use crate::dht::position::Position;

/// Nodes that a lookup can begin at, if this one knows as many: when the nearest to
/// the key are dead, others lead there too.
// Source: of 24, all are among the half that died once in 10^7.
const FIRST_MIN: usize = 24;

/// A lookup that waits for others to end.
#[derive(Debug)]
pub(super) struct Waiting {
    id: u64,
    key: Position,
    paths: u8,
    since: Timestamp,
}

impl Ring {
    /// Looks up who is responsible for `key`, along so many disjoint ways. Ends with
    /// [`RingOutput::Located`].
    pub fn lookup(&mut self, now: Timestamp, id: u64, key: Position, paths: u8) {
        let running = self.lookups.iter();
        let callers = running.filter(|lookup| matches!(lookup.purpose, Purpose::Caller(_)));
        if callers.count() >= self.config.ring.lookups_max.max(1) {
            if self.waiting.len() < self.config.ring.lookups_waiting_max {
                self.waiting.push_back(Waiting {
                    id,
                    key,
                    paths,
                    since: now,
                });
            } else {
                self.located(id, None, LookupCost::default());
            }
            return;
        }
        self.begin_lookup(now, id, key, (paths, now));
    }

    fn begin_lookup(
        &mut self,
        now: Timestamp,
        id: u64,
        key: Position,
        (paths, since): (u8, Timestamp),
    ) {
        if let Some((found, hops)) = self.known(key) {
            let elapsed = now - since;
            let cost = LookupCost {
                hops,
                elapsed,
                ..LookupCost::default()
            };
            self.located(id, Some(found), cost);
            return;
        }
        self.start_lookup(now, Purpose::Caller(id), key, (paths, None));
    }

    /// What needs no question: in a small network everything, on a ring what this
    /// node itself is responsible for.
    fn known(&self, key: Position) -> Option<(Found, u8)> {
        let is_small = self.is_small();
        let is_own = self.config.ring.shortcuts && self.owns(key);
        if !is_small && !is_own {
            return None;
        }
        let predecessor = if is_own || !self.is_member() {
            self.predecessor().unwrap_or(&self.me).clone()
        } else {
            let here = self.me.position;
            let before = |node: &&Contact| node.position.is_between(here, key);
            self.successors()
                .take_while(before)
                .last()
                .unwrap_or(&self.me)
                .clone()
        };
        let hops = u8::from(predecessor != self.me);
        let mut owners: Vec<Contact> = if is_own {
            std::iter::once(&self.me)
                .chain(self.successors())
                .cloned()
                .collect()
        } else {
            self.step(key, key).owners
        };
        owners.truncate(self.replicas());
        keep_in_order(key, &mut owners);
        let agreeing = 1;
        Some((
            Found {
                from: predecessor.position,
                predecessor,
                owners,
                agreeing,
            },
            hops,
        ))
    }

    /// Forgets a lookup; no output follows.
    pub fn cancel(&mut self, id: u64) {
        self.waiting.retain(|waiting| waiting.id != id);
        let purpose = Purpose::Caller(id);
        self.lookups.retain(|lookup| lookup.purpose != purpose);
    }

    fn located(&mut self, id: u64, found: Option<Found>, cost: LookupCost) {
        self.counters.lookups += 1;
        self.counters.failed += u64::from(found.is_none());
        self.outbox
            .push_back(RingOutput::Located { id, found, cost });
    }

    /// Begins at `from`, or at what this node knows.
    pub(super) fn start_lookup(
        &mut self,
        now: Timestamp,
        purpose: Purpose,
        key: Position,
        (paths, from): (u8, Option<Step>),
    ) {
        self.next_lookup = self.next_lookup.wrapping_add(1);
        let number = self.next_lookup;
        let is_caller = matches!(purpose, Purpose::Caller(_));
        let confirms = is_caller && self.config.ring.confirms_owner;
        let is_foreign = from.is_some();
        let step = from.unwrap_or_else(|| self.first_step(now, key, paths));
        let mut lookup = Lookup::new((number, purpose), key, now, (paths, confirms));
        if is_caller && self.config.ring.shortcuts {
            let draw = self.pick(usize::MAX);
            lookup.settle_for(self.replicas() / 2, draw);
        }
        let me = (!is_foreign && self.is_member()).then_some(&self.me);
        lookup.begin(me, step);
        self.lookups.push(lookup);
        self.drive(now, number);
    }

    /// Where to begin: with several ways, at more nodes than one answer tells of.
    fn first_step(&self, now: Timestamp, key: Position, paths: u8) -> Step {
        let mut step = self.step(key, key);
        let led = self.led_near(now, key).filter(|_| self.is_member());
        if let Some(led) = led {
            let left = |contact: &Contact| contact.position.distance_to(key);
            if step
                .closer
                .first()
                .is_none_or(|first| left(led) < left(first))
            {
                step.closer.insert(0, led.clone());
            }
        }
        let wanted = (usize::from(paths) * 2).max(FIRST_MIN);
        while step.closer.len() < wanted {
            let Some(last) = step.closer.last() else {
                break;
            };
            let more = self.step(key, last.position).closer;
            if more.is_empty() || !self.is_member() {
                break;
            }
            step.closer.extend(more);
        }
        step
    }

    /// Sends what a lookup asks for; ends it if that is over.
    pub(super) fn drive(&mut self, now: Timestamp, number: u32) {
        let config = &self.config.ring;
        let pace = (config.alpha, config.hedge_after);
        let mut suspicion = self.suspicion();
        while let Some(place) = self.lookups.iter().position(|known| known.number == number) {
            let lookup = &mut self.lookups[place];
            let is_foreign = matches!(lookup.purpose, Purpose::After | Purpose::Join);
            if is_foreign {
                suspicion = super::Suspicion::NONE;
            }
            match lookup.next(now, pace, &suspicion) {
                Some(Ask::Find(candidate, to, before)) if to == self.me => {
                    let key = lookup.key;
                    let step = self.step(key, before);
                    self.lookups[place].on_step(candidate, step);
                }
                Some(Ask::Find(candidate, to, before)) => {
                    lookup.count_message();
                    let key = lookup.key;
                    let reason = Reason::Find(number, candidate);
                    self.ask(now, &to, reason, |nonce| RingBody::Find {
                        nonce,
                        key,
                        before,
                    });
                }
                Some(Ask::Look(to)) if to == self.me => {
                    let state = self.state();
                    self.lookups[place].on_state(&to, state);
                }
                Some(Ask::Look(to)) => {
                    lookup.count_message();
                    let reason = Reason::Look(number);
                    self.ask(now, &to, reason, |nonce| RingBody::Look { nonce });
                }
                None if self.lookups[place].is_over() => {
                    self.end_lookup(now, place);
                    return;
                }
                None => return,
            }
        }
    }

    fn end_lookup(&mut self, now: Timestamp, place: usize) {
        let mut lookup = self.lookups.swap_remove(place);
        if self.lookups.is_empty() {
            self.lookups = Vec::new();
        }
        let found = lookup.result(now);
        let number = lookup.number;
        self.requests.forget(|reason| match reason {
            Reason::Find(open, _) | Reason::Look(open) => *open == number,
            _ => false,
        });
        match lookup.purpose {
            Purpose::Caller(id) => {
                if let Some(found) = &found {
                    self.note_led(now, found);
                }
                self.located(id, found, lookup.cost);
                self.begin_waiting(now);
            }
            Purpose::Finger(bit) => self.on_finger_found(now, bit, found),
            Purpose::Join => self.on_place_found(now, found),
            Purpose::After => self.on_after_found(now, found),
            Purpose::Place(other) => self.on_stranger_placed(now, *other, found),
        }
    }

    fn begin_waiting(&mut self, now: Timestamp) {
        if let Some(next) = self.waiting.pop_front() {
            self.begin_lookup(now, next.id, next.key, (next.paths, next.since));
        }
    }

    pub(super) fn on_timeout_lookups(&mut self, now: Timestamp) {
        let life = self.config.ring.lookup_timeout;
        let numbers: Vec<u32> = self
            .lookups
            .iter()
            .filter(|lookup| {
                lookup.started + life <= now || lookup.hedge_at().is_some_and(|at| at <= now)
            })
            .map(|lookup| lookup.number)
            .collect();
        for number in numbers {
            let mut all = self.lookups.iter_mut();
            if let Some(lookup) = all.find(|known| known.number == number)
                && lookup.started + life <= now
            {
                lookup.give_up();
            }
            self.drive(now, number);
        }
    }

    /// All that run end without a result.
    pub(super) fn fail_lookups(&mut self, now: Timestamp) {
        for lookup in std::mem::take(&mut self.lookups) {
            if let Purpose::Caller(id) = lookup.purpose {
                let elapsed = now - lookup.started;
                self.located(
                    id,
                    None,
                    LookupCost {
                        elapsed,
                        ..lookup.cost
                    },
                );
            }
        }
        for waiting in std::mem::take(&mut self.waiting) {
            self.located(waiting.id, None, LookupCost::default());
        }
    }

    pub(super) fn on_step(
        &mut self,
        now: Timestamp,
        sender: (PeerId, u8),
        (nonce, step): (u32, Step),
    ) {
        let Some(request) = self.requests.take(now, nonce, sender) else {
            self.counters.strays += 1;
            return;
        };
        let Reason::Find(number, candidate) = request.reason else {
            self.counters.strays += 1;
            return;
        };
        self.note_round_trip(&request.to, now - request.sent_at);
        // Most of those who answer lie before wide gaps: half of the book is for those who
        // ask, who lie anywhere.
        if self.book.len() < self.config.ring.contacts_max / 2 {
            self.meet(now, &request.to);
        }
        if let Some(lookup) = self.lookups.iter_mut().find(|known| known.number == number) {
            let is_stranger = lookup.purpose == Purpose::After && candidate == 0;
            lookup.count_message();
            lookup.on_step(candidate, step);
            self.drive(now, number);
            if is_stranger {
                self.on_stranger_answered(now, &request.to);
            }
        }
    }

    pub(super) fn on_find_failed(
        &mut self,
        now: Timestamp,
        (number, candidate): (u32, usize),
        is_silent: bool,
    ) {
        if let Some(lookup) = self.lookups.iter_mut().find(|known| known.number == number) {
            lookup.on_failed(candidate, is_silent);
            self.drive(now, number);
        }
    }

    pub(super) fn on_looked(
        &mut self,
        now: Timestamp,
        number: u32,
        (from, state): (&Contact, State),
    ) {
        if let Some(lookup) = self.lookups.iter_mut().find(|known| known.number == number) {
            lookup.count_message();
            lookup.on_state(from, state);
            self.drive(now, number);
        }
    }

    pub(super) fn on_look_failed(
        &mut self,
        now: Timestamp,
        number: u32,
        (from, is_silent): (&Contact, bool),
    ) {
        if let Some(lookup) = self.lookups.iter_mut().find(|known| known.number == number) {
            lookup.on_unconfirmed(from, is_silent);
            self.drive(now, number);
        }
    }
}
