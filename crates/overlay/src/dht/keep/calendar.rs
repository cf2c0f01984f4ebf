//! What day it is, though this machine's clock, or another's, may be years off.
//!
//! Orders end on a calendar day. If a node with a wrong clock believed it alone, it
//! would drop what it holds years early, or hold it for ever. So it compares itself
//! with the peers that it talks to: nothing is over before both its own clock and the
//! middle of the others' say so; and what the others agree is long over, is.

use std::collections::BTreeMap;

use gannet_base::{KeepOrder, PeerId, Timestamp, WallTime};

/// Peers whose clocks are remembered.
// Guess: claims go to and come from about as many.
const PEERS_MAX: usize = 32;
/// Fewer than these say nothing.
// Guess: as many must be wrong in the same way.
const PEERS_MIN: usize = 2;
/// How long after its end an order is over whatever the own clock says.
const OVERDUE_SECONDS: u64 = 7 * 24 * 3600;

/// The own clock, and those of others.
#[derive(Debug, Default)]
pub(super) struct Calendar {
    own: Option<(WallTime, Timestamp)>,
    /// What each peer's clock said when this node's start was: its time less the
    /// time that had passed here.
    origins: BTreeMap<PeerId, (u64, Timestamp)>,
}

impl Calendar {
    pub(super) fn set(&mut self, now: Timestamp, time: WallTime) {
        self.own = Some((time, now));
    }

    /// A peer says what time it is.
    pub(super) fn hear(&mut self, now: Timestamp, peer: PeerId, time: Option<WallTime>) {
        let Some(time) = time else { return };
        let origin = time.as_unix_seconds().saturating_sub(seconds(now));
        self.origins.insert(peer, (origin, now));
        if self.origins.len() > PEERS_MAX {
            let oldest = self.origins.iter().min_by_key(|(_, (_, at))| *at);
            if let Some(peer) = oldest.map(|(peer, _)| *peer) {
                self.origins.remove(&peer);
            }
        }
    }

    /// The own clock's time.
    pub(super) fn own(&self, now: Timestamp) -> Option<WallTime> {
        let (time, told_at) = self.own?;
        Some(time.plus_seconds((now - told_at).as_secs()))
    }

    /// The middle of the others' clocks, the earlier of two; and whether they were
    /// enough.
    fn others(&self, now: Timestamp) -> Option<(WallTime, bool)> {
        let mut origins: Vec<u64> = self.origins.values().map(|(origin, _)| *origin).collect();
        origins.sort_unstable();
        let enough = origins.len() >= PEERS_MIN;
        let origin = origins.get(origins.len().saturating_sub(1) / 2).copied()?;
        let time = WallTime::from_unix_seconds(origin).plus_seconds(seconds(now));
        Some((time, enough))
    }

    /// Whether an order is over. A node that has heard nobody does not know.
    pub(super) fn is_over(&self, now: Timestamp, order: &KeepOrder) -> bool {
        let end = order.expires.plus_seconds(KeepOrder::CLOCK_SLACK_SECONDS);
        let Some((others, enough)) = self.others(now) else {
            return false;
        };
        let agreed = self.own(now).is_some_and(|own| own > end) && others > end;
        agreed || (enough && others > end.plus_seconds(OVERDUE_SECONDS))
    }

    /// Whether an order may be taken on now: it has begun, and is not over. Without
    /// any clock nothing can be said, so no.
    pub(super) fn is_current(&self, now: Timestamp, order: &KeepOrder) -> bool {
        let others = self.others(now).map(|(others, _)| others);
        let latest = self.own(now).max(others);
        let slack = KeepOrder::CLOCK_SLACK_SECONDS;
        let end = order.expires.plus_seconds(slack);
        // Who has heard nobody has only its own clock to go by.
        let alone_over = others.is_none() && latest.is_some_and(|own| own > end);
        latest.is_some_and(|latest| order.issued <= latest.plus_seconds(slack))
            && !alone_over
            && !self.is_over(now, order)
    }
}

fn seconds(now: Timestamp) -> u64 {
    (now - Timestamp::ZERO).as_secs()
}
