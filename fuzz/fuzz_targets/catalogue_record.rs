//! Records of the catalogue.
#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| gannet_store::fuzz::catalogue_record(input));
