//! A conversation with a hub.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::hub::fuzz::hub_server(input));
