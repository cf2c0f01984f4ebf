//! Coming up, going down, and being told why not.

use super::*;
use crate::{BindError, Road, SendError};

#[tokio::test]
async fn two_peers_meet_talk_and_part() {
    let (mut a, mut b) = pair(config(1), config(2)).await;
    a.talk(&mut b).await;
    assert_eq!(a.net.dial(b.id()), Dialed::Connected);
    assert!(a.net.is_connected(b.id()));

    let info = a.net.connections();
    assert_eq!(info.len(), 1);
    assert_eq!((info[0].peer, info[0].road), (b.id(), Road::Direct));
    assert_eq!(info[0].remote, Some(b.net.addresses()[0]));
    assert!(info[0].dialed && !b.net.connections()[0].dialed);
    assert!(info[0].sent_bytes > 0 && info[0].received_bytes > 0);
    assert!(info[0].agent.starts_with("gannet/"));
    assert_eq!(b.net.known_addresses(a.id()), a.net.addresses());

    a.net.disconnect(b.id());
    a.expect_down(b.id(), DownReason::Requested).await;
    b.expect_down(a.id(), DownReason::Left).await;
    assert!(!a.net.is_connected(b.id()));
    assert_eq!(
        a.net.send(b.id(), Channel::Hub, bytes::Bytes::new()),
        Err(SendError::NotConnected)
    );
    a.expect_silence();
    b.expect_silence();
    let (sent, received) = (a.net.counters(), b.net.counters());
    assert_eq!((sent.messages_sent, sent.message_bytes_sent), (1, 5));
    assert_eq!(
        (received.messages_received, received.message_bytes_received),
        (1, 5)
    );
    assert_eq!((sent.dials, sent.dials_failed), (1, 0));
}

#[tokio::test]
async fn what_can_be_dialled_again_after_down_can_be_dialled() {
    let (mut a, mut b) = pair(config(1), config(2)).await;
    for _ in 0..5 {
        b.net.disconnect(a.id());
        a.expect_down(b.id(), DownReason::Left).await;
        b.expect_down(a.id(), DownReason::Requested).await;
        a.dial(&b);
        a.expect_up(b.id()).await;
        b.expect_up(a.id()).await;
        a.talk(&mut b).await;
    }
}

#[tokio::test]
async fn messages_of_every_channel_arrive_in_order() {
    let (a, mut b) = pair(config(1), config(2)).await;
    let mut expected = [0u32; 4];
    for n in 0..200 {
        for channel in Channel::ALL {
            let body = bytes::Bytes::from(u32::to_le_bytes(n).to_vec());
            while a.net.send(b.id(), channel, body.clone()) == Err(SendError::Full) {
                tokio::task::yield_now().await;
            }
        }
    }
    for _ in 0..800 {
        let NetEvent::Message { channel, body, .. } = b.next().await else {
            panic!("expected a message");
        };
        let next = &mut expected[channel.index()];
        assert_eq!(&body[..], next.to_le_bytes());
        *next += 1;
    }
    assert_eq!(expected, [200; 4]);
}

#[tokio::test]
async fn a_dial_without_an_address_fails_at_once() {
    let mut a = Peer::plain(1).await;
    let nobody = PeerId::from_bytes(*iroh::SecretKey::from_bytes(&[9; 32]).public().as_bytes());
    let started = std::time::Instant::now();
    assert_eq!(a.net.dial(nobody), Dialed::Started);
    a.expect_unreachable(nobody, DialError::NoAddress).await;
    assert!(started.elapsed() < Duration::from_secs(2));

    assert_eq!(a.net.dial(a.id()), Dialed::Started);
    a.expect_unreachable(a.id(), DialError::Itself).await;
    let impossible = PeerId::from_bytes([2; 32]);
    assert_eq!(a.net.dial(impossible), Dialed::Started);
    a.expect_unreachable(impossible, DialError::InvalidId).await;
    assert_eq!(a.net.counters().dials_failed, 3);
}

#[tokio::test]
async fn a_dial_to_where_nobody_answers_times_out() {
    let mut a = Peer::start(with_limits(1, |limits| {
        limits.dial_timeout = Duration::from_millis(300);
    }))
    .await;
    let b = Peer::plain(2).await;
    let (_socket, address) = dead_port();
    a.net.add_addresses(PeerAddress {
        peer: b.id(),
        addresses: vec![address],
    });
    assert_eq!(a.net.dial(b.id()), Dialed::Started);
    assert_eq!(a.net.dial(b.id()), Dialed::Started, "the same dial");
    a.expect_unreachable(b.id(), DialError::TimedOut).await;
    a.expect_silence();
    assert_eq!(a.net.counters().dials, 1);
}

#[tokio::test]
async fn somebody_else_at_the_address_is_noticed() {
    let (mut a, b, c) = (
        Peer::plain(1).await,
        Peer::plain(2).await,
        Peer::plain(3).await,
    );
    a.net.add_addresses(PeerAddress {
        peer: b.id(),
        addresses: c.net.addresses(),
    });
    assert_eq!(a.net.dial(b.id()), Dialed::Started);
    a.expect_unreachable(b.id(), DialError::WrongPeer).await;
}

#[tokio::test]
async fn a_dial_can_be_called_off() {
    let mut a = Peer::plain(1).await;
    let b = Peer::plain(2).await;
    let (_socket, address) = dead_port();
    a.net.add_addresses(PeerAddress {
        peer: b.id(),
        addresses: vec![address],
    });
    assert_eq!(a.net.dial(b.id()), Dialed::Started);
    a.net.disconnect(b.id());
    a.expect_unreachable(b.id(), DialError::Cancelled).await;
    // The next one is not affected.
    a.dial(&b);
    a.expect_up(b.id()).await;
}

#[track_caller]
fn named(config: NetConfig, name: &str) -> NetConfig {
    let mut config = config;
    config.network.name = name.to_owned();
    config
}

#[tokio::test]
async fn strangers_to_the_network_are_told_which_of_the_two_is_wrong() {
    let cases = [
        (
            named(config(1), "other"),
            config(2),
            DialError::WrongNetwork,
        ),
        (
            secret(config(1), "x"),
            secret(config(2), "y"),
            DialError::WrongSecret,
        ),
        (config(1), secret(config(2), "y"), DialError::WrongSecret),
        (secret(config(1), "x"), config(2), DialError::WrongSecret),
    ];
    for (dialer, acceptor, expected) in cases {
        let (mut a, mut b) = (Peer::start(dialer).await, Peer::start(acceptor).await);
        a.dial(&b);
        a.expect_unreachable(b.id(), expected).await;
        b.until(|net| net.counters().handshakes_failed == 1).await;
        b.expect_silence();
        assert!(a.net.connections().is_empty() && b.net.connections().is_empty());
    }
    let (mut a, mut b) = pair(secret(config(1), "x"), secret(config(2), "x")).await;
    a.talk(&mut b).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn peers_that_dial_each_other_at_once_keep_one_connection() {
    for round in 0..12 {
        let (mut a, mut b) = (
            Peer::plain(2 * round + 1).await,
            Peer::plain(2 * round + 2).await,
        );
        a.net.add_user_addresses(b.address());
        b.net.add_user_addresses(a.address());
        assert_eq!(a.net.dial(b.id()), Dialed::Started);
        // On a slow machine it may be connected by now.
        let _ = b.net.dial(a.id());
        a.expect_up(b.id()).await;
        b.expect_up(a.id()).await;
        a.talk(&mut b).await;
        let (of_a, of_b) = (a.net.connections(), b.net.connections());
        assert_eq!((of_a.len(), of_b.len()), (1, 1));
        assert_ne!(of_a[0].dialed, of_b[0].dialed, "the same one on both sides");
        a.expect_silence();
        b.expect_silence();
        soon(async { tokio::join!(a.net.close(), b.net.close()) }).await;
    }
}

#[tokio::test]
async fn a_peer_that_comes_back_elsewhere_replaces_its_old_connection_at_once() {
    let (mut hub, mut old) = pair(config(1), config(2)).await;
    // The same key on another port, while the hub believes in the old one.
    let mut new = Peer::plain(2).await;
    assert_ne!(old.net.addresses(), new.net.addresses());
    let started = std::time::Instant::now();
    new.dial(&hub);
    new.expect_up(hub.id()).await;
    hub.expect_down(old.id(), DownReason::Replaced).await;
    hub.expect_up(new.id()).await;
    assert!(started.elapsed() < Duration::from_secs(5));
    old.expect_down(hub.id(), DownReason::Left).await;
    hub.talk(&mut new).await;
    assert_eq!(
        hub.net.connections()[0].remote,
        Some(new.net.addresses()[0])
    );
    assert_eq!(hub.net.counters().replaced, 1);
}

/// Runs a peer in a runtime of its own, which can be torn down without a
/// goodbye, as if the process had been killed.
fn doomed(seed: u8, dial: PeerAddress) -> tokio::runtime::Runtime {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.spawn(async move {
        let peer = Peer::plain(seed).await;
        peer.net.add_user_addresses(dial.clone());
        let _ = peer.net.dial(dial.peer);
        std::future::pending::<()>().await;
        drop(peer);
    });
    runtime
}

#[tokio::test]
async fn a_killed_peer_that_restarts_is_back_before_its_death_was_noticed() {
    let mut hub = Peer::plain(1).await;
    let runtime = doomed(2, hub.address());
    let NetEvent::Up { peer, .. } = hub.next().await else {
        panic!("expected up");
    };
    runtime.shutdown_background();
    let mut reborn = Peer::plain(2).await;
    reborn.dial(&hub);
    hub.expect_down(peer, DownReason::Replaced).await;
    hub.expect_up(peer).await;
    reborn.expect_up(hub.id()).await;
    hub.talk(&mut reborn).await;
}

#[tokio::test]
async fn a_killed_peer_can_be_dialled_where_it_came_back() {
    let mut a = Peer::plain(1).await;
    let runtime = doomed(2, a.address());
    let NetEvent::Up { peer, .. } = a.next().await else {
        panic!("expected up");
    };
    runtime.shutdown_background();
    // The old connection seems to live; whoever asks after the peer gives it up.
    let mut reborn = Peer::plain(2).await;
    a.net.disconnect(peer);
    a.expect_down(peer, DownReason::Requested).await;
    a.dial(&reborn);
    a.expect_up(peer).await;
    reborn.expect_up(a.id()).await;
    a.talk(&mut reborn).await;
}

#[tokio::test]
async fn a_peer_that_dies_without_a_word_is_missed() {
    let mut hub = Peer::start(with_limits(1, |limits| {
        limits.idle_timeout = Duration::from_millis(1_500);
    }))
    .await;
    let runtime = doomed(2, hub.address());
    let NetEvent::Up { peer, .. } = hub.next().await else {
        panic!("expected up");
    };
    runtime.shutdown_background();
    hub.expect_down(peer, DownReason::Silent).await;
}

#[tokio::test]
async fn closing_says_goodbye_to_everybody() {
    let (a, mut b) = pair(config(1), config(2)).await;
    soon(a.net.close()).await;
    b.expect_down(a.id(), DownReason::Left).await;
    assert!(b.net.connections().is_empty());
}

#[tokio::test]
async fn a_port_in_use_is_named() {
    let (_socket, address) = dead_port();
    let mut taken = config(1);
    taken.listen = vec!["[::1]:0".parse().unwrap(), address];
    match Net::bind(taken).await {
        Err(BindError::AddressInUse { address: named }) => assert_eq!(named, address),
        other => panic!("expected the address to be in use, found {other:?}"),
    }
    let mut elsewhere = config(1);
    elsewhere.listen = vec!["192.0.2.1:4000".parse().unwrap()];
    assert!(matches!(
        Net::bind(elsewhere).await,
        Err(BindError::AddressUnavailable { .. })
    ));
    let mut twice = config(1);
    twice.listen = vec!["127.0.0.1:0".parse().unwrap(), "0.0.0.0:0".parse().unwrap()];
    assert!(matches!(
        Net::bind(twice).await,
        Err(BindError::Conflict { .. })
    ));
    let mut relay = config(1);
    relay.relays = vec!["not a url".to_owned()];
    assert!(matches!(
        Net::bind(relay).await,
        Err(BindError::Relay { .. })
    ));
}

#[tokio::test]
async fn a_peer_on_every_address_lists_them_with_loopback_last() {
    let mut everywhere = config(1);
    everywhere.listen = Vec::new();
    let a = Peer::start(everywhere).await;
    let addresses = a.net.addresses();
    assert!(
        addresses
            .iter()
            .all(|a| a.port() != 0 && !a.ip().is_unspecified())
    );
    let first_loopback = addresses.iter().position(|a| a.ip().is_loopback());
    let first_loopback = first_loopback.expect("loopback is listed");
    assert!(
        addresses[first_loopback..]
            .iter()
            .all(|a| a.ip().is_loopback())
    );
    // Each of them works for somebody on this machine.
    let mut b = Peer::plain(2).await;
    let reachable = addresses
        .into_iter()
        .find(|a| *a.ip().to_string() == *"127.0.0.1");
    b.net.add_addresses(PeerAddress {
        peer: a.id(),
        addresses: vec![reachable.expect("IPv4 loopback is listed")],
    });
    assert_eq!(b.net.dial(a.id()), Dialed::Started);
    b.expect_up(a.id()).await;
}

#[tokio::test]
async fn several_addresses_of_one_family_all_listen() {
    let mut two = config(1);
    two.listen = vec![
        "127.0.0.1:0".parse().unwrap(),
        "127.0.0.2:0".parse().unwrap(),
    ];
    let a = Peer::start(two).await;
    assert_eq!(a.net.addresses().len(), 2);
    for (seed, address) in [(2, a.net.addresses()[0]), (3, a.net.addresses()[1])] {
        let mut b = Peer::plain(seed).await;
        b.net.add_addresses(PeerAddress {
            peer: a.id(),
            addresses: vec![address],
        });
        assert_eq!(b.net.dial(a.id()), Dialed::Started);
        b.expect_up(a.id()).await;
    }
}
