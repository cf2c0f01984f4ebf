//! A conversation with a peer of the flood overlay.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::flood::fuzz::flood(input));
