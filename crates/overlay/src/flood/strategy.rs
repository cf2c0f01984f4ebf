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

impl Plan {
    pub(crate) fn new(strategy: &Strategy, config: &Config, enough: u32) -> Self {
        let ttl_max = config.ttl_max.max(1);
        let phase = match strategy {
            Strategy::Flood { ttl } => Phase::Flood { ttl: *ttl },
            Strategy::Rings { ttls, widen } => Phase::Rings {
                left: growing(ttls, ttl_max).into_iter(),
                widen: *widen || ttls.is_empty(),
            },
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
            Phase::Over | Phase::Dynamic(_) => Next::End(ending(coverage, false)),
        }
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
