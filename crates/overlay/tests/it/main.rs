//! Overlays run against each other under faults, in virtual time.

mod harness;
mod hub;
