//! Bandwidth: each peer has one line out and one in, first come, first served.

use std::time::Duration;

use gannet_base::Timestamp;

use super::index;
use crate::Bandwidth;

/// All lines. Keeps nothing as long as no peer has a limit.
#[derive(Debug)]
pub(super) struct Pipes {
    default: Bandwidth,
    queue_bytes_max: u64,
    /// Either empty or long enough for every peer that has sent.
    lines: Vec<Lines>,
    limited: bool,
}

#[derive(Debug, Clone, Copy)]
struct Lines {
    bandwidth: Bandwidth,
    /// When the last byte that was put in is through.
    out_free: Timestamp,
    in_free: Timestamp,
}

impl Pipes {
    pub(super) fn new(default: Bandwidth, queue_bytes_max: u64) -> Self {
        Self {
            default,
            queue_bytes_max,
            lines: Vec::new(),
            limited: default != Bandwidth::default(),
        }
    }

    pub(super) fn set(&mut self, node: u32, bandwidth: Bandwidth) {
        self.limited = true;
        self.lines_of(node).bandwidth = bandwidth;
    }

    /// Whether any peer has a limit.
    pub(super) fn limited(&self) -> bool {
        self.limited
    }

    /// When the last byte leaves; nothing if too many wait.
    pub(super) fn send(&mut self, node: u32, now: Timestamp, size: u32) -> Option<Timestamp> {
        let queue_bytes_max = self.queue_bytes_max;
        let lines = self.lines_of(node);
        through(
            lines.bandwidth.up,
            &mut lines.out_free,
            now,
            size,
            queue_bytes_max,
        )
    }

    /// When the last byte is in; nothing if too many wait.
    pub(super) fn receive(&mut self, node: u32, now: Timestamp, size: u32) -> Option<Timestamp> {
        let queue_bytes_max = self.queue_bytes_max;
        let lines = self.lines_of(node);
        through(
            lines.bandwidth.down,
            &mut lines.in_free,
            now,
            size,
            queue_bytes_max,
        )
    }

    fn lines_of(&mut self, node: u32) -> &mut Lines {
        let place = index(node);
        if self.lines.len() <= place {
            let fresh = Lines {
                bandwidth: self.default,
                out_free: Timestamp::ZERO,
                in_free: Timestamp::ZERO,
            };
            self.lines.resize(place + 1, fresh);
        }
        &mut self.lines[place]
    }
}

/// Puts a message on a line of so many bytes a second.
fn through(
    rate: u64,
    free: &mut Timestamp,
    now: Timestamp,
    size: u32,
    queue_bytes_max: u64,
) -> Option<Timestamp> {
    if rate == 0 {
        return Some(now);
    }
    let wait = free.saturating_since(now).as_micros();
    if wait * u128::from(rate) / 1_000_000 + u128::from(size) > u128::from(queue_bytes_max) {
        return None;
    }
    let takes = (u64::from(size) * 1_000_000).div_ceil(rate);
    *free = (*free).max(now) + Duration::from_micros(takes);
    Some(*free)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_wait_for_those_before_them() {
        let bandwidth = Bandwidth { up: 1_000, down: 0 };
        let mut pipes = Pipes::new(bandwidth, 2_000);
        let at = Timestamp::from_secs(5);
        let ms = |ms: u64| Some(Timestamp::from_millis(5_000 + ms));
        assert_eq!(pipes.send(0, at, 500), ms(500));
        assert_eq!(pipes.send(0, at, 1_000), ms(1_500));
        assert_eq!(pipes.send(0, at, 501), None, "2,001 bytes would wait");
        assert_eq!(pipes.send(0, at, 500), ms(2_000));
        assert_eq!(pipes.send(1, at, 500), ms(500), "a line of its own");
        assert_eq!(pipes.receive(0, at, u32::MAX), ms(0), "no limit");
    }
}
