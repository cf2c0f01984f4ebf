//! The index against a slow model, and against hostile input.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod dense;
mod hostile;
mod language;
mod model;
mod random;
