//! What networking tells the node.

use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use gannet_base::{PeerAddress, PeerId};

use crate::{DialError, DownReason, Reply, TransferStream};

/// News from the network. For each peer `Up` and `Down` alternate, `Up` first;
/// messages, transfers and requests of a peer come only between them.
#[derive(Debug)]
pub enum NetEvent {
    /// A peer is connected: dialled or arrived.
    Up {
        /// Who.
        peer: PeerId,
        /// Where packets from it were seen to come from; empty if only through
        /// relays.
        remote: Vec<SocketAddr>,
        /// What its program calls itself: one line, at most 64 bytes, free of
        /// control characters.
        agent: String,
    },
    /// A peer is connected no more. Also comes after
    /// [`Net::disconnect`](crate::Net::disconnect).
    Down {
        /// Who.
        peer: PeerId,
        /// Why.
        reason: DownReason,
    },
    /// A dial failed.
    Unreachable {
        /// Whom.
        peer: PeerId,
        /// Why.
        reason: DialError,
    },
    /// A control message.
    Message {
        /// From whom.
        peer: PeerId,
        /// For which protocol.
        channel: Channel,
        /// The message, at most
        /// [`FRAME_BYTES_MAX`](gannet_base::wire::FRAME_BYTES_MAX) bytes.
        body: Bytes,
    },
    /// The peer opened a transfer stream.
    Transfer {
        /// From whom.
        peer: PeerId,
        /// The stream.
        stream: TransferStream,
    },
    /// The peer asks one question.
    Request {
        /// From whom.
        peer: PeerId,
        /// What kind; any number, also ones nobody knows: refuse those.
        kind: RequestKind,
        /// The question, at most
        /// [`FRAME_BYTES_MAX`](gannet_base::wire::FRAME_BYTES_MAX) bytes.
        body: Bytes,
        /// Where the answer goes. Dropping it refuses.
        reply: Reply,
    },
    /// Local discovery saw a peer, new or with new addresses, which are in the
    /// address book already.
    Found(PeerAddress),
}

/// Which protocol a control message belongs to. The number is on the wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Channel {
    /// The directory server.
    Hub = 1,
    /// Flooded queries.
    Flood = 2,
    /// Elected directories.
    Supernode = 3,
    /// The distributed hash table.
    Dht = 4,
}

impl Channel {
    /// Every channel, in order of number.
    pub const ALL: [Self; 4] = [Self::Hub, Self::Flood, Self::Supernode, Self::Dht];

    /// The channel's number on the wire.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The channel with this number, if there is one.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|channel| channel.number() == number)
    }

    /// Position in [`Channel::ALL`].
    pub(crate) const fn index(self) -> usize {
        self as usize - 1
    }
}

/// What kind of one-shot request it is; the node gives the numbers a meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestKind(pub u8);

impl RequestKind {
    /// List the peer's shared files.
    pub const BROWSE: Self = Self(1);
}

/// How packets travel to a peer at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Road {
    /// From machine to machine.
    Direct,
    /// Through a relay.
    Relayed,
}

/// A connection, for display.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnectionInfo {
    /// To whom.
    pub peer: PeerId,
    /// What its program calls itself.
    pub agent: String,
    /// Where packets come from at the moment; none through a relay.
    pub remote: Option<SocketAddr>,
    /// How packets travel.
    pub road: Road,
    /// Whether this side dialled.
    pub dialed: bool,
    /// Round trip time; zero until measured.
    pub rtt: Duration,
    /// Bytes sent by QUIC, packet headers and repetitions included.
    pub sent_bytes: u64,
    /// Bytes received by QUIC, the same way.
    pub received_bytes: u64,
    /// Bytes sent by TCP lanes, beside.
    pub lane_sent_bytes: u64,
    /// Bytes received by TCP lanes, beside.
    pub lane_received_bytes: u64,
    /// How long it has been up.
    pub connected_for: Duration,
    /// Bytes of messages waiting to be sent.
    pub queued_bytes: usize,
}
