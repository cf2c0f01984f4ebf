//! One lane: an encrypted TCP connection, its two halves used by two tasks.
//! Bytes go in and come out in order; where things begin and end, `transfer`
//! says.

use std::collections::VecDeque;
use std::io::{self, IoSlice};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::cipher::OutboundChunks;
use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use super::Place;
use super::record::{Opener, RECORD_BYTES_MAX, RecordError, Sealer, WIRE_BYTES_MAX};
use super::tls::Encrypted;

/// Bytes taken from the system at once, at most. Too low: a system call for
/// each record; too high: what is decrypted has left the processor's cache.
// Guess: a quarter of a usual second-level cache.
const READ_BYTES: usize = 256 * 1024;
/// Bytes encrypted before they are handed to the system. Same trade.
const WRITE_BYTES: usize = 256 * 1024;
const _: () = assert!(READ_BYTES >= 2 * WIRE_BYTES_MAX && WRITE_BYTES >= RECORD_BYTES_MAX);

/// How long the other end may leave data or probes unanswered, or read nothing.
/// Too short: a lane ends with every hiccup; too long: a transfer hangs.
// Source: the idle timeout of QUIC connections.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// Time between probes of a lane on which nothing moves.
// Source: the heartbeat of QUIC connections.
const PROBE_INTERVAL: Duration = Duration::from_secs(5);

/// Why a lane is of no use any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LaneError {
    /// The connection broke, or the other side closed it.
    Broken,
    /// What came was altered on the way or makes no sense.
    Forged,
}

/// A lane that no transfer uses yet.
#[derive(Debug)]
pub(crate) struct Lane {
    pub(crate) writer: LaneWriter,
    pub(crate) reader: LaneReader,
}

/// The sending half. Dropping it says that nothing more follows.
#[derive(Debug)]
pub(crate) struct LaneWriter {
    tcp: OwnedWriteHalf,
    sealer: Sealer,
    /// Records on their way to the system, and how much of the first is there.
    sealed: VecDeque<Vec<u8>>,
    sent: usize,
    _place: Arc<Place>,
}

/// The receiving half.
#[derive(Debug)]
pub(crate) struct LaneReader {
    tcp: OwnedReadHalf,
    opener: Opener,
    /// Records as they came: those not decrypted yet are `start..end`.
    buffer: Box<[u8]>,
    start: usize,
    end: usize,
    /// Content that was decrypted and not asked for yet, and how much of it was.
    spare: Vec<u8>,
    spare_taken: usize,
    _place: Arc<Place>,
}

impl Lane {
    pub(super) fn new(tcp: TcpStream, made: Encrypted, place: Place) -> Self {
        let place = Arc::new(place);
        let (read_half, write_half) = tcp.into_split();
        let mut buffer = vec![0; READ_BYTES.max(made.unread.len())].into_boxed_slice();
        buffer[..made.unread.len()].copy_from_slice(&made.unread);
        Self {
            writer: LaneWriter {
                tcp: write_half,
                sealer: made.sealer,
                sealed: VecDeque::new(),
                sent: 0,
                _place: place.clone(),
            },
            reader: LaneReader {
                tcp: read_half,
                opener: made.opener,
                buffer,
                start: 0,
                end: made.unread.len(),
                spare: made.early,
                spare_taken: 0,
                _place: place,
            },
        }
    }
}

/// Settings of every lane's socket.
pub(super) fn prepare(tcp: &TcpStream) -> io::Result<()> {
    tcp.set_nodelay(true)?;
    let socket = SockRef::from(tcp);
    let probes = TcpKeepalive::new()
        .with_time(PROBE_INTERVAL)
        .with_interval(PROBE_INTERVAL);
    socket.set_tcp_keepalive(&probes)?;
    #[cfg(any(target_os = "linux", target_os = "android"))]
    socket.set_tcp_user_timeout(Some(SILENCE_MAX))?;
    Ok(())
}

impl LaneWriter {
    /// Sends these parts one after the other. Waits while the peer does not
    /// read. Not cancel safe: the lane is of no use after a cancelled call.
    pub(crate) async fn send(&mut self, parts: &[&[u8]]) -> Result<(), LaneError> {
        let mut left = OutboundChunks::new(parts);
        while !left.is_empty() {
            let (now, later) = left.split_at(WRITE_BYTES.min(left.len()));
            self.seal(&now)?;
            left = later;
            while !self.sealed.is_empty() {
                self.write().await?;
            }
        }
        Ok(())
    }

    /// Sends these parts without waiting, in a task of its own if it must be,
    /// and closes this half.
    pub(crate) fn send_last(mut self, parts: &[&[u8]]) {
        if self.seal(&OutboundChunks::new(parts)).is_err() {
            return;
        }
        let rest = async move { while !self.sealed.is_empty() && self.write().await.is_ok() {} };
        // Without a runtime, everything is ending anyway.
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(rest);
        }
    }

    fn seal(&mut self, content: &OutboundChunks<'_>) -> Result<(), LaneError> {
        let mut records = Vec::with_capacity(content.len() / RECORD_BYTES_MAX + 2);
        self.sealer
            .seal(content, &mut records)
            .ok_or(LaneError::Broken)?;
        self.sealed.extend(records);
        Ok(())
    }

    async fn write(&mut self) -> Result<(), LaneError> {
        const SLICES_MAX: usize = 32;
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let mut filled = 0;
        for (slice, record) in slices.iter_mut().zip(&self.sealed) {
            let from = if filled == 0 { self.sent } else { 0 };
            *slice = IoSlice::new(&record[from..]);
            filled += 1;
        }
        let written = self.tcp.write_vectored(&slices[..filled]).await;
        let mut written = written.map_err(|_| LaneError::Broken)?;
        if written == 0 {
            return Err(LaneError::Broken);
        }
        while let Some(first) = self.sealed.front() {
            let left = first.len() - self.sent;
            if written < left {
                self.sent += written;
                break;
            }
            written -= left;
            self.sent = 0;
            self.sealed.pop_front();
        }
        Ok(())
    }

    #[cfg(test)]
    pub(super) fn change_keys_every(&mut self, records: u64) {
        self.sealer.change_keys_every(records);
    }
}

impl LaneReader {
    /// Waits until something is there, then appends all that is, at most
    /// `bytes_max` (not zero), and says how much. Cancel safe.
    pub(crate) async fn take(
        &mut self,
        bytes_max: usize,
        out: &mut Vec<u8>,
    ) -> Result<usize, LaneError> {
        loop {
            let taken = self.take_ready(bytes_max, out)?;
            if taken > 0 {
                return Ok(taken);
            }
            if self.buffer.len() - self.end < WIRE_BYTES_MAX {
                self.buffer.copy_within(self.start..self.end, 0);
                self.end -= self.start;
                self.start = 0;
            }
            match self.tcp.read(&mut self.buffer[self.end..]).await {
                Ok(bytes) if bytes > 0 => self.end += bytes,
                _ => return Err(LaneError::Broken),
            }
        }
    }

    /// Decrypts what is there into `out`.
    fn take_ready(&mut self, bytes_max: usize, out: &mut Vec<u8>) -> Result<usize, LaneError> {
        let mut wanted = bytes_max;
        let spare = &self.spare[self.spare_taken..];
        if !spare.is_empty() {
            let bytes = spare.len().min(wanted);
            out.extend_from_slice(&spare[..bytes]);
            self.spare_taken += bytes;
            wanted -= bytes;
        }
        while wanted > 0 {
            let there = &self.buffer[self.start..self.end];
            let record_bytes = match Opener::record_bytes(there) {
                Ok(Some(bytes)) if bytes <= there.len() => bytes,
                Ok(_) => break,
                Err(error) => return Err(error.into()),
            };
            let record = &mut self.buffer[self.start..][..record_bytes];
            let content = self.opener.open(record).map_err(LaneError::from)?;
            let bytes = content.len().min(wanted);
            out.extend_from_slice(&content[..bytes]);
            wanted -= bytes;
            if bytes < content.len() {
                self.spare.clear();
                self.spare.extend_from_slice(&content[bytes..]);
                self.spare_taken = 0;
            }
            self.start += record_bytes;
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
            }
        }
        Ok(bytes_max - wanted)
    }
}

impl From<RecordError> for LaneError {
    fn from(error: RecordError) -> Self {
        match error {
            RecordError::Closed => Self::Broken,
            RecordError::Forged | RecordError::Unexpected => Self::Forged,
        }
    }
}

#[cfg(test)]
mod tests {
    use gannet_base::PeerId;
    use iroh::SecretKey;
    use tokio::net::TcpListener;

    use super::super::{FastRoad, tls};
    use super::*;
    use crate::limits::AddressPolicy;
    use crate::{BulkRoad, Congestion, Limits};

    fn key(seed: u8) -> (SecretKey, PeerId) {
        let key = SecretKey::from_bytes(&[seed; 32]);
        let peer = PeerId::from_bytes(*key.public().as_bytes());
        (key, peer)
    }

    /// Both ends of a TCP connection, and what they make of it.
    async fn encrypt(
        dialed: PeerId,
        expected: PeerId,
    ) -> (
        io::Result<(TcpStream, Encrypted)>,
        io::Result<(TcpStream, Encrypted)>,
    ) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let dialing = async {
            let mut tcp = TcpStream::connect(address).await?;
            prepare(&tcp)?;
            let made = tls::dial(&mut tcp, &key(1).0, dialed).await?;
            Ok((tcp, made))
        };
        let accepting = async {
            let (mut tcp, _) = listener.accept().await?;
            let made = tls::accept(&mut tcp, &key(2).0, expected).await?;
            Ok((tcp, made))
        };
        tokio::join!(dialing, accepting)
    }

    async fn lanes() -> (Lane, Lane) {
        let (dialed, accepted) = encrypt(key(2).1, key(1).1).await;
        let limits = Limits::default();
        let policy = AddressPolicy::default();
        let road = FastRoad::new(
            (BulkRoad::Auto, Congestion::Auto, None),
            key(1).0,
            Vec::new(),
            &limits,
            policy,
        );
        let road = Arc::new(road);
        let lane = |(tcp, made)| Lane::new(tcp, made, road.take_place(key(1).1).unwrap());
        (lane(dialed.unwrap()), lane(accepted.unwrap()))
    }

    #[tokio::test]
    async fn only_the_expected_keys_shake_hands() {
        let stranger = key(3).1;
        let (dialed, accepted) = encrypt(stranger, key(1).1).await;
        assert!(dialed.is_err() && accepted.is_err());
        // The side that dialled is done first and hears of it later.
        let (_, accepted) = encrypt(key(2).1, stranger).await;
        assert!(accepted.is_err());
        let (dialed, accepted) = encrypt(key(2).1, key(1).1).await;
        assert!(dialed.is_ok() && accepted.is_ok());
    }

    fn pattern(length: usize) -> Vec<u8> {
        let mut bytes = vec![0; length];
        blake3::Hasher::new().finalize_xof().fill(&mut bytes);
        bytes
    }

    /// Pieces of every size about a record's and a buffer's, both ways at once.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bytes_come_out_as_they_went_in_while_keys_change() {
        let (mut near, mut far) = lanes().await;
        near.writer.change_keys_every(3);
        far.writer.change_keys_every(50);
        let sizes = [
            1,
            5,
            16_383,
            16_384,
            16_385,
            100,
            READ_BYTES,
            READ_BYTES + 1,
            3_000_000,
        ];
        let whole = pattern(sizes.iter().sum());
        let run = async |mut lane: Lane, whole: Vec<u8>| {
            let copy = whole.clone();
            let mut writer = lane.writer;
            let writing = tokio::spawn(async move {
                let mut left = &copy[..];
                for size in sizes {
                    let (head, tail) = left[..size].split_at(size / 3);
                    writer.send(&[head, tail]).await.unwrap();
                    left = &left[size..];
                }
                writer.send_last(&[b"the end"]);
            });
            let (mut out, mut step) = (Vec::new(), 1);
            while out.len() < whole.len() {
                let wanted = (whole.len() - out.len()).min(step);
                let before = out.len();
                let taken = lane.reader.take(wanted, &mut out).await.unwrap();
                assert!(taken <= wanted && out.len() == before + taken);
                step = step * 2 % 70_001 + 1;
            }
            assert!(out == whole);
            let mut end = Vec::new();
            while lane.reader.take(100, &mut end).await.is_ok() {}
            assert_eq!(end, b"the end");
            writing.await.unwrap();
        };
        tokio::join!(run(near, whole.clone()), run(far, whole));
    }

    #[tokio::test]
    async fn an_altered_record_is_not_taken() {
        let (dialed, accepted) = encrypt(key(2).1, key(1).1).await;
        let (_keep, mut near) = dialed.unwrap();
        let (_also, mut far) = accepted.unwrap();
        let mut records = Vec::new();
        near.sealer
            .seal(&OutboundChunks::Single(b"as it was"), &mut records)
            .unwrap();
        let sealed = records.remove(0);
        assert_eq!(Opener::record_bytes(&sealed), Ok(Some(sealed.len())));
        for at in 5..sealed.len() {
            let mut altered = sealed.clone();
            altered[at] ^= 1;
            assert_eq!(far.opener.open(&mut altered), Err(RecordError::Forged));
        }
        let mut as_it_was = sealed.clone();
        assert_eq!(far.opener.open(&mut as_it_was), Ok(&b"as it was"[..]));
        // The same again is not the next one.
        let mut again = sealed;
        assert_eq!(far.opener.open(&mut again), Err(RecordError::Forged));
        for header in [[22, 3, 3, 0, 9], [23, 3, 3, 255, 255]] {
            assert_eq!(
                Opener::record_bytes(&header),
                Err(RecordError::Unexpected),
                "{header:?}"
            );
        }
        assert_eq!(Opener::record_bytes(&[23, 3, 3]), Ok(None));
    }
}
