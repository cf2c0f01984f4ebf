//! The vocabulary of Gannet.
//!
//! **Problem.** Finding, fetching and storing are written apart and driven by
//! two programs (a node over real connections, a simulator over simulated
//! ones). They must agree on what a peer, a file, a query and a protocol are.
//!
//! **Goals.** Small value types that validate when made; one trait, [`Core`],
//! that every protocol implements; one wire encoding with stated limits.
//!
//! **Non-goals.** Anything that does something: no search, no transfer, no IO.
//!
//! **Invariant.** No clock, no socket, no file, no ambient randomness, no
//! tokio.

mod core;
mod entry;
mod groups;
mod ids;
mod keep;
mod publication;
mod query;
mod rng;
mod text;
mod time;

pub mod link;
pub mod wire;

pub use crate::core::{Core, Link, Output, pump, step};
pub use entry::{Dimensions, FileEntry, FileKind, InvalidEntry, Media};
pub use groups::{GROUP_BYTES, GroupRange, GroupSet, InvalidGroupSet, groups_in};
pub use ids::{ContentId, ParseIdError, PeerId};
pub use keep::{BLOCK_BYTES, BlockId, InvalidKeep, KeepOrder, KeepRelease};
pub use link::{GannetLink, LinkKind, ParseLinkError, PeerAddress};
pub use publication::{InvalidPublication, Publication};
pub use query::{Hit, InvalidQuery, Query, Row};
pub use rng::{AwakeRng, RestingRng, Rng, fork_rng, seeded_rng};
pub use text::{Escaped, sanitise_line};
pub use time::{Timestamp, WallTime};
