//! Whether a transfer gets one more lane: what another one gave decides about the next.
//! Where packets are lost, a controller that takes each loss for a full path leaves most of
//! it empty, and each lane fills a part of its own (Mathis et al. 1997). Without a clock:
//! `now` is the time since any start.

use std::time::Duration;

use super::braid::LANES_MAX;

/// Time for a lane to find its rate. Too low: it is judged while it begins; too high:
/// the transfer is over before it is wide.
// Guess: some round trips of a far peer.
const SETTLE: Duration = Duration::from_millis(500);
/// Time over which a rate is measured. Same trade.
// Guess: ten round trips of a far peer.
const WINDOW: Duration = Duration::from_secs(1);
/// How much faster than with one lane a transfer must be for each lane that came to it, or
/// there comes no other. Too low: noise adds lanes; too high: one that begins slowly is the
/// last.
// Guess: much less than the one that a lane gives at best.
const GAIN: f64 = 0.15;
/// Bytes of a window below which the transfer is not held up by the network's losses alone.
// Guess: a byte in ten microseconds: a link so slow is full, or the other side waits.
const WINDOW_BYTES_MIN: u64 = 100 * 1024;

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Widening {
    lanes: usize,
    state: State,
    /// Bytes a second with one lane.
    alone: Option<f64>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq)]
enum State {
    /// Nothing to measure: there is no lane, the next is on its way, or there shall be none.
    #[default]
    Idle,
    /// Bytes since this time, which may be yet to come.
    Measuring { from: Duration, bytes: u64 },
}

impl Widening {
    /// One more lane stands.
    pub(crate) fn joined(&mut self, now: Duration) {
        self.lanes += 1;
        let from = now.saturating_add(SETTLE);
        self.state = State::Measuring { from, bytes: 0 };
    }

    /// Bytes came or went. Whether to make another lane now: said once, until it has
    /// [`joined`](Self::joined).
    pub(crate) fn moved(&mut self, now: Duration, count: usize) -> bool {
        let State::Measuring { from, bytes } = &mut self.state else {
            return false;
        };
        let Some(passed) = now.checked_sub(*from) else {
            return false;
        };
        *bytes = bytes.saturating_add(u64::try_from(count).unwrap_or(u64::MAX));
        if passed < WINDOW {
            return false;
        }
        let bytes = *bytes;
        self.state = State::Idle;
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = bytes as f64 / passed.as_secs_f64();
        let further = f64::from(u32::try_from(self.lanes - 1).unwrap_or(u32::MAX));
        let has_gained = rate >= *self.alone.get_or_insert(rate) * (1.0 + GAIN * further);
        has_gained && bytes >= WINDOW_BYTES_MIN && self.lanes < LANES_MAX
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Moves bytes at a rate that depends on the lanes, and makes lanes as told; how many
    /// there are after some seconds, and when each came.
    fn run(rate: impl Fn(usize) -> usize) -> (usize, Vec<u64>) {
        let (mut widening, mut lanes, mut times) = (Widening::default(), 1, Vec::new());
        widening.joined(Duration::ZERO);
        for ms in (0..20_000).step_by(10) {
            let now = Duration::from_millis(ms);
            if widening.moved(now, rate(lanes) / 100) {
                lanes += 1;
                times.push(ms);
                widening.joined(now);
            }
        }
        (lanes, times)
    }

    #[test]
    fn lanes_are_added_while_they_give_something() {
        assert_eq!(run(|lanes| lanes * 1_000_000), (4, vec![1500, 3000, 4500]));
        assert_eq!(run(|lanes| 1_000_000 + lanes * 100_000).0, 2);
        assert_eq!(run(|_| 5_000_000).0, 2, "one try");
        assert_eq!(run(|_| 50_000).0, 1, "that is not what is missing");
    }

    #[test]
    fn nobody_is_asked_twice_for_one_lane() {
        let mut widening = Widening::default();
        assert!(!widening.moved(Duration::from_secs(9), 1 << 30), "no lane");
        widening.joined(Duration::from_secs(10));
        assert!(!widening.moved(Duration::from_secs(10), 1 << 30));
        assert!(widening.moved(Duration::from_secs(12), 1 << 30));
        assert!(!widening.moved(Duration::from_secs(14), 1 << 30));
    }
}
