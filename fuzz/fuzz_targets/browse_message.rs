//! Questions for what a peer shares, and the answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_node::fuzz::browse_message(input));
