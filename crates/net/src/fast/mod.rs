//! The fast road: bulk bytes over TLS 1.3 on TCP, beside the QUIC connection.
//!
//! **Problem.** QUIC in user space costs two to three times the processor time
//! of TCP, whose work the kernel does; but only QUIC goes through routers and
//! relays everywhere.
//!
//! **Goals.** A transfer begins on its QUIC stream at once. When it has shown
//! to be large, the side that opened it asks the other for an offer, dials it
//! by TCP, and both move to the new *lane*, each direction between two
//! segments, so that no byte is lost or repeated. A lane serves one transfer;
//! one from afar that another lane makes faster has up to four.
//! Who is at the other end, and that it may be in the network, was proven on
//! the QUIC connection: an offer is given out there, holds once, for that
//! connection and that peer, and the lane's TLS is authenticated with the very
//! keys of the two peers (RFC 7250 raw public keys).
//!
//! **Non-goals.** Never required: where TCP does not get through, that costs one
//! short try per peer now and then. A lane that dies takes its transfer with
//! it, as a dying stream does; the next one goes by QUIC.
//!
//! **Invariant.** The QUIC stream of a transfer stays open as long as the
//! transfer: the permitted number of streams, giving up and the end of the
//! connection hold on either road.

mod braid;
mod dial;
mod lane;
mod ledger;
mod listen;
mod offer;
mod record;
mod tls;
mod widening;

pub(crate) use braid::{BraidReader, BraidWriter, Next};
pub(crate) use dial::{answer, connect, connect_another, is_far};
#[cfg(test)]
pub(crate) use dial::{offered, raw_lane};
pub(crate) use lane::{Lane, LaneError, LaneReader, LaneWriter};
pub(crate) use listen::{open as listen_tcp, run as accept_lanes};
pub(crate) use offer::Name;
pub use offer::fuzz;
pub(crate) use widening::Widening;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU16;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use gannet_base::PeerId;
use iroh::SecretKey;

use crate::limits::AddressPolicy;
use crate::{BulkRoad, Congestion, Limits};
use ledger::{Ledger, Offered};

/// What the side that was dialled says once the lane stands.
const WELCOME: [u8; 1] = [1];

/// Everything that the lanes of a process share.
#[derive(Debug)]
pub(crate) struct FastRoad {
    pub(crate) wish: BulkRoad,
    congestion: Congestion,
    /// Where TCP is listened on; empty: nowhere.
    pub(crate) listening: Vec<SocketAddr>,
    /// The port to tell others instead.
    announced: Option<NonZeroU16>,
    key: SecretKey,
    started: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    ledger: Ledger,
    /// Lanes that arrived and that no transfer has moved to yet. Bounded: each
    /// has a place in the ledger.
    arrived: BTreeMap<Name, Arrived>,
}

#[derive(Debug)]
struct Arrived {
    peer: PeerId,
    connection: u64,
    lane: Lane,
}

/// A lane's place among those that there may be, given back when dropped.
#[derive(Debug)]
pub(crate) struct Place {
    road: Arc<FastRoad>,
    peer: PeerId,
}

/// A TCP connection that has not said yet whose it is; as above.
#[derive(Debug)]
struct Doorstep {
    road: Arc<FastRoad>,
    address: IpAddr,
}

impl FastRoad {
    pub(crate) fn new(
        (wish, congestion, announced): (BulkRoad, Congestion, Option<NonZeroU16>),
        key: SecretKey,
        listening: Vec<SocketAddr>,
        limits: &Limits,
        policy: AddressPolicy,
    ) -> Self {
        Self {
            wish,
            congestion,
            listening,
            announced,
            key,
            started: Instant::now(),
            state: Mutex::new(State {
                ledger: Ledger::new(limits, policy),
                arrived: BTreeMap::new(),
            }),
        }
    }

    /// Lanes open now, both directions.
    pub(crate) fn lanes(&self) -> usize {
        self.lock().ledger.lanes()
    }

    /// Whether to try a lane to this peer: not while the last try is recent
    /// and failed.
    pub(crate) fn may_try(&self, peer: PeerId) -> bool {
        let now = self.started.elapsed();
        self.wish != BulkRoad::Quic && self.lock().ledger.may_try(now, peer)
    }

    /// A lane to this peer failed: leave it for a while.
    pub(crate) fn blame(&self, peer: PeerId) {
        let now = self.started.elapsed();
        self.lock().ledger.blame(now, peer);
    }

    /// Takes the lane of this name that arrived from this peer, if it did.
    pub(crate) fn claim(&self, peer: PeerId, connection: u64, name: Name) -> Option<Lane> {
        let mut state = self.lock();
        let arrived = state.arrived.get(&name)?;
        if (arrived.peer, arrived.connection) != (peer, connection) {
            return None;
        }
        state.arrived.remove(&name).map(|arrived| arrived.lane)
    }

    /// The connection is over: nothing that it stood for counts any more.
    pub(crate) fn forget(&self, connection: u64) {
        let mut state = self.lock();
        state.ledger.forget(connection);
        let lanes: Vec<Arrived> = {
            let gone = |_: &Name, arrived: &mut Arrived| arrived.connection == connection;
            state
                .arrived
                .extract_if(.., gone)
                .map(|(_, lane)| lane)
                .collect()
        };
        // A lane gives its place back, which takes the lock.
        drop(state);
        drop(lanes);
    }

    /// What the lane of this name must prove, if it was offered and has not
    /// come; it cannot come again. The place is the lane's.
    fn redeem(self: &Arc<Self>, name: Name) -> Option<(Offered, Place)> {
        let now = self.started.elapsed();
        let offered = self.lock().ledger.redeem(now, name)?;
        let place = Place {
            road: self.clone(),
            peer: offered.peer,
        };
        Some((offered, place))
    }

    /// A place for a lane that this side dials, if there is one.
    fn take_place(self: &Arc<Self>, peer: PeerId) -> Option<Place> {
        let now = self.started.elapsed();
        self.lock().ledger.open(now, peer).then(|| Place {
            road: self.clone(),
            peer,
        })
    }

    fn admit(self: &Arc<Self>, address: IpAddr) -> Option<Doorstep> {
        let now = self.started.elapsed();
        self.lock().ledger.admit(now, address).then(|| Doorstep {
            road: self.clone(),
            address,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.road.lock().ledger.close(self.peer);
    }
}

impl Drop for Doorstep {
    fn drop(&mut self) {
        self.road.lock().ledger.leave(self.address);
    }
}
