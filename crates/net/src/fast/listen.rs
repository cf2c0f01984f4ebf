//! Where lanes come in: TCP on the ports of the QUIC sockets, if they are free.

use std::future::Future as _;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout_at};
use tracing::debug;

use super::lane::{self, Lane};
use super::offer::{Name, Proof};
use super::{Arrived, Doorstep, tls};
use crate::Congestion;
use crate::counters::count;
use crate::endpoint::Shared;

/// Connections that the system keeps until they are taken.
// Guess: a burst of peers that were just made offers.
const BACKLOG: i32 = 64;

/// How long a lane may wait for its transfer to move to it.
// Guess: a slice from a slow source.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(60);

/// Rest after the system refused a connection: it has no file descriptor left.
// Guess: something may have been closed by then.
const BREATH: Duration = Duration::from_millis(200);

/// Listens by TCP beside each of these UDP sockets, as far as the system lets.
pub(crate) fn open(sockets: &[SocketAddr], congestion: Congestion) -> Vec<TcpListener> {
    sockets
        .iter()
        .filter_map(|address| {
            let elsewhere = SocketAddr::new(address.ip(), 0);
            let opened = listen(*address, congestion).or_else(|_| listen(elsewhere, congestion));
            opened
                .inspect_err(|error| debug!(%address, %error, "no TCP here"))
                .ok()
        })
        .collect()
}

fn listen(address: SocketAddr, congestion: Congestion) -> io::Result<TcpListener> {
    let socket = Socket::new(
        Domain::for_address(address),
        Type::STREAM,
        Some(Protocol::TCP),
    )?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // A port that was left a minute ago may still be in its last state.
    #[cfg(unix)]
    socket.set_reuse_address(true)?;
    congestion.set(&SockRef::from(&socket), true);
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    TcpListener::from_std(socket.into())
}

/// Lets lanes in until the endpoint closes.
pub(crate) async fn run(shared: Arc<Shared>, listener: TcpListener) {
    let mut closing = shared.closing();
    loop {
        let arrival = tokio::select! {
            arrival = listener.accept() => arrival,
            _ = closing.wait_for(|closing| *closing) => return,
        };
        let Ok((tcp, address)) = arrival else {
            tokio::time::sleep(BREATH).await;
            continue;
        };
        // Dropping it says no.
        match shared.fast.admit(address.ip().to_canonical()) {
            Some(doorstep) => {
                tokio::spawn(arrive(shared.clone(), tcp, doorstep));
            }
            None => count(&shared.tally.lanes_refused),
        }
    }
}

/// Sees an arrival through to a lane that waits for its transfer.
async fn arrive(shared: Arc<Shared>, tcp: TcpStream, doorstep: Doorstep) {
    let deadline = Instant::now() + shared.limits.lane_timeout;
    let welcomed = timeout_at(deadline, welcome(&shared, tcp, doorstep)).await;
    let welcomed = welcomed.ok().flatten();
    let Some((name, peer, connection)) = welcomed.and_then(|(name, arrived)| {
        let (peer, connection) = (arrived.peer, arrived.connection);
        let_in(&shared, name, arrived).then_some((name, peer, connection))
    }) else {
        count(&shared.tally.lanes_refused);
        return;
    };
    // Whoever ends a connection forgets its lanes after it has left the table.
    if !shared.is_up(peer, connection) {
        shared.fast.forget(connection);
        return;
    }
    let mut closing = shared.closing();
    tokio::select! {
        () = tokio::time::sleep(CLAIM_TIMEOUT) => {}
        _ = closing.wait_for(|closing| *closing) => {}
    }
    drop(shared.fast.claim(peer, connection, name));
}

/// Says welcome, upon which the peer sends the transfer here, and has the lane wait for
/// it. Whether it could be said.
fn let_in(shared: &Shared, name: Name, mut arrived: Arrived) -> bool {
    // Whoever looks for the lane waits for this lock: the transfer may be here sooner than
    // this thread goes on.
    let mut table = shared.fast.lock();
    let said = pin!(arrived.lane.writer.send(&[&super::WELCOME]))
        // So little has been sent that the socket has room.
        .poll(&mut Context::from_waker(Waker::noop()));
    let is_said = matches!(said, Poll::Ready(Ok(())));
    if is_said {
        count(&shared.tally.lanes);
        table.arrived.insert(name, arrived);
    }
    is_said
}

/// Nothing but a name that was given out gets as far as cryptography, and with
/// it only the peer that it was given to.
async fn welcome(
    shared: &Arc<Shared>,
    mut tcp: TcpStream,
    doorstep: Doorstep,
) -> Option<(Name, Arrived)> {
    lane::prepare(&tcp).ok()?;
    let mut name = Name::default();
    tcp.read_exact(&mut name).await.ok()?;
    let (offered, place) = shared.fast.redeem(name)?;
    drop(doorstep);
    if !offered.is_near {
        shared.fast.congestion.set_far(&SockRef::from(&tcp));
    }
    let (peer, connection) = (offered.peer, offered.connection);
    if !shared.is_up(peer, connection) {
        return None;
    }
    let made = tls::accept(&mut tcp, &shared.fast.key, peer).await;
    let made = made
        .inspect_err(|error| debug!(peer = %peer.short(), %error, "refused a lane"))
        .ok()?;
    let mut lane = Lane::new(tcp, made, place);
    let mut proof = Vec::with_capacity(Proof::default().len());
    while proof.len() < Proof::default().len() {
        let wanted = Proof::default().len() - proof.len();
        lane.reader.take(wanted, &mut proof).await.ok()?;
    }
    if proof != offered.proof {
        return None;
    }
    let arrived = Arrived {
        peer,
        connection,
        lane,
    };
    Some((name, arrived))
}

/// The ports of these that are of the family of `remote`.
pub(super) fn ports(listening: &[SocketAddr], remote: IpAddr) -> Vec<u16> {
    let is_v4 = remote.to_canonical().is_ipv4();
    listening
        .iter()
        .filter(|address| address.is_ipv4() == is_v4)
        .map(SocketAddr::port)
        .collect()
}
