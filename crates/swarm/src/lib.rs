//! Fetching one content from many peers at once, and serving many peers from
//! few slots, as deterministic state machines.
//!
//! **Problem.** Sources differ by orders of magnitude in speed, come and go,
//! lie, stall, and hold only parts; still a file should arrive as fast as the
//! sum of what they give. On the other side many peers want bytes from a
//! machine that can serve few at a time, and none may crowd out the rest.
//!
//! **Goals.** [`Downloads`] decides which slice is asked of whom and when to
//! stop waiting; [`Uploads`] decides who is served and whose slice is next;
//! [`TokenBucket`] says how long bytes must wait for a rate limit.
//!
//! **Non-goals.** Bytes. No content byte passes through this crate: the driver
//! moves them between `store` and `net` and reports what came of it.
//!
//! **Invariant.** Every wanted group of a download is exactly one of: verified, in
//! flight, or open. No clock, no socket, no file, no ambient randomness.

mod bucket;
mod download;
mod message;
mod rate;
mod runs;
mod timers;
mod upload;

#[doc(hidden)]
pub mod fuzz;

pub use bucket::TokenBucket;
pub use download::{
    DownloadCommand, DownloadEvent, DownloadState, DownloadStatus, Downloads, DownloadsConfig,
    DropReason, Expected, SourceState, SourceStatus, WaitReason,
};
pub use message::{Have, RefusedReason, SIZE_BYTES_MAX, TransferMessage, slice_bytes_max};
pub use upload::{
    ServeFailure, UploadCommand, UploadEvent, UploadState, UploadStatus, Uploads, UploadsConfig,
    UploadsStatus,
};
