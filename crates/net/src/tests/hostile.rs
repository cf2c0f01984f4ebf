//! Peers that break the rules, on raw connections.

use iroh::endpoint::{Connection, ConnectionError, VarInt, presets};
use iroh::{Endpoint, EndpointAddr, EndpointId, RelayMode, SecretKey};

use super::*;
use crate::handshake::{NetworkKeys, Role, Session};
use crate::wire::{
    ALPN, CODE_DUPLICATE, CODE_MALFORMED, CODE_TIMED_OUT, CODE_UNKNOWN, CODE_WRONG_NETWORK,
    StreamHeader,
};
use crate::{Network, RequestKind};

async fn raw(seed: u8) -> Endpoint {
    Endpoint::builder(presets::Minimal)
        .secret_key(SecretKey::from_bytes(&[seed; 32]))
        .relay_mode(RelayMode::Disabled)
        .clear_ip_transports()
        .bind_addr("127.0.0.1:0")
        .unwrap()
        .bind()
        .await
        .unwrap()
}

async fn connect(endpoint: &Endpoint, to: &Peer) -> Connection {
    let id = EndpointId::from_bytes(to.id().as_bytes()).unwrap();
    let address = EndpointAddr::new(id).with_ip_addr(to.net.addresses()[0]);
    soon(endpoint.connect(address, ALPN)).await.unwrap()
}

async fn code(connection: &Connection) -> u32 {
    match soon(connection.closed()).await {
        ConnectionError::ApplicationClosed(close) => {
            u32::try_from(u64::from(close.error_code)).unwrap()
        }
        other => panic!("expected a code, found {other}"),
    }
}

fn greeting(connection: &Connection, me: &Endpoint, sequence: u64) -> Vec<u8> {
    let mut keying = [0; 32];
    connection
        .export_keying_material(&mut keying, crate::handshake::EXPORT_LABEL, b"")
        .unwrap();
    let session = Session {
        dialer: PeerId::from_bytes(*me.id().as_bytes()),
        acceptor: PeerId::from_bytes(*connection.remote_id().as_bytes()),
        keying,
    };
    let keys = NetworkKeys::new(&Network {
        name: "test".to_owned(),
        secret: None,
    });
    keys.greeting(&session, Role::Dialer, [7; 16], sequence, "raw")
        .encode()
}

/// A raw connection that has passed the handshake.
async fn greeted(endpoint: &Endpoint, to: &mut Peer) -> Connection {
    let connection = connect(endpoint, to).await;
    let greeting = greeting(&connection, endpoint, 1);
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    let mut bytes = StreamHeader::Handshake.encode();
    bytes.extend(gannet_base::wire::frame(&greeting));
    send.write_all(&bytes).await.unwrap();
    soon(recv.read_to_end(4_096)).await.unwrap();
    to.expect_up(PeerId::from_bytes(*endpoint.id().as_bytes()))
        .await;
    connection
}

#[tokio::test]
async fn nonsense_instead_of_a_handshake_is_cut_off() {
    let mut a = Peer::plain(1).await;
    let raw = raw(2).await;
    let nonsense: [&[u8]; 7] = [
        b"GET / HTTP/1.1\r\n\r\n",
        &[0; 64],
        // A transfer, before anybody was introduced.
        &[2],
        // A greeting that claims to be 4 GiB, one that is too long, one of
        // nonsense, and one that ends early.
        &[1, 0xff, 0xff, 0xff, 0xff],
        &[1, 0x01, 0x04, 0, 0],
        &[1, 4, 0, 0, 0, 1, 2, 3, 4],
        &[1, 40, 0, 0, 0, 1, 2],
    ];
    for bytes in nonsense {
        let connection = connect(&raw, &a).await;
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        send.finish().unwrap();
        assert_eq!(code(&connection).await, CODE_MALFORMED, "{bytes:?}");
    }
    a.until(|net| net.counters().handshakes_failed == 7).await;
    a.expect_silence();
}

#[tokio::test]
async fn a_handshake_that_stops_half_way_ends_at_the_deadline() {
    let mut a = Peer::start(with_limits(1, |limits| {
        limits.handshake_timeout = Duration::from_millis(400);
        limits.pending_max = 3;
    }))
    .await;
    let raw = raw(2).await;
    let silent = connect(&raw, &a).await;
    let half = connect(&raw, &a).await;
    let (mut send, _recv) = half.open_bi().await.unwrap();
    send.write_all(&[1, 40, 0]).await.unwrap();
    // Only streams in one direction: they are not looked at before.
    let aside = connect(&raw, &a).await;
    let mut uni = aside.open_uni().await.unwrap();
    uni.write_all(&[4, 1, 1, 0, 0, 0, 9]).await.unwrap();
    for connection in [&silent, &half, &aside] {
        assert_eq!(code(connection).await, CODE_TIMED_OUT);
    }
    a.until(|net| net.counters().handshakes_failed == 3).await;
    a.expect_silence();
    // Their places are free again.
    let mut b = Peer::plain(3).await;
    b.dial(&a);
    b.expect_up(a.id()).await;
}

#[tokio::test]
async fn a_greeting_heard_elsewhere_is_of_no_use() {
    let mut a = Peer::plain(1).await;
    let raw = raw(2).await;
    let first = connect(&raw, &a).await;
    let stolen = greeting(&first, &raw, 1);
    let second = connect(&raw, &a).await;
    let (mut send, _recv) = second.open_bi().await.unwrap();
    let mut bytes = StreamHeader::Handshake.encode();
    bytes.extend(gannet_base::wire::frame(&stolen));
    send.write_all(&bytes).await.unwrap();
    assert_eq!(code(&second).await, CODE_WRONG_NETWORK);
    a.expect_silence();
}

#[tokio::test]
async fn a_second_greeting_of_the_same_life_and_number_is_refused() {
    let mut a = Peer::plain(1).await;
    let raw = raw(2).await;
    let kept = greeted(&raw, &mut a).await;
    let again = connect(&raw, &a).await;
    let (mut send, _recv) = again.open_bi().await.unwrap();
    let mut bytes = StreamHeader::Handshake.encode();
    bytes.extend(gannet_base::wire::frame(&greeting(&again, &raw, 1)));
    send.write_all(&bytes).await.unwrap();
    assert_eq!(code(&again).await, CODE_DUPLICATE);
    assert!(kept.close_reason().is_none());
    a.expect_silence();
}

#[tokio::test]
async fn frames_that_are_too_long_or_cut_short_cost_the_connection() {
    let mut a = Peer::plain(1).await;
    let raw = raw(2).await;
    let id = PeerId::from_bytes(*raw.id().as_bytes());
    let bad: [&[u8]; 4] = [
        // 64 KiB and one byte; 4 GiB; a header and half a body; half a header.
        &[4, 1, 1, 0, 1, 0],
        &[4, 1, 0xff, 0xff, 0xff, 0xff],
        &[4, 2, 9, 0, 0, 0, 1],
        &[4, 3, 9, 0],
    ];
    for bytes in bad {
        let connection = greeted(&raw, &mut a).await;
        let mut send = connection.open_uni().await.unwrap();
        send.write_all(bytes).await.unwrap();
        send.finish().unwrap();
        assert_eq!(code(&connection).await, CODE_MALFORMED, "{bytes:?}");
        a.expect_down(id, DownReason::Misbehaved).await;
    }
    // A request that is too long; a second handshake; a channel twice.
    for bytes in [&[3, 1, 1, 0, 1, 0][..], &[1]] {
        let connection = greeted(&raw, &mut a).await;
        let (mut send, _recv) = connection.open_bi().await.unwrap();
        send.write_all(bytes).await.unwrap();
        assert_eq!(code(&connection).await, CODE_MALFORMED, "{bytes:?}");
        a.expect_down(id, DownReason::Misbehaved).await;
    }
    let connection = greeted(&raw, &mut a).await;
    let mut streams = Vec::new();
    for _ in 0..2 {
        let mut send = connection.open_uni().await.unwrap();
        send.write_all(&[4, 1]).await.unwrap();
        streams.push(send);
    }
    assert_eq!(code(&connection).await, CODE_MALFORMED);
    a.expect_down(id, DownReason::Misbehaved).await;
    assert_eq!(a.net.counters().malformed, 7);
}

#[tokio::test]
async fn streams_of_a_later_version_are_passed_over() {
    let mut a = Peer::plain(1).await;
    let raw = raw(2).await;
    let id = PeerId::from_bytes(*raw.id().as_bytes());
    let connection = greeted(&raw, &mut a).await;
    for bytes in [&[77][..], &[4, 200]] {
        let mut send = connection.open_uni().await.unwrap();
        send.write_all(bytes).await.unwrap();
        let stopped = soon(send.stopped()).await.unwrap();
        assert_eq!(stopped, Some(VarInt::from_u32(CODE_UNKNOWN)));
    }
    let (mut send, _recv) = connection.open_bi().await.unwrap();
    send.write_all(&[99]).await.unwrap();
    let stopped = soon(send.stopped()).await.unwrap();
    assert_eq!(stopped, Some(VarInt::from_u32(CODE_UNKNOWN)));
    let mut send = connection.open_uni().await.unwrap();
    send.write_all(&[4, 1, 2, 0, 0, 0, b'h', b'i'])
        .await
        .unwrap();
    a.expect_message(id, Channel::Hub, b"hi").await;
    assert_eq!(a.net.counters().streams_unknown, 3);
    // But not without end.
    for _ in 0..UNKNOWN_TRIES {
        let Ok(mut send) = connection.open_uni().await else {
            break;
        };
        let _ = send.write_all(&[77]).await;
        let _ = soon(send.stopped()).await;
    }
    assert_eq!(code(&connection).await, CODE_MALFORMED);
    a.expect_down(id, DownReason::Misbehaved).await;
}

const UNKNOWN_TRIES: usize = 70;

#[tokio::test]
async fn a_request_that_nobody_completes_is_dropped_alone() {
    let mut a = Peer::start(with_limits(1, |limits| {
        limits.request_timeout = Duration::from_millis(200);
    }))
    .await;
    let raw = raw(2).await;
    let connection = greeted(&raw, &mut a).await;
    let (mut send, mut recv) = connection.open_bi().await.unwrap();
    let mut header = StreamHeader::Request(RequestKind::BROWSE).encode();
    header.extend_from_slice(&[200, 0, 0, 0, 1, 2]);
    send.write_all(&header).await.unwrap();
    assert!(soon(recv.read_to_end(10)).await.is_err(), "reset");
    assert!(connection.close_reason().is_none());
    a.expect_silence();
}
