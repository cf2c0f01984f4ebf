//! What neighbours of the flood overlay say to each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::flood::fuzz::flood_message(input));
