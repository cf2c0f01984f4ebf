//! The endpoint: what the node calls, and the state that all tasks share.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use bytes::Bytes;
use gannet_base::wire::FRAME_BYTES_MAX;
use gannet_base::{PeerAddress, PeerId};
use iroh::endpoint::{Connection, IncomingAddr, RecvStream, SendStream};
use iroh::{Endpoint, RelayUrl, SecretKey};
use tokio::sync::{Notify, mpsc, watch};
use tokio::time::timeout;
use tracing::debug;

use crate::book::{AddressBook, Voucher};
use crate::connect;
use crate::connection::Established;
use crate::counters::{Tally, count};
use crate::fast::{self, FastRoad};
use crate::handshake::{Greeting, Instance, NetworkKeys, Role, Session};
use crate::junction::Junction;
use crate::limits::{AddressPolicy, Census, Origin, Rates, Refusal, WhenFull};
use crate::pipe::{PipeReader, PipeWriter};
use crate::table::{DialStep, Table};
use crate::wire::StreamHeader;
use crate::{
    Answers, BindError, BulkRoad, Channel, ConnectionInfo, Counters, DownReason, Limits, NetConfig,
    NetEvent, OpenError, RequestError, RequestKind, SendError, TransferStream, bind, discovery,
};

/// How many times the dials to one target all ports of its address together
/// get: peers behind one router share an address.
// Guess: a household or a small office.
const DIALS_PER_ADDRESS: u32 = 8;

/// What became of [`Net::dial`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Dialed {
    /// The peer is connected already; no event follows.
    Connected,
    /// A dial is under way, begun now or before: [`NetEvent::Up`] or
    /// [`NetEvent::Unreachable`] follows, once.
    Started,
}

/// The network side of a peer. Cheap to clone; needs a tokio runtime around
/// it.
///
/// * Getters: [`peer_id`](Net::peer_id), [`addresses`](Net::addresses),
///   [`known_addresses`](Net::known_addresses),
///   [`is_connected`](Net::is_connected), [`discovers`](Net::discovers),
///   [`connections`](Net::connections), [`lanes`](Net::lanes),
///   [`counters`](Net::counters).
/// * Never waiting: [`add_addresses`](Net::add_addresses),
///   [`add_user_addresses`](Net::add_user_addresses), [`dial`](Net::dial),
///   [`disconnect`](Net::disconnect), [`send`](Net::send).
/// * Waiting: [`open_transfer`](Net::open_transfer),
///   [`request`](Net::request), [`close`](Net::close).
///
/// Everything else comes as [`NetEvent`]s from the receiver that
/// [`Net::bind`] returns. While events are not taken, reading from peers
/// stops. Without a [`close`](Net::close), connections live on after the last
/// clone is dropped, until the runtime ends.
#[derive(Debug, Clone)]
pub struct Net {
    shared: Arc<Shared>,
}

/// For the tests of the fast road.
#[cfg(test)]
impl Net {
    pub(crate) fn tcp_addresses(&self) -> Vec<SocketAddr> {
        self.shared.fast.listening.clone()
    }

    pub(crate) async fn ask_for_offer(&self, peer: PeerId) -> Option<(fast::Name, [u8; 16])> {
        let established = self.shared.up(peer)?;
        fast::offered(&established.connection).await
    }
}

/// What all tasks share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) me: PeerId,
    pub(crate) endpoint: Endpoint,
    pub(crate) relays: Vec<RelayUrl>,
    pub(crate) limits: Limits,
    pub(crate) keys: NetworkKeys,
    pub(crate) tally: Tally,
    pub(crate) fast: Arc<FastRoad>,
    policy: AddressPolicy,
    has_discovery: bool,
    agent: String,
    instance: Instance,
    started: Instant,
    events: mpsc::Sender<NetEvent>,
    closing: watch::Sender<bool>,
    census: Mutex<Census>,
    table: Mutex<Connections>,
    book: Mutex<AddressBook>,
    dials: Mutex<DialRates>,
}

type Connections = Table<Arc<Established>, Arc<Notify>>;

#[derive(Debug)]
struct DialRates {
    by_target: Rates<SocketAddr>,
    by_address: Rates<std::net::IpAddr>,
}

impl Net {
    /// Opens the sockets and starts to listen. Fails only for reasons of this
    /// machine: it contacts nobody.
    ///
    /// # Errors
    ///
    /// If an address cannot be listened on, or a relay's URL is none.
    pub async fn bind(config: NetConfig) -> Result<(Self, mpsc::Receiver<NetEvent>), BindError> {
        let relays = bind::relays(&config)?;
        let endpoint = bind::bind(&config, &relays).await?;
        let keys = NetworkKeys::new(&config.network);
        let lookup = config
            .local_discovery
            .then(|| discovery::start(&endpoint, &keys.alias()))
            .flatten();
        let me = PeerId::from_bytes(*endpoint.id().as_bytes());
        let limits = config.limits;
        let listeners = match config.bulk_road {
            BulkRoad::Quic => Vec::new(),
            BulkRoad::Auto | BulkRoad::Tcp => {
                fast::listen_tcp(&endpoint.bound_sockets(), config.congestion)
            }
        };
        let listening = listeners.iter().flat_map(|tcp| tcp.local_addr()).collect();
        let key = SecretKey::from_bytes(&config.secret_key);
        let fast = FastRoad::new(
            (config.bulk_road, config.congestion, config.tcp_port),
            key,
            listening,
            &limits,
            config.policy,
        );
        let (events, receiver) = mpsc::channel(limits.events_max.max(1));
        let shared = Arc::new(Shared {
            me,
            relays,
            keys,
            tally: Tally::default(),
            fast: Arc::new(fast),
            policy: config.policy,
            has_discovery: lookup.is_some(),
            agent: config.agent,
            instance: new_instance(),
            started: Instant::now(),
            events,
            closing: watch::Sender::new(false),
            census: Mutex::new(Census::new(limits.clone(), config.policy)),
            table: Mutex::new(Table::new(me)),
            book: Mutex::new(AddressBook::new(limits.book_peers_max)),
            dials: Mutex::new(DialRates {
                by_target: Rates::new(limits.dials_burst, limits.dial_interval),
                by_address: Rates::new(
                    limits.dials_burst.saturating_mul(DIALS_PER_ADDRESS),
                    limits.dial_interval / DIALS_PER_ADDRESS,
                ),
            }),
            limits,
            endpoint,
        });
        if let Some(lookup) = lookup {
            tokio::spawn(discovery::watch(lookup, Arc::downgrade(&shared)));
        }
        tokio::spawn(listen(shared.clone()));
        for listener in listeners {
            tokio::spawn(fast::accept_lanes(shared.clone(), listener));
        }
        Ok((Self { shared }, receiver))
    }

    /// Who this peer is.
    pub fn peer_id(&self) -> PeerId {
        self.shared.me
    }

    /// Where others can dial this peer, the likeliest to work first, loopback
    /// last. Changes with the machine's interfaces.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        bind::addresses(&self.shared.endpoint)
    }

    /// Takes in where somebody says that a peer is. Addresses that reach
    /// nobody, or on this word might reach a stranger, are passed over.
    pub fn add_addresses(&self, address: PeerAddress) {
        self.shared.book().add(&address, Voucher::Hearsay);
    }

    /// Takes in where the user says that a peer is: tried first, and never
    /// driven out by what others say.
    pub fn add_user_addresses(&self, address: PeerAddress) {
        self.shared.book().add(&address, Voucher::User);
    }

    /// Where a peer is said to be, the likeliest first.
    pub fn known_addresses(&self, peer: PeerId) -> Vec<SocketAddr> {
        self.shared.book().addresses(peer)
    }

    /// Connects to a peer, unless it is connected or a dial is under way.
    pub fn dial(&self, peer: PeerId) -> Dialed {
        let stop = Arc::new(Notify::new());
        let step = self.shared.table().dial(peer, stop.clone());
        match step {
            DialStep::Connected => Dialed::Connected,
            DialStep::UnderWay => Dialed::Started,
            DialStep::Begin(id) => {
                tokio::spawn(connect::dial(self.shared.clone(), peer, id, stop));
                Dialed::Started
            }
        }
    }

    /// Ends the connection to a peer, or the dial that is under way.
    /// [`NetEvent::Down`] or [`NetEvent::Unreachable`] follows.
    pub fn disconnect(&self, peer: PeerId) {
        let table = self.shared.table();
        if let Some(stop) = table.dial_under_way(peer) {
            stop.notify_one();
        }
        let up = table.up(peer).cloned();
        drop(table);
        if let Some(established) = up {
            established.close(DownReason::Requested);
        }
    }

    /// Whether the peer is connected now; the event that says so may still be
    /// on its way.
    pub fn is_connected(&self, peer: PeerId) -> bool {
        self.shared.table().up(peer).is_some()
    }

    /// Queues a message. Messages of one channel to one peer arrive in order,
    /// unless the connection ends.
    ///
    /// # Errors
    ///
    /// If the peer is not connected, too much is waiting for it, or the body
    /// is too long for a frame.
    pub fn send(&self, peer: PeerId, channel: Channel, body: Bytes) -> Result<(), SendError> {
        let established = self.shared.up(peer).ok_or(SendError::NotConnected)?;
        established
            .queue
            .push(channel, body)
            .inspect_err(|_| count(&self.shared.tally.messages_dropped))
    }

    /// Opens a stream for a transfer. Waits while the peer permits no more
    /// streams, but not longer than [`Limits::request_timeout`]; with
    /// [`BulkRoad::Tcp`] also for a lane, at most [`Limits::lane_timeout`].
    ///
    /// # Errors
    ///
    /// If the peer is not connected, or permits none in time.
    pub async fn open_transfer(&self, peer: PeerId) -> Result<TransferStream, OpenError> {
        let established = self.shared.up(peer).ok_or(OpenError::NotConnected)?;
        let (mut writer, reader) = self.shared.open(&established).await?;
        let header = Bytes::from(StreamHeader::Transfer.encode());
        writer.bytes(header).await.map_err(|_| OpenError::Lost)?;
        count(&self.shared.tally.transfers);
        let connection = (
            established.id,
            established.connection.clone(),
            established.beside.clone(),
        );
        let junction = Junction::new(self.shared.clone(), peer, connection, true);
        if self.shared.fast.wish == BulkRoad::Tcp {
            junction.open_at_once().await;
        }
        Ok(TransferStream::new(writer, reader, junction))
    }

    /// Asks one question: a kind and a body of at most
    /// [`FRAME_BYTES_MAX`] bytes.
    ///
    /// # Errors
    ///
    /// If the peer is not connected, the body is too long, or the peer permits
    /// no stream in time. The answer has errors of its own.
    pub async fn request(
        &self,
        peer: PeerId,
        kind: RequestKind,
        body: &[u8],
    ) -> Result<Answers, RequestError> {
        if body.len() > FRAME_BYTES_MAX {
            return Err(RequestError::TooLong { bytes: body.len() });
        }
        let limits = &self.shared.limits;
        let established = self.shared.up(peer).ok_or(RequestError::NotConnected)?;
        let opened = self.shared.open(&established).await;
        let (mut writer, reader) = opened.map_err(|error| match error {
            OpenError::NotConnected => RequestError::NotConnected,
            OpenError::TimedOut => RequestError::TimedOut,
            OpenError::Lost => RequestError::Lost,
        })?;
        let ask = async {
            let header = StreamHeader::Request(kind).encode();
            writer.bytes(Bytes::from(header)).await?;
            writer.frame(body).await
        };
        timeout(limits.request_timeout, ask)
            .await
            .map_err(|_| RequestError::TimedOut)?
            .map_err(|_| RequestError::Lost)?;
        writer.finish();
        Ok(Answers::new(
            reader,
            limits.reply_frames_max,
            limits.request_timeout,
        ))
    }

    /// Whether peers on the local network are being looked for: not if it is
    /// switched off, nor where multicast does not work.
    pub fn discovers(&self) -> bool {
        self.shared.has_discovery
    }

    /// Every connection that is up, in order of peer.
    pub fn connections(&self) -> Vec<ConnectionInfo> {
        let up: Vec<_> = self.shared.table().all().cloned().collect();
        up.iter().map(|established| established.info()).collect()
    }

    /// Lanes of the fast road that are open now: TCP connections, each of one
    /// transfer, either direction.
    pub fn lanes(&self) -> usize {
        self.shared.fast.lanes()
    }

    /// Totals since the start.
    pub fn counters(&self) -> Counters {
        self.shared.tally.read()
    }

    /// Says goodbye to every peer and closes the sockets; takes at most a few
    /// seconds. Events that are not taken meanwhile are lost.
    pub async fn close(&self) {
        self.shared.closing.send_replace(true);
        let up: Vec<_> = self.shared.table().all().cloned().collect();
        for established in up {
            established.close(DownReason::Requested);
        }
        self.shared.endpoint.close().await;
    }
}

impl Shared {
    pub(crate) fn table(&self) -> MutexGuard<'_, Connections> {
        lock(&self.table)
    }

    pub(crate) fn book(&self) -> MutexGuard<'_, AddressBook> {
        lock(&self.book)
    }

    pub(crate) fn has_discovery(&self) -> bool {
        self.has_discovery
    }

    /// Tells the node, waiting for room unless everything is being closed.
    pub(crate) async fn emit(&self, event: NetEvent) {
        let mut closing = self.closing.subscribe();
        tokio::select! {
            biased;
            // An error says that the node listens no more.
            _ = self.events.send(event) => {}
            _ = closing.wait_for(|closing| *closing) => {}
        }
    }

    /// Tells the node if there is room.
    pub(crate) fn try_emit(&self, event: NetEvent) -> bool {
        self.events.try_send(event).is_ok()
    }

    /// This side's greeting on a connection.
    pub(crate) fn greeting(&self, session: &Session, role: Role, sequence: u64) -> Greeting {
        self.keys
            .greeting(session, role, self.instance, sequence, &self.agent)
    }

    /// Whether one more dial to this target bothers nobody; if so, it is
    /// counted.
    pub(crate) fn may_dial(&self, target: SocketAddr) -> bool {
        if self.policy.exempts(target.ip()) {
            return true;
        }
        let now = self.started.elapsed();
        let mut dials = lock(&self.dials);
        dials.by_target.allow(now, target, WhenFull::Deny)
            && dials.by_address.allow(now, target.ip(), WhenFull::Deny)
    }

    fn up(&self, peer: PeerId) -> Option<Arc<Established>> {
        self.table().up(peer).cloned()
    }

    /// Whether this very connection to the peer is the one that counts.
    pub(crate) fn is_up(&self, peer: PeerId, id: u64) -> bool {
        self.up(peer)
            .is_some_and(|established| established.id == id)
    }

    /// Turns true when everything is to end.
    pub(crate) fn closing(&self) -> watch::Receiver<bool> {
        self.closing.subscribe()
    }

    async fn open(&self, established: &Established) -> Result<(PipeWriter, PipeReader), OpenError> {
        let opened = timeout(
            self.limits.request_timeout,
            open_stream(&established.connection),
        )
        .await
        .map_err(|_| OpenError::TimedOut)?;
        let (send, recv) = opened.ok_or(OpenError::Lost)?;
        Ok((PipeWriter::new(send), PipeReader::new(recv)))
    }
}

async fn open_stream(connection: &Connection) -> Option<(SendStream, RecvStream)> {
    connection.open_bi().await.ok()
}

/// A place in the census, given back when dropped.
#[derive(Debug)]
pub(crate) struct Ticket {
    shared: std::sync::Weak<Shared>,
    origin: Origin,
    pending: bool,
}

impl Ticket {
    /// A place for a connection from there, if there is one.
    pub(crate) fn admit(shared: &Arc<Shared>, origin: Origin) -> Result<Self, Refusal> {
        lock(&shared.census).admit(shared.started.elapsed(), origin)?;
        Ok(Self {
            shared: Arc::downgrade(shared),
            origin,
            pending: origin != Origin::Dialed,
        })
    }

    /// The handshake is done.
    pub(crate) fn settle(&mut self) {
        if std::mem::take(&mut self.pending)
            && let Some(shared) = self.shared.upgrade()
        {
            lock(&shared.census).settle();
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        if let Some(shared) = self.shared.upgrade() {
            lock(&shared.census).release(self.origin, self.pending);
        }
    }
}

/// Lets arrivals in until the endpoint closes.
async fn listen(shared: Arc<Shared>) {
    while let Some(incoming) = shared.endpoint.accept().await {
        let origin = match incoming.remote_addr() {
            IncomingAddr::Ip(address) => Origin::Address(address.ip()),
            _ => Origin::Relayed,
        };
        // In a rush, whoever forges addresses shall not take the places.
        if !incoming.remote_addr_validated() && lock(&shared.census).is_busy() {
            // An error says that the address is validated after all.
            let _ = incoming.retry();
            continue;
        }
        match Ticket::admit(&shared, origin) {
            Ok(ticket) => {
                tokio::spawn(connect::accept(shared.clone(), incoming, ticket));
            }
            Err(refusal) => {
                debug!(?origin, ?refusal, "turned an arrival away");
                count(&shared.tally.arrivals_refused);
                incoming.refuse();
            }
        }
    }
}

/// A random name for this life of the process.
fn new_instance() -> Instance {
    // A fresh key is the randomness at hand.
    let fresh = SecretKey::generate().to_bytes();
    let mut instance = Instance::default();
    let length = instance.len();
    instance.copy_from_slice(&fresh[..length]);
    instance
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .expect("nothing panics while it holds one of these locks")
}
