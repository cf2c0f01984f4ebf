//! Messages on their way out: a bounded queue per peer, and the task that
//! writes everything that has queued up in one go.

use std::collections::VecDeque;
use std::sync::Mutex;

use bytes::{BufMut, Bytes, BytesMut};
use gannet_base::wire::{FRAME_BYTES_MAX, FRAME_HEADER_BYTES};
use iroh::endpoint::Connection;
use tokio::sync::Notify;

use crate::counters::{Tally, add};
use crate::pipe::PipeWriter;
use crate::wire::StreamHeader;
use crate::{Channel, Limits, SendError, StreamError};

/// Most bytes written at once.
// Guess: a few frames; small enough to keep one peer's memory near its queue.
const BATCH_BYTES_MAX: usize = 2 * FRAME_BYTES_MAX;

/// Messages before bulk: they are few, and somebody waits for them.
const PRIORITY: i32 = 1;

/// What waits to be written to one peer.
#[derive(Debug)]
pub(crate) struct SendQueue {
    messages_max: usize,
    bytes_max: usize,
    waiting: Mutex<Waiting>,
    wake: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    messages: VecDeque<(Channel, Bytes)>,
    /// Bytes in `messages`, and in the batch that is being written.
    bytes: usize,
}

/// Messages of one channel, framed.
#[derive(Debug, PartialEq, Eq)]
struct Batch {
    channel: Channel,
    messages: usize,
    /// Bytes of bodies.
    bytes: usize,
    framed: Bytes,
}

impl SendQueue {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            messages_max: limits.queue_messages_max,
            bytes_max: limits.queue_bytes_max,
            waiting: Mutex::default(),
            wake: Notify::new(),
        }
    }

    /// Queues a message, or says that there is no room.
    pub(crate) fn push(&self, channel: Channel, body: Bytes) -> Result<(), SendError> {
        if body.len() > FRAME_BYTES_MAX {
            return Err(SendError::TooLong { bytes: body.len() });
        }
        let mut waiting = self.lock();
        if waiting.messages.len() >= self.messages_max
            || waiting.bytes + body.len() > self.bytes_max
        {
            return Err(SendError::Full);
        }
        waiting.bytes += body.len();
        waiting.messages.push_back((channel, body));
        drop(waiting);
        self.wake.notify_one();
        Ok(())
    }

    /// Bytes of messages that are not written yet.
    pub(crate) fn bytes(&self) -> usize {
        self.lock().bytes
    }

    /// The oldest messages that go to one channel, together.
    async fn batch(&self) -> Batch {
        loop {
            if let Some(batch) = self.take_batch() {
                return batch;
            }
            self.wake.notified().await;
        }
    }

    fn take_batch(&self) -> Option<Batch> {
        let mut waiting = self.lock();
        let channel = waiting.messages.front()?.0;
        let (mut messages, mut bytes, mut framed_bytes) = (0, 0, 0);
        for (next, body) in &waiting.messages {
            let framed = framed_bytes + FRAME_HEADER_BYTES + body.len();
            if *next != channel || (messages > 0 && framed > BATCH_BYTES_MAX) {
                break;
            }
            messages += 1;
            bytes += body.len();
            framed_bytes = framed;
        }
        // Exactly: the connection keeps it until the peer has acknowledged it.
        let mut framed = BytesMut::with_capacity(framed_bytes);
        for (_, body) in waiting.messages.drain(..messages) {
            let length = u32::try_from(body.len()).expect("checked when it was queued");
            framed.put_u32_le(length);
            framed.extend_from_slice(&body);
        }
        Some(Batch {
            channel,
            messages,
            bytes,
            framed: framed.freeze(),
        })
    }

    fn written(&self, batch_bytes: usize) {
        self.lock().bytes -= batch_bytes;
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting
            .lock()
            .expect("nothing panics while it holds the lock")
    }
}

/// A channel's stream to the peer.
#[derive(Debug, Default)]
enum Outlet {
    #[default]
    Unopened,
    Open(PipeWriter),
    /// The peer does not take this channel.
    Declined,
}

/// Writes what is queued until the connection ends.
pub(crate) async fn write_messages(connection: &Connection, queue: &SendQueue, tally: &Tally) {
    let mut outlets: [Outlet; Channel::ALL.len()] = Default::default();
    loop {
        let batch = queue.batch().await;
        let outlet = &mut outlets[batch.channel.index()];
        let bytes = batch.bytes;
        let messages = batch.messages;
        match write_batch(connection, outlet, batch).await {
            Ok(()) => {
                add(&tally.messages_sent, messages);
                add(&tally.message_bytes_sent, bytes);
            }
            Err(StreamError::Lost) => return,
            Err(_) => {
                *outlet = Outlet::Declined;
                add(&tally.messages_dropped, messages);
            }
        }
        queue.written(bytes);
    }
}

async fn write_batch(
    connection: &Connection,
    outlet: &mut Outlet,
    batch: Batch,
) -> Result<(), StreamError> {
    if matches!(outlet, Outlet::Unopened) {
        let send = connection.open_uni().await.map_err(|_| StreamError::Lost)?;
        // An error says that the stream is over; writing will say so too.
        let _ = send.set_priority(PRIORITY);
        let mut writer = PipeWriter::new(send);
        let header = StreamHeader::Control(batch.channel).encode();
        writer.bytes(Bytes::from(header)).await?;
        *outlet = Outlet::Open(writer);
    }
    match outlet {
        Outlet::Open(writer) => writer.bytes(batch.framed).await,
        Outlet::Unopened | Outlet::Declined => Err(StreamError::Stopped),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn queue(messages_max: usize, bytes_max: usize) -> SendQueue {
        SendQueue::new(&Limits {
            queue_messages_max: messages_max,
            queue_bytes_max: bytes_max,
            ..Limits::default()
        })
    }

    #[test]
    fn a_full_queue_says_so_and_has_room_again_once_written() {
        let queue = queue(2, 10);
        let push = |body: &'static [u8]| queue.push(Channel::Hub, Bytes::from_static(body));
        assert_eq!(push(b"12345678"), Ok(()));
        assert_eq!(push(b"123"), Err(SendError::Full), "too many bytes");
        assert_eq!(push(b"1"), Ok(()));
        assert_eq!(push(b"1"), Err(SendError::Full), "too many messages");
        let batch = queue.take_batch().unwrap();
        assert_eq!((batch.messages, batch.bytes), (2, 9));
        assert_eq!(push(b"12"), Err(SendError::Full), "still being written");
        queue.written(batch.bytes);
        assert_eq!(push(b"12"), Ok(()));
        assert_eq!(queue.bytes(), 2);
        let long = Bytes::from(vec![0; FRAME_BYTES_MAX + 1]);
        let bytes = long.len();
        assert_eq!(
            queue.push(Channel::Hub, long),
            Err(SendError::TooLong { bytes })
        );
    }

    #[test]
    fn batches_keep_order_and_stay_small() {
        let queue = queue(100, 1 << 20);
        for (channel, bytes) in [
            (Channel::Hub, 3),
            (Channel::Hub, 0),
            (Channel::Dht, 1),
            (Channel::Hub, 65_000),
            (Channel::Hub, 65_000),
            (Channel::Hub, 65_000),
        ] {
            queue.push(channel, Bytes::from(vec![7; bytes])).unwrap();
        }
        let taken: Vec<_> = std::iter::from_fn(|| queue.take_batch())
            .map(|batch| (batch.channel, batch.messages, batch.framed.len()))
            .collect();
        assert_eq!(
            taken,
            [
                (Channel::Hub, 2, 3 + 8),
                (Channel::Dht, 1, 1 + 4),
                (Channel::Hub, 2, 130_008),
                (Channel::Hub, 1, 65_004),
            ]
        );
    }
}
