//! Patches of a routing table.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::flood::fuzz::flood_table(input));
