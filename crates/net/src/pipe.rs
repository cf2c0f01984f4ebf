//! A QUIC stream as frames and bytes: the one place that reads and writes
//! streams. Reading never allocates for a length that has not been checked,
//! and grows a buffer only as bytes arrive.

use bytes::{Buf, Bytes};
use gannet_base::wire::{self, FRAME_HEADER_BYTES, Malformed};
use iroh::endpoint::{ReadError, RecvStream, SendStream, VarInt, WriteError};

use crate::StreamError;

/// How many received pieces (about a packet each) are taken from the
/// connection at once: each taking locks the connection.
// Guess: 45 KiB, a fraction of every window.
const PIECES: usize = 32;

/// Body capacity reserved on the word of a frame header alone, bytes.
// Guess: most messages are smaller.
const TRUSTED_BYTES: usize = 4 * 1024;

/// The receiving half of a stream.
#[derive(Debug)]
pub(crate) struct PipeReader {
    recv: RecvStream,
    pieces: Box<[Bytes; PIECES]>,
    next: usize,
    filled: usize,
    frame: PartialFrame,
}

/// A frame of which some has arrived: kept between calls, so that a reader may
/// be cancelled and go on later.
#[derive(Debug, Default)]
struct PartialFrame {
    header: [u8; FRAME_HEADER_BYTES],
    header_bytes: usize,
    body: Vec<u8>,
    body_bytes: Option<usize>,
}

impl PipeReader {
    pub(crate) fn new(recv: RecvStream) -> Self {
        Self {
            recv,
            pieces: Default::default(),
            next: 0,
            filled: 0,
            frame: PartialFrame::default(),
        }
    }

    /// Up to `bytes_max` of what comes next, without copying; `None` at the
    /// end. Cancel safe.
    pub(crate) async fn chunk(&mut self, bytes_max: usize) -> Result<Option<Bytes>, StreamError> {
        Ok(self.fill().await?.map(|piece| {
            let bytes = piece.len().min(bytes_max);
            piece.split_to(bytes)
        }))
    }

    /// The next byte; `None` at the end. Cancel safe.
    pub(crate) async fn byte(&mut self) -> Result<Option<u8>, StreamError> {
        Ok(self.fill().await?.map(Buf::get_u8))
    }

    /// Appends exactly `count` bytes to `out`. What arrived before an error or
    /// a cancellation is in `out`.
    pub(crate) async fn bytes(
        &mut self,
        count: usize,
        out: &mut Vec<u8>,
    ) -> Result<(), StreamError> {
        let mut wanted = count;
        while wanted > 0 {
            let piece = self.fill().await?.ok_or(StreamError::Truncated)?;
            let bytes = piece.len().min(wanted);
            out.extend_from_slice(&piece[..bytes]);
            piece.advance(bytes);
            wanted -= bytes;
        }
        Ok(())
    }

    /// The next frame; `None` at an end between frames. Cancel safe.
    pub(crate) async fn frame(&mut self, bytes_max: usize) -> Result<Option<Bytes>, StreamError> {
        loop {
            if let Some(body) = self.frame.take_complete() {
                return Ok(Some(body));
            }
            let Some(piece) = fill(
                &mut self.recv,
                &mut self.pieces,
                &mut self.next,
                &mut self.filled,
            )
            .await?
            else {
                let between_frames = self.frame.header_bytes == 0;
                return if between_frames {
                    Ok(None)
                } else {
                    Err(StreamError::Truncated)
                };
            };
            self.frame.accept(piece, bytes_max)?;
        }
    }

    /// Tells the sender that nothing more will be read.
    pub(crate) fn stop(&mut self, code: VarInt) {
        // An error says that the stream is over already.
        let _ = self.recv.stop(code);
    }

    async fn fill(&mut self) -> Result<Option<&mut Bytes>, StreamError> {
        fill(
            &mut self.recv,
            &mut self.pieces,
            &mut self.next,
            &mut self.filled,
        )
        .await
    }
}

/// The next piece that is not empty; `None` at the end of the stream.
async fn fill<'a>(
    recv: &mut RecvStream,
    pieces: &'a mut [Bytes; PIECES],
    next: &mut usize,
    filled: &mut usize,
) -> Result<Option<&'a mut Bytes>, StreamError> {
    loop {
        while *next < *filled && pieces[*next].is_empty() {
            // Frees the packet that the piece came in.
            pieces[*next] = Bytes::new();
            *next += 1;
        }
        if *next < *filled {
            return Ok(Some(&mut pieces[*next]));
        }
        match recv.read_many_chunks(pieces).await {
            Ok(None) => return Ok(None),
            Ok(Some(count)) => {
                *next = 0;
                *filled = count;
            }
            Err(ReadError::Reset(_)) => return Err(StreamError::Stopped),
            Err(ReadError::ClosedStream) => return Err(StreamError::Finished),
            Err(_) => return Err(StreamError::Lost),
        }
    }
}

impl PartialFrame {
    /// Takes what belongs to this frame from the front of `piece`.
    fn accept(&mut self, piece: &mut Bytes, bytes_max: usize) -> Result<(), StreamError> {
        let Some(body_bytes) = self.body_bytes else {
            let wanted = FRAME_HEADER_BYTES - self.header_bytes;
            let bytes = piece.len().min(wanted);
            piece.copy_to_slice(&mut self.header[self.header_bytes..][..bytes]);
            self.header_bytes += bytes;
            if self.header_bytes == FRAME_HEADER_BYTES {
                let length = wire::frame_length(self.header, bytes_max).map_err(|error| {
                    let bytes = match error {
                        Malformed::TooLong { bytes } => bytes,
                        _ => usize::MAX,
                    };
                    StreamError::TooLong { bytes, bytes_max }
                })?;
                self.body.reserve(length.min(TRUSTED_BYTES));
                self.body_bytes = Some(length);
            }
            return Ok(());
        };
        let bytes = piece.len().min(body_bytes - self.body.len());
        self.body.extend_from_slice(&piece[..bytes]);
        piece.advance(bytes);
        Ok(())
    }

    fn take_complete(&mut self) -> Option<Bytes> {
        if self.body_bytes != Some(self.body.len()) {
            return None;
        }
        let body = std::mem::take(&mut self.body);
        *self = Self::default();
        Some(Bytes::from(body))
    }
}

/// The sending half of a stream.
#[derive(Debug)]
pub(crate) struct PipeWriter {
    send: SendStream,
}

impl PipeWriter {
    pub(crate) fn new(send: SendStream) -> Self {
        Self { send }
    }

    /// Sends bytes as they are, without copying.
    pub(crate) async fn bytes(&mut self, bytes: Bytes) -> Result<(), StreamError> {
        self.send.write_chunk(bytes).await.map_err(stream_error)
    }

    /// Sends a frame.
    pub(crate) async fn frame(&mut self, body: &[u8]) -> Result<(), StreamError> {
        let length = u32::try_from(body.len()).map_err(|_| StreamError::TooLong {
            bytes: body.len(),
            bytes_max: wire::FRAME_BYTES_MAX,
        })?;
        let mut framed = Vec::with_capacity(FRAME_HEADER_BYTES + body.len());
        framed.extend_from_slice(&length.to_le_bytes());
        framed.extend_from_slice(body);
        self.bytes(Bytes::from(framed)).await
    }

    /// Says that nothing more follows.
    pub(crate) fn finish(&mut self) {
        // An error says that the stream is over already.
        let _ = self.send.finish();
    }

    /// Gives the stream up: what is not yet delivered may be lost.
    pub(crate) fn reset(&mut self, code: VarInt) {
        // As above.
        let _ = self.send.reset(code);
    }

    /// Returns when the peer has everything, or gave the stream up.
    pub(crate) async fn delivered(&self) -> Result<(), StreamError> {
        match self.send.stopped().await {
            Ok(None) => Ok(()),
            Ok(Some(_)) => Err(StreamError::Stopped),
            Err(_) => Err(StreamError::Lost),
        }
    }
}

fn stream_error(error: WriteError) -> StreamError {
    match error {
        WriteError::Stopped(_) => StreamError::Stopped,
        WriteError::ClosedStream => StreamError::Finished,
        WriteError::ConnectionLost(_) | WriteError::ZeroRttRejected => StreamError::Lost,
    }
}
