//! One connection after its handshake: the task that reads everything from the
//! peer, and what the rest of the process knows of it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use bytes::Bytes;
use gannet_base::wire::FRAME_BYTES_MAX;
use gannet_base::{PeerAddress, PeerId};
use iroh::TransportAddr;
use iroh::endpoint::{Connection, ConnectionError, RecvStream, SendStream};
use tokio::sync::{OnceCell, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::debug;

use crate::book::Voucher;
use crate::control::{SendQueue, write_messages};
use crate::counters::{add, count};
use crate::endpoint::{Shared, Ticket};
use crate::fast;
use crate::junction::{Beside, Junction};
use crate::pipe::{PipeReader, PipeWriter};
use crate::wire::{
    CODE_FULL, CODE_LEFT, CODE_MALFORMED, CODE_REPLACED, CODE_UNKNOWN, ParsedHeader, StreamHeader,
};
use crate::{
    Channel, ConnectionInfo, DownReason, NetEvent, Reply, RequestKind, Road, StreamError,
    TransferStream,
};

/// Streams of unknown kinds after which a peer is taken to talk nonsense.
// Guess: a later version tries each of its own kinds once.
const UNKNOWN_STREAMS_MAX: usize = 64;

/// A connection that has passed its handshake.
#[derive(Debug)]
pub(crate) struct Established {
    pub(crate) peer: PeerId,
    /// Its name in the table.
    pub(crate) id: u64,
    pub(crate) connection: Connection,
    pub(crate) agent: String,
    pub(crate) dialed: bool,
    pub(crate) since: Instant,
    pub(crate) queue: SendQueue,
    /// What went to this peer and came from it by lanes.
    pub(crate) beside: Arc<Beside>,
    /// Why this side closed it, if it did.
    verdict: OnceCell<DownReason>,
    /// Turns true once the end has been reported.
    gone: watch::Sender<bool>,
    unknown_streams: AtomicUsize,
    /// Which channels the peer has a stream open for.
    channels: [AtomicBool; Channel::ALL.len()],
    _ticket: Ticket,
}

impl Established {
    pub(crate) fn new(
        shared: &Shared,
        ticket: Ticket,
        connection: Connection,
        (peer, id, dialed): (PeerId, u64, bool),
        agent: String,
    ) -> Self {
        Self {
            peer,
            id,
            connection,
            agent,
            dialed,
            since: Instant::now(),
            queue: SendQueue::new(&shared.limits),
            beside: Arc::default(),
            verdict: OnceCell::new(),
            gone: watch::Sender::new(false),
            unknown_streams: AtomicUsize::new(0),
            channels: Default::default(),
            _ticket: ticket,
        }
    }

    /// Ends the connection for `reason`; the first reason given counts.
    pub(crate) fn close(&self, reason: DownReason) {
        // An error says that an earlier reason stands.
        let _ = self.verdict.set(reason);
        let code = match reason {
            DownReason::Misbehaved => CODE_MALFORMED,
            DownReason::Replaced => CODE_REPLACED,
            _ => CODE_LEFT,
        };
        self.connection.close(code.into(), b"");
    }

    fn misbehaved(&self, shared: &Shared, what: &str) {
        debug!(peer = %self.peer.short(), what, "cutting off a peer that breaks the protocol");
        count(&shared.tally.malformed);
        self.close(DownReason::Misbehaved);
    }

    /// Addresses that packets came from.
    fn remote(&self) -> Vec<SocketAddr> {
        let paths = self.connection.paths();
        let mut seen: Vec<_> = paths
            .iter()
            .filter_map(|path| match path.remote_addr() {
                TransportAddr::Ip(address) => Some((!path.is_selected(), *address)),
                _ => None,
            })
            .collect();
        seen.sort_unstable();
        seen.dedup();
        seen.into_iter().map(|(_, address)| address).collect()
    }

    pub(crate) fn info(&self) -> ConnectionInfo {
        let paths = self.connection.paths();
        let path = paths
            .iter()
            .find(|path| path.is_selected())
            .or_else(|| paths.iter().next());
        let stats = self.connection.stats();
        ConnectionInfo {
            peer: self.peer,
            agent: self.agent.clone(),
            remote: path.as_ref().and_then(|path| match path.remote_addr() {
                TransportAddr::Ip(address) => Some(*address),
                _ => None,
            }),
            road: match &path {
                Some(path) if path.is_relay() => Road::Relayed,
                _ => Road::Direct,
            },
            dialed: self.dialed,
            rtt: path.map(|path| path.rtt()).unwrap_or_default(),
            sent_bytes: stats.udp_tx.bytes,
            received_bytes: stats.udp_rx.bytes,
            lane_sent_bytes: self.beside.sent.load(Ordering::Relaxed),
            lane_received_bytes: self.beside.received.load(Ordering::Relaxed),
            connected_for: self.since.elapsed(),
            queued_bytes: self.queue.bytes(),
        }
    }

    /// Waits until the end of this connection has been reported.
    async fn gone(&self) {
        let mut gone = self.gone.subscribe();
        // The sender lives in `self`, so waiting cannot fail.
        let _ = gone.wait_for(|gone| *gone).await;
    }
}

/// Runs a connection that has entered the table until it ends: reports it up,
/// reads, writes, reports it down.
pub(crate) async fn run(
    shared: Arc<Shared>,
    this: Arc<Established>,
    predecessor: Option<Arc<Established>>,
) {
    if let Some(predecessor) = predecessor {
        predecessor.close(DownReason::Replaced);
        predecessor.gone().await;
    }
    let remote = this.remote();
    shared.book().add(
        &PeerAddress {
            peer: this.peer,
            addresses: remote.clone(),
        },
        Voucher::Seen,
    );
    shared
        .emit(NetEvent::Up {
            peer: this.peer,
            remote,
            agent: this.agent.clone(),
        })
        .await;

    let ended = read_until_end(&shared, &this).await;
    let reason = this.verdict.get().copied().unwrap_or(ended);
    shared.table().leave(this.peer, this.id);
    shared.fast.forget(this.id);
    shared
        .emit(NetEvent::Down {
            peer: this.peer,
            reason,
        })
        .await;
    shared.table().gone(this.peer, this.id);
    this.gone.send_replace(true);
}

/// Returns after every task that reads from the peer has ended, so that
/// nothing of this connection is reported later.
async fn read_until_end(shared: &Arc<Shared>, this: &Arc<Established>) -> DownReason {
    let mut tasks = JoinSet::new();
    {
        let (shared, this) = (shared.clone(), this.clone());
        tasks.spawn(async move {
            write_messages(&this.connection, &this.queue, &shared.tally).await;
        });
    }
    let error = loop {
        tokio::select! {
            stream = this.connection.accept_uni() => match stream {
                Ok(recv) => {
                    tasks.spawn(read_control(shared.clone(), this.clone(), recv));
                }
                Err(error) => break error,
            },
            stream = this.connection.accept_bi() => match stream {
                Ok((send, recv)) => {
                    tasks.spawn(read_opened(shared.clone(), this.clone(), send, recv));
                }
                Err(error) => break error,
            },
            Some(ended) = tasks.join_next() => {
                if let Err(error) = ended {
                    debug!(peer = %this.peer.short(), %error, "a stream's task failed");
                    this.close(DownReason::Broken);
                }
            }
        }
    };
    tasks.shutdown().await;
    debug!(peer = %this.peer.short(), %error, "connection ended");
    down_reason(&error)
}

fn down_reason(error: &ConnectionError) -> DownReason {
    match error {
        ConnectionError::TimedOut => DownReason::Silent,
        ConnectionError::LocallyClosed => DownReason::Requested,
        ConnectionError::ApplicationClosed(close) => {
            match u32::try_from(u64::from(close.error_code)) {
                Ok(CODE_MALFORMED | CODE_FULL) => DownReason::Refused,
                _ => DownReason::Left,
            }
        }
        _ => DownReason::Broken,
    }
}

/// What a stream carries. `None` if it ended, or took too long to say.
async fn read_header(shared: &Shared, reader: &mut PipeReader) -> Option<ParsedHeader> {
    let read = async {
        let mut bytes = Vec::with_capacity(StreamHeader::BYTES_MAX);
        loop {
            bytes.push(reader.byte().await.ok()??);
            match StreamHeader::parse(&bytes) {
                ParsedHeader::Incomplete => {}
                parsed => return Some(parsed),
            }
        }
    };
    timeout(shared.limits.handshake_timeout, read).await.ok()?
}

/// Passes over a stream of an unknown kind: it may be a later version's.
fn pass_over(shared: &Shared, this: &Established, reader: &mut PipeReader) {
    count(&shared.tally.streams_unknown);
    reader.stop(CODE_UNKNOWN.into());
    if this.unknown_streams.fetch_add(1, Ordering::Relaxed) >= UNKNOWN_STREAMS_MAX {
        this.misbehaved(shared, "too many unknown streams");
    }
}

/// Reads a stream that goes one way: messages of one channel.
async fn read_control(shared: Arc<Shared>, this: Arc<Established>, recv: RecvStream) {
    let mut reader = PipeReader::new(recv);
    let channel = match read_header(&shared, &mut reader).await {
        Some(ParsedHeader::Known(StreamHeader::Control(channel))) => channel,
        Some(ParsedHeader::Known(StreamHeader::Handshake)) => {
            return this.misbehaved(&shared, "a second handshake");
        }
        _ => return pass_over(&shared, &this, &mut reader),
    };
    // Two streams for one channel would lose the order of messages.
    let open = &this.channels[channel.index()];
    if open.swap(true, Ordering::AcqRel) {
        return this.misbehaved(&shared, "a channel twice");
    }
    loop {
        match reader.frame(FRAME_BYTES_MAX).await {
            Ok(Some(body)) => {
                count(&shared.tally.messages_received);
                add(&shared.tally.message_bytes_received, body.len());
                let peer = this.peer;
                let message = NetEvent::Message {
                    peer,
                    channel,
                    body,
                };
                shared.emit(message).await;
            }
            Ok(None) => break,
            Err(StreamError::TooLong { .. } | StreamError::Truncated) => {
                return this.misbehaved(&shared, "a wrong frame");
            }
            Err(_) => break,
        }
    }
    open.store(false, Ordering::Release);
}

/// Reads the beginning of a stream that goes both ways and hands it on.
async fn read_opened(
    shared: Arc<Shared>,
    this: Arc<Established>,
    send: SendStream,
    recv: RecvStream,
) {
    let mut reader = PipeReader::new(recv);
    let mut writer = PipeWriter::new(send);
    match read_header(&shared, &mut reader).await {
        Some(ParsedHeader::Known(StreamHeader::Transfer)) => {
            count(&shared.tally.transfers);
            let peer = this.peer;
            let connection = (this.id, this.connection.clone(), this.beside.clone());
            let junction = Junction::new(shared.clone(), peer, connection, false);
            let stream = TransferStream::new(writer, reader, junction);
            shared.emit(NetEvent::Transfer { peer, stream }).await;
        }
        Some(ParsedHeader::Known(StreamHeader::Road)) => {
            fast::answer(&shared, this.peer, (this.id, &this.connection), writer).await;
        }
        Some(ParsedHeader::Known(StreamHeader::Request(kind))) => {
            count(&shared.tally.requests);
            read_request(&shared, &this, kind, writer, reader).await;
        }
        Some(ParsedHeader::Known(StreamHeader::Handshake)) => {
            this.misbehaved(&shared, "a second handshake");
        }
        _ => {
            writer.reset(CODE_UNKNOWN.into());
            pass_over(&shared, &this, &mut reader);
        }
    }
}

async fn read_request(
    shared: &Shared,
    this: &Established,
    kind: RequestKind,
    writer: PipeWriter,
    mut reader: PipeReader,
) {
    let limits = &shared.limits;
    let reply = Reply::new(writer, limits.reply_frames_max, limits.request_timeout);
    let body: Bytes = match timeout(limits.request_timeout, reader.frame(FRAME_BYTES_MAX)).await {
        Ok(Ok(Some(body))) => body,
        Ok(Err(StreamError::TooLong { .. } | StreamError::Truncated)) => {
            return this.misbehaved(shared, "a wrong request");
        }
        // Silent or gone: dropping the reply refuses.
        _ => return,
    };
    let peer = this.peer;
    shared
        .emit(NetEvent::Request {
            peer,
            kind,
            body,
            reply,
        })
        .await;
}
