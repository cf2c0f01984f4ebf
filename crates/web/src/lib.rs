//! The HTTP API of a running peer, and the client that speaks it.
//!
//! **Problem.** The command line, the page and scripts steer a peer that runs
//! in another process. A listener on loopback is reachable for every program on
//! the machine and for every page in its browser.
//!
//! **Goals.** Every method of [`gannet_node::Node`] has a route under
//! `/api/v1`; nothing is done for anybody who does not hold the token of
//! `api.json`; a slow or greedy caller harms only itself; errors carry the
//! peer's own plain words.
//!
//! **Non-goals.** Access from other machines: there is no TLS, and listening
//! elsewhere than on loopback takes an explicit flag.
//!
//! Browsers keep a cookie instead of the token, which they get by a link that
//! works once. Cookies are sent to every port of a host: what else listens on
//! this machine's loopback can read them if the user goes there with the same
//! browser.
//!
//! **Invariants.** No `GET` changes anything, but that reading a download moves it
//! to where it is read. No route reads or writes a file; paths in requests are judged
//! by the node. The token is in no URL and no log.

mod client;
mod page;
mod peer;
mod problem;
mod server;
mod token;

pub use client::{
    Client, ClientError, EventStream, SearchStream, SearchSummary, StreamError, Timeouts,
};
pub use page::Page;
pub use peer::{Answer, Peer, Reading};
pub use problem::Problem;
pub use server::{ApiServer, Limits, ServeError, ServeOptions, openapi_json, serve};

/// The version in the path of every route.
pub const API_VERSION: u32 = 1;

/// The file in the data directory that says where the API is and holds its
/// token.
pub const API_FILE: &str = "api.json";

/// What is fuzzed, so that refactoring breaks the build and not the fuzzing.
#[doc(hidden)]
pub mod fuzz {
    pub use crate::client::fuzz_sse as sse;
}
