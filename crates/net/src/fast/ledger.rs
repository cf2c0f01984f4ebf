//! How many lanes there may be and for whom, which ones are expected, and whom
//! to leave alone: counting, without a clock of its own. `now` is the time
//! since the start everywhere here.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use gannet_base::PeerId;

use super::offer::{Name, Proof};
use crate::Limits;
use crate::limits::{AddressPolicy, decrement, house};

/// Peers remembered because a lane to them failed; the oldest give way.
// Guess: more than there are connections.
const BLAMED_MAX: usize = 1_024;

/// An offer that was given out and not taken up yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Offered {
    pub(super) peer: PeerId,
    /// The name in the table of the connection that it was given out on.
    pub(super) connection: u64,
    /// Whether its other end is near.
    pub(super) is_near: bool,
    /// What the lane must show once it is encrypted.
    pub(super) proof: Proof,
    until: Duration,
}

/// The counts. Every map is bounded: offers and lanes by the limits, the blamed
/// by [`BLAMED_MAX`], doorsteps by the limit on them.
#[derive(Debug)]
pub(super) struct Ledger {
    lanes_max: usize,
    per_peer_max: usize,
    doorsteps_max: usize,
    per_address_max: usize,
    offer_lifetime: Duration,
    retry: Duration,
    policy: AddressPolicy,
    offers: BTreeMap<Name, Offered>,
    /// Open lanes of each peer.
    open: BTreeMap<PeerId, usize>,
    lanes: usize,
    doorsteps: usize,
    by_address: BTreeMap<IpAddr, usize>,
    blamed: BTreeMap<PeerId, Duration>,
}

impl Ledger {
    pub(super) fn new(limits: &Limits, policy: AddressPolicy) -> Self {
        Self {
            lanes_max: limits.lanes_max,
            per_peer_max: limits.lanes_per_peer_max,
            doorsteps_max: limits.lanes_pending_max,
            per_address_max: limits.per_address_max,
            offer_lifetime: limits.lane_timeout,
            retry: limits.lane_retry,
            policy,
            offers: BTreeMap::new(),
            open: BTreeMap::new(),
            lanes: 0,
            doorsteps: 0,
            by_address: BTreeMap::new(),
            blamed: BTreeMap::new(),
        }
    }

    /// Lanes open now.
    pub(super) fn lanes(&self) -> usize {
        self.lanes
    }

    /// Expects a lane from this peer, if it may have one more.
    pub(super) fn offer(
        &mut self,
        now: Duration,
        name: Name,
        (peer, connection, is_near): (PeerId, u64, bool),
        proof: Proof,
    ) -> bool {
        if !self.has_room(now, peer) {
            return false;
        }
        let offered = Offered {
            peer,
            connection,
            is_near,
            proof,
            until: now.saturating_add(self.offer_lifetime),
        };
        self.offers.insert(name, offered);
        true
    }

    /// A lane of this name is at the door. An offer holds once; from here on the
    /// lane counts as open.
    pub(super) fn redeem(&mut self, now: Duration, name: Name) -> Option<Offered> {
        let offered = self.offers.remove(&name)?;
        if offered.until <= now {
            return None;
        }
        self.count(offered.peer);
        Some(offered)
    }

    /// The connection is over: no lane is expected for it any more.
    pub(super) fn forget(&mut self, connection: u64) {
        self.offers
            .retain(|_, offered| offered.connection != connection);
    }

    /// Counts a lane that this side dials, if there may be one more.
    pub(super) fn open(&mut self, now: Duration, peer: PeerId) -> bool {
        let has_room = self.has_room(now, peer);
        if has_room {
            self.count(peer);
        }
        has_room
    }

    /// A lane is over.
    pub(super) fn close(&mut self, peer: PeerId) {
        self.lanes -= 1;
        decrement(&mut self.open, peer);
    }

    /// Counts a TCP connection that has not said yet which lane it is. None
    /// is let in while no lane is expected.
    pub(super) fn admit(&mut self, now: Duration, address: IpAddr) -> bool {
        self.expire(now);
        if self.offers.is_empty() || self.doorsteps >= self.doorsteps_max {
            return false;
        }
        let house = house(address);
        let count = self.by_address.get(&house).copied().unwrap_or(0);
        if count >= self.per_address_max && !self.policy.exempts(address) {
            return false;
        }
        self.doorsteps += 1;
        self.by_address.insert(house, count + 1);
        true
    }

    /// Such a connection has said so, or is gone.
    pub(super) fn leave(&mut self, address: IpAddr) {
        self.doorsteps -= 1;
        decrement(&mut self.by_address, house(address));
    }

    /// A lane to this peer failed.
    pub(super) fn blame(&mut self, now: Duration, peer: PeerId) {
        if self.blamed.len() >= BLAMED_MAX && !self.blamed.contains_key(&peer) {
            let oldest = self.blamed.iter().min_by_key(|(_, until)| **until);
            if let Some(oldest) = oldest.map(|(peer, _)| *peer) {
                self.blamed.remove(&oldest);
            }
        }
        self.blamed.insert(peer, now.saturating_add(self.retry));
    }

    /// Whether a lane to this peer may be tried.
    pub(super) fn may_try(&mut self, now: Duration, peer: PeerId) -> bool {
        match self.blamed.get(&peer) {
            Some(until) if *until > now => false,
            Some(_) => {
                self.blamed.remove(&peer);
                true
            }
            None => true,
        }
    }

    fn expire(&mut self, now: Duration) {
        self.offers.retain(|_, offered| offered.until > now);
    }

    fn has_room(&mut self, now: Duration, peer: PeerId) -> bool {
        self.expire(now);
        let offered = self.offers.values().filter(|o| o.peer == peer).count();
        let open = self.open.get(&peer).copied().unwrap_or(0);
        open + offered < self.per_peer_max && self.lanes + self.offers.len() < self.lanes_max
    }

    fn count(&mut self, peer: PeerId) {
        self.lanes += 1;
        *self.open.entry(peer).or_default() += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Duration = Duration::from_secs(100);

    fn peer(n: u8) -> PeerId {
        PeerId::from_bytes([n; 32])
    }

    fn name(n: u8) -> Name {
        [n; 16]
    }

    fn ledger(policy: AddressPolicy) -> Ledger {
        let limits = Limits {
            lanes_max: 5,
            lanes_per_peer_max: 2,
            lanes_pending_max: 6,
            lane_timeout: Duration::from_secs(3),
            lane_retry: Duration::from_secs(60),
            ..Limits::default()
        };
        Ledger::new(&limits, policy)
    }

    fn offer(ledger: &mut Ledger, now: Duration, n: u8, of: u8) -> bool {
        ledger.offer(now, name(n), (peer(of), 7, true), [n; 16])
    }

    #[test]
    fn an_offer_holds_once_and_not_for_ever() {
        let mut ledger = ledger(AddressPolicy::LocalExempt);
        assert!(offer(&mut ledger, NOW, 1, 9));
        let offered = ledger.redeem(NOW, name(1)).unwrap();
        assert_eq!((offered.peer, offered.connection), (peer(9), 7));
        assert_eq!(ledger.redeem(NOW, name(1)), None, "once");
        assert_eq!(ledger.redeem(NOW, name(2)), None, "never offered");
        assert!(offer(&mut ledger, NOW, 3, 9));
        let late = NOW + Duration::from_secs(3);
        assert_eq!(ledger.redeem(late, name(3)), None, "too late");
        assert!(offer(&mut ledger, NOW, 4, 9));
        ledger.forget(7);
        assert_eq!(
            ledger.redeem(NOW, name(4)),
            None,
            "of a connection that is over"
        );
        assert_eq!(ledger.lanes(), 1);
        ledger.close(peer(9));
        assert_eq!(ledger.lanes(), 0);
        assert!(ledger.open.is_empty() && ledger.offers.is_empty());
    }

    #[test]
    fn a_peer_has_its_share_whoever_dials() {
        let mut ledger = ledger(AddressPolicy::LocalExempt);
        assert!(ledger.open(NOW, peer(1)));
        assert!(offer(&mut ledger, NOW, 1, 1));
        assert!(!ledger.open(NOW, peer(1)) && !offer(&mut ledger, NOW, 2, 1));
        // An offer that nobody took up makes room again.
        let later = NOW + Duration::from_secs(4);
        assert!(offer(&mut ledger, later, 2, 1));
        for of in [2, 2, 3] {
            assert!(ledger.open(later, peer(of)));
        }
        assert!(!ledger.open(later, peer(4)), "five are all");
        ledger.close(peer(2));
        assert!(ledger.open(later, peer(4)));
    }

    #[test]
    fn strangers_wait_nowhere_unless_somebody_is_expected() {
        let address: IpAddr = "9.9.9.9".parse().unwrap();
        let mut ledger = ledger(AddressPolicy::AllPublic);
        assert!(!ledger.admit(NOW, address));
        assert!(offer(&mut ledger, NOW, 1, 1));
        for _ in 0..4 {
            assert!(ledger.admit(NOW, address));
        }
        assert!(!ledger.admit(NOW, address), "four from one address");
        let others = ["9.9.9.1", "9.9.9.2"].map(|text| text.parse().unwrap());
        assert!(others.iter().all(|other| ledger.admit(NOW, *other)));
        assert!(
            !ledger.admit(NOW, "9.9.9.3".parse().unwrap()),
            "six are all"
        );
        ledger.leave(address);
        assert!(ledger.admit(NOW, "9.9.9.3".parse().unwrap()));
        let late = NOW + Duration::from_secs(3);
        assert!(
            !ledger.admit(late, "9.9.9.4".parse().unwrap()),
            "nobody any more"
        );
        for at in [address, address, address, others[0], others[1]] {
            ledger.leave(at);
        }
        ledger.leave("9.9.9.3".parse().unwrap());
        assert!(ledger.by_address.is_empty() && ledger.doorsteps == 0);
    }

    #[test]
    fn whoever_failed_is_left_alone_for_a_while() {
        let mut ledger = ledger(AddressPolicy::LocalExempt);
        assert!(ledger.may_try(NOW, peer(1)));
        ledger.blame(NOW, peer(1));
        assert!(!ledger.may_try(NOW + Duration::from_secs(59), peer(1)));
        assert!(ledger.may_try(NOW, peer(2)));
        assert!(ledger.may_try(NOW + Duration::from_secs(60), peer(1)));
        for n in 0..=u16::try_from(BLAMED_MAX).unwrap() {
            let mut id = [0; 32];
            id[..2].copy_from_slice(&n.to_le_bytes());
            ledger.blame(
                NOW + Duration::from_millis(n.into()),
                PeerId::from_bytes(id),
            );
        }
        assert_eq!(ledger.blamed.len(), BLAMED_MAX);
        assert!(
            ledger.may_try(NOW, PeerId::from_bytes([0; 32])),
            "forgotten"
        );
    }
}
