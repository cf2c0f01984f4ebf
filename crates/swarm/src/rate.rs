//! How fast bytes come, measured over the time in which they could have come.

use std::time::Duration;

use gannet_base::Timestamp;

/// Shortest span that is turned into a sample.
// Guess: several slices of a fast source, less than anybody notices.
const SAMPLE: Duration = Duration::from_millis(50);

/// Time constant of the moving average.
// Guess: follows a change within a second.
const SMOOTHING: Duration = Duration::from_millis(500);

/// The same while the speed rises: a window grows with the measured speed, so
/// a slow measure would make a slow start.
// Guess: two samples.
const SMOOTHING_UP: Duration = Duration::from_millis(100);

/// How long the first byte may take before its absence counts as slowness.
// Guess: longer than any round trip.
const FIRST_BYTE: Duration = Duration::from_millis(500);

/// A burst that tells a speed although a round trip is in it. Less would only
/// tell the round trip.
// Guess: the first slice of a source.
const BURST_BYTES: u64 = 128 * 1024;

/// Exponentially weighted moving average of bytes a second. Only the time in
/// which bytes flow counts: the meter is started when bytes are asked for,
/// measures from the first that comes, so that a round trip is not taken for a
/// slow line, and is stopped when none are waited for.
#[derive(Debug, Clone, Default)]
pub(crate) struct RateMeter {
    rate: Option<u64>,
    started: Option<Timestamp>,
    /// Start of the present sample.
    since: Option<Timestamp>,
    bytes: u64,
    /// Came at the very start of the first sample.
    first: u64,
}

impl RateMeter {
    /// Bytes are being waited for from now on.
    pub(crate) fn start(&mut self, now: Timestamp) {
        if self.started.is_none() {
            self.started = Some(now);
        }
    }

    /// No more bytes are waited for. If nothing else is known, what came since
    /// the start gives the speed, round trip and all.
    pub(crate) fn stop(&mut self, now: Timestamp) {
        match (self.rate, self.started, self.since) {
            (None, Some(started), _) => {
                let bytes = self.first.saturating_add(self.bytes);
                let telling = bytes >= BURST_BYTES || now - started > FIRST_BYTE;
                self.rate = (bytes > 0 && telling).then(|| per_second(bytes, now - started));
            }
            (_, _, Some(since)) if now - since >= SAMPLE => self.fold(now - since),
            _ => {}
        }
        (self.started, self.since, self.bytes, self.first) = (None, None, 0, 0);
    }

    /// Bytes came.
    pub(crate) fn add(&mut self, now: Timestamp, bytes: u64) {
        self.start(now);
        let Some(since) = self.since else {
            self.since = Some(now);
            self.first = bytes;
            return;
        };
        self.bytes = self.bytes.saturating_add(bytes);
        if now - since >= SAMPLE {
            self.fold(now - since);
            self.since = Some(now);
            (self.bytes, self.first) = (0, 0);
        }
    }

    /// Bytes a second as of now; falls while nothing comes. `None` before the
    /// first sample.
    pub(crate) fn rate(&self, now: Timestamp) -> Option<u64> {
        let rate = self.rate?;
        let silent = match (self.since, self.started) {
            (Some(since), _) if now - since >= SAMPLE => now - since,
            (None, Some(started)) if now - started > FIRST_BYTE => now - started - FIRST_BYTE,
            _ => return Some(rate),
        };
        Some(blend(rate, self.bytes, silent).min(rate))
    }

    fn fold(&mut self, elapsed: Duration) {
        self.rate = match self.rate {
            Some(rate) => Some(blend(rate, self.bytes, elapsed)),
            None if self.bytes == 0 => None,
            None => Some(per_second(self.bytes, elapsed)),
        };
    }
}

/// `rate`, moved towards `bytes` in `elapsed`.
fn blend(rate: u64, bytes: u64, elapsed: Duration) -> u64 {
    let micros = elapsed.as_micros().max(1);
    let rising = per_second(bytes, elapsed) > rate;
    let smoothing = if rising { SMOOTHING_UP } else { SMOOTHING }.as_micros();
    let kept = u128::from(rate) * smoothing;
    let fresh = u128::from(bytes) * 1_000_000;
    u64::try_from((kept + fresh) / (smoothing + micros)).unwrap_or(u64::MAX)
}

/// Bytes a second.
pub(crate) fn per_second(bytes: u64, elapsed: Duration) -> u64 {
    let rate = u128::from(bytes) * 1_000_000 / elapsed.as_micros().max(1);
    u64::try_from(rate).unwrap_or(u64::MAX)
}

/// How long `bytes` take at `rate`; an hour at most.
pub(crate) fn time_for(bytes: u64, rate: u64) -> Duration {
    let micros = u128::from(bytes) * 1_000_000 / u128::from(rate.max(1));
    let hour = Duration::from_secs(3_600);
    u64::try_from(micros).map_or(hour, |micros| Duration::from_micros(micros).min(hour))
}

/// How many bytes come in `time` at `rate`.
pub(crate) fn bytes_in(time: Duration, rate: u64) -> u64 {
    u64::try_from(time.as_micros().saturating_mul(u128::from(rate)) / 1_000_000).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn steady_bytes_are_measured_and_pauses_do_not_count() {
        let mut meter = RateMeter::default();
        assert_eq!(meter.rate(ms(0)), None);
        meter.start(ms(0));
        for n in 1..=100 {
            meter.add(ms(n * 10), 10_000);
        }
        let rate = meter.rate(ms(1_000)).expect("measured");
        assert!((990_000..=1_010_000).contains(&rate), "{rate}");
        meter.stop(ms(1_000));
        assert_eq!(meter.rate(ms(9_000)), Some(rate), "idle time is not slow");
    }

    #[test]
    fn silence_lowers_the_rate_and_a_change_is_followed() {
        let mut meter = RateMeter::default();
        meter.start(ms(0));
        for n in 1..=100 {
            meter.add(ms(n * 10), 10_000);
        }
        let after = |millis: u64| meter.rate(ms(1_000 + millis)).expect("measured");
        assert!(after(500) < 600_000 && after(5_000) < 120_000);
        for n in 101..=300 {
            meter.add(ms(n * 10), 100_000);
        }
        assert!(meter.rate(ms(3_000)).expect("measured") > 9_000_000);
    }

    #[test]
    fn a_round_trip_is_no_slowness_but_long_silence_is() {
        let mut meter = RateMeter::default();
        meter.start(ms(0));
        for n in 0..=10 {
            meter.add(ms(300 + n * 10), 10_000);
        }
        assert_eq!(meter.rate(ms(400)), Some(1_000_000));
        meter.stop(ms(400));
        meter.start(ms(1_000));
        assert_eq!(meter.rate(ms(1_400)), Some(1_000_000));
        assert!(meter.rate(ms(3_000)).is_some_and(|rate| rate < 300_000));
    }

    #[test]
    fn a_single_short_burst_is_a_sample_if_there_is_no_other() {
        let mut meter = RateMeter::default();
        meter.start(ms(0));
        meter.add(ms(10), 1_000);
        meter.stop(ms(10));
        assert_eq!(meter.rate(ms(10)), None, "too little to tell");
        meter.start(ms(20));
        meter.add(ms(30), 200_000);
        meter.stop(ms(30));
        assert_eq!(meter.rate(ms(30)), Some(20_000_000));
        meter.add(ms(40), 1_000);
        meter.stop(ms(41));
        assert_eq!(
            meter.rate(ms(50)),
            Some(20_000_000),
            "something else is known"
        );
    }

    #[test]
    fn extremes_do_not_overflow() {
        assert_eq!(per_second(u64::MAX, Duration::ZERO), u64::MAX);
        assert_eq!(time_for(u64::MAX, 0), Duration::from_secs(3_600));
        assert_eq!(bytes_in(Duration::MAX, u64::MAX), u64::MAX);
        let mut meter = RateMeter::default();
        meter.add(ms(0), u64::MAX);
        meter.add(Timestamp::MAX, u64::MAX);
        assert!(meter.rate(Timestamp::MAX).is_some());
    }
}
