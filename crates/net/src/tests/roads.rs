//! The fast road: transfers that move to it, and everything that is wrong with
//! a TCP connection.

use std::num::NonZeroU16;
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::bulk::{expect_transfer, pattern};
use super::*;
use crate::{BulkRoad, StreamError, TransferReceiver, TransferSender, TransferStream};

pub(super) const MIB: usize = 1 << 20;

pub(super) fn by(road: BulkRoad, seed: u8) -> NetConfig {
    NetConfig {
        bulk_road: road,
        ..config(seed)
    }
}

/// Opens a transfer, and takes it at the other end once it has said a word.
pub(super) async fn transfer(from: &Peer, to: &mut Peer) -> (TransferStream, TransferStream) {
    let ours = soon(from.net.open_transfer(to.id())).await.unwrap();
    let theirs = expect_transfer(to).await;
    (ours, theirs)
}

/// Sends so many mebibytes, each behind a frame.
pub(super) async fn send(sender: &mut TransferSender, mebibytes: usize) -> Result<(), StreamError> {
    for n in 0..mebibytes {
        sender.send_frame(&n.to_le_bytes()).await?;
        sender.send_bytes(pattern(MIB)).await?;
    }
    Ok(())
}

pub(super) async fn receive(
    receiver: &mut TransferReceiver,
    mebibytes: std::ops::Range<usize>,
) -> Result<(), StreamError> {
    let wanted = pattern(MIB);
    let mut block = Vec::with_capacity(MIB);
    for n in mebibytes {
        let frame = receiver.frame(8).await?.ok_or(StreamError::Truncated)?;
        assert_eq!(&frame[..], n.to_le_bytes());
        block.clear();
        receiver.bytes(MIB, &mut block).await?;
        assert!(block == wanted, "block {n} differs");
    }
    Ok(())
}

/// Asks for one mebibyte after the other, as a download does, and answers.
pub(super) async fn fetch(ours: TransferStream, theirs: TransferStream, mebibytes: usize) {
    let (mut ours, mut theirs) = (ours, theirs);
    let serving = tokio::spawn(async move {
        while let Some(_wish) = theirs.receiver.frame(8).await? {
            theirs.sender.send_bytes(pattern(MIB)).await?;
        }
        theirs.sender.finish();
        theirs.sender.delivered().await
    });
    let wanted = pattern(MIB);
    for n in 0..mebibytes {
        soon(ours.sender.send_frame(&n.to_le_bytes()))
            .await
            .unwrap();
        let mut block = Vec::with_capacity(MIB);
        soon(ours.receiver.bytes(MIB, &mut block)).await.unwrap();
        assert!(block == wanted, "block {n} differs");
    }
    ours.sender.finish();
    assert_eq!(soon(ours.receiver.frame(8)).await, Ok(None));
    assert_eq!(soon(serving).await.unwrap(), Ok(()));
    assert_eq!(soon(ours.sender.delivered()).await, Ok(()));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_transfer_moves_to_tcp_in_both_directions() {
    let (a, mut b) = pair(config(1), config(2)).await;
    let (ours, theirs) = transfer(&a, &mut b).await;
    fetch(ours, theirs, 64).await;
    let (at_a, at_b) = (a.net.counters(), b.net.counters());
    assert_eq!((at_a.lanes, at_b.lanes), (1, 1));
    assert!(at_b.lane_bytes_sent > 32 << 20, "{at_b:?}");
    assert_eq!(
        at_b.lane_bytes_sent,
        at_a.lane_bytes_received + 4 * at_lane_segments(&at_a)
    );
    assert!(at_a.lane_bytes_sent > 0, "requests go by it too");
    let (of_a, of_b) = (&a.net.connections()[0], &b.net.connections()[0]);
    assert_eq!(of_a.lane_received_bytes, at_a.lane_bytes_received);
    assert_eq!(of_b.lane_sent_bytes, at_b.lane_bytes_sent);
    a.until(|net| net.lanes() == 0).await;
    b.until(|net| net.lanes() == 0).await;
}

/// Segments that came by lane in a [`fetch`].
fn at_lane_segments(counters: &crate::Counters) -> u64 {
    counters.lane_bytes_received / MIB as u64
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_small_transfer_stays_where_it_began() {
    let (a, mut b) = pair(config(1), config(2)).await;
    let (mut ours, mut theirs) = transfer(&a, &mut b).await;
    ours.sender.send_bytes(pattern(200_000)).await.unwrap();
    let mut out = Vec::new();
    soon(theirs.receiver.bytes(200_000, &mut out))
        .await
        .unwrap();
    drop((ours, theirs));
    a.talk_and_count(&mut b, 0).await;
}

impl Peer {
    /// Talks, so that everything before has happened, and counts lanes.
    async fn talk_and_count(mut self, other: &mut Self, lanes: u64) {
        self.talk(other).await;
        let found = (self.net.counters().lanes, other.net.counters().lanes);
        assert_eq!(found, (lanes, lanes));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_road_alone_and_every_pair_of_wishes() {
    use BulkRoad::{Auto, Quic, Tcp};
    let mut cells = 0;
    for (opener, acceptor, lanes) in [
        (Quic, Quic, 0),
        (Quic, Tcp, 0),
        (Auto, Quic, 0),
        (Tcp, Quic, 0),
        (Tcp, Auto, 1),
        (Tcp, Tcp, 1),
        (Auto, Tcp, 1),
    ] {
        let (a, mut b) = pair(by(opener, 1), by(acceptor, 2)).await;
        let (ours, theirs) = transfer(&a, &mut b).await;
        fetch(ours, theirs, 16).await;
        a.until(|net| net.counters().lanes == lanes).await;
        let counters = a.net.counters();
        if opener == Tcp && lanes == 1 {
            // From the first byte on.
            assert_eq!(counters.lane_bytes_received, 16 << 20);
        }
        if lanes == 0 {
            assert_eq!(counters.lane_bytes_received, 0);
        }
        a.net.close().await;
        b.net.close().await;
        cells += 1;
    }
    assert_eq!(cells, 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn private_networks_have_a_fast_road_too() {
    let private = |seed| secret(by(BulkRoad::Tcp, seed), "s");
    let (a, mut b) = pair(private(1), private(2)).await;
    let (ours, theirs) = transfer(&a, &mut b).await;
    fetch(ours, theirs, 4).await;
    assert_eq!(b.net.counters().lane_bytes_sent, (4 << 20) + 4 * 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_peer_has_four_lanes_and_further_transfers_go_by_quic() {
    let (a, mut b) = pair(by(BulkRoad::Tcp, 1), by(BulkRoad::Tcp, 2)).await;
    let mut running = Vec::new();
    for _ in 0..6 {
        let (mut ours, mut theirs) = transfer(&a, &mut b).await;
        soon(ours.sender.send_frame(b"here")).await.unwrap();
        soon(theirs.receiver.frame(8)).await.unwrap();
        running.push((ours, theirs));
    }
    assert_eq!((a.net.lanes(), b.net.lanes()), (4, 4));
    for (ours, theirs) in running {
        fetch(ours, theirs, 2).await;
    }
    a.until(|net| net.lanes() == 0).await;
    b.until(|net| net.lanes() == 0).await;
    // That the share was used up is nobody's fault.
    let (ours, theirs) = transfer(&a, &mut b).await;
    fetch(ours, theirs, 2).await;
    assert_eq!(
        (a.net.counters().lanes, a.net.counters().lanes_failed),
        (5, 0)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn lanes_end_with_their_connection() {
    let (a, mut b) = pair(by(BulkRoad::Tcp, 1), by(BulkRoad::Tcp, 2)).await;
    let (mut ours, mut theirs) = transfer(&a, &mut b).await;
    soon(ours.sender.send_frame(b"here")).await.unwrap();
    soon(theirs.receiver.frame(8)).await.unwrap();
    soon(theirs.sender.send_frame(b"there")).await.unwrap();
    soon(ours.receiver.frame(8)).await.unwrap();
    assert_eq!((a.net.lanes(), b.net.lanes()), (1, 1));
    a.net.disconnect(b.id());
    assert_eq!(soon(theirs.receiver.frame(9)).await, Err(StreamError::Lost));
    assert_eq!(soon(ours.receiver.frame(9)).await, Err(StreamError::Lost));
    assert_eq!(
        soon(async {
            loop {
                if let Err(error) = theirs.sender.send_bytes(pattern(MIB)).await {
                    return error;
                }
            }
        })
        .await,
        StreamError::Lost
    );
    drop((ours, theirs));
    a.until(|net| net.lanes() == 0).await;
    b.until(|net| net.lanes() == 0).await;
    assert_eq!(b.net.counters().lanes_failed, 0, "not the road's fault");
}

/// Ends: by the writer, by the reader, and a reader that leaves a writer who
/// is stuck.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn streams_on_a_lane_end_as_they_do_on_quic() {
    for road in [BulkRoad::Quic, BulkRoad::Tcp] {
        let (a, mut b) = pair(by(road, 1), by(road, 2)).await;
        let begun = async |a: &Peer, b: &mut Peer| {
            let (mut ours, mut theirs) = transfer(a, b).await;
            soon(ours.sender.send_frame(b"here")).await.unwrap();
            soon(theirs.receiver.frame(8)).await.unwrap();
            (ours, theirs)
        };
        let (mut ours, mut theirs) = begun(&a, &mut b).await;
        ours.sender.reset();
        assert_eq!(
            soon(theirs.receiver.frame(9)).await,
            Err(StreamError::Stopped)
        );

        let (mut ours, mut theirs) = begun(&a, &mut b).await;
        ours.sender
            .send_bytes(Bytes::from_static(&[5, 0, 0, 0, 1]))
            .await
            .unwrap();
        ours.sender.finish();
        assert_eq!(
            soon(theirs.receiver.frame(9)).await,
            Err(StreamError::Truncated)
        );

        let (mut ours, theirs) = begun(&a, &mut b).await;
        let TransferStream { sender, receiver } = theirs;
        let stuck = tokio::spawn(async move {
            loop {
                if let Err(error) = ours.sender.send_bytes(pattern(MIB)).await {
                    return error;
                }
            }
        });
        drop(receiver);
        assert_eq!(soon(stuck).await.unwrap(), StreamError::Stopped, "{road:?}");
        drop(sender);
        assert_eq!(a.net.counters().lanes_failed, 0);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reading_from_a_lane_may_be_interrupted_and_go_on() {
    let (a, mut b) = pair(by(BulkRoad::Tcp, 1), by(BulkRoad::Tcp, 2)).await;
    let (mut ours, mut theirs) = transfer(&a, &mut b).await;
    let sending = tokio::spawn(async move {
        for n in 0..300 {
            ours.sender.send_frame(&pattern(n * 37)).await.unwrap();
            ours.sender.send_bytes(pattern(n)).await.unwrap();
            tokio::task::yield_now().await;
        }
        ours.sender.finish();
        ours.sender.delivered().await
    });
    let (mut interrupted, mut out) = (0, Vec::new());
    soon(async {
        for n in 0..300 {
            let frame = loop {
                tokio::select! {
                    biased;
                    frame = theirs.receiver.frame(1 << 20) => break frame,
                    () = tokio::task::yield_now() => interrupted += 1,
                }
            };
            assert_eq!(frame.unwrap().unwrap(), pattern(n * 37));
            while out.len() < n {
                let wanted = n - out.len();
                tokio::select! {
                    biased;
                    read = theirs.receiver.bytes(wanted, &mut out) => read.unwrap(),
                    () = tokio::task::yield_now() => interrupted += 1,
                }
            }
            assert_eq!(out, pattern(n));
            out.clear();
        }
    })
    .await;
    assert!(interrupted > 0, "nothing was interrupted");
    assert_eq!(soon(theirs.receiver.frame(9)).await, Ok(None));
    assert_eq!(soon(sending).await.unwrap(), Ok(()));
}

/// Where a peer listens by TCP.
pub(super) fn tcp_address(peer: &Peer) -> SocketAddr {
    peer.net.tcp_addresses()[0]
}

#[tokio::test]
async fn tcp_has_the_port_of_quic_if_it_is_free_and_another_if_not() {
    let a = Peer::plain(1).await;
    // Rarely somebody has taken the TCP port already; then it is another one.
    assert_eq!(a.net.tcp_addresses().len(), 1);
    let taken = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut other = config(2);
    other.listen = vec![taken.local_addr().unwrap()];
    let b = Peer::start(other).await;
    assert_eq!(b.net.addresses()[0], taken.local_addr().unwrap());
    assert_ne!(tcp_address(&b), taken.local_addr().unwrap());
    let c = Peer::start(by(BulkRoad::Quic, 3)).await;
    assert!(c.net.tcp_addresses().is_empty());
}

/// Passes TCP on to where `to` says until it is aborted, as a router would that
/// fails.
pub(super) async fn cable(
    to: Arc<OnceLock<SocketAddr>>,
) -> (NonZeroU16, tokio::task::JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let passing = tokio::spawn(async move {
        let mut pairs = tokio::task::JoinSet::new();
        loop {
            let (mut near, _) = listener.accept().await.unwrap();
            let mut far = TcpStream::connect(to.get().unwrap()).await.unwrap();
            pairs.spawn(async move {
                let _ = tokio::io::copy_bidirectional(&mut near, &mut far).await;
            });
        }
    });
    (port.try_into().unwrap(), passing)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lane_that_is_cut_is_blamed_and_the_next_transfer_goes_by_quic() {
    let to = Arc::new(OnceLock::new());
    let (port, passing) = cable(to.clone()).await;
    let mut behind = by(BulkRoad::Tcp, 2);
    behind.tcp_port = Some(port);
    let (a, mut b) = pair(by(BulkRoad::Tcp, 1), behind).await;
    to.set(tcp_address(&b)).unwrap();
    let (mut ours, mut theirs) = transfer(&a, &mut b).await;
    soon(ours.sender.send_frame(b"here")).await.unwrap();
    soon(theirs.receiver.frame(8)).await.unwrap();
    let sending = tokio::spawn(async move { send(&mut theirs.sender, 64).await });
    soon(receive(&mut ours.receiver, 0..3)).await.unwrap();
    passing.abort();
    let error = soon(receive(&mut ours.receiver, 3..64)).await;
    assert_eq!(error, Err(StreamError::Lost));
    assert!(soon(sending).await.unwrap().is_err());
    drop(ours);
    assert_eq!(a.net.counters().lanes_failed, 1);
    assert!(a.net.is_connected(b.id()));
    let (ours, theirs) = transfer(&a, &mut b).await;
    fetch(ours, theirs, 4).await;
    assert_eq!(a.net.counters().lanes, 1, "none was tried");
}

/// A TCP port that takes connections and says nothing, as some firewalls do.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_firewall_that_eats_tcp_costs_one_try() {
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let swallowed = silent.local_addr().unwrap();
    let slow = |seed| {
        let mut config = by(BulkRoad::Auto, seed);
        config.limits.lane_timeout = Duration::from_millis(300);
        config
    };
    let mut behind = slow(2);
    behind.tcp_port = swallowed.port().try_into().ok();
    let (a, mut b) = pair(slow(1), behind).await;
    for _ in 0..3 {
        let (ours, theirs) = transfer(&a, &mut b).await;
        fetch(ours, theirs, 8).await;
        // The first one's try ends in silence; the others do not try.
        a.until(|net| net.counters().lanes_failed == 1).await;
    }
    assert_eq!((a.net.counters().lanes, b.net.counters().lanes), (0, 0));
    a.until(|net| net.lanes() == 0).await;
}

/// An offer from `to`, as `from` gets it.
async fn offer(from: &Peer, to: &Peer) -> (crate::fast::Name, [u8; 16], SocketAddr) {
    let offer = soon(from.net.ask_for_offer(to.id())).await.unwrap();
    (offer.0, offer.1, tcp_address(to))
}

/// Comes with this name and key, expecting `to`, and shows this proof. True if
/// it is welcome.
async fn knock(to: &Peer, seed: u8, name: [u8; 16], proof: [u8; 16]) -> bool {
    let mut tcp = TcpStream::connect(tcp_address(to)).await.unwrap();
    if tcp.write_all(&name).await.is_err() {
        return false;
    }
    soon(crate::fast::raw_lane(tcp, [seed; 32], to.id(), proof)).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_whom_an_offer_was_made_to_comes_in_and_once() {
    let (a, b) = pair(config(1), config(2)).await;
    let mut c = Peer::plain(3).await;
    c.dial(&b);
    c.expect_up(b.id()).await;

    // Nobody is expected.
    assert!(!knock(&b, 1, [7; 16], [7; 16]).await);
    // The right peer, name and proof; then the same again.
    let (name, proof, _) = offer(&a, &b).await;
    assert!(knock(&b, 1, name, proof).await);
    assert!(!knock(&b, 1, name, proof).await, "twice");
    // The right name in the wrong hands, with and without a key of its own.
    let (name, proof, _) = offer(&a, &b).await;
    assert!(!knock(&b, 3, name, proof).await, "another peer's");
    assert!(!knock(&b, 1, name, proof).await, "used up by the try");
    let (name, mut proof, _) = offer(&a, &b).await;
    proof[0] ^= 1;
    assert!(!knock(&b, 1, name, proof).await, "wrong proof");
    // A name that was never given out, while one is expected.
    let (_, proof, _) = offer(&a, &b).await;
    assert!(!knock(&b, 1, [9; 16], proof).await);
    // What was offered to one connection is worth nothing after it.
    let (name, proof, _) = offer(&c, &b).await;
    c.net.disconnect(b.id());
    b.until(|net| !net.is_connected(c.id())).await;
    assert!(
        !knock(&b, 3, name, proof).await,
        "of a connection that is over"
    );
    // Somebody else at the address of the peer that is expected.
    let (name, proof, _) = offer(&a, &b).await;
    let mut tcp = TcpStream::connect(tcp_address(&b)).await.unwrap();
    tcp.write_all(&name).await.unwrap();
    assert!(!soon(crate::fast::raw_lane(tcp, [1; 32], c.id(), proof)).await);
    b.until(|net| net.lanes() == 1).await;
    assert_eq!(b.net.counters().lanes, 1);
    assert!(b.net.counters().lanes_refused >= 7);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_and_half_open_sockets_by_the_hundred_are_turned_away() {
    let impatient = with_limits(2, |limits| {
        limits.lane_timeout = Duration::from_millis(500);
        limits.lanes_pending_max = 8;
    });
    let (a, mut b) = pair(config(1), impatient).await;
    // Unexpected: closed at once, whatever they say.
    for _ in 0..20 {
        let mut tcp = TcpStream::connect(tcp_address(&b)).await.unwrap();
        let _ = tcp.write_all(b"GET / HTTP/1.1\r\n\r\n").await;
        assert!(matches!(soon(tcp.read(&mut [0; 9])).await, Ok(0) | Err(_)));
    }
    // While somebody is expected, at most eight may be silent, and not for long.
    let (name, _, _) = offer(&a, &b).await;
    let mut silent = Vec::new();
    for _ in 0..200 {
        silent.push(TcpStream::connect(tcp_address(&b)).await.unwrap());
    }
    for tcp in &mut silent {
        assert!(matches!(soon(tcp.read(&mut [0; 9])).await, Ok(0) | Err(_)));
    }
    // The right name, and then a handshake byte by byte, or nonsense.
    let (slow, _, _) = offer(&a, &b).await;
    let mut tcp = TcpStream::connect(tcp_address(&b)).await.unwrap();
    tcp.write_all(&slow).await.unwrap();
    let dripping = async {
        let mut drip = tokio::time::interval(Duration::from_millis(50));
        loop {
            drip.tick().await;
            if tcp.write_all(&[22]).await.is_err() {
                break;
            }
        }
    };
    soon(dripping).await;
    let (name_again, _, _) = offer(&a, &b).await;
    assert_ne!(name, name_again);
    let mut tcp = TcpStream::connect(tcp_address(&b)).await.unwrap();
    tcp.write_all(&name_again).await.unwrap();
    let _ = tcp.write_all(&pattern(100_000)).await;
    soon(async { while matches!(tcp.read(&mut [0; 99]).await, Ok(1..)) {} }).await;
    b.until(|net| net.lanes() == 0).await;
    // The places are free again, and nobody was blamed.
    let (ours, theirs) = transfer(&a, &mut b).await;
    fetch(ours, theirs, 16).await;
    assert_eq!(b.net.counters().lanes, 1);
    assert!(b.net.counters().lanes_refused >= 200 + 20);
    assert_eq!(b.net.counters().malformed, 0);
}
