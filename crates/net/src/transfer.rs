//! Bulk streams. The types say nothing of QUIC: another road for the same
//! bytes can be put under them.

use bytes::Bytes;

use crate::StreamError;
use crate::pipe::{PipeReader, PipeWriter};
use crate::wire::CODE_STOPPED;

/// A stream for one transfer, open in both directions.
#[derive(Debug)]
pub struct TransferStream {
    /// What this side sends.
    pub sender: TransferSender,
    /// What the peer sends.
    pub receiver: TransferReceiver,
}

impl TransferStream {
    pub(crate) fn new(writer: PipeWriter, reader: PipeReader) -> Self {
        Self {
            sender: TransferSender {
                road: SendRoad::Quic(writer),
            },
            receiver: TransferReceiver {
                road: ReceiveRoad::Quic(reader),
            },
        }
    }
}

/// The sending half of a [`TransferStream`]. Dropping it ends the stream in
/// good order, like [`TransferSender::finish`].
#[derive(Debug)]
pub struct TransferSender {
    road: SendRoad,
}

/// The receiving half of a [`TransferStream`]. Dropping it tells the peer to
/// stop.
#[derive(Debug)]
pub struct TransferReceiver {
    road: ReceiveRoad,
}

#[derive(Debug)]
enum SendRoad {
    Quic(PipeWriter),
}

#[derive(Debug)]
enum ReceiveRoad {
    Quic(PipeReader),
}

impl TransferSender {
    /// Sends a frame: a length and `body`. Waits while the peer does not read.
    /// Not cancel safe: the stream is of no use after a cancelled call.
    ///
    /// # Errors
    ///
    /// If the stream or the connection is gone, or the body is 4 GiB long.
    pub async fn send_frame(&mut self, body: &[u8]) -> Result<(), StreamError> {
        match &mut self.road {
            SendRoad::Quic(writer) => writer.frame(body).await,
        }
    }

    /// Sends bytes as they are, without copying them: what they are and how
    /// many, a frame before them must say. Waits while the peer does not read.
    /// Not cancel safe, as above.
    ///
    /// # Errors
    ///
    /// If the stream or the connection is gone.
    pub async fn send_bytes(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        match &mut self.road {
            SendRoad::Quic(writer) => writer.bytes(bytes).await,
        }
    }

    /// Says that nothing more follows; what was sent still arrives.
    pub fn finish(&mut self) {
        match &mut self.road {
            SendRoad::Quic(writer) => writer.finish(),
        }
    }

    /// Gives the stream up: what was sent may or may not arrive.
    pub fn reset(&mut self) {
        match &mut self.road {
            SendRoad::Quic(writer) => writer.reset(CODE_STOPPED.into()),
        }
    }

    /// After [`TransferSender::finish`]: waits until the peer has received
    /// everything.
    ///
    /// # Errors
    ///
    /// If it stopped reading, or the connection is gone.
    pub async fn delivered(&self) -> Result<(), StreamError> {
        match &self.road {
            SendRoad::Quic(writer) => writer.delivered().await,
        }
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
        match &mut self.road {
            ReceiveRoad::Quic(reader) => reader.frame(bytes_max).await,
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
        match &mut self.road {
            ReceiveRoad::Quic(reader) => reader.bytes(count, out).await,
        }
    }

    /// Up to `bytes_max` of the bytes that come next, as they arrived and
    /// without copying; `None` at the end of the stream. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the stream or the connection is gone.
    pub async fn chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, StreamError> {
        match &mut self.road {
            ReceiveRoad::Quic(reader) => reader.chunk(bytes_max).await,
        }
    }

    /// Tells the peer to stop sending; nothing can be read any more.
    pub fn stop(&mut self) {
        match &mut self.road {
            ReceiveRoad::Quic(reader) => reader.stop(CODE_STOPPED.into()),
        }
    }
}
