//! One content for one peer: its place, its requests, its measure.

use std::collections::VecDeque;
use std::time::Duration;

use gannet_base::{GROUP_BYTES, GroupRange, Timestamp};

use super::config::UploadsConfig;
use super::queue::Ticket;
use crate::bucket::TokenBucket;
use crate::message::Have;
use crate::rate::{RateMeter, time_for};
use crate::runs::Runs;

/// Bytes of a message about what there is, and of each run in it.
// Derived: content id, length and framing; two numbers of postcard.
const HAVE_BYTES: u64 = 48;
const RUN_BYTES: u64 = 6;

/// Messages about what there is take at most one part in so many of the line.
// Guess: noise beside the proofs.
const HAVE_SHARE: u64 = 64;

/// What the line is taken for before it is measured, bytes a second.
// Guess: a slow home line's upload.
const RATE_UNKNOWN: u64 = 256 * 1024;

/// Where an upload stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    LookingUp { since: Timestamp },
    Queued { ticket: Ticket },
    Serving { since: Timestamp },
}

#[derive(Debug)]
pub(super) struct Request {
    pub(super) slice: GroupRange,
    /// Small requests wait if there are too many of them.
    pub(super) not_before: Timestamp,
}

#[derive(Debug)]
pub(super) struct Upload {
    pub(super) stage: Stage,
    /// Not handed to the driver yet.
    pub(super) requests: VecDeque<Request>,
    /// With the driver.
    pub(super) serving: VecDeque<GroupRange>,
    pub(super) requests_bytes: u64,
    pub(super) tiny: TokenBucket,
    /// Sent in all, and when the present turn began.
    pub(super) bytes: u64,
    pub(super) turn_bytes: u64,
    pub(super) meter: RateMeter,
    /// Last time that a request came, or one was answered.
    pub(super) moved: Timestamp,
    /// The place that was told last.
    pub(super) told_place: u32,
    /// When it was last told what there is, and whether that is stale.
    pub(super) told_have: Timestamp,
    pub(super) stale_have: bool,
    /// What others asked for and it has not heard of, and when it last heard.
    pub(super) untold_given: Runs,
    pub(super) told_given: Timestamp,
    /// Its turn is over; what is with the driver is still finished.
    pub(super) ending: bool,
}

impl Upload {
    pub(super) fn new(config: &UploadsConfig, now: Timestamp) -> Self {
        let tiny = config.tiny_requests_per_second;
        Self {
            stage: Stage::LookingUp { since: now },
            requests: VecDeque::new(),
            serving: VecDeque::new(),
            requests_bytes: 0,
            tiny: TokenBucket::new(Some(tiny), tiny.saturating_mul(2)),
            bytes: 0,
            turn_bytes: 0,
            meter: RateMeter::default(),
            moved: now,
            told_place: 0,
            told_have: now,
            stale_have: false,
            untold_given: Runs::default(),
            told_given: now,
            ending: false,
        }
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(self.stage, Stage::Serving { .. })
    }

    /// Takes in a request. False if the peer has more unanswered ones than it
    /// may.
    pub(super) fn on_request(
        &mut self,
        config: &UploadsConfig,
        now: Timestamp,
        slice: GroupRange,
    ) -> bool {
        let bytes = slice.len().saturating_mul(GROUP_BYTES);
        let unanswered = self.requests.len() + self.serving.len();
        let fits = self.requests_bytes.saturating_add(bytes) <= config.requests_bytes_max;
        if unanswered >= config.requests_max || (!fits && unanswered > 0) {
            return false;
        }
        let tiny = slice.len() < config.tiny_groups;
        let wait = if tiny {
            self.tiny.take(now, 1)
        } else {
            Duration::ZERO
        };
        self.requests_bytes += bytes;
        self.requests.push_back(Request {
            slice,
            not_before: now + wait,
        });
        self.moved = now;
        true
    }

    /// The next slice for the driver.
    pub(super) fn next_serve(
        &mut self,
        config: &UploadsConfig,
        now: Timestamp,
    ) -> Option<GroupRange> {
        if self.ending || self.serving.len() >= config.serves_per_stream_max {
            return None;
        }
        let request = self
            .requests
            .front()
            .filter(|request| request.not_before <= now)?;
        let slice = request.slice;
        self.requests.pop_front();
        if self.serving.is_empty() {
            self.meter.start(now);
            self.moved = now;
        }
        self.serving.push_back(slice);
        Some(slice)
    }

    /// Time between two messages about what there is: they are to take a small
    /// part of the line only.
    pub(super) fn have_interval(&self, config: &UploadsConfig, have: &Have) -> Duration {
        let runs = match have {
            Have::Whole => 1,
            Have::Some(groups) => groups.runs().len(),
        };
        let bytes = HAVE_BYTES + RUN_BYTES * u64::try_from(runs).unwrap_or(u64::MAX);
        let rate = self.meter.rate(self.moved).unwrap_or(RATE_UNKNOWN);
        let cheap = time_for(bytes.saturating_mul(HAVE_SHARE), rate);
        let shortest = if self.is_idle() {
            config.have_interval_idle
        } else {
            config.have_interval
        };
        shortest.max(cheap)
    }

    /// The driver is done with a slice. False if it never had it.
    pub(super) fn on_done(&mut self, now: Timestamp, slice: GroupRange, bytes: u64) -> bool {
        let Some(found) = self.serving.iter().position(|serving| *serving == slice) else {
            return false;
        };
        self.serving.remove(found);
        self.requests_bytes -= slice.len().saturating_mul(GROUP_BYTES);
        self.bytes = self.bytes.saturating_add(bytes);
        self.turn_bytes = self.turn_bytes.saturating_add(bytes);
        self.meter.add(now, bytes);
        if self.serving.is_empty() && self.requests.is_empty() {
            self.meter.stop(now);
        }
        self.moved = now;
        true
    }

    /// Takes back a request that the driver has not got. False if there is
    /// none.
    pub(super) fn on_cancel(&mut self, slice: GroupRange) -> bool {
        let Some(found) = self
            .requests
            .iter()
            .position(|request| request.slice == slice)
        else {
            return false;
        };
        self.requests.remove(found);
        self.requests_bytes -= slice.len().saturating_mul(GROUP_BYTES);
        true
    }

    /// Forgets the requests that the driver has not got.
    pub(super) fn drop_requests(&mut self) {
        for request in self.requests.drain(..) {
            self.requests_bytes -= request.slice.len().saturating_mul(GROUP_BYTES);
        }
    }

    pub(super) fn is_idle(&self) -> bool {
        self.requests.is_empty() && self.serving.is_empty()
    }
}
