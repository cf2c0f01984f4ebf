//! Searches in a structured network: every word has its place on a ring, where
//! the publications of all peers with that word are listed.
//!
//! The ring is laid as its maintenance would leave it; what peers share they
//! publish themselves. Where nobody comes or goes there is no maintenance.

mod crowd;
mod network;
mod search;
#[cfg(test)]
mod tests;
mod wire;

pub(super) use search::run as search;
