//! A line with a rate: one packet after the other.

use std::time::Duration;

use gannet_base::Timestamp;

/// One direction of a peer's line.
#[derive(Debug)]
pub(super) struct Line {
    rate: u64,
    /// When it is free again, nanoseconds: rounding to microseconds would add
    /// up.
    free: u64,
    /// All that ever went through.
    pub(super) bytes: u64,
}

impl Line {
    /// An idle line of `rate` bytes a second.
    pub(super) fn new(rate: u64) -> Self {
        Self {
            rate: rate.max(1),
            free: 0,
            bytes: 0,
        }
    }

    /// Takes a packet behind those that it has; when it is through.
    pub(super) fn pass(&mut self, now: Timestamp, bytes: u32) -> Timestamp {
        let now = now.as_micros().saturating_mul(1_000);
        // What ended within the present microsecond ended just now.
        let start = if now < self.free.saturating_add(1_000) {
            self.free
        } else {
            now
        };
        let takes = u128::from(bytes) * 1_000_000_000 / u128::from(self.rate);
        self.free = start.saturating_add(u64::try_from(takes).unwrap_or(u64::MAX));
        self.bytes += u64::from(bytes);
        Timestamp::from_micros(self.free.div_ceil(1_000))
    }

    /// What passes in `time`, bytes.
    pub(super) fn in_time(&self, time: Duration) -> u64 {
        let bytes = u128::from(self.rate) * time.as_micros() / 1_000_000;
        u64::try_from(bytes).unwrap_or(u64::MAX)
    }
}
