//! The API over real sockets, in front of a peer that only remembers what it
//! was asked.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests")]

mod client;
mod contents;
mod described;
mod fake;
mod guard;
mod hostile;
mod http;
mod limits;
mod metrics;
mod routes;
mod samples;
mod session;
mod streams;
