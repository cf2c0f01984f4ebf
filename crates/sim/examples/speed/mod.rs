//! What the programs that measure the laboratory's speed share.

#![allow(clippy::disallowed_methods, reason = "measures time")]

use std::time::Instant;

/// The next argument, a number; this one if there is none.
pub(crate) fn number(arguments: &mut impl Iterator<Item = String>, default: u32) -> u32 {
    let text = arguments.next();
    text.map_or(default, |text| text.parse().expect("a number"))
}

/// What came of it, and how many seconds it took.
pub(crate) fn timed<T>(run: impl FnOnce() -> T) -> (T, f64) {
    let began = Instant::now();
    let result = run();
    (result, began.elapsed().as_secs_f64())
}

/// Memory of this process in KiB, by its name in `/proc/self/status`; 0 where
/// that is not told.
pub(crate) fn memory_kib(name: &str) -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok())
        .unwrap_or(0)
}
