//! Slices: hashes of the tree and the bytes that they vouch for.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_store::fuzz::slice_decoder(input));
