//! Connections: how peers reach each other and what goes between them.
//!
//! **Problem.** Protocols want to send a message to a peer and to be told
//! whether it is there. Networks give lossy paths, addresses that change, and
//! strangers who open a thousand connections and then say nothing.
//!
//! **Goals.** One authenticated, encrypted connection per pair of peers,
//! whoever dialled; messages, bulk streams and one-shot requests on it; every
//! queue, table and wait bounded by [`Limits`]; a private network is private.
//!
//! **Non-goals.** What the messages mean, whom to connect to, when to try
//! again: the cores decide, the node drives, this crate carries. No public
//! service is contacted unless [`NetConfig::relays`] names one.
//!
//! **Invariant.** [`Net::send`] and [`Net::dial`] never wait. For each peer,
//! [`NetEvent::Up`] and [`NetEvent::Down`] alternate, and everything else from
//! that peer comes between them.
//!
//! The journey of a connection: `endpoint` dials or accepts, `limits` admits,
//! `handshake` decides (same network? same secret?), `table` keeps one of two
//! simultaneous ones, `connection` runs it: `control` for messages, `transfer`
//! for bulk, `request` for one question and its answer. A large transfer moves
//! to TCP where that gets through: `fast` makes the lane, `junction` joins it.

mod bind;
mod book;
mod config;
mod congestion;
mod connect;
mod connection;
mod control;
mod counters;
mod discovery;
mod endpoint;
mod error;
mod event;
mod fast;
mod handshake;
mod junction;
mod limits;
mod pipe;
mod request;
mod source;
mod table;
mod transfer;
mod wire;

#[cfg(test)]
mod tests;

pub use config::{BulkRoad, Limits, NetConfig, Network, ParseBulkRoadError, TransportTuning};
pub use congestion::{Congestion, ParseCongestionError};
pub use counters::Counters;
pub use endpoint::{Dialed, Net};
pub use error::{
    BindError, DialError, DownReason, OpenError, RequestError, SendError, StreamError,
};
pub use event::{Channel, ConnectionInfo, NetEvent, RequestKind, Road};
pub use limits::AddressPolicy;
pub use request::{Answers, Reply};
pub use transfer::{TransferReceiver, TransferSender, TransferStream};

/// Bodies of the fuzz targets: each takes any bytes and must return.
#[doc(hidden)]
pub mod fuzz {
    pub use crate::fast::fuzz as road_offer;
    pub use crate::handshake::fuzz as handshake;
    pub use crate::wire::fuzz as stream_header;
}
