//! Several lanes as one: content is cut into numbered *stripes*, each lane takes the next
//! when it has room, and the reader puts them in order. A lane that stands still for a
//! moment holds up no other.
//!
//! **On the wire**, all integers little endian: the length of the stripe or a mark, 4 bytes;
//! its number, 4 bytes, from 0 on; then its content, or the name of the lane that joins.

use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;

use bytes::Bytes;
use tokio::sync::{Mutex, mpsc, oneshot};
use tokio::task::JoinSet;

use super::lane::{LaneError, LaneReader, LaneWriter};
use super::offer::Name;
use crate::wire::{MARK_END, MARK_JOIN};

/// Lanes of one transfer, at most. Too low: long paths that lose packets stay slow; too
/// high: unfair to others on them.
// Source: 2 to 4 connections is what download programs open to one server.
pub(crate) const LANES_MAX: usize = 4;

/// Most bytes of a stripe. Too low: a system call for little; too high: the last ones
/// are waited for, and the buffers below are large.
const STRIPE_BYTES: usize = 64 * 1024;
/// Stripes that wait for a lane with room. Too low: lanes wait for whoever fills them.
// Guess: one for each lane.
const QUEUED_MAX: usize = LANES_MAX;
/// Stripes of one lane that wait for others before them: 2 MiB. Too low: a lane that loses a
/// packet holds up the others; too high: memory.
// Guess: what a fast path carries during a retransmission timeout.
const EARLY_MAX: usize = 32;
const HEADER_BYTES: usize = 2 * size_of::<u32>();

#[derive(Debug)]
struct Stripe {
    header: [u8; HEADER_BYTES],
    content: [Bytes; 2],
    /// Whom to tell that a lane has taken it, and with it all before it.
    taken: Option<oneshot::Sender<()>>,
}

/// The sending half. Dropping it closes the lanes, whatever is still to be sent.
#[derive(Debug)]
pub(crate) struct BraidWriter {
    queue: mpsc::Sender<Stripe>,
    /// Whichever lane has room takes the next.
    taking: Arc<Mutex<mpsc::Receiver<Stripe>>>,
    is_broken: Arc<AtomicBool>,
    lanes: JoinSet<()>,
    number: u32,
}

impl BraidWriter {
    /// Of one lane; the peer knows that stripes follow.
    pub(crate) fn new(lane: LaneWriter) -> Self {
        let (queue, taking) = mpsc::channel(QUEUED_MAX);
        let mut this = Self {
            queue,
            taking: Arc::new(Mutex::new(taking)),
            is_broken: Arc::default(),
            lanes: JoinSet::new(),
            number: 0,
        };
        this.add(lane);
        this
    }

    /// How many there are, for tests.
    #[cfg(test)]
    pub(crate) fn lanes(&self) -> usize {
        self.lanes.len()
    }

    /// Sends these parts, and says how many bytes that made. Waits while the lanes are full.
    /// Not cancel safe.
    pub(crate) async fn send(&mut self, mut parts: [Bytes; 2]) -> Result<usize, LaneError> {
        let mut sent = 0;
        loop {
            let mut room = STRIPE_BYTES;
            let content = parts.each_mut().map(|part| {
                let now = part.split_to(part.len().min(room));
                room -= now.len();
                now
            });
            let bytes = STRIPE_BYTES - room;
            if bytes == 0 {
                return Ok(sent);
            }
            let length = u32::try_from(bytes).map_err(|_| LaneError::Broken)?;
            self.queue(length, content, None).await?;
            sent += HEADER_BYTES + bytes;
        }
    }

    /// Uses one more lane from here on.
    pub(crate) async fn join(&mut self, name: Name, lane: LaneWriter) -> Result<(), LaneError> {
        let name = Bytes::copy_from_slice(&name);
        let (taken, is_taken) = oneshot::channel();
        self.queue(MARK_JOIN, [name, Bytes::new()], Some(taken))
            .await?;
        self.spawn(lane, Some(is_taken));
        Ok(())
    }

    /// Says that nothing more follows; what was sent still goes.
    pub(crate) fn finish(mut self) {
        self.lanes.detach_all();
        // Without a runtime, everything is ending anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                let _ = self.queue(MARK_END, Default::default(), None).await;
            });
        }
    }

    async fn queue(
        &mut self,
        mark: u32,
        content: [Bytes; 2],
        taken: Option<oneshot::Sender<()>>,
    ) -> Result<(), LaneError> {
        if self.is_broken.load(Ordering::Relaxed) {
            return Err(LaneError::Broken);
        }
        let mut header = [0; HEADER_BYTES];
        header[..4].copy_from_slice(&mark.to_le_bytes());
        header[4..].copy_from_slice(&self.number.to_le_bytes());
        self.number = self.number.wrapping_add(1);
        let stripe = Stripe {
            header,
            content,
            taken,
        };
        let queued = self.queue.send(stripe).await;
        queued.map_err(|_| LaneError::Broken)
    }

    /// Uses one more lane, of which the peer knows.
    pub(crate) fn add(&mut self, lane: LaneWriter) {
        self.spawn(lane, None);
    }

    /// Has a lane take stripes, from when it has joined on.
    fn spawn(&mut self, mut lane: LaneWriter, has_joined: Option<oneshot::Receiver<()>>) {
        let (taking, is_broken) = (self.taking.clone(), self.is_broken.clone());
        self.lanes.spawn(async move {
            // Not by itself can a lane say that it joins.
            if let Some(has_joined) = has_joined
                && has_joined.await.is_err()
            {
                return;
            }
            loop {
                let next = taking.lock().await.recv().await;
                let Some(stripe) = next else {
                    return;
                };
                let Stripe {
                    header,
                    content,
                    taken,
                } = stripe;
                if let Some(taken) = taken {
                    // Else the transfer is over.
                    let _ = taken.send(());
                }
                let slices: [&[u8]; 3] = [&header, &content[0], &content[1]];
                if lane.send(&slices).await.is_err() {
                    is_broken.store(true, Ordering::Relaxed);
                    // Who waits for room in the queue waits no more; while another lane
                    // waits for a stripe, there is room.
                    taking.lock().await.close();
                    return;
                }
            }
        });
    }
}

/// What came.
#[derive(Debug)]
pub(crate) enum Next {
    /// Content: not empty.
    Content(Bytes),
    /// The lane of this name joins.
    Join(Name),
    /// Nothing follows.
    End,
}

/// A stripe and its number.
type Numbered = (u32, Next);

/// The receiving half.
#[derive(Debug)]
pub(crate) struct BraidReader {
    lanes: Vec<Incoming>,
    readers: JoinSet<()>,
    number: u32,
    /// What is left of the content that came last.
    pub(crate) left: Bytes,
}

/// Of one lane.
#[derive(Debug)]
struct Incoming {
    stripes: mpsc::Receiver<Result<Numbered, LaneError>>,
    /// The next of it, or why there is none.
    head: Option<Result<Numbered, LaneError>>,
}

impl BraidReader {
    pub(crate) fn new(lane: LaneReader) -> Self {
        let mut this = Self {
            lanes: Vec::with_capacity(LANES_MAX),
            readers: JoinSet::new(),
            number: 0,
            left: Bytes::new(),
        };
        this.join(lane);
        this
    }

    /// Whether there may be one lane more.
    pub(crate) fn has_room(&self) -> bool {
        self.lanes.len() < LANES_MAX
    }

    /// Reads one more lane from here on.
    pub(crate) fn join(&mut self, lane: LaneReader) {
        let (found, stripes) = mpsc::channel(EARLY_MAX);
        self.readers.spawn(read(lane, found));
        self.lanes.push(Incoming {
            stripes,
            head: None,
        });
    }

    /// What comes next, in order. Cancel safe.
    pub(crate) async fn next(&mut self) -> Result<Next, LaneError> {
        loop {
            let number = self.number;
            let is_next =
                |head: &mut Result<Numbered, LaneError>| matches!(head, Ok((n, _)) if *n == number);
            let found = self
                .lanes
                .iter_mut()
                .find_map(|lane| lane.head.take_if(is_next));
            if let Some(Ok((_, next))) = found {
                self.number = number.wrapping_add(1);
                return Ok(next);
            }
            if self.lanes.iter().all(|lane| lane.head.is_some()) {
                let failed = self
                    .lanes
                    .iter()
                    .find_map(|lane| lane.head.as_ref()?.as_ref().err());
                // Else a number is missing that no lane can bring any more.
                return Err(failed.copied().unwrap_or(LaneError::Forged));
            }
            self.any_head().await;
        }
    }

    /// Waits until a lane that had none has a head.
    async fn any_head(&mut self) {
        poll_fn(|context| {
            let mut poll = Poll::Pending;
            for lane in self.lanes.iter_mut().filter(|lane| lane.head.is_none()) {
                if let Poll::Ready(came) = lane.stripes.poll_recv(context) {
                    lane.head = Some(came.unwrap_or(Err(LaneError::Broken)));
                    poll = Poll::Ready(());
                }
            }
            poll
        })
        .await;
    }
}

/// Reads a lane to its end, or until nobody wants it any more.
async fn read(mut lane: LaneReader, found: mpsc::Sender<Result<Numbered, LaneError>>) {
    loop {
        let stripe = read_one(&mut lane).await;
        let is_last = matches!(stripe, Err(_) | Ok((_, Next::End)));
        if found.send(stripe).await.is_err() || is_last {
            return;
        }
    }
}

async fn read_one(lane: &mut LaneReader) -> Result<Numbered, LaneError> {
    let header: [u8; HEADER_BYTES] = exactly(lane, HEADER_BYTES)
        .await?
        .try_into()
        .map_err(|_| LaneError::Broken)?;
    let (mark, number) = header.split_at(HEADER_BYTES / 2);
    let word = |bytes: &[u8]| {
        bytes
            .first_chunk()
            .map_or(0, |word| u32::from_le_bytes(*word))
    };
    let next = match word(mark) {
        MARK_END => Next::End,
        MARK_JOIN => {
            let name = exactly(lane, size_of::<Name>()).await?;
            Next::Join(name.try_into().map_err(|_| LaneError::Broken)?)
        }
        length => match usize::try_from(length) {
            Ok(bytes @ 1..=STRIPE_BYTES) => Next::Content(exactly(lane, bytes).await?.into()),
            _ => return Err(LaneError::Forged),
        },
    };
    Ok((word(number), next))
}

async fn exactly(lane: &mut LaneReader, bytes: usize) -> Result<Vec<u8>, LaneError> {
    let mut out = Vec::with_capacity(bytes);
    while out.len() < bytes {
        lane.take(bytes - out.len(), &mut out).await?;
    }
    Ok(out)
}
