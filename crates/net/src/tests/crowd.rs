//! Too many at the door, too many dials, and who is nearby.

use super::*;
use crate::AddressPolicy;

fn strict(seed: u8, change: impl FnOnce(&mut Limits)) -> NetConfig {
    NetConfig {
        policy: AddressPolicy::AllPublic,
        ..with_limits(seed, change)
    }
}

/// Peers dial `hub` one after the other; says which got in.
async fn arrive(hub: &mut Peer, seeds: std::ops::Range<u8>) -> (Vec<Peer>, Vec<bool>) {
    let mut peers = Vec::new();
    let mut admitted = Vec::new();
    for seed in seeds {
        let mut peer = Peer::plain(seed).await;
        peer.dial(hub);
        match peer.next().await {
            NetEvent::Up { .. } => {
                hub.expect_up(peer.id()).await;
                admitted.push(true);
            }
            NetEvent::Unreachable { reason, .. } => {
                assert_eq!(reason, DialError::Refused);
                admitted.push(false);
            }
            other => panic!("unexpected {other:?}"),
        }
        peers.push(peer);
    }
    (peers, admitted)
}

#[tokio::test]
async fn one_address_gets_four_connections() {
    let mut hub = Peer::start(strict(1, |_| {})).await;
    let (mut peers, admitted) = arrive(&mut hub, 2..8).await;
    assert_eq!(admitted, [true, true, true, true, false, false]);
    assert_eq!(hub.net.counters().arrivals_refused, 2);
    // A place given back can be taken again.
    let gone = peers.remove(0);
    soon(gone.net.close()).await;
    hub.expect_down(gone.id(), DownReason::Left).await;
    let (_late, admitted) = arrive(&mut hub, 8..9).await;
    assert_eq!(admitted, [true]);
}

#[tokio::test]
async fn arrivals_from_one_address_are_paced() {
    let mut hub = Peer::start(strict(1, |limits| {
        limits.per_address_max = 100;
        limits.per_subnet_max = 100;
        limits.arrivals_burst = 3;
        limits.arrival_interval = Duration::from_secs(3_600);
    }))
    .await;
    let (_peers, admitted) = arrive(&mut hub, 2..7).await;
    assert_eq!(admitted, [true, true, true, false, false]);
}

#[tokio::test]
async fn a_full_hub_refuses_but_keeps_places_for_its_own_dials() {
    let mut hub = Peer::start(with_limits(1, |limits| limits.connections_max = 4)).await;
    let (_peers, admitted) = arrive(&mut hub, 2..6).await;
    assert_eq!(admitted, [true, true, true, false]);
    let (mut friend, other) = (Peer::plain(7).await, Peer::plain(8).await);
    hub.dial(&friend);
    hub.expect_up(friend.id()).await;
    friend.expect_up(hub.id()).await;
    hub.dial(&other);
    hub.expect_unreachable(other.id(), DialError::NoRoom).await;
    assert_eq!(hub.net.connections().len(), 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rush_of_arrivals_all_get_in() {
    let mut hub = Peer::start(with_limits(1, |limits| limits.pending_max = 64)).await;
    let mut peers = Vec::new();
    for seed in 2..26 {
        peers.push(Peer::plain(seed).await);
    }
    for peer in &peers {
        peer.dial(&hub);
    }
    for peer in &mut peers {
        peer.expect_up(hub.id()).await;
    }
    for _ in 0..24 {
        assert!(matches!(hub.next().await, NetEvent::Up { .. }));
    }
    assert_eq!(hub.net.connections().len(), 24);
}

#[tokio::test]
async fn nobody_can_be_made_to_knock_at_one_door_again_and_again() {
    let mut a = Peer::start(strict(1, |limits| {
        limits.dial_timeout = Duration::from_millis(50);
        limits.dial_interval = Duration::from_secs(3_600);
    }))
    .await;
    let (_socket, victim) = dead_port();
    let mut reasons = Vec::new();
    // Each time as another peer.
    for seed in 10..15 {
        let peer = iroh::SecretKey::from_bytes(&[seed; 32]).public();
        let peer = PeerId::from_bytes(*peer.as_bytes());
        a.net.add_addresses(PeerAddress {
            peer,
            addresses: vec![victim],
        });
        assert_eq!(a.net.dial(peer), Dialed::Started);
        match a.next().await {
            NetEvent::Unreachable { reason, .. } => reasons.push(reason),
            other => panic!("unexpected {other:?}"),
        }
    }
    use DialError::{TimedOut, TooOften};
    assert_eq!(reasons, [TimedOut, TimedOut, TimedOut, TooOften, TooOften]);
}

#[tokio::test]
async fn peers_nearby_find_each_other() {
    // Nobody else's test run shall answer.
    let name = format!("test {}", iroh::SecretKey::generate().public());
    let nearby = |seed| {
        let mut config = config(seed);
        config.listen = Vec::new();
        config.local_discovery = true;
        config.network.name.clone_from(&name);
        config
    };
    let (mut a, mut b) = (Peer::start(nearby(1)).await, Peer::start(nearby(2)).await);
    assert!(a.net.discovers());
    // No address is given: `b` has to be found, before or during the dial.
    assert_eq!(a.net.dial(b.id()), Dialed::Started);
    let up = async |peer: &mut Peer, who| loop {
        match peer.next().await {
            NetEvent::Up { peer, .. } => return assert_eq!(peer, who),
            NetEvent::Found(found) => assert_eq!(found.peer, who),
            other => panic!("unexpected {other:?}"),
        }
    };
    up(&mut a, b.id()).await;
    up(&mut b, a.id()).await;
}
