//! Whole swarms in one process and virtual time: downloads against uploads over
//! simulated lines, with sources that lie, stall, drip, crash and return.

#![allow(clippy::unwrap_used, clippy::print_stdout)] // Figures are read with `--nocapture`.

mod driver;
mod evil;
mod faults;
mod harness;
mod lines;
mod speed;
