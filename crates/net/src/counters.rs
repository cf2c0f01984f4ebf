//! Totals since the start, for status pages and metrics.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// Totals since the start.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
        }

        /// The same, being counted.
        #[derive(Debug, Default)]
        pub(crate) struct Tally {
            $(pub(crate) $name: AtomicU64,)*
        }

        impl Tally {
            pub(crate) fn read(&self) -> Counters {
                Counters {
                    $($name: self.$name.load(Ordering::Relaxed),)*
                }
            }
        }
    };
}

counters! {
    /// Control messages put on the wire.
    messages_sent,
    /// Bytes of control messages put on the wire, without frame headers.
    message_bytes_sent,
    /// Control messages received.
    messages_received,
    /// Bytes of control messages received.
    message_bytes_received,
    /// Messages dropped because too much was waiting for the peer.
    messages_dropped,
    /// Connections cut off because the peer broke the protocol.
    malformed,
    /// Streams of a kind or channel that this version does not know, passed
    /// over.
    streams_unknown,
    /// Dials begun.
    dials,
    /// Dials that failed.
    dials_failed,
    /// Incoming connections turned away before any handshake: too many, or too
    /// many from one place.
    arrivals_refused,
    /// Incoming connections that failed the handshake: another network, wrong
    /// secret, nonsense, or silence.
    handshakes_failed,
    /// Connections replaced by a newer one of the same peer.
    replaced,
    /// Transfer streams opened, both directions.
    transfers,
    /// Requests received.
    requests,
    /// Lanes of the fast road made, both directions.
    lanes,
    /// Lanes that could not be made from here, or broke under a transfer.
    lanes_failed,
    /// TCP connections turned away: unexpected, silent, or of somebody else.
    lanes_refused,
    /// Bytes of transfers sent by lanes, segment headers included.
    lane_bytes_sent,
    /// Bytes of transfers received by lanes.
    lane_bytes_received,
}

pub(crate) fn count(counter: &AtomicU64) {
    add(counter, 1);
}

pub(crate) fn add(counter: &AtomicU64, n: usize) {
    counter.fetch_add(u64::try_from(n).unwrap_or(u64::MAX), Ordering::Relaxed);
}
