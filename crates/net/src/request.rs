//! One question, one answer in frames, one stream for both.

use std::time::Duration;

use bytes::Bytes;
use gannet_base::wire::FRAME_BYTES_MAX;
use tokio::time::timeout;

use crate::pipe::{PipeReader, PipeWriter};
use crate::wire::CODE_REFUSED;
use crate::{RequestError, StreamError};

/// Where the answer to a request goes. Dropping it before
/// [`Reply::finish`] refuses the request.
#[derive(Debug)]
pub struct Reply {
    writer: PipeWriter,
    frames_left: usize,
    timeout: Duration,
    finished: bool,
}

impl Reply {
    pub(crate) fn new(writer: PipeWriter, frames_max: usize, timeout: Duration) -> Self {
        Self {
            writer,
            frames_left: frames_max,
            timeout,
            finished: false,
        }
    }

    /// Sends the next frame of the answer, at most
    /// [`FRAME_BYTES_MAX`] bytes. Waits while the peer does not read, but not
    /// longer than [`Limits::request_timeout`](crate::Limits::request_timeout).
    ///
    /// # Errors
    ///
    /// If the frame is too long or one too many, the peer went away or does
    /// not read.
    pub async fn send(&mut self, body: &[u8]) -> Result<(), StreamError> {
        if body.len() > FRAME_BYTES_MAX {
            return Err(StreamError::TooLong {
                bytes: body.len(),
                bytes_max: FRAME_BYTES_MAX,
            });
        }
        self.frames_left = self
            .frames_left
            .checked_sub(1)
            .ok_or(StreamError::Finished)?;
        timeout(self.timeout, self.writer.frame(body))
            .await
            .unwrap_or(Err(StreamError::TimedOut))
    }

    /// Ends the answer.
    pub fn finish(mut self) {
        self.finished = true;
        self.writer.finish();
    }

    /// Declines to answer.
    pub fn refuse(self) {
        drop(self);
    }
}

impl Drop for Reply {
    fn drop(&mut self) {
        if !self.finished {
            self.writer.reset(CODE_REFUSED.into());
        }
    }
}

/// The answer to a request, frame by frame.
#[derive(Debug)]
pub struct Answers {
    reader: PipeReader,
    frames_left: usize,
    timeout: Duration,
}

impl Answers {
    pub(crate) fn new(reader: PipeReader, frames_max: usize, timeout: Duration) -> Self {
        Self {
            reader,
            frames_left: frames_max,
            timeout,
        }
    }

    /// The next frame; `None` when the answer is complete. Cancel safe.
    ///
    /// # Errors
    ///
    /// If the peer refuses, is silent for too long, says too much, or is gone.
    pub async fn next(&mut self) -> Result<Option<Bytes>, RequestError> {
        let frame = timeout(self.timeout, self.reader.frame(FRAME_BYTES_MAX))
            .await
            .map_err(|_| RequestError::TimedOut)?
            .map_err(|error| match error {
                StreamError::Stopped | StreamError::Finished => RequestError::Refused,
                StreamError::TooLong { .. } => RequestError::Excess,
                StreamError::Truncated | StreamError::Lost | StreamError::TimedOut => {
                    RequestError::Lost
                }
            })?;
        if frame.is_some() {
            self.frames_left = self
                .frames_left
                .checked_sub(1)
                .ok_or(RequestError::Excess)?;
        }
        Ok(frame)
    }

    /// The whole answer, frames in order.
    ///
    /// # Errors
    ///
    /// As [`Answers::next`].
    pub async fn collect(mut self) -> Result<Vec<Bytes>, RequestError> {
        let mut frames = Vec::new();
        while let Some(frame) = self.next().await? {
            frames.push(frame);
        }
        Ok(frames)
    }
}
