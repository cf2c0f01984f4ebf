//! Sources that say anything to a peer that fetches.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_swarm::fuzz::downloads_core(input));
