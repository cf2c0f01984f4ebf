//! The index against a slow model, and against hostile input.

mod hostile;
mod language;
mod model;
mod random;
