//! A conversation with a peer that uses a hub.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::hub::fuzz::hub_client(input));
