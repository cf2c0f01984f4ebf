//! How long peers stay.
//!
//! **Problem.** A network in which everybody has just arrived behaves unlike
//! one that has run for days: who is online at a given moment is more likely
//! in the middle of a long session.
//!
//! **Goals.** Sessions as they were measured (Weibull), as they are often
//! modelled (exponential), or as a list says; draws of whole sessions, and of
//! the sessions that a steady state is in the middle of; the closed forms of
//! renewal theory beside them.
//!
//! **Non-goals.** Sessions that depend on each other or on the hour of the day.

use std::f64::consts::{LN_2, PI};
use std::time::Duration;

use gannet_base::Rng;

use crate::draw::{self, unit, unit_above_zero};
use crate::gamma::{gamma, gamma_below};
use crate::impossible::Impossible;
use crate::stats;

/// How the lengths of sessions, or of the times between them, are distributed.
/// All times are in seconds.
#[derive(Debug, Clone, PartialEq)]
pub enum Sessions {
    /// `exp:MEAN`: as likely to end now as ever.
    Exponential {
        /// The mean.
        mean: f64,
    },
    /// `weibull:SHAPE,SCALE`: with a shape below 1, who has stayed long is
    /// likely to stay on.
    Weibull {
        /// 0.1 to 10.
        shape: f64,
        /// What 63 of 100 sessions do not exceed.
        scale: f64,
    },
    /// `trace:PATH`: lengths from a list, each equally likely.
    Trace(Trace),
}

/// A list of lengths; not empty, all above 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Trace {
    /// Ascending.
    lengths: Vec<f64>,
    /// The sum of the lengths up to each one.
    sums: Vec<f64>,
}

/// A session that is under way.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct UnderWay {
    /// How long it has lasted, seconds.
    pub age: f64,
    /// How long it will still last, seconds.
    pub residual: f64,
}

/// What can be typed.
const KINDS: &str = "sessions are exp:MEAN, weibull:SHAPE,SCALE or trace:PATH, in seconds";
/// What a trace is.
const TRACE: &str = "a trace has one length a line, seconds above 0; # begins a comment";
/// Longest scale or length, seconds: 300 years.
const LONGEST: f64 = 1e10;
/// Shortest scale or length: a microsecond, the resolution of virtual time.
const SHORTEST: f64 = 1e-6;

impl Sessions {
    /// The path of the list, if this is `trace:PATH`.
    pub fn trace_path(spec: &str) -> Option<&str> {
        spec.strip_prefix("trace:").filter(|path| !path.is_empty())
    }

    /// Takes what was typed for `parameter` (such as `--session`): `exp:MEAN`,
    /// `weibull:SHAPE,SCALE`, or `trace:PATH` with the text of the list.
    ///
    /// # Errors
    ///
    /// If it is none of these; the message says what is possible.
    pub fn parse(
        parameter: &'static str,
        spec: &str,
        text: Option<&str>,
    ) -> Result<Self, Impossible> {
        let wrong = |possible: &str| Impossible::new(parameter, spec, possible);
        let seconds = |text: &str| {
            let value = text.trim().parse::<f64>().ok();
            value.filter(|value| (SHORTEST..=LONGEST).contains(value))
        };
        let (kind, rest) = spec.split_once(':').ok_or_else(|| wrong(KINDS))?;
        match kind {
            "exp" => {
                let mean = seconds(rest).ok_or_else(|| {
                    wrong("the mean is a number of seconds above 0, such as exp:3600")
                })?;
                Ok(Self::Exponential { mean })
            }
            "weibull" => {
                let (shape, scale) = rest
                    .split_once(',')
                    .and_then(|(shape, scale)| {
                        let shape = shape.trim().parse::<f64>().ok();
                        let shape = shape.filter(|shape| (0.1..=10.0).contains(shape))?;
                        Some((shape, seconds(scale)?))
                    })
                    .ok_or_else(|| {
                        wrong(
                            "the shape is from 0.1 to 10 and the scale a number of seconds above \
                             0, such as weibull:0.38,2544",
                        )
                    })?;
                Ok(Self::Weibull { shape, scale })
            }
            "trace" if !rest.is_empty() => {
                let lines = text.unwrap_or_default().lines().zip(1_u64..);
                let mut lengths = Vec::new();
                for (line, number) in lines {
                    let content = line.split('#').next().unwrap_or_default().trim();
                    if content.is_empty() {
                        continue;
                    }
                    let length = seconds(content);
                    lengths.push(length.ok_or_else(|| wrong(&format!("line {number}: {TRACE}")))?);
                }
                let trace = Trace::new(lengths).ok_or_else(|| wrong(TRACE))?;
                Ok(Self::Trace(trace))
            }
            _ => Err(wrong(KINDS)),
        }
    }

    /// A whole session, seconds.
    pub fn sample(&self, rng: &mut Rng) -> f64 {
        match self {
            Self::Exponential { mean } => -mean * unit_above_zero(rng).ln(),
            Self::Weibull { shape, scale } => {
                scale * (-unit_above_zero(rng).ln()).powf(1.0 / shape)
            }
            Self::Trace(trace) => trace.lengths[draw::place(rng, trace.lengths.len())],
        }
    }

    /// A session that an observer at a random moment of the steady state finds
    /// under way: its length is drawn in proportion to the length, its age
    /// uniformly within it.
    pub fn sample_under_way(&self, rng: &mut Rng) -> UnderWay {
        let length = match self {
            // Lengths x weighted by x are a gamma distribution of shape 2.
            Self::Exponential { mean } => {
                -mean * (unit_above_zero(rng) * unit_above_zero(rng)).ln()
            }
            // (x / scale)^shape is then a gamma distribution of this shape.
            Self::Weibull { shape, scale } => {
                scale * sample_gamma(1.0 + 1.0 / shape, rng).powf(1.0 / shape)
            }
            Self::Trace(trace) => {
                let at = unit(rng) * trace.total();
                let place = trace.sums.partition_point(|sum| *sum <= at);
                trace.lengths[place.min(trace.lengths.len() - 1)]
            }
        };
        let age = length * unit(rng);
        UnderWay {
            age,
            residual: length - age,
        }
    }

    /// The mean, seconds.
    pub fn mean(&self) -> f64 {
        match self {
            Self::Exponential { mean } => *mean,
            Self::Weibull { shape, scale } => scale * gamma(1.0 + 1.0 / shape),
            Self::Trace(trace) => stats::mean(&trace.lengths),
        }
    }

    /// The median, seconds; of a trace the nearest rank.
    pub fn median(&self) -> f64 {
        match self {
            Self::Exponential { mean } => mean * LN_2,
            Self::Weibull { shape, scale } => scale * LN_2.powf(1.0 / shape),
            Self::Trace(trace) => {
                stats::percentile(&trace.lengths, 50.0).expect("a trace is not empty")
            }
        }
    }

    /// The share of sessions that last longer than so many seconds.
    pub fn survival(&self, seconds: f64) -> f64 {
        let seconds = seconds.max(0.0);
        match self {
            Self::Exponential { mean } => (-seconds / mean).exp(),
            Self::Weibull { shape, scale } => (-(seconds / scale).powf(*shape)).exp(),
            Self::Trace(trace) => {
                let ended = trace.lengths.partition_point(|length| *length <= seconds);
                1.0 - stats::share(ended as u64, trace.lengths.len() as u64)
            }
        }
    }

    /// The mean time that who is online in the steady state still stays:
    /// `E[X^2] / 2 E[X]`, seconds. The mean age is the same.
    pub fn mean_residual(&self) -> f64 {
        match self {
            Self::Exponential { mean } => *mean,
            Self::Weibull { shape, scale } => {
                scale * gamma(1.0 + 2.0 / shape) / (2.0 * gamma(1.0 + 1.0 / shape))
            }
            Self::Trace(trace) => {
                let squares: f64 = trace.lengths.iter().map(|length| length * length).sum();
                squares / (2.0 * trace.total())
            }
        }
    }

    /// The share of those online in the steady state that have been for at most
    /// so many seconds: the integral of [`Sessions::survival`] over the mean.
    /// The share that leaves within so many seconds is the same.
    pub fn age_cdf(&self, seconds: f64) -> f64 {
        let seconds = seconds.max(0.0);
        match self {
            Self::Exponential { mean } => -(-seconds / mean).exp_m1(),
            Self::Weibull { shape, scale } => {
                gamma_below(1.0 / shape, (seconds / scale).powf(*shape))
            }
            Self::Trace(trace) => {
                let within: f64 = trace.lengths.iter().map(|length| length.min(seconds)).sum();
                within / trace.total()
            }
        }
    }
}

impl Trace {
    /// A trace of these lengths, seconds; `None` if there is none, or one is
    /// not above 0.
    pub fn new(mut lengths: Vec<f64>) -> Option<Self> {
        let possible = |length: &f64| (SHORTEST..=LONGEST).contains(length);
        if lengths.is_empty() || !lengths.iter().all(possible) {
            return None;
        }
        lengths.sort_unstable_by(f64::total_cmp);
        let mut sum = 0.0;
        let sums = lengths.iter().map(|length| {
            sum += length;
            sum
        });
        Some(Self {
            sums: sums.collect(),
            lengths,
        })
    }

    fn total(&self) -> f64 {
        self.sums.last().copied().unwrap_or(0.0)
    }
}

/// Seconds as a time span: to the microsecond, at least one, at most 300 years.
pub fn duration(seconds: f64) -> Duration {
    let micros = seconds.clamp(SHORTEST, LONGEST) * 1e6;
    Duration::from_micros(draw::whole(micros))
}

/// A draw from the gamma distribution of this shape, at least 1, and scale 1.
// Source: Marsaglia and Tsang, A simple method for generating gamma variables,
// ACM TOMS 26 (2000), section 3.
fn sample_gamma(shape: f64, rng: &mut Rng) -> f64 {
    let d = shape - 1.0 / 3.0;
    let c = 1.0 / (9.0 * d).sqrt();
    loop {
        let x = sample_normal(rng);
        let v = (1.0 + c * x).powi(3);
        if v > 0.0 && unit_above_zero(rng).ln() < 0.5 * x * x + d - d * v + d * v.ln() {
            return d * v;
        }
    }
}

/// A draw from the standard normal distribution: Box and Muller's way.
fn sample_normal(rng: &mut Rng) -> f64 {
    let radius = (-2.0 * unit_above_zero(rng).ln()).sqrt();
    radius * (2.0 * PI * unit(rng)).cos()
}

#[cfg(test)]
mod tests {
    use gannet_base::seeded_rng;

    use super::*;

    /// What was measured of BitTorrent's Debian torrent: shape, and scale of
    /// 42.4 minutes.
    const DEBIAN: &str = "weibull:0.38,2544";

    fn sessions(spec: &str) -> Sessions {
        Sessions::parse("--session", spec, Some("10\n# two\n20 # and\n\n90\n")).unwrap()
    }

    #[track_caller]
    fn close(found: f64, wanted: f64, tolerance: f64) {
        let off = (found / wanted - 1.0).abs();
        assert!(off < tolerance, "{found}, not {wanted}");
    }

    #[test]
    fn closed_forms() {
        let exponential = sessions("exp:1000");
        assert_eq!(exponential.mean(), 1_000.0);
        assert_eq!(exponential.mean_residual(), 1_000.0);
        close(exponential.median(), 693.147, 1e-5);
        close(exponential.age_cdf(1_000.0), 1.0 - (-1.0_f64).exp(), 1e-12);
        // A Weibull distribution of shape 1 is an exponential one.
        let one = sessions("weibull:1,1000");
        for seconds in [0.0, 1.0, 500.0, 20_000.0] {
            let (a, b) = (one.age_cdf(seconds), exponential.age_cdf(seconds));
            assert!((a - b).abs() < 1e-12, "{a} {b}");
            assert!((one.survival(seconds) - exponential.survival(seconds)).abs() < 1e-12);
        }
        close(one.mean_residual(), 1_000.0, 1e-12);
        // The ratio of mean residual to mean: Γ(1+2/k) / 2Γ(1+1/k)^2.
        let weibull = sessions("weibull:0.6,1000");
        let ratio = gamma(1.0 + 2.0 / 0.6) / (2.0 * gamma(1.0 + 1.0 / 0.6).powi(2));
        close(weibull.mean_residual() / weibull.mean(), ratio, 1e-12);
        let trace = sessions("trace:list");
        assert_eq!((trace.mean(), trace.median()), (40.0, 20.0));
        close(trace.mean_residual(), 8_600.0 / 240.0, 1e-12);
        close(trace.age_cdf(20.0), 50.0 / 120.0, 1e-12);
        close(trace.survival(10.0), 2.0 / 3.0, 1e-12);
    }

    /// Stutzbach and Rejaie, IMC'06: medians and means, minutes.
    #[test]
    fn published_sessions() {
        for (spec, median, mean) in [
            ("weibull:0.34,1278", 7.2, 119.0),
            (DEBIAN, 16.2, 163.0),
            ("weibull:0.59,2514", 22.5, 65.0),
        ] {
            let sessions = sessions(spec);
            close(sessions.median() / 60.0, median, 0.01);
            close(sessions.mean() / 60.0, mean, 0.02);
        }
    }

    /// The integral of the survival over the mean, step by step.
    #[test]
    fn ages_have_the_density_of_renewal_theory() {
        for spec in ["exp:1000", DEBIAN, "weibull:3,1000", "trace:list"] {
            let sessions = sessions(spec);
            let mut sum = 0.0;
            for step in 0..40_000_u32 {
                let from = f64::from(step) * 0.5;
                if step % 5_000 == 0 {
                    let found = sessions.age_cdf(from);
                    // The survival of small shapes falls steeply at 0.
                    assert!((found - sum).abs() < 2e-4, "{spec} {from}: {found} {sum}");
                }
                sum += sessions.survival(from + 0.25) * 0.5 / sessions.mean();
            }
        }
    }

    #[test]
    fn draws_are_distributed_as_they_should() {
        for spec in [
            "exp:1000",
            DEBIAN,
            "weibull:0.6,500",
            "weibull:3,1000",
            "trace:list",
        ] {
            let sessions = sessions(spec);
            let mut rng = seeded_rng(5);
            let count: u32 = 40_000;
            let whole: Vec<f64> = (0..count).map(|_| sessions.sample(&mut rng)).collect();
            let under_way: Vec<UnderWay> = (0..count)
                .map(|_| sessions.sample_under_way(&mut rng))
                .collect();
            let share = |test: &dyn Fn(usize) -> bool| {
                stats::share(
                    (0..whole.len()).filter(|n| test(*n)).count() as u64,
                    count.into(),
                )
            };
            for seconds in [5.0, 15.0, 100.0, 600.0, 3_600.0, 86_400.0] {
                // 0.013 is more than five standard deviations.
                let near = |found: f64, wanted: f64| {
                    assert!(
                        (found - wanted).abs() < 0.013,
                        "{spec} {seconds}: {found} {wanted}"
                    );
                };
                near(share(&|n| whole[n] > seconds), sessions.survival(seconds));
                near(
                    share(&|n| under_way[n].age <= seconds),
                    sessions.age_cdf(seconds),
                );
                near(
                    share(&|n| under_way[n].residual <= seconds),
                    sessions.age_cdf(seconds),
                );
            }
        }
    }

    #[test]
    fn what_is_impossible_is_told_with_what_is_possible() {
        for (spec, words) in [
            ("", "exp:MEAN"),
            ("pareto:1,2", "weibull:SHAPE,SCALE"),
            ("exp:0", "above 0"),
            ("exp:NaN", "above 0"),
            ("exp:-5", "above 0"),
            ("weibull:0.5", "weibull:0.38,2544"),
            ("weibull:0,10", "0.1 to 10"),
            ("weibull:0.5,inf", "above 0"),
            ("trace:", "trace:PATH"),
        ] {
            let error = Sessions::parse("--session", spec, None).unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
        let error = Sessions::parse("--session", "trace:x", Some("1\n\n0\n")).unwrap_err();
        assert!(error.to_string().contains("line 3"), "{error}");
        let error = Sessions::parse("--session", "trace:x", Some("")).unwrap_err();
        assert!(error.to_string().contains("one length a line"), "{error}");
        assert_eq!(Sessions::trace_path("trace:a/b"), Some("a/b"));
        assert_eq!(Sessions::trace_path("exp:1"), None);
    }

    #[test]
    fn time_spans_are_never_nothing() {
        assert_eq!(duration(0.0), Duration::from_micros(1));
        assert_eq!(duration(1.5), Duration::from_millis(1_500));
        assert_eq!(duration(f64::INFINITY), Duration::from_secs(10_000_000_000));
    }
}
