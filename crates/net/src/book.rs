//! The address book: where peers were last said to be.
//!
//! It holds at most [`Limits::book_peers_max`](crate::Limits::book_peers_max)
//! peers with [`PeerAddress::ADDRESSES_MAX`] addresses each. When a peer has
//! too many, the oldest of the least trusted goes; when there are too many
//! peers, the one longest untouched of those that the user did not name goes.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use gannet_base::{PeerAddress, PeerId};

use crate::limits::is_local;

/// Who vouches for an address; the greater, the more it is trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Voucher {
    /// Some peer said so.
    Hearsay,
    /// The peer itself was connected from there.
    Seen,
    /// The user.
    User,
}

#[derive(Debug)]
pub(crate) struct AddressBook {
    peers_max: usize,
    peers: BTreeMap<PeerId, Entry>,
    clock: u64,
}

#[derive(Debug, Default)]
struct Entry {
    /// Least trusted first, then oldest first: the first is the next to go.
    addresses: Vec<(Voucher, u64, SocketAddr)>,
    touched: u64,
}

impl AddressBook {
    pub(crate) fn new(peers_max: usize) -> Self {
        Self {
            peers_max,
            peers: BTreeMap::new(),
            clock: 0,
        }
    }

    /// Takes addresses in and says whether one of them is new. Later ones of
    /// the list count as older: the likeliest comes first in a
    /// [`PeerAddress`].
    pub(crate) fn add(&mut self, address: &PeerAddress, voucher: Voucher) -> bool {
        let usable: Vec<_> = address
            .addresses
            .iter()
            .map(|address| SocketAddr::new(address.ip().to_canonical(), address.port()))
            .filter(|address| is_usable(*address, voucher))
            .take(PeerAddress::ADDRESSES_MAX)
            .collect();
        if usable.is_empty() || !self.make_room_for(address.peer) {
            return false;
        }
        let entry = self.peers.entry(address.peer).or_default();
        let mut is_news = false;
        for address in usable.into_iter().rev() {
            self.clock += 1;
            is_news |= entry.add(address, voucher, self.clock);
        }
        entry.touched = self.clock;
        is_news
    }

    /// Where the peer may be, the likeliest first.
    pub(crate) fn addresses(&self, peer: PeerId) -> Vec<SocketAddr> {
        self.peers
            .get(&peer)
            .into_iter()
            .flat_map(|entry| entry.addresses.iter().rev())
            .map(|(_, _, address)| *address)
            .collect()
    }

    /// Whether the peer is in the book, or may now be put into it.
    fn make_room_for(&mut self, peer: PeerId) -> bool {
        if self.peers.contains_key(&peer) || self.peers.len() < self.peers_max {
            return true;
        }
        let oldest = self
            .peers
            .iter()
            .filter(|(_, entry)| !entry.is_pinned())
            .min_by_key(|(_, entry)| entry.touched)
            .map(|(peer, _)| *peer);
        oldest.is_some_and(|oldest| self.peers.remove(&oldest).is_some())
    }
}

impl Entry {
    fn add(&mut self, address: SocketAddr, voucher: Voucher, now: u64) -> bool {
        let known = self.addresses.iter().position(|(_, _, a)| *a == address);
        let voucher = match known {
            Some(index) => self.addresses.remove(index).0.max(voucher),
            None => voucher,
        };
        if self.addresses.len() == PeerAddress::ADDRESSES_MAX {
            if self.addresses[0].0 > voucher {
                return false;
            }
            self.addresses.remove(0);
        }
        let place = self
            .addresses
            .partition_point(|(other, time, _)| (*other, *time) < (voucher, now));
        self.addresses.insert(place, (voucher, now, address));
        known.is_none()
    }

    fn is_pinned(&self) -> bool {
        self.addresses
            .iter()
            .any(|(voucher, _, _)| *voucher == Voucher::User)
    }
}

/// Whether packets may be sent there. On hearsay, the ports of public system
/// services are never tried: a liar must not aim peers at name servers.
fn is_usable(address: SocketAddr, voucher: Voucher) -> bool {
    let ip = address.ip();
    let is_broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    let is_system_port = address.port() < 1_024;
    address.port() != 0
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !is_broadcast
        && (voucher != Voucher::Hearsay || !is_system_port || is_local(ip))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn at(peer: u8, addresses: &[&str]) -> PeerAddress {
        PeerAddress {
            peer: PeerId::from_bytes([peer; 32]),
            addresses: addresses.iter().map(|a| a.parse().unwrap()).collect(),
        }
    }

    #[track_caller]
    fn check(book: &AddressBook, peer: u8, expected: &[&str]) {
        assert_eq!(
            book.addresses(PeerId::from_bytes([peer; 32])),
            at(peer, expected).addresses
        );
    }

    #[test]
    fn the_likeliest_address_comes_first() {
        let mut book = AddressBook::new(10);
        assert!(book.add(&at(1, &["1.1.1.1:5000", "1.1.1.2:5000"]), Voucher::Hearsay));
        check(&book, 1, &["1.1.1.1:5000", "1.1.1.2:5000"]);
        assert!(book.add(&at(1, &["1.1.1.3:5000"]), Voucher::Hearsay));
        assert!(book.add(&at(1, &["1.1.1.4:5000"]), Voucher::User));
        assert!(!book.add(&at(1, &["1.1.1.2:5000"]), Voucher::Seen));
        check(
            &book,
            1,
            &[
                "1.1.1.4:5000",
                "1.1.1.2:5000",
                "1.1.1.3:5000",
                "1.1.1.1:5000",
            ],
        );
    }

    #[test]
    fn hearsay_never_drives_out_what_is_trusted_more() {
        let mut book = AddressBook::new(10);
        book.add(&at(1, &["9.9.9.9:7000"]), Voucher::User);
        book.add(&at(1, &["9.9.9.8:7000"]), Voucher::Seen);
        for n in 0..50 {
            book.add(&at(1, &[&format!("1.1.1.{n}:5000")]), Voucher::Hearsay);
        }
        let known = book.addresses(PeerId::from_bytes([1; 32]));
        assert_eq!(known.len(), PeerAddress::ADDRESSES_MAX);
        assert_eq!(
            known[..2],
            at(1, &["9.9.9.9:7000", "9.9.9.8:7000"]).addresses
        );
        assert_eq!(known[2], "1.1.1.49:5000".parse().unwrap());
    }

    #[test]
    fn the_peer_longest_untouched_goes_but_never_the_users() {
        let mut book = AddressBook::new(3);
        book.add(&at(1, &["1.1.1.1:5000"]), Voucher::User);
        book.add(&at(2, &["1.1.1.2:5000"]), Voucher::Hearsay);
        book.add(&at(3, &["1.1.1.3:5000"]), Voucher::Hearsay);
        book.add(&at(2, &["1.1.1.2:5000"]), Voucher::Hearsay);
        book.add(&at(4, &["1.1.1.4:5000"]), Voucher::Hearsay);
        check(&book, 1, &["1.1.1.1:5000"]);
        check(&book, 2, &["1.1.1.2:5000"]);
        check(&book, 3, &[]);
        check(&book, 4, &["1.1.1.4:5000"]);
    }

    #[test]
    fn a_book_full_of_the_users_peers_takes_no_more() {
        let mut book = AddressBook::new(1);
        book.add(&at(1, &["1.1.1.1:5000"]), Voucher::User);
        assert!(!book.add(&at(2, &["1.1.1.2:5000"]), Voucher::User));
        check(&book, 2, &[]);
    }

    #[test]
    fn addresses_that_reach_nobody_or_too_many_are_refused() {
        let mut book = AddressBook::new(10);
        let bad = [
            "0.0.0.0:5000",
            "[::]:5000",
            "224.0.0.1:5000",
            "[ff02::1]:5000",
            "255.255.255.255:5000",
            "1.1.1.1:0",
        ];
        assert!(!book.add(&at(1, &bad), Voucher::User));
        assert!(!book.add(&at(1, &["8.8.8.8:53"]), Voucher::Hearsay));
        assert!(book.add(&at(1, &["8.8.8.8:53"]), Voucher::User));
        assert!(book.add(&at(2, &["192.168.1.1:443"]), Voucher::Hearsay));
        assert!(book.add(&at(3, &["[::ffff:8.8.4.4]:5000"]), Voucher::Hearsay));
        check(&book, 3, &["8.8.4.4:5000"]);
    }

    proptest! {
        #[test]
        fn bounds_hold_whatever_is_said(
            sayings in prop::collection::vec((0u8..20, 0u8..40, 0u8..3), 0..400)
        ) {
            let mut book = AddressBook::new(5);
            for (peer, host, voucher) in sayings {
                let voucher = [Voucher::Hearsay, Voucher::Seen, Voucher::User][usize::from(voucher)];
                book.add(&at(peer, &[&format!("1.1.1.{host}:5000")]), voucher);
                prop_assert!(book.peers.len() <= 5);
                for entry in book.peers.values() {
                    prop_assert!(entry.addresses.len() <= PeerAddress::ADDRESSES_MAX);
                    prop_assert!(!entry.addresses.is_empty());
                    prop_assert!(entry.addresses.is_sorted_by_key(|(v, t, _)| (*v, *t)));
                }
            }
        }
    }
}
