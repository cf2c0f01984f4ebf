//! Tests with real processes: the built program, real connections on loopback,
//! real files.

#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod dht;
mod flood;
mod harness;
mod journey;
mod keep;
mod lab;
mod living;
mod mistakes;
mod supernode;
