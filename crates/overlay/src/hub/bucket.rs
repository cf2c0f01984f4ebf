//! A budget that refills with time.

use std::time::Duration;

use gannet_base::Timestamp;

/// A token bucket in whole microseconds of refill: no rounding drifts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bucket {
    /// Tokens a second.
    rate: u32,
    /// Most tokens.
    burst: u32,
    /// Tokens times 1,000,000.
    level: u64,
    at: Timestamp,
}

const SCALE: u64 = 1_000_000;

impl Bucket {
    /// A full bucket. A rate or burst of 0 counts as 1: a budget that never
    /// refills would deadlock.
    pub(crate) fn new(rate: u32, burst: u32, now: Timestamp) -> Self {
        let (rate, burst) = (rate.max(1), burst.max(1));
        Self {
            rate,
            burst,
            level: u64::from(burst) * SCALE,
            at: now,
        }
    }

    /// Takes `tokens` if they are there; what exceeds the burst counts as the
    /// burst.
    ///
    /// # Errors
    ///
    /// How long until they are there.
    pub(crate) fn take(&mut self, now: Timestamp, tokens: u64) -> Result<(), Duration> {
        let (rate, burst) = (u64::from(self.rate), u64::from(self.burst));
        let elapsed = u64::try_from((now - self.at).as_micros()).unwrap_or(u64::MAX);
        self.at = self.at.max(now);
        self.level = self
            .level
            .saturating_add(elapsed.saturating_mul(rate))
            .min(burst * SCALE);
        let wanted = tokens.min(burst) * SCALE;
        match self.level.checked_sub(wanted) {
            Some(level) => {
                self.level = level;
                Ok(())
            }
            None => Err(Duration::from_micros((wanted - self.level).div_ceil(rate))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_pays_the_burst_then_the_rate() {
        let mut bucket = Bucket::new(10, 3, Timestamp::ZERO);
        for _ in 0..3 {
            assert_eq!(bucket.take(Timestamp::ZERO, 1), Ok(()));
        }
        let wait = bucket.take(Timestamp::ZERO, 1).unwrap_err();
        assert_eq!(wait, Duration::from_millis(100));
        assert_eq!(bucket.take(Timestamp::ZERO + wait, 1), Ok(()));
        // Idle time fills it, not beyond the burst, and time never runs back.
        let later = Timestamp::from_secs(1_000_000_000_000);
        assert_eq!(bucket.take(later, 3), Ok(()));
        assert!(bucket.take(Timestamp::ZERO, 1).is_err());
        // More than the burst can be had, at the price of all of it.
        assert_eq!(bucket.take(later + Duration::from_secs(1), 100), Ok(()));
    }
}
