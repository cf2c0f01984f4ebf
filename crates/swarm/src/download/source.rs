//! One source of one download: its state, its requests, its speed.

use std::collections::VecDeque;
use std::time::Duration;

use gannet_base::{GROUP_BYTES, GroupRange, PeerId, Timestamp};

use super::config::DownloadsConfig;
use super::event::{DropReason, SourceState};
use crate::message::Have;
use crate::rate::{RateMeter, bytes_in, time_for};
use crate::runs::Runs;

/// Most requests that are not answered, per source.
// Derived: half of what a source accepts by default (64).
const REQUESTS_MAX: usize = 32;

/// Pieces of what a partial source has that may change in one interval.
// Guess: taking in a hundred costs less than a millisecond.
const PIECES_PER_INTERVAL: usize = 100;

/// What a round trip is taken for before it is measured.
// Guess: across an ocean.
const ROUND_TRIP_UNKNOWN: Duration = Duration::from_millis(100);

/// Where a source stands. What is only true in one phase lives in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Spare,
    BackOff {
        until: Timestamp,
    },
    Dialing {
        since: Timestamp,
    },
    Asked {
        since: Timestamp,
    },
    Queued {
        position: u32,
        heard: Timestamp,
        refreshed: Option<Timestamp>,
    },
    Ready {
        since: Timestamp,
    },
    Banned,
}

/// Something that was asked for and not answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) range: GroupRange,
    /// Content bytes in it.
    pub(super) bytes: u64,
    /// Not given to somebody else, nor fetched from somebody else.
    pub(super) wanted: bool,
    /// Since when the source could have been at it.
    pub(super) asked: Timestamp,
    /// Encoded bytes announced by the header; `None`: it has not come.
    pub(super) announced: Option<u64>,
    /// Encoded bytes that came.
    pub(super) received: u64,
}

impl Request {
    /// All its bytes are here: what is missing is the store's work.
    pub(super) fn arrived(&self) -> bool {
        self.announced.is_some_and(|bytes| self.received >= bytes)
    }

    pub(super) fn rest(&self) -> u64 {
        let all = self.announced.unwrap_or(self.bytes);
        all.saturating_sub(self.received)
    }
}

#[derive(Debug)]
pub(super) struct Source {
    pub(super) phase: Phase,
    /// Order in which sources came.
    pub(super) seq: u64,
    /// When it was named, and its lot among those named with it: if all who
    /// fetch began with the first of one list, nobody would ask the last.
    pub(super) named: (Timestamp, u64),
    /// In a row.
    pub(super) failures: u32,
    pub(super) last_drop: Option<DropReason>,
    pub(super) size: Option<u64>,
    pub(super) have: Have,
    /// Have-updates are taken in no faster than configured.
    pub(super) have_next: Option<gannet_base::GroupSet>,
    pub(super) have_taken: Timestamp,
    /// Its set is counted in the plan.
    pub(super) counted: bool,
    /// What it gave to others, as far as it says so, and whether that is
    /// counted in the plan.
    pub(super) given: Runs,
    pub(super) given_counted: bool,
    pub(super) requests: VecDeque<Request>,
    /// Of all requests, wanted or not.
    pub(super) in_flight_bytes: u64,
    pub(super) cursor: Option<u64>,
    /// It had nothing to give when the plan had been opened this often.
    pub(super) exhausted: Option<u64>,
    pub(super) meter: RateMeter,
    pub(super) round_trip: Option<Duration>,
    /// Last time that it did anything asked of it.
    pub(super) progress: Timestamp,
    pub(super) snubbed: Option<Timestamp>,
    /// Stalls since something was verified.
    pub(super) snubs: u32,
    /// Verified bytes from it.
    pub(super) bytes: u64,
    /// Start of, and bytes in, the window of the minimal useful rate.
    pub(super) useful: (Timestamp, u64),
    pub(super) refusals: u32,
    pub(super) distrusted: bool,
}

impl Source {
    pub(super) fn new(seq: u64, named: (Timestamp, u64), now: Timestamp) -> Self {
        Self {
            phase: Phase::Spare,
            seq,
            named,
            failures: 0,
            last_drop: None,
            size: None,
            have: Have::Some(gannet_base::GroupSet::new()),
            have_next: None,
            have_taken: Timestamp::ZERO,
            counted: false,
            given: Runs::default(),
            given_counted: false,
            requests: VecDeque::new(),
            in_flight_bytes: 0,
            cursor: None,
            exhausted: None,
            meter: RateMeter::default(),
            round_trip: None,
            progress: now,
            snubbed: None,
            snubs: 0,
            bytes: 0,
            useful: (now, 0),
            refusals: 0,
            distrusted: false,
        }
    }

    pub(super) fn is_ready(&self) -> bool {
        matches!(self.phase, Phase::Ready { .. })
    }

    /// Ready, and sends.
    pub(super) fn is_flowing(&self) -> bool {
        self.is_ready() && self.snubbed.is_none()
    }

    /// A transfer stream is open.
    pub(super) fn has_stream(&self) -> bool {
        matches!(
            self.phase,
            Phase::Asked { .. } | Phase::Queued { .. } | Phase::Ready { .. }
        )
    }

    pub(super) fn state(&self) -> SourceState {
        match self.phase {
            Phase::Spare => SourceState::Spare,
            Phase::BackOff { until } => SourceState::BackOff { until },
            Phase::Dialing { .. } => SourceState::Dialing,
            Phase::Asked { .. } => SourceState::Asked,
            Phase::Queued { position, .. } => SourceState::Queued { position },
            Phase::Ready { .. } if self.snubbed.is_some() => SourceState::Snubbed,
            Phase::Ready { .. } => SourceState::Ready,
            Phase::Banned => SourceState::Banned,
        }
    }

    pub(super) fn round_trip(&self) -> Duration {
        self.round_trip.unwrap_or(ROUND_TRIP_UNKNOWN)
    }

    pub(super) fn saw_round_trip(&mut self, sample: Duration) {
        self.round_trip = Some(self.round_trip.map_or(sample, |known| known.min(sample)));
    }

    /// Groups of the next slice.
    pub(super) fn slice_groups(&self, config: &DownloadsConfig, now: Timestamp) -> u64 {
        let groups = match self.meter.rate(now) {
            None => config.slice_groups_initial,
            Some(rate) => {
                let thrifty = bytes_in(config.slice_duration_thrifty, rate) / GROUP_BYTES;
                let brisk = bytes_in(config.slice_duration, rate) / GROUP_BYTES;
                brisk.max(thrifty.min(config.slice_groups_thrifty))
            }
        };
        let max = if self.distrusted {
            1
        } else {
            config.slice_groups_max
        };
        floor_to_power(groups.clamp(1, max.max(1)))
    }

    /// How much may be asked of it at once, bytes.
    pub(super) fn window_bytes(&self, config: &DownloadsConfig, now: Timestamp) -> u64 {
        let wanted = match self.meter.rate(now) {
            None => 4 * config.slice_groups_initial * GROUP_BYTES,
            Some(rate) => bytes_in(2 * self.round_trip() + config.pipeline_duration, rate),
        };
        wanted.min(config.source_in_flight_bytes_max)
    }

    /// Whether to ask it for more.
    pub(super) fn has_room(&self, config: &DownloadsConfig, now: Timestamp) -> bool {
        let enough = if self.distrusted { 1 } else { 2 };
        let next = self.slice_groups(config, now).saturating_mul(GROUP_BYTES);
        let most = if self.distrusted { 1 } else { REQUESTS_MAX };
        self.is_flowing()
            && self.requests.len() < most
            && (self.requests.len() < enough
                || self.in_flight_bytes < self.window_bytes(config, now))
            && (self.requests.is_empty()
                || self.in_flight_bytes + next <= config.source_in_flight_bytes_max)
    }

    pub(super) fn ask(&mut self, now: Timestamp, range: GroupRange, bytes: u64) {
        if self.requests.is_empty() {
            self.meter.start(now);
            self.progress = now;
            self.useful = (now, 0);
        }
        self.in_flight_bytes += bytes;
        self.requests.push_back(Request {
            range,
            bytes,
            wanted: true,
            asked: now,
            announced: None,
            received: 0,
        });
    }

    /// Takes out the request for `range`: it was answered.
    pub(super) fn answered(&mut self, now: Timestamp, range: GroupRange) -> Option<Request> {
        let found = self
            .requests
            .iter()
            .position(|request| request.range == range)?;
        let request = self.requests.remove(found)?;
        self.in_flight_bytes -= request.bytes;
        self.progress = now;
        if let Some(next) = self.requests.front_mut() {
            next.asked = now;
        } else {
            self.meter.stop(now);
        }
        Some(request)
    }

    /// Bytes came behind a header.
    pub(super) fn on_received(&mut self, now: Timestamp, bytes: u64) {
        self.meter.add(now, bytes);
        self.progress = now;
        self.useful.1 = self.useful.1.saturating_add(bytes);
        let open = |request: &&mut Request| request.announced.is_some() && !request.arrived();
        if let Some(request) = self.requests.iter_mut().find(open) {
            request.received = request.received.saturating_add(bytes);
        }
    }

    /// The request that the source should be sending now.
    pub(super) fn sending(&self) -> Option<&Request> {
        self.requests.iter().find(|request| !request.arrived())
    }

    /// How long it may be silent.
    fn patience(&self, config: &DownloadsConfig) -> Duration {
        // The rate of when it last moved: silence must not buy patience.
        let expected = match (self.meter.rate(self.progress), self.sending()) {
            (Some(rate), Some(request)) if rate > 0 => {
                time_for(request.bytes, rate).saturating_mul(4) + 2 * self.round_trip()
            }
            _ => 2 * config.stall_min + 4 * self.round_trip(),
        };
        expected.clamp(config.stall_min, config.stall_max)
    }

    /// When its request is overdue; `None` if it owes nothing.
    pub(super) fn stall_at(&self, config: &DownloadsConfig, now: Timestamp) -> Option<Timestamp> {
        let request = self.sending()?;
        let silent = self.progress + self.patience(config);
        let rate = self.meter.rate(now).unwrap_or(0);
        let late = request.asked + config.stall_max;
        Some(if rate < config.useful_bytes_per_second_min {
            silent.min(late)
        } else {
            silent
        })
    }

    /// When news of what it has may be taken in: the more pieces, the more
    /// seldom, so that no source can make us spend our time on them.
    pub(super) fn have_due(&self, config: &DownloadsConfig) -> Timestamp {
        let pieces = |have: &Have| match have {
            Have::Whole => 0,
            Have::Some(groups) => groups.runs().len(),
        };
        let next = self
            .have_next
            .as_ref()
            .map_or(0, |groups| groups.runs().len());
        let pieces = pieces(&self.have).max(next) / PIECES_PER_INTERVAL;
        let intervals = u32::try_from(1 + pieces).unwrap_or(u32::MAX);
        let interval = if self.requests.is_empty() {
            config.have_interval_idle
        } else {
            config.have_interval
        };
        self.have_taken + interval.saturating_mul(intervals)
    }

    /// When something of it is due while it is ready.
    pub(super) fn due_at(&self, config: &DownloadsConfig, now: Timestamp) -> Timestamp {
        let owes = self.sending().is_some();
        let stall = self
            .stall_at(config, now)
            .filter(|_| self.snubbed.is_none());
        let useful = owes.then(|| self.useful.0 + config.useful_window);
        let leave = self.snubbed.map(|at| at + config.stall_max);
        let have = self.have_next.as_ref().map(|_| self.have_due(config));
        let due = [stall, useful, leave, have].into_iter().flatten().min();
        due.unwrap_or(Timestamp::MAX)
    }

    /// When it will have sent everything before request `index`, and that one,
    /// as it looks now.
    pub(super) fn finish_times(
        &self,
        now: Timestamp,
    ) -> impl Iterator<Item = (&Request, Timestamp, Timestamp)> {
        let rate = self.meter.rate(now).unwrap_or(RATE_UNKNOWN);
        let mut at = now;
        self.requests.iter().map(move |request| {
            let start = at;
            at = at + time_for(request.rest(), rate);
            (request, start, at)
        })
    }

    /// When `bytes` more would be here if asked for now.
    pub(super) fn finish_if_asked(&self, now: Timestamp, bytes: u64) -> Timestamp {
        let rate = self.meter.rate(now).unwrap_or(RATE_UNKNOWN);
        let before: u64 = self.requests.iter().map(Request::rest).sum();
        now + self.round_trip() + time_for(before.saturating_add(bytes), rate)
    }
}

/// What the speed is taken for in comparisons before it is measured, bytes a
/// second.
// Guess: a slow home line's upload.
const RATE_UNKNOWN: u64 = 256 * 1024;

fn floor_to_power(groups: u64) -> u64 {
    1 << groups.max(1).ilog2()
}

/// A source's order of preference: fewer failures first, linked ones first,
/// then who was named first.
pub(super) type Preference = (u32, bool, (Timestamp, u64), PeerId);
