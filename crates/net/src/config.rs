//! What a peer's networking is told at the start.

use std::fmt;
use std::net::SocketAddr;
use std::num::NonZeroU16;
use std::str::FromStr;
use std::time::Duration;

use gannet_base::wire::FRAME_BYTES_MAX;
use serde::Deserialize;

use crate::congestion::Congestion;
use crate::limits::AddressPolicy;

/// Everything that [`Net::bind`](crate::Net::bind) needs.
#[derive(Clone)]
pub struct NetConfig {
    /// The Ed25519 secret key: who this peer is.
    pub secret_key: [u8; 32],
    /// Addresses to listen on; port 0 is any free port. Empty: any port on
    /// every IPv4 and, where there is IPv6, every IPv6 address. Naming only
    /// one family leaves the other unused.
    pub listen: Vec<SocketAddr>,
    /// Which network this peer belongs to.
    pub network: Network,
    /// Whether to announce this peer on the local network and to look for
    /// others there (multicast DNS). Starting without it is never an error.
    pub local_discovery: bool,
    /// Relay servers, as URLs. Empty: none is used, and nobody outside the
    /// peers themselves is contacted.
    pub relays: Vec<String>,
    /// Bounds on what others may cost.
    pub limits: Limits,
    /// Which addresses are not limited per address.
    pub policy: AddressPolicy,
    /// What this program calls itself to other peers: at most 64 bytes, the
    /// rest is cut off.
    pub agent: String,
    /// By which road bulk bytes go.
    pub bulk_road: BulkRoad,
    /// The TCP port that others are told to dial, where a router passes another
    /// one on to this peer. `None`: those that are listened on.
    pub tcp_port: Option<NonZeroU16>,
    /// The congestion controller of both roads.
    pub congestion: Congestion,
    /// Settings of the transport.
    pub transport: TransportTuning,
}

/// By which road the bytes of transfers go. As text: `auto`, `quic` or `tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BulkRoad {
    /// They begin on the QUIC connection; large transfers move to TLS over TCP
    /// where that gets through, and back where it does not.
    #[default]
    Auto,
    /// All on the QUIC connection; no TCP port is opened.
    Quic,
    /// By TCP from the first byte, at the price of a slower beginning; where
    /// it does not get through, as `Auto`.
    Tcp,
}

/// A text that is no [`BulkRoad`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{0}\" is no road for bulk bytes: write auto, quic (never TCP) or tcp (at once)")]
pub struct ParseBulkRoadError(String);

impl FromStr for BulkRoad {
    type Err = ParseBulkRoadError;

    fn from_str(text: &str) -> Result<Self, ParseBulkRoadError> {
        match text {
            "auto" => Ok(Self::Auto),
            "quic" => Ok(Self::Quic),
            "tcp" => Ok(Self::Tcp),
            _ => Err(ParseBulkRoadError(text.to_owned())),
        }
    }
}

impl NetConfig {
    /// A peer with this key in the open network of that name, with defaults
    /// for everything else.
    pub fn new(secret_key: [u8; 32], network: impl Into<String>) -> Self {
        Self {
            secret_key,
            listen: Vec::new(),
            network: Network {
                name: network.into(),
                secret: None,
            },
            local_discovery: true,
            relays: Vec::new(),
            limits: Limits::default(),
            policy: AddressPolicy::default(),
            agent: format!("gannet/{}", env!("CARGO_PKG_VERSION")),
            bulk_road: BulkRoad::default(),
            tcp_port: None,
            congestion: Congestion::default(),
            transport: TransportTuning::default(),
        }
    }
}

/// Never shows the secret key.
impl fmt::Debug for NetConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NetConfig")
            .field("listen", &self.listen)
            .field("network", &self.network)
            .field("local_discovery", &self.local_discovery)
            .field("relays", &self.relays)
            .field("limits", &self.limits)
            .field("policy", &self.policy)
            .field("agent", &self.agent)
            .field("bulk_road", &self.bulk_road)
            .field("tcp_port", &self.tcp_port)
            .field("transport", &self.transport)
            .finish_non_exhaustive()
    }
}

/// A network: peers that differ in name or secret refuse each other.
#[derive(Clone, PartialEq, Eq)]
pub struct Network {
    /// Its name. Never sent: peers compare a keyed hash of it.
    pub name: String,
    /// What every member knows, if the network is private. Whoever gets a
    /// member to connect can try guesses at it offline, so it should be random
    /// and at least 16 bytes.
    pub secret: Option<Vec<u8>>,
}

/// Never shows the secret.
impl fmt::Debug for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Network")
            .field("name", &self.name)
            .field("secret", &self.secret.as_ref().map(|_| "…"))
            .finish()
    }
}

/// Bounds on what other peers may cost this one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections, both directions together. Too low: few neighbours, few
    /// sources; too high: about 100 KiB and a heartbeat every 5 s each.
    // Source: libtorrent's 200.
    pub connections_max: usize,
    /// Incoming connections that have not finished their handshake. Too low:
    /// a burst of arrivals is turned away; too high: each holds state for
    /// somebody unknown.
    // Source: go-libp2p's 64 incoming.
    pub pending_max: usize,
    /// Incoming connections from one IPv4 address, or one IPv6 /56. Too low:
    /// peers behind one router shut each other out; too high: one machine can
    /// take every place.
    // Source: between libtorrent's 1 and go-libp2p's 8.
    pub per_address_max: usize,
    /// Incoming connections from one IPv4 /24, or one IPv6 /48. Same trade.
    // Source: between go-libp2p's 8 per /56 and 64 per /48.
    pub per_subnet_max: usize,
    /// Incoming connections that come through relays: they show no address to
    /// count by.
    // Guess: a third of all.
    pub relayed_max: usize,
    /// New incoming connections from one address that are let in at once.
    // Source: half of go-libp2p's 16.
    pub arrivals_burst: u32,
    /// After the burst, one more arrival from the same address per this time.
    // Source: go-libp2p's 0.2 a second.
    pub arrival_interval: Duration,
    /// Dials to one target (address and port) that may start at once: keeps
    /// others from aiming this peer at a stranger.
    // Guess: a try, and two more for what packet loss does to the first.
    pub dials_burst: u32,
    /// After the burst, one more dial to the same target per this time.
    // Guess: a peer that is there answers the first three.
    pub dial_interval: Duration,
    /// How long a dial may take until the connection is encrypted. Too low:
    /// far peers behind busy routers are missed.
    // Source: between rust-libp2p's 5 s for QUIC and libtorrent's 15 s.
    pub dial_timeout: Duration,
    /// How long the handshake may take, both directions, once packets flow.
    // Source: libtorrent's 10 s.
    pub handshake_timeout: Duration,
    /// Silence after which a connection is given up. Heartbeats go every 5 s,
    /// so much less than 15 s also gives up peers that merely have nothing to
    /// say; too high: a dead peer is missed late.
    // Source: quinn's 30 s.
    pub idle_timeout: Duration,
    /// How long an answer to a request may be silent.
    // Source: libtorrent's 20 s.
    pub request_timeout: Duration,
    /// Most frames in the answer to one request.
    // Guess: 4,096 frames of 64 KiB are 256 MiB, a million entries.
    pub reply_frames_max: usize,
    /// Streams in both directions (transfers, requests) that a peer may have
    /// open to this one. Too low: requests wait for transfers; above 100: each
    /// connection pays for every permitted stream, used or not.
    // Measured: 10,000 permitted streams cost 713 KiB a connection, 100 cost 41.
    pub streams_max: u32,
    /// TCP connections for transfers (lanes), both directions together. Too low:
    /// transfers stay on the slower road; too high: about 300 KiB each.
    // Guess: eight downloads and eight uploads, each of two peers.
    pub lanes_max: usize,
    /// Lanes of one peer, both directions together. Too low: its further
    /// transfers stay on the slower road; too high: one peer takes many.
    // Guess: one transfer each way at full speed, and as many beside.
    pub lanes_per_peer_max: usize,
    /// TCP connections that have not said yet which lane they are. Too low:
    /// silent strangers keep lanes out; too high: a socket each.
    // Source: half of `pending_max`.
    pub lanes_pending_max: usize,
    /// How long a lane may take from the wish for it until it stands, and how
    /// long an offer of one holds. Too low: far peers are missed; too high:
    /// strangers hold sockets longer.
    // Guess: six round trips to the other side of the world, one packet lost.
    pub lane_timeout: Duration,
    /// Time without another try after a lane to a peer failed. Too low: a
    /// firewall costs a try each time; too high: a network that recovers is
    /// used late.
    // Guess: a long download tries a few times an hour.
    pub lane_retry: Duration,
    /// Messages waiting for one peer. Too low: bursts are dropped; too high: a
    /// stuck peer holds memory.
    // Guess: a burst of a directory answer.
    pub queue_messages_max: usize,
    /// Bytes waiting for one peer. Same trade.
    // Source: libtorrent's watermark of 500 KiB.
    pub queue_bytes_max: usize,
    /// Events waiting for the node; when full, reading from peers stops.
    // Guess: 256 messages of 64 KiB are 16 MiB.
    pub events_max: usize,
    /// Peers in the address book.
    // Source: a third of libtorrent's peer list.
    pub book_peers_max: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections_max: 200,
            pending_max: 64,
            per_address_max: 4,
            per_subnet_max: 16,
            relayed_max: 64,
            arrivals_burst: 8,
            arrival_interval: Duration::from_secs(5),
            dials_burst: 3,
            dial_interval: Duration::from_secs(10),
            dial_timeout: Duration::from_secs(10),
            handshake_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(20),
            reply_frames_max: 4_096,
            streams_max: 64,
            lanes_max: 32,
            lanes_per_peer_max: 4,
            lanes_pending_max: 32,
            lane_timeout: Duration::from_secs(4),
            lane_retry: Duration::from_secs(300),
            queue_messages_max: 256,
            queue_bytes_max: 512 * 1024,
            events_max: 256,
            book_peers_max: 1_000,
        }
    }
}

const _: () = assert!(
    FRAME_BYTES_MAX <= 512 * 1024,
    "the largest message must fit the default send queue"
);

/// Settings of QUIC. The defaults are for everybody; they are public for
/// measuring.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TransportTuning {
    /// Bytes a peer may send on one stream before they are read. Too low:
    /// throughput is this much per round trip; too high: memory, and more than
    /// the receiving socket holds while its reader is kept from the processor.
    /// What is lost then arrives again in pieces, and QUIC gives a connection up
    /// whose stream has too many gaps.
    // Measured: over loopback 1 MiB moved 1.2 times what 2 MiB did; with 4 MiB the
    // receiving socket dropped packets (RcvbufErrors) and the connection ended.
    // quinn's default is 1.25 MB.
    pub stream_window: u32,
    /// Bytes a peer may send on all streams together before they are read.
    // Guess: four busy streams; rust-libp2p's is 15 MB, quinn's unlimited.
    pub connection_window: u32,
    /// Bytes this peer keeps for one connection until they are acknowledged.
    // Guess: the same as a default peer accepts.
    pub send_window: u32,
    /// Largest UDP payload that path discovery tries. Too low: more packets
    /// than needed; too high: a few more probes are lost at the start. Values
    /// above 1,472 change nothing: no endpoint accepts more.
    // Source: Ethernet's 1,500 less the headers of IPv6 and UDP.
    pub mtu_max: u16,
}

impl Default for TransportTuning {
    fn default() -> Self {
        Self {
            stream_window: 1024 * 1024,
            connection_window: 8 * 1024 * 1024,
            send_window: 8 * 1024 * 1024,
            mtu_max: 1_452,
        }
    }
}
