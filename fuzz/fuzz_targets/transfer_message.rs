//! What fetcher and source say to each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_swarm::fuzz::transfer_message(input));
