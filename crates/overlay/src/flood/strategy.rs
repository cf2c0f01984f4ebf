//! How far a search goes next.

use super::api::{Ending, Strategy};
use super::config::Config;
use super::estimate::{Estimator, Step};
use super::message::Coverage;

/// What a search has come to when a round is over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Standing {
    /// Results so far, and how many are enough.
    pub(crate) found: u32,
    pub(crate) enough: u32,
    /// Neighbours that there are and that were not asked yet.
    pub(crate) unasked: usize,
    /// Neighbours that there are in all.
    pub(crate) links: usize,
    /// Peers that are known, dead ones among them: a lower bound of how many
    /// there are, until it is as large as it may be.
    pub(crate) known: usize,
    /// Of the round that is over; nothing before the first and without reports.
    pub(crate) coverage: Option<Coverage>,
}

/// What a search does next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Next {
    /// All neighbours are asked with this TTL.
    All {
        ttl: u8,
    },
    /// So many of those that were not asked yet are asked.
    Some {
        ttl: u8,
        count: usize,
    },
    End(Ending),
}

/// Where a search is in its strategy.
#[derive(Debug)]
pub(crate) struct Plan {
    phase: Phase,
    ttl_max: u8,
    /// Largest TTL so far.
    ttl: u8,
    /// Whom the last two rounds reached, where there are reports.
    reached: [u32; 2],
    /// Rounds to go again for those who did not answer.
    retries: u8,
}

#[derive(Debug)]
enum Phase {
    Flood {
        ttl: u8,
    },
    Rings {
        left: std::vec::IntoIter<u8>,
        widen: bool,
    },
    Dynamic(Box<Dynamic>),
    Likely,
    Over,
}

#[derive(Debug)]
struct Dynamic {
    estimator: Estimator,
    probe: (usize, u8),
    /// Neighbours of the last round.
    asked: u32,
    /// Sum of all rounds.
    coverage: Coverage,
}

/// Rounds to go again when all that is missing are peers that did not answer.
// Guess: who is silent three times is gone.
const RETRIES: u8 = 2;

/// How far a search of this kind goes without reports.
// Source: LimeWire: dynamic queries among ultrapeers with 32 links go 3 hops.
const LIKELY_TTL: u8 = 3;
/// Links that are needed to judge by. With fewer, networks are far from random.
// Guess: 8 random links keep a network whole.
const LIKELY_LINKS: usize = 8;
/// Peers that may have been missed, as an expectation.
// Guess: one search in twenty that finds nothing may have missed somebody.
const LIKELY_LEFT: f64 = 0.05;
/// Networks are not larger.
const PEERS_MAX: f64 = 1e7;

impl Plan {
    pub(crate) fn new(strategy: &Strategy, config: &Config, enough: u32) -> Self {
        let ttl_max = config.ttl_max.max(1);
        let phase = match strategy {
            Strategy::Flood { ttl } => Phase::Flood { ttl: *ttl },
            Strategy::Rings { ttls, widen } => Phase::Rings {
                left: growing(ttls, ttl_max).into_iter(),
                widen: *widen || ttls.is_empty(),
            },
            Strategy::Likely => Phase::Likely,
            Strategy::Dynamic => {
                let degree = u32::from(config.neighbours_target);
                Phase::Dynamic(Box::new(Dynamic {
                    estimator: Estimator::new(enough, degree, ttl_max),
                    probe: (config.probe_neighbours.max(1), config.probe_ttl.max(1)),
                    asked: 0,
                    coverage: Coverage::default(),
                }))
            }
        };
        Self {
            phase,
            ttl_max,
            ttl: 0,
            reached: [0; 2],
            retries: RETRIES,
        }
    }

    /// What comes after a round, or first.
    pub(crate) fn next(&mut self, standing: Standing) -> Next {
        if standing.found >= standing.enough {
            return Next::End(Ending::Enough);
        }
        let next = match &mut self.phase {
            Phase::Dynamic(dynamic) => match dynamic.next(self.ttl, self.ttl_max, standing) {
                Next::End(Ending::Horizon) => {
                    self.phase = Phase::Rings {
                        left: Vec::new().into_iter(),
                        widen: true,
                    };
                    self.reached = [0; 2];
                    self.wider(Some(Coverage::default()).filter(|_| standing.coverage.is_some()))
                }
                next => next,
            },
            Phase::Likely => self.likely(standing),
            _ => self.next_round(standing.coverage),
        };
        if let Next::All { ttl } | Next::Some { ttl, .. } = next {
            self.ttl = self.ttl.max(ttl);
        }
        next
    }

    fn next_round(&mut self, coverage: Option<Coverage>) -> Next {
        if let Some(coverage) = coverage {
            self.reached = [self.reached[1], coverage.asked];
            if self.ttl > 0 && coverage.is_whole() {
                return Next::End(Ending::Everybody);
            }
        }
        match &mut self.phase {
            Phase::Flood { ttl } => {
                let ttl = (*ttl).clamp(1, self.ttl_max);
                self.phase = Phase::Over;
                Next::All { ttl }
            }
            Phase::Rings { left, widen } => match left.next() {
                Some(ttl) => Next::All { ttl },
                None if *widen => self.wider(coverage),
                None => Next::End(ending(coverage, false)),
            },
            Phase::Over | Phase::Likely | Phase::Dynamic(_) => Next::End(ending(coverage, false)),
        }
    }

    /// One hop further, until hardly anybody can have been missed.
    fn likely(&mut self, standing: Standing) -> Next {
        let Some(coverage) = standing.coverage else {
            return match self.ttl {
                ttl if ttl < LIKELY_TTL => Next::All { ttl: ttl + 1 },
                _ => Next::End(Ending::Horizon),
            };
        };
        if standing.links < LIKELY_LINKS || coverage.is_whole() {
            return match self.next_round(Some(coverage)) {
                // Too few links to judge by: as far as it takes.
                Next::End(Ending::Horizon) => self.wider(Some(coverage)),
                next => next,
            };
        }
        self.reached = [self.reached[1], coverage.asked];
        let left = unreached(standing.links, self.ttl, coverage.asked, standing.known);
        if left >= LIKELY_LEFT {
            if self.ttl >= self.ttl_max {
                return Next::End(ending(Some(coverage), true));
            }
            return Next::All { ttl: self.ttl + 1 };
        }
        if coverage.silent == 0 && coverage.refused == 0 {
            return Next::End(Ending::Everybody);
        }
        if self.retries == 0 {
            return Next::End(Ending::Partial);
        }
        self.retries -= 1;
        Next::All { ttl: self.ttl }
    }

    /// One hop further, or, where rounds hardly reach more than those before,
    /// nearly as far as it goes: a flood of everybody costs the same whatever
    /// its TTL.
    fn wider(&mut self, coverage: Option<Coverage>) -> Next {
        if self.ttl >= self.ttl_max {
            return Next::End(ending(coverage, true));
        }
        let only_silent = coverage.is_some_and(|c| {
            self.reached != [0; 2] && c.beyond == 0 && c.ruled_out == 0 && !c.is_whole()
        });
        if only_silent {
            if self.retries == 0 {
                return Next::End(Ending::Partial);
            }
            self.retries -= 1;
            return Next::All { ttl: self.ttl + 1 };
        }
        let [before, last] = self.reached.map(u64::from);
        let slow = before > 0 && last * 2 < before * 3;
        let far = self.ttl_max.saturating_sub(RETRIES);
        let ttl = if slow {
            far.max(self.ttl + 1)
        } else {
            self.ttl + 1
        };
        Next::All { ttl }
    }
}

impl Dynamic {
    /// `Horizon` stands for going on in rings.
    fn next(&mut self, ttl: u8, ttl_max: u8, standing: Standing) -> Next {
        if self.asked > 0 {
            // A probe asked several at once: each reached its share.
            let share = standing
                .coverage
                .map(|coverage| share(coverage, self.asked));
            for _ in 0..self.asked {
                self.estimator.on_asked(ttl.max(1), share.as_ref());
            }
            self.coverage.add(standing.coverage.unwrap_or_default());
        }
        self.estimator.on_found(standing.found);
        let first = self.asked == 0;
        let (count, ttl) = if first {
            (
                self.probe.0.min(standing.unasked),
                self.probe.1.min(ttl_max),
            )
        } else {
            match self.estimator.next(standing.unasked) {
                Step::Ask { ttl } => (1, ttl),
                Step::Done => return Next::End(Ending::Enough),
                Step::Widen if standing.coverage.is_some() && self.coverage.is_whole() => {
                    return Next::End(Ending::Everybody);
                }
                Step::Widen => return Next::End(Ending::Horizon),
            }
        };
        self.asked = u32::try_from(count).unwrap_or(u32::MAX);
        Next::Some { ttl, count }
    }
}

/// How many peers a round is expected to have missed: of which neither was asked
/// itself, nor any neighbour, who would have looked into its table.
///
/// In a random network with `links` a peer, `ttl` hops lead along
/// T = links · (links − 1)^(ttl − 2) ways to peers that pass questions on. The
/// more of these meet at the same peers, the fewer peers there are: of S peers,
/// S · (1 − e^(−T/S)) are met. The `asked` that were met give S.
// Source: occupancy; the same holds for KaZaA's and Gnutella's upper tiers as
// far as their links are random.
fn unreached(links: usize, ttl: u8, asked: u32, known: usize) -> f64 {
    let small = |number: usize| f64::from(u32::try_from(number).unwrap_or(u32::MAX));
    let (links, asked) = (small(links), f64::from(asked));
    let known = small(known) + 1.0;
    if ttl < 3 {
        // No ways can meet yet. All that are known are neighbours, or nobody
        // knows how many there are.
        let is_complete = links + 1.0 >= known && ttl == 2;
        return if is_complete { 0.0 } else { f64::INFINITY };
    }
    let ways = links * (links - 1.0).powi(i32::from(ttl) - 2);
    let (mut low, mut high) = (asked.max(1.0), PEERS_MAX);
    for _ in 0..60 {
        let peers = f64::midpoint(low, high);
        if peers * (1.0 - (-ways / peers).exp()) < asked {
            low = peers;
        } else {
            high = peers;
        }
    }
    let peers = high.max(known);
    let inside = (asked / peers).min(1.0);
    (peers - asked).max(0.0) * (1.0 - inside).powf(links)
}

/// An even share of what several reached.
fn share(coverage: Coverage, among: u32) -> Coverage {
    Coverage {
        asked: coverage.asked.div_ceil(among),
        ruled_out: coverage.ruled_out / among,
        beyond: coverage.beyond / among,
        refused: coverage.refused / among,
        silent: coverage.silent / among,
        answers: coverage.answers / among,
    }
}

/// Why a search ends that did not find enough and has nobody left to ask, or
/// must not.
fn ending(coverage: Option<Coverage>, widened: bool) -> Ending {
    let Some(coverage) = coverage else {
        return Ending::Horizon;
    };
    let missing = coverage.silent > 0 || coverage.refused > 0;
    let further = coverage.beyond > 0 || coverage.ruled_out > 0;
    match (further, missing) {
        (true, true) if widened => Ending::Partial,
        (true, _) => Ending::Horizon,
        (false, true) => Ending::Partial,
        (false, false) => Ending::Everybody,
    }
}

/// Only those TTLs that go further than the one before.
fn growing(ttls: &[u8], ttl_max: u8) -> Vec<u8> {
    let mut last = 0;
    let mut growing = Vec::new();
    for ttl in ttls.iter().map(|ttl| (*ttl).min(ttl_max)) {
        if ttl > last {
            growing.push(ttl);
            last = ttl;
        }
    }
    growing
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(found: f64, expected: f64) {
        assert!(
            (found - expected).abs() <= 0.2 * expected,
            "{found}, not {expected}"
        );
    }

    /// What rings reach in a random network of 3,000 peers with 40 links each,
    /// and what they miss, both by hand.
    #[test]
    fn what_was_missed_is_estimated_from_what_was_reached() {
        // 40 · 39 ways meet at 3,000 · (1 − e^−0.52) = 1,216 peers: 0.6 of all
        // are outside, each with 40 links that all lead outside.
        close(unreached(40, 3, 1_216, 100), 1_784.0 * 0.594_7_f64.powi(40));
        // Of 60,000: 1,560 ways meet at 1,540 peers.
        close(
            unreached(40, 3, 1_540, 100),
            58_460.0 * 0.974_3_f64.powi(40),
        );
        assert!(unreached(40, 2, 40, 100).is_infinite());
        assert!(unreached(47, 2, 47, 47) == 0.0, "a complete network");
        assert!(unreached(40, 3, 1_560, 100) > 1_000.0, "no two ways met");
    }

    #[test]
    fn likely_goes_three_hops_in_three_thousand_and_four_in_sixty_thousand() {
        for (asked, hops) in [([40, 1_216, 3_000], 3), ([40, 1_540, 38_000], 4)] {
            let mut plan = Plan::new(&Strategy::Likely, &Config::default(), 1);
            let mut standing = Standing {
                found: 0,
                enough: 1,
                unasked: 0,
                links: 40,
                known: 500,
                coverage: None,
            };
            assert_eq!(plan.next(standing), Next::All { ttl: 1 });
            let mut last = 1;
            for asked in [0].into_iter().chain(asked) {
                standing.coverage = Some(Coverage {
                    asked,
                    ruled_out: 9,
                    ..Coverage::default()
                });
                match plan.next(standing) {
                    Next::All { ttl } => last = ttl,
                    end => {
                        assert_eq!(end, Next::End(Ending::Everybody));
                        break;
                    }
                }
            }
            assert_eq!(last, hops);
        }
    }
}
