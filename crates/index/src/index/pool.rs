//! Memory that one query leaves to the next.

use std::sync::Mutex;

use super::chunk::{Bitmap, CHUNK_WORDS};
use super::common::{Common, Marks};
use super::order::Track;
use super::pair::Ordered;

/// Memory to be used again by the next query.
#[derive(Debug)]
pub(super) struct Buffers {
    pub(super) common: Common,
    /// Of it, what is not alone.
    pub(super) beside: Common,
    /// Single matches of a chunk.
    pub(super) singles: Bitmap,
    pub(super) tracks: Vec<Track>,
    pub(super) marks: Marks,
    pub(super) ordered: Option<Box<Ordered>>,
}

/// Where the memory waits. What is in it has no influence on any result.
#[derive(Debug, Default)]
pub(super) struct Pool(Mutex<Option<Box<Buffers>>>);

impl Pool {
    /// New memory if another query has it.
    pub(super) fn take(&self) -> Box<Buffers> {
        let pooled = self.0.try_lock().ok().and_then(|mut pooled| pooled.take());
        pooled.unwrap_or_else(|| {
            Box::new(Buffers {
                common: Common::default(),
                beside: Common::default(),
                singles: [0; CHUNK_WORDS],
                tracks: Vec::new(),
                marks: Marks::default(),
                ordered: None,
            })
        })
    }

    pub(super) fn put_back(&self, buffers: Box<Buffers>) {
        if let Ok(mut pooled) = self.0.try_lock() {
            *pooled = Some(buffers);
        }
    }
}
