//! The laboratory: the very cores, by the hundred thousand, in virtual time.
//!
//! **Problem.** Whether a protocol finds what is there, at what cost, and what
//! faults do to it, shows only at sizes that no desk has room for.
//!
//! **Goals.** Drive the cores of `overlay` and `swarm` over simulated links,
//! seeded and reproducible to the bit; measure; compare with what theory and
//! publications say.
//!
//! **Non-goals.** Models of protocols: only the cores themselves run here.
//!
//! **Invariant.** The same parameters and the same seed give the same result.

pub mod churn;
pub mod draw;
mod faults;
mod fingerprint;
mod gamma;
mod impossible;
pub mod lab;
mod links;
mod peers;
mod queue;
pub mod stats;
pub mod swarm;
pub mod topology;
pub mod workload;
mod world;

pub use faults::{Cut, Faults};
pub use fingerprint::Fingerprint;
pub use impossible::Impossible;
pub use links::{Bandwidth, Latency, LatencyMatrix, LinkModel, Mode};
pub use peers::{node_of, peer_id};
pub use queue::Calendar;
pub use world::{App, Stats, World};
