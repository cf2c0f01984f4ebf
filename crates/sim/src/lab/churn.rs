//! Peers that come and go, from a steady state on: how long those who are
//! online have been, and how long they will still be.
//!
//! No protocol runs here: this is what everything that runs under churn starts
//! from, beside the closed forms of renewal theory.

use gannet_base::{Rng, fork_rng, seeded_rng};
use serde::Serialize;

use super::EventHash;
use crate::churn::Sessions;
use crate::draw::unit;
use crate::fingerprint::Fingerprint;
use crate::impossible::Impossible;
use crate::stats;

/// Most peers.
// Guess: beyond ten million nothing new shows; their ages take 160 MB.
const NODES_MAX: u32 = 10_000_000;
/// Most sessions that may be expected to begin.
// Guess: some ten seconds on one core.
const SESSIONS_MAX: f64 = 3e8;
/// Sessions whose lengths are kept for the median.
// Guess: the median of a million is within 0.2 per cent of where it belongs.
const KEPT_MAX: usize = 1_000_000;
/// Fewest of them: if fewer began, more are drawn.
const KEPT_MIN: usize = 10_000;
/// Points of the curve of ages.
const POINTS: u32 = 60;

/// Peers that come and go.
#[derive(Debug, Clone, PartialEq)]
pub struct Params {
    /// How long peers stay.
    pub session: Sessions,
    /// How long they stay away. `None`: who leaves is replaced by a newcomer
    /// at once, so that as many are online as there are peers.
    pub offline: Option<Sessions>,
    /// How many peers there are, online and away.
    pub nodes: u32,
    /// When to look, seconds after the beginning, which is in the steady state
    /// already.
    pub at: f64,
    /// The seed.
    pub seed: u64,
}

/// The share of those online who have been for at most so many seconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Ages {
    /// Ten minutes.
    #[serde(rename = "600")]
    pub minutes_10: f64,
    /// An hour.
    #[serde(rename = "3600")]
    pub hour: f64,
    /// Five hours.
    #[serde(rename = "18000")]
    pub hours_5: f64,
    /// A day.
    #[serde(rename = "86400")]
    pub day: f64,
}

/// What was seen at the time asked for, each beside what theory expects
/// (`expected_*`). Means and shares are 0 if nobody was online.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Report {
    /// How many peers there are.
    pub nodes: u32,
    /// When it was looked, seconds.
    pub at_s: f64,
    /// How many were online.
    pub online: u32,
    /// `E[on] / (E[on] + E[off])` of all.
    pub expected_online: f64,
    /// Sessions that began.
    pub joins: u64,
    /// How many should have: Little's law, peers online over the mean session,
    /// times the seconds.
    pub expected_joins: f64,
    /// Sessions that ended.
    pub leaves: u64,
    /// The ages of those online.
    pub age_cdf: Ages,
    /// The integral of the survival over the mean session.
    pub expected_age_cdf: Ages,
    /// The share of those online who stayed one more hour.
    pub stay_1h: f64,
    /// The same by theory.
    pub expected_stay_1h: f64,
    /// The mean age of those online, seconds.
    pub mean_age_s: f64,
    /// The mean time that those online still stayed, seconds.
    pub mean_residual_s: f64,
    /// `E[X^2] / 2 E[X]`, which is the expected mean age too.
    pub expected_mean_residual_s: f64,
    /// The median of all sessions that began, or of as many draws as it takes
    /// to have 10,000.
    pub session_median_s: f64,
    /// The same by theory.
    pub expected_session_median_s: f64,
    /// The mean of the same sessions.
    pub session_mean_s: f64,
    /// The same by theory.
    pub expected_session_mean_s: f64,
    /// Joins and leaves.
    pub events: u64,
    /// The hash over them.
    pub event_hash: EventHash,
    /// Seconds, the share of those online not older, and what is expected: for
    /// a plot.
    #[serde(skip)]
    pub curve: Vec<[f64; 3]>,
}

/// Lets peers come and go, and looks.
///
/// # Errors
///
/// If the numbers are impossible, or would take hours.
pub fn run(params: &Params) -> Result<Report, Impossible> {
    check(params)?;
    let mut seen = Seen::default();
    let mut rng = seeded_rng(params.seed);
    for node in 0..params.nodes {
        // One generator a peer: what one does changes nothing for another.
        let mut own = fork_rng(&mut rng);
        seen.follow(params, node, &mut own);
    }
    Ok(seen.report(params, &mut rng))
}

fn check(params: &Params) -> Result<(), Impossible> {
    if !(1..=NODES_MAX).contains(&params.nodes) {
        let possible = format!("from 1 to {NODES_MAX} peers");
        return Err(Impossible::new("--nodes", params.nodes, possible));
    }
    if !(0.0..=1e9).contains(&params.at) {
        let possible = "seconds from 0 to 1000000000, which is 31 years";
        return Err(Impossible::new("--at", params.at, possible));
    }
    let cycle = params.session.mean() + params.offline.as_ref().map_or(0.0, Sessions::mean);
    let longest = SESSIONS_MAX * cycle / f64::from(params.nodes);
    if params.at > longest {
        let possible = format!(
            "with {} peers whose sessions last {:.3} s on average, at most {:.0} s, or it would \
             take hours",
            params.nodes,
            params.session.mean(),
            longest.floor()
        );
        return Err(Impossible::new("--at", params.at, possible));
    }
    Ok(())
}

/// What is seen while peers are followed one after the other.
#[derive(Debug, Default)]
struct Seen {
    joins: u64,
    leaves: u64,
    ages: Vec<f64>,
    residuals: Vec<f64>,
    sessions: Vec<f64>,
    hash: Fingerprint,
}

impl Seen {
    /// Follows a peer (and those who replace it) until the time of looking.
    fn follow(&mut self, params: &Params, node: u32, rng: &mut Rng) {
        let Params {
            session, offline, ..
        } = params;
        // When the session under way began, and when it ends.
        let (mut since, mut until) = match offline {
            Some(offline) if unit(rng) >= online_share(session, offline) => {
                let away = offline.sample_under_way(rng).residual;
                if away > params.at {
                    return;
                }
                self.join(node, away, session.sample(rng))
            }
            _ => {
                let now = session.sample_under_way(rng);
                (-now.age, now.residual)
            }
        };
        while until <= params.at {
            self.leaves += 1;
            self.hash.add(u64::from(node), until.to_bits());
            let back = until + offline.as_ref().map_or(0.0, |away| away.sample(rng));
            if back > params.at {
                return;
            }
            (since, until) = self.join(node, back, session.sample(rng));
        }
        self.ages.push(params.at - since);
        self.residuals.push(until - params.at);
    }

    /// A session begins; returns when it does and when it ends.
    fn join(&mut self, node: u32, at: f64, length: f64) -> (f64, f64) {
        self.joins += 1;
        self.hash.add(u64::from(node), at.to_bits());
        // The first so many of all draws: which are kept must not depend on
        // how long they are.
        if self.sessions.len() < KEPT_MAX {
            self.sessions.push(length);
        }
        (at, at + length)
    }

    fn report(mut self, params: &Params, rng: &mut Rng) -> Report {
        let session = &params.session;
        while self.sessions.len() < KEPT_MIN {
            self.sessions.push(session.sample(rng));
        }
        for list in [&mut self.ages, &mut self.residuals, &mut self.sessions] {
            list.sort_unstable_by(f64::total_cmp);
        }
        let online = self.ages.len();
        let share = |count: usize| stats::share(count as u64, online as u64);
        let aged = |seconds: f64| share(self.ages.partition_point(|age| *age <= seconds));
        let left = self
            .residuals
            .partition_point(|residual| *residual <= 3_600.0);
        let online_share = params
            .offline
            .as_ref()
            .map_or(1.0, |offline| online_share(session, offline));
        let expected_online = f64::from(params.nodes) * online_share;
        Report {
            nodes: params.nodes,
            at_s: params.at,
            online: u32::try_from(online).expect("at most one a peer"),
            expected_online,
            joins: self.joins,
            expected_joins: expected_online * params.at / session.mean(),
            leaves: self.leaves,
            age_cdf: ages(aged),
            expected_age_cdf: ages(|seconds| session.age_cdf(seconds)),
            stay_1h: share(online - left),
            expected_stay_1h: 1.0 - session.age_cdf(3_600.0),
            mean_age_s: stats::mean(&self.ages),
            mean_residual_s: stats::mean(&self.residuals),
            expected_mean_residual_s: session.mean_residual(),
            session_median_s: stats::percentile(&self.sessions, 50.0).unwrap_or(0.0),
            expected_session_median_s: session.median(),
            session_mean_s: stats::mean(&self.sessions),
            expected_session_mean_s: session.mean(),
            events: self.joins + self.leaves,
            event_hash: EventHash(self.hash.value()),
            curve: curve(&self.ages, session, aged),
        }
    }
}

fn ages(share: impl Fn(f64) -> f64) -> Ages {
    Ages {
        minutes_10: share(600.0),
        hour: share(3_600.0),
        hours_5: share(18_000.0),
        day: share(86_400.0),
    }
}

/// The ages that 98 of 100 do not exceed, in equal steps.
fn curve(ascending: &[f64], session: &Sessions, aged: impl Fn(f64) -> f64) -> Vec<[f64; 3]> {
    let longest = stats::percentile(ascending, 98.0).unwrap_or(session.mean());
    (0..=POINTS)
        .map(|point| longest * f64::from(point) / f64::from(POINTS))
        .map(|seconds| [seconds, aged(seconds), session.age_cdf(seconds)])
        .collect()
}

/// The share of the peers that is online in the steady state.
fn online_share(session: &Sessions, offline: &Sessions) -> f64 {
    session.mean() / (session.mean() + offline.mean())
}

#[cfg(test)]
mod tests {
    use super::super::soundness::{check_refused, check_repeats};
    use super::*;

    fn params(session: &str, nodes: u32, at: f64) -> Params {
        Params {
            session: Sessions::parse("--session", session, None).unwrap(),
            offline: None,
            nodes,
            at,
            seed: 1,
        }
    }

    #[track_caller]
    fn near(found: f64, wanted: f64, tolerance: f64) {
        assert!((found - wanted).abs() <= tolerance, "{found}, not {wanted}");
    }

    /// What was seen is what theory expects; 20,000 peers, so that five
    /// standard deviations of a share are below 0.018.
    #[track_caller]
    fn agrees(report: &Report) {
        let pairs = |a: &Ages| [a.minutes_10, a.hour, a.hours_5, a.day];
        let (seen, expected) = (pairs(&report.age_cdf), pairs(&report.expected_age_cdf));
        for (seen, expected) in seen.into_iter().zip(expected) {
            near(seen, expected, 0.018);
        }
        near(report.stay_1h, report.expected_stay_1h, 0.018);
        near(
            f64::from(report.online),
            report.expected_online,
            0.018 * f64::from(report.nodes),
        );
        near(
            report.session_median_s / report.expected_session_median_s,
            1.0,
            0.1,
        );
        let joins = stats::ratio(report.expected_joins, report.joins.max(1));
        near(joins, if report.joins == 0 { 0.0 } else { 1.0 }, 0.1);
    }

    #[test]
    fn the_steady_state_stays_as_it_is() {
        for session in [
            "exp:3600",
            "weibull:0.38,2544",
            "weibull:0.59,2514",
            "weibull:2,9000",
        ] {
            for at in [0.0, 20_000.0] {
                let report = run(&params(session, 20_000, at)).unwrap();
                agrees(&report);
                assert_eq!(report.online, 20_000);
                assert_eq!(report.joins, report.leaves);
            }
        }
    }

    #[test]
    fn exponential_sessions_have_no_memory() {
        let report = run(&params("exp:1800", 50_000, 7_200.0)).unwrap();
        for mean in [
            report.mean_residual_s,
            report.mean_age_s,
            report.session_mean_s,
        ] {
            near(mean, 1_800.0, 45.0);
        }
        near(report.stay_1h, (-2.0_f64).exp(), 0.01);
        near(
            report.session_median_s,
            1_800.0 * std::f64::consts::LN_2,
            15.0,
        );
    }

    /// Who is online stays much longer than a newcomer.
    #[test]
    fn measured_sessions_have_a_long_memory() {
        let report = run(&params("weibull:0.59,2514", 100_000, 86_400.0)).unwrap();
        let ratio = report.mean_residual_s / report.session_mean_s;
        let expected = report.expected_mean_residual_s / report.expected_session_mean_s;
        near(ratio / expected, 1.0, 0.06);
        assert!(expected > 1.9, "{expected}");
    }

    #[test]
    fn peers_that_come_back_are_online_in_proportion() {
        let with = |at| Params {
            offline: Some(Sessions::parse("--offline", "weibull:0.6,4000", None).unwrap()),
            ..params("weibull:0.5,1000", 20_000, at)
        };
        for at in [0.0, 20_000.0] {
            let report = run(&with(at)).unwrap();
            agrees(&report);
            assert!(report.online < 10_000, "{}", report.online);
        }
    }

    #[test]
    fn the_same_seed_gives_the_same_report() {
        check_repeats(|seed| {
            run(&Params {
                seed,
                ..params("weibull:0.5,1000", 500, 5_000.0)
            })
        });
    }

    #[test]
    fn what_is_impossible_is_told_with_what_is_possible() {
        for (nodes, at, words) in [
            (0, 1.0, "from 1 to"),
            (u32::MAX, 1.0, "from 1 to"),
            (1, -1.0, "from 0 to"),
            (1, f64::NAN, "from 0 to"),
            (1_000_000, 1e9, "hours"),
        ] {
            check_refused(run(&params("exp:60", nodes, at)), words);
        }
    }
}
