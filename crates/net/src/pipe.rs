//! A QUIC stream as frames and bytes: the one place that reads and writes
//! streams. Reading never allocates for a length that has not been checked,
//! and grows a buffer only as bytes arrive.

use bytes::{Buf, Bytes};
use gannet_base::wire::{self, FRAME_HEADER_BYTES, Malformed};
use iroh::endpoint::{ReadError, RecvStream, SendStream, VarInt, WriteError};

use crate::StreamError;
use crate::wire::{CODE_BROKEN, CODE_RECEIVED};

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
pub(crate) struct PartialFrame {
    /// First the header, then the body.
    bytes: Vec<u8>,
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

    /// Waits until something is there, then appends all that is, at most
    /// `bytes_max` (not zero), and says how much; 0 at the end. Cancel safe.
    pub(crate) async fn take(
        &mut self,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, StreamError> {
        if self.fill().await?.is_none() {
            return Ok(0);
        }
        let mut wanted = bytes_max;
        for piece in &mut self.pieces[self.next..self.filled] {
            let bytes = piece.len().min(wanted);
            out.extend_from_slice(&piece[..bytes]);
            consume(piece, bytes);
            wanted -= bytes;
            if wanted == 0 {
                break;
            }
        }
        Ok(bytes_max - wanted)
    }

    /// The next frame; `None` at an end between frames. Cancel safe.
    pub(crate) async fn frame(&mut self, bytes_max: usize) -> Result<Option<Bytes>, StreamError> {
        loop {
            let wanted = self.frame.wanted();
            if wanted > 0 {
                // Not lost if this is cancelled: only waiting is cancelled.
                self.fill().await?;
            }
            let there = self.next < self.filled;
            if wanted > 0 && !there {
                return self.frame.ended();
            }
            while self.next < self.filled && self.frame.wanted() > 0 {
                let piece = &mut self.pieces[self.next];
                let bytes = piece.len().min(self.frame.wanted());
                self.frame.bytes.extend_from_slice(&piece[..bytes]);
                consume(piece, bytes);
                if piece.is_empty() {
                    self.next += 1;
                }
            }
            if let Some(body) = self.frame.step(bytes_max)? {
                return Ok(Some(body));
            }
        }
    }

    /// Waits for the sender to give the stream up, or for the connection to
    /// end; for ever, if the sender ends it in good order. Only where nothing
    /// more is sent. Cancel safe.
    pub(crate) async fn given_up(&mut self) -> StreamError {
        loop {
            match self.fill().await {
                Ok(Some(piece)) => piece.clear(),
                Ok(None) => std::future::pending().await,
                Err(error) => return error,
            }
        }
    }

    /// The same, but an end in good order counts as giving up.
    pub(crate) async fn over(&mut self) -> StreamError {
        loop {
            match self.fill().await {
                Ok(Some(piece)) => piece.clear(),
                Ok(None) => return StreamError::Stopped,
                Err(error) => return error,
            }
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

/// Goes on in a piece. At its end the packet that it came in is freed: the next
/// read may be far off, and there are many connections.
fn consume(piece: &mut Bytes, bytes: usize) {
    piece.advance(bytes);
    if piece.is_empty() {
        *piece = Bytes::new();
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
            Err(ReadError::Reset(code)) if code == VarInt::from_u32(CODE_BROKEN) => {
                return Err(StreamError::Lost);
            }
            Err(ReadError::Reset(_)) => return Err(StreamError::Stopped),
            Err(ReadError::ClosedStream) => return Err(StreamError::Finished),
            Err(_) => return Err(StreamError::Lost),
        }
    }
}

impl PartialFrame {
    /// How many bytes are missing to what comes next, header or body.
    pub(crate) fn wanted(&self) -> usize {
        self.body_bytes.unwrap_or(FRAME_HEADER_BYTES) - self.bytes.len()
    }

    /// Where they go: not more than are wanted.
    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// Takes the step that the bytes allow: the body, when it is complete.
    pub(crate) fn step(&mut self, bytes_max: usize) -> Result<Option<Bytes>, StreamError> {
        if self.wanted() > 0 {
            return Ok(None);
        }
        if self.body_bytes.is_some() {
            let body = std::mem::take(&mut self.bytes);
            self.body_bytes = None;
            return Ok(Some(Bytes::from(body)));
        }
        let mut header = [0; FRAME_HEADER_BYTES];
        header.copy_from_slice(&self.bytes);
        let length = wire::frame_length(header, bytes_max).map_err(|error| {
            let bytes = match error {
                Malformed::TooLong { bytes } => bytes,
                _ => usize::MAX,
            };
            StreamError::TooLong { bytes, bytes_max }
        })?;
        self.bytes.clear();
        self.bytes.reserve(length.min(TRUSTED_BYTES));
        self.body_bytes = Some(length);
        // An empty body is complete already.
        if length == 0 {
            return self.step(bytes_max);
        }
        Ok(None)
    }

    /// What an end of the stream here means.
    pub(crate) fn ended(&self) -> Result<Option<Bytes>, StreamError> {
        if self.bytes.is_empty() && self.body_bytes.is_none() {
            Ok(None)
        } else {
            Err(StreamError::Truncated)
        }
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

    /// Sends these one after the other, without copying.
    pub(crate) async fn all(&mut self, parts: &mut [Bytes]) -> Result<(), StreamError> {
        self.send
            .write_all_chunks(parts)
            .await
            .map_err(stream_error)
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

    /// Waits for the peer to stop reading because it has everything, which is
    /// fine, or for another reason; or for the connection to end. Cancel safe.
    pub(crate) async fn stopped(&self) -> Result<(), StreamError> {
        let code = match self.send.stopped().await {
            Ok(Some(code)) => u32::try_from(u64::from(code)),
            // Only a finished stream ends like this.
            Ok(None) => return Err(StreamError::Finished),
            Err(_) => return Err(StreamError::Lost),
        };
        match code {
            Ok(CODE_RECEIVED) => Ok(()),
            Ok(CODE_BROKEN) => Err(StreamError::Lost),
            _ => Err(StreamError::Stopped),
        }
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
