//! Rate limits for tasks: the pure bucket, and waiting in line for it.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use gannet_swarm::TokenBucket;
use tokio::sync::{Mutex, Notify};

use crate::clock::Clock;

/// Smallest burst, bytes: what tasks pass through it at a time.
pub(crate) const PIECE_BYTES: usize = 64 * 1024;

/// One limit shared by many tasks, first come first served.
#[derive(Debug)]
pub(crate) struct Limiter {
    clock: Clock,
    /// Bytes a second; 0 is no limit: nothing to wait or to lock for.
    rate: AtomicU64,
    bucket: Mutex<TokenBucket>,
    changed: Notify,
}

impl Limiter {
    pub(crate) fn new(clock: Clock, bytes_per_second: Option<u64>) -> Self {
        let rate = bytes_per_second.unwrap_or(0);
        Self {
            clock,
            rate: AtomicU64::new(rate),
            bucket: Mutex::new(bucket(rate)),
            changed: Notify::new(),
        }
    }

    /// Limits to another rate from now on. Who waits at the old one goes at once.
    pub(crate) fn set_rate(&self, bytes_per_second: Option<u64>) {
        self.rate
            .store(bytes_per_second.unwrap_or(0), Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Waits until `bytes` may pass. The lock is held while waiting, so tasks
    /// go in the order of their coming; each takes a piece at a time, so they
    /// take turns.
    pub(crate) async fn pass(&self, bytes: usize) {
        if !self.is_limited() {
            return;
        }
        let mut limit = self.bucket.lock().await;
        let changed = self.changed.notified();
        let rate = self.rate.load(Ordering::Relaxed);
        if rate == 0 {
            return;
        }
        if limit.bytes_per_second() != Some(rate) {
            *limit = bucket(rate);
        }
        let wait = limit.take(self.clock.now(), bytes as u64);
        if wait > Duration::ZERO {
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = changed => {}
            }
        }
    }

    pub(crate) fn is_limited(&self) -> bool {
        self.rate.load(Ordering::Relaxed) > 0
    }
}

fn bucket(rate: u64) -> TokenBucket {
    // A twentieth of a second: wake-ups come some milliseconds late, and what was
    // not used meanwhile must not be lost.
    let burst = (rate / 20).max(2 * PIECE_BYTES as u64);
    TokenBucket::new((rate > 0).then_some(rate), burst)
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

    #[tokio::test(start_paused = true)]
    async fn a_new_rate_holds_at_once() {
        let clock = Clock::start();
        let limiter = Arc::new(Limiter::new(clock, Some(1_000)));
        let slow = Arc::clone(&limiter);
        let waiting = tokio::spawn(async move {
            slow.pass(1_000_000).await;
            clock.now()
        });
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(1)).await;
        limiter.set_rate(Some(1_000_000));
        let went = waiting.await.expect("it goes");
        assert!(went < Timestamp::from_millis(1_100), "{went:?}");
        let before = clock.now();
        limiter.pass(2_131_072).await;
        assert_eq!(
            limiter.bucket.lock().await.bytes_per_second(),
            Some(1_000_000)
        );
        let took = clock.now() - before;
        assert!(
            took >= Duration::from_secs(2) && took < Duration::from_millis(2_100),
            "{took:?}"
        );
        limiter.set_rate(None);
        limiter.pass(usize::MAX).await;
        assert!(!limiter.is_limited());
    }
}
