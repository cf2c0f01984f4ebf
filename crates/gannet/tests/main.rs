//! Tests with real processes: the built program, real connections on loopback,
//! real files.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod harness;
mod journey;
mod mistakes;
