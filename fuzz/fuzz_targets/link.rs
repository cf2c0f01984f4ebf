//! Links, as people paste them.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_base::link::fuzz(input));
