//! What peers and hubs say to each other.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_overlay::hub::fuzz::hub_message(input));
