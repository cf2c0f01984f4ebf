//! Who is linked to whom.
//!
//! **Problem.** What a flood reaches and costs depends on the graph that it
//! runs on, and theory speaks of particular ones.
//!
//! **Goals.** The graphs of theory and of publications, and edge lists from
//! files, up to a million nodes in seconds, the same for the same seed.
//!
//! **Non-goals.** Graphs that change: churn and the overlay's own join make
//! those. Files: the text of an edge list is handed in.
//!
//! **Invariant.** A [`Graph`] is undirected and simple: no node is its own
//! neighbour, no neighbour is there twice.

mod build;
mod graph;
mod random;
mod reference;
mod spec;

#[cfg(test)]
mod tests;

pub use graph::{Components, DegreeStats, Graph};
pub use reference::{FloodCount, flood_reference};
pub use spec::Topology;

/// Most nodes that a graph may have.
// Guess: 2^24 simulated peers of 4 KB would take 64 GB; a hypercube of 24
// dimensions still takes 1.6 GB.
pub const NODES_MAX: u32 = 1 << 24;
/// Most edges that a graph may have; offsets into the neighbours fit a `u32`.
pub const EDGES_MAX: u64 = 1 << 28;
