//! Bulk streams. The types say nothing of roads: a transfer begins on a QUIC
//! stream, and each direction may move to a lane of the fast road between two
//! segments, and to more of them, unnoticed by whoever reads and writes.

use std::sync::Arc;

use bytes::Bytes;

use crate::StreamError;
use crate::fast::{BraidWriter, LaneError, LaneWriter, Name};
use crate::junction::Junction;
use crate::pipe::{PartialFrame, PipeReader, PipeWriter};
use crate::source::Source;
use crate::wire::{CODE_BROKEN, CODE_STOPPED, MARK_END, MARK_JOIN, MARK_MOVE, SEGMENT_BYTES_MAX};

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
                lanes: Lanes::None,
                state: Sending::Open,
                junction: junction.clone(),
            },
            receiver: TransferReceiver {
                source: Source::new(reader, junction),
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
    lanes: Lanes,
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

/// What a direction goes by, beside its QUIC stream.
#[derive(Debug)]
enum Lanes {
    None,
    One(Box<LaneWriter>),
    Many(Box<BraidWriter>),
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

const LENGTH_BYTES: usize = size_of::<u32>();

#[cfg(test)]
impl TransferSender {
    /// Makes one more lane, if there is one and the stream was opened here.
    pub(crate) fn widen_now(&self) {
        self.junction.widen_now();
    }

    /// Lanes that are sent by.
    pub(crate) fn lanes(&self) -> usize {
        match &self.lanes {
            Lanes::None => 0,
            Lanes::One(_) => 1,
            Lanes::Many(braid) => braid.lanes(),
        }
    }

    /// Sends bytes by lane without a header.
    pub(crate) async fn send_raw(&mut self, bytes: &[u8]) {
        let Lanes::One(lane) = &mut self.lanes else {
            panic!("there is one lane");
        };
        lane.send(&[bytes]).await.expect("it is sent");
    }
}

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
        let mut framed = Vec::with_capacity(LENGTH_BYTES + body.len());
        framed.extend_from_slice(&length.to_le_bytes());
        framed.extend_from_slice(body);
        self.send([framed.into(), bytes]).await
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
            self.send([segment, Bytes::new()]).await?;
        }
        Ok(())
    }

    /// Says that nothing more follows; what was sent still arrives.
    pub fn finish(&mut self) {
        match self.state {
            Sending::Open => {}
            Sending::Midway => return self.reset(),
            Sending::Finished | Sending::FinishedOnLane | Sending::GivenUp => return,
        }
        // The QUIC stream of a lane stays, for the peer to say that it has everything.
        self.state = Sending::FinishedOnLane;
        match std::mem::replace(&mut self.lanes, Lanes::None) {
            Lanes::One(lane) => lane.send_last(&[&MARK_END.to_le_bytes()]),
            Lanes::Many(braid) => braid.finish(),
            Lanes::None => {
                self.state = Sending::Finished;
                self.quic.finish();
            }
        }
    }

    /// Gives the stream up: what was sent may or may not arrive.
    pub fn reset(&mut self) {
        self.state = Sending::GivenUp;
        self.lanes = Lanes::None;
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

    /// Sends these parts: as a segment, or as stripes where there are several lanes.
    async fn send(&mut self, parts: [Bytes; 2]) -> Result<(), StreamError> {
        if self.state != Sending::Open {
            return Err(StreamError::Finished);
        }
        self.state = Sending::Midway;
        while let Some((name, lane)) = self.junction.way_out() {
            self.turn_or_widen(name, lane).await?;
        }
        let header = header(&parts);
        let slices: [&[u8]; 3] = [&header, &parts[0], &parts[1]];
        let bytes = slices.iter().map(|slice| slice.len()).sum();
        let sending = async {
            match &mut self.lanes {
                Lanes::None => Ok(None),
                Lanes::One(lane) => lane.send(&slices).await.map(|()| Some(bytes)),
                Lanes::Many(braid) => braid.send(parts.clone()).await.map(Some),
            }
        };
        let sent = tokio::select! {
            biased;
            sent = sending => sent,
            stopped = self.quic.stopped() => {
                self.reset();
                return Err(stopped.err().unwrap_or(StreamError::Stopped));
            }
        };
        match sent {
            Ok(Some(bytes)) => self.junction.sent_by_lane(bytes),
            Ok(None) => {
                self.send_by_quic(header, parts).await?;
                self.junction.moved(bytes);
            }
            Err(_) => return Err(self.on_broken().await),
        }
        self.state = Sending::Open;
        Ok(())
    }

    async fn send_by_quic(
        &mut self,
        header: [u8; LENGTH_BYTES],
        [first, second]: [Bytes; 2],
    ) -> Result<(), StreamError> {
        let mut all = [Bytes::copy_from_slice(&header), first, second];
        // An empty part would wait for room that it does not need.
        let count = all.iter().take_while(|part| !part.is_empty()).count();
        self.quic.all(&mut all[..count]).await
    }

    /// Moves to a lane, or takes one more.
    async fn turn_or_widen(&mut self, name: Name, lane: LaneWriter) -> Result<(), StreamError> {
        let marked = |mark: u32| [&mark.to_le_bytes()[..], &name].concat();
        let before = std::mem::replace(&mut self.lanes, Lanes::None);
        if matches!(before, Lanes::None) {
            let mark = Bytes::from(marked(MARK_MOVE));
            self.quic.all(&mut [mark]).await?;
            self.lanes = Lanes::One(Box::new(lane));
            return Ok(());
        }
        let joining = async {
            match before {
                Lanes::One(mut first) => {
                    first.send(&[&marked(MARK_JOIN)]).await?;
                    let mut braid = BraidWriter::new(*first);
                    braid.add(lane);
                    Ok(Lanes::Many(Box::new(braid)))
                }
                Lanes::Many(mut braid) => {
                    braid.join(name, lane).await?;
                    Ok(Lanes::Many(braid))
                }
                Lanes::None => Err(LaneError::Broken),
            }
        };
        let joined = tokio::select! {
            biased;
            joined = joining => joined,
            stopped = self.quic.stopped() => {
                self.reset();
                return Err(stopped.err().unwrap_or(StreamError::Stopped));
            }
        };
        match joined {
            Ok(lanes) => {
                self.lanes = lanes;
                Ok(())
            }
            Err(_) => Err(self.on_broken().await),
        }
    }

    async fn on_broken(&mut self) -> StreamError {
        self.lanes = Lanes::None;
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

/// What stands before a segment of these parts.
fn header(parts: &[Bytes; 2]) -> [u8; LENGTH_BYTES] {
    let bytes = parts[0].len() + parts[1].len();
    // Not more than `SEGMENT_BYTES_MAX`, as was checked.
    u32::try_from(bytes).unwrap_or(u32::MAX).to_le_bytes()
}
