//! A conversation about records in the structured overlay.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::dht::store::fuzz::dht_store(input));
