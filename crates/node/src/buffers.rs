//! Buffers for slices, used again: a fresh megabyte costs the system more than
//! filling it costs us.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

/// Most buffers kept.
// Guess: two per stream of a busy download from eight sources.
const KEPT_MAX: usize = 16;
/// Larger buffers are not kept.
// Source: the largest slice of `swarm` and its proof.
const KEPT_BYTES_MAX: usize = 2 * 1024 * 1024;

/// A pool of byte buffers.
#[derive(Debug, Clone, Default)]
pub(crate) struct Buffers {
    free: Arc<Mutex<Vec<Vec<u8>>>>,
}

/// A buffer that goes back to its pool when dropped.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Vec<u8>,
    pool: Buffers,
}

impl Buffers {
    /// A buffer with anything in it.
    pub(crate) fn take(&self) -> Buffer {
        let bytes = self
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        Buffer {
            bytes: bytes.unwrap_or_default(),
            pool: self.clone(),
        }
    }
}

impl Buffer {
    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(crate) fn bytes_mut(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
    }

    /// The content for sending; the buffer goes back when the last part of it
    /// is sent.
    pub(crate) fn into_bytes(self) -> Bytes {
        Bytes::from_owner(self)
    }
}

impl AsRef<[u8]> for Buffer {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let bytes = std::mem::take(&mut self.bytes);
        let mut free = self
            .pool
            .free
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if free.len() < KEPT_MAX && bytes.capacity() <= KEPT_BYTES_MAX {
            free.push(bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_buffer_comes_back_when_its_last_part_is_gone() {
        let pool = Buffers::default();
        let mut buffer = pool.take();
        buffer.bytes_mut().extend_from_slice(&[7; 1000]);
        let whole = buffer.into_bytes();
        let part = whole.slice(10..20);
        drop(whole);
        assert_eq!(pool.free.lock().unwrap().len(), 0);
        drop(part);
        // With what is in it: filling it again then needs no zeroes first.
        assert_eq!(pool.take().bytes(), [7; 1000]);
    }
}
