//! Queries, as people and strangers write them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_index::fuzz_query(input));
