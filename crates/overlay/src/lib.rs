//! Finding: the overlays as sans-IO state machines.
//!
//! **Problem.** A file is somewhere among many machines; words are all that
//! the searcher has.
//!
//! **Goals.** Overlays that each find files in a way of their own, driven
//! alike (by [`gannet_base::Core`]) over real and over simulated connections.
//!
//! **Non-goals.** Fetching, files on disk, connections.
//!
//! **Invariant.** No clock, no socket, no file, no ambient randomness: the same
//! inputs and the same seed give the same outputs.

pub mod dht;
pub mod flood;
mod fuzz;
pub mod hub;
pub mod locate;
mod rare_map;
pub mod supernode;
