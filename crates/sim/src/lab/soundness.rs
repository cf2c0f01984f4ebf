//! What tests of every experiment check.

use std::fmt::Debug;

use serde::Serialize;
use serde_json::Value;

use crate::Impossible;

/// The same seed gives the same report to the byte, another one other events.
/// `run` gets the seed.
#[track_caller]
pub(super) fn check_repeats<R: Serialize>(run: impl Fn(u64) -> Result<R, Impossible>) {
    let report = |seed| serde_json::to_string(&run(seed).unwrap()).unwrap();
    let one = report(1);
    assert_eq!(one, report(1));
    let hash = |text: &str| serde_json::from_str::<Value>(text).unwrap()["event_hash"].clone();
    assert!(hash(&one).is_string(), "{one}");
    assert_ne!(hash(&one), hash(&report(2)));
}

/// An experiment refuses its parameters in these words.
#[track_caller]
pub(super) fn check_refused<R: Debug>(refused: Result<R, Impossible>, words: &str) {
    let error = refused.unwrap_err().to_string();
    assert!(error.contains(words), "{error}");
}
