//! One stream that serves one content to one peer: requests in; slices read and
//! proven off the network's threads, then out at the permitted rate.

use std::sync::Arc;
use std::time::Duration;

use gannet_base::wire::{self, Decoded};
use gannet_base::{ContentId, GroupRange, PeerId};
use gannet_net::{StreamError, TransferReceiver, TransferSender, TransferStream};
use gannet_store::{ContentReader, ReadError};
use gannet_swarm::{ServeFailure, TransferMessage};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::task::TaskTracker;

use crate::buffers::{Buffer, Buffers};
use crate::limiter::{Limiter, PIECE_BYTES};
use crate::report::{Report, ServeNews};

/// Jobs waiting for one stream: more than the core lets be outstanding.
const JOBS_MAX: usize = 256;
/// Slices read ahead of the one that is being sent.
const AHEAD_MAX: usize = 1;

/// How long a new stream may be silent.
// Source: libtorrent drops a connection without a handshake after 10 s.
const FIRST_WITHIN: Duration = Duration::from_secs(10);

/// What a serving stream needs.
#[derive(Clone)]
pub(crate) struct ServeContext {
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) buffers: Buffers,
    pub(crate) tasks: TaskTracker,
}

/// What the driver has a stream do, in order.
#[derive(Debug)]
pub(crate) enum Job {
    Message(TransferMessage),
    Slice(GroupRange, Arc<ContentReader>),
}

/// A stream as the driver holds it: dropping it ends the stream after what was
/// queued.
#[derive(Debug)]
pub(crate) struct ServeHandle {
    /// Told apart from an earlier stream of the same peer for the same content.
    pub(crate) stream: u64,
    jobs: mpsc::Sender<Job>,
}

impl ServeHandle {
    /// Queues a job; false if the stream is gone or hopelessly behind.
    #[must_use]
    pub(crate) fn send(&self, job: Job) -> bool {
        self.jobs.try_send(job).is_ok()
    }
}

/// What a new stream wants: its first message, and the way back to it.
#[derive(Debug)]
pub(crate) struct Arrival {
    pub(crate) content: ContentId,
    pub(crate) first: TransferMessage,
    pub(crate) handle: ServeHandle,
}

/// Waits for a new stream's first message, which names its content, then runs
/// it. `arrived` gets the handle; the messages after the first come as reports.
pub(crate) fn accept(
    context: ServeContext,
    peer: PeerId,
    number: u64,
    stream: TransferStream,
    arrived: mpsc::Sender<(PeerId, Arrival)>,
) {
    let tasks = context.tasks.clone();
    tasks.spawn(async move {
        let mut receiver = stream.receiver;
        let first = tokio::time::timeout(FIRST_WITHIN, next_message(&mut receiver)).await;
        let Ok(Some(first)) = first else { return };
        let content = first.content();
        let (jobs, queue) = mpsc::channel(JOBS_MAX);
        let handle = ServeHandle {
            stream: number,
            jobs,
        };
        if arrived
            .send((
                peer,
                Arrival {
                    content,
                    first,
                    handle,
                },
            ))
            .await
            .is_err()
        {
            return;
        }
        let serve = Serve {
            context,
            peer,
            content,
            stream: number,
        };
        let writer = serve.clone().start_writer(stream.sender, queue);
        while let Some(message) = next_message(&mut receiver).await {
            if message.content() != content {
                break;
            }
            serve.report(ServeNews::Message(message)).await;
        }
        // The fetcher is gone, or has said its last word: nothing is worth
        // sending any more.
        writer.abort();
        serve.report(ServeNews::Closed).await;
    });
}

async fn next_message(receiver: &mut TransferReceiver) -> Option<TransferMessage> {
    loop {
        let frame = receiver.frame(wire::FRAME_BYTES_MAX).await.ok()??;
        match wire::decode(&frame).ok()? {
            Decoded::Message(message) => return Some(message),
            Decoded::Unknown { .. } => {}
        }
    }
}

#[derive(Clone)]
struct Serve {
    context: ServeContext,
    peer: PeerId,
    content: ContentId,
    stream: u64,
}

/// A job whose bytes are there.
enum Prepared {
    Message(TransferMessage),
    Slice(GroupRange, Buffer),
}

impl Serve {
    async fn report(&self, news: ServeNews) {
        let (content, peer, stream) = (self.content, self.peer, self.stream);
        let report = Report::Serve {
            content,
            peer,
            stream,
            news,
        };
        // The driver is gone only when everything is.
        let _ = self.context.reports.send(report).await;
    }

    /// Reading and sending overlap: while one slice is on its way, the next is
    /// read. Aborting the returned task stops both.
    fn start_writer(
        self,
        sender: TransferSender,
        mut queue: mpsc::Receiver<Job>,
    ) -> JoinHandle<()> {
        let tasks = self.context.tasks.clone();
        tasks.spawn(async move {
            let (ready, prepared) = mpsc::channel(AHEAD_MAX);
            let sending = self.clone().send_all(sender, prepared);
            let reading = async {
                while let Some(job) = queue.recv().await {
                    let Some(job) = self.prepare(job).await else {
                        continue;
                    };
                    if ready.send(job).await.is_err() {
                        return;
                    }
                }
                drop(ready);
            };
            tokio::join!(sending, reading);
        })
    }

    async fn prepare(&self, job: Job) -> Option<Prepared> {
        let (slice, reader) = match job {
            Job::Message(message) => return Some(Prepared::Message(message)),
            Job::Slice(slice, reader) => (slice, reader),
        };
        let mut buffer = self.context.buffers.take();
        let read = self.context.tasks.spawn_blocking(move || {
            let result = reader.read_slice(slice, buffer.bytes_mut());
            result.map(|()| buffer)
        });
        let failure = match read.await {
            Ok(Ok(buffer)) => return Some(Prepared::Slice(slice, buffer)),
            Ok(Err(ReadError::Changed { .. } | ReadError::NotShared { .. })) => {
                ServeFailure::Changed
            }
            Ok(Err(ReadError::NotYet { .. } | ReadError::OutOfRange { .. })) => {
                ServeFailure::NotThere
            }
            Ok(Err(ReadError::Io { .. } | ReadError::Catalogue(_))) | Err(_) => {
                ServeFailure::Unreadable
            }
        };
        self.report(ServeNews::Failed { slice, failure }).await;
        None
    }

    async fn send_all(self, mut sender: TransferSender, mut prepared: mpsc::Receiver<Prepared>) {
        while let Some(job) = prepared.recv().await {
            let sent = match job {
                Prepared::Message(message) => sender.send_frame(&wire::encode(&message)).await,
                Prepared::Slice(slice, buffer) => self.send_slice(&mut sender, slice, buffer).await,
            };
            if sent.is_err() {
                return;
            }
        }
        sender.finish();
    }

    async fn send_slice(
        &self,
        sender: &mut TransferSender,
        slice: GroupRange,
        buffer: Buffer,
    ) -> Result<(), StreamError> {
        let mut bytes = buffer.into_bytes();
        let total = bytes.len() as u64;
        let count = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let header = TransferMessage::Slice {
            content: self.content,
            slice,
            bytes: count,
        };
        let result = async {
            let header = wire::encode(&header);
            if !self.context.limiter.is_limited() {
                return sender.send_frame_and_bytes(&header, bytes).await;
            }
            sender.send_frame(&header).await?;
            while !bytes.is_empty() {
                let piece = bytes.split_to(bytes.len().min(PIECE_BYTES));
                self.context.limiter.pass(piece.len()).await;
                sender.send_bytes(piece).await?;
            }
            Ok(())
        }
        .await;
        let news = match result {
            Ok(()) => ServeNews::Served {
                slice,
                bytes: total,
            },
            Err(_) => ServeNews::Failed {
                slice,
                failure: ServeFailure::Stream,
            },
        };
        self.report(news).await;
        result
    }
}
