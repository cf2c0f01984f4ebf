//! Dynamic querying: how far to ask the next neighbour.
//!
//! **How.** A few neighbours are asked first, not far. From the peers that this
//! reached and the results that came, the peers needed for the results still
//! missing are estimated, and shared out among the neighbours still unasked.
//! The next one is asked just as far as that takes; then the estimate is better.
// Source: Fisk, "Gnutella Dynamic Query Protocol" 0.1; its formulas, not its
// examples, some of which contradict them. Deviations: a search without results
// so far counts as having half a one; degrees and horizons are measured where
// there are reports.

use super::message::Coverage;

/// Peers within `ttl` hops behind one neighbour, itself counted, if every peer
/// has `degree` neighbours and no two ways lead to the same peer. Saturates.
pub(crate) fn horizon(degree: u32, ttl: u8) -> u64 {
    let branches = u64::from(degree.saturating_sub(1));
    let mut ring = 1_u64;
    let mut all = 0_u64;
    for _ in 0..ttl {
        all = all.saturating_add(ring);
        ring = ring.saturating_mul(branches);
    }
    all
}

/// What to do next in a dynamic search.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    /// Ask one more neighbour, with this TTL.
    Ask {
        /// At least 1.
        ttl: u8,
    },
    /// All neighbours were asked and it was not enough: whoever is allowed to
    /// widens.
    Widen,
    /// It is enough.
    Done,
}

/// What a dynamic search has learnt about the network and how common the answer
/// is.
#[derive(Debug, Clone)]
pub(crate) struct Estimator {
    wanted: u32,
    ttl_max: u8,
    /// Neighbours that a peer is believed to have.
    degree: u32,
    /// Peers known or believed to have been covered.
    covered: u64,
    found: u32,
    /// Of reports: neighbours of a peer, summed up over them, and how many.
    degrees: u64,
    reports: u32,
}

impl Estimator {
    /// For a search that wants so many results (0 counts as 1), in a network
    /// whose peers have about `degree` neighbours, with a largest TTL.
    pub(crate) fn new(wanted: u32, degree: u32, ttl_max: u8) -> Self {
        Self {
            wanted: wanted.max(1),
            ttl_max: ttl_max.max(1),
            degree: degree.max(2),
            covered: 0,
            found: 0,
            degrees: 0,
            reports: 0,
        }
    }

    /// One neighbour was asked with this TTL, and reported, or, if there is no
    /// report, reached as many as can be expected.
    pub(crate) fn on_asked(&mut self, ttl: u8, report: Option<&Coverage>) {
        let reached = match report {
            // Who was ruled out has nothing: as good as asked.
            Some(report) => u64::from(report.asked) + u64::from(report.ruled_out),
            None => horizon(self.degree(), ttl),
        };
        self.covered = self.covered.saturating_add(reached);
        if report.is_some() && ttl > 1 && reached > 0 {
            self.degrees += u64::from(degree_of(ttl, reached));
            self.reports += 1;
        }
    }

    /// So many results are there in all.
    pub(crate) fn on_found(&mut self, found: u32) {
        self.found = found;
    }

    /// What to do next, when `unasked` neighbours are left.
    pub(crate) fn next(&self, unasked: usize) -> Step {
        if self.found >= self.wanted {
            return Step::Done;
        }
        let Ok(unasked @ 1..) = u64::try_from(unasked) else {
            return Step::Widen;
        };
        let missing = u64::from(self.wanted - self.found);
        // In halves, so that none counts as half a result.
        let found = u64::from(self.found).saturating_mul(2).max(1);
        let needed = missing.saturating_mul(2).saturating_mul(self.covered) / found;
        let needed = needed.div_ceil(unasked);
        let degree = self.degree();
        let enough = |ttl: &u8| horizon(degree, *ttl) >= needed;
        let ttl = (1..self.ttl_max).find(enough).unwrap_or(self.ttl_max);
        Step::Ask { ttl }
    }

    /// Neighbours that a peer has, as reports tell, or as was believed.
    fn degree(&self) -> u32 {
        let measured = self.degrees.checked_div(self.reports.into());
        measured.map_or(self.degree, |degree| {
            u32::try_from(degree).unwrap_or(u32::MAX)
        })
    }
}

/// Largest degree that a report is believed to show.
// Guess: above all that is useful; a stranger may claim anything.
const DEGREE_MAX: u32 = 64;

/// The smallest degree with which one neighbour, asked with this TTL, reaches so
/// many.
fn degree_of(ttl: u8, reached: u64) -> u32 {
    (2..DEGREE_MAX)
        .find(|degree| horizon(*degree, ttl) >= reached)
        .unwrap_or(DEGREE_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(asked: u32, ruled_out: u32) -> Coverage {
        Coverage {
            asked,
            ruled_out,
            ..Coverage::default()
        }
    }

    /// The published figures, where they follow from the formula: its text says
    /// 23,436 and 1,024 elsewhere.
    #[test]
    fn horizons_are_as_computed() {
        assert_eq!(horizon(6, 0), 0);
        assert_eq!(horizon(6, 1), 1);
        assert_eq!(horizon(6, 7), 19_531);
        assert_eq!(horizon(32, 3), 993);
        assert_eq!(horizon(2, 9), 9, "a chain");
        assert_eq!(horizon(1, 9), 1, "a dead end");
        assert_eq!(horizon(u32::MAX, 255), u64::MAX);
    }

    #[test]
    fn most_peers_are_on_the_last_hop() {
        let share = |degree, ttl| {
            let all = horizon(degree, ttl);
            (all - horizon(degree, ttl - 1)) as f64 / all as f64
        };
        assert!((share(6, 7) - 0.800).abs() < 0.000_5);
        assert!((share(32, 3) - 0.968).abs() < 0.000_5);
    }

    /// By hand: three probes of TTL 2 cover 3 * 32 peers and bring 2 of 50
    /// results: 48 * 96 / 2 = 2,304 more peers from 10 neighbours, 231 each:
    /// more than the 32 of TTL 2, at most the 993 of TTL 3.
    #[test]
    fn the_next_ttl_follows_the_formula() {
        let mut estimator = Estimator::new(50, 32, 4);
        (0..3).for_each(|_| estimator.on_asked(2, None));
        estimator.on_found(2);
        assert_eq!(estimator.next(10), Step::Ask { ttl: 3 });
        assert_eq!(estimator.next(100), Step::Ask { ttl: 2 }, "24 each");
        assert_eq!(estimator.next(1), Step::Ask { ttl: 4 });
        estimator.on_found(49);
        assert_eq!(estimator.next(10), Step::Ask { ttl: 1 });
        estimator.on_found(50);
        assert_eq!(estimator.next(10), Step::Done);
    }

    #[test]
    fn nothing_found_widens_step_by_step() {
        let mut estimator = Estimator::new(1, 8, 7);
        let mut ttls = Vec::new();
        for unasked in (0..8).rev() {
            match estimator.next(unasked) {
                Step::Ask { ttl } => {
                    ttls.push(ttl);
                    estimator.on_asked(ttl, None);
                }
                step => assert_eq!((step, unasked), (Step::Widen, 0)),
            }
        }
        assert!(ttls.is_sorted(), "{ttls:?}");
        assert_eq!((ttls[0], ttls.len()), (1, 7));
        assert!(*ttls.last().expect("seven") >= 3, "{ttls:?}");
    }

    #[test]
    fn reports_correct_the_degree() {
        let mut believed = Estimator::new(100, 32, 9);
        let mut measured = believed.clone();
        believed.on_asked(3, None);
        // Each peer has but three neighbours: 1 + 2 + 4 peers.
        measured.on_asked(3, Some(&report(5, 2)));
        assert_eq!(measured.degree(), 3);
        believed.on_found(1);
        measured.on_found(1);
        // 99 * 993 / 8 and 99 * 7 / 8 more from each of eight.
        assert_eq!(believed.next(8), Step::Ask { ttl: 4 });
        assert_eq!(measured.next(8), Step::Ask { ttl: 7 });
    }

    #[test]
    fn lies_do_no_harm() {
        let mut estimator = Estimator::new(u32::MAX, u32::MAX, 255);
        for ttl in [0, 1, 2, 255] {
            estimator.on_asked(ttl, Some(&report(u32::MAX, u32::MAX)));
            estimator.on_asked(ttl, Some(&report(0, 0)));
            estimator.on_asked(ttl, None);
        }
        assert!(matches!(estimator.next(usize::MAX), Step::Ask { ttl: 1.. }));
        assert_eq!(Estimator::new(0, 0, 0).next(3), Step::Ask { ttl: 1 });
    }
}
