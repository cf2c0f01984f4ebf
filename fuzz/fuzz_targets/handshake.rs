//! What a stranger says first.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_net::fuzz::handshake(input));
