//! Overlays run against each other under faults, in virtual time.

mod flood;
mod flood_hostile;
mod harness;
mod hub;
