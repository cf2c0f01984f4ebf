//! Who may come in, and whom this peer may bother: counting, without a clock
//! of its own. `now` is the time since the start everywhere here.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::Limits;

/// Which addresses are not limited per address: several peers on one machine
/// or behind one router are usual at home and suspicious elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum AddressPolicy {
    /// Loopback, private and link-local addresses are exempt.
    #[default]
    LocalExempt,
    /// No address is exempt.
    AllPublic,
}

impl AddressPolicy {
    /// Whether limits per address do not apply to this one.
    pub fn exempts(self, address: IpAddr) -> bool {
        match self {
            Self::AllPublic => false,
            Self::LocalExempt => is_local(address),
        }
    }
}

/// Loopback, private (RFC 1918, RFC 4193) or link-local.
pub(crate) fn is_local(address: IpAddr) -> bool {
    match address.to_canonical() {
        IpAddr::V4(v4) => v4.is_loopback() || v4.is_private() || v4.is_link_local(),
        IpAddr::V6(v6) => v6.is_loopback() || v6.is_unique_local() || v6.is_unicast_link_local(),
    }
}

/// Where a connection came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This side dialled.
    Dialed,
    /// From an address.
    Address(IpAddr),
    /// Through a relay.
    Relayed,
}

/// Why a connection is not let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Too many connections, too many through relays, or too many handshakes.
    Full,
    /// Too many from the address or its neighbourhood.
    Crowded,
    /// Too many arrivals from the address lately.
    TooFast,
}

/// Keys remembered by a [`Rates`]. Too low: a wide attack passes or blocks all;
/// too high: memory, about 100 bytes each.
// Guess: what a /20 of attackers would fill.
const RATES_MAX: usize = 4_096;

/// Counts every connection of the process, from before its handshake until its
/// end.
#[derive(Debug)]
pub(crate) struct Census {
    limits: Limits,
    policy: AddressPolicy,
    connections: usize,
    incoming: usize,
    pending: usize,
    relayed: usize,
    by_address: BTreeMap<IpAddr, usize>,
    by_subnet: BTreeMap<IpAddr, usize>,
    arrivals: Rates<IpAddr>,
}

impl Census {
    pub(crate) fn new(limits: Limits, policy: AddressPolicy) -> Self {
        Self {
            arrivals: Rates::new(limits.arrivals_burst, limits.arrival_interval),
            limits,
            policy,
            connections: 0,
            incoming: 0,
            pending: 0,
            relayed: 0,
            by_address: BTreeMap::new(),
            by_subnet: BTreeMap::new(),
        }
    }

    /// Counts a new connection in, handshake pending, or says why not.
    pub(crate) fn admit(&mut self, now: Duration, origin: Origin) -> Result<(), Refusal> {
        let limits = &self.limits;
        if self.connections >= limits.connections_max {
            return Err(Refusal::Full);
        }
        if origin == Origin::Dialed {
            self.connections += 1;
            return Ok(());
        }
        // A quarter is kept for dials, so that arrivals alone cannot decide
        // whom this peer is connected to.
        let incoming_max = limits.connections_max - limits.connections_max / 4;
        if self.incoming >= incoming_max || self.pending >= limits.pending_max {
            return Err(Refusal::Full);
        }
        match origin {
            Origin::Relayed if self.relayed >= limits.relayed_max => return Err(Refusal::Full),
            Origin::Address(address) if !self.policy.exempts(address) => {
                let crowded = |counts: &BTreeMap<IpAddr, usize>, key, max| {
                    counts.get(&key).is_some_and(|count| *count >= max)
                };
                let (house, street) = (house(address), street(address));
                if crowded(&self.by_address, house, limits.per_address_max)
                    || crowded(&self.by_subnet, street, limits.per_subnet_max)
                {
                    return Err(Refusal::Crowded);
                }
                if !self.arrivals.allow(now, house, WhenFull::Allow) {
                    return Err(Refusal::TooFast);
                }
            }
            _ => {}
        }
        self.connections += 1;
        self.incoming += 1;
        self.pending += 1;
        match origin {
            Origin::Address(address) => {
                *self.by_address.entry(house(address)).or_default() += 1;
                *self.by_subnet.entry(street(address)).or_default() += 1;
            }
            Origin::Relayed => self.relayed += 1,
            Origin::Dialed => {}
        }
        Ok(())
    }

    /// An incoming connection has finished its handshake.
    pub(crate) fn settle(&mut self) {
        self.pending -= 1;
    }

    /// A connection is over; `pending` if its handshake never finished.
    pub(crate) fn release(&mut self, origin: Origin, pending: bool) {
        self.connections -= 1;
        if origin == Origin::Dialed {
            return;
        }
        self.incoming -= 1;
        if pending {
            self.pending -= 1;
        }
        match origin {
            Origin::Address(address) => {
                decrement(&mut self.by_address, house(address));
                decrement(&mut self.by_subnet, street(address));
            }
            Origin::Relayed => self.relayed -= 1,
            Origin::Dialed => {}
        }
    }

    /// Whether so many handshakes are pending that a stranger should prove its
    /// address before it takes a place.
    pub(crate) fn is_busy(&self) -> bool {
        self.pending >= self.limits.pending_max / 4
    }
}

/// One less for this key; it is forgotten at none.
pub(crate) fn decrement<K: Ord>(counts: &mut BTreeMap<K, usize>, key: K) {
    if let Some(count) = counts.get_mut(&key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(&key);
        }
    }
}

/// What one household has: an IPv4 address, or an IPv6 /56.
pub(crate) fn house(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(v4),
        IpAddr::V6(v6) => masked(v6, 56),
    }
}

/// What one organisation easily has: an IPv4 /24, or an IPv6 /48.
fn street(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(v4) => IpAddr::V4(Ipv4Addr::from_bits(v4.to_bits() & 0xffff_ff00)),
        IpAddr::V6(v6) => masked(v6, 48),
    }
}

fn masked(address: Ipv6Addr, prefix: u32) -> IpAddr {
    IpAddr::V6(Ipv6Addr::from_bits(
        address.to_bits() & (u128::MAX << (128 - prefix)),
    ))
}

/// What to do for a new key when [`RATES_MAX`] others are remembered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WhenFull {
    Allow,
    Deny,
}

/// A rate per key: a burst, then one per interval. Source: the generic cell
/// rate algorithm of ITU-T I.371, one time stamp per key.
#[derive(Debug)]
pub(crate) struct Rates<K> {
    /// How far ahead of now a key's time stamp may be: the burst.
    ahead_max: Duration,
    interval: Duration,
    due: BTreeMap<K, Duration>,
}

impl<K: Ord> Rates<K> {
    pub(crate) fn new(burst: u32, interval: Duration) -> Self {
        Self {
            ahead_max: interval.saturating_mul(burst.saturating_sub(1)),
            interval,
            due: BTreeMap::new(),
        }
    }

    /// Whether `key` may once more; if so, it is counted.
    pub(crate) fn allow(&mut self, now: Duration, key: K, when_full: WhenFull) -> bool {
        let due = self.due.get(&key).copied().unwrap_or(now).max(now);
        if due - now > self.ahead_max {
            return false;
        }
        if self.due.len() >= RATES_MAX && !self.due.contains_key(&key) {
            self.due.retain(|_, due| *due > now);
            if self.due.len() >= RATES_MAX {
                return when_full == WhenFull::Allow;
            }
        }
        self.due.insert(key, due.saturating_add(self.interval));
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Origin {
        Origin::Address(text.parse().unwrap())
    }

    fn census(policy: AddressPolicy) -> Census {
        let limits = Limits {
            connections_max: 40,
            pending_max: 20,
            ..Limits::default()
        };
        Census::new(limits, policy)
    }

    #[test]
    fn one_address_and_one_subnet_get_their_share() {
        let mut census = census(AddressPolicy::AllPublic);
        for _ in 0..4 {
            assert_eq!(census.admit(Duration::ZERO, address("9.9.9.9")), Ok(()));
        }
        assert_eq!(
            census.admit(Duration::ZERO, address("9.9.9.9")),
            Err(Refusal::Crowded)
        );
        for n in 0..12 {
            let neighbour = address(&format!("9.9.9.{}", 20 + n));
            assert_eq!(census.admit(Duration::ZERO, neighbour), Ok(()), "{n}");
        }
        assert_eq!(
            census.admit(Duration::ZERO, address("9.9.9.200")),
            Err(Refusal::Crowded)
        );
        assert_eq!(census.admit(Duration::ZERO, address("9.9.8.1")), Ok(()));
        census.release(address("9.9.9.9"), true);
        assert_eq!(census.admit(Duration::ZERO, address("9.9.9.9")), Ok(()));
    }

    #[test]
    fn ipv6_is_counted_by_prefix() {
        let mut census = census(AddressPolicy::AllPublic);
        for n in 0..4 {
            let same_56 = address(&format!("2001:db8:1:{n:x}::1"));
            assert_eq!(census.admit(Duration::ZERO, same_56), Ok(()));
        }
        assert_eq!(
            census.admit(Duration::ZERO, address("2001:db8:1:ff::1")),
            Err(Refusal::Crowded)
        );
        assert_eq!(
            census.admit(Duration::ZERO, address("2001:db8:1:100::1")),
            Ok(())
        );
        // An IPv4 address in IPv6 clothes is the IPv4 address.
        for _ in 0..4 {
            let mapped = address("::ffff:9.9.9.9");
            assert_eq!(census.admit(Duration::ZERO, mapped), Ok(()));
        }
        assert_eq!(
            census.admit(Duration::ZERO, address("9.9.9.9")),
            Err(Refusal::Crowded)
        );
    }

    #[test]
    fn home_is_exempt_unless_told_otherwise() {
        for home in [
            "127.0.0.1",
            "192.168.1.7",
            "10.1.2.3",
            "fd00::1",
            "fe80::1",
            "::1",
        ] {
            let ip: IpAddr = home.parse().unwrap();
            assert!(AddressPolicy::LocalExempt.exempts(ip), "{home}");
            assert!(!AddressPolicy::AllPublic.exempts(ip), "{home}");
        }
        assert!(!AddressPolicy::LocalExempt.exempts("100.64.0.1".parse().unwrap()));
        let mut census = census(AddressPolicy::LocalExempt);
        for _ in 0..20 {
            assert_eq!(census.admit(Duration::ZERO, address("127.0.0.1")), Ok(()));
        }
        assert_eq!(
            census.admit(Duration::ZERO, address("127.0.0.1")),
            Err(Refusal::Full),
            "handshakes are limited for everybody"
        );
        for _ in 0..10 {
            census.settle();
            assert_eq!(census.admit(Duration::ZERO, address("127.0.0.1")), Ok(()));
        }
        census.settle();
        assert_eq!(
            census.admit(Duration::ZERO, address("127.0.0.1")),
            Err(Refusal::Full),
            "a quarter is kept for dials"
        );
        for _ in 0..10 {
            assert_eq!(census.admit(Duration::ZERO, Origin::Dialed), Ok(()));
        }
        assert_eq!(
            census.admit(Duration::ZERO, Origin::Dialed),
            Err(Refusal::Full)
        );
    }

    #[test]
    fn arrivals_are_paced_and_everything_released_is_forgotten() {
        let mut census = census(AddressPolicy::AllPublic);
        for _ in 0..8 {
            census.admit(Duration::ZERO, address("9.9.9.9")).unwrap();
            census.release(address("9.9.9.9"), true);
        }
        assert_eq!(
            census.admit(Duration::ZERO, address("9.9.9.9")),
            Err(Refusal::TooFast)
        );
        let later = Limits::default().arrival_interval;
        assert_eq!(census.admit(later, address("9.9.9.9")), Ok(()));
        census.settle();
        census.release(address("9.9.9.9"), false);
        assert!(census.by_address.is_empty() && census.by_subnet.is_empty());
        assert_eq!(
            (census.connections, census.incoming, census.pending),
            (0, 0, 0)
        );
    }

    #[test]
    fn rates_allow_a_burst_then_one_per_interval() {
        let second = Duration::from_secs(1);
        let mut rates = Rates::new(3, second * 10);
        let mut allowed = |seconds: u32| rates.allow(second * seconds, 'k', WhenFull::Deny);
        assert_eq!(
            [0, 0, 0, 0, 9].map(&mut allowed),
            [true, true, true, false, false]
        );
        assert_eq!(
            [10, 11, 20, 29].map(&mut allowed),
            [true, false, true, false]
        );
        // After a long rest, the whole burst again.
        assert_eq!(
            [99, 99, 99, 99].map(&mut allowed),
            [true, true, true, false]
        );
    }

    #[test]
    fn rates_remember_a_bounded_number_of_keys() {
        let mut rates = Rates::new(1, Duration::from_secs(10));
        for key in 0..RATES_MAX {
            assert!(rates.allow(Duration::ZERO, key, WhenFull::Deny));
        }
        assert!(!rates.allow(Duration::ZERO, RATES_MAX, WhenFull::Deny));
        assert!(rates.allow(Duration::ZERO, RATES_MAX, WhenFull::Allow));
        assert_eq!(rates.due.len(), RATES_MAX);
        assert!(rates.allow(Duration::from_secs(11), RATES_MAX, WhenFull::Deny));
        assert_eq!(rates.due.len(), 1);
    }
}
