//! Rate limits for tasks: the pure bucket, and waiting in line for it.

use std::time::Duration;

use gannet_swarm::TokenBucket;
use tokio::sync::Mutex;

use crate::clock::Clock;

/// Smallest burst, bytes: what tasks pass through it at a time.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// One limit shared by many tasks, first come first served.
#[derive(Debug)]
pub(crate) struct Limiter {
    clock: Clock,
    /// `None`: no limit, nothing to wait or to lock for.
    bucket: Option<Mutex<TokenBucket>>,
}

impl Limiter {
    pub(crate) fn new(clock: Clock, bytes_per_second: Option<u64>) -> Self {
        let bucket = bytes_per_second.map(|rate| {
            // A twentieth of a second: wake-ups come some milliseconds late, and
            // what was not used meanwhile must not be lost.
            let burst = (rate / 20).max(2 * PIECE_BYTES as u64);
            Mutex::new(TokenBucket::new(Some(rate), burst))
        });
        Self { clock, bucket }
    }

    /// Waits until `bytes` may pass. The lock is held while waiting, so tasks
    /// go in the order of their coming; each takes a piece at a time, so they
    /// take turns.
    pub(crate) async fn pass(&self, bytes: usize) {
        let Some(bucket) = &self.bucket else { return };
        let mut bucket = bucket.lock().await;
        let wait = bucket.take(self.clock.now(), bytes as u64);
        if wait > Duration::ZERO {
            tokio::time::sleep(wait).await;
        }
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.bucket.is_some()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use gannet_base::Timestamp;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn four_tasks_share_a_rate_evenly() {
        let clock = Clock::start();
        let limiter = Arc::new(Limiter::new(clock, Some(1_000_000)));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..4 {
            let limiter = Arc::clone(&limiter);
            tasks.spawn(async move {
                for _ in 0..40 {
                    limiter.pass(50_000).await;
                }
                clock.now()
            });
        }
        let ends = tasks.join_all().await;
        let first = *ends.iter().min().expect("four tasks ended");
        let last = *ends.iter().max().expect("four tasks ended");
        // 8 MB at 1 MB/s, the burst of 128 KiB being free.
        let whole = (Timestamp::from_millis(7_800), Timestamp::from_millis(8_010));
        assert!(whole.0 <= last && last <= whole.1, "{ends:?}");
        assert!(last - first < Duration::from_millis(500), "{ends:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn no_limit_means_no_waiting() {
        let clock = Clock::start();
        let limiter = Limiter::new(clock, None);
        limiter.pass(usize::MAX).await;
        assert_eq!(clock.now().as_micros(), 0);
    }
}
