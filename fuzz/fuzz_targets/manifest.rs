//! The lists of folders that are linked to.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_store::fuzz::manifest(input));
