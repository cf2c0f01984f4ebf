//! Where a transfer changes roads: what both halves of its stream share.

use std::collections::VecDeque;
use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use gannet_base::PeerId;
use iroh::endpoint::Connection;
use tokio::time::timeout;

use crate::counters::add;
use crate::endpoint::Shared;
use crate::fast::{self, Lane, LaneReader, LaneWriter, Name, Widening};
use crate::{BulkRoad, StreamError};

/// Bytes on a QUIC stream after which a lane is worth making. Too low: small
/// files make a TCP connection each; too high: large ones start slowly.
// Guess: a millisecond or two of a fast link.
const WORTH_BYTES: usize = 1024 * 1024;
/// Bytes after which one is tried again.
// Guess: seldom enough not to matter.
const AGAIN_BYTES: usize = 64 * 1024 * 1024;
/// How long a lane that broke leaves the QUIC stream to say why.
// Guess: a few round trips of a far peer.
const GRACE: Duration = Duration::from_millis(500);

/// Bytes that went beside one QUIC connection, by lanes.
#[derive(Debug, Default)]
pub(crate) struct Beside {
    pub(crate) sent: AtomicU64,
    pub(crate) received: AtomicU64,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Junction {
    shared: Arc<Shared>,
    peer: PeerId,
    /// The connection's name in the table.
    id: u64,
    connection: Connection,
    beside: Arc<Beside>,
    /// Whether this side opened the stream: it makes the lane.
    is_opener: bool,
    /// Bytes on the QUIC stream, both directions, and from how many on a lane is
    /// to be tried.
    moved: AtomicUsize,
    due: AtomicUsize,
    /// Whether `ways` has a way out: spares the lock.
    has_way_out: AtomicBool,
    ways: Mutex<Ways>,
    /// Only on the side that opened the stream.
    widening: Mutex<Widening>,
    since: Instant,
}

/// The halves of lanes that nobody uses yet, as they came: a transfer that has much to
/// send one way may have nothing to say the other. Both sides bound the lanes of a peer.
#[derive(Debug, Default)]
struct Ways {
    out: VecDeque<(Name, LaneWriter)>,
    /// Only on the side that made the lanes: the other finds them by their names.
    back: Vec<(Name, LaneReader)>,
}

impl Junction {
    pub(crate) fn new(
        shared: Arc<Shared>,
        peer: PeerId,
        (id, connection, beside): (u64, Connection, Arc<Beside>),
        is_opener: bool,
    ) -> Self {
        Self {
            shared,
            peer,
            id,
            connection,
            beside,
            is_opener,
            moved: AtomicUsize::new(0),
            due: AtomicUsize::new(WORTH_BYTES),
            has_way_out: AtomicBool::new(false),
            ways: Mutex::default(),
            widening: Mutex::default(),
            since: Instant::now(),
        }
    }

    /// Makes a lane before anything has moved.
    pub(crate) async fn open_at_once(&self) {
        self.due.store(AGAIN_BYTES, Ordering::Relaxed);
        if let Some((name, lane)) = fast::connect(&self.shared, self.peer, &self.connection).await {
            self.join(name, lane);
        }
    }

    /// Bytes have moved on the QUIC stream; many are a reason to leave it.
    pub(crate) fn moved(self: &Arc<Self>, bytes: usize) {
        if !self.is_opener {
            return;
        }
        let moved = self.moved.fetch_add(bytes, Ordering::Relaxed) + bytes;
        let due = self.due.load(Ordering::Relaxed);
        if moved < due || self.shared.fast.wish == BulkRoad::Quic {
            return;
        }
        let next = moved.saturating_add(AGAIN_BYTES);
        let swapped = self
            .due
            .compare_exchange(due, next, Ordering::Relaxed, Ordering::Relaxed);
        if swapped.is_err() {
            return;
        }
        let this = Arc::downgrade(self);
        let (shared, peer) = (self.shared.clone(), self.peer);
        let connection = self.connection.clone();
        tokio::spawn(async move {
            let made = fast::connect(&shared, peer, &connection).await;
            // If the transfer is over meanwhile, so is the lane.
            if let (Some((name, lane)), Some(this)) = (made, this.upgrade()) {
                this.join(name, lane);
            }
        });
    }

    /// Bytes have moved by lanes: perhaps one more would make that faster.
    fn widen(self: &Arc<Self>, bytes: usize) {
        if !self.is_opener || !self.widening().moved(self.since.elapsed(), bytes) {
            return;
        }
        if fast::is_far(&self.connection) {
            self.spawn_another();
        }
    }

    fn spawn_another(self: &Arc<Self>) {
        let this = Arc::downgrade(self);
        let (shared, peer) = (self.shared.clone(), self.peer);
        let connection = self.connection.clone();
        tokio::spawn(async move {
            let made = fast::connect_another(&shared, peer, &connection).await;
            if let (Some((name, lane)), Some(this)) = (made, this.upgrade()) {
                this.join(name, lane);
            }
        });
    }

    /// Makes another lane, however fast the transfer is; for tests.
    #[cfg(test)]
    pub(crate) fn widen_now(self: &Arc<Self>) {
        self.spawn_another();
    }

    fn join(&self, name: Name, lane: Lane) {
        self.widening().joined(self.since.elapsed());
        let mut ways = self.ways();
        ways.out.push_back((name, lane.writer));
        ways.back.push((name, lane.reader));
        self.due.store(usize::MAX, Ordering::Relaxed);
        self.has_way_out.store(true, Ordering::Release);
    }

    /// A lane to go on sending by, or to send by too: each once.
    pub(crate) fn way_out(&self) -> Option<(Name, LaneWriter)> {
        if !self.has_way_out.load(Ordering::Acquire) {
            return None;
        }
        let mut ways = self.ways();
        let way = ways.out.pop_front();
        self.has_way_out
            .store(!ways.out.is_empty(), Ordering::Release);
        way
    }

    /// The lane to go on reading from, or to read too: of this name, and of no other transfer.
    pub(crate) fn way_in(&self, name: Name) -> Option<LaneReader> {
        if self.is_opener {
            let back = &mut self.ways().back;
            let place = back.iter().position(|(known, _)| *known == name)?;
            return Some(back.remove(place).1);
        }
        let lane = self.shared.fast.claim(self.peer, self.id, name)?;
        let mut ways = self.ways();
        ways.out.push_back((name, lane.writer));
        self.has_way_out.store(true, Ordering::Release);
        Some(lane.reader)
    }

    pub(crate) fn sent_by_lane(self: &Arc<Self>, bytes: usize) {
        add(&self.beside.sent, bytes);
        add(&self.shared.tally.lane_bytes_sent, bytes);
        self.widen(bytes);
    }

    pub(crate) fn received_by_lane(self: &Arc<Self>, bytes: usize) {
        add(&self.beside.received, bytes);
        add(&self.shared.tally.lane_bytes_received, bytes);
        self.widen(bytes);
    }

    /// The lane broke: why, as the QUIC stream says. If it says nothing, or that
    /// the other side saw it break, it was the road's fault.
    pub(crate) async fn why_broken(&self, said: impl Future<Output = StreamError>) -> StreamError {
        let why = timeout(GRACE, said).await.unwrap_or(StreamError::Lost);
        if why == StreamError::Lost {
            self.blame();
        }
        why
    }

    /// The fast road to this peer is not to be trusted for a while.
    pub(crate) fn blame(&self) {
        if self.connection.close_reason().is_none() {
            add(&self.shared.tally.lanes_failed, 1);
            self.shared.fast.blame(self.peer);
        }
    }

    fn widening(&self) -> MutexGuard<'_, Widening> {
        self.widening
            .lock()
            .expect("nothing panics while it holds the lock")
    }

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}
