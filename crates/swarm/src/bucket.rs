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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn us(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    #[test]
    fn a_burst_passes_and_then_the_rate_holds() {
        let mut bucket = TokenBucket::new(Some(1_000), 500);
        let start = Timestamp::from_secs(9);
        assert_eq!(bucket.take(start, 500), Duration::ZERO);
        assert_eq!(bucket.take(start, 100), Duration::from_millis(100));
        assert_eq!(
            bucket.take(start, 100),
            Duration::from_millis(200),
            "who comes next waits longer"
        );
        assert_eq!(
            bucket.peek(start + Duration::from_millis(200)),
            Duration::ZERO
        );
        bucket.refund(start + Duration::from_millis(200), 50);
        assert_eq!(
            bucket.take(start + Duration::from_millis(200), 50),
            Duration::ZERO
        );
    }

    #[test]
    fn the_rate_changes_while_running() {
        let mut bucket = TokenBucket::new(Some(1_000), 0);
        assert_eq!(bucket.take(us(0), 1_000), Duration::from_secs(1));
        bucket.set_rate(us(500_000), Some(10_000));
        assert_eq!(
            bucket.peek(us(500_000)),
            Duration::from_millis(50),
            "what was owed is paid faster"
        );
        bucket.set_rate(us(500_000), None);
        assert_eq!(bucket.take(us(500_000), u64::MAX), Duration::ZERO);
        bucket.set_rate(us(600_000), Some(0));
        assert_eq!(bucket.take(us(600_000), 1), Duration::MAX);
        bucket.set_rate(us(700_000), Some(1_000_000));
        assert_eq!(bucket.peek(us(700_000)), Duration::from_micros(1));
        assert_eq!(bucket.bytes_per_second(), Some(1_000_000));
    }

    #[test]
    fn extremes_do_not_overflow() {
        let mut bucket = TokenBucket::new(Some(u64::MAX), u64::MAX);
        for _ in 0..100 {
            bucket.take(us(0), u64::MAX);
        }
        assert!(bucket.peek(Timestamp::MAX) < Duration::from_secs(200));
        let mut bucket = TokenBucket::new(Some(1), 0);
        for _ in 0..100 {
            assert!(bucket.take(us(0), u64::MAX) > Duration::from_secs(1 << 40));
        }
        assert_eq!(
            bucket.take(us(5), 0),
            bucket.peek(us(0)),
            "time does not run backwards"
        );
    }

    proptest! {
        #[test]
        fn never_more_than_the_rate_and_exactly_it_when_busy(
            rate in 1_u64..10_000_000,
            burst in 0_u64..1_000_000,
            takes in prop::collection::vec(1_u64..100_000, 1..200),
        ) {
            let mut bucket = TokenBucket::new(Some(rate), burst);
            let (mut now, mut passed) = (us(0), 0_u64);
            for bytes in takes {
                now = now + bucket.take(now, bytes);
                passed += bytes;
                let allowed = u128::from(burst) * 1_000_000 + u128::from(now.as_micros()) * u128::from(rate);
                prop_assert!(u128::from(passed) * 1_000_000 <= allowed, "too much by {}", now);
            }
            // Waiting no longer than needed: one microsecond less were too early.
            let exact = (u128::from(passed.saturating_sub(burst)) * 1_000_000).div_ceil(u128::from(rate));
            prop_assert_eq!(u128::from(now.as_micros()), exact);
        }
    }
}
