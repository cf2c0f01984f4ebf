//! Fair shares of what a peer does for its neighbours.
//!
//! **Problem.** One neighbour that asks a hundred times as much as all others
//! must not cost them their answers; but what they do not use, it may have.
//!
//! **How.** Each source has a small bucket of its own. Credit arrives at the
//! whole rate and is dealt out evenly; what does not fit into a full bucket
//! flows into the one for all. A source pays from its own bucket, then from the
//! shared one.
//!
//! **Invariant.** No credit is made or lost but by a full budget: in any span
//! of time at most the rate times its length plus the burst is admitted. A
//! source that keeps below its even share is never refused, whatever the
//! others do.

use gannet_base::Timestamp;

/// Credit for one admission. Small enough a unit for every microsecond to
/// count exactly, whatever the rate.
const PRICE: u64 = 1_000_000;

/// A place in a [`FairBudget`]: of one source, until it leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place(u16);

/// Credit for admissions, shared fairly between sources.
#[derive(Debug)]
pub(crate) struct FairBudget {
    /// Admissions a second; so many units a microsecond.
    rate: u64,
    /// Most units in the bucket of one source.
    own_max: u64,
    /// Most units in the shared bucket.
    shared_max: u64,
    shared: u64,
    /// One bucket for each place, taken or free.
    own: Vec<Own>,
    /// How many are taken.
    taken: u16,
    /// Until when credit has been dealt out.
    dealt: Timestamp,
    /// What could not be dealt out evenly: fewer units than sources.
    left_over: u64,
}

#[derive(Debug, Clone, Copy)]
struct Own {
    units: u64,
    taken: bool,
}

impl FairBudget {
    /// Full, with places for so many sources. A burst of less than two for each
    /// place counts as that: one is each source's own, the others are shared.
    ///
    /// # Panics
    ///
    /// Without places.
    pub(crate) fn new(rate_per_second: u32, burst: u32, places: u16) -> Self {
        assert!(places > 0, "a budget is for somebody");
        let burst = u64::from(burst).max(2 * u64::from(places)) * PRICE;
        let own_max = (burst / 2 / u64::from(places)).max(PRICE);
        let shared_max = burst - own_max * u64::from(places);
        let own = Own {
            units: own_max,
            taken: false,
        };
        Self {
            rate: rate_per_second.into(),
            own_max,
            shared_max,
            shared: shared_max,
            own: vec![own; places.into()],
            taken: 0,
            dealt: Timestamp::ZERO,
            left_over: 0,
        }
    }

    /// A place for one more source; nothing if all are taken. It finds what the
    /// one before it left there.
    pub(crate) fn enter(&mut self, now: Timestamp) -> Option<Place> {
        self.deal(now);
        let free = self.own.iter().enumerate().filter(|(_, own)| !own.taken);
        let (place, _) = free.max_by_key(|(place, own)| (own.units, usize::MAX - place))?;
        self.own[place].taken = true;
        self.taken += 1;
        Some(Place(
            u16::try_from(place).expect("places are counted in 16 bits"),
        ))
    }

    /// Gives up a place, which another source may then have.
    pub(crate) fn leave(&mut self, now: Timestamp, place: Place) {
        self.deal(now);
        if let Some(own) = self.own.get_mut(usize::from(place.0))
            && own.taken
        {
            own.taken = false;
            self.taken -= 1;
        }
    }

    /// Whether one thing more is done for this source now. Time is in
    /// proportion to the number of places.
    pub(crate) fn admit(&mut self, now: Timestamp, place: Place) -> bool {
        self.deal(now);
        let Some(own) = self
            .own
            .get_mut(usize::from(place.0))
            .filter(|own| own.taken)
        else {
            return false;
        };
        let purse = if own.units >= PRICE {
            &mut own.units
        } else {
            &mut self.shared
        };
        let enough = *purse >= PRICE;
        if enough {
            *purse -= PRICE;
        }
        enough
    }

    /// Deals out what has come in since the last time: to the sources, then to
    /// all, then to the places that nobody has.
    fn deal(&mut self, now: Timestamp) {
        let elapsed = now.saturating_since(self.dealt).as_micros();
        if elapsed == 0 {
            return;
        }
        self.dealt = now;
        let micros = u64::try_from(elapsed).unwrap_or(u64::MAX);
        let places = u64::try_from(self.own.len()).unwrap_or(u64::MAX);
        // More than this fills every bucket, however it is dealt out.
        let enough = (self.own_max * places + self.shared_max).saturating_mul(places + 1);
        let mut credit = self.rate.saturating_mul(micros).min(enough);
        if self.taken > 0 {
            // What does not divide waits: were it shared, somebody who asks
            // every microsecond would get it all.
            credit += self.left_over;
            let share = credit / u64::from(self.taken);
            self.left_over = credit % u64::from(self.taken);
            credit -= self.left_over;
            for own in self.own.iter_mut().filter(|own| own.taken) {
                credit -= fill(&mut own.units, self.own_max, share);
            }
        }
        credit -= fill(&mut self.shared, self.shared_max, credit);
        for own in self.own.iter_mut().filter(|own| !own.taken) {
            credit -= fill(&mut own.units, self.own_max, credit);
        }
    }
}

/// Puts up to `credit` into a bucket; says how much went in.
fn fill(units: &mut u64, units_max: u64, credit: u64) -> u64 {
    let room = units_max - *units;
    let used = credit.min(room);
    *units += used;
    used
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(micros: u64) -> Timestamp {
        Timestamp::from_micros(micros)
    }

    fn with_sources(rate: u32, burst: u32, count: u16) -> (FairBudget, Vec<Place>) {
        let mut budget = FairBudget::new(rate, burst, count);
        let places = (0..count).filter_map(|_| budget.enter(at(0))).collect();
        (budget, places)
    }

    #[test]
    fn places_are_taken_and_given_back() {
        let (mut budget, places) = with_sources(10, 40, 3);
        assert_eq!(places, [Place(0), Place(1), Place(2)]);
        assert_eq!(budget.enter(at(0)), None);
        budget.leave(at(0), places[1]);
        assert!(!budget.admit(at(0), places[1]), "who left gets nothing");
        assert!(
            !budget.admit(at(0), Place(9)),
            "who was never there neither"
        );
        budget.leave(at(0), places[1]);
        assert_eq!(budget.enter(at(0)), Some(places[1]));
        assert!(budget.admit(at(0), places[1]));
    }

    /// Somebody who comes back again and again gets no more than who stays.
    #[test]
    fn coming_back_is_no_gain() {
        let mut budget = FairBudget::new(10, 40, 4);
        let steady = budget.enter(at(0)).expect("there is room");
        let mut admitted = 0;
        for second in 0..100 {
            for step in 0..50 {
                let now = at(second * 1_000_000 + step * 20_000);
                let place = budget.enter(now).expect("there is room");
                admitted += u64::from(budget.admit(now, place));
                budget.leave(now, place);
            }
            let now = at(second * 1_000_000 + 999_999);
            assert!(budget.admit(now, steady), "second {second}");
        }
        assert!(admitted <= 40 + 100 * 10);
    }

    #[test]
    fn who_is_alone_gets_everything() {
        for places in [1, 8, 16] {
            let mut budget = FairBudget::new(100, 64, places);
            let place = budget.enter(at(0)).expect("there is room");
            let asked = (0..10_000_u64).map(|n| budget.admit(at(n * 1_000), place));
            let admitted = asked.filter(|admitted| *admitted).count();
            assert!(
                (1_000..=1_064).contains(&admitted),
                "{places} places: {admitted}"
            );
        }
    }

    #[test]
    fn what_the_others_do_not_use_is_shared() {
        let (mut budget, places) = with_sources(100, 64, 8);
        let asked = (0..10_000_u64).map(|n| budget.admit(at(n * 1_000), places[3]));
        let admitted = asked.filter(|admitted| *admitted).count();
        assert!((990..=1_064).contains(&admitted), "{admitted}");
    }

    /// Why there are shares: with one bucket for all, who asks most gets most.
    #[test]
    fn without_shares_the_others_starve() {
        let served = |shared: bool| {
            let (mut budget, places) = with_sources(100, 64, 8);
            let place = |n: usize| places[if shared { 0 } else { n }];
            let mut served = 0;
            for millis in 0..10_000_u64 {
                let now = at(millis * 1_000);
                for _ in 0..10 {
                    budget.admit(now, place(0));
                }
                // Each of the others ten times a second.
                let asks = (1..8).filter(|n| millis % 100 == *n as u64);
                served += asks.filter(|n| budget.admit(now, place(*n))).count();
            }
            served
        };
        assert_eq!(served(false), 700);
        assert!(served(true) < 70, "{}", served(true));
    }

    /// Not even one that asks every microsecond.
    #[test]
    fn no_remainder_is_lost_to_the_impatient() {
        let (mut budget, places) = with_sources(5, 16, 8);
        for micros in 0..4_000_000 {
            budget.admit(at(micros), places[0]);
            if micros % 1_700_000 == 1_699_999 {
                assert!(
                    places[1..]
                        .iter()
                        .all(|place| budget.admit(at(micros), *place))
                );
            }
        }
    }

    #[test]
    fn extremes_do_no_harm() {
        let mut budget = FairBudget::new(u32::MAX, u32::MAX, u16::MAX);
        let place = budget.enter(at(0)).expect("there is room");
        assert!(budget.admit(Timestamp::MAX, place));
        assert!(
            budget.admit(at(0), place),
            "time does not run backwards, only callers do"
        );
        let mut none = FairBudget::new(0, 0, 1);
        let place = none.enter(at(0)).expect("there is room");
        let admitted = (0..10)
            .filter(|_| none.admit(Timestamp::MAX, place))
            .count();
        assert_eq!(admitted, 2, "the burst is at least two for each place");
    }

    #[derive(Debug, Clone)]
    enum Action {
        Ask { source: usize, times: u8 },
        Move { source: usize },
    }

    fn actions() -> impl Strategy<Value = Vec<(u64, Action)>> {
        let action = prop_oneof![
            9 => (0..6_usize, 1..40_u8).prop_map(|(source, times)| Action::Ask { source, times }),
            1 => (0..6_usize).prop_map(|source| Action::Move { source }),
        ];
        let pause = prop_oneof![4 => 0..3_000_u64, 3 => 0..100_000_u64, 1 => 0..3_000_000_u64];
        prop::collection::vec((pause, action), 1..300)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(60))]

        /// Sources come and go and ask as they like: no span of time sees more
        /// than the rate and the burst allow.
        #[test]
        fn never_more_than_rate_and_burst(actions in actions(), rate in 1..200_u32, burst in 0..90_u32) {
            let mut budget = FairBudget::new(rate, burst, 6);
            let mut places = [None; 6];
            let mut admitted: Vec<u64> = Vec::new();
            let mut micros = 0;
            for (pause, action) in actions {
                micros += pause;
                match action {
                    Action::Ask { source, times } => {
                        for _ in 0..times {
                            let place = places[source];
                            if place.is_some_and(|place| budget.admit(at(micros), place)) {
                                admitted.push(micros);
                            }
                        }
                    }
                    Action::Move { source } => match places[source].take() {
                        Some(place) => budget.leave(at(micros), place),
                        None => places[source] = budget.enter(at(micros)),
                    },
                }
            }
            let burst = u64::from(burst.max(12));
            for (start, from) in admitted.iter().enumerate() {
                let spans = admitted[start..].iter().zip(1_u64..);
                for (until, count) in spans {
                    let allowed = burst * PRICE + u64::from(rate) * (until - from) + 6;
                    prop_assert!(count * PRICE <= allowed, "{count} from {from} to {until}");
                }
            }
        }

        /// One source asks no more often than its even share; the others as
        /// they like.
        #[test]
        fn below_its_share_nobody_is_refused(
            actions in actions(),
            rate in 6..600_u32,
            slack in prop::collection::vec(0..200_000_u64, 60),
        ) {
            let (mut budget, places) = with_sources(rate, 12, 6);
            let interval = (6 * PRICE).div_ceil(u64::from(rate));
            let mut modest = slack.iter().scan(0, |next, slack| {
                *next += interval + slack;
                Some(*next)
            });
            let mut due = modest.next();
            let mut micros = 0;
            for (pause, action) in actions {
                micros += pause;
                while let Some(now) = due.filter(|due| *due <= micros) {
                    prop_assert!(budget.admit(at(now), places[0]), "refused at {now}");
                    due = modest.next();
                }
                let (Action::Ask { source, .. } | Action::Move { source }) = action;
                for _ in 0..200 {
                    budget.admit(at(micros), places[1 + source % 5]);
                }
            }
        }
    }
}
