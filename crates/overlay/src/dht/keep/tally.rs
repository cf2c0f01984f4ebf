//! When copies are missing: the whole policy, as a function of what is seen.
//!
//! Peers that go mostly come back, with what they hold. Making a new copy whenever one
//! goes would move a file around the clock; never making one would lose it. So
//! (after Carbonite, NSDI 2006, sections 3 and 4: replicas that return are counted
//! again, and those away are remembered):
//!
//! * a holder that is away counts as a copy for as long as it may be expected back:
//!   shortly if it has never come back before, a day if it has;
//! * when fewer copies than wanted are left in this sense, the rest is made at once;
//! * when fewer than half of the copies are online, so that a file is hard to get and
//!   the last copies are at risk together, more are made after a while, the sooner
//!   the fewer there are;
//! * copies that came back although they were replaced stay, until their room is
//!   needed.

use std::time::Duration;

use super::config::Config;

/// A holder, as the responsible node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sight {
    /// It has the block; if not, it is fetching it.
    pub(super) has: bool,
    /// It is there.
    pub(super) online: bool,
    /// How long it has been away.
    pub(super) away: Duration,
    /// How often it has come back with what it held.
    pub(super) returns: u8,
}

/// Copies of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Tally {
    /// Wanted.
    pub(super) copies: usize,
    /// Complete, at holders that are online.
    pub(super) online: usize,
    /// Being fetched by holders that are online.
    pub(super) coming: usize,
    /// Complete, at holders that are expected back.
    pub(super) away: usize,
}

impl Tally {
    pub(super) fn of(
        copies: u8,
        holders: impl IntoIterator<Item = Sight>,
        config: &Config,
    ) -> Self {
        let mut tally = Self {
            copies: copies.into(),
            online: 0,
            coming: 0,
            away: 0,
        };
        for holder in holders {
            if holder.online && holder.has {
                tally.online += 1;
            } else if holder.online {
                tally.coming += 1;
            } else if holder.has && is_expected(holder, config) {
                tally.away += 1;
            }
        }
        tally
    }

    /// All copies that count.
    pub(super) fn kept(&self) -> usize {
        self.online + self.coming + self.away
    }

    /// Copies to be made at once.
    pub(super) fn missing(&self) -> usize {
        self.copies.saturating_sub(self.kept())
    }

    /// How many copies should be online: half of them.
    fn floor(&self) -> usize {
        self.copies.div_ceil(2)
    }

    /// Copies to be made if it stays so for [`Tally::patience`].
    pub(super) fn thin(&self) -> usize {
        self.floor().saturating_sub(self.online + self.coming)
    }

    /// How long fewer copies online than should be are borne.
    pub(super) fn patience(&self, config: &Config) -> Duration {
        let online = u32::try_from(self.online).unwrap_or(u32::MAX);
        let floor = u32::try_from(self.floor()).unwrap_or(1).max(1);
        config.repair_delay.saturating_mul(online.min(floor)) / floor
    }

    /// Whether holders beyond the wanted number may give up their copies.
    pub(super) fn is_ample(&self) -> bool {
        self.online > self.copies || self.online + self.away > 2 * self.copies
    }
}

/// Whether a holder that is away is expected back.
pub(super) fn is_expected(holder: Sight, config: &Config) -> bool {
    let patience = if holder.returns == 0 {
        config.away_new
    } else {
        config.away_max
    };
    holder.away <= patience
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn sight(has: bool, online: bool, minutes: u64, returns: u8) -> Sight {
        Sight {
            has,
            online,
            away: Duration::from_secs(60 * minutes),
            returns,
        }
    }

    #[track_caller]
    fn check(holders: &[Sight], missing: usize, thin: usize, seconds: u64) {
        let config = Config::default();
        let tally = Tally::of(8, holders.iter().copied(), &config);
        assert_eq!((tally.missing(), tally.thin()), (missing, thin));
        let patience = tally.patience(&config);
        assert_eq!(patience, Duration::from_secs(seconds));
    }

    #[test]
    fn who_is_away_is_waited_for() {
        let config = Config::default();
        assert_eq!(config.repair_delay, Duration::from_secs(15 * 60));
        let (here, there) = (sight(true, true, 0, 0), sight(true, false, 60, 1));
        let (gone, restarts) = (sight(true, false, 60, 0), sight(true, false, 10, 0));
        let coming = sight(false, true, 0, 0);
        check(&[], 8, 4, 0);
        check(&[here; 8], 0, 0, 900);
        check(
            &[here, here, here, here, there, there, there, there],
            0,
            0,
            900,
        );
        check(
            &[here, here, there, there, there, there, there, there],
            0,
            2,
            450,
        );
        check(&[here, here, here, here, here, here, here, gone], 1, 0, 900);
        check(
            &[here, here, here, here, here, here, here, restarts],
            0,
            0,
            900,
        );
        check(
            &[here, coming, coming, coming, there, there, there, there],
            0,
            0,
            225,
        );
    }

    proptest! {
        /// Never more is made than brings a block to what is wanted; whoever comes
        /// back makes nothing worse; losing one makes nothing better.
        #[test]
        fn more_is_never_worse(
            copies in 1_u8..=32,
            holders in prop::collection::vec(
                (any::<bool>(), any::<bool>(), 0_u64..3_000, 0_u8..3), 0..40),
        ) {
            let config = Config::default();
            let holders: Vec<_> =
                holders.into_iter().map(|(a, b, c, d)| sight(a, b, c, d)).collect();
            let tally = |holders: &[Sight]| Tally::of(copies, holders.iter().copied(), &config);
            let all = tally(&holders);
            prop_assert!(all.missing() <= usize::from(copies));
            prop_assert!(all.thin() <= usize::from(copies).div_ceil(2));
            prop_assert!(all.patience(&config) <= config.repair_delay);
            prop_assert!(!(all.is_ample() && all.missing() > 0));
            for place in 0..holders.len() {
                let mut back = holders.clone();
                back[place].online = true;
                let mut less = holders.clone();
                less.remove(place);
                prop_assert!(tally(&back).missing() <= all.missing());
                prop_assert!(tally(&back).thin() <= all.thin());
                prop_assert!(tally(&less).missing() >= all.missing());
                prop_assert!(tally(&less).thin() >= all.thin());
            }
        }
    }
}
