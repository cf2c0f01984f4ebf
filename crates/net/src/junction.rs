//! Where a transfer changes roads: what both halves of its stream share.

use std::future::Future;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use gannet_base::PeerId;
use iroh::endpoint::Connection;
use tokio::time::timeout;

use crate::counters::add;
use crate::endpoint::Shared;
use crate::fast::{self, Lane, LaneReader, LaneWriter, Name};
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
    /// Whether `ways` may have a way out: spares the lock.
    has_way_out: AtomicBool,
    ways: Mutex<Ways>,
}

/// The halves of a lane that nobody uses yet.
#[derive(Debug, Default)]
struct Ways {
    out: Option<(Name, LaneWriter)>,
    /// Only on the side that made the lane: the other finds it by its name.
    back: Option<(Name, LaneReader)>,
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

    fn join(&self, name: Name, lane: Lane) {
        let mut ways = self.ways();
        ways.out = Some((name, lane.writer));
        ways.back = Some((name, lane.reader));
        self.due.store(usize::MAX, Ordering::Relaxed);
        self.has_way_out.store(true, Ordering::Release);
    }

    /// A lane to go on sending by, once.
    pub(crate) fn way_out(&self) -> Option<(Name, LaneWriter)> {
        if !self.has_way_out.swap(false, Ordering::Acquire) {
            return None;
        }
        self.ways().out.take()
    }

    /// The lane to go on reading from: of this name, and of no other transfer.
    pub(crate) fn way_in(&self, name: Name) -> Option<LaneReader> {
        if self.is_opener {
            let back = self.ways().back.take_if(|(known, _)| *known == name);
            return back.map(|(_, reader)| reader);
        }
        let lane = self.shared.fast.claim(self.peer, self.id, name)?;
        self.ways().out = Some((name, lane.writer));
        self.has_way_out.store(true, Ordering::Release);
        Some(lane.reader)
    }

    pub(crate) fn sent_by_lane(&self, bytes: usize) {
        add(&self.beside.sent, bytes);
        add(&self.shared.tally.lane_bytes_sent, bytes);
    }

    pub(crate) fn received_by_lane(&self, bytes: usize) {
        add(&self.beside.received, bytes);
        add(&self.shared.tally.lane_bytes_received, bytes);
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

    fn ways(&self) -> MutexGuard<'_, Ways> {
        self.ways
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}
