//! A rate limit as a bucket of tokens.

use std::time::Duration;

use gannet_base::Timestamp;

const MICROS_PER_SECOND: u128 = 1_000_000;

/// Says how long bytes must wait so that, over time, no more than a given rate
/// passes, with bursts of a given size. Exact: no drift from rounding, at any
/// rate. Whoever takes owes: the bucket may go into debt, and the wait is what
/// it takes to pay it back, so a taking larger than the burst is fine. Who goes
/// first is the driver's business.
#[derive(Debug, Clone)]
pub struct TokenBucket {
    /// `None`: no limit.
    bytes_per_second: Option<u64>,
    burst_bytes: u64,
    /// What may pass now, in byte-microseconds per second (bytes × 10^6);
    /// negative: debt.
    tokens: i128,
    updated: Timestamp,
}

impl TokenBucket {
    /// A full bucket. `bytes_per_second`: `None` is no limit, 0 lets nothing
    /// pass beyond the burst. `burst_bytes`: what may pass at once after a
    /// pause; too low and the driver wakes often, too high and the limit is
    /// felt late.
    pub fn new(bytes_per_second: Option<u64>, burst_bytes: u64) -> Self {
        Self {
            bytes_per_second,
            burst_bytes,
            tokens: scaled(burst_bytes),
            updated: Timestamp::ZERO,
        }
    }

    /// The present limit.
    pub fn bytes_per_second(&self) -> Option<u64> {
        self.bytes_per_second
    }

    /// Changes the limit. What was owed stays owed, and is paid back at the new
    /// rate.
    pub fn set_rate(&mut self, now: Timestamp, bytes_per_second: Option<u64>) {
        self.refill(now);
        self.bytes_per_second = bytes_per_second;
        if bytes_per_second.is_none() {
            self.tokens = scaled(self.burst_bytes);
        }
    }

    /// Takes `bytes` and says how long they must wait before they pass (zero:
    /// go). They count as taken at once, so whoever comes next waits longer.
    /// [`Duration::MAX`] at rate 0.
    pub fn take(&mut self, now: Timestamp, bytes: u64) -> Duration {
        self.refill(now);
        if self.bytes_per_second.is_some() {
            self.tokens = self.tokens.saturating_sub(scaled(bytes));
        }
        self.wait()
    }

    /// How long until a taking need not wait; takes nothing.
    pub fn peek(&mut self, now: Timestamp) -> Duration {
        self.refill(now);
        self.wait()
    }

    /// Gives back what was taken and did not pass.
    pub fn refund(&mut self, now: Timestamp, bytes: u64) {
        self.refill(now);
        let full = scaled(self.burst_bytes);
        self.tokens = self.tokens.saturating_add(scaled(bytes)).min(full);
    }

    fn wait(&self) -> Duration {
        let Some(rate) = self.bytes_per_second.filter(|_| self.tokens < 0) else {
            return Duration::ZERO;
        };
        match self.tokens.unsigned_abs().checked_div_ceil(rate) {
            Some(micros) => Duration::from_micros(micros),
            None => Duration::MAX,
        }
    }

    fn refill(&mut self, now: Timestamp) {
        let micros = (now - self.updated).as_micros();
        self.updated = self.updated.max(now);
        let rate = u128::from(self.bytes_per_second.unwrap_or(0));
        let earned = i128::try_from(micros.saturating_mul(rate)).unwrap_or(i128::MAX);
        let full = scaled(self.burst_bytes);
        self.tokens = self.tokens.saturating_add(earned).min(full);
    }
}

fn scaled(bytes: u64) -> i128 {
    i128::from(bytes) * i128::try_from(MICROS_PER_SECOND).unwrap_or(1)
}

trait DivCeil {
    fn checked_div_ceil(self, divisor: u64) -> Option<u64>;
}

impl DivCeil for u128 {
    /// `None` if the divisor is 0; saturates at [`u64::MAX`].
    fn checked_div_ceil(self, divisor: u64) -> Option<u64> {
        (divisor != 0)
            .then(|| u64::try_from(self.div_ceil(u128::from(divisor))).unwrap_or(u64::MAX))
    }
}
