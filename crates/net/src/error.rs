//! What can go wrong, one enum per operation, in plain words.

use std::net::SocketAddr;

/// Why networking could not start.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program, or another peer on this machine, has the port. Choose
    /// another, or port 0 for any free one.
    #[error("{address} is in use by another program: choose another port, or 0 for any")]
    AddressInUse {
        /// The address to listen on.
        address: SocketAddr,
    },
    /// No interface of this machine has the address.
    #[error("{address} is not an address of this machine")]
    AddressUnavailable {
        /// The address to listen on.
        address: SocketAddr,
    },
    /// The system does not let this user listen there, as with ports below
    /// 1024.
    #[error("no permission to listen on {address}: choose a port above 1023")]
    Forbidden {
        /// The address to listen on.
        address: SocketAddr,
    },
    /// Two wildcard addresses of one family, or more addresses than
    /// [`BindError::LISTEN_MAX`].
    #[error("{address} cannot be added to the addresses before it in the list")]
    Conflict {
        /// The address that does not fit the earlier ones.
        address: SocketAddr,
    },
    /// The text is not the URL of a relay.
    #[error("`{url}` is not the URL of a relay: it looks like `https://relay.example`")]
    Relay {
        /// The text.
        url: String,
    },
    /// The system refused a socket for another reason.
    #[error("the system gave no socket: {cause}")]
    Socket {
        /// What it said.
        cause: String,
    },
}

impl BindError {
    /// Most addresses to listen on.
    // Guess: more than any machine has families and networks.
    pub const LISTEN_MAX: usize = 8;
}

/// Why a peer that was to be connected to is not.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DialError {
    /// Nobody told an address, and there is no discovery that might find one.
    #[error("no address of this peer is known")]
    NoAddress,
    /// Nothing came back in time: the peer is off, or a firewall is between.
    #[error("no answer")]
    TimedOut,
    /// The peer belongs to a network of another name.
    #[error("the peer belongs to another network: compare the network names")]
    WrongNetwork,
    /// The network has the same name, but the secrets differ, or only one side
    /// has one.
    #[error("the network secret is not the same on both sides")]
    WrongSecret,
    /// The peer speaks another version of the protocol, or something else.
    #[error("the peer does not speak this version of the protocol")]
    Version,
    /// The peer is full, or had too many arrivals from here. Try later.
    #[error("the peer takes no more connections at the moment")]
    Refused,
    /// Somebody else is at the address: the peer's key did not match.
    #[error("somebody else answers at the address of this peer")]
    WrongPeer,
    /// Tried so often lately that another try could annoy a stranger.
    #[error("tried too often lately: wait a little")]
    TooOften,
    /// This peer has [`Limits::connections_max`](crate::Limits::connections_max)
    /// connections.
    #[error("this peer has as many connections as it may")]
    NoRoom,
    /// The peer is this peer.
    #[error("this is the peer itself")]
    Itself,
    /// The id is not a point on the curve: nobody can have it.
    #[error("no peer can have this id")]
    InvalidId,
    /// The connection broke before the handshake was done.
    #[error("the connection broke while it was being made")]
    Broken,
    /// Given up on request: [`Net::disconnect`](crate::Net::disconnect) or
    /// [`Net::close`](crate::Net::close).
    #[error("given up on request")]
    Cancelled,
}

/// Why a connection is no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DownReason {
    /// The peer ended it in good order.
    #[error("the peer left")]
    Left,
    /// Nothing was heard for [`Limits::idle_timeout`](crate::Limits::idle_timeout).
    #[error("the peer fell silent")]
    Silent,
    /// The peer came back, restarted or from another address, on a newer
    /// connection, which is reported up next.
    #[error("the peer came back on a new connection")]
    Replaced,
    /// This side ended it.
    #[error("ended on request")]
    Requested,
    /// The peer broke the protocol and was cut off.
    #[error("the peer broke the protocol")]
    Misbehaved,
    /// The peer cut this side off for breaking the protocol.
    #[error("the peer refused what it was sent")]
    Refused,
    /// The connection broke otherwise.
    #[error("the connection broke")]
    Broken,
}

/// Why a message was not queued.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SendError {
    /// There is no connection to the peer.
    #[error("not connected to this peer")]
    NotConnected,
    /// The peer takes messages more slowly than they come: the message is
    /// dropped and counted.
    #[error("too much is waiting for this peer already")]
    Full,
    /// The body is longer than a frame may be
    /// ([`FRAME_BYTES_MAX`](gannet_base::wire::FRAME_BYTES_MAX)).
    #[error("a message of {bytes} bytes is too long")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
}

/// Why a stream was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// There is no connection to the peer.
    #[error("not connected to this peer")]
    NotConnected,
    /// The peer permits no more streams, and none ended in time.
    #[error("the peer takes no more streams at the moment")]
    TimedOut,
    /// The connection broke meanwhile.
    #[error("the connection broke")]
    Lost,
}

/// Why a stream could not be read or written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum StreamError {
    /// The stream ended before what was expected of it.
    #[error("the stream ended too early")]
    Truncated,
    /// A frame is longer than the reader allows.
    #[error("a frame of {bytes} bytes is longer than {bytes_max}")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The longest that was allowed.
        bytes_max: usize,
    },
    /// The other side gave the stream up.
    #[error("the peer gave up the stream")]
    Stopped,
    /// The connection broke.
    #[error("the connection broke")]
    Lost,
    /// The peer read nothing for too long.
    #[error("the peer does not read")]
    TimedOut,
    /// This side has finished or given up the stream before.
    #[error("the stream is finished")]
    Finished,
}

/// Why a request has no answer, or none any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// There is no connection to the peer.
    #[error("not connected to this peer")]
    NotConnected,
    /// The body is longer than a frame may be.
    #[error("a request of {bytes} bytes is too long")]
    TooLong {
        /// Its length.
        bytes: usize,
    },
    /// The peer does not answer this kind of request, or not to this peer.
    #[error("the peer does not answer this")]
    Refused,
    /// Nothing came for [`Limits::request_timeout`](crate::Limits::request_timeout).
    #[error("no answer in time")]
    TimedOut,
    /// The answer has more frames, or a longer one, than is allowed.
    #[error("the answer is too long")]
    Excess,
    /// The connection broke, or the answer ended inside a frame.
    #[error("the connection broke")]
    Lost,
}
