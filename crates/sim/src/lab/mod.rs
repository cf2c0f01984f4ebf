//! The experiments of `gannet lab`.
//!
//! Each is a module with `Params`, a `Report` and
//! `run(&Params) -> Result<Report, Impossible>`. A report holds nothing that
//! depends on the machine or the hour, so the same parameters and the same
//! seed print the same report to the byte; how fast it went is measured by who
//! calls `run`.

pub mod attack;
pub mod churn;
pub mod devices;
pub mod flood;
mod flood_wire;
pub mod join;
pub mod search;
pub mod seeds;
pub mod swarm;

use std::fmt;

pub use gannet_overlay::flood::Strategy;
use serde::{Serialize, Serializer};

/// One number for everything that happened in an experiment, 16 hexadecimal
/// digits: two runs that differ in one event differ in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EventHash(pub u64);

impl fmt::Display for EventHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// As text: programs that read JSON often keep whole numbers to 2^53 only.
impl Serialize for EventHash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}
