//! The first bytes of a stream.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_net::fuzz::stream_header(input));
