//! Uploads: the serving side.
//!
//! `queue` says who is next, `slot` keeps one upload's books, `grants` moves
//! uploads between the two and watches for those that hold a slot for nothing,
//! `contents` knows what can be served, `given` tells what others asked for.

mod config;
mod contents;
mod event;
mod given;
mod grants;
mod queue;
mod slot;

#[cfg(test)]
mod swarm_tests;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};

use gannet_base::{ContentId, Core, GroupRange, Link, Output, PeerId, Timestamp, groups_in};

use crate::message::{RefusedReason, TransferMessage};
use crate::timers::Timers;
use contents::Contents;
use queue::{Key, Queue};
use slot::{Stage, Upload};

pub use config::UploadsConfig;
pub use event::{
    ServeFailure, UploadCommand, UploadEvent, UploadState, UploadStatus, UploadsStatus,
};

/// Who is woken at a deadline.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Timer {
    Upload(Key),
    Places,
}

/// All uploads of one peer: who has a slot, and whose slice is next.
///
/// Getters: [`status`](Self::status). Inputs, outputs and timers as in
/// [`Core`]. The driver delivers what comes on transfer streams that other
/// peers opened, and writes sends and served slices to a stream in the order of
/// the outputs. If a peer opens a second stream for the same content, the
/// driver drops the first and reports nothing of it any more.
#[derive(Debug)]
pub struct Uploads {
    config: UploadsConfig,
    outbox: VecDeque<Output<TransferMessage, UploadEvent>>,
    uploads: BTreeMap<Key, Upload>,
    contents: Contents,
    queue: Queue,
    /// Slots of each peer that has any, and of all.
    slots: BTreeMap<PeerId, usize>,
    slots_used: usize,
    timers: Timers<Timer>,
    places_told: Timestamp,
}

impl Uploads {
    /// Nobody served yet.
    pub fn new(config: UploadsConfig) -> Self {
        Self {
            config,
            outbox: VecDeque::new(),
            uploads: BTreeMap::new(),
            contents: Contents::default(),
            queue: Queue::default(),
            slots: BTreeMap::new(),
            slots_used: 0,
            timers: Timers::default(),
            places_told: Timestamp::ZERO,
        }
    }

    /// Who is served and who waits. Costs a pass over all uploads.
    pub fn status(&self, now: Timestamp) -> UploadsStatus {
        let status = |key: &Key, state| {
            let upload = self.uploads.get(key)?;
            let rate = if upload.is_idle() {
                None
            } else {
                upload.meter.rate(now)
            };
            Some(UploadStatus {
                peer: key.0,
                content: key.1,
                state,
                bytes: upload.bytes,
                rate_bytes_per_second: rate.unwrap_or(0),
                requests: upload.requests.len() + upload.serving.len(),
            })
        };
        let active = self
            .uploads
            .iter()
            .filter_map(|(key, upload)| match upload.stage {
                Stage::LookingUp { .. } => status(key, UploadState::LookingUp),
                Stage::Serving { .. } => status(key, UploadState::Serving),
                Stage::Queued { .. } => None,
            });
        let waiting = self.queue.places();
        let waiting =
            waiting.filter_map(|(position, key)| status(&key, UploadState::Queued { position }));
        UploadsStatus {
            slots_max: self.config.slots_max,
            uploads: active.chain(waiting).collect(),
        }
    }

    /// Checks the books. Costs a pass over everything.
    ///
    /// # Panics
    ///
    /// If a book is wrong: a bug.
    #[doc(hidden)]
    pub fn assert_invariants(&self) {
        let serving = self
            .uploads
            .iter()
            .filter(|(_, upload)| upload.is_serving());
        assert_eq!(serving.clone().count(), self.slots_used, "slots in use");
        for (peer, slots) in &self.slots {
            let used = serving.clone().filter(|(key, _)| key.0 == *peer).count();
            assert_eq!((used, used > 0), (*slots, true), "slots of a peer");
        }
        let queued = self
            .uploads
            .iter()
            .filter(|(_, upload)| matches!(upload.stage, Stage::Queued { .. }));
        assert_eq!(queued.count(), self.queue.places().count(), "the queue");
        for (key, upload) in &self.uploads {
            let looking = matches!(upload.stage, Stage::LookingUp { .. });
            assert_eq!(looking, !self.contents.is_known(key.1), "known is admitted");
            assert!(upload.requests.len() + upload.serving.len() <= self.config.requests_max);
            assert!(
                upload.is_serving() || upload.is_idle(),
                "only the served are owed"
            );
        }
    }

    fn on_ask(&mut self, now: Timestamp, key: Key) {
        if let Some(upload) = self.uploads.get(&key) {
            match upload.stage {
                Stage::LookingUp { .. } => {}
                Stage::Queued { .. } => self.tell_place(key),
                Stage::Serving { .. } => self.tell_ready(now, key),
            }
            return;
        }
        let room = self.uploads.len() < self.config.queue_max.saturating_add(self.config.slots_max);
        if !room || self.uploads_of(key.0).count() >= self.config.queue_per_peer_max {
            self.refuse(key, RefusedReason::QueueFull);
            return;
        }
        if !self.contents.is_known(key.1) && !self.contents.look_up(key.1, self.config.lookups_max)
        {
            self.refuse(key, RefusedReason::Busy);
            return;
        }
        self.uploads.insert(key, Upload::new(&self.config, now));
        if self.contents.is_known(key.1) {
            self.enqueue(now, key);
            return;
        }
        if self.contents.announce(key.1) {
            self.event(UploadEvent::Lookup {
                content: key.1,
                peer: key.0,
            });
        }
        self.arm(now, key);
    }

    fn on_request(&mut self, now: Timestamp, key: Key, slice: GroupRange) {
        let Some(upload) = self
            .uploads
            .get_mut(&key)
            .filter(|upload| upload.is_serving())
        else {
            return;
        };
        if upload.ending {
            return;
        }
        let Some(offer) = self.contents.offer(key.1) else {
            return;
        };
        let inside = !slice.is_empty() && slice.end <= groups_in(offer.size);
        if !inside || slice.len() > crate::message::SLICE_GROUPS_MAX {
            self.end(now, key, Some(RefusedReason::Busy));
            return;
        }
        if !offer.have.contains_range(slice) {
            upload.moved = now;
            self.send(
                key.0,
                TransferMessage::SliceRefused {
                    content: key.1,
                    slice,
                },
            );
            return;
        }
        if upload.on_request(&self.config, now, slice) {
            self.note_given(now, key, slice);
            self.serve(now, key);
        } else {
            self.end(now, key, Some(RefusedReason::Busy));
        }
    }

    fn on_cancel(&mut self, now: Timestamp, key: Key, slice: GroupRange) {
        let Some(upload) = self.uploads.get_mut(&key) else {
            return;
        };
        if upload.on_cancel(slice) {
            upload.moved = now;
            self.send(
                key.0,
                TransferMessage::SliceRefused {
                    content: key.1,
                    slice,
                },
            );
            self.serve(now, key);
        }
    }

    /// Hands the driver what it may have.
    fn serve(&mut self, now: Timestamp, key: Key) {
        while let Some(upload) = self.uploads.get_mut(&key)
            && let Some(slice) = upload.next_serve(&self.config, now)
        {
            self.event(UploadEvent::Serve {
                to: key.0,
                content: key.1,
                slice,
            });
        }
        self.arm(now, key);
    }

    fn on_serve_failed(
        &mut self,
        now: Timestamp,
        key: Key,
        slice: GroupRange,
        failure: ServeFailure,
    ) {
        if failure == ServeFailure::Changed {
            self.withdraw(now, key.1);
            return;
        }
        let Some(upload) = self.uploads.get_mut(&key) else {
            return;
        };
        if !upload.on_done(now, slice, 0) {
            return;
        }
        match failure {
            ServeFailure::Stream => self.end(now, key, None),
            _ => {
                self.send(
                    key.0,
                    TransferMessage::SliceRefused {
                        content: key.1,
                        slice,
                    },
                );
                self.after_done(now, key);
            }
        }
    }

    fn after_done(&mut self, now: Timestamp, key: Key) {
        self.serve(now, key);
        self.review(now, key);
    }

    fn send(&mut self, to: PeerId, message: TransferMessage) {
        self.outbox.push_back(Output::Send { to, message });
    }

    fn event(&mut self, event: UploadEvent) {
        self.outbox.push_back(Output::Event(event));
    }

    /// Refuses somebody who has no upload (any more).
    fn refuse(&mut self, (to, content): Key, reason: RefusedReason) {
        self.send(to, TransferMessage::Refused { content, reason });
        self.event(UploadEvent::Close { to, content });
    }

    fn uploads_of(&self, peer: PeerId) -> impl Iterator<Item = Key> + '_ {
        let first = (peer, ContentId::from_bytes([0; 32]));
        let last = (peer, ContentId::from_bytes([0xff; 32]));
        self.uploads.range(first..=last).map(|(key, _)| *key)
    }
}

impl Core for Uploads {
    type Message = TransferMessage;
    type Command = UploadCommand;
    type Event = UploadEvent;

    fn handle_message(&mut self, now: Timestamp, from: PeerId, message: TransferMessage) {
        let key = (from, message.content());
        match message {
            TransferMessage::Ask { .. } => self.on_ask(now, key),
            TransferMessage::Request { slice, .. } => self.on_request(now, key, slice),
            TransferMessage::Cancel { slice, .. } => self.on_cancel(now, key, slice),
            TransferMessage::Leave { .. } => {
                if self.uploads.contains_key(&key) {
                    self.end(now, key, None);
                    self.event(UploadEvent::Close {
                        to: key.0,
                        content: key.1,
                    });
                }
            }
            // What sources say; a fetcher that says it to us is ignored.
            TransferMessage::Ready { .. }
            | TransferMessage::Queued { .. }
            | TransferMessage::Have { .. }
            | TransferMessage::Given { .. }
            | TransferMessage::Slice { .. }
            | TransferMessage::SliceRefused { .. }
            | TransferMessage::Refused { .. } => {}
        }
    }

    fn handle_command(&mut self, now: Timestamp, command: UploadCommand) {
        use UploadCommand as C;
        match command {
            C::Offer {
                content,
                size,
                have,
            } => self.on_offer(now, content, size, have),
            C::NotShared { content } => self.on_not_shared(now, content),
            C::Served {
                to,
                content,
                slice,
                bytes,
            } => {
                let key = (to, content);
                let upload = self.uploads.get_mut(&key);
                if upload.is_some_and(|upload| upload.on_done(now, slice, bytes)) {
                    self.after_done(now, key);
                }
            }
            C::Wrote { to, content } => {
                if let Some(upload) = self.uploads.get_mut(&(to, content)) {
                    upload.moved = now;
                }
            }
            C::ServeFailed {
                to,
                content,
                slice,
                failure,
            } => {
                self.on_serve_failed(now, (to, content), slice, failure);
            }
            C::Gained { content, groups } => self.on_gained(now, content, &groups),
            C::Grown { content, have } => self.on_grown(now, content, have),
            C::Withdrawn { content } => self.withdraw(now, content),
            C::StreamClosed { to, content } => self.end(now, (to, content), None),
            C::SetSlots { slots_max } => {
                self.config.slots_max = slots_max;
                self.grant(now);
            }
        }
    }

    fn handle_link(&mut self, now: Timestamp, peer: PeerId, link: Link) {
        if link != Link::Up {
            let keys: Vec<_> = self.uploads_of(peer).collect();
            for key in keys {
                self.end(now, key, None);
            }
        }
    }

    fn handle_timeout(&mut self, now: Timestamp) {
        while let Some(timer) = self.timers.pop_due(now) {
            match timer {
                Timer::Places => self.tell_places(now),
                Timer::Upload(key) => {
                    self.serve(now, key);
                    self.review(now, key);
                }
            }
        }
    }

    fn poll_output(&mut self) -> Option<Output<TransferMessage, UploadEvent>> {
        self.outbox.pop_front()
    }

    fn next_deadline(&self) -> Option<Timestamp> {
        self.timers.next()
    }
}
