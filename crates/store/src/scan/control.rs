//! Steering and observing a scan from other threads.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex};
use std::time::{Duration, Instant};

/// How far a scan is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Progress {
    /// Files looked at.
    pub files_seen: u64,
    /// Files that need hashing, found so far.
    pub files_to_hash: u64,
    /// Files hashed.
    pub files_hashed: u64,
    /// Bytes that need hashing, found so far.
    pub bytes_to_hash: u64,
    /// Bytes hashed.
    pub bytes_hashed: u64,
    /// Files and folders left out.
    pub skipped: u64,
}

/// Steers and observes one running scan from other threads.
#[derive(Debug, Default)]
pub struct ScanControl {
    cancelled: AtomicBool,
    pub(super) files_seen: AtomicU64,
    pub(super) files_to_hash: AtomicU64,
    pub(super) files_hashed: AtomicU64,
    pub(super) bytes_to_hash: AtomicU64,
    pub(super) bytes_hashed: AtomicU64,
    pub(super) skipped: AtomicU64,
    /// Wakes who waits for the rate.
    waiting: Mutex<()>,
    woken: Condvar,
}

impl ScanControl {
    /// A control for one scan.
    pub fn new() -> Self {
        Self::default()
    }

    /// Ends the scan soon; what is hashed is kept.
    pub fn cancel(&self) {
        self.cancelled.store(true, Ordering::Relaxed);
        drop(self.waiting.lock());
        self.woken.notify_all();
    }

    /// Whether it was told to end.
    pub fn is_cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }

    /// How far it is.
    pub fn progress(&self) -> Progress {
        let load = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        Progress {
            files_seen: load(&self.files_seen),
            files_to_hash: load(&self.files_to_hash),
            files_hashed: load(&self.files_hashed),
            bytes_to_hash: load(&self.bytes_to_hash),
            bytes_hashed: load(&self.bytes_hashed),
            skipped: load(&self.skipped),
        }
    }

    /// Waits, unless it is cancelled meanwhile.
    fn wait(&self, time: Duration) {
        let until = Instant::now() + time;
        let Ok(mut guard) = self.waiting.lock() else {
            return;
        };
        while !self.is_cancelled() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            match self.woken.wait_timeout(guard, left) {
                Ok((again, _)) => guard = again,
                Err(_) => return,
            }
        }
    }
}

pub(super) fn add(counter: &AtomicU64, n: u64) {
    counter.fetch_add(n, Ordering::Relaxed);
}

/// Counts what is hashed and keeps to a rate.
pub(crate) struct Paced<'a> {
    control: &'a ScanControl,
    stop: &'a AtomicBool,
    bytes_per_second: Option<u64>,
    /// When the bytes that were given out so far are paid for.
    paid_until: Mutex<Instant>,
}

impl<'a> Paced<'a> {
    pub(crate) fn new(
        control: &'a ScanControl,
        stop: &'a AtomicBool,
        bytes_per_second: Option<u64>,
    ) -> Self {
        Self {
            control,
            stop,
            bytes_per_second,
            paid_until: Mutex::new(Instant::now()),
        }
    }
}

impl crate::hash::Pace for Paced<'_> {
    fn take(&self, bytes: u64) -> bool {
        if let Some(rate) = self.bytes_per_second {
            let cost = Duration::from_secs_f64(bytes as f64 / rate.max(1) as f64);
            let wait = {
                let mut paid = self.paid_until.lock().expect("no holder panicked");
                let now = Instant::now();
                let wait = paid.saturating_duration_since(now);
                *paid = (*paid).max(now) + cost;
                wait
            };
            self.control.wait(wait);
        }
        add(&self.control.bytes_hashed, bytes);
        !self.control.is_cancelled() && !self.stop.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Pace as _;

    #[test]
    fn the_rate_is_kept_and_cancelling_ends_the_wait() {
        let (control, stop) = (ScanControl::new(), AtomicBool::new(false));
        let pace = Paced::new(&control, &stop, Some(1_000_000));
        let start = Instant::now();
        for _ in 0..5 {
            assert!(pace.take(20_000));
        }
        let took = start.elapsed();
        assert!(took >= Duration::from_millis(80), "{took:?}");
        assert_eq!(control.progress().bytes_hashed, 100_000);
        // A wait of an hour, but for the cancelling.
        assert!(pace.take(3_600_000_000));
        std::thread::scope(|threads| {
            let waiter = threads.spawn(|| pace.take(1));
            control.cancel();
            assert!(!waiter.join().unwrap());
        });
    }
}
