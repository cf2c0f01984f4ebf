//! The offer of a TCP connection.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_net::fuzz::road_offer(input));
