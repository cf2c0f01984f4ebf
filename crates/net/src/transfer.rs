//! Bulk streams. The types say nothing of roads: a transfer begins on a QUIC
//! stream, and each direction may move to a lane of the fast road between two
//! segments, unnoticed by whoever reads and writes.

use std::sync::Arc;

use bytes::Bytes;

use crate::StreamError;
use crate::fast::{LaneError, LaneReader, LaneWriter, Name};
use crate::junction::Junction;
use crate::pipe::{PartialFrame, PipeReader, PipeWriter};
use crate::wire::{
    CODE_BROKEN, CODE_RECEIVED, CODE_STOPPED, MARK_END, MARK_MOVE, SEGMENT_BYTES_MAX,
};

/// A stream for one transfer, open in both directions.
#[derive(Debug)]
pub struct TransferStream {
    /// What this side sends.
    pub sender: TransferSender,
    /// What the peer sends.
    pub receiver: TransferReceiver,
}

impl TransferStream {
    pub(crate) fn new(writer: PipeWriter, reader: PipeReader, junction: Junction) -> Self {
        let junction = Arc::new(junction);
        Self {
            sender: TransferSender {
                quic: writer,
                lane: None,
                state: Sending::Open,
                junction: junction.clone(),
            },
            receiver: TransferReceiver {
                source: Source {
                    roads: Roads {
                        quic: reader,
                        lane: None,
                        junction,
                    },
                    left: 0,
                    header: Vec::with_capacity(HEADER_BYTES_MAX),
                    state: Receiving::Open,
                },
                frame: PartialFrame::default(),
            },
        }
    }
}

/// The sending half of a [`TransferStream`]. Dropping it ends the stream in
/// good order, like [`TransferSender::finish`].
#[derive(Debug)]
pub struct TransferSender {
    /// The beginning; afterwards it says when the peer stops reading.
    quic: PipeWriter,
    lane: Option<Box<LaneWriter>>,
    state: Sending,
    junction: Arc<Junction>,
}

/// The receiving half of a [`TransferStream`]. Dropping it tells the peer to
/// stop.
#[derive(Debug)]
pub struct TransferReceiver {
    source: Source,
    frame: PartialFrame,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sending {
    Open,
    /// Inside a segment: if that was cancelled, the stream is of no use.
    Midway,
    Finished,
    /// The same, and the end went by a lane.
    FinishedOnLane,
    GivenUp,
}

/// The bytes of both roads as one stream, without its segments.
#[derive(Debug)]
struct Source {
    roads: Roads,
    /// Bytes left of the present segment.
    left: usize,
    /// What there is of the next segment's header, or of a mark.
    header: Vec<u8>,
    state: Receiving,
}

/// The road that bytes come by.
#[derive(Debug)]
struct Roads {
    /// The beginning; afterwards it says when the peer gives the stream up.
    quic: PipeReader,
    lane: Option<Box<LaneReader>>,
    junction: Arc<Junction>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Receiving {
    Open,
    /// The peer ended the stream.
    Ended,
    Failed(StreamError),
}

const LENGTH_BYTES: usize = size_of::<u32>();
const HEADER_BYTES_MAX: usize = LENGTH_BYTES + size_of::<Name>();

impl TransferSender {
    /// Sends a frame: a length and `body`. Waits while the peer does not read.
    /// Not cancel safe: the stream is of no use after a cancelled call.
    ///
    /// # Errors
    ///
    /// If the stream or the connection is gone, or the body is 1 GiB long.
    pub async fn send_frame(&mut self, body: &[u8]) -> Result<(), StreamError> {
        self.send_frame_and_bytes(body, Bytes::new()).await
    }

    /// Sends a frame and, right behind it, bytes as they are: as
    /// [`TransferSender::send_frame`] and [`TransferSender::send_bytes`], in one
    /// go.
    ///
    /// # Errors
    ///
    /// If the stream or the connection is gone, or both are 1 GiB long.
    pub async fn send_frame_and_bytes(
        &mut self,
        body: &[u8],
        bytes: Bytes,
    ) -> Result<(), StreamError> {
        let total = LENGTH_BYTES + body.len() + bytes.len();
        let too_long = StreamError::TooLong {
            bytes: total,
            bytes_max: gannet_base::wire::FRAME_BYTES_MAX,
        };
        let segment = u32::try_from(total).map_err(|_| too_long)?;
        let length = u32::try_from(body.len()).map_err(|_| too_long)?;
        if segment > SEGMENT_BYTES_MAX {
            return Err(too_long);
        }
        let mut framed = Vec::with_capacity(2 * LENGTH_BYTES + body.len());
        framed.extend_from_slice(&segment.to_le_bytes());
        framed.extend_from_slice(&length.to_le_bytes());
        framed.extend_from_slice(body);
        self.send(&mut [Bytes::from(framed), bytes]).await
    }

    /// Sends bytes as they are, without copying them: what they are and how
    /// many, a frame before them must say. Waits while the peer does not read.
    /// Not cancel safe, as above.
    ///
    /// # Errors
    ///
    /// If the stream or the connection is gone.
    pub async fn send_bytes(&mut self, mut bytes: Bytes) -> Result<(), StreamError> {
        let most = usize::try_from(SEGMENT_BYTES_MAX).unwrap_or(usize::MAX);
        while !bytes.is_empty() {
            let segment = bytes.split_to(bytes.len().min(most));
            let length = u32::try_from(segment.len()).unwrap_or(SEGMENT_BYTES_MAX);
            let header = Bytes::copy_from_slice(&length.to_le_bytes());
            self.send(&mut [header, segment]).await?;
        }
        Ok(())
    }

    /// Says that nothing more follows; what was sent still arrives.
    pub fn finish(&mut self) {
        match self.state {
            Sending::Open => self.state = Sending::Finished,
            Sending::Midway => return self.reset(),
            Sending::Finished | Sending::FinishedOnLane | Sending::GivenUp => return,
        }
        match self.lane.take() {
            // The QUIC stream stays, for the peer to say that it has everything.
            Some(lane) => {
                self.state = Sending::FinishedOnLane;
                lane.send_last(&[&MARK_END.to_le_bytes()]);
            }
            None => self.quic.finish(),
        }
    }

    /// Gives the stream up: what was sent may or may not arrive.
    pub fn reset(&mut self) {
        self.state = Sending::GivenUp;
        self.lane = None;
        self.quic.reset(CODE_STOPPED.into());
    }

    /// After [`TransferSender::finish`]: waits until the peer has received
    /// everything.
    ///
    /// # Errors
    ///
    /// If it stopped reading, or the connection is gone.
    pub async fn delivered(&self) -> Result<(), StreamError> {
        if self.state != Sending::FinishedOnLane {
            return self.quic.delivered().await;
        }
        self.quic.stopped().await
    }

    async fn send(&mut self, parts: &mut [Bytes]) -> Result<(), StreamError> {
        if self.state != Sending::Open {
            return Err(StreamError::Finished);
        }
        // An empty part would wait for room that it does not need.
        let count = parts.iter().take_while(|part| !part.is_empty()).count();
        let parts = &mut parts[..count];
        let bytes: usize = parts.iter().map(Bytes::len).sum();
        if self.lane.is_none()
            && let Some((name, lane)) = self.junction.way_out()
        {
            let mut mark = MARK_MOVE.to_le_bytes().to_vec();
            mark.extend_from_slice(&name);
            self.state = Sending::Midway;
            self.quic.all(&mut [Bytes::from(mark)]).await?;
            self.lane = Some(Box::new(lane));
        }
        self.state = Sending::Midway;
        let Some(lane) = &mut self.lane else {
            self.quic.all(parts).await?;
            self.state = Sending::Open;
            self.junction.moved(bytes);
            return Ok(());
        };
        let mut slices: [&[u8]; 2] = [&[]; 2];
        for (slice, part) in slices.iter_mut().zip(parts.iter()) {
            *slice = part;
        }
        let sent = tokio::select! {
            biased;
            sent = lane.send(&slices) => sent,
            stopped = self.quic.stopped() => {
                self.reset();
                return Err(stopped.err().unwrap_or(StreamError::Stopped));
            }
        };
        if sent.is_err() {
            return Err(self.on_broken().await);
        }
        self.state = Sending::Open;
        self.junction.sent_by_lane(bytes);
        Ok(())
    }

    async fn on_broken(&mut self) -> StreamError {
        self.lane = None;
        let said = async {
            let stopped = self.quic.stopped().await;
            stopped.err().unwrap_or(StreamError::Stopped)
        };
        let why = self.junction.why_broken(said).await;
        self.state = Sending::GivenUp;
        let code = match why {
            StreamError::Lost => CODE_BROKEN,
            _ => CODE_STOPPED,
        };
        self.quic.reset(code.into());
        why
    }
}

impl Drop for TransferSender {
    fn drop(&mut self) {
        self.finish();
    }
}

impl TransferReceiver {
    /// The next frame's body, at most `bytes_max` bytes; `None` if the peer
    /// ended the stream between frames. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the frame is longer, the stream ends inside it, or the stream or the
    /// connection is gone.
    pub async fn frame(&mut self, bytes_max: usize) -> Result<Option<Bytes>, StreamError> {
        loop {
            if let Some(body) = self.frame.step(bytes_max)? {
                return Ok(Some(body));
            }
            let wanted = self.frame.wanted();
            let taken = self.source.take(wanted, self.frame.bytes_mut()).await?;
            if taken == 0 {
                return self.frame.ended();
            }
        }
    }

    /// Appends exactly `count` bytes to `out`. After an error or a
    /// cancellation, what had arrived is in `out`; reading can go on after a
    /// cancellation with what is missing.
    ///
    /// # Errors
    ///
    /// If the stream ends before, or the stream or the connection is gone.
    pub async fn bytes(&mut self, count: usize, out: &mut Vec<u8>) -> Result<(), StreamError> {
        let mut wanted = count;
        while wanted > 0 {
            match self.source.take(wanted, out).await? {
                0 => return Err(StreamError::Truncated),
                taken => wanted -= taken,
            }
        }
        Ok(())
    }

    /// Up to `bytes_max` of the bytes that come next, as they arrived and, where
    /// the road allows it, without copying; `None` at the end of the stream.
    /// Cancel safe.
    ///
    /// # Errors
    ///
    /// If the stream or the connection is gone.
    pub async fn chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, StreamError> {
        self.source.chunk(bytes_max).await
    }

    /// Tells the peer to stop sending; nothing can be read any more.
    pub fn stop(&mut self) {
        self.source.stop();
    }
}

impl Source {
    /// Waits until something is there, then appends all that is, at most
    /// `bytes_max`, and says how much; 0 at the end. Cancel safe.
    async fn take(&mut self, bytes_max: usize, out: &mut Vec<u8>) -> Result<usize, StreamError> {
        if bytes_max == 0 || !self.enter_segment().await? {
            return Ok(0);
        }
        let taken = self.roads.take(bytes_max.min(self.left), out).await;
        self.passed(taken)
    }

    async fn chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, StreamError> {
        if bytes_max == 0 || !self.enter_segment().await? {
            return Ok(None);
        }
        let chunk = self.roads.chunk(bytes_max.min(self.left)).await;
        self.passed(chunk.as_ref().map(Bytes::len).map_err(|error| *error))?;
        chunk.map(Some)
    }

    /// Counts what was taken of a segment; nothing means that the stream ended
    /// inside it.
    fn passed(&mut self, taken: Result<usize, StreamError>) -> Result<usize, StreamError> {
        match taken {
            Ok(0) => Err(self.fail(StreamError::Truncated)),
            Ok(bytes) => {
                self.left -= bytes;
                self.roads.count(bytes);
                Ok(bytes)
            }
            Err(error) => Err(self.fail(error)),
        }
    }

    /// Reads headers and marks until there is a segment to read; false at the
    /// end of the stream. Cancel safe.
    async fn enter_segment(&mut self) -> Result<bool, StreamError> {
        loop {
            match self.state {
                Receiving::Open if self.left > 0 => return Ok(true),
                Receiving::Open => {}
                Receiving::Ended => return Ok(false),
                Receiving::Failed(error) => return Err(error),
            }
            let wanted = match mark(&self.header) {
                Some(MARK_MOVE) => HEADER_BYTES_MAX,
                _ => LENGTH_BYTES,
            };
            let missing = wanted - self.header.len();
            match self.roads.take(missing, &mut self.header).await {
                Ok(0) if self.header.is_empty() => self.state = Receiving::Ended,
                Ok(0) => return Err(self.fail(StreamError::Truncated)),
                Ok(taken) if taken == missing => self.on_header()?,
                Ok(_) => {}
                Err(error) => return Err(self.fail(error)),
            }
        }
    }

    /// `header` has all that was missing.
    fn on_header(&mut self) -> Result<(), StreamError> {
        let on_lane = self.roads.lane.is_some();
        match mark(&self.header) {
            Some(length @ 1..=SEGMENT_BYTES_MAX) => {
                self.left = usize::try_from(length).unwrap_or(usize::MAX);
            }
            Some(MARK_END) if on_lane => {
                self.state = Receiving::Ended;
                self.roads.arrive();
            }
            Some(MARK_MOVE) if !on_lane => {
                // The name comes next.
                let Some(name) = self.header.get(LENGTH_BYTES..HEADER_BYTES_MAX) else {
                    return Ok(());
                };
                let name = Name::try_from(name).unwrap_or_default();
                if !self.roads.turn(name) {
                    return Err(self.fail(StreamError::Lost));
                }
            }
            _ => return Err(self.fail(StreamError::Truncated)),
        }
        self.header.clear();
        Ok(())
    }

    /// From here on there is nothing but this error.
    fn fail(&mut self, error: StreamError) -> StreamError {
        self.state = Receiving::Failed(error);
        self.roads.lane = None;
        error
    }

    fn stop(&mut self) {
        if self.state == Receiving::Open {
            self.state = Receiving::Failed(StreamError::Finished);
        }
        self.roads.lane = None;
        // Does nothing where the stream has ended.
        self.roads.quic.stop(CODE_STOPPED.into());
    }
}

impl Roads {
    /// As [`Source::take`], headers and marks included.
    async fn take(&mut self, most: usize, out: &mut Vec<u8>) -> Result<usize, StreamError> {
        let Some(lane) = &mut self.lane else {
            return self.quic.take(most, out).await;
        };
        let taken = tokio::select! {
            biased;
            taken = lane.take(most, out) => taken,
            error = self.quic.given_up() => return Err(error),
        };
        match taken {
            Ok(taken) => Ok(taken),
            Err(LaneError::Forged) => {
                self.junction.blame();
                self.quic.stop(CODE_BROKEN.into());
                Err(StreamError::Lost)
            }
            Err(LaneError::Broken) => {
                let why = self.junction.why_broken(self.quic.over()).await;
                if why == StreamError::Lost {
                    self.quic.stop(CODE_BROKEN.into());
                }
                Err(why)
            }
        }
    }

    /// The bytes that come next; empty at the end. Cancel safe.
    async fn chunk(&mut self, most: usize) -> Result<Bytes, StreamError> {
        if self.lane.is_none() {
            return Ok(self.quic.chunk(most).await?.unwrap_or_default());
        }
        let mut bytes = Vec::new();
        self.take(most, &mut bytes).await?;
        Ok(bytes.into())
    }

    fn count(&self, bytes: usize) {
        match self.lane {
            Some(_) => self.junction.received_by_lane(bytes),
            None => self.junction.moved(bytes),
        }
    }

    /// Goes on with the lane of this name, if there is one.
    fn turn(&mut self, name: Name) -> bool {
        self.lane = self.junction.way_in(name).map(Box::new);
        self.lane.is_some()
    }

    /// Everything has come, by the lane.
    fn arrive(&mut self) {
        self.lane = None;
        self.quic.stop(CODE_RECEIVED.into());
    }
}

/// The number at the beginning of a header, once that is there.
fn mark(header: &[u8]) -> Option<u32> {
    header
        .first_chunk()
        .map(|length| u32::from_le_bytes(*length))
}
