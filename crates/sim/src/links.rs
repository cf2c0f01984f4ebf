//! What lies between two peers: how long a message takes, and how it fares.

use std::sync::Arc;
use std::time::Duration;

use crate::Impossible;
use crate::fingerprint::mixed;

/// How long a message takes from one peer to another, not counting the time
/// that its bytes wait for bandwidth. Fixed for a pair of peers, alike in both
/// directions, and drawn from the pair's numbers and the seed.
#[derive(Debug, Clone, PartialEq)]
pub enum Latency {
    /// The same everywhere.
    Equal(Duration),
    /// Evenly distributed from the first to the second.
    Uniform(Duration, Duration),
    /// Exponentially distributed with this mean: many short, some very long.
    Exponential(Duration),
    /// Peers lie at random places of a square whose diagonal takes `across`;
    /// `base` comes on top.
    Plane {
        /// What even neighbours take.
        base: Duration,
        /// From one corner to the opposite one.
        across: Duration,
    },
    /// Measured: peers stand, in the order of their numbers and over again, for
    /// the rows of a square matrix.
    Matrix(Arc<LatencyMatrix>),
}

/// Latencies between places.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencyMatrix {
    /// How many places; the matrix has this many rows and columns.
    pub places: u32,
    /// Row after row, microseconds one way.
    pub micros: Vec<u32>,
}

impl Latency {
    /// What can be typed.
    const KINDS: &str = "a latency is equal, equal:MS, uniform:LOW,HIGH, exp:MEAN or \
         plane:BASE,ACROSS, in milliseconds up to 60000";

    /// Reads `equal` (100 ms), `equal:MS`, `uniform:LOW,HIGH`, `exp:MEAN` or
    /// `plane:BASE,ACROSS`, all in milliseconds, with fractions.
    ///
    /// # Errors
    ///
    /// If it is none of these, or a number is negative or above 60,000.
    pub fn parse(parameter: &'static str, text: &str) -> Result<Self, Impossible> {
        let wrong = || Impossible::new(parameter, text, Self::KINDS);
        let (kind, rest) = text.split_once(':').unwrap_or((text, ""));
        let mut numbers = Vec::new();
        for number in rest.split(',').filter(|_| !rest.is_empty()) {
            let millis: f64 = number.trim().parse().map_err(|_| wrong())?;
            if !(0.0..=60_000.0).contains(&millis) {
                return Err(wrong());
            }
            numbers.push(micros(millis * 1_000.0));
        }
        match (kind, numbers.as_slice()) {
            ("equal", []) => Ok(Self::Equal(Duration::from_millis(100))),
            ("equal", [latency]) => Ok(Self::Equal(*latency)),
            ("uniform", [low, high]) if low <= high => Ok(Self::Uniform(*low, *high)),
            ("exp", [mean]) => Ok(Self::Exponential(*mean)),
            ("plane", [base, across]) => Ok(Self::Plane {
                base: *base,
                across: *across,
            }),
            _ => Err(wrong()),
        }
    }

    /// How long a message takes between these two.
    pub(crate) fn between(&self, seed: u64, a: u32, b: u32) -> Duration {
        match self {
            Self::Equal(latency) => *latency,
            Self::Uniform(low, high) => {
                let span = high.saturating_sub(*low).as_micros();
                *low + micros(unit(pair(seed, a, b)) * float(span))
            }
            Self::Exponential(mean) => {
                let share = 1.0 - unit(pair(seed, a, b));
                micros(-share.ln() * float(mean.as_micros()))
            }
            Self::Plane { base, across } => {
                let (ax, ay) = place(seed, a);
                let (bx, by) = place(seed, b);
                let distance = (ax - bx).hypot(ay - by) / std::f64::consts::SQRT_2;
                *base + micros(distance * float(across.as_micros()))
            }
            Self::Matrix(matrix) => {
                let (row, column) = (a % matrix.places, b % matrix.places);
                let cell = u64::from(row) * u64::from(matrix.places) + u64::from(column);
                let cell = usize::try_from(cell).unwrap_or(usize::MAX);
                let micros = matrix.micros.get(cell).copied().unwrap_or_default();
                Duration::from_micros(u64::from(micros))
            }
        }
    }
}

/// Evenly from 0 to 1, without 1.
fn unit(bits: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit exactly")]
    let value = (bits >> 11) as f64;
    value / 9_007_199_254_740_992.0
}

#[expect(clippy::cast_precision_loss, reason = "latencies are far below 2^53")]
fn float(micros: u128) -> f64 {
    micros as f64
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and below a microsecond nothing is told apart"
)]
fn micros(value: f64) -> Duration {
    Duration::from_micros(value as u64)
}

/// A number of its own for a pair, whichever comes first.
fn pair(seed: u64, a: u32, b: u32) -> u64 {
    let both = u64::from(a.min(b)) << 32 | u64::from(a.max(b));
    mixed(mixed(both ^ 0x9e37_79b9_7f4a_7c15).wrapping_add(seed))
}

fn place(seed: u64, node: u32) -> (f64, f64) {
    let bits = mixed(mixed(u64::from(node)).wrapping_add(seed));
    (unit(bits), unit(mixed(bits)))
}

/// Whether links must be made before they carry anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Mode {
    /// As in reality: a message travels only along a link that was dialled, in
    /// order, and the ends hear of its fate.
    #[default]
    Connected,
    /// Everything that is sent travels; there is no news of links. For networks
    /// whose neighbours are given once and for all: it keeps nothing per link.
    Open,
}

/// Bytes a second, and how much may wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Bandwidth {
    /// Bytes a second out; 0 is without limit.
    pub up: u64,
    /// Bytes a second in; 0 is without limit.
    pub down: u64,
}

/// What lies between peers.
#[derive(Debug, Clone, PartialEq)]
pub struct LinkModel {
    /// Whether links must be made.
    pub mode: Mode,
    /// How long messages take.
    pub latency: Latency,
    /// Whether the latency is drawn anew for each message, and not once and for all
    /// for each pair.
    pub redrawn: bool,
    /// Up to this much more, drawn for each message. In [`Mode::Connected`]
    /// messages of a link keep their order nevertheless.
    pub jitter: Duration,
    /// What goes wrong with messages, at first.
    pub faults: crate::Faults,
    /// Of every peer that is given none of its own.
    pub bandwidth: Bandwidth,
    /// Most bytes that wait for a peer's bandwidth, each way; more are dropped.
    /// Without effect where bandwidth is without limit.
    pub queue_bytes_max: u64,
    /// How long it takes until the other end of a link notices a crash or a
    /// partition.
    pub notice: Duration,
    /// How long a dial takes to fail when nobody answers.
    pub dial_timeout: Duration,
}

impl LinkModel {
    /// Links of 50 ms that do everything right and have to be dialled.
    pub fn new(mode: Mode, latency: Latency) -> Self {
        Self {
            mode,
            latency,
            redrawn: false,
            jitter: Duration::ZERO,
            faults: crate::Faults::NONE,
            bandwidth: Bandwidth::default(),
            // Guess: a second of a fast home's uplink.
            queue_bytes_max: 4 << 20,
            // Source: QUIC connections idle out after 10 to 30 s as they are usually configured.
            notice: Duration::from_secs(15),
            // Source: the handshake of a QUIC connection is usually given 5 to 10 s.
            dial_timeout: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: fn(u64) -> Duration = Duration::from_millis;

    fn mean(latency: &Latency) -> (f64, Duration, Duration) {
        let (mut sum, mut low, mut high) = (Duration::ZERO, Duration::MAX, Duration::ZERO);
        for a in 0..200 {
            for b in 0..200 {
                let one = latency.between(7, a, b);
                assert_eq!(one, latency.between(7, b, a), "alike both ways");
                sum += one;
                low = low.min(one);
                high = high.max(one);
            }
        }
        (sum.as_secs_f64() / 40_000.0, low, high)
    }

    #[test]
    fn latencies_are_distributed_as_they_say() {
        assert_eq!(mean(&Latency::Equal(MS(50))), (0.05, MS(50), MS(50)));
        let (average, low, high) = mean(&Latency::Uniform(MS(80), MS(120)));
        assert!((average - 0.1).abs() < 0.001, "{average}");
        assert!(low >= MS(80) && low < MS(81) && high < MS(120) && high > MS(119));
        let (average, low, high) = mean(&Latency::Exponential(MS(100)));
        assert!((average - 0.1).abs() < 0.002, "{average}");
        assert!(low < MS(1) && high > MS(700), "{low:?} {high:?}");
        let plane = Latency::Plane {
            base: MS(5),
            across: MS(100),
        };
        // The mean distance of two points of a unit square is 0.5214.
        let (average, ..) = mean(&plane);
        assert!(
            (average - 0.005 - 0.05214 / std::f64::consts::SQRT_2).abs() < 0.004,
            "{average}"
        );
    }

    #[test]
    fn latencies_can_be_typed() {
        let parse = |text| Latency::parse("--latency", text);
        assert_eq!(parse("equal"), Ok(Latency::Equal(MS(100))));
        assert_eq!(
            parse("equal:2.5"),
            Ok(Latency::Equal(Duration::from_micros(2_500)))
        );
        assert_eq!(
            parse("uniform:80,120"),
            Ok(Latency::Uniform(MS(80), MS(120)))
        );
        assert_eq!(parse("exp:50"), Ok(Latency::Exponential(MS(50))));
        for text in [
            "",
            "exp",
            "exp:-1",
            "exp:1,2",
            "uniform:9,8",
            "equal:inf",
            "fast:1",
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains("uniform:LOW,HIGH"), "{error}");
        }
    }

    #[test]
    fn a_matrix_is_looked_up() {
        let matrix = LatencyMatrix {
            places: 2,
            micros: vec![1, 2, 3, 4],
        };
        let latency = Latency::Matrix(Arc::new(matrix));
        let found: Vec<_> = [(0, 0), (0, 1), (3, 2), (5, 7)]
            .into_iter()
            .map(|(a, b)| latency.between(0, a, b).as_micros())
            .collect();
        assert_eq!(found, [1, 2, 3, 4]);
    }
}
