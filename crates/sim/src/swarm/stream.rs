//! A transfer stream from the source's end: messages and slices, in order.

use std::collections::VecDeque;

use gannet_base::{GroupRange, groups_in};
use gannet_swarm::TransferMessage;

/// Largest packet: streams of one peer take turns by packets.
// Guess: what a sender writes before others have their turn; small against any
// slice that matters, large enough to be quick.
const PACKET_BYTES: u32 = 16 * 1024;

/// What a stream carries next.
#[derive(Debug)]
pub(super) enum Job {
    Message(TransferMessage),
    Slice(GroupRange),
}

/// What is in a packet.
#[derive(Debug)]
pub(super) enum Cargo {
    Message(TransferMessage),
    /// A part of a slice; `total` is the length behind the header.
    Part {
        slice: GroupRange,
        first: bool,
        last: bool,
        total: u32,
    },
    /// The source has closed the stream.
    End,
}

/// Bytes on their way.
#[derive(Debug)]
pub(super) struct Packet {
    pub(super) from: u32,
    pub(super) to: u32,
    pub(super) stream: u64,
    pub(super) bytes: u32,
    pub(super) cargo: Cargo,
}

/// The sending end of a stream.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) to: u32,
    jobs: VecDeque<Job>,
    /// The slice being sent: its length, and what is left of it.
    sending: Option<(GroupRange, u32, u32)>,
    /// Sent and not received.
    pub(super) on_the_way: u64,
    /// Nothing more is queued; ends when empty.
    pub(super) closing: bool,
    /// Stands in line for the uplink.
    pub(super) in_line: bool,
}

impl Stream {
    pub(super) fn new(to: u32) -> Self {
        Self {
            to,
            jobs: VecDeque::new(),
            sending: None,
            on_the_way: 0,
            closing: false,
            in_line: false,
        }
    }

    pub(super) fn push(&mut self, job: Job) {
        self.jobs.push_back(job);
    }

    pub(super) fn has_more(&self) -> bool {
        self.closing || self.sending.is_some() || !self.jobs.is_empty()
    }

    /// The next packet's cargo and size. `None` if there is nothing to send.
    pub(super) fn next(&mut self, size: u64) -> Option<(Cargo, u32)> {
        if self.sending.is_none() {
            match self.jobs.pop_front() {
                Some(Job::Message(message)) => {
                    let bytes = message_bytes(&message);
                    return Some((Cargo::Message(message), bytes));
                }
                Some(Job::Slice(slice)) => {
                    let total = encoded_bytes(slice, size);
                    self.sending = Some((slice, total, total));
                }
                None if self.closing => return Some((Cargo::End, 1)),
                None => return None,
            }
        }
        let (slice, total, left) = self.sending.take()?;
        let bytes = left.min(PACKET_BYTES);
        let last = bytes == left;
        if !last {
            self.sending = Some((slice, total, left - bytes));
        }
        let first = left == total;
        let cargo = Cargo::Part {
            slice,
            first,
            last,
            total,
        };
        Some((cargo, bytes))
    }
}

/// A message's frame.
pub(super) fn message_bytes(message: &TransferMessage) -> u32 {
    let bytes = gannet_base::wire::encode(message).len();
    u32::try_from(bytes).unwrap_or(u32::MAX)
}

/// Bytes of a slice with its proof: the hashes above its groups up to the root.
pub(super) fn encoded_bytes(slice: GroupRange, size: u64) -> u32 {
    let data = slice.bytes(size);
    let height = u64::from(u64::BITS - groups_in(size).saturating_sub(1).leading_zeros());
    let inside = u64::from(slice.len().max(1).ilog2());
    let parents = slice.len() - 1 + height.saturating_sub(inside);
    let bytes = data.end - data.start + 64 * parents;
    u32::try_from(bytes).unwrap_or(u32::MAX)
}
