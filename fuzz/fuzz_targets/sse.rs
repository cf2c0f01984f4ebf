//! The API's stream of events, as the client reads it.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_web::fuzz::sse(input));
