//! What comes on a transfer: the bytes of both roads as one stream, without its
//! segments.

use std::sync::Arc;

use bytes::Bytes;

use crate::StreamError;
use crate::fast::{BraidReader, LaneError, LaneReader, Name, Next};
use crate::junction::Junction;
use crate::pipe::PipeReader;
use crate::wire::{
    CODE_BROKEN, CODE_RECEIVED, CODE_STOPPED, MARK_END, MARK_JOIN, MARK_MOVE, SEGMENT_BYTES_MAX,
};

/// See the module.
#[derive(Debug)]
pub(crate) struct Source {
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
    lanes: Lanes,
    junction: Arc<Junction>,
}

/// What a direction comes by, beside its QUIC stream.
#[derive(Debug)]
enum Lanes {
    None,
    One(Box<LaneReader>),
    Many(Box<BraidReader>),
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

impl Source {
    /// On this stream, to begin with.
    pub(crate) fn new(quic: PipeReader, junction: Arc<Junction>) -> Self {
        Self {
            roads: Roads {
                quic,
                lanes: Lanes::None,
                junction,
            },
            left: 0,
            header: Vec::with_capacity(HEADER_BYTES_MAX),
            state: Receiving::Open,
        }
    }

    /// Waits until something is there, then appends all that is, at most
    /// `bytes_max`, and says how much; 0 at the end. Cancel safe.
    pub(crate) async fn take(
        &mut self,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, StreamError> {
        if bytes_max == 0 || !self.enter_segment().await? {
            return Ok(0);
        }
        let taken = self.roads.take(bytes_max.min(self.left), out).await;
        self.passed(taken)
    }

    /// As [`TransferReceiver::chunk`](crate::TransferReceiver::chunk).
    pub(crate) async fn chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, StreamError> {
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
            if let Lanes::Many(_) = self.roads.lanes {
                let next = self.roads.next().await;
                self.on_next(next)?;
                continue;
            }
            let wanted = match mark(&self.header) {
                Some(MARK_MOVE | MARK_JOIN) => HEADER_BYTES_MAX,
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

    fn on_next(&mut self, next: Result<Next, StreamError>) -> Result<(), StreamError> {
        match next {
            Ok(Next::Content(bytes)) => {
                self.left = bytes.len();
                self.roads.begin(bytes);
            }
            Ok(Next::Join(name)) if self.roads.turn_or_widen(name) => {}
            Ok(Next::Join(_)) => return Err(self.fail(StreamError::Lost)),
            Ok(Next::End) => {
                self.state = Receiving::Ended;
                self.roads.arrive();
            }
            Err(error) => return Err(self.fail(error)),
        }
        Ok(())
    }

    /// `header` has all that was missing.
    fn on_header(&mut self) -> Result<(), StreamError> {
        let on_lane = !matches!(self.roads.lanes, Lanes::None);
        match mark(&self.header) {
            Some(length @ 1..=SEGMENT_BYTES_MAX) => {
                self.left = usize::try_from(length).unwrap_or(usize::MAX);
            }
            Some(MARK_END) if on_lane => {
                self.state = Receiving::Ended;
                self.roads.arrive();
            }
            Some(mark @ (MARK_MOVE | MARK_JOIN)) if (mark == MARK_JOIN) == on_lane => {
                // The name comes next.
                let Some(name) = self.header.get(LENGTH_BYTES..HEADER_BYTES_MAX) else {
                    return Ok(());
                };
                let name = Name::try_from(name).unwrap_or_default();
                if !self.roads.turn_or_widen(name) {
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
        self.roads.lanes = Lanes::None;
        error
    }

    /// Tells the peer to stop sending.
    pub(crate) fn stop(&mut self) {
        if self.state == Receiving::Open {
            self.state = Receiving::Failed(StreamError::Finished);
        }
        self.roads.lanes = Lanes::None;
        // Does nothing where the stream has ended.
        self.roads.quic.stop(CODE_STOPPED.into());
    }
}

impl Roads {
    /// As [`Source::take`], headers and marks included.
    async fn take(&mut self, most: usize, out: &mut Vec<u8>) -> Result<usize, StreamError> {
        let lane = match &mut self.lanes {
            Lanes::None => return self.quic.take(most, out).await,
            Lanes::One(lane) => lane,
            Lanes::Many(braid) => {
                let now = braid.left.split_to(most.min(braid.left.len()));
                out.extend_from_slice(&now);
                return Ok(now.len());
            }
        };
        let taken = tokio::select! {
            biased;
            taken = lane.take(most, out) => taken,
            error = self.quic.given_up() => return Err(error),
        };
        match taken {
            Ok(taken) => Ok(taken),
            Err(error) => Err(self.on_error(error).await),
        }
    }

    /// What comes next by several lanes. Cancel safe.
    async fn next(&mut self) -> Result<Next, StreamError> {
        let Lanes::Many(braid) = &mut self.lanes else {
            return Err(StreamError::Lost);
        };
        let next = tokio::select! {
            biased;
            next = braid.next() => next,
            error = self.quic.given_up() => return Err(error),
        };
        match next {
            Ok(next) => Ok(next),
            Err(error) => Err(self.on_error(error).await),
        }
    }

    /// A stripe to take next.
    fn begin(&mut self, bytes: Bytes) {
        if let Lanes::Many(braid) = &mut self.lanes {
            braid.left = bytes;
        }
    }

    async fn on_error(&mut self, error: LaneError) -> StreamError {
        let why = match error {
            LaneError::Forged => {
                self.junction.blame();
                StreamError::Lost
            }
            LaneError::Broken => self.junction.why_broken(self.quic.over()).await,
        };
        if why == StreamError::Lost {
            self.quic.stop(CODE_BROKEN.into());
        }
        why
    }

    /// The bytes that come next; empty at the end. Cancel safe.
    async fn chunk(&mut self, most: usize) -> Result<Bytes, StreamError> {
        match &mut self.lanes {
            Lanes::None => return Ok(self.quic.chunk(most).await?.unwrap_or_default()),
            Lanes::Many(braid) => {
                return Ok(braid.left.split_to(most.min(braid.left.len())));
            }
            Lanes::One(_) => {}
        }
        let mut bytes = Vec::new();
        self.take(most, &mut bytes).await?;
        Ok(bytes.into())
    }

    fn count(&self, bytes: usize) {
        match self.lanes {
            Lanes::None => self.junction.moved(bytes),
            _ => self.junction.received_by_lane(bytes),
        }
    }

    /// Goes on with the lane of this name, or with it too, if there is one.
    fn turn_or_widen(&mut self, name: Name) -> bool {
        if matches!(&self.lanes, Lanes::Many(braid) if !braid.has_room()) {
            return false;
        }
        let Some(lane) = self.junction.way_in(name) else {
            return false;
        };
        self.lanes = match std::mem::replace(&mut self.lanes, Lanes::None) {
            Lanes::None => Lanes::One(Box::new(lane)),
            Lanes::One(first) => {
                let mut braid = BraidReader::new(*first);
                braid.join(lane);
                Lanes::Many(Box::new(braid))
            }
            Lanes::Many(mut braid) => {
                braid.join(lane);
                Lanes::Many(braid)
            }
        };
        true
    }

    /// Everything has come, by the lane.
    fn arrive(&mut self) {
        self.lanes = Lanes::None;
        self.quic.stop(CODE_RECEIVED.into());
    }
}

/// The number at the beginning of a header, once that is there.
fn mark(header: &[u8]) -> Option<u32> {
    header
        .first_chunk()
        .map(|length| u32::from_le_bytes(*length))
}
