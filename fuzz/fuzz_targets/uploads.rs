//! Fetchers that say anything to a peer that serves.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_swarm::fuzz::uploads_core(input));
