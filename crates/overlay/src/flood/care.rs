//! Keeping neighbours: pings, silence, surplus, and what is held against them.

use std::time::Duration;

use gannet_base::{PeerAddress, PeerId, Timestamp};
use rand_core::Rng as _;

use super::Flood;
use super::api::DownReason;
use super::book::{jittered, merge};
use super::message::FloodMessage;
use super::searches::below;
use super::slots::Slot;

/// A neighbour has to go when more than so many times the whole budget is
/// refused to it for long: no honest one passes on more than it admits itself.
// Guess: honest peers with larger budgets stay below.
const REFUSED_BUDGETS: u64 = 4;

/// Time to the first exchange of a neighbour; each later one takes twice as
/// long, up to the configured interval. Who has just joined is linked to others
/// who have just joined: without exchanges a network grown in a row stays one.
// Guess: most of the mixing is done within a minute.
const SHUFFLE_FIRST: Duration = Duration::from_secs(2);

impl Flood {
    /// There is a neighbour to care for.
    pub(super) fn start_care(&mut self, now: Timestamp) {
        if self.ping_at.is_none() && !self.joining.fixed {
            self.schedule_shuffle(now);
            self.schedule_ping(now);
        }
    }

    fn schedule_shuffle(&mut self, now: Timestamp) {
        let exchanges = u32::from(self.joining.exchanges.min(16));
        let pause = SHUFFLE_FIRST * (1 << exchanges);
        let pause = pause.min(self.config.shuffle_interval);
        self.joining.exchanges = self.joining.exchanges.saturating_add(1);
        self.joining.shuffle_at = now + jittered(&mut self.rng, pause);
    }

    fn schedule_ping(&mut self, now: Timestamp) {
        let is_short = self.neighbours.len() < usize::from(self.config.neighbours_target);
        let interval = if is_short {
            self.config
                .ping_interval_short
                .min(self.config.ping_interval)
        } else {
            self.config.ping_interval
        };
        let ping_at = now + jittered(&mut self.rng, interval);
        self.ping_at = Some(ping_at.min(self.joining.shuffle_at.max(now)));
    }

    pub(super) fn on_timeout_care(&mut self, now: Timestamp) {
        let Some(due) = self.ping_at.filter(|due| *due <= now) else {
            return;
        };
        let slept = now - due > self.config.pause_min;
        let mut silent = Vec::new();
        for slot in self.neighbours.live().iter() {
            let nonce = self.rng.next_u32();
            let Some(neighbour) = self.neighbours.at_mut(slot) else {
                continue;
            };
            let peer = neighbour.peer;
            neighbour.strikes -= neighbour.strikes.div_ceil(4);
            let care = neighbour.care();
            if slept {
                care.answered = now;
            }
            care.control = 0;
            if now - care.answered > self.config.silence_max {
                silent.push(slot);
                continue;
            }
            care.ping = Some(nonce);
            self.outbox.send(peer, FloodMessage::Ping { nonce });
        }
        for slot in silent {
            self.drop_neighbour(now, slot, DownReason::Silent);
        }
        while self.neighbours.len() > self.config.neighbours_accepted() {
            self.drop_surplus(now, self.me);
        }
        if self.joining.shuffle_at <= now {
            self.schedule_shuffle(now);
            self.shuffle(now);
        }
        self.schedule_ping(now);
        self.seek(now);
    }

    /// Leaves a random neighbour other than this one.
    pub(super) fn drop_surplus(&mut self, now: Timestamp, except: PeerId) {
        let except = self.neighbours.find(except);
        let live = self.neighbours.live().iter();
        let others: Vec<Slot> = live.filter(|slot| Some(*slot) != except).collect();
        if !others.is_empty() {
            let slot = others[below(&mut self.rng, others.len())];
            self.drop_neighbour(now, slot, DownReason::Surplus);
        }
    }

    /// Whether one message more of those that are no questions is taken.
    pub(super) fn admit_control(&mut self, now: Timestamp, slot: Slot) -> bool {
        if self.joining.fixed {
            return true;
        }
        let control_max = self.config.control_max;
        let Some(neighbour) = self.neighbours.at_mut(slot) else {
            return false;
        };
        let care = neighbour.care();
        care.control = care.control.saturating_add(1);
        let over = care.control > control_max;
        let far_over = care.control > control_max.saturating_mul(4);
        if over {
            self.counters.dropped += 1;
        }
        if far_over {
            self.strike(now, slot);
        }
        !over
    }

    pub(super) fn on_ping(&mut self, now: Timestamp, from: PeerId, nonce: u32) {
        let Some(slot) = self.neighbours.find(from) else {
            // It believes that we are neighbours.
            let per_second = self.config.hellos_per_second;
            if !self.joining.fixed && self.joining.admit_hello(now, per_second, false) {
                let peers = self.list_for(now, from);
                self.outbox.send(from, FloodMessage::Bye { peers });
            }
            return;
        };
        if self.admit_control(now, slot) {
            let peers = self.list_for(now, from);
            self.outbox.send(from, FloodMessage::Pong { nonce, peers });
        }
    }

    pub(super) fn on_pong(
        &mut self,
        now: Timestamp,
        slot: Slot,
        nonce: u32,
        peers: Vec<PeerAddress>,
    ) {
        let Some(neighbour) = self.neighbours.at_mut(slot) else {
            return;
        };
        let peer = neighbour.peer;
        let care = neighbour.care();
        if care.ping != Some(nonce) {
            self.counters.unasked += 1;
            return;
        }
        care.ping = None;
        care.answered = now;
        let mut addresses = care.addresses.clone();
        merge(&mut addresses, &care.seen);
        let book = &mut self.joining.book;
        book.heard(now, &self.config, peer, &addresses, None);
        book.told(&self.config, self.me, peer, peers);
        let is_short = self.neighbours.len() < usize::from(self.config.neighbours_target);
        if is_short {
            self.seek(now);
        }
    }

    /// A rule was broken.
    pub(super) fn strike(&mut self, now: Timestamp, slot: Slot) {
        let Some(neighbour) = self.neighbours.at_mut(slot) else {
            return;
        };
        neighbour.strikes = neighbour.strikes.saturating_add(1);
        if neighbour.strikes >= self.config.strikes_max {
            self.expel(now, slot);
        }
    }

    /// The layer above found what came through it forged.
    pub(super) fn on_forged(&mut self, now: Timestamp, via: PeerId, hops: u8) {
        if let Some(slot) = self.neighbours.find(via) {
            self.searches.forget_from(slot);
            // Who only passed them on cannot have known: to blame it would set
            // honest peers against each other.
            if hops <= 1 {
                self.strike(now, slot);
            }
        }
    }

    /// A question of this neighbour was over its budget.
    pub(super) fn on_refused(&mut self, now: Timestamp, slot: Slot) {
        if self.joining.fixed {
            return;
        }
        let rate = REFUSED_BUDGETS * u64::from(self.config.questions_per_second);
        let most = REFUSED_BUDGETS * u64::from(self.config.questions_burst);
        let Some(neighbour) = self.neighbours.at_mut(slot) else {
            return;
        };
        let care = neighbour.care();
        let (refused, at) = care.refused;
        // Forgiven at that rate, in millionths of a question.
        let elapsed = u64::try_from((now - at).as_micros()).unwrap_or(u64::MAX);
        let refused = refused.saturating_sub(elapsed.saturating_mul(rate)) + 1_000_000;
        care.refused = (refused, now);
        if refused > most.max(1) * 1_000_000 {
            self.expel(now, slot);
        }
    }

    fn expel(&mut self, now: Timestamp, slot: Slot) {
        if !self.joining.fixed {
            self.counters.expelled += 1;
            self.drop_neighbour(now, slot, DownReason::Misbehaved);
            self.seek(now);
        }
    }
}
