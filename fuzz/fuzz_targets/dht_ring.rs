//! A conversation about routing in the structured overlay.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::dht::fuzz::dht_ring(input));
