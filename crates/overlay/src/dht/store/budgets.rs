//! Who may store and ask how much: by the network that a peer was seen in.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use gannet_base::{PeerId, Timestamp};

use super::Config;
use crate::hub::Bucket;

/// Whose budget it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Source {
    /// IPv4: the first 24 bits.
    V4([u8; 3]),
    /// IPv6: the first 56 bits.
    V6([u8; 7]),
    /// A peer that was seen nowhere, or on this very machine.
    Peer(PeerId),
}

#[derive(Debug)]
struct Account {
    items: Bucket,
    asks: Bucket,
    used: Timestamp,
}

/// The budgets.
#[derive(Debug, Default)]
pub(super) struct Budgets {
    seen: BTreeMap<PeerId, Vec<SocketAddr>>,
    accounts: BTreeMap<Source, Account>,
}

/// Addresses of one peer that are remembered.
const SEEN_PER_PEER_MAX: usize = 2;
/// How many times as much a neighbour on the ring may hand over.
pub(super) const NEIGHBOUR_SHARE: u64 = 8;

impl Budgets {
    /// A peer was seen there.
    pub(super) fn see(&mut self, config: &Config, peer: PeerId, mut at: Vec<SocketAddr>) {
        at.truncate(SEEN_PER_PEER_MAX);
        if self.seen.len() >= config.sources_max && !self.seen.contains_key(&peer) {
            self.seen.pop_first();
        }
        if config.sources_max > 0 {
            self.seen.insert(peer, at);
        }
    }

    /// The link is gone.
    pub(super) fn forget(&mut self, peer: PeerId) {
        self.seen.remove(&peer);
    }

    /// Where a peer was seen.
    pub(super) fn seen(&self, peer: PeerId) -> &[SocketAddr] {
        self.seen.get(&peer).map_or(&[], Vec::as_slice)
    }

    fn source(&self, peer: PeerId) -> Source {
        match self.seen(peer).first().map(|at| at.ip().to_canonical()) {
            // Whole networks are tried out on one machine.
            Some(ip) if ip.is_loopback() => Source::Peer(peer),
            Some(IpAddr::V4(ip)) => {
                let [a, b, c, _] = ip.octets();
                Source::V4([a, b, c])
            }
            Some(IpAddr::V6(ip)) => {
                let [a, b, c, d, e, f, g, ..] = ip.octets();
                Source::V6([a, b, c, d, e, f, g])
            }
            None => Source::Peer(peer),
        }
    }

    fn account(&mut self, now: Timestamp, config: &Config, peer: PeerId) -> &mut Account {
        let source = self.source(peer);
        if self.accounts.len() >= config.sources_max.max(1) && !self.accounts.contains_key(&source)
        {
            let oldest = self.accounts.iter().min_by_key(|(_, account)| account.used);
            if let Some(oldest) = oldest.map(|(source, _)| *source) {
                self.accounts.remove(&oldest);
            }
        }
        let account = self.accounts.entry(source).or_insert_with(|| Account {
            items: Bucket::new(config.items_per_second, config.items_burst, now),
            asks: Bucket::new(config.asks_per_second, config.asks_burst, now),
            used: now,
        });
        account.used = now;
        account
    }

    /// Whether a peer may hand over so many postings now.
    pub(super) fn may_store(
        &mut self,
        now: Timestamp,
        config: &Config,
        peer: PeerId,
        (postings, is_neighbour): (u64, bool),
    ) -> bool {
        let share = if is_neighbour { NEIGHBOUR_SHARE } else { 1 };
        let price = postings.div_ceil(share);
        self.account(now, config, peer)
            .items
            .take(now, price)
            .is_ok()
    }

    /// Whether a peer may ask something now.
    pub(super) fn may_ask(
        &mut self,
        now: Timestamp,
        config: &Config,
        peer: PeerId,
        is_neighbour: bool,
    ) -> bool {
        // Neighbours compare, and that is answered in any case that is not hostile.
        let account = self.account(now, config, peer);
        if is_neighbour {
            account.items.take(now, 1).is_ok()
        } else {
            account.asks.take(now, 1).is_ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_of_many_identities_has_one_budget() {
        let config = Config {
            items_per_second: 1,
            items_burst: 10,
            ..Config::default()
        };
        let (mut budgets, now) = (Budgets::default(), Timestamp::from_secs(1));
        let peer = |n: u8| PeerId::from_bytes([n; 32]);
        for n in 0..20_u8 {
            let third = n % 2;
            budgets.see(&config, peer(n), vec![([93, 1, third, n], 4_000).into()]);
        }
        let mut taken = [0, 0];
        for n in 0..20_u8 {
            if budgets.may_store(now, &config, peer(n), (2, false)) {
                taken[usize::from(n % 2)] += 2;
            }
        }
        assert_eq!(taken, [10, 10]);
        assert!(!budgets.may_store(now, &config, peer(0), (8, false)));
        // Where nothing is known of addresses, each peer has its own.
        assert!(budgets.may_store(now, &config, peer(77), (10, false)));
        assert!(!budgets.may_store(now, &config, peer(77), (1, false)));
        assert!(budgets.may_store(now, &config, peer(78), (80, true)));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let config = Config {
            sources_max: 8,
            ..Config::default()
        };
        let (mut budgets, now) = (Budgets::default(), Timestamp::from_secs(1));
        for n in 0..=255 {
            let peer = PeerId::from_bytes([n; 32]);
            budgets.see(&config, peer, vec![([n, 1, 1, 1], 4_000).into()]);
            assert!(budgets.may_ask(now, &config, peer, false));
        }
        assert_eq!((budgets.seen.len(), budgets.accounts.len()), (8, 8));
    }
}
