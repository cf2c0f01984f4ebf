//! The experiments of `gannet lab`.
//!
//! Each is a module with `Params`, a `Report` and
//! `run(&Params) -> Result<Report, Impossible>`. A report holds nothing that
//! depends on the machine or the hour, so the same parameters and the same
//! seed print the same report to the byte; how fast it went is measured by who
//! calls `run`.

pub mod attack;
pub mod chord;
pub mod churn;
pub mod devices;
mod dht;
pub mod flood;
mod flood_wire;
pub mod join;
pub mod keep;
mod library;
mod people;
pub mod search;
pub mod seeds;
#[cfg(test)]
mod soundness;
pub mod supernode;
pub mod swarm;
mod turnover;

use std::fmt;

use gannet_base::{PeerAddress, Rng};
pub use gannet_overlay::flood::Strategy;
use serde::{Serialize, Serializer};

use crate::{draw, peer_id};

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

/// A peer as others know it: nothing here is dialled by address.
fn address(node: u32) -> PeerAddress {
    PeerAddress {
        peer: peer_id(node),
        addresses: Vec::new(),
    }
}

/// A whole number below `bound`.
fn below(rng: &mut Rng, bound: u32) -> u32 {
    let drawn = draw::below(rng, u64::from(bound));
    u32::try_from(drawn).expect("it is below a u32")
}

/// A peer's place in a list.
fn index(node: u32) -> usize {
    usize::try_from(node).expect("pointers have at least 32 bits")
}
