//! A connection that gives up on a peer that does not read.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Sleep, sleep};

/// `S`, whose writes fail once something has waited for `timeout` to be taken.
///
/// The clock runs from the first write that has to wait until everything is
/// out, so taking a byte now and then does not stop it.
#[derive(Debug)]
pub(super) struct TimedIo<S> {
    inner: S,
    timeout: Duration,
    deadline: Option<Pin<Box<Sleep>>>,
}

impl<S> TimedIo<S> {
    pub(super) fn new(inner: S, timeout: Duration) -> Self {
        Self {
            inner,
            timeout,
            deadline: None,
        }
    }

    fn poll_late(&mut self, cx: &mut Context<'_>) -> Poll<io::Error> {
        let timeout = self.timeout;
        let deadline = self
            .deadline
            .get_or_insert_with(|| Box::pin(sleep(timeout)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(io::ErrorKind::TimedOut.into())
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for TimedIo<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for TimedIo<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        match Pin::new(&mut self.inner).poll_write(cx, buf) {
            Poll::Pending => self.poll_late(cx).map(Err),
            // The clock runs on: `poll_flush` is what says that all is out.
            written => written,
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = ready!(Pin::new(&mut self.inner).poll_flush(cx));
        self.deadline = None;
        Poll::Ready(flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match Pin::new(&mut self.inner).poll_shutdown(cx) {
            Poll::Pending => self.poll_late(cx).map(Err),
            done => done,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::time::Instant;

    use super::*;

    // Paused time jumps to the next timer when nothing else can run.
    #[tokio::test(start_paused = true)]
    async fn one_byte_now_and_then_is_not_reading() {
        let (ours, mut theirs) = duplex(16);
        let mut timed = TimedIo::new(ours, Duration::from_secs(10));
        let drip = tokio::spawn(async move {
            let mut byte = [0];
            while theirs.read_exact(&mut byte).await.is_ok() {
                sleep(Duration::from_secs(1)).await;
            }
        });
        let start = Instant::now();
        let error = timed.write_all(&[0; 1000]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(start.elapsed().as_secs(), 10);
        drop(timed);
        drip.await.unwrap();
    }

    #[tokio::test(start_paused = true)]
    async fn a_reader_may_rest_between_messages() {
        let (ours, mut theirs) = duplex(16);
        let mut timed = TimedIo::new(ours, Duration::from_secs(10));
        let slow = tokio::spawn(async move {
            let mut message = [0; 40];
            for _ in 0..3 {
                sleep(Duration::from_secs(8)).await;
                theirs.read_exact(&mut message).await.unwrap();
            }
        });
        for _ in 0..3 {
            timed.write_all(&[0; 40]).await.unwrap();
            timed.flush().await.unwrap();
        }
        slow.await.unwrap();
    }
}
