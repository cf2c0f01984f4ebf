//! From a transfer that has shown to be large to a lane for it: asking for an
//! offer on the QUIC connection, and dialling.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use gannet_base::PeerId;
use iroh::endpoint::Connection;
use iroh::{SecretKey, TransportAddr};
use socket2::SockRef;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;
use tracing::debug;

use super::Place;
use super::lane::{self, Lane};
use super::listen::ports;
use super::offer::{Name, OFFER_BYTES_MAX, Offer, PORTS_MAX};
use super::tls;
use crate::congestion::is_near;
use crate::counters::count;
use crate::endpoint::Shared;
use crate::pipe::{PipeReader, PipeWriter};
use crate::wire::StreamHeader;

/// Where the peer's packets come from, and whether that is near; nowhere, if through a
/// relay.
fn remote(connection: &Connection) -> Option<(SocketAddr, bool)> {
    let paths = connection.paths();
    let path = paths
        .iter()
        .find(|path| path.is_selected())
        .or_else(|| paths.iter().next())?;
    let address = match path.remote_addr() {
        TransportAddr::Ip(SocketAddr::V6(v6)) if v6.ip().to_ipv4_mapped().is_some() => {
            SocketAddr::new(v6.ip().to_canonical(), v6.port())
        }
        // With its scope, which link-local addresses need.
        TransportAddr::Ip(address) => *address,
        _ => return None,
    };
    Some((address, is_near(address, path.rtt())))
}

/// Whether the peer is so far that one lane may leave the path half empty.
pub(crate) fn is_far(connection: &Connection) -> bool {
    remote(connection).is_some_and(|(_, is_near)| !is_near)
}

/// Answers a peer that would like a lane: with an offer, or not at all, which
/// refuses.
pub(crate) async fn answer(
    shared: &Shared,
    peer: PeerId,
    (id, connection): (u64, &Connection),
    mut writer: PipeWriter,
) {
    let Some(offer) = make_offer(shared, peer, id, connection) else {
        writer.reset(crate::wire::CODE_REFUSED.into());
        return;
    };
    let offer = offer.encode();
    let sent = timeout(shared.limits.request_timeout, writer.frame(&offer));
    // If it does not arrive, nobody comes.
    let _ = sent.await;
    writer.finish();
}

fn make_offer(shared: &Shared, peer: PeerId, id: u64, connection: &Connection) -> Option<Offer> {
    let (remote, is_near) = remote(connection)?;
    let mut ports = ports(&shared.fast.listening, remote.ip());
    ports.truncate(PORTS_MAX);
    if ports.is_empty() {
        return None;
    }
    if let Some(announced) = shared.fast.announced {
        ports = vec![announced.get()];
    }
    // A fresh key is the randomness at hand.
    let fresh = SecretKey::generate().to_bytes();
    let (name, proof) = fresh.split_at(16);
    let offer = Offer {
        name: name.try_into().ok()?,
        proof: proof.try_into().ok()?,
        ports,
    };
    let now = shared.fast.started.elapsed();
    let mut state = shared.fast.lock();
    state
        .ledger
        .offer(now, offer.name, (peer, id, is_near), offer.proof)
        .then_some(offer)
}

/// A lane to this peer, if there may be one and the network lets it through.
/// One that fails is not tried again for a while.
pub(crate) async fn connect(
    shared: &Arc<Shared>,
    peer: PeerId,
    connection: &Connection,
) -> Option<(Name, Lane)> {
    if !shared.fast.may_try(peer) {
        return None;
    }
    let place = shared.fast.take_place(peer)?;
    let remote = remote(connection)?;
    let made = dial(shared, (peer, connection), remote, place).await;
    // A connection that ended meanwhile says nothing about TCP.
    if made.is_none() && connection.close_reason().is_none() {
        debug!(peer = %peer.short(), "the fast road is closed for now");
        count(&shared.tally.lanes_failed);
        shared.fast.blame(peer);
    }
    made
}

/// One more lane beside one that stands. If the peer has none to give, nobody is to blame.
pub(crate) async fn connect_another(
    shared: &Arc<Shared>,
    peer: PeerId,
    connection: &Connection,
) -> Option<(Name, Lane)> {
    let place = shared.fast.take_place(peer)?;
    let remote = remote(connection)?;
    dial(shared, (peer, connection), remote, place).await
}

async fn dial(
    shared: &Arc<Shared>,
    (peer, connection): (PeerId, &Connection),
    (at, is_near): (SocketAddr, bool),
    place: Place,
) -> Option<(Name, Lane)> {
    let congestion = shared.fast.congestion;
    let attempt = async {
        let offer = ask(connection).await?;
        let mut tcp = reach(at, &offer.ports, |tcp| congestion.set(tcp, is_near)).await?;
        lane::prepare(&tcp).ok()?;
        tcp.write_all(&offer.name).await.ok()?;
        let made = tls::dial(&mut tcp, &shared.fast.key, peer).await;
        let made = made
            .inspect_err(|error| debug!(peer = %peer.short(), %error, "no lane"))
            .ok()?;
        let mut lane = Lane::new(tcp, made, place);
        lane.writer.send(&[&offer.proof]).await.ok()?;
        let mut answer = Vec::new();
        lane.reader.take(1, &mut answer).await.ok()?;
        (answer == super::WELCOME).then_some((offer.name, lane))
    };
    let made = timeout(shared.limits.lane_timeout, attempt).await.ok()??;
    count(&shared.tally.lanes);
    Some(made)
}

async fn ask(connection: &Connection) -> Option<Offer> {
    let (send, recv) = connection.open_bi().await.ok()?;
    let mut writer = PipeWriter::new(send);
    let header = Bytes::from(StreamHeader::Road.encode());
    writer.bytes(header).await.ok()?;
    writer.finish();
    let mut reader = PipeReader::new(recv);
    let frame = reader.frame(OFFER_BYTES_MAX).await.ok()??;
    Offer::decode(&frame)
}

/// The first of the ports that answers. All but one are refused at once where
/// the peer listens on several addresses; silence ends with the whole attempt.
async fn reach(mut at: SocketAddr, ports: &[u16], set: impl Fn(&SockRef<'_>)) -> Option<TcpStream> {
    for port in ports {
        at.set_port(*port);
        let socket = if at.is_ipv4() {
            TcpSocket::new_v4()
        } else {
            TcpSocket::new_v6()
        };
        let socket = socket.ok()?;
        set(&SockRef::from(&socket));
        if let Ok(tcp) = socket.connect(at).await {
            return Some(tcp);
        }
    }
    None
}

/// The name and the proof of an offer, for tests.
#[cfg(test)]
pub(crate) async fn offered(connection: &Connection) -> Option<(Name, super::offer::Proof)> {
    let offer = ask(connection).await?;
    Some((offer.name, offer.proof))
}

/// Comes as whoever has this key to whoever should be `peer`, and shows this;
/// whether that was welcome. For tests.
#[cfg(test)]
pub(crate) async fn raw_lane(
    mut tcp: TcpStream,
    key: [u8; 32],
    peer: PeerId,
    proof: super::offer::Proof,
) -> bool {
    let Ok(mut made) = tls::dial(&mut tcp, &SecretKey::from_bytes(&key), peer).await else {
        return false;
    };
    let content = rustls::crypto::cipher::OutboundChunks::Single(&proof);
    let mut records = Vec::new();
    made.sealer.seal(&content, &mut records).expect("a record");
    if tcp.write_all(&records.concat()).await.is_err() {
        return false;
    }
    let mut answer = Vec::new();
    let read = tokio::io::AsyncReadExt::read_buf(&mut tcp, &mut answer).await;
    read.is_ok_and(|bytes| bytes > 0)
        && made.opener.open(&mut answer) == Ok(super::WELCOME.as_slice())
}
