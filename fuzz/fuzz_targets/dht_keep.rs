//! A conversation about blocks that others keep.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::dht::keep::fuzz::keep(input));
