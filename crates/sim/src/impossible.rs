//! What is said about parameters that no experiment can run with.

use std::fmt::Display;

use thiserror::Error;

/// A parameter that no experiment can run with, and what is possible instead.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{parameter} {given} is impossible: {possible}")]
pub struct Impossible {
    /// The parameter as it is typed, such as `--ttl`.
    pub parameter: &'static str,
    /// What it was given.
    pub given: String,
    /// What is possible, in plain words.
    pub possible: String,
}

impl Impossible {
    /// The parameter as it is typed (`--ttl`), what it was given, and what is
    /// possible instead.
    pub fn new(parameter: &'static str, given: impl Display, possible: impl Display) -> Self {
        Self {
            parameter,
            given: given.to_string(),
            possible: possible.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_is_possible() {
        let error = Impossible::new("--ttl", 0, "a TTL is from 1 to 255");
        assert_eq!(
            error.to_string(),
            "--ttl 0 is impossible: a TTL is from 1 to 255"
        );
    }
}
