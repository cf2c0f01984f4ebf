//! One stream that fetches one content from one peer: requests out; slices in,
//! verified and written off the network's threads.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use gannet_base::wire::{self, Decoded};
use gannet_base::{ContentId, GroupRange, PeerId};
use gannet_net::{Net, TransferReceiver, TransferSender};
use gannet_store::{Download, WriteError};
use gannet_swarm::{TransferMessage, slice_bytes_max};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::Instant;
use tokio_util::task::TaskTracker;

use crate::buffers::{Buffer, Buffers};
use crate::limiter::{Limiter, PIECE_BYTES};
use crate::report::{FetchNews, Report, Whose};

/// Messages waiting for the stream; the core asks for far fewer slices than
/// this at a time.
pub(crate) const OUTBOX_MAX: usize = 256;
/// Slices of one stream being verified at once. More would take memory, not
/// time: the machine's cores are shared by all streams.
const VERIFYING_MAX: usize = 3;
/// How often arriving bytes are reported: the core wants it every 250 ms.
const RECEIVED_EVERY: Duration = Duration::from_millis(150);

/// What a fetching stream needs.
#[derive(Clone)]
pub(crate) struct FetchContext {
    pub(crate) net: Net,
    pub(crate) reports: mpsc::Sender<Report>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) buffers: Buffers,
    pub(crate) tasks: TaskTracker,
}

/// A stream as the driver holds it: dropping it ends the stream after what was
/// queued.
#[derive(Debug)]
pub(crate) struct FetchHandle {
    /// Told apart from an earlier stream to the same peer for the same content.
    pub(crate) stream: u64,
    outbox: mpsc::Sender<TransferMessage>,
}

impl FetchHandle {
    /// Opens a stream in the background. Its reports carry `stream`.
    pub(crate) fn open(
        context: FetchContext,
        peer: PeerId,
        (whose, download): (Whose, Download),
        stream: u64,
    ) -> Self {
        let (outbox, messages) = mpsc::channel(OUTBOX_MAX);
        let content = download.content();
        let fetch = Fetch {
            context,
            whose,
            stream,
            peer,
            content,
            download,
        };
        let tasks = fetch.context.tasks.clone();
        tasks.spawn(fetch.run(messages));
        Self { stream, outbox }
    }

    /// Queues a message; false if the stream is gone or hopelessly behind.
    #[must_use]
    pub(crate) fn send(&self, message: TransferMessage) -> bool {
        self.outbox.try_send(message).is_ok()
    }
}

struct Fetch {
    context: FetchContext,
    whose: Whose,
    stream: u64,
    peer: PeerId,
    content: ContentId,
    download: Download,
}

/// What both halves of a stream know.
#[derive(Default)]
struct Asked {
    /// Requested and not answered.
    slices: Vec<GroupRange>,
    /// What the source says the size is.
    size: Option<u64>,
}

type SharedAsked = Arc<Mutex<Asked>>;

fn with<T>(asked: &SharedAsked, look: impl FnOnce(&mut Asked) -> T) -> T {
    look(&mut asked.lock().unwrap_or_else(PoisonError::into_inner))
}

impl Fetch {
    async fn run(self, messages: mpsc::Receiver<TransferMessage>) {
        if let Ok(stream) = self.context.net.open_transfer(self.peer).await {
            let asked = SharedAsked::default();
            let writer = tokio::spawn(write(stream.sender, messages, Arc::clone(&asked)));
            let verifying = Arc::new(Semaphore::new(VERIFYING_MAX));
            self.read(stream.receiver, &asked, &verifying).await;
            // What arrived is still being written: "closed" comes after it.
            let all = u32::try_from(VERIFYING_MAX).unwrap_or(1);
            let _ = verifying.acquire_many(all).await;
            writer.abort();
        }
        self.report(FetchNews::Closed).await;
    }

    async fn report(&self, news: FetchNews) {
        let (content, peer, stream) = (self.content, self.peer, self.stream);
        let report = Report::Fetch {
            whose: self.whose,
            content,
            peer,
            stream,
            news,
        };
        // The driver is gone only when everything is.
        let _ = self.context.reports.send(report).await;
    }

    /// Reads until the stream ends, or until the peer breaks the protocol.
    async fn read(
        &self,
        mut receiver: TransferReceiver,
        asked: &SharedAsked,
        verifying: &Arc<Semaphore>,
    ) {
        while let Ok(Some(frame)) = receiver.frame(wire::FRAME_BYTES_MAX).await {
            let message = match wire::decode::<TransferMessage>(&frame) {
                Ok(Decoded::Message(message)) if message.content() == self.content => message,
                Ok(Decoded::Unknown { .. }) => continue,
                Ok(Decoded::Message(_)) | Err(_) => return,
            };
            match message {
                TransferMessage::Slice { slice, bytes, .. } => {
                    let Some(size) = answered(asked, slice) else {
                        return;
                    };
                    if u64::from(bytes) > slice_bytes_max(slice, size) {
                        return;
                    }
                    self.report(FetchNews::Message(message)).await;
                    let Ok(permit) = Arc::clone(verifying).acquire_owned().await else {
                        return;
                    };
                    let Some(buffer) = self.receive(&mut receiver, bytes).await else {
                        self.report(FetchNews::NotStored {
                            slice,
                            problem: None,
                        })
                        .await;
                        return;
                    };
                    self.verify(slice, size, buffer, permit);
                }
                TransferMessage::SliceRefused { slice, .. } => {
                    with(asked, |asked| asked.slices.retain(|other| *other != slice));
                    self.report(FetchNews::Message(message)).await;
                }
                TransferMessage::Ready { size, .. } => {
                    with(asked, |asked| asked.size = Some(size));
                    self.report(FetchNews::Message(message)).await;
                }
                message => self.report(FetchNews::Message(message)).await,
            }
        }
    }

    /// Takes the bytes behind a slice header off the stream, at the permitted
    /// rate.
    async fn receive(&self, receiver: &mut TransferReceiver, bytes: u32) -> Option<Buffer> {
        let mut left = usize::try_from(bytes).ok()?;
        let mut buffer = self.context.buffers.take();
        buffer.bytes_mut().clear();
        buffer.bytes_mut().reserve_exact(left);
        let (mut unreported, mut reported_at) = (0, Instant::now());
        while left > 0 {
            // A rate limit is kept by not reading; without one, the whole slice
            // is taken in steps only large enough to report on the way.
            let step = left.min(if self.context.limiter.is_limited() {
                PIECE_BYTES
            } else {
                4 * PIECE_BYTES
            });
            self.context.limiter.pass(step).await;
            receiver.bytes(step, buffer.bytes_mut()).await.ok()?;
            left -= step;
            unreported += step as u64;
            if left == 0 || reported_at.elapsed() >= RECEIVED_EVERY {
                self.report(FetchNews::Received(unreported)).await;
                (unreported, reported_at) = (0, Instant::now());
            }
        }
        Some(buffer)
    }

    /// Verifies and writes on a thread that may block.
    fn verify(
        &self,
        slice: GroupRange,
        size: u64,
        buffer: Buffer,
        permit: tokio::sync::OwnedSemaphorePermit,
    ) {
        let download = self.download.clone();
        let reports = self.context.reports.clone();
        let (content, peer, stream) = (self.content, self.peer, self.stream);
        let whose = self.whose;
        self.context.tasks.spawn_blocking(move || {
            let news = match download.write_slice(size, slice, buffer.bytes()) {
                Ok(groups) => FetchNews::Stored { slice, groups },
                Err(error) => news_of(slice, &error),
            };
            drop(buffer);
            // The driver is gone only when everything is.
            let report = Report::Fetch {
                whose,
                content,
                peer,
                stream,
                news,
            };
            let _ = reports.blocking_send(report);
            drop(permit);
        });
    }
}

fn news_of(slice: GroupRange, error: &WriteError) -> FetchNews {
    match error {
        WriteError::Corrupt { .. }
        | WriteError::Truncated { .. }
        | WriteError::TooLong { .. }
        | WriteError::SizeMismatch { .. } => FetchNews::Corrupt { slice },
        WriteError::DiskFull => FetchNews::DiskFull { slice },
        WriteError::SizeUnproven | WriteError::OutOfRange { .. } | WriteError::Over => {
            FetchNews::NotStored {
                slice,
                problem: None,
            }
        }
        WriteError::Io { .. } => FetchNews::NotStored {
            slice,
            problem: Some(error.to_string()),
        },
    }
}

/// The size to verify an answer against, if it was asked for: answers come in
/// the order of the requests.
fn answered(asked: &SharedAsked, slice: GroupRange) -> Option<u64> {
    with(asked, |asked| {
        let position = asked.slices.iter().position(|other| *other == slice)?;
        asked.slices.remove(position);
        asked.size
    })
}

async fn write(
    mut sender: TransferSender,
    mut messages: mpsc::Receiver<TransferMessage>,
    asked: SharedAsked,
) {
    while let Some(message) = messages.recv().await {
        if let TransferMessage::Request { slice, .. } = message {
            with(&asked, |asked| asked.slices.push(slice));
        }
        if sender.send_frame(&wire::encode(&message)).await.is_err() {
            return;
        }
    }
    sender.finish();
}
