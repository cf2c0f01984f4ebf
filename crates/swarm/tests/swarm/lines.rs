//! Lines between peers: each peer has an uplink of some rate that its streams
//! share in turn, and a latency. What is sent on a stream arrives in order.

use std::collections::{BTreeMap, VecDeque};

use gannet_base::{ContentId, GroupRange, PeerId};
use gannet_swarm::TransferMessage;

/// Bytes that an uplink sends at a time.
pub(crate) const CHUNK: u64 = 32 * 1024;

/// A transfer stream: who serves, who fetches, what, and which of several in
/// turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct StreamId {
    pub(crate) server: PeerId,
    pub(crate) fetcher: PeerId,
    pub(crate) content: ContentId,
    pub(crate) number: u64,
}

/// Something on its way from server to fetcher.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Item {
    Message(TransferMessage),
    Slice {
        slice: GroupRange,
        bytes: u64,
        /// Encoded bytes yet to be sent.
        rest: u64,
        good: bool,
    },
    Close,
}

/// What a server puts on the line next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sent {
    Message(TransferMessage),
    Chunk {
        slice: GroupRange,
        bytes: u64,
        total: u64,
        first: bool,
        last: bool,
        good: bool,
    },
    Close,
}

/// A peer's uplink.
#[derive(Debug, Default)]
pub(crate) struct Uplink {
    queues: BTreeMap<StreamId, VecDeque<Item>>,
    last: Option<StreamId>,
    pub(crate) sending: bool,
}

impl Uplink {
    pub(crate) fn push(&mut self, stream: StreamId, item: Item) {
        self.queues.entry(stream).or_default().push_back(item);
    }

    pub(crate) fn drop_stream(&mut self, stream: StreamId) {
        self.queues.remove(&stream);
    }

    pub(crate) fn clear(&mut self) {
        self.queues.clear();
    }

    /// The next thing to send, each stream in turn.
    pub(crate) fn pop(&mut self) -> Option<(StreamId, Sent)> {
        self.queues.retain(|_, queue| !queue.is_empty());
        let after = self.queues.keys().find(|id| Some(**id) > self.last);
        let id = *after.or_else(|| self.queues.keys().next())?;
        self.last = Some(id);
        let queue = self.queues.get_mut(&id)?;
        let sent = match queue.front_mut()? {
            Item::Message(message) => Sent::Message(message.clone()),
            Item::Close => Sent::Close,
            Item::Slice {
                slice,
                bytes,
                rest,
                good,
            } => {
                let chunk = (*rest).min(CHUNK);
                let first = rest == bytes;
                *rest -= chunk;
                Sent::Chunk {
                    slice: *slice,
                    bytes: chunk,
                    total: *bytes,
                    first,
                    last: *rest == 0,
                    good: *good,
                }
            }
        };
        if !matches!(sent, Sent::Chunk { last: false, .. }) {
            queue.pop_front();
        }
        Some((id, sent))
    }
}
