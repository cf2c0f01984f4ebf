//! Nodes over real connections on loopback.

#![allow(missing_docs, clippy::unwrap_used, reason = "tests")]

mod again;
mod dht;
mod evil;
mod flood;
mod folders;
mod journey;
mod keep;
mod mistakes;
mod page;
mod supernode;
mod support;
