//! Slots: given to the next in the queue, taken back from those who do not use
//! them.

use std::time::Duration;

use gannet_base::Timestamp;

use super::queue::Key;
use super::slot::Stage;
use super::{Timer, Uploads};
use crate::message::{Have, RefusedReason, TransferMessage, longest_runs};

impl Uploads {
    /// Puts an upload into the queue, and gives out slots.
    pub(super) fn enqueue(&mut self, now: Timestamp, key: Key) {
        let ticket = self.queue.push(key);
        if let Some(upload) = self.uploads.get_mut(&key) {
            upload.stage = Stage::Queued { ticket };
            upload.ending = false;
        }
        self.grant(now);
        self.tell_place(key);
    }

    /// Gives free slots to the next in the queue.
    pub(super) fn grant(&mut self, now: Timestamp) {
        while self.slots_used < self.config.slots_max {
            let used = |peer| self.slots.get(&peer).copied().unwrap_or(0);
            let next = self
                .queue
                .first(|peer| used(peer) < self.config.slots_per_peer_max);
            let Some((ticket, key)) = next else {
                break;
            };
            self.queue.grant(ticket);
            *self.slots.entry(key.0).or_insert(0) += 1;
            self.slots_used += 1;
            if let Some(upload) = self.uploads.get_mut(&key) {
                upload.stage = Stage::Serving { since: now };
                upload.moved = now;
                upload.turn_bytes = 0;
                upload.told_place = 0;
            }
            self.tell_ready(now, key);
            self.arm(now, key);
        }
        if !self.queue.is_empty() {
            self.timers.arm(
                Timer::Places,
                self.places_told + self.config.position_interval,
            );
        }
    }

    pub(super) fn tell_ready(&mut self, now: Timestamp, key: Key) {
        let (Some(upload), Some(offer)) = (self.uploads.get_mut(&key), self.contents.offer(key.1))
        else {
            return;
        };
        upload.told_have = now;
        upload.stale_have = false;
        upload.untold_given = offer.given.clone();
        let have = match &offer.have {
            Have::Whole => Have::Whole,
            Have::Some(groups) => Have::Some(longest_runs(groups)),
        };
        let (content, size) = (key.1, offer.size);
        // First, so that it knows when it may ask.
        self.send_given(now, key);
        self.send(
            key.0,
            TransferMessage::Ready {
                content,
                size,
                have,
            },
        );
    }

    /// Tells one in the queue its place.
    pub(super) fn tell_place(&mut self, key: Key) {
        let Some(upload) = self.uploads.get_mut(&key) else {
            return;
        };
        if let Stage::Queued { ticket } = upload.stage {
            let position = self.queue.place(ticket);
            upload.told_place = position;
            self.send(
                key.0,
                TransferMessage::Queued {
                    content: key.1,
                    position,
                },
            );
        }
    }

    /// Tells all in the queue whose place has changed.
    pub(super) fn tell_places(&mut self, now: Timestamp) {
        self.places_told = now;
        let places: Vec<_> = self.queue.places().collect();
        for (position, key) in places {
            let Some(upload) = self.uploads.get_mut(&key) else {
                continue;
            };
            if upload.told_place != position {
                upload.told_place = position;
                self.send(
                    key.0,
                    TransferMessage::Queued {
                        content: key.1,
                        position,
                    },
                );
            }
        }
    }

    /// Ends an upload, telling its peer why if it can be told.
    pub(super) fn end(&mut self, now: Timestamp, key: Key, reason: Option<RefusedReason>) {
        let Some(upload) = self.uploads.remove(&key) else {
            return;
        };
        self.timers.disarm(Timer::Upload(key));
        match upload.stage {
            Stage::LookingUp { .. } => {}
            Stage::Queued { ticket } => self.queue.remove(ticket),
            Stage::Serving { .. } => self.free_slot(key),
        }
        if let Some(reason) = reason {
            self.refuse(key, reason);
        }
        self.forget_unwanted(key.1);
        self.grant(now);
    }

    fn free_slot(&mut self, key: Key) {
        self.slots_used -= 1;
        if let Some(used) = self.slots.get_mut(&key.0) {
            *used -= 1;
            if *used == 0 {
                self.slots.remove(&key.0);
            }
        }
    }

    /// Whether an upload still deserves what it holds.
    pub(super) fn review(&mut self, now: Timestamp, key: Key) {
        let idle_max = self.idle_max(key);
        let Some(upload) = self.uploads.get_mut(&key) else {
            return;
        };
        match upload.stage {
            Stage::LookingUp { since } if now >= since + self.config.stuck_max => {
                self.end(now, key, Some(RefusedReason::Busy));
                return;
            }
            Stage::Serving { since } => {
                let others = !self.queue.is_empty();
                let idle = upload.is_idle() && now >= upload.moved + idle_max;
                let stuck =
                    !upload.serving.is_empty() && now >= upload.moved + self.config.stuck_max;
                if idle && others && self.contents.is_partial(key.1) {
                    self.end_turn(now, key);
                    return;
                }
                if idle || stuck {
                    self.end(now, key, Some(RefusedReason::Busy));
                    return;
                }
                let over = now >= since + self.config.turn_duration
                    && upload.turn_bytes >= self.config.turn_bytes;
                upload.ending |= others && over;
                if upload.ending && upload.serving.is_empty() {
                    self.end_turn(now, key);
                    return;
                }
            }
            _ => {}
        }
        self.tell_have(now, key);
        self.tell_given(now, key);
        self.arm(now, key);
    }

    /// How long `key` may have a slot for nothing.
    fn idle_max(&self, key: Key) -> Duration {
        if self.queue.is_empty() {
            self.config.idle_alone_max
        } else if self.contents.is_partial(key.1) {
            self.config.idle_partial_max
        } else {
            self.config.idle_max
        }
    }

    /// Back to the end of the queue: others wait.
    fn end_turn(&mut self, now: Timestamp, key: Key) {
        if let Some(upload) = self.uploads.get_mut(&key) {
            upload.drop_requests();
            upload.meter.stop(now);
        }
        self.free_slot(key);
        self.enqueue(now, key);
    }

    /// Wakes for what is due next of an upload.
    pub(super) fn arm(&mut self, now: Timestamp, key: Key) {
        let Some(upload) = self.uploads.get(&key) else {
            return;
        };
        let at = match upload.stage {
            Stage::Queued { .. } => return,
            Stage::LookingUp { since } => since + self.config.stuck_max,
            Stage::Serving { .. } if !upload.serving.is_empty() => {
                upload.moved + self.config.stuck_max
            }
            Stage::Serving { .. } => match upload.requests.front() {
                Some(request) => request.not_before,
                // Whether others wait may change any time after that.
                None => {
                    let soonest = if self.contents.is_partial(key.1) {
                        self.config.idle_partial_max
                    } else {
                        self.config.idle_max
                    };
                    let later = self.config.position_interval.min(soonest);
                    (upload.moved + soonest).max(now + later)
                }
            },
        };
        self.timers.arm(Timer::Upload(key), at);
    }
}
