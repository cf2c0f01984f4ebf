//! What becomes of a request: bytes, a refusal, silence, lies.

use gannet_base::{GroupRange, GroupSet, PeerId, Timestamp};

use super::event::{DropReason, Expected};
use super::shared::Shared;
use super::transfer::Download;
use crate::message::{TransferMessage, slice_bytes_max};

/// Refused slices in a row after which a source is left.
// Guess: a partial source that lost a run may refuse a window of requests.
const REFUSALS_MAX: u32 = 64;

/// The same for slices that came and could not be stored.
// Guess: once may be an accident.
const NOT_STORED_MAX: u32 = 3;

/// Stalls in a row, with nothing verified in between, after which a source is
/// left.
// Guess.
const SNUBS_MAX: u32 = 3;

impl Download {
    /// How to take the bytes of a slice from `peer`.
    pub(super) fn expected(&self, peer: PeerId, slice: GroupRange) -> Option<Expected> {
        let source = self.sources.get(&peer).filter(|source| source.is_ready())?;
        let request = source
            .requests
            .iter()
            .find(|request| request.range == slice)?;
        let size = self
            .proven
            .as_ref()
            .map(|proven| proven.size)
            .or(source.size)?;
        let here = self
            .proven
            .as_ref()
            .is_some_and(|proven| proven.have.contains_range(slice));
        let data = slice.bytes(size);
        Some(Expected {
            size,
            bytes_min: data.end - data.start,
            bytes_max: slice_bytes_max(slice, size),
            wanted: request.wanted || !here,
        })
    }

    /// A slice's header came; `bytes` follow.
    pub(super) fn on_slice(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        slice: GroupRange,
        bytes: u64,
    ) {
        let Some(expected) = self.expected(peer, slice) else {
            if self
                .sources
                .get(&peer)
                .is_some_and(super::source::Source::is_ready)
            {
                self.ban(cx, now, peer, DropReason::Protocol);
            }
            return;
        };
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        let first = source
            .requests
            .front()
            .is_some_and(|front| front.range == slice);
        let header = |request: &&mut super::source::Request| {
            request.range == slice && request.announced.is_none()
        };
        let Some(request) = source.requests.iter_mut().find(header) else {
            self.ban(cx, now, peer, DropReason::Protocol);
            return;
        };
        request.announced = Some(bytes);
        let sample = now - request.asked;
        if bytes > expected.bytes_max || bytes < expected.bytes_min {
            self.ban(cx, now, peer, DropReason::Protocol);
            return;
        }
        if first && source.requests.len() == 1 {
            source.saw_round_trip(sample);
        }
        source.progress = now;
        self.arm_source(cx, now, peer);
    }

    /// Bytes of a slice came.
    pub(super) fn on_received(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        bytes: u64,
    ) {
        let Some(source) = self
            .sources
            .get_mut(&peer)
            .filter(|source| source.is_ready())
        else {
            return;
        };
        source.on_received(now, bytes);
        self.arm_source(cx, now, peer);
    }

    /// The source will not send `slice`.
    pub(super) fn on_slice_refused(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        slice: GroupRange,
    ) {
        let trial = self
            .trials
            .of(peer)
            .is_some_and(|trial| trial.slice == slice);
        let Some(source) = self
            .sources
            .get_mut(&peer)
            .filter(|source| source.is_ready())
        else {
            return;
        };
        let Some(request) = source.answered(now, slice) else {
            return;
        };
        if request.wanted {
            cx.in_flight_bytes -= request.bytes;
            source.refusals += 1;
            let refusals = source.refusals;
            self.release(peer, slice);
            if trial || refusals >= REFUSALS_MAX {
                self.fail(
                    cx,
                    now,
                    peer,
                    DropReason::Refused(crate::message::RefusedReason::Busy),
                );
                return;
            }
            self.lacks(peer, slice);
        }
        self.wake(peer);
        self.fill(cx, now, peer);
    }

    /// Groups of a slice are verified and written.
    pub(super) fn on_stored(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        slice: GroupRange,
        groups: &GroupSet,
    ) {
        self.on_trial_stored(cx, now, peer, groups);
        let wanted = self.finish_request(cx, now, peer, slice);
        let fresh = self.credit(cx, now, groups);
        if wanted {
            self.release(peer, slice);
        }
        if let Some(source) = self.sources.get_mut(&peer) {
            source.bytes += fresh;
            if !groups.is_empty() {
                source.failures = 0;
                source.refusals = 0;
                source.snubs = 0;
                source.snubbed = None;
            }
        }
        self.fill(cx, now, peer);
    }

    /// A slice was not written, through no proven fault of the peer.
    pub(super) fn on_not_stored(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        slice: GroupRange,
    ) {
        let trial = self
            .trials
            .of(peer)
            .is_some_and(|trial| trial.slice == slice);
        let wanted = self.finish_request(cx, now, peer, slice);
        let Some(source) = self.sources.get_mut(&peer).filter(|_| wanted) else {
            // Given up before; the same slice may have been asked for again since.
            self.fill(cx, now, peer);
            return;
        };
        // Nothing comes of it: let others try before it is asked again.
        source.refusals += 1;
        let refusals = source.refusals;
        self.release(peer, slice);
        if trial || refusals >= NOT_STORED_MAX {
            self.fail(cx, now, peer, DropReason::Stalled);
        } else {
            self.fill(cx, now, peer);
        }
    }

    /// Takes the request out of the books, and its bytes into the measure of
    /// speed as far as they were not reported. True if it was still wanted.
    fn finish_request(
        &mut self,
        cx: &mut Shared,
        now: Timestamp,
        peer: PeerId,
        slice: GroupRange,
    ) -> bool {
        let Some(source) = self.sources.get_mut(&peer) else {
            return false;
        };
        let reported = source
            .requests
            .iter()
            .find(|request| request.range == slice);
        let missing = reported.map_or(0, super::source::Request::rest);
        if missing > 0 {
            source.meter.add(now, missing);
            source.useful.1 = source.useful.1.saturating_add(missing);
        }
        let request = source.answered(now, slice).filter(|request| request.wanted);
        if let Some(request) = &request {
            cx.in_flight_bytes -= request.bytes;
        }
        self.wake(peer);
        request.is_some()
    }

    /// A snubbed source that owes nothing gets another chance.
    fn wake(&mut self, peer: PeerId) {
        if let Some(source) = self
            .sources
            .get_mut(&peer)
            .filter(|source| source.requests.is_empty())
        {
            source.snubbed = None;
        }
    }

    /// A ready source's deadlines: silence, uselessness, news of what it has.
    pub(super) fn watch_source(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let others = self.counts.ready + self.counts.spare + self.counts.queued > 1;
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        if source.have_next.is_some() && now >= source.have_due(&cx.config) {
            self.take_have(cx, now, peer);
            return;
        }
        let owes = source.sending().is_some();
        if source
            .snubbed
            .is_some_and(|at| now >= at + cx.config.stall_max)
        {
            self.fail(cx, now, peer, DropReason::Stalled);
            return;
        }
        if owes && now >= source.useful.0 + cx.config.useful_window {
            let seconds = cx.config.useful_window.as_secs();
            let needed = cx
                .config
                .useful_bytes_per_second_min
                .saturating_mul(seconds);
            let useless = source.useful.1 < needed;
            source.useful = (now, 0);
            if useless && others {
                self.fail(cx, now, peer, DropReason::TooSlow);
                return;
            }
        }
        let stalled = source.stall_at(&cx.config, now).is_some_and(|at| now >= at);
        if stalled && source.snubbed.is_none() {
            self.snub(cx, now, peer);
        }
    }

    /// The source has stopped sending: everything that is not here yet is asked
    /// of others. What it may still send is taken gladly.
    fn snub(&mut self, cx: &mut Shared, now: Timestamp, peer: PeerId) {
        let content = self.content;
        let Some(source) = self.sources.get_mut(&peer) else {
            return;
        };
        source.snubbed = Some(now);
        source.snubs += 1;
        if source.snubs >= SNUBS_MAX {
            self.fail(cx, now, peer, DropReason::Stalled);
            return;
        }
        let mut given_up = Vec::new();
        for request in &mut source.requests {
            if request.wanted && !request.arrived() {
                request.wanted = false;
                cx.in_flight_bytes -= request.bytes;
                given_up.push((request.range, request.announced.is_none()));
            }
        }
        for (slice, cancel) in given_up {
            if cancel {
                cx.send(peer, TransferMessage::Cancel { content, slice });
            }
            self.release(peer, slice);
        }
    }
}
